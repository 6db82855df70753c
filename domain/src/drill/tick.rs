//! What the leader should propose for drills now. Pure, like the controller that asks it.

use super::course::{Course, course};
use super::run::{Advance, DrillPhase, DrillRun, DrillState, Ending, RETURNS_TRIED, SteadyCheck};
use super::schedule::{newest_opening, next_opening};
use super::spec::{DrillKind, Schedule};
use super::steady::{PAUSED, Sight, Way, request};
use crate::fleet::{Command, Run, RunState, ServiceState, propose_failover};
use crate::health::{Status, diagnose};
use crate::plan::Movement;
use crate::time::Timestamp;

/// How long the steady state may need to be seen, milliseconds: guardrails' alarms are asked only now.
const STEADY_PATIENCE_MS: u64 = 60_000;
/// How long guards may refuse the way out, milliseconds.
const MOVE_PATIENCE_MS: u64 = 60_000;
/// How long a fleet may take to see a lost Region and decide, over what its manifest asks for, milliseconds.
const DETECT_PATIENCE_MS: u64 = 5 * 60_000;
/// How long people may take to approve a drill that nobody scheduled, milliseconds.
const APPROVAL_PATIENCE_MS: u64 = 24 * 3_600_000;
/// How long a way out may take whose drill has no guardrail for it, milliseconds.
const LONGEST_MOVE_MS: u64 = 30 * 60_000;
/// How long a simulation may take, milliseconds.
const LONGEST_SIMULATION_MS: u64 = 5 * 60_000;
/// How long settlement and the steady state may need afterwards, milliseconds.
const LONGEST_SETTLING_MS: u64 = 60 * 60_000;
/// How long the steady state may need once all is settled, milliseconds.
const STEADY_AGAIN_MS: u64 = 10 * 60_000;
/// How long the record of a run is waited for, milliseconds.
const RECORD_PATIENCE_MS: u64 = 40_000;
/// What a drill needs of its window beside its hold, milliseconds.
pub const MOVES_MS: u64 = 60_000;

/// What to propose now.
#[must_use]
pub fn tick_drills(sight: &Sight<'_>) -> Vec<Command> {
    let open = sight.state.drill_runs.values().filter(|run| !run.is_closed());
    let mut commands: Vec<Command> = open.filter_map(|run| tend(sight, run)).collect();
    commands.extend(sight.state.drills.values().filter_map(|drill| due(sight, drill)));
    commands.extend(sight.state.services.values().filter_map(|service| way_back(sight, service)));
    commands
}

/// Why a drill does not start at an opening of its schedule now, if so.
fn why_not_now(sight: &Sight<'_>, drill: &DrillState) -> Option<String> {
    let way = match course(sight.state, &drill.spec) {
        Ok(way) => way,
        Err(rejection) => return Some(rejection.reason),
    };
    // Nobody asks a guardrail's alarm long before a drill: it is looked at when the drill is opened.
    let checks = sight.before(&drill.spec, &way);
    let no = checks.iter().find(|check| !check.ok && check.name != "guardrail");
    no.map(|no| format!("{}: {}", no.name, no.reason))
}

/// The last instant at which a drill can start and be back within its window.
fn latest_start(opening: Timestamp, schedule: &Schedule, hold_ms: u64) -> Timestamp {
    opening.plus_ms(schedule.window_ms.saturating_sub(hold_ms).saturating_sub(MOVES_MS))
}

/// An opening of a schedule that is to be used or was missed.
fn due(sight: &Sight<'_>, drill: &DrillState) -> Option<Command> {
    let schedule = drill.spec.schedule.as_ref()?;
    let name = &drill.spec.name;
    let dealt_with = drill.handled.unwrap_or(drill.applied_at).max(drill.applied_at);
    let (openings, newest) = newest_opening(dealt_with, sight.now, schedule)?;
    let is_over = sight.now > latest_start(newest, schedule, drill.spec.hold_ms);
    let miss = |scheduled_for, openings, reason: String| {
        Some(Command::MissDrill { drill: name.clone(), scheduled_for, openings, reason })
    };
    match (openings, why_not_now(sight, drill)) {
        (_, Some(why)) if is_over => miss(newest, openings, why),
        (_, None) if is_over => miss(newest, openings, "nobody led the fleet in time to start it".to_owned()),
        // Older ones first, so that each is on record.
        (2.., _) => {
            let (older, before) = newest_opening(dealt_with, Timestamp(newest.0 - 1), schedule)?;
            miss(before, older, "nobody led the fleet in time to start it".to_owned())
        }
        (_, Some(_)) => None,
        (_, None) => Some(Command::OpenDrill { drill: name.clone(), scheduled_for: Some(newest) }),
    }
}

