//! The tree of records under one name: health of its branches, and the walk from the root to the answer.
//!
//! "How Amazon Route 53 chooses records in complex configurations": an alias that evaluates its target's health is
//! healthy when any branch below it gives a healthy answer. Loops end: a name already being walked is no answer.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::answer::{ALIAS_TTL_S, Answer, Considered, Place, canonical};
use super::choose::{Candidate, MOST_VALUES, choose, eligible};
use super::record::{AliasTarget, Policy, RecordSet, RecordType};
use crate::ids::HealthCheckId;

type Node = (String, RecordType);

/// What decides among weights.
#[derive(Clone, Copy, Debug)]
pub(super) enum Draws<'a> {
    /// One draw for every level, remixed below the first.
    Mixed(u32),
    /// One for each level, 0 below those.
    Each(&'a [u32]),
}

/// An answer, and at each level of the way to it the draws that would choose each of what could be chosen there.
pub(super) type Followed = (Answer, Vec<Vec<u32>>);

/// One zone's records as seen by one question.
pub(super) struct Tree<'a> {
    records: &'a [RecordSet],
    apex: Option<String>,
    healthy: &'a dyn Fn(&HealthCheckId) -> bool,
    from: &'a Place,
    draws: Draws<'a>,
    /// Health of nodes already evaluated; one under evaluation stands as unhealthy, which is what ends loops.
    known: RefCell<BTreeMap<Node, bool>>,
}

impl<'a> Tree<'a> {
    pub(super) fn new(
        records: &'a [RecordSet],
        healthy: &'a dyn Fn(&HealthCheckId) -> bool,
        from: &'a Place,
        draws: Draws<'a>,
    ) -> Self {
        let apex = records.iter().find(|r| r.record_type == RecordType::Soa).map(|r| canonical(&r.name));
        Self { records, apex, healthy, from, draws, known: RefCell::default() }
    }

    /// The name whose records answer for `name`: itself, or the wildcard that covers it (RFC 4592: a name that exists,
    /// even only as an ancestor of another, hides the wildcards above it).
    pub(super) fn owner_of(&self, name: &str) -> Option<String> {
        if self.exists(name) {
            return self.sets(name).next().is_some().then(|| name.to_owned());
        }
        let mut rest = name;
        while let Some((_, parent)) = rest.split_once('.') {
            let wildcard = format!("*.{parent}");
            if self.sets(&wildcard).next().is_some() {
                return Some(wildcard);
            }
            if self.exists(parent) {
                return None;
            }
            rest = parent;
        }
        None
    }

