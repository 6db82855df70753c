//! What stands in every daemon's file and counts for the whole fleet once most of them say the same.

use std::collections::BTreeMap;

use failoverd_domain::fleet::{FleetSettings, Velocity};
use failoverd_domain::glass::{Enrolment, MOST_KEYS, PublicKey};
use failoverd_domain::manifest::field::Field;

/// One Region in an hour: ADR 26 says why.
pub const DEFAULT_VELOCITY: Velocity = Velocity { window_ms: 3_600_000, regions: 1, services: None };
const MOST: u64 = 1_000_000;

/// Reads `velocity`; `none` is no limit.
pub(super) fn velocity(field: &Field<'_>) -> Option<Option<Velocity>> {
    if field.is_word("none") {
        return Some(None);
    }
    let keys = field.mapping()?;
    let window_ms = keys.or("window", DEFAULT_VELOCITY.window_ms, |field| field.positive_ms());
    let regions = keys.or("regions", u64::from(DEFAULT_VELOCITY.regions), |field| field.number(1, MOST));
    let services = keys.maybe("services", |field| field.number(1, MOST));
    keys.finish();
    let services = services?.map(u32::try_from).transpose().ok()?;
    let velocity = Velocity { window_ms: window_ms?, regions: u32::try_from(regions?).ok()?, services };
    let settings = FleetSettings { velocity: Some(velocity.clone()), break_glass: None };
    match settings.check() {
        Ok(()) => Some(Some(velocity)),
        Err(why) => field.refuse(why.trim_start_matches("velocity ").to_owned()),
    }
}

/// Reads `access.break_glass`.
pub(super) fn break_glass(field: &Field<'_>) -> Option<Enrolment> {
    let keys = field.mapping()?;
    let threshold = keys.need("threshold", |field| field.number(0, MOST_KEYS as u64));
    let people = keys.need("keys", |field| {
        let mut people = BTreeMap::new();
        for (name, key) in field.each(|field| person(&field))? {
            if people.insert(name.clone(), key).is_some() {
                return field.refuse(format!("names {name} twice"));
            }
        }
        Some(people)
    });
    keys.finish();
    let enrolment = Enrolment { threshold: u32::try_from(threshold?).ok()?, keys: people? };
    match enrolment.check() {
        Ok(()) => Some(enrolment),
        Err(why) => field.refuse(why),
    }
}

fn person(field: &Field<'_>) -> Option<(String, PublicKey)> {
    let keys = field.mapping()?;
    let name = keys.need("name", |field| field.text());
    let key = keys.need("public_key", |field| match PublicKey::of_line(&field.text()?) {
        Ok(key) => Some(key),
        Err(why) => field.refuse(why),
    });
    keys.finish();
    Some((name?, key?))
}
