//! Services that share a switch: one decides, all move.

use super::active_active::{ask, many, serve, sound};
use super::fixture::*;
use crate::fleet::*;
use crate::ids::{Epoch, LogIndex, Region, ServiceName};
use crate::plan::{Mode, Movement};
use crate::service::{Pattern, Routing, ServiceSpec};

/// Before the lead by name, so that what merely takes the first one shows.
const WEB: &str = "app";

/// A service without data that moves with `lead`.
fn companion(lead: &ServiceSpec, name: &str) -> ServiceSpec {
    let mut spec = ServiceSpec { name: name.into(), data: vec![], ..lead.clone() };
    spec.traffic.switch_group = Some(lead.name.as_str().into());
    for record in &mut spec.traffic.records {
        record.name = format!("{name}.example.com");
        if spec.pattern == Pattern::ActiveActive {
            // Knows no parts: the lead's records make the waves.
            record.routing = Routing::Latency;
            record.targets.values_mut().for_each(|target| target.geo.clear());
        }
    }
    spec
}

fn both(lead: ServiceSpec) -> Bench {
    let mut bench = Bench::formed();
    let web = companion(&lead, WEB);
    bench.ok(person(), apply(vec![web, lead]));
    bench.settle();
    settle_web(&mut bench);
    bench
}

fn web(bench: &Bench) -> &ServiceState {
    &bench.state.services[&ServiceName::from(WEB)]
}

fn settle_web(bench: &mut Bench) {
    let (epoch, spec_index) = (web(bench).epoch, web(bench).spec_index);
    bench.ok(daemon(), Command::Settled { service: WEB.into(), epoch, spec_index, seen: LogIndex(0) });
}

#[test]
fn one_switch_is_made_for_all_and_every_service_has_its_own_records() {
    let bench = both(shop());
    assert_eq!(bench.state.switches.keys().map(|group| group.as_str()).collect::<Vec<_>>(), ["shop"]);
    assert_eq!(bench.state.moves_with(&web(&bench).spec), Some(&"shop".into()));
    assert_eq!(bench.state.moves_with(&bench.shop().spec), None);
    let moved: Vec<&str> = bench.state.companions(&bench.shop().spec).iter().map(|it| it.spec.name.as_str()).collect();
    assert_eq!(moved, [WEB]);
}

#[test]
fn what_cannot_share_a_switch_is_refused_by_name() {
    let why = |specs: Vec<ServiceSpec>| {
        let refused = Bench::formed().put(person(), apply(specs)).result.unwrap_err();
        assert_eq!(refused.code, "INVALID_MANIFEST");
        refused.reason
    };
    let mut with_data = companion(&shop(), WEB);
    with_data.data = shop().data;
    assert!(why(vec![shop(), with_data]).starts_with("app shares the switch of shop and has data of its own"));
    let mut turned = companion(&shop(), WEB);
    turned.regions.reverse();
    assert!(why(vec![shop(), turned]).contains("another list of Regions"));
    let active = ServiceSpec { pattern: Pattern::ActiveActive, ..companion(&shop(), WEB) };
    assert!(why(vec![shop(), active]).contains("another pattern"));
    let foreign = ServiceSpec { role_arn: Some("arn:aws:iam::1:role/x".into()), ..companion(&shop(), WEB) };
    assert!(why(vec![shop(), foreign]).contains("another role_arn"));
    let headless = ["a", "b"].map(|name| companion(&ServiceSpec { name: "nobody".into(), ..shop() }, name));
    assert!(why(headless.to_vec()).contains("a, b share the switch nobody, and none of them is called nobody"));
}

/// A lead that is taken away or changed would leave the others behind.
#[test]
fn the_lead_stays_as_long_as_others_move_with_it() {
    let mut bench = both(shop());
    assert_eq!(bench.refused(person(), Command::Delete { service: "shop".into() }), "LEADS_OTHERS");
    let mut pruned = apply(vec![companion(&shop(), WEB)]);
    if let Command::Apply { prune, .. } = &mut pruned {
        *prune = true;
    }
    // Alone, it has a switch of another name, and that is all: it moves by itself.
    bench.ok(person(), pruned);
    assert_eq!(bench.state.moves_with(&web(&bench).spec), None);
    // While it moves, no lead may come and take its run for nobody's.
    settle_web(&mut bench);
    let run = bench.propose(sound(), &FailoverRequest { service: WEB.into(), ..by_person(Mode::Forced) }).unwrap();
    bench.decide(run);
    assert_eq!(bench.refused(person(), apply(vec![shop()])), "RUN_OPEN");
    let mut bench = both(shop());
    bench.ok(person(), Command::Delete { service: WEB.into() });
    bench.ok(person(), Command::Delete { service: "shop".into() });
}

