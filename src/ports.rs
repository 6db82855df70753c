//! The edges of the engine: one small trait for each thing it needs done.
//!
//! Adapters and the simulated AWS implement them; the runtime and the domain never learn which.

use std::sync::Arc;

use async_trait::async_trait;
use failoverd_domain::data::store::{BucketState, GlobalCluster, GlobalTable};
use failoverd_domain::fleet::{Applied, Entry, EventHead, FleetState, HistoryEvent, verify_chain};
use failoverd_domain::health::Report;
use failoverd_domain::ids::{Region, RunId, ServiceName};
use failoverd_domain::route53::{Change, HealthCheck, HealthCheckConfig, RecordSet, RecordType};
use failoverd_domain::service::{Canary, Fence, ProbeSpec, Store};
use failoverd_domain::time::Timestamp;
use tokio::sync::watch;

/// Wall clock. Timers use tokio's, which a simulation can pause.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// A call to AWS (or another outside party) that did not end well.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{service} {operation} in {region}: {message} ({code})")]
pub struct CallError {
    /// `rds`, `route53` …
    pub service: &'static str,
    /// `FailoverGlobalCluster` …
    pub operation: &'static str,
    /// The Region asked.
    pub region: Region,
    /// AWS's error code, or `Timeout`, `Unreachable`, `NotConfigured`.
    pub code: String,
    /// AWS's words.
    pub message: String,
    /// What is known of its effect.
    pub effect: Effect,
}

/// What is known of the effect of a call that did not end well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Certainly none; trying again could help.
    NoneRetryable,
    /// Certainly none; trying again will not help.
    None,
    /// Nobody knows: look before acting again.
    Unknown,
}

/// Result of a call.
pub type Call<T> = Result<T, CallError>;

/// Record sets of a hosted zone (Route 53's control plane).
#[async_trait]
pub trait Records: Send + Sync {
    /// All record sets of the zone with that name.
    async fn list(&self, zone: &str) -> Call<Vec<RecordSet>>;
    /// One batch, all or nothing. Returns a change id.
    async fn change(&self, zone: &str, changes: Vec<Change>) -> Call<String>;
    /// Whether every name server has the change (INSYNC).
    async fn in_sync(&self, change: &str) -> Call<bool>;
}

/// Health checks (Route 53's control plane).
#[async_trait]
pub trait HealthChecks: Send + Sync {
    /// All health checks of the account.
    async fn list(&self) -> Call<Vec<HealthCheck>>;
    /// Creates one; the same reference and configuration again gives the same check.
    async fn create(&self, caller_reference: &str, config: HealthCheckConfig) -> Call<HealthCheck>;
    /// Replaces children and threshold of the check at that version; an older version is refused.
    async fn update(&self, check: &HealthCheck, config: HealthCheckConfig) -> Call<HealthCheck>;
}

/// Aurora global clusters (Regional control planes of RDS).
#[async_trait]
pub trait AuroraGlobal: Send + Sync {
    /// The global cluster as the API in `asked_in` describes it.
    async fn describe(&self, asked_in: &Region, global_cluster: &str) -> Call<GlobalCluster>;
    /// `SwitchoverGlobalCluster`, RPO 0.
    async fn switchover(&self, asked_in: &Region, global_cluster: &str, to: &Region) -> Call<()>;
    /// `FailoverGlobalCluster` with data loss allowed, asked in the surviving Region.
    async fn failover(&self, asked_in: &Region, global_cluster: &str, to: &Region) -> Call<()>;
}

/// DynamoDB global tables.
#[async_trait]
pub trait GlobalTables: Send + Sync {
    /// The table and its replicas as the API in `asked_in` describes them.
    async fn describe(&self, asked_in: &Region, table: &str) -> Call<GlobalTable>;
    /// Adds a replica in `region`.
    async fn add_replica(&self, asked_in: &Region, table: &str, region: &Region) -> Call<()>;
}

/// S3 replication.
#[async_trait]
pub trait Buckets: Send + Sync {
    /// Versioning and rules of a bucket.
    async fn describe(&self, region: &Region, bucket: &str) -> Call<BucketState>;
    /// Makes sure that `from` replicates to `to`.
    async fn replicate(&self, region: &Region, from: &str, to: &str, role_arn: Option<&str>) -> Call<()>;
}

