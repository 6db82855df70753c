//! Asynchronous replication of versioned values between copies: what is where, and what is under way.
//!
//! A copy is named by its place (a Region, or a bucket). A value that cannot be delivered waits; it is never lost here:
//! only a promotion decides that (`take_flights`).

use std::collections::BTreeMap;
use std::sync::Arc;

/// A version of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The writer's version.
    pub version: u64,
    /// When it was acknowledged.
    pub at_ms: u64,
    /// Place that acknowledged it.
    pub by: String,
    /// What a stranger wrote; a canary is its version alone.
    pub payload: Option<Arc<[u8]>>,
}

#[derive(Clone, Debug)]
struct Flight {
    key: String,
    from: String,
    to: String,
    written: Written,
    due_ms: u64,
    /// Writes that this flight stands for: blocked ones are merged, as only the newest will be seen.
    writes: u64,
    oldest_ms: u64,
    blocked: bool,
}

/// Writes that were acknowledged in one place and had not reached another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Undelivered {
    /// How many.
    pub writes: u64,
    /// When the oldest of them was acknowledged.
    pub oldest_ms: Option<u64>,
}

/// All copies of one store.
#[derive(Clone, Debug, Default)]
pub struct Replication {
    copies: BTreeMap<String, BTreeMap<String, Written>>,
    flights: Vec<Flight>,
}

impl Replication {
    /// What a copy shows.
    #[must_use]
    pub fn read(&self, place: &str, key: &str) -> Option<&Written> {
        self.copies.get(place)?.get(key)
    }

    /// Whether a copy holds anything.
    #[must_use]
    pub fn holds_any(&self, place: &str) -> bool {
        self.copies.get(place).is_some_and(|copy| !copy.is_empty())
    }

    /// Everything in a copy, by key.
    pub fn all(&self, place: &str) -> impl Iterator<Item = (&String, &Written)> {
        self.copies.get(place).into_iter().flatten()
    }

    /// Takes a value out of one copy.
    pub fn remove(&mut self, place: &str, key: &str) -> Option<Written> {
        self.copies.get_mut(place)?.remove(key)
    }

    /// Whether a value is still on its way from a place.
    #[must_use]
    pub fn is_under_way(&self, from: &str, key: &str) -> bool {
        self.flights.iter().any(|flight| flight.from == from && flight.key == key)
    }

    /// Stores in one copy alone.
    pub fn put(&mut self, key: &str, written: Written) {
        self.copies.entry(written.by.clone()).or_default().insert(key.to_owned(), written);
    }

    /// Sends towards another copy.
    pub fn send(&mut self, key: &str, written: &Written, to: &str, due_ms: u64) {
        self.flights.push(Flight {
            key: key.to_owned(),
            from: written.by.clone(),
            to: to.to_owned(),
            written: written.clone(),
            due_ms,
            writes: 1,
            oldest_ms: written.at_ms,
            blocked: false,
        });
    }

    /// Delivers what is due and can pass; what cannot waits until a lag after it can.
    pub fn deliver(&mut self, now_ms: u64, linked: impl Fn(&str, &str) -> bool, lag_ms: impl Fn(&str) -> u64) {
        if self.flights.iter().all(|flight| flight.due_ms > now_ms) {
            return;
        }
        for mut flight in std::mem::take(&mut self.flights) {
            if flight.due_ms > now_ms {
                self.flights.push(flight);
            } else if linked(&flight.from, &flight.to) {
                self.arrive(flight);
            } else {
                flight.due_ms = now_ms + lag_ms(&flight.to);
                flight.blocked = true;
                self.hold(flight);
            }
        }
    }

    fn hold(&mut self, flight: Flight) {
        let same = |other: &&mut Flight| {
            other.blocked && other.key == flight.key && other.from == flight.from && other.to == flight.to
        };
        match self.flights.iter_mut().find(same) {
            Some(held) => {
                held.writes += flight.writes;
                held.oldest_ms = held.oldest_ms.min(flight.oldest_ms);
                if flight.written.at_ms >= held.written.at_ms {
                    held.written = flight.written;
                }
            }
            None => self.flights.push(flight),
        }
    }

    /// The last writer wins, by time, then by place.
    fn arrive(&mut self, flight: Flight) {
        let copy = self.copies.entry(flight.to).or_default();
        let order = |written: &Written| (written.at_ms, written.version, written.by.clone());
        if copy.get(&flight.key).is_none_or(|there| order(there) < order(&flight.written)) {
            copy.insert(flight.key, flight.written);
        }
    }

    /// Whether a flight has that source and destination; `None` stands for any.
    fn undelivered_where(&self, fits: impl Fn(&Flight) -> bool) -> Undelivered {
        self.flights.iter().filter(|flight| fits(flight)).fold(Undelivered::default(), |sum, flight| Undelivered {
            writes: sum.writes + flight.writes,
            oldest_ms: Some(sum.oldest_ms.map_or(flight.oldest_ms, |oldest| oldest.min(flight.oldest_ms))),
        })
    }

    /// What is under way to a place.
    #[must_use]
    pub fn undelivered_to(&self, to: &str) -> Undelivered {
        self.undelivered_where(|flight| flight.to == to)
    }

    /// What is under way from a place.
    #[must_use]
    pub fn undelivered_from(&self, from: &str) -> Undelivered {
        self.undelivered_where(|flight| flight.from == from)
    }

    /// Gives up on what is under way between two places, and says what that was.
    pub fn take_flights(&mut self, from: &str, to: &str) -> Undelivered {
        let taken = self.undelivered_where(|flight| flight.from == from && flight.to == to);
        self.flights.retain(|flight| flight.from != from || flight.to != to);
        taken
    }

    /// Makes one copy equal to another.
    pub fn rebuild(&mut self, from: &str, to: &str) {
        let rows = self.copies.get(from).cloned().unwrap_or_default();
        self.copies.insert(to.to_owned(), rows);
        self.flights.retain(|flight| flight.from != to && !(flight.to == to && flight.blocked));
    }

    /// Whether `version` may be written there: only over an older one (`attribute_not_exists OR version < :v`).
    #[must_use]
    pub fn accepts(&self, place: &str, key: &str, version: u64) -> bool {
        self.read(place, key).is_none_or(|there| there.version < version)
    }
}
