//! Each guard's no, by itself, keeps a breach from acting, and says why.

use super::fixture::*;
use crate::fleet::*;
use crate::health::{ReplicaReadiness, Report, Status};
use crate::plan::Mode;
use crate::service::{Automation, Fence, Freeze, OnDoubt, ServiceSpec, StoreKind, SwitchTransport};

/// What the leader would do about a breach: nothing, ask, or act; and what the guard said.
struct Tried {
    commands: Vec<Command>,
    verdict: Option<GuardVerdict>,
}

fn ask(bench: &Bench, reports: Vec<Report>, guard: Guard) -> Tried {
    let matrix = bench.matrix(reports);
    let seen = outlook(bench.now, &bench.state, &matrix, &view(), &by_itself()).unwrap();
    let verdict = seen.guards.into_iter().find(|verdict| verdict.guard == guard);
    Tried { commands: tick(bench.now, &bench.state, &matrix, &view()), verdict }
}

/// The guard alone says no, nothing is proposed, and the reason reads `reason`.
#[track_caller]
fn blocks(bench: &Bench, reports: Vec<Report>, guard: Guard, reason: &str) {
    let matrix = bench.matrix(reports.clone());
    let seen = outlook(bench.now, &bench.state, &matrix, &view(), &by_itself()).unwrap();
    let noes: Vec<Guard> = seen.guards.iter().filter(|verdict| !verdict.ok).map(|verdict| verdict.guard).collect();
    assert_eq!(noes, [guard], "only the one that is asked about says no");
    let tried = ask(bench, reports, guard);
    assert_eq!(tried.commands, vec![], "nothing is proposed");
    let verdict = tried.verdict.unwrap();
    assert_eq!((verdict.reason.as_str(), verdict.severity), (reason, Severity::Blocks));
}

/// Whether a breach would be acted on.
fn acts(bench: &Bench) -> bool {
    ask(bench, breach(), Guard::TrafficReady).commands.len() == 1
}

/// The guard says no, and the run waits for a person.
#[track_caller]
fn asks(bench: &Bench, reports: Vec<Report>, guard: Guard, reason: &str) {
    let tried = ask(bench, reports, guard);
    let [Command::Decide(decision)] = tried.commands.as_slice() else { panic!("{:?}", tried.commands) };
    assert!(decision.needs_approval);
    let verdict = tried.verdict.unwrap();
    assert_eq!((verdict.ok, verdict.severity), (false, Severity::NeedsApproval));
    assert_eq!(verdict.reason, reason);
}

fn with(edit: impl FnOnce(&mut ServiceSpec)) -> Bench {
    let mut spec = shop();
    edit(&mut spec);
    Bench::serving_spec(spec)
}

fn edited(edit: impl FnMut(&mut Report)) -> Vec<Report> {
    let mut reports = breach();
    reports.iter_mut().for_each(edit);
    reports
}

#[test]
fn with_every_yes_it_acts() {
    let bench = Bench::serving();
    let tried = ask(&bench, breach(), Guard::Quorum);
    let [Command::Decide(decision)] = tried.commands.as_slice() else { panic!("{:?}", tried.commands) };
    assert!(!decision.needs_approval);
    assert!(decision.guards.iter().all(|verdict| verdict.ok), "{:?}", decision.guards);
    assert_eq!(tried.verdict.unwrap().reason, "2 of 3 daemons are heard from");
}

#[test]
fn plan_sound() {
    let bench = with(|spec| spec.traffic.switch = SwitchTransport::None);
    let reason = "I5: with `switch: none` traffic moves only through Route 53's control plane in us-east-1";
    blocks(&bench, breach(), Guard::PlanSound, reason);
}

#[test]
fn no_open_run() {
    let (bench, _) = Bench::running();
    blocks(&bench, breach(), Guard::NoOpenRun, "run shop-1 is open (running)");
}

#[test]
fn quorum() {
    let bench = Bench::serving();
    let tried = ask(&bench, vec![report(EU, Status::Bad)], Guard::Quorum);
    assert_eq!(tried.commands, vec![]);
    assert_eq!(tried.verdict.unwrap().reason, "1 of 3 daemons are heard from; 2 are needed");
    let mut two = view();
    two.members.pop();
    let matrix = bench.matrix(vec![report(US, Status::Bad), report(EU, Status::Bad)]);
    assert_eq!(tick(bench.now, &bench.state, &matrix, &two), vec![]);
    let seen = outlook(bench.now, &bench.state, &matrix, &two, &by_itself()).unwrap();
    let said = seen.guards.iter().find(|verdict| verdict.guard == Guard::Quorum).unwrap();
    assert_eq!(said.reason, "a fleet of 2 cannot prove anything: add a witness in a third Region");
}

