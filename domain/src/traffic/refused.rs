//! What Route 53 would refuse of the records that services want, found out before anything is sent.

use std::collections::{BTreeMap, BTreeSet};

use super::desired::{Desired, lower};
use super::naming::internal_name;
use crate::ids::ServiceName;
use crate::route53::{Node, RecordSet, Together};
use crate::service::{Endpoint, ServiceSpec};

/// One record that Route 53 would refuse.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refused {
    /// Whose record.
    pub service: ServiceName,
    /// Name of the record.
    pub name: String,
    /// In Route 53's words, and where a loop goes.
    pub reason: String,
}

/// A hosted zone as it is known while manifests are looked at.
#[derive(Clone, Copy, Debug)]
pub struct KnownZone<'a> {
    /// Name.
    pub name: &'a str,
    /// Route 53's id; empty while the zone could not be read.
    pub id: &'a str,
    /// Its records; absent while they could not be read.
    pub records: Option<&'a [RecordSet]>,
}

/// What Route 53 would refuse of the records of those services in `asked`, if the zone held what all in `wanted` want
/// beside what stands there already. Where the zone could not be read only what is wanted is looked at.
#[must_use]
pub fn refused(zone: KnownZone<'_>, wanted: &[Desired], asked: &BTreeSet<ServiceName>) -> Vec<Refused> {
    let mut owners: BTreeMap<Node, &ServiceName> = BTreeMap::new();
    for desired in wanted {
        let nodes = desired.records.iter().map(|it| (it.record.name.clone(), it.record.record_type));
        owners.extend(nodes.map(|node| (node, &desired.service)));
    }
    let stays = |set: &&RecordSet| !owners.contains_key(&(lower(&set.name), set.record_type));
    let standing = zone.records.unwrap_or_default().iter().filter(stays);
    let all = standing.chain(wanted.iter().flat_map(|desired| &desired.records).map(|it| &it.record));
    let together = Together::new(zone.name, zone.id, all);
    let mut found = Vec::new();
    let mut looped: BTreeSet<String> = BTreeSet::new();
    for (node, service) in owners.iter().filter(|(_, service)| asked.contains(**service)) {
        let way = together.loop_through(node);
        let seen = way.iter().flatten().any(|name| looped.contains(name));
        looped.extend(way.iter().flatten().cloned());
        for words in together.refusals(&node.0, node.1) {
            let is_loop = words.contains("alias loop");
            // One loop goes through many of our names; a target that is not there may only not have been read.
            if (is_loop && seen) || (zone.records.is_none() && words.ends_with("was not found")) {
                continue;
            }
            let way = way.as_ref().filter(|_| is_loop).map(|way| format!(" {}", way.join(" → "))).unwrap_or_default();
            let service = (*service).clone();
            found.push(Refused { service, name: node.0.clone(), reason: format!("{words}{way}") });
        }
    }
    found
}

/// What Route 53 would refuse of the zones that a manifest's aliases name: an alias within the zone names the zone's own
/// id, one that names it leads into the zone.
#[must_use]
pub fn strayed(zone: KnownZone<'_>, spec: &ServiceSpec) -> Vec<Refused> {
    let apex = lower(zone.name);
    let mut found = Vec::new();
    if zone.id.is_empty() {
        return found;
    }
    for record in &spec.traffic.records {
        for (region, target) in &record.targets {
            let Endpoint::Alias(alias) = &target.endpoint else { continue };
            let leads_to = lower(&alias.dns_name);
            let inside = leads_to.strip_suffix(&apex).is_some_and(|head| head.is_empty() || head.ends_with('.'));
            if inside != (alias.hosted_zone == zone.id) {
                let reason = format!(
                    "Tried to create an alias that targets {leads_to}., type {} in zone {}, but the alias target name does not lie within the target zone (the id of {apex} is {})",
                    record.record_type, alias.hosted_zone, zone.id
                );
                let name = internal_name(region, &lower(&record.name));
                found.push(Refused { service: spec.name.clone(), name, reason });
            }
        }
    }
    found
}
