//! The controller: what the leader should propose now.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::command::{Actor, Command};
use super::failover::{FailoverRequest, outlook, propose_failover, still_holds};
use super::formats;
use super::guard::{Guard, GuardVerdict, Severity};
use super::run::{Run, RunState, Trigger};
use super::settings;
use super::state::{FleetState, ServiceState};
use crate::data::loss::Loss;
use crate::drill::{Sight, tick_drills};
use crate::freeze::freeze_holds;
use crate::health::{Diagnosis, Matrix, Status, View, diagnose};
use crate::ids::{Region, ServiceName};
use crate::plan::{Mode, Movement, Plan};
use crate::sabotage::{self, Sabotage};
use crate::service::{Automation, Pattern};
use crate::time::Timestamp;
use crate::traffic::next_share;

/// Decisions of one tick. They are committed one after the other, and the last of them must not rest on evidence that
/// has grown old meanwhile: the next tick looks again and goes on.
const MOST_DECISIONS: usize = 32;

/// A command that the leader should propose.
pub type Proposal = Command;

/// What to propose now, given what is agreed and what is seen. Pure; the caller is the leader.
#[must_use]
pub fn tick(now: Timestamp, state: &FleetState, matrix: &Matrix, view: &View) -> Vec<Proposal> {
    let mut proposals: Vec<Proposal> =
        state.runs.values().filter_map(|run| tend(now, state, matrix, view, run)).collect();
    let busy: BTreeSet<&ServiceName> =
        state.runs.values().filter(|run| !run.state.is_closed()).map(|run| &run.service).collect();
    let idle = state.services.values().filter(|service| !busy.contains(&service.spec.name));
    let decisions = idle.clone().filter_map(|service| react(now, state, matrix, view, service));
    proposals.extend(decisions.take(MOST_DECISIONS));
    proposals.extend(formats::raise(state, matrix));
    proposals.extend(settings::agree(state, matrix));
    proposals.extend(tick_drills(&Sight { now, state, matrix, view }));
    proposals.extend(idle.filter_map(|service| widen(now, state, matrix, view, service)));
    proposals
}

/// The next wave of a Region that comes back: the one before is settled, was watched for as long as the manifest says, and
/// the Region is healthy. One that is not waits, and a breach evacuates it again.
fn widen(now: Timestamp, state: &FleetState, matrix: &Matrix, view: &View, service: &ServiceState) -> Option<Proposal> {
    let (region, share) = state.returning(service).filter(|_| state.moves_with(&service.spec).is_none())?;
    let name = &service.spec.name;
    let is_frozen = freeze_holds(now, &service.spec.policy.freeze).is_some();
    if !state.are_settled(service) || service.attention.is_some() || state.is_paused(name) || is_frozen {
        return None;
    }
    let settled = state.moved_together(service).into_iter().filter_map(|one| one.settlement.settled_at).max();
    let watched_ms = now.since(settled?);
    let found = diagnose(now, view, &service.spec, region, matrix);
    if watched_ms < service.spec.policy.restore_pause_ms || found.diagnosis != Diagnosis::Healthy {
        return None;
    }
    let share = next_share(&service.spec, region, share);
    Some(Command::Widen { service: name.clone(), region: region.clone(), epoch: service.epoch, share })
}

/// What an open run needs: its start when the announcement is over, its end when its reason is gone.
fn tend(now: Timestamp, state: &FleetState, matrix: &Matrix, view: &View, run: &Run) -> Option<Proposal> {
    let abort = |reason: String| Some(Command::Abort { run: run.id.clone(), reason });
    match run.state {
        RunState::Announced => {
            // Its announcement would last until then.
            if run.decided_at.is_ahead_of(now) {
                return abort(format!(
                    "it was decided at {} by a clock that is wrong: it is {now} by this daemon's",
                    run.decided_at
                ));
            }
            if run.trigger == Trigger::Automatic
                && let Err(no) = still_holds(now, state, matrix, view, &run.service, &run.plan)
            {
                return abort(format!("guard {} says no by now: {}", no.guard.word(), no.reason));
            }
            if let Some(why) = too_fast(now, state, run) {
                return abort(format!("guard velocity says no by now: {why}"));
            }
            if now > run.valid_until && !sabotage::is(Sabotage::ResumeStale) {
                return abort("its evidence is too old to start on".to_owned());
            }
            let is_held = run.trigger == Trigger::Drill && state.is_paused(&run.service);
            let over = run.announce_until.is_none_or(|until| now >= until);
            (over && !is_held).then(|| Command::Start { run: run.id.clone() })
        }
        RunState::AwaitingApproval if now > run.valid_until => abort("nobody approved in time".to_owned()),
        RunState::AwaitingApproval if run.trigger == Trigger::Automatic => {
            came_back(now, state, matrix, view, run).and_then(abort)
        }
        _ => None,
    }
}

