//! Drills: what is read, and what is refused before it can do harm.

use super::*;
use crate::drill::{Blackout, ComesBack, DrillKind, DrillSpec, Guardrail, Schedule};
use crate::manifest::{Manifests, drill_to_manifest};

/// The example of the interface, with everything a drill can have.
const DRILL: &str = r#"apiVersion: failoverd.dev/v1
kind: Drill
metadata: { name: checkout-monthly, labels: { team: shop } }
spec:
  service: checkout
  kind: switchover
  from: us-east-1
  to: eu-west-1
  schedule:
    cron: "0 10 1 * *"
    timezone: Europe/Dublin
    window: 2h
    blackout: [2026-12-24/2027-01-02, "2026-12-31"]
  hypothesis: "checkout serves from eu-west-1 within its RTO and loses nothing"
  guardrails:
    - { max_duration: 20m }
    - { signal: front-door, region: eu-west-1, unhealthy_for: 60s }
    - { cloudwatch_alarm: { name: checkout-slo, region: eu-west-1 } }
  hold: 15m
  return: automatic
  approvals: 2
"#;

fn read_with(services: &str, drills: &[&str]) -> Result<Manifests, Vec<String>> {
    let drills = drills.join("---\n");
    let files = [("s.yaml", services.as_bytes()), ("d.yaml", drills.as_bytes())];
    read_set(files, &fleet(), &[]).map_err(|problems| in_words(&problems))
}

fn with_full(drill: &str) -> Result<DrillSpec, Vec<String>> {
    read_with(FULL, &[drill]).map(|mut read| read.drills.remove(0))
}

fn changed(from: &str, to: &str) -> String {
    assert!(DRILL.contains(from), "{from:?} is not in the manifest");
    DRILL.replacen(from, to, 1)
}

/// Asserts that a change of `DRILL` is refused with one problem at that place that says that.
#[track_caller]
fn refused(from: &str, to: &str, place: &str, says: &str) {
    refused_of(FULL, &changed(from, to), place, says);
}

#[track_caller]
fn refused_of(services: &str, drill: &str, place: &str, says: &str) {
    let problems = read_with(services, &[drill]).expect_err("it was accepted");
    assert_eq!(problems.len(), 1, "{problems:#?}");
    assert!(problems[0].starts_with(&format!("d.yaml:{place}: ")), "not at {place}: {}", problems[0]);
    assert!(problems[0].contains(says), "does not say {says:?}: {}", problems[0]);
}

#[test]
fn a_drill_comes_through_whole() {
    let drill = with_full(DRILL).unwrap();
    assert_eq!((drill.name.as_str(), drill.labels["team"].as_str()), ("checkout-monthly", "shop"));
    assert_eq!((drill.service.as_str(), drill.kind), ("checkout", DrillKind::Switchover));
    assert_eq!(
        (drill.from.as_ref().unwrap().as_str(), drill.to.as_ref().unwrap().as_str()),
        ("us-east-1", "eu-west-1")
    );
    let days = |from: &str, until: &str| Blackout { from: from.to_owned(), until: until.to_owned() };
    let schedule = Schedule {
        cron: "0 10 1 * *".to_owned(),
        timezone: "Europe/Dublin".to_owned(),
        window_ms: 7_200_000,
        blackouts: vec![days("2026-12-24", "2027-01-02"), days("2026-12-31", "2026-12-31")],
    };
    assert_eq!(drill.schedule, Some(schedule));
    let signal =
        Guardrail::Signal { signal: "front-door".into(), region: "eu-west-1".into(), unhealthy_for_ms: 60_000 };
    let alarm = Guardrail::Alarm { name: "checkout-slo".to_owned(), region: "eu-west-1".into() };
    assert_eq!(drill.guardrails, [Guardrail::MaxDuration { ms: 1_200_000 }, signal, alarm]);
    assert_eq!((drill.hold_ms, drill.comes_back, drill.approvals), (900_000, ComesBack::Automatic, 2));
}

