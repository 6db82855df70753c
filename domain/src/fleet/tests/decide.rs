//! Decisions: what is refused, what is announced, what begins.

use super::fixture::*;
use crate::fleet::*;
use crate::health::{Status, View};
use crate::ids::{Epoch, LogIndex, ServiceName};
use crate::plan::{Mode, Movement};
use crate::service::{OnDoubt, Pattern, ServiceSpec};

fn refused(bench: &Bench, edit: impl FnOnce(&mut Decision)) -> String {
    let mut decision = bench.automatic();
    edit(&mut decision);
    bench.clone().refused(daemon(), Command::Decide(Box::new(decision)))
}

fn turn(decision: &mut Decision, guard: Guard, severity: Severity) {
    decision.guards.retain(|verdict| verdict.guard != guard);
    decision.guards.push(GuardVerdict { guard, ok: false, reason: "no".into(), severity });
}

fn announced() -> (Bench, crate::ids::RunId) {
    let mut spec = shop();
    spec.policy.announce_ms = 20_000;
    let mut bench = Bench::serving_spec(spec);
    let run = bench.decide(bench.automatic());
    (bench, run)
}

fn awaiting() -> (Bench, crate::ids::RunId) {
    let mut spec = shop();
    spec.objectives.rpo_ms = 100;
    let mut bench = Bench::serving_spec(spec);
    let run = bench.decide(bench.automatic());
    assert_eq!(bench.run(&run).state, RunState::AwaitingApproval);
    (bench, run)
}

#[test]
fn a_proven_breach_begins_at_once_and_raises_the_epoch_once() {
    let (mut bench, run) = Bench::running();
    assert_eq!((bench.shop().epoch, bench.shop().chosen.as_str()), (Epoch(2), EU));
    assert_eq!(bench.run(&run).epoch, Some(Epoch(2)));
    assert_eq!(bench.serves().0, US, "traffic stays until the switch is turned");
    assert_eq!(bench.phase(), ServicePhase::FailingOver);
    bench.finish(&run);
    assert_eq!(bench.shop().epoch, Epoch(2));
    assert_eq!(bench.serves(), (EU.to_owned(), false));
}

#[test]
fn a_decision_is_refused_with_its_word() {
    let bench = Bench::serving();
    assert_eq!(refused(&bench, |decision| decision.plan.service = "nobody".into()), "NO_SUCH_SERVICE");
    assert_eq!(refused(&bench, |decision| decision.epoch_seen = Epoch(0)), "STALE_EPOCH");
    assert_eq!(refused(&bench, |decision| decision.plan.spec_index = LogIndex(1)), "STALE_PLAN");
    assert_eq!(refused(&bench, |decision| decision.plan.from = EU.into()), "STALE_PLAN");
    assert_eq!(refused(&bench, |decision| decision.valid_until = NOW.minus_ms(1)), "STALE_EVIDENCE");
    bench.clone().decide(Decision { valid_until: NOW, ..bench.automatic() });
    assert_eq!(refused(&bench, |decision| decision.plan.to = US.into()), "PLAN_UNSOUND");
    assert_eq!(refused(&bench, |decision| decision.plan.steps.clear()), "PLAN_UNSOUND");
    assert_eq!(refused(&bench, |decision| turn(decision, Guard::Cooldown, Severity::Blocks)), "GUARD_REFUSED");
    assert_eq!(
        refused(&bench, |decision| turn(decision, Guard::RpoBudget, Severity::NeedsApproval)),
        "APPROVAL_NEEDED"
    );
    assert_eq!(refused(&bench, |decision| decision.loss[0].bound = None), "APPROVAL_NEEDED");
    assert_eq!(refused(&bench, |decision| decision.loss[0].bound = Some(5_001)), "APPROVAL_NEEDED");
    let mut just_within = bench.automatic();
    just_within.loss[0].bound = Some(bench.shop().spec.objectives.rpo_ms);
    bench.clone().decide(just_within);
    assert_eq!(refused(&bench, |decision| drop(decision.loss.pop())), "APPROVAL_NEEDED");
    assert_eq!(refused(&bench, |decision| decision.unfenced_consent = Some(Consent::Policy)), "NO_CONSENT");
    let forged = Consent::Person("alice".into());
    assert_eq!(refused(&bench, |decision| decision.unfenced_consent = Some(forged)), "NO_CONSENT");
    for guard in [Guard::Quorum, Guard::BreachProven, Guard::NotPaused, Guard::Route53Agrees] {
        let gone = refused(&bench, |decision| decision.guards.retain(|verdict| verdict.guard != guard));
        assert_eq!(gone, "GUARD_MISSING", "{guard:?}");
    }
}

