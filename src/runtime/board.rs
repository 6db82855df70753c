//! The matrix of everybody's readings, as this daemon holds it.

use std::sync::Arc;

use failoverd_domain::health::{Matrix, Report};
use tokio::sync::{mpsc, watch};

use crate::ports::Clock;

/// Takes reports in and shows the newest matrix.
pub struct Board {
    clock: Arc<dyn Clock>,
    inbox: mpsc::Receiver<Report>,
    matrix: watch::Sender<Arc<Matrix>>,
}

impl Board {
    /// A board with its inbox and its view.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> (Self, mpsc::Sender<Report>, watch::Receiver<Arc<Matrix>>) {
        let (send, inbox) = mpsc::channel(64);
        let (matrix, view) = watch::channel(Arc::default());
        (Self { clock, inbox, matrix }, send, view)
    }

    /// Runs until every sender is gone.
    pub async fn run(mut self) {
        let mut batch = Vec::new();
        let mut skipped = self.clock.correction().skipped_ms;
        while self.inbox.recv_many(&mut batch, 64).await > 0 {
            let now = self.clock.now();
            let before = std::mem::replace(&mut skipped, self.clock.correction().skipped_ms);
            self.matrix.send_modify(|matrix| {
                let matrix = Arc::make_mut(matrix);
                if skipped > before {
                    // The machine may have stood still for as long.
                    matrix.age(skipped - before);
                }
                for report in batch.drain(..) {
                    matrix.take(now, report);
                }
            });
        }
        // The daemon is stopping: nothing more can arrive.
        std::future::pending::<()>().await;
    }
}
