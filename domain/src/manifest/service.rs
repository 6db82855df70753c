//! One document: a `FailoverService`, or a `Drill`.

use std::collections::BTreeMap;

use super::drill::{self, DRILL_KIND};
use super::field::{Field, Mapping};
use super::policy::{self, default_policy};
use super::regions::regions;
use super::signals::health;
use super::stores::stores;
use super::traffic::traffic;
use super::{names, unsupported};
use crate::drill::DrillSpec;
use crate::fleet::Role;
use crate::ids::{DrillName, Region, ServiceName};
use crate::service::{Pattern, ServiceSpec};

/// The only version of the format.
pub const API_VERSION: &str = "failoverd.dev/v1";
/// The kind of document that declares a service.
pub const KIND: &str = "FailoverService";
/// Words for the pattern.
pub const PATTERN: [(&str, Pattern); 2] =
    [("active-passive", Pattern::ActivePassive), ("active-active", Pattern::ActiveActive)];

/// What a document declares.
#[derive(Debug)]
pub enum Declared {
    /// A service.
    Service(Box<ServiceSpec>),
    /// A drill.
    Drill(Box<DrillSpec>),
}

/// Reads a document.
#[must_use]
pub fn document(root: &Field<'_>, fleet: &BTreeMap<Region, Role>) -> Option<Declared> {
    let keys = root.mapping()?;
    let (ours, kind) = (is_our_version(&keys), kind(&keys));
    let Some((is_drill, true)) = kind.map(|kind| (kind == DRILL_KIND, ours)) else {
        // Whatever it is, its other fields are none of ours to judge.
        return None;
    };
    let metadata = keys.need("metadata", |field| metadata(&field));
    let declared = if is_drill {
        keys.need("spec", |field| drill::spec(&field)).map(|spec| Declared::Drill(Box::new(spec)))
    } else {
        keys.need("spec", |field| spec(&field, fleet)).map(|spec| Declared::Service(Box::new(spec)))
    };
    keys.finish();
    let (name, labels) = metadata?;
    Some(match declared? {
        Declared::Service(spec) => {
            Declared::Service(Box::new(ServiceSpec { name: ServiceName::new(name), labels, ..*spec }))
        }
        Declared::Drill(spec) => Declared::Drill(Box::new(DrillSpec { name: DrillName::new(name), labels, ..*spec })),
    })
}

fn is_our_version(keys: &Mapping<'_>) -> bool {
    keys.need("apiVersion", |field| field.choice(&[(API_VERSION, ())])).is_some()
}

fn kind(keys: &Mapping<'_>) -> Option<&'static str> {
    keys.need("kind", |field| field.choice(&[(KIND, KIND), (DRILL_KIND, DRILL_KIND)]))
}

fn metadata(field: &Field<'_>) -> Option<(String, BTreeMap<String, String>)> {
    let keys = field.mapping()?;
    let name = keys.need("name", |field| names::name(&field));
    let labels = keys.or("labels", BTreeMap::new(), |field| labels(&field));
    keys.finish();
    Some((name?, labels?))
}

fn labels(field: &Field<'_>) -> Option<BTreeMap<String, String>> {
    let labels: Vec<Option<(String, String)>> =
        field.mapping()?.all().into_iter().map(|(key, value)| Some((key.to_owned(), value.text()?))).collect();
    labels.into_iter().collect()
}

fn spec(field: &Field<'_>, fleet: &BTreeMap<Region, Role>) -> Option<ServiceSpec> {
    let keys = field.mapping()?;
    unsupported::of_spec(&keys);
    let pattern = keys.need("pattern", |field| field.choice(&PATTERN));
    let regions = keys.need("regions", |field| regions(&field, pattern, fleet));
    let role_arn = keys.maybe("role_arn", |field| names::role_arn(&field));
    let follows = keys.maybe("follows", |field| names::name(&field));
    let objectives = keys.need("objectives", |field| policy::objectives(&field));
    let policy = keys.or("policy", default_policy(), |field| policy::policy(&field, fleet.len()));
    let health = keys.need("health", |field| health(&field));
    let traffic = keys.need("traffic", |field| traffic(&field, pattern, regions.as_deref()));
    let data = keys.or("data", Vec::new(), |field| stores(&field, regions.as_deref()));
    keys.finish();
    policy::refuse_automatic_without_switch(&keys);
    Some(ServiceSpec {
        name: ServiceName::default(),
        labels: BTreeMap::new(),
        pattern: pattern?,
        regions: regions?,
        role_arn: role_arn?,
        follows: follows?.map(ServiceName::new),
        objectives: objectives?,
        policy: policy?,
        health: health?,
        traffic: traffic?,
        data: data?,
    })
}