#[test]
fn what_a_drill_shows_is_decided_as_an_outage_would_be_and_what_a_person_asks_for_is_not() {
    let mut spec = shop();
    spec.policy.announce_ms = 20_000;
    let bench = Bench::serving_spec(spec);
    let shows = view().rehearsing(&"nightly-1".into());
    let asked = |trigger, view: &View| {
        let request = FailoverRequest { trigger, mode: Some(Mode::Graceful), ..by_itself() };
        propose_failover(bench.now, &bench.state, &bench.matrix(breach()), view, &request).unwrap()
    };
    let (real, drilled) = (bench.automatic(), asked(Trigger::Drill, &shows));
    assert_eq!((&drilled.loss, &drilled.reason), (&real.loss, &real.reason));
    assert_eq!(drilled.announce_until, Some(NOW.plus_ms(20_000)));
    for (trigger, view) in [(Trigger::Drill, &view()), (Trigger::Operator, &shows)] {
        let decision = asked(trigger, view);
        assert_eq!((decision.reason.as_str(), decision.announce_until), ("no reason was given", None), "{trigger:?}");
        assert_ne!(decision.loss, real.loss, "what a graceful move leaves behind: {trigger:?}");
    }
}

#[test]
fn a_guards_word_proves_nothing_without_the_observers_behind_it() {
    let bench = Bench::serving();
    let opinions = |decision: &mut Decision| decision.evidence[0].opinions.clone();
    assert_eq!(refused(&bench, |decision| decision.evidence.clear()), "NOT_PROVEN");
    let one_fewer = |decision: &mut Decision| {
        let bad = decision.evidence[0].opinions.iter_mut().find(|opinion| opinion.status == Status::Bad).unwrap();
        bad.counts = false;
    };
    assert_eq!(refused(&bench, one_fewer), "NOT_PROVEN");
    let one_twice = |decision: &mut Decision| {
        let mut bad = opinions(decision);
        bad.retain(|opinion| opinion.status == Status::Bad);
        decision.evidence[0].opinions = vec![bad[0].clone(), bad[0].clone()];
    };
    assert_eq!(refused(&bench, one_twice), "NOT_PROVEN");
    let strangers = |decision: &mut Decision| {
        let bad = decision.evidence[0].opinions.iter_mut().find(|opinion| opinion.status == Status::Bad).unwrap();
        bad.observer = "mars-1".into();
    };
    assert_eq!(refused(&bench, strangers), "NOT_PROVEN");
}

#[test]
fn a_pause_that_was_agreed_first_stops_a_decision_on_its_way() {
    let mut bench = Bench::serving();
    let decision = bench.automatic();
    bench.ok(person(), Command::Pause { service: Some("shop".into()) });
    assert_eq!(bench.refused(daemon(), Command::Decide(Box::new(decision))), "PAUSED");
    let by_hand = bench.asked(Mode::Graceful);
    bench.decide(by_hand);
}

#[test]
fn an_active_active_service_is_not_moved_like_a_pair() {
    let mut bench = Bench::serving();
    let other = ServiceSpec { name: "many".into(), pattern: Pattern::ActiveActive, ..shop() };
    bench.ok(person(), apply(vec![other]));
    let index = bench.state.services[&ServiceName::from("many")].spec_index;
    let forged = |decision: &mut Decision| {
        decision.plan.service = "many".into();
        decision.plan.spec_index = index;
    };
    assert_eq!(refused(&bench, forged), "PLAN_UNSOUND");
    let request = FailoverRequest { service: "many".into(), ..by_person(Mode::Forced) };
    assert_eq!(bench.propose(breach(), &request).unwrap_err().code, "NOT_SUPPORTED");
}

