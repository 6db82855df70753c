//! Asks services that are being moved by their public names, once a second, as their users do: for what those had of it.

use std::collections::BTreeSet;
use std::time::Duration;

use failoverd_domain::drill::RECORDED_AFTER_MS;
use failoverd_domain::fleet::FleetState;
use failoverd_domain::ids::ServiceName;
use failoverd_domain::time::Timestamp;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::Observer;
use super::sheet::{Sheet, Through};
use crate::survey::{self, Answered};

/// Between two questions to one service.
const EVERY: Duration = Duration::from_secs(1);
/// Services asked at once.
const MOST_AT_ONCE: usize = 128;

impl Observer {
    pub(super) async fn ask_through(&self, sheet: &Sheet) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut busy: BTreeSet<ServiceName> = BTreeSet::new();
        let mut under_way = FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                Some((name, answered)) = under_way.next(), if !under_way.is_empty() => {
                    busy.remove(&name);
                    self.note_through(sheet, name, answered);
                }
                _ = ticks.tick() => {
                    let state = self.state();
                    let moving = moving(self.clock.now(), &state);
                    sheet.open().through.retain(|name, _| moving.contains(name));
                    for name in moving {
                        // One that hangs is asked again when it has been heard or given up.
                        if under_way.len() < MOST_AT_ONCE && busy.insert(name.clone()) {
                            under_way.push(self.ask_one(state.clone(), name));
                        }
                    }
                }
            }
        }
    }

    async fn ask_one(&self, state: std::sync::Arc<FleetState>, name: ServiceName) -> (ServiceName, Option<Answered>) {
        let answered = match state.services.get(&name) {
            Some(service) => survey::ask_through(&self.world, &service.spec).await,
            None => None,
        };
        (name, answered)
    }

    fn note_through(&self, sheet: &Sheet, name: ServiceName, answered: Option<Answered>) {
        let Some(Answered { status, latency_ms, detail }) = answered else { return };
        let at = self.clock.now();
        sheet.open().through.insert(name, Through { status, latency_ms, detail, at });
    }
}

/// Services of open runs and drills, and of those that ended a moment ago, with all that moves along.
fn moving(now: Timestamp, state: &FleetState) -> BTreeSet<ServiceName> {
    let is_recent = |finished_at: Option<Timestamp>| finished_at.is_none_or(|at| now.since(at) <= RECORDED_AFTER_MS);
    let runs = state.runs.values().filter(|run| !run.state.is_closed() || is_recent(run.finished_at));
    let drills = state.drill_runs.values().filter(|drill| !drill.is_closed() || is_recent(drill.finished_at));
    let leads = runs.map(|run| &run.service).chain(drills.map(|drill| &drill.spec.service));
    let leads: BTreeSet<&ServiceName> = leads.collect();
    let services = leads.into_iter().filter_map(|name| state.services.get(name));
    services.flat_map(|lead| state.moved_together(lead)).map(|moved| moved.spec.name.clone()).collect()
}
