//! The leader is killed, paused, told to stop: another takes over, and nothing that was agreed is lost.

use failoverd::api::proto::{FailoverRequest, ListServicesRequest, PlanRequest, Switch};
use rustix::process::Signal;

use super::bound::{seconds, within};
use super::fleet::{ELECTED_WITHIN, EXAMPLE, Fleet};
use super::history::same_and_whole;

#[tokio::test]
async fn a_killed_leader_is_replaced_keeps_what_was_agreed_and_catches_up() {
    let mut fleet = Fleet::formed().await;
    let applied = fleet.apply_checkout().await;
    fleet.applied(applied).await;
    let switches_before = switches(&fleet, 0).await;

    let killed = fleet.leader().await;
    fleet.daemons[killed].kill();
    let next = fleet.leader().await;
    assert_ne!(next, killed);

    let tokens = fleet.daemons[killed].tokens();
    assert_eq!(tokens.len(), 1, "one bit for an active-passive pair");
    let token = tokens.first().unwrap();
    for survivor in (0..3).filter(|at| *at != killed) {
        let services = fleet.daemons[survivor].status().list_services(ListServicesRequest {}).await.unwrap();
        let names: Vec<_> = services.into_inner().services.into_iter().map(|service| service.name).collect();
        assert_eq!(names, ["checkout"]);
        let answer = fleet.daemons[survivor].checker(&format!("/s/{token}")).await;
        assert_eq!(answer, Some((200, "switch=on".to_owned())));
        assert_eq!(switches(&fleet, survivor).await, switches_before);
    }

    let while_away = fleet.daemons[next].set_paused(true).await.unwrap();
    fleet.daemons[killed].start();
    fleet.applied(while_away).await;
    fleet.daemons[killed].until_caught_up().await;
    let answer = fleet.daemons[killed].checker(&format!("/s/{token}")).await;
    assert_eq!(answer, Some((200, "switch=on".to_owned())));
    assert!(fleet.daemons[killed].seen().await.unwrap().paused);
    same_and_whole(&fleet, &[applied, while_away]).await;
}

#[tokio::test]
async fn checkers_hear_silence_until_caught_up_then_on_and_404_for_the_unknown() {
    let mut fleet = Fleet::formed().await;
    let applied = fleet.apply_checkout().await;
    fleet.applied(applied).await;
    fleet.daemons.iter_mut().for_each(super::fleet::Daemon::kill);
    let path = format!("/s/{}", fleet.daemons[2].tokens().first().unwrap());

    fleet.daemons[2].start();
    let alone = &fleet.daemons[2];
    let first = within(seconds(20), "the switch listener answers", || alone.checker(&path)).await;
    assert_eq!(first.0, 503, "alone it cannot know whether the switch was turned meanwhile");
    fleet.daemons[0].start();
    let turned = |answer: (u16, String)| (answer.0 == 200).then_some(answer.1);
    let alone = &fleet.daemons[2];
    let body = within(seconds(20), "a majority is there", || async { turned(alone.checker(&path).await?) }).await;
    assert_eq!(body, "switch=on");
    assert_eq!(alone.checker("/s/0123456789abcdef0123456789abcdef").await.unwrap().0, 404);
    assert_eq!(alone.checker("/livez").await.unwrap().0, 404, "nothing else is served there");
}

#[tokio::test]
async fn a_paused_leader_comes_back_as_a_follower_and_decides_nothing() {
    let fleet = Fleet::formed().await;
    let paused = fleet.leader().await;
    fleet.daemons[paused].signal(Signal::STOP);
    let others: Vec<usize> = (0..3).filter(|at| *at != paused).collect();
    let next = within(ELECTED_WITHIN, "the others elect", || async {
        let leader = fleet.daemons[others[0]].seen().await?.answered?.leader?;
        others.iter().copied().find(|at| fleet.daemons[*at].region == leader)
    })
    .await;
    let agreed = fleet.daemons[next].set_paused(true).await.unwrap();

    fleet.daemons[paused].signal(Signal::CONT);
    let asked_of_the_old = fleet.daemons[paused].set_paused(false).await;
    let leader = fleet.leader().await;
    assert_ne!(leader, paused, "it must not lead on in its old term");
    let last = fleet.daemons[leader].set_paused(true).await.unwrap();
    fleet.applied(last).await;
    let mut revisions = vec![agreed, last];
    revisions.extend(asked_of_the_old.ok());
    assert!(revisions.iter().skip(2).all(|revision| *revision > agreed), "{revisions:?}");
    same_and_whole(&fleet, &revisions).await;
}

