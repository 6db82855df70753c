//! Drills: the open ones, the next, and how the newest ended.

use failoverd_domain::drill::{DrillPhase, DrillRun, DrillState, DrillVerdict, next_start};

use crate::telemetry::Standing;
use crate::telemetry::defined;
use crate::telemetry::page::{Page, seconds};

const PHASES: [DrillPhase; 9] = [
    DrillPhase::AwaitingApproval,
    DrillPhase::Checking,
    DrillPhase::Simulating,
    DrillPhase::Detecting,
    DrillPhase::Moving,
    DrillPhase::Holding,
    DrillPhase::AwaitingReturn,
    DrillPhase::Returning,
    DrillPhase::Settling,
];

/// The words of all verdicts.
pub(in crate::telemetry) const VERDICTS: [&str; 6] = [
    DrillVerdict::Passed.word(),
    DrillVerdict::ObjectiveMissed.word(),
    DrillVerdict::Failed.word(),
    DrillVerdict::Cancelled.word(),
    DrillVerdict::Overtaken.word(),
    DrillVerdict::NotStarted.word(),
];

pub(super) fn show(at: &Standing, page: &mut Page) {
    for drill in at.state.drills.values() {
        one(at, drill, page);
    }
}

fn one(at: &Standing, drill: &DrillState, page: &mut Page) {
    let labels = [drill.spec.name.as_str(), drill.spec.service.as_str()];
    let runs = || at.state.drill_runs.values().filter(|run| run.drill() == &drill.spec.name);
    if let Some(open) = runs().find(|run| !run.is_closed()) {
        page.one_of(&defined::DRILL_PHASE, &labels, &PHASES.map(DrillPhase::word), open.phase.word());
    }
    page.put_some(&defined::DRILL_NEXT, &labels, next_start(at.now, drill).map(|next| seconds(next.0)));
    let missed = drill.missed.as_ref().map(|(missed, _)| seconds(missed.0));
    page.put_some(&defined::DRILL_MISSED, &labels, missed);
    let newest: Option<&DrillRun> = runs().filter(|run| run.is_closed()).max_by_key(|run| run.opened_at);
    let Some(newest) = newest else { return };
    let verdict = newest.verdict.map_or("", DrillVerdict::word);
    page.one_of(&defined::DRILL_VERDICT, &labels, &VERDICTS, verdict);
    page.put_some(&defined::DRILL_FINISHED, &labels, newest.finished_at.map(|ended| seconds(ended.0)));
    page.put_some(&defined::DRILL_RTO, &labels, newest.measured.rto_ms.map(seconds));
}
