//! The answer of a run, verified from every daemon, on virtual time.

use failoverd::sim::fleet::{EU_WEST, SERVICE, Shop, SimulatedFleet, US_EAST, US_WEST, region};
use failoverd_domain::fleet::{Command, EventKind, RunState, StepProgress, StepState};
use failoverd_domain::ids::Region;
use failoverd_domain::plan::Mode;
use failoverd_domain::traffic::AnswerSeen;

use crate::outages::{self, holds, newest_run, run_is, seconds};
use crate::simulation::virtually;

const NAME: &str = "api.example.com";
const OLD: &[&str] = &["192.0.2.10"];

async fn steady(seed: u64) -> SimulatedFleet {
    outages::steady(seed, Shop { announce_s: 0, ..Shop::default() }).await
}

fn verification(fleet: &SimulatedFleet) -> StepProgress {
    let run = newest_run(fleet).unwrap();
    run.progress(&format!("verify-answer/{SERVICE}").as_str().into())
}

fn from(fleet: &SimulatedFleet, daemon: &str) -> AnswerSeen {
    let seen = verification(fleet).seen;
    seen.into_iter().find(|seen| seen.daemon == region(daemon)).unwrap_or_else(|| panic!("nothing from {daemon}"))
}

#[test]
fn the_daemon_of_the_dead_region_is_not_waited_for_and_the_record_says_who_saw_what() {
    virtually(31, async {
        let mut fleet = steady(31).await;
        fleet.break_region(&region(US_EAST)).await;
        let moved = fleet.until(seconds(90), |fleet| run_is(fleet, RunState::Succeeded)).await;
        holds(&fleet, moved, "it moves");
        let run = newest_run(&fleet).unwrap();
        let taken_ms = run.verified_at.unwrap().since(run.started_at.unwrap());
        for daemon in [EU_WEST, US_WEST] {
            let seen = from(&fleet, daemon);
            assert_eq!((seen.answered_by.as_slice(), &seen.not_asked), ([region(EU_WEST)].as_slice(), &None));
            assert!(seen.after_ms.is_some_and(|ms| ms > 0 && ms <= taken_ms), "{seen:?} of {taken_ms} ms");
            // The record's TTL is 30 s, and the answer is a moment old.
            assert!(seen.tail_s.is_some_and(|tail_s| (25..=30).contains(&tail_s)), "{seen:?}");
            let probe = seen.probes.first().unwrap_or_else(|| panic!("{daemon} probed nothing"));
            assert!(probe.good && probe.name == NAME && probe.detail.starts_with("192.0.2.20: "), "{probe:?}");
        }
        let dead = from(&fleet, US_EAST);
        assert_eq!((dead.not_asked.as_deref(), dead.after_ms, dead.tail_s), (Some("unreachable"), None, None));
        let note = verification(&fleet).note.unwrap();
        assert!(note.starts_with("answers eu-west-1 from eu-west-1 after "), "{note}");
        assert!(note.contains("; us-east-1 not asked (unreachable); caches may hold the old answer "), "{note}");
        let said = fleet.judge.with_events(|events| {
            let outcomes = events.iter().filter(|event| event.kind == EventKind::StepOutcome);
            outcomes.filter(|event| event.data["answers"].is_array()).count()
        });
        assert_eq!(said, 1, "and the history holds it");
    });
}

#[test]
fn a_daemon_that_is_only_silent_costs_half_a_second() {
    virtually(36, async {
        let mut fleet = steady(36).await;
        fleet.make_leader(&region(EU_WEST)).await;
        // Calls into the dark end after a while of their own, which is longer.
        fleet.ground.set_patience(seconds(5));
        fleet.isolate(&region(US_EAST));
        let moved = fleet.until(seconds(90), |fleet| run_is(fleet, RunState::Succeeded)).await;
        holds(&fleet, moved, "it moves");
        assert_eq!(from(&fleet, US_EAST).not_asked.as_deref(), Some("no answer in time"));
        let step = verification(&fleet);
        let took_ms = step.finished_at.unwrap().since(step.started_at.unwrap());
        let right_ms = from(&fleet, EU_WEST).after_ms.unwrap();
        assert!(took_ms <= right_ms + 1_000, "right after {right_ms} ms, and said so after {took_ms} ms");
    });
}

