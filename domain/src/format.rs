//! Formats: which daemons can read what others write.
//!
//! One number covers everything that daemons agree on and keep: log entries, the replicated state (a snapshot is
//! nothing else) and the disk that holds them. A build reads every format up to its own and writes the one that the
//! fleet has agreed on, which `Command::RaiseFormat` raises once every daemon reads the next. So whoever reads less
//! never meets what it cannot read, unless somebody puts an older build back; then it refuses, and nothing is lost.
//!
//! What daemons merely tell each other (reports, gRPC messages) has no number: a field that is not known is passed
//! over there, and one that is missing has a default.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Format(pub u32);

impl Format {
    /// The first one; it is not written down, so that what carries no number has it.
    pub const FIRST: Self = Self(1);
    /// The newest that this build reads, and writes as soon as the whole fleet reads it.
    pub const NEWEST: Self = Self(2);

    /// For serde: what has the first format carries no number.
    #[must_use]
    pub fn is_first(&self) -> bool {
        *self == Self::FIRST
    }
}

impl Default for Format {
    fn default() -> Self {
        Self::FIRST
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a daemon says of its own build.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// Its version, for people; empty where it did not say.
    #[serde(default)]
    pub version: String,
    /// The newest format that it reads.
    #[serde(default)]
    pub reads: Format,
}

/// Something was written by a newer build than this one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{what} has format {found}, this build reads formats up to {reads}: start the build that wrote it, or a newer one, \
     on this daemon; nothing is lost, and a fleet that writes a newer format has no way back to older builds"
)]
pub struct TooNew {
    /// What it is: `log entry 7`, `a snapshot`.
    pub what: String,
    /// Its format.
    pub found: Format,
    /// The newest that is read here.
    pub reads: Format,
}

impl TooNew {
    /// Refuses what is newer than `reads`.
    ///
    /// # Errors
    /// [`TooNew`].
    pub fn check(found: Format, reads: Format, what: impl FnOnce() -> String) -> Result<(), Self> {
        if found <= reads { Ok(()) } else { Err(Self { what: what(), found, reads }) }
    }
}

/// The newest format that an entry or a state in a piece of JSON says it has, whatever else of it can be read. For
/// whoever could not read it: it says why.
#[must_use]
pub fn newest_in(json: &[u8]) -> Format {
    serde_json::from_slice(json).map_or(Format::FIRST, |value| newest_of(&value))
}

fn newest_of(value: &Value) -> Format {
    let inside: Option<Format> = match value {
        Value::Array(items) => items.iter().map(newest_of).max(),
        Value::Object(fields) => fields.values().map(newest_of).max(),
        _ => None,
    };
    // Entries have a command and states a position; other things have formats of their own.
    let said = match value.get("command").or_else(|| value.get("applied")) {
        Some(_) => value.get("format").and_then(Value::as_u64),
        None => None,
    };
    let said = said.map(|number| Format(u32::try_from(number).unwrap_or(u32::MAX)));
    inside.max(said).unwrap_or_default()
}

/// The format that a state in JSON says it has, when only its beginning is at hand: the number stands first.
#[must_use]
pub fn at_the_head_of(json: &[u8]) -> Format {
    let Some(rest) = json.strip_prefix(br#"{"format":"#) else { return Format::FIRST };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = rest.get(..digits).and_then(|digits| std::str::from_utf8(digits).ok());
    number.map_or(Format::FIRST, |number| Format(number.parse().unwrap_or(u32::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{Entry, FleetState};

    /// An entry that some later build could write.
    const LATER: &str = r#"{"format":3,"at":1,"actor":{"daemon":"a"},"command":{"teleport":{"to":"the moon"}}}"#;

    #[test]
    fn what_cannot_be_read_still_says_its_format() {
        assert!(serde_json::from_str::<Entry>(LATER).is_err());
        assert_eq!(newest_in(LATER.as_bytes()), Format(3));
        let inside = format!(r#"{{"message":{{"append":{{"entries":[{{"payload":{{"Normal":{LATER}}}}}]}}}}}}"#);
        assert_eq!(newest_in(inside.as_bytes()), Format(3), "however deep it is");
        for other in ["{", "[]", r#"{"format":7}"#, r#"{"format":"x","command":1}"#] {
            assert_eq!(newest_in(other.as_bytes()), Format::FIRST, "{other}");
        }
        assert_eq!(newest_in(br#"{"format":18446744073709551615,"command":1}"#), Format(u32::MAX), "never wraps");
    }

    #[test]
    fn the_beginning_of_a_state_says_its_format() {
        let state = FleetState { format: Format(31), ..FleetState::default() };
        let text = serde_json::to_vec(&state).unwrap();
        assert_eq!(at_the_head_of(&text[..20]), Format(31));
        assert_eq!(newest_in(&text), Format(31));
        assert_eq!(at_the_head_of(&serde_json::to_vec(&FleetState::default()).unwrap()), Format::FIRST);
        assert_eq!(at_the_head_of(b"{\"format\":99999999999,"), Format(u32::MAX));
    }

    #[test]
    fn a_refusal_names_both_numbers_and_what_to_do() {
        assert_eq!(TooNew::check(Format(2), Format(2), String::new), Ok(()));
        let refused = TooNew::check(Format(3), Format(2), || "log entry 7".to_owned()).unwrap_err().to_string();
        assert!(refused.starts_with("log entry 7 has format 3, this build reads formats up to 2: start"), "{refused}");
    }

    #[test]
    fn a_build_that_says_nothing_reads_the_first_format() {
        let build: Build = serde_json::from_str("{}").unwrap();
        assert_eq!(build, Build { version: String::new(), reads: Format::FIRST });
    }
}
