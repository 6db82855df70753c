//! A person at a keyboard: asks one of the daemons, who asks whoever leads.

use failoverd_domain::drill::RETURNS_TRIED;
use failoverd_domain::fleet::{
    Actor, Applied, Command, Entry, FailoverRequest, Run, RunState, StepState, Trigger, propose_failover,
};
use failoverd_domain::ids::{Region, ServiceName};
use failoverd_domain::plan::{Mode, Movement};
use failoverd_domain::service::{Pattern, ServiceSpec};

use super::faults::below;
use super::ground::Ground;
use super::manifest::{Shop, Spread, drills};
use super::whole::{EU_WEST, SERVICE, SimulatedFleet, US_EAST, region};
use crate::runtime::TaskKind;
use crate::sim::world::Draws;

fn alice() -> Actor {
    Actor::Operator("alice".to_owned())
}

impl SimulatedFleet {
    /// Types a command at the first daemon that has an answer, and waits for it.
    ///
    /// # Errors
    /// In the words of the fleet.
    pub async fn ask(&self, command: Command) -> Result<Applied, String> {
        let mut answer = Err("no daemon runs".to_owned());
        for daemon in self.daemons.values() {
            answer = daemon.typed(alice(), command.clone()).await;
            if let Ok(applied) = &answer {
                return match &applied.result {
                    Ok(_) => Ok(applied.clone()),
                    Err(rejection) => Err(rejection.to_string()),
                };
            }
        }
        answer
    }

    /// Sends an entry from one daemon to whoever leads, as a build would that may know more than this one.
    ///
    /// # Errors
    /// In the words of the fleet.
    pub async fn send_entry(&self, at: &Region, entry: Entry) -> Result<Applied, String> {
        let applied = self.daemons.get(at).ok_or("the daemon does not run")?.sent(entry).await?;
        applied.result.clone().map_err(|rejection| rejection.to_string())?;
        Ok(applied)
    }

    /// `failoverctl failover`: waits for the answer, not for the run.
    ///
    /// # Errors
    /// The guard or whatever else refuses it.
    pub async fn failover(&self, to: &Region, mode: Option<Mode>) -> Result<Applied, String> {
        let at = self.leader().ok_or("nobody leads")?;
        self.ask(self.failover_decision(&at, to, mode)?).await
    }
}

impl<G: Ground> SimulatedFleet<G> {
    /// Types a command at the first daemon that has an answer, and waits for it.
    ///
    /// # Errors
    /// In the words of the fleet.
    pub async fn say(&self, command: Command) -> Result<(), String> {
        let mut answer = Err("no daemon runs".to_owned());
        for (at, daemon) in &self.daemons {
            match self.ground.typed(at, daemon, alice(), command.clone()).await {
                Ok(heard) => return heard,
                Err(unheard) => answer = Err(unheard),
            }
        }
        answer
    }

    /// Types a command at one daemon without waiting for what comes of it.
    pub(super) fn type_at(&self, at: &Region, command: Command) {
        let Some(daemon) = self.daemons.get(at) else { return };
        self.judge.tell(format!("a person types at {at}: {}", brief(&command)));
        let typed = self.ground.typed(at, daemon, alice(), command);
        let judge = self.judge.clone();
        self.keyboard.spawn(TaskKind::Registrar, async move {
            if let Err(why) = typed.await.flatten() {
                judge.tell(format!("a person reads: {why}"));
            }
            std::future::pending().await
        });
    }

    /// Asks a daemon for a failover, as the API does.
    ///
    /// # Errors
    /// The guard or whatever else refuses it.
    pub fn failover_decision(&self, at: &Region, to: &Region, mode: Option<Mode>) -> Result<Command, String> {
        self.decision(at, SERVICE, Movement::Failover, to, mode)
    }

    /// Asks a daemon for a move of any kind; `region` is the one that is left by an evacuation, or gone to.
    ///
    /// # Errors
    /// The guard or whatever else refuses it.
    pub fn decision(
        &self,
        at: &Region,
        service: &str,
        movement: Movement,
        region: &Region,
        mode: Option<Mode>,
    ) -> Result<Command, String> {
        let (now, matrix, view) = self.sight_at(at).ok_or("the daemon does not run")?;
        let state = self.state_at(at).ok_or("the daemon does not run")?;
        let is_left = movement == Movement::Evacuate;
        let request = FailoverRequest {
            service: service.into(),
            movement,
            from: is_left.then(|| region.clone()),
            to: (!is_left).then(|| region.clone()),
            mode,
            trigger: Trigger::Operator,
            actor: alice(),
            reason: Some("because".to_owned()),
            plan_hash: None,
            drill: None,
        };
        let decision = propose_failover(now, &state, &matrix, &view, &request);
        decision.map(|decision| Command::Decide(Box::new(decision))).map_err(|rejection| {
            self.judge.tally(|tally| tally.figures.refusal(&request.actor, &rejection));
            rejection.to_string()
        })
    }

    /// `failoverctl apply`.
    pub async fn apply_manifest(&mut self) {
        let command = self.manifest();
        for _ in 0..120 {
            if self.say(command.clone()).await.is_ok() {
                return;
            }
            self.step().await;
        }
        self.judge.blame("the manifest could not be applied");
    }

