//! A backup of what the fleet has agreed: a file that a new fleet can begin from when every disk is lost.
//!
//! Never a disk: a daemon that got back what it had promised long ago has forgotten what it promised since. Four lines: what
//! it is, what it is about, the state, and a checksum over all that stands before. It holds the tokens of the switches
//! and is a secret.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::state::FleetState;
use crate::format::{Format, TooNew, newest_in};
use crate::ids::{FleetId, Generation, LogIndex, Region};
use crate::time::Timestamp;

/// The first line, without the number of the layout.
const WHAT: &str = "failoverd backup ";
/// How the file is laid out. Another number than the format of the state within.
const LAYOUT: u32 = 1;
const SUM: &str = "sha256:";
/// No backup is larger.
pub const LARGEST_BACKUP: usize = 256 * 1024 * 1024;

/// A backup.
#[derive(Clone, Debug, PartialEq)]
pub struct Backup {
    /// What it is about.
    pub about: About,
    /// What was agreed.
    pub state: FleetState,
}

/// What a backup is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The format of the state.
    pub format: Format,
    /// The fleet.
    pub fleet: FleetId,
    /// Its generation.
    pub generation: Generation,
    /// The newest entry that is applied in it.
    pub index: LogIndex,
    /// The term in which the daemon knew itself then.
    pub term: u64,
    /// The newest event.
    pub seq: u64,
    /// When it was made.
    pub taken_at: Timestamp,
    /// The daemon that made it.
    pub taken_by: Region,
    /// Its version.
    pub version: String,
}

/// Why a file cannot be restored from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackupError {
    /// It is something else.
    #[error("it is no backup of failoverd's: that begins with \"failoverd backup\"")]
    Other,
    /// A newer build wrote it.
    #[error("its layout is number {found}, this build reads {LAYOUT}: use the build that wrote it, or a newer one")]
    NewerLayout {
        /// The number.
        found: u32,
    },
    /// A newer build wrote what is in it.
    #[error(transparent)]
    TooNew(#[from] TooNew),
    /// It is not as it was written.
    #[error("it is damaged ({0}): take another copy of it, or an older backup")]
    Damaged(String),
}

impl Backup {
    /// Of a state as it is now.
    #[must_use]
    pub fn of(state: FleetState, term: u64, taken_at: Timestamp, taken_by: Region, version: &str) -> Self {
        let about = About {
            format: state.format,
            fleet: state.fleet.clone(),
            generation: state.generation,
            index: state.applied,
            term,
            seq: state.head.seq,
            taken_at,
            taken_by,
            version: version.to_owned(),
        };
        Self { about, state }
    }

    /// The file.
    ///
    /// # Errors
    /// What cannot be written as JSON.
    pub fn write(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut file = format!("{WHAT}{LAYOUT}\n").into_bytes();
        for line in [serde_json::to_vec(&self.about)?, serde_json::to_vec(&self.state)?] {
            file.extend(line);
            file.push(b'\n');
        }
        let sum = checksum(&file);
        file.extend(sum.into_bytes());
        Ok(file)
    }

    /// Reads a file, of formats up to `reads`. Every byte counts.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn read(file: &[u8], reads: Format) -> Result<Self, BackupError> {
        let damaged = |why: &str| BackupError::Damaged(why.to_owned());
        let rest = file.strip_prefix(WHAT.as_bytes()).ok_or(BackupError::Other)?;
        let (layout, _) = cut(rest).ok_or_else(|| damaged("it ends in its first line"))?;
        let layout: Option<u32> = std::str::from_utf8(layout).ok().and_then(|number| number.parse().ok());
        match layout {
            Some(LAYOUT) => {}
            Some(found) if found > LAYOUT => return Err(BackupError::NewerLayout { found }),
            _ => return Err(damaged("its first line has no number that was ever written")),
        }
        let end = file.len().checked_sub(1).and_then(|last| file.get(..last)).unwrap_or_default();
        let sum_at = end.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let (content, sum) = file.split_at_checked(sum_at).unwrap_or_default();
        if sum != checksum(content).as_bytes() {
            return Err(damaged("its checksum does not fit what stands before it"));
        }
        let lines = cut(content).and_then(|(_, rest)| cut(rest)).and_then(|(about, rest)| Some((about, cut(rest)?)));
        let Some((about, (state, []))) = lines else { return Err(damaged("it does not have four lines")) };
        let about: About = serde_json::from_slice(about).map_err(|error| BackupError::Damaged(error.to_string()))?;
        TooNew::check(about.format.max(newest_in(state)), reads, || "the backup".to_owned())?;
        let state: FleetState =
            serde_json::from_slice(state).map_err(|error| BackupError::Damaged(error.to_string()))?;
        let backup = Self { about, state };
        if backup.is_of_one_piece() { Ok(backup) } else { Err(damaged("what it says of itself is not what it holds")) }
    }

    fn is_of_one_piece(&self) -> bool {
        let Self { about, state } = self;
        let said = (&about.fleet, about.generation, about.index, about.seq, about.format);
        said == (&state.fleet, state.generation, state.applied, state.head.seq, state.format)
            && !state.fleet.as_str().is_empty()
    }
}

/// The first line, and what follows it.
fn cut(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let newline = text.iter().position(|byte| *byte == b'\n')?;
    let (line, rest) = text.split_at_checked(newline)?;
    Some((line, rest.get(1..)?))
}

fn checksum(content: &[u8]) -> String {
    let digest = Sha256::digest(content);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{SUM}{hex}\n")
}
