//! The folder that a private server lives in. Removed when dropped; one whose owner was killed is removed by the next.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

use super::PostgresError;
use super::account::Account;
use crate::sandbox::scratch::Scratch;

const PREFIX: &str = "failoverd-postgres-";

/// The folder.
pub(super) struct Folder(Scratch);

impl Folder {
    /// A new folder that belongs to the server's user, inside `parent` if that user can get there.
    pub fn create(parent: &Path, account: Option<&Account>) -> Result<Self, PostgresError> {
        let temporary = std::env::temp_dir();
        let parents = [parent, &temporary, Path::new("/tmp")];
        let fitting =
            parents.into_iter().find(|parent| parent.is_dir() && account.is_none_or(|who| who.can_enter(parent)));
        let parent = fitting.ok_or_else(|| PostgresError::Failed {
            doing: "making its folder",
            reason: format!("the server's user can enter neither {} nor {}", parent.display(), temporary.display()),
        })?;
        Self::inside(parent, account).map_err(PostgresError::failed("making its folder"))
    }

    fn inside(parent: &Path, account: Option<&Account>) -> std::io::Result<Self> {
        let scratch = Scratch::create(parent, PREFIX)?;
        if let Some(account) = account {
            chown(scratch.path(), Some(account.uid), Some(account.gid))?;
        }
        Ok(Self(scratch))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The cluster's data directory.
    pub fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    /// A new file for the server's output.
    pub fn log(&self) -> Result<File, PostgresError> {
        File::create(self.path().join("log")).map_err(PostgresError::failed("opening its log"))
    }

    /// Hands the password over in a file that only the server's user reads.
    pub fn write_secret(&self, secret: &str, account: Option<&Account>) -> Result<PathBuf, PostgresError> {
        let path = self.path().join("secret");
        let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).and_then(|mut file| {
            file.write_all(secret.as_bytes())?;
            account.map_or(Ok(()), |account| chown(&path, Some(account.uid), Some(account.gid)))
        });
        written.map(|()| path).map_err(PostgresError::failed("writing its password"))
    }

    /// Whether the server has written that it takes connections (the eighth line of its pid file, as `pg_ctl` reads it).
    pub fn says_ready(&self) -> bool {
        let pid_file = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
        pid_file.lines().nth(7).is_some_and(|status| status.trim() == "ready")
    }

    /// What its log complains about.
    pub fn complaint(&self) -> String {
        complaint(&fs::read_to_string(self.path().join("log")).unwrap_or_default())
    }
}

/// The line that says what went wrong: the first complaint, else the last line.
pub(super) fn complaint(text: &str) -> String {
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let complains = |line: &&str| ["could not", "FATAL", "PANIC", "error:"].iter().any(|word| line.contains(word));
    lines().find(complains).or_else(|| lines().next_back()).unwrap_or("it said nothing").to_owned()
}
