//! Buckets: where they are, versioning, replication.

use std::sync::Arc;

use failoverd_domain::data::store::ReplicationRule;
use failoverd_domain::ids::Region;

use super::super::answer::{Answer, malformed};
use super::super::request::WireRequest;
use super::super::xml::{Node, Xml};
use super::NAMESPACE;
use crate::sim::world::{ACCOUNT, BucketRule, Refusal, World};

fn document(name: &str) -> Xml {
    Xml::new(name).attribute("xmlns", NAMESPACE)
}

fn xml(document: Xml) -> Answer {
    Answer::ok("application/xml", document.into_document())
}

pub(super) fn list(world: &World) -> Answer {
    let bucket = |(name, region): (&String, &Region)| {
        Xml::new("Bucket")
            .text("Name", name)
            .text("CreationDate", "2026-01-01T00:00:00.000Z")
            .text("BucketRegion", region)
    };
    let owner = Xml::new("Owner").text("ID", ACCOUNT);
    xml(document("ListAllMyBucketsResult").child(owner).list("Buckets", world.bucket_names().map(bucket)))
}

/// The constraint is where the bucket shall be; without one it is us-east-1.
pub(super) fn create(world: &mut World, request: &WireRequest, bucket: &str) -> Result<Answer, Refusal> {
    let wanted = match request.body.is_empty() {
        true => None,
        false => Node::read(&request.body).map_err(malformed)?.of("LocationConstraint").map(Region::from),
    };
    let region = wanted.unwrap_or_else(|| "us-east-1".into());
    if region != request.region {
        let message = "The unspecified location constraint is incompatible for the region specific endpoint this request was sent to.";
        return Err(Refusal::new("IllegalLocationConstraintException", message));
    }
    world.make_bucket(&region, bucket)?;
    Ok(Answer::empty(200).with("location", format!("/{bucket}")))
}

pub(super) fn head(world: &World, region: &Region, bucket: &str) -> Result<Answer, Refusal> {
    world.describe_bucket(region, bucket)?;
    Ok(Answer::empty(200).with("x-amz-bucket-region", region.as_str()))
}

pub(super) fn delete(world: &mut World, region: &Region, bucket: &str) -> Result<Answer, Refusal> {
    world.delete_bucket(region, bucket)?;
    Ok(Answer::empty(204))
}

pub(super) fn location(world: &World, region: &Region, bucket: &str) -> Result<Answer, Refusal> {
    world.describe_bucket(region, bucket)?;
    let shown = if region.as_str() == "us-east-1" { "" } else { region.as_str() };
    Ok(xml(document("LocationConstraint").body(shown)))
}

pub(super) fn versioning(world: &World, region: &Region, bucket: &str) -> Result<Answer, Refusal> {
    let on = world.describe_bucket(region, bucket)?.versioning;
    Ok(xml(document("VersioningConfiguration").maybe("Status", on.then_some("Enabled"))))
}

pub(super) fn put_versioning(world: &mut World, request: &WireRequest, bucket: &str) -> Result<Answer, Refusal> {
    let on = Node::read(&request.body).map_err(malformed)?.of("Status") == Some("Enabled");
    world.put_versioning(&request.region, bucket, on)?;
    Ok(Answer::empty(200))
}

pub(super) fn replication(world: &World, region: &Region, bucket: &str) -> Result<Answer, Refusal> {
    let (rules, configuration) = world.replication(region, bucket)?;
    if let Some(configuration) = configuration {
        return Ok(Answer::ok("application/xml", configuration.to_vec()));
    }
    if rules.is_empty() {
        let message = "The replication configuration was not found";
        return Err(Refusal::new("ReplicationConfigurationNotFoundError", message));
    }
    let rules = rules.iter().zip(1_u32..).map(|(held, priority)| rule_xml(held, priority));
    let role = format!("arn:aws:iam::{ACCOUNT}:role/s3-replication");
    Ok(xml(document("ReplicationConfiguration").text("Role", role).children(rules)))
}

fn rule_xml(held: &BucketRule, priority: u32) -> Xml {
    let word = |on: bool| if on { "Enabled" } else { "Disabled" };
    let modifications = Xml::new("ReplicaModifications").text("Status", word(held.rule.replica_modifications));
    Xml::new("Rule")
        .text("ID", &held.id)
        .text("Priority", priority)
        .child(Xml::new("Filter").text("Prefix", &held.prefix))
        .text("Status", word(held.rule.enabled))
        .child(Xml::new("SourceSelectionCriteria").child(modifications))
        .child(Xml::new("Destination").text("Bucket", format!("arn:aws:s3:::{}", held.rule.to)))
        .child(Xml::new("DeleteMarkerReplication").text("Status", word(held.rule.delete_markers)))
}

pub(super) fn put_replication(world: &mut World, request: &WireRequest, bucket: &str) -> Result<Answer, Refusal> {
    let configuration = Node::read(&request.body).map_err(malformed)?;
    if configuration.of("Role").is_none_or(str::is_empty) {
        return Err(Refusal::new("InvalidRequest", "Role must be specified to replicate a bucket"));
    }
    let rules = configuration.children.iter().filter(|child| child.name == "Rule").map(rule);
    let rules: Result<Vec<BucketRule>, Refusal> = rules.collect();
    world.put_replication(&request.region, bucket, rules?, Some(Arc::from(request.body.as_ref())))?;
    Ok(Answer::empty(200))
}

fn rule(node: &Node) -> Result<BucketRule, Refusal> {
    let destination = node.get("Destination").ok_or_else(|| malformed("a rule has no Destination"))?;
    let to = destination.of("Bucket").and_then(|arn| arn.strip_prefix("arn:aws:s3:::"));
    let to = to.ok_or_else(|| malformed("a destination is no ARN of a bucket"))?;
    let filter = node.get("Filter");
    let prefix = filter.and_then(|filter| filter.of("Prefix")).or_else(|| node.of("Prefix")).unwrap_or_default();
    let by_tag = filter.is_some_and(|filter| filter.get("Tag").is_some() || filter.get("And").is_some());
    let enabled = |node: Option<&Node>| node.is_some_and(|node| node.of("Status") == Some("Enabled"));
    let modifications = node.get("SourceSelectionCriteria").and_then(|criteria| criteria.get("ReplicaModifications"));
    Ok(BucketRule {
        rule: ReplicationRule {
            to: to.to_owned(),
            enabled: enabled(Some(node)),
            is_whole: prefix.is_empty() && !by_tag,
            replica_modifications: enabled(modifications),
            delete_markers: enabled(node.get("DeleteMarkerReplication")),
            time_control: enabled(destination.get("ReplicationTime")),
        },
        id: node.of("ID").unwrap_or_default().to_owned(),
        prefix: prefix.to_owned(),
    })
}

pub(super) fn delete_replication(world: &mut World, region: &Region, bucket: &str) -> Result<Answer, Refusal> {
    world.put_replication(region, bucket, Vec::new(), None)?;
    Ok(Answer::empty(204))
}
