//! A point in time as a number, so that it orders, copies and replays without a calendar.

use std::fmt;
use std::ops::Sub;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch, UTC. Always handed in; nothing in this crate asks a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The instant `ms` milliseconds later; saturates.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// The instant `ms` milliseconds earlier; saturates at the epoch.
    #[must_use]
    pub const fn minus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_sub(ms))
    }

    /// Milliseconds from `earlier` to here, 0 when `earlier` is later (a clock that stepped back).
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Whether a clock that was wrong wrote this: those of two daemons that are right differ by less than a minute. How long ago
    /// it really was nobody can say.
    #[must_use]
    pub const fn is_ahead_of(self, now: Self) -> bool {
        self.since(now) > 60_000
    }

    /// The same instant for calendars and databases; what lies beyond the year 9999 is its end. Calendars end somewhere,
    /// and not all of them without a panic.
    #[must_use]
    pub fn to_utc(self) -> DateTime<Utc> {
        let ms = i64::try_from(self.0.min(Self::END_OF_CALENDARS.0)).unwrap_or(i64::MAX);
        DateTime::from_timestamp_millis(ms).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// 9999-12-31T23:59:59.999Z.
    const END_OF_CALENDARS: Self = Self(253_402_300_799_999);

    /// From a calendar instant; anything before 1970 is the epoch.
    #[must_use]
    pub fn from_utc(at: DateTime<Utc>) -> Self {
        Self(u64::try_from(at.timestamp_millis()).unwrap_or(0))
    }

    /// RFC 3339, UTC, milliseconds: `2026-11-23T15:54:32.000Z`.
    #[must_use]
    pub fn rfc3339(self) -> String {
        self.to_utc().to_rfc3339_opts(SecondsFormat::Millis, true)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339())
    }
}

impl Sub for Timestamp {
    type Output = u64;

    fn sub(self, earlier: Self) -> u64 {
        self.since(earlier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_instant_is_beyond_the_calendar() {
        assert_eq!(Timestamp(u64::MAX).rfc3339(), "9999-12-31T23:59:59.999Z");
        assert_eq!(Timestamp(1_795_449_607_123).rfc3339(), "2026-11-23T16:00:07.123Z");
        assert_eq!(Timestamp::from_utc(Timestamp(1).to_utc()), Timestamp(1));
    }
}
