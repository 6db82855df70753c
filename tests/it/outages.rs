//! Named outages on virtual time, each with its exact expectation.

use std::time::Duration;

use failoverd::sim::fleet::{EU_WEST, Fault, SERVICE, Shop, SimulatedFleet, US_EAST, US_WEST, region};
use failoverd::sim::world::{Service, StoreId};
use failoverd_domain::fleet::{
    Actor, Command, EventKind, Guard, Run, RunState, ServicePhase, StepState, Trigger, parts,
};
use failoverd_domain::plan::Mode;
use failoverd_domain::sabotage::{Sabotage, commit};

use crate::simulation::virtually;

/// Of a move that a breach began, data first.
const PARTS: [&str; 5] = ["detect", "decide", "data", "commit", "answer"];

pub const fn seconds(s: u64) -> Duration {
    Duration::from_secs(s)
}

pub async fn steady(seed: u64, shop: Shop) -> SimulatedFleet {
    let mut fleet = SimulatedFleet::steady(seed, shop).await;
    // Canaries, metrics and checkers have something to say by then.
    fleet.run_for(seconds(30)).await;
    assert!(fleet.is_steady(), "{:#?}", fleet.judge.log());
    fleet
}

/// The newest run of the service.
pub fn newest_run(fleet: &SimulatedFleet) -> Option<Run> {
    fleet.state().runs.values().max_by_key(|run| run.decided_index).cloned()
}

pub fn run_is(fleet: &SimulatedFleet, state: RunState) -> bool {
    newest_run(fleet).is_some_and(|run| run.state == state)
}

fn promotions(fleet: &SimulatedFleet) -> usize {
    fleet.effects_of("FailoverGlobalCluster").len() + fleet.effects_of("SwitchoverGlobalCluster").len()
}

fn events(fleet: &SimulatedFleet, kind: EventKind) -> usize {
    fleet.judge.with_events(|events| events.iter().filter(|event| event.kind == kind).count())
}

#[track_caller]
pub fn holds(fleet: &SimulatedFleet, so: bool, what: &str) {
    if so && fleet.judge.violations().is_empty() {
        return;
    }
    let noes: Vec<String> = fleet
        .running()
        .iter()
        .flat_map(|at| fleet.guards_at(at).into_iter().map(move |verdict| (at.clone(), verdict)))
        .filter(|(_, verdict)| !verdict.ok)
        .map(|(at, verdict)| format!("{at}: {}: {}", verdict.guard.word(), verdict.reason))
        .collect();
    panic!("{what}\n{}\n{}\nunrest: {:?}", fleet.judge.log().join("\n"), noes.join("\n"), fleet.unrest());
}

/// Serves from `to`, answered, written and settled there.
fn lives_in(fleet: &SimulatedFleet, to: &str) -> bool {
    let to = Some(region(to));
    fleet.is_steady() && fleet.answer() == to && fleet.writer() == to && fleet.service().map(|s| s.primary) == to
}

