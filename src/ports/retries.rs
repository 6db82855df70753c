//! How often something may be tried again, so that many who try again are no storm: a tenth of what went well, and a little
//! that is always there; and how long each waits before, no two alike.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What a retry costs, in what a success gives.
const COST: f64 = 10.0;
/// What a second gives, whatever happens: one retry, since who is alone must get on.
const FLOOR: f64 = COST;
/// Most that is saved up: ten retries.
const AT_ONCE: f64 = 10.0 * COST;

/// Retries that are left, for all who share it.
#[derive(Debug)]
pub struct RetryBudget {
    left: Mutex<(f64, Instant)>,
    backoffs: AtomicU64,
    seed: u64,
}

impl RetryBudget {
    /// A full one. Of two with different names, retries do not fall together.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let seed = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |seed: u64, byte| (seed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        Self { left: Mutex::new((AT_ONCE, Instant::now())), backoffs: AtomicU64::new(0), seed }
    }

    /// Something went well at the first try or a later one.
    pub fn succeeded(&self) {
        self.refilled(|left| *left = (*left + 1.0).min(AT_ONCE));
    }

    /// Takes a retry, if there is one.
    pub fn may_retry(&self) -> bool {
        self.refilled(|left| {
            let may = *left >= COST;
            *left -= if may { COST } else { 0.0 };
            may
        })
    }

    fn refilled<T>(&self, act: impl FnOnce(&mut f64) -> T) -> T {
        let mut held = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        held.0 = (held.0 + now.duration_since(held.1).as_secs_f64() * FLOOR).min(AT_ONCE);
        held.1 = now;
        act(&mut held.0)
    }

    /// Pauses for one who tries again and again: each twice as long as the one before up to `most`, less up to half of it.
    #[must_use]
    pub fn backoff(&self, first: Duration, most: Duration) -> Backoff {
        let number = self.backoffs.fetch_add(1, Ordering::Relaxed);
        Backoff { next: first, most, draws: self.seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)) }
    }
}

/// Pauses before retries.
#[derive(Debug)]
pub struct Backoff {
    next: Duration,
    most: Duration,
    draws: u64,
}

impl Backoff {
    /// The next pause.
    pub fn pause(&mut self) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(self.most);
        // SplitMix64: spread evenly enough, and the same again in a simulation.
        self.draws = self.draws.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut drawn = self.draws;
        drawn = (drawn ^ (drawn >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        drawn = (drawn ^ (drawn >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let of_half = f64::from(u32::try_from((drawn ^ (drawn >> 31)) >> 32).unwrap_or(0)) / f64::from(u32::MAX);
        whole / 2 + (whole / 2).mul_f64(of_half)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn retries_are_a_tenth_of_successes_and_a_floor() {
        let budget = RetryBudget::new("a");
        let taken = |tries: usize| (0..tries).filter(|_| budget.may_retry()).count();
        assert_eq!(taken(1_000), 10, "at once");
        for _ in 0..50 {
            budget.succeeded();
        }
        assert_eq!(taken(1_000), 5, "a tenth of fifty");
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(taken(1_000), 3, "one a second");
        tokio::time::advance(Duration::from_secs(1_000)).await;
        for _ in 0..1_000 {
            budget.succeeded();
        }
        assert_eq!(taken(1_000), 10, "never saved up");
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_double_within_bounds_and_no_two_callers_keep_step() {
        let (first, most) = (Duration::from_millis(100), Duration::from_secs(2));
        let pauses = |budget: &RetryBudget| {
            let mut backoff = budget.backoff(first, most);
            (0..8).map(|_| backoff.pause()).collect::<Vec<_>>()
        };
        let budget = RetryBudget::new("a");
        let (one, two) = (pauses(&budget), pauses(&budget));
        assert_ne!(one, two);
        assert_ne!(one, pauses(&RetryBudget::new("b")));
        assert_eq!(one, pauses(&RetryBudget::new("a")), "the same again in a simulation");
        for (at, pause) in one.iter().chain(&two).enumerate() {
            let whole = (first * 2_u32.pow(u32::try_from(at % 8).unwrap())).min(most);
            assert!(*pause >= whole / 2 && *pause <= whole, "{at}: {pause:?}");
        }
    }
}
