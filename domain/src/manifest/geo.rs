//! `targets.*.geo[]`: the places that a Region serves.

use std::collections::BTreeSet;

use super::field::{Field, Mapping};
use crate::route53::Location;

/// Continent codes of Route 53.
/// <https://docs.aws.amazon.com/Route53/latest/APIReference/API_GeoLocation.html>
const CONTINENTS: [&str; 7] = ["AF", "AN", "AS", "EU", "NA", "OC", "SA"];
/// Countries whose subdivisions Route 53 knows.
const WITH_SUBDIVISIONS: [&str; 2] = ["US", "UA"];

/// Places taken so far in one record; no place can be in two sets.
#[derive(Debug, Default)]
pub struct Places(BTreeSet<Location>);

impl Places {
    /// Whether some Region takes everyone whom nothing else fits.
    #[must_use]
    pub fn has_default(&self) -> bool {
        self.0.contains(&Location::Default)
    }

    /// How many they are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

/// The places of one target.
pub fn locations(field: &Field<'_>, taken: &mut Places) -> Option<Vec<Location>> {
    let locations = field.each(|item| {
        let location = location(&item)?;
        if !taken.0.insert(location.clone()) {
            return item.refuse("this place is there twice in the record: Route 53 takes it once");
        }
        Some(location)
    })?;
    if locations.is_empty() {
        return field.refuse("needs at least one place: { continent: EU }, { country: DE } or { default: true }");
    }
    Some(locations)
}

fn location(field: &Field<'_>) -> Option<Location> {
    let keys = field.mapping()?;
    let continent = keys.maybe("continent", |field| continent(&field));
    let country = keys.maybe("country", |field| code(&field, 2));
    let subdivision = keys.maybe("subdivision", |field| code(&field, 3));
    let default = keys.maybe("default", |field| field.boolean());
    keys.finish();
    match (continent?, country?, subdivision?, default?) {
        (Some(continent), None, None, None) => Some(Location::Continent(continent)),
        (None, Some(country), None, None) => Some(Location::Country(country)),
        (None, Some(country), Some(subdivision), None) => with_subdivision(&keys, country, subdivision),
        (None, None, None, Some(true)) => Some(Location::Default),
        _ => field.refuse(
            "is one of { continent: EU }, { country: DE }, { country: US, subdivision: CA } or { default: true }",
        ),
    }
}

fn with_subdivision(keys: &Mapping<'_>, country: String, subdivision: String) -> Option<Location> {
    if !WITH_SUBDIVISIONS.contains(&country.as_str()) {
        return keys.need("subdivision", |field| field.refuse("Route 53 knows subdivisions of US and UA only"));
    }
    Some(Location::Subdivision(country, subdivision))
}

fn continent(field: &Field<'_>) -> Option<String> {
    let choices = CONTINENTS.map(|code| (code, code));
    field.choice(&choices).map(str::to_owned)
}

fn code(field: &Field<'_>, most: usize) -> Option<String> {
    let text = field.code()?;
    let inner = text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    let fits = (most == 2 && text.len() == 2) || (most == 3 && (1..=3).contains(&text.len()));
    if !inner || !fits {
        return field.refuse(format!("{text:?} is not an ISO 3166 code in capitals, like DE or CA"));
    }
    Some(text)
}