/// The same scenario over both transports of the switch. `most_ms` is until the answer has moved.
fn the_primary_region_dies(seed: u64, switch: &'static str, most_ms: u64) {
    virtually(seed, async {
        let mut fleet = steady(seed, Shop { switch, ..Shop::default() }).await;
        let began = fleet.judge.elapsed_ms();
        fleet.break_region(&region(US_EAST)).await;
        let moved = fleet.until(seconds(60), |fleet| fleet.answer() == Some(region(EU_WEST))).await;
        let took_ms = fleet.judge.elapsed_ms() - began;
        holds(&fleet, moved && took_ms <= most_ms, &format!("the answer moves within {most_ms} ms, took {took_ms} ms"));
        let settled = fleet.until(seconds(60), |fleet| lives_in(fleet, EU_WEST)).await;
        holds(&fleet, settled, "it settles while us-east-1 is still dead");
        fleet.run_for(seconds(120)).await;
        let run = newest_run(&fleet).unwrap();
        assert_eq!((run.trigger, run.plan.mode, run.state), (Trigger::Automatic, Mode::Forced, RunState::Succeeded));
        holds(&fleet, promotions(&fleet) == 1 && lives_in(&fleet, EU_WEST), "one promotion, and nothing after it");
        assert!(run.rto_ms().is_some_and(|rto_ms| rto_ms <= most_ms), "{:?}", run.rto_ms());
        let spent = parts(&run, fleet.service().as_ref().map(|service| &*service.spec));
        assert_eq!(spent.iter().map(|part| part.name).collect::<Vec<_>>(), PARTS, "{spent:#?}");
        assert_eq!(Some(spent.iter().map(|part| part.ms).sum()), run.rto_ms(), "{spent:#?}");
        assert!(spent.iter().all(|part| part.ms >= part.floor_ms), "{spent:#?}");
        assert_eq!((spent[0].floor_ms, spent[1].floor_ms), (5_000, 2_000), "breach_after and announce");
        fleet.heal_region(&region(US_EAST)).await;
        let whole = fleet.until(seconds(120), |fleet| fleet.unrest().is_none()).await;
        holds(&fleet, whole, "both histories are whole when us-east-1 is back");
        fleet.audit();
        holds(&fleet, lives_in(&fleet, EU_WEST), "coming back moves nothing");
    });
}

#[test]
fn the_primary_region_dies_and_the_other_takes_over_by_itself() {
    the_primary_region_dies(1, "http", 30_000);
}

/// Route 53's API is away, so that records and checks still say what was before the move; both Regions are well again.
async fn moved_but_not_settled(seed: u64, shop: Shop) -> SimulatedFleet {
    let mut fleet = steady(seed, shop).await;
    let us = region(US_EAST);
    fleet.aws.break_route53_api();
    fleet.aws.set_endpoint(&us, &SERVICE.into(), false);
    let moved = fleet.until(seconds(90), |fleet| run_is(fleet, RunState::Succeeded)).await;
    holds(&fleet, moved && fleet.answer() == Some(region(EU_WEST)), "moved, not settled");
    fleet.aws.set_endpoint(&us, &SERVICE.into(), true);
    assert_eq!(fleet.phase(), Some(ServicePhase::Unsettled));
    fleet
}

/// Route 53 is simulated as reading an alarm's data when it comes: in AWS it takes a minute or two more.
#[test]
fn the_primary_region_dies_and_the_other_takes_over_through_cloudwatch() {
    the_primary_region_dies(1, "cloudwatch", 30_000);
    the_primary_region_dies(29, "cloudwatch", 30_000);
}

#[test]
fn through_cloudwatch_the_last_words_stay_when_every_daemon_is_gone() {
    virtually(31, async {
        let mut fleet = moved_but_not_settled(31, Shop { switch: "cloudwatch", ..Shop::default() }).await;
        let eu = region(EU_WEST);
        let all = fleet.running();
        for one in &all {
            fleet.crash(one).await;
        }
        // Longer than an alarm looks back for data.
        fleet.run_for(seconds(600)).await;
        holds(&fleet, fleet.answer().as_ref() == Some(&eu), "even unsettled: the last word of each stays");
        for one in &all {
            fleet.start(one).await;
            fleet.run_for(seconds(30)).await;
            holds(&fleet, fleet.answer().as_ref() == Some(&eu), "restarted at will");
        }
        fleet.aws.heal_route53_api();
        let settled = fleet.until(seconds(90), |fleet| lives_in(fleet, EU_WEST)).await;
        holds(&fleet, settled, "settled");
        // And off is not for ever: the other way, the bit turns on.
        fleet.aws.set_endpoint(&eu, &SERVICE.into(), false);
        let back = fleet.until(seconds(120), |fleet| lives_in(fleet, US_EAST)).await;
        holds(&fleet, back, "back again");
    });
}

