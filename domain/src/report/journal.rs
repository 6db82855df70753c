//! A run, as its events have it.

use std::collections::BTreeMap;

use super::model::AttemptSeen;
use super::reading::{field, in_order, of_kind, word};
use crate::data::loss::Loss;
use crate::fleet::{
    Actor, Basis, Consent, EventKind, GuardVerdict, HistoryEvent, Intent, Run, RunState, StepState, Trigger,
};
use crate::health::Finding;
use crate::ids::{Epoch, RunId, StepName};
use crate::plan::{Plan, StepKind};
use crate::time::Timestamp;

/// A run made up from its events, and what the fleet itself keeps elsewhere or not at all.
pub struct Journal {
    pub run: Run,
    pub basis: Option<Basis>,
    /// Every attempt at every step.
    pub tries: BTreeMap<StepName, Vec<AttemptSeen>>,
    /// The bounds as they were said before the decision.
    pub quoted: Vec<Loss>,
    pub switched_at: Option<Timestamp>,
}

/// The decision is what everything else is about: without it there is no run to speak of.
pub fn journal_of(id: &RunId, events: &[HistoryEvent]) -> Option<Journal> {
    let events: Vec<HistoryEvent> = events.iter().filter(|event| event.run.as_ref() == Some(id)).cloned().collect();
    let events = in_order(&events);
    let decided = of_kind(&events, EventKind::Decided).next()?;
    let mut journal = decision(id, decided)?;
    for event in &events {
        journal.take(event);
    }
    Some(journal)
}

fn decision(id: &RunId, event: &HistoryEvent) -> Option<Journal> {
    let plan: Plan = field(event, "plan")?;
    let quoted: Vec<Loss> = field(event, "loss").unwrap_or_default();
    let run = Run {
        id: id.clone(),
        service: plan.service.clone(),
        trigger: field(event, "trigger").unwrap_or(Trigger::Operator),
        actor: actor(&event.actor),
        reason: field(event, "reason").unwrap_or_else(|| reason_of(&event.message)),
        evidence: field::<Vec<Finding>>(event, "evidence").unwrap_or_default(),
        guards: field::<Vec<GuardVerdict>>(event, "guards").unwrap_or_default(),
        state: field(event, "state").unwrap_or(RunState::Announced),
        epoch: None,
        decided_index: event.index,
        breach_at: field(event, "breach_at"),
        decided_at: event.at,
        valid_until: field(event, "valid_until").unwrap_or(event.at),
        announce_until: field(event, "announce_until"),
        unfenced_consent: field::<Consent>(event, "unfenced_consent"),
        started_at: None,
        resumed_at: None,
        finished_at: None,
        verified_at: None,
        loss: quoted.clone(),
        steps: BTreeMap::new(),
        abort: None,
        verdict: None,
        drill: event.drill.clone(),
        recorded: false,
        plan,
    };
    Some(Journal { run, basis: field(event, "basis"), tries: BTreeMap::new(), quoted, switched_at: None })
}

/// Events written before decisions carried their reason have it in the sentence.
fn reason_of(message: &str) -> String {
    message.split_once(" decided: ").map_or(message, |(_, reason)| reason).to_owned()
}

fn actor(text: &str) -> Actor {
    match text.split_once(':') {
        Some(("daemon", region)) => Actor::Daemon(region.into()),
        Some(("operator", name)) => Actor::Operator(name.to_owned()),
        Some(("break-glass", names)) => Actor::BreakGlass(names.to_owned()),
        _ => Actor::Operator(text.to_owned()),
    }
}

impl Journal {
    fn take(&mut self, event: &HistoryEvent) {
        match event.kind {
            EventKind::Started => {
                self.run.started_at = Some(event.at);
                self.run.epoch = field::<Epoch>(event, "epoch");
                self.run.state = RunState::Running;
            }
            EventKind::StepIntent => self.intent(event),
            EventKind::StepOutcome => self.outcome(event),
            EventKind::Switch => {
                self.switched_at.get_or_insert(event.at);
            }
            EventKind::AbortAsked => self.run.abort = Some(after_colon(&event.message)),
            EventKind::Receipt => {
                for loss in field::<Vec<Loss>>(event, "loss").unwrap_or_default() {
                    match self.run.loss.iter_mut().find(|held| held.store == loss.store) {
                        Some(held) => *held = Loss { bound: held.bound, ..loss },
                        None => self.run.loss.push(loss),
                    }
                }
            }
            EventKind::Finished => {
                self.run.finished_at = Some(event.at);
                if let Some(state) = field(event, "state") {
                    self.run.state = state;
                }
                self.run.verdict = Some(after_colon(&event.message));
            }
            _ => {}
        }
    }

    fn intent(&mut self, event: &HistoryEvent) {
        let (Some(step), Some(attempt)) = (field::<StepName>(event, "step"), field::<u32>(event, "attempt")) else {
            return;
        };
        if let Some(consent) = field::<Consent>(event, "consent") {
            self.run.unfenced_consent = Some(consent);
        }
        let progress = self.run.steps.entry(step.clone()).or_default();
        progress.attempts = attempt;
        progress.state = StepState::Acting;
        progress.started_at.get_or_insert(event.at);
        progress.intent = Some(Intent { index: event.index, at: event.at, by: actor(&event.actor) });
        self.tries.entry(step).or_default().push(AttemptSeen {
            attempt,
            by: event.actor.clone(),
            began_at: event.at.into(),
            ended_at: None,
            state: word(StepState::Acting),
            note: None,
            seq: event.seq,
        });
    }

    fn outcome(&mut self, event: &HistoryEvent) {
        // Before skipped steps were named in the data, only the sentence said so.
        let skipped = || event.message.strip_suffix(" skipped").map(StepName::from);
        let Some(step) = field::<StepName>(event, "step").or_else(skipped) else { return };
        let state = field(event, "state").unwrap_or(StepState::Skipped);
        let note = field::<String>(event, "note").unwrap_or_else(|| after_colon(&event.message));
        let progress = self.run.steps.entry(step.clone()).or_default();
        progress.state = state;
        progress.finished_at = Some(event.at);
        progress.note = Some(note.clone());
        if let Some(seen) = field(event, "answers") {
            progress.seen = seen;
        }
        let kind = self.run.plan.step(&step).map(|step| &step.kind);
        if state == StepState::Succeeded && matches!(kind, Some(StepKind::VerifyAnswer)) {
            self.run.verified_at = Some(event.at);
        }
        let attempt = field::<u32>(event, "attempt");
        let tries = self.tries.entry(step).or_default();
        if let Some(held) = tries.iter_mut().find(|held| Some(held.attempt) == attempt) {
            held.ended_at = Some(event.at.into());
            held.state = word(state);
            held.note = Some(note);
        }
    }
}

/// What follows the first `: `, or everything.
fn after_colon(message: &str) -> String {
    message.split_once(": ").map_or(message, |(_, rest)| rest).to_owned()
}