/// Why a person must be asked first, by now: something else has moved while it was announced.
fn too_fast(now: Timestamp, state: &FleetState, run: &Run) -> Option<String> {
    let service = state.services.get(&run.service).filter(|_| run.trigger == Trigger::Automatic)?;
    state.velocity(now, service, &run.plan.from)?.err()
}

/// Why nobody needs to be asked any more. Only a service that is seen healthy takes the question back: one that
/// cannot be told is what a person is asked about.
fn came_back(now: Timestamp, state: &FleetState, matrix: &Matrix, view: &View, run: &Run) -> Option<String> {
    if sabotage::is(Sabotage::ResumeStale) {
        return None;
    }
    let spec = &state.services.get(&run.service)?.spec;
    let found = diagnose(now, view, spec, &run.plan.from, matrix);
    matches!(found.diagnosis, Diagnosis::Healthy | Diagnosis::ControlPlaneOnly)
        .then(|| format!("{} is {} again: {}", run.plan.from, found.diagnosis.word(), found.because))
}

/// Whether a guard that costs nothing to ask says no anyway: with a thousand services down, planning each of them in
/// every tick only to be refused would cost more than the tick has. Never says no where the guards would say yes.
///
/// The dearest of them, what Route 53's checkers say of a Region, is asked of each Region that is broken.
fn is_hopeless(state: &FleetState, service: &ServiceState) -> bool {
    state.is_paused(&service.spec.name)
        || state.place_is_known(&service.spec).is_err()
        || !service.settlement.carries_traffic
}

/// Opens a run for a service of which a Region that serves is broken, where guards let it.
fn react(now: Timestamp, state: &FleetState, matrix: &Matrix, view: &View, service: &ServiceState) -> Option<Proposal> {
    let spec = &service.spec;
    let is_moved = state.moves_with(spec).is_some();
    if is_moved || spec.policy.failover == Automation::Manual || is_hopeless(state, service) {
        return None;
    }
    let broken = state.serving(service).into_iter().filter(|region| {
        diagnose(now, view, spec, region, matrix).diagnosis.is_breach()
            && matrix.route53_says(now, view, &spec.name, region) == Status::Bad
    });
    let mut decisions = broken.filter_map(|region| {
        let request = automatic(&view.me, service, region);
        propose_failover(now, state, matrix, view, &request).ok()
    });
    decisions.next().map(|decision| Command::Decide(Box::new(decision)))
}

fn automatic(me: &Region, service: &ServiceState, leaves: &Region) -> FailoverRequest {
    FailoverRequest {
        service: service.spec.name.clone(),
        movement: match service.spec.pattern {
            Pattern::ActivePassive => Movement::Failover,
            Pattern::ActiveActive => Movement::Evacuate,
        },
        from: Some(leaves.clone()),
        to: None,
        mode: Some(Mode::Forced),
        trigger: Trigger::Automatic,
        actor: Actor::Daemon(me.clone()),
        reason: None,
        plan_hash: None,
        drill: None,
    }
}

/// What would happen to one service if a Region vanished now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// Service.
    pub service: ServiceName,
    /// In a word.
    pub outcome: ForecastOutcome,
    /// Why, in a sentence.
    pub reason: String,
    /// The most that each store would lose, where a move can be planned.
    pub loss: Vec<Loss>,
    /// How it would move, by itself or by a person, where that can be planned.
    pub plan: Option<Plan>,
}

/// What would happen, in a word; the better goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForecastOutcome {
    /// It would move by itself.
    FailsOver,
    /// It would ask a person.
    AsksForApproval,
    /// It would do nothing by itself; a person could move it.
    NeedsPerson,
    /// It would stay down, whoever asks.
    StaysDown,
    /// It does not serve from there.
    Unaffected,
}

impl ForecastOutcome {
    /// The word users see.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::FailsOver => "fails-over",
            Self::AsksForApproval => "asks-for-approval",
            Self::NeedsPerson => "needs-person",
            Self::StaysDown => "stays-down",
            Self::Unaffected => "unaffected",
        }
    }
}

