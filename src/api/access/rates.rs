//! How often one caller may ask. Peers among themselves are not counted: consensus talks all the time.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

/// Calls of one caller in a second, in the long run.
pub const A_SECOND: f64 = 50.0;
/// Calls that may come at once.
pub const AT_ONCE: f64 = 200.0;
/// How much more may come from an address whose callers show no certificate: many may be behind it.
pub const OF_AN_ADDRESS: f64 = 10.0;
/// Most callers that are remembered; whoever has been quiet for a while is forgotten first.
const MOST_CALLERS: usize = 4_096;

/// What callers have left.
#[derive(Debug, Default)]
pub struct Rates(Mutex<BTreeMap<String, Left>>);

#[derive(Clone, Copy, Debug)]
struct Left {
    calls: f64,
    at: Instant,
    /// How often it may ask, as a multiple.
    times: f64,
}

impl Left {
    fn by(self, now: Instant) -> f64 {
        let since = now.duration_since(self.at).as_secs_f64();
        (self.calls + since * A_SECOND * self.times).min(AT_ONCE * self.times)
    }
}

impl Rates {
    /// Whether that caller may ask now; `times` as often as somebody known.
    pub fn admits(&self, caller: &str, times: f64) -> bool {
        let now = Instant::now();
        let mut callers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if callers.len() >= MOST_CALLERS && !callers.contains_key(caller) {
            callers.retain(|_, left| left.by(now) < AT_ONCE * left.times);
            if callers.len() >= MOST_CALLERS {
                return false;
            }
        }
        let left = callers.entry(caller.to_owned()).or_insert(Left { calls: AT_ONCE * times, at: now, times });
        let calls = left.by(now);
        let admitted = calls >= 1.0;
        *left = Left { calls: if admitted { calls - 1.0 } else { calls }, at: now, times };
        admitted
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_caller_cannot_take_what_is_anothers() {
        let rates = Rates::default();
        let admitted = |caller: &str| (0..1_000).filter(|_| rates.admits(caller, 1.0)).count();
        assert_eq!((admitted("alice"), admitted("bob")), (200, 200));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(admitted("alice"), 50);
    }

    #[tokio::test(start_paused = true)]
    async fn strangers_cannot_fill_the_memory() {
        let rates = Rates::default();
        let admitted = (0..10_000).filter(|number| rates.admits(&number.to_string(), 1.0)).count();
        assert_eq!(admitted, MOST_CALLERS);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert!(rates.admits("somebody else", 1.0));
    }
}
