//! One daemon on simulated parts, composed as `daemon.rs` composes a real one. Its ground serves it to the others.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use failoverd_domain::fleet::{Actor, Applied, Command, Entry, FleetSettings, FleetState, HistoryEvent, Role};
use failoverd_domain::format::Build;
use failoverd_domain::health::{Matrix, Report, View};
use failoverd_domain::ids::{FleetId, Generation, Region, ServiceName};
use failoverd_domain::time::Timestamp;
use failoverd_domain::traffic::{LookUp, Sighting};
use tokio::sync::mpsc;

use super::checkers::{Door, switch_endpoint};
use super::judge::Judge;
use super::watched::Watched;
use crate::api::access::Identity;
use crate::api::peer::RaftRefusal;
use crate::api::{Handles, RaftEndpoint};
use crate::consensus::{Consensus, ConsensusConfig, Disk, MemoryDisk};
use crate::ports::{
    Agreement, Clock, History, Leadership, Outbox, Peers, ProposeError, RetryBudget, SteadyClock, World,
};
use crate::runtime::{Engine, Parts, Standing, Supervisor, Timing};
use crate::sim::bus::{Bus, Endpoint};
use crate::sim::history::MemoryHistory;
use crate::sim::tripwire::Tripwire;
use crate::sim::world::SimulatedAws;
use crate::survey;
use crate::telemetry::Telemetry;

/// Few enough that seeds meet snapshots.
const SNAPSHOT_EVERY: u64 = 40;
const HEARTBEAT: Duration = Duration::from_millis(300);
const ELECTION_TIMEOUT: Duration = Duration::from_millis(900);

/// What outlives a daemon's crashes.
#[derive(Clone)]
pub struct Home {
    /// Where.
    pub region: Region,
    /// Its disk.
    pub disk: MemoryDisk,
    /// Members have one; a witness has none.
    pub history: Option<Arc<MemoryHistory>>,
    /// Its machine's clock.
    pub machine: MachineClock,
    /// The generation that a daemon with an empty disk waits to be added to.
    pub join: Option<Generation>,
    /// Which build starts there; an upgrade is another one.
    pub build: Build,
    /// What of the unsynced reaches the disk when power fails follows from it.
    pub luck: u64,
}

/// The clock of a machine, which somebody may set.
#[derive(Clone)]
pub struct MachineClock {
    passes: Arc<dyn Clock>,
    set_by_ms: Arc<AtomicI64>,
}

impl MachineClock {
    /// A clock that is right for as long as nobody sets it.
    #[must_use]
    pub fn new(passes: Arc<dyn Clock>) -> Self {
        Self { passes, set_by_ms: Arc::default() }
    }

    /// Sets it, from where it is by then.
    pub fn set(&self, by_ms: i64) {
        self.set_by_ms.fetch_add(by_ms, Ordering::Relaxed);
    }

    /// What a daemon that starts now goes by.
    #[must_use]
    pub fn steady(&self) -> Arc<dyn Clock> {
        let passes = self.passes.clone();
        let passed = move || Duration::from_millis(passes.now().0);
        Arc::new(SteadyClock::measuring(Arc::new(self.clone()), passed))
    }
}

impl Clock for MachineClock {
    fn now(&self) -> Timestamp {
        let (now, by) = (self.passes.now(), self.set_by_ms.load(Ordering::Relaxed));
        if by < 0 { now.minus_ms(by.unsigned_abs()) } else { now.plus_ms(by.unsigned_abs()) }
    }
}

/// What daemons of one fleet share.
#[derive(Clone)]
pub struct Surroundings {
    /// The fleet.
    pub fleet: FleetId,
    /// Every daemon of it.
    pub members: BTreeMap<Region, Role>,
    /// The simulated AWS.
    pub aws: SimulatedAws,
    /// Who looks at every entry.
    pub judge: Judge,
    /// Across what daemons write and call.
    pub tripwire: Tripwire,
    /// How often things are done.
    pub timing: Timing,
    /// What every daemon's file says of the whole fleet.
    pub settings: FleetSettings,
}

/// A running daemon. Clones are the same.
#[derive(Clone)]
pub struct Daemon {
    supervisor: Supervisor,
    consensus: Consensus,
    peers: Arc<dyn Peers>,
    clock: Arc<dyn Clock>,
    history: Option<Arc<dyn History>>,
    world: World,
    engine: Engine,
    handles: Handles,
}

