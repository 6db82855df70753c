//! Instants, enums and the words that users see for them.

use failoverd_domain as domain;
use failoverd_domain::time::Timestamp;

use crate::api::proto;

/// An instant.
#[must_use]
pub fn time(at: Timestamp) -> prost_types::Timestamp {
    let at_ms = i64::try_from(at.0).unwrap_or(i64::MAX);
    let nanos = i32::try_from(at_ms % 1000).unwrap_or(0) * 1_000_000;
    prost_types::Timestamp { seconds: at_ms / 1000, nanos }
}

/// The word of a proto enum's value: `RUN_STATE_AWAITING_APPROVAL` of `RUN_STATE` is `awaiting-approval`.
#[must_use]
pub fn word(name: &str, of: &str) -> String {
    let bare = name.strip_prefix(of).and_then(|rest| rest.strip_prefix('_')).unwrap_or(name);
    bare.to_ascii_lowercase().replace('_', "-")
}

/// A mode.
#[must_use]
pub const fn mode(mode: domain::plan::Mode) -> proto::Mode {
    match mode {
        domain::plan::Mode::Graceful => proto::Mode::Graceful,
        domain::plan::Mode::Forced => proto::Mode::Forced,
    }
}

/// The mode that a request asks for, if it asks for one.
#[must_use]
pub const fn mode_asked(mode: proto::Mode) -> Option<domain::plan::Mode> {
    match mode {
        proto::Mode::Unspecified => None,
        proto::Mode::Graceful => Some(domain::plan::Mode::Graceful),
        proto::Mode::Forced => Some(domain::plan::Mode::Forced),
    }
}

/// What kind of move it is.
#[must_use]
pub const fn movement(movement: domain::plan::Movement) -> proto::Movement {
    match movement {
        domain::plan::Movement::Failover => proto::Movement::Unspecified,
        domain::plan::Movement::Evacuate => proto::Movement::Evacuate,
        domain::plan::Movement::Restore => proto::Movement::Restore,
    }
}

/// What kind of move a request asks for.
#[must_use]
pub const fn movement_asked(movement: proto::Movement) -> domain::plan::Movement {
    match movement {
        proto::Movement::Unspecified => domain::plan::Movement::Failover,
        proto::Movement::Evacuate => domain::plan::Movement::Evacuate,
        proto::Movement::Restore => domain::plan::Movement::Restore,
    }
}

pub(super) const fn pattern(pattern: domain::service::Pattern) -> proto::Pattern {
    match pattern {
        domain::service::Pattern::ActivePassive => proto::Pattern::ActivePassive,
        domain::service::Pattern::ActiveActive => proto::Pattern::ActiveActive,
    }
}

pub(super) const fn diagnosis(diagnosis: domain::health::Diagnosis) -> proto::Diagnosis {
    use domain::health::Diagnosis as D;
    match diagnosis {
        D::Healthy => proto::Diagnosis::Healthy,
        D::Degraded => proto::Diagnosis::Degraded,
        D::ServiceDown => proto::Diagnosis::ServiceDown,
        D::RegionDown => proto::Diagnosis::RegionDown,
        D::ControlPlaneOnly => proto::Diagnosis::ControlPlaneOnly,
        D::ObserverIsolated => proto::Diagnosis::ObserverIsolated,
        D::Unknown => proto::Diagnosis::Unknown,
    }
}

pub(super) const fn status(status: domain::health::Status) -> proto::HealthStatus {
    match status {
        domain::health::Status::Good => proto::HealthStatus::Good,
        domain::health::Status::Bad => proto::HealthStatus::Bad,
        domain::health::Status::Unknown => proto::HealthStatus::Unknown,
    }
}

pub(super) const fn vote(vote: domain::health::Vote) -> proto::Vote {
    match vote {
        domain::health::Vote::On => proto::Vote::On,
        domain::health::Vote::Off => proto::Vote::Off,
        domain::health::Vote::Silent => proto::Vote::Silent,
    }
}

pub(super) const fn switch_state(on: bool) -> proto::SwitchState {
    if on { proto::SwitchState::On } else { proto::SwitchState::Off }
}

pub(super) const fn role(role: domain::fleet::Role) -> proto::FleetRole {
    match role {
        domain::fleet::Role::Member => proto::FleetRole::Member,
        domain::fleet::Role::Witness => proto::FleetRole::Witness,
    }
}