#[test]
fn one_run_is_open_for_a_service() {
    let (mut bench, run) = announced();
    let mut second = bench.run(&run).clone();
    second.trigger = Trigger::Operator;
    let decision = Decision { trigger: Trigger::Operator, ..Bench::serving().automatic() };
    assert_eq!(bench.refused(person(), Command::Decide(Box::new(decision))), "RUN_OPEN");
    let again = bench.propose(breach(), &by_person(Mode::Forced)).unwrap_err();
    assert_eq!(again.reason, "guard no-open-run says no: run shop-1 is open (announced)");
}

#[test]
fn an_announced_run_starts_when_its_announcement_is_over() {
    let (mut bench, run) = announced();
    assert_eq!(bench.run(&run).state, RunState::Announced);
    assert_eq!(bench.shop().epoch, Epoch(1));
    let start = Command::Start { run: run.clone() };
    bench.now = NOW.plus_ms(19_999);
    assert_eq!(bench.refused(daemon(), start.clone()), "STILL_ANNOUNCED");
    bench.now = NOW.plus_ms(20_000);
    bench.ok(daemon(), start.clone());
    assert_eq!((bench.run(&run).state, bench.shop().epoch), (RunState::Running, Epoch(2)));
    assert_eq!(bench.refused(daemon(), start), "NOT_ANNOUNCED");
    assert_eq!(bench.refused(daemon(), Command::Start { run: "shop-9".into() }), "NO_SUCH_RUN");
}

#[test]
fn a_stale_decision_is_not_resumed() {
    let (mut bench, run) = announced();
    bench.now = bench.run(&run).valid_until.plus_ms(1);
    assert_eq!(bench.refused(daemon(), Command::Start { run: run.clone() }), "STALE_EVIDENCE");
    bench.now = bench.run(&run).valid_until;
    bench.ok(daemon(), Command::Start { run });
}

#[test]
fn a_pause_stops_what_is_announced_and_not_what_a_person_asked_for() {
    let (mut bench, run) = announced();
    bench.now = NOW.plus_ms(20_000);
    bench.ok(person(), Command::Pause { service: None });
    assert_eq!(bench.refused(daemon(), Command::Start { run: run.clone() }), "PAUSED");
    bench.ok(person(), Command::Resume { service: None });
    bench.ok(daemon(), Command::Start { run });
}

#[test]
fn loss_over_budget_waits_for_a_person() {
    let (mut bench, run) = awaiting();
    let approve = Command::Approve { run: run.clone() };
    assert_eq!(bench.refused(daemon(), approve.clone()), "NOT_A_PERSON");
    assert_eq!(bench.refused(daemon(), Command::Start { run: run.clone() }), "NOT_ANNOUNCED");
    assert_eq!(bench.shop().epoch, Epoch(1));
    bench.ok(person(), approve.clone());
    assert_eq!((bench.run(&run).state, bench.shop().epoch), (RunState::Running, Epoch(2)));
    // What she was asked was the loss: whether an unfenced writer is accepted, the manifest says or she is asked again.
    assert_eq!(bench.run(&run).unfenced_consent, None);
    assert!(bench.events.iter().any(|event| event.message == "run shop-1 approved by alice"));
    assert_eq!(bench.refused(person(), approve), "NOTHING_TO_APPROVE");
}

#[test]
fn an_approval_that_comes_too_late_is_refused() {
    let (mut bench, run) = awaiting();
    bench.now = bench.run(&run).valid_until.plus_ms(1);
    assert_eq!(bench.refused(person(), Command::Approve { run: run.clone() }), "STALE_EVIDENCE");
    assert_eq!(bench.refused(person(), Command::Approve { run: "shop-9".into() }), "NO_SUCH_RUN");
    bench.now = bench.run(&run).valid_until;
    bench.ok(person(), Command::Approve { run });
}

#[test]
fn a_policy_that_proceeds_needs_nobody() {
    let mut spec = shop();
    spec.objectives.rpo_ms = 100;
    spec.policy.loss_over_budget = OnDoubt::Proceed;
    let mut bench = Bench::serving_spec(spec);
    let run = bench.decide(bench.automatic());
    assert_eq!(bench.run(&run).state, RunState::Running);
}