impl Daemon {
    /// Starts on the home's disk, and reaches the others through `peers`. Whoever starts it has it served to them.
    ///
    /// # Errors
    /// Why it does not start.
    pub async fn start(home: &Home, around: &Surroundings, peers: Arc<dyn Peers>) -> Result<Self, String> {
        let supervisor = Supervisor::new();
        let me = home.region.clone();
        let config = ConsensusConfig {
            me: me.clone(),
            fleet: around.fleet.clone(),
            join: home.join,
            members: around.members.clone(),
            switch: Some(switch_endpoint(&me)),
            heartbeat: HEARTBEAT,
            election_timeout_min: ELECTION_TIMEOUT,
            election_timeout_max: ELECTION_TIMEOUT * 2,
            snapshot_every: SNAPSHOT_EVERY,
            reads: home.build.reads,
        };
        let disk = Disk::Memory(home.disk.clone());
        let hook = around.judge.hook(&me);
        let consensus = Consensus::start(config, &disk, peers.clone(), supervisor.tracker(), Some(hook)).await;
        let consensus = consensus.map_err(|error| error.to_string())?;
        let history = home.history.clone().map(|history| history as Arc<dyn History>);
        let clock = home.machine.steady();
        let (world, advertise) = (around.aws.ports(me.clone()), switch_endpoint(&me));
        let world = world.across(around.tripwire.clone()).into_world();
        let parts = Parts {
            me,
            build: home.build.clone(),
            settings: around.settings.clone(),
            fleet: around.fleet.clone(),
            members: around.members.clone(),
            advertise: Some(advertise),
            references: around.members.keys().cloned().collect(),
            timing: around.timing.clone(),
            clock: clock.clone(),
            world,
            agreement: Arc::new(Watched { inner: consensus.clone(), tripwire: around.tripwire.clone() }),
            outbox: consensus.outbox(),
            peers: peers.clone(),
            history: history.clone(),
            keep: None,
            webhooks: None,
            rehearsals: None,
            meters: Telemetry::counting(clock.now()).meters,
        };
        let engine = Engine::start(&parts, &supervisor);
        let Parts { world, clock, .. } = parts;
        let handles = Handles {
            me: parts.me,
            agreement: parts.agreement,
            peers: peers.clone(),
            matrix: engine.matrix.clone(),
            history: history.clone().unwrap_or_else(|| no_history(&around.fleet)),
            world: world.clone(),
            clock: clock.clone(),
            view: engine.view.clone(),
            inbox: engine.inbox.clone(),
            outbox: consensus.outbox(),
            raft: Arc::new(Doorway(consensus.clone())),
            members: Arc::new(consensus.clone()),
            telemetry: Telemetry::counting(clock.now()),
            retries: Arc::new(RetryBudget::new(home.region.as_str())),
        };
        Ok(Self { supervisor, consensus, peers, clock, history, world, engine, handles })
    }

    /// Dies where it stands; what was not synced is gone.
    pub(super) async fn crash(self, home: &Home) {
        self.supervisor.kill();
        home.disk.crash_torn(home.luck);
        self.consensus.shutdown().await;
    }

    /// Stops in order, as a daemon that is told to does: leadership goes elsewhere, nothing is left half done.
    pub(super) async fn stop(self, home: &Home, bus: &Bus) {
        let leads = self.leadership().is_me;
        if let (true, Some(to)) = (leads, self.view().members.iter().find(|other| **other != home.region)) {
            self.consensus.step_aside(to).await;
        }
        bus.detach(&home.region);
        self.supervisor.kill();
        self.consensus.shutdown().await;
    }

    /// Whether a part of it has ended that should not have.
    pub(super) async fn failed(&self) {
        self.supervisor.failed().await;
    }

    /// Its consensus.
    #[must_use]
    pub const fn consensus(&self) -> &Consensus {
        &self.consensus
    }