#[tokio::test]
async fn told_to_stop_it_hands_over_and_exits_0() {
    let mut fleet = Fleet::formed().await;
    let stopped = fleet.leader().await;
    fleet.daemons[stopped].signal(Signal::TERM);
    let status = fleet.daemons[stopped].ended(seconds(30)).await;
    assert_eq!(status.code(), Some(0));
    let log = fleet.daemons[stopped].logged();
    for said in ["told to stop", "handing leadership over", "stepped aside", "daemon stopped"] {
        assert!(log.contains(said), "{said:?} is not in the log");
    }
    assert!(!log.contains("did not stop in time"), "everything stops by itself");
    assert_ne!(fleet.leader().await, stopped);

    let follower = (0..3).find(|at| fleet.daemons[*at].is_running()).unwrap();
    fleet.daemons[follower].signal(Signal::INT);
    assert_eq!(fleet.daemons[follower].ended(seconds(30)).await.code(), Some(0));
}

#[tokio::test]
async fn told_twice_it_ends_at_once_and_what_was_agreed_is_kept() {
    let mut fleet = Fleet::formed().await;
    let agreed = fleet.daemons[0].set_paused(true).await.unwrap();
    let stopped = fleet.leader().await;
    // The others cannot take leadership over for now, so that stopping in order takes a while.
    let others: Vec<usize> = (0..3).filter(|at| *at != stopped).collect();
    others.iter().for_each(|at| fleet.daemons[*at].signal(Signal::STOP));
    fleet.daemons[stopped].signal(Signal::TERM);
    let daemon = &fleet.daemons[stopped];
    within(seconds(10), "it takes the signal", || async { daemon.logged().contains("told to stop").then_some(()) })
        .await;
    fleet.daemons[stopped].signal(Signal::TERM);
    assert_eq!(fleet.daemons[stopped].ended(seconds(5)).await.code(), Some(1));
    assert!(fleet.daemons[stopped].logged().contains("told to stop a second time"));
    others.iter().for_each(|at| fleet.daemons[*at].signal(Signal::CONT));
    fleet.daemons[stopped].start();
    fleet.daemons[stopped].until_caught_up().await;
    fleet.applied(agreed).await;
    assert!(fleet.daemons[stopped].seen().await.unwrap().paused);
}

#[tokio::test]
async fn without_aws_runs_are_refused_by_guard_and_it_says_why() {
    let fleet = Fleet::formed().await;
    // Both Regions look healthy to its own probes: what is missing is AWS.
    let answers = format!("http://127.0.0.1:{}/livez?{{region}}", fleet.daemons[0].ports.ops);
    let applied = fleet.apply(&EXAMPLE.replace("http://{region}.checkout.example.com/healthz", &answers)).await;
    fleet.applied(applied).await;
    let daemon = &fleet.daemons[1];
    within(seconds(40), "guard standby-ready says that AWS does not answer", || async {
        let asked = PlanRequest { service: "checkout".to_owned(), ..Default::default() };
        let plan = daemon.status().plan(asked).await.ok()?.into_inner();
        let standby = plan.guards.into_iter().find(|guard| guard.name == "standby-ready")?;
        assert!(!standby.ok, "{standby:?}");
        standby.reason.contains("(Unreachable)").then_some(())
    })
    .await;
    let asked = FailoverRequest { service: "checkout".to_owned(), ..Default::default() };
    let refused = fleet.daemons[1].control().failover(asked).await.unwrap_err();
    assert!(refused.message().contains("standby-ready"), "{refused:?}");
    assert!(fleet.daemons[1].seen().await.unwrap().open_runs.is_empty());
}

async fn switches(fleet: &Fleet, at: usize) -> Vec<(String, String, i32, u64)> {
    let seen = fleet.daemons[at].seen().await.unwrap();
    seen.switches.into_iter().map(|switch: Switch| (switch.group, switch.region, switch.state, switch.index)).collect()
}
