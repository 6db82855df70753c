//! Manifests: all or none, and never a change of who serves.

use super::fixture::*;
use crate::fleet::*;
use crate::ids::{Epoch, LogIndex, Region, RunId, ServiceName};
use crate::service::{OnDoubt, Pattern, ServiceSpec, SwitchTransport};

fn named(name: &str) -> ServiceSpec {
    ServiceSpec { name: name.into(), ..shop() }
}

#[test]
fn nothing_happens_before_a_fleet_is_formed_and_it_is_formed_once() {
    let mut bench = Bench::empty();
    assert_eq!(bench.refused(person(), apply(vec![shop()])), "NOT_FORMED");
    let nameless = Command::Form { fleet: "".into(), members: [(Region::from(US), Role::Member)].into() };
    assert_eq!(bench.refused(daemon(), nameless), "INVALID_FLEET");
    bench.ok(daemon(), form());
    assert_eq!(bench.refused(daemon(), form()), "ALREADY_FORMED");
    assert_eq!(bench.events[0].message, "fleet prod formed by eu-west-1, us-east-1, us-west-2");
    assert_eq!((bench.events[0].seq, bench.events.len()), (1, 1));
}

#[test]
fn an_index_is_applied_once() {
    let mut bench = Bench::serving();
    let (before, applied) = (bench.state.clone(), bench.state.applied);
    let entry = Entry::new(NOW, person(), Command::Pause { service: None });
    for index in [applied, index(1), index(0)] {
        let again = bench.state.apply(index, &entry);
        assert_eq!(again.result.unwrap_err().code, "ALREADY_APPLIED");
        assert_eq!(bench.state, before);
    }
}

#[test]
fn a_new_service_starts_in_its_first_region_and_unsettled() {
    let mut bench = Bench::formed();
    bench.ok(person(), apply(vec![shop()]));
    assert_eq!(bench.serves(), (US.to_owned(), true));
    assert_eq!(bench.phase(), ServicePhase::Unsettled);
    assert_eq!(bench.shop().epoch, Epoch(1));
    bench.settle();
    assert_eq!(bench.phase(), ServicePhase::Steady);
    let token = &bench.state.switches["shop"].bits[&Region::from(US)].token;
    assert_eq!(token, "shop-us-east-1");
}

#[test]
fn one_bad_manifest_keeps_all_of_them_out() {
    let nowhere = ServiceSpec { regions: vec![US.into(), "mars-1".into()], ..named("b") };
    let alone = ServiceSpec { regions: vec![US.into()], ..named("b") };
    let none = ServiceSpec { regions: vec![], ..named("b") };
    let twice = ServiceSpec { regions: vec![US.into(), US.into()], ..named("b") };
    let mut shared = named("b");
    shared.traffic.switch_group = Some("a".into());
    for (bad, code) in [
        (nowhere, "UNKNOWN_REGION"),
        (alone, "INVALID_MANIFEST"),
        (none, "INVALID_MANIFEST"),
        (twice, "INVALID_MANIFEST"),
        (named("a"), "INVALID_MANIFEST"),
        (shared, "INVALID_MANIFEST"),
    ] {
        let mut bench = Bench::formed();
        assert_eq!(bench.refused(person(), apply(vec![named("a"), bad])), code);
        assert!(bench.state.services.is_empty() && bench.state.switches.is_empty());
    }
}

#[test]
fn a_switch_without_a_token_keeps_all_manifests_out() {
    let mut bench = Bench::formed();
    let Command::Apply { specs, mut tokens, prune, .. } = apply(vec![named("a"), named("b")]) else { unreachable!() };
    tokens.retain(|(group, ..)| group.as_str() == "a");
    assert_eq!(bench.refused(person(), Command::Apply { specs, tokens, drills: Vec::new(), prune }), "NO_TOKEN");
}

#[test]
fn an_unchanged_manifest_makes_no_event_and_unsettles_nothing() {
    let mut bench = Bench::serving();
    let events = bench.events.len();
    bench.ok(person(), apply(vec![shop()]));
    assert_eq!(bench.events.len(), events);
    assert_eq!(bench.phase(), ServicePhase::Steady);
}

#[test]
fn a_changed_manifest_keeps_who_serves_its_epoch_and_its_token() {
    let (mut bench, run) = Bench::running();
    bench.finish(&run);
    let (epoch, index) = (bench.shop().epoch, bench.shop().spec_index);
    let mut changed = shop();
    changed.policy.loss_over_budget = OnDoubt::Proceed;
    let Command::Apply { specs, prune, .. } = apply(vec![changed]) else { unreachable!() };
    bench.ok(
        person(),
        Command::Apply { specs, drills: Vec::new(), prune, tokens: vec![("shop".into(), US.into(), "other".into())] },
    );
    assert_eq!(bench.serves(), (EU.to_owned(), false));
    assert_eq!(bench.shop().epoch, epoch);
    assert!(bench.shop().spec_index > index);
    assert_eq!(bench.state.switches["shop"].bits[&Region::from(US)].token, "shop-us-east-1");
    assert_eq!(bench.events.last().unwrap().message, "manifest of shop changed; eu-west-1 serves");
}

#[test]
fn pattern_regions_and_switch_of_a_service_are_fixed() {
    let turned = ServiceSpec { regions: vec![EU.into(), US.into()], ..shop() };
    let active = ServiceSpec { pattern: Pattern::ActiveActive, ..shop() };
    let mut regrouped = shop();
    regrouped.traffic.switch_group = Some("other".into());
    for spec in [turned, active, regrouped] {
        let mut bench = Bench::serving();
        assert_eq!(bench.refused(person(), apply(vec![spec])), "SWITCH_FIXED");
    }
    let mut sharing = named("other");
    sharing.traffic.switch_group = Some("shop".into());
    assert_eq!(Bench::serving().refused(person(), apply(vec![sharing])), "INVALID_MANIFEST", "it has data of its own");
}

