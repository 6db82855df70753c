//! The ops listener: for those who run the daemon, on loopback or inside the cluster.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::ports::Leadership;

/// Serves `/livez` and `/readyz` until `stop` is cancelled.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    leadership: watch::Receiver<Leadership>,
    stop: CancellationToken,
) -> std::io::Result<()> {
    axum::serve(listener, router(leadership)).with_graceful_shutdown(stop.cancelled_owned()).await
}

/// The routes, for listeners that serve more beside them.
pub fn router(leadership: watch::Receiver<Leadership>) -> Router {
    Router::new()
        .route("/livez", get(|| async { Json(json!({ "live": true })) }))
        .route("/readyz", get(move || std::future::ready(readiness(&leadership.borrow()))))
}

/// Ready: a leader is known and everything agreed before the start has been applied.
fn readiness(leadership: &Leadership) -> Response {
    let reasons: Vec<&str> = reasons(leadership);
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({ "ready": reasons.is_empty(), "leader": leadership.leader, "reasons": reasons });
    (status, Json(body)).into_response()
}

fn reasons(leadership: &Leadership) -> Vec<&'static str> {
    let mut reasons = Vec::new();
    if leadership.leader.is_none() {
        reasons.push("no leader is known: is a majority of the Regions up and reachable?");
    }
    if !leadership.caught_up {
        reasons.push("has not caught up with the fleet since its start");
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_needs_a_leader_and_a_caught_up_log() {
        let mut leadership = Leadership::default();
        assert_eq!(reasons(&leadership).len(), 2);
        leadership.leader = Some("eu-west-1".into());
        assert_eq!(reasons(&leadership), ["has not caught up with the fleet since its start"]);
        assert_eq!(readiness(&leadership).status(), StatusCode::SERVICE_UNAVAILABLE);
        leadership.caught_up = true;
        assert_eq!(readiness(&leadership).status(), StatusCode::OK);
    }
}
