//! The network fails: wholly, one way, or by being slow.

use std::time::Duration;

use super::stage::{ELECTED_WITHIN, EU, Stage, US};
use crate::process::bound::within;

fn others(of: usize) -> Vec<usize> {
    (0..3).filter(|at| *at != of).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_cut_off_is_replaced_and_can_do_nothing_and_slow_links_only_delay() {
    let mut stage = Stage::set().await;
    let old = stage.leader_among(&[0, 1, 2]).await;
    stage.links.isolate(old);
    let next = stage.leader_among(&others(old)).await;
    let run = stage.move_to(EU, next).await;
    stage.succeeds(next, &run).await;
    stage.answers_from(EU).await;
    assert_eq!(stage.promotions().len(), 1);

    // It still reaches AWS and people, and neither obeys the other.
    let refused = stage.at(old).set_paused(true).await.unwrap_err();
    assert!(!refused.message().is_empty());
    let (there, here) = (stage.at(old).seen().await.unwrap(), stage.at(next).seen().await.unwrap());
    assert!(there.answered.unwrap().revision < here.answered.unwrap().revision, "it applied nothing meanwhile");
    assert!(!here.paused);
    stage.judge().await;
    assert_eq!(stage.promotions().len(), 1, "coming back moves nothing");

    // Slow links delay a move and do not stop it. There and back is within a heartbeat, as it must be.
    stage.links.slow(Duration::from_millis(50));
    let leader = stage.leader_among(&[0, 1, 2]).await;
    let back = stage.move_to(US, leader).await;
    stage.succeeds(leader, &back).await;
    stage.judge().await;
    assert_eq!(stage.promotions().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_bytes_are_lost_one_way_is_replaced_whichever_way_it_is() {
    let mut stage = Stage::set().await;
    for deaf in [true, false] {
        let old = stage.leader_among(&[0, 1, 2]).await;
        if deaf {
            stage.links.deafen(old);
        } else {
            stage.links.mute(old);
        }
        let next = stage.leader_among(&others(old)).await;
        let agreed = stage.change(next, deaf).await;
        let before = stage.at(old).seen().await.unwrap().answered.unwrap().revision;
        assert!(before < agreed, "the old leader cannot have heard of it: {before} and {agreed}");
        stage.links.heal();
        within(ELECTED_WITHIN, "it hears of it now", || async {
            (stage.at(old).seen().await?.answered?.revision >= agreed).then_some(())
        })
        .await;
    }
    stage.judge().await;
}
