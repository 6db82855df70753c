//! The edges of the engine: one small trait for each thing it needs done.
//!
//! Adapters and the simulated AWS implement them; the runtime and the domain never learn which.

mod fleet;
mod keys;
mod members;
mod rehearsals;
mod retries;
mod steady;
mod tally;
mod viewpoint;
mod webhooks;

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use failoverd_domain::data::store::{BucketState, DbInstance, GlobalCluster, GlobalTable};
use failoverd_domain::ids::{Region, ServiceName};
use failoverd_domain::route53::{Change, HealthCheck, HealthCheckConfig, RecordSet, RecordType};
use failoverd_domain::service::{Canary, Fence, NewTable, ProbeSpec, Store};
use failoverd_domain::time::Timestamp;
use failoverd_domain::traffic::{Heard, SwitchAlarm};

pub use fleet::{Agreement, Leadership, Outbox, PeerError, Peers, ProposeError};
pub use keys::KeySource;
pub use members::{Asked, MemberSeen, Members, MembersError};
pub use rehearsals::{Observed, Rehearsals, Rehearsed};
pub use retries::{Backoff, RetryBudget};
pub use steady::{Correction, SteadyClock};
pub use tally::Tally;
pub use viewpoint::Viewpoint;
pub use webhooks::{Hook, Undelivered, Webhooks};

mod history;

pub use history::{
    Anchor, History, HistoryError, HistoryFilter, LEAST_KEPT, Removed, Retention, Verified, holds, tells_our_past,
};

/// Wall clock. Timers use tokio's, which a simulation can pause.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;

    /// What it made of a machine's clock that was set.
    fn correction(&self) -> Correction {
        Correction::default()
    }
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

/// How much of something is used, and how much may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Used now.
    pub used: u64,
    /// At most.
    pub limit: u64,
}

/// A hosted zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneInfo {
    /// Name without a trailing dot.
    pub name: String,
    /// Route 53's id, `Z…`.
    pub id: String,
    /// Record sets in it.
    pub records: Quota,
}

/// How old a listing may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// A few seconds: one that others have asked for will do. For whoever looks again and again.
    Shared,
    /// As it is now. For people who ask.
    Now,
}

/// Record sets of a hosted zone (Route 53's control plane).
#[async_trait]
pub trait Records: Send + Sync {
    /// The public zone of that name. Refused when there is none, only a private one, or two.
    async fn zone(&self, zone: &str) -> Call<ZoneInfo>;
    /// All record sets of the zone with that name. Shared, as a thousand services may look at one zone at once.
    async fn list(&self, zone: &str, age: Age) -> Call<Arc<Vec<RecordSet>>>;
    /// One batch, all or nothing. Returns a change id.
    async fn change(&self, zone: &str, changes: Vec<Change>) -> Call<String>;
    /// Whether every name server has the change (INSYNC).
    async fn in_sync(&self, change: &str) -> Call<bool>;
}

/// Health checks (Route 53's control plane).
#[async_trait]
pub trait HealthChecks: Send + Sync {
    /// All health checks of the account.
    async fn list(&self, age: Age) -> Call<Arc<Vec<HealthCheck>>>;
    /// Creates one; the same reference and configuration again gives the same check.
    async fn create(&self, caller_reference: &str, config: HealthCheckConfig) -> Call<HealthCheck>;
    /// Replaces children and threshold of the check at that version; an older version is refused.
    async fn update(&self, check: &HealthCheck, config: HealthCheckConfig) -> Call<HealthCheck>;
    /// Removes a check that nothing refers to any more.
    async fn delete(&self, check: &HealthCheck) -> Call<()>;
    /// Health checks of the account, and how many it may have.
    async fn quota(&self) -> Call<Quota>;
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
    /// Snapshots in `region` of the volume of `cluster` as it was before an unplanned failover: the writes that were lost.
    async fn lost_writes(&self, region: &Region, cluster: &str) -> Call<Vec<String>>;
}

/// RDS instances with cross-Region read replicas (Regional control planes of RDS).
#[async_trait]
pub trait DbInstances: Send + Sync {
    /// The instance; `None` when there is none of that name.
    async fn describe(&self, region: &Region, instance: &str) -> Call<Option<DbInstance>>;
    /// `PromoteReadReplica`: a one-way door; the replica reboots.
    async fn promote(&self, region: &Region, instance: &str) -> Call<()>;
    /// `CreateDBInstanceReadReplica` in `region`, of the instance with that ARN in another Region, in its class.
    async fn create_replica(&self, region: &Region, instance: &str, source: &DbInstance) -> Call<()>;
    /// Renames an instance, so that its endpoint answers nobody and its name is free. Nothing is deleted.
    async fn put_aside(&self, region: &Region, instance: &str, new_name: &str) -> Call<()>;
}