#[test]
fn two_daemons_that_merely_lost_sight_promote_nothing() {
    virtually(2, async {
        let mut fleet = steady(2, Shop::default()).await;
        let (us, eu) = (region(US_EAST), region(EU_WEST));
        fleet.inflict(&Fault::LooksDead(us.clone())).await;
        fleet.run_for(seconds(90)).await;
        holds(&fleet, newest_run(&fleet).is_none() && promotions(&fleet) == 0, "nothing happens");
        assert_eq!(fleet.answer(), Some(us));
        let guards = fleet.guards_at(&eu);
        let says = |guard| guards.iter().find(|verdict| verdict.guard == guard).map(|verdict| verdict.ok);
        assert_eq!(says(Guard::BreachProven), Some(true), "{guards:#?}");
        assert_eq!(says(Guard::Route53Agrees), Some(false), "{guards:#?}");
    });
}

#[test]
fn who_is_cut_off_says_so_and_proposes_nothing() {
    virtually(3, async {
        let mut fleet = steady(3, Shop::default()).await;
        let west = region(US_WEST);
        fleet.make_leader(&west).await;
        fleet.isolate(&west);
        fleet.run_for(seconds(15)).await;
        let said = fleet.judge.with_events(<[_]>::len);
        fleet.run_for(seconds(45)).await;
        let (now, matrix, view) = fleet.sight_at(&west).unwrap();
        holds(&fleet, matrix.isolated(now, &view, &west), "its own view says isolated");
        fleet.judge.with_events(|events| {
            assert!(events[said..].iter().all(|event| event.actor != format!("daemon:{west}")));
        });
        holds(&fleet, newest_run(&fleet).is_none() && fleet.is_steady(), "and the others have nothing to do");
        fleet.isolate(&region(EU_WEST));
        fleet.aws.set_endpoint(&region(US_EAST), &SERVICE.into(), false);
        fleet.run_for(seconds(90)).await;
        holds(&fleet, newest_run(&fleet).is_none() && promotions(&fleet) == 0, "one of three acts on nothing");
    });
}

/// A breach of the service alone; the leader dies at the moment that `when` names.
async fn leader_dies(seed: u64, lose_answer: bool, when: impl Fn(&SimulatedFleet) -> bool) -> SimulatedFleet {
    let mut fleet = steady(seed, Shop { announce_s: 0, ..Shop::default() }).await;
    if lose_answer {
        fleet.aws.lose_next_answers(&region(EU_WEST), Service::Rds, 1);
    }
    fleet.aws.set_endpoint(&region(US_EAST), &SERVICE.into(), false);
    let came = fleet.until_exactly(seconds(60), when).await;
    holds(&fleet, came, "the moment comes");
    let leader = fleet.leader().unwrap();
    fleet.crash(&leader).await;
    let moved = fleet.until(seconds(90), |fleet| fleet.answer() == Some(region(EU_WEST))).await;
    holds(&fleet, moved, "the next leader finishes");
    fleet.start(&leader).await;
    let settled = fleet.until(seconds(90), |fleet| lives_in(fleet, EU_WEST)).await;
    holds(&fleet, settled && run_is(&fleet, RunState::Succeeded), "and settles");
    holds(&fleet, promotions(&fleet) == 1, "exactly one promotion");
    fleet
}

fn promote_is_acting(fleet: &SimulatedFleet) -> bool {
    newest_run(fleet).is_some_and(|run| run.progress(&"promote/orders-db".into()).state == StepState::Acting)
}

#[test]
fn the_leader_dies_between_the_intent_and_the_call() {
    virtually(4, async {
        let fleet = leader_dies(4, false, |fleet| promote_is_acting(fleet) && promotions(fleet) == 0).await;
        let run = newest_run(&fleet).unwrap();
        assert_eq!(run.progress(&"promote/orders-db".into()).attempts, 2, "looked, not done, done again");
    });
}

