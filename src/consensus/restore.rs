//! Every disk is lost, and a new one begins from a backup.
//!
//! Never puts an old disk in the place of a newer one: it makes one where there is none, of a generation that no other disk
//! has. Whoever crashes on the way leaves no disk, or the whole of it.

use std::fs;
use std::io;

use failoverd_domain::fleet::{FleetState, HistoryEvent};
use failoverd_domain::format::Format;
use failoverd_domain::ids::Region;

use super::disk::{Disk, OpenError};
use super::identity::{Identity, Whose};
use super::recovery::{RecoverError, broken};
use super::store::{Remains, Store, StoreError};

/// Makes a disk of `region` that holds `state`, which stands where its log begins and was made by `events`. The term is one
/// that was known when the backup was made.
///
/// # Errors
/// There is a disk already, or none could be made; nothing is left behind.
pub fn restore(
    on: &Disk,
    region: &Region,
    reads: Format,
    term: u64,
    state: &FleetState,
    events: &[HistoryEvent],
) -> Result<(), RecoverError> {
    if on.exists()? {
        return Err(RecoverError::Occupied { place: on.place() });
    }
    let unfinished = on.begin()?;
    let generation = state.generation;
    let identity = Identity { fleet: state.fleet.clone(), region: region.clone(), generation };
    // It forms no fleet should it ever be without members.
    let whose = Whose { generation: Some(generation), joins: true, ..Whose::from(&identity) };
    let opened = unfinished.open(whose, reads)?;
    let place = opened.place.clone();
    let written = || {
        let store = Store::new(opened)?;
        let remains = Remains::nothing_before(state.applied, term, region);
        remains.begin_anew(&store, &identity, state, events)?;
        store.close()
    };
    written().map_err(|error: StoreError| broken(&place, &error))?;
    Ok(on.finish()?)
}

impl Disk {
    /// Where a disk is made before it is put in its place.
    fn begin(&self) -> Result<Self, OpenError> {
        let Self::Directory(directory) = self else { return Ok(self.clone()) };
        let unfinished = directory.join("restoring");
        match fs::remove_dir_all(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.failed(&error)),
            _ => Ok(Self::Directory(unfinished)),
        }
    }

    /// Puts it there.
    fn finish(&self) -> Result<(), OpenError> {
        let Self::Directory(directory) = self else { return Ok(()) };
        let unfinished = directory.join("restoring");
        let moved = fs::rename(unfinished.join(super::FILE_NAME), directory.join(super::FILE_NAME))
            .and_then(|()| fs::File::open(directory)?.sync_all())
            .and_then(|()| fs::remove_dir_all(&unfinished));
        moved.map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &io::Error) -> OpenError {
        super::disk::from_io(&self.place(), error)
    }
}
