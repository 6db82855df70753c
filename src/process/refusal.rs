//! Why the process did not start or go on, in words for the person who started it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::ConfigReport;
use crate::consensus::RecoverError;
use crate::daemon::DaemonError;
use crate::telemetry::OtlpError;

/// Why the process did not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The configuration, or something that it names, cannot be used.
    #[error("the configuration is refused, {count} found:\n{0}", count = problems(.0))]
    Configuration(#[from] ConfigReport),
    /// The log filter is none.
    #[error("{variable}: {cause}")]
    LogFilter {
        /// Where it came from.
        variable: &'static str,
        /// What is wrong.
        cause: String,
    },
    /// A listener's address cannot be had.
    #[error("listen.{listener}: {address} {}", port_trouble(.cause))]
    Listen {
        /// Which listener.
        listener: &'static str,
        /// Its address.
        address: SocketAddr,
        /// The system's words.
        cause: io::Error,
    },
    /// No client for probes can be made.
    #[error("probes cannot be made: {0}")]
    Probes(String),
    /// No client for webhooks can be made.
    #[error("webhooks cannot be told: {0}")]
    Webhooks(String),
    /// Traces cannot be exported.
    #[error("{0} (traces.endpoint)")]
    Traces(#[from] OtlpError),
    /// Name servers cannot be asked.
    #[error("zones cannot be asked over DNS: {0} (aws.name_servers names servers to ask instead)")]
    Dns(String),
    /// The daemon refused.
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    /// The fleet cannot be recovered.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// The fleet cannot be restored from a file.
    #[error("{}: {cause}", file.display())]
    Backup {
        /// The file.
        file: PathBuf,
        /// Why not.
        cause: String,
    },
    /// What cannot be taken back was not confirmed.
    #[error("{0}")]
    Unconfirmed(String),
    /// The system gives no threads or no signals.
    #[error("the system does not let the process run: {0}")]
    Runtime(#[source] io::Error),
    /// Standard output is closed.
    #[error("cannot write to standard output: {0}")]
    Output(#[source] io::Error),
    /// A part of the daemon has ended by itself.
    #[error("a part of the daemon has ended that should not; half a daemon must not run on (the log says which)")]
    PartEnded,
    /// The log on the disk cannot be used any longer.
    #[error("the log in {0} cannot be written or read any longer (the log above says why): what was promised is kept")]
    LogFailed(String),
    /// It did not stop in time, or was told twice.
    #[error("ended before everything had stopped in order ({0}); what was promised is on the disk")]
    Unfinished(&'static str),
}

impl Refusal {
    /// 2 for what the user wrote, 1 for the rest.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Configuration(_) | Self::LogFilter { .. } | Self::Unconfirmed(_) => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    }
}

fn problems(report: &ConfigReport) -> String {
    match report.problems.len() {
        1 => "1 problem".to_owned(),
        count => format!("{count} problems"),
    }
}

fn port_trouble(cause: &io::Error) -> String {
    match cause.kind() {
        io::ErrorKind::AddrInUse => {
            "is taken: another process listens there; stop it or choose another port".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => "is not an address of this machine".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "may not be bound by this user; ports below 1024 need a privilege".to_owned()
        }
        _ => format!("cannot be bound: {cause}"),
    }
}