#[test]
fn the_examples_are_drills_of_the_example() {
    let examples = include_str!("../../../../examples/drills.yaml");
    let read = read_with(CHECKOUT, &[examples]).unwrap();
    let kinds: Vec<DrillKind> = read.drills.iter().map(|drill| drill.kind).collect();
    assert_eq!(kinds, [DrillKind::Switchover, DrillKind::Switchover, DrillKind::RegionLoss, DrillKind::Simulate]);
}

#[test]
fn only_service_and_kind_are_needed() {
    let short = "apiVersion: failoverd.dev/v1\nkind: Drill\nmetadata: { name: now }\nspec: { service: checkout, kind: simulate }\n";
    let drill = with_full(short).unwrap();
    assert_eq!((drill.schedule, drill.from, drill.to), (None, None, None));
    assert_eq!((drill.hold_ms, drill.comes_back, drill.approvals), (300_000, ComesBack::Automatic, 0));
    assert_eq!(drill.hypothesis, "checkout keeps its objectives");
    let problems = with_full(&short.replace("service: checkout, kind: simulate", "hold: 1m")).unwrap_err();
    assert_eq!(problems, ["d.yaml:4: spec.service: is missing", "d.yaml:4: spec.kind: is missing"]);
}

#[test]
fn what_is_exported_reads_as_the_same_drill() {
    let manual = changed("return: automatic", "return: manual").replace("  to: eu-west-1\n", "");
    for text in [DRILL, &manual] {
        let drill = with_full(text).unwrap();
        let written = serde_json::to_string(&drill_to_manifest(&drill)).unwrap();
        assert_eq!(with_full(&written), Ok(drill));
    }
}

#[test]
fn schedules_that_cannot_work() {
    refused("\"0 10 1 * *\"", "\"0 0 30 2 *\"", "10: spec.schedule.cron", "never fires");
    refused("\"0 10 1 * *\"", "monthly", "10: spec.schedule.cron", "five fields");
    refused("Europe/Dublin", "Mars/Olympus", "11: spec.schedule.timezone", "not an IANA time zone");
    refused("window: 2h", "window: 10m", "12: spec.schedule.window", "10m is too short for a hold of 15m");
    refused("window: 2h", "window: 15m", "12: spec.schedule.window", "give it 16m or more");
    assert!(with_full(&changed("window: 2h", "window: 16m")).is_ok());
    let simulated = changed("window: 2h", "window: 1m").replace("kind: switchover", "kind: simulate");
    assert!(with_full(&simulated).is_ok(), "a simulation has no hold");
    refused("\"2026-12-31\"", "\"2026-02-30\"", "13: spec.schedule.blackout[1]", "is not a date");
    refused("2026-12-24/2027-01-02", "2026-12-24/soon", "13: spec.schedule.blackout[0]", "\"soon\" is not a date");
    refused("2026-12-24/2027-01-02", "2027-01-02/2026-12-24", "13: spec.schedule.blackout[0]", "ends before it begins");
}

#[test]
fn figures_out_of_bounds_and_unknown_words() {
    refused("hold: 15m", "hold: 25h", "19: spec.hold", "is longer than 24h");
    refused("approvals: 2", "approvals: 21", "21: spec.approvals", "from 0 to 20");
    refused("return: automatic", "return: never", "20: spec.return", "automatic, manual");
    refused("kind: switchover", "kind: chaos", "6: spec.kind", "simulate, switchover, evacuate, region-loss");
    refused("hold: 15m", "holds: 15m", "19: spec.holds", "is not a known field");
    refused("{ max_duration: 20m }", "{}", "16: spec.guardrails[0]", "exactly one of");
    let both = "{ max_duration: 20m, cloudwatch_alarm: { name: a, region: eu-west-1 } }";
    refused("{ max_duration: 20m }", both, "16: spec.guardrails[0]", "exactly one of");
}

#[test]
fn guardrails_that_would_never_be_hit() {
    let (unknown, at) = ("signal: frontdoor", "17: spec.guardrails[1].signal");
    refused("signal: front-door", unknown, at, "has no signal frontdoor; it has front-door, db-port, errors");
    refused(
        "front-door, region: eu-west-1",
        "front-door, region: us-west-2",
        "17: spec.guardrails[1].region",
        "does not live in us-west-2",
    );
    let alarm = ("checkout-slo, region: eu-west-1", "checkout-slo, region: mars");
    refused(alarm.0, alarm.1, "18: spec.guardrails[2].cloudwatch_alarm.region", "does not live in mars");
}

