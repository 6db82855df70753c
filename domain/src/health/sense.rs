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
    use crate::health::readiness::{Check, Verdict};
    use crate::health::{CanaryReading, Status, ThroughReading, Vote};

    type Change<T> = (&'static str, fn(&mut Report, T));

    /// One of everything that a daemon can say.
    fn full() -> Report {
        let mut told = report(EU, Status::Bad);
        told.signals[0].latency_ms = Some(1);
        told.stores[0].canary = Some(CanaryReading::default());
        let (signals, route53) = (vec![told.signals[0].clone()], Some(told.route53[0].clone()));
        let (service, region) = (told.signals[0].service.clone(), Region::from(EU));
        let drill = "gameday.1".into();
        told.rehearsals.push(Rehearsal { drill, service: service.clone(), region: region.clone(), signals, route53 });
        let through = ThroughReading {
            service: service.clone(),
            status: Status::Good,
            latency_ms: Some(1),
            age_ms: 1,
            detail: "200".into(),
        };
        told.through.push(through);
        let check = Check { name: "replica".into(), verdict: Verdict::Ready, reason: "it is there".into() };
        let (store, topic) = (Some("orders".into()), "copy".into());
        told.checks.push(Sheet { service, topic, store, region: Some(region.clone()), age_ms: 1, checks: vec![check] });
        told.votes.push(("shop".into(), region, Vote::On));
        told
    }

    fn durations() -> Vec<Change<u64>> {
        vec![
            ("signal held", |it, ms| it.signals[0].held_ms = ms),
            ("signal age", |it, ms| it.signals[0].age_ms = ms),
            ("signal latency", |it, ms| it.signals[0].latency_ms = Some(ms)),
            ("shown signal", |it, ms| it.rehearsals[0].signals[0].held_ms = ms),
            ("store age", |it, ms| it.stores[0].age_ms = ms),
            ("lag", |it, ms| it.stores[0].lag_ms = Some((ms, 0))),
            ("age of a lag", |it, ms| it.stores[0].lag_ms = Some((0, ms))),
            ("acknowledged", |it, ms| it.stores[0].canary.as_mut().unwrap().acknowledged_age_ms = ms),
            ("visible", |it, ms| it.stores[0].canary.as_mut().unwrap().visible_age_ms = ms),
            ("Route 53", |it, ms| it.route53[0].age_ms = ms),
            ("shown Route 53", |it, ms| it.rehearsals[0].route53.as_mut().unwrap().age_ms = ms),
            ("through", |it, ms| it.through[0].age_ms = ms),
            ("latency through", |it, ms| it.through[0].latency_ms = Some(ms)),
            ("sheet", |it, ms| it.checks[0].age_ms = ms),
        ]
    }

    #[test]
    fn no_duration_is_longer_than_any_can_be() {
        assert_eq!(full().check_sense(full().applied), Ok(()));
        for (what, change) in durations() {
            let with = |ms| {
                let mut told = full();
                change(&mut told, ms);
                told.check_sense(told.applied)
            };
            assert_eq!(with(LONGEST_MS), Ok(()), "{what}");
            assert!(with(LONGEST_MS + 1).unwrap_err().contains("something has lasted"), "{what}");
        }
    }

    #[test]
    fn no_name_and_no_text_is_longer_than_any_can_be() {
        let names: Vec<Change<String>> = vec![
            ("build", |it, name| it.build.version = name),
            ("peer", |it, name| it.reaches.push(Region::new(name))),
            ("reference", |it, name| _ = it.references.insert(Region::new(name), true)),
            ("control plane", |it, name| _ = it.control_planes.insert(Region::new(name), Status::Good)),
            ("signal's service", |it, name| it.signals[0].service = name.as_str().into()),
            ("signal's Region", |it, name| it.signals[0].region = Region::new(name)),
            ("signal", |it, name| it.signals[0].signal = name.as_str().into()),
            ("shown signal", |it, name| it.rehearsals[0].signals[0].signal = name.as_str().into()),
            ("store's service", |it, name| it.stores[0].service = name.as_str().into()),
            ("store", |it, name| it.stores[0].store = name.as_str().into()),
            ("store's Region", |it, name| it.stores[0].region = Region::new(name)),
            ("Route 53's service", |it, name| it.route53[0].service = name.as_str().into()),
            ("Route 53's Region", |it, name| it.route53[0].region = Region::new(name)),
            ("vote", |it, name| it.votes[0].0 = name.as_str().into()),
            ("vote's Region", |it, name| it.votes[0].1 = Region::new(name)),
            ("through", |it, name| it.through[0].service = name.as_str().into()),
            ("sheet's service", |it, name| it.checks[0].service = name.as_str().into()),
            ("sheet's topic", |it, name| it.checks[0].topic = name),
            ("sheet's store", |it, name| it.checks[0].store = Some(name.as_str().into())),
            ("sheet's Region", |it, name| it.checks[0].region = Some(Region::new(name))),
            ("check", |it, name| it.checks[0].checks[0].name = name),
            ("drill", |it, name| it.rehearsals[0].drill = name.as_str().into()),
            ("rehearsal's service", |it, name| it.rehearsals[0].service = name.as_str().into()),
            ("rehearsal's Region", |it, name| it.rehearsals[0].region = Region::new(name)),
        ];
        let texts: Vec<Change<String>> = vec![
            ("signal", |it, text| it.signals[0].detail = text),
            ("through", |it, text| it.through[0].detail = text),
            ("check", |it, text| it.checks[0].checks[0].reason = text),
        ];
        for (changes, longest) in [(names, LONGEST_NAME), (texts, LONGEST_TEXT)] {
            for (what, change) in changes {
                let with = |length| {
                    let mut told = full();
                    change(&mut told, "a".repeat(length));
                    told.check_sense(told.applied)
                };
                assert_eq!(with(longest), Ok(()), "{what}");
                assert!(with(longest + 1).unwrap_err().contains("far too long"), "{what}");
            }
        }
    }

    #[test]
    fn no_daemon_says_more_than_a_fleet_can_have_nor_knows_what_nobody_does() {
        let changes: Vec<Change<usize>> = vec![
            ("stores", |it, most| it.stores = vec![it.stores[0].clone(); most * MOST_READINGS + 1]),
            ("signals", |it, most| it.signals = vec![it.signals[0].clone(); most * MOST_READINGS + 1]),
            ("sheets", |it, most| it.checks = vec![it.checks[0].clone(); most * MOST_SHEETS + 1]),
            ("rehearsals", |it, most| it.rehearsals = vec![it.rehearsals[0].clone(); most * MOST_REHEARSALS + 1]),
            ("peers", |it, most| it.reaches = vec![EU.into(); most * MOST_REGIONS + 1]),
        ];
        for (what, change) in changes {
            for (most, fits) in [(0, true), (1, false)] {
                let mut told = full();
                change(&mut told, most);
                assert_eq!(told.check_sense(told.applied).is_ok(), fits, "{what}");
            }
        }
        let mut most = full();
        most.reaches = vec![EU.into(); MOST_REGIONS];
        assert_eq!(most.check_sense(most.applied), Ok(()));
        let mut told = full();
        (told.applied, told.history_confirmed) = (LogIndex(FAR + 7), Some(LogIndex(FAR + 7)));
        assert_eq!(told.check_sense(LogIndex(7)), Ok(()));
        assert!(told.check_sense(LogIndex(6)).unwrap_err().contains("is known here"));
        told.history_confirmed = Some(LogIndex(FAR + 8));
        assert!(told.check_sense(LogIndex(7)).unwrap_err().contains("more than it has applied"));
    }

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
        for (what, change) in durations() {
            let mut told = full();
            change(&mut told, LONGEST_MS + 1);
            told.keep_sense();
            assert_eq!(told.check_sense(told.applied), Ok(()), "{what}");
        }
        let mut sensible = report(EU, Status::Bad);
        sensible.keep_sense();
        assert_eq!(sensible, report(EU, Status::Bad), "what made sense is as it was");
    }
}
