//! What drills show: a Region that is taken for lost, seen by this daemon as a real loss would be, beside what it really
//! reads. Nothing real is touched by it, and nobody who does not ask for that very drill sees it.

use std::collections::BTreeMap;
use std::time::Duration;

use failoverd_domain::drill::{DrillKind, DrillPhase, DrillRun};
use failoverd_domain::fleet::FleetState;
use failoverd_domain::health::{SignalTracker, Status};

use super::Observer;
use super::sheet::{Pages, Sheet, Shown};
use super::signals::limits;

impl Observer {
    pub(super) async fn show_rehearsals(&self, sheet: &Sheet) {
        let period = self.timing.tick.max(Duration::from_millis(100));
        self.every(period, || async {
            let state = self.state();
            // Most of the time there is none.
            if state.drill_runs.values().any(is_shown) || !sheet.open().shown.is_empty() {
                self.show(&mut sheet.open(), &state);
            }
        })
        .await;
    }

    /// Feeds what is due. A tracker begins when this daemon sees the phase, so that how long a breach has held is as real
    /// as its cause is not, and is gone with the phase.
    fn show(&self, pages: &mut Pages, state: &FleetState) {
        let now = self.clock.now();
        pages.shown.retain(|drill, _| state.drill_runs.get(drill).is_some_and(is_shown));
        for drill in state.drill_runs.values().filter(|drill| is_shown(drill)) {
            let Some(service) = state.services.get(&drill.spec.service) else { continue };
            let first =
                || Shown { service: service.spec.name.clone(), region: drill.home.clone(), trackers: BTreeMap::new() };
            let shown = pages.shown.entry(drill.id.clone()).or_insert_with(first);
            shown.trackers.retain(|name, _| service.spec.health.signals.iter().any(|signal| &signal.name == name));
            for signal in &service.spec.health.signals {
                let interval_ms = self.interval_ms(&signal.probe);
                let limits = limits(&service.spec, interval_ms);
                let tracker = shown.trackers.entry(signal.name.clone());
                let tracker = tracker.or_insert_with(|| SignalTracker::new(limits));
                if tracker.fed_at().is_none_or(|at| now.since(at) >= interval_ms) {
                    tracker.feed(now, Status::Bad, format!("shown by drill {}", drill.id));
                }
            }
        }
    }
}

fn is_shown(drill: &DrillRun) -> bool {
    drill.spec.kind == DrillKind::RegionLoss && drill.phase == DrillPhase::Detecting
}
