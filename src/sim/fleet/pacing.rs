//! The limit on how much moves by itself, counted from outside: from what began and when, and not from what guards or
//! `apply` remember of it.

use std::collections::BTreeSet;

use failoverd_domain::fleet::{GuardVerdict, Run, Severity, Trigger};
use failoverd_domain::ids::{Region, RunId, ServiceName};
use failoverd_domain::time::Timestamp;

use super::judge::Judge;

/// Counts every automatic run that began without a person, once.
#[derive(Default)]
pub(super) struct PacingExam {
    known: BTreeSet<RunId>,
    begun: Vec<(Timestamp, ServiceName, Region)>,
}

impl PacingExam {
    pub(super) fn look(&mut self, judge: &Judge) {
        let state = judge.newest();
        let Some(limit) = &state.settings.velocity else { return };
        for run in state.runs.values().filter(|run| began_alone(run)) {
            let Some(at) = run.started_at.filter(|_| self.known.insert(run.id.clone())) else { continue };
            self.begun.push((at, run.service.clone(), run.plan.from.clone()));
            judge.count(1);
            let recent = || self.begun.iter().filter(|(then, ..)| at.since(*then) < limit.window_ms);
            let services = recent().map(|(_, service, _)| service).collect::<BTreeSet<_>>().len();
            let regions = recent().map(|(.., region)| region).collect::<BTreeSet<_>>().len();
            let too_many = limit.services.is_some_and(|most| services > most as usize);
            if too_many || regions > limit.regions as usize {
                let limit = limit.sentence();
                judge.blame(format!("{services} services left {regions} Regions by themselves; agreed are {limit}"));
            }
        }
    }
}

/// One that waited for a person began when the person said so, and is not counted.
fn began_alone(run: &Run) -> bool {
    let asks = |verdict: &GuardVerdict| !verdict.ok && verdict.severity == Severity::NeedsApproval;
    run.trigger == Trigger::Automatic && run.epoch.is_some() && !run.guards.iter().any(asks)
}
