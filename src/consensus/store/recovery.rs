//! The end of one log and the beginning of another, on the disk of the one daemon that is left.
//!
//! Everything in its log counts, not only what it knows to be committed: whatever a majority had agreed and this
//! daemon has is among it, and an entry that nobody had agreed yet could have been agreed later all the same.

use std::collections::BTreeMap;

use failoverd_domain::fleet::{FleetState, HistoryEvent};
use failoverd_domain::format::TooNew;
use failoverd_domain::ids::{Generation, LogIndex, Region};
use openraft::CommittedLeaderId;
use redb::Durability;

use super::acquaintances::{MET, MetDisks};
use super::log::{COMMITTED, PURGED, VOTE};
use super::machine::{SNAPSHOT_META, SNAPSHOT_STATE};
use super::{LOG, LogStore, Machine, OUTBOX, Store, StoreError, put, raise, raised};
use crate::consensus::identity::{self, Identity};
use crate::consensus::types::{LogId, Membership, NodeId, SnapshotMeta, Vote, node_id};

/// Everything that a disk knows.
pub(in crate::consensus) struct Remains {
    /// With every entry of its log applied.
    pub(in crate::consensus) state: FleetState,
    pub(in crate::consensus) last: Option<LogId>,
    pub(in crate::consensus) committed: Option<LogId>,
    pub(in crate::consensus) membership: Membership,
    /// The newest term that was heard of.
    pub(in crate::consensus) term: u64,
    /// Of entries that were never applied here.
    events: Vec<HistoryEvent>,
}

impl Remains {
    /// Reads them, and changes nothing.
    pub(in crate::consensus) fn read(store: &Store, me: NodeId, machine: Machine) -> Result<Self, StoreError> {
        let log = LogStore::new(store.clone(), me);
        let (state, last, membership, events) = machine.with_whole_log(&log)?;
        TooNew::check(state.format, store.reads, || "what the fleet writes".to_owned())?;
        let vote: Option<Vote> = store.get(VOTE)?;
        let of_log = last.map_or(0, |last| last.leader_id.term);
        let term = vote.map_or(0, |vote| vote.leader_id.term).max(of_log);
        let committed = store.get::<Option<LogId>>(COMMITTED)?.flatten();
        Ok(Self { state, last, committed, membership, term, events })
    }

    /// Of a disk that is new, before a log that begins at `beginning`.
    pub(in crate::consensus) fn nothing_before(beginning: LogIndex, term: u64, me: &Region) -> Self {
        let before = LogId::new(CommittedLeaderId::new(term, node_id(me)), beginning.0.saturating_sub(1));
        Self {
            state: FleetState::default(),
            last: Some(before),
            committed: None,
            membership: Membership::default(),
            term,
            events: Vec::new(),
        }
    }

    /// The position of the recovery itself.
    pub(in crate::consensus) fn beginning(&self, me: NodeId) -> LogId {
        let leader = CommittedLeaderId::new(self.term + 1, me);
        LogId::new(leader, self.last.map_or(0, |last| last.index + 1))
    }

    /// Begins a fleet of one with `state`, which stands at [`Self::beginning`] and was made by `events`. One transaction:
    /// afterwards all of it is so, or nothing.
    pub(in crate::consensus) fn begin_anew(
        self,
        store: &Store,
        identity: &Identity,
        state: &FleetState,
        events: &[HistoryEvent],
    ) -> Result<(), StoreError> {
        let me = node_id(&identity.region);
        let beginning = self.beginning(me);
        let alone = openraft::Membership::new(vec![[me].into()], BTreeMap::from([(me, identity.region.clone())]));
        let meta = SnapshotMeta {
            last_log_id: Some(beginning),
            last_membership: Membership::new(Some(beginning), alone),
            snapshot_id: beginning.to_string(),
        };
        store.write(Durability::Immediate, |transaction| {
            identity::renew(transaction, identity).map_err(raised)?;
            raise(transaction, state.format)?;
            transaction.open_table(LOG)?.retain(|_, _| false)?;
            put(transaction, SNAPSHOT_META, &meta)?;
            put(transaction, SNAPSHOT_STATE, &serde_json::to_string(state)?)?;
            put(transaction, PURGED, &beginning)?;
            put(transaction, COMMITTED, &Some(beginning))?;
            put(transaction, VOTE, &Vote::new(beginning.leader_id.term, me))?;
            // Whoever comes now comes with a new disk: an old one is of an older generation.
            put(transaction, MET, &MetDisks::new())?;
            let mut outbox = transaction.open_table(OUTBOX)?;
            let confirmed = super::outbox::confirmed_in(transaction)?;
            for event in self.events.iter().chain(events).filter(|event| event.seq > confirmed) {
                outbox.insert(event.seq, serde_json::to_vec(event)?.as_slice())?;
            }
            Ok(())
        })
    }
}

impl Store {
    /// The fleet was recovered without this daemon: its disk says so from now on.
    pub(in crate::consensus) fn supersede(&self, by: Generation) -> Result<(), StoreError> {
        self.write(Durability::Immediate, |transaction| identity::supersede(transaction, by).map_err(raised))
    }

    /// The Region was removed from the fleet, by this entry: nothing may start on this disk any more.
    pub(in crate::consensus) fn dismiss(&self, at: LogIndex) -> Result<(), StoreError> {
        self.write(Durability::Immediate, |transaction| identity::dismiss(transaction, at).map_err(raised))
    }
}
