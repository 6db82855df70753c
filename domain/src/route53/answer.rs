//! What Route 53 answers, and why.
//!
//! Pure: records, the health of checks and a draw come in, an answer and its reasons go out. It follows the Route 53
//! Developer Guide, "How Amazon Route 53 chooses records when health checking is configured" and "... in complex
//! configurations". It never invents an address: an alias to a name outside the zone is answered with that name.

use serde::Serialize;

use super::record::{AliasTarget, RecordSet, RecordType};
use super::tree::{Draws, Tree};
use crate::ids::{HealthCheckId, Region};

/// TTL that an alias to an AWS resource is answered with ("Choosing between alias and non-alias records").
pub const ALIAS_TTL_S: u32 = 60;

/// A question to a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Name; case and a trailing dot do not matter.
    pub name: String,
    /// Type.
    pub record_type: RecordType,
    /// Where it is asked from.
    pub from: Place,
    /// Decides among weights, drawn by the caller: used modulo the sum of the weights.
    pub draw: u32,
}

/// Where a question comes from, as far as known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Nearest AWS Region first, for latency routing.
    pub regions_by_latency: Vec<Region>,
    /// Continent code.
    pub continent: Option<String>,
    /// Country code.
    pub country: Option<String>,
    /// Subdivision code.
    pub subdivision: Option<String>,
}

/// What Route 53 answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// Values; empty when there is no answer.
    pub values: Vec<String>,
    /// TTL in seconds.
    pub ttl_s: u32,
    /// The record sets that were followed, outermost first, by set identifier (by name where there is none).
    pub path: Vec<String>,
    /// Why this answer.
    pub because: String,
    /// Every candidate, and why it was not chosen.
    pub considered: Vec<Considered>,
    /// Type of the record that answered: the one asked for, or CNAME. Absent when there is no answer.
    pub record_type: Option<RecordType>,
    /// The alias target outside the zone whose name stands in `values`, if the answer is one.
    pub alias: Option<AliasTarget>,
}

/// One candidate of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Considered {
    /// Record name.
    pub name: String,
    /// Set identifier, if any.
    pub set_identifier: Option<String>,
    /// Its health as evaluated.
    pub healthy: bool,
    /// Why it was passed over; absent for the chosen one.
    pub rejected_because: Option<String>,
}

/// Answers `query` from the records of one zone; `healthy` says the state of a health check.
#[must_use]
pub fn answer(records: &[RecordSet], healthy: &dyn Fn(&HealthCheckId) -> bool, query: &Query) -> Answer {
    let tree = Tree::new(records, healthy, &query.from, Draws::Mixed(query.draw));
    match start(&tree, query) {
        Ok((name, record_type)) => tree.follow(&name, record_type).0,
        Err(nothing) => *nothing,
    }
}

/// Most different answers that are told; weights could make very many.
const MOST_ANSWERS: usize = 256;

/// Every answer that chance could give to `query`, whose own draw does not matter: one, unless weights are on the way.
#[must_use]
pub fn answers(records: &[RecordSet], healthy: &dyn Fn(&HealthCheckId) -> bool, query: &Query) -> Vec<Answer> {
    let mut found: Vec<Answer> = Vec::new();
    let mut open: Vec<Vec<u32>> = vec![Vec::new()];
    while let Some(draws) = open.pop() {
        let tree = Tree::new(records, healthy, &query.from, Draws::Each(&draws));
        let (name, record_type) = match start(&tree, query) {
            Ok(start) => start,
            Err(nothing) => return vec![*nothing],
        };
        let (answer, forks) = tree.follow(&name, record_type);
        found.push(answer);
        if found.len() == MOST_ANSWERS {
            break;
        }
        // Levels that were decided already stay; at each one below, everything but the first is another way.
        for (depth, options) in forks.iter().enumerate().skip(draws.len()).rev() {
            let before = (0..depth).map(|level| draws.get(level).copied().unwrap_or_else(|| first(&forks[level])));
            let before: Vec<u32> = before.collect();
            let others = options.iter().skip(1).rev().map(|draw| before.iter().copied().chain([*draw]).collect());
            open.extend(others);
        }
    }
    found
}

/// What a level without a draw of its own chooses: the draw 0.
fn first(options: &[u32]) -> u32 {
    options.first().copied().unwrap_or(0)
}

/// The name and type that answer, or why nothing does.
fn start(tree: &Tree<'_>, query: &Query) -> Result<(String, RecordType), Box<Answer>> {
    let asked = canonical(&query.name);
    let nothing = |because: String| Box::new(Answer { because, ..Answer::default() });
    let Some(name) = tree.owner_of(&asked) else { return Err(nothing(format!("no record is named {asked}"))) };
    let record_type = if tree.has(&name, query.record_type) { query.record_type } else { RecordType::Cname };
    if !tree.has(&name, record_type) {
        return Err(nothing(format!("{asked} has no record of type {}", query.record_type)));
    }
    Ok((name, record_type))
}

/// Lower case, without the trailing dot: DNS names compare so (RFC 4343).
pub(super) fn canonical(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}