#[test]
fn breach_proven() {
    let bench = Bench::serving();
    let one_sees_it = vec![report(US, Status::Good), report(EU, Status::Bad), report(WITNESS, Status::Good)];
    let tried = ask(&bench, one_sees_it, Guard::BreachProven);
    assert_eq!(tried.commands, vec![]);
    let reason = tried.verdict.unwrap().reason;
    assert!(reason.starts_with("us-east-1 is degraded: "), "{reason}");
}

#[test]
fn route53_agrees() {
    let bench = Bench::serving();
    let says = |status| edited(|report| report.route53[0].status = status);
    let healthy = "Route 53's own checkers see us-east-1 healthy: we may have lost sight of it";
    blocks(&bench, says(Status::Good), Guard::Route53Agrees, healthy);
    let unread = "nobody could read what Route 53's checkers say of us-east-1";
    blocks(&bench, says(Status::Unknown), Guard::Route53Agrees, unread);
    blocks(&bench, edited(|report| report.route53.clear()), Guard::Route53Agrees, unread);
}

#[test]
fn standby_ready() {
    let bench = Bench::serving();
    let readiness = |readiness: ReplicaReadiness| edited(move |report| report.stores[1].readiness = readiness.clone());
    let creating = readiness(ReplicaReadiness::NotReady("CREATING".into()));
    blocks(&bench, creating, Guard::StandbyReady, "orders in eu-west-1 is not ready: CREATING");
    let silent = readiness(ReplicaReadiness::Unknown("no answer".into()));
    blocks(&bench, silent, Guard::StandbyReady, "orders in eu-west-1 could not be asked: no answer");
    let down = edited(|report| {
        report.signals.iter_mut().for_each(|signal| (signal.status, signal.breached) = (Status::Bad, true));
    });
    let tried = ask(&bench, down, Guard::StandbyReady);
    assert_eq!(tried.commands, vec![]);
    assert!(tried.verdict.unwrap().reason.starts_with("eu-west-1 is service-down: "));
    // Without a look at a copy there is no loss bound either.
    let unseen = ask(&bench, edited(|report| drop(report.stores.remove(1))), Guard::StandbyReady);
    assert_eq!(unseen.commands, vec![]);
    assert_eq!(unseen.verdict.unwrap().reason, "nobody has looked at orders in eu-west-1 lately");
    let old = |age_ms| edited(move |report| report.stores[1].age_ms = age_ms);
    let hanging = ask(&bench, old(4_001), Guard::StandbyReady);
    assert_eq!(hanging.commands, vec![], "reported a second ago, looked at long before");
    assert_eq!(hanging.verdict.unwrap().reason, "nobody has looked at orders in eu-west-1 lately");
    assert!(ask(&bench, old(4_000), Guard::StandbyReady).verdict.unwrap().ok);
}

/// A daemon that has not heard of a move takes the old primary for the one that serves, and calls it ready.
#[test]
fn an_instance_that_was_left_behind_is_no_standby_whoever_calls_it_ready() {
    let mut spec = shop();
    spec.data[0].kind = StoreKind::Rds {
        instances: [(US.into(), "legacy-us".into()), (EU.into(), "legacy-eu".into())].into(),
        rebuild: true,
    };
    let bench = Bench::serving_spec(spec);
    assert!(acts(&bench));
    assert!(
        ask(&bench, edited(|report| report.stores[0].writer = Some(false)), Guard::StandbyReady).verdict.unwrap().ok
    );
    let alone = || edited(|report| report.stores[0].writer = Some(true));
    let reason =
        "orders-db in eu-west-1 is not ready: legacy-eu in eu-west-1 takes writes of its own and is no replica";
    let tried = ask(&bench, alone(), Guard::StandbyReady);
    assert_eq!((tried.commands, tried.verdict.unwrap().reason.as_str()), (vec![], reason));
    // Who forces it is told, and that nobody can say what is lost.
    let forced = bench.propose(alone(), &by_person(Mode::Forced)).unwrap();
    let told = forced.guards.iter().find(|verdict| verdict.guard == Guard::StandbyReady).unwrap();
    assert_eq!((told.ok, told.severity, told.reason.as_str()), (false, Severity::Informs, reason));
    assert_eq!(forced.loss.iter().map(|loss| loss.bound.is_some()).collect::<Vec<_>>(), [false, true, true]);
}

