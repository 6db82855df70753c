//! I7 and I8: intent before effect, verdict at the end, and a history without gaps.

use super::{Transition, Violation};
use crate::fleet::{Command, EventHead, verify_chain};

/// I7: an outcome has its intent, and a closed run its verdict.
pub(super) fn intent_before_outcome_and_verdict_at_end(seen: &Transition<'_>) -> Option<Violation> {
    if let Command::Outcome { run, step, attempt, .. } = &seen.entry.command
        && seen.applied.result.is_ok()
    {
        let before = seen.before.runs.get(run).and_then(|run| run.steps.get(step));
        if before.is_none_or(|progress| progress.intent.is_none() || progress.attempts != *attempt) {
            return Some(Violation::new("I7", format!("{step} of run {run} has an outcome but no intent")));
        }
    }
    let silent = seen
        .after
        .runs
        .values()
        .find(|run| run.state.is_closed() && (run.verdict.is_none() || run.finished_at.is_none()))?;
    Some(Violation::new("I7", format!("run {} ended without a verdict", silent.id)))
}

/// I8: every accepted entry's events follow the chain, and a changed state has an event that says so.
pub(super) fn history_is_chained(seen: &Transition<'_>) -> Option<Violation> {
    let before: &EventHead = &seen.before.head;
    match verify_chain(before, &seen.applied.events) {
        Err(broken) => Some(Violation::new("I8", broken)),
        Ok(end) if end != seen.after.head => Some(Violation::new("I8", "events and head disagree".to_owned())),
        Ok(_) if matters(&seen.entry.command) && seen.applied.result.is_ok() && seen.applied.events.is_empty() => {
            Some(Violation::new("I8", format!("entry {} was accepted and left no event", seen.applied.index)))
        }
        Ok(_) => None,
    }
}

/// Commands whose acceptance must always leave an event.
fn matters(command: &Command) -> bool {
    matches!(
        command,
        Command::Decide(_)
            | Command::Start { .. }
            | Command::Approve { .. }
            | Command::Abort { .. }
            | Command::Intent { .. }
            | Command::Outcome { .. }
            | Command::Widen { .. }
            | Command::SetSwitch { .. }
    )
}