#[test]
fn drills_of_nothing_or_to_nowhere() {
    refused("service: checkout", "service: cart", "5: spec.service", "there is no service cart");
    refused("to: eu-west-1", "to: ap-southeast-2", "8: spec.to", "does not live in ap-southeast-2");
    refused(
        "from: us-east-1",
        "from: us-west-2",
        "7: spec.from",
        "does not live in us-west-2, but in us-east-1 and eu-west-1",
    );
    refused("from: us-east-1", "from: eu-west-1", "8: spec.to", "from and to are both eu-west-1");
}

#[test]
fn kinds_that_do_not_fit_the_service() {
    let evacuate = changed("kind: switchover", "kind: evacuate");
    refused_of(
        FULL,
        &evacuate,
        "6: spec.kind",
        "orders-db of checkout has one writer, which would stay behind: use switchover",
    );
    let spread = SEARCH.replace("follows: checkout", "follows: null").replace("failover: manual", "failover: approval");
    let of_search = |kind: &str| {
        format!(
            "apiVersion: failoverd.dev/v1\nkind: Drill\nmetadata: {{ name: d }}\nspec: {{ service: search, kind: {kind} }}\n"
        )
    };
    let named = spread.replace("switch_group: web", "switch_group: null");
    refused_of(
        &named,
        &of_search("switchover"),
        "4: spec.kind",
        "is active-active, where several Regions serve: use evacuate",
    );
    assert!(read_with(&named, &[&of_search("evacuate")]).is_ok());
    let switchless = full_with("switch: http", "switch: none").replace("failover: automatic", "failover: approval");
    let lost = changed("kind: switchover", "kind: region-loss");
    refused_of(&switchless, &lost, "6: spec.kind", "never moves by itself (I5)");
    assert!(read_with(&switchless, &[DRILL]).is_ok());
}

#[test]
fn a_service_that_only_people_move_is_not_drilled() {
    let manual = full_with("failover: automatic", "failover: manual");
    for kind in ["switchover", "region-loss"] {
        let drill = changed("kind: switchover", &format!("kind: {kind}"));
        refused_of(&manual, &drill, "5: spec.service", "has policy.failover: manual");
    }
}

#[test]
fn a_service_that_moves_with_another_is_drilled_with_it() {
    let rest = FULL.split("  data:\n").next().unwrap().replace("name: checkout,", "name: cart,");
    let cart = rest.replace("name: api.", "name: cart.").replace("switch_group: null", "switch_group: checkout");
    let both = format!("{FULL}---\n{cart}");
    assert!(read_with(&both, &[DRILL]).is_ok());
    refused_of(
        &both,
        &changed("service: checkout", "service: cart"),
        "5: spec.service",
        "moves with it: drill checkout",
    );
}

#[test]
fn two_drills_may_not_have_one_name_and_every_problem_is_told_at_once() {
    let other = changed("hold: 15m", "hold: 16m");
    let problems = read_with(FULL, &[DRILL, &other]).unwrap_err();
    assert_eq!(problems, ["d.yaml:25: metadata.name: checkout-monthly is declared twice, first in d.yaml:3"]);
    let wrong =
        changed("\"0 10 1 * *\"", "\"0 0 30 2 *\"").replace("to: eu-west-1", "to: us-east-1").replace("15m", "3d");
    assert_eq!(with_full(&wrong).unwrap_err().len(), 3);
    // What the unread service would have had nobody knows: nothing is said of its drill.
    let broken = full_with("rto: 5m", "rto: soon");
    assert_eq!(read_with(&broken, &[DRILL]).unwrap_err().len(), 1);
}

#[test]
fn a_file_of_drills_alone_is_read_against_what_is_applied() {
    let existing = one(FULL);
    let read = read_set([("d.yaml", DRILL.as_bytes())], &fleet(), &[&existing]).unwrap();
    assert_eq!((read.services.len(), read.drills.len()), (0, 1));
}