/// Canary writes and reads in a store's copy in one Region.
#[async_trait]
pub trait Canaries: Send + Sync {
    /// Writes `version` unless a newer one is there; `Ok` means acknowledged.
    async fn write(&self, at: &CanaryAt<'_>, version: u64) -> Call<()>;
    /// The newest version readable.
    async fn read(&self, at: &CanaryAt<'_>) -> Call<Option<u64>>;
}

/// Where a canary lives.
#[derive(Clone, Copy, Debug)]
pub struct CanaryAt<'a> {
    /// Service.
    pub service: &'a ServiceName,
    /// Store.
    pub store: &'a Store,
    /// How it is measured.
    pub canary: &'a Canary,
    /// The copy's Region.
    pub region: &'a Region,
}

/// Stopping an old writer.
#[async_trait]
pub trait Fences: Send + Sync {
    /// Makes the copy in `region` refuse writes.
    async fn fence(&self, region: &Region, store: &Store, fence: &Fence) -> Call<()>;
    /// Whether it does.
    async fn is_fenced(&self, region: &Region, store: &Store, fence: &Fence) -> Call<bool>;
    /// Lets it take writes again (for a copy that shall serve).
    async fn unfence(&self, region: &Region, store: &Store, fence: &Fence) -> Call<()>;
}

/// CloudWatch figures. A data point is already a minute or two old: its age comes along.
#[async_trait]
pub trait Metrics: Send + Sync {
    /// Replication lag towards `region` in milliseconds, with the age of the data point.
    async fn replication_lag(&self, region: &Region, store: &Store) -> Call<Option<(u64, u64)>>;
    /// Whether the named alarm of `region` is in ALARM; `None`: insufficient data.
    async fn alarm(&self, region: &Region, name: &str) -> Call<Option<bool>>;
}

/// DNS questions to a zone's authoritative servers, never to a cache.
#[async_trait]
pub trait Dns: Send + Sync {
    /// Values of the answer, sorted; empty when there is none.
    async fn ask(&self, name: &str, record_type: RecordType) -> Result<Vec<String>, String>;
}

/// What a probe saw that was not good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotGood {
    /// It is bad, and how.
    Bad(String),
    /// Nobody could tell, and why: says nothing against the service, and nothing for it.
    Unknown(String),
}

/// Probes of signals and references.
#[async_trait]
pub trait Prober: Send + Sync {
    /// `Ok` is good; `Err` says what was seen instead. Bounded by the probe's own timeout.
    async fn probe(&self, probe: &ProbeSpec, region: &Region) -> Result<String, NotGood>;
    /// Whether a reference endpoint outside the fleet answers at all.
    async fn reference(&self, region: &Region) -> bool;
}

/// The fleet's history in this Region's database.
#[async_trait]
pub trait History: Send + Sync {
    /// The newest event stored.
    async fn head(&self) -> Result<EventHead, HistoryError>;
    /// Appends events that follow the head; ones already there are passed over, a gap or a fork is an error.
    async fn append(&self, events: &[HistoryEvent]) -> Result<(), HistoryError>;
    /// Events that match, newest first.
    async fn query(&self, filter: &HistoryFilter) -> Result<Vec<HistoryEvent>, HistoryError>;
    /// Events from `seq` on, oldest first, at most `limit`.
    async fn range(&self, from_seq: u64, limit: u32) -> Result<Vec<HistoryEvent>, HistoryError>;
    /// Walks the whole chain from event 1 and returns its end, to be compared with the fleet's. A contradiction names
    /// the first event that is missing or was changed.
    async fn verify(&self) -> Result<EventHead, HistoryError> {
        let mut head = EventHead::default();
        loop {
            let page = self.range(head.seq + 1, 1_000).await?;
            if page.is_empty() {
                return Ok(head);
            }
            head = verify_chain(&head, &page).map_err(HistoryError::Contradiction)?;
        }
    }
}

/// Which events to return.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryFilter {
    /// Only of this service.
    pub service: Option<ServiceName>,
    /// Only of this run.
    pub run: Option<RunId>,
    /// Only at or after this instant.
    pub since: Option<Timestamp>,
    /// Only of this kind.
    pub kind: Option<String>,
    /// At most so many.
    pub limit: u32,
}

