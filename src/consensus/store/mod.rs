//! The tables of a daemon's disk, and transactions over them.
//!
//! Two rules hold here. What this daemon promises to others (votes, log entries, snapshots) is synced before
//! anybody hears of it. What can be derived again from those (the commit position, the outbox) is written
//! without a sync of its own: a crash may take it, and replaying the log brings it back.

mod acquaintances;
mod log;
mod machine;
mod outbox;
mod recovery;

use std::sync::{Arc, PoisonError, RwLock};

use failoverd_domain::fleet::Command;
use failoverd_domain::format::{Format, TooNew, newest_in};
use openraft::{AnyError, EntryPayload, StorageIOError};
use redb::{Database, Durability, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(super) use acquaintances::Acquaintances;
pub(super) use log::LogStore;
pub(super) use machine::Machine;
pub use machine::OnApplied;
pub(super) use outbox::OutboxStore;
pub(super) use recovery::Remains;

use super::clockwork::on_disk;
use super::disk::Opened;
use super::identity::{self, RaiseError};
use super::types::{LogEntry, NodeId};

const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");
const LOG: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("log");
const OUTBOX: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("outbox");

/// What went wrong on the disk. It ends this daemon's consensus.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    #[error("the disk failed")]
    Disk(#[source] Box<redb::Error>),
    #[error("the disk holds something that cannot be read")]
    Content(#[from] serde_json::Error),
    #[error(transparent)]
    TooNew(#[from] TooNew),
    #[error("the disk was closed")]
    Closed,
}

macro_rules! disk_error {
    ($($error:ty),*) => {$(
        impl From<$error> for StoreError {
            fn from(error: $error) -> Self {
                Self::Disk(Box::new(error.into()))
            }
        }
    )*};
}

disk_error!(redb::TransactionError, redb::TableError, redb::StorageError, redb::CommitError, redb::SetDurabilityError);

impl StoreError {
    /// With its cause in one line; openraft passes only that on.
    pub(super) fn in_full(&self) -> String {
        match self {
            Self::Disk(source) => format!("{self}: {source}"),
            Self::Content(source) => format!("{self}: {source}"),
            Self::TooNew(_) | Self::Closed => self.to_string(),
        }
    }

    fn reading(&self) -> StorageIOError<NodeId> {
        StorageIOError::read(AnyError::error(self.in_full()))
    }

    fn writing(&self) -> StorageIOError<NodeId> {
        StorageIOError::write(AnyError::error(self.in_full()))
    }
}

/// A daemon's tables. Clones are the same tables.
#[derive(Clone, Debug)]
pub(super) struct Store {
    /// `None` once it is closed, whoever still holds a clone.
    database: Arc<RwLock<Option<Database>>>,
    /// The newest format that this daemon reads.
    reads: Format,
}

impl Store {
    /// Over an opened disk; makes the tables where they are missing.
    pub(super) fn new(opened: Opened) -> Result<Self, StoreError> {
        let store = Self { database: Arc::new(RwLock::new(Some(opened.database))), reads: opened.reads };
        store.write(Durability::Immediate, |transaction| {
            transaction.open_table(META)?;
            transaction.open_table(LOG)?;
            transaction.open_table(OUTBOX)?;
            Ok(())
        })?;
        Ok(store)
    }

    /// Makes everything written so far durable and gives the disk back.
    pub(super) fn close(&self) -> Result<(), StoreError> {
        let flushed = self.write(Durability::Immediate, |transaction| put(transaction, "closed-in-order", &true));
        let database = self.database.write().unwrap_or_else(PoisonError::into_inner).take();
        on_disk(|| drop(database));
        flushed
    }

    fn write<T>(
        &self,
        durability: Durability,
        work: impl FnOnce(&WriteTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.with(|database| {
            let mut transaction = database.begin_write()?;
            transaction.set_durability(durability)?;
            // Else redb goes back by one transaction where the newest is damaged, as if it had never been promised.
            transaction.set_two_phase_commit(true);
            let done = work(&transaction)?;
            transaction.commit()?;
            Ok(done)
        })
    }

    fn read<T>(&self, work: impl FnOnce(&ReadTransaction) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.with(|database| work(&database.begin_read()?))
    }

    fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, StoreError>) -> Result<T, StoreError> {
        on_disk(|| {
            let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
            work(database.as_ref().ok_or(StoreError::Closed)?)
        })
    }

    fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, StoreError> {
        self.read(|transaction| match transaction.open_table(META)?.get(key)? {
            Some(bytes) => Ok(Some(serde_json::from_slice(bytes.value())?)),
            None => Ok(None),
        })
    }
}

/// Reads what may have been written by a newer build; that it was says more than where reading it failed.
fn read_versioned<T: DeserializeOwned>(bytes: &[u8], reads: Format, what: &str) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|error| {
        let newer = TooNew::check(newest_in(bytes), reads, || what.to_owned());
        newer.err().map_or(StoreError::Content(error), StoreError::TooNew)
    })
}

/// Refuses a log entry that a newer build has written.
pub(super) fn check_entry(entry: &LogEntry, reads: Format) -> Result<(), TooNew> {
    match &entry.payload {
        EntryPayload::Normal(normal) => {
            // Behind a raise nothing is as this daemon knows it: it stops before it, and not in the middle.
            let raised = match normal.command {
                Command::RaiseFormat { format } => format,
                _ => Format::FIRST,
            };
            TooNew::check(normal.format.max(raised), reads, || format!("log entry {}", entry.log_id.index))
        }
        _ => Ok(()),
    }
}

/// Notes on the disk that it holds something of a newer format.
fn raise(transaction: &WriteTransaction, format: Format) -> Result<(), StoreError> {
    if format.is_first() {
        return Ok(());
    }
    identity::raise(transaction, format).map_err(raised)
}

fn raised(error: RaiseError) -> StoreError {
    match error {
        RaiseError::Disk(error) => StoreError::Disk(Box::new(error)),
        RaiseError::Content(error) => StoreError::Content(error),
    }
}

fn put<T: Serialize>(transaction: &WriteTransaction, key: &str, value: &T) -> Result<(), StoreError> {
    let bytes = serde_json::to_vec(value)?;
    transaction.open_table(META)?.insert(key, bytes.as_slice())?;
    Ok(())
}

fn get_in<T: DeserializeOwned>(transaction: &WriteTransaction, key: &str) -> Result<Option<T>, StoreError> {
    match transaction.open_table(META)?.get(key)? {
        Some(bytes) => Ok(Some(serde_json::from_slice(bytes.value())?)),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests;
