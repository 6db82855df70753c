//! Guards that hold what people asked for: policy, pauses, cooldown, freezes.

use super::{Asked, Says, no, yes};
use crate::drill::{DrillVerdict, LicenceStanding, licence_of};
use crate::fleet::guard::Severity;
use crate::fleet::state::WHOLE_SHARE;
use crate::freeze::freeze_holds;
use crate::ids::Region;
use crate::plan::Movement;
use crate::service::Automation;

pub(super) fn no_open_run(asked: &Asked<'_>) -> Says {
    match asked.state.open_run(&asked.service.spec.name) {
        Some(run) if asked.is_signed && run.gives_way() => {
            yes(format!("run {} ({}) has not begun and gives way to those who signed", run.id, run.state.word()))
        }
        Some(run) => no(format!("run {} is open ({})", run.id, run.state.word())),
        None => yes("no other run is open"),
    }
}

pub(super) fn not_paused(asked: &Asked<'_>) -> Says {
    if asked.state.paused {
        return no("automatic action is paused for the whole fleet");
    }
    let stopped_half_way = asked.service.chosen != asked.service.primary;
    // A drill that gave way to this very breach stopped on the way there: going on is what an outage asks for.
    let gave_way = asked.plan.to == asked.service.chosen && was_overtaken(asked);
    if stopped_half_way && !gave_way && asked.state.open_run(&asked.service.spec.name).is_none() {
        return no("a run was stopped half-way: a person says first where the service shall be");
    }
    if asked.service.paused { no("automatic action is paused for this service") } else { yes("automatic action is on") }
}

fn was_overtaken(asked: &Asked<'_>) -> bool {
    let of_service = asked.state.drill_runs.values().filter(|run| run.spec.service == asked.service.spec.name);
    let newest = of_service.max_by_key(|run| run.opened_at);
    newest.is_some_and(|run| run.verdict == Some(DrillVerdict::Overtaken) && run.out.is_some())
}

/// Nothing to say where no limit is agreed on, and of a Region that only comes back.
pub(super) fn velocity(asked: &Asked<'_>) -> Option<Says> {
    if asked.plan.movement == Movement::Restore {
        return None;
    }
    Some(match asked.state.velocity(asked.now, asked.service, &asked.plan.from)? {
        Ok(reason) => yes(reason),
        Err(reason) => no(reason),
    })
}

pub(super) fn cooldown(asked: &Asked<'_>) -> Says {
    let cooldown_ms = asked.service.spec.policy.cooldown_ms;
    let Some(ended) = asked.service.last_run_at else { return yes("no run has ended yet") };
    // Nobody comes back by itself, so this cannot go round in circles.
    let from = &asked.plan.from;
    if asked.state.share(asked.service, from).is_some_and(|share| share < WHOLE_SHARE) {
        return yes(format!("{from} is still coming back: taking a wave back waits for nothing"));
    }
    let passed = asked.now.since(ended);
    if passed >= cooldown_ms {
        yes(format!("the last run ended {} s ago", passed / 1000))
    } else {
        no(format!("the last run ended {} s ago; {} s more", passed / 1000, (cooldown_ms - passed).div_ceil(1000)))
    }
}

pub(super) fn policy(asked: &Asked<'_>) -> Says {
    match asked.service.spec.policy.failover {
        Automation::Automatic => yes("the manifest says automatic"),
        Automation::Approval => no("the manifest says that a person approves"),
        Automation::Manual => no("the manifest says that only a person starts it"),
    }
}

pub(super) fn policy_severity(asked: &Asked<'_>) -> Severity {
    match asked.service.spec.policy.failover {
        Automation::Manual => Severity::Blocks,
        Automation::Automatic | Automation::Approval => Severity::NeedsApproval,
    }
}

pub(super) fn drill_licence(asked: &Asked<'_>) -> Says {
    match licence_of(asked.now, asked.service, &asked.plan.from, &asked.plan.to) {
        LicenceStanding::NotRequired => yes("no drill is required"),
        LicenceStanding::Held { drill, until } => yes(format!("drill {drill} was passed, which counts until {until}")),
        LicenceStanding::Lapsed { since: Some(since), why } => no(format!("{why}, so since {since} a person approves")),
        LicenceStanding::Lapsed { since: None, why } => no(why),
    }
}

pub(super) fn no_freeze(asked: &Asked<'_>) -> Says {
    match freeze_holds(asked.now, &asked.service.spec.policy.freeze) {
        Some(until) => no(format!("a freeze holds until {until}")),
        None => yes("no freeze holds"),
    }
}

pub(super) fn follows(asked: &Asked<'_>) -> Says {
    let Some(leader) = &asked.service.spec.follows else { return yes("follows no other service") };
    let Some(other) = asked.state.services.get(leader) else {
        return no(format!("{leader}, which it follows, is not applied"));
    };
    let serving = asked.state.serving(other);
    let has_moved = match asked.plan.movement {
        Movement::Failover | Movement::Restore => serving.contains(&&asked.plan.to),
        Movement::Evacuate => !serving.contains(&&asked.plan.from),
    };
    let serving = serving.into_iter().map(Region::as_str).collect::<Vec<_>>().join(", ");
    match has_moved {
        true => yes(format!("{leader} serves from {serving} already")),
        false => no(format!("{leader}, which it follows, still serves from {serving}")),
    }
}
