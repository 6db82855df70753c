//! The ARNs of what manifests name.

use std::collections::{BTreeMap, BTreeSet};

use super::table::Form;
use crate::drill::{DrillSpec, Guardrail};
use crate::ids::Region;
use crate::service::{Canary, ProbeSpec, ServiceSpec, Store, StoreKind, SwitchTransport};

/// Where the resources are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// `aws`, `aws-cn`, `aws-us-gov`.
    pub partition: String,
    /// Twelve digits; `*` while it is not known.
    pub account: String,
    /// Name (with its path) of the role that gets the policy.
    pub role: String,
    /// Ids of hosted zones by name; a zone that is not here is any.
    pub zones: BTreeMap<String, String>,
    /// Only what is in this Region, or in none.
    pub only: Option<Region>,
}

/// Whose resources, and for which role.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Services whose resources this role acts on.
    pub acted_on: &'a [&'a ServiceSpec],
    /// All services of the fleet, where this is the daemons' own role: alarms are read, figures published and roles
    /// assumed by it, whatever role a service names.
    pub fleet: Option<&'a [&'a ServiceSpec]>,
    /// Drills of the fleet, likewise: alarms of their guardrails are read by the daemons' own role.
    pub drills: &'a [&'a DrillSpec],
}

/// The ARNs of one form, sorted; empty when no manifest has anything of it.
pub(super) fn arns(form: Form, subject: &Subject<'_>, place: &Place) -> BTreeSet<String> {
    let acted_on = subject.acted_on.iter().copied();
    let own = subject.fleet.unwrap_or_default().iter().copied();
    let any = |wanted: bool| wanted.then(|| "*".to_owned()).into_iter().collect::<BTreeSet<_>>();
    match form {
        Form::Account => any(!subject.acted_on.is_empty()),
        Form::MetricData => any(acted_on.clone().any(|spec| !spec.data.is_empty())),
        Form::FleetFigures => any(subject.fleet.is_some() || acted_on.clone().any(is_through_cloudwatch)),
        Form::SwitchAlarm => some(acted_on.clone().any(is_through_cloudwatch), || {
            // In the Region of every daemon, witnesses included: manifests do not name those.
            let region = place.only.as_ref().map_or("*", Region::as_str);
            format!("arn:{}:cloudwatch:{region}:{}:alarm:failoverd/*", place.partition, place.account)
        }),
        Form::Zone => acted_on.map(|spec| zone(spec, place)).collect(),
        Form::ZoneChange => {
            some(!subject.acted_on.is_empty(), || format!("arn:{}:route53:::change/*", place.partition))
        }
        Form::HealthCheck => {
            some(!subject.acted_on.is_empty(), || format!("arn:{}:route53:::healthcheck/*", place.partition))
        }
        Form::Tagged => {
            let zones: BTreeSet<String> = acted_on.map(|spec| zone(spec, place)).collect();
            &zones | &arns(Form::HealthCheck, subject, place)
        }
        Form::Alarm => {
            let guarding = subject.drills.iter().filter(|_| subject.fleet.is_some());
            let guarding = guarding.flat_map(|drill| alarms_of_drill(drill, place));
            own.flat_map(|spec| alarms(spec, place)).chain(guarding).collect()
        }
        Form::ServiceRole => own.filter_map(|spec| spec.role_arn.clone()).collect(),
        Form::OwnRole => some(true, || format!("arn:{}:iam::{}:role/{}", place.partition, place.account, place.role)),
        _ => acted_on.flat_map(|spec| spec.data.iter().flat_map(|store| of_store(form, spec, store, place))).collect(),
    }
}

fn is_through_cloudwatch(spec: &ServiceSpec) -> bool {
    spec.traffic.switch == SwitchTransport::Cloudwatch
}

fn some(wanted: bool, arn: impl Fn() -> String) -> BTreeSet<String> {
    wanted.then(arn).into_iter().collect()
}

fn zone(spec: &ServiceSpec, place: &Place) -> String {
    let id = place.zones.get(&spec.traffic.hosted_zone).map_or("*", String::as_str);
    format!("arn:{}:route53:::hostedzone/{id}", place.partition)
}

fn alarms(spec: &ServiceSpec, place: &Place) -> Vec<String> {
    let named = spec.health.signals.iter().filter(|signal| matches!(signal.probe, ProbeSpec::CloudwatchAlarm { .. }));
    let in_each = named.flat_map(|signal| {
        spec.regions.iter().filter_map(|region| {
            regional(place, "cloudwatch", region, &format!("alarm:{}", signal.probe.target_in(region)))
        })
    });
    in_each.collect()
}

fn alarms_of_drill(drill: &DrillSpec, place: &Place) -> Vec<String> {
    let named = drill.guardrails.iter().filter_map(|guardrail| match guardrail {
        Guardrail::Alarm { name, region } => regional(place, "cloudwatch", region, &format!("alarm:{name}")),
        Guardrail::MaxDuration { .. } | Guardrail::Signal { .. } => None,
    });
    named.collect()
}

