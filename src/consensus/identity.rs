//! Whose disk it is: written once when it is made, checked at every start.

use std::fmt;

use failoverd_domain::ids::{FleetId, Generation, Region};
use rand::RngCore;
use redb::{Database, ReadableDatabase, TableDefinition};
use serde::{Deserialize, Serialize};

use super::clockwork::ElectionRng;
use super::disk::{OpenError, from_storage};

const FORMAT: u32 = 1;
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
    format: u32,
    /// The number of this very disk, drawn when it was made.
    disk: u64,
    #[serde(flatten)]
    identity: serde_json::Value,
}

pub(super) fn write(database: &Database, place: &str, identity: &Identity) -> Result<(), OpenError> {
    let damaged = |cause: String| OpenError::Damaged { place: place.to_owned(), cause };
    let written = Written {
        format: FORMAT,
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

/// Refuses a disk of somebody else. Returns the disk's own number.
pub(super) fn check(database: &Database, place: &str, expected: &Identity) -> Result<u64, OpenError> {
    let damaged = |cause: String| OpenError::Damaged { place: place.to_owned(), cause };
    let bytes = read(database).map_err(|error| from_redb(place, error))?;
    let bytes = bytes.ok_or_else(|| damaged("it does not say whose it is".to_owned()))?;
    let written: Written = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
    if written.format != FORMAT {
        return Err(OpenError::Format { place: place.to_owned(), found: written.format, expected: FORMAT });
    }
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
