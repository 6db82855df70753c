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

const MET: &str = "met-disks";

/// The disks of the other daemons.
#[derive(Clone, Debug)]
pub(in crate::consensus) struct Acquaintances {
    store: Store,
    met: Arc<Mutex<Met>>,
}

#[derive(Debug, Default)]
struct Met {
    disks: BTreeMap<Region, u64>,
    /// Those that a person was told about already.
    reported: BTreeSet<(Region, u64)>,
}

impl Acquaintances {
    pub(in crate::consensus) fn load(store: Store) -> Result<Self, StoreError> {
        let met = Met { disks: store.get(MET)?.unwrap_or_default(), ..Met::default() };
        Ok(Self { store, met: Arc::new(Mutex::new(met)) })
    }

    /// Whether `disk` is the one that the daemon of `region` has always had, as far as known here. A first meeting
    /// is on our own disk before this returns.
    pub(in crate::consensus) fn recognise(&self, region: &Region, disk: u64) -> Result<bool, StoreError> {
        let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        match met.disks.get(region) {
            Some(known) if *known == disk => return Ok(true),
            Some(_) => {
                if met.reported.insert((region.clone(), disk)) {
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
        Ok(true)
    }
}
