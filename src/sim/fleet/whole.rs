//! The fleet: its world, its daemons, and time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use failoverd_domain::fleet::{
    Actor, FailoverRequest, FleetState, GuardVerdict, Role, ServicePhase, ServiceState, Trigger, outlook,
};
use failoverd_domain::format::{Build, Format};
use failoverd_domain::health::{Matrix, SeenCheck, View};
use failoverd_domain::ids::{FleetId, Region, ServiceName};
use failoverd_domain::plan::{Mode, Movement};
use failoverd_domain::time::Timestamp;
use tokio::time::sleep;

use super::answers::{AnswerExam, answer};
use super::checkers::{Doors, Endpoints};
use super::daemon::{Daemon, Home, Surroundings};
use super::effects::EffectExam;
use super::judge::Judge;
use super::manifest::Shop;
use super::proof::ProofExam;
use super::spread::SpreadExam;
use crate::ports::Leadership;
use crate::runtime::{Supervisor, TaskKind, Timing};
use crate::sim::bus::Bus;
use crate::sim::history::MemoryHistory;
use crate::sim::world::{Draws, EffectRecord, SimulatedAws, Timing as WorldTiming, TokioClock, run_checkers};

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
const BEGINNING: Timestamp = Timestamp(1_767_225_600_000);

/// A Region by name.
#[must_use]
pub fn region(name: &str) -> Region {
    Region::from(name)
}

/// Three daemons and their world.
pub struct SimulatedFleet {
    /// The simulated AWS: break it here.
    pub aws: SimulatedAws,
    /// The network between the daemons.
    pub bus: Bus,
    /// Everything that was seen.
    pub judge: Judge,
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
}

impl SimulatedFleet {
    /// A fleet on fresh disks with its service applied and settled.
    pub async fn steady(seed: u64, shop: Shop) -> Self {
        let mut fleet = Self::new(seed, shop).await;
        fleet.apply_manifest().await;
        let settled = |fleet: &Self| fleet.is_steady() && fleet.spread_unrest().is_none();
        if !fleet.until(Duration::from_secs(180), settled).await {
            fleet.judge.blame("the service did not become steady after its manifest was applied");
        }
        fleet
    }

    /// Three daemons, just started.
    pub async fn new(seed: u64, shop: Shop) -> Self {
        let aws = SimulatedAws::new(Arc::new(TokioClock::starting_at(BEGINNING)), seed, world_timing());
        let bus = Bus::new(seed);
        bus.set_latency(Duration::from_millis(30), Duration::from_millis(30));
        let judge = Judge::new();
        let members: BTreeMap<Region, Role> =
            [(US_EAST, Role::Member), (EU_WEST, Role::Member), (US_WEST, Role::Witness)]
                .map(|(name, role)| (region(name), role))
                .into();
        let fleet = FleetId::from("prod");
        let mut draws = Draws::new(seed ^ 0xC10C);
        let homes = members.iter().map(|(region, role)| {
            let history = (*role == Role::Member).then(|| Arc::new(MemoryHistory::new(fleet.clone())));
            // Clocks differ, as they do.
            let clock = TokioClock::starting_at(BEGINNING.plus_ms(draws.next_u64() % 2_000));
            let build = Build { version: "simulated".to_owned(), reads: Format::NEWEST };
            (region.clone(), Home { region: region.clone(), disk: Default::default(), history, clock, build })
        });
        let homes = homes.collect();
        let timing = timing();
        let around = Surroundings { fleet, members, aws: aws.clone(), bus: bus.clone(), judge: judge.clone(), timing };
        let mut simulated = Self {
            aws,
            bus,
            judge,
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
        let daemon = Daemon::start(&self.homes[region], &self.around).await?;
        self.doors.open(region, daemon.door());
        self.daemons.insert(region.clone(), daemon);
        Ok(())
    }

    /// Stops the daemon of a Region in order and puts another build in its place, which is to be started.
    pub async fn replace_build(&mut self, region: &Region, build: Build) {
        self.judge.tell(format!("daemon {region} becomes {} (format {})", build.version, build.reads));
        self.doors.close(region);
        if let Some(daemon) = self.daemons.remove(region) {
            daemon.stop(&self.homes[region], &self.bus).await;
        }
        if let Some(home) = self.homes.get_mut(region) {
            home.build = build;
        }
    }

    /// Power off: whatever the daemon had not synced is gone.
    pub async fn crash(&mut self, region: &Region) {
        let Some(daemon) = self.daemons.remove(region) else { return };
        self.judge.tell(format!("daemon {region} crashes"));
        self.doors.close(region);
        daemon.crash(&self.homes[region], &self.bus).await;
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
        self.bus.isolate(region, self.around.members.keys());
    }

    /// Undoes [`Self::isolate`].
    pub fn rejoin(&self, region: &Region) {
        self.aws.rejoin(region);
        for other in self.around.members.keys() {
            self.bus.mend(region, other);
            self.bus.mend(other, region);
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
        self.examine();
        self.bury_the_dead().await;
    }

    fn examine(&mut self) {
        let service = ServiceName::from(SERVICE);
        self.exam.sample(&service, &self.judge, &self.aws, &self.doors);
        self.proof.look(&service, &self.judge, &self.aws);
        self.spread_exam.sample(&self.judge, &self.aws, &self.doors);
        self.spread_proof.look(&SPREAD.into(), &self.judge, &self.aws);
        self.effects.look(&self.judge, &self.aws);
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
    pub(super) fn writer_of(&self, global_cluster: &str) -> Option<Region> {
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
        self.daemons.get(region).map(|daemon| (daemon.now(), daemon.matrix(), daemon.view().clone()))
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

/// Faster than real Regions, in the same proportions.
fn world_timing() -> WorldTiming {
    WorldTiming {
        call_ms: 5,
        far_call_ms: 60,
        dns_propagation_ms: 3_000,
        checker_interval_percent: 20,
        checker_timeout_ms: 1_000,
        switchover_ms: 6_000,
        failover_ms: 6_000,
        rebuild_ms: 20_000,
        late_fence_ms: 3_000,
        cluster_create_ms: 10_000,
        cluster_modify_ms: 2_000,
        instance_create_ms: 20_000,
        instance_backup_ms: 5_000,
        instance_modify_ms: 2_000,
        instance_rename_ms: 5_000,
        instance_reboot_ms: 3_000,
        instance_promote_ms: 5_000,
        instance_delete_ms: 5_000,
        replica_create_ms: 10_000,
        metric_period_ms: 15_000,
        ..WorldTiming::default()
    }
}

fn timing() -> Timing {
    Timing {
        look: Duration::from_secs(3),
        tick: Duration::from_millis(250),
        settle: Duration::from_secs(1),
        stale_after: Duration::from_secs(5),
        ..Timing::default()
    }
}
