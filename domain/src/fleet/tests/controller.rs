//! What the leader proposes: only on proof, and no longer than the proof holds.

use super::fixture::*;
use crate::fleet::*;
use crate::health::{ReplicaReadiness, Report, Status};
use crate::ids::{LogIndex, RunId, ServiceName};
use crate::plan::Mode;
use crate::service::{Automation, ServiceSpec};

fn proposals(bench: &Bench, reports: Vec<Report>) -> Vec<Command> {
    tick(bench.now, &bench.state, &bench.matrix(reports), &view())
}

fn announced() -> (Bench, RunId) {
    let mut spec = shop();
    spec.policy.announce_ms = 20_000;
    let mut bench = Bench::serving_spec(spec);
    let run = bench.decide(bench.automatic());
    (bench, run)
}

#[track_caller]
fn aborts(proposals: &[Command], run: &RunId, because: &str) {
    let [Command::Abort { run: named, reason }] = proposals else { panic!("{proposals:?}") };
    assert_eq!(named, run);
    assert!(reason.starts_with(because), "{reason}");
}

fn cut_off(mut report: Report) -> Report {
    report.reaches.clear();
    report.references.values_mut().for_each(|answers| *answers = false);
    report
}

#[test]
fn a_proven_breach_opens_one_run_and_no_second() {
    let mut bench = Bench::serving();
    let proposed = proposals(&bench, breach());
    let [Command::Decide(decision)] = proposed.as_slice() else { panic!("{proposed:?}") };
    assert_eq!((decision.plan.mode, decision.plan.to.as_str()), (Mode::Forced, EU));
    assert_eq!(decision.breach_at, Some(NOW.minus_ms(13_000)));
    bench.ok(daemon(), proposed[0].clone());
    assert_eq!(proposals(&bench, breach()), vec![]);
}

#[test]
fn nothing_is_proposed_while_nothing_is_wrong_or_nothing_is_known() {
    let bench = Bench::serving();
    assert_eq!(proposals(&bench, healthy()), vec![]);
    assert_eq!(proposals(&bench, vec![]), vec![]);
    let unknown = FLEET.map(|observer| report(observer, Status::Unknown)).to_vec();
    assert_eq!(proposals(&bench, unknown), vec![], "unknown never counts as bad");
    let one = vec![report(EU, Status::Bad), report(WITNESS, Status::Unknown)];
    assert_eq!(proposals(&bench, one), vec![]);
}

#[test]
fn a_leader_that_is_cut_off_holds_still() {
    let bench = Bench::serving();
    let reports = vec![cut_off(report(EU, Status::Bad)), report(WITNESS, Status::Bad), report(US, Status::Bad)];
    assert_eq!(proposals(&bench, reports), vec![]);
    let another = vec![report(EU, Status::Bad), cut_off(report(WITNESS, Status::Bad))];
    assert_eq!(proposals(&bench, another), vec![], "an observer that is cut off has no vote");
}

#[test]
fn two_that_lost_sight_of_a_healthy_third_do_not_promote() {
    let bench = Bench::serving();
    let mut reports = breach();
    reports.iter_mut().for_each(|report| report.route53[0].status = Status::Good);
    assert_eq!(proposals(&bench, reports), vec![]);
}

#[test]
fn a_breach_of_the_standby_moves_nothing() {
    let bench = Bench::serving();
    let mut reports = healthy();
    for signal in reports.iter_mut().flat_map(|report| &mut report.signals) {
        if signal.region.as_str() == EU {
            (signal.status, signal.breached) = (Status::Bad, true);
        }
    }
    assert_eq!(proposals(&bench, reports), vec![]);
}

#[test]
fn stale_reports_prove_nothing() {
    let mut bench = Bench::serving();
    let matrix = bench.matrix(breach());
    bench.now = NOW.plus_ms(4_001);
    assert_eq!(tick(bench.now, &bench.state, &matrix, &view()), vec![]);
}

