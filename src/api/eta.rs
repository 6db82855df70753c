//! How long a plan would take, from what its steps took before. Never an invented figure.

use std::collections::{BTreeMap, VecDeque};

use failoverd_domain::fleet::{FleetState, Run, StepState};
use failoverd_domain::ids::{ServiceName, StepName};
use failoverd_domain::plan::{Mode, Plan, Step};
use failoverd_domain::time::Timestamp;

use super::proto;
use super::snapshot::Snapshot;

/// What is known of how long steps take.
pub struct Known<'a> {
    runs: Vec<&'a Run>,
    /// What steps of the same service took, by mode and step, newest last.
    durations: Option<&'a BTreeMap<String, VecDeque<u64>>>,
}

/// A step of which fewer are known is not called late: the next one is as likely to be longer as shorter.
const LEAST_TO_BE_LATE: usize = 5;

impl<'a> Known<'a> {
    /// What a fleet knows about a service's steps.
    #[must_use]
    pub fn of(state: &'a FleetState, service: &ServiceName) -> Self {
        let durations = state.services.get(service).map(|service| &service.durations);
        Self { runs: state.runs.values().collect(), durations }
    }

    /// Along the plan's critical path: steps measured in runs of the same service (or, failing that, of any) count as
    /// they were; steps never measured count at their time limit in p95, and leave p50 unknown.
    #[must_use]
    pub fn eta(&self, plan: &Plan) -> proto::Eta {
        let samples: Vec<Vec<u64>> = plan.steps.iter().map(|step| self.samples(plan, step)).collect();
        let measured = samples.iter().filter(|samples| !samples.is_empty()).count();
        let p50 = |n: usize| percentile(&samples[n], 50);
        let p95 = |n: usize| percentile(&samples[n], 95).or(Some(plan.steps[n].timeout_ms));
        let basis = match measured {
            0 => "no step has been measured yet: p95 is the longest chain of time limits".to_owned(),
            all if all == plan.steps.len() => format!("all {all} steps measured in earlier runs"),
            some => {
                format!("{some} of {} steps measured in earlier runs; the others count at their limit", samples.len())
            }
        };
        proto::Eta { p50_ms: longest_path(plan, p50), p95_ms: longest_path(plan, p95), basis }
    }

    /// From a Region's end to verified answers: `begins_ms` until the first step, then the plan.
    #[must_use]
    pub fn eta_after_the_end(&self, plan: &Plan, begins_ms: u64) -> proto::Eta {
        let of_plan = self.eta(plan);
        let later = |ms: Option<u64>| ms.map(|ms| ms.saturating_add(begins_ms));
        let basis = format!("{} ms to be sure of it and to announce it; {}", begins_ms, of_plan.basis);
        proto::Eta { p50_ms: later(of_plan.p50_ms), p95_ms: later(of_plan.p95_ms), basis }
    }

    /// Writes beside each step of a plan what it took before.
    pub fn figures<'b>(&self, plan: &Plan, steps: impl Iterator<Item = &'b mut proto::Step>) {
        for (shown, step) in steps.zip(&plan.steps) {
            let samples = self.samples(plan, step);
            (shown.p50_ms, shown.p95_ms) = (percentile(&samples, 50), percentile(&samples, 95));
        }
    }

    /// p50 and p95 of the steps that were measured, milliseconds.
    #[must_use]
    pub fn usual(&self, plan: &Plan) -> BTreeMap<StepName, (u64, u64)> {
        let of = |step: &Step| {
            let samples = self.samples(plan, step);
            Some((step.name.clone(), (percentile(&samples, 50)?, percentile(&samples, 95)?)))
        };
        plan.steps.iter().filter_map(of).collect()
    }

    /// What a step took before, sorted.
    fn samples(&self, plan: &Plan, step: &Step) -> Vec<u64> {
        let of = |run: &&Run, name: &StepName| {
            let journal = run.steps.get(name).filter(|journal| journal.state == StepState::Succeeded)?;
            Some(journal.finished_at?.since(journal.started_at?))
        };
        let key = format!("{}:{}", mode_word(plan.mode), step.name);
        let remembered = self.durations.and_then(|durations| durations.get(&key));
        let mut samples: Vec<u64> = remembered.map(|all| all.iter().copied().collect()).unwrap_or_default();
        if samples.is_empty() {
            let same = self.runs.iter().filter(|run| run.service == plan.service && run.plan.mode == plan.mode);
            samples = same.filter_map(|run| of(run, &step.name)).collect();
        }
        if samples.is_empty() {
            let alike =
                |run: &&&Run| run.plan.step(&step.name).is_some_and(|other| other.kind.word() == step.kind.word());
            samples = self.runs.iter().filter(alike).filter_map(|run| of(run, &step.name)).collect();
        }
        samples.sort_unstable();
        samples
    }
}

