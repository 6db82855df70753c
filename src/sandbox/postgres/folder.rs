//! The folder that a private server lives in. Removed when dropped; one whose owner was killed is removed by the next.
//!
//! The owner holds a lock on a file in it, which the kernel frees however the owner ends. A folder without the file is
//! not ours to touch.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

use super::PostgresError;
use super::account::Account;

const PREFIX: &str = "failoverd-postgres-";
const LOCK: &str = "in-use";

/// The folder, with our lock on it.
pub(super) struct Folder {
    path: PathBuf,
    _in_use: File,
}

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
        sweep(parent);
        Self::inside(parent, account).map_err(PostgresError::failed("making its folder"))
    }

    fn inside(parent: &Path, account: Option<&Account>) -> std::io::Result<Self> {
        let path = unused(parent)?;
        let made = claim(&path).and_then(|lock| {
            account.map_or(Ok(()), |account| chown(&path, Some(account.uid), Some(account.gid)))?;
            Ok(lock)
        });
        match made {
            Ok(lock) => Ok(Self { path, _in_use: lock }),
            Err(error) => {
                let _ = fs::remove_dir_all(&path);
                Err(error)
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The cluster's data directory.
    pub fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// A new file for the server's output.
    pub fn log(&self) -> Result<File, PostgresError> {
        File::create(self.path.join("log")).map_err(PostgresError::failed("opening its log"))
    }

    /// Hands the password over in a file that only the server's user reads.
    pub fn write_secret(&self, secret: &str, account: Option<&Account>) -> Result<PathBuf, PostgresError> {
        let path = self.path.join("secret");
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
        complaint(&fs::read_to_string(self.path.join("log")).unwrap_or_default())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(folder = %self.path.display(), %error, "a private postgres left its folder behind");
        }
    }
}

/// The line that says what went wrong: the first complaint, else the last line.
pub(super) fn complaint(text: &str) -> String {
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let complains = |line: &&str| ["could not", "FATAL", "PANIC", "error:"].iter().any(|word| line.contains(word));
    lines().find(complains).or_else(|| lines().next_back()).unwrap_or("it said nothing").to_owned()
}

fn unused(parent: &Path) -> std::io::Result<PathBuf> {
    let me = std::process::id();
    let mut number = 0;
    loop {
        let path = parent.join(format!("{PREFIX}{me}-{number}"));
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
            made => return made.map(|()| path),
        }
    }
}

/// Locks the file before it gets its name, so that nobody ever sees it unlocked while we live.
fn claim(path: &Path) -> std::io::Result<File> {
    let unnamed = path.join("in-use.new");
    let file = File::create(&unnamed)?;
    file.lock()?;
    fs::rename(unnamed, path.join(LOCK))?;
    Ok(file)
}

/// Removes what killed owners left behind. Best effort: a folder that stays is only clutter.
fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        if let Ok(lock) = File::open(entry.path().join(LOCK))
            && lock.try_lock().is_ok()
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_the_dead_are_swept_and_those_of_the_living_stay() {
        let parent = tempfile::tempdir().unwrap();
        let living = Folder::inside(parent.path(), None).unwrap();
        let dead = parent.path().join("failoverd-postgres-1-0");
        let foreign = parent.path().join("failoverd-postgres-notes");
        fs::create_dir_all(dead.join("data")).unwrap();
        fs::write(dead.join(LOCK), "").unwrap();
        fs::create_dir(&foreign).unwrap();
        sweep(parent.path());
        assert!(living.path().is_dir() && foreign.is_dir());
        assert!(!dead.exists());
    }
}
