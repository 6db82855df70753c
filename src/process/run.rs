//! Runs the daemon until it is told to stop or fails, and stops it in order.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::accepted::Accepted;
use super::refusal::Refusal;
use super::signals::Signals;
use super::{compose, listeners};
use crate::adapters::postgres::PostgresHistory;
use crate::daemon::Daemon;
use crate::ports::Leadership;

/// Whoever started the process is promised its end within 30 s.
const STOPS_WITHIN: Duration = Duration::from_secs(27);
/// Connections to the history are closed politely, if the database plays along.
const HISTORY_CLOSES_WITHIN: Duration = Duration::from_secs(2);

/// Runs until a signal comes or a part of the daemon fails.
///
/// # Errors
/// [`Refusal`]: it did not start, failed, or did not stop in order.
pub async fn until_stopped(accepted: Accepted) -> Result<(), Refusal> {
    let mut signals = Signals::listen()?;
    let listeners = listeners::bind(&accepted.config.listen).await?;
    let place = accepted.config.data_dir.display().to_string();
    let history = compose::history(&accepted);
    let daemon = Daemon::start(compose::setup(accepted, listeners, history.clone())?).await?;
    let verdict = tokio::select! {
        signal = signals.next() => {
            tracing::info!(signal, "told to stop");
            Ok(())
        }
        // First, since tasks may end because of it.
        () = log_failed(daemon.handles().agreement.leadership()) => Err(Refusal::LogFailed(place)),
        () = daemon.failed() => Err(Refusal::PartEnded),
    };
    tokio::select! {
        () = stop(daemon, history) => verdict,
        _ = signals.next() => verdict.and(Err(Refusal::Unfinished("told to stop a second time"))),
        () = tokio::time::sleep(STOPS_WITHIN) => verdict.and(Err(Refusal::Unfinished("stopping took too long"))),
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
