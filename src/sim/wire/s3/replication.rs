//! Replication configurations: checked as S3 checks them, and given back as they were put.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-add-config.html>

use std::sync::Arc;

use failoverd_domain::data::store::ReplicationRule;
use failoverd_domain::ids::Region;

use super::super::answer::Answer;
use super::super::request::WireRequest;
use super::super::xml::{Node, Xml};
use super::{buckets, document, document_of, malformed, xml};
use crate::sim::world::{BucketRule, Refusal, Replicated, World};

const MOST_RULES: usize = 1_000;
/// Minutes that replication time control promises; S3 takes no other.
const TIME_CONTROL_MINUTES: &str = "15";

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new("InvalidRequest", message)
}

pub(super) fn get(world: &World, region: &Region, bucket: &str) -> Result<Answer, Refusal> {
    let found = world.replication(region, bucket)?;
    if let Some(configuration) = found.configuration {
        return Ok(Answer::ok("application/xml", configuration.to_vec()));
    }
    if found.rules.is_empty() {
        let message = "The replication configuration was not found";
        return Err(Refusal::new("ReplicationConfigurationNotFoundError", message));
    }
    let rules = found.rules.iter().map(rule_xml);
    Ok(xml(document("ReplicationConfiguration").text("Role", found.role).children(rules)))
}

/// A rule that was made without anybody writing it down.
fn rule_xml(held: &BucketRule) -> Xml {
    let word = |on: bool| if on { "Enabled" } else { "Disabled" };
    let modifications = Xml::new("ReplicaModifications").text("Status", word(held.rule.replica_modifications));
    let minutes = |name: &str| Xml::new(name).text("Minutes", TIME_CONTROL_MINUTES);
    let mut destination = Xml::new("Destination").text("Bucket", format!("arn:aws:s3:::{}", held.rule.to));
    if held.rule.time_control {
        destination = destination.child(Xml::new("ReplicationTime").text("Status", "Enabled").child(minutes("Time")));
    }
    if held.metrics {
        let metrics = Xml::new("Metrics").text("Status", "Enabled");
        destination = destination.child(match held.rule.time_control {
            true => metrics.child(minutes("EventThreshold")),
            false => metrics,
        });
    }
    Xml::new("Rule")
        .text("ID", &held.id)
        .text("Priority", held.priority)
        .child(Xml::new("Filter").text("Prefix", &held.prefix))
        .text("Status", word(held.rule.enabled))
        .child(Xml::new("SourceSelectionCriteria").child(modifications))
        .child(destination)
        .child(Xml::new("DeleteMarkerReplication").text("Status", word(held.rule.delete_markers)))
}

pub(super) fn put(world: &mut World, request: &WireRequest, bucket: &str) -> Result<Answer, Refusal> {
    let mut configuration = document_of(request)?;
    let role = configuration.of("Role").unwrap_or_default().to_owned();
    if role.is_empty() {
        return Err(invalid("Role must be specified to replicate a bucket"));
    }
    if !role.starts_with("arn:aws:iam::") || !role.contains(":role/") {
        return Err(Refusal::new("InvalidArgument", format!("Invalid role ARN: {role}")));
    }
    name_rules(&mut configuration);
    let rules = configuration.children.iter().filter(|child| child.name == "Rule").map(rule);
    let rules = rules.collect::<Result<Vec<BucketRule>, Refusal>>()?;
    check_together(&rules)?;
    let kept =
        Some(Arc::from(written(&configuration).attribute("xmlns", super::NAMESPACE).into_document().into_bytes()));
    world.put_replication(&request.region, bucket, Replicated { role, rules, configuration: kept })?;
    Ok(Answer::empty(200))
}

/// Rules without an id get one, as S3 does it.
fn name_rules(configuration: &mut Node) {
    let rules = configuration.children.iter_mut().filter(|child| child.name == "Rule");
    for (rule, n) in rules.zip(1_u32..) {
        if rule.of("ID").is_none_or(str::is_empty) {
            rule.children.retain(|child| child.name != "ID");
            rule.children.insert(0, Node { name: "ID".to_owned(), text: format!("rule-{n}"), children: Vec::new() });
        }
    }
}

fn written(node: &Node) -> Xml {
    let element = Xml::new(&node.name);
    match node.children.is_empty() {
        true => element.body(&node.text),
        false => element.children(node.children.iter().map(written)),
    }
}

