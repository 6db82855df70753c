//! The copy comes to rest, loses its Region, and is watched.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use failoverd_domain::fleet::{
    Actor, Command, FailoverRequest, FleetState, GuardVerdict, Role, Run, RunState, ServicePhase, ServiceState,
    Trigger, outlook, propose_failover,
};
use failoverd_domain::health::diagnose;
use failoverd_domain::ids::{FleetId, Region, ServiceName};
use failoverd_domain::plan::{Mode, Movement};
use failoverd_domain::route53::Protocol;
use failoverd_domain::service::{Automation, Pattern, ServiceSpec, Store, StoreKind, SwitchTransport};
use failoverd_domain::time::Timestamp;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::copied::Copied;
use super::outcome::{Ended, failed};
use crate::ports::{Clock, Rehearsed};
use crate::runtime::{Supervisor, TaskKind};
use crate::sim::bus::Bus;
use crate::sim::fleet::checkers::{Doors, switch_endpoint};
use crate::sim::fleet::daemon::{Daemon, Home, MachineClock, Surroundings};
use crate::sim::fleet::effects::EffectExam;
use crate::sim::fleet::ground::Ground;
use crate::sim::fleet::judge::Judge;
use crate::sim::fleet::proof::ProofExam;
use crate::sim::history::MemoryHistory;
use crate::sim::tripwire::Tripwire;
use crate::sim::world::{Fetch, SimulatedAws, StoreId, Timing, TokioClock, run_checkers};

/// Between two looks.
const STEP: Duration = Duration::from_millis(250);
/// How long a manifest may take to be accepted, and after that the service to become steady.
const SETTLING: Duration = Duration::from_secs(30 * 60);
/// How long a Region may be lost beside twice the RTO, milliseconds.
const PATIENCE_MS: u64 = 10 * 60_000;
/// How long what is bad now is seen before the Region is lost, beside what the manifest asks for, milliseconds.
const SEEN_MS: u64 = 60_000;
/// Between two tries of the simulated person.
const PERSON: Duration = Duration::from_secs(5);
/// There and back between two daemons of different Regions.
const LATENCY: Duration = Duration::from_millis(30);

/// The copy, running.
pub(super) struct Stage<'a> {
    pub(super) copied: Copied,
    pub(super) aws: SimulatedAws,
    pub(super) judge: Judge,
    around: Surroundings,
    bus: Bus,
    homes: BTreeMap<Region, Home>,
    daemons: BTreeMap<Region, Daemon>,
    doors: Doors,
    checkers: Supervisor,
    effects: EffectExam,
    proof: ProofExam,
    stop: &'a CancellationToken,
}

impl<'a> Stage<'a> {
    /// From the manifest to the end.
    pub(super) async fn play(copied: Copied, stop: &'a CancellationToken) -> Rehearsed {
        let mut stage = Self::set(copied, stop);
        let played = stage.acts().await;
        stage.checkers.kill();
        match played {
            Ok(ended) => ended.rehearsed(&stage),
            Err(reason) => failed(reason, stage.copied.told),
        }
    }

    async fn acts(&mut self) -> Result<Ended, String> {
        for region in self.copied.members.keys().cloned().collect::<Vec<_>>() {
            let daemon = self.bus.start(&self.homes[&region], &self.around).await?;
            self.doors.open(&region, daemon.door());
            self.daemons.insert(region, daemon);
        }
        self.apply().await?;
        self.wait(SETTLING, Self::is_steady).await?.then_some(()).ok_or_else(|| self.why_unsteady())?;
        self.inflict_what_is_seen().await?;
        let lost_at = self.now();
        self.lose().await;
        let run = self.watch().await?;
        Ok(Ended { lost_at, run, guards: self.guards() })
    }

