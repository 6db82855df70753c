//! What came of a simulation, in words.

use std::collections::BTreeSet;

use failoverd_domain::data::loss::Loss;
use failoverd_domain::fleet::{EventKind, GuardVerdict, HistoryEvent, Run, RunState, Severity, Trigger};
use failoverd_domain::ids::Region;
use failoverd_domain::service::{Endpoint, OnDoubt, Pattern};
use failoverd_domain::time::Timestamp;

use super::stage::Stage;
use crate::ports::Rehearsed;
use crate::sim::world::Resolution;

/// Most lines that are told.
const MOST_TOLD: usize = 60;
/// Most characters of a line.
const LONGEST_LINE: usize = 300;

/// How it ended.
pub(super) struct Ended {
    pub(super) lost_at: Timestamp,
    /// The run that left the lost Region, if any.
    pub(super) run: Option<Run>,
    /// What the guards say in the end.
    pub(super) guards: Vec<GuardVerdict>,
}

/// A simulation that did not come so far.
pub(super) fn failed(reason: String, told: Vec<String>) -> Rehearsed {
    Rehearsed { passed: false, sentence: reason, rto_ms: None, told: bounded(told) }
}

impl Ended {
    pub(super) fn rehearsed(&self, stage: &Stage<'_>) -> Rehearsed {
        let mut told = stage.copied.told.clone();
        told.push(format!("+0.0 s {} is lost", stage.copied.home));
        stage.judge.with_events(|events| told.extend(events.iter().filter_map(|event| self.line(event))));
        let rto_ms = self.run.as_ref().and_then(|run| run.verified_at).map(|at| at.since(self.lost_at));
        if let Some(run) = &self.run {
            told.extend(steps(run));
            told.extend(run.loss.iter().map(|loss| format!("at stake: {}", loss.sentence())));
        }
        let answers = answers(stage);
        told.extend(answers.iter().map(|(name, region)| match region {
            Some(region) => format!("{name} is answered from {region}"),
            None => format!("{name} has no answer"),
        }));
        let violations = stage.judge.violations();
        told.extend(violations.iter().map(|violation| format!("violated: {violation}")));
        let trouble = self.trouble(stage, rto_ms, &answers, &violations);
        if self.run.as_ref().is_none_or(|run| run.state != RunState::Succeeded) {
            told.extend(self.refusals().map(|no| format!("{} says no: {}", no.guard.word(), no.reason)));
        }
        let sentence = trouble.clone().unwrap_or_else(|| self.success(stage, rto_ms.unwrap_or_default()));
        Rehearsed { passed: trouble.is_none(), sentence, rto_ms, told: bounded(told) }
    }

    /// One line for an event after the loss that is about the move.
    fn line(&self, event: &HistoryEvent) -> Option<String> {
        let is_of_move = matches!(
            event.kind,
            EventKind::Decided
                | EventKind::Approved
                | EventKind::Started
                | EventKind::Switch
                | EventKind::AbortAsked
                | EventKind::Finished
                | EventKind::Receipt
        );
        let after_ms = event.at.since(self.lost_at);
        (is_of_move && event.at >= self.lost_at).then(|| format!("+{} {}", seconds(after_ms), event.message))
    }

    fn refusals(&self) -> impl Iterator<Item = &GuardVerdict> {
        self.guards.iter().filter(|guard| !guard.ok && guard.severity != Severity::Informs)
    }

    /// Why it did not pass, if so.
    fn trouble(
        &self,
        stage: &Stage<'_>,
        rto_ms: Option<u64>,
        answers: &[(String, Option<Region>)],
        violations: &[String],
    ) -> Option<String> {
        let (spec, home) = (&stage.copied.spec, &stage.copied.home);
        if let Some(violation) = violations.first() {
            return Some(format!("an invariant did not hold: {violation}"));
        }
        let Some(run) = &self.run else { return Some(self.stayed(stage)) };
        if run.state != RunState::Succeeded {
            let why = run.verdict.clone().or_else(|| failed_step(run)).unwrap_or_else(|| "it did not end".to_owned());
            return Some(format!("with {home} lost, run {} is {}: {why}", run.id, run.state.word()));
        }
        let still = answers.iter().find(|(_, region)| region.as_ref().is_none_or(|region| region == home));
        if let Some((name, _)) = still {
            return Some(format!("with {home} lost, {name} is not answered from another Region"));
        }
        let Some(took) = rto_ms else { return Some("no RTO could be measured".to_owned()) };
        if took > spec.objectives.rto_ms {
            let most = seconds(spec.objectives.rto_ms);
            return Some(format!("{} moved, but in {}, over its RTO of {most}", spec.name, seconds(took)));
        }
        let over = |loss: &&Loss| loss.bound.is_none_or(|bound| bound > spec.objectives.rpo_ms);
        let doubt = run.loss.iter().find(over).filter(|_| spec.policy.loss_over_budget != OnDoubt::Proceed);
        doubt.map(|loss| {
            let most = seconds(spec.objectives.rpo_ms);
            format!("{} moved after an approval: {} at stake, its RPO is {most}", spec.name, loss.sentence())
        })
    }

