//! Answers, and errors in the shape of each protocol.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use ciborium::Value as Cbor;
use serde_json::json;

use super::xml::Xml;
use crate::sim::world::Refusal;

/// How a service speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// REST with XML bodies, errors wrapped (Route 53).
    RestXml,
    /// REST with XML bodies, errors bare (S3).
    S3,
    /// Forms in, XML out (RDS, STS, IAM).
    Query,
    /// AWS JSON 1.0 (DynamoDB; CloudWatch for some clients).
    Json,
    /// Smithy's RPC v2 in CBOR (CloudWatch).
    Cbor,
}

/// What is answered when all goes well.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    /// Headers whose names callers chose.
    pub(super) kept: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn ok(content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status: 200,
            headers: vec![("content-type", content_type.to_owned())],
            body: body.into(),
            ..Self::default()
        }
    }

    pub(super) fn xml(document: Xml) -> Self {
        Self::ok("text/xml", document.into_document())
    }

    pub(super) fn json(value: &serde_json::Value) -> Self {
        Self::ok("application/x-amz-json-1.0", value.to_string())
    }

    /// No body at all.
    pub(super) fn empty(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub(super) fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    pub(super) fn with(mut self, header: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((header, value.into()));
        self
    }

    pub(super) fn with_named(mut self, header: &str, value: &str) -> Self {
        self.kept.push((header.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn into_response(self, protocol: Protocol, request_id: &str) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let own = match protocol {
            Protocol::S3 => ("x-amz-request-id", request_id.to_owned()),
            _ => ("x-amzn-requestid", request_id.to_owned()),
        };
        for (name, value) in self.headers.into_iter().chain([own]) {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
        for (name, value) in self.kept {
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(&value)) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

/// A no, in the protocol's shape.
pub(super) fn refusal(protocol: Protocol, refusal: &Refusal, request_id: &str) -> Response {
    let code = match (protocol, refusal.code) {
        // DynamoDB has a name of its own for it.
        (Protocol::Json, "ExpiredToken") => "ExpiredTokenException",
        (_, code) => code,
    };
    let message = refusal.message.as_str();
    let answer = match protocol {
        Protocol::RestXml => {
            Answer::xml(wrapped("https://route53.amazonaws.com/doc/2013-04-01/", code, message, request_id))
        }
        Protocol::Query => Answer::xml(wrapped("http://query.amazonaws.com/doc/", code, message, request_id)),
        Protocol::S3 => Answer::ok(
            "application/xml",
            Xml::new("Error").text("Code", code).text("Message", message).text("RequestId", request_id).into_document(),
        ),
        Protocol::Json => Answer::json(&json!({ "__type": format!("com.amazonaws#{code}"), "message": message })),
        Protocol::Cbor => {
            let text = |text: &str| Cbor::Text(text.to_owned());
            let fields =
                vec![(text("__type"), text(&format!("com.amazonaws#{code}"))), (text("message"), text(message))];
            cbor(&Cbor::Map(fields)).with("x-amzn-query-error", format!("{code};Sender"))
        }
    };
    let status = match (protocol, code) {
        // S3's table of errors differs here from everybody else's.
        (Protocol::S3, "ExpiredToken") => 400,
        (_, code) => status_of(code),
    };
    answer.with_status(status).into_response(protocol, request_id)
}

fn wrapped(namespace: &str, code: &str, message: &str, request_id: &str) -> Xml {
    let error = Xml::new("Error").text("Type", "Sender").text("Code", code).text("Message", message);
    Xml::new("ErrorResponse").attribute("xmlns", namespace).child(error).text("RequestId", request_id)
}

pub(super) fn cbor(value: &Cbor) -> Answer {
    let mut body = Vec::new();
    // Writing to memory cannot fail.
    let _ = ciborium::into_writer(value, &mut body);
    Answer::ok("application/cbor", body).with("smithy-protocol", "rpc-v2-cbor")
}

/// As AWS's service models say; 400 where they say nothing.
fn status_of(code: &str) -> u16 {
    match code {
        "SlowDown" | "ServiceUnavailable" => 503,
        "InternalFailure" | "InternalError" | "InternalServerError" => 500,
        "NotImplemented" => 501,
        "MethodNotAllowed" => 405,
        "PermanentRedirect" => 301,
        "PreconditionFailed" => 412,
        "SignatureDoesNotMatch"
        | "RequestTimeTooSkewed"
        | "ExpiredToken"
        | "AccessDenied"
        | "MissingAuthenticationToken"
        | "UnrecognizedClientException" => 403,
        "BucketAlreadyOwnedByYou"
        | "BucketAlreadyExists"
        | "BucketNotEmpty"
        | "InvalidBucketState"
        | "HealthCheckAlreadyExists"
        | "HealthCheckVersionMismatch"
        | "HostedZoneAlreadyExists"
        | "ConflictingDomainExists" => 409,
        "ReplicationConfigurationNotFoundError" => 404,
        "ExpiredTokenException" | "ResourceNotFoundException" => 400,
        code if code.starts_with("NoSuch") || code.ends_with("NotFound") || code.ends_with("NotFoundFault") => 404,
        _ => 400,
    }
}

/// An operation that is not served here.
pub(super) fn unknown_operation(name: &str) -> Refusal {
    Refusal::new("InvalidAction", format!("The simulated AWS does not serve {name}."))
}

/// A request whose form is wrong.
pub(super) fn malformed(what: impl std::fmt::Display) -> Refusal {
    Refusal::new("ValidationError", format!("The request cannot be read: {what}."))
}
