//! The fleet: its world, its daemons, and time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use failoverd_domain::fleet::{
    Actor, FailoverRequest, FleetSettings, FleetState, GuardVerdict, Role, ServicePhase, ServiceState, Trigger, outlook,
};
use failoverd_domain::format::{Build, Format};
use failoverd_domain::health::{Matrix, SeenCheck, View};
use failoverd_domain::ids::{FleetId, Region, ServiceName};
use failoverd_domain::plan::{Mode, Movement};
use failoverd_domain::time::Timestamp;
use tokio::time::sleep;

use super::answers::{AnswerExam, answer};
use super::checkers::{Doors, Endpoints};
use super::daemon::{Daemon, Home, MachineClock, Surroundings};
use super::effects::EffectExam;
use super::ground::Ground;
use super::judge::Judge;
use super::manifest::Shop;
use super::pace::{timing, world_timing};
use super::pacing::PacingExam;
use super::proof::ProofExam;
use super::spread::SpreadExam;
use crate::api::Handles;
use crate::consensus::{Disk, MemoryDisk, Recovery};
use crate::ports::{Clock, Leadership};
use crate::runtime::{Supervisor, TaskKind};
use crate::sim::bus::Bus;
use crate::sim::history::MemoryHistory;
use crate::sim::tripwire::Tripwire;
use crate::sim::world::{Draws, EffectRecord, SimulatedAws, run_checkers};

/// A member; where the service starts.
pub const US_EAST: &str = "us-east-1";
/// The other member.
pub const EU_WEST: &str = "eu-west-1";
/// The witness.
pub const US_WEST: &str = "us-west-2";
/// All of them.
pub const REGIONS: [&str; 3] = [US_EAST, EU_WEST, US_WEST];
/// The simulated service.
pub const SERVICE: &str = "checkout";

/// The other one, in the fleets that have it: both Regions serve it at once.
pub const SPREAD: &str = "search";

/// Between two looks of the examiners.
const STEP: Duration = Duration::from_millis(250);
/// 2026-01-01.
pub const BEGINNING: Timestamp = Timestamp(1_767_225_600_000);

/// A Region by name.
#[must_use]
pub fn region(name: &str) -> Region {
    Region::from(name)
}

/// Three daemons and their world.
pub struct SimulatedFleet<G = Bus> {
    /// The simulated AWS: break it here.
    pub aws: SimulatedAws,
    /// Where the daemons run, and the network between them.
    pub ground: G,
    /// Everything that was seen.
    pub judge: Judge,
    /// Across what daemons write and call, for faults at exact moments.
    pub tripwire: Tripwire,
    /// The service's manifest is made from this.
    pub shop: Shop,
    pub(super) around: Surroundings,
    pub(super) homes: BTreeMap<Region, Home>,
    pub(super) daemons: BTreeMap<Region, Daemon>,
    pub(super) doors: Doors,
    pub(super) keyboard: Supervisor,
    exam: AnswerExam,
    effects: EffectExam,
    proof: ProofExam,
    spread_exam: SpreadExam,
    spread_proof: ProofExam,
    pacing: PacingExam,
}

impl SimulatedFleet {
    /// A fleet on fresh disks with its service applied and settled.
    pub async fn steady(seed: u64, shop: Shop) -> Self {
        Self::steady_on(in_memory(seed), seed, shop).await
    }

    /// Three daemons, just started.
    pub async fn new(seed: u64, shop: Shop) -> Self {
        Self::on(in_memory(seed), seed, shop).await
    }

    /// Stops the daemon of a Region in order and puts another build in its place, which is to be started.
    pub async fn replace_build(&mut self, region: &Region, build: Build) {
        self.judge.tell(format!("daemon {region} becomes {} (format {})", build.version, build.reads));
        self.doors.close(region);
        if let Some(daemon) = self.daemons.remove(region) {
            daemon.stop(&self.homes[region], &self.ground).await;
        }
        if let Some(home) = self.homes.get_mut(region) {
            home.build = build;
        }
    }
}

impl<G: Ground> SimulatedFleet<G> {
    /// A fleet on that ground and on fresh disks, with its service applied and settled.
    pub async fn steady_on(ground: G, seed: u64, shop: Shop) -> Self {
        let mut fleet = Self::on(ground, seed, shop).await;
        fleet.apply_manifest().await;
        let settled = |fleet: &Self| fleet.is_steady() && fleet.spread_unrest().is_none();
        if !fleet.until(Duration::from_secs(180), settled).await {
            fleet.judge.blame("the service did not become steady after its manifest was applied");
        }
        fleet
    }

