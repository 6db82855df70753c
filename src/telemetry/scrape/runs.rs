//! Runs: the open ones, and the newest of each kind.

use std::collections::BTreeMap;

use failoverd_domain::fleet::{Run, RunState, ServiceState};
use failoverd_domain::plan::Mode;

use crate::telemetry::Standing;
use crate::telemetry::defined;
use crate::telemetry::page::{Page, seconds};

const OPEN: [RunState; 4] = [RunState::AwaitingApproval, RunState::Announced, RunState::Running, RunState::Paused];

pub(super) fn show(at: &Standing, page: &mut Page) {
    for service in at.state.services.values() {
        let name = service.spec.name.as_str();
        let open = at.state.open_run(&service.spec.name);
        let state = open.map_or("", |run| run.state.word());
        page.one_of(&defined::RUN_OPEN, &[name], &OPEN.map(RunState::word), state);
        page.put_some(&defined::RUN_DECIDED, &[name], open.map(|run| seconds(run.decided_at.0)));
        closed(at, service, page);
    }
}

fn closed(at: &Standing, service: &ServiceState, page: &mut Page) {
    let name = service.spec.name.as_str();
    let of_it = at.state.runs.values().filter(|run| run.service == service.spec.name && run.state.is_closed());
    let mut runs: Vec<&Run> = of_it.collect();
    runs.sort_by_key(|run| run.decided_index);
    let mut ended = BTreeMap::new();
    let mut rto = BTreeMap::new();
    for run in &runs {
        let trigger = run.trigger.word();
        if let Some(finished_at) = run.finished_at {
            ended.insert((trigger, run.state.word()), finished_at);
        }
        if let Some(rto_ms) = run.rto_ms().filter(|_| run.state == RunState::Succeeded) {
            rto.insert(trigger, rto_ms);
        }
    }
    for ((trigger, outcome), finished_at) in ended {
        page.put(&defined::RUN_LAST_FINISHED, &[name, trigger, outcome], seconds(finished_at.0));
    }
    for (trigger, rto_ms) in rto {
        page.put(&defined::RUN_LAST_RTO, &[name, trigger], seconds(rto_ms));
    }
    let forced = runs.iter().rev().find(|run| run.plan.mode == Mode::Forced && run.started_at.is_some());
    for loss in forced.into_iter().flat_map(|run| &run.loss) {
        page.put_some(&defined::RUN_LAST_LOSS, &[name, loss.store.as_str()], loss.measured.map(seconds));
    }
}
