//! The names that failoverd gives to records and health checks. Deterministic: whoever computes them finds what
//! another daemon made.

use sha2::{Digest, Sha256};

use crate::ids::{FleetId, Region, ServiceName, SwitchGroup};

/// Longest caller reference that Route 53 takes
/// (<https://docs.aws.amazon.com/Route53/latest/APIReference/API_CreateHealthCheck.html>).
const REFERENCE_MAX: usize = 64;
/// What stands between a reference and its number, where it had to be made anew.
const LIFE: char = '#';
/// Room for that number.
const LIFE_MAX: usize = 4;
/// How often a check can be made anew while Route 53 remembers those before it.
pub const MOST_LIVES: u32 = 999;

/// The record that carries a Region's switch check and its real target, below a public name. `*` is only a wildcard
/// as the leftmost label, so it gets a word of its own here.
#[must_use]
pub fn internal_name(region: &Region, public_name: &str) -> String {
    format!("fo-{region}.{}", public_name.replace('*', "_any"))
}

/// The record by which Route 53's own checkers are asked over DNS: `healthy` or `unhealthy`.
#[must_use]
pub fn canary_name(region: &Region, service: &ServiceName, zone: &str) -> String {
    format!("_failoverd-canary.{region}.{service}.{zone}")
}

/// The TXT record that fences the writers of a service's records.
#[must_use]
pub fn fence_name(service: &ServiceName, zone: &str) -> String {
    format!("_failoverd.{service}.{zone}")
}

/// What Route 53's checkers ask a daemon for.
#[must_use]
pub fn switch_path(token: &str) -> String {
    format!("/s/{token}")
}

/// Whether a name could be one of a service's canary records, of whatever Region.
pub(super) fn is_canary_name(name: &str, service: &ServiceName, zone: &str) -> bool {
    let region = name
        .strip_prefix("_failoverd-canary.")
        .and_then(|rest| rest.strip_suffix(zone)?.strip_suffix('.')?.strip_suffix(service.as_str())?.strip_suffix('.'));
    region.is_some_and(|region| !region.is_empty() && !region.contains('.'))
}

/// Whether a name could be an internal record of a public one, of whatever Region.
pub(super) fn is_internal_name(name: &str, public_name: &str) -> bool {
    let Some(rest) = name.strip_prefix("fo-") else { return false };
    let region = rest.strip_suffix(public_name.replace('*', "_any").as_str()).and_then(|rest| rest.strip_suffix('.'));
    region.is_some_and(|region| !region.is_empty() && !region.contains('.'))
}

/// Caller reference of a check of a switch: `what` is `p`, `s`, or daemon and answer. What Route 53 cannot change in a
/// check (its protocol) belongs in `what`, so that a change makes a new check instead of failing for ever.
pub(super) fn switch_reference(fleet: &FleetId, group: &SwitchGroup, bit: &Region, what: &str) -> String {
    fitting(format!("failoverd/{fleet}/sw/{group}/{bit}/{what}"))
}

/// Name of the alarm behind a daemon's word on a switch's bit; in that daemon's Region, so the daemon's name would not
/// have to be in it, but people see alarms of several Regions side by side.
#[must_use]
pub fn switch_alarm_name(fleet: &FleetId, group: &SwitchGroup, bit: &Region, daemon: &Region) -> String {
    format!("failoverd/{fleet}/sw/{group}/{bit}/{daemon}")
}

/// Caller reference of the check by which Route 53 sees a service in a Region from outside.
pub(super) fn health_reference(fleet: &FleetId, service: &ServiceName, region: &Region, protocol: &str) -> String {
    fitting(format!("failoverd/{fleet}/hc/{service}/{region}/{protocol}"))
}

/// What the caller references of a service's checks begin with: its switch's, and its own. One that had to be cut within
/// this is not recognised by it.
pub(super) fn own_references(fleet: &FleetId, group: &SwitchGroup, service: &ServiceName) -> [String; 2] {
    [format!("failoverd/{fleet}/sw/{group}/"), format!("failoverd/{fleet}/hc/{service}/")]
}

/// A reference for the check to be made under it: its own for the first, and another one for each after that. Route 53
/// refuses the reference of a check that was deleted, for a number of days
/// (<https://docs.aws.amazon.com/Route53/latest/APIReference/API_CreateHealthCheck.html>).
#[must_use]
pub fn reference_for_life(reference: &str, life: u32) -> String {
    if life <= 1 { reference.to_owned() } else { format!("{reference}{LIFE}{life}") }
}

/// The reference under which a check is wanted, whichever of its lives it is.
#[must_use]
pub fn wanted_reference(caller_reference: &str) -> &str {
    caller_reference.split(LIFE).next().unwrap_or(caller_reference)
}

/// Too long a reference keeps its readable beginning and gets a digest of the whole.
fn fitting(reference: String) -> String {
    if reference.len() <= REFERENCE_MAX - LIFE_MAX {
        return reference;
    }
    let digest: String =
        Sha256::digest(reference.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let mut kept = REFERENCE_MAX - LIFE_MAX - digest.len() - 1;
    while !reference.is_char_boundary(kept) {
        kept -= 1;
    }
    format!("{}~{digest}", reference.get(..kept).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_fit_and_stay_apart() {
        let reference = |what: &str| {
            let group = "a-very-long-group-name-that-somebody-really-chose";
            switch_reference(&"prod".into(), &group.into(), &"ap-southeast-2".into(), what)
        };
        let (on, off) = (reference("us-east-1/on/https"), reference("us-east-1/off/https"));
        assert!(on.len() <= 64 && off.len() <= 64 && on != off, "{on} {off}");
        let last = reference_for_life(&on, MOST_LIVES);
        assert!(last.len() <= 64 && wanted_reference(&last) == on && wanted_reference(&on) == on, "{last}");
        assert_eq!(reference_for_life(&on, 1), on);
        assert_eq!(on, reference("us-east-1/on/https"));
        assert_eq!(
            switch_reference(&"prod".into(), &"checkout".into(), &"us-east-1".into(), "p"),
            "failoverd/prod/sw/checkout/us-east-1/p"
        );
    }

    #[test]
    fn names_of_other_services_are_not_taken_for_ours() {
        let canary = |name: &str| is_canary_name(name, &"shop".into(), "example.com");
        assert!(canary(&canary_name(&"us-east-1".into(), &"shop".into(), "example.com")));
        assert!(!canary("_failoverd-canary.us-east-1.workshop.example.com"));
        assert!(!canary("_failoverd-canary.us-east-1.my.shop.example.com"));
        assert!(!canary("_failoverd-canary.us-east-1.shop.example.org"));
        assert!(is_internal_name("fo-us-east-1.api.example.com", "api.example.com"));
        assert!(!is_internal_name("fo-us-east-1.v2.api.example.com", "api.example.com"));
        assert!(!is_internal_name("fo-us-east-1.myapi.example.com", "api.example.com"));
        assert_eq!(internal_name(&"us-east-1".into(), "*.example.com"), "fo-us-east-1._any.example.com");
    }
}