#[test]
fn traffic_ready() {
    let mut bench = Bench::serving();
    let mut changed = shop();
    changed.labels.insert("tier".into(), "1".into());
    bench.ok(person(), apply(vec![changed]));
    bench.ok(daemon(), advertise(EU, "moved.example.com"));
    let unsettled = (bench.phase(), acts(&bench));
    assert_eq!(unsettled, (ServicePhase::Unsettled, true), "what stands in Route 53 still carries the switch");
    let mut moved = shop();
    moved.traffic.hosted_zone = "example.net".into();
    bench.ok(person(), apply(vec![moved.clone()]));
    let reason = "records and checks do not match the newest manifest's traffic yet";
    blocks(&bench, breach(), Guard::TrafficReady, reason);
    bench.settle();
    assert!(acts(&bench));
    bench.ok(person(), Command::Delete { service: "shop".into() });
    bench.ok(person(), apply(vec![moved]));
    let reason = "records and health checks do not exist yet: the switch would reach nobody";
    blocks(&bench, breach(), Guard::TrafficReady, reason);
}

#[test]
fn rpo_budget() {
    let late = || edited(|report| report.stores[0].lag_ms = Some((8_000, 0)));
    let reason = "orders-db may lose 9100 ms of writes, 5000 ms are allowed \
                  (CloudWatch: 8000 ms behind, 1100 ms ago (it has no canary))";
    asks(&Bench::serving(), late(), Guard::RpoBudget, reason);
    let unknown = edited(|report| report.stores[0].lag_ms = None);
    let reason = "nobody can say what orders-db would lose \
                  (it has no canary, and CloudWatch shows no lag towards eu-west-1)";
    asks(&Bench::serving(), unknown, Guard::RpoBudget, reason);
    let proceeds = with(|spec| spec.policy.loss_over_budget = OnDoubt::Proceed);
    let tried = ask(&proceeds, late(), Guard::RpoBudget);
    assert!(matches!(&tried.commands[..], [Command::Decide(decision)] if !decision.needs_approval));
    assert!(tried.verdict.unwrap().reason.ends_with("; the policy says proceed"));
}

#[test]
fn writer_fenced() {
    let bench = with(|spec| spec.data[0].fence = None);
    asks(&bench, breach(), Guard::WriterFenced, "nothing fences the old writer of promote/orders-db");
    let consenting = with(|spec| {
        spec.data[0].fence = None;
        spec.policy.unfenced = OnDoubt::Proceed;
    });
    let tried = ask(&consenting, breach(), Guard::WriterFenced);
    let [Command::Decide(decision)] = tried.commands.as_slice() else { panic!("{:?}", tried.commands) };
    assert_eq!((decision.needs_approval, decision.unfenced_consent.clone()), (false, Some(Consent::Policy)));
    assert!(tried.verdict.unwrap().reason.ends_with("the policy consents"));
    assert!(matches!(shop().data[0].fence, Some(Fence::SecurityGroup(_))));
}

#[test]
fn follows() {
    let mut bench = with(|spec| spec.follows = Some("cart".into()));
    blocks(&bench, breach(), Guard::Follows, "cart, which it follows, is not applied");
    bench.ok(person(), apply(vec![ServiceSpec { name: "cart".into(), ..shop() }]));
    blocks(&bench, breach(), Guard::Follows, "cart, which it follows, still serves from us-east-1");
    let set = Command::SetSwitch { group: "cart".into(), region: EU.into(), on: true, run: None };
    bench.ok(person(), set);
    assert_eq!(ask(&bench, breach(), Guard::Follows).verdict.unwrap().reason, "cart serves from eu-west-1 already");
}

#[test]
fn not_paused() {
    let mut bench = Bench::serving();
    bench.ok(person(), Command::Pause { service: Some("shop".into()) });
    blocks(&bench, breach(), Guard::NotPaused, "automatic action is paused for this service");
    bench.ok(person(), Command::Pause { service: None });
    blocks(&bench, breach(), Guard::NotPaused, "automatic action is paused for the whole fleet");
}

