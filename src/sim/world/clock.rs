//! A clock on tokio's time, which a test can pause.

use failoverd_domain::time::Timestamp;
use tokio::time::Instant;

use crate::ports::Clock;

/// Starts at a given wall-clock instant and goes with tokio's time.
#[derive(Clone, Debug)]
pub struct TokioClock {
    base: Timestamp,
    started: Instant,
}

impl TokioClock {
    /// It is `base` now.
    #[must_use]
    pub fn starting_at(base: Timestamp) -> Self {
        Self { base, started: Instant::now() }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        self.base.plus_ms(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }
}
