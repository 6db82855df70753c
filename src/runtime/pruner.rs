//! Takes events that are older than the configuration keeps out of this Region's history, a little at a time.
//!
//! Never the newest month, nor what belongs to a run that is open, nor what does not verify: a history that was
//! tampered with stays as it is until a person has looked.

use std::sync::Arc;
use std::time::Duration;

use failoverd_domain::fleet::FleetState;
use failoverd_domain::ids::RunId;
use failoverd_domain::time::Timestamp;
use tokio::sync::watch;

use crate::ports::{Clock, HistoryError, LEAST_KEPT, Retention};

/// Between two looks.
const PERIOD: Duration = Duration::from_hours(1);
/// After each removal, so that the projector gets its turn.
const BREATH: Duration = Duration::from_millis(50);
/// Removals at one look; what is left goes at the next one.
const MOST: u32 = 500;

/// How long this Region's history keeps its events.
#[derive(Clone)]
pub struct Keep {
    /// The history.
    pub history: Arc<dyn Retention>,
    /// How long, at least [`LEAST_KEPT`].
    pub at_least: Duration,
}

/// Removes old events.
pub(super) struct Pruner {
    pub(super) keep: Keep,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) state: watch::Receiver<Arc<FleetState>>,
}

impl Pruner {
    /// Runs for ever.
    pub(super) async fn run(self) {
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match self.prune().await {
                Ok(0) => {}
                Ok(events) => tracing::info!(events, "removed events older than database.keep from the history"),
                Err(HistoryError::Away(error)) => {
                    tracing::debug!(error, "old events stay in the history until its database is back");
                }
                Err(HistoryError::Contradiction(error)) => {
                    tracing::error!(error, "old events stay in the history, which does not verify");
                }
            }
        }
    }

    /// Everything that may go now, at most so many.
    async fn prune(&self) -> Result<u64, HistoryError> {
        let Some(newest) = self.keep.history.newest_at().await? else { return Ok(0) };
        // A clock that jumped ahead makes nothing old: neither ours nor that of whoever proposed.
        let now = newest.min(self.clock.now());
        let before = before(now, self.keep.at_least);
        let mut events = 0;
        for _ in 0..MOST {
            let removed = self.keep.history.remove_oldest(before, &self.open_runs()).await?;
            events += removed.events;
            if !removed.more {
                break;
            }
            tokio::time::sleep(BREATH).await;
        }
        Ok(events)
    }

    fn open_runs(&self) -> Vec<RunId> {
        let state = self.state.borrow();
        state.runs.values().filter(|run| !run.state.is_closed()).map(|run| run.id.clone()).collect()
    }
}

fn before(now: Timestamp, keep: Duration) -> Timestamp {
    now.minus_ms(u64::try_from(keep.max(LEAST_KEPT).as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use failoverd_domain::fleet::{EventHead, EventKind, HistoryEvent};
    use failoverd_domain::ids::LogIndex;

    use super::*;
    use crate::ports::History;
    use crate::sim::history::MemoryHistory;

    const DAY: u64 = 86_400_000;
    const START: Timestamp = Timestamp(1_795_449_600_000);

    struct At(Timestamp);

    impl Clock for At {
        fn now(&self) -> Timestamp {
            self.0
        }
    }

    /// One event a day from the start on.
    async fn history(days: u64) -> Arc<MemoryHistory> {
        let history = MemoryHistory::new("prod".into());
        let mut head = EventHead::default();
        for seq in 1..=days {
            let mut event = HistoryEvent {
                seq,
                index: LogIndex(seq),
                at: START.plus_ms((seq - 1) * DAY),
                fleet: "prod".into(),
                service: None,
                run: None,
                drill: None,
                kind: EventKind::Fleet,
                region: None,
                actor: "daemon:eu-west-1".to_owned(),
                message: String::new(),
                data: serde_json::Value::Null,
                hash: String::new(),
            };
            event.hash = event.expected_hash(&head.hash);
            head = EventHead { seq, hash: event.hash.clone() };
            history.append(&[event]).await.unwrap();
        }
        Arc::new(history)
    }

    fn pruner(history: &Arc<MemoryHistory>, keep_days: u64, now: Timestamp) -> Pruner {
        let keep = Keep { history: history.clone(), at_least: Duration::from_millis(keep_days * DAY) };
        Pruner { keep, clock: Arc::new(At(now)), state: watch::channel(Arc::default()).1 }
    }

    fn oldest(history: &MemoryHistory) -> u64 {
        history.events()[0].seq
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_older_than_kept_goes_and_the_rest_verifies() {
        let history = history(100).await;
        let last = START.plus_ms(99 * DAY);
        assert_eq!(pruner(&history, 60, last).prune().await.unwrap(), 39);
        assert_eq!(oldest(&history), 40);
        let verified = history.verify().await.unwrap();
        assert_eq!((verified.anchor.map(|anchor| anchor.seq), verified.head.seq), (Some(39), 100));
        assert_eq!(pruner(&history, 60, last).prune().await.unwrap(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_newest_month_stays_whatever_it_is_told_and_whatever_the_clock_says() {
        let history = history(100).await;
        assert_eq!(pruner(&history, 1, START.plus_ms(50 * DAY)).prune().await.unwrap(), 19);
        let far_ahead = START.plus_ms(90_000 * DAY);
        pruner(&history, 0, far_ahead).prune().await.unwrap();
        assert_eq!(oldest(&history), 69);
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_backlog_goes_in_many_removals() {
        let history = history(2_600).await;
        assert_eq!(pruner(&history, 100, START.plus_ms(2_599 * DAY)).prune().await.unwrap(), 2_499);
    }

    #[tokio::test(start_paused = true)]
    async fn it_looks_every_hour_and_outlives_a_database_that_is_away() {
        let history = history(100).await;
        history.set_away(true);
        let pruner = pruner(&history, 60, START.plus_ms(99 * DAY));
        tokio::select! {
            () = pruner.run() => panic!("it ended"),
            () = async {
                tokio::time::sleep(PERIOD / 2).await;
                history.set_away(false);
                assert_eq!(oldest(&history), 1);
                tokio::time::sleep(PERIOD).await;
                assert_eq!(oldest(&history), 40);
            } => {}
        }
    }
}
