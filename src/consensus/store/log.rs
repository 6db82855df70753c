//! The log and the vote: what this daemon has promised to others. Synced before anybody hears of it.

use std::fmt::Debug;
use std::ops::RangeBounds;

use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{EntryPayload, LogState, OptionalSend, RaftLogReader};
use redb::{Durability, ReadableTable};

use super::{LOG, Store, StoreError, check_entry, put, raise, read_versioned};
use crate::consensus::types::{LogEntry, LogId, NodeId, StorageError, TypeConfig, Vote};

pub(super) const VOTE: &str = "vote";
pub(super) const COMMITTED: &str = "committed";
pub(super) const PURGED: &str = "purged";

/// Entries are sent in messages of about this size, so that a message stays well below what a transport takes.
const BATCH_BYTES: usize = 512 * 1024;

/// The log and the vote.
#[derive(Clone, Debug)]
pub(in crate::consensus) struct LogStore {
    store: Store,
    me: NodeId,
}

impl LogStore {
    pub(in crate::consensus) fn new(store: Store, me: NodeId) -> Self {
        Self { store, me }
    }

    pub(super) fn entries(
        &self,
        range: impl RangeBounds<u64>,
        at_most_bytes: usize,
    ) -> Result<Vec<LogEntry>, StoreError> {
        self.store.read(|transaction| {
            let table = transaction.open_table(LOG)?;
            let mut entries = Vec::new();
            let mut bytes = 0;
            for row in table.range::<u64>(range)? {
                let (_, value) = row?;
                bytes += value.value().len();
                if bytes > at_most_bytes && !entries.is_empty() {
                    break;
                }
                let entry = read_versioned(value.value(), self.store.reads, "a log entry")?;
                check_entry(&entry, self.store.reads)?;
                entries.push(entry);
            }
            Ok(entries)
        })
    }

    pub(super) fn last(&self) -> Result<Option<LogId>, StoreError> {
        self.store.read(|transaction| match transaction.open_table(LOG)?.last()? {
            Some((_, value)) => {
                let last: LogEntry = read_versioned(value.value(), self.store.reads, "the newest log entry")?;
                Ok(Some(last.log_id))
            }
            None => Ok(None),
        })
    }

    pub(super) fn append_synced(&self, entries: impl IntoIterator<Item = LogEntry>) -> Result<(), StoreError> {
        self.store.write(Durability::Immediate, |transaction| {
            let mut table = transaction.open_table(LOG)?;
            for entry in entries {
                if let EntryPayload::Normal(normal) = &entry.payload {
                    raise(transaction, normal.format)?;
                }
                table.insert(entry.log_id.index, serde_json::to_vec(&entry)?.as_slice())?;
            }
            Ok(())
        })
    }
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<LogEntry>, StorageError> {
        Ok(self.entries(range, usize::MAX).map_err(|error| error.reading())?)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<LogEntry>, StorageError> {
        Ok(self.entries(start..end, BATCH_BYTES).map_err(|error| error.reading())?)
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, StorageError> {
        let last_purged_log_id = self.store.get(PURGED).map_err(|error| error.reading())?;
        let last_log_id = self.last().map_err(|error| error.reading())?.or(last_purged_log_id);
        Ok(LogState { last_purged_log_id, last_log_id })
    }

    async fn get_log_reader(&mut self) -> Self::LogReader {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        let saved = self.store.write(Durability::Immediate, |transaction| put(transaction, VOTE, vote));
        Ok(saved.map_err(|error| error.writing())?)
    }

    /// A leader that restarts must be elected anew. openraft would let it lead on in its old term, with reads that
    /// count as linearizable as of its old first entry; but the newest commit position may not have been on the
    /// disk, so it would confirm its leadership without knowing what it committed itself.
    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        let vote: Option<Vote> = self.store.get(VOTE).map_err(|error| error.reading())?;
        Ok(vote.map(|vote| Vote { committed: vote.committed && vote.leader_id.node_id != self.me, ..vote }))
    }

    /// Not synced: after a crash an older position is true as well, and the leader tells the newer one.
    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        let saved = self.store.write(Durability::None, |transaction| put(transaction, COMMITTED, &committed));
        Ok(saved.map_err(|error| error.writing())?)
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        Ok(self.store.get::<Option<LogId>>(COMMITTED).map_err(|error| error.reading())?.flatten())
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed<TypeConfig>) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = LogEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        self.append_synced(entries).map_err(|error| error.writing())?;
        callback.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError> {
        let truncated = self.store.write(Durability::Immediate, |transaction| {
            Ok(transaction.open_table(LOG)?.retain_in(log_id.index.., |_, _| false)?)
        });
        Ok(truncated.map_err(|error| error.writing())?)
    }

    /// Not synced: the snapshot that covers these entries is, and entries that come back do no harm.
    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError> {
        let purged = self.store.write(Durability::None, |transaction| {
            put(transaction, PURGED, &log_id)?;
            Ok(transaction.open_table(LOG)?.retain_in(..=log_id.index, |_, _| false)?)
        });
        Ok(purged.map_err(|error| error.writing())?)
    }
}