/// Why the history could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// Try again later; nothing is lost.
    #[error("history database is away: {0}")]
    Away(String),
    /// Its content contradicts what the fleet agreed: a person must look.
    #[error("history contradicts the fleet's log: {0}")]
    Contradiction(String),
}

/// Everything that reaches AWS, DNS and probes, as one handle to pass around.
#[derive(Clone)]
pub struct World {
    /// Record sets.
    pub records: Arc<dyn Records>,
    /// Health checks.
    pub health_checks: Arc<dyn HealthChecks>,
    /// Aurora.
    pub aurora: Arc<dyn AuroraGlobal>,
    /// DynamoDB.
    pub tables: Arc<dyn GlobalTables>,
    /// S3.
    pub buckets: Arc<dyn Buckets>,
    /// Canaries.
    pub canaries: Arc<dyn Canaries>,
    /// Fences.
    pub fences: Arc<dyn Fences>,
    /// CloudWatch.
    pub metrics: Arc<dyn Metrics>,
    /// DNS.
    pub dns: Arc<dyn Dns>,
    /// Probes.
    pub prober: Arc<dyn Prober>,
}

/// Agreement with the other daemons: the replicated log as the runtime sees it.
#[async_trait]
pub trait Agreement: Send + Sync {
    /// Commits an entry and applies it here. Only the leader can.
    async fn propose(&self, entry: Entry) -> Result<Applied, ProposeError>;
    /// A linearizable read: fails unless this daemon leads now and has applied everything committed before the call.
    async fn confirm_leadership(&self) -> Result<(), ProposeError>;
    /// The newest applied state.
    fn state(&self) -> watch::Receiver<Arc<FleetState>>;
    /// Who leads, as known here.
    fn leadership(&self) -> watch::Receiver<Leadership>;
    /// Gives leadership up, if held, so that `to` can win the next election.
    async fn step_aside(&self, to: &Region);
}

/// Who leads, as known here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// The leader, if one is known.
    pub leader: Option<Region>,
    /// Whether it is this daemon.
    pub is_me: bool,
    /// The term.
    pub term: u64,
    /// Whether this daemon has caught up with the fleet since its start; until then it answers checkers with silence.
    pub caught_up: bool,
}

/// Why an entry was not committed, or may not have been.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Ask that one instead.
    #[error("this daemon does not lead (leader: {})", leader.as_ref().map_or("none known", |leader| leader.as_str()))]
    NotLeader {
        /// Who does, if known.
        leader: Option<Region>,
    },
    /// Sent, but nobody said whether it was committed.
    #[error("nobody knows whether it was committed: {0}")]
    Unknown(String),
    /// This daemon must stop: its log cannot be written or read.
    #[error("the log failed: {0}")]
    Fatal(String),
}

/// Events that were made here and that the history has not confirmed.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// The oldest unconfirmed events from `from_seq` on, in order, at most `limit`.
    async fn pending(&self, from_seq: u64, limit: usize) -> Vec<HistoryEvent>;
    /// Everything up to `seq` is in this Region's history: it may be forgotten here.
    async fn confirm(&self, seq: u64);
}

/// The other daemons.
#[async_trait]
pub trait Peers: Send + Sync {
    /// A consensus message and its answer.
    async fn raft(&self, to: &Region, message: Vec<u8>) -> Result<Vec<u8>, PeerError>;
    /// Hands over this daemon's newest report.
    async fn share(&self, to: &Region, report: &Report) -> Result<(), PeerError>;
    /// Events from `from_seq` on out of a peer's outbox or history, oldest first.
    async fn events(&self, from: &Region, from_seq: u64, limit: u32) -> Result<Vec<HistoryEvent>, PeerError>;
    /// Asks the leader to propose an entry for us.
    async fn forward(&self, to: &Region, entry: Entry) -> Result<Result<Applied, ProposeError>, PeerError>;
}

/// A peer did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{peer}: {reason}")]
pub struct PeerError {
    /// Whom we asked.
    pub peer: Region,
    /// What was seen.
    pub reason: String,
    /// The message may have arrived all the same.
    pub may_have_arrived: bool,
}
