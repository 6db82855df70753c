//! What no service can know alone: clashes between services, and references that lead nowhere.

use std::collections::{BTreeMap, BTreeSet};

use super::drill::misfits;
use super::records::types_clash;
use super::{Manifest, Problem};
use crate::drill::DrillSpec;
use crate::ids::ServiceName;
use crate::service::{ServiceSpec, StoreKind};
use crate::switch_groups::unfit_groups;

/// Checks new services against each other and against existing ones. An existing service that is declared anew is
/// replaced and not compared with itself.
#[must_use]
pub fn cross_check(existing: &[&ServiceSpec], new: &[Manifest]) -> Vec<Problem> {
    check(existing, new, true)
}

/// With `complete` false, some documents could not be read: a name that nobody has may be one of theirs.
pub(super) fn check(existing: &[&ServiceSpec], new: &[Manifest], complete: bool) -> Vec<Problem> {
    let named_anew: BTreeSet<&ServiceName> = new.iter().map(|manifest| &manifest.spec.name).collect();
    let kept: Vec<&ServiceSpec> = existing.iter().copied().filter(|spec| !named_anew.contains(&spec.name)).collect();
    let mut problems = Vec::new();
    let mut claims = Claims::default();
    for spec in &kept {
        claims.take_all(spec, None, &mut problems);
    }
    for manifest in new {
        claims.take_all(&manifest.spec, Some(manifest), &mut problems);
    }
    problems.extend(check_names(new, |spec| spec.name.as_str()));
    problems.extend(check_follows(&kept, new, complete));
    problems.extend(check_groups(&kept, new, complete));
    problems
}

/// Drills against the services as they will be, and against each other.
pub(super) fn check_drills(
    existing: &[&ServiceSpec],
    new: &[Manifest],
    drills: &[Manifest<DrillSpec>],
    complete: bool,
) -> Vec<Problem> {
    let anew = |name: &ServiceName| new.iter().any(|manifest| &manifest.spec.name == name);
    let kept = existing.iter().copied().filter(|spec| !anew(&spec.name));
    let services: Vec<&ServiceSpec> = kept.chain(new.iter().map(|manifest| &manifest.spec)).collect();
    let mut problems = check_names(drills, |spec| spec.name.as_str());
    for drill in drills {
        let unfit = misfits(&drill.spec, &services, complete);
        problems.extend(unfit.into_iter().map(|(path, why)| drill.problem(&path, why)));
    }
    problems
}

fn check_names<S>(new: &[Manifest<S>], name: impl Fn(&S) -> &str) -> Vec<Problem> {
    let mut first: BTreeMap<&str, &Manifest<S>> = BTreeMap::new();
    let mut problems = Vec::new();
    for manifest in new {
        let named = name(&manifest.spec);
        if let Some(other) = first.get(named) {
            let line = other.lines.get("metadata.name").copied().unwrap_or_default();
            let message = format!("{named} is declared twice, first in {}:{line}", other.file);
            problems.push(manifest.problem("metadata.name", message));
        } else {
            first.insert(named, manifest);
        }
    }
    problems
}

/// What belongs to one service only: stores and public names, and who has them.
#[derive(Default)]
struct Claims {
    stores: BTreeMap<String, (ServiceName, String)>,
    names: BTreeMap<String, Vec<(ServiceName, crate::route53::RecordType)>>,
}

