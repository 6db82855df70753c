//! Whose disk it is: written once when it is made, checked at every start.

use std::fmt;

use failoverd_domain::format::{Format, TooNew};
use failoverd_domain::ids::{FleetId, Generation, Region};
use rand::RngCore;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::clockwork::ElectionRng;
use super::disk::{OpenError, from_storage};

const TABLE: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("identity");
const KEY: &str = "identity";

/// Whose disk it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The fleet.
    pub fleet: FleetId,
    /// The daemon.
    pub region: Region,
    /// Raised only by disaster recovery of the fleet itself.
    pub generation: Generation,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fleet {}, Region {}, generation {}", self.fleet, self.region, self.generation)
    }
}

#[derive(Serialize, Deserialize)]
struct Written {
    /// The newest format of what it holds. A disk begins with the first one; what is written later raises it.
    format: Format,
    /// The number of this very disk, drawn when it was made.
    disk: u64,
    #[serde(flatten)]
    identity: serde_json::Value,
}

pub(super) fn write(database: &Database, place: &str, identity: &Identity) -> Result<(), OpenError> {
    let damaged = |cause: String| OpenError::Damaged { place: place.to_owned(), cause };
    let written = Written {
        format: Format::FIRST,
        disk: ElectionRng.next_u64(),
        identity: serde_json::to_value(identity).map_err(|error| damaged(error.to_string()))?,
    };
    let bytes = serde_json::to_vec(&written).map_err(|error| damaged(error.to_string()))?;
    let failed = |error: redb::Error| from_redb(place, error);
    let transaction = database.begin_write().map_err(|error| failed(error.into()))?;
    transaction
        .open_table(TABLE)
        .map_err(redb::Error::from)
        .and_then(|mut table| table.insert(KEY, bytes.as_slice()).map(drop).map_err(redb::Error::from))
        .map_err(failed)?;
    transaction.commit().map_err(|error| failed(error.into()))
}

/// Notes that the disk holds something of this format from now on.
pub(super) fn raise(transaction: &WriteTransaction, format: Format) -> Result<(), RaiseError> {
    let mut table = transaction.open_table(TABLE).map_err(redb::Error::from)?;
    let bytes = table.get(KEY).map_err(redb::Error::from)?.map(|bytes| bytes.value().to_vec());
    let mut written: Written = serde_json::from_slice(&bytes.unwrap_or_default())?;
    if written.format < format {
        written.format = format;
        table.insert(KEY, serde_json::to_vec(&written)?.as_slice()).map_err(redb::Error::from)?;
    }
    Ok(())
}

/// Why a disk could not be given a newer format.
#[derive(Debug, thiserror::Error)]
pub(super) enum RaiseError {
    #[error(transparent)]
    Disk(#[from] redb::Error),
    #[error(transparent)]
    Content(#[from] serde_json::Error),
}

/// Refuses a disk of somebody else, and one that holds what this daemon cannot read. Returns the disk's own number.
pub(super) fn check(database: &Database, place: &str, expected: &Identity, reads: Format) -> Result<u64, OpenError> {
    let damaged = |cause: String| OpenError::Damaged { place: place.to_owned(), cause };
    let bytes = read(database).map_err(|error| from_redb(place, error))?;
    let bytes = bytes.ok_or_else(|| damaged("it does not say whose it is".to_owned()))?;
    let written: Written = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
    TooNew::check(written.format, reads, || place.to_owned())?;
    let found: Identity = serde_json::from_value(written.identity).map_err(|error| damaged(error.to_string()))?;
    if &found == expected {
        return Ok(written.disk);
    }
    let (found, expected) = (Box::new(found), Box::new(expected.clone()));
    Err(OpenError::Foreign { place: place.to_owned(), found, expected })
}

fn read(database: &Database) -> Result<Option<Vec<u8>>, redb::Error> {
    let table = match database.begin_read()?.open_table(TABLE) {
        Ok(table) => table,
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Ok(table.get(KEY)?.map(|bytes| bytes.value().to_vec()))
}

fn from_redb(place: &str, error: redb::Error) -> OpenError {
    match error {
        redb::Error::Io(error) => from_storage(place, redb::StorageError::Io(error)),
        other => OpenError::Damaged { place: place.to_owned(), cause: other.to_string() },
    }
}