#[test]
fn the_leader_dies_between_the_call_and_its_answer() {
    virtually(5, async {
        let fleet = leader_dies(5, true, |fleet| promotions(fleet) == 1).await;
        let run = newest_run(&fleet).unwrap();
        assert_eq!(run.progress(&"promote/orders-db".into()).attempts, 1, "found under way, not asked for again");
    });
}

#[test]
fn an_answer_is_lost_and_the_leader_looks_before_acting_again() {
    virtually(6, async {
        let mut fleet = steady(6, Shop::default()).await;
        fleet.aws.lose_next_answers(&region(EU_WEST), Service::Rds, 3);
        fleet.break_region(&region(US_EAST)).await;
        let settled = fleet.until(seconds(120), |fleet| lives_in(fleet, EU_WEST)).await;
        holds(&fleet, settled && promotions(&fleet) == 1, "one promotion");
    });
}

#[test]
fn a_run_that_nobody_can_look_after_ends_when_a_person_says_so_and_the_old_writer_stays_fenced() {
    virtually(18, async {
        let mut fleet = steady(18, Shop { announce_s: 0, ..Shop::default() }).await;
        fleet.aws.lose_next_answers(&region(EU_WEST), Service::Rds, 1);
        fleet.aws.set_endpoint(&region(US_EAST), &SERVICE.into(), false);
        let came = fleet.until_exactly(seconds(60), |fleet| promotions(fleet) == 1).await;
        holds(&fleet, came, "it promotes");
        let leader = fleet.leader().unwrap();
        fleet.crash(&leader).await;
        fleet.aws.break_service(&region(EU_WEST), Service::Rds);
        let elected = fleet.until(seconds(30), |fleet| fleet.leader().is_some()).await;
        holds(&fleet, elected && promote_is_acting(&fleet), "the next leader finds the step open and cannot look");
        fleet.run_for(seconds(10)).await;
        holds(&fleet, promote_is_acting(&fleet), "it goes on looking");
        let run = newest_run(&fleet).unwrap().id;
        fleet.ask(Command::Abort { run, reason: "enough".into() }).await.unwrap();
        let ended = fleet.until(seconds(60), |fleet| run_is(fleet, RunState::Aborted)).await;
        holds(&fleet, ended, "it ends");
        let attention = fleet.service().and_then(|service| service.attention).unwrap_or_default();
        assert!(attention.contains("point of no return"), "{attention}");

        fleet.aws.heal_service(&region(EU_WEST), Service::Rds);
        fleet.start(&leader).await;
        fleet.run_for(seconds(90)).await;
        let old = fleet.aws.with(|world| world.is_fenced(&region(US_EAST), "checkout-global"));
        assert_eq!(old.ok(), Some(true), "the other Region writes by now: two would");
        let by_hand = Command::SetSwitch { group: SERVICE.into(), region: region(EU_WEST), on: true, run: None };
        fleet.ask(by_hand).await.unwrap();
        let settled = fleet.until(seconds(90), |fleet| lives_in(fleet, EU_WEST)).await;
        holds(&fleet, settled && promotions(&fleet) == 1, "a person says where it serves, and it settles");
    });
}

#[test]
fn what_a_leader_without_the_others_was_asked_is_not_done_when_they_come_back() {
    virtually(19, async {
        let mut fleet = steady(19, Shop::default()).await;
        let leader = fleet.leader().unwrap();
        let others: Vec<_> = fleet.running().into_iter().filter(|at| *at != leader).collect();
        for other in &others {
            fleet.crash(other).await;
        }
        fleet.run_for(seconds(10)).await;
        assert!(fleet.failover(&region(EU_WEST), Some(Mode::Forced)).await.is_err(), "nobody agrees to it");
        fleet.run_for(seconds(120)).await;
        for other in &others {
            fleet.start(other).await;
        }
        fleet.run_for(seconds(90)).await;
        holds(&fleet, newest_run(&fleet).is_none() && promotions(&fleet) == 0, "nothing is done two minutes late");
        holds(&fleet, lives_in(&fleet, US_EAST), "it serves where it did");
    });
}

