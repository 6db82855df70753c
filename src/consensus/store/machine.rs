//! The replicated state: committed entries go in, `FleetState::apply` decides, everybody who watches sees the result.
//!
//! The state itself lives in memory. A restart takes the newest snapshot and replays the log behind it, which makes
//! the same events again; the outbox passes over those it has.

use std::io::Cursor;
use std::sync::Arc;

use failoverd_domain::fleet::{Applied, Entry, FleetState, HistoryEvent};
use failoverd_domain::format::{Format, TooNew, at_the_head_of};
use failoverd_domain::ids::{LogIndex, Region};
use openraft::storage::RaftStateMachine;
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder};
use redb::Durability;
use tokio::sync::watch;

use super::{Acquaintances, LogStore, OutboxStore, Store, StoreError, get_in, put, raise, read_versioned};
use crate::consensus::types::{LogEntry, LogId, Membership, NodeId, Snapshot, SnapshotMeta, StorageError, TypeConfig};

pub(super) const SNAPSHOT_META: &str = "snapshot-meta";
pub(super) const SNAPSHOT_STATE: &str = "snapshot-state";

/// The log is read in pieces of about this size where all of it is.
const READ_BYTES: usize = 4 * 1024 * 1024;

/// Called after every entry, with the states before and after it. Replays at a start are included.
pub type OnApplied = Arc<dyn Fn(&FleetState, &Entry, &Applied, &FleetState) + Send + Sync>;

/// The replicated state.
pub(in crate::consensus) struct Machine {
    store: Store,
    outbox: OutboxStore,
    state: Arc<FleetState>,
    last_applied: Option<LogId>,
    membership: Membership,
    published: watch::Sender<Arc<FleetState>>,
    on_applied: Option<OnApplied>,
    /// Of whoever is no member any longer, the disk is forgotten.
    acquaintances: Option<Acquaintances>,
}

impl Machine {
    /// From the newest snapshot on the disk, or empty.
    pub(in crate::consensus) fn load(
        store: Store,
        published: watch::Sender<Arc<FleetState>>,
        on_applied: Option<OnApplied>,
    ) -> Result<Self, StoreError> {
        let outbox = OutboxStore::new(store.clone());
        let mut machine = Self {
            store,
            outbox,
            state: Arc::default(),
            last_applied: None,
            membership: Membership::default(),
            published,
            on_applied,
            acquaintances: None,
        };
        if let Some((meta, state)) = load_snapshot(&machine.store)? {
            let state = readable(&state, machine.store.reads)?;
            machine.replace(&meta, state);
        }
        Ok(machine)
    }

    /// Lets the disks of those be forgotten who are no members any longer.
    pub(in crate::consensus) fn forgetting(self, acquaintances: Acquaintances) -> Self {
        Self { acquaintances: Some(acquaintances), ..self }
    }

    fn forget_strangers(&self, at: LogId, members: &openraft::Membership<NodeId, Region>) -> Result<(), StoreError> {
        match &self.acquaintances {
            Some(acquaintances) => {
                acquaintances.keep_only(at.index, members.nodes().map(|(_, region)| region.clone()).collect())
            }
            None => Ok(()),
        }
    }

    fn replace(&mut self, meta: &SnapshotMeta, state: FleetState) {
        self.last_applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        self.state = Arc::new(state);
        self.publish();
    }

    /// The fleet may have raised its format: the disk says so from then on, and who does not read it stops here, before
    /// it makes something else of what follows than the others do.
    fn follow(&self, before: Format) -> Result<(), StoreError> {
        let format = self.state.format;
        if format == before {
            return Ok(());
        }
        self.store.write(Durability::Immediate, |transaction| raise(transaction, format))?;
        Ok(TooNew::check(format, self.store.reads, || "what the fleet writes".to_owned())?)
    }

    fn publish(&self) {
        self.published.send_replace(self.state.clone());
    }

    fn apply_one(&mut self, log_entry: LogEntry) -> Applied {
        let index = LogIndex(log_entry.log_id.index);
        self.last_applied = Some(log_entry.log_id);
        let before = self.state.clone();
        let state = Arc::make_mut(&mut self.state);
        let applied = match log_entry.payload {
            EntryPayload::Normal(entry) => {
                let applied = state.apply(index, &entry);
                if let Some(on_applied) = &self.on_applied {
                    on_applied(&before, &entry, &applied, state);
                }
                applied
            }
            EntryPayload::Blank => nothing_at(index),
            EntryPayload::Membership(membership) => {
                self.membership = Membership::new(Some(log_entry.log_id), membership);
                nothing_at(index)
            }
        };
        // Entries of the log itself (a new leader's first, a change of members) move the position as well.
        state.applied = index;
        applied
    }
}

/// A state with its position and its members, and events.
pub(super) type Whole = (FleetState, Option<LogId>, Membership, Vec<HistoryEvent>);

