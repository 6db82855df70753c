//! Has simulations of drills run, while this daemon leads, and says what came of them.

use std::sync::Arc;
use std::time::Duration;

use failoverd_domain::drill::{Advance, DrillPhase};
use failoverd_domain::fleet::{Actor, Command, Entry};
use failoverd_domain::health::{Matrix, View};
use tokio::sync::watch;

use crate::ports::{Agreement, Clock, Observed, Rehearsals};

/// Before an end that was not taken on record is looked at again.
const AGAIN: Duration = Duration::from_secs(1);

/// One simulation at a time.
pub(super) struct Rehearser {
    pub(super) view: View,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) agreement: Arc<dyn Agreement>,
    pub(super) matrix: watch::Receiver<Arc<Matrix>>,
    pub(super) rehearsals: Arc<dyn Rehearsals>,
}

impl Rehearser {
    /// Runs for ever.
    pub(super) async fn run(self) {
        let (mut states, mut leadership) = (self.agreement.state(), self.agreement.leadership());
        loop {
            let state = states.borrow_and_update().clone();
            let leads = leadership.borrow_and_update().is_me;
            let waiting = state.drill_runs.values().find(|run| leads && run.phase == DrillPhase::Simulating);
            let Some(run) = waiting else {
                let changed = tokio::select! {
                    changed = states.changed() => changed,
                    changed = leadership.changed() => changed,
                };
                if changed.is_err() {
                    // The log is closed: the daemon is stopping.
                    std::future::pending::<()>().await;
                }
                continue;
            };
            let (matrix, view) = (self.matrix.borrow().clone(), self.view.clone());
            let observed = Observed { now: self.clock.now(), state: state.clone(), matrix, view };
            let ended = self.rehearsals.rehearse(run, observed).await;
            let advance = Advance::Simulated {
                passed: ended.passed,
                sentence: ended.sentence,
                rto_ms: ended.rto_ms,
                told: ended.told,
            };
            let command = Command::AdvanceDrill { run: run.id.clone(), phase: DrillPhase::Simulating, advance };
            let entry = Entry { at: self.clock.now(), actor: Actor::Daemon(self.view.me.clone()), command };
            // Not taken: whoever leads then simulates again, which touches nothing.
            match self.agreement.propose(entry).await {
                Ok(applied) => {
                    if let Err(rejection) = applied.result {
                        tracing::debug!(drill = %run.id, %rejection, "a simulation's end was not taken on record");
                        tokio::time::sleep(AGAIN).await;
                    }
                }
                Err(error) => {
                    tracing::debug!(drill = %run.id, %error, "a simulation's end is not on record yet");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }
}
