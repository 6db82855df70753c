//! A service as its owner declared it, already validated: beyond the manifest reader nobody checks again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{Region, ServiceName, SignalName, StoreName, SwitchGroup};

/// One `FailoverService`, validated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceSpec {
    /// Unique in the fleet.
    pub name: ServiceName,
    /// Free labels for people.
    pub labels: BTreeMap<String, String>,
    /// Active-passive or active-active.
    pub pattern: Pattern,
    /// Two or more; the first is where a *new* service starts and whose bit `on` means, for ever.
    pub regions: Vec<Region>,
    /// Role assumed for everything of the service in AWS; its resources may be in another account.
    #[serde(default)]
    pub role_arn: Option<String>,
    /// Another service that must have moved first.
    pub follows: Option<ServiceName>,
    /// What the owner promised.
    pub objectives: Objectives,
    /// What failoverd may do alone.
    pub policy: Policy,
    /// How health is judged.
    pub health: HealthSpec,
    /// How traffic finds the serving Region.
    pub traffic: Traffic,
    /// What data moves along, in order of declaration.
    pub data: Vec<Store>,
}

impl ServiceSpec {
    /// The switch this service answers to: its own, or the group's.
    #[must_use]
    pub fn switch_group(&self) -> SwitchGroup {
        self.traffic.switch_group.clone().unwrap_or_else(|| SwitchGroup::new(self.name.as_str()))
    }

    /// Whether that is its switch.
    #[must_use]
    pub fn is_of_switch(&self, group: &SwitchGroup) -> bool {
        let own = self.traffic.switch_group.as_ref().map_or(self.name.as_str(), SwitchGroup::as_str);
        own == group.as_str()
    }

    /// The store of that name.
    #[must_use]
    pub fn store(&self, name: &StoreName) -> Option<&Store> {
        self.data.iter().find(|store| &store.name == name)
    }
}

/// How the Regions of a service share the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pattern {
    /// One Region serves, the other stands by.
    ActivePassive,
    /// Several Regions serve; one can be evacuated.
    ActiveActive,
}

/// The owner's objectives, milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Objectives {
    /// Longest acceptable time from breach to verified answers.
    pub rto_ms: u64,
    /// Most acceptable loss, in time of writes.
    pub rpo_ms: u64,
}

/// What may happen without a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Who starts a failover.
    pub failover: Automation,
    /// How long an automatic failover is announced, and can be stopped, before its first step.
    pub announce_ms: u64,
    /// Shortest time between the end of one automatic run and the start of the next.
    pub cooldown_ms: u64,
    /// How long each wave is watched while a Region of an active-active service comes back, milliseconds.
    #[serde(default = "restore_pause")]
    pub restore_pause_ms: u64,
    /// When the loss bound is over the RPO or unknown.
    pub loss_over_budget: OnDoubt,
    /// When the old writer cannot be fenced.
    pub unfenced: OnDoubt,
    /// No drills, returns or graceful moves in these windows.
    pub freeze: Vec<Freeze>,
    /// Automatic failover needs a passed drill this recent.
    pub require_drill_within_ms: Option<u64>,
}

/// How long a wave is watched where the manifest does not say, milliseconds.
pub const RESTORE_PAUSE_MS: u64 = 300_000;

const fn restore_pause() -> u64 {
    RESTORE_PAUSE_MS
}

/// Who starts a failover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Automation {
    /// A proven breach does.
    Automatic,
    /// A proven breach proposes, a person approves.
    Approval,
    /// Only a person.
    Manual,
}

/// What a doubt does to an automatic run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnDoubt {
    /// Ask a person.
    Approval,
    /// The policy consents beforehand.
    Proceed,
}

/// A recurring window in which nothing is moved for practice or convenience.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    /// When it starts: five-field cron.
    pub cron: String,
    /// How long it lasts.
    pub duration_ms: u64,
    /// IANA time zone of the cron expression.
    pub timezone: String,
}

/// How health is judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HealthSpec {
    /// A signal must be bad this long without a break.
    pub breach_after_ms: u64,
    /// A signal that was bad must be good this long without a break.
    pub recover_after_ms: u64,
    /// At least one required.
    pub signals: Vec<Signal>,
}

/// One health input; asked once per Region of the service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Signal {
    /// Unique in the service.
    pub name: SignalName,
    /// Whether it can prove a breach.
    pub weight: Weight,
    /// How it is asked.
    pub probe: ProbeSpec,
}

/// Whether a signal can prove a breach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// All required signals bad = broken.
    Required,
    /// Explains, never proves.
    Advisory,
}

/// How a signal is asked. `{region}` in texts stands for the Region asked about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeSpec {
    /// An HTTP(S) GET.
    Http {
        /// May contain `{region}`.
        url: String,
        /// Between probes; the daemon's `probe_interval` when absent.
        interval_ms: Option<u64>,
        /// The whole request.
        timeout_ms: u64,
        /// The only status that is good.
        expect_status: u16,
    },
    /// A TCP connect.
    Tcp {
        /// `host:port`, may contain `{region}`.
        address: String,
        /// Between probes; the daemon's `probe_interval` when absent.
        interval_ms: Option<u64>,
        /// The connect.
        timeout_ms: u64,
    },
    /// A CloudWatch alarm of the Region asked about.
    CloudwatchAlarm {
        /// May contain `{region}`.
        name: String,
    },
}

