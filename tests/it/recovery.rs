//! Two of three daemons are gone for good: the one that is left is recovered from, a person moves the service, and what
//! comes back of the old fleet can do nothing. And all three: a backup moves nothing back.

use failoverd::sim::fleet::{EU_WEST, Shop, SimulatedFleet, US_EAST, US_WEST, region};
use failoverd_domain::fleet::{Command, RunState};
use failoverd_domain::ids::Generation;
use failoverd_domain::plan::Mode;

use crate::outages::{holds, newest_run, run_is, seconds, steady};
use crate::simulation::virtually;

#[test]
fn a_person_moves_a_service_from_the_one_daemon_that_is_left_and_the_old_ones_can_do_nothing() {
    virtually(31, async {
        let mut fleet = steady(31, Shop::default()).await;
        let (us, eu, witness) = (region(US_EAST), region(EU_WEST), region(US_WEST));
        fleet.crash(&witness).await;
        fleet.break_region(&us).await;
        fleet.run_for(seconds(60)).await;
        holds(&fleet, newest_run(&fleet).is_none(), "one of three decides nothing");

        fleet.crash(&eu).await;
        fleet.recover_from(&eu).unwrap();
        fleet.start(&eu).await;
        let leads = fleet.until(seconds(20), |fleet| fleet.leader().as_ref() == Some(&region(EU_WEST))).await;
        holds(&fleet, leads, "it leads alone");
        fleet.run_for(seconds(60)).await;
        holds(&fleet, newest_run(&fleet).is_none(), "nothing happens by itself");

        let asked = fleet.failover(&eu, Some(Mode::Forced)).await;
        holds(&fleet, asked.is_ok(), &format!("a person asks: {asked:?}"));
        fleet.run_for(seconds(5)).await;
        if run_is(&fleet, RunState::AwaitingApproval) || run_is(&fleet, RunState::Paused) {
            let run = newest_run(&fleet).unwrap().id;
            fleet.ask(Command::Approve { run }).await.unwrap();
        }
        let moved = fleet.until(seconds(300), |fleet| run_is(fleet, RunState::Succeeded)).await;
        holds(&fleet, moved, "the move is made");
        let there =
            |fleet: &SimulatedFleet| (fleet.answer(), fleet.writer()) == (Some(region(EU_WEST)), Some(region(EU_WEST)));
        holds(&fleet, there(&fleet), "traffic and data are in the other Region");
        let settled = fleet.until(seconds(120), |fleet| fleet.service().is_some_and(|service| service.is_settled()));
        let settled = settled.await;
        holds(&fleet, settled, "records and checks say so");
        let effects = fleet.aws.effects().len();

        // Both old daemons come back on their disks: they are a majority of what they were.
        fleet.heal_region(&us).await;
        fleet.start(&witness).await;
        for _ in 0..60 {
            fleet.run_for(seconds(2)).await;
            holds(&fleet, there(&fleet), "the old fleet turns nothing back");
        }
        for old in [&us, &witness] {
            let seen = fleet.leadership_at(old).unwrap();
            holds(&fleet, !seen.is_me && !seen.caught_up, &format!("{old} believes {seen:?}"));
        }
        let state = fleet.state_at(&eu).unwrap();
        holds(&fleet, state.generation == Generation(1) && state.paused, "the new generation goes on");
        let since = fleet.aws.effects().split_off(effects);
        let of_old = since.iter().filter(|effect| format!("{effect:?}").contains("generation=0")).count();
        holds(&fleet, of_old == 0, "nothing was written for the old generation");
    });
}

#[test]
fn a_fleet_that_is_restored_from_a_backup_of_before_a_failover_moves_nothing_back() {
    virtually(32, async {
        let mut fleet = steady(32, Shop::default()).await;
        let (us, eu) = (region(US_EAST), region(EU_WEST));
        let backup = fleet.state_at(&us).unwrap();
        let asked = fleet.failover(&eu, Some(Mode::Graceful)).await;
        holds(&fleet, asked.is_ok(), &format!("a person asks: {asked:?}"));
        let is_there =
            |fleet: &SimulatedFleet| (fleet.answer(), fleet.writer()) == (Some(region(EU_WEST)), Some(region(EU_WEST)));
        let moved = fleet.until(seconds(400), |fleet| is_there(fleet) && fleet.is_steady()).await;
        holds(&fleet, moved, "it moves, and that is settled");
        for name in [US_EAST, EU_WEST, US_WEST] {
            fleet.crash(&region(name)).await;
        }
        fleet.run_for(seconds(60)).await;
        holds(&fleet, is_there(&fleet), "without daemons it stays where it is settled");

        // The backup says that us-east-1 serves.
        let effects = fleet.aws.effects().len();
        fleet.restore_on(&eu, &backup).unwrap();
        fleet.start(&eu).await;
        let leads = fleet.until(seconds(20), |fleet| fleet.leader().as_ref() == Some(&region(EU_WEST))).await;
        holds(&fleet, leads, "it leads alone");
        for _ in 0..90 {
            fleet.run_for(seconds(2)).await;
            holds(&fleet, is_there(&fleet), "what the backup believes moves nothing");
        }
        let service = fleet.service().unwrap();
        holds(&fleet, service.primary == us && service.attention.is_some(), "it asks a person");
        let written = fleet.aws.effects().split_off(effects);
        let changed: Vec<_> =
            written.iter().filter(|effect| effect.changed && effect.operation != "PutMetricData").collect();
        holds(&fleet, changed.is_empty(), &format!("nor is anything written: {changed:?}"));
        let refused = fleet.failover(&us, Some(Mode::Forced)).await.unwrap_err();
        holds(&fleet, refused.contains("fleet confirm checkout"), &refused);

        let confirm =
            Command::Confirm { service: "checkout".into(), serving: [eu.clone()].into(), writers: eu.clone() };
        fleet.ask(confirm).await.unwrap();
        let settled = fleet.until(seconds(180), |fleet| fleet.service().is_some_and(|service| service.is_settled()));
        let settled = settled.await;
        holds(&fleet, settled, "records and checks say so again");
        fleet.ask(Command::Resume { service: None }).await.unwrap();
        fleet.run_for(seconds(60)).await;
        holds(&fleet, is_there(&fleet), "it is where it was all the time");
        let state = fleet.state_at(&eu).unwrap();
        holds(&fleet, state.restored.is_none() && state.generation == Generation(1), "the new generation goes on");
        holds(&fleet, fleet.judge.violations().is_empty(), "and nothing was violated");
    });
}
