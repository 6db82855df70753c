//! I1–I9: what must never happen, each as a function of its own.
//!
//! Simulations call them after every event and the running daemon after every entry it applies. They deliberately
//! judge from the entries and the state alone and share no code with guards or `apply`: a fault there must not hide
//! itself here.

mod answers;
mod choices;
mod decisions;
mod effects;
mod journal;
#[cfg(test)]
mod tests;

pub use answers::{AnswerWatch, answer_follows_entries};
pub use effects::{EffectSeen, effects_have_intents};

use crate::fleet::{Applied, Entry, EventHead, FleetState};

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{id} does not hold: {detail}")]
pub struct Violation {
    /// `I1` … `I9`.
    pub id: &'static str,
    /// What was seen.
    pub detail: String,
}

impl Violation {
    fn new(id: &'static str, detail: impl Into<String>) -> Self {
        Self { id, detail: detail.into() }
    }
}

/// One entry's application, seen from outside.
pub struct Transition<'a> {
    /// The state before.
    pub before: &'a FleetState,
    /// The entry.
    pub entry: &'a Entry,
    /// What came of it.
    pub applied: &'a Applied,
    /// The state after.
    pub after: &'a FleetState,
}

/// Judges one applied entry by I1 to I8.
#[must_use]
pub fn judge(transition: &Transition<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    let checks: [fn(&Transition<'_>) -> Option<Violation>; 8] = [
        choices::promotion_is_fenced_or_consented,
        choices::one_choice_an_epoch,
        decisions::automatic_needs_proof,
        choices::somewhere_serves,
        decisions::forced_needs_only_the_living,
        decisions::loss_is_within_budget,
        journal::intent_before_outcome_and_verdict_at_end,
        journal::history_is_chained,
    ];
    for check in checks {
        violations.extend(check(transition));
    }
    violations
}

/// I8 for a stored history: every event once, in order, unchanged, up to `head`.
#[must_use]
pub fn history_is_whole(events: &[crate::fleet::HistoryEvent], head: &EventHead) -> Option<Violation> {
    match crate::fleet::verify_chain(&EventHead::default(), events) {
        Err(broken) => Some(Violation::new("I8", broken)),
        Ok(end) if &end != head => {
            Some(Violation::new("I8", format!("history ends at event {}, the fleet agreed on {}", end.seq, head.seq)))
        }
        Ok(_) => None,
    }
}