    fn sets(&self, name: &str) -> impl Iterator<Item = &'a RecordSet> {
        self.records.iter().filter(move |set| bare(&set.name).eq_ignore_ascii_case(name))
    }

    fn exists(&self, name: &str) -> bool {
        self.records.iter().any(|set| is_within(bare(&set.name), name))
    }

    pub(super) fn has(&self, name: &str, record_type: RecordType) -> bool {
        self.sets(name).any(|set| set.record_type == record_type)
    }

    /// Walks from `name` down to values.
    pub(super) fn follow(&self, name: &str, record_type: RecordType) -> Followed {
        let mut answer = Answer::default();
        let mut forks = Vec::new();
        let mut reasons = Vec::new();
        let mut walked: Vec<String> = Vec::new();
        let mut at = name.to_owned();
        loop {
            if walked.contains(&at) {
                reasons.push(format!("{at} is reached again: an alias loop has no answer"));
                break;
            }
            let (chosen, reason, draws) = self.step(&at, record_type, walked.len(), &mut answer);
            reasons.push(reason);
            forks.push(draws);
            let Some(chosen) = chosen else { break };
            walked.push(at.clone());
            match &chosen.alias {
                Some(alias) if self.is_inside(alias) => at = canonical(&alias.dns_name),
                Some(alias) => {
                    answer.values = vec![alias.dns_name.clone()];
                    answer.ttl_s = ALIAS_TTL_S;
                    answer.alias = Some(alias.clone());
                    answer.record_type = Some(record_type);
                    break;
                }
                None => {
                    answer.values = self.values_of(&at, chosen);
                    answer.ttl_s = chosen.ttl_s.unwrap_or(ALIAS_TTL_S);
                    answer.record_type = Some(record_type);
                    break;
                }
            }
        }
        answer.because = reasons.join("; ");
        (answer, forks)
    }

    /// "Multivalue answer routing": up to eight healthy records; where none is healthy, up to eight unhealthy ones.
    fn values_of(&self, name: &str, chosen: &RecordSet) -> Vec<String> {
        if chosen.policy != Policy::MultiValue {
            return chosen.values.clone();
        }
        let all = self.candidates(name, chosen.record_type);
        let none_healthy = !all.iter().any(|candidate| candidate.healthy);
        let may = all.iter().filter(|candidate| candidate.healthy || none_healthy).map(|candidate| candidate.set);
        let others = may.filter(|set| set.set_identifier != chosen.set_identifier);
        std::iter::once(chosen).chain(others).take(MOST_VALUES).flat_map(|set| set.values.clone()).collect()
    }

    fn step(
        &self,
        name: &str,
        record_type: RecordType,
        depth: usize,
        answer: &mut Answer,
    ) -> (Option<&'a RecordSet>, String, Vec<u32>) {
        let candidates = self.candidates(name, record_type);
        if candidates.is_empty() {
            return (None, format!("{name} has no record of type {record_type}"), Vec::new());
        }
        let draw = match self.draws {
            Draws::Mixed(draw) => draw_at(draw, depth),
            Draws::Each(draws) => draws.get(depth).copied().unwrap_or(0),
        };
        let choice = choose(&candidates, self.from, draw);
        for (index, candidate) in candidates.iter().enumerate() {
            answer.considered.push(Considered {
                name: candidate.set.name.clone(),
                set_identifier: candidate.set.set_identifier.clone(),
                healthy: candidate.healthy,
                rejected_because: choice.rejected.get(index).cloned().flatten(),
            });
        }
        let Some(chosen) = choice.chosen.map(|index| candidates[index].set) else {
            return (None, format!("{name}: {}", choice.because), choice.draws);
        };
        let label = chosen.set_identifier.clone().unwrap_or_else(|| chosen.name.clone());
        let reason = format!("{label}: {}", choice.because);
        answer.path.push(label);
        (Some(chosen), reason, choice.draws)
    }

    fn candidates(&self, name: &str, record_type: RecordType) -> Vec<Candidate<'a>> {
        let sets = self.sets(name).filter(|set| set.record_type == record_type);
        sets.map(|set| Candidate { set, healthy: self.is_healthy(set) }).collect()
    }

    /// A record is healthy when its own check is (none: always) and, if it evaluates its target, the target is.
    fn is_healthy(&self, set: &RecordSet) -> bool {
        set.health_check.as_ref().is_none_or(|check| (self.healthy)(check))
            && set
                .alias
                .as_ref()
                .is_none_or(|alias| !alias.evaluate_target_health || self.target_is_healthy(alias, set))
    }

    /// Outside names are load balancers, whose health only AWS knows: taken as healthy.
    fn target_is_healthy(&self, alias: &AliasTarget, set: &RecordSet) -> bool {
        if !self.is_inside(alias) {
            return true;
        }
        let node = (canonical(&alias.dns_name), set.record_type);
        if let Some(known) = self.known.borrow().get(&node) {
            return *known;
        }
        self.known.borrow_mut().insert(node.clone(), false);
        let healthy = self.candidates(&node.0, node.1).iter().any(|c| c.healthy && eligible(c.set, self.from));
        self.known.borrow_mut().insert(node, healthy);
        healthy
    }

    fn is_inside(&self, alias: &AliasTarget) -> bool {
        let name = canonical(&alias.dns_name);
        self.apex.as_ref().is_some_and(|apex| is_within(&name, apex)) || self.sets(&name).next().is_some()
    }
}

fn bare(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// Whether `name` is `ancestor` or lies below it, whatever their case.
fn is_within(name: &str, ancestor: &str) -> bool {
    let Some(head) = name.len().checked_sub(ancestor.len()) else { return false };
    let ends = name.as_bytes()[head..].eq_ignore_ascii_case(ancestor.as_bytes());
    ends && (head == 0 || name.as_bytes()[head - 1] == b'.')
}

/// The draw for a level: the caller's own at the root, remixed below so that two weighted levels do not choose in step.
fn draw_at(draw: u32, depth: usize) -> u32 {
    (0..depth).fold(draw, |draw, _| draw.wrapping_mul(0x9E37_79B1).rotate_left(15))
}
