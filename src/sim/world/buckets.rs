//! S3 buckets: versioning, replication rules, and what S3 says of a bucket.
//!
//! A replica (`x-amz-replication-status: REPLICA`) is not replicated on, so rules both ways make no loop. A new rule
//! does not touch objects that are already there.

use std::collections::BTreeMap;
use std::sync::Arc;

use failoverd_domain::data::store::{BucketState, ReplicationRule};
use failoverd_domain::ids::Region;

use super::faults::Service;
use super::refusal::Refusal;
use super::replication::Replication;
use super::{ACCOUNT, Moment, SimulatedAws, World};
use crate::ports::ReplicationWish;

/// All buckets.
#[derive(Clone, Debug, Default)]
pub struct Buckets {
    pub(super) buckets: BTreeMap<String, Bucket>,
    pub(super) objects: Replication,
    pub(super) lags_ms: BTreeMap<String, u64>,
    /// Version ids that were given out.
    pub(super) versions: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Bucket {
    pub(super) region: Region,
    pub(super) versioning: Versioning,
    pub(super) rules: Vec<BucketRule>,
    role: String,
    /// The replication configuration as whoever put it will want to see it again.
    configuration: Option<Arc<[u8]>>,
    tags: BTreeMap<String, String>,
    created_ms: u64,
    /// Writes that a rule covered and no destination could take.
    pub(super) failed: u64,
}

/// Whether overwritten objects stay beneath.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versioning {
    /// It never was on.
    Off,
    /// Every write makes a version.
    Enabled,
    /// What was a version stays one; new writes are none.
    Suspended,
}

/// A replication rule as the simulated S3 obeys it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketRule {
    /// What it does.
    pub rule: ReplicationRule,
    /// Its id.
    pub id: String,
    /// The higher one wins where several cover an object.
    pub priority: i64,
    /// Keys that it covers begin so.
    pub prefix: String,
    /// Tags that an object must carry.
    pub tags: Vec<(String, String)>,
    /// Whether CloudWatch is told how far it is behind.
    pub metrics: bool,
}

impl BucketRule {
    pub(super) fn covers(&self, key: &str, tags: &BTreeMap<String, String>) -> bool {
        let is_tagged = |(name, value): &(String, String)| tags.get(name) == Some(value);
        self.rule.enabled && key.starts_with(&self.prefix) && self.tags.iter().all(is_tagged)
    }
}

impl Bucket {
    fn new(region: &Region, versioning: Versioning, created_ms: u64) -> Self {
        Self {
            region: region.clone(),
            versioning,
            rules: Vec::new(),
            role: String::new(),
            configuration: None,
            tags: BTreeMap::new(),
            created_ms,
            failed: 0,
        }
    }

    pub(super) fn is_versioned(&self) -> bool {
        self.versioning == Versioning::Enabled
    }

    fn replicates_to(&self, bucket: &str) -> bool {
        self.rules.iter().any(|held| held.rule.to == bucket && held.rule.enabled)
    }
}

impl Buckets {
    pub(super) fn advance(&mut self, moment: Moment<'_>) {
        let (buckets, lags) = (&self.buckets, &self.lags_ms);
        let linked = |from: &str, to: &str| match (buckets.get(from), buckets.get(to)) {
            (Some(from), Some(to)) => moment.faults.linked(&from.region, &to.region),
            _ => false,
        };
        let lag_ms = |to: &str| lags.get(to).copied().unwrap_or(moment.timing.bucket_lag_ms);
        self.objects.deliver(moment.now_ms, linked, lag_ms);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &Bucket)> {
        self.buckets.iter()
    }

    /// A bucket, asked for in a Region.
    pub(super) fn bucket(&self, region: &Region, name: &str) -> Result<&Bucket, Refusal> {
        let found = self.buckets.get(name);
        let found = found
            .ok_or_else(|| Refusal::new("NoSuchBucket", format!("The specified bucket does not exist: {name}")))?;
        if &found.region == region {
            return Ok(found);
        }
        let message = format!(
            "The bucket you are attempting to access must be addressed using the specified endpoint: {name} is in {}.",
            found.region
        );
        Err(Refusal::new("PermanentRedirect", message))
    }

    fn bucket_mut(&mut self, region: &Region, name: &str) -> Result<&mut Bucket, Refusal> {
        self.bucket(region, name)?;
        self.buckets.get_mut(name).ok_or_else(|| Refusal::new("NoSuchBucket", "The specified bucket does not exist"))
    }

    fn is_versioned(&self, name: &str) -> bool {
        self.buckets.get(name).is_some_and(Bucket::is_versioned)
    }