    /// Three daemons on that ground, just started.
    pub async fn on(ground: G, seed: u64, shop: Shop) -> Self {
        let clock = ground.clock(0);
        let aws = SimulatedAws::new(clock.clone(), seed, world_timing());
        let judge = Judge::by(clock);
        let members: BTreeMap<Region, Role> =
            [(US_EAST, Role::Member), (EU_WEST, Role::Member), (US_WEST, Role::Witness)]
                .map(|(name, role)| (region(name), role))
                .into();
        let fleet = FleetId::from("prod");
        let mut draws = Draws::new(seed ^ 0xC10C);
        let homes = members.iter().map(|(region, role)| {
            let history = (*role == Role::Member).then(|| Arc::new(MemoryHistory::new(fleet.clone())));
            // Clocks differ, as they do.
            let machine = MachineClock::new(ground.clock(draws.next_u64() % 2_000));
            let build = Build { version: "simulated".to_owned(), reads: Format::NEWEST };
            let disk = MemoryDisk::new();
            let luck = draws.next_u64();
            (region.clone(), Home { region: region.clone(), disk, history, machine, join: None, build, luck })
        });
        let homes = homes.collect();
        let tripwire = Tripwire::default();
        let around = Surroundings {
            fleet,
            members,
            aws: aws.clone(),
            judge: judge.clone(),
            tripwire: tripwire.clone(),
            timing: timing(),
            settings: FleetSettings { velocity: shop.velocity.clone(), ..FleetSettings::default() },
        };
        let mut simulated = Self {
            aws,
            ground,
            judge,
            tripwire,
            shop,
            around,
            homes,
            daemons: BTreeMap::new(),
            doors: Doors::default(),
            keyboard: Supervisor::new(),
            exam: AnswerExam::new(),
            effects: EffectExam::default(),
            proof: ProofExam::default(),
            spread_exam: SpreadExam::default(),
            spread_proof: ProofExam::default(),
            pacing: PacingExam::default(),
        };
        for spec in simulated.shop.specs(&simulated.around.members) {
            simulated.aws.provision(&spec);
        }
        let fetch = Arc::new(Endpoints { aws: simulated.aws.clone(), doors: simulated.doors.clone() });
        let checkers = run_checkers(simulated.aws.clone(), fetch, Duration::from_millis(500));
        simulated.keyboard.spawn(TaskKind::Observer, checkers);
        for name in REGIONS {
            simulated.start(&region(name)).await;
        }
        simulated
    }

    /// Starts the daemon of a Region on its disk, unless it runs.
    pub async fn start(&mut self, region: &Region) {
        if let Err(error) = self.try_start(region).await {
            self.judge.blame(format!("daemon {region} does not start: {error}"));
        }
    }

    /// As [`Self::start`], where it may be refused.
    ///
    /// # Errors
    /// Why it does not start, in its own words.
    pub async fn try_start(&mut self, region: &Region) -> Result<(), String> {
        if self.daemons.contains_key(region) {
            return Ok(());
        }
        self.judge.tell(format!("daemon {region} starts"));
        let daemon = self.ground.start(&self.homes[region], &self.around).await?;
        self.doors.open(region, daemon.door());
        self.daemons.insert(region.clone(), daemon);
        Ok(())
    }

    /// Power off: whatever the daemon had not synced is gone.
    pub async fn crash(&mut self, region: &Region) {
        if self.leader().as_ref() == Some(region) {
            let (at, state) = (self.judge.elapsed_ms(), self.state());
            let under_way = state.runs.values().filter(|run| run.open_steps().next().is_some());
            self.judge.tally(|tally| tally.left_alone(at, under_way.map(|run| run.id.clone())));
        }
        let Some(daemon) = self.daemons.remove(region) else { return };
        self.judge.tell(format!("daemon {region} crashes"));
        self.doors.close(region);
        self.ground.crash(&self.homes[region], daemon).await;
    }

    /// `failoverd recover --force-new-fleet` on the disk of a daemon that does not run.
    ///
    /// # Errors
    /// In its own words.
    pub fn recover_from(&self, left: &Region) -> Result<(), String> {
        let home = &self.homes[left];
        let disk = Disk::Memory(home.disk.clone());
        let recovery = Recovery::open(&disk, &self.around.fleet, left, home.build.reads);
        let actor = Actor::Operator("alice".to_owned());
        let recovered = recovery.and_then(|it| it.force_new_fleet(home.machine.now(), &actor));
        let recovered = recovered.map_err(|error| error.to_string())?;
        self.judge.tell(format!("recovered from {left} as generation {}", recovered.generation));
        self.judge.recovered(&recovered.state, std::slice::from_ref(&recovered.event));
        Ok(())
    }

