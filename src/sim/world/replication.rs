//! Asynchronous replication of versioned values between copies: what is where, and what is under way.
//!
//! A copy is named by its place (a Region, or a bucket). A value that cannot be delivered waits; it is never lost here:
//! only a promotion decides that (`take_flights`). Where a stranger's objects are overwritten, some older versions stay.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::stored_object::StoredObject;

/// Older versions of one object that are kept; the oldest go first.
const MOST_OLDER: usize = 20;

/// What a stranger wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// An item, as JSON.
    Item(Arc<[u8]>),
    /// An object, or a mark that it was deleted.
    Object(Arc<StoredObject>),
    /// Nothing any more: replicated like any write.
    Gone,
}

impl Payload {
    fn bytes(&self) -> u64 {
        let length = match self {
            Self::Item(item) => item.len(),
            Self::Object(object) => object.body.len(),
            Self::Gone => 0,
        };
        u64::try_from(length).unwrap_or(u64::MAX)
    }
}

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
    pub payload: Option<Payload>,
}

impl Written {
    /// Whether it says that nothing is there.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        match &self.payload {
            Some(Payload::Gone) => true,
            Some(Payload::Object(object)) => object.is_marker,
            Some(Payload::Item(_)) | None => false,
        }
    }

    /// A stranger's object.
    #[must_use]
    pub fn object(&self) -> Option<&StoredObject> {
        match &self.payload {
            Some(Payload::Object(object)) => Some(object),
            _ => None,
        }
    }

    /// A canary counts as the digits of its version.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.payload.as_ref().map_or_else(|| u64::from(self.version.checked_ilog10().unwrap_or(0) + 1), Payload::bytes)
    }

    fn order(&self) -> (u64, u64, &str) {
        (self.at_ms, self.version, &self.by)
    }
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
    bytes: u64,
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
    /// By place and key, the newest first.
    older: BTreeMap<String, BTreeMap<String, Vec<Written>>>,
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
        self.all(place).any(|(_, written)| !written.is_gone())
    }

    /// Everything in a copy, by key.
    pub fn all(&self, place: &str) -> impl Iterator<Item = (&String, &Written)> {
        self.copies.get(place).into_iter().flatten()
    }

    /// Every version of a value in a copy, the newest first.
    pub fn versions(&self, place: &str, key: &str) -> impl Iterator<Item = &Written> {
        let older = self.older.get(place).and_then(|keys| keys.get(key));
        self.read(place, key).into_iter().chain(older.into_iter().flatten())
    }

    /// Whether a copy holds any version at all, marks of deletion included.
    #[must_use]
    pub fn holds_any_version(&self, place: &str) -> bool {
        self.copies.get(place).is_some_and(|copy| !copy.is_empty())
    }

    /// Takes one version out of one copy; when it was the newest, the one before it shows again.
    pub fn remove_version(&mut self, place: &str, key: &str, is_it: impl Fn(&Written) -> bool) -> Option<Written> {
        let older = self.older.get_mut(place).and_then(|keys| keys.get_mut(key));
        if self.copies.get(place)?.get(key).is_some_and(&is_it) {
            let copy = self.copies.get_mut(place)?;
            let removed = copy.remove(key);
            if let Some(older) = older.filter(|older| !older.is_empty()) {
                copy.insert(key.to_owned(), older.remove(0));
            }
            return removed;
        }
        let older = older?;
        older.iter().position(is_it).map(|at| older.remove(at))
    }

    /// Takes a copy away, with all that is under way to it.
    pub fn drop_place(&mut self, place: &str) {
        self.copies.remove(place);
        self.older.remove(place);
        self.flights.retain(|flight| flight.to != place);
    }

    fn keep_older(&mut self, place: &str, key: &str, written: Written) {
        let older = self.older.entry(place.to_owned()).or_default().entry(key.to_owned()).or_default();
        let at = older.iter().position(|other| other.order() < written.order()).unwrap_or(older.len());
        older.insert(at, written);
        older.truncate(MOST_OLDER);
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

    /// Stores in one copy alone, above the version that was there.
    pub fn put_version(&mut self, key: &str, written: Written) {
        let place = written.by.clone();
        let replaced = self.copies.entry(place.clone()).or_default().insert(key.to_owned(), written);
        if let Some(replaced) = replaced {
            self.keep_older(&place, key, replaced);
        }
    }

    /// Has it in another copy at once, where replication waits for the copies.
    pub fn copy_to(&mut self, key: &str, written: &Written, to: &str) {
        self.take_in(key.to_owned(), written.clone(), to.to_owned());
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
            bytes: written.bytes(),
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
                held.bytes += flight.bytes;
                held.oldest_ms = held.oldest_ms.min(flight.oldest_ms);
                if flight.written.at_ms >= held.written.at_ms {
                    held.written = flight.written;
                }
            }
            None => self.flights.push(flight),
        }
    }

    fn arrive(&mut self, flight: Flight) {
        self.take_in(flight.key, flight.written, flight.to);
    }

    /// The last writer wins, by time, then by place. Objects stay beneath the newest one.
    fn take_in(&mut self, key: String, written: Written, to: String) {
        let copy = self.copies.entry(to.clone()).or_default();
        let beaten = match copy.get(&key) {
            Some(there) if there.order() >= written.order() => Some(written).filter(|written| written != there),
            _ => copy.insert(key.clone(), written),
        };
        if let Some(beaten) = beaten.filter(|beaten| beaten.object().is_some()) {
            self.keep_older(&to, &key, beaten);
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

    /// What is under way between two places, and its bytes.
    #[must_use]
    pub fn undelivered_between(&self, from: &str, to: &str) -> (Undelivered, u64) {
        let between = |flight: &Flight| flight.from == from && flight.to == to;
        let bytes = self.flights.iter().filter(|flight| between(flight)).map(|flight| flight.bytes).sum();
        (self.undelivered_where(between), bytes)
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
        self.read(place, key).is_none_or(|there| there.version < version || there.is_gone())
    }
}
