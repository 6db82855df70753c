//! Owns every task of a daemon: starts them, notices when one ends that should not, stops them in order.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What a task is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskKind {
    /// Reads signals, stores, references.
    Observer,
    /// Keeps the matrix of everybody's readings.
    Board,
    /// Proposes what the readings call for, while leading.
    Controller,
    /// Carries out the steps of runs, while leading.
    Executor,
    /// Makes records, checks and copies match reality, while leading.
    Settler,
    /// Tells CloudWatch how the fleet stands, while leading.
    Publisher,
    /// Says through CloudWatch what this daemon knows of switches.
    Voice,
    /// Keeps what is seen, and puts on record what was seen of a run, while leading.
    Recorder,
    /// Has drills simulated, while leading.
    Rehearser,
    /// Tells webhooks the news, while leading.
    Notifier,
    /// Writes history.
    Projector,
    /// Removes old history.
    Pruner,
    /// Makes the fleet known to itself.
    Registrar,
    /// Counts, traces, and keeps the log's level.
    Telemetry,
    /// Serves a listener.
    Listener,
}

/// Owns tasks. Clones own the same ones.
#[derive(Clone, Default)]
pub struct Supervisor {
    tracker: TaskTracker,
    stop: CancellationToken,
    failed: CancellationToken,
    handles: Arc<Mutex<Vec<AbortHandle>>>,
}

impl Supervisor {
    /// A supervisor without tasks.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a task that runs until the daemon stops. If it ends before (a panic included), the daemon must stop:
    /// half a daemon looks alive to the others and is not.
    pub fn spawn(&self, kind: TaskKind, task: impl Future<Output = ()> + Send + 'static) {
        let (stop, failed) = (self.stop.clone(), self.failed.clone());
        let guarded = async move {
            // The guard also fires when the task panics.
            let guard = failed.drop_guard();
            tokio::select! {
                biased;
                () = stop.cancelled() => drop(guard.disarm()),
                () = task => tracing::error!(?kind, "a task ended that should not"),
            }
        };
        #[expect(clippy::disallowed_methods, reason = "this is the one place that spawns")]
        let handle = tokio::spawn(self.tracker.track_future(guarded));
        self.handles.lock().unwrap_or_else(PoisonError::into_inner).push(handle.abort_handle());
    }

    /// Resolves when a task has ended that should not have.
    pub async fn failed(&self) {
        self.failed.cancelled().await;
    }

    /// The tracker, for parts that bring tasks of their own.
    #[must_use]
    pub const fn tracker(&self) -> &TaskTracker {
        &self.tracker
    }

    /// Asks every task to stop, waits, and ends what is left.
    pub async fn stop(&self, patience: Duration) {
        self.stop.cancel();
        self.tracker.close();
        if tokio::time::timeout(patience, self.tracker.wait()).await.is_err() {
            tracing::warn!("some tasks did not stop in time and were ended");
        }
        self.kill();
    }

    /// Ends every task where it stands, as a crash would.
    pub fn kill(&self) {
        self.stop.cancel();
        for handle in self.handles.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            handle.abort();
        }
    }
}
