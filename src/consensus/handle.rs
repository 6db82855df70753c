//! The handle on a daemon's consensus: start, serve, look, stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::time::Duration;

use failoverd_domain::fleet::{Actor, Command, Entry, FleetState};
use failoverd_domain::ids::{LogIndex, Region};
use failoverd_domain::time::Timestamp;
use openraft::error::{InitializeError, RaftError};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::config::{ConsensusConfig, StartError};
use super::disk::Disk;
use super::hearing::Hearing;
use super::identity::Identity;
use super::leadership;
use super::network::{End, Network};
use super::promises::Promises;
pub use super::store::OnApplied;
use super::store::{Acquaintances, LogStore, Machine, OutboxStore, Store};
use super::types::{Raft, node_id};
use crate::ports::{Agreement, Leadership, Outbox, Peers, ProposeError, Tally};

/// A daemon's consensus. Clones are the same.
#[derive(Clone)]
pub struct Consensus {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) raft: Raft,
    pub(super) me: Identity,
    pub(super) config: ConsensusConfig,
    pub(super) network: Network,
    pub(super) hearing: Hearing,
    pub(super) log: LogStore,
    pub(super) state: watch::Receiver<Arc<FleetState>>,
    pub(super) leadership: watch::Receiver<Leadership>,
    /// Set while leadership is being handed over: nothing is proposed meanwhile.
    pub(super) stepping_aside: AtomicBool,
    /// Held while the members change: one change at a time.
    pub(super) changing: tokio::sync::Mutex<()>,
    /// The number of this daemon's disk.
    pub(super) disk: u64,
    /// That disk was made to be added to a fleet.
    pub(super) joins: bool,
    pub(super) acquaintances: Acquaintances,
    /// The newest format that a peer has sent and that is not read here: a person is told of each once.
    pub(super) too_new: AtomicU32,
    /// Messages that made no sense.
    pub(super) nonsense: Arc<Tally>,
    store: Store,
    outbox: OutboxStore,
}

/// Figures of a daemon's consensus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetMetrics {
    /// The term.
    pub term: u64,
    /// The newest entry in this daemon's log.
    pub last_log: Option<LogIndex>,
    /// The newest entry applied here.
    pub applied: LogIndex,
    /// On the leader: milliseconds since a majority last acknowledged it.
    pub quorum_ack_age_ms: Option<u64>,
}