fn tend(sight: &Sight<'_>, run: &DrillRun) -> Option<Command> {
    let service = sight.state.services.get(&run.spec.service)?;
    if let Some(reason) = real_breach(sight, service, run) {
        return end(run, Ending::Overtaken { reason });
    }
    // A phase that a wrong clock began would last for as long as that was ahead: it has lasted long enough.
    let in_phase_ms = if run.phase_since.is_ahead_of(sight.now) { u64::MAX } else { sight.now.since(run.phase_since) };
    let course = Course { home: run.home.clone(), away: run.away.clone(), movement: run.movement };
    if is_under_guard(run)
        && run.ending.is_none()
        && let Some((guardrail, reason)) = sight.hit(run)
    {
        return end(run, Ending::Guardrail { guardrail, reason });
    }
    match run.phase {
        DrillPhase::AwaitingApproval => {
            let late = match (run.scheduled_for, &run.spec.schedule) {
                (Some(opening), Some(schedule)) => sight.now > latest_start(opening, schedule, run.spec.hold_ms),
                _ => in_phase_ms > APPROVAL_PATIENCE_MS,
            };
            let given = run.approvals.len();
            let reason = format!("{given} of {} people approved in time", run.spec.approvals);
            late.then(|| end(run, Ending::NotStarted { reason })).flatten()
        }
        DrillPhase::Checking => check(sight, run, &course, in_phase_ms),
        DrillPhase::Simulating => {
            let reason = "the simulation did not end in time".to_owned();
            (in_phase_ms > LONGEST_SIMULATION_MS).then(|| end(run, Ending::Failed { reason })).flatten()
        }
        DrillPhase::Detecting => {
            let patience_ms = service.spec.health.breach_after_ms.saturating_add(DETECT_PATIENCE_MS);
            if in_phase_ms > patience_ms {
                let why = detect_doubt(sight, service, run, &course);
                let reason = format!("the fleet was shown {} lost and did not decide: {why}", run.home);
                return end(run, Ending::Failed { reason });
            }
            detect(sight, service, run, &course)
        }
        DrillPhase::Moving => go_out(sight, service, run, &course, in_phase_ms),
        DrillPhase::Holding => {
            let over = |until| sight.now >= until || run.phase_since.is_ahead_of(sight.now);
            let over = run.hold_until.is_none_or(over);
            over.then(|| advance(run, Advance::ComeHome))
        }
        DrillPhase::Returning => come_back(sight, run, &course),
        DrillPhase::Settling => settle(sight, run, in_phase_ms),
        DrillPhase::AwaitingReturn | DrillPhase::Closed => None,
    }
}

fn advance(run: &DrillRun, advance: Advance) -> Command {
    Command::AdvanceDrill { run: run.id.clone(), phase: run.phase, advance }
}

fn end(run: &DrillRun, ending: Ending) -> Option<Command> {
    Some(advance(run, Advance::End { ending, steady: Vec::new() }))
}

fn is_under_guard(run: &DrillRun) -> bool {
    matches!(run.phase, DrillPhase::Detecting | DrillPhase::Moving | DrillPhase::Holding | DrillPhase::AwaitingReturn)
}

/// A Region that serves is really broken, as all daemons and Route 53's own checkers read it; what a drill shows does not
/// count here.
fn real_breach(sight: &Sight<'_>, service: &ServiceState, run: &DrillRun) -> Option<String> {
    let begun = run.has_begun() && run.spec.kind != DrillKind::Simulate;
    if !begun || run.phase == DrillPhase::Settling {
        return None;
    }
    sight.state.serving(service).into_iter().find_map(|region| {
        let found = diagnose(sight.now, sight.view, &service.spec, region, sight.matrix);
        let agrees = sight.matrix.route53_says(sight.now, sight.view, &service.spec.name, region) == Status::Bad;
        (found.diagnosis.is_breach() && agrees)
            .then(|| format!("{region} is {}: {}", found.diagnosis.word(), found.because))
    })
}