#[test]
fn a_run_of_the_lead_moves_all_and_nothing_else_does() {
    let mut bench = both(shop());
    let theirs = FailoverRequest { service: WEB.into(), ..by_person(Mode::Graceful) };
    let refused = bench.propose(healthy(), &theirs).unwrap_err();
    assert_eq!(refused.code, "MOVES_WITH");
    assert!(refused.reason.contains("ask for shop"), "{}", refused.reason);

    let id = bench.decide(bench.automatic());
    assert_eq!(web(&bench).epoch, Epoch(2), "whatever was decided before is void for it too");
    assert_eq!(web(&bench).chosen.as_str(), EU);
    assert_eq!(bench.state.phase(web(&bench)), ServicePhase::FailingOver);
    // Settlement yields, and a manifest waits.
    let intent = Command::SettleIntent { service: WEB.into(), epoch: Epoch(2), work: vec![] };
    assert_eq!(bench.refused(daemon(), intent), "RUN_OPEN");
    assert_eq!(bench.refused(person(), apply(vec![companion(&shop(), WEB)])), "RUN_OPEN");
    assert_eq!(bench.refused(person(), apply(vec![companion(&shop(), "late")])), "RUN_OPEN", "nobody joins half-way");
    bench.finish(&id);
    assert_eq!((web(&bench).primary.as_str(), web(&bench).chosen.as_str()), (EU, EU));
    assert!(!web(&bench).is_settled());
    let told = |event: &&HistoryEvent| event.service.as_ref().is_some_and(|service| service.as_str() == WEB);
    let told: Vec<&str> = bench.events.iter().filter(told).map(|event| event.message.as_str()).collect();
    assert_eq!(told.last(), Some(&"app moves with shop: eu-west-1 serves"));
}

#[test]
fn a_run_that_is_put_back_puts_all_back() {
    let mut bench = both(shop());
    let id = bench.decide(bench.asked(Mode::Graceful));
    assert_eq!(web(&bench).chosen.as_str(), EU);
    bench.abort(&id);
    assert_eq!(bench.run(&id).state, RunState::Aborted);
    assert_eq!((web(&bench).chosen.as_str(), web(&bench).primary.as_str()), (US, US));
    assert_eq!(web(&bench).epoch, Epoch(3));
}

#[test]
fn nobody_is_left_behind_without_records() {
    let mut bench = Bench::formed();
    bench.ok(person(), apply(vec![shop(), companion(&shop(), WEB)]));
    bench.settle();
    let refused = bench.propose(breach(), &by_itself()).unwrap_err();
    assert!(refused.reason.contains("app, which moves along, has no records"), "{}", refused.reason);
    settle_web(&mut bench);
    bench.propose(breach(), &by_itself()).unwrap();
    // One whose manifest changes has the records of before, which follow the switch too.
    let mut changed = companion(&shop(), WEB);
    changed.traffic.hosted_zone = "example.org".to_owned();
    bench.ok(person(), apply(vec![changed]));
    assert!(!web(&bench).settlement.carries_traffic);
    bench.propose(breach(), &by_itself()).unwrap();
}

/// By itself, the lead's breach moves both; the controller never opens a run for a companion.
#[test]
fn the_controller_asks_the_lead() {
    let bench = both(shop());
    let proposals = tick(bench.now, &bench.state, &bench.matrix(breach()), &view());
    let [Command::Decide(decision)] = proposals.as_slice() else { panic!("{proposals:?}") };
    assert_eq!(decision.plan.service.as_str(), "shop");
    let region = Region::from(US);
    let forecasts = what_if_region_vanishes(bench.now, &bench.state, &bench.matrix(breach()), &view(), &region);
    let [web, shop] = forecasts.as_slice() else { panic!("{forecasts:?}") };
    assert_eq!(shop.outcome, web.outcome);
    assert!(web.reason.starts_with("moves with shop: "), "{}", web.reason);
}

/// Active-active: one bit per Region for all, and a wave waits for the slowest settlement.
#[test]
fn waves_widen_for_all_once_all_are_settled() {
    let mut bench = both(many());
    let run = |bench: &mut Bench, movement| {
        let decision = ask(bench, movement, US, Mode::Graceful, sound()).unwrap();
        let id = bench.decide(decision);
        bench.finish(&id);
    };
    run(&mut bench, Movement::Evacuate);
    assert_eq!((serve(&bench), web(&bench).primary.as_str()), (vec![EU.to_owned()], EU));
    bench.settle();
    let early = ask(&bench, Movement::Restore, US, Mode::Graceful, sound()).unwrap_err();
    assert!(early.reason.contains("wait for settlement"), "{}", early.reason);
    settle_web(&mut bench);
    run(&mut bench, Movement::Restore);
    assert!(
        bench.state.returning(web(&bench)).is_some_and(|(region, share)| region.as_str() == US && share < WHOLE_SHARE)
    );
    bench.settle();
    bench.now = bench.now.plus_ms(bench.shop().spec.policy.restore_pause_ms);
    let wave = |bench: &Bench| tick(bench.now, &bench.state, &bench.matrix(sound()), &view());
    assert_eq!(wave(&bench), [], "web still has the records of before");
    settle_web(&mut bench);
    assert_eq!(wave(&bench), [], "and must be watched");
    bench.now = bench.now.plus_ms(bench.shop().spec.policy.restore_pause_ms);
    let proposals = wave(&bench);
    let [widen @ Command::Widen { service, .. }] = proposals.as_slice() else { panic!("{proposals:?}") };
    assert_eq!(service.as_str(), "shop");
    let before = web(&bench).epoch;
    bench.ok(daemon(), widen.clone());
    assert_eq!(web(&bench).epoch, before.next());
    assert!(!web(&bench).is_settled() && !bench.shop().is_settled());
}
