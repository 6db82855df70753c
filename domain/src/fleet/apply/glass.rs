//! Signed requests, judged by everybody who applies them: by keys that are agreed on, against the state as it is.

use super::{Context, Outcome, Rejection};
use crate::fleet::command::{Actor, Command, Decision, Entry};
use crate::fleet::run::{RunState, Trigger};
use crate::fleet::state::{BrokenGlass, FleetState};
use crate::glass::{Enrolment, Glass, GlassRequest, MOST_VALID_MS, Refused};
use crate::ids::RunId;
use crate::plan::{Movement, Plan};
use crate::time::Timestamp;

/// Nothing but one signed move is anybody's who broke the glass.
pub(super) fn signed_alone(entry: &Entry) -> Result<(), Rejection> {
    let signed = match &entry.command {
        Command::Decide(decision) => decision.glass.is_some(),
        _ => false,
    };
    match (&entry.actor, signed) {
        (Actor::BreakGlass(_), true) | (Actor::Operator(_) | Actor::Daemon(_), false) => Ok(()),
        _ => Err(Rejection::new("NOT_SIGNED", "signatures are for one forced move, and for nothing else")),
    }
}

impl FleetState {
    /// Who signed, as the record calls them, if a request opens the glass here and now.
    ///
    /// # Errors
    /// [`Refused`], with the cheapest reason first.
    pub fn opens(&self, now: Timestamp, glass: &Glass) -> Result<String, Refused> {
        let request = &glass.request;
        request.check()?;
        let enrolment = self.enrolment().ok_or(Refused::NotEnrolled)?;
        self.is_current(now, request)?;
        glass.names(enrolment)
    }

    /// Whose signatures count.
    #[must_use]
    pub fn enrolment(&self) -> Option<&Enrolment> {
        self.settings.break_glass.as_ref()
    }

    fn is_current(&self, now: Timestamp, request: &GlassRequest) -> Result<(), Refused> {
        if request.fleet != self.fleet || request.generation != self.generation {
            return Err(Refused::OtherFleet(format!("{} in generation {}", request.fleet, request.generation)));
        }
        if now > request.expires_at {
            return Err(Refused::Expired(request.expires_at));
        }
        if request.expires_at > now.plus_ms(MOST_VALID_MS) {
            return Err(Refused::TooLong(request.expires_at));
        }
        if self.broken_glass.contains_key(&request.nonce) {
            return Err(Refused::Used);
        }
        match self.services.get(&request.service) {
            Some(service) if service.epoch != request.epoch => {
                Err(Refused::OtherEpoch { service: request.service.clone(), signed: request.epoch, now: service.epoch })
            }
            _ => Ok(()),
        }
    }

    /// Whether a decision is what was signed, by those who signed it.
    pub(super) fn is_what_was_signed(&self, context: &Context<'_>, decision: &Decision) -> Result<(), Rejection> {
        let (Actor::BreakGlass(names), Some(glass)) = (&context.entry.actor, &decision.glass) else { return Ok(()) };
        let signers = self.opens(context.entry.at, glass).map_err(Rejection::from)?;
        let fits = is_plan_of(&glass.request, &decision.plan) && decision.trigger == Trigger::Operator;
        if signers != *names || !fits || decision.needs_approval || decision.announce_until.is_some() {
            return Err(Refused::OtherPlan.into());
        }
        Ok(())
    }

    /// The request is used up, and a run that has not begun gives way: nobody could have approved or stopped it.
    pub(super) fn break_glass(&mut self, context: &mut Context<'_>, decision: &Decision, opens: &RunId) -> Outcome {
        let (Some(glass), at) = (&decision.glass, context.entry.at) else { return Ok(None) };
        let used = BrokenGlass { expires_at: glass.request.expires_at, run: opens.clone() };
        self.broken_glass.retain(|_, used| used.expires_at >= at);
        self.broken_glass.insert(glass.request.nonce.clone(), used);
        let open: Option<RunId> = self.open_run(&decision.plan.service).map(|run| run.id.clone());
        if let Some(id) = open {
            let why = format!("gives way to {}, who broke the glass", context.entry.actor);
            self.close(context, &id, RunState::Aborted, why)?;
        }
        Ok(None)
    }
}

fn is_plan_of(request: &GlassRequest, plan: &Plan) -> bool {
    (&plan.service, &plan.from, &plan.to, plan.mode) == (&request.service, &request.from, &request.to, request.mode)
        && plan.movement != Movement::Restore
}

impl From<Refused> for Rejection {
    fn from(refused: Refused) -> Self {
        Self::new("BREAK_GLASS_REFUSED", refused.to_string())
    }
}
