//! One closed set of error codes, mapped once to gRPC and once to exit codes of the command line.
//!
//! Every error that leaves a daemon carries its code in `google.rpc.ErrorInfo.reason`. A refusal of the replicated
//! state passes its own code through; where it is not one of these it counts as [`ErrorCode::Refused`].

use failoverd_domain::fleet::Rejection;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// `ErrorInfo.domain` of every error.
pub const DOMAIN: &str = "failoverd.dev";

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident, $reason:literal, $grpc:ident, $exit:literal;)+) => {
        /// What went wrong, as scripts see it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum ErrorCode {
            $($(#[$doc])* $variant,)+
        }

        impl ErrorCode {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// `ErrorInfo.reason`.
            #[must_use]
            pub const fn reason(self) -> &'static str {
                match self { $(Self::$variant => $reason,)+ }
            }

            /// The gRPC status code.
            #[must_use]
            pub const fn grpc(self) -> Code {
                match self { $(Self::$variant => Code::$grpc,)+ }
            }

            /// The exit code of the command line.
            #[must_use]
            pub const fn exit(self) -> u8 {
                match self { $(Self::$variant => $exit,)+ }
            }
        }
    };
}

codes! {
    /// The request makes no sense.
    InvalidArgument, "INVALID_ARGUMENT", InvalidArgument, 2;
    /// At least one manifest is not valid; every problem is among the details.
    InvalidManifest, "INVALID_MANIFEST", InvalidArgument, 2;
    /// No service of that name is applied.
    UnknownService, "NO_SUCH_SERVICE", NotFound, 2;
    /// No such run, or it is only in the history by now.
    UnknownRun, "NO_SUCH_RUN", NotFound, 2;
    /// No drill of that name is applied.
    UnknownDrill, "NO_SUCH_DRILL", NotFound, 2;
    /// No such execution of a drill, or it is only in the history by now.
    UnknownDrillRun, "NO_SUCH_DRILL_RUN", NotFound, 2;
    /// No such Region in the fleet or service.
    UnknownRegion, "UNKNOWN_REGION", NotFound, 2;
    /// No hosted zone that can be reached holds the name.
    UnknownZone, "NO_SUCH_ZONE", NotFound, 2;
    /// AWS refused, or did not answer; its words are in the message.
    AwsAway, "AWS_AWAY", Unavailable, 1;
    /// No such step in the run.
    UnknownStep, "NO_SUCH_STEP", NotFound, 2;
    /// A guard or the replicated state said no.
    Refused, "REFUSED", FailedPrecondition, 3;
    /// Something that failoverd did not make stands where it would have to write; each by name among the details.
    InTheWay, "IN_THE_WAY", FailedPrecondition, 3;
    /// Route 53 would refuse records that the manifests want, each by name and in its words among the details.
    Route53Refuses, "ROUTE53_REFUSES", FailedPrecondition, 3;
    /// Too much of a zone would be deleted or replaced: the zone has to be named.
    ConfirmationNeeded, "CONFIRMATION_NEEDED", FailedPrecondition, 3;
    /// The caller did not say who it is.
    NotAuthenticated, "NOT_AUTHENTICATED", Unauthenticated, 4;
    /// The caller may not do this.
    NotAllowed, "NOT_ALLOWED", PermissionDenied, 4;
    /// A signed request opens nothing: too few, wrong or foreign signatures, or not for this moment.
    BreakGlassRefused, "BREAK_GLASS_REFUSED", PermissionDenied, 4;
    /// The caller asks too often; nothing was looked at.
    TooMany, "TOO_MANY_REQUESTS", ResourceExhausted, 1;
    /// Sent, but nobody knows whether it was committed: look before doing it again.
    OutcomeUnknown, "OUTCOME_UNKNOWN", Unknown, 5;
    /// No leader is known, or none can be reached; nothing was changed.
    NoLeader, "NO_LEADER", Unavailable, 1;
    /// This daemon's history database does not answer, or it keeps none.
    HistoryAway, "HISTORY_AWAY", Unavailable, 1;
    /// The history contradicts what the fleet agreed.
    HistoryContradicts, "HISTORY_CONTRADICTS", DataLoss, 1;
    /// The daemon's own log failed; it is about to stop.
    LogFailed, "LOG_FAILED", Internal, 1;
    /// A defect.
    Internal, "INTERNAL", Internal, 1;
}

impl ErrorCode {
    /// The code with that reason.
    #[must_use]
    pub fn from_reason(reason: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.reason() == reason)
    }
}

/// Something wrong in one place of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Where: file, line, path of the field.
    pub field: String,
    /// What is wrong.
    pub description: String,
}

