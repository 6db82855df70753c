//! Freeze windows: times in which nothing is moved for practice or convenience.
//!
//! A window starts when its cron expression says so on the wall clock of its time zone, and lasts its duration in
//! real time, across any change of that clock. A proven breach is never held up by one; that is for guards to know.

use std::str::FromStr;

use chrono::{DateTime, TimeZone};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

use crate::service::Freeze;
use crate::time::Timestamp;

/// Longer expressions are refused before they are parsed.
const MAX_CRON_LENGTH: usize = 100;
/// The search for a first occurrence ends in the year 5000. Starting a century before covers every leap year and
/// weekday, and keeps a file full of expressions that never fire cheap to refuse.
const FIRST_YEAR_SEARCHED: i32 = 4900;

/// Until when a freeze holds, if one holds now; the latest end of those that do.
///
/// A freeze that cannot be read holds nothing: manifests are checked by [`check_cron`] and [`check_timezone`].
#[must_use]
pub fn freeze_holds(now: Timestamp, freezes: &[Freeze]) -> Option<Timestamp> {
    freezes.iter().filter_map(|freeze| holds_until(now, freeze)).max()
}

fn holds_until(now: Timestamp, freeze: &Freeze) -> Option<Timestamp> {
    let cron = parse_cron(&freeze.cron).ok()?;
    let zone = Tz::from_str(&freeze.timezone).ok()?;
    let local = now.to_utc().with_timezone(&zone);
    // All windows of one freeze last equally long, so the newest start has the latest end.
    let start = cron.find_previous_occurrence(&local, true).ok()?;
    let until = Timestamp::from_utc(start.to_utc()).plus_ms(freeze.duration_ms);
    (now < until).then_some(until)
}

/// Whether the expression is a five-field cron expression that ever fires.
///
/// # Errors
/// Why not.
pub fn check_cron(expression: &str) -> Result<(), String> {
    let cron = parse_cron(expression)?;
    let start: DateTime<Tz> =
        Tz::UTC.with_ymd_and_hms(FIRST_YEAR_SEARCHED, 1, 1, 0, 0, 0).single().ok_or("has no start")?;
    cron.find_next_occurrence(&start, true).map(|_| ()).map_err(|_| format!("{expression:?} never fires"))
}

/// Whether the name is a time zone of the IANA database.
///
/// # Errors
/// Why not.
pub fn check_timezone(name: &str) -> Result<(), String> {
    Tz::from_str(name)
        .map(|_| ())
        .map_err(|_| format!("{name:?} is not an IANA time zone: write one like Europe/Dublin or UTC"))
}

