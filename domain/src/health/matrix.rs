//! The whole matrix of readings as one daemon holds it.

use std::collections::BTreeMap;

use super::reading::{Report, SignalReading, StoreReading};
use crate::ids::{Region, ServiceName, SignalName, StoreName};
use crate::time::Timestamp;

/// Newest report of every daemon, stamped with the holder's own clock on arrival.
#[derive(Clone, Debug, Default)]
pub struct Matrix {
    reports: BTreeMap<Region, Received>,
}

/// A report and when it arrived here.
#[derive(Clone, Debug)]
pub struct Received {
    /// The report.
    pub report: Report,
    /// Arrival by the holder's clock.
    pub at: Timestamp,
}

impl Matrix {
    /// Takes in a report unless a newer one of the same observer is here. A restarted observer starts again at 1.
    pub fn take(&mut self, at: Timestamp, report: Report) {
        let stale =
            self.reports.get(&report.observer).is_some_and(|held| report.seq <= held.report.seq && report.seq > 1);
        if !stale {
            self.reports.insert(report.observer.clone(), Received { report, at });
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
        let reading =
            received.report.signals.iter().find(|reading| {
                &reading.service == service && &reading.region == region && &reading.signal == signal
            })?;
        Some((received, reading))
    }

    /// All readings of one store's copy in one Region, newest arrival first.
    #[must_use]
    pub fn store(&self, service: &ServiceName, store: &StoreName, region: &Region) -> Vec<(&Received, &StoreReading)> {
        let mut readings: Vec<_> = self
            .reports
            .values()
            .flat_map(|received| received.report.stores.iter().map(move |reading| (received, reading)))
            .filter(|(_, reading)| &reading.service == service && &reading.store == store && &reading.region == region)
            .collect();
        readings.sort_by_key(|(received, reading)| std::cmp::Reverse(received.at.minus_ms(reading.age_ms)));
        readings
    }
}
