//! The fleet itself: what its daemons agree on, and how they reach each other.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use failoverd_domain::fleet::{Applied, Entry, FleetState, HistoryEvent};
use failoverd_domain::health::Report;
use failoverd_domain::ids::Region;
use failoverd_domain::traffic::{LookUp, Sighting};
use tokio::sync::watch;

/// Agreement with the other daemons: the replicated log as the runtime sees it.
#[async_trait]
pub trait Agreement: Send + Sync {
    /// Commits an entry and applies it here. Only the leader can.
    async fn propose(&self, entry: Entry) -> Result<Applied, ProposeError>;
    /// A linearizable read: fails unless this daemon leads now and has applied everything committed before the call.
    async fn confirm_leadership(&self) -> Result<(), ProposeError>;
    /// The newest applied state.
    fn state(&self) -> watch::Receiver<Arc<FleetState>>;
    /// Who leads, as known here.
    fn leadership(&self) -> watch::Receiver<Leadership>;
    /// Gives leadership up, if held, so that `to` can win the next election.
    async fn step_aside(&self, to: &Region);
}

/// Who leads, as known here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// The leader, if one is known.
    pub leader: Option<Region>,
    /// Whether it is this daemon.
    pub is_me: bool,
    /// The term.
    pub term: u64,
    /// Whether this daemon has caught up with the fleet since its start; until then it answers checkers with silence.
    pub caught_up: bool,
    /// Whose votes count; empty where nothing is known of it yet.
    pub voters: BTreeSet<Region>,
}

/// Why an entry was not committed, or may not have been.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Ask that one instead.
    #[error("this daemon does not lead (leader: {})", leader.as_ref().map_or("none known", |leader| leader.as_str()))]
    NotLeader {
        /// Who does, if known.
        leader: Option<Region>,
    },
    /// Sent, but nobody said whether it was committed.
    #[error("nobody knows whether it was committed: {0}")]
    Unknown(String),
    /// This daemon must stop: its log cannot be written or read.
    #[error("the log failed: {0}")]
    Fatal(String),
}

/// Events that were made here and that the history has not confirmed.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// The oldest unconfirmed events from `from_seq` on, in order, at most `limit`.
    async fn pending(&self, from_seq: u64, limit: usize) -> Vec<HistoryEvent>;
    /// Everything up to `seq` is in this Region's history: it may be forgotten here.
    async fn confirm(&self, seq: u64);
}

/// The other daemons.
#[async_trait]
pub trait Peers: Send + Sync {
    /// A consensus message and its answer.
    async fn raft(&self, to: &Region, message: Vec<u8>) -> Result<Vec<u8>, PeerError>;
    /// Hands over this daemon's newest report.
    async fn share(&self, to: &Region, report: &Report) -> Result<(), PeerError>;
    /// Events from `from_seq` on out of a peer's outbox or history, oldest first.
    async fn events(&self, from: &Region, from_seq: u64, limit: u32) -> Result<Vec<HistoryEvent>, PeerError>;
    /// Asks the leader to propose an entry for us.
    async fn forward(&self, to: &Region, entry: Entry) -> Result<Result<Applied, ProposeError>, PeerError>;
    /// Has a peer look at the names of a service. It answers within a few seconds or not at all.
    async fn look_up(&self, at: &Region, asked: &LookUp) -> Result<Sighting, PeerError>;
}

/// A peer did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{peer}: {reason}")]
pub struct PeerError {
    /// Whom we asked.
    pub peer: Region,
    /// What was seen.
    pub reason: String,
    /// The message may have arrived all the same.
    pub may_have_arrived: bool,
}
