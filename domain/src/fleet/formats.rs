//! Which format the fleet writes: the one that every daemon reads, agreed, and never an older one again.
//!
//! `apply` is a function of the state and the entry, in every build: one that would make something else of an old entry
//! does so only from its own format on, by `FleetState::format`.

use super::apply::Rejection;
use super::command::{Command, Decision, Entry};
use super::guard::Guard;
use super::restored;
use super::settings;
use super::state::FleetState;
use crate::format::Format;
use crate::health::Matrix;

impl Command {
    /// The oldest format whose readers understand it whole. A command or a field that is new belongs here, or a daemon
    /// that is upgraded later cannot read the log.
    #[must_use]
    pub fn since(&self) -> Format {
        match self {
            Self::Agree { .. } | Self::Enlist { .. } | Self::Dismiss { .. } => settings::SINCE,
            Self::Confirm { .. } => restored::SINCE,
            Self::Decide(decision) if decision.is_of_settings() => settings::SINCE,
            Self::Form { .. }
            | Self::Advertise { .. }
            | Self::Apply { .. }
            | Self::Delete { .. }
            | Self::DeleteDrill { .. }
            | Self::Decide(_)
            | Self::Start { .. }
            | Self::Approve { .. }
            | Self::Abort { .. }
            | Self::Intent { .. }
            | Self::Outcome { .. }
            | Self::Retry { .. }
            | Self::Skip { .. }
            | Self::Widen { .. }
            | Self::SetSwitch { .. }
            | Self::Receipt { .. }
            | Self::SettleIntent { .. }
            | Self::Settled { .. }
            | Self::LostWrites { .. }
            | Self::OpenDrill { .. }
            | Self::MissDrill { .. }
            | Self::ApproveDrill { .. }
            | Self::CancelDrill { .. }
            | Self::AdvanceDrill { .. }
            | Self::AskReturn { .. }
            | Self::ForgetReturn { .. }
            | Self::Record { .. }
            | Self::Told { .. }
            | Self::Pause { .. }
            | Self::Resume { .. }
            | Self::Violation { .. }
            | Self::RaiseFormat { .. } => Format::FIRST,
        }
    }
}

impl Decision {
    /// Whether it says what only a fleet that has agreed on settings can mean.
    fn is_of_settings(&self) -> bool {
        self.glass.is_some() || self.guards.iter().any(|verdict| verdict.guard == Guard::Velocity)
    }
}

impl FleetState {
    /// Whether an entry may be written now. Asked before it goes into the log, where daemons that cannot read it would
    /// meet it, and again when it is applied.
    ///
    /// # Errors
    /// `FORMAT_NOT_AGREED`: some daemon may not be able to read it yet.
    pub fn may_be_written(&self, entry: &Entry) -> Result<(), Rejection> {
        self.writes(entry.format.max(entry.command.since()))
    }

    /// Whether the fleet writes a format already.
    ///
    /// # Errors
    /// As [`Self::may_be_written`].
    pub fn writes(&self, needed: Format) -> Result<(), Rejection> {
        if needed <= self.format {
            return Ok(());
        }
        let reason = format!(
            "this needs format {needed}, and the fleet writes format {} until every daemon has been upgraded \
             (`failoverctl get regions` shows which one was not)",
            self.format
        );
        Err(Rejection::new("FORMAT_NOT_AGREED", reason))
    }

    /// The newest format that every daemon reads, as far as known: one that is silent counts with what it said last, and
    /// one that was never heard reads the first only.
    #[must_use]
    pub fn read_by_all(&self, matrix: &Matrix) -> Format {
        let reads = |region| matrix.of(region).map_or(Format::FIRST, |received| received.report.build.reads);
        self.members.keys().map(reads).min().unwrap_or_default()
    }
}

/// What the leader should propose once every daemon reads a newer format than the fleet writes.
pub(super) fn raise(state: &FleetState, matrix: &Matrix) -> Option<Command> {
    let format = state.read_by_all(matrix);
    (format > state.format).then_some(Command::RaiseFormat { format })
}
