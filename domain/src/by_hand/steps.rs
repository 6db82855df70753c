//! What each kind of step is in `aws` commands. Every kind has its form here, or this does not compile.

use super::{ByHand, ByHandProblem, limit_s, of_region, word, zone};
use crate::ids::{Region, StoreName};
use crate::plan::{Fencing, Mode, Movement, Step, StepKind};
use crate::service::{Canary, Fence, ServiceSpec, Store, StoreKind};

/// The commands of a step.
pub(super) fn commands(asked: &ByHand<'_>, lead: &ServiceSpec, step: &Step) -> Result<String, ByHandProblem> {
    match &step.kind {
        StepKind::Fence { store } => fence(step, found(lead, step, store)?),
        StepKind::Drain { store } => drain(asked, lead, step, found(lead, step, store)?),
        StepKind::Promote { store, fencing } => promote(asked, step, found(lead, step, store)?, fencing),
        StepKind::CheckData { store } => check(asked, step, found(lead, step, store)?),
        StepKind::FlipSwitch { .. } => zone::flip(asked, lead),
        StepKind::VerifyAnswer => zone::verify(asked, step),
    }
}

fn found<'a>(lead: &'a ServiceSpec, step: &Step, store: &StoreName) -> Result<&'a Store, ByHandProblem> {
    let missing = || ByHandProblem::Missing { step: step.name.clone(), what: format!("a store {store}") };
    lead.store(store).ok_or_else(missing)
}

/// Region, kind, name and fencing group of a store's database, as words of the shell.
fn fenced(step: &Step, store: &Store, region: &Region) -> Result<Option<String>, ByHandProblem> {
    let Some(Fence::SecurityGroup(groups)) = &store.fence else { return Ok(None) };
    let (kind, name) = match &store.kind {
        StoreKind::Aurora { clusters, .. } => ("cluster", of_region(step, "a cluster", clusters, region)?),
        StoreKind::Rds { instances, .. } => ("instance", of_region(step, "an instance", instances, region)?),
        StoreKind::Dynamodb { .. } | StoreKind::S3 { .. } => return Ok(None),
    };
    let group = of_region(step, "a fencing security group", groups, region)?;
    Ok(Some(format!("{} {kind} {} {}", word(region.as_str())?, word(name)?, word(group)?)))
}

fn fence(step: &Step, store: &Store) -> Result<String, ByHandProblem> {
    let missing = || ByHandProblem::Missing { step: step.name.clone(), what: format!("a fence of {}", store.name) };
    let what = fenced(step, store, &step.region)?.ok_or_else(missing)?;
    let name = word(store.name.as_str())?;
    // RDS takes longer than an automatic move may wait; a person who reads along can wait a little more.
    let s = limit_s(step).max(30);
    let region = word(step.region.as_str())?;
    if step.critical {
        return Ok(format!(
            "fence {what} {s} ||\n    stop \"the old writer of \"{name}\" is not fenced; nothing is promoted\"\n"
        ));
    }
    Ok(format!(
        "LONGEST_S=5 fence {what} {s} ||\n    agree \"the old writer of \"{name}\" in \"{region}\" is NOT fenced: go on, although it may still take writes that will be lost\"\n"
    ))
}

fn promote(asked: &ByHand<'_>, step: &Step, store: &Store, fencing: &Fencing) -> Result<String, ByHandProblem> {
    let to = &asked.plan.to;
    let s = limit_s(step);
    let mut out = String::new();
    if let Some(what) = fenced(step, store, to)? {
        out += &format!("unfence {what}\n");
    }
    let region = word(to.as_str())?;
    match (&store.kind, fencing) {
        (StoreKind::Aurora { global_cluster, clusters }, fencing) => {
            if asked.plan.mode == Mode::Forced && *fencing == Fencing::None {
                out += &unfenced(store)?;
            }
            let cluster = word(of_region(step, "a cluster", clusters, to)?)?;
            out += &format!("promote_global {region} {} {cluster} {} {s}\n", word(global_cluster)?, asked.plan.mode);
        }
        (StoreKind::Rds { instances, .. }, fencing) => {
            if *fencing == Fencing::None {
                out += &unfenced(store)?;
            }
            let instance = word(of_region(step, "an instance", instances, to)?)?;
            out += &format!("promote_instance {region} {instance} {s}\n");
        }
        (StoreKind::Dynamodb { .. } | StoreKind::S3 { .. }, _) => {
            let what = "a writer of one Region: there is nothing to promote".to_owned();
            return Err(ByHandProblem::Missing { step: step.name.clone(), what });
        }
    }
    Ok(out)
}

/// Nothing in the manifest could fence the old writer.
fn unfenced(store: &Store) -> Result<String, ByHandProblem> {
    let name = word(store.name.as_str())?;
    Ok(format!(
        "agree \"nothing fences the old writer of \"{name}\": go on, although it may still take writes that will be lost\"\n"
    ))
}

