//! Readiness: named checks of a service, of its stores' copies and of what surrounds them, out of what AWS said.
//!
//! Pure: the observer (and `apply`) ask, these functions judge. Whether a copy could take over ([`overall`]) follows from
//! its checks and from nothing else. A check says what to do; it must never be first noticed during a failover.

mod aurora;
mod bucket;
mod instance;
pub mod names;
mod service;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::reading::ReplicaReadiness;
use crate::data::loss::Loss;
use crate::data::store::{BucketState, DbInstance, GlobalCluster, GlobalTable};
use crate::ids::{Region, ServiceName, StoreName};
use crate::service::{ServiceSpec, Store, StoreKind};

pub use service::{Room, Standing, check_quota, health_checks, permissions, record_quota, records_drift, zone_found};

/// One named question about readiness, answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// One of [`names`]; a newer daemon may know others.
    pub name: String,
    /// The answer.
    pub verdict: Verdict,
    /// Why, in one sentence; where it is not ready, also what to do.
    pub reason: String,
}

/// The answer of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As it should be.
    Ready,
    /// Not as it should be, but no hindrance: it never keeps a copy from taking over.
    Note,
    /// Nobody could be asked.
    Unknown,
    /// It would not work.
    NotReady,
}

impl Verdict {
    /// The word users see.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Note => "note",
            Self::Unknown => "unknown",
            Self::NotReady => "not-ready",
        }
    }
}

impl Check {
    fn new(name: &str, verdict: Verdict, reason: impl Into<String>) -> Self {
        Self { name: name.to_owned(), verdict, reason: reason.into() }
    }

    fn ready(name: &str, reason: impl Into<String>) -> Self {
        Self::new(name, Verdict::Ready, reason)
    }

    fn note(name: &str, reason: impl Into<String>) -> Self {
        Self::new(name, Verdict::Note, reason)
    }

    fn not_ready(name: &str, reason: impl Into<String>) -> Self {
        Self::new(name, Verdict::NotReady, reason)
    }

    fn unknown(name: &str, reason: impl Into<String>) -> Self {
        Self::new(name, Verdict::Unknown, reason)
    }
}

/// What one look found: the checks of a copy, or of the service as a whole. They share an age, and travel together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sheet {
    /// Service.
    pub service: ServiceName,
    /// What was looked at: one of [`names::topics`]. A newer sheet of the same service, topic, store and Region replaces
    /// an older one whole.
    pub topic: String,
    /// Store; absent for what concerns the whole service.
    pub store: Option<StoreName>,
    /// Region; absent for what has none (Route 53).
    pub region: Option<Region>,
    /// How old the look was when this was sent, milliseconds.
    pub age_ms: u64,
    /// Its checks.
    pub checks: Vec<Check>,
}

/// What AWS said about one copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// An Aurora global cluster, as the copy's Region describes it.
    Cluster(GlobalCluster),
    /// An RDS instance; `None` when there is none of that name.
    Instance(Option<DbInstance>),
    /// A DynamoDB table.
    Table(GlobalTable),
    /// A bucket.
    Bucket(BucketState),
}

impl Fact {
    /// Whether AWS says that the copy in `region` is the writer; `None` where every copy writes.
    #[must_use]
    pub fn writes(&self, region: &Region) -> Option<bool> {
        match self {
            Self::Cluster(cluster) => cluster.members.get(region).map(|member| member.is_writer),
            Self::Instance(instance) => instance.as_ref().map(DbInstance::is_writer),
            Self::Table(_) | Self::Bucket(_) => None,
        }
    }
}

/// AWS said nothing of use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoAnswer {
    /// AWS's error code, or `Timeout`, `Unreachable`, `NotConfigured`.
    pub code: String,
    /// Who was asked for what, and the words of the answer.
    pub words: String,
}

impl NoAnswer {
    /// Whether AWS knows for sure that it is not there.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        self.code.starts_with("NoSuch") || self.code.contains("NotFound")
    }

    /// Whether AWS refused to answer whoever asked.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        ["AccessDenied", "Unauthorized", "NotAuthorized", "AuthorizationError", "Forbidden"]
            .iter()
            .any(|word| self.code.contains(word))
            || self.code == "403"
    }

    /// A check that this leaves without an answer, or with a sure no.
    fn about(&self, name: &str, advice: &str) -> Check {
        if self.is_absence() {
            return Check::not_ready(name, format!("{}: {advice}", self.words));
        }
        Check::unknown(name, self.words.clone())
    }

    /// That a role may not, as a check of its own.
    fn denied(&self) -> Option<Check> {
        self.is_refusal().then(|| {
            let advice = "grant it: failoverctl iam-policy prints what is needed";
            Check::not_ready(names::PERMISSIONS, format!("{}: {advice}", self.words))
        })
    }
}

