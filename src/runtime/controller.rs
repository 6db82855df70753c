//! Proposes what the readings call for, while this daemon leads. Decides nothing itself: `domain::fleet::tick` does.

use std::sync::Arc;
use std::time::Duration;

use failoverd_domain::fleet::{Actor, Command, Entry, FleetState, tick};
use failoverd_domain::health::{Matrix, diagnose};
use failoverd_domain::ids::Region;
use failoverd_domain::sabotage::{self, Sabotage};
use tokio::sync::watch;
use tokio::time::Instant;

use super::timing::Timing;
use crate::ports::{Agreement, Clock, ProposeError, Viewpoint};

/// Between two attempts to hand leadership over.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// The same for one whose Region was removed.
const ASK_SOON: Duration = Duration::from_secs(5);

/// The leader's controller.
pub(super) struct Controller {
    pub(super) view: Viewpoint,
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
        let mut skipped = self.clock.correction().skipped_ms;
        loop {
            ticks.tick().await;
            // What was read before the machine stood still is older than it seems until the board has heard of it.
            let before = std::mem::replace(&mut skipped, self.clock.correction().skipped_ms);
            if skipped != before {
                continue;
            }
            let leads = self.agreement.leadership().borrow().is_me;
            if leads {
                self.once(&mut asked_at).await;
            }
        }
    }

    async fn once(&self, asked_at: &mut Option<Instant>) {
        let state = self.agreement.state().borrow().clone();
        let matrix = self.matrix.borrow().clone();
        if let Some(to) = self.instead_of_one_that_goes(&state, &matrix)
            && asked_at.is_none_or(|asked| asked.elapsed() >= ASK_SOON)
        {
            tracing::warn!(region = %self.view.me, %to, "this Region was removed from the fleet: leadership goes elsewhere");
            *asked_at = Some(Instant::now());
            self.agreement.step_aside(&to).await;
            return;
        }
        if matrix.isolated(self.clock.now(), &self.view.over(&state), &self.view.me) {
            return;
        }
        if let Some((to, why)) = self.better_leader(&state, &matrix)
            && asked_at.is_none_or(|asked| asked.elapsed() >= ASK_AGAIN)
        {
            tracing::warn!(region = %self.view.me, %to, why, "leadership goes elsewhere");
            *asked_at = Some(Instant::now());
            self.agreement.step_aside(&to).await;
            // Whoever could not be moved to lead leaves the work here: a suspect leader is better than none.
        }
        if tick(self.clock.now(), &state, &matrix, &self.view.over(&state)).is_empty() || !self.is_confirmed().await {
            return;
        }
        let state = self.agreement.state().borrow().clone();
        let matrix = self.matrix.borrow().clone();
        for command in tick(self.clock.now(), &state, &matrix, &self.view.over(&state)) {
            self.propose(command).await;
        }
    }

    /// Whether a majority says so now: what a leader without the others writes is agreed when they are back, and rests on
    /// what was seen before they were gone.
    async fn is_confirmed(&self) -> bool {
        sabotage::is(Sabotage::ResumeStale) || self.agreement.confirm_leadership().await.is_ok()
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

    /// One whose Region was removed may be made leader before its vote is taken. Nobody reports to it: it hands over to
    /// whoever was heard last, or is asked in turn.
    fn instead_of_one_that_goes(&self, state: &FleetState, matrix: &Matrix) -> Option<Region> {
        let (now, view) = (self.clock.now(), self.view.over(state));
        if !state.gone.contains_key(&view.me) || state.members.contains_key(&view.me) || view.members.is_empty() {
            return None;
        }
        let fresh = view.members.iter().find(|region| matrix.fresh(now, region, view.stale_after_ms).is_some());
        let in_turn = || view.members.get(usize::try_from(now.0 / 1_000).unwrap_or(0) % view.members.len());
        fresh.or_else(in_turn).cloned()
    }

    /// A leader in a Region that a quorum sees broken, or whose clock is off, hands over to a fresh daemon whose Region is not
    /// broken.
    fn better_leader(&self, state: &FleetState, matrix: &Matrix) -> Option<(Region, String)> {
        let (now, view) = (self.clock.now(), self.view.over(state));
        let suspect = |region: &Region| {
            state
                .services
                .values()
                .filter(|service| service.spec.regions.contains(region))
                .any(|service| diagnose(now, &view, &service.spec, region, matrix).diagnosis.is_breach())
        };
        let why = match matrix.clock_is_off(now, &view) {
            Some(ms) => format!(
                "this daemon's clock is {} s {}",
                ms.unsigned_abs() / 1_000,
                if ms > 0 { "ahead" } else { "behind" }
            ),
            None if suspect(&self.view.me) => "this Region is suspect".to_owned(),
            None => return None,
        };
        let stale_ms = self.view.stale_after_ms;
        let fresh = |region: &&Region| matrix.fresh(now, region, stale_ms).is_some();
        view.members
            .iter()
            .filter(|region| **region != view.me)
            .filter(fresh)
            .find(|region| !suspect(region))
            .map(|to| (to.clone(), why))
    }
}