impl Claims {
    fn take_all(&mut self, spec: &ServiceSpec, manifest: Option<&Manifest>, problems: &mut Vec<Problem>) {
        for (at, store) in spec.data.iter().enumerate() {
            for (identity, field) in identities(&store.kind) {
                let holder = (spec.name.clone(), store.name.to_string());
                let Some((service, name)) = self.stores.insert(identity.clone(), holder) else { continue };
                // Two documents of one name are reported as such, not store by store.
                let same_document = service != spec.name || name != store.name.as_str();
                if let (Some(manifest), true) = (manifest, same_document) {
                    let message = format!(
                        "{identity} already belongs to store {name} of {service}: one store moves with one service"
                    );
                    problems.push(manifest.problem(&format!("spec.data[{at}].{field}"), message));
                }
            }
        }
        for (at, record) in spec.traffic.records.iter().enumerate() {
            let holders = self.names.entry(record.name.clone()).or_default();
            let clash = holders
                .iter()
                .find(|(service, other)| service != &spec.name && types_clash(*other, record.record_type));
            if let (Some(manifest), Some((service, other))) = (manifest, clash) {
                let message = format!(
                    "{} {other} already belongs to {service}: one name is answered by one service",
                    record.name
                );
                problems.push(manifest.problem(&format!("spec.traffic.records[{at}].name"), message));
            }
            holders.push((spec.name.clone(), record.record_type));
        }
    }
}

/// What a store is in AWS, in words, with the field that says so.
fn identities(kind: &StoreKind) -> Vec<(String, String)> {
    match kind {
        StoreKind::Aurora { global_cluster, clusters } => {
            let mut all = vec![(format!("global cluster {global_cluster}"), "aurora.global_cluster".to_owned())];
            all.extend(clusters.iter().map(|(region, cluster)| {
                (format!("cluster {cluster} in {region}"), format!("aurora.clusters.{region}"))
            }));
            all
        }
        StoreKind::Rds { instances, .. } => instances
            .iter()
            .map(|(region, instance)| (format!("instance {instance} in {region}"), format!("rds.instances.{region}")))
            .collect(),
        StoreKind::Dynamodb { table, .. } => vec![(format!("table {table}"), "dynamodb.table".to_owned())],
        StoreKind::S3 { buckets, .. } => buckets
            .iter()
            .map(|(region, bucket)| (format!("bucket {bucket}"), format!("s3.buckets.{region}")))
            .collect(),
    }
}

fn check_follows(kept: &[&ServiceSpec], new: &[Manifest], complete: bool) -> Vec<Problem> {
    let all = kept.iter().copied().chain(new.iter().map(|manifest| &manifest.spec));
    let follows: BTreeMap<&ServiceName, Option<&ServiceName>> =
        all.map(|spec| (&spec.name, spec.follows.as_ref())).collect();
    let mut problems = Vec::new();
    for manifest in new {
        let Some(followed) = &manifest.spec.follows else { continue };
        if complete && !follows.contains_key(followed) {
            problems.push(manifest.problem("spec.follows", format!("there is no service {followed}")));
        } else if let Some(circle) = circle_from(&manifest.spec.name, &follows) {
            problems.push(manifest.problem("spec.follows", format!("goes round in a circle: {circle}")));
        }
    }
    problems
}

fn circle_from(start: &ServiceName, follows: &BTreeMap<&ServiceName, Option<&ServiceName>>) -> Option<String> {
    let mut way = vec![start.as_str()];
    let mut at = follows.get(start).copied().flatten()?;
    while at != start {
        if way.contains(&at.as_str()) {
            return None;
        }
        way.push(at.as_str());
        at = follows.get(at).copied().flatten()?;
    }
    way.push(start.as_str());
    Some(way.join(" → "))
}

/// Of each group that cannot be, the first new manifest is to be corrected.
fn check_groups(kept: &[&ServiceSpec], new: &[Manifest], complete: bool) -> Vec<Problem> {
    if !complete {
        // What a group lacks may be in the document that could not be read.
        return Vec::new();
    }
    let all = kept.iter().copied().chain(new.iter().map(|manifest| &manifest.spec));
    let mut unfit = unfit_groups(all);
    let mut problems = Vec::new();
    for manifest in new.iter().rev().filter(|manifest| manifest.spec.traffic.switch_group.is_some()).chain(new) {
        if let Some(why) = unfit.remove(&manifest.spec.switch_group()) {
            let named = manifest.spec.traffic.switch_group.is_some();
            problems.push(manifest.problem(if named { "spec.traffic.switch_group" } else { "metadata.name" }, why));
        }
    }
    problems
}
