//! One test for each documented rule of "How Amazon Route 53 chooses records".

use std::collections::BTreeSet;

use super::*;
use crate::ids::{HealthCheckId, Region};

const NAME: &str = "api.example.com";

fn record(id: &str, policy: Policy, value: &str) -> RecordSet {
    RecordSet {
        name: NAME.into(),
        record_type: RecordType::A,
        set_identifier: Some(id.into()),
        policy,
        ttl_s: Some(30),
        values: vec![value.into()],
        alias: None,
        health_check: Some(HealthCheckId::from(id)),
    }
}

fn alias(name: &str, id: &str, policy: Policy, to: &str, evaluate: bool) -> RecordSet {
    RecordSet {
        name: name.into(),
        ttl_s: None,
        values: vec![],
        alias: Some(AliasTarget { dns_name: to.into(), hosted_zone: "Z1".into(), evaluate_target_health: evaluate }),
        health_check: None,
        ..record(id, policy, "")
    }
}

fn pair() -> Vec<RecordSet> {
    let (primary, secondary) = (Policy::Failover { primary: true }, Policy::Failover { primary: false });
    vec![record("use1", primary, "192.0.2.1"), record("euw1", secondary, "192.0.2.2")]
}

fn query(name: &str) -> Query {
    Query { name: name.into(), record_type: RecordType::A, from: Place::default(), draw: 0 }
}

fn ask(records: &[RecordSet], down: &[&str], query: &Query) -> Answer {
    let down: BTreeSet<HealthCheckId> = down.iter().map(|id| HealthCheckId::from(*id)).collect();
    answer(records, &|check| !down.contains(check), query)
}

fn value(records: &[RecordSet], down: &[&str], query: &Query) -> String {
    ask(records, down, query).values.join(",")
}

#[test]
fn failover_primary_then_secondary_then_primary() {
    let q = query(NAME);
    assert_eq!(value(&pair(), &[], &q), "192.0.2.1");
    assert_eq!(value(&pair(), &["use1"], &q), "192.0.2.2");
    assert_eq!(value(&pair(), &["euw1"], &q), "192.0.2.1");
    assert_eq!(value(&pair(), &["use1", "euw1"], &q), "192.0.2.1", "if none is healthy, the primary");
}

#[test]
fn a_record_without_a_check_is_always_healthy() {
    let mut records = pair();
    records[0].health_check = None;
    assert_eq!(value(&records, &["use1", "euw1"], &query(NAME)), "192.0.2.1");
    let mut records = pair();
    records[1].health_check = None;
    assert_eq!(value(&records, &["use1"], &query(NAME)), "192.0.2.2");
}

#[test]
fn the_answer_says_why_and_why_not() {
    let got = ask(&pair(), &["use1"], &query(NAME));
    assert_eq!((got.path.as_slice(), got.ttl_s), (["euw1".to_owned()].as_slice(), 30));
    assert!(got.because.contains("secondary"), "{}", got.because);
    let rejected: Vec<_> = got.considered.iter().map(|c| (c.healthy, c.rejected_because.as_deref())).collect();
    assert_eq!(rejected, [(false, Some("unhealthy")), (true, None)]);
    assert!(ask(&pair(), &["use1", "euw1"], &query(NAME)).because.contains("all count as healthy"));
}

#[test]
fn names_compare_without_case_or_trailing_dot() {
    assert_eq!(value(&pair(), &[], &query("API.Example.COM.")), "192.0.2.1");
    let mut records = pair();
    records[0].name = "Api.example.com.".into();
    assert_eq!(value(&records, &[], &query(NAME)), "192.0.2.1");
}

fn weights(weights: &[(&str, u8)]) -> Vec<RecordSet> {
    weights.iter().map(|(id, weight)| record(id, Policy::Weighted(*weight), id)).collect()
}

fn counts(records: &[RecordSet], down: &[&str], id: &str) -> u32 {
    (0..100).map(|draw| u32::from(value(records, down, &Query { draw, ..query(NAME) }) == id)).sum()
}

#[test]
fn weighted_draws_in_proportion_among_the_healthy() {
    let records = weights(&[("a", 10), ("b", 30), ("c", 60)]);
    assert_eq!([counts(&records, &[], "a"), counts(&records, &[], "b"), counts(&records, &[], "c")], [10, 30, 60]);
    let up = weights(&[("a", 25), ("b", 75), ("c", 60)]);
    assert_eq!([counts(&up, &["c"], "a"), counts(&up, &["c"], "b"), counts(&up, &["c"], "c")], [25, 75, 0]);
    assert_eq!(counts(&records, &["a", "b", "c"], "c"), 60, "none healthy: all count as healthy");
}

