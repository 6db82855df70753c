//! Objects in buckets: versions, marks of deletion, and copies that arrive some time later.

use std::collections::BTreeMap;
use std::sync::Arc;

use failoverd_domain::ids::Region;

use super::World;
use super::buckets::Versioning;
use super::refusal::Refusal;
use super::replication::{Payload, Written};
use super::stored_object::StoredObject;

/// What `PutObject` brings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewObject {
    /// The bytes.
    pub body: Vec<u8>,
    /// In quotes.
    pub etag: String,
    /// Kept headers by name.
    pub headers: BTreeMap<String, String>,
    /// Its tags, which rules may ask for.
    pub tags: BTreeMap<String, String>,
    /// The version that ports see: a canary's own.
    pub version: Option<u64>,
}

/// What `DeleteObject` did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// The version that was taken away, or the mark that was made.
    pub version_id: Option<String>,
    /// Whether that is a mark of deletion.
    pub is_marker: bool,
}

/// One version in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedVersion {
    /// Its key.
    pub key: String,
    /// What was written.
    pub written: Written,
    /// Whether it is the newest of its key.
    pub is_latest: bool,
}

impl World {
    /// `PutObject`, unless a version as new or newer is there (`If-Match` on what was read).
    pub fn put_object(&mut self, region: &Region, bucket: &str, key: &str, version: u64) -> Result<(), Refusal> {
        self.buckets.bucket(region, bucket)?;
        if !self.buckets.objects.accepts(bucket, key, version) {
            let message = "At least one of the pre-conditions you specified did not hold";
            return Err(Refusal::new("PreconditionFailed", message));
        }
        let (to, has_failed) = self.destinations(region, bucket, key, &BTreeMap::new(), false)?;
        self.count_failure(bucket, has_failed);
        let written = self.written(bucket, key, version, None);
        self.buckets.objects.put(key, written.clone());
        self.send_object(key, &written, &to);
        Ok(())
    }

    /// `PutObject` whatever is there, with what a stranger wrote; the new version's id, if there are versions.
    pub fn store_object(
        &mut self,
        region: &Region,
        bucket: &str,
        key: &str,
        new: NewObject,
    ) -> Result<Option<String>, Refusal> {
        let (to, has_failed) = self.destinations(region, bucket, key, &new.tags, false)?;
        let version_id = self.next_version_id(region, bucket)?;
        self.count_failure(bucket, has_failed);
        let held = self.buckets.objects.read(bucket, key).map_or(0, |written| written.version);
        let object = StoredObject {
            body: new.body.into(),
            etag: new.etag,
            version_id: version_id.clone(),
            headers: new.headers,
            is_marker: false,
            sent_to: to.clone(),
            has_failed,
        };
        let written = self.written(bucket, key, new.version.unwrap_or(held + 1), Some(object));
        self.place_object(region, bucket, key, &written)?;
        self.send_object(key, &written, &to);
        Ok(version_id)
    }

    /// `DeleteObject`: in a versioned bucket a mark, which rules may replicate; else the object goes.
    pub fn delete_object(&mut self, region: &Region, bucket: &str, key: &str) -> Result<Deleted, Refusal> {
        if self.buckets.bucket(region, bucket)?.versioning == Versioning::Off {
            self.buckets.objects.remove_version(bucket, key, |_| true);
            return Ok(Deleted::default());
        }
        let (to, _) = self.destinations(region, bucket, key, &BTreeMap::new(), true)?;
        let version_id = self.next_version_id(region, bucket)?;
        let held = self.buckets.objects.read(bucket, key).map_or(0, |written| written.version);
        let marker = StoredObject {
            body: Arc::default(),
            etag: String::new(),
            version_id: version_id.clone(),
            headers: BTreeMap::new(),
            is_marker: true,
            sent_to: to.clone(),
            has_failed: false,
        };
        let written = self.written(bucket, key, held + 1, Some(marker));
        self.place_object(region, bucket, key, &written)?;
        self.send_object(key, &written, &to);
        Ok(Deleted { version_id: Some(version_id.unwrap_or_else(|| "null".to_owned())), is_marker: true })
    }

    /// `DeleteObject` of one version, for good. It is not replicated.
    pub fn delete_version(
        &mut self,
        region: &Region,
        bucket: &str,
        key: &str,
        version_id: &str,
    ) -> Result<Deleted, Refusal> {
        self.buckets.bucket(region, bucket)?;
        let removed = self.buckets.objects.remove_version(bucket, key, |written| is_version(written, version_id));
        let is_marker = removed.is_some_and(|written| written.is_gone());
        Ok(Deleted { version_id: Some(version_id.to_owned()), is_marker })
    }

    /// `GetObject`: the version that a bucket shows.
    pub fn get_object(&self, region: &Region, bucket: &str, key: &str) -> Result<Option<u64>, Refusal> {
        let found = self.object(region, bucket, key)?.filter(|written| !written.is_gone());
        Ok(found.map(|written| written.version))
    }

    /// `GetObject`: all that a bucket shows, be it a mark of deletion.
    pub fn object(&self, region: &Region, bucket: &str, key: &str) -> Result<Option<&Written>, Refusal> {
        self.buckets.bucket(region, bucket)?;
        Ok(self.buckets.objects.read(bucket, key))
    }