impl Machine {
    /// Applies all that a log holds behind what is applied already; nothing of it is written.
    pub(super) fn with_whole_log(mut self, log: &LogStore) -> Result<Whole, StoreError> {
        let mut events = Vec::new();
        loop {
            let next = self.last_applied.map_or(0, |last| last.index + 1);
            let entries = log.entries(next.., READ_BYTES)?;
            let Some(first) = entries.first() else { break };
            if first.log_id.index != next {
                let gap = format!("entry {next} is missing, {} is the next", first.log_id.index);
                return Err(StoreError::Content(serde::de::Error::custom(gap)));
            }
            for entry in entries {
                events.extend(self.apply_one(entry).events);
            }
        }
        Ok((Arc::unwrap_or_clone(self.state), self.last_applied, self.membership, events))
    }
}

fn nothing_at(index: LogIndex) -> Applied {
    Applied { index, events: Vec::new(), result: Ok(None) }
}

fn load_snapshot(store: &Store) -> Result<Option<(SnapshotMeta, String)>, StoreError> {
    let meta = store.get::<SnapshotMeta>(SNAPSHOT_META)?;
    let state = store.get::<String>(SNAPSHOT_STATE)?;
    Ok(meta.zip(state))
}

fn readable(state: &str, reads: Format) -> Result<FleetState, StoreError> {
    let read: FleetState = read_versioned(state.as_bytes(), reads, "a snapshot")?;
    TooNew::check(read.format, reads, || "a snapshot".to_owned())?;
    Ok(read)
}

/// Synced; whatever the outbox holds becomes durable with it, before the log may be cut. An older one is not kept.
fn save_snapshot(store: &Store, meta: &SnapshotMeta, state: &str) -> Result<(), StoreError> {
    store.write(Durability::Immediate, |transaction| {
        let kept = get_in::<SnapshotMeta>(transaction, SNAPSHOT_META)?;
        if kept.is_some_and(|kept| kept.last_log_id > meta.last_log_id) {
            return Ok(());
        }
        raise(transaction, at_the_head_of(state.as_bytes()))?;
        put(transaction, SNAPSHOT_META, meta)?;
        put(transaction, SNAPSHOT_STATE, &state)
    })
}

/// Freezes the state of one moment.
pub(in crate::consensus) struct Freezer {
    store: Store,
    state: Arc<FleetState>,
    meta: SnapshotMeta,
}

impl Freezer {
    fn freeze(&self) -> Result<Snapshot, StoreError> {
        let state = serde_json::to_string(&*self.state)?;
        save_snapshot(&self.store, &self.meta, &state)?;
        Ok(thaw(self.meta.clone(), state))
    }
}

fn thaw(meta: SnapshotMeta, state: String) -> Snapshot {
    Snapshot { meta, snapshot: Box::new(Cursor::new(state.into_bytes())) }
}

impl RaftSnapshotBuilder<TypeConfig> for Freezer {
    async fn build_snapshot(&mut self) -> Result<Snapshot, StorageError> {
        Ok(self.freeze().map_err(|error| error.writing())?)
    }
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotBuilder = Freezer;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, Membership), StorageError> {
        Ok((self.last_applied, self.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Applied>, StorageError>
    where
        I: IntoIterator<Item = LogEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let before = self.state.format;
        let mut applied = Vec::new();
        for entry in entries {
            if let EntryPayload::Membership(members) = &entry.payload {
                self.forget_strangers(entry.log_id, members).map_err(|error| error.writing())?;
            }
            applied.push(self.apply_one(entry));
        }
        self.follow(before).map_err(|error| error.writing())?;
        let events: Vec<_> = applied.iter().flat_map(|applied| applied.events.iter().cloned()).collect();
        // First the events, then the news: nobody may act on a decision whose record could be lost.
        self.outbox.add(&events).map_err(|error| error.writing())?;
        self.publish();
        Ok(applied)
    }

    async fn get_snapshot_builder(&mut self) -> Self::SnapshotBuilder {
        let snapshot_id = self.last_applied.map_or_else(|| "empty".to_owned(), |last| last.to_string());
        let meta =
            SnapshotMeta { last_log_id: self.last_applied, last_membership: self.membership.clone(), snapshot_id };
        Freezer { store: self.store.clone(), state: self.state.clone(), meta }
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, StorageError> {
        Ok(Box::default())
    }

    /// Leaves a hole in the outbox: the events of the entries that were skipped are with the peers.
    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError> {
        let parsed = String::from_utf8(snapshot.into_inner())
            .map_err(|error| StoreError::Content(serde::de::Error::custom(error.to_string())))
            .and_then(|state| Ok((readable(&state, self.store.reads)?, state)));
        let (state, text) = parsed.map_err(|error| error.reading())?;
        save_snapshot(&self.store, meta, &text).map_err(|error| error.writing())?;
        if let Some(last) = meta.last_log_id {
            let members = meta.last_membership.membership();
            self.forget_strangers(last, members).map_err(|error| error.writing())?;
        }
        self.replace(meta, state);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, StorageError> {
        let snapshot = load_snapshot(&self.store).map_err(|error| error.reading())?;
        Ok(snapshot.map(|(meta, state)| thaw(meta, state)))
    }
}
