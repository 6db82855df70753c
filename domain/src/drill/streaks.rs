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