impl ProbeSpec {
    /// The text with `{region}` filled in: URL, address or alarm name.
    #[must_use]
    pub fn target_in(&self, region: &Region) -> String {
        let text = match self {
            Self::Http { url, .. } => url,
            Self::Tcp { address, .. } => address,
            Self::CloudwatchAlarm { name } => name,
        };
        text.replace("{region}", region.as_str())
    }

    /// Milliseconds between probes where the manifest says so.
    #[must_use]
    pub const fn interval_ms(&self) -> Option<u64> {
        match self {
            Self::Http { interval_ms, .. } | Self::Tcp { interval_ms, .. } => *interval_ms,
            Self::CloudwatchAlarm { .. } => None,
        }
    }

    /// Milliseconds that one probe may take; an alarm is one call among others and has no limit of its own.
    #[must_use]
    pub const fn timeout_ms(&self) -> u64 {
        match self {
            Self::Http { timeout_ms, .. } | Self::Tcp { timeout_ms, .. } => *timeout_ms,
            Self::CloudwatchAlarm { .. } => 0,
        }
    }
}

/// How traffic finds the serving Region.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    /// Zone name without a trailing dot.
    pub hosted_zone: String,
    /// How the switch reaches Route 53's checkers.
    pub switch: SwitchTransport,
    /// Shared with other services that always move together.
    pub switch_group: Option<SwitchGroup>,
    /// The public records.
    pub records: Vec<PublicRecord>,
}

/// How the switch reaches Route 53's checkers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SwitchTransport {
    /// Daemons answer the checkers.
    Http,
    /// A CloudWatch metric and alarm per Region.
    Cloudwatch,
    /// Records are changed through Route 53's API only; never automatic (I5).
    None,
}

/// One public name and where each Region's answer lives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PublicRecord {
    /// Fully qualified, without a trailing dot.
    pub name: String,
    /// `A`, `AAAA`, `CNAME`.
    pub record_type: crate::route53::RecordType,
    /// The public routing policy.
    pub routing: Routing,
    /// Seconds; absent for aliases.
    pub ttl_s: Option<u32>,
    /// One per Region of the service.
    pub targets: BTreeMap<Region, Target>,
}

/// The public routing policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Routing {
    /// Primary while healthy, else secondary.
    Failover,
    /// Nearest Region by latency.
    Latency,
    /// By the asker's place.
    Geolocation,
    /// By weight.
    Weighted,
}

/// Where one Region answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// What stands in the record.
    pub endpoint: Endpoint,
    /// Geolocation only: the places that this Region serves.
    pub geo: Vec<crate::route53::Location>,
    /// Weighted only, 0–255.
    pub weight: Option<u8>,
}

/// What stands in a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// An alias to an AWS resource.
    Alias(crate::route53::AliasTarget),
    /// Plain values.
    Values(Vec<String>),
}

/// One data store that moves with the service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Store {
    /// Unique in the service.
    pub name: StoreName,
    /// What it is.
    pub kind: StoreKind,
    /// How its real replication lag is measured.
    pub canary: Option<Canary>,
    /// How its old writer is stopped.
    pub fence: Option<Fence>,
}

/// What a data store is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreKind {
    /// Aurora global database.
    Aurora {
        /// Global cluster identifier.
        global_cluster: String,
        /// Cluster identifier per Region.
        clusters: BTreeMap<Region, String>,
    },
    /// RDS instances: a writer, and a cross-Region read replica that is promoted.
    Rds {
        /// Instance identifier per Region.
        instances: BTreeMap<Region, String>,
        /// After a move, put the old primary aside and make a new replica the other way.
        rebuild: bool,
    },
    /// DynamoDB global table (2019.11.21).
    Dynamodb {
        /// Table name, the same in every Region.
        table: String,
        /// Create missing replicas.
        ensure_replicas: bool,
        /// Every Region that has, or shall have, a replica: the service's own, and perhaps others.
        #[serde(default)]
        replicas: Vec<Region>,
        /// How to make the table where there is none.
        #[serde(default)]
        create: Option<NewTable>,
    },
    /// S3 replication between buckets.
    S3 {
        /// Bucket per Region.
        buckets: BTreeMap<Region, String>,
        /// Keep rules both ways.
        bidirectional: bool,
        /// The role S3 assumes to replicate.
        role_arn: Option<String>,
        /// Ask for replication time control: 15 minutes by contract, and metrics, at a price.
        #[serde(default)]
        time_control: bool,
    },
}

/// A table that is made where there is none: on demand, with streams of new and old images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewTable {
    /// Partition key.
    pub partition_key: KeyAttribute,
    /// Sort key, if any.
    pub sort_key: Option<KeyAttribute>,
}

/// A key attribute of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyAttribute {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: KeyType,
}

/// Type of a key attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyType {
    /// `S`.
    String,
    /// `N`.
    Number,
    /// `B`.
    Binary,
}

impl StoreKind {
    /// Whether exactly one Region writes, so that moving it means promoting.
    #[must_use]
    pub const fn has_single_writer(&self) -> bool {
        matches!(self, Self::Aurora { .. } | Self::Rds { .. })
    }
}

/// How real replication lag is measured: a versioned write a second, read back elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Canary {
    /// A row, through the DSN in this environment variable.
    Dsn {
        /// Name of the environment variable.
        dsn_env: String,
    },
    /// An item in this table.
    Table {
        /// Table name.
        table: String,
    },
    /// An object under this prefix.
    Prefix {
        /// Key prefix, ending in `/`.
        prefix: String,
    },
}

/// How an old writer is stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fence {
    /// Swap in a security group that lets nobody in.
    SecurityGroup(BTreeMap<Region, String>),
}