/// A breach is proven, and in that moment the leader loses its majority. Gives the runs decided by the time that all are well
/// again.
fn decided_alone() -> u64 {
    virtually(14, async {
        let (us, eu, west) = (region(US_EAST), region(EU_WEST), region(US_WEST));
        let mut fleet = steady(14, Shop { announce_s: 30, ..Shop::default() }).await;
        let led = fleet.make_leader(&west).await;
        holds(&fleet, led, "the witness leads");
        fleet.break_region(&us).await;
        let all_say_yes = |fleet: &SimulatedFleet| {
            let guards = fleet.guards_at(&region(US_WEST));
            !guards.is_empty() && guards.iter().all(|verdict| verdict.ok)
        };
        let proven = fleet.until_exactly(seconds(30), all_say_yes).await;
        assert!(proven && newest_run(&fleet).is_none());
        fleet.crash(&eu).await;
        fleet.run_for(seconds(20)).await;
        fleet.heal_region(&us).await;
        fleet.run_for(seconds(20)).await;
        fleet.start(&eu).await;
        fleet.run_for(seconds(60)).await;
        fleet.service().map_or(0, |service| service.runs)
    })
}

#[test]
fn what_a_leader_without_the_others_has_seen_is_not_decided_when_they_come_back() {
    assert_eq!(decided_alone(), 0);
    let _broken = commit(Sabotage::ResumeStale);
    assert_eq!(decided_alone(), 1, "a leader that does not ask them first decides on what is long over");
}

#[test]
fn the_leader_sits_in_the_region_that_dies() {
    virtually(7, async {
        let mut fleet = steady(7, Shop::default()).await;
        let led = fleet.make_leader(&region(US_EAST)).await;
        holds(&fleet, led, "us-east-1 leads");
        fleet.break_region(&region(US_EAST)).await;
        let settled = fleet.until(seconds(90), |fleet| lives_in(fleet, EU_WEST)).await;
        holds(&fleet, settled && promotions(&fleet) == 1, "the others elect and act");
    });
}

#[test]
fn a_leader_whose_region_is_suspect_steps_aside_before_it_acts() {
    virtually(8, async {
        let mut fleet = steady(8, Shop::default()).await;
        let led = fleet.make_leader(&region(US_EAST)).await;
        holds(&fleet, led, "us-east-1 leads");
        fleet.aws.set_endpoint(&region(US_EAST), &SERVICE.into(), false);
        let settled = fleet.until(seconds(90), |fleet| lives_in(fleet, EU_WEST)).await;
        holds(&fleet, settled && fleet.leader() != Some(region(US_EAST)), "another leads and moves the service");
        let by = newest_run(&fleet).unwrap().actor;
        assert_ne!(by, Actor::Daemon(region(US_EAST)));
    });
}

#[test]
fn the_history_is_away_and_failover_does_not_wait() {
    virtually(9, async {
        let mut fleet = steady(9, Shop::default()).await;
        fleet.set_history_away(&region(EU_WEST), true);
        fleet.break_region(&region(US_EAST)).await;
        let settled = fleet.until(seconds(90), |fleet| lives_in(fleet, EU_WEST)).await;
        holds(&fleet, settled, "it moves without any database");
        let stored = fleet.history(&region(EU_WEST)).unwrap().events().len();
        assert!((stored as u64) < fleet.state().head.seq);
        fleet.set_history_away(&region(EU_WEST), false);
        fleet.heal_region(&region(US_EAST)).await;
        let whole = fleet.until(seconds(60), |fleet| fleet.unrest().is_none()).await;
        fleet.audit();
        holds(&fleet, whole, "and every event is there afterwards, once");
    });
}

