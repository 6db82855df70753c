//! Whose disk it is: written once when it is made, checked at every start.

use std::fmt;

use failoverd_domain::format::{Format, TooNew};
use failoverd_domain::ids::{FleetId, Generation, LogIndex, Region};
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

/// Whom a disk must belong to.
#[derive(Clone, Debug)]
pub(super) struct Whose {
    pub(super) fleet: FleetId,
    pub(super) region: Region,
    /// `None`: whichever the disk says; a new one begins with the first.
    pub(super) generation: Option<Generation>,
    /// A new disk waits to be added to a fleet, and forms none.
    pub(super) joins: bool,
}

impl Whose {
    fn identity(&self) -> Identity {
        let (fleet, region) = (self.fleet.clone(), self.region.clone());
        Identity { fleet, region, generation: self.generation.unwrap_or_default() }
    }

    fn owns(&self, found: &Identity) -> bool {
        let generation = self.generation.unwrap_or(found.generation);
        *found == Identity { generation, ..self.identity() }
    }
}

impl From<&Identity> for Whose {
    fn from(of: &Identity) -> Self {
        let Identity { fleet, region, generation } = of.clone();
        Self { fleet, region, generation: Some(generation), joins: false }
    }
}

/// What a disk says of itself.
#[derive(Debug)]
pub(super) struct Owned {
    pub(super) identity: Identity,
    /// The number of this very disk.
    pub(super) disk: u64,
    /// It was made to be added to a fleet, and forms none.
    pub(super) joins: bool,
}

#[derive(Serialize, Deserialize)]
struct Written {
    /// The newest format of what it holds. A disk begins with the first one; what is written later raises it.
    format: Format,
    /// The number of this very disk, drawn when it was made.
    disk: u64,
    /// Made to be added to a fleet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    joins: bool,
    /// The fleet was recovered without it, as this generation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    superseded: Option<Generation>,
    /// The Region was removed from the fleet, by this entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dismissed: Option<LogIndex>,
    #[serde(flatten)]
    identity: serde_json::Value,
}

pub(super) fn write(database: &Database, place: &str, whose: &Whose) -> Result<(), OpenError> {
    let damaged = |cause: String| OpenError::Damaged { place: place.to_owned(), cause };
    let written = Written {
        format: Format::FIRST,
        disk: ElectionRng.next_u64(),
        joins: whose.joins,
        superseded: None,
        dismissed: None,
        identity: serde_json::to_value(whose.identity()).map_err(|error| damaged(error.to_string()))?,
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
    rewrite(transaction, |written| {
        let is_news = written.format < format;
        written.format = written.format.max(format);
        Ok(is_news)
    })
}

/// The disk belongs to a newer generation of its fleet from now on.
pub(super) fn renew(transaction: &WriteTransaction, identity: &Identity) -> Result<(), RaiseError> {
    rewrite(transaction, |written| {
        written.identity = serde_json::to_value(identity)?;
        Ok(true)
    })
}

/// The fleet was recovered without this disk: nothing may start on it any more.
pub(super) fn supersede(transaction: &WriteTransaction, by: Generation) -> Result<(), RaiseError> {
    rewrite(transaction, |written| {
        written.superseded = written.superseded.max(Some(by));
        Ok(true)
    })
}

/// The Region was removed from the fleet: nothing may start on its disk any more.
pub(super) fn dismiss(transaction: &WriteTransaction, at: LogIndex) -> Result<(), RaiseError> {
    rewrite(transaction, |written| {
        written.dismissed = written.dismissed.max(Some(at));
        Ok(true)
    })
}

fn rewrite(
    transaction: &WriteTransaction,
    change: impl FnOnce(&mut Written) -> Result<bool, serde_json::Error>,
) -> Result<(), RaiseError> {
    let mut table = transaction.open_table(TABLE).map_err(redb::Error::from)?;
    let bytes = table.get(KEY).map_err(redb::Error::from)?.map(|bytes| bytes.value().to_vec());
    let mut written: Written = serde_json::from_slice(&bytes.unwrap_or_default())?;
    if change(&mut written)? {
        table.insert(KEY, serde_json::to_vec(&written)?.as_slice()).map_err(redb::Error::from)?;
    }
    Ok(())
}

/// Why what a disk says of itself could not be changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum RaiseError {
    #[error(transparent)]
    Disk(#[from] redb::Error),
    #[error(transparent)]
    Content(#[from] serde_json::Error),
}

/// Refuses a disk of somebody else, one that its fleet was recovered without, one of a Region that was removed, and one that
/// holds what this daemon cannot read.
pub(super) fn check(database: &Database, place: &str, expected: &Whose, reads: Format) -> Result<Owned, OpenError> {
    let damaged = |cause: String| OpenError::Damaged { place: place.to_owned(), cause };
    let bytes = read(database).map_err(|error| from_redb(place, error))?;
    let bytes = bytes.ok_or_else(|| damaged("it does not say whose it is".to_owned()))?;
    let written: Written = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
    TooNew::check(written.format, reads, || place.to_owned())?;
    let found: Identity = serde_json::from_value(written.identity).map_err(|error| damaged(error.to_string()))?;
    if !expected.owns(&found) {
        let (found, expected) = (Box::new(found), Box::new(expected.identity()));
        return Err(OpenError::Foreign { place: place.to_owned(), found, expected });
    }
    if let Some(by) = written.superseded {
        return Err(OpenError::Superseded { place: place.to_owned(), found: found.generation, by });
    }
    if let Some(at) = written.dismissed {
        let Identity { region, generation, .. } = found;
        return Err(OpenError::Dismissed { place: place.to_owned(), region, generation, at });
    }
    Ok(Owned { identity: found, disk: written.disk, joins: written.joins })
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
