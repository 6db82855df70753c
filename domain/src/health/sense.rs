//! What no honest daemon reports: more than a fleet can have, and numbers that cannot be. A report that says so is not taken
//! at all, as nobody knows what else of it is wrong.

use super::readiness::Sheet;
use super::reading::{Rehearsal, Report};
use crate::ids::{LogIndex, Region};

/// A thousand services in three Regions with ten signals each are half of it.
const MOST_READINGS: usize = 65_536;
const MOST_SHEETS: usize = 1_024;
const MOST_CHECKS: usize = 256;
const MOST_REGIONS: usize = 256;
const MOST_REHEARSALS: usize = 1_024;
const LONGEST_NAME: usize = 512;
const LONGEST_TEXT: usize = 16 * 1024;
/// Ten years in milliseconds: no reading has held for longer, nor is older.
const LONGEST_MS: u64 = 10 * 366 * 86_400_000;
/// No log is that many entries ahead of what is known here.
const FAR: u64 = 1 << 32;

impl Report {
    /// Makes this daemon's own report one that others take: whatever outside said at great length is cut, and what a
    /// clock that was set by years makes of a duration ends at the longest. A report that is refused silences a daemon.
    pub fn keep_sense(&mut self) {
        let rehearsed = self.rehearsals.iter_mut().flat_map(|one| &mut one.signals);
        for reading in self.signals.iter_mut().chain(rehearsed) {
            cut(&mut reading.detail);
            shorten(&mut reading.held_ms);
            shorten(&mut reading.age_ms);
            reading.latency_ms.iter_mut().for_each(shorten);
        }
        for reading in &mut self.stores {
            shorten(&mut reading.age_ms);
            if let Some((lag_ms, age_ms)) = &mut reading.lag_ms {
                shorten(lag_ms);
                shorten(age_ms);
            }
            if let Some(canary) = &mut reading.canary {
                shorten(&mut canary.acknowledged_age_ms);
                shorten(&mut canary.visible_age_ms);
            }
        }
        let shown = self.rehearsals.iter_mut().filter_map(|one| one.route53.as_mut());
        self.route53.iter_mut().chain(shown).for_each(|reading| shorten(&mut reading.age_ms));
        for reading in &mut self.through {
            cut(&mut reading.detail);
            shorten(&mut reading.age_ms);
            reading.latency_ms.iter_mut().for_each(shorten);
        }
        for sheet in &mut self.checks {
            shorten(&mut sheet.age_ms);
            sheet.checks.iter_mut().for_each(|check| cut(&mut check.reason));
        }
    }

    /// Refuses a report that makes no sense, by what this daemon has applied.
    ///
    /// # Errors
    /// What of it cannot be.
    pub fn check_sense(&self, applied: LogIndex) -> Result<(), String> {
        self.check_counts()?;
        if self.applied.0 > applied.0.saturating_add(FAR) {
            return Err(format!("it has applied entry {}, and {applied} is known here", self.applied));
        }
        if self.history_confirmed.is_some_and(|confirmed| confirmed > self.applied) {
            return Err("its history holds more than it has applied".to_owned());
        }
        self.check_durations()?;
        if let Some(settings) = &self.settings {
            settings.check().map_err(|why| format!("its settings make no sense: {why}"))?;
        }
        self.check_texts()
    }

    fn check_counts(&self) -> Result<(), String> {
        let counts = [
            ("signals", self.signals.len(), MOST_READINGS),
            ("stores", self.stores.len(), MOST_READINGS),
            ("words of Route 53", self.route53.len(), MOST_READINGS),
            ("votes", self.votes.len(), MOST_READINGS),
            ("services asked by name", self.through.len(), MOST_READINGS),
            ("sheets", self.checks.len(), MOST_SHEETS),
            ("checks of a sheet", self.checks.iter().map(|sheet| sheet.checks.len()).max().unwrap_or(0), MOST_CHECKS),
            ("rehearsals", self.rehearsals.len(), MOST_REHEARSALS),
            ("signals of a rehearsal", self.rehearsals.iter().map(|one| one.signals.len()).sum(), MOST_READINGS),
            ("peers", self.reaches.len(), MOST_REGIONS),
            ("references", self.references.len(), MOST_REGIONS),
            ("control planes", self.control_planes.len(), MOST_REGIONS),
        ];
        match counts.into_iter().find(|(_, count, most)| count > most) {
            Some((what, count, most)) => Err(format!("{count} {what}; no fleet has more than {most}")),
            None => Ok(()),
        }
    }

