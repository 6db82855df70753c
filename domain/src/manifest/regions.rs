//! Regions of a service, and mappings that must name each of them.

use std::collections::BTreeMap;

use super::field::{Field, Mapping};
use super::suggest::nearest;
use crate::fleet::Role;
use crate::ids::Region;
use crate::service::Pattern;

/// `spec.regions`: members of the fleet, each once, in the number that the pattern asks for.
#[must_use]
pub fn regions(field: &Field<'_>, pattern: Option<Pattern>, fleet: &BTreeMap<Region, Role>) -> Option<Vec<Region>> {
    let mut seen = Vec::new();
    let regions = field.each(|item| {
        let region = member(&item, fleet)?;
        if seen.contains(&region) {
            return item.refuse(format!("{region} is there twice"));
        }
        seen.push(region.clone());
        Some(region)
    })?;
    match (pattern, regions.len()) {
        (_, 0 | 1) => field.refuse("needs two Regions or more: with one there is nowhere to go"),
        (Some(Pattern::ActivePassive), 3..) => {
            field.refuse("active-passive has exactly two Regions: the one that serves and its standby")
        }
        _ => Some(regions),
    }
}

fn member(field: &Field<'_>, fleet: &BTreeMap<Region, Role>) -> Option<Region> {
    let text = field.text()?;
    match fleet.get(text.as_str()) {
        Some(Role::Member) => Some(Region::new(text)),
        Some(Role::Witness) => {
            field.refuse(format!("{text} is a witness of this fleet: it votes, but hosts no services"))
        }
        None => {
            let known: Vec<&str> = fleet.keys().map(Region::as_str).collect();
            field.refuse(format!(
                "{text} is not a Region of this fleet ({}){}",
                known.join(", "),
                nearest(&text, &known)
            ))
        }
    }
}

/// A mapping from every Region of the service, and no other, to something. With the service's Regions unknown
/// (because they are bad themselves), every key is read and none is missed.
pub fn per_region<'a, T>(
    field: &Field<'a>,
    regions: Option<&[Region]>,
    mut read: impl FnMut(Field<'a>) -> Option<T>,
) -> Option<BTreeMap<Region, T>> {
    let keys = field.mapping()?;
    let complete = regions.is_none_or(|regions| check_keys(&keys, regions));
    let read: Vec<Option<(Region, T)>> =
        keys.all().into_iter().map(|(key, item)| read(item).map(|value| (Region::new(key), value))).collect();
    let read: Option<BTreeMap<Region, T>> = read.into_iter().collect();
    read.filter(|_| complete)
}

fn check_keys(keys: &Mapping<'_>, regions: &[Region]) -> bool {
    let known: Vec<&str> = regions.iter().map(Region::as_str).collect();
    let mut complete = true;
    for (key, item) in keys.all().into_iter().filter(|(key, _)| !known.contains(key)) {
        complete = false;
        let hint = nearest(key, &known);
        item.refuse::<()>(format!("{key} is not one of the service's Regions ({}){hint}", known.join(", ")));
    }
    for region in &known {
        if keys.get(region).is_none() {
            complete = false;
            keys.need::<()>(region, |_| None);
        }
    }
    complete
}