    fn set(copied: Copied, stop: &'a CancellationToken) -> Self {
        let clock = TokioClock::starting_at(copied.now);
        let aws = SimulatedAws::new(Arc::new(clock.clone()), copied.seed, Timing::default());
        aws.provision(&copied.spec);
        for (region, store, lag_ms) in &copied.lags {
            let store = copied.spec.store(store).and_then(|store| store_id(store, region));
            store.iter().for_each(|store| aws.set_lag(store, region, *lag_ms));
        }
        for region in &copied.spec.regions {
            for signal in &copied.spec.health.signals {
                if let failoverd_domain::service::ProbeSpec::CloudwatchAlarm { .. } = signal.probe {
                    aws.set_alarm(region, &signal.probe.target_in(region), Some(false));
                }
            }
        }
        let bus = Bus::new(copied.seed);
        bus.set_latency(LATENCY, LATENCY);
        let judge = Judge::new();
        let fleet = FleetId::from("rehearsal");
        let home = |(region, role): (&Region, &Role)| {
            let history = (*role == Role::Member).then(|| Arc::new(MemoryHistory::new(fleet.clone())));
            let build = Default::default();
            (
                region.clone(),
                Home {
                    region: region.clone(),
                    disk: Default::default(),
                    history,
                    machine: MachineClock::new(Arc::new(clock.clone())),
                    join: None,
                    build,
                    luck: 0,
                },
            )
        };
        let homes = copied.members.iter().map(home).collect();
        let around = Surroundings {
            fleet: fleet.clone(),
            members: copied.members.clone(),
            aws: aws.clone(),
            judge: judge.clone(),
            tripwire: Tripwire::default(),
            timing: copied.timing.clone(),
            settings: Default::default(),
        };
        let doors = Doors::default();
        let checkers = Supervisor::new();
        let reached = Reached {
            aws: aws.clone(),
            doors: doors.clone(),
            members: copied.members.keys().cloned().collect(),
            spec: copied.spec.clone(),
        };
        let polling = run_checkers(aws.clone(), Arc::new(reached), Duration::from_millis(500));
        checkers.spawn(TaskKind::Observer, polling);
        Self {
            copied,
            aws,
            judge,
            around,
            bus,
            homes,
            daemons: BTreeMap::new(),
            doors,
            checkers,
            effects: EffectExam::default(),
            proof: ProofExam::default(),
            stop,
        }
    }

    fn now(&self) -> Timestamp {
        self.homes.values().next().map_or(self.copied.now, |home| home.machine.now())
    }

    pub(super) fn name(&self) -> &ServiceName {
        &self.copied.spec.name
    }

    pub(super) fn state(&self) -> Arc<FleetState> {
        self.judge.newest()
    }

    fn service(&self) -> Option<ServiceState> {
        self.state().services.get(self.name()).cloned()
    }

    fn is_steady(&self) -> bool {
        let state = self.state();
        state.services.get(self.name()).is_some_and(|service| state.phase(service) == ServicePhase::Steady)
    }

    fn why_unsteady(&self) -> String {
        let why = self.leader().and_then(|daemon| daemon.unsettled(self.name()));
        let why = why.unwrap_or_else(|| "nobody says why".to_owned());
        format!("the simulated copy of {} did not become steady: {why}", self.name())
    }

    fn leader(&self) -> Option<&Daemon> {
        let leading = self.daemons.values().filter(|daemon| daemon.leadership().is_me);
        leading.max_by_key(|daemon| daemon.leadership().term)
    }

    async fn step(&mut self) -> Result<(), String> {
        sleep(STEP).await;
        if self.stop.is_cancelled() {
            return Err("the simulation took too long".to_owned());
        }
        let name = self.name().clone();
        self.proof.look(&name, &self.judge, &self.aws);
        self.effects.look(&self.judge, &self.aws);
        Ok(())
    }

    async fn wait(&mut self, patience: Duration, so: impl Fn(&Self) -> bool) -> Result<bool, String> {
        let end = Instant::now() + patience;
        while !so(self) {
            if Instant::now() >= end {
                return Ok(false);
            }
            self.step().await?;
        }
        Ok(true)
    }

    async fn ask(&self, command: Command) -> Result<(), String> {
        let asked = self.leader().ok_or("nobody leads")?;
        let applied = asked.typed(person(), command).await?;
        applied.result.map(drop).map_err(|rejection| rejection.to_string())
    }

    async fn apply(&mut self) -> Result<(), String> {
        let spec = self.copied.spec.clone();
        let count = if spec.pattern == Pattern::ActiveActive { spec.regions.len() } else { 1 };
        let group = spec.switch_group();
        let token = |region: &Region| (group.clone(), region.clone(), format!("{group}-{region}"));
        let tokens = spec.regions.iter().take(count).map(token).collect();
        let command = Command::Apply { specs: vec![spec], drills: Vec::new(), prune: false, tokens };
        let end = Instant::now() + SETTLING;
        loop {
            match self.ask(command.clone()).await {
                Ok(()) => return Ok(()),
                Err(why) if Instant::now() >= end => {
                    return Err(format!("the simulated fleet did not take the manifest of {}: {why}", self.name()));
                }
                Err(_) => self.step().await?,
            }
        }
    }