    fn manifest(&self) -> Command {
        let specs: Vec<ServiceSpec> = self.shop.specs(&self.around.members);
        let bits = specs.iter().flat_map(|spec| {
            let count = if spec.pattern == Pattern::ActiveActive { spec.regions.len() } else { 1 };
            spec.regions.iter().take(count).map(|region| (spec.switch_group(), region.clone()))
        });
        let tokens = bits.map(|(group, region)| (group.clone(), region.clone(), format!("{group}-{region}"))).collect();
        Command::Apply { specs, drills: drills(), prune: false, tokens }
    }

    /// Anything a person could type, at any daemon.
    pub(super) fn type_something(&mut self, draws: &mut Draws) {
        let running = self.running();
        if running.is_empty() {
            return;
        }
        let at = running[below(draws, running.len())].clone();
        if self.shop.spread.is_some() && below(draws, 2) == 0 {
            return self.type_of_spread(&at, draws);
        }
        let service = Some(ServiceName::from(SERVICE));
        let to = region([US_EAST, EU_WEST][below(draws, 2)]);
        let mode = [None, None, Some(Mode::Graceful), Some(Mode::Forced)][below(draws, 4)];
        let open = self.state_at(&at).and_then(|state| state.open_run(&SERVICE.into()).cloned());
        let drilled =
            self.state_at(&at).and_then(|state| state.open_drill_of(&SERVICE.into()).map(|run| run.id.clone()));
        let command = match (below(draws, 15), &open) {
            (0..=3, _) => self.failover_decision(&at, &to, mode).ok(),
            (4, Some(run)) => Some(Command::Abort { run: run.id.clone(), reason: "changed my mind".to_owned() }),
            (5..=6, Some(run)) => remedy(run, draws),
            (7, _) => Some(Command::Pause { service: service.filter(|_| below(draws, 2) == 0) }),
            (8..=9, _) => Some(Command::Resume { service: service.filter(|_| below(draws, 2) == 0) }),
            (10, _) => {
                let drawn = Shop::drawn(draws);
                // Stores and records are for life here; policies are not.
                let policies = |kept: &Spread| Spread {
                    routing: kept.routing,
                    database: kept.database,
                    ..drawn.spread.clone().unwrap_or(kept.clone())
                };
                let spread = self.shop.spread.as_ref().map(policies);
                let Shop { fence, more_stores, instance, switch, .. } = self.shop;
                let velocity = self.shop.velocity.take();
                self.shop = Shop { fence, more_stores, instance, switch, spread, velocity, ..drawn };
                Some(self.manifest())
            }
            (11, _) => Some(switch_to(&to)),
            (12..=13, _) => {
                let drills = drills();
                let name = drills[below(draws, drills.len())].name.clone();
                Some(Command::OpenDrill { drill: name, scheduled_for: None })
            }
            (14, _) => drilled.map(|run| Command::CancelDrill { run, reason: "enough".to_owned() }),
            _ => None,
        };
        if let Some(command) = command {
            self.type_at(&at, command);
        }
    }

    /// What a person does once the dust has settled: answers what the fleet asks, and finishes by hand what was left.
    pub(super) fn tidy_up(&self, draws: &mut Draws) {
        let Some(at) = self.leader() else { return };
        let state = self.state();
        if state.paused {
            self.type_at(&at, Command::Resume { service: None });
        }
        let Some(service) = state.services.get(&ServiceName::from(SERVICE)) else { return };
        if service.paused {
            self.type_at(&at, Command::Resume { service: Some(SERVICE.into()) });
        }
        match state.open_run(&SERVICE.into()) {
            Some(run) => {
                if let Some(command) = remedy(run, draws) {
                    self.type_at(&at, command);
                }
            }
            // A drill brings it back by itself; where it could not, a person says that what failed is mended.
            None if state.open_drill_of(&SERVICE.into()).is_some_and(|run| run.failed_returns < RETURNS_TRIED) => {
                self.mend_instances(&state, service);
            }
            None => {
                let writer = self.writer();
                if let Some(writer) = writer.filter(|writer| *writer != service.primary || service.attention.is_some())
                {
                    self.type_at(&at, switch_to(&writer));
                } else {
                    self.mend_instances(&state, service);
                }
            }
        }
        self.tidy_spread(&at, draws);
    }
}

/// `failoverctl switch set checkout REGION on`.
pub(super) fn switch_to(target: &Region) -> Command {
    Command::SetSwitch { group: SERVICE.into(), region: target.clone(), on: true, run: None }
}

/// What a person may answer to a run that asks.
pub(super) fn remedy(run: &Run, draws: &mut Draws) -> Option<Command> {
    let id = run.id.clone();
    let abort = Command::Abort { run: id.clone(), reason: "not now".to_owned() };
    let failed = run.steps.iter().find(|(_, progress)| progress.state == StepState::Failed && !progress.retryable);
    match (run.state, failed) {
        (RunState::AwaitingApproval, _) if below(draws, 3) > 0 => Some(Command::Approve { run: id }),
        (RunState::Paused, Some((step, _))) if below(draws, 2) == 0 => {
            Some(Command::Retry { run: id, step: step.clone() })
        }
        (RunState::Paused, None) if below(draws, 2) == 0 => Some(Command::Approve { run: id }),
        (RunState::AwaitingApproval | RunState::Paused, _) => Some(abort),
        _ => None,
    }
}

fn brief(command: &Command) -> String {
    match command {
        Command::Decide(decision) => {
            format!("{} failover from {} to {}", decision.plan.mode, decision.plan.from, decision.plan.to)
        }
        Command::Apply { .. } => "apply".to_owned(),
        other => format!("{other:?}"),
    }
}