fn check_together(rules: &[BucketRule]) -> Result<(), Refusal> {
    if rules.is_empty() {
        return Err(malformed("there is no Rule"));
    }
    if rules.len() > MOST_RULES {
        return Err(invalid(format!("The number of rules cannot exceed {MOST_RULES}")));
    }
    for (n, held) in rules.iter().enumerate() {
        if rules[..n].iter().any(|other| other.id == held.id) {
            return Err(invalid("Rule Id must be unique. Found same Id for more than one rule"));
        }
        if rules[..n].iter().any(|other| other.priority == held.priority) {
            return Err(invalid(format!(
                "Found duplicate priority '{}' in the rules: each needs its own",
                held.priority
            )));
        }
    }
    Ok(())
}

/// `Enabled` or `Disabled`, and nothing else.
fn status(node: Option<&Node>) -> Result<bool, Refusal> {
    match node.and_then(|node| node.of("Status")) {
        Some("Enabled") => Ok(true),
        Some("Disabled") => Ok(false),
        _ => Err(malformed("a Status is neither Enabled nor Disabled")),
    }
}

fn optional_status(node: Option<&Node>) -> Result<bool, Refusal> {
    node.map_or(Ok(false), |node| status(Some(node)))
}

/// A rule with a `Filter` is of the present schema, which wants more of it than the first one did.
fn rule(node: &Node) -> Result<BucketRule, Refusal> {
    let missing = |field: &str| {
        invalid(format!(
            "{field} must be specified for this version of Cross Region Replication configuration schema. Please refer to S3 Developer Guide for more information."
        ))
    };
    let destination = node.get("Destination").ok_or_else(|| malformed("a rule has no Destination"))?;
    let to = destination.of("Bucket").and_then(|arn| arn.strip_prefix("arn:aws:s3:::"));
    let to = to.ok_or_else(|| Refusal::new("InvalidArgument", "Invalid bucket ARN."))?;
    let filter = node.get("Filter");
    let priority = node.number("Priority");
    let markers = node.get("DeleteMarkerReplication");
    if filter.is_some() && priority.is_none() {
        return Err(missing("Priority"));
    }
    if filter.is_some() && markers.is_none() {
        return Err(missing("DeleteMarkerReplication"));
    }
    let (prefix, tags) = selection(node)?;
    let delete_markers = optional_status(markers)?;
    if delete_markers && !tags.is_empty() {
        return Err(invalid(
            "Delete marker replication is not supported if any Tag filter is specified. Please refer to S3 Developer Guide for more information.",
        ));
    }
    let (time_control, metrics) = time(destination)?;
    let modifications = node.get("SourceSelectionCriteria").and_then(|criteria| criteria.get("ReplicaModifications"));
    Ok(BucketRule {
        rule: ReplicationRule {
            to: to.to_owned(),
            enabled: status(Some(node))?,
            is_whole: prefix.is_empty() && tags.is_empty(),
            replica_modifications: optional_status(modifications)?,
            delete_markers,
            time_control,
        },
        id: node.of("ID").unwrap_or_default().to_owned(),
        priority: priority.unwrap_or(0),
        prefix,
        tags,
        metrics,
    })
}

/// Prefix and tags; the first schema had its prefix outside.
fn selection(rule: &Node) -> Result<(String, Vec<(String, String)>), Refusal> {
    let Some(filter) = rule.get("Filter") else {
        return Ok((rule.of("Prefix").unwrap_or_default().to_owned(), Vec::new()));
    };
    let place = filter.get("And").unwrap_or(filter);
    let tags: Vec<Node> = place.children.iter().filter(|child| child.name == "Tag").cloned().collect();
    Ok((place.of("Prefix").unwrap_or_default().to_owned(), buckets::pairs(&tags)?.into_iter().collect()))
}

/// Time control, which goes with metrics, and metrics.
fn time(destination: &Node) -> Result<(bool, bool), Refusal> {
    let (time, metrics) = (destination.get("ReplicationTime"), destination.get("Metrics"));
    let (has_time, has_metrics) = (optional_status(time)?, optional_status(metrics)?);
    if has_time && !has_metrics {
        return Err(invalid("ReplicationTime can only be enabled together with Metrics"));
    }
    let minutes = |node: Option<&Node>, name: &str| {
        node.and_then(|node| node.get(name)).and_then(|node| node.of("Minutes")).map(str::to_owned)
    };
    let given = [minutes(time, "Time"), minutes(metrics, "EventThreshold")];
    let is_needed_and_missing = has_time && given[0].is_none();
    if is_needed_and_missing || given.iter().flatten().any(|minutes| minutes != TIME_CONTROL_MINUTES) {
        return Err(invalid(format!("Minutes must be {TIME_CONTROL_MINUTES}")));
    }
    Ok((has_time, has_metrics))
}

pub(super) fn delete(world: &mut World, region: &Region, bucket: &str) -> Result<Answer, Refusal> {
    world.delete_replication(region, bucket)?;
    Ok(Answer::empty(204))
}
