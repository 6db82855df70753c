//! A Postgres of the sandbox's own: made in a folder of its own, gone without a trace when the sandbox ends.
//!
//! It listens on loopback only, behind a random password. Nothing may be left running. How it stops:
//! 1. `stop` (Ctrl-C reaches the sandbox alone, the server sits in its own process group): fast shutdown, folder removed.
//! 2. Dropped without `stop` (a panic, an early return): immediate shutdown, folder removed.
//! 3. The sandbox is killed: the kernel sends the server SIGINT (`setpriv --pdeathsig`, where there is one), and the next
//!    start anywhere removes the folder, which it knows by its lock. Without setpriv the server stops by itself
//!    within about a minute after that, when it finds its folder gone.

mod account;
mod binaries;
mod folder;

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::adapters::postgres::{DatabaseUrl, create_database};
use account::Account;
use binaries::Binaries;
use folder::Folder;

/// Why there is no private Postgres. Each is one line for the person who started the sandbox.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// No server on this machine.
    #[error(
        "PostgreSQL is missing: run `make tools`, or install it, or set FAILOVERD_POSTGRES_BIN to its bin folder, or use --database-url"
    )]
    Missing,
    /// The folder named by the environment variable holds none.
    #[error("FAILOVERD_POSTGRES_BIN is {0}, but there is no initdb and postgres")]
    NotThere(PathBuf),
    /// Postgres refuses to run as root, and there is nobody else.
    #[error("PostgreSQL does not run as root, and this machine has neither a user postgres nor nobody")]
    NoAccount,
    /// A step of starting failed.
    #[error("private PostgreSQL: {doing}: {reason}")]
    Failed {
        /// What was tried.
        doing: &'static str,
        /// What was seen.
        reason: String,
    },
}

impl PostgresError {
    fn failed(doing: &'static str) -> impl Fn(std::io::Error) -> Self {
        move |error| Self::Failed { doing, reason: error.to_string() }
    }
}

const STARTS_WITHIN: Duration = Duration::from_secs(30);
const STOPS_WITHIN: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(10);
const SUPERUSER: &str = "failoverd";

/// A running server. Stops and removes itself when dropped; `stop` does it in order.
pub struct PrivatePostgres {
    server: Child,
    binaries: Binaries,
    account: Option<Account>,
    folder: Folder,
    port: u16,
    password: String,
    settings: &'static [&'static str],
}

impl PrivatePostgres {
    /// Makes and starts a server on 127.0.0.1:`port` (0: any free one), in a new folder inside `parent` or, if the
    /// server's user cannot get there, inside the machine's folder for temporary files.
    ///
    /// Call it from a thread that lives as long as the server shall (main, or a worker of the runtime): the kernel's
    /// word of the parent's death is about that thread.
    ///
    /// # Errors
    /// Nothing found, or it does not start: what to do about it, in one line.
    pub async fn start(parent: &Path, port: u16) -> Result<Self, PostgresError> {
        Self::start_with(parent, port, &THROWAWAY).await
    }

    /// The same with other settings than those for data that nobody will miss: `name=value`, one each.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_with(
        parent: &Path,
        port: u16,
        settings: &'static [&'static str],
    ) -> Result<Self, PostgresError> {
        let account = Account::for_server()?;
        let folder = Folder::create(parent, account.as_ref())?;
        let binaries = Binaries::find()?.within_reach(&folder, account.as_ref())?;
        let password = password()?;
        init(&binaries, &folder, account.as_ref(), &password).await?;
        let port = if port == 0 { free_port()? } else { port };
        let server = launch(&binaries, &folder, account.as_ref(), port, settings)?;
        let mut started = Self { server, binaries, account, folder, port, password, settings };
        started.until_ready().await?;
        tracing::debug!(port, folder = %started.folder.path().display(), "private postgres is ready");
        Ok(started)
    }

    /// Makes the database unless it is there, and returns its address.
    ///
    /// # Errors
    /// The server is gone or refuses the name.
    pub async fn database(&self, name: &str) -> Result<String, PostgresError> {
        let failed = |reason| PostgresError::Failed { doing: "making a database", reason };
        let server: DatabaseUrl = self
            .url("postgres")
            .parse()
            .map_err(|error: crate::adapters::postgres::InvalidDatabaseUrl| failed(error.to_string()))?;
        create_database(&server, name).await.map_err(|error| failed(error.to_string()))?;
        Ok(self.url(name))
    }

    /// Address of a database here, password included.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{SUPERUSER}:{}@127.0.0.1:{}/{database}?sslmode=disable", self.password, self.port)
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's folder, for a look at its log.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The server's process, while it runs.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.server.id()
    }

    /// Stops the server and removes its folder.
    pub async fn stop(mut self) {
        self.halt().await;
    }

    /// Stops the server and keeps what it has: [`Self::resume`] starts it again. Connections are cut off.
    pub async fn halt(&mut self) {
        self.signal(Signal::INT);
        if timeout(STOPS_WITHIN, self.server.wait()).await.is_err() {
            tracing::warn!(port = self.port, "private postgres did not stop in time and is killed");
        }
    }

    /// Starts a halted server again, on the same port and with what it had. Does nothing while it runs.
    ///
    /// # Errors
    /// It does not start.
    pub async fn resume(&mut self) -> Result<(), PostgresError> {
        if matches!(self.server.try_wait(), Ok(None)) {
            return Ok(());
        }
        self.server = launch(&self.binaries, &self.folder, self.account.as_ref(), self.port, self.settings)?;
        self.until_ready().await
    }

    async fn until_ready(&mut self) -> Result<(), PostgresError> {
        let deadline = Instant::now() + STARTS_WITHIN;
        while !self.folder.says_ready() {
            let ended = self.server.try_wait().map_err(PostgresError::failed("starting"))?.is_some();
            if ended || Instant::now() > deadline {
                return Err(PostgresError::Failed { doing: "starting", reason: self.folder.complaint() });
            }
            sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    fn signal(&self, signal: Signal) {
        let pid = self.server.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It ended by itself: then there is nobody to tell.
            let _ = kill_process(pid, signal);
        }
    }
}

