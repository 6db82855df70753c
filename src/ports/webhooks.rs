//! Those who are told of news outside the fleet.

use async_trait::async_trait;
use failoverd_domain::fleet::{EventKind, HistoryEvent};
use failoverd_domain::time::Timestamp;

/// Somebody who is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// Its name: how far it was told is kept under it.
    pub name: String,
    /// Of what it is told; empty: of everything that webhooks tell.
    pub events: Vec<EventKind>,
}

impl Hook {
    /// Whether it is told of events of that kind.
    #[must_use]
    pub fn wants(&self, kind: EventKind) -> bool {
        self.events.is_empty() || self.events.contains(&kind)
    }
}

/// Webhooks of this daemon's configuration.
#[async_trait]
pub trait Webhooks: Send + Sync {
    /// Every one of them.
    fn hooks(&self) -> Vec<Hook>;
    /// Tells one of them of one event, once, within seconds. `Ok`: it said that it has it.
    async fn tell(&self, hook: &str, event: &HistoryEvent, now: Timestamp) -> Result<(), Undelivered>;
}

/// A webhook did not take an event; it may have it all the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Undelivered(pub String);
