//! One daemon on simulated parts, composed as `daemon.rs` composes a real one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use failoverd_domain::fleet::{Actor, Applied, Command, Entry, FleetState, HistoryEvent, Role};
use failoverd_domain::format::Build;
use failoverd_domain::health::{Matrix, Report, View};
use failoverd_domain::ids::{FleetId, Generation, Region, ServiceName};
use failoverd_domain::time::Timestamp;
use failoverd_domain::traffic::{LookUp, Sighting};
use tokio::sync::mpsc;

use super::checkers::{Door, switch_endpoint};
use super::judge::Judge;
use crate::consensus::{Consensus, ConsensusConfig, Disk, MemoryDisk};
use crate::ports::{Agreement, Clock, History, Leadership, Outbox, Peers, ProposeError, World};
use crate::runtime::{Engine, Parts, Standing, Supervisor, Timing};
use crate::sim::bus::{Bus, Endpoint};
use crate::sim::history::MemoryHistory;
use crate::sim::world::{SimulatedAws, TokioClock};
use crate::survey;
use crate::telemetry::Telemetry;

/// Few enough that seeds meet snapshots.
const SNAPSHOT_EVERY: u64 = 40;
const HEARTBEAT: Duration = Duration::from_millis(300);
const ELECTION_TIMEOUT: Duration = Duration::from_millis(900);

/// What outlives a daemon's crashes.
pub(super) struct Home {
    pub(super) region: Region,
    pub(super) disk: MemoryDisk,
    /// Members have one; a witness has none.
    pub(super) history: Option<Arc<MemoryHistory>>,
    pub(super) clock: TokioClock,
    /// Which build starts there; an upgrade is another one.
    pub(super) build: Build,
}

/// What daemons of one fleet share.
pub(super) struct Surroundings {
    pub(super) fleet: FleetId,
    pub(super) members: BTreeMap<Region, Role>,
    pub(super) aws: SimulatedAws,
    pub(super) bus: Bus,
    pub(super) judge: Judge,
    pub(super) timing: Timing,
}

/// A running daemon.
pub(super) struct Daemon {
    supervisor: Supervisor,
    consensus: Consensus,
    peers: Arc<dyn Peers>,
    clock: TokioClock,
    engine: Engine,
}

impl Daemon {
    /// Starts on the home's disk.
    pub(super) async fn start(home: &Home, around: &Surroundings) -> Result<Self, String> {
        let supervisor = Supervisor::new();
        let me = home.region.clone();
        let config = ConsensusConfig {
            me: me.clone(),
            fleet: around.fleet.clone(),
            generation: Generation::default(),
            members: around.members.clone(),
            heartbeat: HEARTBEAT,
            election_timeout_min: ELECTION_TIMEOUT,
            election_timeout_max: ELECTION_TIMEOUT * 2,
            snapshot_every: SNAPSHOT_EVERY,
            reads: home.build.reads,
        };
        let peers = around.bus.peers(me.clone());
        let disk = Disk::Memory(home.disk.clone());
        let hook = around.judge.hook(&me);
        let consensus = Consensus::start(config, &disk, peers.clone(), supervisor.tracker(), Some(hook)).await;
        let consensus = consensus.map_err(|error| error.to_string())?;
        let history = home.history.clone().map(|history| history as Arc<dyn History>);
        let parts = Parts {
            me: me.clone(),
            build: home.build.clone(),
            fleet: around.fleet.clone(),
            members: around.members.clone(),
            advertise: Some(switch_endpoint(&me)),
            references: around.members.keys().cloned().collect(),
            timing: around.timing.clone(),
            clock: Arc::new(home.clock.clone()),
            world: around.aws.ports(me.clone()).into_world(),
            agreement: Arc::new(consensus.clone()),
            outbox: consensus.outbox(),
            peers: peers.clone(),
            history: history.clone(),
            keep: None,
            webhooks: None,
            rehearsals: None,
            meters: Telemetry::counting(home.clock.now()).meters,
        };
        let engine = Engine::start(&parts, &supervisor);
        let served = Served {
            consensus: consensus.clone(),
            outbox: consensus.outbox(),
            history,
            inbox: engine.inbox.clone(),
            world: parts.world.clone(),
            clock: home.clock.clone(),
        };
        around.bus.attach(me, Arc::new(served));
        Ok(Self { supervisor, consensus, peers, clock: home.clock.clone(), engine })
    }

    /// Dies where it stands; what was not synced is gone.
    pub(super) async fn crash(self, home: &Home, bus: &Bus) {
        bus.detach(&home.region);
        self.supervisor.kill();
        home.disk.crash();
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

    pub(super) fn door(&self) -> Door {
        Door { state: self.consensus.state(), leadership: self.consensus.leadership() }
    }

    pub(super) fn state(&self) -> Arc<FleetState> {
        self.consensus.state().borrow().clone()
    }

    pub(super) fn leadership(&self) -> Leadership {
        self.consensus.leadership().borrow().clone()
    }

    pub(super) fn matrix(&self) -> Arc<Matrix> {
        self.engine.matrix.borrow().clone()
    }

    pub(super) const fn view(&self) -> &View {
        &self.engine.view
    }

    /// Why a service is not settled, in the settler's words, while this daemon leads.
    pub(super) fn unsettled(&self, service: &ServiceName) -> Option<String> {
        match &self.engine.words.borrow().get(service)?.standing {
            Standing::Clean => None,
            Standing::Writes(changes) => Some(format!("writing {}", changes.join("; "))),
            Standing::Waits(why) | Standing::Stuck(why) => Some(why.clone()),
        }
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
    pub(super) fn sent(&self, entry: Entry) -> impl Future<Output = Result<Applied, String>> + use<> {
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

/// A daemon as its peers reach it; does what `api::peer` does.
struct Served {
    consensus: Consensus,
    outbox: Arc<dyn Outbox>,
    history: Option<Arc<dyn History>>,
    inbox: mpsc::Sender<Report>,
    world: World,
    clock: TokioClock,
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