pub(super) const fn phase(phase: domain::fleet::ServicePhase) -> proto::Phase {
    use domain::fleet::ServicePhase as P;
    match phase {
        P::Steady => proto::Phase::Steady,
        P::FailingOver => proto::Phase::FailingOver,
        P::Unsettled => proto::Phase::Unsettled,
        P::Returning => proto::Phase::Returning,
        P::Attention => proto::Phase::Attention,
    }
}

pub(super) const fn severity(severity: domain::fleet::Severity) -> proto::Severity {
    match severity {
        domain::fleet::Severity::Blocks => proto::Severity::Blocks,
        domain::fleet::Severity::NeedsApproval => proto::Severity::NeedsApproval,
        domain::fleet::Severity::Informs => proto::Severity::Informs,
    }
}

pub(super) const fn trigger(trigger: domain::fleet::Trigger) -> proto::Trigger {
    match trigger {
        domain::fleet::Trigger::Automatic => proto::Trigger::Automatic,
        domain::fleet::Trigger::Operator => proto::Trigger::Operator,
        domain::fleet::Trigger::Drill => proto::Trigger::Drill,
    }
}

pub(super) const fn run_state(state: domain::fleet::RunState) -> proto::RunState {
    use domain::fleet::RunState as S;
    match state {
        S::AwaitingApproval => proto::RunState::AwaitingApproval,
        S::Announced => proto::RunState::Announced,
        S::Running => proto::RunState::Running,
        S::Paused => proto::RunState::Paused,
        S::Succeeded => proto::RunState::Succeeded,
        S::Failed => proto::RunState::Failed,
        S::Aborted => proto::RunState::Aborted,
    }
}

pub(super) const fn step_state(state: domain::fleet::StepState) -> proto::StepState {
    use domain::fleet::StepState as S;
    match state {
        S::Pending => proto::StepState::Pending,
        S::Acting => proto::StepState::Acting,
        S::Unknown => proto::StepState::Unknown,
        S::Succeeded => proto::StepState::Succeeded,
        S::Failed => proto::StepState::Failed,
        S::Skipped => proto::StepState::Skipped,
    }
}

pub(super) const fn plane(plane: domain::plan::Plane) -> proto::Plane {
    match plane {
        domain::plan::Plane::Data => proto::Plane::Data,
        domain::plan::Plane::Control => proto::Plane::Control,
    }
}

pub(super) const fn undo(undo: domain::plan::Undo) -> proto::Undo {
    match undo {
        domain::plan::Undo::Nothing => proto::Undo::Nothing,
        domain::plan::Undo::PutBack => proto::Undo::PutBack,
        domain::plan::Undo::Irreversible => proto::Undo::Irreversible,
    }
}

pub(super) const fn loss_unit(unit: domain::data::loss::LossUnit) -> proto::LossUnit {
    match unit {
        domain::data::loss::LossUnit::Ms => proto::LossUnit::Ms,
    }
}

/// The word that serde gives a unit variant, so that the manifest's words are written down once.
pub(super) fn serde_word(value: impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_interface() {
        assert_eq!(word(proto::RunState::AwaitingApproval.as_str_name(), "RUN_STATE"), "awaiting-approval");
        assert_eq!(word(proto::Diagnosis::ControlPlaneOnly.as_str_name(), "DIAGNOSIS"), "control-plane-only");
        assert_eq!(word(proto::LossUnit::Ms.as_str_name(), "LOSS_UNIT"), "ms");
    }

    #[test]
    fn proto_and_domain_use_the_same_words() {
        use domain::fleet::RunState as S;
        for state in [S::AwaitingApproval, S::Announced, S::Running, S::Paused, S::Succeeded, S::Failed, S::Aborted] {
            assert_eq!(word(run_state(state).as_str_name(), "RUN_STATE"), serde_word(state));
        }
        use domain::health::Diagnosis as D;
        for seen in [D::Healthy, D::Degraded, D::ServiceDown, D::RegionDown, D::ObserverIsolated, D::Unknown] {
            assert_eq!(word(diagnosis(seen).as_str_name(), "DIAGNOSIS"), seen.word());
        }
    }

    #[test]
    fn an_instant_keeps_its_milliseconds() {
        let at = time(Timestamp(1_764_000_000_123));
        assert_eq!((at.seconds, at.nanos), (1_764_000_000, 123_000_000));
    }

    #[test]
    fn a_mode_goes_there_and_back() {
        for asked in [domain::plan::Mode::Graceful, domain::plan::Mode::Forced] {
            assert_eq!(mode_asked(mode(asked)), Some(asked));
        }
        assert_eq!(mode_asked(proto::Mode::Unspecified), None);
    }
}
