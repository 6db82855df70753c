//! The history of a daemon that keeps none: a witness without a database. It says so instead of looking empty.

use async_trait::async_trait;
use failoverd_domain::fleet::{EventHead, HistoryEvent};

use crate::ports::{History, HistoryError, HistoryFilter};

/// No history here.
pub struct NoHistory;

fn nothing<T>() -> Result<T, HistoryError> {
    Err(HistoryError::Away("this daemon keeps no history (it has no database): ask another one".to_owned()))
}

#[async_trait]
impl History for NoHistory {
    async fn head(&self) -> Result<EventHead, HistoryError> {
        nothing()
    }

    async fn append(&self, _events: &[HistoryEvent]) -> Result<(), HistoryError> {
        nothing()
    }

    async fn query(&self, _filter: &HistoryFilter) -> Result<Vec<HistoryEvent>, HistoryError> {
        nothing()
    }

    async fn range(&self, _from_seq: u64, _limit: u32) -> Result<Vec<HistoryEvent>, HistoryError> {
        nothing()
    }
}