    /// What `PutBucketReplication` looks at beyond the configuration itself.
    fn may_replicate<'a>(&self, from: &Bucket, name: &str, to: impl Iterator<Item = &'a str>) -> Result<(), Refusal> {
        let invalid = |message: &str| Err(Refusal::new("InvalidRequest", message));
        if !from.is_versioned() {
            return invalid("Versioning must be 'Enabled' on the bucket to apply a replication configuration");
        }
        for to in to {
            if to == name {
                return invalid("Destination bucket cannot be the same as the source bucket.");
            }
            if !self.buckets.contains_key(to) {
                return invalid("Destination bucket must exist.");
            }
            if !self.is_versioned(to) {
                return invalid("Destination bucket must have versioning enabled.");
            }
        }
        Ok(())
    }
}

impl World {
    /// `GetBucketVersioning`, `GetBucketReplication`, and what is pending.
    pub fn describe_bucket(&self, region: &Region, name: &str) -> Result<BucketState, Refusal> {
        let bucket = self.buckets.bucket(region, name)?;
        Ok(BucketState {
            bucket: name.to_owned(),
            versioning: bucket.is_versioned(),
            rules: bucket.rules.iter().map(|held| held.rule.clone()).collect(),
            has_objects: self.buckets.objects.holds_any(name),
            pending: Some(self.buckets.objects.undelivered_from(name).writes),
            failed: Some(bucket.failed),
        })
    }

    /// `PutBucketReplication` with one more rule. A rule that is there already stays.
    pub fn replicate_bucket(&mut self, region: &Region, wish: &ReplicationWish<'_>) -> Result<(), Refusal> {
        let ReplicationWish { from, to, role_arn, both_ways, time_control } = *wish;
        let bucket = self.buckets.bucket(region, from)?;
        let changed = !bucket.replicates_to(to);
        if role_arn.is_none() && bucket.role.is_empty() && changed {
            return Err(Refusal::new("InvalidRequest", "Role must be specified to replicate a bucket"));
        }
        self.buckets.may_replicate(bucket, from, std::iter::once(to))?;
        let priority = bucket.rules.iter().map(|held| held.priority).max().unwrap_or(0) + 1;
        let mut added = BucketRule { priority, metrics: time_control, ..rule(to) };
        (added.rule.replica_modifications, added.rule.time_control) = (both_ways, time_control);
        let bucket = self.buckets.bucket_mut(region, from)?;
        if changed {
            bucket.rules.push(added);
            bucket.configuration = None;
            bucket.role = role_arn.map_or_else(|| bucket.role.clone(), str::to_owned);
        }
        self.note(Service::S3, "PutBucketReplication", region, format!("{from} -> {to}"), changed);
        Ok(())
    }

    /// `CreateBucket`. In us-east-1 an own bucket may be made again.
    pub fn make_bucket(&mut self, region: &Region, name: &str) -> Result<(), Refusal> {
        if let Some(held) = self.buckets.buckets.get(name) {
            if held.region == *region && region.as_str() == "us-east-1" {
                return Ok(());
            }
            let message = "Your previous request to create the named bucket succeeded and you already own it.";
            return Err(Refusal::new("BucketAlreadyOwnedByYou", message));
        }
        let bucket = Bucket::new(region, Versioning::Off, self.now_ms);
        self.buckets.buckets.insert(name.to_owned(), bucket);
        self.note(Service::S3, "CreateBucket", region, name.to_owned(), true);
        Ok(())
    }

    /// `DeleteBucket`: only one without any version.
    pub fn delete_bucket(&mut self, region: &Region, name: &str) -> Result<(), Refusal> {
        self.buckets.bucket(region, name)?;
        if self.buckets.objects.holds_any_version(name) {
            return Err(Refusal::new("BucketNotEmpty", "The bucket you tried to delete is not empty"));
        }
        self.buckets.buckets.remove(name);
        self.buckets.objects.drop_place(name);
        self.note(Service::S3, "DeleteBucket", region, name.to_owned(), true);
        Ok(())
    }

    /// Every bucket with its Region, and when it was made.
    pub fn bucket_names(&self) -> impl Iterator<Item = (&String, &Region, u64)> {
        self.buckets.buckets.iter().map(|(name, bucket)| (name, &bucket.region, bucket.created_ms))
    }

    /// Where a bucket is, wherever one asks.
    #[must_use]
    pub fn bucket_region(&self, name: &str) -> Option<&Region> {
        self.buckets.buckets.get(name).map(|bucket| &bucket.region)
    }

    /// `GetBucketVersioning`.
    pub fn versioning(&self, region: &Region, name: &str) -> Result<Versioning, Refusal> {
        Ok(self.buckets.bucket(region, name)?.versioning)
    }

    /// `PutBucketVersioning`. What is replicated must stay versioned.
    pub fn put_versioning(&mut self, region: &Region, name: &str, versioning: Versioning) -> Result<(), Refusal> {
        let bucket = self.buckets.bucket_mut(region, name)?;
        if versioning != Versioning::Enabled && !bucket.rules.is_empty() {
            let message = "A replication configuration is present on this bucket, so you cannot change the versioning state. To change the versioning state, first delete the replication configuration.";
            return Err(Refusal::new("InvalidBucketState", message));
        }
        let changed = std::mem::replace(&mut bucket.versioning, versioning) != versioning;
        self.note(Service::S3, "PutBucketVersioning", region, format!("{name} {versioning:?}"), changed);
        Ok(())
    }

