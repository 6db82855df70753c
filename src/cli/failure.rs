//! How a command ends: an exit code, and when it failed what to say and what to do.

use tonic::{Code, Status};

use crate::api::error::{exit_of, read_status};

/// How a command ended that did what it was asked: usually 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome(pub u8);

impl Outcome {
    /// Done.
    pub const DONE: Self = Self(0);
    /// It failed.
    pub const FAILED: Self = Self(1);
    /// It was stopped.
    pub const ABORTED: Self = Self(6);
    /// A guard, or what is so already, said no.
    pub const REFUSED: Self = Self(3);
    /// Finished, but an objective was missed.
    pub const OBJECTIVE_MISSED: Self = Self(7);
    /// It goes on without us.
    pub const STILL_RUNNING: Self = Self(8);
}

/// Why a command did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Exit code.
    pub exit: u8,
    /// What went wrong.
    pub message: String,
    /// Everything wrong with the input.
    pub details: Vec<String>,
    /// What to do now.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure with that exit code.
    pub fn new(exit: u8, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), details: Vec::new(), hint: None }
    }

    /// Invalid input.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(2, message)
    }

    /// With what to do now.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A read that failed: whatever happened, nothing was changed.
    #[must_use]
    pub fn of_read(status: Status) -> Self {
        let (reason, violations) = read_status(&status);
        if reason.is_none() && std::error::Error::source(&status).is_some_and(is_turned_away) {
            return Self::new(4, "the daemon does not take this certificate").hint(WHO_ARE_YOU);
        }
        let exit = if reason.is_none() && is_lost(&status) { 1 } else { exit_of(&status) };
        let hint = (exit == 4).then(|| match status.code() {
            Code::Unauthenticated => WHO_ARE_YOU.to_owned(),
            _ => "have somebody do it who has that role, or get a certificate or token that gives it: docs/security.md"
                .to_owned(),
        });
        let message = match reason {
            Some(reason) => format!("{} ({reason})", status.message()),
            None => status.message().to_owned(),
        };
        let details = violations.into_iter().map(|violation| violation.description).collect();
        Self { exit, message, details, hint }
    }

    /// A change that failed: without an answer nobody knows whether it was made.
    #[must_use]
    pub fn of_change(status: Status) -> Self {
        let unanswered = read_status(&status).0.is_none() && is_lost(&status);
        let mut failure = Self::of_read(status);
        if unanswered {
            failure.exit = 5;
            failure.message = format!("no answer: nobody knows whether the change was made ({})", failure.message);
            failure.hint = Some("look with `failoverctl status` before doing it again".to_owned());
        }
        failure
    }
}

/// What to do for somebody whom nobody knows.
pub const WHO_ARE_YOU: &str = "say who you are: --tls-cert and --tls-key with a certificate of the fleet's authority, or \
                               --token-file; each is valid for a time only";

/// Whether the other end broke off the handshake because of who we are or are not.
pub fn is_turned_away(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let said = error.to_string();
        if ["CertificateRequired", "UnknownCA", "CertificateExpired", "BadCertificate", "AccessDenied"]
            .iter()
            .any(|alert| said.contains(&format!("received fatal alert: {alert}")))
        {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Whether the connection or the deadline ended the call, not the daemon's word.
fn is_lost(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::Cancelled | Code::DeadlineExceeded | Code::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::error::{ApiError, ErrorCode};

    #[test]
    fn a_lost_answer_to_a_change_is_unknown_and_to_a_read_a_failure() {
        assert_eq!(Failure::of_change(Status::unavailable("broken pipe")).exit, 5);
        assert_eq!(Failure::of_read(Status::unavailable("broken pipe")).exit, 1);
        assert_eq!(Failure::of_change(Status::cancelled("Timeout expired")).exit, 5);
    }

    #[test]
    fn a_daemons_own_word_decides_the_exit_code() {
        let exit = |code| Failure::of_change(ApiError::new(code, "x").into()).exit;
        assert_eq!(exit(ErrorCode::NoLeader), 1);
        assert_eq!(exit(ErrorCode::OutcomeUnknown), 5);
        assert_eq!(exit(ErrorCode::Refused), 3);
        assert_eq!(exit(ErrorCode::InvalidManifest), 2);
        assert_eq!(exit(ErrorCode::NotAllowed), 4);
    }
}
