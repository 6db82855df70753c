//! Everything that Route 53 would not take, in one table: a manifest that wants it is refused with the reason, before
//! anything is sent. `tests/python/test_wire_route53.py` has the same cases for the simulated AWS on its wire.

use failoverd_domain::fleet::{Actor, Entry, FleetState};
use failoverd_domain::ids::LogIndex;
use failoverd_domain::manifest::read_set;
use failoverd_domain::route53::{AliasTarget, Change, Policy, RecordSet, RecordType};
use failoverd_domain::service::ServiceSpec;

use super::apply;
use super::error::ErrorCode;
use super::fake::{NOW, reachable, simulated_aws};
use super::review::review;
use crate::sim::world::SimulatedAws;

const ZONE: &str = "example.com";
/// Two Regions by failover; `{us}` is where the first answers, `{eu}` where the second does.
const PAIR: &str = r#"apiVersion: failoverd.dev/v1
kind: FailoverService
metadata: { name: shop }
spec:
  pattern: active-passive
  regions: [us-east-1, eu-west-1]
  objectives: { rto: 5m, rpo: 5s }
  policy: { failover: manual }
  health: { signals: [{ name: web, http: { url: "http://{region}.shop.example.com/" } }] }
  traffic:
    hosted_zone: example.com
    records:
      - name: shop.example.com
        type: A
        routing: failover
        targets:
          us-east-1: { values: [192.0.2.1] }
          eu-west-1: { values: [192.0.2.2] }
"#;

/// The pair with one text replaced.
fn pair(from: &str, to: &str) -> String {
    assert!(PAIR.contains(from), "{from:?} is not in the manifest");
    PAIR.replacen(from, to, 1)
}

/// Both Regions serve, told apart by what each target adds.
fn both(routing: &str, us: &str, eu: &str) -> String {
    PAIR.replace("active-passive", "active-active")
        .replace("routing: failover", &format!("routing: {routing}"))
        .replace("values: [192.0.2.1]", &format!("values: [192.0.2.1], {us}"))
        .replace("values: [192.0.2.2]", &format!("values: [192.0.2.2], {eu}"))
}

/// The first target as an alias within the zone whose id is `ZONEID`.
fn aliased(to: &str) -> String {
    pair("{ values: [192.0.2.1] }", &format!("{{ alias: {{ dns_name: {to}, hosted_zone: ZONEID }} }}"))
}

fn another_record(name: &str, rest: &str) -> String {
    format!(
        "{PAIR}      - {{ name: {name}, {rest}, targets: {{ us-east-1: {{ values: [192.0.2.3] }}, eu-west-1: {{ values: [192.0.2.4] }} }} }}\n"
    )
}

fn countries(count: usize) -> String {
    let letters: Vec<char> = ('A'..='Z').collect();
    let code = |at: usize| format!("{{ country: {}{} }}", letters[at / 26], letters[at % 26]);
    format!("geo: [{}]", (0..count).map(code).collect::<Vec<_>>().join(", "))
}

fn standing(name: &str, record_type: RecordType, alias: Option<&str>) -> RecordSet {
    let target =
        |to: &str| AliasTarget { dns_name: to.to_owned(), hosted_zone: ZONE.to_owned(), evaluate_target_health: false };
    let value = if record_type == RecordType::A { "192.0.2.9" } else { "2001:db8::1" };
    RecordSet {
        name: name.to_owned(),
        record_type,
        set_identifier: None,
        policy: Policy::Simple,
        ttl_s: alias.is_none().then_some(60),
        values: if alias.is_none() { vec![value.to_owned()] } else { Vec::new() },
        alias: alias.map(target),
        health_check: None,
    }
}

/// What it is, the manifest, the account's zone and what stands in it, the code, and some of the words.
type Case = (&'static str, String, Zone, Vec<RecordSet>, ErrorCode, &'static str);

#[derive(Clone, Copy, PartialEq)]
enum Zone {
    Owned,
    Missing,
    Private,
}

/// An account with that zone and these records in it, and the zone's id.
fn account(zone: Zone, records: Vec<RecordSet>) -> (SimulatedAws, String) {
    let aws = simulated_aws();
    let id = match zone {
        Zone::Owned => aws.create_zone(ZONE, &[]),
        Zone::Private => aws.with(|world| world.create_private_zone(ZONE)),
        Zone::Missing => aws.create_zone("elsewhere.example", &[]),
    };
    if !records.is_empty() {
        let changes: Vec<Change> = records.into_iter().map(Change::Create).collect();
        aws.with(|world| world.change_records(ZONE, &changes)).unwrap();
    }
    (aws, id)
}