#[test]
fn a_member_that_missed_entries_fetches_their_events_from_a_peer() {
    virtually(10, async {
        let mut fleet = steady(10, Shop::default()).await;
        let eu = region(EU_WEST);
        fleet.crash(&eu).await;
        let missed = 150;
        let mut said = 0;
        while said < missed {
            let command = Command::Pause { service: Some(SERVICE.into()) };
            said += u64::from(fleet.ask(command).await.is_ok());
            fleet.step().await;
        }
        let before = fleet.judge.entries_at(&eu);
        fleet.start(&eu).await;
        let whole = fleet.until(seconds(60), |fleet| fleet.unrest().is_none()).await;
        fleet.audit();
        holds(&fleet, whole, "its history is whole");
        let replayed = fleet.judge.entries_at(&eu) - before;
        assert!(replayed < missed, "a snapshot was installed: {replayed} entries were applied one by one");
    });
}

#[test]
fn a_service_that_comes_back_while_announced_is_left_where_it_is() {
    virtually(11, async {
        let mut fleet = steady(11, Shop { announce_s: 10, ..Shop::default() }).await;
        fleet.aws.set_endpoint(&region(US_EAST), &SERVICE.into(), false);
        let announced = fleet.until(seconds(30), |fleet| run_is(fleet, RunState::Announced)).await;
        holds(&fleet, announced, "announced");
        fleet.aws.set_endpoint(&region(US_EAST), &SERVICE.into(), true);
        let aborted = fleet.until(seconds(20), |fleet| run_is(fleet, RunState::Aborted)).await;
        fleet.run_for(seconds(60)).await;
        holds(&fleet, aborted && promotions(&fleet) == 0 && lives_in(&fleet, US_EAST), "aborted, nothing promoted");
        assert_eq!(fleet.service().unwrap().epoch.0, 1, "it never began");
    });
}

#[test]
fn a_service_that_comes_back_before_the_point_of_no_return_is_put_back() {
    virtually(12, async {
        let mut fleet = steady(12, Shop { announce_s: 0, ..Shop::default() }).await;
        // The fence has time to be tried, and fails: nothing is promoted meanwhile.
        fleet.aws.throttle(&region(US_EAST), Service::Rds, true);
        fleet.aws.set_endpoint(&region(US_EAST), &SERVICE.into(), false);
        let running = fleet.until(seconds(30), |fleet| run_is(fleet, RunState::Running)).await;
        holds(&fleet, running, "running");
        fleet.aws.set_endpoint(&region(US_EAST), &SERVICE.into(), true);
        let aborted = fleet.until(seconds(20), |fleet| run_is(fleet, RunState::Aborted)).await;
        holds(&fleet, aborted && promotions(&fleet) == 0, "aborted, nothing promoted");
        fleet.aws.throttle(&region(US_EAST), Service::Rds, false);
        let back = fleet.until(seconds(90), |fleet| lives_in(fleet, US_EAST)).await;
        holds(&fleet, back && fleet.service().unwrap().epoch.0 == 3, "settled again, under an epoch of its own");
    });
}

#[test]
fn all_daemons_gone_means_what_the_table_says() {
    virtually(13, async {
        let mut fleet = moved_but_not_settled(13, Shop::default()).await;
        let (us, eu) = (region(US_EAST), region(EU_WEST));
        let all = fleet.running();
        // One of three may go at any time.
        for one in &all {
            fleet.crash(one).await;
            fleet.run_for(seconds(15)).await;
            holds(&fleet, fleet.answer().as_ref() == Some(&eu), "two of three outvote silence");
            fleet.start(one).await;
            fleet.run_for(seconds(10)).await;
        }
        for one in &all {
            fleet.crash(one).await;
        }
        let returned = fleet.until(seconds(10), |fleet| fleet.answer().as_ref() == Some(&us)).await;
        holds(&fleet, returned, "unsettled: silence of all returns traffic to where it was");
        for one in &all {
            fleet.start(one).await;
        }
        let again = fleet.until(seconds(20), |fleet| fleet.answer().as_ref() == Some(&eu)).await;
        holds(&fleet, again, "and their voices bring it back");
        fleet.aws.heal_route53_api();
        let settled = fleet.until(seconds(60), |fleet| lives_in(fleet, EU_WEST)).await;
        holds(&fleet, settled, "settled");
        for _ in 0..2 {
            for one in &all {
                fleet.crash(one).await;
                fleet.run_for(seconds(6)).await;
                holds(&fleet, fleet.answer().as_ref() == Some(&eu), "settled: killed at will");
            }
            for one in &all {
                fleet.start(one).await;
                fleet.run_for(seconds(3)).await;
                holds(&fleet, fleet.answer().as_ref() == Some(&eu), "settled: restarted at will");
            }
        }
        for one in &all {
            fleet.crash(one).await;
        }
        fleet.run_for(seconds(60)).await;
        holds(&fleet, fleet.answer().as_ref() == Some(&eu), "settled: nobody is left");
    });
}

