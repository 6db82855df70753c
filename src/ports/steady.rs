//! A clock that does not jump. What a daemon measures, how long something has been bad, how old a word is, whether an
//! announcement is over, must not depend on somebody who sets the machine's clock meanwhile.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use failoverd_domain::time::Timestamp;
use tokio::time::Instant;

use super::Clock;

/// A difference from the machine's clock is worked off by one part in so many of the time that passes.
const WORKED_OFF: i128 = 20;
/// A difference that changes by this much from one look to the next is a jump.
const JUMP_NS: i128 = 1_000_000_000;
const NS_IN_MS: i128 = 1_000_000;

/// Begins with the machine's clock and goes as fast as time does. Where the machine's clock is set, it comes to that slowly, a
/// twentieth faster or slower than time, and never goes back.
pub struct SteadyClock {
    machine: Arc<dyn Clock>,
    elapsed: Box<dyn Fn() -> Duration + Send + Sync>,
    held: Mutex<Held>,
}

/// What a steady clock made of a machine's clock that was set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Correction {
    /// How far it is ahead of the machine's clock by now, milliseconds.
    pub ahead_ms: i64,
    /// How often the machine's clock was set by a second or more.
    pub jumps: u64,
    /// How much it was set forward, all times together, milliseconds. A machine that stood still looks like this as well: so
    /// much time may have passed that nobody measured.
    pub skipped_ms: u64,
}

/// What was read last, nanoseconds.
struct Held {
    elapsed: i128,
    now: i128,
    ahead: i128,
    jumps: u64,
    skipped: i128,
}

impl SteadyClock {
    /// It is what that clock says, from now on by the time that passes.
    #[must_use]
    pub fn new(machine: Arc<dyn Clock>) -> Self {
        let began = Instant::now();
        Self::measuring(machine, move || began.elapsed())
    }

    /// As [`Self::new`], by a measure of passing time that never goes back.
    pub fn measuring(machine: Arc<dyn Clock>, elapsed: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        let held = Held { elapsed: nanoseconds(elapsed()), now: of(machine.now()), ahead: 0, jumps: 0, skipped: 0 };
        Self { machine, elapsed: Box::new(elapsed), held: Mutex::new(held) }
    }

    /// Looked at by now.
    fn held(&self) -> MutexGuard<'_, Held> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.look(nanoseconds((self.elapsed)()), of(self.machine.now()));
        held
    }
}

impl Held {
    fn look(&mut self, elapsed: i128, machine: i128) {
        let passed = (elapsed - self.elapsed).max(0);
        let ahead = self.now + passed - machine;
        let set_by = self.ahead - ahead;
        if set_by.abs() >= JUMP_NS {
            self.jumps += 1;
            self.skipped += set_by.max(0);
            let (by_ms, ahead_ms) = (set_by / NS_IN_MS, ahead / NS_IN_MS);
            tracing::warn!(by_ms, ahead_ms, "the machine's clock was set: this daemon comes to it slowly");
        }
        let most = passed / WORKED_OFF;
        let correction = (-ahead).clamp(-most, most);
        self.elapsed = elapsed;
        self.now += passed + correction;
        self.ahead = ahead + correction;
    }
}

impl Clock for SteadyClock {
    fn now(&self) -> Timestamp {
        Timestamp(u64::try_from(self.held().now / NS_IN_MS).unwrap_or_default())
    }

    fn correction(&self) -> Correction {
        let held = self.held();
        Correction {
            ahead_ms: i64::try_from(held.ahead / NS_IN_MS).unwrap_or(i64::MAX),
            jumps: held.jumps,
            skipped_ms: u64::try_from(held.skipped / NS_IN_MS).unwrap_or(u64::MAX),
        }
    }
}

fn of(time: Timestamp) -> i128 {
    i128::from(time.0) * NS_IN_MS
}

fn nanoseconds(duration: Duration) -> i128 {
    i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// A machine whose clock and whose passing time a test sets.
    #[derive(Clone, Default)]
    struct Machine(Arc<(AtomicU64, AtomicU64)>);

    impl Clock for Machine {
        fn now(&self) -> Timestamp {
            Timestamp(self.0.0.load(Ordering::Relaxed))
        }
    }

    const HOUR: u64 = 3_600_000;

    impl Machine {
        fn steady(&self) -> SteadyClock {
            let passed = self.clone();
            SteadyClock::measuring(Arc::new(self.clone()), move || {
                Duration::from_millis(passed.0.1.load(Ordering::Relaxed))
            })
        }

        fn set(&self, ms: u64) {
            self.0.0.store(ms, Ordering::Relaxed);
        }

        fn pass(&self, ms: u64) {
            self.0.0.fetch_add(ms, Ordering::Relaxed);
            self.0.1.fetch_add(ms, Ordering::Relaxed);
        }
    }

    #[test]
    fn it_is_the_machines_clock_while_nobody_sets_that() {
        let machine = Machine::default();
        machine.set(5 * HOUR);
        let clock = machine.steady();
        for _ in 0..1_000 {
            machine.pass(7);
            assert_eq!(clock.now(), machine.now());
        }
        assert_eq!(clock.correction(), Correction::default());
    }

    #[test]
    fn a_clock_that_is_set_back_or_forth_is_come_to_slowly_and_time_never_goes_back() {
        for set_to in [4 * HOUR, 6 * HOUR, 5 * HOUR - 3_000, 5 * HOUR + 3_000] {
            let machine = Machine::default();
            machine.set(5 * HOUR);
            let clock = machine.steady();
            machine.set(set_to);
            let mut before = clock.now();
            assert_eq!(before, Timestamp(5 * HOUR), "{set_to}");
            let off = 5 * i64::try_from(HOUR).unwrap() - i64::try_from(set_to).unwrap();
            let skipped_ms = set_to.saturating_sub(5 * HOUR);
            assert_eq!(clock.correction(), Correction { ahead_ms: off, jumps: 1, skipped_ms });
            let mut passed = 0;
            while clock.now() != machine.now() {
                machine.pass(500);
                passed += 500;
                let now = clock.now();
                assert!((475..=525).contains(&now.since(before)), "{set_to}: {}", now.since(before));
                before = now;
                assert!(passed <= off.unsigned_abs() * 21, "{set_to}: it does not come to it");
            }
            assert_eq!(clock.correction(), Correction { ahead_ms: 0, jumps: 1, skipped_ms }, "{set_to}");
        }
    }

    #[test]
    fn small_corrections_are_no_jumps_and_looks_in_quick_succession_work_them_off_too() {
        let machine = Machine::default();
        machine.set(HOUR);
        let clock = machine.steady();
        machine.set(HOUR + 40);
        for _ in 0..1_000 {
            machine.pass(1);
            clock.now();
        }
        assert_eq!((clock.now(), clock.correction().jumps), (machine.now(), 0));
    }
}