/// Waits until the new Region has what the old one took; where nothing can say so, a person decides.
fn drain(asked: &ByHand<'_>, lead: &ServiceSpec, step: &Step, store: &Store) -> Result<String, ByHandProblem> {
    let (from, to) = (&asked.plan.from, &asked.plan.to);
    let (from_word, to_word) = (word(from.as_str())?, word(to.as_str())?);
    let s = limit_s(step);
    let rpo_ms = lead.objectives.rpo_ms;
    let key = |prefix: &str| word(&format!("{prefix}{}/{}.by-hand", lead.name, store.name));
    let wait = match (&store.kind, &store.canary) {
        (StoreKind::S3 { buckets, .. }, Some(Canary::Prefix { prefix })) => {
            let old = word(of_region(step, "a bucket", buckets, from)?)?;
            let new = word(of_region(step, "a bucket", buckets, to)?)?;
            format!("drain_bucket {from_word} {old} {to_word} {new} {} {s}", key(prefix)?)
        }
        (StoreKind::Dynamodb { .. }, Some(Canary::Table { table })) => {
            format!("drain_table {from_word} {to_word} {} {} {s}", word(table)?, key("")?)
        }
        (StoreKind::Dynamodb { table, .. }, _) => {
            let dimensions = format!(
                "{} {}",
                word(&format!("Name=TableName,Value={table}"))?,
                word(&format!("Name=ReceivingRegion,Value={to}"))?
            );
            lag(rpo_ms, s, &format!("figure {from_word} AWS/DynamoDB ReplicationLatency {dimensions}"))
        }
        (StoreKind::S3 { buckets, .. }, _) => {
            let (old, new) = (of_region(step, "a bucket", buckets, from)?, of_region(step, "a bucket", buckets, to)?);
            let dimensions = format!(
                "{} {}",
                word(&format!("Name=SourceBucket,Value={old}"))?,
                word(&format!("Name=DestinationBucket,Value={new}"))?
            );
            // S3 says seconds.
            lag(
                rpo_ms / 1_000,
                s,
                &format!("figure {to_word} AWS/S3 ReplicationLatency {dimensions} Name=RuleId,Value=failoverd"),
            )
        }
        (StoreKind::Rds { instances, .. }, _) => {
            let replica =
                word(&format!("Name=DBInstanceIdentifier,Value={}", of_region(step, "an instance", instances, to)?))?;
            // Seconds. A writer that is stopped has nothing left to send when its replica is not behind.
            let limit = if store.fence.is_some() { 0 } else { rpo_ms / 1_000 };
            lag(limit, s, &format!("figure {to_word} AWS/RDS ReplicaLag {replica}"))
        }
        (StoreKind::Aurora { clusters, .. }, _) => {
            let cluster =
                word(&format!("Name=DBClusterIdentifier,Value={}", of_region(step, "a cluster", clusters, to)?))?;
            lag(rpo_ms, s, &format!("figure {to_word} AWS/RDS AuroraGlobalDBReplicationLag {cluster}"))
        }
    };
    let name = word(store.name.as_str())?;
    Ok(format!(
        "{wait} ||\n    agree \"nobody can say that \"{name}\" has everything in \"{to_word}\": go on, although what is on the way may be lost\"\n"
    ))
}

fn lag(limit: u64, s: u64, figure: &str) -> String {
    format!("until_seen {s} 'CloudWatch does not say that it is close enough' below {limit} {figure}")
}

/// Whether the new copy takes the service's data.
fn check(asked: &ByHand<'_>, step: &Step, store: &Store) -> Result<String, ByHandProblem> {
    let (from, to) = (&asked.plan.from, &asked.plan.to);
    let region = word(to.as_str())?;
    let s = limit_s(step);
    let name = word(store.name.as_str())?;
    let look = match &store.kind {
        StoreKind::Aurora { global_cluster, clusters } => {
            let cluster = word(of_region(step, "a cluster", clusters, to)?)?;
            format!(
                "arn=$(in_region {region} rds describe-db-clusters --db-cluster-identifier {cluster} --output text --query 'DBClusters[0].DBClusterArn')\n\
                 until_seen {s} {cluster}' does not write' global_writes {region} {} \"$arn\"",
                word(global_cluster)?
            )
        }
        StoreKind::Rds { instances, .. } => {
            let instance = word(of_region(step, "an instance", instances, to)?)?;
            format!("until_seen {s} {instance}' does not write' instance_writes {region} {instance}")
        }
        StoreKind::Dynamodb { table, .. } => {
            let table = word(table)?;
            format!("until_seen {s} {table}' is not ACTIVE' table_is_active {region} {table}")
        }
        StoreKind::S3 { buckets, .. } => {
            let bucket = word(of_region(step, "a bucket", buckets, to)?)?;
            format!("until_seen {s} {bucket}' keeps no versions' bucket_takes {region} {bucket}")
        }
    };
    let mut out = format!("{look} ||\n    stop {name}\" is not ready in \"{region}\n");
    if let (StoreKind::S3 { buckets, .. }, Movement::Failover) = (&store.kind, asked.plan.movement) {
        let (new, old) = (of_region(step, "a bucket", buckets, to)?, of_region(step, "a bucket", buckets, from)?);
        out += &format!("replicates_back {region} {} {}\n", word(new)?, word(old)?);
    }
    out += &format!("say '   '{name}' is ready in '{region}\n");
    Ok(out)
}
