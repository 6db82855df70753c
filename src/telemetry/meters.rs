//! Counters and histograms: what happened in this process since it started.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use failoverd_domain::fleet::{Applied, Entry, EventKind, FleetState, HistoryEvent, StepState};
use failoverd_domain::ids::{Region, StepName};
use failoverd_domain::time::Timestamp;
use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts};

use super::defined::{self, Defined};
use super::otlp::Spans;
use super::page::{Page, count, seconds};
use super::trace::{CallSpan, current};
use crate::ports::ProposeError;

/// Seconds: an entry that is agreed between Regions takes a few round trips.
const PROPOSAL_BUCKETS: [f64; 9] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// Seconds: a call to AWS ends within the leader's lease or the SDK's patience.
const CALL_BUCKETS: [f64; 9] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0];
/// Seconds: a switch turns in a moment, a promotion takes minutes.
const STEP_BUCKETS: [f64; 11] = [0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0];
/// Seconds: recoveries of seconds and of an hour.
const RECOVERY_BUCKETS: [f64; 11] = [5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_200.0, 2_400.0, 3_600.0];

/// What the switch listener answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// `switch=on`.
    On,
    /// `switch=off`.
    Off,
    /// 503: has not caught up.
    Silent,
    /// 404: no such token.
    Unknown,
    /// Over a limit, or not a question.
    Refused,
}

/// How a call to AWS ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// Answered well.
    Ok,
    /// Answered with a no.
    Refused,
    /// Answered: the role may not, or the credentials are over.
    Denied,
    /// Answered: too much at once.
    Throttled,
    /// Nobody knows what came of it, or nobody answered.
    Unanswered,
    /// Not sent: the budget was spent.
    Budget,
}

impl CallOutcome {
    /// The word of the label.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Denied => "denied",
            Self::Throttled => "throttled",
            Self::Unanswered => "unanswered",
            Self::Budget => "budget",
        }
    }
}

impl Answer {
    const ALL: [Self; 5] = [Self::On, Self::Off, Self::Silent, Self::Unknown, Self::Refused];

    const fn word(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Silent => "silent",
            Self::Unknown => "unknown",
            Self::Refused => "refused",
        }
    }
}

/// How full a budget of calls is.
#[derive(Clone, Debug, PartialEq)]
pub struct BudgetLevel {
    /// `route53` …
    pub service: &'static str,
    /// Region.
    pub region: Region,
    /// What is counted together.
    pub group: &'static str,
    /// `own`, or the account whose role was assumed.
    pub account: String,
    /// Tokens left.
    pub tokens: f64,
    /// Tokens when full.
    pub capacity: f64,
}

/// Whoever spends budgets.
pub trait BudgetLevels: Send + Sync {
    /// Every budget as it stands now.
    fn levels(&self) -> Vec<BudgetLevel>;
}

/// What is known of this Region's database.
#[derive(Clone, Copy, Debug, Default)]
struct HistoryStanding {
    written: Option<u64>,
    up: Option<bool>,
    contradicted: bool,
}

/// Everything that is counted. Shared by all parts of one daemon.
pub struct Meters {
    started_at: Timestamp,
    spans: Option<Arc<Spans>>,
    leader_changes: IntCounter,
    entries: IntCounterVec,
    proposals: IntCounterVec,
    proposal_seconds: Histogram,
    violations: IntCounterVec,
    switch_changes: IntCounterVec,
    switch_requests: [IntCounter; 5],
    runs: IntCounterVec,
    rto: HistogramVec,
    detection: HistogramVec,
    steps: HistogramVec,
    drills: IntCounterVec,
    aws_calls: IntCounterVec,
    aws_seconds: HistogramVec,
    grpc: IntCounterVec,
    history: Mutex<HistoryStanding>,
    budgets: Mutex<Vec<Weak<dyn BudgetLevels>>>,
}