#[test]
fn weight_zero_answers_only_when_all_others_are_unhealthy() {
    let records = weights(&[("a", 0), ("b", 1), ("c", 1)]);
    assert_eq!(counts(&records, &[], "a"), 0);
    assert_eq!(counts(&records, &["b"], "c"), 100);
    assert_eq!(counts(&records, &["b", "c"], "a"), 100);
    assert_eq!(counts(&records, &["a", "b", "c"], "a"), 0, "none healthy: weights as they are");
    let zeros = weights(&[("a", 0), ("b", 0)]);
    assert_eq!(counts(&zeros, &[], "a"), 50, "all weights 0: equally likely");
}

fn near(regions: &[&str]) -> Query {
    let regions_by_latency = regions.iter().map(|r| Region::from(*r)).collect();
    Query { from: Place { regions_by_latency, ..Place::default() }, ..query(NAME) }
}

#[test]
fn latency_takes_the_nearest_healthy_region() {
    let by = |region: &str| record(region, Policy::Latency(region.into()), region);
    let records = [by("us-east-1"), by("eu-west-1")];
    assert_eq!(value(&records, &[], &near(&["eu-west-1", "us-east-1"])), "eu-west-1");
    assert_eq!(value(&records, &["eu-west-1"], &near(&["eu-west-1", "us-east-1"])), "us-east-1");
    assert_eq!(value(&records, &["eu-west-1", "us-east-1"], &near(&["eu-west-1"])), "eu-west-1");
    assert_eq!(value(&records, &[], &near(&["ap-south-1"])), "us-east-1", "unranked: the order of the records");
}

fn in_place(continent: &str, country: &str, subdivision: Option<&str>) -> Query {
    let from = Place {
        continent: Some(continent.into()),
        country: Some(country.into()),
        subdivision: subdivision.map(Into::into),
        ..Place::default()
    };
    Query { from, ..query(NAME) }
}

#[test]
fn geolocation_goes_from_the_most_specific_outward() {
    let at = |id: &str, location| record(id, Policy::Geolocation(location), id);
    let mut records = vec![
        at("any", Location::Default),
        at("eu", Location::Continent("EU".into())),
        at("de", Location::Country("DE".into())),
        at("us", Location::Country("US".into())),
        at("ca", Location::Subdivision("US".into(), "CA".into())),
    ];
    assert_eq!(value(&records, &[], &in_place("EU", "DE", None)), "de");
    assert_eq!(value(&records, &["de"], &in_place("EU", "de", None)), "eu", "unhealthy: one wider");
    assert_eq!(value(&records, &["de", "eu"], &in_place("EU", "DE", None)), "any");
    assert_eq!(
        value(&records, &["de", "eu", "any"], &in_place("EU", "DE", None)),
        "de",
        "none healthy: as if all were"
    );
    assert_eq!(value(&records, &[], &in_place("NA", "US", Some("CA"))), "ca");
    assert_eq!(value(&records, &[], &in_place("NA", "US", Some("TX"))), "us");
    assert_eq!(value(&records, &[], &query(NAME)), "any", "unknown place: the default");
    records.remove(0);
    let none = ask(&records, &[], &in_place("AS", "JP", None));
    assert!(none.values.is_empty() && none.because.contains("no default"), "{none:?}");
    assert_eq!(none.considered.len(), 4);
}

/// DESIGN.md's two levels: public failover aliases that evaluate their target, internal weighted records with the check.
fn two_levels() -> Vec<RecordSet> {
    let internal = |name: &str, id: &str, lb: &str| RecordSet {
        health_check: Some(HealthCheckId::from(id)),
        ..alias(name, "only", Policy::Weighted(1), lb, false)
    };
    vec![
        alias(NAME, "use1", Policy::Failover { primary: true }, "use1.internal.example.com", true),
        alias(NAME, "euw1", Policy::Failover { primary: false }, "euw1.internal.example.com", true),
        internal("use1.internal.example.com", "P", "alb-use1.amazonaws.com"),
        internal("euw1.internal.example.com", "S", "alb-euw1.amazonaws.com"),
    ]
}

