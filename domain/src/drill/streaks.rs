//! Answers of one service to one asker, as streaks of good and bad: exact whatever their number, and small.

use std::collections::VecDeque;

use super::curves::ThroughSeen;
use crate::health::Status;
use crate::time::Timestamp;

/// A service that answers now well, now badly, all the time: the oldest streaks go.
const MOST_STREAKS: usize = 512;

/// Answers in order, those that could not tell left out.
#[derive(Debug, Default)]
pub(super) struct Streaks {
    streaks: VecDeque<Streak>,
}

#[derive(Debug)]
struct Streak {
    bad: bool,
    first: Timestamp,
    last: Timestamp,
    answers: u64,
}

impl Streak {
    /// How many of its answers came within a time, as if they came evenly.
    fn within(&self, from: Timestamp, until: Timestamp) -> u64 {
        if self.first >= from && self.last <= until {
            return self.answers;
        }
        let whole_ms = self.last.since(self.first).max(1);
        let inside_ms = self.last.min(until).since(self.first.max(from));
        // Its first answer is no distance away from itself.
        self.answers.saturating_sub(1).saturating_mul(inside_ms) / whole_ms + 1
    }
}

impl Streaks {
    pub(super) fn note(&mut self, at: Timestamp, status: Status) {
        if status == Status::Unknown {
            return;
        }
        let bad = status == Status::Bad;
        match self.streaks.back_mut() {
            Some(streak) if streak.bad == bad => {
                streak.last = streak.last.max(at);
                streak.answers += 1;
            }
            _ => self.streaks.push_back(Streak { bad, first: at, last: at, answers: 1 }),
        }
        if self.streaks.len() > MOST_STREAKS {
            self.streaks.pop_front();
        }
    }

    pub(super) fn forget(&mut self, from: Timestamp) {
        while self.streaks.front().is_some_and(|streak| streak.last < from) {
            self.streaks.pop_front();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.streaks.is_empty()
    }

    /// What this asker had between two instants.
    pub(super) fn seen(&self, from: Timestamp, until: Timestamp) -> ThroughSeen {
        let mut seen = ThroughSeen::default();
        let mut last_good = None;
        let mut bad_since = None;
        for streak in self.streaks.iter().filter(|streak| streak.last >= from && streak.first <= until) {
            let answers = streak.within(from, until);
            seen.asked += answers;
            if streak.bad {
                seen.errors += answers;
                seen.well_since = None;
                bad_since = bad_since.or(last_good).or(Some(streak.first.max(from)));
                continue;
            }
            let well = streak.first.max(from);
            if let Some(since) = bad_since.take() {
                seen.longest_gap_ms = seen.longest_gap_ms.max(well.since(since));
                seen.well_since = Some(well);
            }
            last_good = Some(streak.last);
        }
        if let Some(since) = bad_since {
            seen.longest_gap_ms = seen.longest_gap_ms.max(until.since(since));
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Timestamp {
        Timestamp(s * 1_000)
    }

    /// Bad for the first eleven seconds, good for ten, an answer a second.
    fn outage() -> Streaks {
        let mut streaks = Streaks::default();
        for s in 0..=20 {
            streaks.note(at(s), if s <= 10 { Status::Bad } else { Status::Good });
            streaks.note(at(s), Status::Unknown);
        }
        streaks
    }

    #[test]
    fn what_lies_within_a_time_is_counted_and_an_outage_lasts_until_the_first_good_answer() {
        let seen = |from, until| {
            let seen = outage().seen(at(from), at(until));
            (seen.asked, seen.errors, seen.longest_gap_ms, seen.well_since)
        };
        assert_eq!(seen(0, 20), (21, 11, 11_000, Some(at(11))));
        assert_eq!(seen(5, 20), (16, 6, 6_000, Some(at(11))));
        assert_eq!(seen(0, 5), (6, 6, 5_000, None));
        assert_eq!(seen(10, 11), (2, 1, 1_000, Some(at(11))));
        assert_eq!(seen(12, 20), (9, 0, 0, None));
        assert_eq!(seen(21, 30), (0, 0, 0, None));
    }

    #[test]
    fn what_is_over_can_be_forgotten_and_the_oldest_of_too_many_goes() {
        let mut streaks = outage();
        streaks.forget(at(10));
        assert_eq!(streaks.streaks.len(), 2);
        streaks.forget(Timestamp(10_001));
        assert_eq!((streaks.streaks.len(), streaks.is_empty()), (1, false));
        streaks.forget(at(21));
        assert!(streaks.is_empty());
        for s in 0..MOST_STREAKS as u64 + 1 {
            assert_eq!(streaks.streaks.len() as u64, s);
            streaks.note(at(s), if s % 2 == 0 { Status::Bad } else { Status::Good });
            if s == MOST_STREAKS as u64 {
                assert_eq!((streaks.streaks.len(), streaks.streaks[0].first), (MOST_STREAKS, at(1)));
            }
        }
    }
}