fn check(sight: &Sight<'_>, run: &DrillRun, course: &Course, in_phase_ms: u64) -> Option<Command> {
    let steady = sight.before(&run.spec, course);
    let Some(no) = SteadyCheck::first_no(&steady) else {
        return Some(advance(run, Advance::Begin { steady }));
    };
    let why = format!("the steady state does not hold: {}: {}", no.name, no.reason);
    if in_phase_ms > STEADY_PATIENCE_MS {
        return Some(advance(run, Advance::End { ending: Ending::NotStarted { reason: why }, steady }));
    }
    waits(run, why)
}

/// Says why it waits; once, while it stays the same.
fn waits(run: &DrillRun, why: String) -> Option<Command> {
    let digitless = |text: &str| text.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    let known = run.waits_for.as_deref().is_some_and(|held| digitless(held) == digitless(&why));
    (!known).then(|| advance(run, Advance::Waits { why: Some(why) }))
}

/// The fleet was shown a lost Region: the decision is the one an outage would get, by the same guards.
fn detect(sight: &Sight<'_>, service: &ServiceState, run: &DrillRun, course: &Course) -> Option<Command> {
    let view = sight.view.rehearsing(&run.id);
    let found = diagnose(sight.now, &view, &service.spec, &run.home, sight.matrix);
    let agrees = sight.matrix.route53_says(sight.now, &view, &service.spec.name, &run.home) == Status::Bad;
    if !found.diagnosis.is_breach() || !agrees {
        return None;
    }
    let asked = request(&view.me, &run.spec, course, Way::Out, Some(&run.id));
    let decision = propose_failover(sight.now, sight.state, sight.matrix, &view, &asked).ok()?;
    Some(Command::Decide(Box::new(decision)))
}

fn detect_doubt(sight: &Sight<'_>, service: &ServiceState, run: &DrillRun, course: &Course) -> String {
    let view = sight.view.rehearsing(&run.id);
    let asked = request(&view.me, &run.spec, course, Way::Out, Some(&run.id));
    match propose_failover(sight.now, sight.state, sight.matrix, &view, &asked) {
        Err(rejection) => rejection.reason,
        Ok(_) => diagnose(sight.now, &view, &service.spec, &run.home, sight.matrix).because,
    }
}

fn go_out(
    sight: &Sight<'_>,
    service: &ServiceState,
    run: &DrillRun,
    course: &Course,
    in_phase_ms: u64,
) -> Option<Command> {
    let out = run.out.as_ref().and_then(|out| sight.state.runs.get(out));
    if let Some(out) = out {
        let longest_ms = LONGEST_MOVE_MS.max(service.spec.objectives.rto_ms.saturating_mul(3));
        if in_phase_ms > longest_ms && run.ending.is_none() {
            let reason = format!("run {} is {} after more than {} s", out.id, out.state.word(), longest_ms / 1_000);
            return end(run, Ending::Failed { reason });
        }
        return stuck(sight, run, out);
    }
    if sight.state.is_paused(&run.spec.service) {
        return match in_phase_ms > MOVE_PATIENCE_MS {
            true => end(run, Ending::Failed { reason: PAUSED.to_owned() }),
            false => waits(run, PAUSED.to_owned()),
        };
    }
    let asked = request(&sight.view.me, &run.spec, course, Way::Out, Some(&run.id));
    match propose_failover(sight.now, sight.state, sight.matrix, sight.view, &asked) {
        Ok(decision) => Some(Command::Decide(Box::new(decision))),
        Err(no) if in_phase_ms > MOVE_PATIENCE_MS => end(run, Ending::Failed { reason: no.reason }),
        Err(no) => waits(run, no.reason),
    }
}

