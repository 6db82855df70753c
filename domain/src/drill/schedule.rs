//! When a drill's windows open.
//!
//! A window opens when its cron expression says so on the wall clock of its time zone: a start that the clock skips comes
//! at the jump, one that the clock repeats counts once.

use std::str::FromStr;

use chrono::{DateTime, NaiveDate};
use chrono_tz::Tz;
use croner::Cron;

use super::spec::{Blackout, Schedule};
use crate::freeze::parse_cron;
use crate::time::Timestamp;

/// Openings that one look counts: a fleet that nobody led for a week finds every one of a drill that is due each minute.
const MOST_COUNTED: u64 = 20_000;
/// Openings passed over on blackout days before a schedule counts as one that never opens.
const MOST_BLACKED_OUT: u64 = 50_000;

/// The first opening after an instant; `None` when there is none.
#[must_use]
pub fn next_opening(after: Timestamp, schedule: &Schedule) -> Option<Timestamp> {
    Clockwork::of(schedule)?.next(after)
}

/// How many openings there were after an instant until now, and the newest of them.
#[must_use]
pub fn newest_opening(after: Timestamp, now: Timestamp, schedule: &Schedule) -> Option<(u64, Timestamp)> {
    let clockwork = Clockwork::of(schedule)?;
    let (mut count, mut at) = (0, after);
    while let Some(next) = clockwork.next(at).filter(|next| *next <= now && count < MOST_COUNTED) {
        (count, at) = (count + 1, next);
    }
    (count > 0).then_some((count, at))
}

/// Whether a day is a calendar day, `2026-12-24`.
#[must_use]
pub fn is_day(text: &str) -> bool {
    day(text).is_some()
}

fn day(text: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()
}

struct Clockwork {
    cron: Cron,
    zone: Tz,
    blackouts: Vec<(NaiveDate, NaiveDate)>,
}

impl Clockwork {
    /// A schedule that cannot be read opens nothing: manifests are checked where they are read.
    fn of(schedule: &Schedule) -> Option<Self> {
        let days = |blackout: &Blackout| Some((day(&blackout.from)?, day(&blackout.until)?));
        Some(Self {
            cron: parse_cron(&schedule.cron).ok()?,
            zone: Tz::from_str(&schedule.timezone).ok()?,
            blackouts: schedule.blackouts.iter().filter_map(days).collect(),
        })
    }

    fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let mut local = after.to_utc().with_timezone(&self.zone);
        for _ in 0..MOST_BLACKED_OUT {
            local = self.cron.find_next_occurrence(&local, false).ok()?;
            let at = Timestamp::from_utc(local.to_utc());
            if at > after && !self.is_blacked_out(&local) {
                return Some(at);
            }
        }
        None
    }

    fn is_blacked_out(&self, local: &DateTime<Tz>) -> bool {
        let day = local.date_naive();
        self.blackouts.iter().any(|(from, until)| *from <= day && day <= *until)
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::{newest_opening, next_opening};
    use crate::drill::{Blackout, Schedule};
    use crate::time::Timestamp;

    fn at(text: &str) -> Timestamp {
        Timestamp::from_utc(DateTime::parse_from_rfc3339(text).unwrap().to_utc())
    }

    fn schedule(cron: &str) -> Schedule {
        Schedule {
            cron: cron.to_owned(),
            timezone: "Europe/Dublin".to_owned(),
            window_ms: 7_200_000,
            blackouts: Vec::new(),
        }
    }

    fn openings(from: &str, count: usize, schedule: &Schedule) -> Vec<String> {
        let mut at = at(from);
        let next = || {
            at = next_opening(at, schedule)?;
            Some(at.rfc3339())
        };
        std::iter::from_fn(next).take(count).collect()
    }

    #[test]
    fn the_clock_of_the_zone_says_when_summer_and_winter() {
        let monthly = schedule("0 10 1 * *");
        let expected = ["2026-10-01T09:00:00.000Z", "2026-11-01T10:00:00.000Z"];
        assert_eq!(openings("2026-09-15T00:00:00Z", 2, &monthly), expected);
    }

    #[test]
    fn an_opening_that_the_clock_skips_comes_at_the_jump_and_one_that_it_repeats_comes_once() {
        let nightly = schedule("30 1 * * *");
        // 01:30 does not exist on 29 March 2026 in Dublin, and is there twice on 25 October.
        let spring = openings("2026-03-28T12:00:00Z", 2, &nightly);
        assert!(spring[0].starts_with("2026-03-29T01:"), "{spring:?}");
        assert_eq!(spring[1], "2026-03-30T00:30:00.000Z");
        let autumn = openings("2026-10-24T12:00:00Z", 2, &nightly);
        assert_eq!(autumn, ["2026-10-25T00:30:00.000Z", "2026-10-26T01:30:00.000Z"]);
    }

    #[test]
    fn no_window_opens_on_a_blackout_day_of_the_zone() {
        let mut daily = schedule("30 0 * * *");
        daily.blackouts = vec![Blackout { from: "2026-07-02".into(), until: "2026-07-03".into() }];
        // 00:30 in Dublin is 23:30 of the day before in UTC, in summer.
        let expected = ["2026-06-30T23:30:00.000Z", "2026-07-03T23:30:00.000Z"];
        assert_eq!(openings("2026-06-30T12:00:00Z", 2, &daily), expected);
    }

    #[test]
    fn what_was_slept_through_is_counted() {
        let hourly = schedule("0 * * * *");
        let (from, now) = (at("2026-07-01T00:30:00Z"), at("2026-07-01T05:10:00Z"));
        assert_eq!(newest_opening(from, now, &hourly), Some((5, at("2026-07-01T05:00:00Z"))));
        assert_eq!(newest_opening(now, now, &hourly), None);
        // A clock that was set back finds nothing anew.
        assert_eq!(newest_opening(now, from, &hourly), None);
    }
}