#[test]
fn traffic_moves_without_route_53s_api_and_settlement_waits() {
    virtually(14, async {
        let mut fleet = steady(14, Shop::default()).await;
        fleet.aws.break_route53_api();
        fleet.break_region(&region(US_EAST)).await;
        let moved = fleet.until(seconds(60), |fleet| run_is(fleet, RunState::Succeeded)).await;
        holds(&fleet, moved && fleet.answer() == Some(region(EU_WEST)), "the run ends without the API");
        fleet.run_for(seconds(120)).await;
        holds(&fleet, fleet.phase() == Some(ServicePhase::Unsettled), "unsettled is shown");
        fleet.aws.heal_route53_api();
        let settled = fleet.until(seconds(60), |fleet| lives_in(fleet, EU_WEST)).await;
        holds(&fleet, settled, "and settles as soon as the API answers");
    });
}

#[test]
fn a_graceful_move_loses_nothing_and_so_does_the_way_back() {
    virtually(15, async {
        let mut fleet = steady(15, Shop::default()).await;
        for to in [EU_WEST, US_EAST, EU_WEST] {
            fleet.failover(&region(to), Some(Mode::Graceful)).await.unwrap();
            let moved = fleet.until(seconds(120), |fleet| lives_in(fleet, to)).await;
            holds(&fleet, moved && run_is(&fleet, RunState::Succeeded), &format!("moves to {to}"));
            let run = newest_run(&fleet).unwrap();
            let database = run.loss.iter().find(|loss| loss.store.as_str() == "orders-db").unwrap();
            assert_eq!(database.measured, Some(0), "{}", database.sentence());
            fleet.run_for(seconds(30)).await;
        }
        assert!(fleet.aws.lost_writes("checkout-global").is_empty());
        assert_eq!(fleet.aws.split_brain_writes("checkout-global"), 0);
        assert_eq!((fleet.effects_of("SwitchoverGlobalCluster").len(), promotions(&fleet)), (3, 3));
    });
}

#[test]
fn a_loss_over_budget_waits_for_a_person() {
    virtually(16, async {
        let mut fleet = steady(16, Shop { rpo_s: 5, ..Shop::default() }).await;
        fleet.aws.set_lag(&StoreId::Aurora("checkout-global".into()), &region(EU_WEST), 20_000);
        fleet.run_for(seconds(30)).await;
        fleet.break_region(&region(US_EAST)).await;
        let asked = fleet.until(seconds(60), |fleet| run_is(fleet, RunState::AwaitingApproval)).await;
        holds(&fleet, asked, "a person is asked");
        fleet.run_for(seconds(60)).await;
        holds(&fleet, run_is(&fleet, RunState::AwaitingApproval) && promotions(&fleet) == 0, "and waited for");
        let run = newest_run(&fleet).unwrap();
        fleet.ask(Command::Approve { run: run.id }).await.unwrap();
        let settled = fleet.until(seconds(90), |fleet| lives_in(fleet, EU_WEST)).await;
        holds(&fleet, settled, "approved, it goes on");
        let run = newest_run(&fleet).unwrap();
        let database = run.loss.iter().find(|loss| loss.store.as_str() == "orders-db").unwrap();
        assert!(database.measured.is_some_and(|lost_ms| lost_ms > 5_000), "{}", database.sentence());
        assert_eq!(events(&fleet, EventKind::Approved), 1);
        assert_eq!(events(&fleet, EventKind::LostWrites), 0, "nobody can ask us-east-1 yet");
        fleet.heal_region(&region(US_EAST)).await;
        let kept = fleet.until(seconds(180), |fleet| events(fleet, EventKind::LostWrites) > 0).await;
        holds(&fleet, kept, "the snapshot of what was lost goes on record");
        fleet.run_for(seconds(180)).await;
        assert_eq!(events(&fleet, EventKind::LostWrites), 1, "once");
    });
}

