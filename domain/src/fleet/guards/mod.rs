//! Every guard as a function: asked of the agreed state and the readings, answered with a reason either way.

mod safety;
mod wishes;

use super::guard::{Guard, GuardVerdict, Severity};
use super::run::Trigger;
use super::state::{FleetState, ServiceState};
use crate::data::loss::Loss;
use crate::health::{Finding, Matrix, View};
use crate::plan::{Mode, Movement, Plan};
use crate::time::Timestamp;

/// What guards are asked about.
pub(super) struct Asked<'a> {
    pub(super) now: Timestamp,
    pub(super) state: &'a FleetState,
    pub(super) matrix: &'a Matrix,
    pub(super) view: &'a View,
    pub(super) service: &'a ServiceState,
    pub(super) plan: &'a Plan,
    /// What is seen in the Region that serves.
    pub(super) from: &'a Finding,
    /// What is seen in the Region that would.
    pub(super) to: &'a Finding,
    pub(super) loss: &'a [Loss],
    pub(super) trigger: Trigger,
    /// People signed for it because nobody could sign in.
    pub(super) is_signed: bool,
}

impl Asked<'_> {
    /// Nobody asked for it: a breach did, or a drill that shows one.
    fn is_automatic(&self) -> bool {
        self.trigger == Trigger::Automatic || self.is_rehearsal()
    }

    /// A drill shows the fleet a lost Region. What it asks for is graceful, as the Region lives; what is asked of
    /// guards is what an outage would ask.
    fn is_rehearsal(&self) -> bool {
        self.trigger == Trigger::Drill && self.view.rehearses.is_some()
    }

    fn is_forced(&self) -> bool {
        self.plan.mode == Mode::Forced
    }

    /// Blocks an automatic run, informs a person.
    fn blocks_alone(&self) -> Severity {
        if self.is_automatic() { Severity::Blocks } else { Severity::Informs }
    }

    /// Asks a person before a run that a breach opens; drills and people are told.
    fn asks_a_breach(&self) -> Severity {
        if self.trigger == Trigger::Automatic { Severity::NeedsApproval } else { Severity::Informs }
    }

    /// Asks a person before an automatic run, informs one who asked.
    fn asks_alone(&self) -> Severity {
        if self.is_automatic() { Severity::NeedsApproval } else { Severity::Informs }
    }
}

/// What one guard says.
struct Says {
    ok: bool,
    reason: String,
}

fn yes(reason: impl Into<String>) -> Says {
    Says { ok: true, reason: reason.into() }
}

fn no(reason: impl Into<String>) -> Says {
    Says { ok: false, reason: reason.into() }
}

/// Asks every guard that applies, in the order in which a person would.
pub(super) fn ask_guards(asked: &Asked<'_>) -> Vec<GuardVerdict> {
    let blocks = Severity::Blocks;
    let standby = if asked.is_automatic() || !asked.is_forced() { blocks } else { Severity::Informs };
    let mut verdicts = Vec::new();
    let mut add = |guard, severity, says: Says| {
        verdicts.push(GuardVerdict { guard, ok: says.ok, reason: says.reason, severity });
    };
    add(Guard::PlanSound, blocks, safety::plan_sound(asked));
    add(Guard::NoOpenRun, blocks, wishes::no_open_run(asked));
    add(Guard::Quorum, blocks, safety::quorum(asked));
    if asked.plan.movement != Movement::Restore {
        add(Guard::BreachProven, asked.blocks_alone(), safety::breach_proven(asked));
    }
    if (asked.is_forced() || asked.is_rehearsal()) && asked.plan.movement != Movement::Restore {
        add(Guard::Route53Agrees, asked.blocks_alone(), safety::route53_agrees(asked));
    }
    add(Guard::StandbyReady, standby, safety::standby_ready(asked));
    // Forced, a Region comes back at once; gracefully in waves, which its records must be ready for.
    let waves = asked.plan.movement == Movement::Restore && !asked.is_forced();
    let traffic = if waves { blocks } else { asked.blocks_alone() };
    add(Guard::TrafficReady, traffic, safety::traffic_ready(asked));
    if asked.is_forced() {
        add(Guard::RpoBudget, asked.asks_alone(), safety::rpo_budget(asked));
        add(Guard::WriterFenced, asked.asks_alone(), safety::writer_fenced(asked));
    } else {
        if asked.is_rehearsal() {
            add(Guard::RpoBudget, asked.asks_alone(), safety::rpo_budget(asked));
        }
        add(Guard::NoFreeze, blocks, wishes::no_freeze(asked));
    }
    add(Guard::Follows, asked.blocks_alone(), wishes::follows(asked));
    if let Some(says) = wishes::velocity(asked) {
        add(Guard::Velocity, asked.asks_a_breach(), says);
    }
    if !asked.is_automatic() && asked.state.is_paused(&asked.service.spec.name) {
        add(Guard::NotPaused, Severity::Informs, wishes::not_paused(asked));
    }
    if asked.is_automatic() {
        add(Guard::NotPaused, blocks, wishes::not_paused(asked));
        // A drill is what gives the licence, and practice waits for no cooldown.
        if !asked.is_rehearsal() {
            add(Guard::Cooldown, blocks, wishes::cooldown(asked));
        }
        add(Guard::Policy, wishes::policy_severity(asked), wishes::policy(asked));
        if !asked.is_rehearsal() {
            add(Guard::DrillLicence, Severity::NeedsApproval, wishes::drill_licence(asked));
        }
    }
    verdicts
}
