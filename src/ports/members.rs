//! Which daemons vote.

use async_trait::async_trait;
use failoverd_domain::fleet::Actor;
use failoverd_domain::ids::{LogIndex, Region};

use super::Clock;

/// A daemon as the fleet's agreement knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberSeen {
    /// The daemon.
    pub region: Region,
    /// It votes.
    pub votes: bool,
    /// It is told everything, and does not vote yet.
    pub follows: bool,
    /// It leads.
    pub leads: bool,
    /// The newest entry that it is known to have; only a leader knows of others.
    pub has: Option<LogIndex>,
}

/// Why the members were not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct MembersError {
    /// Something was changed, or may have been.
    pub unfinished: bool,
    /// One sentence for people.
    pub reason: String,
}

impl MembersError {
    /// Nothing was changed.
    #[must_use]
    pub fn refused(reason: impl Into<String>) -> Self {
        Self { unfinished: false, reason: reason.into() }
    }

    /// It did not get to its end.
    #[must_use]
    pub fn unfinished(reason: impl Into<String>) -> Self {
        Self { unfinished: true, reason: reason.into() }
    }
}

/// Which daemons vote, and putting another disk in the place of a lost one; one change at a time.
#[async_trait]
pub trait Members: Send + Sync {
    /// Every daemon of the fleet.
    async fn list(&self) -> Vec<MemberSeen>;

    /// Takes the vote from a daemon whose disk was lost, forgets that disk, fills the new one and gives the vote back. On
    /// the leader only.
    async fn replace(&self, region: &Region) -> Result<(), MembersError>;

    /// Fills the disk of a daemon that waits to be added, has its Region agreed on, and gives it a vote. On the leader
    /// only; goes on from wherever an earlier attempt stopped.
    async fn add(&self, region: &Region, asked: Asked<'_>) -> Result<(), MembersError>;

    /// Has it agreed on that a Region belongs to the fleet no longer, and takes its daemon's vote. That daemon need not be
    /// alive. On the leader only; goes on from wherever an earlier attempt stopped.
    async fn remove(&self, region: &Region, asked: Asked<'_>) -> Result<(), MembersError>;
}

/// Who asks for a change of the members, and by which clock it is put on record.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// Who.
    pub by: &'a Actor,
    /// Wall clock.
    pub clock: &'a dyn Clock,
}
