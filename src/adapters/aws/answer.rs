//! What an answer of AWS, or its absence, means: refused or not, worth trying again or not, with what effect.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::{ConnectorError, SdkError};
use aws_smithy_types::error::display::DisplayErrorContext;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::budget::Kind;
use crate::ports::Effect;
use crate::telemetry::CallOutcome;

/// Codes that say: too much at once. Certainly without effect.
const THROTTLED: [&str; 12] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "ProvisionedThroughputExceededException",
    "BandwidthLimitExceeded",
    "SlowDown",
    "EC2ThrottledException",
    "PriorRequestNotComplete",
];

/// Codes that pass: something else is under way. Certainly without effect.
const PASSES: [&str; 15] = [
    "ResourceInUseException",
    "LimitExceededException",
    "ConcurrentModification",
    "InvalidGlobalClusterStateFault",
    "InvalidDBClusterStateFault",
    "InvalidDBInstanceState",
    "InvalidDBInstanceStateFault",
    "InvalidDBInstance",
    "OperationAborted",
    "ConditionalRequestConflict",
    "ReplicatedWriteConflictException",
    "TransactionInProgressException",
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestExpired",
];

/// Codes of credentials that are over: the next renewal mends them.
const EXPIRED: [&str; 3] = ["ExpiredToken", "ExpiredTokenException", "RequestExpired"];
/// Codes of a permission that is missing.
const DENIED: [&str; 5] =
    ["AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized", "AuthorizationError"];

/// Our own codes for what came without an answer.
const NO_ANSWER: [&str; 5] = ["NotSent", "Timeout", "Unreachable", "UnreadableAnswer", "Unknown"];

/// An answer, sorted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sorted {
    pub(super) code: String,
    pub(super) message: String,
    pub(super) effect: Effect,
    pub(super) throttled: bool,
}

impl Sorted {
    /// The same in a word, for whoever counts.
    pub(super) fn outcome(&self) -> CallOutcome {
        match self.effect {
            _ if self.throttled => CallOutcome::Throttled,
            _ if DENIED.contains(&self.code.as_str()) || EXPIRED.contains(&self.code.as_str()) => CallOutcome::Denied,
            Effect::Unknown => CallOutcome::Unanswered,
            _ if NO_ANSWER.contains(&self.code.as_str()) => CallOutcome::Unanswered,
            Effect::NoneRetryable | Effect::None => CallOutcome::Refused,
        }
    }
}

/// Sorts what came instead of an answer, or an answer that says no.
pub(super) fn sort<E>(error: &SdkError<E, HttpResponse>, kind: Kind) -> Sorted
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let lost = if kind == Kind::Action { Effect::Unknown } else { Effect::NoneRetryable };
    let sorted =
        |code: &str, message: String, effect| Sorted { code: code.to_owned(), message, effect, throttled: false };
    match error {
        // Nothing was sent; most of these are credentials that could not be had.
        SdkError::ConstructionFailure(_) => {
            sorted("NotSent", format!("{}", DisplayErrorContext(error)), Effect::NoneRetryable)
        }
        SdkError::TimeoutError(_) => sorted("Timeout", "no answer in time".to_owned(), lost),
        SdkError::DispatchFailure(failure) => {
            let source = failure.as_connector_error();
            if source.is_some_and(was_never_sent) {
                let why = source.map_or_else(String::new, innermost);
                return sorted("Unreachable", why, Effect::NoneRetryable);
            }
            if failure.is_timeout() {
                return sorted("Timeout", "no answer in time".to_owned(), lost);
            }
            sorted("Unreachable", source.map_or_else(|| "the call broke off".to_owned(), innermost), lost)
        }
        SdkError::ResponseError(_) => sorted("UnreadableAnswer", format!("{}", DisplayErrorContext(error)), lost),
        SdkError::ServiceError(service) => {
            let meta = service.err().meta();
            let status = service.raw().status().as_u16();
            let code = meta.code().map_or_else(|| format!("HTTP{status}"), str::to_owned);
            let message = meta.message().unwrap_or("no words came with it").to_owned();
            said_no(code, message, status, kind)
        }
        _ => sorted("Unknown", format!("{}", DisplayErrorContext(error)), lost),
    }
}

fn said_no(code: String, message: String, status: u16, kind: Kind) -> Sorted {
    let throttled = THROTTLED.contains(&code.as_str());
    let effect = match status {
        _ if throttled || PASSES.contains(&code.as_str()) => Effect::NoneRetryable,
        // A server's own trouble: for a change nobody knows how far it came.
        500.. if kind == Kind::Action => Effect::Unknown,
        500.. => Effect::NoneRetryable,
        _ => Effect::None,
    };
    let message = if EXPIRED.contains(&code.as_str()) {
        format!("{message}: the credentials are over; whatever renews them (IRSA, Pod Identity) should have done so")
    } else if DENIED.contains(&code.as_str()) {
        format!("{message}: allow it in the daemon's policy (`failoverctl iam-policy` prints the whole)")
    } else {
        message
    };
    Sorted { code, message, effect, throttled }
}

/// Whether the request certainly never left: the connection was not made.
fn was_never_sent(error: &ConnectorError) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(at) = source {
        if let Some(io) = at.downcast_ref::<std::io::Error>()
            && matches!(
                io.kind(),
                std::io::ErrorKind::ConnectionRefused
                    | std::io::ErrorKind::HostUnreachable
                    | std::io::ErrorKind::NetworkUnreachable
                    | std::io::ErrorKind::AddrNotAvailable
            )
        {
            return true;
        }
        let text = at.to_string();
        // The SDK's own words for what ended before there was a connection.
        if text.contains("HTTP connect timeout") || text.contains("dns error") || text.contains("failed to lookup") {
            return true;
        }
        source = at.source();
    }
    false
}

/// The cause that says most.
fn innermost(error: &ConnectorError) -> String {
    let mut at: &(dyn std::error::Error + 'static) = error;
    while let Some(source) = at.source() {
        at = source;
    }
    at.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_no_is_certain_and_a_servers_trouble_is_not() {
        let effect = |code: &str, status, kind| said_no(code.to_owned(), String::new(), status, kind).effect;
        assert_eq!(effect("DBClusterNotFoundFault", 404, Kind::Action), Effect::None);
        assert_eq!(effect("InvalidChangeBatch", 400, Kind::Action), Effect::None);
        assert_eq!(effect("Throttling", 400, Kind::Action), Effect::NoneRetryable);
        assert_eq!(effect("SlowDown", 503, Kind::Action), Effect::NoneRetryable);
        assert_eq!(effect("PriorRequestNotComplete", 400, Kind::Action), Effect::NoneRetryable);
        assert_eq!(effect("ResourceInUseException", 400, Kind::Action), Effect::NoneRetryable);
        assert_eq!(effect("InternalFailure", 500, Kind::Action), Effect::Unknown);
        assert_eq!(effect("InternalFailure", 500, Kind::Read), Effect::NoneRetryable);
        assert_eq!(effect("ExpiredToken", 403, Kind::Action), Effect::NoneRetryable);
    }

    #[test]
    fn a_missing_permission_says_what_to_do() {
        let denied = said_no("AccessDenied".to_owned(), "not authorized".to_owned(), 403, Kind::Read);
        assert_eq!(denied.effect, Effect::None);
        assert!(denied.message.contains("failoverctl iam-policy"), "{}", denied.message);
    }
}
