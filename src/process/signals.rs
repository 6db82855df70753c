//! SIGTERM and SIGINT, one after the other; and SIGXFSZ, which must not end the process before it has said why.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::refusal::Refusal;

/// Requests to stop.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// Never taken: with somebody who listens, a write beyond the limit of file sizes fails as one on a full disk does.
    _file_size: Signal,
}

/// SIGXFSZ, on every platform that this is built for.
const FILE_SIZE: i32 = 25;

impl Signals {
    /// From now on signals wait to be taken.
    ///
    /// # Errors
    /// The system gives none.
    pub fn listen() -> Result<Self, Refusal> {
        let listen = |kind| signal(kind).map_err(Refusal::Runtime);
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            _file_size: listen(SignalKind::from_raw(FILE_SIZE))?,
        })
    }

    /// The next one's name.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
