//! Who the server runs as: Postgres refuses root.

use std::fs::Metadata;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::PostgresError;

/// A user of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub uid: u32,
    pub gid: u32,
}

impl Account {
    /// Who the server must run as; `None`: as we do.
    pub fn for_server() -> Result<Option<Self>, PostgresError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let users = std::fs::read_to_string("/etc/passwd").map_err(PostgresError::failed("reading /etc/passwd"))?;
        ["postgres", "nobody"]
            .iter()
            .find_map(|name| Self::named(name, &users))
            .map(Some)
            .ok_or(PostgresError::NoAccount)
    }

    fn named(name: &str, users: &str) -> Option<Self> {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut numbers = line.split(':').skip(2);
        Some(Self { uid: numbers.next()?.parse().ok()?, gid: numbers.next()?.parse().ok()? })
    }

    /// Whether this user can enter the folder, through all of its parents.
    pub fn can_enter(self, folder: &Path) -> bool {
        let Ok(folder) = folder.canonicalize() else { return false };
        folder.ancestors().all(|parent| std::fs::metadata(parent).is_ok_and(|metadata| self.may_pass(&metadata)))
    }

    fn may_pass(self, metadata: &Metadata) -> bool {
        let bit = match (metadata.uid() == self.uid, metadata.gid() == self.gid) {
            (true, _) => 0o100,
            (false, true) => 0o010,
            (false, false) => 0o001,
        };
        metadata.permissions().mode() & bit != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_read_by_their_whole_name() {
        let users = "root:x:0:0::/root:/bin/sh\npostgresql:x:7:8::/:/bin/sh\npostgres:x:101:104:,,,:/var:/bin/sh\n";
        assert_eq!(Account::named("postgres", users), Some(Account { uid: 101, gid: 104 }));
        assert_eq!(Account::named("nobody", users), None);
    }

    #[test]
    fn a_folder_behind_a_closed_one_is_out_of_reach() {
        let closed = tempfile::tempdir().unwrap();
        let inner = closed.path().join("open");
        std::fs::create_dir(&inner).unwrap();
        let stranger = Account { uid: 4_242, gid: 4_242 };
        std::fs::set_permissions(closed.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        assert!(!stranger.can_enter(&inner));
        std::fs::set_permissions(closed.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(stranger.can_enter(&inner));
    }
}
