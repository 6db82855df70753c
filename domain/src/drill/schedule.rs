//! When drills run by themselves.
//!
//! Openings are counted on the wall clock of the schedule's zone: one that the clock skips comes at the jump, one that it
//! repeats counts once, the first time. A day of a blackout has none.

use std::str::FromStr;

use chrono::{DateTime, Duration, NaiveDate, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Tz;
use croner::Cron;

use super::spec::{Blackout, Schedule};
use crate::freeze::parse_cron;
use crate::time::Timestamp;

/// How dates of blackouts are written.
const DATE: &str = "%Y-%m-%d";
/// Occurrences looked at before a search is given up: far more than a gap of the clock or a list of blackouts can eat.
const MOST_LOOKED_AT: usize = 4_000;
/// Openings that one look counts: a fleet that nobody led for a week finds every one of a drill that is due each minute.
const MOST_COUNTED: u64 = 20_000;
/// No zone skips more than a day at once.
const LONGEST_GAP_MINUTES: i64 = 26 * 60;

/// The first opening of a schedule after an instant, if there is one. A schedule that cannot be read has none: manifests
/// are checked where they are read.
#[must_use]
pub fn next_opening(after: Timestamp, schedule: &Schedule) -> Option<Timestamp> {
    let cron = parse_cron(&schedule.cron).ok()?;
    let zone = Tz::from_str(&schedule.timezone).ok()?;
    let mut wall = after.to_utc().with_timezone(&zone).naive_local();
    let mut inclusive = false;
    for _ in 0..MOST_LOOKED_AT {
        wall = next_on_the_wall(&cron, wall, inclusive)?;
        inclusive = false;
        let opening = instant(zone, wall)?;
        if opening <= after {
            continue;
        }
        let day = opening.to_utc().with_timezone(&zone).date_naive();
        match last_day_of_blackout(day, &schedule.blackouts) {
            None => return Some(opening),
            Some(last) => {
                wall = last.succ_opt()?.and_hms_opt(0, 0, 0)?;
                inclusive = true;
            }
        }
    }
    None
}

/// How many openings there were after an instant until now, and the newest of them.
#[must_use]
pub fn newest_opening(after: Timestamp, now: Timestamp, schedule: &Schedule) -> Option<(u64, Timestamp)> {
    let (mut count, mut at) = (0, after);
    while let Some(next) = next_opening(at, schedule).filter(|next| *next <= now && count < MOST_COUNTED) {
        (count, at) = (count + 1, next);
    }
    (count > 0).then_some((count, at))
}

/// The blackout that a day is in, if any.
#[must_use]
pub fn blackout_on(at: Timestamp, schedule: &Schedule) -> Option<&Blackout> {
    let zone = Tz::from_str(&schedule.timezone).ok()?;
    let day = at.to_utc().with_timezone(&zone).date_naive();
    schedule.blackouts.iter().find(|blackout| last_day(day, blackout).is_some())
}

/// Whether a text is a date as blackouts have them.
///
/// # Errors
/// Why not.
pub fn check_date(text: &str) -> Result<NaiveDate, String> {
    let date = NaiveDate::parse_from_str(text, DATE).ok().filter(|date| date.format(DATE).to_string() == text);
    date.ok_or_else(|| format!("{text:?} is not a date: write one like 2026-12-24"))
}

/// The cron expression on a clock that never jumps.
fn next_on_the_wall(cron: &Cron, wall: NaiveDateTime, inclusive: bool) -> Option<NaiveDateTime> {
    let as_if: DateTime<Utc> = Utc.from_utc_datetime(&wall);
    cron.find_next_occurrence(&as_if, inclusive).ok().map(|next| next.naive_utc())
}

/// When a zone's clock shows that, the first time; where it jumps over it, the jump.
fn instant(zone: Tz, wall: NaiveDateTime) -> Option<Timestamp> {
    if let Some(shown) = zone.from_local_datetime(&wall).earliest() {
        return Some(Timestamp::from_utc(shown.to_utc()));
    }
    let before = (1..=LONGEST_GAP_MINUTES)
        .find_map(|minutes| zone.from_local_datetime(&wall.checked_sub_signed(Duration::minutes(minutes))?).latest())?;
    Some(Timestamp::from_utc(before.to_utc() + Duration::minutes(1)))
}

/// The last day of the blackouts that a day is in.
fn last_day_of_blackout(day: NaiveDate, blackouts: &[Blackout]) -> Option<NaiveDate> {
    blackouts.iter().filter_map(|blackout| last_day(day, blackout)).max()
}

fn last_day(day: NaiveDate, blackout: &Blackout) -> Option<NaiveDate> {
    let (from, until) = (check_date(&blackout.from).ok()?, check_date(&blackout.until).ok()?);
    (from <= day && day <= until).then_some(until)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::from_utc(DateTime::parse_from_rfc3339(text).unwrap().to_utc())
    }

    fn schedule(cron: &str, blackouts: &[(&str, &str)]) -> Schedule {
        let blackout = |(from, until): &(&str, &str)| Blackout { from: (*from).to_owned(), until: (*until).to_owned() };
        Schedule {
            cron: cron.to_owned(),
            timezone: "Europe/Dublin".to_owned(),
            window_ms: 7_200_000,
            blackouts: blackouts.iter().map(blackout).collect(),
        }
    }

    fn openings(after: &str, schedule: &Schedule, count: usize) -> Vec<String> {
        let mut after = at(after);
        let mut found = Vec::new();
        for _ in 0..count {
            let Some(next) = next_opening(after, schedule) else { break };
            found.push(next.rfc3339());
            after = next;
        }
        found
    }

    #[test]
    fn the_clock_of_the_zone_says_when_and_an_opening_is_not_its_own_successor() {
        // Dublin is an hour ahead of UTC in summer.
        let monthly = schedule("0 10 1 * *", &[]);
        let found = openings("2026-02-01T10:00:00Z", &monthly, 3);
        assert_eq!(found, ["2026-03-01T10:00:00.000Z", "2026-04-01T09:00:00.000Z", "2026-05-01T09:00:00.000Z"]);
    }

    #[test]
    fn an_opening_that_the_clock_skips_comes_at_the_jump_and_once() {
        // 01:30 does not exist on 29 March 2026 in Dublin.
        let nightly = schedule("30 1 * * *", &[]);
        let found = openings("2026-03-28T12:00:00Z", &nightly, 2);
        assert_eq!(found, ["2026-03-29T01:00:00.000Z", "2026-03-30T00:30:00.000Z"]);
        let often = schedule("*/20 1 * * *", &[]);
        assert_eq!(
            openings("2026-03-28T12:00:00Z", &often, 2),
            ["2026-03-29T01:00:00.000Z", "2026-03-30T00:00:00.000Z"]
        );
    }

    #[test]
    fn an_opening_that_the_clock_repeats_counts_once() {
        // 01:30 is there twice on 25 October 2026 in Dublin: 00:30 and 01:30 UTC.
        let nightly = schedule("30 1 * * *", &[]);
        let both = ["2026-10-25T00:30:00.000Z", "2026-10-26T01:30:00.000Z"];
        assert_eq!(openings("2026-10-24T12:00:00Z", &nightly, 2), both);
        for meanwhile in ["2026-10-25T00:30:00Z", "2026-10-25T01:10:00Z", "2026-10-25T01:30:00Z"] {
            assert_eq!(openings(meanwhile, &nightly, 1), both[1..], "after {meanwhile}");
        }
    }

    #[test]
    fn no_opening_falls_on_a_day_of_a_blackout() {
        let weekly = schedule("0 10 * * THU", &[("2026-12-24", "2027-01-02"), ("2027-01-07", "2027-01-07")]);
        assert_eq!(openings("2026-12-18T00:00:00Z", &weekly, 1), ["2027-01-14T10:00:00.000Z"]);
        // An instant after midnight in Dublin belongs to the new day.
        let nightly = schedule("30 0 * * *", &[("2026-07-02", "2026-07-02")]);
        let found = openings("2026-06-30T12:00:00Z", &nightly, 2);
        assert_eq!(found, ["2026-06-30T23:30:00.000Z", "2026-07-02T23:30:00.000Z"]);
        assert!(blackout_on(at("2026-07-01T23:30:00Z"), &nightly).is_some());
        assert!(blackout_on(at("2026-07-02T23:30:00Z"), &nightly).is_none());
    }

    #[test]
    fn years_of_blackout_are_passed_at_once() {
        let every_minute = schedule("* * * * *", &[("2026-01-01", "2035-12-31")]);
        assert_eq!(openings("2026-06-01T00:00:00Z", &every_minute, 1), ["2036-01-01T00:00:00.000Z"]);
    }

    #[test]
    fn what_cannot_be_read_opens_never() {
        assert_eq!(next_opening(at("2026-01-01T00:00:00Z"), &schedule("0 0 30 2 *", &[])), None);
        assert_eq!(next_opening(at("2026-01-01T00:00:00Z"), &schedule("daily", &[])), None);
        let elsewhere = Schedule { timezone: "Mars/Olympus".to_owned(), ..schedule("0 0 * * *", &[]) };
        assert_eq!(next_opening(at("2026-01-01T00:00:00Z"), &elsewhere), None);
    }

    #[test]
    fn dates_are_whole_and_real() {
        for wrong in ["2026-02-30", "2026-2-3", "24.12.2026", "", "2026-12-24T00:00"] {
            assert!(check_date(wrong).is_err(), "{wrong:?} was accepted");
        }
        assert!(check_date("2028-02-29").is_ok());
    }

    #[test]
    fn what_was_slept_through_is_counted() {
        let hourly = schedule("0 * * * *", &[]);
        let (from, now) = (at("2026-07-01T00:30:00Z"), at("2026-07-01T05:10:00Z"));
        assert_eq!(newest_opening(from, now, &hourly), Some((5, at("2026-07-01T05:00:00Z"))));
        assert_eq!(newest_opening(now, now, &hourly), None);
        // A clock that was set back finds nothing anew.
        assert_eq!(newest_opening(now, from, &hourly), None);
    }
}