/// A minute of throttling in the Region that should take over: before the decision nobody can say whether its copies are
/// ready, so it waits; after it, the promotion is tried until it may be made.
#[test]
fn a_minute_of_throttling_is_waited_out_and_the_move_is_made_once() {
    for before in [true, false] {
        virtually(17, async {
            let mut fleet = steady(17, Shop::default()).await;
            let throttle = |fleet: &SimulatedFleet, on| fleet.aws.throttle(&region(EU_WEST), Service::Rds, on);
            if before {
                throttle(&fleet, true);
            }
            fleet.break_region(&region(US_EAST)).await;
            if !before {
                let running = fleet.until(seconds(60), |fleet| run_is(fleet, RunState::Running)).await;
                holds(&fleet, running && promotions(&fleet) == 0, "the run begins");
                throttle(&fleet, true);
            }
            fleet.run_for(seconds(60)).await;
            let waits = if before { newest_run(&fleet).is_none() } else { run_is(&fleet, RunState::Running) };
            holds(&fleet, waits && promotions(&fleet) == 0, "throttled, it waits");
            throttle(&fleet, false);
            let moved = fleet.until(seconds(90), |fleet| lives_in(fleet, EU_WEST)).await;
            holds(&fleet, moved && promotions(&fleet) == 1, "then the move is made, once");
        });
    }
}

/// Metastable failures are made of retries. AWS throttles everything everywhere for four minutes, in the middle of a move:
/// the fleet asks no more often at the end than at the beginning, and is done soon after AWS is.
#[test]
fn a_storm_of_throttling_is_not_made_worse_and_ends_when_aws_ends_it() {
    for seed in [31, 32, 33] {
        virtually(seed, async {
            let mut fleet = steady(seed, Shop::default()).await;
            fleet.break_region(&region(US_EAST)).await;
            let running = fleet.until(seconds(60), |fleet| run_is(fleet, RunState::Running)).await;
            holds(&fleet, running, "the run begins");
            let storm = |fleet: &SimulatedFleet, on| {
                for at in [US_EAST, EU_WEST, US_WEST].map(region) {
                    Service::ALL.into_iter().for_each(|service| fleet.aws.throttle(&at, service, on));
                }
            };
            storm(&fleet, true);
            let mut a_second = Vec::new();
            for _ in 0..8 {
                let before = fleet.aws.turned_away();
                fleet.run_for(seconds(30)).await;
                a_second.push((fleet.aws.turned_away() - before) / 30);
            }
            let (first, last) = (a_second[0], a_second[7]);
            assert!(a_second.iter().all(|calls| *calls <= STORM_CALLS), "calls a second: {a_second:?}");
            assert!(last <= first + first / 10 + 1, "it grows: {a_second:?}");
            storm(&fleet, false);
            let calm = fleet.until(seconds(90), |fleet| lives_in(fleet, EU_WEST)).await;
            holds(&fleet, calm && promotions(&fleet) == 1, "then the move is made, once, and settled");
        });
    }
}

/// Calls a second of two daemons, observing included.
const STORM_CALLS: u64 = 40;