impl Consensus {
    /// Starts on a disk. An unused one begins with the configured members; every member may do so, in any order.
    ///
    /// Others' messages must reach [`Self::handle_raft`] from now on. `on_applied` is called after every entry.
    ///
    /// # Errors
    /// The disk is not this daemon's own or not whole, the configuration contradicts itself, or the log cannot be
    /// continued from.
    pub async fn start(
        config: ConsensusConfig,
        on: &Disk,
        peers: Arc<dyn Peers>,
        tasks: &TaskTracker,
        on_applied: Option<OnApplied>,
    ) -> Result<Self, StartError> {
        let nodes = config.nodes()?;
        let openraft = config.openraft()?;
        let opened = on.open(config.whose(), config.reads)?;
        let (is_fresh, disk, joins) = (opened.is_fresh, opened.owned.disk, opened.owned.joins);
        let me = opened.owned.identity.clone();
        let place = opened.place.clone();
        let broken = |cause: String| StartError::Log { place: place.clone(), cause };

        let store = Store::new(opened).map_err(|error| broken(error.in_full()))?;
        let (publish, state) = watch::channel(Arc::default());
        let acquaintances = Acquaintances::load(store.clone()).map_err(|error| broken(error.in_full()))?;
        let machine = Machine::load(store.clone(), publish, on_applied).map_err(|error| broken(error.in_full()))?;
        let machine = machine.forgetting(acquaintances.clone());
        let hearing = Hearing::new();
        let ended = watch::Sender::new(None);
        let nonsense = Arc::<Tally>::default();
        let network = Network {
            me: me.clone(),
            disk,
            acquaintances: acquaintances.clone(),
            promises: Promises::default(),
            nonsense: nonsense.clone(),
            knows_it_is_refused: Arc::default(),
            ended: ended.clone(),
            state: state.clone(),
            peers,
            hearing: hearing.clone(),
            pause: config.heartbeat,
            lease: config.election_timeout_max,
        };
        let log = LogStore::new(store.clone(), node_id(&config.me));
        let raft = Raft::new(node_id(&config.me), openraft, network.clone(), log.clone(), machine)
            .await
            .map_err(|error| broken(error.to_string()))?;
        if joins {
            if is_fresh {
                tracing::info!(fleet = %me.fleet, generation = %me.generation, "waits to be added to the fleet");
            }
        } else {
            match raft.initialize(nodes).await {
                Ok(()) => tracing::info!(fleet = %me.fleet, region = %me.region, is_fresh, "a new fleet begins here"),
                Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {}
                Err(error) => return Err(broken(error.to_string())),
            }
        }

        let (leadership, watcher) =
            leadership::watch(raft.clone(), network.clone(), state.clone(), config.me.clone(), config.heartbeat);
        tasks.spawn(watcher);
        tasks.spawn(stop_when_ended(raft.clone(), store.clone(), network.clone()));
        tasks.spawn(hearing.clone().watch(raft.metrics(), config.heartbeat, config.election_timeout_max));
        let outbox = OutboxStore::new(store.clone());
        let stepping_aside = AtomicBool::new(false);
        let too_new = AtomicU32::default();
        let inner = Inner {
            raft,
            me,
            config,
            network,
            hearing,
            log,
            state,
            leadership,
            stepping_aside,
            changing: tokio::sync::Mutex::default(),
            disk,
            joins,
            acquaintances,
            too_new,
            nonsense,
            store,
            outbox,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// This daemon's Region.
    #[must_use]
    pub fn me(&self) -> &Region {
        &self.inner.me.region
    }

    /// Events that the history has not confirmed.
    #[must_use]
    pub fn outbox(&self) -> Arc<dyn Outbox> {
        Arc::new(self.inner.outbox.clone())
    }

    /// Figures for the API and metrics.
    #[must_use]
    pub fn fleet_metrics(&self) -> FleetMetrics {
        let metrics = self.inner.raft.metrics();
        let metrics = metrics.borrow();
        FleetMetrics {
            term: metrics.current_term,
            last_log: metrics.last_log_index.map(LogIndex),
            applied: self.inner.state.borrow().applied,
            quorum_ack_age_ms: metrics.millis_since_quorum_ack,
        }
    }

    /// Makes sure that the fleet's first entry is committed. To be called by a daemon that has become leader;
    /// does nothing where the fleet is formed already.
    ///
    /// # Errors
    /// As [`Agreement::propose`].
    pub async fn ensure_formed(&self, now: Timestamp) -> Result<(), ProposeError> {
        // A new leader may not have applied its predecessor's `Form` yet.
        self.confirm_leadership().await?;
        if self.inner.state.borrow().fleet == self.inner.me.fleet {
            return Ok(());
        }
        let config = &self.inner.config;
        let command = Command::Form { fleet: config.fleet.clone(), members: config.members.clone() };
        let actor = Actor::Daemon(config.me.clone());
        self.propose(Entry::new(now, actor, command)).await.map(drop)
    }

    /// Stops taking part, makes everything written durable and gives the disk back. Leadership should have been
    /// handed over before.
    pub async fn shutdown(&self) {
        let stopped = tokio::time::timeout(Duration::from_secs(5), self.inner.raft.shutdown()).await;
        if !matches!(stopped, Ok(Ok(()))) {
            tracing::warn!("consensus did not stop cleanly");
        }
        if let Err(error) = self.inner.store.close() {
            tracing::warn!(error = error.in_full(), "the disk could not be written at the end");
        }
    }
}

/// A daemon that learns that the fleet was recovered without it, or its Region removed, stops and stays stopped: what it and
/// others like it agree on is not what the fleet does any more.
async fn stop_when_ended(raft: Raft, store: Store, network: Network) {
    let (mut ended, mut metrics) = (network.ended.subscribe(), raft.metrics());
    let end = tokio::select! {
        end = ended.wait_for(Option::is_some) => end.ok().and_then(|end| *end),
        at = dismissed(&raft, &network) => at.map(End::Dismissed),
        // Stopped otherwise.
        _ = metrics.wait_for(|metrics| metrics.running_state.is_err()) => None,
    };
    let Some(end) = end else { return };
    let marked = match end {
        End::Superseded(by) => {
            tracing::error!(generation = %by, "the fleet was recovered without this daemon: it stops");
            store.supersede(by)
        }
        End::Dismissed(at) => {
            tracing::error!(
                region = %network.me.region, index = %at,
                "this Region was removed from the fleet: its daemon stops and is not needed any more; to have it back, empty \
                 its data_dir, start it with --join and add it"
            );
            store.dismiss(at)
        }
    };
    if let Err(error) = marked {
        tracing::error!(error = error.in_full(), "the disk could not be marked");
    }
    if raft.shutdown().await.is_err() {
        tracing::warn!("consensus did not stop cleanly");
    }
}

/// When this daemon's own disk was removed, as it knows itself, and its vote is gone: until then the others may need it to
/// agree. `None`: consensus has stopped.
async fn dismissed(raft: &Raft, network: &Network) -> Option<LogIndex> {
    let (mut state, mut metrics) = (network.state.clone(), raft.metrics());
    let id = node_id(&network.me.region);
    loop {
        let at = state.borrow_and_update().dismissed(&network.me.region, network.disk);
        let has_gone = {
            let metrics = metrics.borrow_and_update();
            let members = metrics.membership_config.membership();
            members.voter_ids().next().is_some() && members.voter_ids().all(|voter| voter != id)
        };
        if at.is_some() && has_gone {
            return at;
        }
        tokio::select! {
            changed = state.changed() => changed.ok()?,
            changed = metrics.changed() => changed.ok()?,
        }
    }
}
