//! What openraft is told about us: which types travel, and who is who.

use std::io::Cursor;

use failoverd_domain::fleet::{Applied, Entry};
use failoverd_domain::ids::Region;

use super::clockwork::Clockwork;

openraft::declare_raft_types!(
    /// The types that openraft moves for us: entries of the domain in, their outcome out, a Region as node.
    pub TypeConfig:
        D = Entry,
        R = Applied,
        NodeId = u64,
        Node = Region,
        Entry = openraft::Entry<TypeConfig>,
        SnapshotData = Cursor<Vec<u8>>,
        AsyncRuntime = Clockwork,
);

/// A daemon's number in the log, see [`node_id`].
pub type NodeId = u64;
/// Position in the log with the leader that wrote it.
pub type LogId = openraft::LogId<NodeId>;
/// A vote.
pub type Vote = openraft::Vote<NodeId>;
/// An entry as openraft keeps it.
pub type LogEntry = openraft::Entry<TypeConfig>;
/// Who belongs to the fleet, with the position that said so.
pub type Membership = openraft::StoredMembership<NodeId, Region>;
/// What openraft knows of a snapshot.
pub type SnapshotMeta = openraft::SnapshotMeta<NodeId, Region>;
/// openraft's snapshot.
pub type Snapshot = openraft::Snapshot<TypeConfig>;
/// openraft's error of a store; it stops the daemon's consensus.
pub type StorageError = openraft::StorageError<NodeId>;
/// openraft itself.
pub type Raft = openraft::Raft<TypeConfig>;

/// The number of a Region's daemon: FNV-1a of the name, so that it is the same on every daemon, in every
/// version and whatever the other members are.
#[must_use]
pub fn node_id(region: &Region) -> NodeId {
    region
        .as_str()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_what_they_always_were() {
        assert_eq!(node_id(&"".into()), 0xcbf2_9ce4_8422_2325);
        assert_eq!(node_id(&"a".into()), 0xaf63_dc4c_8601_ec8c, "the published test vector of FNV-1a");
    }
}
