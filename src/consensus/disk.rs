//! Where a daemon keeps what it has promised: its votes, its log, its snapshot and its outbox.
//!
//! A disk that is not provably this daemon's own and whole is refused. It must never be guessed at, repaired by
//! recreating it, or taken over: a daemon that forgot a vote could vote twice.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use failoverd_domain::format::{Format, TooNew};
use failoverd_domain::ids::{Generation, LogIndex, Region};
use redb::{Builder, Database, DatabaseError, StorageError};

use super::identity::{self, Identity, Owned, Whose};
use super::memory_disk::MemoryDisk;

/// The file in the data directory.
pub const FILE_NAME: &str = "consensus.redb";

const CACHE_BYTES: usize = 16 * 1024 * 1024;

/// Where a daemon keeps what it has promised.
#[derive(Clone, Debug)]
pub enum Disk {
    /// A file in this directory, which is made if it does not exist.
    Directory(PathBuf),
    /// A disk in memory, for simulations.
    Memory(MemoryDisk),
}

/// Why a disk was refused, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It belongs to somebody else.
    #[error(
        "{place} holds {found}, but this daemon is {expected}: point data_dir at this daemon's own directory; \
         a disk never changes hands"
    )]
    Foreign {
        /// Where.
        place: String,
        /// Whose it is.
        found: Box<Identity>,
        /// Who asked.
        expected: Box<Identity>,
    },
    /// The fleet was recovered without it.
    #[error(
        "{place} is of generation {found}, but the fleet was recovered without this daemon and is in generation {by}: keep \
         the directory for whoever looks for what was lost, point data_dir at an empty one, and start once with --join {by}"
    )]
    Superseded {
        /// Where.
        place: String,
        /// Its generation.
        found: Generation,
        /// The fleet's.
        by: Generation,
    },
    /// Its Region was removed from the fleet.
    #[error(
        "{place} is of {region}, which was removed from the fleet (entry {at}): its daemon is not needed any more, uninstall \
         it; to have the Region back, point data_dir at an empty directory, start once with --join {generation}, and run \
         `failoverctl fleet add {region}`"
    )]
    Dismissed {
        /// Where.
        place: String,
        /// Its Region.
        region: Region,
        /// The generation that it was of.
        generation: Generation,
        /// The entry that removed it.
        at: LogIndex,
    },
    /// There is no disk.
    #[error("{place} does not exist: no daemon has run with this data_dir here")]
    Missing {
        /// Where.
        place: String,
    },
    /// A newer build has written to it.
    #[error(transparent)]
    TooNew(#[from] TooNew),
    /// Another process has it open.
    #[error("{place} is in use by another process: stop that one first; two daemons never share a directory")]
    InUse {
        /// Where.
        place: String,
    },
    /// It is damaged.
    #[error(
        "{place} is damaged ({cause}): restore nothing over it and do not delete it to start anew under the same name, \
         as it holds votes that the others count on; leave this daemon stopped, the others go on without it while \
         they are a majority"
    )]
    Damaged {
        /// Where.
        place: String,
        /// What is wrong.
        cause: String,
    },
    /// No room.
    #[error("{place} cannot be written, the disk is full ({cause}): make room and start again; nothing is lost")]
    Full {
        /// Where.
        place: String,
        /// The system's words.
        cause: String,
    },
    /// It cannot be reached.
    #[error("{place} cannot be opened ({cause}): check that the directory exists and belongs to the daemon's user")]
    Unreachable {
        /// Where.
        place: String,
        /// The system's words.
        cause: String,
    },
}

