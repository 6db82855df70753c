//! Proposes what the readings call for, while this daemon leads. Decides nothing itself: `domain::fleet::tick` does.

use std::sync::Arc;
use std::time::Duration;

use failoverd_domain::fleet::{Actor, Command, Entry, FleetState, tick};
use failoverd_domain::health::{Matrix, View, diagnose};
use failoverd_domain::ids::Region;
use tokio::sync::watch;
use tokio::time::Instant;

use super::timing::Timing;
use crate::ports::{Agreement, Clock, ProposeError};

/// Between two attempts to hand leadership over.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// The leader's controller.
pub(super) struct Controller {
    pub(super) view: View,
    pub(super) timing: Timing,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) agreement: Arc<dyn Agreement>,
    pub(super) matrix: watch::Receiver<Arc<Matrix>>,
}

impl Controller {
    /// Runs for ever; does nothing while another daemon leads.
    pub(super) async fn run(self) {
        let mut ticks = tokio::time::interval(self.timing.tick);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut asked_at = None;
        loop {
            ticks.tick().await;
            let leads = self.agreement.leadership().borrow().is_me;
            if leads {
                self.once(&mut asked_at).await;
            }
        }
    }

    async fn once(&self, asked_at: &mut Option<Instant>) {
        let state = self.agreement.state().borrow().clone();
        let matrix = self.matrix.borrow().clone();
        if matrix.isolated(self.clock.now(), &self.view, &self.view.me) {
            return;
        }
        if let Some(to) = self.better_leader(&state, &matrix)
            && asked_at.is_none_or(|asked| asked.elapsed() >= ASK_AGAIN)
        {
            tracing::warn!(region = %self.view.me, %to, "this Region is suspect: leadership goes elsewhere");
            *asked_at = Some(Instant::now());
            self.agreement.step_aside(&to).await;
            // Whoever could not be moved to lead leaves the work here: a suspect leader is better than none.
        }
        for command in tick(self.clock.now(), &state, &matrix, &self.view) {
            self.propose(command).await;
        }
    }

    async fn propose(&self, command: Command) {
        let entry = Entry::new(self.clock.now(), Actor::Daemon(self.view.me.clone()), command);
        match self.agreement.propose(entry).await {
            Ok(applied) => {
                if let Err(rejection) = applied.result {
                    tracing::info!(code = rejection.code, reason = rejection.reason, "proposal refused");
                }
            }
            Err(ProposeError::NotLeader { .. }) => {}
            Err(error) => tracing::warn!(%error, "proposal did not go through"),
        }
    }

    /// A leader in a Region that a quorum sees broken hands over to a fresh daemon whose Region is not.
    fn better_leader(&self, state: &FleetState, matrix: &Matrix) -> Option<Region> {
        let now = self.clock.now();
        let suspect = |region: &Region| {
            state
                .services
                .values()
                .filter(|service| service.spec.regions.contains(region))
                .any(|service| diagnose(now, &self.view, &service.spec, region, matrix).diagnosis.is_breach())
        };
        if !suspect(&self.view.me) {
            return None;
        }
        let stale_ms = self.view.stale_after_ms;
        let fresh = |region: &&Region| matrix.fresh(now, region, stale_ms).is_some();
        self.view
            .members
            .iter()
            .filter(|region| **region != self.view.me)
            .filter(fresh)
            .find(|region| !suspect(region))
            .cloned()
    }
}