#[test]
fn an_announced_run_starts_in_time() {
    let (mut bench, run) = announced();
    assert_eq!(proposals(&bench, breach()), vec![]);
    bench.now = NOW.plus_ms(20_000);
    let proposed = proposals(&bench, breach());
    assert_eq!(proposed, vec![Command::Start { run }]);
    bench.ok(daemon(), proposed[0].clone());
    bench.now = NOW.plus_ms(90_000);
    assert_eq!(proposals(&bench, healthy()), vec![], "once it runs, its steps ask again");
}

#[test]
fn an_announced_run_is_taken_back_when_the_service_comes_back() {
    let (mut bench, run) = announced();
    let proposed = proposals(&bench, healthy());
    aborts(&proposed, &run, "guard breach-proven says no by now: us-east-1 is healthy");
    bench.ok(daemon(), proposed[0].clone());
    assert_eq!(bench.phase(), ServicePhase::Steady);
    // A breach that flickered does not wait for a cooldown.
    assert_eq!(proposals(&bench, breach()).len(), 1);
}

#[test]
fn an_announced_run_of_a_leader_whose_clock_was_ahead_is_taken_back_and_decided_anew() {
    let (mut bench, run) = announced();
    bench.now = NOW.minus_ms(60_000);
    assert_eq!(proposals(&bench, breach()), vec![], "clocks that are right may differ a little");
    bench.now = NOW.minus_ms(600_000);
    let proposed = proposals(&bench, breach());
    aborts(&proposed, &run, &format!("it was decided at {NOW} by a clock that is wrong"));
    bench.ok(daemon(), proposed[0].clone());
    let proposed = proposals(&bench, breach());
    let [Command::Decide(decision)] = proposed.as_slice() else { panic!("{proposed:?}") };
    assert_eq!(decision.announce_until, Some(bench.now.plus_ms(20_000)));
}

#[test]
fn an_announced_run_is_taken_back_when_it_is_paused_or_too_old() {
    let (mut bench, run) = announced();
    bench.now = bench.run(&run).valid_until;
    assert_eq!(proposals(&bench, breach()), vec![Command::Start { run: run.clone() }]);
    bench.now = bench.run(&run).valid_until.plus_ms(1);
    aborts(&proposals(&bench, breach()), &run, "its evidence is too old to start on");
    bench.now = NOW;
    bench.ok(person(), Command::Pause { service: None });
    aborts(&proposals(&bench, breach()), &run, "guard not-paused says no by now");
}

#[test]
fn a_question_is_taken_back_when_nobody_answers_or_the_service_comes_back() {
    let mut spec = shop();
    spec.policy.failover = Automation::Approval;
    let mut bench = Bench::serving_spec(spec);
    let run = bench.decide(bench.automatic());
    assert_eq!(proposals(&bench, breach()), vec![]);
    assert_eq!(proposals(&bench, vec![]), vec![], "what cannot be told is what a person is asked about");
    aborts(&proposals(&bench, healthy()), &run, "us-east-1 is healthy again");
    let mut asked_for = bench.clone();
    asked_for.state.runs.get_mut(&run).unwrap().trigger = Trigger::Operator;
    assert_eq!(proposals(&asked_for, healthy()), vec![], "what a person wants needs no breach");
    bench.now = NOW.plus_ms(30 * 60_000);
    assert_eq!(proposals(&bench, breach()), vec![]);
    bench.now = NOW.plus_ms(30 * 60_000 + 1);
    aborts(&proposals(&bench, breach()), &run, "nobody approved in time");
}

#[test]
fn before_what_cannot_be_undone_the_guards_are_asked_again() {
    let (bench, run) = Bench::running();
    let plan = bench.run(&run).plan.clone();
    let asks = |reports| still_holds(bench.now, &bench.state, &bench.matrix(reports), &view(), &"shop".into(), &plan);
    assert_eq!(asks(breach()), Ok(()));
    assert_eq!(asks(healthy()).unwrap_err().guard, Guard::BreachProven);
    assert_eq!(asks(vec![]).unwrap_err().guard, Guard::Quorum);
    let mut doubted = breach();
    doubted.iter_mut().for_each(|report| report.route53[0].status = Status::Good);
    assert_eq!(asks(doubted).unwrap_err().guard, Guard::Route53Agrees);
    let mut paused = bench.clone();
    paused.ok(person(), Command::Pause { service: None });
    let asked = still_holds(NOW, &paused.state, &paused.matrix(breach()), &view(), &"shop".into(), &plan);
    assert_eq!(asked.unwrap_err().guard, Guard::NotPaused);
}

