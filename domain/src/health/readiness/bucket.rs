//! A bucket and the rules to and from it.
//!
//! What flows *towards* a copy is asked of the bucket it comes from: that is the copy which would be stale. The rule back
//! is needed only after a move, and settlement makes it meanwhile, so its absence is a note.
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication.html>

use std::collections::BTreeMap;

use super::{Check, CopyCase, Fact, names};
use crate::data::store::BucketState;
use crate::ids::Region;

pub(super) fn checks(
    case: &CopyCase<'_>,
    buckets: &BTreeMap<Region, String>,
    both_ways: bool,
    bucket: &BucketState,
) -> Vec<Check> {
    let mut checks = vec![present(case, bucket), versioning(bucket)];
    let rule = rule(case, buckets, both_ways, bucket);
    if let Some(rule) = rule {
        checks.push(rule);
    }
    checks.extend(existing_objects(case, buckets, both_ways, bucket));
    checks
}

fn present(case: &CopyCase<'_>, bucket: &BucketState) -> Check {
    Check::ready(names::REPLICA_PRESENT, format!("{} in {}", bucket.bucket, case.region))
}

fn versioning(bucket: &BucketState) -> Check {
    if bucket.versioning {
        return Check::ready(names::VERSIONING, format!("{} keeps versions", bucket.bucket));
    }
    let reason = format!(
        "{} is not versioned, so nothing can be replicated to or from it: aws s3api put-bucket-versioning --bucket {} --versioning-configuration Status=Enabled",
        bucket.bucket, bucket.bucket
    );
    Check::not_ready(names::VERSIONING, reason)
}

/// What is wrong with the rules from one bucket to another.
enum Lack {
    Rule,
    Modifications,
}

fn lacks(from: &BucketState, to: &str, both_ways: bool) -> Option<Lack> {
    if !from.replicates_to(to) {
        return Some(Lack::Rule);
    }
    let synced =
        from.rules.iter().any(|rule| rule.to == to && rule.enabled && rule.is_whole && rule.replica_modifications);
    (both_ways && !synced).then_some(Lack::Modifications)
}

fn rule(
    case: &CopyCase<'_>,
    buckets: &BTreeMap<Region, String>,
    both_ways: bool,
    bucket: &BucketState,
) -> Option<Check> {
    let name = names::REPLICATION_RULE;
    let (mut notes, mut unasked) = (Vec::new(), Vec::new());
    for (source, fact) in case.sources() {
        match fact {
            Some(Fact::Bucket(from)) => match lacks(from, &bucket.bucket, both_ways) {
                Some(Lack::Rule) => {
                    let reason = format!(
                        "{} has no enabled rule for all objects to {}: settlement makes it if it may (s3.role_arn, permissions)",
                        from.bucket, bucket.bucket
                    );
                    return Some(Check::not_ready(name, reason));
                }
                Some(Lack::Modifications) => notes.push(no_sync(&from.bucket, &bucket.bucket)),
                None => {}
            },
            _ => unasked.push(source.to_string()),
        }
    }
    for to in outward(case, buckets, both_ways) {
        match lacks(bucket, to, both_ways) {
            Some(Lack::Rule) if case.serves() => {
                let reason = format!("{} has no enabled rule for all objects to {to}", bucket.bucket);
                return Some(Check::not_ready(name, reason));
            }
            Some(Lack::Rule) => {
                notes.push(format!("{} has no rule back to {to} yet: settlement makes it", bucket.bucket))
            }
            Some(Lack::Modifications) => notes.push(no_sync(&bucket.bucket, to)),
            None => {}
        }
    }
    if let Some(note) = notes.into_iter().next() {
        return Some(Check::note(name, note));
    }
    if !unasked.is_empty() {
        let reason = format!("{} has not told its rules yet", unasked.join(", "));
        return Some(Check::unknown(name, reason));
    }
    Some(Check::ready(name, format!("rules to and from {} are as they should be", bucket.bucket)))
}

fn no_sync(from: &str, to: &str) -> String {
    format!("the rule {from} → {to} has no replica modification sync: changes of metadata made in {to} stay there")
}

/// The buckets that this one should replicate to now: all others while it serves, the serving ones else.
fn outward<'a>(
    case: &'a CopyCase<'_>,
    buckets: &'a BTreeMap<Region, String>,
    both_ways: bool,
) -> impl Iterator<Item = &'a str> {
    let first = case.spec.regions.first() == Some(case.region);
    let others = buckets.iter().filter(move |(region, _)| *region != case.region && (both_ways || first));
    others
        .filter(|(region, _)| case.serves() || case.serving.contains(region))
        .filter(|(region, _)| case.spec.regions.contains(region))
        .map(|(_, bucket)| bucket.as_str())
}

/// A rule that is still to be made copies nothing that is there already.
fn existing_objects(
    case: &CopyCase<'_>,
    buckets: &BTreeMap<Region, String>,
    both_ways: bool,
    bucket: &BucketState,
) -> Option<Check> {
    let name = names::EXISTING_OBJECTS;
    let new = outward(case, buckets, both_ways).find(|to| !bucket.replicates_to(to));
    if let Some(to) = new
        && case.serves()
        && bucket.has_objects
    {
        let reason = format!(
            "{} has objects that the new rule to {to} will not copy: run S3 Batch Replication once for them",
            bucket.bucket
        );
        return Some(Check::note(name, reason));
    }
    match bucket.failed {
        Some(failed) if failed > 0 => {
            let reason = format!(
                "S3 says FAILED of {failed} objects of {} (the canary, where nothing counts the others): look at the rule's role, the destination and its KMS key",
                bucket.bucket
            );
            Some(Check::note(name, reason))
        }
        _ => None,
    }
}