/// A run that waits for a person, or that a pause holds, holds the drill up; that is said.
fn stuck(sight: &Sight<'_>, run: &DrillRun, of: &Run) -> Option<Command> {
    match of.state {
        RunState::Paused => waits(run, format!("run {} is paused: retry, skip or abort it", of.id)),
        RunState::AwaitingApproval => waits(run, format!("run {} awaits approval", of.id)),
        _ if sight.state.is_paused(&run.spec.service) && !of.is_past_no_return() => waits(run, PAUSED.to_owned()),
        _ if run.waits_for.is_some() => Some(advance(run, Advance::Waits { why: None })),
        _ => None,
    }
}

fn come_back(sight: &Sight<'_>, run: &DrillRun, course: &Course) -> Option<Command> {
    let back = run.back.as_ref().and_then(|back| sight.state.runs.get(back));
    if let Some(open) = back.filter(|back| !back.state.is_closed()) {
        return stuck(sight, run, open);
    }
    if run.failed_returns >= RETURNS_TRIED {
        let service = &run.spec.service;
        return waits(run, format!("a person: `failoverctl failback {service}` when what failed is mended"));
    }
    if sight.state.is_paused(&run.spec.service) {
        return waits(run, PAUSED.to_owned());
    }
    let asked = request(&sight.view.me, &run.spec, course, Way::Back, Some(&run.id));
    match propose_failover(sight.now, sight.state, sight.matrix, sight.view, &asked) {
        Ok(decision) => Some(Command::Decide(Box::new(decision))),
        // A switch that a person turned is no run, and nobody would ever return it.
        Err(no) if no.code == "ALREADY_THERE" => {
            let reason = format!("{}, and this drill did not bring it there", no.reason);
            end(run, Ending::Overtaken { reason })
        }
        Err(no) => waits(run, no.reason),
    }
}

fn settle(sight: &Sight<'_>, run: &DrillRun, in_phase_ms: u64) -> Option<Command> {
    let steady = sight.after(run);
    let runs = [&run.out, &run.back].into_iter().flatten().filter_map(|id| sight.state.runs.get(id));
    let unrecorded = runs.into_iter().any(|run| !run.recorded);
    if unrecorded && in_phase_ms < RECORD_PATIENCE_MS {
        return None;
    }
    let Some(no) = SteadyCheck::first_no(&steady) else {
        return Some(advance(run, Advance::Close { steady }));
    };
    let is_settled = steady.iter().any(|check| check.name == "settled" && check.ok);
    let patience_ms = if is_settled { STEADY_AGAIN_MS } else { LONGEST_SETTLING_MS };
    if in_phase_ms > patience_ms {
        return Some(advance(run, Advance::Close { steady }));
    }
    waits(run, format!("{}: {}", no.name, no.reason))
}

/// A service that is to return, as soon as guards let it.
fn way_back(sight: &Sight<'_>, service: &ServiceState) -> Option<Command> {
    let wish = service.way_back.as_ref()?;
    let name = &service.spec.name;
    let busy = sight.state.open_run(name).is_some() || sight.state.open_drill_of(name).is_some();
    if busy || sight.state.is_paused(name) {
        return None;
    }
    if sight.state.is_at_home(service) {
        return Some(Command::ForgetReturn { service: name.clone() });
    }
    let request = crate::fleet::FailoverRequest {
        service: name.clone(),
        movement: Movement::Restore,
        from: None,
        to: sight.state.first_away(service).cloned(),
        mode: Some(crate::plan::Mode::Graceful),
        trigger: crate::fleet::Trigger::Operator,
        actor: crate::fleet::Actor::Daemon(sight.view.me.clone()),
        reason: Some(format!("return asked by {}: {}", wish.actor, wish.reason)),
        plan_hash: None,
        drill: None,
    };
    let decision = propose_failover(sight.now, sight.state, sight.matrix, sight.view, &request).ok()?;
    Some(Command::Decide(Box::new(decision)))
}

/// The next time at which a drill would start by itself.
#[must_use]
pub fn next_start(now: Timestamp, drill: &DrillState) -> Option<Timestamp> {
    let schedule = drill.spec.schedule.as_ref()?;
    let dealt_with = drill.handled.unwrap_or(drill.applied_at).max(drill.applied_at);
    let next = next_opening(dealt_with, schedule)?;
    // One that can still be used is the next; one that cannot is about to be reported.
    if next >= now || now <= latest_start(next, schedule, drill.spec.hold_ms) {
        return Some(next);
    }
    next_opening(now, schedule)
}
