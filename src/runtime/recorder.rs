//! Keeps a little of everything that is seen, and puts on record what was seen of a run, while this daemon leads.
//!
//! Every daemon keeps the same tapes: whoever leads when a run ends can put it on record, whoever led before.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use failoverd_domain::drill::{Recorder as Tapes, to_record};
use failoverd_domain::fleet::{Actor, Command, Entry};
use failoverd_domain::health::Matrix;
use failoverd_domain::ids::RunId;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::ports::{Agreement, Clock, Viewpoint};

/// Between two samples, where something goes on.
const EVERY: Duration = Duration::from_secs(1);
/// Before a record that was not taken is proposed again.
const AGAIN: Duration = Duration::from_secs(30);
/// Records a round: they are large, and nobody waits for them.
const MOST_AT_ONCE: usize = 2;

/// The daemon's tapes.
pub(super) struct Recorder {
    pub(super) view: Viewpoint,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) agreement: Arc<dyn Agreement>,
    pub(super) matrix: watch::Receiver<Arc<Matrix>>,
}

impl Recorder {
    /// Runs for ever.
    pub(super) async fn run(self) {
        let mut tapes = Tapes::default();
        let mut proposed: BTreeMap<RunId, Instant> = BTreeMap::new();
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let state = self.agreement.state().borrow().clone();
            let matrix = self.matrix.borrow().clone();
            tapes.take(self.clock.now(), &state, &matrix, &self.view.over(&state));
            proposed.retain(|run, at| state.runs.contains_key(run) && at.elapsed() < AGAIN);
            if !self.agreement.leadership().borrow().is_me {
                continue;
            }
            let mut due = to_record(self.clock.now(), &state);
            due.retain(|run| !proposed.contains_key(&run.id));
            for run in due.into_iter().take(MOST_AT_ONCE) {
                self.put_on_record(tapes.record(run)).await;
                // Taken, refused or lost: asked for again only when the state still lacks it after a while.
                proposed.insert(run.id.clone(), Instant::now());
            }
        }
    }

    async fn put_on_record(&self, command: Command) {
        let actor = Actor::Daemon(self.view.me.clone());
        let entry = Entry::new(self.clock.now(), actor, command);
        match self.agreement.propose(entry).await {
            Ok(applied) => {
                if let Err(rejection) = applied.result {
                    tracing::debug!(%rejection, "what was seen of a run was not taken on record");
                }
            }
            Err(error) => tracing::debug!(%error, "what was seen of a run is not on record yet"),
        }
    }
}