    /// Its engine.
    #[must_use]
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Owns its tasks.
    #[must_use]
    pub const fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }

    /// How it reaches the others.
    #[must_use]
    pub fn peers(&self) -> Arc<dyn Peers> {
        self.peers.clone()
    }

    /// Its history, where it has one.
    #[must_use]
    pub fn history(&self) -> Option<Arc<dyn History>> {
        self.history.clone()
    }

    /// AWS, DNS and probes as it has them.
    #[must_use]
    pub const fn world(&self) -> &World {
        &self.world
    }

    /// What its API is given to work with.
    pub(super) const fn handles(&self) -> &Handles {
        &self.handles
    }

    pub(super) fn door(&self) -> Door {
        Door { state: self.consensus.state(), leadership: self.consensus.leadership() }
    }

    /// What it has applied.
    #[must_use]
    pub fn state(&self) -> Arc<FleetState> {
        self.consensus.state().borrow().clone()
    }

    pub(super) fn leadership(&self) -> Leadership {
        self.consensus.leadership().borrow().clone()
    }

    pub(super) fn matrix(&self) -> Arc<Matrix> {
        self.engine.matrix.borrow().clone()
    }

    pub(super) fn view(&self) -> View {
        self.engine.view.now()
    }

    /// Why a service is not settled, in the settler's words, while this daemon leads.
    pub(super) fn unsettled(&self, service: &ServiceName) -> Option<String> {
        match &self.engine.words.borrow().get(service)?.standing {
            Standing::Clean => None,
            Standing::Writes(changes) => Some(format!("writing {}", changes.join("; "))),
            Standing::Waits(why) | Standing::Stuck(why) => Some(why.clone()),
        }
    }

    /// What it goes by.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) async fn step_aside(&self, to: &Region) {
        self.consensus.step_aside(to).await;
    }

    /// What a person types here, on its way to whoever leads.
    pub(super) fn typed(
        &self,
        actor: Actor,
        command: Command,
    ) -> impl Future<Output = Result<Applied, String>> + use<> {
        self.sent(Entry::new(self.now(), actor, command))
    }

    /// An entry on its way from here to whoever leads.
    pub fn sent(&self, entry: Entry) -> impl Future<Output = Result<Applied, String>> + use<> {
        let (consensus, peers) = (self.consensus.clone(), self.peers.clone());
        async move {
            let leadership = consensus.leadership().borrow().clone();
            let answer = match leadership.leader {
                _ if leadership.is_me => consensus.propose(entry).await,
                Some(leader) => peers.forward(&leader, entry).await.map_err(|error| error.to_string())?,
                None => return Err("no leader is known".to_owned()),
            };
            answer.map_err(|error| error.to_string())
        }
    }
}

/// A witness keeps none: every question is answered as by a database that is away.
fn no_history(fleet: &FleetId) -> Arc<dyn History> {
    let none = MemoryHistory::new(fleet.clone());
    none.set_away(true);
    Arc::new(none)
}

/// Peers' consensus messages, where they come in through the API: in this fleet they come over the bus.
struct Doorway(Consensus);

#[async_trait]
impl RaftEndpoint for Doorway {
    async fn handle(&self, message: Vec<u8>, _: &Identity) -> Result<Vec<u8>, RaftRefusal> {
        self.0.handle_raft(&message).await.map_err(|error| RaftRefusal::Failed(error.to_string()))
    }
}

/// A daemon as its peers reach it; does what `api::peer` does.
pub(super) struct Served {
    consensus: Consensus,
    outbox: Arc<dyn Outbox>,
    history: Option<Arc<dyn History>>,
    inbox: mpsc::Sender<Report>,
    world: World,
    clock: Arc<dyn Clock>,
}

impl Served {
    pub(super) fn of(daemon: &Daemon) -> Self {
        Self {
            consensus: daemon.consensus.clone(),
            outbox: daemon.consensus.outbox(),
            history: daemon.history.clone(),
            inbox: daemon.engine.inbox.clone(),
            world: daemon.world.clone(),
            clock: daemon.clock.clone(),
        }
    }
}

#[async_trait]
impl Endpoint for Served {
    async fn raft(&self, message: Vec<u8>) -> Result<Vec<u8>, String> {
        self.consensus.handle_raft(&message).await.map_err(|error| error.to_string())
    }

    async fn share(&self, report: Report) -> Result<(), String> {
        self.inbox.try_send(report).map_err(|error| error.to_string())
    }

    async fn events(&self, from_seq: u64, limit: u32) -> Result<Vec<HistoryEvent>, String> {
        let pending = self.outbox.pending(from_seq, limit as usize).await;
        if pending.first().is_some_and(|event| event.seq == from_seq) {
            return Ok(pending);
        }
        match &self.history {
            Some(history) => history.range(from_seq, limit).await.map_err(|error| error.to_string()),
            None => Ok(Vec::new()),
        }
    }

    async fn forward(&self, entry: Entry) -> Result<Applied, ProposeError> {
        self.consensus.propose(Entry { at: self.clock.now(), ..entry }).await
    }

    async fn look_up(&self, asked: LookUp) -> Result<Sighting, String> {
        let state = self.consensus.state().borrow().clone();
        survey::look_up(&self.world, &state, &asked).await
    }
}
