//! Public incidents and what people fear most, as short stories on the simulated fleet. Which of them stand elsewhere is in
//! the table of `docs/simulation.md`.

use std::time::Duration;

use failoverd::sim::fleet::{EU_WEST, SERVICE, Shop, SimulatedFleet, US_EAST, US_WEST, region};
use failoverd::sim::world::Service;
use failoverd_domain::fleet::{Command, Consent, EventKind, Guard, RunState, Severity, Velocity};
use failoverd_domain::plan::Mode;

use crate::outages::{holds, newest_run, run_is, seconds, steady};
use crate::simulation::virtually;

fn promotions(fleet: &SimulatedFleet) -> usize {
    fleet.effects_of("FailoverGlobalCluster").len() + fleet.effects_of("SwitchoverGlobalCluster").len()
}

fn told(fleet: &SimulatedFleet, kind: EventKind) -> usize {
    fleet.judge.with_events(|events| events.iter().filter(|event| event.kind == kind).count())
}

/// Answered, written and settled there.
fn lives_in(fleet: &SimulatedFleet, at: &str) -> bool {
    let at = Some(region(at));
    fleet.is_steady() && fleet.answer() == at && fleet.writer() == at && fleet.service().map(|s| s.primary) == at
}

fn set_route53(fleet: &SimulatedFleet, slower_ms: u64, timeout_ms: u64) {
    fleet.aws.slow(&region(US_EAST), Service::Route53, slower_ms);
    fleet.aws.with(|world| world.timing.call_timeout_ms = timeout_ms);
}

/// Whether the run goes no further without a person.
fn asks(state: RunState) -> bool {
    matches!(state, RunState::AwaitingApproval | RunState::Paused)
}

fn is_fenced(fleet: &SimulatedFleet, at: &str) -> bool {
    fleet.aws.with(|world| world.is_fenced(&region(at), "checkout-global")) == Ok(true)
}

/// GitHub, October 2018: for 43 seconds the primary site could not be reached, another was promoted, both had writes that
/// the other had not, and the way back took a day.
///
/// Promised: where the owner wants to be asked before an old writer is left that nobody could fence, 43 seconds pass
/// without any promotion, and the service is served where it was. The question stands until a person answers it, also
/// when the Region is there again: nothing takes it back by itself.
#[test]
fn github_2018_where_the_owner_is_asked_43_seconds_promote_nothing() {
    virtually(41, async {
        let mut fleet = steady(41, Shop { unfenced: "approval", ..Shop::default() }).await;
        fleet.isolate(&region(US_EAST));
        fleet.run_for(seconds(43)).await;
        let asked = newest_run(&fleet).is_none_or(|run| asks(run.state));
        holds(&fleet, asked && promotions(&fleet) == 0, "43 seconds later a person is asked, at most");
        fleet.rejoin(&region(US_EAST));
        fleet.run_for(seconds(120)).await;
        let serves = (fleet.answer(), fleet.writer()) == (Some(region(US_EAST)), Some(region(US_EAST)));
        holds(&fleet, promotions(&fleet) == 0 && serves, "nothing was promoted, nothing is");
        if let Some(run) = newest_run(&fleet).filter(|run| !run.state.is_closed()) {
            fleet.ask(Command::Abort { run: run.id, reason: "it is back".to_owned() }).await.unwrap();
        }
        let settled = fleet.until(seconds(120), |fleet| lives_in(fleet, US_EAST)).await;
        holds(&fleet, settled && promotions(&fleet) == 0, "a person says no, and all is as it was");
        assert!(fleet.aws.lost_writes("checkout-global").is_empty());
    });
}

/// The same 43 seconds where the owner said that it may go ahead.
///
/// Promised: one promotion, one way. The Region that comes back does not get the service back, its writer is fenced, and
/// what it alone had written goes on record.
#[test]
fn github_2018_where_it_may_go_ahead_it_moves_once_and_never_back_by_itself() {
    virtually(42, async {
        let mut fleet = steady(42, Shop::default()).await;
        fleet.isolate(&region(US_EAST));
        fleet.run_for(seconds(43)).await;
        fleet.rejoin(&region(US_EAST));
        let kept = fleet.until(seconds(240), |fleet| told(fleet, EventKind::LostWrites) > 0).await;
        holds(&fleet, kept, "what us-east-1 alone had goes on record");
        fleet.run_for(seconds(300)).await;
        holds(&fleet, promotions(&fleet) == 1 && lives_in(&fleet, EU_WEST), "one promotion, and not back");
        assert_eq!(fleet.service().unwrap().runs, 1, "one run");
    });
}