#[test]
fn an_alias_takes_the_health_of_its_target_through_levels() {
    let records = two_levels();
    let got = ask(&records, &["S"], &query(NAME));
    assert_eq!((got.values.as_slice(), got.ttl_s), (["alb-use1.amazonaws.com".to_owned()].as_slice(), 60));
    assert_eq!(got.path, ["use1", "only"]);
    assert_eq!(got.alias.map(|a| a.dns_name).as_deref(), Some("alb-use1.amazonaws.com"));
    assert_eq!(value(&records, &["P"], &query(NAME)), "alb-euw1.amazonaws.com");
    assert_eq!(value(&records, &["P", "S"], &query(NAME)), "alb-use1.amazonaws.com", "none healthy: the primary");
}

#[test]
fn an_alias_that_does_not_evaluate_its_target_is_healthy() {
    let mut records = two_levels();
    records[0].alias.as_mut().unwrap().evaluate_target_health = false;
    assert_eq!(value(&records, &["P"], &query(NAME)), "alb-use1.amazonaws.com");
}

#[test]
fn an_alias_with_its_own_check_needs_both() {
    let mut records = two_levels();
    records[0].health_check = Some("own".into());
    assert_eq!(value(&records, &["own"], &query(NAME)), "alb-euw1.amazonaws.com");
    assert_eq!(value(&records, &["P"], &query(NAME)), "alb-euw1.amazonaws.com");
}

#[test]
fn a_tree_is_healthy_while_any_branch_is() {
    let mut records = two_levels();
    let mut spare = records[2].clone();
    spare.set_identifier = Some("spare".into());
    spare.policy = Policy::Weighted(0);
    spare.health_check = Some("spare".into());
    records.push(spare);
    let got = ask(&records, &["P"], &query(NAME));
    assert_eq!(got.path, ["use1", "spare"]);
    assert_eq!(ask(&records, &["P", "spare"], &query(NAME)).path[0], "euw1");
}

#[test]
fn an_alias_into_the_zone_that_leads_nowhere_is_no_healthy_branch() {
    let mut records = two_levels();
    records.remove(2);
    let soa = RecordSet { name: "example.com".into(), record_type: RecordType::Soa, ..records[0].clone() };
    records.push(soa);
    assert_eq!(value(&records, &[], &query(NAME)), "alb-euw1.amazonaws.com");
}

#[test]
fn loops_end() {
    let records = [
        alias(NAME, "a", Policy::Weighted(1), "b.example.com", true),
        alias("b.example.com", "b", Policy::Weighted(1), NAME, true),
    ];
    let got = ask(&records, &[], &query(NAME));
    assert!(got.values.is_empty() && got.because.contains("loop"), "{got:?}");
}

#[test]
fn a_deep_unhealthy_tree_is_evaluated_once() {
    let mut records = vec![];
    for level in 0..60 {
        for id in ["a", "b"] {
            let (name, to) = (format!("l{level}.example.com"), format!("l{}.example.com", level + 1));
            records.push(alias(&name, id, Policy::Weighted(1), &to, true));
        }
    }
    records.push(RecordSet { name: "l60.example.com".into(), ..record("x", Policy::Simple, "192.0.2.9") });
    assert_eq!(value(&records, &["x"], &query("l0.example.com")), "192.0.2.9");
}

#[test]
fn a_cname_answers_for_other_types() {
    let mut cname = record("x", Policy::Simple, "elsewhere.example.net");
    cname.record_type = RecordType::Cname;
    let got = ask(&[cname], &[], &query(NAME));
    assert_eq!(got.record_type, Some(RecordType::Cname));
    assert_eq!(got.values, ["elsewhere.example.net"]);
}

#[test]
fn wildcards_answer_for_names_that_do_not_exist() {
    let mut wild = record("x", Policy::Simple, "192.0.2.7");
    wild.name = "*.example.com".into();
    let mut deep = record("x", Policy::Simple, "192.0.2.8");
    deep.name = "host.sub.example.com".into();
    let records = [wild, deep];
    assert_eq!(value(&records, &[], &query("any.thing.example.com")), "192.0.2.7");
    assert_eq!(
        value(&records, &[], &query("other.sub.example.com")),
        "",
        "sub.example.com exists and hides the wildcard"
    );
    assert_eq!(value(&records, &[], &query("example.org")), "");
}

