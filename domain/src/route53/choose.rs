//! Choosing one record set among those of one name and type, by their routing policy and health.
//!
//! "How Amazon Route 53 chooses records when health checking is configured": choose by policy; an unhealthy choice is
//! passed over; if none is healthy, all count as healthy.

use super::answer::Place;
use super::record::{Location, Policy, RecordSet};

/// Records that one multivalue answer holds at most.
pub(super) const MOST_VALUES: usize = 8;

/// A record set and its health as evaluated.
pub(super) struct Candidate<'a> {
    pub(super) set: &'a RecordSet,
    pub(super) healthy: bool,
}

/// What was chosen, and why not the others.
pub(super) struct Choice {
    /// Index among the candidates.
    pub(super) chosen: Option<usize>,
    pub(super) because: String,
    /// One for each candidate; absent for the chosen one.
    pub(super) rejected: Vec<Option<String>>,
    /// One draw for each candidate that could be chosen here.
    pub(super) draws: Vec<u32>,
}

/// Whether the set can answer an asker at that place at all.
pub(super) fn eligible(set: &RecordSet, from: &Place) -> bool {
    match &set.policy {
        Policy::Geolocation(location) => location_matches(location, from),
        _ => true,
    }
}

pub(super) fn choose(candidates: &[Candidate<'_>], from: &Place, draw: u32) -> Choice {
    let fitting: Vec<usize> = indices(candidates, |c| eligible(c.set, from));
    let healthy: Vec<usize> = fitting.iter().copied().filter(|&i| candidates[i].healthy).collect();
    let none_healthy = healthy.is_empty();
    let pool = if none_healthy { &fitting } else { &healthy };
    let (chosen, mut because) = match by_policy(candidates, pool, from, draw) {
        Some((chosen, because)) => (Some(chosen), because),
        None => (None, "no record fits the asker's place, and there is no default".to_owned()),
    };
    if none_healthy && chosen.is_some() {
        because.push_str(", and as none is healthy all count as healthy");
    }
    let rejected = (0..candidates.len())
        .map(|i| {
            (Some(i) != chosen)
                .then(|| rejection(&candidates[i], from, none_healthy, chosen.map(|c| candidates[c].set)))
        })
        .collect();
    Choice { chosen, because, rejected, draws: draws(candidates, pool) }
}

/// Draws that choose each of the pool that can be: only weights leave it to chance.
fn draws(candidates: &[Candidate<'_>], pool: &[usize]) -> Vec<u32> {
    let weights: Vec<u32> = pool
        .iter()
        .filter_map(|&i| match candidates[i].set.policy {
            Policy::Weighted(weight) => Some(u32::from(weight)),
            _ => None,
        })
        .collect();
    if weights.iter().all(|weight| *weight == 0) {
        let equal = u32::try_from(weights.len()).unwrap_or(u32::MAX);
        return (0..equal.max(1)).collect();
    }
    let mut below = 0;
    let mut draws = Vec::new();
    for weight in weights {
        draws.extend((weight > 0).then_some(below));
        below += weight;
    }
    draws
}

fn indices(candidates: &[Candidate<'_>], keep: impl Fn(&Candidate<'_>) -> bool) -> Vec<usize> {
    candidates.iter().enumerate().filter(|(_, c)| keep(c)).map(|(i, _)| i).collect()
}

/// The pool is already narrowed to what may answer; one name and type has one policy (Route 53 refuses a mix).
fn by_policy(candidates: &[Candidate<'_>], pool: &[usize], from: &Place, draw: u32) -> Option<(usize, String)> {
    let first = *pool.first()?;
    Some(match &candidates[first].set.policy {
        Policy::Simple => (first, "the only record of its name and type".to_owned()),
        Policy::Failover { .. } => failover(candidates, pool, first),
        Policy::Weighted(_) => weighted(candidates, pool, draw),
        Policy::Latency(_) => latency(candidates, pool, from, first),
        Policy::Geolocation(_) => geolocation(candidates, pool, first),
        Policy::MultiValue => {
            let chosen = pool[draw as usize % pool.len()];
            (chosen, format!("with up to {MOST_VALUES} of the {} that may answer", pool.len()))
        }
        Policy::Other(word) => (first, format!("by {word}, which is not worked out here: the first that may answer")),
    })
}

fn failover(candidates: &[Candidate<'_>], pool: &[usize], first: usize) -> (usize, String) {
    let is_primary = |&&i: &&usize| candidates[i].set.policy == Policy::Failover { primary: true };
    match pool.iter().find(is_primary) {
        Some(&primary) => (primary, "the primary answers".to_owned()),
        None => (first, "the secondary answers, as the primary is not healthy".to_owned()),
    }
}

/// "Values specific for weighted records": a weight of 0 is used only when all others are unhealthy; when all weights
/// are 0, each is as likely as the others.
fn weighted(candidates: &[Candidate<'_>], pool: &[usize], draw: u32) -> (usize, String) {
    let weight_of = |i: usize| match candidates[i].set.policy {
        Policy::Weighted(weight) => u32::from(weight),
        _ => 0,
    };
    let total: u32 = pool.iter().map(|&i| weight_of(i)).sum();
    if total == 0 {
        let chosen = pool[draw as usize % pool.len()];
        return (chosen, format!("1 of {} records of weight 0, as no other is left", pool.len()));
    }
    let mut left = draw % total;
    let chosen = pool.iter().copied().find(|&i| {
        let weight = weight_of(i);
        let hit = left < weight;
        left = left.saturating_sub(weight);
        hit
    });
    let chosen = chosen.unwrap_or(pool[0]);
    (chosen, format!("drawn with weight {} of {total}", weight_of(chosen)))
}

/// Regions that the place does not rank come last, in the order of the records.
fn latency(candidates: &[Candidate<'_>], pool: &[usize], from: &Place, first: usize) -> (usize, String) {
    let rank = |i: usize| match &candidates[i].set.policy {
        Policy::Latency(region) => from.regions_by_latency.iter().position(|r| r == region).unwrap_or(usize::MAX),
        _ => usize::MAX,
    };
    let chosen = pool.iter().copied().min_by_key(|&i| rank(i)).unwrap_or(first);
    (chosen, "the lowest latency among those that may answer".to_owned())
}

fn geolocation(candidates: &[Candidate<'_>], pool: &[usize], first: usize) -> (usize, String) {
    // `Location` orders from widest to narrowest.
    let place = |i: usize| match &candidates[i].set.policy {
        Policy::Geolocation(location) => Some(location),
        _ => None,
    };
    let chosen = pool.iter().copied().max_by_key(|&i| place(i)).unwrap_or(first);
    (chosen, format!("the most specific place that may answer ({})", place(chosen).map_or_else(String::new, describe)))
}

fn describe(location: &Location) -> String {
    match location {
        Location::Default => "default".to_owned(),
        Location::Continent(continent) => format!("continent {continent}"),
        Location::Country(country) => format!("country {country}"),
        Location::Subdivision(country, subdivision) => format!("{country}-{subdivision}"),
    }
}

fn location_matches(location: &Location, from: &Place) -> bool {
    let same = |code: &String, asker: &Option<String>| asker.as_ref().is_some_and(|a| a.eq_ignore_ascii_case(code));
    match location {
        Location::Default => true,
        Location::Continent(continent) => same(continent, &from.continent),
        Location::Country(country) => same(country, &from.country),
        Location::Subdivision(country, sub) => same(country, &from.country) && same(sub, &from.subdivision),
    }
}

fn rejection(candidate: &Candidate<'_>, from: &Place, none_healthy: bool, chosen: Option<&RecordSet>) -> String {
    if !eligible(candidate.set, from) {
        return "the asker is elsewhere".to_owned();
    }
    if !candidate.healthy && !none_healthy {
        return "unhealthy".to_owned();
    }
    match (&candidate.set.policy, chosen.map(|set| &set.policy)) {
        (Policy::Simple, _) => "another record of the same name and type answers",
        (Policy::Failover { .. }, _) => "the primary may answer",
        (Policy::Weighted(0), Some(Policy::Weighted(1..))) => "weight 0, and another record may answer",
        (Policy::Weighted(_), _) => "not drawn",
        (Policy::Latency(_), _) => "another Region is nearer",
        (Policy::Geolocation(_), _) => "a more specific place answers",
        (Policy::MultiValue | Policy::Other(_), _) => "another record answers",
    }
    .to_owned()
}
