//! What no honest daemon says. A peer with a valid certificate can still be wrong, or somebody else's by now: what makes no
//! sense is dropped before openraft sees it, which trusts its peers and counts on.
//!
//! This is no defence against a daemon that lies consistently (raft has none), but against one that speaks in another's
//! name, contradicts what is committed, or says numbers that cannot be.

use std::ops::RangeInclusive;

use failoverd_domain::ids::Region;
use openraft::EntryPayload;
use openraft::raft::{AppendEntriesRequest, InstallSnapshotRequest, VoteRequest};

use super::message::{Envelope, Message};
use super::types::{LogId, NodeId, TypeConfig, Vote, node_id};

/// No term and no position is that far ahead of what is known here, however long a daemon was away: billions of elections
/// and entries. Beyond it lie sums that overflow.
const FAR: u64 = 1 << 32;

/// Whether nothing can have come as far as `number` since `known`.
pub(super) const fn is_out_of_reach(number: u64, known: u64) -> bool {
    number > known.saturating_add(FAR)
}

/// What this daemon knows for sure.
pub(super) struct Known {
    pub(super) term: u64,
    pub(super) last_log: Option<u64>,
    pub(super) applied: Option<LogId>,
}

/// Refuses what makes no sense, and says why.
pub(super) fn check(envelope: &Envelope, known: &Known) -> Result<(), String> {
    let from = &envelope.from;
    match &envelope.message {
        Message::Append(request) => known.check_append(from, request),
        Message::Vote(request) => known.check_vote(from, request),
        Message::InstallSnapshot(request) => known.check_snapshot(from, request),
        Message::CallElection | Message::ReadPosition | Message::Reach(_) | Message::Introduce => Ok(()),
    }
}

impl Known {
    /// Whoever leads or stands speaks for itself.
    fn check_speaker(&self, from: &Region, vote: &Vote) -> Result<(), String> {
        if vote.leader_id.node_id != node_id(from) {
            return Err(format!("{from} speaks for another daemon (number {})", vote.leader_id.node_id));
        }
        if is_out_of_reach(vote.leader_id.term, self.term) {
            return Err(format!("term {} cannot be, {} is known here", vote.leader_id.term, self.term));
        }
        Ok(())
    }

    /// Of a leader of before, who does not know it yet: its log may end otherwise than what was agreed since. openraft takes
    /// nothing from it and tells it.
    fn is_over(&self, vote: &Vote) -> bool {
        vote.leader_id.term < self.term
    }

    fn check_position(&self, position: Option<&LogId>, vote: &Vote) -> Result<(), String> {
        let Some(position) = position else { return Ok(()) };
        if is_out_of_reach(position.index, self.last_log.unwrap_or(0)) {
            return Err(format!("position {} cannot be", position.index));
        }
        if position.leader_id.term > vote.leader_id.term {
            return Err(format!("position {} is of a later term than its sender's", position.index));
        }
        Ok(())
    }

    /// A log id of the sender's log, against what is applied here: that is committed, and everybody's.
    fn check_agreed(&self, position: &LogId) -> Result<(), String> {
        let Some(applied) = &self.applied else { return Ok(()) };
        let (term, agreed) = (position.leader_id.term, applied.leader_id.term);
        let fits = match position.index.cmp(&applied.index) {
            std::cmp::Ordering::Less => term <= agreed,
            std::cmp::Ordering::Equal => position == applied,
            std::cmp::Ordering::Greater => term >= agreed,
        };
        if fits { Ok(()) } else { Err(format!("entry {} contradicts what is committed", position.index)) }
    }

    fn check_vote(&self, from: &Region, request: &VoteRequest<NodeId>) -> Result<(), String> {
        self.check_speaker(from, &request.vote)?;
        self.check_position(request.last_log_id.as_ref(), &request.vote)
    }

    fn check_append(&self, from: &Region, request: &AppendEntriesRequest<TypeConfig>) -> Result<(), String> {
        self.check_speaker(from, &request.vote)?;
        if self.is_over(&request.vote) {
            return Ok(());
        }
        self.check_position(request.leader_commit.as_ref(), &request.vote)?;
        self.check_position(request.prev_log_id.as_ref(), &request.vote)?;
        let mut before = request.prev_log_id;
        if let Some(prev) = &before {
            self.check_agreed(prev)?;
        }
        for entry in &request.entries {
            let next = entry.log_id;
            self.check_position(Some(&next), &request.vote)?;
            self.check_agreed(&next)?;
            let follows = match &before {
                Some(before) => next.index == before.index + 1 && next.leader_id.term >= before.leader_id.term,
                None => next.index == 0,
            };
            if !follows {
                return Err(format!("entry {} does not follow what stands before it", next.index));
            }
            if let EntryPayload::Membership(membership) = &entry.payload {
                check_members(membership)?;
            }
            before = Some(next);
        }
        Ok(())
    }

    fn check_snapshot(&self, from: &Region, request: &InstallSnapshotRequest<TypeConfig>) -> Result<(), String> {
        self.check_speaker(from, &request.vote)?;
        if self.is_over(&request.vote) {
            return Ok(());
        }
        self.check_position(request.meta.last_log_id.as_ref(), &request.vote)?;
        if let Some(last) = &request.meta.last_log_id {
            self.check_agreed(last)?;
        }
        if !SNAPSHOT_BYTES.contains(&request.offset.saturating_add(request.data.len() as u64)) {
            return Err("a snapshot of that size cannot be".to_owned());
        }
        check_members(request.meta.last_membership.membership())
    }
}

/// More than a fleet can hold, and less than would fill the memory.
const SNAPSHOT_BYTES: RangeInclusive<u64> = 0..=512 * 1024 * 1024;

fn check_members(membership: &openraft::Membership<NodeId, Region>) -> Result<(), String> {
    if let Some((_, stranger)) = membership.nodes().find(|(id, region)| **id != node_id(region)) {
        return Err(format!("members with a wrong number: {stranger}"));
    }
    let named = |voter: &NodeId| membership.get_node(voter).is_some();
    if !membership.voter_ids().all(|voter| named(&voter)) || membership.voter_ids().next().is_none() {
        return Err("members without names, or none at all".to_owned());
    }
    Ok(())
}