    /// The Region dies with everything in it: daemon, database of the history, endpoints, stores, APIs.
    pub async fn break_region(&mut self, region: &Region) {
        self.judge.tell(format!("Region {region} dies"));
        self.aws.break_region(region);
        self.set_history_away(region, true);
        self.crash(region).await;
    }

    /// The Region comes back, its daemon on its old disk.
    pub async fn heal_region(&mut self, region: &Region) {
        self.judge.tell(format!("Region {region} comes back"));
        self.aws.heal_region(region);
        self.set_history_away(region, false);
        self.start(region).await;
    }

    /// Whether the database of a Region's history is away.
    pub fn set_history_away(&self, region: &Region, away: bool) {
        if let Some(history) = &self.homes[region].history {
            history.set_away(away);
        }
    }

    /// Cuts a Region off from everything: peers, AWS elsewhere, DNS, and Route 53's checkers from it.
    pub fn isolate(&self, region: &Region) {
        self.aws.isolate(region);
        self.set_isolated(region, true);
    }

    /// Undoes [`Self::isolate`].
    pub fn rejoin(&self, region: &Region) {
        self.aws.rejoin(region);
        self.set_isolated(region, false);
    }

    fn set_isolated(&self, region: &Region, isolated: bool) {
        for other in self.around.members.keys().filter(|other| *other != region) {
            self.ground.set_cut(region, other, isolated);
            self.ground.set_cut(other, region, isolated);
        }
    }

    /// Lets time pass, examining on the way.
    pub async fn run_for(&mut self, time: Duration) {
        let end = tokio::time::Instant::now() + time;
        while tokio::time::Instant::now() < end {
            self.step().await;
        }
    }

    /// Lets time pass until something is so; `false` when it is not in time.
    pub async fn until(&mut self, patience: Duration, so: impl Fn(&Self) -> bool) -> bool {
        let end = tokio::time::Instant::now() + patience;
        while !so(self) {
            if tokio::time::Instant::now() >= end {
                return false;
            }
            self.step().await;
        }
        true
    }

    /// As [`Self::until`], to the millisecond: for what lasts shorter than a step.
    pub async fn until_exactly(&mut self, patience: Duration, so: impl Fn(&Self) -> bool) -> bool {
        let end = tokio::time::Instant::now() + patience;
        while !so(self) {
            if tokio::time::Instant::now() >= end {
                return false;
            }
            sleep(Duration::from_millis(1)).await;
        }
        self.examine();
        true
    }

    /// Sees to it that the daemon of a Region leads; `false` when it does not come to that.
    pub async fn make_leader(&mut self, region: &Region) -> bool {
        for _ in 0..5 {
            if let Some(leader) = self.leader().filter(|leader| leader != region) {
                self.daemons[&leader].step_aside(region).await;
            }
            if self.until(Duration::from_secs(5), |fleet| fleet.leader().as_ref() == Some(region)).await {
                return true;
            }
        }
        false
    }

    /// One step of time, and a look at everything.
    pub async fn step(&mut self) {
        sleep(STEP).await;
        self.ground.step();
        self.examine();
        self.look_at_guards();
        self.bury_the_dead().await;
    }

    fn examine(&mut self) {
        let service = ServiceName::from(SERVICE);
        self.exam.sample(&service, &self.judge, &self.aws, &self.doors);
        self.proof.look(&service, &self.judge, &self.aws);
        self.spread_exam.sample(&self.judge, &self.aws, &self.doors);
        self.spread_proof.look(&SPREAD.into(), &self.judge, &self.aws);
        self.effects.look(&self.judge, &self.aws);
        self.pacing.look(&self.judge);
    }

    /// A daemon of which a part has ended must stop, and its platform starts it again.
    async fn bury_the_dead(&mut self) {
        let mut dead = Vec::new();
        for (region, daemon) in &self.daemons {
            let ended = tokio::time::timeout(Duration::ZERO, daemon.failed()).await;
            if ended.is_ok() {
                dead.push(region.clone());
            }
        }
        for region in dead {
            self.judge.blame(format!("a task of {region} ended that should not"));
            self.crash(&region).await;
            self.start(&region).await;
        }
    }