#[test]
fn cooldown() {
    let mut bench = with(|spec| spec.policy.cooldown_ms = 60_000);
    let run = bench.decide(bench.asked(Mode::Graceful));
    bench.abort(&run);
    bench.settle();
    bench.now = NOW.plus_ms(20_001);
    blocks(&bench, breach(), Guard::Cooldown, "the last run ended 20 s ago; 40 s more");
    bench.now = NOW.plus_ms(59_999);
    blocks(&bench, breach(), Guard::Cooldown, "the last run ended 59 s ago; 1 s more");
    bench.now = NOW.plus_ms(60_000);
    assert_eq!(ask(&bench, breach(), Guard::Cooldown).commands.len(), 1);
}

#[test]
fn policy() {
    let approval = with(|spec| spec.policy.failover = Automation::Approval);
    asks(&approval, breach(), Guard::Policy, "the manifest says that a person approves");
    let manual = with(|spec| spec.policy.failover = Automation::Manual);
    blocks(&manual, breach(), Guard::Policy, "the manifest says that only a person starts it");
}

#[test]
fn drill_licence() {
    let bench = with(|spec| spec.policy.require_drill_within_ms = Some(90 * 86_400_000));
    asks(&bench, breach(), Guard::DrillLicence, "no drill from us-east-1 to eu-west-1 was passed yet");
}

#[test]
fn no_freeze_holds_graceful_moves_and_never_a_proven_breach() {
    let always = Freeze { cron: "* * * * *".into(), duration_ms: 3_600_000, timezone: "UTC".into() };
    let bench = with(|spec| spec.policy.freeze = vec![always]);
    let refused = bench.propose(healthy(), &by_person(Mode::Graceful)).unwrap_err();
    assert_eq!(refused.code, "GUARD_REFUSED");
    assert!(refused.reason.starts_with("guard no-freeze says no: a freeze holds until 1970-01-01T01:1"), "{refused}");
    assert_eq!(ask(&bench, breach(), Guard::Quorum).commands.len(), 1);
}

#[test]
fn a_person_is_informed_where_a_daemon_is_blocked() {
    let mut bench = with(|spec| (spec.policy.cooldown_ms, spec.objectives.rpo_ms) = (60_000, 1));
    bench.ok(person(), Command::Pause { service: None });
    let reports = edited(|report| report.route53.clear());
    let decision = bench.propose(reports, &by_person(Mode::Forced)).unwrap();
    let noes: Vec<Guard> = decision.guards.iter().filter(|verdict| !verdict.ok).map(|verdict| verdict.guard).collect();
    assert_eq!(noes, [Guard::Route53Agrees, Guard::RpoBudget, Guard::NotPaused]);
    let run = bench.decide(decision);
    assert_eq!(bench.run(&run).state, RunState::Running);
}

#[test]
fn a_graceful_move_needs_a_standby_that_is_ready() {
    let bench = Bench::serving();
    let mut reports = healthy();
    for report in &mut reports {
        report.stores[0].readiness = ReplicaReadiness::NotReady("no instances".into());
    }
    let refused = bench.propose(reports.clone(), &by_person(Mode::Graceful)).unwrap_err();
    assert_eq!(refused.reason, "guard standby-ready says no: orders-db in eu-west-1 is not ready: no instances");
    assert!(bench.propose(reports, &by_person(Mode::Forced)).is_ok());
}

#[test]
fn a_run_that_was_stopped_half_way_is_for_a_person_to_go_on_with() {
    let (mut bench, run) = Bench::running();
    bench.step(&run, "fence/orders-db", done());
    bench.step(&run, "promote/orders-db", done());
    bench.abort(&run);
    bench.settle();
    let tried = ask(&bench, breach(), Guard::NotPaused);
    assert_eq!(tried.commands, vec![]);
    let reason = "a run was stopped half-way: a person says first where the service shall be";
    assert_eq!(tried.verdict.unwrap().reason, reason);
}

#[test]
fn route_53_is_asked_where_a_person_moves_by_force_and_not_where_all_are_well() {
    let bench = Bench::serving();
    let asked = |mode| {
        let seen = outlook(bench.now, &bench.state, &bench.matrix(healthy()), &view(), &by_person(mode)).unwrap();
        seen.guards.iter().any(|verdict| verdict.guard == Guard::Route53Agrees)
    };
    assert_eq!((asked(Mode::Forced), asked(Mode::Graceful)), (true, false));
}