/// Route 53 takes checks without data for on.
#[test]
fn a_switch_that_is_off_does_not_change_to_cloudwatch() {
    let mut through = shop();
    through.traffic.switch = SwitchTransport::Cloudwatch;
    let mut bench = Bench::serving();
    bench.ok(person(), apply(vec![through.clone()]));
    bench.settle();
    bench.ok(person(), Command::SetSwitch { group: "shop".into(), region: US.into(), on: false, run: None });
    bench.settle();
    bench.ok(person(), apply(vec![through.clone()]));
    let over_http = Command::Delete { service: "shop".into() };
    bench.ok(person(), over_http);
    assert_eq!(bench.refused(person(), apply(vec![through.clone()])), "SWITCH_FIXED", "its switch was left behind");
    bench.ok(person(), apply(vec![shop()]));
    assert_eq!(bench.refused(person(), apply(vec![through])), "SWITCH_FIXED");
}

#[test]
fn an_open_run_keeps_its_manifest() {
    let (mut bench, run) = Bench::running();
    assert_eq!(bench.refused(person(), apply(vec![shop()])), "RUN_OPEN");
    assert_eq!(bench.refused(person(), Command::Delete { service: "shop".into() }), "RUN_OPEN");
    let prune = Command::Apply { specs: vec![], drills: Vec::new(), prune: true, tokens: vec![] };
    assert_eq!(bench.refused(person(), prune), "RUN_OPEN");
    bench.finish(&run);
    bench.ok(person(), apply(vec![shop()]));
}

#[test]
fn prune_forgets_services_that_are_not_there_and_keeps_their_switches() {
    let mut bench = Bench::serving();
    bench.ok(person(), apply(vec![named("b")]));
    let Command::Apply { specs, tokens, .. } = apply(vec![named("c")]) else { unreachable!() };
    bench.ok(person(), Command::Apply { specs, tokens, drills: Vec::new(), prune: true });
    let names: Vec<&ServiceName> = bench.state.services.keys().collect();
    assert_eq!(names, [&ServiceName::from("c")]);
    assert_eq!(bench.state.switches.len(), 3, "their health checks go on asking");
    assert_eq!(bench.kinds().iter().filter(|kind| **kind == EventKind::Deleted).count(), 2);
    assert_eq!(bench.refused(person(), Command::Delete { service: "shop".into() }), "NO_SUCH_SERVICE");
}

#[test]
fn a_service_that_comes_back_goes_on_where_it_was() {
    let (mut bench, run) = Bench::running();
    bench.finish(&run);
    assert_eq!((run, bench.shop().epoch), (RunId::from("shop-1"), Epoch(2)));
    let token = bench.state.switches["shop"].bits[US].token.clone();
    bench.ok(person(), Command::Delete { service: "shop".into() });
    bench.ok(person(), apply(vec![shop()]));
    assert_eq!(
        (bench.shop().primary.as_str(), bench.shop().epoch),
        (EU, Epoch(3)),
        "applying never changes who serves"
    );
    assert_eq!(bench.state.switches["shop"].bits[US].token, token, "Route 53's checkers still ask for it");
    assert_eq!(bench.shop().runs, 1, "the next run is shop-2");
}

#[test]
fn a_daemon_that_moves_its_endpoint_unsettles_every_service() {
    let mut bench = Bench::serving();
    let events = bench.events.len();
    bench.ok(daemon(), advertise(EU, "switch.eu-west-1.example.com"));
    assert_eq!((bench.events.len(), bench.phase()), (events, ServicePhase::Steady), "the same endpoint is no news");
    bench.ok(daemon(), advertise(EU, "elsewhere.example.com"));
    assert_eq!(bench.phase(), ServicePhase::Unsettled);
    assert_eq!(bench.refused(daemon(), advertise("mars-1", "x")), "UNKNOWN_REGION");
    // Whoever looked before that does not know.
    let (epoch, spec_index) = (bench.shop().epoch, bench.shop().spec_index);
    let settled = |seen| Command::Settled { service: "shop".into(), epoch, spec_index, seen };
    let moved = bench.state.advertised;
    assert_eq!(bench.refused(daemon(), settled(LogIndex(moved.0 - 1))), "STALE_ENDPOINTS");
    bench.ok(daemon(), settled(moved));
    assert_eq!(bench.phase(), ServicePhase::Steady);
}

#[test]
fn pausing_is_for_one_service_or_all() {
    let mut bench = Bench::serving();
    let one = Some(ServiceName::from("shop"));
    bench.ok(person(), Command::Pause { service: one.clone() });
    assert!(bench.state.is_paused(&"shop".into()) && !bench.state.is_paused(&"other".into()));
    bench.ok(person(), Command::Resume { service: one });
    bench.ok(person(), Command::Pause { service: None });
    assert!(bench.state.is_paused(&"shop".into()) && bench.state.is_paused(&"other".into()));
    bench.ok(person(), Command::Resume { service: None });
    assert!(!bench.state.is_paused(&"shop".into()));
    assert_eq!(bench.refused(person(), Command::Pause { service: Some("nobody".into()) }), "NO_SUCH_SERVICE");
}

#[test]
fn a_violation_is_on_record() {
    let mut bench = Bench::serving();
    bench.ok(daemon(), Command::Violation { invariant: "I9".into(), detail: "it changed".into() });
    let event = bench.events.last().unwrap();
    assert_eq!((event.kind, event.message.as_str()), (EventKind::Violation, "I9 does not hold: it changed"));
    assert_eq!(event.actor, "daemon:eu-west-1");
}
