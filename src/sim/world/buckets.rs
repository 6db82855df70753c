//! S3 buckets: versioning, replication rules, and objects that arrive some time later.
//!
//! A replica (`x-amz-replication-status: REPLICA`) is not replicated on, so rules both ways make no loop. A new rule
//! does not touch objects that are already there.

use std::collections::BTreeMap;
use std::sync::Arc;

use failoverd_domain::data::store::{BucketState, ReplicationRule};
use failoverd_domain::ids::Region;

use super::faults::Service;
use super::refusal::Refusal;
use super::replication::{Replication, Written};
use super::{Moment, SimulatedAws, World};
use crate::ports::ReplicationWish;

/// All buckets.
#[derive(Clone, Debug, Default)]
pub struct Buckets {
    buckets: BTreeMap<String, Bucket>,
    pub(super) objects: Replication,
    pub(super) lags_ms: BTreeMap<String, u64>,
}

#[derive(Clone, Debug)]
pub(super) struct Bucket {
    pub(super) region: Region,
    versioning: bool,
    pub(super) rules: Vec<BucketRule>,
    /// The replication configuration word for word, as whoever put it will want to see it again.
    configuration: Option<Arc<[u8]>>,
    failed: u64,
}

/// The rules of a bucket, and the configuration word for word.
type Replicated = (Vec<BucketRule>, Option<Arc<[u8]>>);

/// A replication rule as the simulated S3 obeys it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketRule {
    /// What it does.
    pub rule: ReplicationRule,
    /// Its id.
    pub id: String,
    /// Keys that it covers begin so.
    pub prefix: String,
}

impl Bucket {
    pub(super) fn replicates_to(&self, bucket: &str) -> bool {
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
    fn bucket(&self, region: &Region, name: &str) -> Result<&Bucket, Refusal> {
        let found = self.buckets.get(name);
        let found = found
            .ok_or_else(|| Refusal::new("NoSuchBucket", format!("The specified bucket does not exist: {name}")))?;
        if &found.region == region {
            return Ok(found);
        }
        let message = format!("The bucket {name} is in {}; it must be addressed there.", found.region);
        Err(Refusal::new("PermanentRedirect", message))
    }
}

impl World {
    /// `GetBucketVersioning`, `GetBucketReplication`, and what is pending.
    pub fn describe_bucket(&self, region: &Region, name: &str) -> Result<BucketState, Refusal> {
        let bucket = self.buckets.bucket(region, name)?;
        Ok(BucketState {
            bucket: name.to_owned(),
            versioning: bucket.versioning,
            rules: bucket.rules.iter().map(|held| held.rule.clone()).collect(),
            has_objects: self.buckets.objects.holds_any(name),
            pending: Some(self.buckets.objects.undelivered_from(name).writes),
            failed: Some(bucket.failed),
        })
    }

    /// `PutBucketReplication` with one more rule. A rule that is there already stays.
    pub fn replicate_bucket(&mut self, region: &Region, wish: &ReplicationWish<'_>) -> Result<(), Refusal> {
        let ReplicationWish { from, to, role_arn: role, .. } = *wish;
        let bucket = self.buckets.bucket(region, from)?;
        let changed = !bucket.replicates_to(to);
        if role.is_none() && changed {
            return Err(Refusal::new("InvalidRequest", "Role must be specified to replicate a bucket"));
        }
        if !bucket.versioning {
            let message = "Versioning must be 'Enabled' on the bucket to apply a replication configuration";
            return Err(Refusal::new("InvalidRequest", message));
        }
        if !self.buckets.buckets.get(to).is_some_and(|destination| destination.versioning) {
            return Err(Refusal::new("InvalidRequest", "Destination bucket must have versioning enabled."));
        }
        if let Some(bucket) = self.buckets.buckets.get_mut(from).filter(|_| changed) {
            bucket.rules.push(rule(to));
            bucket.configuration = None;
        }
        self.note(Service::S3, "PutBucketReplication", region, format!("{from} -> {to}"), changed);
        Ok(())
    }