/// The word under which the fleet remembers what the steps of a mode took.
const fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Graceful => "graceful",
        Mode::Forced => "forced",
    }
}

/// A run's message, with what its steps took before, which of them is overdue, and whether its objective is at risk.
#[must_use]
pub fn with_forecast(at: &Snapshot, run: &Run, mut message: proto::Run) -> proto::Run {
    let known = Known::of(&at.state, &run.service);
    known.figures(&run.plan, message.steps.iter_mut().filter_map(|progress| progress.step.as_mut()));
    if run.state.is_closed() {
        return message;
    }
    for (progress, step) in message.steps.iter_mut().zip(&run.plan.steps) {
        let samples = known.samples(&run.plan, step);
        let p95_ms = percentile(&samples, 95).filter(|_| samples.len() >= LEAST_TO_BE_LATE);
        progress.overdue = acts_for(at.now, run, &step.name).zip(p95_ms).is_some_and(|(ms, p95_ms)| ms > p95_ms);
    }
    message.rto_at_risk = at_risk(at, run, &message);
    message
}

/// How long the newest attempt of a step acts, if it does.
fn acts_for(now: Timestamp, run: &Run, step: &StepName) -> Option<u64> {
    let journal = run.steps.get(step).filter(|journal| journal.state == StepState::Acting)?;
    Some(now.since(journal.started_at?))
}

