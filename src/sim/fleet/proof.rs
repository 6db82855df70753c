//! I3 against the truth: an automatic move leaves only a Region that the world outside could really not reach lately, when
//! it is decided and when it begins.
//!
//! The judge of entries can only see what guards said. This one knows what was broken.

use std::collections::BTreeMap;

use failoverd_domain::fleet::{GuardVerdict, Run, Severity, Trigger};
use failoverd_domain::ids::{LogIndex, Region, ServiceName};

use super::judge::Judge;
use crate::sim::world::SimulatedAws;

/// Checkers, DNS, readings and the way to a decision take less.
const MEMORY_MS: u64 = 15_000;
/// Before it begins, only readings are asked again, and they are seconds old.
const BEGIN_MEMORY_MS: u64 = 10_000;

/// Remembers when each Region was last unreachable from outside.
#[derive(Default)]
pub(super) struct ProofExam {
    last_bad_ms: BTreeMap<Region, u64>,
    judged: LogIndex,
    begun: LogIndex,
}

impl ProofExam {
    pub(super) fn look(&mut self, service: &ServiceName, judge: &Judge, aws: &SimulatedAws) {
        let (state, now) = (judge.newest(), judge.elapsed_ms());
        let Some(of) = state.services.get(service) else { return };
        for region in of.spec.regions.iter().filter(|region| !aws.endpoint_up(region, service)) {
            self.last_bad_ms.insert(region.clone(), now);
        }
        let own = || state.runs.values().filter(|run| &run.service == service && run.trigger == Trigger::Automatic);
        for run in own().filter(|run| run.decided_index > self.judged) {
            judge.count(1);
            self.was_bad(run, "leaves", MEMORY_MS, now, judge);
        }
        // One that a person approved begins when the person says so.
        let asks = |verdict: &GuardVerdict| !verdict.ok && verdict.severity == Severity::NeedsApproval;
        let alone = |run: &&Run| run.epoch.is_some() && !run.guards.iter().any(asks);
        let mut begun = self.begun;
        for run in own().filter(|run| run.decided_index > self.begun).filter(alone) {
            judge.count(1);
            self.was_bad(run, "begins to leave", BEGIN_MEMORY_MS, now, judge);
            begun = begun.max(run.decided_index);
        }
        self.begun = begun;
        self.judged = state.applied;
    }

    fn was_bad(&self, run: &Run, does: &str, memory_ms: u64, now: u64, judge: &Judge) {
        let from = &run.plan.from;
        if self.last_bad_ms.get(from).is_none_or(|bad| now - bad > memory_ms) {
            judge.blame(format!("I3 does not hold: run {} {does} {from}, which everybody reaches", run.id));
        }
    }
}