impl Drop for PrivatePostgres {
    /// Blocks for some milliseconds: the folder cannot go before the server has. Does nothing after `stop`.
    fn drop(&mut self) {
        self.signal(Signal::QUIT);
        for _ in 0..300 {
            if !matches!(self.server.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        let _ = self.server.start_kill();
    }
}

async fn init(
    binaries: &Binaries,
    folder: &Folder,
    account: Option<&Account>,
    password: &str,
) -> Result<(), PostgresError> {
    let secret = folder.write_secret(password, account)?;
    let mut command = command(&binaries.initdb(), folder, account);
    command.arg("-D").arg(folder.data()).args(["-U", SUPERUSER, "-A", "scram-sha-256", "--pwfile"]).arg(&secret);
    command.args(["-E", "UTF8", "--locale=C", "--no-sync"]).stdin(Stdio::null());
    let output = command.output().await.map_err(PostgresError::failed("running initdb"))?;
    std::fs::remove_file(&secret).map_err(PostgresError::failed("removing a file"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(PostgresError::Failed { doing: "running initdb", reason: folder::complaint(&said) })
}

const SETTINGS: [&str; 5] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=60",
    "timezone=UTC",
    "log_line_prefix=",
];

/// Data is thrown away with the folder, so nothing waits for a disk.
const THROWAWAY: [&str; 4] = ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=16MB"];

fn launch(
    binaries: &Binaries,
    folder: &Folder,
    account: Option<&Account>,
    port: u16,
    settings: &[&str],
) -> Result<Child, PostgresError> {
    let log: File = folder.log()?;
    let mut command = match binaries.death_signal() {
        None => command(&binaries.postgres(), folder, account),
        Some(setpriv) => {
            let mut command = command(setpriv, folder, account);
            command.args(["--pdeathsig", "INT", "--"]).arg(binaries.postgres());
            command
        }
    };
    command.arg("-D").arg(folder.data()).args(["-p", &port.to_string()]);
    command.args(SETTINGS.iter().chain(settings).flat_map(|setting| ["-c", setting]));
    let error_log = log.try_clone().map_err(PostgresError::failed("opening its log"))?;
    command.stdin(Stdio::null()).stdout(log).stderr(error_log).process_group(0);
    command.spawn().map_err(PostgresError::failed("starting"))
}

/// A command as the server's user, with nothing of our environment but where libraries are.
fn command(program: &Path, folder: &Folder, account: Option<&Account>) -> Command {
    let mut command = Command::new(program);
    let kept = std::env::vars_os().filter(|(name, _)| name == "PATH" || name == "LD_LIBRARY_PATH");
    command.env_clear().envs(kept).env("LC_ALL", "C").env("HOME", folder.path()).current_dir(folder.path());
    command.kill_on_drop(true);
    if let Some(account) = account {
        command.uid(account.uid).gid(account.gid);
    }
    command
}

fn free_port() -> Result<u16, PostgresError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    Ok(listener.map_err(PostgresError::failed("looking for a free port"))?.port())
}

/// The machine has other users, who can reach loopback too.
fn password() -> Result<String, PostgresError> {
    let mut bytes = [0_u8; 16];
    let read = File::open("/dev/urandom").and_then(|mut source| std::io::Read::read_exact(&mut source, &mut bytes));
    read.map_err(PostgresError::failed("making a password"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
