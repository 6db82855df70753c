//! The whole matrix of readings as one daemon holds it.
//!
//! Every report is indexed by service when it arrives, so that judging a thousand services is a thousand look-ups and
//! not a thousand scans. The index is only ever asked by key: nothing depends on its order.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use super::diagnosis::View;
use super::reading::{Rehearsal, Report, Route53Reading, SignalReading, Status, StoreReading, Vote};
use super::sheets::{SeenCheck, Sheets, newest};
use crate::ids::{Region, ServiceName, SignalName, StoreName, SwitchGroup};
use crate::sabotage::{self, Sabotage};
use crate::time::Timestamp;

/// Reports of one daemon overtake each other by no more than this.
const OVERTAKES_MS: u64 = 5_000;
/// A clock that is off by this much does not come from messages that take their time.
const CLOCK_OFF_MS: i64 = 10_000;

/// Newest report of every daemon, stamped with the holder's own clock on arrival.
#[derive(Clone, Debug, Default)]
pub struct Matrix {
    reports: BTreeMap<Region, Received>,
    /// Readiness checks of every observer: a report brings only some of them.
    sheets: BTreeMap<Region, Sheets>,
}

/// A report and when it arrived here.
#[derive(Clone, Debug)]
pub struct Received {
    /// The report; its readings are sorted by service on arrival.
    pub report: Report,
    /// Arrival by the holder's clock.
    pub at: Timestamp,
    index: HashMap<ServiceName, Ranges>,
}

/// Where one service's readings stand in a sorted report.
#[derive(Clone, Debug, Default)]
struct Ranges {
    signals: Range<usize>,
    stores: Range<usize>,
    route53: Range<usize>,
}

impl Received {
    fn new(mut report: Report, at: Timestamp) -> Self {
        // By service, Region, signal: stable, so that a duplicate's first reading stays first.
        report.signals.sort_by(|a, b| (&a.service, &a.region, &a.signal).cmp(&(&b.service, &b.region, &b.signal)));
        report.stores.sort_by(|a, b| (&a.service, &a.region).cmp(&(&b.service, &b.region)));
        report.route53.sort_by(|a, b| (&a.service, &a.region).cmp(&(&b.service, &b.region)));
        let mut index: HashMap<ServiceName, Ranges> = HashMap::new();
        for_each_run(
            &report.signals,
            |reading| &reading.service,
            |name, range| {
                index.entry(name.clone()).or_default().signals = range;
            },
        );
        for_each_run(
            &report.stores,
            |reading| &reading.service,
            |name, range| {
                index.entry(name.clone()).or_default().stores = range;
            },
        );
        for_each_run(
            &report.route53,
            |reading| &reading.service,
            |name, range| {
                index.entry(name.clone()).or_default().route53 = range;
            },
        );
        Self { report, at, index }
    }

    /// This report's signals of one service in one Region, by signal name.
    #[must_use]
    pub fn signals(&self, service: &ServiceName, region: &Region) -> &[SignalReading] {
        let Some(ranges) = self.index.get(service) else { return &[] };
        run_of(self.report.signals.get(ranges.signals.clone()).unwrap_or_default(), region, |reading| &reading.region)
    }

    /// This report's signals of one service, whatever the Region and whether its manifest names them or not.
    #[must_use]
    pub fn all_signals(&self, service: &ServiceName) -> &[SignalReading] {
        let Some(ranges) = self.index.get(service) else { return &[] };
        self.report.signals.get(ranges.signals.clone()).unwrap_or_default()
    }

    /// This report's stores of one service, whatever the Region.
    #[must_use]
    pub fn stores(&self, service: &ServiceName) -> &[StoreReading] {
        let Some(ranges) = self.index.get(service) else { return &[] };
        self.report.stores.get(ranges.stores.clone()).unwrap_or_default()
    }

    /// This report's word on Route 53's checkers for one service in one Region.
    #[must_use]
    pub fn route53(&self, service: &ServiceName, region: &Region) -> Option<&Route53Reading> {
        let ranges = self.index.get(service)?;
        self.report.route53.get(ranges.route53.clone())?.iter().find(|reading| &reading.region == region)
    }