    /// `GetBucketReplication`: role and rules, and the configuration as somebody put it.
    pub fn replication(&self, region: &Region, name: &str) -> Result<Replicated, Refusal> {
        let bucket = self.buckets.bucket(region, name)?;
        let role = match bucket.role.is_empty() {
            true => format!("arn:aws:iam::{ACCOUNT}:role/s3-replication"),
            false => bucket.role.clone(),
        };
        Ok(Replicated { role, rules: bucket.rules.clone(), configuration: bucket.configuration.clone() })
    }

    /// `PutBucketReplication`, the whole configuration.
    pub fn put_replication(&mut self, region: &Region, name: &str, wanted: Replicated) -> Result<(), Refusal> {
        let bucket = self.buckets.bucket(region, name)?;
        let to: Vec<&str> = wanted.rules.iter().map(|held| held.rule.to.as_str()).collect();
        self.buckets.may_replicate(bucket, name, to.iter().copied())?;
        let arguments = format!("{name} -> {}", to.join(", "));
        let bucket = self.buckets.bucket_mut(region, name)?;
        let changed = bucket.rules != wanted.rules;
        (bucket.role, bucket.rules, bucket.configuration) = (wanted.role, wanted.rules, wanted.configuration);
        self.note(Service::S3, "PutBucketReplication", region, arguments, changed);
        Ok(())
    }

    /// `DeleteBucketReplication`. What is under way arrives all the same.
    pub fn delete_replication(&mut self, region: &Region, name: &str) -> Result<(), Refusal> {
        let bucket = self.buckets.bucket_mut(region, name)?;
        let changed = !bucket.rules.is_empty();
        bucket.rules.clear();
        (bucket.configuration, bucket.role) = (None, String::new());
        self.note(Service::S3, "DeleteBucketReplication", region, name.to_owned(), changed);
        Ok(())
    }

    /// `GetBucketTagging`.
    pub fn bucket_tags(&self, region: &Region, name: &str) -> Result<&BTreeMap<String, String>, Refusal> {
        Ok(&self.buckets.bucket(region, name)?.tags)
    }

    /// `PutBucketTagging`, all of them; `DeleteBucketTagging` with none.
    pub fn tag_bucket(&mut self, region: &Region, name: &str, tags: BTreeMap<String, String>) -> Result<(), Refusal> {
        let bucket = self.buckets.bucket_mut(region, name)?;
        let changed = bucket.tags != tags;
        bucket.tags = tags;
        self.note(Service::S3, "PutBucketTagging", region, name.to_owned(), changed);
        Ok(())
    }
}

/// A bucket's replication configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replicated {
    /// ARN of the role that copies.
    pub role: String,
    /// Its rules.
    pub rules: Vec<BucketRule>,
    /// As somebody put it, where somebody did.
    pub configuration: Option<Arc<[u8]>>,
}

impl SimulatedAws {
    /// Makes a bucket. One that exists stays as it is.
    pub fn create_bucket(&self, region: &Region, name: &str, versioning: bool) {
        let versioning = if versioning { Versioning::Enabled } else { Versioning::Off };
        self.with(|world| {
            let made = Bucket::new(region, versioning, world.now_ms);
            world.buckets.buckets.entry(name.to_owned()).or_insert(made);
        });
    }

    /// Turns versioning of a bucket on, or suspends it.
    pub fn set_versioning(&self, name: &str, on: bool) {
        self.with(|world| {
            if let Some(bucket) = world.buckets.buckets.get_mut(name) {
                bucket.versioning = if on { Versioning::Enabled } else { Versioning::Suspended };
            }
        });
    }

    /// Lets a bucket replicate to another, as if set up beforehand, with metrics.
    pub fn set_rule(&self, from: &str, to: &str) {
        self.with(|world| {
            let bucket = world.buckets.buckets.get_mut(from);
            if let Some(bucket) = bucket.filter(|bucket| !bucket.replicates_to(to)) {
                let priority = i64::try_from(bucket.rules.len()).unwrap_or(0) + 1;
                bucket.rules.push(BucketRule { priority, ..rule(to) });
            }
        });
    }
}

/// A rule over everything.
fn rule(to: &str) -> BucketRule {
    let rule = ReplicationRule {
        to: to.to_owned(),
        enabled: true,
        is_whole: true,
        replica_modifications: true,
        delete_markers: false,
        time_control: false,
    };
    let (prefix, tags) = (String::new(), Vec::new());
    BucketRule { rule, id: format!("rule-{to}"), priority: 1, prefix, tags, metrics: true }
}