    /// `GetObject` of one version.
    pub fn object_version(
        &self,
        region: &Region,
        bucket: &str,
        key: &str,
        version_id: &str,
    ) -> Result<Option<&Written>, Refusal> {
        self.buckets.bucket(region, bucket)?;
        Ok(self.buckets.objects.versions(bucket, key).find(|written| is_version(written, version_id)))
    }

    /// `x-amz-replication-status` of a version, if it has one.
    #[must_use]
    pub fn replication_status(&self, bucket: &str, key: &str, written: &Written) -> Option<&'static str> {
        if written.by != bucket {
            return Some("REPLICA");
        }
        let (was_sent, has_failed) = match written.object() {
            Some(object) => (!object.sent_to.is_empty(), object.has_failed),
            None => {
                let rules = &self.buckets.buckets.get(bucket)?.rules;
                (rules.iter().any(|held| held.covers(key, &BTreeMap::new())), false)
            }
        };
        match (was_sent, has_failed) {
            (_, true) => Some("FAILED"),
            (true, _) if self.buckets.objects.is_under_way(bucket, key) => Some("PENDING"),
            (true, _) => Some("COMPLETED"),
            (false, false) => None,
        }
    }

    /// `ListObjectsV2`: keys that begin so, in order.
    pub fn objects_below(
        &self,
        region: &Region,
        bucket: &str,
        prefix: &str,
    ) -> Result<Vec<(&String, &Written)>, Refusal> {
        self.buckets.bucket(region, bucket)?;
        let all = self.buckets.objects.all(bucket);
        Ok(all.filter(|(key, written)| key.starts_with(prefix) && !written.is_gone()).collect())
    }

    /// `ListObjectVersions`: by key, the newest first.
    pub fn versions_below(&self, region: &Region, bucket: &str, prefix: &str) -> Result<Vec<ListedVersion>, Refusal> {
        self.buckets.bucket(region, bucket)?;
        let keys = self.buckets.objects.all(bucket).map(|(key, _)| key).filter(|key| key.starts_with(prefix));
        let listed = keys.flat_map(|key| {
            self.buckets.objects.versions(bucket, key).enumerate().map(|(at, written)| ListedVersion {
                key: key.clone(),
                written: written.clone(),
                is_latest: at == 0,
            })
        });
        Ok(listed.collect())
    }

    /// Where rules send a write, and whether one could not be sent anywhere.
    fn destinations(
        &self,
        region: &Region,
        bucket: &str,
        key: &str,
        tags: &BTreeMap<String, String>,
        is_marker: bool,
    ) -> Result<(Vec<String>, bool), Refusal> {
        let mut rules: Vec<_> =
            self.buckets.bucket(region, bucket)?.rules.iter().filter(|held| held.covers(key, tags)).collect();
        // For each destination the rule of the highest priority counts.
        rules.sort_by_key(|held| std::cmp::Reverse(held.priority));
        let (mut seen, mut to, mut has_failed) = (Vec::new(), Vec::new(), false);
        for held in rules {
            let destination = &held.rule.to;
            if seen.contains(destination) {
                continue;
            }
            seen.push(destination.clone());
            match self.buckets.buckets.get(destination).is_some_and(super::buckets::Bucket::is_versioned) {
                _ if is_marker && !held.rule.delete_markers => {}
                true => to.push(destination.clone()),
                false => has_failed = true,
            }
        }
        Ok((to, has_failed))
    }

    fn count_failure(&mut self, bucket: &str, has_failed: bool) {
        if let Some(source) = self.buckets.buckets.get_mut(bucket).filter(|_| has_failed) {
            source.failed += 1;
        }
    }

    /// Two writes of one instant keep their order.
    fn written(&self, bucket: &str, key: &str, version: u64, object: Option<StoredObject>) -> Written {
        let before = self.buckets.objects.read(bucket, key);
        let at_ms = before.map_or(self.now_ms, |there| self.now_ms.max(there.at_ms + 1));
        let payload = object.map(|object| Payload::Object(Arc::new(object)));
        Written { version, at_ms, by: bucket.to_owned(), payload }
    }

    fn next_version_id(&mut self, region: &Region, bucket: &str) -> Result<Option<String>, Refusal> {
        if !self.buckets.bucket(region, bucket)?.is_versioned() {
            return Ok(None);
        }
        self.buckets.versions += 1;
        Ok(Some(format!("sim.{:028}", self.buckets.versions)))
    }

    fn place_object(&mut self, region: &Region, bucket: &str, key: &str, written: &Written) -> Result<(), Refusal> {
        let versioning = self.buckets.bucket(region, bucket)?.versioning;
        let objects = &mut self.buckets.objects;
        if versioning != Versioning::Enabled {
            // There is one version without an id, and this is it now.
            objects.remove_version(bucket, key, |there| is_version(there, "null"));
        }
        objects.put_version(key, written.clone());
        Ok(())
    }

    fn send_object(&mut self, key: &str, written: &Written, to: &[String]) {
        for to in to {
            let lag_ms = self.buckets.lags_ms.get(to).copied().unwrap_or(self.timing.bucket_lag_ms);
            self.buckets.objects.send(key, written, to, self.now_ms + self.draws.about(lag_ms));
        }
    }
}

/// A canary of ports has no id.
fn is_version(written: &Written, version_id: &str) -> bool {
    written.object().map_or("null", StoredObject::version) == version_id
}
