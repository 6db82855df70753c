//! Watches every daemon apply its log and judges each entry; remembers what was agreed, to hold the others to it.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use failoverd_domain::fleet::{Applied, Entry, FleetState, HistoryEvent};
use failoverd_domain::ids::Region;
use failoverd_domain::invariant::{Transition, judge};
use failoverd_domain::time::Timestamp;

use super::figures::{Figures, Tally};
use crate::consensus::OnApplied;
use crate::ports::Clock;
use crate::sim::world::TokioClock;

/// States kept to compare with: a daemon that is further behind installs a snapshot.
const STATES_KEPT: usize = 400;
/// Checks that `judge` makes of one entry.
const CHECKS_AN_ENTRY: u64 = 8;

/// The judge of a simulation. Clones are the same.
#[derive(Clone)]
pub struct Judge {
    book: Arc<Mutex<Book>>,
    clock: Arc<dyn Clock>,
    began: Timestamp,
}

#[derive(Default)]
struct Book {
    checks: u64,
    violations: Vec<String>,
    states: BTreeMap<u64, FleetState>,
    newest: Arc<FleetState>,
    events: Vec<HistoryEvent>,
    entries: BTreeMap<Region, u64>,
    trace: DefaultHasher,
    log: Vec<String>,
    tally: Tally,
}

impl Judge {
    /// A judge whose time is tokio's and begins now.
    #[must_use]
    pub fn new() -> Self {
        Self::by(Arc::new(TokioClock::starting_at(Timestamp::default())))
    }

    /// A judge by that clock, whose time begins now.
    #[must_use]
    pub fn by(clock: Arc<dyn Clock>) -> Self {
        Self { book: Arc::default(), began: clock.now(), clock }
    }

    /// What one daemon's consensus calls after every entry.
    #[must_use]
    pub fn hook(&self, region: &Region) -> OnApplied {
        let (judge, region) = (self.clone(), region.clone());
        Arc::new(move |before, entry, applied, after| judge.applied(&region, before, entry, applied, after))
    }

    fn applied(&self, region: &Region, before: &FleetState, entry: &Entry, applied: &Applied, after: &FleetState) {
        let at = self.elapsed_ms();
        let found = judge(&Transition { before, entry, applied, after });
        let mut book = self.book();
        book.checks += CHECKS_AN_ENTRY;
        *book.entries.entry(region.clone()).or_default() += 1;
        for violation in found {
            book.blame(at, format!("{violation} (at {region}, entry {})", applied.index));
        }
        book.note((at, region.as_str(), applied.index.0, &after.head.hash));
        book.hold_equal(at, region, after);
        book.learn(at, entry, applied, after);
    }

    /// The fleet goes on from this state: what was agreed behind it is lost, and is nobody's fault.
    pub fn recovered(&self, state: &FleetState, events: &[HistoryEvent]) {
        let mut book = self.book();
        book.states.clear();
        let first = events.first().map_or(u64::MAX, |event| event.seq);
        book.events.retain(|known| known.seq < first);
        book.events.extend_from_slice(events);
        book.newest = Arc::new(state.clone());
    }

    /// Records something that must not be.
    pub fn blame(&self, what: impl Into<String>) {
        let at = self.elapsed_ms();
        self.book().blame(at, what.into());
    }

    /// Writes a line into the run's log, which a failing seed prints.
    pub fn tell(&self, what: impl Into<String>) {
        let at = self.elapsed_ms();
        let what = what.into();
        let mut book = self.book();
        book.note((at, &what));
        book.log.push(format!("{:>8.3} {what}", at as f64 / 1e3));
    }

    /// What was tried so far.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.book().tally.figures.clone()
    }

    pub(super) fn tally<T>(&self, change: impl FnOnce(&mut Tally) -> T) -> T {
        change(&mut self.book().tally)
    }

    /// Counts checks that were made elsewhere.
    pub fn count(&self, checks: u64) {
        self.book().checks += checks;
    }

    /// The newest state that any daemon has applied.
    #[must_use]
    pub fn newest(&self) -> Arc<FleetState> {
        self.book().newest.clone()
    }

    /// Every event agreed so far, in order.
    pub fn with_events<T>(&self, look: impl FnOnce(&[HistoryEvent]) -> T) -> T {
        look(&self.book().events)
    }

    /// How many entries the daemon of a Region has applied one by one; those in a snapshot are not among them.
    #[must_use]
    pub fn entries_at(&self, region: &Region) -> u64 {
        self.book().entries.get(region).copied().unwrap_or(0)
    }

    /// What did not hold.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.book().violations.clone()
    }

    /// Checks made so far.
    #[must_use]
    pub fn checks(&self) -> u64 {
        self.book().checks
    }

    /// One number for everything that happened, in order and in time.
    #[must_use]
    pub fn trace(&self) -> u64 {
        self.book().trace.finish()
    }

    /// What happened, for people.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.book().log.clone()
    }

    /// Milliseconds since the beginning.
    #[must_use]
    pub fn elapsed_ms(&self) -> u64 {
        self.clock.now().0.saturating_sub(self.began.0)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Judge {
    fn default() -> Self {
        Self::new()
    }
}

impl Book {
    fn blame(&mut self, at: u64, what: String) {
        self.log.push(format!("{:>8.3} VIOLATION {what}", at as f64 / 1e3));
        self.violations.push(what);
    }

    fn note(&mut self, what: impl Hash) {
        what.hash(&mut self.trace);
    }

    /// Every daemon must make the same of the same entry (I8, and what all else rests on).
    fn hold_equal(&mut self, at: u64, region: &Region, after: &FleetState) {
        self.checks += 1;
        match self.states.get(&after.applied.0) {
            Some(other) if other != after => {
                self.blame(at, format!("I8 does not hold: {region} made something else of entry {}", after.applied));
            }
            Some(_) => {}
            None => {
                self.states.insert(after.applied.0, after.clone());
                if self.states.len() > STATES_KEPT {
                    self.states.pop_first();
                }
            }
        }
    }

    fn learn(&mut self, at: u64, entry: &Entry, applied: &Applied, after: &FleetState) {
        for event in &applied.events {
            let known = self.events.len() as u64;
            if event.seq == known + 1 {
                self.log.push(format!("{:>8.3} #{} {}: {}", at as f64 / 1e3, event.seq, event.actor, event.message));
                self.events.push(event.clone());
            } else if event.seq > known {
                self.blame(at, format!("I8 does not hold: event {} follows {known}", event.seq));
            }
        }
        if after.applied > self.newest.applied {
            if let Err(rejection) = &applied.result {
                self.log.push(format!("{:>8.3} {} refused: {rejection}", at as f64 / 1e3, entry.actor));
            }
            self.tally.learn(at, entry, applied);
            self.newest = Arc::new(after.clone());
        }
    }
}
