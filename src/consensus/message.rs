//! What daemons' consensus says to each other, as bytes with a version.

use failoverd_domain::format::TooNew;
use failoverd_domain::ids::{FleetId, Generation, LogIndex, Region};
use failoverd_domain::traffic::SwitchEndpoint;
use openraft::error::{InstallSnapshotError, RaftError};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse, VoteRequest,
    VoteResponse,
};
use serde::{Deserialize, Serialize};

use super::types::{NodeId, TypeConfig};

/// The version of these messages that this daemon speaks.
pub(super) const VERSION: u32 = 1;

/// A message with its sender.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Envelope {
    pub(super) version: u32,
    pub(super) fleet: FleetId,
    pub(super) generation: Generation,
    pub(super) from: Region,
    pub(super) to: Region,
    /// The number of the sender's disk.
    pub(super) disk: u64,
    pub(super) message: Message,
}

/// What a daemon asks of another.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Message {
    Append(AppendEntriesRequest<TypeConfig>),
    Vote(VoteRequest<NodeId>),
    InstallSnapshot(InstallSnapshotRequest<TypeConfig>),
    /// The sender leads, wants to lead no longer, and asks the receiver to stand.
    CallElection,
    /// How far must one have applied the log not to be behind the fleet now? For the leader.
    ReadPosition,
    /// Does the receiver reach the daemon of this Region, which is to be added? For one that votes.
    Reach(Region),
    /// Who is the receiver? For one that is to be added.
    Introduce,
}

/// An answer with its sender's disk.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) disk: u64,
    /// The asker is of an older generation: the fleet was recovered without it, as this one. Older builds take the reply
    /// beside it for what it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) superseded: Option<Generation>,
    /// The asker's Region was removed from the fleet, by this entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) dismissed: Option<LogIndex>,
    pub(super) reply: Reply,
}

/// What the other answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reply {
    Append(AppendEntriesResponse<NodeId>),
    Vote(VoteResponse<NodeId>),
    InstallSnapshot(Result<InstallSnapshotResponse<NodeId>, RaftError<NodeId, InstallSnapshotError>>),
    CallElection,
    /// `None`: not the leader, or it could not be confirmed.
    ReadPosition(Option<u64>),
    /// The asker has another disk than the one it was met with.
    AnotherDisk,
    /// Or why not.
    Reach(Result<(), String>),
    Introduce(Introduction),
}

/// What a daemon that is to be added says of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Introduction {
    /// Its disk was made to be added to a fleet, and forms none.
    pub(super) joins: bool,
    /// Where Route 53's checkers reach it.
    pub(super) switch: Option<SwitchEndpoint>,
}

/// Why a message was not answered.
#[derive(Debug, thiserror::Error)]
pub enum HandleError {
    /// Not a message.
    #[error("not a consensus message: {0}")]
    Nonsense(String),
    /// A message of a version that is not spoken here.
    #[error(
        "consensus messages of version {found} are not spoken here (version {VERSION} is): upgrade whichever daemon is older"
    )]
    Version {
        /// Its version.
        found: u32,
    },
    /// A message of another fleet or generation, from somebody who is no member, or for somebody else.
    #[error("a consensus message from a stranger: {0}")]
    Stranger(String),
    /// A message with something that a newer build has written. Not taken, so that the sender keeps it and sends it again.
    #[error(transparent)]
    TooNew(#[from] TooNew),
    /// This daemon's consensus has stopped.
    #[error("consensus has stopped here: {0}")]
    Stopped(String),
}
