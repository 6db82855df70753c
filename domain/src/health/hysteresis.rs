//! One signal as one observer has seen it over time: when a bad reading becomes a breach, and when the breach is over.
//!
//! Must never let time count as bad in which nobody could tell: `Unknown` readings, and silence longer than
//! `max_gap_ms`, neither end nor lengthen a streak. A probe that times out here because *we* are throttled is thus
//! no breach, and a burst of unknowns does not wipe out an outage that was seen before and after it. While the newest
//! reading is `Unknown`, the reading says so, and no diagnosis counts it as bad, whatever `breached` says.

use super::reading::{SignalReading, Status};
use crate::ids::{Region, ServiceName, SignalName};
use crate::time::Timestamp;

/// When bad becomes a breach and good ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bad this long without a break is a breach, milliseconds.
    pub breach_after_ms: u64,
    /// Good this long without a break ends a breach, milliseconds.
    pub recover_after_ms: u64,
    /// Silence longer than this between two readings counts as unknown (a daemon that was suspended must not wake up
    /// to an hour of "continuous" outage). A few probe intervals.
    pub max_gap_ms: u64,
}

/// Follows one (service, Region, signal).
#[derive(Clone, Debug)]
pub struct SignalTracker {
    limits: Limits,
    newest: Option<Newest>,
    streak: Option<Streak>,
    breached: bool,
    counts: Counts,
}

/// Answers since the observer began to watch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Good readings.
    pub good: u64,
    /// Bad readings.
    pub bad: u64,
    /// Readings that could not tell.
    pub unknown: u64,
    /// The longest streak of bad, milliseconds from its first to its last bad reading.
    pub longest_bad_ms: u64,
}

#[derive(Clone, Debug)]
struct Newest {
    status: Status,
    since: Timestamp,
    at: Timestamp,
    latency_ms: Option<u64>,
    detail: String,
}

/// Known readings of one kind. `since` moves forward by whatever time was unknown.
#[derive(Clone, Copy, Debug)]
struct Streak {
    bad: bool,
    since: Timestamp,
    known_at: Timestamp,
    interrupted: bool,
}

impl Streak {
    const fn length_ms(&self) -> u64 {
        self.known_at.since(self.since)
    }
}

