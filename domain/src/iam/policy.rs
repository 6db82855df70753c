//! The least that a daemon needs for the services that are applied.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::operations::{OPERATIONS, Resource};
use crate::ids::Region;
use crate::service::{Canary, ServiceSpec, Store, StoreKind};

/// Whose resources they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// `aws`, `aws-cn`, `aws-us-gov`.
    pub partition: String,
    /// Twelve digits, or `*` while nobody knows.
    pub id: String,
    /// Ids of hosted zones by name; a zone that is not among them may be any.
    pub zones: BTreeMap<String, String>,
    /// Name of the role that the daemon runs as, or `*`.
    pub role: String,
}

/// One action on one resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// `rds:FailoverGlobalCluster`.
    pub action: String,
    /// ARN, or `*`.
    pub resource: String,
    /// What it is about: decides which conditions apply.
    pub on: Resource,
}

/// Every action on every resource that the services need, as their own role (`role_arn`) or, with `None`, as the
/// daemon's. With a Region, only what lies there or nowhere in particular.
#[must_use]
pub fn grants(specs: &[&ServiceSpec], account: &Account, role: Option<&str>, region: Option<&Region>) -> Vec<Grant> {
    let own: Vec<&ServiceSpec> = specs.iter().copied().filter(|spec| spec.role_arn.as_deref() == role).collect();
    let mut found = BTreeSet::new();
    for (action, on) in OPERATIONS.iter().flat_map(|operation| operation.actions) {
        let resources = match on {
            Resource::ServiceRole if role.is_none() => specs.iter().filter_map(|spec| spec.role_arn.clone()).collect(),
            Resource::OwnRole if role.is_none() => {
                BTreeSet::from([format!("arn:{}:iam::{}:role/{}", account.partition, account.id, account.role)])
            }
            Resource::ServiceRole | Resource::OwnRole => BTreeSet::new(),
            on => own.iter().flat_map(|spec| resources(spec, account, *on)).collect(),
        };
        let here = |resource: &String| region.is_none_or(|region| lies_in(resource, region));
        found.extend(resources.into_iter().filter(here).map(|resource| Grant {
            action: (*action).to_owned(),
            resource,
            on: *on,
        }));
    }
    found.into_iter().collect()
}

/// Whether an ARN names that Region, or none.
fn lies_in(resource: &str, region: &Region) -> bool {
    resource.split(':').nth(3).is_none_or(|named| named.is_empty() || named == region.as_str())
}

/// The resources of a service that an action is about. Actions without resources are needed as soon as anything is
/// applied that they serve.
fn resources(spec: &ServiceSpec, account: &Account, on: Resource) -> BTreeSet<String> {
    let Account { partition, id, .. } = account;
    let global = |service: &str, rest: String| format!("arn:{partition}:{service}::{rest}");
    match on {
        Resource::Any | Resource::OwnMetrics => BTreeSet::from(["*".to_owned()]),
        Resource::Zone => {
            let zone = account.zones.get(&spec.traffic.hosted_zone).map_or("*", String::as_str);
            BTreeSet::from([global("route53", format!(":hostedzone/{zone}"))])
        }
        Resource::Change => BTreeSet::from([global("route53", ":change/*".to_owned())]),
        Resource::HealthCheck => BTreeSet::from([global("route53", ":healthcheck/*".to_owned())]),
        Resource::DynamodbRole => {
            let makes = |store: &Store| matches!(store.kind, StoreKind::Dynamodb { ensure_replicas: true, .. });
            let name = "replication.dynamodb.amazonaws.com/AWSServiceRoleForDynamoDBReplication";
            let role = format!("arn:{partition}:iam::{id}:role/aws-service-role/{name}");
            spec.data.iter().any(makes).then_some(role).into_iter().collect()
        }
        _ => spec.data.iter().flat_map(|store| of_store(store, account, spec, on)).collect(),
    }
}

