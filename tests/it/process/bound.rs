//! Waiting for a condition, with a bound.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Polls until there is something, and panics with `what` when there is nothing within `limit`.
pub async fn within<T, F: Future<Output = Option<T>>>(limit: Duration, what: &str, mut look: impl FnMut() -> F) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {} s: {what}", limit.as_secs());
        sleep(Duration::from_millis(40)).await;
    }
}

pub const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}
