//! How `failoverctl sandbox break` finds the running sandbox and tells it what to do.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use failoverd_domain::ids::Region;
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use super::fleet::{Sandbox, SandboxError};
use crate::runtime::{Supervisor, TaskKind};

/// A Region may take a while to stop.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why the running sandbox did not do it.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// None is running, or it cannot be reached.
    #[error("no running sandbox was found ({0}): start one with `failoverctl sandbox up`")]
    NotRunning(String),
    /// It said no.
    #[error("{0}")]
    Refused(String),
}

type Shared = Arc<Mutex<Option<Sandbox>>>;

/// Serves the fault switches of `sandbox` and leaves word where they are. Returns when the port is bound.
///
/// # Errors
/// The port is taken, or word cannot be left.
pub async fn serve_control(sandbox: Shared, supervisor: &Supervisor) -> Result<(), SandboxError> {
    let address = match sandbox.lock().await.as_ref() {
        Some(running) => running.settings().addresses.aws(),
        None => return Ok(()),
    };
    let listener = TcpListener::bind(address).await;
    let listener =
        listener.map_err(|source| SandboxError::Port { what: "the simulated AWS".to_owned(), address, source })?;
    let router = Router::new()
        .route("/_sandbox", get(|| std::future::ready("failoverd sandbox\n")))
        .route("/_sandbox/{action}/{target}", post(act))
        .with_state(sandbox);
    supervisor.spawn(TaskKind::Listener, async move {
        if let Err(error) = std::future::IntoFuture::into_future(axum::serve(listener, router)).await {
            tracing::error!(%error, "the sandbox's control listener ended");
        }
    });
    let word = word_file();
    std::fs::write(&word, format!("http://{address}"))
        .map_err(|error| SandboxError::Machine(format!("{} cannot be written: {error}", word.display())))
}

async fn act(State(sandbox): State<Shared>, Path((action, target)): Path<(String, String)>) -> (StatusCode, String) {
    let mut sandbox = sandbox.lock().await;
    let Some(sandbox) = sandbox.as_mut() else {
        return (StatusCode::GONE, "the sandbox is stopping".to_owned());
    };
    let done = match action.as_str() {
        "break" => sandbox.break_region(&target).await,
        "heal" => sandbox.heal_region(&target).await,
        "crash" => match sandbox.crash_daemon(&Region::from(target.as_str())).await {
            true => Ok(format!("the daemon of {target} was ended where it stood; its Region lives on")),
            false => Err(SandboxError::NoSuchRegion(target)),
        },
        "start" => {
            sandbox.start_daemon(&Region::from(target.as_str())).await.map(|()| format!("the daemon of {target} runs"))
        }
        other => Err(SandboxError::Machine(format!("the sandbox cannot {other}"))),
    };
    match done {
        Ok(text) => (StatusCode::OK, text),
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()),
    }
}

/// Tells the running sandbox to do something to a Region.
///
/// # Errors
/// [`ControlError`].
pub async fn ask_running(action: &str, target: &str) -> Result<String, ControlError> {
    let word = word_file();
    let base = std::fs::read_to_string(&word)
        .map_err(|error| ControlError::NotRunning(format!("{}: {error}", word.display())))?;
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build();
    let client = client.map_err(|error| ControlError::NotRunning(error.to_string()))?;
    let url = format!("{}/_sandbox/{action}/{target}", base.trim());
    let response = client.post(&url).send().await.map_err(|error| ControlError::NotRunning(error.to_string()))?;
    let ok = response.status().is_success();
    let text = response.text().await.map_err(|error| ControlError::NotRunning(error.to_string()))?;
    if ok { Ok(text) } else { Err(ControlError::Refused(text)) }
}

/// Takes the word back when the sandbox stops.
pub fn forget_word() {
    // Already gone is as good.
    let _ = std::fs::remove_file(word_file());
}

/// Resolves when the process is asked to stop, with the name of what asked.
pub async fn stop_asked() -> &'static str {
    let mut terminated = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(signal) => signal,
        // Without it Ctrl-C still works.
        Err(_) => {
            let _ = tokio::signal::ctrl_c().await;
            return "interrupt";
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => "interrupt",
        _ = terminated.recv() => "termination",
    }
}

fn word_file() -> PathBuf {
    std::env::temp_dir().join("failoverd-sandbox.url")
}
