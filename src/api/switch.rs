//! The switch listener: what Route 53's health checkers ask. Public, so nothing else is served here, and every question
//! costs the same: one look into a table that is made anew when the agreed state changes.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use failoverd_domain::fleet::FleetState;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::ports::Leadership;

/// What is answered for each token.
type Table = Arc<HashMap<String, bool>>;

#[derive(Clone)]
struct Answers {
    table: watch::Receiver<Table>,
    leadership: watch::Receiver<Leadership>,
}

/// Serves the checkers until `stop` is cancelled.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    state: watch::Receiver<Arc<FleetState>>,
    leadership: watch::Receiver<Leadership>,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let (tables, table) = watch::channel(table_of(&state.borrow()));
    let router = router(Answers { table, leadership });
    let serving = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
    let serving = std::future::IntoFuture::into_future(serving);
    tokio::pin!(serving);
    tokio::select! {
        ended = &mut serving => ended,
        () = follow(state, tables) => serving.await,
    }
}

/// Keeps the table true to the agreed state; returns when the daemon is going down.
async fn follow(mut state: watch::Receiver<Arc<FleetState>>, tables: watch::Sender<Table>) {
    loop {
        let table = table_of(&state.borrow_and_update());
        tables.send_if_modified(|held| {
            let differs = *held != table;
            if differs {
                *held = table;
            }
            differs
        });
        if state.changed().await.is_err() {
            return;
        }
    }
}

fn table_of(state: &FleetState) -> Table {
    let bits = state.switches.values().flat_map(|switch| switch.bits.values());
    Arc::new(bits.map(|bit| (bit.token.clone(), bit.on)).collect())
}

fn router(answers: Answers) -> Router {
    Router::new().route("/s/{token}", get(answer)).with_state(answers)
}

/// Silence (503) until this daemon has caught up: a vote from the past is worse than none.
async fn answer(State(answers): State<Answers>, Path(token): Path<String>) -> Response {
    let uncached = [(header::CACHE_CONTROL, "no-store"), (header::CONTENT_TYPE, "text/plain")];
    let (status, body) = if answers.leadership.borrow().caught_up {
        match answers.table.borrow().get(&token) {
            Some(true) => (StatusCode::OK, "switch=on"),
            Some(false) => (StatusCode::OK, "switch=off"),
            None => (StatusCode::NOT_FOUND, ""),
        }
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "")
    };
    (status, uncached, body).into_response()
}

#[cfg(test)]
mod tests {
    use failoverd_domain::ids::{Region, SwitchGroup};

    use super::*;
    use crate::api::fake::state_with;

    struct Listener {
        url: String,
        state: watch::Sender<Arc<FleetState>>,
        leadership: watch::Sender<Leadership>,
        stop: CancellationToken,
        serving: tokio::task::JoinSet<std::io::Result<()>>,
    }

    async fn listen() -> Listener {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (state, states) = watch::channel(Arc::new(state_with(&["checkout"])));
        let (leadership, leaderships) = watch::channel(Leadership { caught_up: true, ..Leadership::default() });
        let stop = CancellationToken::new();
        let mut serving = tokio::task::JoinSet::new();
        serving.spawn(serve(listener, states, leaderships, stop.clone()));
        Listener { url, state, leadership, stop, serving }
    }

    async fn ask(listener: &Listener, path: &str) -> (u16, String) {
        let answer = client().get(format!("{}{path}", listener.url)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    fn client() -> reqwest::Client {
        let _ = rustls::crypto::ring::default_provider().install_default();
        reqwest::Client::new()
    }

    #[tokio::test]
    async fn a_checker_reads_the_committed_bit() {
        let listener = listen().await;
        assert_eq!(ask(&listener, "/s/token-checkout").await, (200, "switch=on".to_owned()));
        listener.state.send_modify(|state| {
            let switch = Arc::make_mut(state).switches.get_mut(&SwitchGroup::from("checkout")).unwrap();
            switch.bits.get_mut(&Region::from("us-east-1")).unwrap().on = false;
        });
        let mut answer = ask(&listener, "/s/token-checkout").await;
        for _ in 0..100 {
            if answer.1 == "switch=off" {
                break;
            }
            tokio::task::yield_now().await;
            answer = ask(&listener, "/s/token-checkout").await;
        }
        assert_eq!(answer, (200, "switch=off".to_owned()));
    }

    #[tokio::test]
    async fn a_daemon_that_has_not_caught_up_is_silent() {
        let listener = listen().await;
        listener.leadership.send_modify(|leadership| leadership.caught_up = false);
        assert_eq!(ask(&listener, "/s/token-checkout").await, (503, String::new()));
        assert_eq!(ask(&listener, "/s/nobody-knows").await.0, 503);
    }

    #[tokio::test]
    async fn nothing_else_is_served() {
        let listener = listen().await;
        for path in ["/s/nobody-knows", "/", "/s/", "/s", "/s/token-checkout/", "/metrics", "/livez"] {
            assert_eq!(ask(&listener, path).await.0, 404, "{path}");
        }
        let url = format!("{}/s/token-checkout", listener.url);
        assert_eq!(client().post(&url).send().await.unwrap().status(), 405);
        let head = client().head(&url).send().await.unwrap();
        assert_eq!((head.status().as_u16(), head.text().await.unwrap()), (200, String::new()));
    }

    #[tokio::test]
    async fn it_ends_when_told() {
        let mut listener = listen().await;
        listener.stop.cancel();
        assert!(listener.serving.join_next().await.unwrap().unwrap().is_ok());
    }
}