impl Disk {
    /// Where it is, for people.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Self::Directory(directory) => directory.join(FILE_NAME).display().to_string(),
            Self::Memory(_) => "memory".to_owned(),
        }
    }

    /// Opens the disk of exactly this daemon, which reads formats up to `reads`; an unused one becomes its own.
    ///
    /// # Errors
    /// Anything that makes it doubtful that this is this daemon's whole disk.
    pub(super) fn open(&self, expected: impl Into<Whose>, reads: Format) -> Result<Opened, OpenError> {
        let expected = expected.into();
        match self {
            Self::Directory(directory) => open_directory(directory, &expected, reads),
            Self::Memory(disk) => open_memory(disk, &expected, reads),
        }
    }

    /// Whether a daemon has run on it.
    ///
    /// # Errors
    /// Nobody can tell.
    pub fn exists(&self) -> Result<bool, OpenError> {
        match self {
            Self::Directory(_) => {
                let place = self.place();
                Path::new(&place).try_exists().map_err(|error| from_io(&place, &error))
            }
            Self::Memory(disk) => Ok(!disk.is_empty()),
        }
    }
}

/// An opened disk.
pub(super) struct Opened {
    pub(super) database: Database,
    pub(super) place: String,
    /// The newest format that this daemon reads.
    pub(super) reads: Format,
    /// Whose it is.
    pub(super) owned: Owned,
    /// Whether it was unused.
    pub(super) is_fresh: bool,
}

fn open_directory(directory: &Path, expected: &Whose, reads: Format) -> Result<Opened, OpenError> {
    let path = directory.join(FILE_NAME);
    let place = path.display().to_string();
    let failed = |error: io::Error| from_io(&place, &error);
    fs::create_dir_all(directory).map_err(failed)?;
    let is_fresh = !path.try_exists().map_err(failed)?;
    if is_fresh {
        create(directory, &path, expected)?;
    }
    let database = builder().set_check_integrity_on_open(true).open(&path).map_err(|error| refuse(&place, error))?;
    let owned = identity::check(&database, &place, expected, reads)?;
    Ok(Opened { database, place, reads, owned, is_fresh })
}

/// Makes the file under another name first, so that a file of the right name is always whole.
fn create(directory: &Path, path: &Path, whose: &Whose) -> Result<(), OpenError> {
    let place = path.display().to_string();
    let failed = |error: io::Error| from_io(&place, &error);
    let unfinished = path.with_extension("redb.new");
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let database = builder().create(&unfinished).map_err(|error| refuse(&place, error))?;
    identity::write(&database, &place, whose)?;
    drop(database);
    fs::rename(&unfinished, path).map_err(failed)?;
    fs::File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)
}

fn open_memory(disk: &MemoryDisk, expected: &Whose, reads: Format) -> Result<Opened, OpenError> {
    let place = "memory".to_owned();
    let is_fresh = disk.is_empty();
    let Some(backend) = disk.attach() else { return Err(OpenError::InUse { place }) };
    let database = builder()
        .set_check_integrity_on_open(!is_fresh)
        .create_with_backend(backend)
        .map_err(|error| refuse(&place, error))?;
    if is_fresh {
        identity::write(&database, &place, expected)?;
    }
    let owned = identity::check(&database, &place, expected, reads)?;
    Ok(Opened { database, place, reads, owned, is_fresh })
}

fn builder() -> Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

fn refuse(place: &str, error: DatabaseError) -> OpenError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => OpenError::InUse { place: place.to_owned() },
        DatabaseError::Storage(error) => from_storage(place, error),
        other => OpenError::Damaged { place: place.to_owned(), cause: other.to_string() },
    }
}

pub(super) fn from_storage(place: &str, error: StorageError) -> OpenError {
    match error {
        StorageError::Io(error) => from_io(place, &error),
        other => OpenError::Damaged { place: place.to_owned(), cause: other.to_string() },
    }
}

pub(super) fn from_io(place: &str, error: &io::Error) -> OpenError {
    let (place, cause) = (place.to_owned(), error.to_string());
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => OpenError::Damaged { place, cause },
        // The last one: the process may not make files that large (`ulimit -f`), which is as good as a full disk.
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            OpenError::Full { place, cause }
        }
        _ => OpenError::Unreachable { place, cause },
    }
}
