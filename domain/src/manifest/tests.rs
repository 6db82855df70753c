//! What users read when their manifest is wrong, and that what is right comes through whole.

mod clashes;
mod damage;
mod drills;
mod stores;

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Problem, read_manifests, read_set, to_manifest};
use crate::fleet::Role;
use crate::ids::Region;
use crate::route53::Location;
use crate::service::{Endpoint, Freeze, Routing, ServiceSpec};

const CHECKOUT: &str = include_str!("../../../examples/checkout.yaml");

/// The example of the interface, less what this version does not do.
const FULL: &str = r#"apiVersion: failoverd.dev/v1
kind: FailoverService
metadata: { name: checkout, labels: { tier: "1" } }
spec:
  pattern: active-passive             # active-passive | active-active
  regions: [us-east-1, eu-west-1]
  role_arn: null
  follows: null
  objectives: { rto: 5m, rpo: 5s }
  policy:
    failover: automatic
    announce: 30s
    cooldown: 30m
    loss_over_budget: approval
    unfenced: approval
    freeze: [{ cron: "0 18 * * FRI", duration: 62h, timezone: Europe/Dublin }]
    require_drill_within: 90d
  health:
    breach_after: 30s
    recover_after: 5m
    signals:
      - { name: front-door, http: { url: "https://{region}.checkout.example.com/healthz", interval: 10s, timeout: 2s, expect_status: 200 } }
      - { name: db-port, tcp: { address: "{region}.db.example.com:5432" }, weight: advisory }
      - { name: errors, cloudwatch_alarm: { name: "checkout-5xx-{region}" }, weight: advisory }
  traffic:
    hosted_zone: example.com
    switch: http
    switch_group: null
    records:
      - name: api.example.com
        type: A
        routing: failover
        ttl: 30s
        targets:
          us-east-1: { alias: { dns_name: us-east-alb.amazonaws.com, hosted_zone: Z35SXDOTRQ7X7K, evaluate_target_health: false } }
          eu-west-1: { values: ["192.0.2.20"] }
  data:
    - { name: orders-db, aurora: { global_cluster: checkout-global, clusters: { us-east-1: checkout-use1, eu-west-1: checkout-euw1 } }, canary: { dsn_env: ORDERS_DSN }, fence: { security_group: { us-east-1: sg-0a, eu-west-1: sg-0b } } }
    - { name: orders, dynamodb: { table: Orders, ensure_replicas: true }, canary: { table: failoverd-canary } }
    - { name: media, s3: { buckets: { us-east-1: media-use1, eu-west-1: media-euw1 }, bidirectional: true, role_arn: "arn:aws:iam::…:role/s3-repl" }, canary: { prefix: .failoverd/ } }
"#;

/// An active-active service with everything that only such a one has.
const SEARCH: &str = r#"apiVersion: failoverd.dev/v1
kind: FailoverService
metadata: { name: search }
spec:
  pattern: active-active
  regions: [us-east-1, eu-west-1, ap-southeast-2]
  follows: checkout
  objectives: { rto: 1h30m, rpo: 500ms }
  policy: { failover: manual, announce: 0s, unfenced: proceed }
  health: { signals: [{ name: web, http: { url: "http://{region}.search.example.com:8080/" } }] }
  traffic:
    hosted_zone: Example.com.
    switch_group: web
    records:
      - name: search.example.com
        type: AAAA
        routing: geolocation
        targets:
          us-east-1: { values: ["2001:db8::1"], geo: [{ country: US, subdivision: CA }, { default: true }] }
          eu-west-1: { values: ["2001:db8:0::2"], geo: [{ continent: EU }, { country: NO }] }
          ap-southeast-2: { values: ["2001:db8::3", "2001:db8::4"], geo: [{ continent: OC }] }
      - name: w.example.com
        type: CNAME
        routing: weighted
        ttl: 0s
        targets:
          us-east-1: { values: [a.example.net], weight: 0 }
          eu-west-1: { values: [b.example.net.], weight: 255 }
          ap-southeast-2: { values: [c.example.net], weight: 7 }
      - name: l.example.com
        type: A
        routing: latency
        targets:
          us-east-1: { alias: { dns_name: a.elb.amazonaws.com, hosted_zone: Z1 } }
          eu-west-1: { alias: { dns_name: b.elb.amazonaws.com, hosted_zone: Z2, evaluate_target_health: true } }
          ap-southeast-2: { alias: { dns_name: c.elb.amazonaws.com, hosted_zone: Z3 } }