#[test]
fn a_person_is_told_what_blocks_and_may_force_the_rest() {
    let bench = Bench::serving();
    let decision = bench.propose(breach(), &by_person(Mode::Forced)).unwrap();
    assert!(!decision.needs_approval && decision.announce_until.is_none());
    assert_eq!(decision.unfenced_consent, Some(Consent::Person("alice".into())));
    let graceful = bench.propose(breach(), &FailoverRequest { to: Some(US.into()), ..by_person(Mode::Graceful) });
    assert_eq!(graceful.unwrap_err().code, "ALREADY_THERE");
    let elsewhere = FailoverRequest { to: Some("mars-1".into()), ..by_person(Mode::Graceful) };
    assert_eq!(bench.propose(healthy(), &elsewhere).unwrap_err().code, "UNKNOWN_REGION");
    let nobody = FailoverRequest { service: "nobody".into(), ..by_person(Mode::Graceful) };
    assert_eq!(bench.propose(healthy(), &nobody).unwrap_err().code, "NO_SUCH_SERVICE");
    let other_plan = FailoverRequest { plan_hash: Some("000000000000".into()), ..by_person(Mode::Graceful) };
    assert_eq!(bench.propose(healthy(), &other_plan).unwrap_err().code, "PLAN_CHANGED");
    let plan = bench.propose(healthy(), &by_person(Mode::Graceful)).unwrap().plan;
    let same_plan = FailoverRequest { plan_hash: Some(plan.hash()), ..by_person(Mode::Graceful) };
    assert_eq!(bench.propose(healthy(), &same_plan).unwrap().plan, plan);
}

#[test]
fn a_pair_goes_back_to_its_home_and_nowhere_else() {
    let mut bench = Bench::serving();
    let run = bench.decide(bench.asked(Mode::Forced));
    bench.finish(&run);
    bench.settle();
    let back = |to: Option<&str>| FailoverRequest {
        movement: Movement::Restore,
        to: to.map(Into::into),
        ..by_person(Mode::Forced)
    };
    let refused = bench.propose(healthy(), &back(Some(EU))).unwrap_err();
    let why = "shop is at home in us-east-1: nothing goes back to eu-west-1";
    assert_eq!((refused.code.as_str(), refused.reason.as_str()), ("ALREADY_THERE", why));
    for to in [None, Some(US)] {
        assert_eq!(bench.propose(healthy(), &back(to)).unwrap().plan.to.as_str(), US);
    }
    // What is evacuated is where it serves.
    let out = |from: Option<&str>| FailoverRequest {
        movement: Movement::Evacuate,
        from: from.map(Into::into),
        ..by_person(Mode::Forced)
    };
    for from in [None, Some(EU)] {
        assert_eq!(bench.propose(healthy(), &out(from)).unwrap().plan.from.as_str(), EU);
    }
    let refused = bench.propose(healthy(), &out(Some(US))).unwrap_err();
    assert_eq!(refused.reason, "shop serves from eu-west-1, not from us-east-1");
}

#[test]
fn mode_follows_from_what_is_seen_where_nobody_names_it() {
    let bench = Bench::serving();
    let request = FailoverRequest { mode: None, ..by_person(Mode::Graceful) };
    assert_eq!(bench.propose(healthy(), &request).unwrap().plan.mode, Mode::Graceful);
    assert_eq!(bench.propose(breach(), &request).unwrap().plan.mode, Mode::Forced);
}

#[test]
fn a_decision_records_what_it_rests_on() {
    let (bench, run) = Bench::running();
    let event = bench.events.iter().find(|event| event.kind == EventKind::Decided).unwrap();
    assert_eq!((event.run.as_ref(), event.actor.as_str()), (Some(&run), "daemon:eu-west-1"));
    assert!(event.message.starts_with("forced failover of shop from us-east-1 to eu-west-1 decided: 2 of 3"));
    assert_eq!(event.data["plan_hash"], bench.run(&run).plan.hash());
    assert_eq!(event.data["guards"].as_array().unwrap().len(), bench.run(&run).guards.len());
    assert_eq!(event.data["evidence"][0]["diagnosis"], "region-down");
    assert_eq!(event.data["loss"].as_array().unwrap().len(), 3);
    assert_eq!(bench.run(&run).detect_ms(), Some(13_000));
}
