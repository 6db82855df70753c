//! Words that every form of a report shares.

use failoverd_domain::drill::{SteadyCheck, When};
use failoverd_domain::plan::Plane;
use failoverd_domain::report::{Report, RunPart, StepPart, Within, duration};
use failoverd_domain::time::Timestamp;

/// A duration, or a dash.
pub fn figure(ms: Option<u64>) -> String {
    ms.map_or_else(|| "-".to_owned(), duration)
}

/// Whether an objective was kept, in a word.
pub const fn within(within: Within) -> &'static str {
    match within {
        Within::Kept => "kept",
        Within::Missed => "missed",
        Within::Unknown => "not known",
    }
}

/// Before or after.
pub const fn when(check: &SteadyCheck) -> &'static str {
    match check.when {
        When::Before => "before",
        When::After => "after",
    }
}

/// Where a run went.
pub fn place(run: &RunPart) -> String {
    match run.movement.as_str() {
        "" => "its decision is not in this history".to_owned(),
        "evacuate" => format!("{} out of {}", run.service, run.from),
        "restore" => format!("{} into {} again", run.service, run.to),
        _ => format!("{} from {} to {}", run.service, run.from, run.to),
    }
}

/// What instants are told relative to: the breach, else the decision, else the first event.
pub fn zero(report: &Report) -> Timestamp {
    let run = report.runs.first();
    let breach = report.drill.as_ref().and_then(|drill| drill.breach_at).or_else(|| run?.breach_at);
    let first = || report.timeline.first().map(|told| told.at);
    let began = || if report.drill.is_some() { first() } else { run.and_then(|run| run.decided_at).or_else(first) };
    breach.or_else(began).map_or(Timestamp(0), |at| at.0)
}

/// `+4.2s`, or `-1m` for what came before.
pub fn ago(at: Timestamp, zero: Timestamp) -> String {
    if at < zero { format!("-{}", duration(zero.since(at))) } else { format!("+{}", duration(at.since(zero))) }
}

/// The plane that a step needs.
pub const fn plane(step: &StepPart) -> &'static str {
    match step.plane {
        Plane::Data => "data",
        Plane::Control => "control",
    }
}
