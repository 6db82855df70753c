//! Three daemons on a bus in memory, with disks that survive them.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use failoverd_domain::fleet::{Actor, Applied, Command, Entry, HistoryEvent, Role};
use failoverd_domain::format::Format;
use failoverd_domain::health::Report;
use failoverd_domain::ids::{Generation, Region};
use failoverd_domain::time::Timestamp;
use failoverd_domain::traffic::{LookUp, Sighting, SwitchEndpoint};
use tokio_util::task::TaskTracker;

use crate::consensus::{Consensus, ConsensusConfig, Disk, MemoryDisk, OnApplied, StartError, seed_elections};
use crate::ports::{Agreement, Leadership, ProposeError};
use crate::sim::bus::{Bus, Endpoint};

pub(super) const REGIONS: [&str; 3] = ["eu-west-1", "us-east-1", "us-west-2"];

/// Runs a scenario on paused time with seeded elections.
pub(super) fn simulate<T>(seed: u64, scenario: impl Future<Output = T>) -> T {
    let _seeded = seed_elections(seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(scenario)
}

pub(super) fn config(me: &str) -> ConsensusConfig {
    ConsensusConfig {
        me: me.into(),
        fleet: "prod".into(),
        join: None,
        members: REGIONS.iter().map(|region| (Region::from(*region), Role::Member)).collect(),
        switch: Some(SwitchEndpoint { host: format!("switch.{me}.example.com"), port: 443, https: true }),
        heartbeat: Duration::from_millis(150),
        election_timeout_min: Duration::from_millis(300),
        election_timeout_max: Duration::from_millis(600),
        snapshot_every: 20,
        reads: Format::NEWEST,
    }
}

pub(super) fn pause() -> Entry {
    entry(Command::Pause { service: None })
}

pub(super) fn entry(command: Command) -> Entry {
    Entry::new(Timestamp(1), Actor::Operator("alice".into()), command)
}

/// An endpoint that serves consensus and proposals.
pub(super) struct Served(pub(super) Consensus);

#[async_trait]
impl Endpoint for Served {
    async fn raft(&self, message: Vec<u8>) -> Result<Vec<u8>, String> {
        self.0.handle_raft(&message).await.map_err(|error| error.to_string())
    }

    async fn share(&self, _: Report) -> Result<(), String> {
        Ok(())
    }

    async fn events(&self, from_seq: u64, limit: u32) -> Result<Vec<HistoryEvent>, String> {
        Ok(self.0.outbox().pending(from_seq, limit as usize).await)
    }

    async fn forward(&self, entry: Entry) -> Result<Applied, ProposeError> {
        self.0.propose(entry).await
    }

    async fn look_up(&self, _: LookUp) -> Result<Sighting, String> {
        Err("only consensus runs here".to_owned())
    }
}

/// What every daemon applied, in order: `(virtual ms, region, index, newest event)`.
pub(super) type Trace = Arc<Mutex<Vec<(u128, String, u64, u64)>>>;

/// Three daemons.
pub(super) struct Fleet {
    pub(super) bus: Bus,
    pub(super) disks: BTreeMap<Region, MemoryDisk>,
    /// What each daemon reads, where it is not what this build does.
    pub(super) reads: BTreeMap<Region, Format>,
    /// Whom each daemon's configuration names, where it is not the three.
    pub(super) names: BTreeMap<Region, Vec<&'static str>>,
    /// Whose empty disks wait to be added to a fleet of some generation.
    pub(super) joins: BTreeMap<Region, Generation>,
    pub(super) running: BTreeMap<Region, Consensus>,
    pub(super) trace: Trace,
    tasks: TaskTracker,
    since: tokio::time::Instant,
}

impl Fleet {
    /// Three daemons on fresh disks, started and formed.
    pub(super) async fn formed(seed: u64) -> Self {
        let fleet = Self::started(seed).await;
        let leader = fleet.leader().await;
        fleet.running[&leader].ensure_formed(Timestamp(1)).await.unwrap();
        fleet.settle().await;
        fleet
    }

    pub(super) async fn started(seed: u64) -> Self {
        let bus = Bus::new(seed);
        bus.set_latency(Duration::from_millis(20), Duration::from_millis(10));
        let mut fleet = Self {
            bus,
            disks: REGIONS.iter().map(|region| (Region::from(*region), MemoryDisk::new())).collect(),
            reads: BTreeMap::new(),
            names: BTreeMap::new(),
            joins: BTreeMap::new(),
            running: BTreeMap::new(),
            trace: Trace::default(),
            tasks: TaskTracker::new(),
            since: tokio::time::Instant::now(),
        };
        for region in REGIONS {
            fleet.start(&region.into()).await.unwrap();
        }
        fleet
    }

    pub(super) async fn start(&mut self, region: &Region) -> Result<(), StartError> {
        let disk = Disk::Memory(self.disks[region].clone());
        let (trace, since, me) = (self.trace.clone(), self.since, region.to_string());
        let on_applied: OnApplied = Arc::new(move |_, _, applied, state| {
            let at = since.elapsed().as_micros();
            trace.lock().unwrap().push((at, me.clone(), applied.index.0, state.head.seq));
        });
        let reads = self.reads.get(region).copied().unwrap_or(Format::NEWEST);
        let mut config = ConsensusConfig { reads, join: self.joins.get(region).copied(), ..config(region.as_str()) };
        if let Some(names) = self.names.get(region) {
            config.members = names.iter().map(|name| (Region::from(*name), Role::Member)).collect();
        }
        let peers = self.bus.peers(region.clone());
        let consensus = Consensus::start(config, &disk, peers, &self.tasks, Some(on_applied)).await?;
        self.bus.attach(region.clone(), Arc::new(Served(consensus.clone())));
        self.running.insert(region.clone(), consensus);
        Ok(())
    }

    /// Power off: what was not synced is gone.
    pub(super) async fn crash(&mut self, region: &Region) {
        self.disks[region].crash();
        self.bus.detach(region);
        self.running.remove(region).unwrap().shutdown().await;
    }

    /// Stops in order.
    pub(super) async fn stop(&mut self, region: &Region) {
        self.bus.detach(region);
        self.running.remove(region).unwrap().shutdown().await;
    }

    /// The Region that leads, once one does and knows it.
    pub(super) async fn leader(&self) -> Region {
        self.leader_but(None).await
    }

    /// The Region that leads and is not `not`.
    pub(super) async fn leader_but(&self, not: Option<&Region>) -> Region {
        for _ in 0..2000 {
            let leading = |consensus: &&Consensus| consensus.leadership().borrow().is_me && Some(consensus.me()) != not;
            let newest = self.running.values().filter(leading).max_by_key(|leader| leader.fleet_metrics().term);
            if let Some(leader) = newest {
                return leader.me().clone();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("nobody leads");
    }

    /// Commits an entry, whoever leads.
    pub(super) async fn commit(&self, entry: Entry) -> Applied {
        for _ in 0..100 {
            let leader = self.leader().await;
            match self.running[&leader].propose(entry.clone()).await {
                Ok(applied) => return applied,
                Err(ProposeError::NotLeader { .. }) => tokio::time::sleep(Duration::from_millis(50)).await,
                Err(error) => panic!("{error}"),
            }
        }
        panic!("no leader takes it");
    }

    /// Waits until all that run have applied the same.
    pub(super) async fn settle(&self) {
        for _ in 0..2000 {
            let applied = |consensus: &Consensus| {
                let metrics = consensus.fleet_metrics();
                (metrics.applied.0, metrics.last_log.map(|index| index.0))
            };
            let mut all = self.running.values().map(applied);
            let first = all.next().unwrap();
            if first.1 == Some(first.0) && all.all(|other| other == first) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("they do not agree");
    }

    pub(super) async fn seen(&self, region: &Region, wanted: impl Fn(&Leadership) -> bool) -> bool {
        let mut leadership = self.running[region].leadership();
        tokio::time::timeout(Duration::from_secs(20), leadership.wait_for(wanted)).await.is_ok_and(|seen| seen.is_ok())
    }

    pub(super) async fn seqs(&self, region: &Region) -> Vec<u64> {
        self.running[region].outbox().pending(0, 10_000).await.iter().map(|event| event.seq).collect()
    }

    pub(super) fn others(region: &Region) -> [Region; 2] {
        let mut others = REGIONS.iter().map(|name| Region::from(*name)).filter(|other| other != region);
        [others.next().unwrap(), others.next().unwrap()]
    }
}