    async fn inflict_what_is_seen(&mut self) -> Result<(), String> {
        for region in self.copied.evacuated.clone() {
            let group = self.copied.spec.switch_group();
            self.ask(Command::SetSwitch { group, region, on: false, run: None }).await?;
            self.wait(SETTLING, Self::is_steady).await?.then_some(()).ok_or_else(|| self.why_unsteady())?;
        }
        for (region, target) in &self.copied.bad {
            if self.aws.with(|world| world.has_alarm(region, target)) {
                self.aws.set_alarm(region, target, Some(true));
            } else {
                self.aws.set_endpoint(region, &word_of(target, &self.copied.spec, region), false);
            }
        }
        for region in self.copied.silent.clone() {
            self.crash(&region).await;
        }
        let seen_ms = self.copied.spec.health.breach_after_ms.saturating_add(SEEN_MS);
        self.wait(Duration::from_millis(seen_ms), |_| false).await?;
        Ok(())
    }

    async fn crash(&mut self, region: &Region) {
        let Some(daemon) = self.daemons.remove(region) else { return };
        self.doors.close(region);
        self.bus.crash(&self.homes[region], daemon).await;
    }

    /// The Region dies with everything in it.
    async fn lose(&mut self) {
        let home = self.copied.home.clone();
        self.aws.break_region(&home);
        if let Some(history) = self.homes.get(&home).and_then(|home| home.history.as_ref()) {
            history.set_away(true);
        }
        self.crash(&home).await;
    }

    /// Until the run that leaves the Region has a verdict or needs a person who thinks, or time is up.
    async fn watch(&mut self) -> Result<Option<Run>, String> {
        let patience_ms = self.copied.spec.objectives.rto_ms.saturating_mul(2).saturating_add(PATIENCE_MS);
        let end = Instant::now() + Duration::from_millis(patience_ms);
        let mut next_word = Instant::now();
        while Instant::now() < end {
            self.step().await?;
            let run = self.run();
            if let Some(run) = run.as_ref().filter(|run| run.state.is_closed() || run.state == RunState::Paused) {
                return Ok(Some(run.clone()));
            }
            if Instant::now() >= next_word {
                next_word = Instant::now() + PERSON;
                self.person_acts(run.as_ref()).await;
            }
        }
        Ok(self.run())
    }

    /// The run that leaves the lost Region.
    fn run(&self) -> Option<Run> {
        let state = self.state();
        let own = state.runs.values().filter(|run| &run.service == self.name());
        own.filter(|run| run.plan.from == self.copied.home).max_by_key(|run| run.decided_index).cloned()
    }

    /// Approves at once what is asked; asks for what nobody may begin but a person.
    async fn person_acts(&self, run: Option<&Run>) {
        let command = match run {
            Some(run) if run.state == RunState::AwaitingApproval => Some(Command::Approve { run: run.id.clone() }),
            Some(_) => None,
            None if self.needs_a_person() => self.asked_by_hand(),
            None => None,
        };
        if let Some(command) = command
            && let Err(why) = self.ask(command).await
        {
            self.judge.tell(format!("a person reads: {why}"));
        }
    }

    pub(super) fn needs_a_person(&self) -> bool {
        let spec = &self.copied.spec;
        spec.policy.failover == Automation::Manual || spec.traffic.switch == SwitchTransport::None
    }

    /// What a person would ask for, once the loss is proven.
    fn asked_by_hand(&self) -> Option<Command> {
        let daemon = self.leader()?;
        let (now, matrix, view) = (daemon.now(), daemon.matrix(), daemon.view());
        let finding = diagnose(now, &view, &self.copied.spec, &self.copied.home, &matrix);
        if !finding.diagnosis.is_breach() {
            return None;
        }
        let request = self.request(Trigger::Operator, person());
        let decision = propose_failover(now, &daemon.state(), &matrix, &view, &request);
        decision.map(|decision| Command::Decide(Box::new(decision))).ok()
    }