/// What `apply` says to a manifest: where it is refused and in which words, or that it is taken.
async fn apply_to(state: &FleetState, aws: &SimulatedAws, text: &str) -> Result<Vec<ServiceSpec>, (ErrorCode, String)> {
    let regions = state.members.iter().map(|(region, member)| (region.clone(), member.role)).collect();
    let read = read_set([("shop.yaml", text.as_bytes())], &regions, &[]);
    let specs = read.map(|manifests| manifests.services).map_err(|problems| {
        let words: Vec<String> = problems.iter().map(ToString::to_string).collect();
        (ErrorCode::InvalidManifest, words.join("\n"))
    })?;
    let command = apply::command(specs.clone(), Vec::new(), false);
    let entry = Entry::new(NOW, Actor::Operator("somebody".to_owned()), command);
    let world = aws.ports("us-east-1".into()).into_world();
    let review = review(&world, state, &entry, &specs).await.unwrap();
    let judged = review.judge(&[ZONE.to_owned()]);
    assert_eq!(judged.is_err(), !review.refusing().is_empty(), "a dry run shows what would refuse");
    judged.map(|()| specs).map_err(|error| {
        let words: Vec<String> = error.violations.iter().map(|it| it.description.clone()).collect();
        (error.code, words.join("\n"))
    })
}

