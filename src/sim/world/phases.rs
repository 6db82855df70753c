//! What a database goes through before AWS calls it `available` again: one word at a time, each with its end.

use std::collections::VecDeque;

/// What happens when a phase ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// The next one begins.
    Nothing,
    /// Rows are there.
    Ready,
    /// Replication is over: it stands alone, with backups kept for so many days.
    StandsAlone(u32),
    /// It has another identifier.
    Renamed(String),
    /// It is gone.
    Gone,
    /// An event tells of it.
    Says(&'static str, &'static str, &'static str),
}

#[derive(Clone, Debug)]
struct Phase {
    status: &'static str,
    until_ms: u64,
    then: Then,
}

/// The phases ahead.
#[derive(Clone, Debug, Default)]
pub(super) struct Phases {
    queue: VecDeque<Phase>,
}

impl Phases {
    /// Adds a phase of so many milliseconds after those that are ahead.
    pub(super) fn push(&mut self, now_ms: u64, status: &'static str, lasts_ms: u64, then: Then) {
        let starts_ms = self.queue.back().map_or(now_ms, |last| last.until_ms);
        self.queue.push_back(Phase { status, until_ms: starts_ms + lasts_ms, then });
    }

    /// AWS's word for now.
    pub(super) fn status(&self) -> &'static str {
        self.queue.front().map_or("available", |phase| phase.status)
    }

    /// Ends the first phase if its time is over.
    pub(super) fn end_one(&mut self, now_ms: u64) -> Option<Then> {
        let over = self.queue.front().is_some_and(|phase| phase.until_ms <= now_ms);
        over.then(|| self.queue.pop_front()).flatten().map(|phase| phase.then)
    }

    /// What the first phase leads to, if its time is over.
    pub(super) fn due(&self, now_ms: u64) -> Option<&Then> {
        self.queue.front().filter(|phase| phase.until_ms <= now_ms).map(|phase| &phase.then)
    }

    /// Whether it is about to get that identifier.
    pub(super) fn leads_to_name(&self, id: &str) -> bool {
        self.queue.iter().any(|phase| matches!(&phase.then, Then::Renamed(new_id) if new_id == id))
    }

    /// Ends everything now.
    pub(super) fn clear(&mut self) {
        self.queue.clear();
    }
}
