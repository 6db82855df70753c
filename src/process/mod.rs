//! The daemon as a process: from its arguments to a running [`crate::daemon::Daemon`], and its end.
//!
//! Says why it does not start in words and with an exit code, never by a panic. Binds no socket before the whole
//! configuration is known to be good. Decides nothing about the fleet.

mod accepted;
mod arguments;
mod compose;
mod listeners;
mod logging;
mod recover;
mod refusal;
mod restore;
mod run;
mod signals;
mod upkeep;
mod world;

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use failoverd_domain::ids::Generation;
use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};

use accepted::Accepted;
pub use arguments::{Arguments, Instead, Recover};
pub use refusal::Refusal;

/// Lookups of names cannot be interrupted; the process does not wait for them.
const STRAGGLERS: Duration = Duration::from_millis(500);

/// Runs the daemon until it is told to stop. 0: stopped in order, or checked; 1: failed; 2: bad usage or configuration.
#[must_use]
pub fn main() -> ExitCode {
    match start(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => {
            // Nobody is left to tell when stderr is closed.
            let _ = writeln!(std::io::stderr().lock(), "failoverd: {refusal}");
            refusal.exit_code()
        }
    }
}

fn start(arguments: &Arguments) -> Result<(), Refusal> {
    leave_no_core().map_err(Refusal::Runtime)?;
    // Only a second call could fail, and a provider would be there all the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = Builder::new_multi_thread().enable_all().build().map_err(Refusal::Runtime)?;
    let ended = accept_and_run(arguments, &runtime);
    runtime.shutdown_timeout(STRAGGLERS);
    ended
}

/// What is in memory (keys, passwords of databases, what webhooks are signed with) is in no core file: not in one that the
/// system would write, and not in what it would hand to a collector, which the limit alone does not hold back
/// (<https://man7.org/linux/man-pages/man5/core.5.html>).
fn leave_no_core() -> std::io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}

fn accept_and_run(arguments: &Arguments, runtime: &Runtime) -> Result<(), Refusal> {
    let variables: BTreeMap<String, String> = std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .collect();
    let Some(file) = &arguments.config else {
        let missing = "the following required arguments were not provided:\n  --config <FILE>";
        Arguments::command().error(ErrorKind::MissingRequiredArgument, missing).exit()
    };
    let config = crate::config::Config::load(file, variables.clone().into_iter())?;
    if let Some(Instead::Recover(asked)) = &arguments.instead {
        return match &asked.from {
            Some(from) => restore::recover(asked, from, &config, file, runtime),
            None => recover::recover(asked, &config, file),
        };
    }
    if arguments.dump_config {
        say(&config.dump())?;
        if !arguments.check {
            return Ok(());
        }
    }
    let _inside = runtime.enter();
    let log = config.log.clone();
    let named = |name: &str| variables.get(name).cloned();
    let filter = logging::filter(&log, named)?;
    let accepted = Accepted::new(config, arguments.dev, variables)?;
    if arguments.check {
        return if arguments.dump_config {
            Ok(())
        } else {
            say(&format!("{}: the configuration is good\n", file.display()))
        };
    }
    let logs = logging::start(&log, filter)?;
    let join = arguments.join.map(Generation);
    runtime.block_on(run::until_stopped(accepted, logs, join))
}

fn say(text: &str) -> Result<(), Refusal> {
    std::io::stdout().lock().write_all(text.as_bytes()).map_err(Refusal::Output)
}