    fn request(&self, trigger: Trigger, actor: Actor) -> FailoverRequest {
        let is_left = self.copied.movement == Movement::Evacuate;
        FailoverRequest {
            service: self.name().clone(),
            movement: self.copied.movement,
            from: is_left.then(|| self.copied.home.clone()),
            to: (!is_left).then(|| self.copied.away.clone()),
            mode: Some(Mode::Forced),
            trigger,
            actor,
            reason: Some(format!("{} is lost", self.copied.home)),
            plan_hash: None,
            drill: None,
        }
    }

    /// What each guard says in the end.
    fn guards(&self) -> Vec<GuardVerdict> {
        let Some(daemon) = self.leader() else { return Vec::new() };
        let trigger = if self.needs_a_person() { Trigger::Operator } else { Trigger::Automatic };
        let request = self.request(trigger, person());
        let seen = outlook(daemon.now(), &daemon.state(), &daemon.matrix(), &daemon.view(), &request);
        seen.map(|seen| seen.guards).unwrap_or_default()
    }

    /// Whether anybody leads, in the end.
    pub(super) fn is_led(&self) -> bool {
        self.leader().is_some() && self.service().is_some()
    }
}

fn person() -> Actor {
    Actor::Operator("simulated-person".to_owned())
}

/// What stands for a copy of a store in a Region, as the simulated AWS calls it.
fn store_id(store: &Store, region: &Region) -> Option<StoreId> {
    match &store.kind {
        StoreKind::Aurora { global_cluster, .. } => Some(StoreId::Aurora(global_cluster.clone())),
        StoreKind::Dynamodb { table, .. } => Some(StoreId::Table(table.clone())),
        StoreKind::Rds { instances, .. } => instances.get(region).cloned().map(StoreId::Instance),
        StoreKind::S3 { buckets, .. } => buckets.get(region).cloned().map(StoreId::Bucket),
    }
}

/// The word of an address that tells it from the service's other addresses in the same Region: endpoints are set bad by
/// a word. Where all words are shared, the last one.
fn word_of(target: &str, spec: &ServiceSpec, region: &Region) -> ServiceName {
    let words = |text: &str| -> Vec<String> {
        let split = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'));
        split.filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    let others = spec.health.signals.iter().map(|signal| signal.probe.target_in(region));
    let shared: Vec<String> = others.filter(|other| other != target).flat_map(|other| words(&other)).collect();
    let own = words(target);
    let telling = own.iter().rfind(|word| !shared.contains(word)).or(own.last());
    ServiceName::from(telling.map_or("", String::as_str))
}

/// What Route 53's checkers reach in the copy: its daemons' switches, and the addresses of its signals.
struct Reached {
    aws: SimulatedAws,
    doors: Doors,
    members: Vec<Region>,
    spec: ServiceSpec,
}

impl Reached {
    /// Whose switch a host is.
    fn switch_of(&self, host: &str) -> Option<Region> {
        self.members.iter().find(|region| switch_endpoint(region).host == host).cloned()
    }

    /// The Region whose signal is asked at a host, and how the manifest writes it.
    fn signal_at(&self, host: &str, path: &str) -> Option<(Region, String)> {
        let signals = &self.spec.health.signals;
        let all = self.spec.regions.iter().flat_map(|region| signals.iter().map(move |signal| (region, signal)));
        let mut all = all.map(|(region, signal)| (region.clone(), signal.probe.target_in(region)));
        all.find(|(_, target)| target.contains(host) && target.contains(path))
    }
}

#[async_trait]
impl Fetch for Reached {
    async fn get(&self, _: Protocol, host: &str, _: u16, path: &str) -> Result<(u16, Vec<u8>), String> {
        let switch = self.switch_of(host);
        let signal = self.signal_at(host, path);
        let place = switch.as_ref().or(signal.as_ref().map(|(region, _)| region));
        if !place.is_some_and(|region| self.aws.is_reachable_from_outside(region)) {
            // Nobody answers: the checker gives up by itself.
            pending::<()>().await;
        }
        sleep(LATENCY).await;
        if let Some(region) = switch {
            let door = self.doors.all().get(&region).cloned();
            let door = door.ok_or_else(|| "connection refused".to_owned())?;
            return Ok(door.answer(path.strip_prefix("/s/").unwrap_or_default()));
        }
        let is_bad = |(region, target): (Region, String)| self.aws.with(|w| w.endpoint_is_bad(&region, &target));
        Ok((if signal.is_some_and(is_bad) { 503 } else { 200 }, Vec::new()))
    }
}