/// us-east-1, October 2025: a worker that was slow wrote its old plan over a newer one, and the names were empty.
///
/// Promised: the zone itself refuses the late writer. Its batch carries the fence that stood when it looked, and takes
/// nothing with it when a newer one stands there.
#[test]
fn october_2025_an_old_leaders_late_plan_changes_nothing() {
    // When it has looked and is about to write depends on how long its looks take: found by trying, with nobody in its way.
    let late = (1..=15).map(|n| n * 50).find(|after_ms| virtually(43, written_late(*after_ms, false)) > 0);
    let after_ms = late.expect("no batch could be held up on its way");
    assert_eq!(
        virtually(43, written_late(after_ms, true)),
        0,
        "with a newer plan in the zone, the late batch is refused"
    );
}

/// How many batches Route 53 accepts a minute after the leader sent them, where another led by then or not.
async fn written_late(after_ms: u64, is_replaced: bool) -> usize {
    let mut fleet = steady(43, Shop::default()).await;
    let old = region(US_WEST);
    let led = fleet.make_leader(&old).await;
    holds(&fleet, led, "us-west-2 leads");
    let settling = told(&fleet, EventKind::SettleIntent);
    fleet.failover(&region(EU_WEST), Some(Mode::Graceful)).await.unwrap();
    let intends = |fleet: &SimulatedFleet| told(fleet, EventKind::SettleIntent) > settling;
    let writes = fleet.until_exactly(seconds(120), intends).await;
    holds(&fleet, writes, "it has moved, and is about to write the records");
    tokio::time::sleep(Duration::from_millis(after_ms)).await;
    set_route53(&fleet, 60_000, 120_000);
    tokio::time::sleep(Duration::from_millis(50)).await;
    set_route53(&fleet, 0, 2_000);
    let sent = fleet.aws.with(|world| world.now());
    if is_replaced {
        fleet.ground.isolate(&old, &[region(US_EAST), region(EU_WEST)]);
        let settled = fleet.until(seconds(55), |fleet| lives_in(fleet, EU_WEST)).await;
        holds(&fleet, settled, "another leads and has written what is so, while the old batch is still on its way");
    }
    fleet.run_for(seconds(120)).await;
    let is_late = |at: u64| (59_000..61_000).contains(&at.saturating_sub(sent.0));
    let late = fleet.effects_of("ChangeResourceRecordSets").iter().filter(|effect| is_late(effect.at.0)).count();
    fleet.ground.heal();
    let settled = fleet.until(seconds(120), |fleet| lives_in(fleet, EU_WEST)).await;
    holds(&fleet, settled, "in the end the records say what is so");
    late
}

/// Patroni with etcd away, and others: the store that keeps the leader's lease fails, and a healthy primary is demoted.
///
/// Promised: a fleet that cannot agree changes nothing. Whichever daemon is left, the service serves where it did.
#[test]
fn without_a_majority_of_daemons_a_healthy_primary_goes_on() {
    for left in [US_EAST, EU_WEST, US_WEST] {
        virtually(44, async {
            let mut fleet = steady(44, Shop::default()).await;
            let gone: Vec<_> = fleet.running().into_iter().filter(|at| *at != region(left)).collect();
            let before = fleet.aws.effects().into_iter().filter(|effect| effect.changed).count();
            for one in &gone {
                fleet.crash(one).await;
            }
            for _ in 0..60 {
                fleet.run_for(seconds(5)).await;
                let serves = (fleet.answer(), fleet.writer()) == (Some(region(US_EAST)), Some(region(US_EAST)));
                holds(&fleet, serves, &format!("with {left} alone it serves where it did"));
            }
            holds(&fleet, promotions(&fleet) == 0 && !is_fenced(&fleet, US_EAST), "nothing was demoted");
            let after = fleet.aws.effects().into_iter().filter(|effect| effect.changed).count();
            assert!(after >= before);
            for one in &gone {
                fleet.start(one).await;
            }
            let whole = fleet.until(seconds(120), |fleet| fleet.unrest().is_none()).await;
            holds(&fleet, whole && lives_in(&fleet, US_EAST), "and goes on when they are back");
            assert!(newest_run(&fleet).is_none(), "no run, then or now");
        });
    }
}

