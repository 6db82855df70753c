//! The outbox: events that were made here and that this Region's history has not confirmed.
//!
//! Compacting the log never touches it. An event leaves by being confirmed, and comes back neither by replay nor
//! by a restart once its confirmation was durable; before that it may come back once, and the history passes
//! over what it already has.

use async_trait::async_trait;
use failoverd_domain::fleet::HistoryEvent;
use failoverd_domain::sabotage::{self, Sabotage};
use redb::{Durability, WriteTransaction};

use super::{OUTBOX, Store, StoreError, get_in, put};
use crate::ports::Outbox;

const CONFIRMED: &str = "confirmed";

/// Events that the history has not confirmed.
#[derive(Clone, Debug)]
pub(in crate::consensus) struct OutboxStore {
    store: Store,
}

impl OutboxStore {
    pub(in crate::consensus) fn new(store: Store) -> Self {
        Self { store }
    }

    /// Adds events; those that are confirmed, or here already, change nothing.
    pub(super) fn add(&self, events: &[HistoryEvent]) -> Result<(), StoreError> {
        if events.is_empty() || sabotage::is(Sabotage::DropOutbox) {
            return Ok(());
        }
        self.store.write(Durability::None, |transaction| {
            let confirmed = confirmed_in(transaction)?;
            let mut table = transaction.open_table(OUTBOX)?;
            for event in events.iter().filter(|event| event.seq > confirmed) {
                table.insert(event.seq, serde_json::to_vec(event)?.as_slice())?;
            }
            Ok(())
        })
    }

    fn read_from(&self, from_seq: u64, limit: usize) -> Result<Vec<HistoryEvent>, StoreError> {
        self.store.read(|transaction| {
            let table = transaction.open_table(OUTBOX)?;
            let rows = table.range(from_seq..)?.take(limit);
            rows.map(|row| Ok(serde_json::from_slice(row?.1.value())?)).collect()
        })
    }

    fn forget_through(&self, seq: u64) -> Result<(), StoreError> {
        self.store.write(Durability::None, |transaction| {
            if get_in::<u64>(transaction, CONFIRMED)?.is_some_and(|confirmed| confirmed >= seq) {
                return Ok(());
            }
            put(transaction, CONFIRMED, &seq)?;
            Ok(transaction.open_table(OUTBOX)?.retain_in(..=seq, |_, _| false)?)
        })
    }
}

/// Up to which event the history has confirmed.
pub(super) fn confirmed_in(transaction: &WriteTransaction) -> Result<u64, StoreError> {
    Ok(get_in::<u64>(transaction, CONFIRMED)?.unwrap_or(0))
}

#[async_trait]
impl Outbox for OutboxStore {
    async fn pending(&self, from_seq: u64, limit: usize) -> Vec<HistoryEvent> {
        self.read_from(from_seq, limit).unwrap_or_else(|error| {
            tracing::error!(error = error.in_full(), "the outbox cannot be read");
            Vec::new()
        })
    }

    async fn confirm(&self, seq: u64) {
        if let Err(error) = self.forget_through(seq) {
            tracing::error!(error = error.in_full(), seq, "the outbox cannot be written");
        }
    }
}