/// An error on its way out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// What went wrong.
    pub code: ErrorCode,
    /// The word for scripts: the code's own, or a refusal's.
    pub reason: String,
    /// One sentence for people.
    pub message: String,
    /// Everything wrong with the input.
    pub violations: Vec<Violation>,
}

impl ApiError {
    /// An error with its code's own reason.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, reason: code.reason().to_owned(), message: message.into(), violations: Vec::new() }
    }

    /// No service of that name.
    #[must_use]
    pub fn unknown_service(name: &str) -> Self {
        Self::new(ErrorCode::UnknownService, format!("no service named \"{name}\" is applied"))
    }

    /// No drill of that name.
    #[must_use]
    pub fn unknown_drill(name: &str) -> Self {
        Self::new(ErrorCode::UnknownDrill, format!("no drill named \"{name}\" is applied"))
    }

    /// No such execution.
    #[must_use]
    pub fn unknown_drill_run(id: &str) -> Self {
        Self::new(
            ErrorCode::UnknownDrillRun,
            format!(
                "no execution \"{id}\" among the open and newest ones, and no drill of that name; older executions are \
                 in `failoverctl history --drill {id}`"
            ),
        )
    }

    /// No such run.
    #[must_use]
    pub fn unknown_run(id: &str) -> Self {
        Self::new(
            ErrorCode::UnknownRun,
            format!("no run \"{id}\" among the open and newest ones; older runs are in `failoverctl history`"),
        )
    }
}

impl From<Rejection> for ApiError {
    fn from(rejection: Rejection) -> Self {
        let code = ErrorCode::from_reason(&rejection.code).unwrap_or(ErrorCode::Refused);
        Self { code, reason: rejection.code, message: rejection.reason, violations: Vec::new() }
    }
}

impl From<ApiError> for Status {
    fn from(error: ApiError) -> Self {
        let mut details = ErrorDetails::new();
        details.set_error_info(&error.reason, DOMAIN, std::collections::HashMap::<String, String>::new());
        for violation in &error.violations {
            details.add_bad_request_violation(&violation.field, &violation.description);
        }
        Self::with_error_details(error.code.grpc(), error.message, details)
    }
}

/// What a caller should know of a status: its reason and everything wrong with the input.
#[must_use]
pub fn read_status(status: &Status) -> (Option<String>, Vec<Violation>) {
    let reason = status.get_details_error_info().map(|info| info.reason);
    let violations = status.get_details_bad_request().map_or_else(Vec::new, |bad| {
        bad.field_violations
            .into_iter()
            .map(|violation| Violation { field: violation.field, description: violation.description })
            .collect()
    });
    (reason, violations)
}

/// The exit code that a failed call deserves. A change whose deadline passed may have been committed.
#[must_use]
pub fn exit_of(status: &Status) -> u8 {
    if let Some(code) = read_status(status).0.and_then(|reason| ErrorCode::from_reason(&reason)) {
        return code.exit();
    }
    match status.code() {
        Code::InvalidArgument | Code::NotFound | Code::OutOfRange | Code::ResourceExhausted => 2,
        Code::FailedPrecondition => 3,
        Code::Unauthenticated | Code::PermissionDenied => 4,
        Code::Unknown => 5,
        Code::Cancelled | Code::Aborted => 6,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_keeps_its_word_and_exits_with_3() {
        let rejection = Rejection { code: "STALE_EPOCH".to_owned(), reason: "epoch 3 is over".to_owned() };
        let status = Status::from(ApiError::from(rejection));
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert_eq!(read_status(&status).0.as_deref(), Some("STALE_EPOCH"));
        assert_eq!(exit_of(&status), 3);
    }

    #[test]
    fn a_refusal_with_a_known_word_gets_that_codes_status() {
        let rejection = Rejection { code: "NO_SUCH_SERVICE".to_owned(), reason: "no such service".to_owned() };
        let status = Status::from(ApiError::from(rejection));
        assert_eq!((status.code(), exit_of(&status)), (Code::NotFound, 2));
    }

    #[test]
    fn every_problem_of_the_input_survives_the_wire() {
        let mut error = ApiError::new(ErrorCode::InvalidManifest, "2 problems");
        for n in 1..=2 {
            error.violations.push(Violation { field: format!("a.yaml:{n}"), description: "wrong".to_owned() });
        }
        let (reason, violations) = read_status(&Status::from(error));
        assert_eq!(reason.as_deref(), Some("INVALID_MANIFEST"));
        assert_eq!(violations.len(), 2);
        assert_eq!(violations[1].field, "a.yaml:2");
    }

    #[test]
    fn reasons_are_unique() {
        let mut reasons: Vec<_> = ErrorCode::ALL.iter().map(|code| code.reason()).collect();
        reasons.sort_unstable();
        reasons.dedup();
        assert_eq!(reasons.len(), ErrorCode::ALL.len());
    }
}