impl Meters {
    /// All at zero. What was agreed before `started_at` and is only read back does not count. Spans go to `spans`.
    #[must_use]
    pub fn new(started_at: Timestamp, spans: Option<Arc<Spans>>) -> Arc<Self> {
        let switch_requests = counter(&defined::SWITCH_REQUESTS);
        let meters = Self {
            started_at,
            spans,
            leader_changes: counter(&defined::LEADER_CHANGES).with_label_values::<&str>(&[]),
            entries: counter(&defined::ENTRIES),
            proposals: counter(&defined::PROPOSALS),
            proposal_seconds: histogram(&defined::PROPOSAL_SECONDS, &PROPOSAL_BUCKETS).with_label_values::<&str>(&[]),
            violations: counter(&defined::VIOLATIONS),
            switch_changes: counter(&defined::SWITCH_CHANGES),
            switch_requests: Answer::ALL.map(|answer| switch_requests.with_label_values(&[answer.word()])),
            runs: counter(&defined::RUNS),
            rto: histogram(&defined::RUN_RTO, &RECOVERY_BUCKETS),
            detection: histogram(&defined::RUN_DETECTION, &RECOVERY_BUCKETS),
            steps: histogram(&defined::STEP_SECONDS, &STEP_BUCKETS),
            drills: counter(&defined::DRILLS),
            aws_calls: counter(&defined::AWS_CALLS),
            aws_seconds: histogram(&defined::AWS_SECONDS, &CALL_BUCKETS),
            grpc: counter(&defined::GRPC_REQUESTS),
            history: Mutex::default(),
            budgets: Mutex::default(),
        };
        meters.begin_at_zero();
        Arc::new(meters)
    }

    /// A counter that appears with its first increment hides that increment from `increase()`.
    fn begin_at_zero(&self) {
        for outcome in ["accepted", "rejected"] {
            self.entries.with_label_values(&[outcome]);
        }
        for outcome in ["committed", "not_leader", "unknown", "fatal"] {
            self.proposals.with_label_values(&[outcome]);
        }
        for invariant in ["I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8"] {
            self.violations.with_label_values(&[invariant]);
        }
    }

    /// When the daemon started.
    #[must_use]
    pub const fn started_at(&self) -> Timestamp {
        self.started_at
    }

    /// Another daemon leads, or none does.
    pub fn leader_changed(&self) {
        self.leader_changes.inc();
    }

    /// An entry that this daemon proposed.
    pub fn proposed(&self, outcome: Result<(), &ProposeError>, took: Duration) {
        let word = match outcome {
            Ok(()) => "committed",
            Err(ProposeError::NotLeader { .. }) => "not_leader",
            Err(ProposeError::Unknown(_)) => "unknown",
            Err(ProposeError::Fatal(_)) => "fatal",
        };
        self.proposals.with_label_values(&[word]).inc();
        if outcome.is_ok() {
            self.proposal_seconds.observe(took.as_secs_f64());
        }
    }

    /// An invariant that did not hold.
    pub fn violated(&self, invariant: &str) {
        self.violations.with_label_values(&[invariant]).inc();
    }

    /// An entry that was applied here, with the states around it.
    pub fn applied(&self, before: &FleetState, entry: &Entry, applied: &Applied, after: &FleetState) {
        let outcome = if applied.result.is_ok() { "accepted" } else { "rejected" };
        self.entries.with_label_values(&[outcome]).inc();
        if entry.at < self.started_at {
            return;
        }
        for event in &applied.events {
            match event.kind {
                EventKind::StepOutcome => self.step_ended(event, after),
                EventKind::Finished => self.run_ended(event, after),
                EventKind::DrillFinished => self.drill_ended(event, after),
                _ => {}
            }
        }
        if applied.events.iter().any(|event| event.kind == EventKind::Switch) {
            self.switches_turned(before, after);
        }
    }

