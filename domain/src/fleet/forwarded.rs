//! What a daemon may ask the leader to propose for it: what people type at it, and what it says of itself.
//!
//! Everything else (decisions of its own, intents, outcomes, settlement, receipts) is the leader's, by what the leader
//! sees. A peer that asks for such a thing is wrong, whoever it is.

use super::command::{Actor, Command, Entry};
use super::run::Trigger;

/// Names of people are not longer.
const LONGEST_NAME: usize = 256;

impl Entry {
    /// Whether a daemon may have this proposed by another one.
    ///
    /// # Errors
    /// Why not.
    pub fn may_be_forwarded(&self) -> Result<(), String> {
        match &self.actor {
            Actor::Operator(name) if name.is_empty() || name.len() > LONGEST_NAME => {
                Err("nobody has such a name".to_owned())
            }
            // Whose it is, the signatures say: whoever applies it verifies them.
            Actor::BreakGlass(names) if names.len() <= LONGEST_NAME && self.command.is_signed() => Ok(()),
            Actor::Operator(_) if self.command.is_a_persons() => Ok(()),
            Actor::Daemon(region) if self.command.is_of_daemon(region.as_str()) => Ok(()),
            actor => Err(format!("{actor} does not ask others for that: it is the leader's to propose")),
        }
    }
}

impl Command {
    fn is_a_persons(&self) -> bool {
        match self {
            Self::Decide(decision) => decision.trigger == Trigger::Operator && decision.glass.is_none(),
            Self::SetSwitch { run, .. } => run.is_none(),
            Self::OpenDrill { scheduled_for, .. } => scheduled_for.is_none(),
            Self::Apply { .. }
            | Self::Delete { .. }
            | Self::DeleteDrill { .. }
            | Self::Start { .. }
            | Self::Approve { .. }
            | Self::Abort { .. }
            | Self::Retry { .. }
            | Self::Skip { .. }
            | Self::ApproveDrill { .. }
            | Self::CancelDrill { .. }
            | Self::AskReturn { .. }
            | Self::ForgetReturn { .. }
            | Self::Pause { .. }
            | Self::Resume { .. }
            | Self::Confirm { .. } => true,
            Self::Form { .. }
            | Self::Advertise { .. }
            | Self::Intent { .. }
            | Self::Outcome { .. }
            | Self::Widen { .. }
            | Self::Receipt { .. }
            | Self::SettleIntent { .. }
            | Self::Settled { .. }
            | Self::LostWrites { .. }
            | Self::MissDrill { .. }
            | Self::AdvanceDrill { .. }
            | Self::Record { .. }
            | Self::Told { .. }
            | Self::Violation { .. }
            | Self::RaiseFormat { .. }
            | Self::Agree { .. }
            // By whoever leads, who has looked before whether the fleet can go on with it.
            | Self::Enlist { .. }
            | Self::Dismiss { .. } => false,
        }
    }

    fn is_signed(&self) -> bool {
        matches!(self, Self::Decide(decision) if decision.trigger == Trigger::Operator && decision.glass.is_some())
    }

    /// What a daemon says of itself before it leads.
    fn is_of_daemon(&self, me: &str) -> bool {
        match self {
            Self::Form { members, .. } => members.contains_key(me),
            Self::Advertise { region, .. } => region.as_str() == me,
            _ => false,
        }
    }
}
