//! Carries out the steps of running runs, while this daemon leads.
//!
//! The journal comes first: intent, leadership, precondition, act, verify, outcome. A step whose outcome nobody knows
//! is looked at before anything is done again. The executor chooses nothing: what may begin is for the plan and
//! `Run::may_begin`, and an entry that should not be is refused by every daemon when it is applied.

mod drive;
mod effect;
mod effects;
mod verify;

use std::collections::BTreeSet;
use std::sync::Arc;

use failoverd_domain::fleet::{Run, RunState};
use failoverd_domain::health::Matrix;
use failoverd_domain::ids::{RunId, StepName};
use failoverd_domain::plan::Step;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tracing::Instrument;

use super::timing::Timing;
use crate::ports::{Agreement, Clock, Peers, Viewpoint, World};
use crate::telemetry::{SpanOf, within};

/// The leader's hands.
#[derive(Clone)]
pub(super) struct Executor {
    pub(super) view: Viewpoint,
    pub(super) timing: Timing,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) world: World,
    pub(super) agreement: Arc<dyn Agreement>,
    pub(super) peers: Arc<dyn Peers>,
    pub(super) matrix: watch::Receiver<Arc<Matrix>>,
}

type Key = (RunId, StepName);

impl Executor {
    /// Runs for ever; begins nothing while another daemon leads.
    pub(super) async fn run(self) {
        let mut ticks = tokio::time::interval(self.timing.tick);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut state = self.agreement.state();
        let mut busy: BTreeSet<Key> = BTreeSet::new();
        let mut under_way: FuturesUnordered<BoxFuture<'_, Key>> = FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                _ = ticks.tick() => {}
                // A committed outcome lets the next step begin at once.
                Ok(()) = state.changed() => {}
                Some(done) = under_way.next(), if !under_way.is_empty() => {
                    busy.remove(&done);
                }
            }
            for (run, step) in self.ready(&busy) {
                let key = (run.id.clone(), step.name.clone());
                busy.insert(key.clone());
                let this = &self;
                let of = SpanOf::step(&state.borrow().fleet, &run, &step.name);
                // Whatever is called on the way is logged with these.
                let span = tracing::info_span!(
                    "step", service = %run.service, run = %run.id, step = %step.name,
                    epoch = run.epoch.map(|epoch| epoch.0), region = %step.region, trace_id = of.trace_id()
                );
                let driving = async move {
                    this.drive(&run, &step).await;
                    key
                };
                under_way.push(Box::pin(within(of, driving).instrument(span)));
            }
        }
    }

    /// Steps that may begin, and steps whose outcome is open, less those that are under way here.
    fn ready(&self, busy: &BTreeSet<Key>) -> Vec<(Run, Step)> {
        if !self.agreement.leadership().borrow().is_me {
            return Vec::new();
        }
        let state = self.agreement.state().borrow().clone();
        let mut ready = Vec::new();
        for run in state.runs.values().filter(|run| run.state == RunState::Running) {
            let next = run.plan.steps.iter().filter(|step| run.abort.is_none() && run.may_begin(step).is_ok());
            for step in run.open_steps().chain(next) {
                if !busy.contains(&(run.id.clone(), step.name.clone())) {
                    ready.push((run.clone(), step.clone()));
                }
            }
        }
        ready
    }
}