    fn step_ended(&self, event: &HistoryEvent, after: &FleetState) {
        let run = event.run.as_ref().and_then(|id| after.runs.get(id));
        let name = event.data.get("step").and_then(|name| name.as_str()).map(StepName::from);
        let Some((run, name)) = run.zip(name) else { return };
        let Some(step) = run.plan.step(&name) else { return };
        let progress = run.progress(&name);
        let outcome = match progress.state {
            StepState::Succeeded => "succeeded",
            StepState::Failed => "failed",
            StepState::Unknown => "unknown",
            StepState::Pending | StepState::Acting | StepState::Skipped => return,
        };
        if let Some(intent) = progress.intent {
            let took = seconds(event.at.since(intent.at));
            self.steps.with_label_values(&[step.kind.word(), outcome]).observe(took);
        }
    }

    fn run_ended(&self, event: &HistoryEvent, after: &FleetState) {
        let Some(run) = event.run.as_ref().and_then(|id| after.runs.get(id)) else { return };
        let trigger = run.trigger.word();
        self.runs.with_label_values(&[run.service.as_str(), trigger, run.state.word()]).inc();
        if let Some(rto_ms) = run.rto_ms() {
            self.rto.with_label_values(&[trigger]).observe(seconds(rto_ms));
        }
        if let Some(detect_ms) = run.detect_ms() {
            self.detection.with_label_values(&[trigger]).observe(seconds(detect_ms));
        }
    }

    fn drill_ended(&self, event: &HistoryEvent, after: &FleetState) {
        let Some(run) = event.drill.as_ref().and_then(|id| after.drill_runs.get(id)) else { return };
        if let Some(verdict) = run.verdict {
            self.drills.with_label_values(&[run.drill().as_str(), verdict.word()]).inc();
        }
    }

    fn switches_turned(&self, before: &FleetState, after: &FleetState) {
        for (group, switch) in &after.switches {
            for (region, bit) in &switch.bits {
                let was = before.switches.get(group).and_then(|switch| switch.bits.get(region));
                if was.is_some_and(|was| was.on != bit.on) {
                    self.switch_changes.with_label_values(&[group.as_str(), region.as_str()]).inc();
                }
            }
        }
    }

    /// A question to the switch listener.
    pub fn switch_answered(&self, answer: Answer) {
        let at = Answer::ALL.iter().position(|one| *one == answer);
        if let Some(counter) = at.and_then(|at| self.switch_requests.get(at)) {
            counter.inc();
        }
    }

    /// A call to AWS that ended; where a step of a run is being carried out, it becomes part of the run's trace.
    pub fn aws_called(&self, call: &CallSpan<'_>) {
        let CallSpan { service, operation, region, outcome, .. } = call;
        self.aws_calls.with_label_values(&[service, operation, region.as_str(), outcome.word()]).inc();
        if *outcome != CallOutcome::Budget {
            let kind = if call.acts { "action" } else { "read" };
            self.aws_seconds.with_label_values(&[service, kind]).observe(call.took.as_secs_f64());
        }
        if let Some((spans, parent)) = self.spans.as_ref().zip(current()) {
            spans.call(&parent, call);
        }
    }

    /// Where runs are traced to, if anywhere.
    #[must_use]
    pub fn spans(&self) -> Option<&Arc<Spans>> {
        self.spans.as_ref()
    }

    /// Budgets that are to be shown for as long as they are spent from.
    pub fn watch_budgets(&self, budgets: Weak<dyn BudgetLevels>) {
        self.budgets.lock().unwrap_or_else(PoisonError::into_inner).push(budgets);
    }

    /// A request over gRPC was answered.
    pub fn grpc_answered(&self, method: &str, code: &str) {
        self.grpc.with_label_values(&[method, code]).inc();
    }

    /// This Region's database holds everything up to that event.
    pub fn history_written(&self, seq: u64) {
        *self.history() = HistoryStanding { written: Some(seq), up: Some(true), contradicted: false };
    }

    /// It did not answer.
    pub fn history_away(&self) {
        self.history().up = Some(false);
    }

    /// It does not follow from what the fleet agreed.
    pub fn history_contradicted(&self) {
        let mut history = self.history();
        (history.up, history.contradicted) = (Some(true), true);
    }

