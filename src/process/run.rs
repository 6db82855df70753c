//! Runs the daemon until it is told to stop or fails, and stops it in order.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use failoverd_domain::ids::Generation;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::accepted::Accepted;
use super::refusal::Refusal;
use super::signals::Signals;
use super::upkeep::Upkeep;
use super::{compose, listeners};
use crate::adapters::clock::SystemClock;
use crate::adapters::postgres::PostgresHistory;
use crate::api::access::keyring::Keyring;
use crate::daemon::Daemon;
use crate::ports::Leadership;
use crate::telemetry::LogControl;

/// Whoever started the process is promised its end within 30 s.
const STOPS_WITHIN: Duration = Duration::from_secs(27);
/// Connections to the history are closed politely, if the database plays along.
const HISTORY_CLOSES_WITHIN: Duration = Duration::from_secs(2);

/// Runs until a signal comes or a part of the daemon fails.
///
/// # Errors
/// [`Refusal`]: it did not start, failed, or did not stop in order.
pub async fn until_stopped(accepted: Accepted, logs: LogControl, join: Option<Generation>) -> Result<(), Refusal> {
    let mut signals = Signals::listen()?;
    let listeners = listeners::bind(&accepted.config.listen).await?;
    let place = accepted.config.data_dir.display().to_string();
    let history = compose::history(&accepted);
    let upkeep = Upkeep::of(&accepted, Arc::new(SystemClock)).keep();
    let keys = accepted.secured.as_ref().and_then(|secured| Some(secured.access.tokens.as_ref()?.keys.clone()));
    let daemon = Daemon::start(compose::setup(accepted, listeners, history.clone(), logs, join)?).await?;
    let verdict = tokio::select! {
        signal = signals.next() => {
            tracing::info!(signal, "told to stop");
            Ok(())
        }
        // First, since tasks may end because of it.
        () = log_failed(daemon.handles().agreement.leadership()) => Err(Refusal::LogFailed(place)),
        () = daemon.failed() => Err(Refusal::PartEnded),
        // These two never end.
        () = upkeep => Err(Refusal::PartEnded),
        () = tend(keys) => Err(Refusal::PartEnded),
    };
    enforce_deadline();
    // A task of its own: should a part of the daemon block it for good, the second signal is still heard.
    let mut stopping = JoinSet::new();
    stopping.spawn(stop(daemon, history));
    tokio::select! {
        _ = stopping.join_next() => verdict,
        _ = signals.next() => verdict.and(Err(Refusal::Unfinished("told to stop a second time"))),
    }
}

/// Keeps the keys of an identity provider fresh, where there is one.
async fn tend(keys: Option<Keyring>) {
    match keys {
        Some(keys) => keys.tend().await,
        None => std::future::pending().await,
    }
}

/// Ends the process when stopping takes too long. A thread, since what hangs might be the runtime.
fn enforce_deadline() {
    let late = || {
        std::thread::sleep(STOPS_WITHIN);
        let _ = writeln!(std::io::stderr(), "failoverd: {}", Refusal::Unfinished("stopping took too long"));
        std::process::exit(1);
    };
    if let Err(error) = std::thread::Builder::new().name("deadline".to_owned()).spawn(late) {
        tracing::warn!(%error, "nothing bounds how long stopping may take");
    }
}

async fn stop(daemon: Daemon, history: Option<Arc<PostgresHistory>>) {
    daemon.stop().await;
    if let Some(history) = history
        && tokio::time::timeout(HISTORY_CLOSES_WITHIN, history.close()).await.is_err()
    {
        tracing::debug!("connections to the history did not close in time");
    }
}

/// Consensus tells nobody about leadership any longer once its log has failed.
async fn log_failed(mut leadership: watch::Receiver<Leadership>) {
    while leadership.changed().await.is_ok() {}
}
