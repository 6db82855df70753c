//! Exact moments: before or after a daemon writes the journal or calls AWS to change something, it dies there, or what it
//! asked for goes astray. A story is played once to learn its moments, and then again for each of them.

use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use failoverd_domain::ids::Region;

/// Where in a daemon's work something happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The daemon.
    pub at: Region,
    /// What it does, such as `intent promote/orders-db` or `call FailoverGlobalCluster`.
    pub what: String,
    /// Whether it is about to, or has just done it.
    pub side: Side,
}

/// Before or after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It is about to.
    Before,
    /// It has been done, and the daemon does not know yet.
    After,
}

/// What happens then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// The daemon dies.
    Death,
    /// What was asked is lost on the way there, or its answer on the way back.
    Lost,
    /// It is refused for now. Only before.
    Refused,
    /// It is refused, and will be until somebody does something about it. Only before a call of AWS.
    Denied,
}

/// Stretched across all daemons of a fleet. Clones are the same wire; one that nobody has set lets everything pass.
#[derive(Clone, Debug, Default)]
pub struct Tripwire {
    set: Arc<Mutex<Option<Set>>>,
}

#[derive(Debug, Default)]
struct Set {
    passed: Vec<Moment>,
    trap: Option<(usize, Mishap)>,
    dead: Option<Region>,
}

impl Tripwire {
    /// From now on moments are counted, and the one of that number gets that mishap.
    pub fn set(&self, trap: Option<(usize, Mishap)>) {
        *self.lock() = Some(Set { trap, ..Set::default() });
    }

    /// The moments so far.
    #[must_use]
    pub fn passed(&self) -> Vec<Moment> {
        self.lock().as_ref().map(|set| set.passed.clone()).unwrap_or_default()
    }

    /// The daemon that stands still because it is to be dead, until it is taken away.
    #[must_use]
    pub fn dead(&self) -> Option<Region> {
        self.lock().as_ref().and_then(|set| set.dead.clone())
    }

    /// It is dead now, and may be started again.
    pub fn bury(&self) {
        if let Some(set) = self.lock().as_mut() {
            set.dead = None;
        }
    }

    /// A daemon comes by. Whoever is to die does not come back from here.
    pub async fn pass(&self, at: &Region, what: impl FnOnce() -> String + Send, side: Side) -> Option<Mishap> {
        match self.fate(at, what, side) {
            Some(Mishap::Death) => pending().await,
            other => other,
        }
    }

    fn fate(&self, at: &Region, what: impl FnOnce() -> String, side: Side) -> Option<Mishap> {
        let mut set = self.lock();
        let set = set.as_mut()?;
        if set.dead.as_ref() == Some(at) {
            return Some(Mishap::Death);
        }
        let number = set.passed.len();
        set.passed.push(Moment { at: at.clone(), what: what(), side });
        let (_, mishap) = set.trap.filter(|(trap, _)| *trap == number)?;
        if mishap == Mishap::Death {
            set.dead = Some(at.clone());
        }
        Some(mishap)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Set>> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
