//! Composition root: one daemon out of consensus, engine, listeners and whatever world it is given.
//!
//! The same composition serves a real daemon and each daemon of the sandbox; only `World`, disk and clock differ.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use failoverd_domain::fleet::{Actor, Applied, Command, Entry, FleetSettings, FleetState, Role};
use failoverd_domain::format::{Build, Format};
use failoverd_domain::ids::{FleetId, Generation, Region};
use failoverd_domain::invariant::{Transition, Violation, judge};
use failoverd_domain::traffic::SwitchEndpoint;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::adapters::no_history::NoHistory;
use crate::api::access::Identity;
use crate::api::peer::RaftRefusal;
use crate::api::{self, GrpcPeers, Handles, RaftEndpoint, Secured, SwitchSettings};
use crate::consensus::{Consensus, ConsensusConfig, Disk, HandleError, OnApplied, StartError};
use crate::ports::{Agreement, Clock, History, Peers, RetryBudget, Webhooks, World};
use crate::runtime::{Engine, Keep, Parts, Supervisor, TaskKind, Timing};
use crate::sim::fleet::SimulatedRehearsals;
use crate::telemetry::{Exposition, MeteredAgreement, Meters, Telemetry};

/// Entries between two snapshots of the replicated state.
const SNAPSHOT_EVERY: u64 = 2_000;
/// How long tasks may take to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// The sockets of a daemon, bound already: whoever binds them can say which port is taken.
pub struct Listeners {
    /// Peers, status, control.
    pub grpc: TcpListener,
    /// Route 53's checkers.
    pub switch: TcpListener,
    /// Health and readiness.
    pub ops: TcpListener,
}

/// What a daemon is made of.
pub struct Setup {
    /// This daemon.
    pub me: Region,
    /// The fleet.
    pub fleet: FleetId,
    /// Its generation, where this daemon is new and to be added to it; otherwise the disk says it.
    pub join: Option<Generation>,
    /// Every daemon of it.
    pub members: BTreeMap<Region, Role>,
    /// Where each of them serves gRPC.
    pub peers: BTreeMap<Region, String>,
    /// Where Route 53's checkers reach this one.
    pub advertise: Option<SwitchEndpoint>,
    /// Reference endpoints outside the fleet.
    pub references: Vec<Region>,
    /// Sockets.
    pub listeners: Listeners,
    /// How Route 53's checkers are served.
    pub switch: SwitchSettings,
    /// Mutual TLS; `None` on loopback only.
    pub secured: Option<Secured>,
    /// Where the log is kept.
    pub disk: Disk,
    /// AWS, DNS and probes.
    pub world: World,
    /// This Region's history; a witness may have none.
    pub history: Option<Arc<dyn History>>,
    /// How long it keeps its events; absent: for ever.
    pub keep: Option<Keep>,
    /// What its file says of the whole fleet.
    pub settings: FleetSettings,
    /// Who is told of news outside the fleet, if anybody.
    pub webhooks: Option<Arc<dyn Webhooks>>,
    /// What is counted, traced and logged.
    pub telemetry: Telemetry,
    /// Wall clock.
    pub clock: Arc<dyn Clock>,
    /// How often things are done.
    pub timing: Timing,
    /// Between the leader's signs of life.
    pub heartbeat: Duration,
    /// Shortest silence after which a follower stands for election; the longest is twice that.
    pub election_timeout: Duration,
}

/// Why a daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Consensus refused its disk or its configuration.
    #[error(transparent)]
    Consensus(#[from] StartError),
    /// A peer's URL or the TLS texts cannot be used.
    #[error("{0}")]
    Peers(String),
}

/// A running daemon.
pub struct Daemon {
    me: Region,
    consensus: Consensus,
    /// Consensus's own tasks: they end with it, after the supervisor's.
    consensus_tasks: TaskTracker,
    supervisor: Supervisor,
    stop_listening: CancellationToken,
    handles: Handles,
}