    /// What each guard would say to an automatic failover now, as a daemon sees it.
    #[must_use]
    pub fn guards_at(&self, region: &Region) -> Vec<GuardVerdict> {
        let (Some((now, matrix, view)), Some(state)) = (self.sight_at(region), self.state_at(region)) else {
            return Vec::new();
        };
        let request = FailoverRequest {
            service: SERVICE.into(),
            movement: Movement::Failover,
            from: None,
            to: None,
            mode: Some(Mode::Forced),
            trigger: Trigger::Automatic,
            actor: Actor::Daemon(region.clone()),
            reason: None,
            plan_hash: None,
            drill: None,
        };
        outlook(now, &state, &matrix, &view, &request).map(|seen| seen.guards).unwrap_or_default()
    }

    /// The readiness checks of the service, as a daemon holds them.
    #[must_use]
    pub fn checks_at(&self, region: &Region) -> Vec<SeenCheck> {
        let sight = self.sight_at(region);
        sight.map(|(now, matrix, _)| matrix.checks(now, &SERVICE.into())).unwrap_or_default()
    }

    /// The newest agreed state.
    #[must_use]
    pub fn state(&self) -> Arc<FleetState> {
        self.judge.newest()
    }

    /// The service as agreed.
    #[must_use]
    pub fn service(&self) -> Option<ServiceState> {
        self.state().services.get(&ServiceName::from(SERVICE)).cloned()
    }

    /// The service's phase.
    #[must_use]
    pub fn phase(&self) -> Option<ServicePhase> {
        self.service().map(|service| self.state().phase(&service))
    }

    /// Whether the service is steady.
    #[must_use]
    pub fn is_steady(&self) -> bool {
        self.phase() == Some(ServicePhase::Steady)
    }

    /// The Region that the zone's name servers answer with.
    #[must_use]
    pub fn answer(&self) -> Option<Region> {
        answer(&self.aws, &self.service()?)
    }

    /// The Region where the database is written, by AWS's own word.
    #[must_use]
    pub fn writer(&self) -> Option<Region> {
        self.writer_of("checkout-global")
    }

    /// The Region where a global cluster is written, by AWS's own word.
    #[must_use]
    pub fn writer_of(&self, global_cluster: &str) -> Option<Region> {
        self.aws.with(|world| {
            let mut named = world.clusters().filter(|cluster| cluster.id == global_cluster);
            named.next().and_then(|cluster| cluster.writer().cloned())
        })
    }

    /// Every mutating call of a name that AWS accepted.
    #[must_use]
    pub fn effects_of(&self, operation: &str) -> Vec<EffectRecord> {
        self.aws.effects().into_iter().filter(|effect| effect.operation == operation).collect()
    }

    /// The Region that leads, by the newest term that any running daemon knows.
    #[must_use]
    pub fn leader(&self) -> Option<Region> {
        let leading = self.daemons.iter().map(|(region, daemon)| (region, daemon.leadership()));
        let leading = leading.filter(|(_, seen)| seen.is_me);
        leading.max_by_key(|(_, seen)| seen.term).map(|(region, _)| region.clone())
    }

    /// What a running daemon knows of leadership.
    #[must_use]
    pub fn leadership_at(&self, region: &Region) -> Option<Leadership> {
        self.daemons.get(region).map(Daemon::leadership)
    }

    /// The state that a running daemon has applied.
    #[must_use]
    pub fn state_at(&self, region: &Region) -> Option<Arc<FleetState>> {
        self.daemons.get(region).map(Daemon::state)
    }

    /// What a running daemon sees: its clock, its matrix and its view.
    #[must_use]
    pub fn sight_at(&self, region: &Region) -> Option<(Timestamp, Arc<Matrix>, View)> {
        self.daemons.get(region).map(|daemon| (daemon.now(), daemon.matrix(), daemon.view()))
    }

    /// What the API of a running daemon is given to work with; another after every start.
    #[must_use]
    pub fn handles_at(&self, region: &Region) -> Option<Handles> {
        self.daemons.get(region).map(|daemon| daemon.handles().clone())
    }

    /// The Regions whose daemons run.
    #[must_use]
    pub fn running(&self) -> Vec<Region> {
        self.daemons.keys().cloned().collect()
    }

    /// A Region's history.
    #[must_use]
    pub fn history(&self, region: &Region) -> Option<Arc<MemoryHistory>> {
        self.homes.get(region).and_then(|home| home.history.clone())
    }
}

/// A network in memory that is as slow as one between Regions.
fn in_memory(seed: u64) -> Bus {
    let bus = Bus::new(seed);
    bus.set_latency(Duration::from_millis(30), Duration::from_millis(30));
    bus
}
