//! Disaster recovery: the other daemons are gone for good, and the one that is left goes on alone.
//!
//! It is no election. What the others had agreed and this daemon never heard is lost, and daemons that were only cut off
//! would go on beside it. So a person says that they are gone, with the daemon stopped, and the generation is raised: by it
//! the zone's fence refuses what an old leader writes, and old daemons that ask this one stop.

use std::sync::Arc;

use failoverd_domain::fleet::{Actor, FleetState, HistoryEvent};
use failoverd_domain::format::Format;
use failoverd_domain::ids::{FleetId, Generation, LogIndex, Region};
use failoverd_domain::time::Timestamp;
use tokio::sync::watch;

use super::disk::{Disk, OpenError};
use super::identity::{Identity, Whose};
use super::store::{Machine, Remains, Store, StoreError};
use super::types::node_id;

/// Why a fleet could not be recovered.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The disk was refused.
    #[error(transparent)]
    Disk(#[from] OpenError),
    /// What it holds cannot be gone on with.
    #[error("{place} cannot be gone on with: {cause}")]
    Log {
        /// Where.
        place: String,
        /// Why.
        cause: String,
    },
    /// A backup is for when every disk is lost.
    #[error(
        "{place} is there, and knows more than any backup: go on from it (failoverd recover --force-new-fleet, without --from), \
         or, if it is another's, point data_dir at an empty directory"
    )]
    Occupied {
        /// Where.
        place: String,
    },
    /// There is nothing to recover.
    #[error("{place} holds no fleet: its daemon was never part of one, recover another that is left")]
    Empty {
        /// Where.
        place: String,
    },
}

/// A fleet of which one daemon is left, on that daemon's disk, which is held until this is dropped.
pub struct Recovery {
    store: Store,
    place: String,
    identity: Identity,
    remains: Remains,
}

/// What a recovery begins with, for the person who must decide.
#[derive(Clone, Debug)]
pub struct Left {
    /// Where.
    pub place: String,
    /// The fleet.
    pub fleet: FleetId,
    /// The daemon that is left.
    pub region: Region,
    /// The generation that ends.
    pub generation: Generation,
    /// The newest entry that it has.
    pub last: LogIndex,
    /// The newest entry that it knows everybody agreed on; it may know less than there was.
    pub agreed: LogIndex,
    /// The newest term that it heard of.
    pub term: u64,
    /// The other daemons that voted until now.
    pub gone: Vec<Region>,
    /// The state as of the newest entry.
    pub state: Arc<FleetState>,
}

/// What a recovered fleet begins with.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// Its generation.
    pub generation: Generation,
    /// Its state.
    pub state: Arc<FleetState>,
    /// What its history says of the recovery.
    pub event: HistoryEvent,
}

impl Recovery {
    /// Looks at a disk; changes nothing.
    ///
    /// # Errors
    /// It is not whole, not this daemon's, in use, or holds no fleet.
    pub fn open(on: &Disk, fleet: &FleetId, region: &Region, reads: Format) -> Result<Self, RecoverError> {
        let place = on.place();
        if !on.exists()? {
            return Err(OpenError::Missing { place }.into());
        }
        let whose = Whose { fleet: fleet.clone(), region: region.clone(), generation: None, joins: false };
        let opened = on.open(whose, reads)?;
        let identity = opened.owned.identity.clone();
        let me = node_id(region);
        let read = || {
            let store = Store::new(opened)?;
            let machine = Machine::load(store.clone(), watch::channel(Arc::default()).0, None)?;
            let remains = Remains::read(&store, me, machine)?;
            Ok((store, remains))
        };
        let (store, remains) = read().map_err(|error: StoreError| broken(&place, &error))?;
        if remains.state.fleet.as_str().is_empty() {
            return Err(RecoverError::Empty { place });
        }
        Ok(Self { store, place, identity, remains })
    }

    /// What there is.
    #[must_use]
    pub fn left(&self) -> Left {
        let Remains { state, last, committed, membership, term, .. } = &self.remains;
        let voters = membership.membership().voter_ids().filter(|voter| *voter != node_id(&self.identity.region));
        let gone = voters.filter_map(|voter| membership.membership().get_node(&voter).cloned());
        Left {
            place: self.place.clone(),
            fleet: self.identity.fleet.clone(),
            region: self.identity.region.clone(),
            generation: self.identity.generation,
            last: LogIndex(last.map_or(0, |last| last.index)),
            agreed: LogIndex(committed.map_or(0, |committed| committed.index)),
            term: *term,
            gone: gone.collect(),
            state: Arc::new(state.clone()),
        }
    }

    /// Makes it a fleet of one in the next generation, which its daemon leads as soon as it starts.
    ///
    /// # Errors
    /// The disk failed. It is as it was, or, when it failed at the very end, begun anew: look at it again.
    pub fn force_new_fleet(self, now: Timestamp, actor: &Actor) -> Result<Recovered, RecoverError> {
        let Self { store, place, identity, remains } = self;
        let index = LogIndex(remains.beginning(node_id(&identity.region)).index);
        let mut state = remains.state.clone();
        // The disk's own generation and that of the state are the same, except on a disk that lost its newest entries.
        state.generation = state.generation.max(identity.generation);
        let event = state.recover(index, now, actor, &identity.region);
        let identity = Identity { generation: state.generation, ..identity };
        let written = remains.begin_anew(&store, &identity, &state, std::slice::from_ref(&event));
        written.and_then(|()| store.close()).map_err(|error| broken(&place, &error))?;
        Ok(Recovered { generation: identity.generation, state: Arc::new(state), event })
    }
}

pub(super) fn broken(place: &str, error: &StoreError) -> RecoverError {
    RecoverError::Log { place: place.to_owned(), cause: error.in_full() }
}