    fn check_durations(&self) -> Result<(), String> {
        let rehearsed = self.rehearsals.iter().flat_map(|one| &one.signals);
        let signals =
            self.signals.iter().chain(rehearsed).flat_map(|it| [it.held_ms, it.age_ms, it.latency_ms.unwrap_or(0)]);
        let stores = self.stores.iter().flat_map(|it| {
            let (lag, lag_age) = it.lag_ms.unwrap_or((0, 0));
            let canary = it.canary.unwrap_or_default();
            [it.age_ms, lag, lag_age, canary.acknowledged_age_ms, canary.visible_age_ms]
        });
        let route53 = self.route53.iter().chain(self.rehearsals.iter().filter_map(|one| one.route53.as_ref()));
        let through = self.through.iter().flat_map(|it| [it.age_ms, it.latency_ms.unwrap_or(0)]);
        let sheets = self.checks.iter().map(|sheet| sheet.age_ms);
        let mut all = signals.chain(stores).chain(route53.map(|it| it.age_ms)).chain(through).chain(sheets);
        match all.find(|ms| *ms > LONGEST_MS) {
            Some(ms) => Err(format!("something has lasted {ms} ms")),
            None => Ok(()),
        }
    }

    fn check_texts(&self) -> Result<(), String> {
        let signals = self.signals.iter().chain(self.rehearsals.iter().flat_map(|one| &one.signals));
        let of_signals = |it: &super::reading::SignalReading| {
            is_name(it.service.as_str())
                && is_name(it.region.as_str())
                && is_name(it.signal.as_str())
                && is_text(&it.detail)
        };
        let regions = self.reaches.iter().chain(self.references.keys()).chain(self.control_planes.keys());
        let fits = regions.map(Region::as_str).all(is_name)
            && is_name(&self.build.version)
            && { signals }.all(of_signals)
            && self
                .stores
                .iter()
                .all(|it| is_name(it.service.as_str()) && is_name(it.store.as_str()) && is_name(it.region.as_str()))
            && self.route53.iter().all(|it| is_name(it.service.as_str()) && is_name(it.region.as_str()))
            && self.votes.iter().all(|(group, region, _)| is_name(group.as_str()) && is_name(region.as_str()))
            && self.through.iter().all(|it| is_name(it.service.as_str()) && is_text(&it.detail))
            && self.checks.iter().all(sheet_fits)
            && self.rehearsals.iter().all(rehearsal_fits);
        if fits { Ok(()) } else { Err("a name or a text that is far too long".to_owned()) }
    }
}

fn shorten(ms: &mut u64) {
    *ms = (*ms).min(LONGEST_MS);
}

fn cut(text: &mut String) {
    text.truncate(text.floor_char_boundary(LONGEST_TEXT));
}

fn sheet_fits(sheet: &Sheet) -> bool {
    is_name(sheet.service.as_str())
        && is_name(&sheet.topic)
        && sheet.store.as_ref().is_none_or(|store| is_name(store.as_str()))
        && sheet.region.as_ref().is_none_or(|region| is_name(region.as_str()))
        && sheet.checks.iter().all(|check| is_name(&check.name) && is_text(&check.reason))
}

fn rehearsal_fits(one: &Rehearsal) -> bool {
    is_name(one.drill.as_str()) && is_name(one.service.as_str()) && is_name(one.region.as_str())
}

const fn is_name(name: &str) -> bool {
    name.len() <= LONGEST_NAME
}

const fn is_text(text: &str) -> bool {
    text.len() <= LONGEST_TEXT
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::tests::fixture::{EU, report};
    use crate::health::Status;

    #[test]
    fn what_an_honest_daemon_makes_of_a_bad_clock_and_long_words_is_taken() {
        let mut told = report(EU, Status::Bad);
        let reading = told.signals.first_mut().unwrap();
        (reading.held_ms, reading.age_ms) = (u64::MAX, LONGEST_MS + 1);
        reading.detail = "é".repeat(LONGEST_TEXT);
        told.stores.first_mut().unwrap().lag_ms = Some((u64::MAX, u64::MAX));
        assert!(told.check_sense(told.applied).is_err());
        told.keep_sense();
        assert_eq!(told.check_sense(told.applied), Ok(()));
        let mut sensible = report(EU, Status::Bad);
        sensible.keep_sense();
        assert_eq!(sensible, report(EU, Status::Bad), "what made sense is as it was");
    }
}