    fn history(&self) -> std::sync::MutexGuard<'_, HistoryStanding> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything counted, of services, switches and drills those that there are.
    pub(super) fn show(&self, page: &mut Page, state: &FleetState) {
        page.put(&defined::START_TIME, &[], seconds(self.started_at.0));
        page.take(&defined::LEADER_CHANGES, self.leader_changes.collect());
        page.take(&defined::ENTRIES, self.entries.collect());
        page.take(&defined::PROPOSALS, self.proposals.collect());
        page.take(&defined::PROPOSAL_SECONDS, self.proposal_seconds.collect());
        page.take(&defined::VIOLATIONS, self.violations.collect());
        for counter in &self.switch_requests {
            page.take(&defined::SWITCH_REQUESTS, counter.collect());
        }
        page.take(&defined::RUN_RTO, self.rto.collect());
        page.take(&defined::RUN_DETECTION, self.detection.collect());
        page.take(&defined::STEP_SECONDS, self.steps.collect());
        page.take(&defined::AWS_CALLS, self.aws_calls.collect());
        page.take(&defined::AWS_SECONDS, self.aws_seconds.collect());
        page.take(&defined::GRPC_REQUESTS, self.grpc.collect());
        self.show_agreed(page, state);
        self.show_history(page, state);
        self.show_budgets(page);
    }

    fn show_agreed(&self, page: &mut Page, state: &FleetState) {
        for service in state.services.keys() {
            for trigger in ["automatic", "operator", "drill"] {
                for outcome in ["succeeded", "failed", "aborted"] {
                    let labels = [service.as_str(), trigger, outcome];
                    page.put(&defined::RUNS, &labels, count(self.runs.with_label_values(&labels).get()));
                }
            }
        }
        for (group, switch) in &state.switches {
            for region in switch.bits.keys() {
                let labels = [group.as_str(), region.as_str()];
                page.put(
                    &defined::SWITCH_CHANGES,
                    &labels,
                    count(self.switch_changes.with_label_values(&labels).get()),
                );
            }
        }
        for drill in state.drills.keys() {
            for verdict in super::scrape::VERDICTS {
                let labels = [drill.as_str(), verdict];
                page.put(&defined::DRILLS, &labels, count(self.drills.with_label_values(&labels).get()));
            }
        }
    }

    fn show_history(&self, page: &mut Page, state: &FleetState) {
        let history = *self.history();
        page.put(&defined::HISTORY_HEAD, &[], count(state.head.seq));
        let Some(up) = history.up else { return };
        page.flag(&defined::HISTORY_UP, &[], up);
        page.flag(&defined::HISTORY_CONTRADICTED, &[], history.contradicted);
        let written = history.written.unwrap_or(0);
        page.put(&defined::HISTORY_PENDING, &[], count(state.head.seq.saturating_sub(written)));
    }

    fn show_budgets(&self, page: &mut Page) {
        let mut budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        budgets.retain(|one| one.strong_count() > 0);
        for level in budgets.iter().filter_map(Weak::upgrade).flat_map(|one| one.levels()) {
            let labels = [level.service, level.region.as_str(), level.group, level.account.as_str()];
            page.put(&defined::BUDGET, &labels, level.tokens);
            page.put(&defined::BUDGET_CAPACITY, &labels, level.capacity);
        }
    }
}

#[expect(clippy::expect_used, reason = "names and labels are constants, and a test makes every one of them")]
fn counter(defined: &Defined) -> IntCounterVec {
    IntCounterVec::new(Opts::new(defined.name, defined.help), defined.labels).expect("a defined counter")
}

#[expect(clippy::expect_used, reason = "names, labels and buckets are constants, and a test makes every one of them")]
fn histogram(defined: &Defined, buckets: &[f64]) -> HistogramVec {
    let options = HistogramOpts::new(defined.name, defined.help).buckets(buckets.to_vec());
    HistogramVec::new(options, defined.labels).expect("a defined histogram")
}
