//! How long a plan would take, from what its steps took before. Never an invented figure.

use std::collections::BTreeMap;

use failoverd_domain::fleet::{Run, StepState};
use failoverd_domain::ids::StepName;
use failoverd_domain::plan::{Plan, Step};

use super::proto;

/// Along the plan's critical path: steps measured in runs of the same service (or, failing that, of any) count as they
/// were; steps never measured count at their time limit in p95, and leave p50 unknown.
pub fn eta<'a>(plan: &Plan, runs: impl Iterator<Item = &'a Run>) -> proto::Eta {
    let runs: Vec<&Run> = runs.collect();
    let samples: Vec<Vec<u64>> = plan.steps.iter().map(|step| samples(plan, step, &runs)).collect();
    let measured = samples.iter().filter(|samples| !samples.is_empty()).count();
    let p50 = |n: usize| percentile(&samples[n], 50);
    let p95 = |n: usize| percentile(&samples[n], 95).or(Some(plan.steps[n].timeout_ms));
    let basis = match measured {
        0 => "no step has been measured yet: p95 is the longest chain of time limits".to_owned(),
        all if all == plan.steps.len() => format!("all {all} steps measured in earlier runs"),
        some => format!("{some} of {} steps measured in earlier runs; the others count at their limit", samples.len()),
    };
    proto::Eta { p50_ms: longest_path(plan, p50), p95_ms: longest_path(plan, p95), basis }
}

/// From a Region's end to verified answers: `begins_ms` until the first step, then the plan.
pub fn from_the_end<'a>(plan: &Plan, runs: impl Iterator<Item = &'a Run>, begins_ms: u64) -> proto::Eta {
    let of_plan = eta(plan, runs);
    let later = |ms: Option<u64>| ms.map(|ms| ms.saturating_add(begins_ms));
    let basis = format!("{} ms to be sure of it and to announce it; {}", begins_ms, of_plan.basis);
    proto::Eta { p50_ms: later(of_plan.p50_ms), p95_ms: later(of_plan.p95_ms), basis }
}

/// What a step took before, sorted.
fn samples(plan: &Plan, step: &Step, runs: &[&Run]) -> Vec<u64> {
    let of = |run: &&Run, name: &StepName| {
        let journal = run.steps.get(name).filter(|journal| journal.state == StepState::Succeeded)?;
        Some(journal.finished_at?.since(journal.started_at?))
    };
    let same = runs.iter().filter(|run| run.service == plan.service && run.plan.mode == plan.mode);
    let mut samples: Vec<u64> = same.filter_map(|run| of(run, &step.name)).collect();
    if samples.is_empty() {
        let alike = |run: &&&Run| run.plan.step(&step.name).is_some_and(|other| other.kind.word() == step.kind.word());
        samples = runs.iter().filter(alike).filter_map(|run| of(run, &step.name)).collect();
    }
    samples.sort_unstable();
    samples
}

/// Nearest rank of a sorted list.
fn percentile(sorted: &[u64], percent: usize) -> Option<u64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// The longest chain of critical steps; `None` when one of them has no figure.
fn longest_path(plan: &Plan, figure: impl Fn(usize) -> Option<u64>) -> Option<u64> {
    let mut ends: BTreeMap<&StepName, u64> = BTreeMap::new();
    for (n, step) in plan.steps.iter().enumerate() {
        let begins = step.after.iter().filter_map(|name| ends.get(name)).max().copied().unwrap_or(0);
        let takes = if step.critical { figure(n)? } else { 0 };
        ends.insert(&step.name, begins.saturating_add(takes));
    }
    Some(ends.into_values().max().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::fake;

    #[test]
    fn without_a_run_the_limits_are_the_bound_and_the_median_is_unknown() {
        let plan = fake::run("checkout-1").plan;
        let eta = eta(&plan, std::iter::empty());
        let limits: u64 = plan.steps.iter().filter(|step| step.critical).map(|step| step.timeout_ms).sum();
        assert_eq!((eta.p50_ms, eta.p95_ms), (None, Some(limits)));
    }

    #[test]
    fn a_finished_run_gives_real_figures() {
        let run = fake::run("checkout-1");
        let eta = eta(&run.plan, std::iter::once(&run));
        assert_eq!((eta.p50_ms, eta.p95_ms), (Some(7_000), Some(7_000)));
        assert_eq!(eta.basis, "all 3 steps measured in earlier runs");
    }

    #[test]
    fn detection_and_announcement_come_first() {
        let run = fake::run("checkout-1");
        let eta = from_the_end(&run.plan, std::iter::once(&run), 60_000);
        assert_eq!((eta.p50_ms, eta.p95_ms), (Some(67_000), Some(67_000)));
        assert!(eta.basis.starts_with("60000 ms to be sure"), "{}", eta.basis);
    }

    #[test]
    fn percentiles_are_nearest_rank() {
        let sorted = [1, 2, 3, 4];
        assert_eq!((percentile(&sorted, 50), percentile(&sorted, 95), percentile(&[], 50)), (Some(2), Some(4), None));
    }
}