#[test]
fn every_service_is_looked_at() {
    let mut bench = Bench::serving();
    bench.ok(person(), apply(vec![ServiceSpec { name: "cart".into(), ..shop() }]));
    bench.ok(
        daemon(),
        Command::Settled {
            service: "cart".into(),
            epoch: crate::ids::Epoch(1),
            spec_index: bench.state.applied,
            seen: LogIndex(0),
        },
    );
    let mut reports = breach();
    for report in &mut reports {
        let cart = report.signals.clone().into_iter().map(|mut signal| {
            signal.service = "cart".into();
            signal
        });
        report.signals.extend(cart.collect::<Vec<_>>());
        let stores = report.stores.clone().into_iter().map(|mut store| {
            store.service = "cart".into();
            store
        });
        report.stores.extend(stores.collect::<Vec<_>>());
        let mut word = report.route53[0].clone();
        word.service = "cart".into();
        report.route53.push(word);
    }
    assert_eq!(proposals(&bench, reports).len(), 2);
}

#[test]
fn a_forecast_says_what_would_happen_to_each_service() {
    let forecast = |bench: &Bench, reports, region: &str| {
        let matrix = bench.matrix(reports);
        let mut all = what_if_region_vanishes(bench.now, &bench.state, &matrix, &view(), &region.into());
        let one = all.remove(0);
        (one.outcome.word(), one.reason)
    };
    let said = |outcome, reason: &str| (outcome, reason.to_owned());
    let bench = Bench::serving();
    assert_eq!(forecast(&bench, healthy(), US), said("fails-over", "every guard would say yes"));
    assert_eq!(forecast(&bench, healthy(), EU), said("unaffected", "serves from us-east-1"));
    let matrix = bench.matrix(healthy());
    let in_full = what_if_region_vanishes(bench.now, &bench.state, &matrix, &view(), &US.into()).remove(0);
    assert_eq!(in_full.loss, bench.automatic().loss);
    assert_eq!(in_full.plan.unwrap().to.as_str(), EU);
    let alone = vec![report(US, Status::Good), report(EU, Status::Good)];
    assert_eq!(forecast(&bench, alone, US), said("stays-down", "only 1 daemons would be left; 2 are needed"));
    let mut paused = bench.clone();
    paused.ok(person(), Command::Pause { service: None });
    let reason = "not-paused: automatic action is paused for the whole fleet";
    assert_eq!(forecast(&paused, healthy(), US), said("needs-person", reason));
    let mut unready = healthy();
    for report in &mut unready {
        for store in &mut report.stores {
            store.readiness = ReplicaReadiness::NotReady("headless".to_owned());
        }
    }
    let (outcome, reason) = forecast(&paused, unready, US);
    assert!(outcome == "stays-down" && reason.starts_with("standby-ready: "), "{reason}");
    let mut asking = shop();
    asking.policy.failover = Automation::Approval;
    let asking = Bench::serving_spec(asking);
    assert_eq!(
        forecast(&asking, healthy(), US),
        said("asks-for-approval", "policy: the manifest says that a person approves")
    );
}