    /// `PutObject`, unless a version as new or newer is there (`If-Match` on what was read).
    pub fn put_object(&mut self, region: &Region, bucket: &str, key: &str, version: u64) -> Result<(), Refusal> {
        self.buckets.bucket(region, bucket)?;
        if !self.buckets.objects.accepts(bucket, key, version) {
            return Err(precondition_failed());
        }
        self.put_object_as(region, bucket, key, version, None)
    }

    /// `PutObject` whatever is there, with what a stranger wrote.
    pub fn put_object_as(
        &mut self,
        region: &Region,
        bucket: &str,
        key: &str,
        version: u64,
        payload: Option<Arc<[u8]>>,
    ) -> Result<(), Refusal> {
        let rules = &self.buckets.bucket(region, bucket)?.rules;
        let covers = |held: &&BucketRule| held.rule.enabled && key.starts_with(&held.prefix);
        let to: Vec<String> = rules.iter().filter(covers).map(|held| held.rule.to.clone()).collect();
        let written = Written { version, at_ms: self.now_ms, by: bucket.to_owned(), payload };
        self.buckets.objects.put(key, written.clone());
        for to in to {
            if self.buckets.buckets.get(&to).is_some_and(|destination| destination.versioning) {
                let lag_ms = self.buckets.lags_ms.get(&to).copied().unwrap_or(self.timing.bucket_lag_ms);
                self.buckets.objects.send(key, &written, &to, self.now_ms + self.draws.about(lag_ms));
            } else if let Some(source) = self.buckets.buckets.get_mut(bucket) {
                source.failed += 1;
            }
        }
        Ok(())
    }

    /// `GetObject`: the version that a bucket shows.
    pub fn get_object(&self, region: &Region, bucket: &str, key: &str) -> Result<Option<u64>, Refusal> {
        Ok(self.object(region, bucket, key)?.map(|written| written.version))
    }

    /// `GetObject`: all that a bucket shows.
    pub fn object(&self, region: &Region, bucket: &str, key: &str) -> Result<Option<&Written>, Refusal> {
        self.buckets.bucket(region, bucket)?;
        Ok(self.buckets.objects.read(bucket, key))
    }

    /// `x-amz-replication-status` of an object, if it has one.
    #[must_use]
    pub fn replication_status(&self, bucket: &str, key: &str) -> Option<&'static str> {
        let written = self.buckets.objects.read(bucket, key)?;
        if written.by != bucket {
            return Some("REPLICA");
        }
        let rules = &self.buckets.buckets.get(bucket)?.rules;
        let covered = rules.iter().any(|held| held.rule.enabled && key.starts_with(&held.prefix));
        let pending = self.buckets.objects.is_under_way(bucket, key);
        covered.then_some(if pending { "PENDING" } else { "COMPLETED" })
    }

    /// `ListObjectsV2`: keys that begin so, in order.
    pub fn object_keys(&self, region: &Region, bucket: &str, prefix: &str) -> Result<Vec<(String, Written)>, Refusal> {
        self.buckets.bucket(region, bucket)?;
        let all = self.buckets.objects.all(bucket).filter(|(key, _)| key.starts_with(prefix));
        Ok(all.map(|(key, written)| (key.clone(), written.clone())).collect())
    }

    /// `DeleteObject`. Here an object goes with its versions, and no delete marker stays.
    pub fn delete_object(&mut self, region: &Region, bucket: &str, key: &str) -> Result<(), Refusal> {
        self.buckets.bucket(region, bucket)?;
        self.buckets.objects.remove(bucket, key);
        Ok(())
    }

    /// `CreateBucket`.
    pub fn make_bucket(&mut self, region: &Region, name: &str) -> Result<(), Refusal> {
        if self.buckets.buckets.contains_key(name) {
            let message = "Your previous request to create the named bucket succeeded and you already own it.";
            return Err(Refusal::new("BucketAlreadyOwnedByYou", message));
        }
        self.buckets.buckets.insert(name.to_owned(), Bucket::new(region, false));
        Ok(())
    }