/// One copy of a store, and what is known of it and of the others.
#[derive(Clone, Copy, Debug)]
pub struct CopyCase<'a> {
    /// The service.
    pub spec: &'a ServiceSpec,
    /// The store.
    pub store: &'a Store,
    /// The copy's Region.
    pub region: &'a Region,
    /// Where the service writes: its primary, or each Region of an active-active one.
    pub serving: &'a [Region],
    /// What the copy's own Region said now.
    pub own: Result<&'a Fact, &'a NoAnswer>,
    /// What the other Regions said last, whenever that was: a Region that is gone must not make its survivor unknown.
    pub others: &'a BTreeMap<Region, Fact>,
}

impl CopyCase<'_> {
    fn serves(&self) -> bool {
        self.serving.contains(self.region)
    }

    /// The facts of the other Regions where the service writes.
    fn sources(&self) -> impl Iterator<Item = (&Region, Option<&Fact>)> {
        self.serving.iter().filter(|region| *region != self.region).map(|region| (region, self.others.get(region)))
    }
}

/// The checks of one copy, the lag left out: [`lag_in_budget`] tells that from a loss quote.
#[must_use]
pub fn copy_checks(case: &CopyCase<'_>) -> Vec<Check> {
    let fact = match case.own {
        Ok(fact) => fact,
        Err(no) => {
            let present = no.about(names::REPLICA_PRESENT, advice_when_absent(&case.store.kind));
            return no.denied().into_iter().chain([present]).collect();
        }
    };
    match (&case.store.kind, fact) {
        (StoreKind::Aurora { clusters, .. }, Fact::Cluster(cluster)) => aurora::checks(case, clusters, cluster),
        (StoreKind::Rds { instances, .. }, Fact::Instance(instance)) => {
            instance::checks(case, instances, instance.as_ref())
        }
        (StoreKind::Dynamodb { ensure_replicas, replicas, .. }, Fact::Table(table)) => {
            let wanted = if replicas.is_empty() { &case.spec.regions } else { replicas };
            table::checks(case, *ensure_replicas, wanted, table)
        }
        (StoreKind::S3 { buckets, bidirectional, .. }, Fact::Bucket(bucket)) => {
            bucket::checks(case, buckets, *bidirectional, bucket)
        }
        _ => vec![Check::unknown(names::REPLICA_PRESENT, "AWS answered for another kind of store")],
    }
}

const fn advice_when_absent(kind: &StoreKind) -> &'static str {
    match kind {
        StoreKind::Aurora { .. } => {
            "only a global cluster can move: make one of the cluster (aws rds create-global-cluster --source-db-cluster-identifier …) and add a secondary, or correct aurora.global_cluster"
        }
        StoreKind::Rds { .. } => "make a cross-Region read replica of that name, or correct rds.instances",
        StoreKind::Dynamodb { .. } => {
            "create the table, say dynamodb.create, correct the name, or name the role_arn of its account"
        }
        StoreKind::S3 { .. } => "create the bucket, correct s3.buckets, or name the role_arn of its account",
    }
}

/// Whether the loss that is to be expected is within the objective. Over it is a note: guard `rpo-budget` decides what
/// that means, by the policy.
#[must_use]
pub fn lag_in_budget(loss: &Loss, rpo_ms: u64) -> Check {
    match loss.bound {
        Some(bound) if bound <= rpo_ms => Check::ready(
            names::LAG_IN_BUDGET,
            format!("at most {bound} ms of writes would be lost, {rpo_ms} ms are allowed"),
        ),
        Some(bound) => {
            let reason = format!("{bound} ms of writes would be lost, {rpo_ms} ms are allowed: {}", loss.reason);
            Check::note(names::LAG_IN_BUDGET, reason)
        }
        None => Check::unknown(names::LAG_IN_BUDGET, loss.reason.clone()),
    }
}

/// Whether the copy could take over, by its checks: a no of any of them is a no, and where one that is vital was not
/// answered nobody knows. Notes never matter.
#[must_use]
pub fn overall(checks: &[Check]) -> ReplicaReadiness {
    let first = |verdict: Verdict, counts: fn(&str) -> bool| {
        checks.iter().find(|check| check.verdict == verdict && counts(&check.name))
    };
    let said = |check: &Check| format!("{}: {}", check.name, check.reason);
    match (first(Verdict::NotReady, |_| true), first(Verdict::Unknown, names::is_vital)) {
        (Some(no), _) => ReplicaReadiness::NotReady(said(no)),
        (None, Some(unasked)) => ReplicaReadiness::Unknown(said(unasked)),
        (None, None) => ReplicaReadiness::Ready,
    }
}
