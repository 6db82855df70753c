//! Probes every signal of every service in every Region, each at its own pace.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use failoverd_domain::fleet::FleetState;
use failoverd_domain::health::{Limits, SignalTracker, Status};
use failoverd_domain::service::{ProbeSpec, ServiceSpec, Signal};
use failoverd_domain::time::Timestamp;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use super::Observer;
use super::sheet::{Sheet, SignalKey};
use crate::ports::NotGood;

/// Probes under way at once: a fleet-wide outage must not exhaust this daemon.
const MOST_AT_ONCE: usize = 1_024;

/// What a probe brought.
struct Answer {
    result: Result<String, NotGood>,
    /// Of a good answer of the service itself.
    latency_ms: Option<u64>,
}

impl Observer {
    pub(super) async fn watch_signals(&self, sheet: &Sheet) {
        let mut ticks = tokio::time::interval(self.timing.tick.max(Duration::from_millis(100)));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut started: BTreeMap<SignalKey, Timestamp> = BTreeMap::new();
        let mut under_way = FuturesUnordered::new();
        let mut busy: BTreeSet<SignalKey> = BTreeSet::new();
        loop {
            tokio::select! {
                biased;
                _ = ticks.tick() => {
                    let state = self.state();
                    forget_gone(&state, sheet, &mut started);
                    for (key, limits, probe) in self.due(&state, &started) {
                        if under_way.len() >= MOST_AT_ONCE || !busy.insert(key.clone()) {
                            continue;
                        }
                        started.insert(key.clone(), self.clock.now());
                        under_way.push(self.probe(key, limits, probe));
                    }
                }
                Some((key, limits, answer)) = under_way.next(), if !under_way.is_empty() => {
                    busy.remove(&key);
                    self.note(sheet, key, limits, answer);
                }
            }
        }
    }

    fn due(&self, state: &FleetState, started: &BTreeMap<SignalKey, Timestamp>) -> Vec<(SignalKey, Limits, ProbeSpec)> {
        let now = self.clock.now();
        let mut due = Vec::new();
        for service in state.services.values() {
            for signal in &service.spec.health.signals {
                let interval_ms = self.interval_ms(&signal.probe);
                for region in &service.spec.regions {
                    let key = (service.spec.name.clone(), region.clone(), signal.name.clone());
                    if started.get(&key).is_none_or(|at| now.since(*at) >= interval_ms) {
                        due.push((key, limits(&service.spec, interval_ms), signal.probe.clone()));
                    }
                }
            }
        }
        // Longest overdue first: where there is no room for all, none is left out for ever.
        due.sort_by_key(|(key, ..)| started.get(key).copied());
        due
    }

    pub(super) fn interval_ms(&self, probe: &ProbeSpec) -> u64 {
        let default_ms = u64::try_from(self.timing.probe.as_millis()).unwrap_or(u64::MAX);
        probe.interval_ms().unwrap_or(default_ms)
    }

    async fn probe(&self, key: SignalKey, limits: Limits, probe: ProbeSpec) -> (SignalKey, Limits, Answer) {
        let started = Instant::now();
        let result = self.world.prober.probe(&probe, &key.1).await;
        // How long CloudWatch takes to tell of an alarm says nothing about the service.
        let is_answer = result.is_ok() && !matches!(probe, ProbeSpec::CloudwatchAlarm { .. });
        let latency_ms = is_answer.then(|| u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX));
        (key, limits, Answer { result, latency_ms })
    }

    fn note(&self, sheet: &Sheet, key: SignalKey, limits: Limits, answer: Answer) {
        let now = self.clock.now();
        let Answer { result, latency_ms } = answer;
        let mut pages = sheet.open();
        let tracker = pages.signals.entry(key).or_insert_with(|| SignalTracker::new(limits));
        tracker.set_limits(limits);
        match result {
            Ok(detail) => tracker.feed_timed(now, Status::Good, latency_ms, detail),
            Err(NotGood::Bad(detail)) => tracker.feed(now, Status::Bad, detail),
            Err(NotGood::Unknown(detail)) => tracker.feed(now, Status::Unknown, detail),
        }
    }
}

pub(super) fn limits(spec: &ServiceSpec, interval_ms: u64) -> Limits {
    Limits {
        breach_after_ms: spec.health.breach_after_ms,
        recover_after_ms: spec.health.recover_after_ms,
        max_gap_ms: interval_ms.saturating_mul(3).max(5_000),
    }
}

/// Signals that no manifest names any more are neither probed nor reported.
fn forget_gone(state: &FleetState, sheet: &Sheet, started: &mut BTreeMap<SignalKey, Timestamp>) {
    let named = |key: &SignalKey| {
        state.services.get(&key.0).is_some_and(|service| {
            let has_signal = |signal: &Signal| signal.name == key.2;
            service.spec.regions.contains(&key.1) && service.spec.health.signals.iter().any(has_signal)
        })
    };
    started.retain(|key, _| named(key));
    sheet.open().signals.retain(|key, _| named(key));
}
