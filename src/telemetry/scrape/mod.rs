//! What is agreed and seen at the moment of a scrape.

mod drills;
mod fleet;
mod readings;
mod runs;
mod services;

use failoverd_domain::fleet::Role;
use failoverd_domain::health::Status;

use super::Standing;
use super::page::Page;

pub(super) use drills::VERDICTS;

/// Everything that is not counted but looked up.
pub(super) fn all(at: &Standing, page: &mut Page) {
    fleet::show(at, page);
    services::show(at, page);
    readings::show(at, page);
    runs::show(at, page);
    drills::show(at, page);
}

/// The word of a role.
pub(super) const fn role(role: Role) -> &'static str {
    match role {
        Role::Member => "member",
        Role::Witness => "witness",
    }
}

const STATUSES: [&str; 3] = ["good", "bad", "unknown"];

const fn status(status: Status) -> &'static str {
    match status {
        Status::Good => "good",
        Status::Bad => "bad",
        Status::Unknown => "unknown",
    }
}

/// The word that a value is written as.
fn word(value: impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
