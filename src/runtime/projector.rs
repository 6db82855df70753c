//! Writes applied entries' events to this Region's history, once each, in order.
//!
//! The history decides where to go on: whatever this process remembers, the database's newest event is the truth.
//! When the database is away failover does not wait; events stay in the outbox.

use std::sync::Arc;
use std::time::Duration;

use failoverd_domain::fleet::{EventHead, FleetState, HistoryEvent};
use failoverd_domain::ids::Region;
use tokio::sync::watch;

use crate::ports::{History, HistoryError, Outbox, Peers, tells_our_past};
use crate::telemetry::Meters;

/// Events written at once.
const BATCH: usize = 500;
/// After a failure.
const PAUSE: Duration = Duration::from_secs(2);

/// Writes history.
pub(super) struct Projector {
    pub(super) me: Region,
    pub(super) history: Arc<dyn History>,
    pub(super) outbox: Arc<dyn Outbox>,
    pub(super) peers: Arc<dyn Peers>,
    pub(super) state: watch::Receiver<Arc<FleetState>>,
    pub(super) meters: Arc<Meters>,
}

impl Projector {
    /// Runs for ever.
    pub(super) async fn run(mut self) {
        let mut was_away = false;
        loop {
            match self.catch_up().await {
                Ok(()) => {
                    if std::mem::take(&mut was_away) {
                        tracing::info!("history has caught up");
                    }
                    if self.state.changed().await.is_err() {
                        std::future::pending::<()>().await;
                    }
                }
                Err(HistoryError::Away(error)) => {
                    self.meters.history_away();
                    if !std::mem::replace(&mut was_away, true) {
                        tracing::warn!(error, "history database is away; events wait in the outbox");
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                Err(HistoryError::Contradiction(error)) => {
                    self.meters.history_contradicted();
                    tracing::error!(
                        error,
                        "history contradicts the fleet's log; nothing is written until a person looks"
                    );
                    tokio::time::sleep(PAUSE * 15).await;
                }
            }
        }
    }

    /// Writes until the history holds every event that the fleet has made.
    async fn catch_up(&mut self) -> Result<(), HistoryError> {
        loop {
            let agreed = self.state.borrow_and_update().head.clone();
            let (stored, newest) = (self.history.head().await?, agreed.seq);
            self.is_of_one_past(&stored, &agreed).await?;
            let written = stored.seq;
            self.outbox.confirm(written).await;
            self.meters.history_written(written);
            if written >= newest {
                return Ok(());
            }
            let next = written + 1;
            let mut events = self.outbox.pending(next, BATCH).await;
            if events.first().is_none_or(|event| event.seq != next) {
                // Missed through a snapshot: somebody else has them.
                events = self.ask_peers(next).await?;
            }
            // What a snapshot passed over may lie behind these: only what follows on without a gap can be written.
            let gap = events.iter().zip(next..).position(|(event, seq)| event.seq != seq);
            events.truncate(gap.unwrap_or(events.len()));
            self.history.append(&events).await?;
        }
    }

    /// A history that went on from another past (its fleet was recovered or restored without what it holds) is left as it
    /// is: nothing is written behind it, and no event is taken for written because one of its number is there.
    async fn is_of_one_past(&self, stored: &EventHead, agreed: &EventHead) -> Result<(), HistoryError> {
        let ours = tells_our_past(self.history.as_ref(), self.outbox.as_ref(), stored, agreed).await?;
        if ours {
            return Ok(());
        }
        let seq = stored.seq.min(agreed.seq);
        Err(HistoryError::Contradiction(format!(
            "event {seq} is another there than the fleet agreed on: this database went on in a fleet that was recovered or \
             restored without it. It is left as it is: give the daemon another one (docs/history.md)"
        )))
    }

    async fn ask_peers(&self, next: u64) -> Result<Vec<HistoryEvent>, HistoryError> {
        let members: Vec<Region> =
            self.state.borrow().members.keys().filter(|peer| **peer != self.me).cloned().collect();
        let mut oldest = None;
        for peer in &members {
            match self.peers.events(peer, next, u32::try_from(BATCH).unwrap_or(u32::MAX)).await {
                Ok(events) if events.first().is_some_and(|event| event.seq == next) => return Ok(events),
                Ok(events) if !events.is_empty() => oldest = events.first().map(|event| event.seq).max(oldest),
                Ok(_) => tracing::debug!(%peer, next, "peer does not have these events"),
                Err(error) => tracing::debug!(%peer, %error, "peer could not be asked for events"),
            }
        }
        let hint = oldest.map_or_else(String::new, |oldest| {
            format!(
                "; a peer's history begins at event {oldest}, older ones were removed by retention: \
                 docs/history.md says how an empty database begins there"
            )
        });
        Err(HistoryError::Away(format!("event {next} is not here and no peer has it right now{hint}")))
    }
}