/// A zone of random trees, four levels deep, in which every alias evaluates its target; leaves carry the checks.
fn random_zone(draw: &mut dyn FnMut(u32) -> u32) -> Vec<RecordSet> {
    let mut records = vec![];
    for level in 0..4 {
        for n in 0..3 {
            let (name, kind, sets) = (format!("n{level}{n}.example.com"), draw(3), 1 + draw(2));
            for i in 0..sets {
                let policy = match kind {
                    0 => Policy::Weighted(u8::try_from(draw(3)).unwrap()),
                    1 => Policy::Failover { primary: i == 0 },
                    _ => Policy::Latency(Region::new(format!("r{i}"))),
                };
                let id = format!("{name}/{i}");
                let leaf = level == 3 || draw(3) == 0;
                let to = format!("n{}{}.example.com", level + 1, draw(3));
                records.push(match leaf {
                    true => RecordSet { name: name.clone(), values: vec![id.clone()], ..record(&id, policy, "") },
                    false => alias(&name, &id, policy, &to, true),
                });
            }
        }
    }
    records
}

fn reachable_leaves(records: &[RecordSet], name: &str) -> BTreeSet<String> {
    let sets = records.iter().filter(|set| set.name == name);
    sets.flat_map(|set| match &set.alias {
        Some(alias) => reachable_leaves(records, &alias.dns_name),
        None => set.values.iter().cloned().collect(),
    })
    .collect()
}

#[test]
fn where_a_healthy_leaf_can_be_reached_a_healthy_leaf_answers() {
    let mut state = 1_u64;
    let mut draw = |below: u32| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(state >> 33).unwrap() % below
    };
    let mut passed_over = 0;
    for _ in 0..2_000 {
        let records = random_zone(&mut draw);
        let leaves = reachable_leaves(&records, "n00.example.com");
        let down: Vec<&str> = leaves.iter().map(String::as_str).filter(|_| draw(3) > 0).collect();
        let got = ask(&records, &down, &Query { draw: draw(1_000), ..query("n00.example.com") });
        assert_eq!(got.values.len(), 1, "{got:?}");
        assert!(leaves.contains(&got.values[0]));
        let chosen = got.considered.iter().filter(|candidate| candidate.rejected_because.is_none()).count();
        assert_eq!(chosen, got.path.len());
        if down.len() < leaves.len() {
            assert!(!down.contains(&got.values[0].as_str()), "{down:?} {got:?}");
            passed_over += usize::from(!down.is_empty());
        }
    }
    assert!(passed_over > 500, "{passed_over}");
}

#[test]
fn every_answer_that_weights_could_give_is_told_once() {
    let inner = |region: &str, weight: u8, value: &str| RecordSet {
        name: format!("{region}.example.com"),
        ..record(&format!("{region}-{weight}"), Policy::Weighted(weight), value)
    };
    let records = vec![
        alias(NAME, "us", Policy::Weighted(1), "us.example.com", true),
        alias(NAME, "eu", Policy::Weighted(99), "eu.example.com", true),
        alias(NAME, "never", Policy::Weighted(0), "eu.example.com", true),
        inner("us", 10, "192.0.2.1"),
        inner("eu", 1, "192.0.2.2"),
        inner("eu", 2, "192.0.2.3"),
    ];
    let told = |down: &[&str]| {
        let down: BTreeSet<HealthCheckId> = down.iter().map(|id| HealthCheckId::from(*id)).collect();
        let found = answers(&records, &|check| !down.contains(check), &query(NAME));
        found.into_iter().map(|answer| answer.values.join(",")).collect::<Vec<_>>()
    };
    assert_eq!(told(&[]), ["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
    assert_eq!(told(&["eu-1"]), ["192.0.2.1", "192.0.2.3"]);
    assert_eq!(told(&["us-10", "eu-2"]), ["192.0.2.2"]);
    assert_eq!(answers(&records, &|_| true, &query("none.example.com")).len(), 1, "no answer is told too");
}

#[test]
fn multivalue_answers_up_to_eight_healthy_records() {
    let many: Vec<RecordSet> =
        (1..=10).map(|n| record(&format!("r{n}"), Policy::MultiValue, &format!("192.0.2.{n}"))).collect();
    let told = |down: &[&str]| ask(&many, down, &query(NAME)).values;
    assert_eq!(told(&[]).len(), 8);
    assert_eq!(told(&["r1", "r2", "r3"]).len(), 7);
    assert!(!told(&["r1"]).contains(&"192.0.2.1".to_owned()));
    let all: Vec<String> = (1..=10).map(|n| format!("r{n}")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    assert_eq!(told(&all).len(), 8, "if none is healthy, unhealthy ones");
}