/// A primary that nobody reaches, and that goes on taking writes from clients who still do.
///
/// Promised: where the manifest says so, it is not left behind without somebody's consent, by name on the run.
#[test]
fn an_isolated_primary_that_still_takes_writes_is_not_left_without_consent() {
    virtually(45, async {
        let mut fleet = steady(45, Shop { unfenced: "approval", announce_s: 0, ..Shop::default() }).await;
        fleet.isolate(&region(US_EAST));
        fleet.run_for(seconds(180)).await;
        holds(&fleet, promotions(&fleet) == 0, "for three minutes nobody consents, and nothing is promoted");
        let run = newest_run(&fleet).unwrap();
        assert!(asks(run.state) && run.unfenced_consent.is_none(), "it asks: {:?}", run.state);
        fleet.ask(Command::Approve { run: run.id }).await.unwrap();
        let moved = fleet.until(seconds(90), |fleet| run_is(fleet, RunState::Succeeded)).await;
        let serves = (fleet.answer(), fleet.writer()) == (Some(region(EU_WEST)), Some(region(EU_WEST)));
        holds(&fleet, moved && serves && promotions(&fleet) == 1, "a person consents, and it moves");
        let consent = newest_run(&fleet).unwrap().unfenced_consent;
        assert!(matches!(&consent, Some(Consent::Person(who)) if who.contains("alice")), "{consent:?}");
    });
}

/// Both Regions are half dead: whatever moved would gain nothing.
///
/// Promised: a service is not moved to where it is not well. It moves as soon as it is well there.
#[test]
fn while_both_regions_are_gray_nothing_moves() {
    virtually(46, async {
        let mut fleet = steady(46, Shop::default()).await;
        for at in [EU_WEST, US_EAST] {
            fleet.aws.set_endpoint(&region(at), &SERVICE.into(), false);
        }
        fleet.run_for(seconds(180)).await;
        holds(&fleet, promotions(&fleet) == 0 && newest_run(&fleet).is_none(), "nothing moves");
        let at = fleet.leader().unwrap();
        let guards = fleet.guards_at(&at);
        let healthy = guards.iter().find(|verdict| verdict.guard == Guard::StandbyReady).unwrap();
        assert!(!healthy.ok, "{}", healthy.reason);
        fleet.aws.set_endpoint(&region(EU_WEST), &SERVICE.into(), true);
        let moved = fleet.until(seconds(90), |fleet| lives_in(fleet, EU_WEST)).await;
        holds(&fleet, moved && promotions(&fleet) == 1, "and moves once, when eu-west-1 is well");
    });
}

/// A metastable storm: AWS throttles every call for minutes, and whoever retries at once keeps it so.
///
/// Promised: steps are tried few times, and one promotion is made when AWS answers again, without anybody's help.
#[test]
fn minutes_of_throttling_meet_few_calls_and_end_in_one_move() {
    virtually(47, async {
        let mut fleet = steady(47, Shop { announce_s: 0, ..Shop::default() }).await;
        let services = [Service::Rds, Service::Dynamodb, Service::Cloudwatch];
        let storm = |fleet: &SimulatedFleet, on| {
            for at in [US_EAST, EU_WEST] {
                services.into_iter().for_each(|service| fleet.aws.throttle(&region(at), service, on));
            }
            fleet.aws.throttle(&region(US_EAST), Service::Route53, on);
        };
        fleet.aws.set_endpoint(&region(US_EAST), &SERVICE.into(), false);
        let running = fleet.until(seconds(60), |fleet| run_is(fleet, RunState::Running)).await;
        holds(&fleet, running && promotions(&fleet) == 0, "a run begins");
        storm(&fleet, true);
        fleet.run_for(seconds(300)).await;
        let run = newest_run(&fleet).unwrap();
        let most = run.steps.values().map(|step| step.attempts).max().unwrap_or_default();
        holds(&fleet, promotions(&fleet) == 0, "five minutes of it move nothing");
        assert!(most <= 60, "a step was tried {most} times in five minutes");
        storm(&fleet, false);
        let moved = fleet.until(seconds(180), |fleet| lives_in(fleet, EU_WEST)).await;
        holds(&fleet, moved && promotions(&fleet) == 1, "then it moves, once");
    });
}

/// A leader that was cut off or stopped for longer than its lease and goes on where it was.
///
/// Promised: it asks a majority before each effect, and so does nothing that the next leader has decided upon by now.
/// Stopped processes are in `tests/it/process/leadership.rs`.
#[test]
fn a_leader_that_outlived_its_lease_does_nothing_more() {
    virtually(48, async {
        let mut fleet = steady(48, Shop { announce_s: 0, ..Shop::default() }).await;
        let old = region(EU_WEST);
        let led = fleet.make_leader(&old).await;
        holds(&fleet, led, "eu-west-1 leads");
        fleet.aws.set_endpoint(&region(US_EAST), &SERVICE.into(), false);
        let decided = fleet.until_exactly(seconds(60), |fleet| run_is(fleet, RunState::Running)).await;
        holds(&fleet, decided && promotions(&fleet) == 0, "a run begins");
        // Daemons no longer hear it; AWS it reaches as before.
        fleet.ground.isolate(&old, &[region(US_EAST), region(US_WEST)]);
        let moved = fleet.until(seconds(90), |fleet| lives_in(fleet, EU_WEST)).await;
        holds(&fleet, moved && promotions(&fleet) == 1, "the next leader makes the move, and only that one is made");
        let effects = fleet.aws.effects().len();
        fleet.ground.heal();
        fleet.run_for(seconds(60)).await;
        holds(&fleet, promotions(&fleet) == 1 && lives_in(&fleet, EU_WEST), "it wakes up and repeats nothing");
        let again = fleet.aws.effects().split_off(effects);
        let of_run = |effect: &&failoverd::sim::world::EffectRecord| effect.operation.contains("GlobalCluster");
        assert_eq!(again.iter().filter(of_run).count(), 0, "{again:#?}");
    });
}