#[test]
fn one_daemon_that_is_still_given_the_old_answer_holds_the_run_and_then_a_person_until_it_is_not() {
    virtually(32, async {
        let mut fleet = steady(32).await;
        fleet.make_leader(&region(EU_WEST)).await;
        fleet.aws.set_old_answer(&region(US_WEST), NAME, Some(OLD));
        fleet.failover(&region(EU_WEST), Some(Mode::Graceful)).await.unwrap();
        let asks = |fleet: &SimulatedFleet| verification(fleet).state == StepState::Acting;
        let asked = fleet.until(seconds(60), asks).await;
        holds(&fleet, asked, "it comes to verification");
        fleet.run_for(seconds(60)).await;
        assert_eq!(fleet.answer(), Some(region(EU_WEST)), "everybody else is answered right");
        holds(&fleet, asks(&fleet), "and yet it goes on asking");

        let given_up = fleet.until(seconds(300), |fleet| run_is(fleet, RunState::Paused)).await;
        holds(&fleet, given_up, "after five minutes a person must look");
        let note = verification(&fleet).note.unwrap();
        let why = "us-west-2: api.example.com answers 192.0.2.10 (us-east-1); wanted: 192.0.2.20 (eu-west-1)";
        assert!(note.contains(why), "{note}");

        let run = newest_run(&fleet).unwrap();
        let step = format!("verify-answer/{SERVICE}").as_str().into();
        fleet.ask(Command::Retry { run: run.id, step }).await.unwrap();
        fleet.run_for(seconds(20)).await;
        holds(&fleet, asks(&fleet), "trying again does not make it right");
        fleet.aws.set_old_answer(&region(US_WEST), NAME, None);
        let done = fleet.until(seconds(30), |fleet| run_is(fleet, RunState::Succeeded)).await;
        holds(&fleet, done, "being answered right does");
        let (late, early) = (from(&fleet, US_WEST).after_ms.unwrap(), from(&fleet, EU_WEST).after_ms.unwrap());
        assert!(late >= early + 15_000, "{late} {early}");
        // It had been told to keep the old answer for a minute, and has just let go of it.
        assert!(from(&fleet, US_WEST).tail_s.is_some_and(|tail_s| tail_s >= 58), "{:?}", from(&fleet, US_WEST));
        assert!(from(&fleet, EU_WEST).tail_s.is_some_and(|tail_s| tail_s < 15), "{:?}", from(&fleet, EU_WEST));
    });
}

#[test]
fn a_daemon_without_name_servers_says_so_and_holds_nothing_up_unless_it_leads() {
    virtually(33, async {
        let mut fleet = steady(33).await;
        fleet.make_leader(&region(EU_WEST)).await;
        fleet.aws.set_dns_reachable(&region(US_WEST), false);
        fleet.failover(&region(EU_WEST), Some(Mode::Graceful)).await.unwrap();
        let moved = fleet.until(seconds(90), |fleet| run_is(fleet, RunState::Succeeded)).await;
        holds(&fleet, moved, "it moves");
        let deaf = from(&fleet, US_WEST);
        assert!(deaf.not_asked.is_some_and(|why| why.contains("no name server")), "{:?}", verification(&fleet));
        assert_eq!(from(&fleet, US_EAST).answered_by, [region(EU_WEST)]);
    });
    virtually(34, async {
        let mut fleet = steady(34).await;
        fleet.make_leader(&region(US_WEST)).await;
        fleet.failover(&region(EU_WEST), Some(Mode::Graceful)).await.unwrap();
        let asked = fleet.until_exactly(seconds(60), |fleet| verification(fleet).state == StepState::Acting).await;
        fleet.aws.set_dns_reachable(&region(US_WEST), false);
        holds(&fleet, asked, "it comes to verification");
        fleet.run_for(seconds(60)).await;
        assert_eq!(fleet.leader(), Some(region(US_WEST)));
        holds(&fleet, run_is(&fleet, RunState::Running), "what it cannot see it does not vouch for");
        fleet.aws.set_dns_reachable(&region(US_WEST), true);
        let moved = fleet.until(seconds(30), |fleet| run_is(fleet, RunState::Succeeded)).await;
        holds(&fleet, moved, "it can see");
    });
}

#[test]
fn a_service_that_does_not_answer_by_its_name_is_said_loudly_and_stays_where_it_is() {
    virtually(35, async {
        let mut fleet = steady(35).await;
        fleet.failover(&region(EU_WEST), Some(Mode::Forced)).await.unwrap();
        let asked = fleet.until_exactly(seconds(60), |fleet| verification(fleet).state == StepState::Acting).await;
        holds(&fleet, asked, "it comes to verification");
        let service = SERVICE.into();
        fleet.aws.set_endpoint(&region(EU_WEST), &service, false);
        let moved = fleet.until(seconds(60), |fleet| run_is(fleet, RunState::Succeeded)).await;
        holds(&fleet, moved, "traffic has moved: there is nothing to undo");
        let note = verification(&fleet).note.unwrap();
        assert!(note.contains("WARNING: traffic has moved"), "{note}");
        let everywhere: Vec<Region> = [EU_WEST, US_EAST, US_WEST].map(region).into();
        let bad: Vec<Region> = verification(&fleet)
            .seen
            .into_iter()
            .filter(|seen| seen.probes.iter().any(|probe| !probe.good && probe.detail.contains("503")))
            .map(|seen| seen.daemon)
            .collect();
        assert_eq!(bad, everywhere, "{note}");
        let verdict = newest_run(&fleet).unwrap().verdict.unwrap();
        assert!(verdict.contains("serves from eu-west-1; WARNING: "), "{verdict}");
    });
}
