//! I7 seen from outside: every effect on AWS has an intent that was committed before it.

use super::Violation;
use crate::fleet::{EventKind, HistoryEvent};
use crate::time::Timestamp;

/// A mutating call that the outside world accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectSeen {
    /// When.
    pub at: Timestamp,
    /// For example `FailoverGlobalCluster`.
    pub operation: String,
    /// The word that a step's intent of this kind starts with (`promote`, `fence`), or `settle`.
    pub step_word: &'static str,
}

/// I7: no effect without an intent, and no more effects of a kind than intents of it.
#[must_use]
pub fn effects_have_intents(effects: &[EffectSeen], history: &[HistoryEvent]) -> Option<Violation> {
    for word in ["promote", "fence", "settle"] {
        let seen: Vec<&EffectSeen> = effects.iter().filter(|effect| effect.step_word == word).collect();
        let intents = history.iter().filter(|event| is_intent(event, word)).count();
        // One settlement intent covers a handful of calls; a step's intent covers exactly one.
        if (word == "settle" && intents == 0 && !seen.is_empty()) || (word != "settle" && seen.len() > intents) {
            let detail = format!("{} effects of kind {word}, but {intents} intents", seen.len());
            return Some(Violation::new("I7", detail));
        }
    }
    None
}

fn is_intent(event: &HistoryEvent, word: &str) -> bool {
    match event.kind {
        EventKind::SettleIntent => word == "settle",
        EventKind::StepIntent => event
            .data
            .get("step")
            .and_then(|step| step.as_str())
            .is_some_and(|step| step.starts_with(&format!("{word}/"))),
        _ => false,
    }
}