/// Failback while two copies have been written: the old writer went on for a while.
///
/// Promised: the way back is graceful, and not before the old writer is a copy again and has everything: nothing is lost a
/// second time.
#[test]
fn failback_after_two_writers_waits_until_one_is_a_copy_again() {
    virtually(49, async {
        let mut fleet = steady(49, Shop::default()).await;
        let us = region(US_EAST);
        fleet.isolate(&us);
        let moved = fleet.until(seconds(90), |fleet| run_is(fleet, RunState::Succeeded)).await;
        holds(&fleet, moved && fleet.writer() == Some(region(EU_WEST)), "eu-west-1 took over");
        fleet.run_for(seconds(30)).await;
        fleet.rejoin(&us);
        fleet.run_for(seconds(1)).await;
        let refused = fleet.failover(&us, Some(Mode::Graceful)).await;
        holds(&fleet, refused.is_err(), "at once it is refused");
        let lost = fleet.aws.lost_writes("checkout-global").len();
        let whole = fleet.until(seconds(300), |fleet| fleet.unrest().is_none()).await;
        holds(&fleet, whole, "settled in eu-west-1");
        let mut back = false;
        for _ in 0..60 {
            fleet.run_for(seconds(5)).await;
            back = back || fleet.failover(&us, Some(Mode::Graceful)).await.is_ok();
            if back {
                break;
            }
        }
        holds(&fleet, back, "once it is a copy again it may go back");
        let there = fleet.until(seconds(120), |fleet| lives_in(fleet, US_EAST)).await;
        holds(&fleet, there, "and does");
        let run = newest_run(&fleet).unwrap();
        let database = run.loss.iter().find(|loss| loss.store.as_str() == "orders-db").unwrap();
        assert_eq!(database.measured, Some(0), "{}", database.sentence());
        assert!(fleet.aws.lost_writes("checkout-global").len() <= lost + 1, "what was lost was lost once");
        assert_eq!(promotions(&fleet), 2);
    });
}

/// One Region dies, and within the hour it looks as if the other died too. That is rarer than that what is seen is wrong, or
/// what was done: the second move is a person's.
#[test]
fn a_second_region_that_seems_to_die_within_the_hour_is_left_to_a_person() {
    virtually(50, async {
        let velocity = Some(Velocity { window_ms: 3_600_000, regions: 1, services: None });
        let mut fleet = steady(50, Shop { announce_s: 0, cooldown_s: 5, velocity, ..Shop::default() }).await;
        let (us, eu) = (region(US_EAST), region(EU_WEST));
        fleet.aws.set_endpoint(&us, &SERVICE.into(), false);
        let moved = |fleet: &SimulatedFleet| fleet.is_steady() && fleet.answer() == Some(region(EU_WEST));
        let so = fleet.until(seconds(90), moved).await;
        holds(&fleet, so, "the first Region is left by itself");
        fleet.aws.set_endpoint(&us, &SERVICE.into(), true);
        fleet.run_for(seconds(60)).await;
        fleet.aws.set_endpoint(&eu, &SERVICE.into(), false);
        fleet.run_for(seconds(120)).await;
        let run = newest_run(&fleet).unwrap();
        let noes: Vec<_> = run.guards.iter().filter(|says| !says.ok && says.severity != Severity::Informs).collect();
        assert!(matches!(&noes[..], [no] if no.guard == Guard::Velocity), "{noes:#?}");
        holds(&fleet, run.state == RunState::AwaitingApproval && fleet.answer() == Some(eu), "the second waits");

        fleet.ask(Command::Approve { run: run.id }).await.unwrap();
        let back = fleet.until(seconds(90), |fleet| fleet.is_steady() && fleet.answer() == Some(region(US_EAST))).await;
        holds(&fleet, back, "a person lets it go");
    });
}
