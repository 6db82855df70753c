//! I3 against the truth: an automatic move leaves only a Region that the world outside could really not reach lately.
//!
//! The judge of entries can only see what guards said. This one knows what was broken.

use std::collections::BTreeMap;

use failoverd_domain::fleet::Trigger;
use failoverd_domain::ids::{LogIndex, Region, ServiceName};

use super::judge::Judge;
use crate::sim::world::SimulatedAws;

/// Checkers, DNS, readings and the announcement-free way to a decision take less.
const MEMORY_MS: u64 = 15_000;

/// Remembers when each Region was last unreachable from outside.
#[derive(Default)]
pub(super) struct ProofExam {
    last_bad_ms: BTreeMap<Region, u64>,
    judged: LogIndex,
}

impl ProofExam {
    pub(super) fn look(&mut self, service: &ServiceName, judge: &Judge, aws: &SimulatedAws) {
        let (state, now) = (judge.newest(), judge.elapsed_ms());
        let Some(of) = state.services.get(service) else { return };
        for region in of.spec.regions.iter().filter(|region| !aws.endpoint_up(region, service)) {
            self.last_bad_ms.insert(region.clone(), now);
        }
        let own = state.runs.values().filter(|run| &run.service == service);
        let new = own.filter(|run| run.decided_index > self.judged);
        for run in new.filter(|run| run.trigger == Trigger::Automatic) {
            judge.count(1);
            let from = &run.plan.from;
            if self.last_bad_ms.get(from).is_none_or(|bad| now - bad > MEMORY_MS) {
                judge.blame(format!("I3 does not hold: run {} leaves {from}, which everybody reaches", run.id));
            }
        }
        self.judged = state.applied;
    }
}
