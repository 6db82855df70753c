//! Drills, their executions and what they entitle to.

use failoverd_domain::drill::{
    Blackout, ComesBack, DrillRun, DrillState, LicenceStanding, Schedule, ThroughSeen, blackout_on, licence_of,
    next_opening, next_start,
};
use failoverd_domain::fleet::{ServiceState, WayBack};
use failoverd_domain::freeze::freeze_holds;
use failoverd_domain::health::readiness::Verdict;
use failoverd_domain::ids::Region;
use failoverd_domain::service::Pattern;
use failoverd_domain::time::Timestamp;

use super::words;
use crate::api::proto;
use crate::api::snapshot::Snapshot;

/// A drill as it stands, with so many openings of its schedule.
#[must_use]
pub fn drill(at: &Snapshot, drill: &DrillState, openings: usize) -> proto::Drill {
    let spec = &drill.spec;
    let next_at = next_start(at.now, drill);
    let newest = drill.last.as_ref().and_then(|id| at.state.drill_runs.get(id));
    proto::Drill {
        name: spec.name.to_string(),
        service: spec.service.to_string(),
        kind: spec.kind.word().to_owned(),
        labels: spec.labels.clone().into_iter().collect(),
        from: spec.from.as_ref().map(ToString::to_string),
        to: spec.to.as_ref().map(ToString::to_string),
        schedule: spec.schedule.as_ref().map(schedule),
        hypothesis: spec.hypothesis.clone(),
        guardrails: spec.guardrails.iter().map(ToString::to_string).collect(),
        hold_ms: spec.hold_ms,
        comes_back: comes_back(spec.comes_back),
        approvals: spec.approvals,
        next_at: next_at.map(words::time),
        prevented_by: prevented_by(at, drill, next_at),
        last: newest.map(|run| drill_run(at, run)),
        open: newest.filter(|run| !run.is_closed()).map(|run| run.id.to_string()),
        missed_at: drill.missed.as_ref().map(|(at, _)| words::time(*at)),
        missed_because: drill.missed.as_ref().map(|(_, why)| why.clone()),
        runs: drill.runs,
        spec_index: drill.spec_index.0,
        openings: openings_of(at, drill, openings),
    }
}

fn comes_back(it: ComesBack) -> String {
    match it {
        ComesBack::Automatic => "automatic",
        ComesBack::Manual => "manual",
    }
    .to_owned()
}

fn schedule(schedule: &Schedule) -> proto::DrillSchedule {
    proto::DrillSchedule {
        cron: schedule.cron.clone(),
        timezone: schedule.timezone.clone(),
        window_ms: schedule.window_ms,
        blackouts: schedule.blackouts.iter().map(days).collect(),
    }
}

fn days(blackout: &Blackout) -> String {
    match blackout.from == blackout.until {
        true => blackout.from.clone(),
        false => format!("{}/{}", blackout.from, blackout.until),
    }
}

/// The next openings, those that a blackout or a freeze takes away among them.
fn openings_of(at: &Snapshot, drill: &DrillState, count: usize) -> Vec<proto::DrillOpening> {
    let Some(schedule) = &drill.spec.schedule else { return Vec::new() };
    let open = Schedule { blackouts: Vec::new(), ..schedule.clone() };
    let mut after = drill.handled.unwrap_or(drill.applied_at).max(at.now);
    let mut openings = Vec::new();
    while let (true, Some(next)) = (openings.len() < count, next_opening(after, &open)) {
        let blackout = blackout_on(next, schedule).map(|blackout| format!("blackout {}", days(blackout)));
        let falls_on = blackout.or_else(|| frozen(at, drill, next));
        openings.push(proto::DrillOpening { at: Some(words::time(next)), falls_on });
        after = next;
    }
    openings
}

fn frozen(at: &Snapshot, drill: &DrillState, then: Timestamp) -> Option<String> {
    let service = at.state.services.get(&drill.spec.service)?;
    freeze_holds(then, &service.spec.policy.freeze).map(|until| format!("a freeze until {until}"))
}

/// What stands in the way of the next execution: what will hold then, and what is so now.
fn prevented_by(at: &Snapshot, drill: &DrillState, next_at: Option<Timestamp>) -> Vec<String> {
    let name = &drill.spec.service;
    let Some(service) = at.state.services.get(name) else { return vec![format!("{name} is not applied")] };
    let mut found = Vec::new();
    found.extend(frozen(at, drill, next_at.unwrap_or(at.now)));
    let execution = at.state.drill_runs.values().find(|run| !run.is_closed() && &run.spec.service == name);
    found.extend(execution.map(|run| format!("execution {} of {name} is open ({})", run.id, run.phase.word())));
    if execution.is_none() {
        found.extend(at.state.open_run(name).map(|run| format!("run {} of {name} is open", run.id)));
        if service.spec.pattern == Pattern::ActivePassive && drill.spec.to.as_ref() == Some(&service.primary) {
            found.push(format!("{name} serves from {} already", service.primary));
        }
        if !at.state.are_settled(service) {
            found.push(format!("{name} is not settled"));
        }
    }
    if at.state.is_paused(name) {
        found.push(format!("automatic action is paused for {name}"));
    }
    found.extend(service.attention.as_ref().map(|why| format!("a person must look at {name}: {why}")));
    let checks = at.matrix.checks(at.now, name);
    let not_ready = checks.iter().filter(|check| check.verdict == Verdict::NotReady);
    found.extend(not_ready.map(|check| format!("{} is not ready: {}", check.name, check.reason)));
    found
}