"#;

fn fleet() -> BTreeMap<Region, Role> {
    let members = ["us-east-1", "eu-west-1", "ap-southeast-2"].map(|region| (Region::new(region), Role::Member));
    members.into_iter().chain([(Region::new("us-west-2"), Role::Witness)]).collect()
}

fn read(text: &str) -> Result<Vec<ServiceSpec>, Vec<String>> {
    let read = read_set([("f.yaml", text.as_bytes())], &fleet(), &[]);
    read.map(|manifests| manifests.services).map_err(|problems| in_words(&problems))
}

fn in_words(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

fn one(text: &str) -> ServiceSpec {
    read(text).unwrap_or_else(|problems| panic!("{}", problems.join("\n"))).remove(0)
}

/// `FULL` with one text replaced.
fn full_with(from: &str, to: &str) -> String {
    assert!(FULL.contains(from), "{from:?} is not in the manifest");
    FULL.replacen(from, to, 1)
}

/// Asserts that a change of `FULL` is refused with one problem at that place that says that.
#[track_caller]
fn refused(from: &str, to: &str, place: &str, says: &str) {
    let problems = read(&full_with(from, to)).expect_err("it was accepted");
    assert_eq!(problems.len(), 1, "{problems:#?}");
    assert!(problems[0].starts_with(&format!("f.yaml:{place}: ")), "not at {place}: {}", problems[0]);
    assert!(problems[0].contains(says), "does not say {says:?}: {}", problems[0]);
}

#[test]
fn the_example_of_the_interface_is_read_whole() {
    let spec = one(FULL);
    assert_eq!(spec.regions, [Region::new("us-east-1"), Region::new("eu-west-1")]);
    assert_eq!((spec.objectives.rto_ms, spec.objectives.rpo_ms), (300_000, 5_000));
    assert_eq!(spec.policy.require_drill_within_ms, Some(90 * 86_400_000));
    let freeze = Freeze { cron: "0 18 * * FRI".into(), duration_ms: 223_200_000, timezone: "Europe/Dublin".into() };
    assert_eq!(spec.policy.freeze, [freeze]);
    assert_eq!(spec.health.signals.len(), 3);
    assert_eq!(spec.traffic.records[0].ttl_s, Some(30));
    assert!(matches!(spec.traffic.records[0].targets["us-east-1"].endpoint, Endpoint::Alias(_)));
    assert_eq!(spec.data.len(), 3);
}

#[test]
fn the_shipped_example_is_valid() {
    let spec = one(CHECKOUT);
    assert_eq!(spec.traffic.records[0].name, "api.example.com");
    assert!(spec.policy.freeze.is_empty() && spec.policy.require_drill_within_ms.is_none());
}

#[test]
fn active_active_with_defaults_is_read() {
    let specs = read(&format!("{FULL}---\n{SEARCH}")).unwrap();
    let spec = &specs[1];
    assert_eq!(spec.traffic.hosted_zone, "example.com");
    let geo = &spec.traffic.records[0];
    assert_eq!((geo.routing, geo.ttl_s), (Routing::Geolocation, Some(60)));
    assert_eq!(geo.targets["us-east-1"].geo, [Location::Subdivision("US".into(), "CA".into()), Location::Default]);
    assert_eq!(geo.targets["eu-west-1"].geo[1], Location::Country("NO".into()));
    assert_eq!(spec.traffic.records[1].targets["eu-west-1"].weight, Some(255));
    assert_eq!(spec.traffic.records[2].ttl_s, None);
}

#[test]
fn every_problem_is_told_at_once_with_its_place() {
    let text = full_with("rto: 5m", "rto: 5")
        .replace("timeout: 2s", "timeout: 20s")
        .replace("hosted_zone: example", "hostedzone: example");
    let problems = read(&text.replace("192.0.2.20", "192.0.2.256")).unwrap_err();
    let places: Vec<&str> = problems.iter().map(|problem| problem.split(':').nth(2).unwrap().trim()).collect();
    let expected = [
        "spec.objectives.rto",
        "spec.health.signals[0].http.timeout",
        "spec.traffic.hosted_zone",
        "spec.traffic.hostedzone",
        "spec.traffic.records[0].targets.eu-west-1.values[0]",
    ];
    assert_eq!(places.len(), expected.len(), "{problems:#?}");
    for place in expected {
        assert!(places.contains(&place), "{place} is not among {problems:#?}");
    }
    assert!(problems[0].starts_with("f.yaml:9: "));
}

#[test]
fn keys_that_are_unknown_or_double() {
    refused("recover_after:", "recover_afer:", "20: spec.health.recover_afer", "did you mean recover_after?");
    refused("    announce: 30s", "    nonsense: 1", "12: spec.policy.nonsense", "known here: failover, announce");
    refused("    cooldown: 30m", "    announce: 31s", "13: spec.policy.announce", "twice, first on line 12");
    refused(
        "eu-west-1: { values",
        "eu-west-1: { ttl: 30s, values",
        "36: spec.traffic.records[0].targets.eu-west-1.ttl",
        "belongs to the record",
    );
}

#[test]
fn units_and_forms() {
    refused("rto: 5m", "rto: 300", "9: spec.objectives.rto", "write 300s");
    refused("rpo: 5s", "rpo: 0s", "9: spec.objectives.rpo", "longer than zero");
    refused("announce: 30s", "announce: 30sec", "12: spec.policy.announce", "not a duration");
    refused("expect_status: 200", "expect_status: 2000", "22: spec.health.signals[0].http.expect_status", "100 to 599");
    refused("ttl: 30s", "ttl: 500ms", "33: spec.traffic.records[0].ttl", "whole seconds");
    refused("name: checkout,", "name: Check_Out,", "3: metadata.name", "lower-case");
    refused("name: checkout,", &format!("name: {},", "a".repeat(41)), "3: metadata.name", "at most 40");
    refused("tier: \"1\"", "tier: 1", "3: metadata.labels.tier", "\"1\" in quotes");
    refused(
        "evaluate_target_health: false",
        "evaluate_target_health: no",
        "35: spec.traffic.records[0].targets.us-east-1.alias.evaluate_target_health",
        "true or false",
    );
    refused("failover: automatic", "failover: auto", "11: spec.policy.failover", "automatic, approval, manual");
    refused("objectives: { rto: 5m, rpo: 5s }", "objectives: 5m", "9: spec.objectives", "must be a mapping");
    refused("{ rto: 5m, rpo: 5s }", "{ rto: 5m }", "9: spec.objectives.rpo", "is missing");
}

#[test]
fn regions_must_be_members_of_the_fleet() {
    refused("[us-east-1, eu-west-1]", "[us-east-1, eu-west-3]", "6: spec.regions[1]", "did you mean eu-west-1?");
    refused("[us-east-1, eu-west-1]", "[us-east-1, us-west-2]", "6: spec.regions[1]", "witness");
    refused("[us-east-1, eu-west-1]", "[us-east-1, us-east-1]", "6: spec.regions[1]", "twice");
    refused("[us-east-1, eu-west-1]", "[us-east-1]", "6: spec.regions", "two Regions or more");
    refused("[us-east-1, eu-west-1]", "[us-east-1, eu-west-1, ap-southeast-2]", "6: spec.regions", "exactly two");
    refused(
        "eu-west-1: checkout-euw1",
        "eu-west-2: x, eu-west-1: y",
        "38: spec.data[0].aurora.clusters.eu-west-2",
        "not one of the service's Regions",
    );
    refused(", eu-west-1: media-euw1", "", "40: spec.data[2].s3.buckets.eu-west-1", "is missing");
    refused(
        "          eu-west-1: { values: [\"192.0.2.20\"] }\n",
        "",
        "35: spec.traffic.records[0].targets.eu-west-1",
        "is missing",
    );
}

#[test]
fn automatic_needs_a_third_daemon_and_a_switch() {
    let two = fleet().into_iter().filter(|(region, _)| ["us-east-1", "eu-west-1"].contains(&region.as_str())).collect();
    let problems = read_set([("f.yaml", FULL.as_bytes())], &two, &[]).unwrap_err();
    assert!(in_words(&problems)[0].contains("spec.policy.failover: automatic needs a majority"), "{problems:?}");
    refused("switch: http", "switch: none", "11: spec.policy.failover", "(I5)");
    assert!(
        read(&full_with("switch: http", "switch: none").replace("failover: automatic", "failover: approval")).is_ok()
    );
}

#[test]
fn a_switch_may_go_through_cloudwatch() {
    let specs = read(&full_with("switch: http", "switch: cloudwatch")).unwrap();
    assert_eq!(specs[0].traffic.switch, crate::service::SwitchTransport::Cloudwatch);
}

#[test]
fn what_this_version_does_not_do_is_refused_by_name() {
    let says = "is not supported by this version of failoverd";
    refused("  data:\n", "  hooks: [{ name: warm }]\n  data:\n", "37: spec.hooks", says);
    refused("{ security_group: {", "{ hook: {}, security_group: {", "38: spec.data[0].fence.hook", says);
    refused("api.example.com", "\"*.example.com\"", "30: spec.traffic.records[0].name", says);
}

#[test]
fn signals_that_cannot_work() {
    refused("timeout: 2s", "timeout: 10s", "22: spec.health.signals[0].http.timeout", "shorter than the interval");
    refused("name: db-port", "name: front-door", "23: spec.health.signals[1].name", "twice");
    refused("\"https://{region}", "\"ftp://{region}", "22: spec.health.signals[0].http.url", "http:// or https://");
    refused("{region}.checkout", "{zone}.checkout", "22: spec.health.signals[0].http.url", "placeholder");
    refused("example.com:5432", "example.com", "23: spec.health.signals[1].tcp.address", "no port");
    refused(
        "tcp: { address: \"{region}.db.example.com:5432\" }, ",
        "",
        "23: spec.health.signals[1]",
        "add one of http, tcp",
    );
    refused(
        "expect_status: 200 } }",
        "expect_status: 200 }, weight: advisory }",
        "22: spec.health.signals",
        "at least one signal of weight required",
    );
}

#[test]
fn records_that_cannot_work() {
    let target = "36: spec.traffic.records[0].targets.eu-west-1";
    refused(
        "name: api.example.com",
        "name: api.example.org",
        "30: spec.traffic.records[0].name",
        "not in the hosted zone example.com",
    );
    refused(
        "name: api.example.com",
        "name: apiexample.com",
        "30: spec.traffic.records[0].name",
        "not in the hosted zone",
    );
    refused(
        "routing: failover",
        "routing: weighted",
        "32: spec.traffic.records[0].routing",
        "only one of its Regions serves",
    );
    refused("values: [\"192.0.2.20\"]", "values: []", &format!("{target}.values"), "at least one");
    refused("values: [\"192.0.2.20\"]", "values: [\"2001:db8::1\"]", &format!("{target}.values[0]"), "IPv4");
    refused(
        "values: [\"192.0.2.20\"]",
        "values: [\"192.0.2.20\"], weight: 5",
        &format!("{target}.weight"),
        "routing: weighted",
    );
    refused(
        "values: [\"192.0.2.20\"]",
        "values: [\"192.0.2.20\"], geo: []",
        &format!("{target}.geo"),
        "routing: geolocation",
    );
    refused("values: [\"192.0.2.20\"]", "values: [\"192.0.2.20\"], alias: {}", &format!("{target}.values"), "not both");
    let alias = "alias: { dns_name: b.amazonaws.com, hosted_zone: Z1 }";
    refused("values: [\"192.0.2.20\"]", alias, "33: spec.traffic.records[0].ttl", "an alias has no ttl");
}

#[test]
fn names_and_types_that_clash() {
    let second = "      - { name: api.example.com, type: A, routing: failover, targets: { us-east-1: { values: [192.0.2.1] }, eu-west-1: { values: [192.0.2.2] } } }\n  data:\n";
    refused("  data:\n", second, "37: spec.traffic.records[1]", "api.example.com A is there twice");
    let cname = second
        .replace("type: A", "type: CNAME")
        .replace("192.0.2.1]", "a.example.net]")
        .replace("192.0.2.2]", "b.example.net]");
    refused("  data:\n", &cname, "37: spec.traffic.records[1]", "a CNAME stands alone");
    refused("  data:\n", &cname.replace("api.example.com", "example.com"), "37: spec.traffic.records[1].type", "apex");
    refused(
        "  data:\n",
        &cname.replace("api.", "x.").replace("[a.example.net]", "[a.example.net, c.example.net]"),
        "37: spec.traffic.records[1].targets.us-east-1.values",
        "exactly one value",
    );
}

/// Asserts that a change of `SEARCH` (applied beside `FULL`) is refused with one problem.
#[track_caller]
fn search_refused(from: &str, to: &str, path: &str, says: &str) {
    assert!(SEARCH.contains(from), "{from:?} is not in the manifest");
    let text = format!("{FULL}---\n{}", SEARCH.replacen(from, to, 1));
    let problems = read(&text).expect_err("it was accepted");
    assert_eq!(problems.len(), 1, "{problems:#?}");
    assert!(problems[0].contains(&format!(": {path}: ")), "not at {path}: {}", problems[0]);
    assert!(problems[0].contains(says), "does not say {says:?}: {}", problems[0]);
}

#[test]
fn places_and_weights_that_cannot_work() {
    let geo = "spec.traffic.records[0].targets";
    search_refused(", { default: true }", "", geo, "needs a default");
    search_refused("{ country: NO }", "{ default: true }", &format!("{geo}.eu-west-1.geo[1]"), "twice");
    search_refused("{ continent: EU }", "{ continent: XX }", &format!("{geo}.eu-west-1.geo[0].continent"), "one of AF");
    search_refused(
        "country: US, sub",
        "country: DE, sub",
        &format!("{geo}.us-east-1.geo[0].subdivision"),
        "US and UA only",
    );
    search_refused(
        "{ country: NO }",
        "{ country: NO, continent: EU }",
        &format!("{geo}.eu-west-1.geo[1]"),
        "is one of",
    );
    search_refused("weight: 255", "weight: 256", "spec.traffic.records[1].targets.eu-west-1.weight", "0 to 255");
    search_refused(", weight: 7", "", "spec.traffic.records[1].targets.ap-southeast-2.weight", "is missing");
    search_refused(
        "routing: latency",
        "routing: failover",
        "spec.traffic.records[2].routing",
        "failover is for active-passive",
    );
}

#[test]
fn stores_that_cannot_work() {
    refused("canary: { table: failoverd-canary }", "canary: { prefix: x/ }", "39: spec.data[1].canary", "write table");
    refused("canary: { dsn_env: ORDERS_DSN }", "canary: { table: t }", "38: spec.data[0].canary", "write dsn_env");
    refused("dsn_env: ORDERS_DSN", "dsn_env: postgres://x", "38: spec.data[0].canary.dsn_env", "environment variable");
    refused("prefix: .failoverd/", "prefix: .failoverd", "40: spec.data[2].canary.prefix", "ends in a slash");
    refused(
        "canary: { table: failoverd-canary }",
        "fence: { security_group: { us-east-1: sg-1, eu-west-1: sg-2 } }",
        "39: spec.data[1].fence",
        "no old writer",
    );
    refused("sg-0a", "group", "38: spec.data[0].fence.security_group.us-east-1", "sg-");
    refused("name: orders,", "name: orders-db,", "39: spec.data[1].name", "twice");
    refused(
        "prefix: .failoverd/ } }\n",
        "prefix: .failoverd/ } }\n    - { name: again, dynamodb: { table: Orders } }\n",
        "41: spec.data[3].dynamodb.table",
        "table Orders already belongs to store orders",
    );
    refused("media-euw1", "Media_EU", "40: spec.data[2].s3.buckets.eu-west-1", "name of a bucket");
    refused("table: Orders, ensure", "table: 7, ensure", "39: spec.data[1].dynamodb.table", "quotes");
}

#[test]
fn freezes_that_cannot_work() {
    let at = "16: spec.policy.freeze[0]";
    refused("0 18 * * FRI", "0 18 * *", &format!("{at}.cron"), "five fields");
    refused("0 18 * * FRI", "0 0 31 2 *", &format!("{at}.cron"), "never fires");
    refused("Europe/Dublin", "Europe/Dubln", &format!("{at}.timezone"), "IANA");
    refused("duration: 62h", "duration: 0h", &format!("{at}.duration"), "longer than zero");
}