impl Forecast {
    /// The share of those services that serve from a Region which would get over its end by themselves; 1 where none does.
    #[must_use]
    pub fn survivable(forecasts: &[Self]) -> f64 {
        let hit: Vec<&Self> = forecasts.iter().filter(|it| it.outcome != ForecastOutcome::Unaffected).collect();
        let well = hit.iter().filter(|it| it.outcome == ForecastOutcome::FailsOver).count();
        #[expect(clippy::cast_precision_loss, reason = "a share of some services")]
        let share = if hit.is_empty() { 1.0 } else { well as f64 / hit.len() as f64 };
        share
    }
}

/// What would happen to every service if `region` vanished now: the guards as they stand, less those that the
/// vanishing itself would turn.
#[must_use]
pub fn what_if_region_vanishes(
    now: Timestamp,
    state: &FleetState,
    matrix: &Matrix,
    view: &View,
    region: &Region,
) -> Vec<Forecast> {
    state.services.values().map(|service| forecast(now, state, matrix, view, service, region)).collect()
}

fn forecast(
    now: Timestamp,
    state: &FleetState,
    matrix: &Matrix,
    view: &View,
    service: &ServiceState,
    region: &Region,
) -> Forecast {
    let says = |outcome, reason: String| Forecast {
        service: service.spec.name.clone(),
        outcome,
        reason,
        loss: Vec::new(),
        plan: None,
    };
    let serving = state.serving(service);
    if !serving.contains(&region) {
        let serving: Vec<&str> = serving.into_iter().map(Region::as_str).collect();
        return says(ForecastOutcome::Unaffected, format!("serves from {}", serving.join(", ")));
    }
    if let Some(lead) = state.moves_with(&service.spec).and_then(|lead| state.services.get(lead)) {
        let with = forecast(now, state, matrix, view, lead, region);
        return says(with.outcome, format!("moves with {}: {}", lead.spec.name, with.reason));
    }
    let left = view.members.iter().filter(|member| *member != region);
    let fresh = left.filter(|member| matrix.fresh(now, member, view.stale_after_ms).is_some()).count();
    if fresh < view.majority() {
        let reason = format!("only {fresh} daemons would be left; {} are needed", view.majority());
        return says(ForecastOutcome::StaysDown, reason);
    }
    let seen = match outlook(now, state, matrix, view, &automatic(&view.me, service, region)) {
        Ok(seen) => seen,
        Err(rejection) => return says(ForecastOutcome::StaysDown, rejection.reason),
    };
    // The end of the Region would turn these; one who follows a service that is hit too moves after it.
    let leader = service.spec.follows.as_ref().and_then(|name| state.services.get(name));
    let leader = leader.filter(|leader| state.serving(leader).contains(&region));
    let turned = |guard: Guard| {
        [Guard::Quorum, Guard::BreachProven, Guard::Route53Agrees].contains(&guard)
            || guard == Guard::Follows && leader.is_some()
    };
    let noes: Vec<_> = seen.guards.iter().filter(|verdict| !verdict.ok && !turned(verdict.guard)).collect();
    let hard = noes.iter().find(|no| no.severity == Severity::Blocks && !is_a_wish(no.guard));
    let wish = noes.iter().find(|no| no.severity == Severity::Blocks);
    let doubt = noes.iter().find(|no| no.severity == Severity::NeedsApproval);
    let because = |no: &GuardVerdict| format!("{}: {}", no.guard.word(), no.reason);
    let said = match (hard, wish, doubt) {
        (Some(no), ..) => says(ForecastOutcome::StaysDown, because(no)),
        (None, Some(no), _) => says(ForecastOutcome::NeedsPerson, because(no)),
        (None, None, Some(no)) => says(ForecastOutcome::AsksForApproval, because(no)),
        (None, None, None) => says(ForecastOutcome::FailsOver, "every guard would say yes".to_owned()),
    };
    let said = match leader.map(|leader| forecast(now, state, matrix, view, leader, region)) {
        Some(first) if first.outcome > said.outcome => {
            let reason = format!("{}, which it follows, {}: {}", first.service, first.outcome.word(), first.reason);
            says(first.outcome, reason)
        }
        _ => said,
    };
    Forecast { loss: seen.loss, plan: Some(seen.plan), ..said }
}

/// Guards that hold what people asked for: a person may decide otherwise.
const fn is_a_wish(guard: Guard) -> bool {
    matches!(guard, Guard::NotPaused | Guard::Cooldown | Guard::Policy | Guard::DrillLicence)
}
