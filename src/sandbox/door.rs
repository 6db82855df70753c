//! What else the port of the sandbox's AWS answers: the orders of `failoverctl sandbox break` and the like.
//!
//! The port is open as long as the sandbox runs; orders are taken only while somebody carries them out.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use tokio::sync::{mpsc, oneshot};

/// Orders that may wait for their turn.
const MOST_WAITING: usize = 8;

/// Something that the sandbox shall do, and where the word about it goes.
pub(super) struct Order {
    pub(super) action: String,
    pub(super) target: String,
    pub(super) done: oneshot::Sender<Result<String, String>>,
}

/// The door through which orders come.
#[derive(Clone, Default)]
pub(super) struct Door(Arc<OnceLock<mpsc::Sender<Order>>>);

impl Door {
    /// Opens it: orders arrive at the receiver. A door opens once.
    pub(super) fn open(&self) -> Option<mpsc::Receiver<Order>> {
        let (orders, receiver) = mpsc::channel(MOST_WAITING);
        self.0.set(orders).ok().map(|()| receiver)
    }

    pub(super) fn routes(&self) -> Router {
        Router::new()
            .route("/_sandbox", get(greet))
            .route("/_sandbox/{action}/{target}", post(take))
            .with_state(self.clone())
    }
}

async fn greet(State(door): State<Door>) -> (StatusCode, &'static str) {
    match door.0.get() {
        Some(_) => (StatusCode::OK, "failoverd sandbox\n"),
        None => (StatusCode::CONFLICT, "this sandbox plays a demo and takes no orders\n"),
    }
}

async fn take(State(door): State<Door>, Path((action, target)): Path<(String, String)>) -> (StatusCode, String) {
    let Some(orders) = door.0.get() else {
        return (StatusCode::CONFLICT, "this sandbox plays a demo and takes no orders".to_owned());
    };
    let (done, word) = oneshot::channel();
    let stopping = (StatusCode::GONE, "the sandbox is stopping".to_owned());
    if orders.send(Order { action, target, done }).await.is_err() {
        return stopping;
    }
    match word.await {
        Ok(Ok(text)) => (StatusCode::OK, text),
        Ok(Err(why)) => (StatusCode::BAD_REQUEST, why),
        Err(_) => stopping,
    }
}
