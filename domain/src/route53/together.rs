//! What Route 53 refuses of a zone's records taken together, in its own words: loops, targets that are not there, too
//! many records of one name. One record alone cannot know any of these.
//!
//! The words are those that its API was seen to answer with; where only one policy's words are known, the others are
//! made alike.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::record::{AliasTarget, Policy, RecordSet, RecordType};

/// Records of one policy that share name and type ("Quotas on records"; AWS may raise it for an account, and tells
/// nobody by API that it did). <https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DNSLimitations.html>
pub const MOST_OF_ONE_NAME: usize = 100;

/// Name and type: what an alias targets.
pub type Node = (String, RecordType);

/// A zone's records, indexed by what aliases target.
#[derive(Debug)]
pub struct Together<'a> {
    zone: &'a str,
    id: &'a str,
    sets: BTreeMap<Node, Vec<&'a RecordSet>>,
}

impl<'a> Together<'a> {
    /// Of a zone by its name, as it would stand; `id` is what Route 53 calls it, for its words only.
    pub fn new(zone: &'a str, id: &'a str, records: impl IntoIterator<Item = &'a RecordSet>) -> Self {
        let mut sets: BTreeMap<Node, Vec<&RecordSet>> = BTreeMap::new();
        for set in records {
            sets.entry((bare(&set.name), set.record_type)).or_default().push(set);
        }
        Self { zone, id, sets }
    }

    /// What Route 53 refuses of the records of one name and type.
    #[must_use]
    pub fn refusals(&self, name: &str, record_type: RecordType) -> Vec<String> {
        let node = (bare(name), record_type);
        let sets = self.sets.get(&node).map(Vec::as_slice).unwrap_or_default();
        let mut refusals: Vec<String> = sets.iter().filter_map(|set| self.bad_target(set)).collect();
        refusals.extend(crowded(&node, sets));
        if self.loop_through(&node).is_some() {
            refusals.push(format!(
                "RRSet of type {record_type} with DNS name {}. is not permitted as it creates a CNAME or alias loop in the zone.",
                node.0
            ));
        }
        refusals.dedup();
        refusals
    }

    /// The names on the way from a node back to itself, the shortest way; both ends are the node.
    #[must_use]
    pub fn loop_through(&self, node: &Node) -> Option<Vec<String>> {
        let mut came_from: BTreeMap<Node, Node> = BTreeMap::new();
        let mut open = VecDeque::from([node.clone()]);
        while let Some(at) = open.pop_front() {
            for next in self.targets_of(&at) {
                if next == *node {
                    return Some(way_back(node, at, &came_from));
                }
                if !came_from.contains_key(&next) {
                    came_from.insert(next.clone(), at.clone());
                    open.push_back(next);
                }
            }
        }
        None
    }

    /// What the records of a node lead to inside the zone.
    fn targets_of(&self, node: &Node) -> BTreeSet<Node> {
        let sets = self.sets.get(node).map(Vec::as_slice).unwrap_or_default();
        let mut targets = BTreeSet::new();
        for set in sets {
            let aliased = set.alias.as_ref().filter(|alias| self.is_inside(alias)).map(|alias| bare(&alias.dns_name));
            targets.extend(aliased.map(|name| (name, set.record_type)));
            if set.record_type == RecordType::Cname {
                targets.extend(set.values.iter().map(|value| (bare(value), RecordType::Cname)));
            }
        }
        targets
    }

    /// An alias says by its zone whether its target is this zone's.
    fn is_inside(&self, alias: &AliasTarget) -> bool {
        let zone = alias.hosted_zone.trim_start_matches("/hostedzone/");
        zone == self.id || bare(zone) == bare(self.zone)
    }

    fn bad_target(&self, set: &RecordSet) -> Option<String> {
        let alias = set.alias.as_ref()?;
        let (target, of) = (bare(&alias.dns_name), set.record_type);
        if matches!(of, RecordType::Ns | RecordType::Soa) {
            return Some(format!(
                "RRSet of type {of} with DNS name {}. is not permitted as an alias.",
                bare(&set.name)
            ));
        }
        let inside = self.is_inside(alias);
        let zone = if inside { self.id } else { alias.hosted_zone.as_str() };
        let what = format!("Tried to create an alias that targets {target}., type {of} in zone {zone},");
        let astray = inside != is_within(&target, &bare(self.zone));
        if astray {
            return Some(format!("{what} but the alias target name does not lie within the target zone"));
        }
        // Zones of AWS's own hold addresses, and HTTPS records of CloudFront's.
        let there = match of {
            _ if inside => self.sets.contains_key(&(target, of)),
            RecordType::A | RecordType::Aaaa | RecordType::Https => true,
            _ => false,
        };
        (!there).then(|| format!("{what} but that target was not found"))
    }
}

fn way_back(node: &Node, last: Node, came_from: &BTreeMap<Node, Node>) -> Vec<String> {
    let mut names = vec![node.0.clone()];
    let mut at = last;
    while at != *node {
        names.push(at.0.clone());
        let Some(before) = came_from.get(&at) else { break };
        at = before.clone();
    }
    names.push(node.0.clone());
    names.reverse();
    names
}

fn crowded(node: &Node, sets: &[&RecordSet]) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for word in sets.iter().filter_map(|set| routed(&set.policy)) {
        *counts.entry(word).or_default() += 1;
    }
    let over = counts.into_iter().filter(|(_, count)| *count > MOST_OF_ONE_NAME);
    let (name, record_type) = node;
    over.map(|(word, _)| {
        format!("Exceeded limit on number of {word} RRSets for {name}., type {record_type} in this zone.")
    })
    .collect()
}

