//! S3 buckets: versioning, replication rules, and objects that arrive some time later.
//!
//! A replica (`x-amz-replication-status: REPLICA`) is not replicated on, so rules both ways make no loop. A new rule
//! does not touch objects that are already there.

use std::collections::BTreeMap;

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
    pub(super) rules: Vec<String>,
    failed: u64,
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
            rules: bucket.rules.iter().map(|to| rule(to)).collect(),
            has_objects: self.buckets.objects.holds_any(name),
            pending: Some(self.buckets.objects.undelivered_from(name).writes),
            failed: Some(bucket.failed),
        })
    }

    /// `PutBucketReplication` with one more rule. A rule that is there already stays.
    pub fn replicate_bucket(&mut self, region: &Region, wish: &ReplicationWish<'_>) -> Result<(), Refusal> {
        let ReplicationWish { from, to, role_arn: role, .. } = *wish;
        let bucket = self.buckets.bucket(region, from)?;
        let changed = !bucket.rules.iter().any(|rule| rule == to);
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
            bucket.rules.push(to.to_owned());
        }
        self.note(Service::S3, "PutBucketReplication", region, format!("{from} -> {to}"), changed);
        Ok(())
    }

    /// `PutObject`, unless a version as new or newer is there (`If-Match` on what was read).
    pub fn put_object(&mut self, region: &Region, bucket: &str, key: &str, version: u64) -> Result<(), Refusal> {
        let rules = self.buckets.bucket(region, bucket)?.rules.clone();
        if !self.buckets.objects.accepts(bucket, key, version) {
            let message = "At least one of the pre-conditions you specified did not hold";
            return Err(Refusal::new("PreconditionFailed", message));
        }
        let written = Written { version, at_ms: self.now_ms, by: bucket.to_owned() };
        self.buckets.objects.put(key, written.clone());
        for to in rules {
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
        self.buckets.bucket(region, bucket)?;
        Ok(self.buckets.objects.read(bucket, key).map(|written| written.version))
    }
}

impl SimulatedAws {
    /// Makes a bucket. One that exists stays as it is.
    pub fn create_bucket(&self, region: &Region, name: &str, versioning: bool) {
        self.with(|world| {
            let made = || Bucket { region: region.clone(), versioning, rules: Vec::new(), failed: 0 };
            world.buckets.buckets.entry(name.to_owned()).or_insert_with(made);
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
            if let Some(bucket) = bucket.filter(|bucket| !bucket.rules.iter().any(|rule| rule == to)) {
                bucket.rules.push(to.to_owned());
            }
        });
    }
}

fn rule(to: &str) -> ReplicationRule {
    ReplicationRule {
        to: to.to_owned(),
        enabled: true,
        is_whole: true,
        replica_modifications: true,
        delete_markers: false,
        time_control: false,
    }
}
