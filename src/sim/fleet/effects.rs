//! I7 from outside: every call that AWS accepted has an intent that was committed before it.

use std::collections::{BTreeMap, BTreeSet};

use failoverd_domain::fleet::{EventKind, FleetState, HistoryEvent, StepState};
use failoverd_domain::ids::{LogIndex, RunId, StepName};
use failoverd_domain::invariant::{EffectSeen, effects_have_intents};
use failoverd_domain::plan::{Step, StepKind};
use failoverd_domain::service::{Fence, Store, StoreKind};

use super::judge::Judge;
use crate::sim::world::{EffectRecord, SimulatedAws};

/// Looks at every accepted call once.
#[derive(Default)]
pub(super) struct EffectExam {
    seen: usize,
    effects: Vec<EffectSeen>,
    /// Fences on record that were looked for.
    fences: BTreeSet<(RunId, StepName)>,
    /// By fence: whose records, and the index of the newest intent that wrote them.
    newest_marks: BTreeMap<String, u64>,
}

impl EffectExam {
    pub(super) fn look(&mut self, judge: &Judge, aws: &SimulatedAws) {
        self.fences_stand(judge, aws);
        let new = aws.effects_from(self.seen);
        if new.is_empty() {
            return;
        }
        self.seen += new.len();
        for effect in &new {
            judge.tell(format!("effect: {} in {}: {}", effect.operation, effect.region, brief(&effect.arguments)));
            let seen = effect_seen(effect);
            if seen.as_ref().is_some_and(|seen| seen.step_word == "promote") {
                judge.tally(|tally| tally.figures.promoted += 1);
            }
            self.effects.extend(seen);
            if effect.operation == "ChangeResourceRecordSets" {
                self.mark_is_an_intent(judge, effect);
            }
        }
        judge.count(1);
        if let Some(violation) = judge.with_events(|events| effects_have_intents(&self.effects, events)) {
            judge.blame(violation.to_string());
        }
    }

    /// The other way round, where it matters most: a fence that is on record as done was asked of AWS, and AWS took it.
    fn fences_stand(&mut self, judge: &Judge, aws: &SimulatedAws) {
        let state = judge.newest();
        let done = state.runs.values().flat_map(|run| {
            let is_done = |step: &&Step| run.progress(&step.name).state == StepState::Succeeded;
            let fences = run.plan.steps.iter().filter(|step| matches!(step.kind, StepKind::Fence { .. }));
            fences.filter(is_done).map(|step| (run.id.clone(), step))
        });
        for (run, step) in done {
            if !self.fences.insert((run.clone(), step.name.clone())) {
                continue;
            }
            judge.count(1);
            if !aws.effects_from(0).iter().any(|effect| effect.region == step.region && fences(effect, &state, step)) {
                let Step { name, region, .. } = step;
                judge.blame(format!("I7 does not hold: run {run} says {name} is done, but {region} never took it"));
            }
        }
    }

    /// Every batch of record changes leaves the log index of its own intent in the fence, and indexes only rise.
    fn mark_is_an_intent(&mut self, judge: &Judge, effect: &EffectRecord) {
        judge.count(1);
        let marks = marks(&effect.arguments);
        if marks.is_empty() {
            judge.blame(format!("I7 does not hold: records were changed without a mark: {}", effect.arguments));
        }
        for (fence, index) in marks {
            let is_intent =
                |event: &HistoryEvent| event.kind == EventKind::SettleIntent && event.index == LogIndex(index);
            if !judge.with_events(|events| events.iter().any(is_intent)) {
                judge.blame(format!("I7 does not hold: records were changed under {index}, which is no intent"));
            }
            let newest = self.newest_marks.entry(fence.to_owned()).or_default();
            if index < *newest {
                judge.blame(format!("I2 does not hold: intent {index} wrote at {fence} after intent {newest}"));
            }
            *newest = index.max(*newest);
        }
    }
}

/// The fences that a batch of record changes creates, with the index in each.
#[must_use]
pub fn marks(arguments: &str) -> Vec<(&str, u64)> {
    let mark = |created: &'_ str| {
        let (_, digits) = created.split_once("index=")?;
        digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    };
    let created = arguments.split("; ").filter_map(|change| {
        let (_, created) = change.split_once("CREATE _failoverd.")?;
        Some((created.split(' ').next()?, mark(created)?))
    });
    created.collect()
}

/// Whether an accepted call keeps the writer out that a step is to keep out.
fn fences(effect: &EffectRecord, state: &FleetState, step: &Step) -> bool {
    let StepKind::Fence { store } = &step.kind else { return false };
    let mut stores = state.services.values().filter_map(|service| service.spec.store(store));
    let Some(Store { kind, fence: Some(Fence::SecurityGroup(groups)), .. }) = stores.next() else { return false };
    match (kind, groups.get(&step.region)) {
        (StoreKind::Rds { instances, .. }, Some(group)) => {
            let change = instances.get(&step.region).map(|instance| format!("{instance} groups {group}"));
            effect.operation == "ModifyDBInstance" && change.is_some_and(|change| effect.arguments == change)
        }
        _ => effect.operation == "ModifyDBCluster" && effect.arguments.starts_with("fence"),
    }
}

/// What an accepted call was for, as I7 counts it; `None` where no intent is due.
///
/// Letting a copy write again belongs to the promotion or the settlement around it. An instance is kept from writing by a
/// step, and later by settlement: calls that change one are counted with the latter. The alarm of a switch follows from
/// the manifest, which is agreed, and changes no answer by itself: every daemon makes its own, whoever leads.
#[must_use]
pub fn effect_seen(effect: &EffectRecord) -> Option<EffectSeen> {
    let step_word = match effect.operation {
        "FailoverGlobalCluster" | "SwitchoverGlobalCluster" | "PromoteReadReplica" => "promote",
        "ModifyDBCluster" if effect.arguments.starts_with("fence") => "fence",
        "ModifyDBCluster" | "PutMetricAlarm" => return None,
        _ => "settle",
    };
    Some(EffectSeen { at: effect.at, operation: effect.operation.to_owned(), step_word })
}

fn brief(arguments: &str) -> &str {
    arguments.get(..arguments.len().min(160)).unwrap_or(arguments)
}
