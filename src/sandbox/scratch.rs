//! A folder for what is thrown away. Removed when dropped; one whose owner was killed is removed by the next.
//!
//! The owner holds a lock on a file in it, which the kernel frees however the owner ends. A folder without the file is
//! not ours to touch.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

const LOCK: &str = "in-use";

/// The folder, with our lock on it.
pub(super) struct Scratch {
    path: PathBuf,
    _in_use: File,
}

impl Scratch {
    /// A new folder in `parent`, named after `prefix`; those that killed owners left there are removed.
    pub(super) fn create(parent: &Path, prefix: &str) -> std::io::Result<Self> {
        sweep(parent, prefix);
        let path = unused(parent, prefix)?;
        match claim(&path) {
            Ok(lock) => Ok(Self { path, _in_use: lock }),
            Err(error) => {
                let _ = fs::remove_dir_all(&path);
                Err(error)
            }
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(folder = %self.path.display(), %error, "a folder of the sandbox was left behind");
        }
    }
}

fn unused(parent: &Path, prefix: &str) -> std::io::Result<PathBuf> {
    let me = std::process::id();
    let mut number = 0;
    loop {
        let path = parent.join(format!("{prefix}{me}-{number}"));
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
fn sweep(parent: &Path, prefix: &str) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(prefix) {
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
        let living = Scratch::create(parent.path(), "some-").unwrap();
        let dead = parent.path().join("some-1-0");
        let foreign = parent.path().join("some-notes");
        fs::create_dir_all(dead.join("data")).unwrap();
        fs::write(dead.join(LOCK), "").unwrap();
        fs::create_dir(&foreign).unwrap();
        let next = Scratch::create(parent.path(), "some-").unwrap();
        assert!(living.path().is_dir() && foreign.is_dir());
        assert!(!dead.exists());
        let gone = next.path().to_owned();
        drop(next);
        assert!(!gone.exists());
    }
}