/// An execution.
#[must_use]
pub fn drill_run(at: &Snapshot, run: &DrillRun) -> proto::DrillRun {
    let objective = at.state.services.get(&run.spec.service).map(|service| service.spec.objectives.rto_ms);
    let steady = run.steady.iter().map(|check| proto::SteadyCheck {
        when: words::serde_word(check.when),
        name: check.name.clone(),
        ok: check.ok,
        reason: check.reason.clone(),
    });
    let approvals = run.approvals.iter();
    proto::DrillRun {
        id: run.id.to_string(),
        drill: run.drill().to_string(),
        service: run.spec.service.to_string(),
        kind: run.spec.kind.word().to_owned(),
        phase: run.phase.word().to_owned(),
        phase_since: Some(words::time(run.phase_since)),
        scheduled_for: run.scheduled_for.map(words::time),
        actor: run.actor.to_string(),
        from: run.home.to_string(),
        to: run.away.to_string(),
        movement: words::movement(run.movement).into(),
        opened_at: Some(words::time(run.opened_at)),
        began_at: run.began_at.map(words::time),
        approvals: approvals
            .map(|it| proto::DrillApproval { by: it.by.clone(), at: Some(words::time(it.at)) })
            .collect(),
        approvals_needed: run.spec.approvals,
        steady: steady.collect(),
        breach_at: run.breach_at.map(words::time),
        out: run.out.as_ref().map(ToString::to_string),
        arrived_at: run.arrived_at.map(words::time),
        hold_until: run.hold_until.map(words::time),
        back: run.back.as_ref().map(ToString::to_string),
        failed_returns: run.failed_returns,
        waits_for: run.waits_for.clone(),
        ending: run.ending.as_ref().map(failoverd_domain::drill::Ending::sentence),
        rto_ms: run.measured.rto_ms,
        rto_objective_ms: objective,
        detect_ms: run.measured.detect_ms,
        return_ms: run.measured.return_ms,
        through: run.measured.through.as_ref().map(through),
        verdict: run.verdict.map(|verdict| verdict.word().to_owned()),
        sentence: run.sentence.clone(),
        finished_at: run.finished_at.map(words::time),
        hypothesis: run.spec.hypothesis.clone(),
        hold_ms: run.spec.hold_ms,
        comes_back: comes_back(run.spec.comes_back),
    }
}

fn through(seen: &ThroughSeen) -> proto::ThroughSeen {
    proto::ThroughSeen {
        asked: seen.asked,
        errors: seen.errors,
        longest_gap_ms: seen.longest_gap_ms,
        well_since: seen.well_since.map(words::time),
    }
}

/// Whether drills let a service move by itself, each way that it could go now; nothing where its manifest asks for none.
#[must_use]
pub fn licences(at: &Snapshot, service: &ServiceState) -> Vec<proto::Licence> {
    let ways = at.state.serving(service).into_iter().filter_map(|from| Some((from, target(service, from)?)));
    ways.filter_map(|(from, to)| licence(at.now, service, from, to)).collect()
}

/// Where a service goes that leaves a Region: its writers' Region, or another one.
fn target<'a>(service: &'a ServiceState, from: &Region) -> Option<&'a Region> {
    let others = || service.spec.regions.iter().filter(|region| *region != from);
    others().find(|region| **region == service.primary).or_else(|| others().next())
}

fn licence(now: Timestamp, service: &ServiceState, from: &Region, to: &Region) -> Option<proto::Licence> {
    let bare = proto::Licence { from: from.to_string(), to: to.to_string(), ..proto::Licence::default() };
    match licence_of(now, service, from, to) {
        LicenceStanding::NotRequired => None,
        LicenceStanding::Held { drill, until } => {
            Some(proto::Licence { held: true, drill: Some(drill.to_string()), until: Some(words::time(until)), ..bare })
        }
        LicenceStanding::Lapsed { since, why } => {
            Some(proto::Licence { since: since.map(words::time), why: Some(why), ..bare })
        }
    }
}

/// Who wants a service back.
#[must_use]
pub fn way_back(wish: &WayBack) -> proto::WayBack {
    proto::WayBack { actor: wish.actor.to_string(), at: Some(words::time(wish.at)), reason: wish.reason.clone() }
}