/// An ARN with a Region in it, unless only another Region is asked about.
fn regional(place: &Place, service: &str, region: &Region, rest: &str) -> Option<String> {
    let wanted = place.only.as_ref().is_none_or(|only| only == region);
    wanted.then(|| format!("arn:{}:{service}:{region}:{}:{rest}", place.partition, place.account))
}

fn of_store(form: Form, spec: &ServiceSpec, store: &Store, place: &Place) -> Vec<String> {
    let mut found: Vec<Option<String>> = Vec::new();
    let Place { partition, account, .. } = place;
    match (&store.kind, form) {
        (StoreKind::Aurora { global_cluster, .. }, Form::GlobalCluster) => {
            found.push(Some(format!("arn:{partition}:rds::{account}:global-cluster:{global_cluster}")));
        }
        (StoreKind::Aurora { global_cluster, clusters }, Form::WholeGlobalCluster) => {
            found.push(Some(format!("arn:{partition}:rds::{account}:global-cluster:{global_cluster}")));
            found.extend(clusters.iter().map(|(at, id)| regional(place, "rds", at, &format!("cluster:{id}"))));
        }
        (StoreKind::Aurora { clusters, .. }, Form::Cluster) => {
            found.extend(clusters.iter().map(|(at, id)| regional(place, "rds", at, &format!("cluster:{id}"))));
        }
        (StoreKind::Aurora { clusters, .. }, Form::FencedCluster) if store.fence.is_some() => {
            found.extend(clusters.iter().map(|(at, id)| regional(place, "rds", at, &format!("cluster:{id}"))));
        }
        (StoreKind::Aurora { clusters, .. }, Form::ClusterInstance) => {
            found.extend(clusters.keys().map(|at| regional(place, "rds", at, "db:*")));
        }
        (StoreKind::Aurora { clusters, .. }, Form::ClusterSnapshot) => {
            let lost = "cluster-snapshot:rds:unplanned-global-failover-*";
            found.extend(clusters.keys().map(|at| regional(place, "rds", at, lost)));
        }
        (StoreKind::Rds { instances, rebuild }, of) => {
            let wanted = match of {
                Form::Instance => true,
                Form::FencedInstance => store.fence.is_some(),
                Form::RebuiltInstance | Form::ReplicaParts => *rebuild,
                _ => false,
            };
            for (at, id) in instances.iter().filter(|_| wanted) {
                found.push(regional(place, "rds", at, &format!("db:{id}")));
                if of == Form::ReplicaParts {
                    let parts = ["og:*", "pg:*", "subgrp:*"].map(str::to_owned).into_iter();
                    let parts = parts.chain([format!("cluster:{id}")]);
                    found.extend(parts.map(|part| regional(place, "rds", at, &part)));
                }
            }
        }
        (StoreKind::Dynamodb { table, ensure_replicas, replicas, create }, of) => {
            let regions = if replicas.is_empty() { &spec.regions } else { replicas };
            let wanted = match of {
                Form::Table => true,
                Form::EnsuredTable => *ensure_replicas,
                Form::MadeTable => create.is_some(),
                _ => false,
            };
            if wanted {
                found.extend(regions.iter().map(|at| regional(place, "dynamodb", at, &format!("table/{table}"))));
            }
            match of {
                Form::LegacyTable => {
                    found.push(Some(format!("arn:{partition}:dynamodb::{account}:global-table/{table}")));
                }
                Form::TableReplicationRole if *ensure_replicas => {
                    let role =
                        "aws-service-role/replication.dynamodb.amazonaws.com/AWSServiceRoleForDynamoDBReplication";
                    found.push(Some(format!("arn:{partition}:iam::{account}:role/{role}")));
                }
                _ => {}
            }
        }
        (StoreKind::S3 { buckets, role_arn, .. }, of) => {
            let here = buckets.iter().filter(|(at, _)| place.only.as_ref().is_none_or(|only| only == *at));
            match (of, &store.canary) {
                (Form::Bucket, _) => {
                    found.extend(here.map(|(_, bucket)| Some(format!("arn:{partition}:s3:::{bucket}"))));
                }
                (Form::CanaryObject, Some(Canary::Prefix { prefix })) => {
                    found.extend(here.map(|(_, bucket)| Some(format!("arn:{partition}:s3:::{bucket}/{prefix}*"))));
                }
                (Form::BucketReplicationRole, _) => found.push(role_arn.clone()),
                _ => {}
            }
        }
        _ => {}
    }
    if let (Form::CanaryTable, Some(Canary::Table { table })) = (form, &store.canary) {
        found.extend(spec.regions.iter().map(|at| regional(place, "dynamodb", at, &format!("table/{table}"))));
    }
    found.into_iter().flatten().collect()
}