impl Daemon {
    /// Starts everything. Returns at once; the fleet forms when a majority is there.
    ///
    /// # Errors
    /// [`DaemonError`].
    pub async fn start(setup: Setup) -> Result<Self, DaemonError> {
        let supervisor = Supervisor::new();
        let tls = setup.secured.as_ref().map(|secured| &secured.tls);
        let peers: Arc<dyn Peers> = Arc::new(GrpcPeers::new(&setup.peers, tls).map_err(DaemonError::Peers)?);
        let (violations, violated) = mpsc::channel(16);
        let config = ConsensusConfig {
            me: setup.me.clone(),
            fleet: setup.fleet.clone(),
            join: setup.join,
            members: setup.members.clone(),
            switch: setup.advertise.clone(),
            heartbeat: setup.heartbeat,
            election_timeout_min: setup.election_timeout,
            election_timeout_max: setup.election_timeout * 2,
            snapshot_every: SNAPSHOT_EVERY,
            reads: Format::NEWEST,
        };
        let meters = setup.telemetry.meters.clone();
        let judge = judge_entries(violations, meters.clone());
        let consensus_tasks = TaskTracker::new();
        let consensus = Consensus::start(config, &setup.disk, peers.clone(), &consensus_tasks, Some(judge)).await?;
        let agreement: Arc<dyn Agreement> =
            Arc::new(MeteredAgreement { inner: Arc::new(consensus.clone()), meters: meters.clone() });
        let role = setup.members.get(&setup.me).copied().unwrap_or(Role::Witness);
        let parts = Parts {
            me: setup.me.clone(),
            build: this_build(),
            settings: setup.settings,
            fleet: setup.fleet.clone(),
            members: setup.members.clone(),
            advertise: setup.advertise,
            references: setup.references,
            timing: setup.timing.clone(),
            clock: setup.clock.clone(),
            world: setup.world.clone(),
            agreement: agreement.clone(),
            outbox: consensus.outbox(),
            peers: peers.clone(),
            history: setup.history.clone(),
            keep: setup.keep,
            webhooks: setup.webhooks,
            rehearsals: Some(Arc::new(SimulatedRehearsals::new(setup.timing.clone()))),
            meters,
        };
        let engine = Engine::start(&parts, &supervisor);
        supervisor.spawn(TaskKind::Registrar, report_violations(violated, parts.clone()));
        let handles = Handles {
            me: setup.me.clone(),
            agreement,
            peers,
            matrix: engine.matrix,
            history: setup.history.unwrap_or_else(|| Arc::new(NoHistory)),
            world: setup.world,
            clock: setup.clock,
            view: engine.view,
            inbox: engine.inbox,
            outbox: consensus.outbox(),
            raft: Arc::new(Doorway(consensus.clone())),
            members: Arc::new(consensus.clone()),
            telemetry: setup.telemetry,
            retries: Arc::new(RetryBudget::new(setup.me.as_str())),
        };
        watch_over(&supervisor, &handles);
        let exposition = Arc::new(Exposition {
            meters: handles.telemetry.meters.clone(),
            clock: handles.clock.clone(),
            view: handles.view.clone(),
            state: handles.agreement.state(),
            leadership: handles.agreement.leadership(),
            matrix: handles.matrix.clone(),
            fleet: setup.fleet.clone(),
            role,
            logs: handles.telemetry.logs.clone(),
            certificate_ends: setup.secured.as_ref().map(|secured| secured.tls.expires()),
            newest: Mutex::default(),
        });
        let stop_listening = CancellationToken::new();
        let secured = setup.secured;
        listen(&supervisor, setup.listeners, &handles, exposition, setup.switch, secured, &stop_listening);
        tracing::info!(region = %setup.me, fleet = %setup.fleet, "daemon started");
        Ok(Self { me: setup.me, consensus, consensus_tasks, supervisor, stop_listening, handles })
    }

    /// What the API works with; the sandbox narrates from it.
    #[must_use]
    pub const fn handles(&self) -> &Handles {
        &self.handles
    }

    /// Resolves when a part of the daemon has ended that should not have: the process must stop.
    pub async fn failed(&self) {
        self.supervisor.failed().await;
    }

    /// Hands leadership over, stops listening, lets tasks journal what they are at, closes the log: in this order.
    pub async fn stop(self) {
        let members = self.handles.view.now().members;
        let others = members.iter().filter(|region| **region != self.me);
        let now = self.handles.clock.now();
        let matrix = self.handles.matrix.borrow().clone();
        let stale_ms = self.handles.view.stale_after_ms;
        let fresh = others.into_iter().find(|region| matrix.fresh(now, region, stale_ms).is_some());
        // Read beforehand: a borrow kept over the hand-over would keep its own news from being told.
        let leads = self.handles.agreement.leadership().borrow().is_me;
        if let (true, Some(to)) = (leads, fresh) {
            tracing::info!(%to, "handing leadership over");
            let handed = self.handles.agreement.step_aside(to);
            if tokio::time::timeout(STOP_PATIENCE / 2, handed).await.is_err() {
                tracing::warn!("leadership was not taken over in time; the others elect");
            }
        }
        self.stop_listening.cancel();
        self.supervisor.stop(STOP_PATIENCE).await;
        self.consensus.shutdown().await;
        self.consensus_tasks.close();
        if let Some(spans) = self.handles.telemetry.meters.spans().cloned() {
            let _ = tokio::task::spawn_blocking(move || spans.close()).await;
        }
        if tokio::time::timeout(STOP_PATIENCE / 2, self.consensus_tasks.wait()).await.is_err() {
            tracing::warn!("consensus's tasks did not stop in time");
        }
        tracing::info!(region = %self.me, "daemon stopped");
    }