#[test]
fn one_who_follows_is_forecast_with_the_one_it_follows() {
    let mut bench = Bench::serving();
    let cart = ServiceSpec { name: "cart".into(), follows: Some("shop".into()), ..shop() };
    bench.ok(person(), apply(vec![cart]));
    let held = &bench.state.services["cart"];
    let (service, epoch, spec_index) = (held.spec.name.clone(), held.epoch, held.spec_index);
    bench.ok(daemon(), Command::Settled { service, epoch, spec_index, seen: LogIndex(0) });
    let forecast = |bench: &Bench| {
        let matrix = bench.matrix(about(&["cart".to_owned()], healthy()));
        let all = what_if_region_vanishes(bench.now, &bench.state, &matrix, &view(), &US.into());
        all.into_iter().map(|one| (one.service.to_string(), one.outcome.word(), one.reason)).collect::<Vec<_>>()
    };
    let words = |bench: &Bench| forecast(bench).into_iter().map(|(name, word, _)| (name, word)).collect::<Vec<_>>();
    let both = |word| [("cart".to_owned(), word), ("shop".to_owned(), word)];
    assert_eq!(words(&bench), both("fails-over"), "{:?}", forecast(&bench));
    assert_eq!(forecast(&bench)[0].2, "every guard would say yes");
    let mut held = bench.clone();
    held.ok(person(), Command::Pause { service: Some("cart".into()) });
    assert_eq!(words(&held), [("cart".to_owned(), "needs-person"), ("shop".to_owned(), "fails-over")]);
    assert!(forecast(&held)[0].2.starts_with("not-paused: "), "its own reason: {:?}", forecast(&held));
    bench.ok(person(), Command::Pause { service: Some("shop".into()) });
    assert_eq!(words(&bench), both("needs-person"));
    assert!(
        forecast(&bench)[0].2.starts_with("shop, which it follows, needs-person: not-paused"),
        "{:?}",
        forecast(&bench)
    );
}

/// The same reports about every one of these services.
fn about(names: &[String], reports: Vec<Report>) -> Vec<Report> {
    let many = |mut report: Report| {
        let (signals, stores, route53) = (report.signals.clone(), report.stores.clone(), report.route53.clone());
        for name in names {
            let name = ServiceName::from(name.as_str());
            report.signals.extend(signals.iter().cloned().map(|mut held| {
                held.service = name.clone();
                held
            }));
            report.stores.extend(stores.iter().cloned().map(|mut held| {
                held.service = name.clone();
                held
            }));
            report.route53.extend(route53.iter().cloned().map(|mut held| {
                held.service = name.clone();
                held
            }));
        }
        report
    };
    reports.into_iter().map(many).collect()
}

#[test]
fn a_mass_failover_is_decided_in_portions_each_on_fresh_evidence() {
    let names: Vec<String> = (0..49).map(|at| format!("shop-{at}")).collect();
    let mut bench = Bench::serving();
    bench.ok(person(), apply(names.iter().map(|name| ServiceSpec { name: name.as_str().into(), ..shop() }).collect()));
    let states: Vec<_> =
        bench.state.services.values().map(|held| (held.spec.name.clone(), held.epoch, held.spec_index)).collect();
    for (service, epoch, spec_index) in states {
        bench.ok(daemon(), Command::Settled { service, epoch, spec_index, seen: LogIndex(0) });
    }
    let mut portions = Vec::new();
    loop {
        let proposed = proposals(&bench, about(&names, breach()));
        let decided: Vec<Command> =
            proposed.into_iter().filter(|command| matches!(command, Command::Decide(_))).collect();
        if decided.is_empty() {
            break;
        }
        portions.push(decided.len());
        decided.into_iter().for_each(|decision| drop(bench.ok(daemon(), decision)));
    }
    assert_eq!(portions, [32, 18], "all fifty, none twice");
}

#[test]
fn a_region_is_survivable_by_the_share_of_services_that_need_nobody() {
    use ForecastOutcome::{AsksForApproval, FailsOver, StaysDown, Unaffected};
    let forecast = |outcome: &ForecastOutcome| Forecast {
        service: "shop".into(),
        outcome: *outcome,
        reason: String::new(),
        loss: Vec::new(),
        plan: None,
    };
    let share =
        |outcomes: &[ForecastOutcome]| Forecast::survivable(&outcomes.iter().map(forecast).collect::<Vec<Forecast>>());
    assert!((share(&[FailsOver, Unaffected]) - 1.0).abs() < f64::EPSILON);
    assert!((share(&[FailsOver, AsksForApproval, StaysDown, Unaffected]) - 1.0 / 3.0).abs() < 1e-9);
    assert!((share(&[Unaffected]) - 1.0).abs() < f64::EPSILON);
}
