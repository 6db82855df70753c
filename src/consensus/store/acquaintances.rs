//! The disks of the other daemons, as first met.
//!
//! A daemon whose disk was lost has forgotten its votes and what it acknowledged. Coming back with an empty disk
//! under its old name it could vote twice and undo what was committed, and openraft's leader does not survive a
//! follower that forgets. So every disk has a number of its own, and a daemon that turns up with another disk
//! than the one it was met with is not listened to: it must be replaced.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use failoverd_domain::ids::Region;
use redb::Durability;

use super::{Store, StoreError, put};

pub(super) const MET: &str = "met-disks";
const AS_OF: &str = "met-disks-as-of";

/// No disk has this number.
const NOBODYS: u64 = 0;

/// Numbers of disks.
pub(super) type MetDisks = BTreeMap<Region, u64>;

/// The disks of the other daemons.
#[derive(Clone, Debug)]
pub(in crate::consensus) struct Acquaintances {
    store: Store,
    met: Arc<Mutex<Met>>,
}

#[derive(Debug, Default)]
struct Met {
    disks: MetDisks,
    /// The newest change of members that was followed; when the log is replayed, older ones are passed over.
    as_of: u64,
    /// Those that a person was told about already, since they were met.
    reported: BTreeSet<Region>,
}

impl Acquaintances {
    pub(in crate::consensus) fn load(store: Store) -> Result<Self, StoreError> {
        let (disks, as_of) = (store.get(MET)?.unwrap_or_default(), store.get(AS_OF)?.unwrap_or_default());
        let met = Met { disks, as_of, ..Met::default() };
        Ok(Self { store, met: Arc::new(Mutex::new(met)) })
    }

    /// Whether `disk` is the one that the daemon of `region` has always had, as far as known here. A first meeting
    /// is on our own disk before this returns.
    pub(in crate::consensus) fn recognise(&self, region: &Region, disk: u64) -> Result<bool, StoreError> {
        let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        match met.disks.get(region) {
            Some(known) if *known == disk => return Ok(true),
            Some(_) => {
                if met.reported.insert(region.clone()) {
                    tracing::error!(%region, "a daemon came with another disk than before: it must be replaced");
                }
                return Ok(false);
            }
            None => {}
        }
        let mut with_it = met.disks.clone();
        with_it.insert(region.clone(), disk);
        self.store.write(Durability::Immediate, |transaction| put(transaction, MET, &with_it))?;
        met.disks = with_it;
        met.reported.remove(region);
        Ok(true)
    }

    /// From now on that daemon's disk is not the one it was met with: it has lost what was on it, as if it were another.
    pub(in crate::consensus) fn distrust(&self, region: &Region) -> Result<(), StoreError> {
        let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        let mut without = met.disks.clone();
        without.insert(region.clone(), NOBODYS);
        self.store.write(Durability::Immediate, |transaction| put(transaction, MET, &without))?;
        met.disks = without;
        Ok(())
    }

    /// The disk that a daemon was met with; none where that is not trusted any longer.
    pub(in crate::consensus) fn disk_of(&self, region: &Region) -> Option<u64> {
        self.met
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .disks
            .get(region)
            .copied()
            .filter(|disk| *disk != NOBODYS)
    }

    /// The members as agreed at log position `index`. Whoever is none of them any longer was replaced or went, and is met
    /// anew should it come again.
    pub(super) fn keep_only(&self, index: u64, members: BTreeSet<Region>) -> Result<(), StoreError> {
        let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        if index <= met.as_of {
            return Ok(());
        }
        let mut kept = met.disks.clone();
        kept.retain(|region, _| members.contains(region));
        let forgets = kept.len() < met.disks.len();
        // That it was followed is durable with whatever is met next, so that a replay does not forget that.
        let durability = if forgets { Durability::Immediate } else { Durability::None };
        self.store.write(durability, |transaction| {
            put(transaction, MET, &kept)?;
            put(transaction, AS_OF, &index)
        })?;
        if forgets {
            tracing::info!(known = kept.len(), "disks of daemons that are no members any longer are forgotten");
        }
        met.disks = kept;
        met.as_of = index;
        Ok(())
    }
}
