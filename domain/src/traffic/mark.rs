//! The fence in the zone: the TXT record by which a stale writer finds out that it is stale.
//!
//! Every batch of changes deletes the exact value that was read and creates its own, so that a batch made from an old
//! reading fails as a whole. Must never take a value that it does not fully understand for its own.

use std::fmt;
use std::str::FromStr;

use crate::ids::{Epoch, FleetId, Generation, LogIndex};

/// Who wrote a service's records last, and by which intent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FenceMark {
    /// Fleet.
    pub fleet: FleetId,
    /// Its generation.
    pub generation: Generation,
    /// The service's epoch that the records match.
    pub epoch: Epoch,
    /// Log index of the intent.
    pub index: LogIndex,
}

impl FenceMark {
    /// Whether this mark was written after `other`: by generation, then by log index.
    #[must_use]
    pub fn is_newer_than(&self, other: &Self) -> bool {
        (self.generation, self.index) > (other.generation, other.index)
    }
}

impl fmt::Display for FenceMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fleet, generation, epoch, index } = self;
        write!(f, "fleet={fleet} generation={generation} epoch={epoch} index={index}")
    }
}

/// A TXT value that is no fence mark.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{value}\" is not \"fleet=F generation=G epoch=E index=I\"")]
pub struct MarkError {
    /// What was read.
    pub value: String,
}

impl FromStr for FenceMark {
    type Err = MarkError;

    /// Only what [`FenceMark`] prints is read back: anything else was written by somebody else.
    fn from_str(value: &str) -> Result<Self, MarkError> {
        parse(value).filter(|mark| mark.to_string() == value).ok_or_else(|| MarkError { value: value.to_owned() })
    }
}

fn parse(value: &str) -> Option<FenceMark> {
    let mut words = value.split(' ');
    let mut field = |key: &str| words.next()?.strip_prefix(key)?.strip_prefix('=');
    let fleet = field("fleet").filter(|fleet| !fleet.is_empty())?;
    let generation = field("generation")?.parse().ok()?;
    let epoch = field("epoch")?.parse().ok()?;
    let index = field("index")?.parse().ok()?;
    Some(FenceMark {
        fleet: FleetId::from(fleet),
        generation: Generation(generation),
        epoch: Epoch(epoch),
        index: LogIndex(index),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(generation: u64, index: u64) -> FenceMark {
        FenceMark { fleet: "prod".into(), generation: Generation(generation), epoch: Epoch(3), index: LogIndex(index) }
    }

    #[test]
    fn prints_literally_and_reads_itself_back() {
        assert_eq!(mark(1, 57).to_string(), "fleet=prod generation=1 epoch=3 index=57");
        assert_eq!(mark(1, 57).to_string().parse(), Ok(mark(1, 57)));
    }

    #[test]
    fn anything_else_is_refused() {
        for value in [
            "",
            "v=spf1 -all",
            "fleet=prod generation=1 epoch=3",
            "fleet=prod generation=1 epoch=3 index=",
            "fleet=prod generation=1 epoch=3 index=57 ",
            "fleet=prod generation=1 epoch=3 index=057",
            "fleet=prod generation=1 epoch=3 index=+57",
            "fleet=prod  generation=1 epoch=3 index=57",
            "fleet= generation=1 epoch=3 index=57",
            "generation=1 fleet=prod epoch=3 index=57",
            "fleet=prod generation=1 epoch=3 index=57 by=me",
            "\"fleet=prod generation=1 epoch=3 index=57\"",
            "fleet=prod generation=-1 epoch=3 index=57",
        ] {
            assert!(value.parse::<FenceMark>().is_err(), "{value:?}");
        }
    }

    #[test]
    fn a_newer_generation_beats_any_index() {
        assert!(mark(2, 1).is_newer_than(&mark(1, 999)));
        assert!(mark(1, 2).is_newer_than(&mark(1, 1)));
        assert!(!mark(1, 1).is_newer_than(&mark(1, 1)));
        assert!(!mark(1, 999).is_newer_than(&mark(2, 1)));
    }
}
