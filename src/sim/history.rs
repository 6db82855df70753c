//! A history in memory, for simulation and tests.
//!
//! Behaves as the one in Postgres does, down to what it refuses (one conformance suite runs on both), and can be away.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use failoverd_domain::fleet::{EventHead, HistoryEvent, verify_chain};
use failoverd_domain::ids::{FleetId, RunId};
use failoverd_domain::time::Timestamp;

use crate::ports::{Anchor, History, HistoryError, HistoryFilter, Removed, Retention, Verified};

/// Events removed at a time.
const BATCH: usize = 1_000;

/// The history of one fleet, kept in order.
pub struct MemoryHistory {
    fleet: FleetId,
    shelf: Mutex<Shelf>,
}

#[derive(Default)]
struct Shelf {
    away: bool,
    anchor: Option<Anchor>,
    events: Vec<HistoryEvent>,
}

impl MemoryHistory {
    /// An empty history.
    #[must_use]
    pub fn new(fleet: FleetId) -> Self {
        Self { fleet, shelf: Mutex::default() }
    }

    /// Makes every call fail as a database does that is away, or lets them pass again. What is stored stays.
    pub fn set_away(&self, away: bool) {
        self.locked().away = away;
    }

    /// Everything stored, oldest first, even while away: what an examiner sees.
    #[must_use]
    pub fn events(&self) -> Vec<HistoryEvent> {
        self.locked().events.clone()
    }

    fn locked(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn present(&self) -> Result<MutexGuard<'_, Shelf>, HistoryError> {
        let shelf = self.locked();
        if shelf.away { Err(HistoryError::Away("switched off".to_owned())) } else { Ok(shelf) }
    }
}

impl Shelf {
    fn head(&self) -> EventHead {
        let newest = self.events.last();
        let begin = || Verified::begin(self.anchor.clone()).head;
        newest.map_or_else(begin, |event| EventHead { seq: event.seq, hash: event.hash.clone() })
    }

    /// The stored event of that number.
    fn at(&self, seq: u64) -> Option<&HistoryEvent> {
        let first = self.events.first()?.seq;
        self.events.get(usize::try_from(seq.checked_sub(first)?).ok()?)
    }
}

#[async_trait]
impl History for MemoryHistory {
    async fn head(&self) -> Result<EventHead, HistoryError> {
        Ok(self.present()?.head())
    }

    async fn append(&self, events: &[HistoryEvent]) -> Result<(), HistoryError> {
        let mut shelf = self.present()?;
        if let Some(event) = events.iter().find(|event| event.fleet != self.fleet) {
            return Err(HistoryError::Contradiction(format!("event {} is of fleet {}", event.seq, event.fleet)));
        }
        let head = shelf.head();
        let (known, fresh): (Vec<_>, Vec<_>) = events.iter().cloned().partition(|event| event.seq <= head.seq);
        let removed = shelf.anchor.as_ref().map_or(0, |anchor| anchor.seq);
        let mut known = known.iter().filter(|event| event.seq > removed);
        if let Some(fork) = known.find(|event| shelf.at(event.seq).is_none_or(|there| there.hash != event.hash)) {
            return Err(HistoryError::Contradiction(format!("event {} is stored with another hash", fork.seq)));
        }
        verify_chain(&head, &fresh).map_err(HistoryError::Contradiction)?;
        shelf.events.extend(fresh);
        Ok(())
    }

    async fn query(&self, filter: &HistoryFilter) -> Result<Vec<HistoryEvent>, HistoryError> {
        let shelf = self.present()?;
        let newest_first = shelf.events.iter().rev().filter(|event| matches(filter, event));
        Ok(newest_first.take(filter.limit as usize).cloned().collect())
    }

    async fn range(&self, from_seq: u64, limit: u32) -> Result<Vec<HistoryEvent>, HistoryError> {
        let shelf = self.present()?;
        Ok(shelf.events.iter().filter(|event| event.seq >= from_seq).take(limit as usize).cloned().collect())
    }

    async fn verify(&self) -> Result<Verified, HistoryError> {
        let shelf = self.present()?;
        let mut walked = Verified::begin(shelf.anchor.clone());
        shelf.events.iter().try_for_each(|event| walked.walk(event))?;
        Ok(walked)
    }
}

#[async_trait]
impl Retention for MemoryHistory {
    async fn remove_oldest(&self, before: Timestamp, open: &[RunId]) -> Result<Removed, HistoryError> {
        let mut shelf = self.present()?;
        let newest = shelf.head().seq;
        let may_go = |event: &&HistoryEvent| {
            event.seq < newest && event.at < before && event.run.as_ref().is_none_or(|run| !open.contains(run))
        };
        let count = shelf.events.iter().take_while(may_go).count().min(BATCH);
        let Some(last) = shelf.events.drain(..count).next_back() else { return Ok(Removed::default()) };
        shelf.anchor = Some(Anchor { seq: last.seq, hash: last.hash, removed_at: before });
        Ok(Removed { events: count as u64, more: count == BATCH })
    }

    async fn newest_at(&self) -> Result<Option<Timestamp>, HistoryError> {
        Ok(self.present()?.events.last().map(|event| event.at))
    }
}

fn matches(filter: &HistoryFilter, event: &HistoryEvent) -> bool {
    filter.service.as_ref().is_none_or(|service| event.service.as_ref() == Some(service))
        && filter.run.as_ref().is_none_or(|run| event.run.as_ref() == Some(run))
        && filter.drill.as_ref().is_none_or(|drill| event.drill.as_ref() == Some(drill))
        && filter.since.is_none_or(|since| event.at >= since)
        && filter.kind.as_ref().is_none_or(|kind| event.kind.word() == *kind)
}