#[tokio::test(start_paused = true)]
async fn what_route_53_would_not_take_is_refused_with_the_reason_before_anything_is_sent() {
    use ErrorCode::{InvalidManifest, Route53Refuses};
    use Zone::{Missing, Owned, Private};
    let lb = "alias: { dns_name: lb.us-east-1.elb.amazonaws.com, hosted_zone: Z35SXDOTRQ7X7K }";
    let two_aliases = pair("values: [192.0.2.1]", lb).replace("values: [192.0.2.2]", lb);
    let loops = vec![
        standing("a.example.com", RecordType::A, Some("b.example.com")),
        standing("b.example.com", RecordType::A, Some("shop.example.com")),
        standing("shop.example.com", RecordType::A, None),
    ];
    let six = vec![standing("six.example.com", RecordType::Aaaa, None)];
    let us_default = "geo: [{ default: true }]";
    let cases: Vec<Case> = vec![
        (
            "one set identifier twice: a Region twice",
            pair("eu-west-1: {", "us-east-1: {"),
            Owned,
            vec![],
            InvalidManifest,
            "us-east-1",
        ),
        (
            "one set identifier twice: a record twice",
            another_record("shop.example.com", "type: A, routing: failover"),
            Owned,
            vec![],
            InvalidManifest,
            "shop.example.com A is there twice",
        ),
        (
            "mixed policies under one name",
            another_record("shop.example.com", "type: A, routing: weighted"),
            Owned,
            vec![],
            InvalidManifest,
            "an active-passive service takes failover",
        ),
        (
            "two primaries",
            pair("routing: failover", "routing: [failover, failover]"),
            Owned,
            vec![],
            InvalidManifest,
            "routing",
        ),
        (
            "a geolocation twice",
            both("geolocation", "geo: [{ continent: EU }, { default: true }]", "geo: [{ continent: EU }]"),
            Owned,
            vec![],
            InvalidManifest,
            "this place is there twice in the record",
        ),
        (
            "an alias to itself",
            aliased("shop.example.com"),
            Owned,
            vec![],
            InvalidManifest,
            "Route 53 refuses an alias loop",
        ),
        (
            "an alias loop over records of the zone",
            aliased("a.example.com"),
            Owned,
            loops,
            Route53Refuses,
            "is not permitted as it creates a CNAME or alias loop in the zone. fo-us-east-1.shop.example.com → a.example.com → b.example.com → shop.example.com → fo-us-east-1.shop.example.com",
        ),
        (
            "an alias loop over its own second level",
            aliased("fo-us-east-1.shop.example.com"),
            Owned,
            vec![],
            Route53Refuses,
            "creates a CNAME or alias loop in the zone",
        ),
        (
            "an alias of a type that cannot be",
            pair("type: A", "type: CNAME").replace("values: [192.0.2.1]", lb).replace("192.0.2.2", "eu.example.net"),
            Owned,
            vec![],
            InvalidManifest,
            "an alias to an AWS resource is of type A or AAAA",
        ),
        (
            "an alias to a type that is not there",
            aliased("six.example.com"),
            Owned,
            six,
            Route53Refuses,
            "Tried to create an alias that targets six.example.com., type A in zone ZONEID, but that target was not found",
        ),
        (
            "an alias to a name that is not there",
            aliased("none.example.com"),
            Owned,
            vec![],
            Route53Refuses,
            "but that target was not found",
        ),
        (
            "an alias whose zone is another",
            aliased("none.example.com").replace("ZONEID", "Z35SXDOTRQ7X7K"),
            Owned,
            vec![],
            Route53Refuses,
            "type A in zone Z35SXDOTRQ7X7K, but the alias target name does not lie within the target zone",
        ),
        (
            "a TTL on an alias",
            two_aliases.replace("        targets:", "        ttl: 30s\n        targets:"),
            Owned,
            vec![],
            InvalidManifest,
            "an alias has no ttl of its own",
        ),
        ("a weight over 255", both("weighted", "weight: 256", "weight: 1"), Owned, vec![], InvalidManifest, "0 to 255"),
        (
            "101 records of one name",
            both("geolocation", &countries(100), us_default),
            Owned,
            vec![],
            InvalidManifest,
            "has 101 places; Route 53 takes 100 geolocation records of one name and type",
        ),
        (
            "a zone the account does not own",
            PAIR.to_owned(),
            Missing,
            vec![],
            Route53Refuses,
            "No hosted zone found with ID: example.com",
        ),
        ("a private zone", PAIR.to_owned(), Private, vec![], Route53Refuses, "is a private hosted zone"),
        (
            "a bad IPv4 address",
            pair("192.0.2.1", "192.0.2.300"),
            Owned,
            vec![],
            InvalidManifest,
            "is not an IPv4 address",
        ),
        (
            "a name outside the zone",
            pair("name: shop.example.com", "name: shop.example.org"),
            Owned,
            vec![],
            InvalidManifest,
            "shop.example.org is not in the hosted zone example.com",
        ),
    ];
    for (case, text, zone, records, code, words) in cases {
        let (aws, id) = account(zone, records);
        let (before, effects) = (aws.with(|world| world.list_records(&id)), aws.effects().len());
        let (found, said) = apply_to(&reachable(), &aws, &text.replace("ZONEID", &id)).await.expect_err(case);
        assert_eq!(found, code, "{case}: {said}");
        assert!(said.contains(&words.replace("ZONEID", &id)), "{case}: {said}");
        assert!(said.lines().count() == 1 || code == InvalidManifest, "{case} is said once: {said}");
        assert_eq!((aws.with(|world| world.list_records(&id)), aws.effects().len()), (before, effects), "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_route_53_would_take_is_taken() {
    let hundred = both("geolocation", &countries(99), "geo: [{ default: true }]");
    let six = vec![standing("six.example.com", RecordType::Aaaa, None)];
    let to_six = pair("type: A\n", "type: AAAA\n").replace("192.0.2.2", "2001:db8::2");
    let to_six =
        to_six.replace("{ values: [192.0.2.1] }", "{ alias: { dns_name: six.example.com, hosted_zone: ZONEID } }");
    // An alias to a name that another service of the same set makes.
    let neighbour = PAIR.replace("name: shop", "name: cart");
    let to_neighbour = format!("{neighbour}---\n{}", aliased("cart.example.com"));
    for (case, text, records) in [
        ("100 of one name", hundred, vec![]),
        ("an alias within the zone", to_six, six),
        ("an alias to a neighbour", to_neighbour, vec![]),
    ] {
        let (aws, id) = account(Zone::Owned, records);
        let taken = apply_to(&reachable(), &aws, &text.replace("ZONEID", &id)).await;
        assert!(taken.is_ok(), "{case}: {taken:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn two_services_that_alias_each_other_are_refused() {
    let neighbour = PAIR
        .replace("name: shop", "name: cart")
        .replace("values: [192.0.2.1]", "alias: { dns_name: shop.example.com, hosted_zone: ZONEID }");
    let text = format!("{neighbour}---\n{}", aliased("cart.example.com"));
    let (aws, id) = account(Zone::Owned, vec![]);
    let (code, said) = apply_to(&reachable(), &aws, &text.replace("ZONEID", &id)).await.unwrap_err();
    assert_eq!(code, ErrorCode::Route53Refuses);
    assert!(said.contains("cart.example.com → ") && said.lines().count() == 1, "{said}");
}

#[tokio::test(start_paused = true)]
async fn what_is_applied_already_is_not_refused_again() {
    let (aws, _) = account(Zone::Owned, vec![]);
    let mut state = reachable();
    let specs = apply_to(&state, &aws, PAIR).await.unwrap();
    let command = apply::command(specs, Vec::new(), false);
    let entry = Entry::new(NOW, Actor::Operator("somebody".to_owned()), command);
    state.apply(LogIndex(state.applied.0 + 1), &entry).result.unwrap();
    aws.with(|world| world.delete_zone(ZONE)).unwrap();
    assert!(apply_to(&state, &aws, PAIR).await.is_ok(), "nothing of it would be sent");
    let moved = pair("192.0.2.1", "192.0.2.9");
    assert_eq!(apply_to(&state, &aws, &moved).await.unwrap_err().0, ErrorCode::Route53Refuses);
}
