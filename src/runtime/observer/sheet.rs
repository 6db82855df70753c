//! What one daemon has read so far, shared by its watchers for moments only.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use failoverd_domain::health::{
    CanaryReading, ReplicaReadiness, Route53Reading, SignalReading, SignalTracker, Status, StoreReading,
};
use failoverd_domain::ids::{Region, ServiceName, SignalName, StoreName};
use failoverd_domain::time::Timestamp;

/// A signal of a service in a Region.
pub(super) type SignalKey = (ServiceName, Region, SignalName);
/// A copy of a store of a service.
pub(super) type CopyKey = (ServiceName, StoreName, Region);

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
}

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
    /// When readiness, writer and lag were looked at.
    pub(super) at: Timestamp,
}

impl Copy {
    /// A copy that nobody has looked at yet.
    pub(super) fn unread(now: Timestamp) -> Self {
        let readiness = ReplicaReadiness::Unknown("not looked at yet".to_owned());
        Self { readiness, writer: None, lag_ms: None, acknowledged: None, visible: None, at: now }
    }
}

impl Copy {
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

    pub(super) fn references(&self) -> BTreeMap<Region, bool> {
        self.open().references.clone()
    }

    pub(super) fn control_planes(&self) -> BTreeMap<Region, Status> {
        self.open().control_planes.clone()
    }
}
