//! The ops listener: for those who run the daemon, on loopback or inside the cluster. Bounded as the public listener is:
//! whoever reaches it must not be able to keep probes from being answered.

mod door;

use std::sync::Arc;

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use failoverd_domain::fleet::FleetState;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::ports::Leadership;
use crate::telemetry::Exposition;

/// Serves `/livez`, `/readyz`, `/drainz` and `/metrics` until `stop` is cancelled.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: TcpListener, known: Known, stop: CancellationToken) -> std::io::Result<()> {
    door::keep(listener, router(known), door::LIMITS, stop).await
}

/// What the answers rest on.
pub struct Known {
    /// Who leads.
    pub leadership: watch::Receiver<Leadership>,
    /// The newest state applied here.
    pub state: watch::Receiver<Arc<FleetState>>,
    /// What scrapers are told.
    pub exposition: Arc<Exposition>,
}

/// The routes, for listeners that serve more beside them.
pub fn router(Known { leadership, state, exposition }: Known) -> Router {
    let (leader, agreed) = (leadership.clone(), state.clone());
    let making = Arc::new(Semaphore::new(MOST_AT_ONCE));
    Router::new()
        .route("/metrics", get(move || metrics(exposition.clone(), making.clone())))
        .route("/livez", get(|| async { Json(json!({ "live": true })) }))
        .route("/readyz", get(move || std::future::ready(readiness(&leadership.borrow(), &agreed.borrow()))))
        .route("/drainz", get(move || std::future::ready(drain(&leader.borrow(), &state.borrow()))))
}

/// The content type of Prometheus' text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Pages of metrics that are made at the same time; who asks for more waits.
const MOST_AT_ONCE: usize = 2;

/// Made on a thread of its own: hundreds of services are looked through, and others are not to wait meanwhile.
async fn metrics(exposition: Arc<Exposition>, making: Arc<Semaphore>) -> Response {
    // Never closed.
    let _turn = making.acquire().await;
    match tokio::task::spawn_blocking(move || exposition.text()).await {
        Ok(text) => ([(CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics could not be made");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Whether this daemon may be stopped: for a hook before the stop, and for whoever restarts one after the other. A daemon
/// that does not know what was agreed cannot say so.
fn drain(leadership: &Leadership, state: &FleetState) -> Response {
    let unknown = reasons(leadership, state).into_iter().map(str::to_owned);
    let reasons: Vec<String> = unknown.chain(state.why_stay()).collect();
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "may_stop": reasons.is_empty(), "reasons": reasons }))).into_response()
}

/// Ready: the fleet is formed, a leader is known, and everything agreed before the start has been applied.
fn readiness(leadership: &Leadership, state: &FleetState) -> Response {
    let reasons = reasons(leadership, state);
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({ "ready": reasons.is_empty(), "leader": leadership.leader, "reasons": reasons });
    (status, Json(body)).into_response()
}

fn reasons(leadership: &Leadership, state: &FleetState) -> Vec<&'static str> {
    let mut reasons = Vec::new();
    if state.fleet.as_str().is_empty() {
        reasons.push("the fleet is not formed yet: its first leader does that in a moment");
    }
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
    fn ready_needs_a_formed_fleet_a_leader_and_a_caught_up_log() {
        let (mut leadership, state) = (Leadership::default(), crate::api::fake::state_with(&[]));
        assert_eq!(reasons(&leadership, &state).len(), 2);
        leadership.leader = Some("eu-west-1".into());
        assert_eq!(reasons(&leadership, &state), ["has not caught up with the fleet since its start"]);
        assert_eq!(readiness(&leadership, &state).status(), StatusCode::SERVICE_UNAVAILABLE);
        leadership.caught_up = true;
        assert_eq!(readiness(&leadership, &state).status(), StatusCode::OK);
        let unformed = readiness(&leadership, &FleetState::default());
        assert_eq!(unformed.status(), StatusCode::SERVICE_UNAVAILABLE, "a fleet that is not formed takes no commands");
    }

    #[test]
    fn a_daemon_may_be_stopped_when_nothing_rests_on_it() {
        let knows = Leadership { leader: Some("eu-west-1".into()), caught_up: true, ..Leadership::default() };
        let mut state = crate::api::fake::state_with(&["checkout"]);
        let service = state.services.values_mut().next().unwrap();
        service.settlement.settled = Some((service.epoch, service.spec_index));
        assert_eq!(drain(&knows, &state).status(), StatusCode::OK);
        assert_eq!(drain(&Leadership::default(), &state).status(), StatusCode::SERVICE_UNAVAILABLE, "knows nothing");
        let service = state.services.values_mut().next().unwrap();
        service.epoch = service.epoch.next();
        assert_eq!(drain(&knows, &state).status(), StatusCode::SERVICE_UNAVAILABLE, "moved, and not settled");
    }
}
