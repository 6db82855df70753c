//! What happens to a call before and after the service does what it was asked: faults.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::header::DATE;
use axum::response::Response;
use failoverd_domain::ids::Region;
use percent_encoding::percent_decode_str;
use tokio::time::sleep;

use super::answer::{self, Protocol};
use super::api::{Api, Operation};
use super::request::{Scope, WireRequest, pairs};
use crate::sim::world::{Gate, ROUTE53_REGION, Refusal, SimulatedAws};

/// Largest body that is taken.
const MOST_BYTES: usize = 8 * 1024 * 1024;
/// How long a silent service holds a connection.
const SILENCE: Duration = Duration::from_secs(60);

/// One request, from its first byte to its answer, or to none.
pub(super) async fn pass(aws: &SimulatedAws, request: Request) -> Response {
    let request_id = next_id();
    let request = match read(request).await {
        Ok(request) => request,
        Err((protocol, refusal)) => return answer::refusal(protocol, &refusal, &request_id),
    };
    let protocol = request.api.protocol(&request);
    let answered = match request.api.operation(&request) {
        Ok(operation) => call(aws, &request, operation).await,
        Err(refusal) => Outcome::Refused(refusal),
    };
    let mut response = match answered {
        Outcome::Answered(answer) => answer.into_response(protocol, &request_id),
        Outcome::Refused(refusal) => answer::refusal(protocol, &refusal, &request_id),
        Outcome::Lost => return broken_off(),
    };
    let now = aws.with(|world| world.now()).to_utc().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    if let Ok(now) = now.try_into() {
        response.headers_mut().insert(DATE, now);
    }
    response
}

enum Outcome {
    Answered(answer::Answer),
    Refused(Refusal),
    /// The connection ends and nothing was said.
    Lost,
}

async fn call(aws: &SimulatedAws, request: &WireRequest, operation: Operation) -> Outcome {
    let api = request.api;
    let region = match api {
        Api::Route53 | Api::Iam => Region::from(ROUTE53_REGION),
        _ => request.region.clone(),
    };
    let caller = request.caller();
    let gate =
        || aws.with(|world| world.faults.gate(caller.as_ref(), api.service(), &region, operation.plane, &world.timing));
    match gate() {
        Gate::Open { latency_ms } => sleep(Duration::from_millis(latency_ms)).await,
        Gate::Refused(refusal) => return Outcome::Refused(refusal),
        Gate::Silent => {
            sleep(SILENCE).await;
            return Outcome::Lost;
        }
    }
    if let Some(refusal) = out_of_time(aws, request) {
        return Outcome::Refused(refusal);
    }
    if let Some(refusal) = denied(aws, request, caller.as_ref(), operation) {
        return Outcome::Refused(refusal);
    }
    aws.with(|world| {
        let acted = api.act(world, request, operation);
        let lost = operation.mutates && acted.is_ok() && world.faults.takes_answer(api.service(), &region);
        match acted {
            _ if lost => Outcome::Lost,
            Ok(answer) => Outcome::Answered(answer),
            Err(refusal) => Outcome::Refused(refusal),
        }
    })
}

/// Whether it was signed too far from the world's own time
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html>; a quarter of an hour for S3,
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>).
fn out_of_time(aws: &SimulatedAws, request: &WireRequest) -> Option<Refusal> {
    let signed = request.signed_at()?;
    let now = aws.with(|world| world.now());
    let (code, minutes) = match request.api {
        Api::S3 => ("RequestTimeTooSkewed", 15),
        Api::Rds | Api::Sts | Api::Iam => ("SignatureDoesNotMatch", 5),
        Api::Route53 | Api::Dynamodb | Api::Cloudwatch => ("InvalidSignatureException", 5),
    };
    let what = if signed < now { "Signature expired" } else { "Signature not yet current" };
    (signed.0.abs_diff(now.0) > minutes * 60_000).then(|| {
        let (signed, now) = (signed.rfc3339(), now.rfc3339());
        Refusal::new(code, format!("{what}: {signed} is more than {minutes} min. off {now}"))
    })
}

/// Whether the caller's role lacks the action.
fn denied(aws: &SimulatedAws, request: &WireRequest, caller: Option<&Region>, operation: Operation) -> Option<Refusal> {
    let prefix = match request.api {
        Api::Cloudwatch => "cloudwatch",
        other => other.service().name(),
    };
    let action = format!("{prefix}:{}", iam_name(operation.name));
    let is_denied = aws.with(|world| caller.is_some_and(|caller| world.faults.denies(caller, &action)));
    let code = if request.api == Api::Dynamodb { "AccessDeniedException" } else { "AccessDenied" };
    is_denied.then(|| Refusal::new(code, format!("User is not authorized to perform: {action}")))
}

/// Some operations of S3 have other names in policies.
fn iam_name(operation: &str) -> &str {
    match operation {
        "GetBucketReplication" => "GetReplicationConfiguration",
        "PutBucketReplication" => "PutReplicationConfiguration",
        "ListObjectsV2" | "ListObjects" | "HeadBucket" => "ListBucket",
        "ListBuckets" => "ListAllMyBuckets",
        "ListObjectVersions" => "ListBucketVersions",
        "DeleteObjects" => "DeleteObject",
        "DeleteBucketReplication" => "PutReplicationConfiguration",
        "HeadObject" => "GetObject",
        other => other,
    }
}

async fn read(request: Request) -> Result<WireRequest, (Protocol, Refusal)> {
    let (parts, body) = request.into_parts();
    let query = pairs(parts.uri.query().unwrap_or_default());
    let scope = Scope::of(&parts.headers, &query);
    let Some(scope) = scope else {
        let refusal = Refusal::new("MissingAuthenticationToken", "Request is missing Authentication Token");
        return Err((Protocol::Query, refusal));
    };
    let Some(api) = Api::signed_as(&scope.service) else {
        let message = format!("The simulated AWS has no service {}.", scope.service);
        return Err((Protocol::Query, Refusal::new("InvalidAction", message)));
    };
    let read = to_bytes(body, MOST_BYTES).await;
    let request = WireRequest {
        method: parts.method,
        path: percent_decode_str(parts.uri.path()).decode_utf8_lossy().into_owned(),
        query,
        headers: parts.headers,
        body: Bytes::new(),
        api,
        region: scope.region,
        access_key: scope.access_key,
    };
    match read {
        Ok(body) => Ok(WireRequest { body, ..request }),
        Err(_) => {
            let protocol = api.protocol(&request);
            Err((protocol, Refusal::new("RequestEntityTooLarge", "The body is too large, or did not come whole.")))
        }
    }
}

/// An answer that ends before it begins: the client sees its connection closed.
fn broken_off() -> Response {
    let broken =
        futures_util::stream::once(std::future::ready(Err::<Bytes, _>(io::Error::other("the answer is lost"))));
    Response::new(Body::from_stream(broken))
}

fn next_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("00000000-0000-4000-8000-{:012x}", NEXT.fetch_add(1, Ordering::Relaxed))
}