    /// Why nothing moved.
    fn stayed(&self, stage: &Stage<'_>) -> String {
        let (name, home) = (stage.name(), &stage.copied.home);
        if !stage.is_led() {
            return format!("with {home} lost, nobody leads the fleet: no majority of its daemons is left");
        }
        let mut refusals = self.refusals().map(|no| format!("{}: {}", no.guard.word(), no.reason));
        let why = refusals.next().unwrap_or_else(|| "no guard says why".to_owned());
        format!("with {home} lost, {name} does not move: {why}")
    }

    fn success(&self, stage: &Stage<'_>, rto_ms: u64) -> String {
        let copied = &stage.copied;
        let how = match self.run.as_ref().map(|run| run.trigger) {
            Some(Trigger::Operator) => " after a person asked for it",
            _ if self.was_approved(stage) => " after an approval",
            _ => " by itself",
        };
        let verb = match copied.spec.pattern {
            Pattern::ActivePassive => format!("moves to {}", copied.away),
            Pattern::ActiveActive => format!("leaves it and is served from {}", others(stage)),
        };
        format!("with {} lost, {} {verb}{how}, verified after {}", copied.home, copied.spec.name, seconds(rto_ms))
    }

    fn was_approved(&self, stage: &Stage<'_>) -> bool {
        let of_run = |event: &HistoryEvent| {
            event.kind == EventKind::Approved && event.run.as_ref() == self.run.as_ref().map(|run| &run.id)
        };
        stage.judge.with_events(|events| events.iter().any(of_run))
    }
}

/// Regions that serve now.
fn others(stage: &Stage<'_>) -> String {
    let state = stage.state();
    let serving = state.services.get(stage.name()).map(|service| state.serving(service));
    let names: Vec<&str> = serving.iter().flatten().map(|region| region.as_str()).collect();
    names.join(", ")
}

fn steps(run: &Run) -> Vec<String> {
    let line = |step: &failoverd_domain::plan::Step| {
        let progress = run.progress(&step.name);
        let took = progress.started_at.zip(progress.finished_at).map(|(from, to)| seconds(to.since(from)));
        let took = took.map(|took| format!(" in {took}")).unwrap_or_default();
        let note = progress.note.map(|note| format!(": {note}")).unwrap_or_default();
        format!("step {}: {}{took}{note}", step.name, progress.state.word())
    };
    run.plan.steps.iter().map(line).collect()
}

fn failed_step(run: &Run) -> Option<String> {
    run.steps.iter().find_map(|(step, progress)| {
        let note = progress.note.as_ref().filter(|_| progress.finished_at.is_some())?;
        (progress.state == failoverd_domain::fleet::StepState::Failed).then(|| format!("step {step}: {note}"))
    })
}

/// The Region that each public name is answered from, whoever asks first.
fn answers(stage: &Stage<'_>) -> Vec<(String, Option<Region>)> {
    let mut told = BTreeSet::new();
    let records = stage.copied.spec.traffic.records.iter().filter(|record| told.insert(record.name.clone()));
    let answered = |record: &failoverd_domain::service::PublicRecord| {
        let found = stage.aws.with(|world| world.resolve(&record.name, record.record_type, None));
        let Resolution::Found(_, answer) = found else { return None };
        let mut targets = record.targets.iter();
        let hit = targets.find(|(_, target)| match &target.endpoint {
            Endpoint::Values(values) => *values == answer.values,
            Endpoint::Alias(alias) => answer.alias.as_ref().is_some_and(|found| found.dns_name == alias.dns_name),
        });
        hit.map(|(region, _)| region.clone())
    };
    records.map(|record| (record.name.clone(), answered(record))).collect()
}

fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1_000, ms % 1_000 / 100)
}

/// Short lines, and not many: the beginning and the end.
fn bounded(mut told: Vec<String>) -> Vec<String> {
    if told.len() > MOST_TOLD {
        let left_out = told.len() - (MOST_TOLD - 1);
        let from = MOST_TOLD / 2;
        told.splice(from..from + left_out, [format!("… {left_out} lines left out")]);
    }
    told.into_iter().map(|line| line.chars().take(LONGEST_LINE).collect()).collect()
}
