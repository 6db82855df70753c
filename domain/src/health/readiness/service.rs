//! What concerns a service as a whole: its zone, its health checks, quotas, permissions, drift.

use super::{Check, NoAnswer, Verdict, names};

/// How much is used, how much may be, and how much is still to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Used now.
    pub used: u64,
    /// At most.
    pub limit: u64,
    /// Still to be made.
    pub wanted: u64,
}

/// Whether the zone can be found. `id` is Route 53's.
#[must_use]
pub fn zone_found(zone: &str, id: Result<&str, &NoAnswer>) -> Vec<Check> {
    match id {
        Ok(id) => vec![Check::ready(names::ZONE_FOUND, format!("{zone} is {id}"))],
        Err(no) => {
            let advice = "create the hosted zone, correct traffic.hosted_zone, or name the role_arn of its account";
            let found = no.about(names::ZONE_FOUND, advice);
            no.denied().into_iter().chain([found]).collect()
        }
    }
}

/// Whether the zone has room for the records that are still to be made.
#[must_use]
pub fn record_quota(zone: &str, room: Room) -> Check {
    quota(names::RECORD_QUOTA, &format!("{zone} holds"), "records", room, "records per hosted zone")
}

/// Whether the account has room for the health checks that are still to be made.
#[must_use]
pub fn check_quota(room: Result<Room, &NoAnswer>) -> Check {
    match room {
        Ok(room) => quota(names::CHECK_QUOTA, "the account has", "health checks", room, "health checks per account"),
        Err(no) => Check::unknown(names::CHECK_QUOTA, no.words.clone()),
    }
}

fn quota(name: &str, has: &str, what: &str, room: Room, called: &str) -> Check {
    let Room { used, limit, wanted } = room;
    let said = format!("{has} {used} of {limit} {what}, {wanted} more are wanted");
    // A limit of 0 is one that nobody told.
    if limit > 0 && used.saturating_add(wanted) > limit {
        return Check::not_ready(name, format!("{said}: raise the quota ({called}) in Service Quotas"));
    }
    Check::ready(name, said)
}

/// Whether the service's health checks exist, and ask what they should. `missing` and `differing` are by name; while the
/// service is not settled that is expected to pass by itself.
#[must_use]
pub fn health_checks(seen: Result<(&[String], &[String]), &NoAnswer>, wanted: usize, is_settled: bool) -> Vec<Check> {
    let (missing, differing) = match seen {
        Ok(seen) => seen,
        Err(no) => {
            let both = [names::HEALTH_CHECKS_PRESENT, names::HEALTH_CHECKS_AGREE];
            return both.iter().map(|name| Check::unknown(name, no.words.clone())).collect();
        }
    };
    let what = if is_settled { "settlement puts that right" } else { "the service is being settled" };
    let judged = |name: &str, wrong: &[String], fine: String, how: &str| {
        if wrong.is_empty() {
            return Check::ready(name, fine);
        }
        Check::not_ready(name, format!("{} {how}: {what}", list(wrong)))
    };
    let agree = "they ask what the committed switches say".to_owned();
    vec![
        judged(names::HEALTH_CHECKS_PRESENT, missing, format!("all {wanted} are there"), "not there"),
        judged(names::HEALTH_CHECKS_AGREE, differing, agree, "not as the committed switches and endpoints want it"),
    ]
}

/// A few of many.
fn list(names: &[String]) -> String {
    const SHOWN: usize = 3;
    let mut text = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}

/// What IAM's own simulation says to everything that the service needs: denied actions with their resources.
#[must_use]
pub fn permissions(asked: usize, denied: Result<&[(String, String)], &NoAnswer>) -> Check {
    let name = names::PERMISSIONS;
    match denied {
        Ok([]) => Check::ready(name, format!("IAM allows all {asked} actions that the service needs")),
        Ok(denied) => {
            let words: Vec<String> =
                denied.iter().map(|(action, resource)| format!("{action} on {resource}")).collect();
            Check::not_ready(name, format!("IAM denies {}: grant it (failoverctl iam-policy)", list(&words)))
        }
        Err(no) if no.is_refusal() && no.words.contains("SimulatePrincipalPolicy") => {
            let reason = format!("{}: grant iam:SimulatePrincipalPolicy, so that this can be checked", no.words);
            Check::unknown(name, reason)
        }
        Err(no) => no.denied().unwrap_or_else(|| Check::unknown(name, no.words.clone())),
    }
}

/// How what stands in AWS compares with what is agreed, by the settler's last word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Everything is as it should be.
    Clean,
    /// This is being written.
    Writes(Vec<String>),
    /// It is looked at again by itself.
    Waits(String),
    /// A person must look.
    Stuck(String),
}

/// Drift of records, checks and copies.
#[must_use]
pub fn records_drift(standing: &Standing) -> Check {
    let (verdict, reason) = match standing {
        Standing::Clean => (Verdict::Ready, "records, health checks and copies are as agreed".to_owned()),
        Standing::Writes(work) => (Verdict::Note, format!("is being rewritten: {}", list(work))),
        Standing::Waits(why) => (Verdict::Note, format!("settlement waits: {why}")),
        Standing::Stuck(why) => (Verdict::NotReady, format!("a person must look: {why}")),
    };
    Check::new(names::RECORDS_DRIFT, verdict, reason)
}
