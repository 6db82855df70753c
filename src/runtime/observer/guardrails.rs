//! Alarms that end drills: asked for while they may, and told like signals under names that no manifest can give.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use failoverd_domain::drill::{DrillSpec, Guardrail};
use failoverd_domain::fleet::FleetState;
use failoverd_domain::health::{Limits, SignalTracker, Status};
use failoverd_domain::time::Timestamp;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::timeout;

use super::Observer;
use super::sheet::{Sheet, SignalKey};

/// Between two looks while no execution of the drill is open: before it begins, its alarms must be known.
const AT_REST: Duration = Duration::from_secs(30);
/// One question.
const PATIENCE: Duration = Duration::from_secs(10);
/// Questions under way at once.
const MOST_AT_ONCE: usize = 32;

/// An alarm and how often it is asked for.
type Watched = BTreeMap<SignalKey, (String, u64)>;

impl Observer {
    pub(super) async fn watch_guardrails(&self, sheet: &Sheet) {
        let mut ticks = tokio::time::interval(self.timing.tick.max(Duration::from_millis(100)));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut started: BTreeMap<SignalKey, Timestamp> = BTreeMap::new();
        let mut busy: BTreeSet<SignalKey> = BTreeSet::new();
        let mut under_way = FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                _ = ticks.tick() => {
                    let state = self.state();
                    let watched = self.watched(&state);
                    started.retain(|key, _| watched.contains_key(key));
                    sheet.open().alarms.retain(|key, _| watched.contains_key(key));
                    let now = self.clock.now();
                    for (key, (alarm, every_ms)) in watched {
                        let is_due = started.get(&key).is_none_or(|at| now.since(*at) >= every_ms);
                        if is_due && under_way.len() < MOST_AT_ONCE && busy.insert(key.clone()) {
                            started.insert(key.clone(), now);
                            under_way.push(self.ask_alarm(key, alarm));
                        }
                    }
                }
                Some((key, status, detail)) = under_way.next(), if !under_way.is_empty() => {
                    busy.remove(&key);
                    let tracker = || SignalTracker::new(Limits { breach_after_ms: 0, recover_after_ms: 0, max_gap_ms: 90_000 });
                    sheet.open().alarms.entry(key).or_insert_with(tracker).feed(self.clock.now(), status, detail);
                }
            }
        }
    }

    fn watched(&self, state: &FleetState) -> Watched {
        let mut watched = Watched::new();
        let probe_ms = u64::try_from(self.timing.probe.as_millis()).unwrap_or(u64::MAX);
        let at_rest_ms = u64::try_from(AT_REST.as_millis()).unwrap_or(u64::MAX);
        let open = state.drill_runs.values().filter(|drill| !drill.is_closed());
        for drill in open {
            note(&mut watched, state, &drill.spec, probe_ms);
        }
        for drill in state.drills.values().filter(|drill| drill.spec.schedule.is_some()) {
            note(&mut watched, state, &drill.spec, at_rest_ms);
        }
        watched
    }

    /// As the alarms of signals are asked for: in this daemon's own account.
    async fn ask_alarm(&self, key: SignalKey, alarm: String) -> (SignalKey, Status, String) {
        let (status, detail) = match timeout(PATIENCE, self.world.metrics.alarm(&key.1, &alarm)).await {
            Ok(Ok(Some(true))) => (Status::Bad, format!("alarm {alarm} is in ALARM")),
            Ok(Ok(Some(false))) => (Status::Good, format!("alarm {alarm} is OK")),
            Ok(Ok(None)) => (Status::Unknown, format!("alarm {alarm} has insufficient data")),
            Ok(Err(error)) => (Status::Unknown, error.to_string()),
            Err(_) => (Status::Unknown, format!("CloudWatch did not answer within {} s", PATIENCE.as_secs())),
        };
        (key, status, detail)
    }
}

/// The alarms of one drill; of two drills that name the same, the more frequent asking wins.
fn note(watched: &mut Watched, state: &FleetState, spec: &DrillSpec, every_ms: u64) {
    if !state.services.contains_key(&spec.service) {
        return;
    }
    for guardrail in &spec.guardrails {
        let Guardrail::Alarm { name, region } = guardrail else { continue };
        let key = (spec.service.clone(), region.clone(), Guardrail::alarm_signal(name));
        let (_, held_ms) = watched.entry(key).or_insert_with(|| (name.clone(), every_ms));
        *held_ms = every_ms.min(*held_ms);
    }
}