    /// `DeleteBucket`: only an empty one.
    pub fn delete_bucket(&mut self, region: &Region, name: &str) -> Result<(), Refusal> {
        self.buckets.bucket(region, name)?;
        if self.buckets.objects.holds_any(name) {
            return Err(Refusal::new("BucketNotEmpty", "The bucket you tried to delete is not empty"));
        }
        self.buckets.buckets.remove(name);
        Ok(())
    }

    /// Every bucket with its Region.
    pub fn bucket_names(&self) -> impl Iterator<Item = (&String, &Region)> {
        self.buckets.buckets.iter().map(|(name, bucket)| (name, &bucket.region))
    }

    /// `PutBucketVersioning`.
    pub fn put_versioning(&mut self, region: &Region, name: &str, on: bool) -> Result<(), Refusal> {
        if !on && !self.buckets.bucket(region, name)?.rules.is_empty() {
            let message =
                "A replication configuration is present on this bucket, so you cannot change the versioning state.";
            return Err(Refusal::new("InvalidBucketState", message));
        }
        self.buckets.bucket(region, name)?;
        if let Some(bucket) = self.buckets.buckets.get_mut(name) {
            bucket.versioning = on;
        }
        Ok(())
    }

    /// `GetBucketReplication`: the rules, and the configuration word for word where somebody put one.
    pub fn replication(&self, region: &Region, name: &str) -> Result<Replicated, Refusal> {
        let bucket = self.buckets.bucket(region, name)?;
        Ok((bucket.rules.clone(), bucket.configuration.clone()))
    }

    /// `PutBucketReplication`, the whole configuration; `DeleteBucketReplication` with none.
    pub fn put_replication(
        &mut self,
        region: &Region,
        name: &str,
        rules: Vec<BucketRule>,
        configuration: Option<Arc<[u8]>>,
    ) -> Result<(), Refusal> {
        let bucket = self.buckets.bucket(region, name)?;
        if !bucket.versioning && configuration.is_some() {
            let message = "Versioning must be 'Enabled' on the bucket to apply a replication configuration";
            return Err(Refusal::new("InvalidRequest", message));
        }
        let is_versioned = |to: &String| self.buckets.buckets.get(to).is_some_and(|bucket| bucket.versioning);
        if !rules.iter().all(|held| is_versioned(&held.rule.to)) {
            return Err(Refusal::new("InvalidRequest", "Destination bucket must have versioning enabled."));
        }
        let to: Vec<&str> = rules.iter().map(|held| held.rule.to.as_str()).collect();
        let arguments = format!("{name} -> {}", to.join(", "));
        let changed = bucket.rules != rules;
        self.note(Service::S3, "PutBucketReplication", region, arguments, changed);
        if let Some(bucket) = self.buckets.buckets.get_mut(name) {
            (bucket.rules, bucket.configuration) = (rules, configuration);
        }
        Ok(())
    }
}

impl SimulatedAws {
    /// Makes a bucket. One that exists stays as it is.
    pub fn create_bucket(&self, region: &Region, name: &str, versioning: bool) {
        self.with(|world| {
            world.buckets.buckets.entry(name.to_owned()).or_insert_with(|| Bucket::new(region, versioning));
        });
    }

    /// Turns versioning of a bucket on or off (S3 would suspend it).
    pub fn set_versioning(&self, name: &str, on: bool) {
        self.with(|world| {
            if let Some(bucket) = world.buckets.buckets.get_mut(name) {
                bucket.versioning = on;
            }
        });
    }

    /// Lets a bucket replicate to another, as if set up beforehand.
    pub fn set_rule(&self, from: &str, to: &str) {
        self.with(|world| {
            let bucket = world.buckets.buckets.get_mut(from);
            if let Some(bucket) = bucket.filter(|bucket| !bucket.replicates_to(to)) {
                bucket.rules.push(rule(to));
            }
        });
    }
}

impl Bucket {
    fn new(region: &Region, versioning: bool) -> Self {
        Self { region: region.clone(), versioning, rules: Vec::new(), configuration: None, failed: 0 }
    }
}

fn precondition_failed() -> Refusal {
    Refusal::new("PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
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
    BucketRule { rule, id: format!("rule-{to}"), prefix: String::new() }
}