    /// What the drill that the view rehearses shows of one service in one Region.
    #[must_use]
    pub fn rehearsal(&self, view: &View, service: &ServiceName, region: &Region) -> Option<&Rehearsal> {
        let drill = view.rehearses.as_ref()?;
        let shown = |one: &&Rehearsal| &one.drill == drill && &one.service == service && &one.region == region;
        self.report.rehearsals.iter().find(shown)
    }

    /// The observer's clock minus the holder's, milliseconds, the message's way included.
    #[must_use]
    pub fn skew_ms(&self) -> i64 {
        let (sent, arrived) = (self.report.sent_at, self.at);
        let size = i64::try_from(sent.0.abs_diff(arrived.0)).unwrap_or(i64::MAX);
        if sent >= arrived { size } else { -size }
    }

    /// How old a reading is now that was `age_ms` old when it was sent.
    #[must_use]
    pub const fn age_now_ms(&self, now: Timestamp, age_ms: u64) -> u64 {
        now.since(self.at).saturating_add(age_ms)
    }
}

/// Calls `each` for every run of equal keys in a sorted slice.
fn for_each_run<T>(items: &[T], key: impl Fn(&T) -> &ServiceName, mut each: impl FnMut(&ServiceName, Range<usize>)) {
    let mut start = 0;
    for run in items.chunk_by(|a, b| key(a) == key(b)) {
        if let Some(first) = run.first() {
            each(key(first), start..start + run.len());
        }
        start += run.len();
    }
}

/// The run of one Region in a slice sorted by Region; a service has few, so a walk beats a search.
fn run_of<'a, T>(items: &'a [T], region: &Region, key: impl Fn(&T) -> &Region) -> &'a [T] {
    let Some(start) = items.iter().position(|item| key(item) == region) else { return &[] };
    let rest = items.get(start..).unwrap_or_default();
    let len = rest.iter().take_while(|item| key(item) == region).count();
    rest.get(..len).unwrap_or_default()
}

impl Matrix {
    /// Takes in a report unless a newer one of the same observer is here. A restarted observer counts from 1 again, and
    /// its first reports may not have arrived: what was sent later by the observer's own clock is newer as well. Whose clock was
    /// set back meanwhile is believed when nothing was heard of it for longer than reports overtake each other.
    pub fn take(&mut self, at: Timestamp, mut report: Report) {
        let is_older = |held: &Report| report.seq <= held.seq && report.sent_at <= held.sent_at;
        let is_late = |held: &Received| is_older(&held.report) && at.since(held.at) <= OVERTAKES_MS;
        let stale = self.reports.get(&report.observer).is_some_and(|held| is_late(held) && report.seq > 1);
        if !stale {
            let sheets = self.sheets.entry(report.observer.clone()).or_default();
            sheets.take(at, std::mem::take(&mut report.checks));
            self.reports.insert(report.observer.clone(), Received::new(report, at));
        }
    }

    /// The newest report of an observer, whatever its age.
    #[must_use]
    pub fn of(&self, observer: &Region) -> Option<&Received> {
        self.reports.get(observer)
    }

    /// The newest report of an observer, if it arrived at most `stale_after_ms` ago.
    #[must_use]
    pub fn fresh(&self, now: Timestamp, observer: &Region, stale_after_ms: u64) -> Option<&Received> {
        self.of(observer).filter(|received| now.since(received.at) <= stale_after_ms)
    }

    /// What everybody said is older by so much than it seems, as nobody measured that time.
    pub fn age(&mut self, by_ms: u64) {
        self.reports.values_mut().for_each(|received| received.at = received.at.minus_ms(by_ms));
    }

    /// Every report, by observer.
    pub fn reports(&self) -> impl Iterator<Item = (&Region, &Received)> {
        self.reports.iter()
    }

    /// One reading of a signal by one observer, with its age now.
    #[must_use]
    pub fn signal(
        &self,
        observer: &Region,
        service: &ServiceName,
        region: &Region,
        signal: &SignalName,
    ) -> Option<(&Received, &SignalReading)> {
        let received = self.of(observer)?;
        let reading = received.signals(service, region).iter().find(|reading| &reading.signal == signal)?;
        Some((received, reading))
    }

    /// All readings of one store's copy in one Region, newest arrival first.
    #[must_use]
    pub fn store(&self, service: &ServiceName, store: &StoreName, region: &Region) -> Vec<(&Received, &StoreReading)> {
        let mut readings: Vec<_> = self
            .reports
            .values()
            .flat_map(|received| received.stores(service).iter().map(move |reading| (received, reading)))
            .filter(|(_, reading)| &reading.store == store && &reading.region == region)
            .collect();
        readings.sort_by_key(|(received, reading)| Reverse(received.at.minus_ms(reading.age_ms)));
        readings
    }