/// A five-field cron expression.
pub(crate) fn parse_cron(expression: &str) -> Result<Cron, String> {
    let not_cron = |why: &str| {
        format!("{expression:?} is not a five-field cron expression (minute hour day month weekday): {why}")
    };
    if expression.len() > MAX_CRON_LENGTH {
        return Err(format!("is longer than {MAX_CRON_LENGTH} characters"));
    }
    if expression.split_whitespace().count() != 5 {
        return Err(not_cron("it does not have five fields"));
    }
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    parser.parse(expression).map_err(|error| not_cron(&error.to_string()))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::{check_cron, check_timezone, freeze_holds};
    use crate::service::Freeze;
    use crate::time::Timestamp;

    const HOUR_MS: u64 = 3_600_000;

    fn at(text: &str) -> Timestamp {
        Timestamp::from_utc(DateTime::parse_from_rfc3339(text).unwrap().to_utc())
    }

    fn freeze(cron: &str, hours: u64) -> Freeze {
        Freeze { cron: cron.to_owned(), duration_ms: hours * HOUR_MS, timezone: "Europe/Dublin".to_owned() }
    }

    fn until(now: &str, freezes: &[Freeze]) -> Option<String> {
        freeze_holds(at(now), freezes).map(|until| until.rfc3339())
    }

    #[test]
    fn a_weekend_freeze_holds_from_friday_evening_to_monday_morning() {
        let weekend = [freeze("0 18 * * FRI", 62)];
        assert_eq!(until("2026-11-20T17:59:59.999Z", &weekend), None);
        assert_eq!(until("2026-11-20T18:00:00.000Z", &weekend).as_deref(), Some("2026-11-23T08:00:00.000Z"));
        assert_eq!(until("2026-11-23T07:59:59.999Z", &weekend).as_deref(), Some("2026-11-23T08:00:00.000Z"));
        assert_eq!(until("2026-11-23T08:00:00.000Z", &weekend), None);
    }

    #[test]
    fn the_clock_of_the_zone_says_when_it_starts() {
        // Dublin is an hour ahead of UTC in summer.
        let weekend = [freeze("0 18 * * FRI", 62)];
        assert_eq!(until("2026-07-03T16:59:59Z", &weekend), None);
        assert_eq!(until("2026-07-03T17:00:00Z", &weekend).as_deref(), Some("2026-07-06T07:00:00.000Z"));
    }

    #[test]
    fn a_window_across_a_change_of_the_clock_lasts_its_duration_in_real_time() {
        let weekend = [freeze("0 18 * * FRI", 62)];
        // Clocks went forward on Sunday 29 March 2026 at 01:00 UTC: Friday 18:00 UTC + 62 h is Monday 08:00 UTC, 09:00 in Dublin.
        assert_eq!(until("2026-03-30T07:30:00Z", &weekend).as_deref(), Some("2026-03-30T08:00:00.000Z"));
        assert_eq!(until("2026-03-30T08:00:00Z", &weekend), None);
        // Clocks went back on Sunday 25 October 2026 at 01:00 UTC: Friday 17:00 UTC + 62 h is Monday 07:00 UTC.
        assert_eq!(until("2026-10-26T06:59:59Z", &weekend).as_deref(), Some("2026-10-26T07:00:00.000Z"));
        assert_eq!(until("2026-10-26T07:00:00Z", &weekend), None);
    }

    #[test]
    fn a_start_that_the_clock_skips_comes_when_the_clock_has_jumped() {
        // 01:30 does not exist on 29 March 2026 in Dublin.
        let nightly = [freeze("30 1 * * *", 2)];
        assert_eq!(until("2026-03-29T00:59:59Z", &nightly), None);
        assert!(until("2026-03-29T01:45:00Z", &nightly).is_some());
        assert_eq!(until("2026-03-29T04:00:00Z", &nightly), None);
    }

    #[test]
    fn a_start_that_the_clock_repeats_counts_once() {
        // 01:30 is there twice on 25 October 2026 in Dublin: 00:30 and 01:30 UTC.
        let nightly = [freeze("30 1 * * *", 2)];
        assert_eq!(until("2026-10-25T00:30:00Z", &nightly).as_deref(), Some("2026-10-25T02:30:00.000Z"));
        assert_eq!(until("2026-10-25T02:29:59Z", &nightly).as_deref(), Some("2026-10-25T02:30:00.000Z"));
        assert_eq!(until("2026-10-25T02:30:00Z", &nightly), None);
    }

    #[test]
    fn the_latest_end_counts_when_freezes_overlap() {
        let both = [freeze("0 18 * * FRI", 62), freeze("0 0 * * SAT", 2)];
        assert_eq!(until("2026-11-21T01:00:00Z", &both).as_deref(), Some("2026-11-23T08:00:00.000Z"));
    }

    #[test]
    fn a_window_longer_than_its_period_never_ends() {
        let always = [freeze("0 0 * * *", 25)];
        for hour in 0..100 {
            assert!(freeze_holds(at("2026-05-01T00:00:00Z").plus_ms(hour * HOUR_MS), &always).is_some(), "hour {hour}");
        }
    }

    #[test]
    fn expressions_that_cannot_work_are_refused() {
        for cron in ["", "0 18 * *", "0 0 18 * * FRI", "0 25 * * *", "every friday at noon ok", "0 0 30 2 *", "@weekly"]
        {
            assert!(check_cron(cron).is_err(), "{cron:?} was accepted");
        }
        for cron in ["0 18 * * FRI", "*/5 * * * *", "0 10 1 * *", "0 0 29 2 *", "0 0 L * *"] {
            assert_eq!(check_cron(cron), Ok(()), "{cron:?}");
        }
        let padded = |length: usize| format!("{:length$}", "0 18 * * FRI");
        assert_eq!(check_cron(&padded(super::MAX_CRON_LENGTH)), Ok(()));
        assert!(check_cron(&padded(super::MAX_CRON_LENGTH + 1)).unwrap_err().contains("longer than"));
        assert!(check_timezone("Europe/Dublin").is_ok());
        assert!(check_timezone("Mars/Olympus").is_err());
    }
}
