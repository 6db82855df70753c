//! Which daemons vote, and putting another disk in the place of one that was lost. `joining.rs` adds a Region, `leaving.rs`
//! removes one.
//!
//! A daemon whose disk was lost has forgotten its votes and what it acknowledged. So it loses its vote before it comes
//! back, which the others agree on; by that they forget its old disk, and it is met anew. It votes again only when it has
//! everything.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use failoverd_domain::fleet::{Applied, Command, Entry};
use failoverd_domain::ids::{LogIndex, Region};
use futures_util::future::join_all;
use openraft::ChangeMembers;
use tokio::sync::MutexGuard;
use tokio::time::timeout;

use super::handle::Consensus;
use super::message::Message;
use super::types::{LogId, NodeId, node_id};
use crate::ports::{Agreement, Asked, MemberSeen, Members, MembersError};

/// How long another daemon may take to answer, or to follow.
pub(super) const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// How long a change of members may take to be agreed on.
const AGREED_WITHIN: Duration = Duration::from_secs(15);
/// How long a new disk may take to be filled.
pub(super) const FILLED_WITHIN: Duration = Duration::from_secs(60);

/// Why a change of the list is not in it.
pub(super) enum Rejected {
    /// The fleet refused it.
    Refused(String),
    /// It may come into it yet.
    Unknown(String),
}

#[async_trait]
impl Members for Consensus {
    async fn list(&self) -> Vec<MemberSeen> {
        let metrics = self.inner.raft.metrics().borrow().clone();
        let members = metrics.membership_config.membership();
        let voters: BTreeSet<NodeId> = members.voter_ids().collect();
        let mut regions: BTreeSet<Region> = members.nodes().map(|(_, region)| region.clone()).collect();
        regions.extend(self.inner.state.borrow().members.keys().cloned());
        let has = |id: NodeId| match &metrics.replication {
            _ if id == metrics.id => metrics.last_log_index,
            Some(replication) => replication.get(&id).copied().flatten().map(|has| has.index),
            None => None,
        };
        let seen = regions.into_iter().map(|region| {
            let id = node_id(&region);
            let (votes, is_member) = (voters.contains(&id), members.get_node(&id).is_some());
            let leads = metrics.current_leader == Some(id);
            MemberSeen { votes, follows: is_member && !votes, leads, has: has(id).map(LogIndex), region }
        });
        seen.collect()
    }

    async fn replace(&self, region: &Region) -> Result<(), MembersError> {
        let _one_at_a_time = self.one_at_a_time().await?;
        self.may_replace(region)?;
        let others = self.other_voters(region);
        self.all_answer(&others).await?;
        let id = node_id(region);
        tracing::warn!(%region, "a daemon is replaced: it votes no longer, and its old disk is forgotten");
        let members = self.inner.raft.metrics().borrow().membership_config.membership().clone();
        let without = if members.voter_ids().any(|voter| voter == id) {
            Some(ChangeMembers::RemoveVoters([id].into()))
        } else {
            members.get_node(&id).map(|_| ChangeMembers::RemoveNodes([id].into()))
        };
        if let Some(without) = without {
            let at = self.change(without, false).await?;
            let ids: Vec<NodeId> = others.iter().map(node_id).collect();
            if !self.follow(&ids, at, ANSWERS_WITHIN).await {
                let why = format!(
                    "{region} does not vote, and a daemon stopped following: replace it again when all are there"
                );
                return Err(MembersError::unfinished(why));
            }
        }
        // openraft's own waiting takes a small log for followed before anything has arrived, and a vote given to a daemon
        // that is not there would take the majority away.
        let at = self.change(ChangeMembers::AddNodes([(id, region.clone())].into()), true).await?;
        if !self.follow(&[id], at, FILLED_WITHIN).await {
            return Err(MembersError::unfinished(format!(
                "{region} does not vote, and its new disk was not filled in {FILLED_WITHIN:?}: start its daemon on an empty \
                 data_dir with --join {}, and replace it again",
                self.inner.me.generation
            )));
        }
        self.change(ChangeMembers::AddVoterIds([id].into()), true).await?;
        tracing::info!(%region, "a daemon was replaced: it has everything and votes again");
        Ok(())
    }

    async fn add(&self, region: &Region, asked: Asked<'_>) -> Result<(), MembersError> {
        self.add_daemon(region, asked).await
    }

    async fn remove(&self, region: &Region, asked: Asked<'_>) -> Result<(), MembersError> {
        self.remove_daemon(region, asked).await
    }
}