fn of_store(store: &Store, account: &Account, spec: &ServiceSpec, on: Resource) -> Vec<String> {
    let Account { partition, id, .. } = account;
    let rds = |region: &str, rest: String| format!("arn:{partition}:rds:{region}:{id}:{rest}");
    let tables = |name: &String, regions: &[Region]| -> Vec<String> {
        regions.iter().map(|region| format!("arn:{partition}:dynamodb:{region}:{id}:table/{name}")).collect()
    };
    let bucket = |name: &String, key: &str| format!("arn:{partition}:s3:::{name}{key}");
    match (&store.kind, on) {
        (StoreKind::Aurora { global_cluster, .. }, Resource::GlobalCluster) => {
            vec![rds("", format!("global-cluster:{global_cluster}"))]
        }
        (StoreKind::Aurora { clusters, .. }, Resource::Cluster) => {
            clusters.iter().map(|(region, cluster)| rds(region.as_str(), format!("cluster:{cluster}"))).collect()
        }
        (StoreKind::Aurora { clusters, .. }, Resource::ClusterSnapshot) => {
            clusters.keys().map(|region| rds(region.as_str(), "cluster-snapshot:*".to_owned())).collect()
        }
        (StoreKind::Aurora { clusters, .. }, Resource::AnyInstance) => {
            clusters.keys().map(|region| rds(region.as_str(), "db:*".to_owned())).collect()
        }
        (StoreKind::Rds { instances, .. }, Resource::Instance | Resource::AnyInstance) => instances
            .iter()
            .flat_map(|(region, instance)| {
                // One that was put aside keeps its name and gets an end.
                [format!("db:{instance}"), format!("db:{instance}-old-e*")].map(|rest| rds(region.as_str(), rest))
            })
            .collect(),
        (StoreKind::Dynamodb { table, replicas, .. }, Resource::Table) => {
            tables(table, if replicas.is_empty() { &spec.regions } else { replicas })
        }
        (StoreKind::Dynamodb { table, .. }, Resource::LegacyTable) => {
            vec![format!("arn:{partition}:dynamodb::{id}:global-table/{table}")]
        }
        (StoreKind::S3 { buckets, .. }, Resource::Bucket) => buckets.values().map(|name| bucket(name, "")).collect(),
        (StoreKind::S3 { buckets, .. }, Resource::CanaryObject) => match &store.canary {
            Some(Canary::Prefix { prefix }) => {
                buckets.values().map(|name| bucket(name, &format!("/{prefix}*"))).collect()
            }
            _ => Vec::new(),
        },
        (StoreKind::S3 { role_arn, .. }, Resource::ReplicationRole) => role_arn.iter().cloned().collect(),
        (_, Resource::CanaryTable) => match &store.canary {
            Some(Canary::Table { table }) => tables(table, &spec.regions),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// What IAM shall look at besides action and resource.
fn condition(on: Resource) -> Option<Value> {
    match on {
        Resource::OwnMetrics => Some(json!({ "StringEquals": { "cloudwatch:namespace": "failoverd" } })),
        Resource::ReplicationRole => Some(json!({ "StringEquals": { "iam:PassedToService": "s3.amazonaws.com" } })),
        Resource::DynamodbRole => {
            Some(json!({ "StringEquals": { "iam:AWSServiceName": "replication.dynamodb.amazonaws.com" } }))
        }
        _ => None,
    }
}

/// The policy document: actions on the same resources under the same condition are one statement.
#[must_use]
pub fn policy(grants: &[Grant]) -> Value {
    let mut by_kind: BTreeMap<(Resource, &str), BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
    for grant in grants {
        let service = grant.action.split(':').next().unwrap_or_default();
        let actions = by_kind.entry((grant.on, service)).or_default();
        actions.entry(&grant.action).or_default().insert(&grant.resource);
    }
    let statements = by_kind.into_iter().map(|((on, service), actions)| {
        let resources: BTreeSet<&str> = actions.values().flatten().copied().collect();
        let mut statement = Map::new();
        statement.insert("Sid".to_owned(), json!(format!("{}{on:?}", title(service))));
        statement.insert("Effect".to_owned(), json!("Allow"));
        statement.insert("Action".to_owned(), json!(actions.keys().collect::<Vec<_>>()));
        statement.insert("Resource".to_owned(), json!(resources));
        if let Some(condition) = condition(on) {
            statement.insert("Condition".to_owned(), condition);
        }
        Value::Object(statement)
    });
    json!({ "Version": "2012-10-17", "Statement": statements.collect::<Vec<_>>() })
}

fn title(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