    /// The readiness checks of a service: for each thing looked at, the newest look that was answered. Sorted by store,
    /// Region and name.
    #[must_use]
    pub fn checks(&self, now: Timestamp, service: &ServiceName) -> Vec<SeenCheck> {
        newest(now, service, &self.sheets)
    }

    /// What a daemon said that it answers for a switch's bit; one that is not heard of is silent.
    #[must_use]
    pub fn vote(
        &self,
        now: Timestamp,
        member: &Region,
        stale_after_ms: u64,
        group: &SwitchGroup,
        bit_of: &Region,
    ) -> Vote {
        self.fresh(now, member, stale_after_ms)
            .and_then(|received| received.report.votes.iter().find(|vote| &vote.0 == group && &vote.1 == bit_of))
            .map_or(Vote::Silent, |vote| vote.2)
    }

    /// Whether an observer's own fresh report says that it is cut off: it reaches no peer and no reference endpoint
    /// outside the fleet answers. A fleet of one without references has nothing to be cut off from.
    #[must_use]
    pub fn isolated(&self, now: Timestamp, view: &View, observer: &Region) -> bool {
        if sabotage::is(Sabotage::CountIsolated) {
            return false;
        }
        let Some(received) = self.fresh(now, observer, view.stale_after_ms) else { return false };
        let report = &received.report;
        let alone = view.members.iter().all(|member| member == observer);
        let reaches_a_peer = report.reaches.iter().any(|peer| peer != observer && view.members.contains(peer));
        let a_reference_answers = report.references.values().any(|answers| *answers);
        !(reaches_a_peer || a_reference_answers || alone && report.references.is_empty())
    }

    /// How far the daemon that asks is off, milliseconds, where a majority of the fleet says so: every one of them hears it at
    /// least `CLOCK_OFF_MS` ahead of its own clock, or every one behind. Negative: behind.
    #[must_use]
    pub fn clock_is_off(&self, now: Timestamp, view: &View) -> Option<i64> {
        let others = view.members.iter().filter(|member| **member != view.me);
        let fresh = others.filter_map(|member| self.fresh(now, member, view.stale_after_ms));
        let ahead: Vec<i64> = fresh.map(|received| -received.skew_ms()).collect();
        [1, -1].into_iter().find_map(|sign| {
            let say_so = ahead.iter().filter(|ms| **ms * sign >= CLOCK_OFF_MS);
            (say_so.clone().count() >= view.majority()).then(|| say_so.min_by_key(|ms| ms.abs()).copied())?
        })
    }

    /// The report of a member that counts: fresh, and not isolated.
    #[must_use]
    pub fn counting(&self, now: Timestamp, view: &View, observer: &Region) -> Option<&Received> {
        let fresh = self.fresh(now, observer, view.stale_after_ms)?;
        (view.members.contains(observer) && !self.isolated(now, view, observer)).then_some(fresh)
    }

    /// Whether a majority of the fleet is fresh here and not isolated.
    #[must_use]
    pub fn fresh_majority(&self, now: Timestamp, view: &View) -> bool {
        view.members.iter().filter(|member| self.counting(now, view, member).is_some()).count() >= view.majority()
    }

    /// What Route 53's own checkers say: the freshest word, other than "cannot tell", that any counting observer read.
    /// Of two equally fresh ones the good one wins: this is asked before a forced move.
    #[must_use]
    pub fn route53_says(&self, now: Timestamp, view: &View, service: &ServiceName, region: &Region) -> Status {
        view.members
            .iter()
            .filter_map(|observer| self.counting(now, view, observer))
            .filter_map(|received| {
                let shown = received.rehearsal(view, service, region);
                let shown = shown.map_or_else(|| received.route53(service, region), |shown| shown.route53.as_ref());
                let reading = shown?;
                Some((received.age_now_ms(now, reading.age_ms), reading.status))
            })
            .filter(|(age_ms, status)| *age_ms <= view.stale_after_ms && *status != Status::Unknown)
            // `Good` orders before `Bad`.
            .min()
            .map_or(Status::Unknown, |(_, status)| status)
    }
}