/// Why a run's objective will probably be missed, while it can still be kept.
fn at_risk(at: &Snapshot, run: &Run, message: &proto::Run) -> Option<String> {
    let objective_ms = message.rto_objective_ms.filter(|_| run.verified_at.is_none())?;
    let gone_ms = at.now.since(run.breach_at.or(run.started_at)?);
    let remaining = |n: usize| {
        let step = &run.plan.steps[n];
        let usual_ms = message.steps[n].step.as_ref().and_then(|step| step.p50_ms);
        match acts_for(at.now, run, &step.name) {
            _ if run.is_resolved(step) => Some(0),
            Some(acts_ms) => usual_ms.map(|ms| ms.saturating_sub(acts_ms)),
            None => usual_ms,
        }
    };
    let to_go_ms = longest_path(&run.plan, remaining)?;
    let whole_ms = gone_ms.saturating_add(to_go_ms);
    let is_at_risk = gone_ms <= objective_ms && whole_ms > objective_ms;
    is_at_risk.then(|| {
        let s = |ms: u64| ms.div_ceil(1_000);
        format!(
            "{} s are gone, and the steps left usually take {} s: the objective of {} s will be missed",
            s(gone_ms),
            s(to_go_ms),
            s(objective_ms)
        )
    })
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
    use failoverd_domain::fleet::RunState;

    use super::*;
    use crate::api::fake::{self, FakePeers, NOW, daemon, state_with};
    use crate::api::status::run_message;

    fn of<'a>(runs: impl IntoIterator<Item = &'a Run>) -> Known<'a> {
        Known { runs: runs.into_iter().collect(), durations: None }
    }

    #[test]
    fn without_a_run_the_limits_are_the_bound_and_the_median_is_unknown() {
        let plan = fake::run("checkout-1").plan;
        let eta = of([]).eta(&plan);
        let limits: u64 = plan.steps.iter().filter(|step| step.critical).map(|step| step.timeout_ms).sum();
        assert_eq!((eta.p50_ms, eta.p95_ms), (None, Some(limits)));
    }

    #[test]
    fn a_finished_run_gives_real_figures() {
        let run = fake::run("checkout-1");
        let eta = of([&run]).eta(&run.plan);
        assert_eq!((eta.p50_ms, eta.p95_ms), (Some(7_000), Some(7_000)));
        assert_eq!(eta.basis, "all 3 steps measured in earlier runs");
    }

    #[test]
    fn what_the_fleet_remembers_outlives_the_runs() {
        let plan = fake::run("checkout-1").plan;
        let mut state = state_with(&["checkout"]);
        let durations = &mut state.services.get_mut("checkout").unwrap().durations;
        for (step, took) in
            [("promote/orders-db", 4_000), ("flip-switch/checkout", 1_000), ("verify-answer/checkout", 2_000)]
        {
            durations.insert(format!("forced:{step}"), (1..=20).map(|n| took + n).collect());
        }
        let eta = Known::of(&state, &"checkout".into()).eta(&plan);
        assert_eq!((eta.p50_ms, eta.p95_ms), (Some(7_030), Some(7_057)));
        let graceful = Plan { mode: Mode::Graceful, ..plan };
        assert_eq!(Known::of(&state, &"checkout".into()).eta(&graceful).p50_ms, None, "another mode, other figures");
    }

    #[test]
    fn detection_and_announcement_come_first() {
        let run = fake::run("checkout-1");
        let eta = of([&run]).eta_after_the_end(&run.plan, 60_000);
        assert_eq!((eta.p50_ms, eta.p95_ms), (Some(67_000), Some(67_000)));
        assert!(eta.basis.starts_with("60000 ms to be sure"), "{}", eta.basis);
    }

    #[test]
    fn percentiles_are_nearest_rank() {
        let sorted = [1, 2, 3, 4];
        assert_eq!((percentile(&sorted, 50), percentile(&sorted, 95), percentile(&[], 50)), (Some(2), Some(4), None));
    }

    /// A run whose promotion has acted for so long; promotions took 4 s before, what comes after 3 s.
    fn acting_for(ms: u64, objective_ms: u64) -> proto::Run {
        with_samples(ms, objective_ms, LEAST_TO_BE_LATE)
    }

    fn with_samples(ms: u64, objective_ms: u64, known: usize) -> proto::Run {
        let mut state = state_with(&["checkout"]);
        let service = state.services.get_mut("checkout").unwrap();
        for (step, took) in
            [("promote/orders-db", 4_000), ("flip-switch/checkout", 1_000), ("verify-answer/checkout", 2_000)]
        {
            service.durations.insert(format!("forced:{step}"), std::iter::repeat_n(took, known).collect());
        }
        let mut spec = (*service.spec).clone();
        spec.objectives.rto_ms = objective_ms;
        service.spec = std::sync::Arc::new(spec);
        let mut run = fake::run("checkout-1");
        (run.state, run.verified_at, run.finished_at) = (RunState::Running, None, None);
        (run.breach_at, run.started_at) = (None, Some(NOW.minus_ms(ms)));
        run.steps.retain(|name, _| name.as_str() == "promote/orders-db");
        let journal = run.steps.get_mut("promote/orders-db").unwrap();
        (journal.state, journal.started_at, journal.finished_at) = (StepState::Acting, Some(NOW.minus_ms(ms)), None);
        run_message(&daemon(state, FakePeers::default(), Vec::new()).handles.snapshot(), &run)
    }

    #[tokio::test]
    async fn a_step_beyond_what_it_ever_took_is_flagged() {
        assert!(!acting_for(4_000, 300_000).steps[0].overdue);
        assert!(!with_samples(4_001, 300_000, 4).steps[0].overdue, "too few to say so");
        let late = acting_for(4_001, 300_000);
        assert_eq!(late.steps.iter().map(|step| step.overdue).collect::<Vec<_>>(), [true, false, false]);
        assert_eq!(late.steps[0].step.as_ref().unwrap().p95_ms, Some(4_000));
    }

    #[tokio::test]
    async fn an_objective_at_risk_is_said_before_it_is_missed_and_not_afterwards() {
        assert_eq!(acting_for(1_000, 7_000).rto_at_risk, None, "3 s of the promotion and 3 s more");
        let said = acting_for(5_000, 7_000).rto_at_risk.unwrap();
        assert!(said.contains("5 s are gone") && said.contains("3 s: the objective of 7 s"), "{said}");
        assert_eq!(acting_for(7_001, 7_000).rto_at_risk, None, "it is missed, which is another thing");
    }
}
