//! Counts what is answered over gRPC.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tonic::Code;
use tower_layer::Layer;
use tower_service::Service;

use crate::telemetry::Meters;

/// Where our own services begin; health and reflection are not counted.
const OURS: &str = "/failoverd.v1.";

/// Puts [`Counted`] around a service.
#[derive(Clone)]
pub(super) struct CountedLayer(pub(super) Arc<Meters>);

impl<S> Layer<S> for CountedLayer {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted { inner, meters: self.0.clone() }
    }
}

/// A service whose answers are counted by method and code. An answer with a body counts as good when it begins: what ends
/// a stream early is not an answer.
#[derive(Clone)]
pub(super) struct Counted<S> {
    inner: S,
    meters: Arc<Meters>,
}

impl<S, B, R> Service<http::Request<B>> for Counted<S>
where
    S: Service<http::Request<B>, Response = http::Response<R>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let method = request.uri().path().strip_prefix(OURS).map(str::to_owned);
        let meters = self.meters.clone();
        let answering = self.inner.call(request);
        Box::pin(async move {
            let answer = answering.await?;
            if let Some(method) = method {
                let code =
                    answer.headers().get("grpc-status").map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()));
                // Whoever makes names up must not make series.
                let method = if code == Code::Unimplemented { "unknown" } else { method.as_str() };
                meters.grpc_answered(method, word(code));
            }
            Ok(answer)
        })
    }
}

const fn word(code: Code) -> &'static str {
    match code {
        Code::Ok => "ok",
        Code::Cancelled => "cancelled",
        Code::Unknown => "unknown",
        Code::InvalidArgument => "invalid_argument",
        Code::DeadlineExceeded => "deadline_exceeded",
        Code::NotFound => "not_found",
        Code::AlreadyExists => "already_exists",
        Code::PermissionDenied => "permission_denied",
        Code::ResourceExhausted => "resource_exhausted",
        Code::FailedPrecondition => "failed_precondition",
        Code::Aborted => "aborted",
        Code::OutOfRange => "out_of_range",
        Code::Unimplemented => "unimplemented",
        Code::Internal => "internal",
        Code::Unavailable => "unavailable",
        Code::DataLoss => "data_loss",
        Code::Unauthenticated => "unauthenticated",
    }
}