impl SignalTracker {
    /// A tracker that has seen nothing yet.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        let counts = Counts { good: 0, bad: 0, unknown: 0, longest_bad_ms: 0 };
        Self { limits, newest: None, streak: None, breached: false, counts }
    }

    /// Takes a changed manifest over without forgetting what was seen.
    pub const fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Feeds one reading, taken at `now`.
    pub fn feed(&mut self, now: Timestamp, status: Status, detail: impl Into<String>) {
        self.feed_timed(now, status, None, detail);
    }

    /// Feeds one reading, taken at `now`, with how long its answer took, milliseconds.
    pub fn feed_timed(&mut self, now: Timestamp, status: Status, latency_ms: Option<u64>, detail: impl Into<String>) {
        match status {
            Status::Good => self.known(now, false),
            Status::Bad => self.known(now, true),
            Status::Unknown => {
                self.counts.unknown += 1;
                if let Some(streak) = &mut self.streak {
                    streak.interrupted = true;
                }
            }
        }
        let since = match &self.newest {
            // Held goes by the streak, so that an unknown in between does not read as a new outage.
            _ if status != Status::Unknown => self.streak.map_or(now, |streak| streak.since),
            Some(newest) if newest.status == Status::Unknown => newest.since,
            _ => now,
        };
        self.newest = Some(Newest { status, since, at: now, latency_ms, detail: detail.into() });
    }

    fn known(&mut self, now: Timestamp, bad: bool) {
        let streak = match self.streak {
            Some(held) if held.bad == bad => {
                let gap_ms = now.since(held.known_at);
                let unknown_ms = if held.interrupted || gap_ms > self.limits.max_gap_ms { gap_ms } else { 0 };
                Streak { bad, since: held.since.plus_ms(unknown_ms), known_at: now, interrupted: false }
            }
            _ => Streak { bad, since: now, known_at: now, interrupted: false },
        };
        self.streak = Some(streak);
        if bad {
            self.counts.bad += 1;
            self.counts.longest_bad_ms = self.counts.longest_bad_ms.max(streak.length_ms());
            self.breached |= streak.length_ms() >= self.limits.breach_after_ms;
        } else {
            self.counts.good += 1;
            self.breached &= streak.length_ms() < self.limits.recover_after_ms;
        }
    }

    /// Whether it was bad long enough and has not been good long enough since.
    #[must_use]
    pub const fn breached(&self) -> bool {
        self.breached
    }

    /// What was seen so far.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// When it was last fed.
    #[must_use]
    pub fn fed_at(&self) -> Option<Timestamp> {
        self.newest.as_ref().map(|newest| newest.at)
    }

    /// The reading to report at `now`; none before the first feed, so that peers see "not read yet", not "good".
    #[must_use]
    pub fn reading(
        &self,
        now: Timestamp,
        service: &ServiceName,
        region: &Region,
        signal: &SignalName,
    ) -> Option<SignalReading> {
        let newest = self.newest.as_ref()?;
        Some(SignalReading {
            service: service.clone(),
            region: region.clone(),
            signal: signal.clone(),
            status: newest.status,
            held_ms: now.since(newest.since),
            age_ms: now.since(newest.at),
            breached: self.breached,
            detail: self.detail(&newest.detail),
            latency_ms: newest.latency_ms,
        })
    }

    fn detail(&self, newest: &str) -> String {
        let Counts { good, bad, longest_bad_ms, .. } = self.counts;
        format!("{newest} ({good} good, {bad} bad, longest bad {} s)", longest_bad_ms / 1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { breach_after_ms: 30_000, recover_after_ms: 60_000, max_gap_ms: 25_000 };

    fn feed(tracker: &mut SignalTracker, at_s: u64, status: Status) -> bool {
        tracker.feed(Timestamp(at_s * 1_000), status, "seen");
        tracker.breached()
    }

    fn reading(tracker: &SignalTracker, at_s: u64) -> SignalReading {
        tracker.reading(Timestamp(at_s * 1_000), &"s".into(), &"r".into(), &"x".into()).unwrap()
    }

    #[test]
    fn bad_becomes_a_breach_only_after_the_whole_time() {
        let mut tracker = SignalTracker::new(LIMITS);
        assert!(!feed(&mut tracker, 0, Status::Bad));
        assert!(!feed(&mut tracker, 10, Status::Bad));
        assert!(!feed(&mut tracker, 29, Status::Bad));
        assert!(feed(&mut tracker, 30, Status::Bad));
    }

    #[test]
    fn a_changed_manifest_counts_at_once_and_what_was_seen_is_not_forgotten() {
        let mut tracker = SignalTracker::new(LIMITS);
        for at in [0, 10] {
            feed(&mut tracker, at, Status::Bad);
        }
        tracker.set_limits(Limits { breach_after_ms: 20_000, ..LIMITS });
        assert!(!feed(&mut tracker, 19, Status::Bad));
        assert!(feed(&mut tracker, 20, Status::Bad));
    }

    #[test]
    fn every_answer_is_counted() {
        let mut tracker = SignalTracker::new(LIMITS);
        use Status::{Bad, Good, Unknown};
        for (at, status) in [Good, Bad, Bad, Bad, Unknown, Unknown, Good].into_iter().enumerate() {
            feed(&mut tracker, at as u64, status);
        }
        assert_eq!(tracker.counts(), Counts { good: 2, bad: 3, unknown: 2, longest_bad_ms: 2_000 });
        assert_eq!(tracker.fed_at(), Some(Timestamp(6_000)));
    }

    #[test]
    fn a_gap_as_long_as_may_be_is_no_time_that_nobody_knows() {
        for (gap, is_known) in [(25, true), (26, false)] {
            let mut tracker = SignalTracker::new(LIMITS);
            feed(&mut tracker, 0, Status::Bad);
            feed(&mut tracker, gap, Status::Bad);
            assert_eq!(feed(&mut tracker, 30, Status::Bad), is_known, "{gap} s");
        }
    }

    #[test]
    fn one_good_reading_starts_the_count_again() {
        let mut tracker = SignalTracker::new(LIMITS);
        for at in [0, 10, 20] {
            feed(&mut tracker, at, Status::Bad);
        }
        feed(&mut tracker, 25, Status::Good);
        assert!(!feed(&mut tracker, 30, Status::Bad));
        assert!(!feed(&mut tracker, 50, Status::Bad));
        assert!(feed(&mut tracker, 60, Status::Bad));
    }

    #[test]
    fn a_breach_ends_only_after_the_whole_recovery_time() {
        let mut tracker = SignalTracker::new(LIMITS);
        for at in [0, 15, 30] {
            feed(&mut tracker, at, Status::Bad);
        }
        for at in [40, 60, 80, 99] {
            assert!(feed(&mut tracker, at, Status::Good), "still breached at {at}");
        }
        assert!(!feed(&mut tracker, 100, Status::Good));
    }

    #[test]
    fn bad_again_during_recovery_starts_recovery_again() {
        let mut tracker = SignalTracker::new(LIMITS);
        for at in [0, 15, 30] {
            feed(&mut tracker, at, Status::Bad);
        }
        feed(&mut tracker, 40, Status::Good);
        feed(&mut tracker, 60, Status::Bad);
        for at in [70, 90, 110, 129] {
            assert!(feed(&mut tracker, at, Status::Good));
        }
        assert!(!feed(&mut tracker, 130, Status::Good));
    }

    #[test]
    fn unknown_time_counts_for_nothing_and_ends_nothing() {
        let mut tracker = SignalTracker::new(LIMITS);
        feed(&mut tracker, 0, Status::Bad);
        feed(&mut tracker, 10, Status::Bad);
        for at in [15, 20, 25] {
            assert!(!feed(&mut tracker, at, Status::Unknown));
        }
        // 10 s known before (the silence is short enough), then 20 s more known: breached at 50, not at 49.
        assert!(!feed(&mut tracker, 30, Status::Bad));
        assert!(!feed(&mut tracker, 49, Status::Bad));
        assert!(feed(&mut tracker, 50, Status::Bad));
    }

    #[test]
    fn unknown_alone_is_never_a_breach_and_never_ends_one() {
        let mut tracker = SignalTracker::new(LIMITS);
        for at in 0..200 {
            assert!(!feed(&mut tracker, at, Status::Unknown));
        }
        for at in [200, 215, 230] {
            feed(&mut tracker, at, Status::Bad);
        }
        for at in 231..500 {
            assert!(feed(&mut tracker, at, Status::Unknown));
        }
        assert_eq!(reading(&tracker, 500).status, Status::Unknown);
        assert_eq!(reading(&tracker, 500).held_ms, 269_000);
    }

    #[test]
    fn a_reading_tells_how_long_the_newest_answer_took_and_forgets_older_ones() {
        let mut tracker = SignalTracker::new(LIMITS);
        tracker.feed_timed(Timestamp(0), Status::Good, Some(42), "seen");
        assert_eq!(reading(&tracker, 1).latency_ms, Some(42));
        feed(&mut tracker, 2, Status::Bad);
        assert_eq!(reading(&tracker, 3).latency_ms, None);
    }

    #[test]
    fn a_long_silence_is_not_a_long_outage() {
        let mut tracker = SignalTracker::new(LIMITS);
        feed(&mut tracker, 0, Status::Bad);
        assert!(!feed(&mut tracker, 3_600, Status::Bad));
        assert_eq!(tracker.counts().longest_bad_ms, 0);
    }

    #[test]
    fn a_reading_tells_status_age_and_counts() {
        let mut tracker = SignalTracker::new(LIMITS);
        assert!(tracker.reading(Timestamp(0), &"s".into(), &"r".into(), &"x".into()).is_none());
        feed(&mut tracker, 0, Status::Good);
        feed(&mut tracker, 10, Status::Bad);
        feed(&mut tracker, 22, Status::Bad);
        let reading = reading(&tracker, 25);
        assert_eq!((reading.status, reading.held_ms, reading.age_ms), (Status::Bad, 15_000, 3_000));
        assert_eq!(reading.detail, "seen (1 good, 2 bad, longest bad 12 s)");
    }
}