/// The policy, where many records of one name may have it.
fn routed(policy: &Policy) -> Option<&'static str> {
    match policy {
        Policy::Weighted(_) => Some("weighted"),
        Policy::Latency(_) => Some("latency"),
        Policy::Geolocation(_) => Some("geolocation"),
        Policy::MultiValue => Some("multivalue answer"),
        Policy::Simple | Policy::Failover { .. } | Policy::Other(_) => None,
    }
}

fn bare(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

fn is_within(name: &str, zone: &str) -> bool {
    name.strip_suffix(zone).is_some_and(|head| head.is_empty() || head.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route53::Location;

    fn values(name: &str, record_type: RecordType, value: &str) -> RecordSet {
        RecordSet::simple(name, record_type, 60, vec![value.to_owned()])
    }

    fn alias(name: &str, record_type: RecordType, zone: &str, to: &str) -> RecordSet {
        let alias = AliasTarget { dns_name: to.to_owned(), hosted_zone: zone.to_owned(), evaluate_target_health: true };
        RecordSet { ttl_s: None, values: Vec::new(), alias: Some(alias), ..values(name, record_type, "") }
    }

    fn inside(name: &str, to: &str) -> RecordSet {
        alias(name, RecordType::A, "example.com", to)
    }

    fn refusals(records: &[RecordSet], name: &str, record_type: RecordType) -> Vec<String> {
        Together::new("example.com", "Z1", records).refusals(name, record_type)
    }

    #[test]
    fn a_loop_is_found_over_any_number_of_hops_and_by_type() {
        let mut records = vec![inside("a.example.com", "b.example.com."), inside("B.example.com", "c.example.com")];
        assert!(refusals(&records, "a.example.com", RecordType::A).is_empty());
        records.push(alias("c.example.com", RecordType::A, "Z1", "a.example.com"));
        let words = "RRSet of type A with DNS name a.example.com. is not permitted as it creates a CNAME or alias loop in the zone.";
        assert_eq!(refusals(&records, "a.example.com", RecordType::A), [words]);
        let way = Together::new("example.com", "Z1", &records).loop_through(&("a.example.com".into(), RecordType::A));
        assert_eq!(way.unwrap(), ["a.example.com", "b.example.com", "c.example.com", "a.example.com"]);
        records[2].record_type = RecordType::Aaaa;
        assert!(
            Together::new("example.com", "Z1", &records)
                .loop_through(&("a.example.com".into(), RecordType::A))
                .is_none()
        );
    }

    #[test]
    fn cnames_loop_too_and_who_only_leads_to_a_loop_is_not_in_it() {
        let cname = |name: &str, to: &str| values(name, RecordType::Cname, to);
        let records = [
            cname("a.example.com", "b.example.com"),
            cname("b.example.com", "b.example.com."),
            cname("c.example.com", "elsewhere.example"),
        ];
        let loops = |name| refusals(&records, name, RecordType::Cname).len();
        assert_eq!((loops("a.example.com"), loops("b.example.com"), loops("c.example.com")), (0, 1, 0));
    }

    #[test]
    fn an_alias_needs_a_target_of_its_type_in_its_zone() {
        let name = "a.example.com";
        let says = |record: RecordSet, words: &str| {
            let six = values("six.example.com", RecordType::Aaaa, "2001:db8::1");
            let said = refusals(&[record.clone(), six], name, record.record_type);
            assert!(said.len() == 1 && said[0].contains(words), "{words}: {said:?}");
        };
        says(
            inside(name, "none.example.com"),
            "targets none.example.com., type A in zone Z1, but that target was not found",
        );
        says(inside(name, "six.example.com"), "but that target was not found");
        says(alias(name, RecordType::A, "Z1", "lb.amazonaws.com"), "does not lie within the target zone");
        says(
            alias(name, RecordType::A, "Z2", "six.example.com"),
            "type A in zone Z2, but the alias target name does not lie",
        );
        says(
            alias(name, RecordType::Cname, "Z2", "lb.amazonaws.com"),
            "type CNAME in zone Z2, but that target was not found",
        );
        says(alias(name, RecordType::Ns, "example.com", "six.example.com"), "is not permitted as an alias");
        let fine = alias(name, RecordType::Aaaa, "/hostedzone/Z1", "six.example.com");
        let records = [fine, values("six.example.com", RecordType::Aaaa, "2001:db8::1")];
        assert!(refusals(&records, name, RecordType::Aaaa).is_empty());
        assert!(refusals(&[alias(name, RecordType::A, "Z2", "lb.amazonaws.com")], name, RecordType::A).is_empty());
    }

    #[test]
    fn a_hundred_of_one_name_and_type_and_no_more() {
        let set = |at: usize| RecordSet {
            set_identifier: Some(at.to_string()),
            policy: Policy::Geolocation(Location::Country(at.to_string())),
            ..values("a.example.com", RecordType::A, "192.0.2.1")
        };
        let mut records: Vec<RecordSet> = (0..MOST_OF_ONE_NAME).map(set).collect();
        records.push(RecordSet { record_type: RecordType::Aaaa, ..set(101) });
        assert!(refusals(&records, "a.example.com", RecordType::A).is_empty());
        records.push(set(102));
        let words = "Exceeded limit on number of geolocation RRSets for a.example.com., type A in this zone.";
        assert_eq!(refusals(&records, "a.example.com", RecordType::A), [words]);
    }
}