/// DynamoDB global tables.
#[async_trait]
pub trait GlobalTables: Send + Sync {
    /// The table and its replicas as the API in `asked_in` describes them.
    async fn describe(&self, asked_in: &Region, table: &str) -> Call<GlobalTable>;
    /// Makes the table in one Region, on demand, with streams of new and old images.
    async fn create(&self, region: &Region, table: &str, new: &NewTable) -> Call<()>;
    /// Turns streams of new and old images on: a table without them cannot be replicated.
    async fn enable_streams(&self, region: &Region, table: &str) -> Call<()>;
    /// Adds a replica in `region`. One change at a time.
    async fn add_replica(&self, asked_in: &Region, table: &str, region: &Region) -> Call<()>;
    /// Deletes the replica in `region`, with its data. Only ever asked for by a person by name.
    async fn remove_replica(&self, asked_in: &Region, table: &str, region: &Region) -> Call<()>;
}

/// A rule that a bucket shall have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicationWish<'a> {
    /// Source bucket.
    pub from: &'a str,
    /// Destination bucket.
    pub to: &'a str,
    /// The role that S3 assumes; absent: the one that the bucket's rules name already.
    pub role_arn: Option<&'a str>,
    /// Replicate changes of replicas' metadata too: needed when there are rules both ways.
    pub both_ways: bool,
    /// Replication time control.
    pub time_control: bool,
}

/// S3 replication.
#[async_trait]
pub trait Buckets: Send + Sync {
    /// Versioning and rules of a bucket.
    async fn describe(&self, region: &Region, bucket: &str) -> Call<BucketState>;
    /// Adds that rule to those that the bucket in `region` has; other rules stay as they are.
    async fn replicate(&self, region: &Region, wish: &ReplicationWish<'_>) -> Call<()>;
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
    /// Publishes figures of the fleet itself, under the namespace `failoverd`.
    async fn publish(&self, region: &Region, figures: &[Figure]) -> Call<()>;
}

/// One figure of the fleet's own state.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Metric name, for example `Serving`.
    pub name: &'static str,
    /// Dimensions by name, for example `Service`.
    pub dimensions: Vec<(&'static str, String)>,
    /// The figure.
    pub value: f64,
    /// Whether it outweighs what was said before it in the averages of its minute, by AWS's clock
    /// ([`word_weight`](failoverd_domain::traffic::word_weight)). Other figures count once.
    pub newest_decides: bool,
}

/// An alarm as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandingAlarm {
    /// What it is.
    pub alarm: SwitchAlarm,
    /// In ALARM or not; `None`: insufficient data.
    pub state: Option<bool>,
}

/// CloudWatch alarms that failoverd makes: those that Route 53 follows for switches.
#[async_trait]
pub trait Alarms: Send + Sync {
    /// Those of the named alarms that there are in a Region, as they are.
    async fn describe(&self, region: &Region, names: &[String]) -> Call<Vec<StandingAlarm>>;
    /// Makes an alarm, or makes the one of that name so. Twice is as good as once.
    async fn put(&self, region: &Region, alarm: &SwitchAlarm) -> Call<()>;
}

/// An API action on a resource, as IAM policies name them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Action {
    /// `rds:FailoverGlobalCluster`.
    pub name: String,
    /// ARN, or `*` where the API knows no resources.
    pub resource: String,
}

/// Whom AWS takes this daemon for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Twelve digits.
    pub account: String,
    /// ARN of the user or assumed role.
    pub arn: String,
    /// `aws`, `aws-cn`, `aws-us-gov`.
    pub partition: String,
}

/// What this daemon may do, by IAM's own simulation (`SimulatePrincipalPolicy`).
#[async_trait]
pub trait Permissions: Send + Sync {
    /// Whom AWS takes this daemon for (`GetCallerIdentity`).
    async fn identity(&self) -> Call<Identity>;
    /// Those of `actions` that would be refused, each with IAM's word.
    async fn denied(&self, actions: &[Action]) -> Call<Vec<(Action, String)>>;
}

/// Roles in the accounts of services.
pub trait Roles: Send + Sync {
    /// Everything outside, with that role assumed. Assuming it happens at the first call.
    fn assuming(&self, role_arn: &str) -> World;
}

/// DNS questions to a zone's authoritative servers, never to a cache.
#[async_trait]
pub trait Dns: Send + Sync {
    /// The answer and how long caches may keep it; without values when there is none.
    async fn ask(&self, name: &str, record_type: RecordType) -> Result<Heard, String>;
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
    /// The same through a public name, at an address that the zone's servers answered for it.
    async fn through(&self, probe: &ProbeSpec, name: &str, address: IpAddr) -> Result<String, NotGood>;
    /// Whether a reference endpoint outside the fleet answers at all.
    async fn reference(&self, region: &Region) -> bool;
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
    /// RDS instances.
    pub instances: Arc<dyn DbInstances>,
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
    /// Alarms of switches.
    pub alarms: Arc<dyn Alarms>,
    /// IAM.
    pub permissions: Arc<dyn Permissions>,
    /// Other roles.
    pub roles: Arc<dyn Roles>,
    /// DNS.
    pub dns: Arc<dyn Dns>,
    /// Probes.
    pub prober: Arc<dyn Prober>,
}

impl World {
    /// The world for a service's resources: as itself, or with the service's role assumed. DNS and probes stay.
    #[must_use]
    pub fn acting_as(&self, role_arn: Option<&str>) -> Self {
        let Some(role_arn) = role_arn else { return self.clone() };
        Self { dns: self.dns.clone(), prober: self.prober.clone(), ..self.roles.assuming(role_arn) }
    }
}