    /// Ends everything where it stands, as a crash would. What was promised is on the disk.
    pub async fn crash(self) {
        self.supervisor.kill();
        self.stop_listening.cancel();
        self.consensus.shutdown().await;
    }
}

/// Counts changes of the leader, exports runs as traces, and puts the log's level back.
fn watch_over(supervisor: &Supervisor, handles: &Handles) {
    let Telemetry { meters, logs } = handles.telemetry.clone();
    supervisor.spawn(TaskKind::Telemetry, logs.keep());
    if let Some(spans) = meters.spans().cloned() {
        let (state, leadership) = (handles.agreement.state(), handles.agreement.leadership());
        supervisor.spawn(TaskKind::Telemetry, spans.follow(state, leadership));
    }
    let mut leadership = handles.agreement.leadership();
    supervisor.spawn(TaskKind::Telemetry, async move {
        let mut known = leadership.borrow_and_update().leader.clone();
        while leadership.changed().await.is_ok() {
            let now = leadership.borrow_and_update().leader.clone();
            if now != known {
                meters.leader_changed();
                known = now;
            }
        }
        std::future::pending::<()>().await;
    });
}

/// What this daemon tells the others of its build.
fn this_build() -> Build {
    Build { version: env!("CARGO_PKG_VERSION").to_owned(), reads: Format::NEWEST }
}

fn listen(
    supervisor: &Supervisor,
    listeners: Listeners,
    handles: &Handles,
    exposition: Arc<Exposition>,
    switch: SwitchSettings,
    secured: Option<Secured>,
    stop: &CancellationToken,
) {
    let (agreement, token) = (handles.agreement.clone(), stop.clone());
    let meters = handles.telemetry.meters.clone();
    let (state, leadership) = (agreement.state(), agreement.leadership());
    let switch = api::switch::serve(listeners.switch, state, leadership, switch, meters, token.clone());
    let known = api::ops::Known { leadership: agreement.leadership(), state: agreement.state(), exposition };
    let ops = api::ops::serve(listeners.ops, known, token.clone());
    let grpc = api::serve(listeners.grpc, handles.clone(), secured, token);
    supervisor.spawn(
        TaskKind::Listener,
        until_stopped("switch", stop.clone(), async { switch.await.map_err(|error| error.to_string()) }),
    );
    supervisor.spawn(
        TaskKind::Listener,
        until_stopped("ops", stop.clone(), async { ops.await.map_err(|error| error.to_string()) }),
    );
    supervisor.spawn(
        TaskKind::Listener,
        until_stopped("grpc", stop.clone(), async { grpc.await.map_err(|error| error.to_string()) }),
    );
}

/// A listener that ends because the daemon is stopping has not failed.
async fn until_stopped(name: &'static str, stop: CancellationToken, serving: impl Future<Output = Result<(), String>>) {
    let ended = serving.await;
    if stop.is_cancelled() {
        std::future::pending::<()>().await;
    }
    tracing::error!(listener = name, error = ?ended.err(), "listener ended");
}

/// Judges every entry as it is applied, by the same invariants that the simulation checks.
fn judge_entries(violations: mpsc::Sender<Violation>, meters: Arc<Meters>) -> OnApplied {
    Arc::new(move |before: &FleetState, entry: &Entry, applied: &Applied, after: &FleetState| {
        meters.applied(before, entry, applied, after);
        for violation in judge(&Transition { before, entry, applied, after }) {
            meters.violated(violation.id);
            tracing::error!(%violation, index = %applied.index, "invariant violated");
            // A full channel holds sixteen of them already: a person will look.
            let _ = violations.try_send(violation);
        }
    })
}

/// A violated invariant turns automatic action off for the whole fleet and goes on record.
async fn report_violations(mut violated: mpsc::Receiver<Violation>, parts: Parts) {
    while let Some(violation) = violated.recv().await {
        let leadership = parts.agreement.leadership().borrow().clone();
        if !leadership.is_me {
            continue;
        }
        let report = Command::Violation { invariant: violation.id.to_owned(), detail: violation.detail };
        for command in [report, Command::Pause { service: None }] {
            let entry = Entry::new(parts.clock.now(), Actor::Daemon(parts.me.clone()), command);
            if let Err(error) = parts.agreement.propose(entry).await {
                tracing::error!(%error, "a violated invariant could not be put on record");
            }
        }
    }
    std::future::pending::<()>().await;
}

/// Peers' consensus messages on their way in.
pub struct Doorway(pub Consensus);

#[async_trait]
impl RaftEndpoint for Doorway {
    async fn handle(&self, message: Vec<u8>, speaker: &Identity) -> Result<Vec<u8>, RaftRefusal> {
        let answer = self.0.handle_raft_of(&message, |region| speaker.speaks_for(region)).await;
        answer.map_err(|error| match error {
            HandleError::Stranger(_) => RaftRefusal::Stranger(error.to_string()),
            other => RaftRefusal::Failed(other.to_string()),
        })
    }
}
