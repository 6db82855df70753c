//! What one daemon has read so far, shared by its watchers for moments only.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use failoverd_domain::health::readiness::{Check, Fact, Sheet as CheckSheet};
use failoverd_domain::health::{
    CanaryReading, Rehearsal, ReplicaReadiness, Route53Reading, SignalReading, SignalTracker, Status, StoreReading,
    ThroughReading,
};
use failoverd_domain::ids::{DrillRunId, Region, ServiceName, SignalName, StoreName};
use failoverd_domain::time::Timestamp;

/// A signal of a service in a Region.
pub(super) type SignalKey = (ServiceName, Region, SignalName);
/// A copy of a store of a service.
pub(super) type CopyKey = (ServiceName, StoreName, Region);
/// What a sheet of checks is about: service, topic, store, Region.
type CheckKey = (ServiceName, &'static str, Option<StoreName>, Option<Region>);

/// Sheets of checks in one report: with hundreds of services they go out in turn, what is new first.
const MOST_SHEETS: usize = 256;

/// What one daemon has read so far.
#[derive(Default)]
pub(super) struct Sheet {
    pages: Mutex<Pages>,
}

#[derive(Default)]
pub(super) struct Pages {
    pub(super) signals: BTreeMap<SignalKey, SignalTracker>,
    pub(super) stores: BTreeMap<CopyKey, Copy>,
    pub(super) route53: BTreeMap<(ServiceName, Region), (Status, Timestamp)>,
    pub(super) references: BTreeMap<Region, bool>,
    pub(super) control_planes: BTreeMap<Region, Status>,
    /// What AWS said last about each copy, whenever that was.
    pub(super) facts: BTreeMap<CopyKey, Fact>,
    checks: BTreeMap<CheckKey, Looked>,
    /// What drills show of Regions that are taken for lost.
    pub(super) shown: BTreeMap<DrillRunId, Shown>,
    /// Alarms that are guardrails of drills: apart, as no manifest of a service names them.
    pub(super) alarms: BTreeMap<SignalKey, SignalTracker>,
    /// How services that are being moved answered by their public names.
    pub(super) through: BTreeMap<ServiceName, Through>,
}

/// What one execution of a drill shows of one service in one Region.
pub(super) struct Shown {
    pub(super) service: ServiceName,
    pub(super) region: Region,
    /// One for each signal, with a past of its own: what is really read knows nothing of it.
    pub(super) trackers: BTreeMap<SignalName, SignalTracker>,
}

/// The newest answer by a public name.
pub(super) struct Through {
    pub(super) status: Status,
    pub(super) latency_ms: Option<u64>,
    pub(super) detail: String,
    pub(super) at: Timestamp,
}

/// What a look found.
#[derive(Clone, Debug)]
struct Looked {
    checks: Vec<Check>,
    at: Timestamp,
    /// The report that told of it last; none has told of what is new.
    told: Option<u64>,
}

impl Pages {
    /// Keeps what a look found.
    pub(super) fn note_checks(
        &mut self,
        at: Timestamp,
        service: &ServiceName,
        topic: &'static str,
        store: Option<&StoreName>,
        region: Option<&Region>,
        checks: Vec<Check>,
    ) {
        let key = (service.clone(), topic, store.cloned(), region.cloned());
        let told = self.checks.get(&key).filter(|held| held.checks == checks).and_then(|held| held.told);
        self.checks.insert(key, Looked { checks, at, told });
    }

    /// Forgets copies that no manifest names any more.
    pub(super) fn keep_copies(&mut self, keys: &BTreeSet<CopyKey>) {
        self.stores.retain(|key, _| keys.contains(key));
        self.facts.retain(|key, _| keys.contains(key));
        self.checks.retain(|(service, _, store, region), _| match (store, region) {
            (Some(store), Some(region)) => keys.contains(&(service.clone(), store.clone(), region.clone())),
            _ => true,
        });
    }

    /// Forgets what was said on a topic of services for which `stays` does not hold.
    pub(super) fn keep_checks(&mut self, topic: &str, stays: impl Fn(&ServiceName) -> bool) {
        self.checks.retain(|(service, of, ..), _| *of != topic || stays(service));
    }
}

/// Clocks of two daemons that are right differ by less: whoever is behind by that much waits for it.
const CLOCKS_DIFFER_MS: u64 = 5_000;

/// What was read of one copy of a store.
#[derive(Clone, Debug)]
pub(super) struct Copy {
    pub(super) readiness: ReplicaReadiness,
    pub(super) writer: Option<bool>,
    pub(super) lag_ms: Option<(u64, u64)>,
    /// Newest acknowledged canary version, and when it was.
    pub(super) acknowledged: Option<(u64, Timestamp)>,
    /// Newest canary version read, and when it was.
    pub(super) visible: Option<(u64, Timestamp)>,
    /// How far versions are ahead of this daemon's clock.
    ahead_ms: u64,
    /// When readiness, writer and lag were looked at.
    pub(super) at: Timestamp,
}

impl Copy {
    /// A copy that nobody has looked at yet.
    pub(super) fn unread(now: Timestamp) -> Self {
        let readiness = ReplicaReadiness::Unknown("not looked at yet".to_owned());
        Self { readiness, writer: None, lag_ms: None, acknowledged: None, visible: None, ahead_ms: 0, at: now }
    }
}

impl Copy {
    /// The canary version to write now: by this daemon's clock. Where a writer whose clock was wrong has left one that is ahead
    /// of it, as far ahead from then on: a lower one would not be taken for as long, and loss be unknown meanwhile; and versions
    /// must rise by the time that passes, as loss is their difference.
    pub(super) fn next_version(&mut self, now: Timestamp) -> u64 {
        let limit = now.0.saturating_add(self.ahead_ms).saturating_add(CLOCKS_DIFFER_MS);
        if let Some((visible, _)) = self.visible.filter(|(visible, _)| *visible > limit) {
            self.ahead_ms = visible - now.0 + 1;
        }
        now.0.saturating_add(self.ahead_ms)
    }

    fn canary(&self, now: Timestamp) -> Option<CanaryReading> {
        if self.acknowledged.is_none() && self.visible.is_none() {
            return None;
        }
        let age_ms = |seen: Option<(u64, Timestamp)>| seen.map_or(0, |(_, at)| now.since(at));
        Some(CanaryReading {
            acknowledged: self.acknowledged.map(|(version, _)| version),
            acknowledged_age_ms: age_ms(self.acknowledged),
            visible: self.visible.map(|(version, _)| version),
            visible_age_ms: age_ms(self.visible),
        })
    }
}

impl Sheet {
    /// The pages, for a moment: nothing is awaited while they are held.
    pub(super) fn open(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn signals(&self, now: Timestamp) -> Vec<SignalReading> {
        let pages = self.open();
        pages
            .signals
            .iter()
            .chain(&pages.alarms)
            .filter_map(|((service, region, signal), held)| held.reading(now, service, region, signal))
            .collect()
    }

    pub(super) fn stores(&self, now: Timestamp) -> Vec<StoreReading> {
        let pages = self.open();
        let reading = |((service, store, region), copy): (&CopyKey, &Copy)| StoreReading {
            service: service.clone(),
            store: store.clone(),
            region: region.clone(),
            readiness: copy.readiness.clone(),
            writer: copy.writer,
            canary: copy.canary(now),
            lag_ms: copy.lag_ms,
            age_ms: now.since(copy.at),
        };
        pages.stores.iter().map(reading).collect()
    }

    pub(super) fn route53(&self, now: Timestamp) -> Vec<Route53Reading> {
        let pages = self.open();
        let reading = |((service, region), (status, at)): (&(ServiceName, Region), &(Status, Timestamp))| {
            Route53Reading { service: service.clone(), region: region.clone(), status: *status, age_ms: now.since(*at) }
        };
        pages.route53.iter().map(reading).collect()
    }

    /// Sheets for the report of that number: those that nobody was told of, then those told of longest ago.
    pub(super) fn checks(&self, now: Timestamp, seq: u64) -> Vec<CheckSheet> {
        let mut pages = self.open();
        let mut turn: Vec<(&CheckKey, &mut Looked)> = pages.checks.iter_mut().collect();
        turn.sort_by_key(|(_, looked)| looked.told);
        let told = turn.into_iter().take(MOST_SHEETS).map(|((service, topic, store, region), looked)| {
            looked.told = Some(seq);
            CheckSheet {
                service: service.clone(),
                topic: (*topic).to_owned(),
                store: store.clone(),
                region: region.clone(),
                age_ms: now.since(looked.at),
                checks: looked.checks.clone(),
            }
        });
        told.collect()
    }

    pub(super) fn rehearsals(&self, now: Timestamp) -> Vec<Rehearsal> {
        let pages = self.open();
        let shown = pages.shown.iter().map(|(drill, shown)| {
            let Shown { service, region, trackers } = shown;
            let signals = trackers.iter().filter_map(|(signal, held)| held.reading(now, service, region, signal));
            Rehearsal {
                drill: drill.clone(),
                service: service.clone(),
                region: region.clone(),
                signals: signals.collect(),
                route53: Some(Route53Reading {
                    service: service.clone(),
                    region: region.clone(),
                    status: Status::Bad,
                    age_ms: 0,
                }),
            }
        });
        shown.collect()
    }

    pub(super) fn through(&self, now: Timestamp) -> Vec<ThroughReading> {
        let pages = self.open();
        let reading = |(service, newest): (&ServiceName, &Through)| ThroughReading {
            service: service.clone(),
            status: newest.status,
            latency_ms: newest.latency_ms,
            age_ms: now.since(newest.at),
            detail: newest.detail.clone(),
        };
        pages.through.iter().map(reading).collect()
    }

    pub(super) fn references(&self) -> BTreeMap<Region, bool> {
        self.open().references.clone()
    }

    pub(super) fn control_planes(&self) -> BTreeMap<Region, Status> {
        self.open().control_planes.clone()
    }
}

#[cfg(test)]
mod tests {
    use failoverd_domain::health::readiness::{Verdict, names, names::topics};

    use super::*;

    fn check(verdict: Verdict) -> Vec<Check> {
        vec![Check { name: names::ZONE_FOUND.to_owned(), verdict, reason: "seen".to_owned() }]
    }

    #[test]
    fn every_sheet_has_its_turn_and_what_changed_goes_first() {
        let sheet = Sheet::default();
        let service = |n: usize| ServiceName::new(format!("service-{n:04}"));
        let count = MOST_SHEETS + 10;
        for n in 0..count {
            sheet.open().note_checks(Timestamp(1), &service(n), topics::TRAFFIC, None, None, check(Verdict::Ready));
        }
        let names = |seq| {
            let sheets = sheet.checks(Timestamp(2), seq);
            sheets.into_iter().map(|sheet| sheet.service).collect::<Vec<_>>()
        };
        let (first, second) = (names(1), names(2));
        let all: BTreeSet<_> = first.iter().chain(&second).collect();
        assert_eq!((first.len(), all.len()), (MOST_SHEETS, count));
        sheet.open().note_checks(Timestamp(3), &service(7), topics::TRAFFIC, None, None, check(Verdict::NotReady));
        sheet.open().note_checks(Timestamp(3), &service(8), topics::TRAFFIC, None, None, check(Verdict::Ready));
        assert_eq!(names(3)[0], service(7), "the same again is no news");
        sheet.open().keep_checks(topics::TRAFFIC, |name| *name == service(7));
        assert_eq!(names(4), [service(7)]);
    }
}