/// Where a Region's daemon stands among those that agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It votes. With `is_settled`, a change of who votes has come to its end.
    Votes { is_settled: bool },
    /// It is told everything and does not vote.
    Follows,
    /// It is not known.
    Nowhere,
}

impl Consensus {
    /// To be held while the members change. Whoever has it leads, and has applied all that was agreed before.
    pub(super) async fn one_at_a_time(&self) -> Result<MutexGuard<'_, ()>, MembersError> {
        let Ok(held) = self.inner.changing.try_lock() else {
            return Err(MembersError::refused("another change of the members is under way: wait for it"));
        };
        self.confirm_leadership().await.map_err(|error| MembersError::refused(error.to_string()))?;
        Ok(held)
    }

    pub(super) fn place_of(&self, region: &Region) -> Place {
        let metrics = self.inner.raft.metrics();
        let metrics = metrics.borrow();
        let (members, id) = (metrics.membership_config.membership(), node_id(region));
        if members.voter_ids().any(|voter| voter == id) {
            return Place::Votes { is_settled: members.get_joint_config().len() == 1 };
        }
        if members.get_node(&id).is_some() { Place::Follows } else { Place::Nowhere }
    }

    /// Puts a change of the list into the log. What it says when it is refused, or nobody knows, is for a person.
    pub(super) async fn put(&self, command: Command, asked: Asked<'_>) -> Result<LogIndex, Rejected> {
        let entry = Entry::new(asked.clock.now(), asked.by.clone(), command);
        match self.propose(entry).await {
            Ok(Applied { index, result: Ok(_), .. }) => Ok(index),
            Ok(Applied { result: Err(refused), .. }) => Err(Rejected::Refused(refused.reason)),
            Err(error) => Err(Rejected::Unknown(error.to_string())),
        }
    }

    fn may_replace(&self, region: &Region) -> Result<(), MembersError> {
        let state = self.inner.state.borrow().clone();
        if !state.members.contains_key(region) || !self.inner.config.members.contains_key(region) {
            return Err(MembersError::refused(format!("{region} is not a Region of this fleet")));
        }
        if region == self.me() {
            let why = format!("{region} leads and has its disk: a daemon that leads was not lost");
            return Err(MembersError::refused(why));
        }
        if let Some(run) = state.runs.values().find(|run| !run.state.is_closed()) {
            let why =
                format!("run {} is open: wait for it or abort it, the fleet must be able to agree meanwhile", run.id);
            return Err(MembersError::refused(why));
        }
        Ok(())
    }

    pub(super) fn other_voters(&self, region: &Region) -> Vec<Region> {
        let metrics = self.inner.raft.metrics();
        let metrics = metrics.borrow();
        let members = metrics.membership_config.membership();
        let voters = members.voter_ids().filter_map(|voter| members.get_node(&voter).cloned());
        voters.filter(|voter| voter != region && voter != self.me()).collect()
    }

    /// All others must be there: one that misses the change would go by the old disk, and too few could agree on nothing.
    pub(super) async fn all_answer(&self, others: &[Region]) -> Result<(), MembersError> {
        let asked = others.iter().map(|other| self.inner.network.ask(other, Message::ReadPosition, ANSWERS_WITHIN));
        for (other, answer) in others.iter().zip(join_all(asked).await) {
            if let Err(error) = answer {
                let why =
                    format!("{other} does not answer ({error}): every other daemon must, or too few are left to agree");
                return Err(MembersError::refused(why));
            }
        }
        Ok(())
    }

    /// Whether all of them have the log up to `at` in time.
    pub(super) async fn follow(&self, ids: &[NodeId], at: LogId, within: Duration) -> bool {
        let mut metrics = self.inner.raft.metrics();
        let has = |metrics: &super::leadership::Metrics, id: &NodeId| {
            metrics.replication.as_ref().and_then(|all| *all.get(id)?).is_some_and(|has| has.index >= at.index)
        };
        let followed = metrics.wait_for(|metrics| ids.iter().all(|id| has(metrics, id)));
        matches!(timeout(within, followed).await, Ok(Ok(_)))
    }

    pub(super) async fn change(
        &self,
        change: ChangeMembers<NodeId, Region>,
        retain: bool,
    ) -> Result<LogId, MembersError> {
        match timeout(AGREED_WITHIN, self.inner.raft.change_membership(change, retain)).await {
            Ok(Ok(agreed)) => Ok(agreed.log_id),
            Ok(Err(error)) => Err(MembersError::unfinished(error.to_string())),
            Err(_) => Err(MembersError::unfinished(format!(
                "not agreed on in {AGREED_WITHIN:?}: look, and give the command again"
            ))),
        }
    }
}
