//! The leader ends or stands still in the middle of a run.

use failoverd::adapters::clock::SystemClock;
use failoverd::ports::Clock;
use serde_json::Value;

use super::stage::{EU, Stage, US};
use crate::process::bound::{seconds, within};

/// The first word of a daemon about a step since then, milliseconds after it.
fn first_word(log: &str, since_ms: u64) -> Option<u64> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let about_steps = lines.filter(|line| {
        let message = line["message"].as_str().unwrap_or_default();
        message == "step was left open; looking" || message == "step begins"
    });
    let times = about_steps.filter_map(|line| {
        let at = chrono::DateTime::parse_from_rfc3339(line["timestamp"].as_str()?).ok()?;
        u64::try_from(at.timestamp_millis()).ok()?.checked_sub(since_ms)
    });
    times.min()
}

impl Stage {
    /// Kills the leader while a step acts; how long until another one looked after the step, in milliseconds.
    pub async fn leader_is_killed_in_mid_run(&mut self, to: &str) -> u64 {
        let killed = self.leader_among(&[0, 1, 2]).await;
        let others: Vec<usize> = (0..3).filter(|at| *at != killed).collect();
        let run = self.move_to(to, others[0]).await;
        self.is_acting(others[0], &run, "promote/").await;
        let at = SystemClock.now().0;
        self.at_mut(killed).kill();
        let resumed = within(seconds(60), "another one resumes the run", || async {
            others.iter().filter_map(|other| first_word(&self.at(*other).logged(), at)).min()
        })
        .await;
        self.succeeds(others[0], &run).await;
        println!("from the leader's kill to the resumed step: {resumed} ms");
        self.start(killed);
        resumed
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_killed_in_mid_run_is_replaced_and_the_run_goes_on() {
    let mut stage = Stage::set().await;
    stage.leader_is_killed_in_mid_run(EU).await;
    stage.judge().await;
    assert_eq!(stage.promotions().len(), 1, "looked at, and not asked for again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_stood_still_in_mid_run_does_nothing_stale_when_it_wakes_up() {
    let mut stage = Stage::set().await;
    let old = stage.leader_among(&[0, 1, 2]).await;
    let others: Vec<usize> = (0..3).filter(|at| *at != old).collect();
    let first = stage.move_to(EU, others[0]).await;
    stage.is_acting(others[0], &first, "promote/").await;
    stage.freeze(old);
    // The others finish what it had begun, and then undo it: all that it still means to do is wrong by now.
    let next = stage.leader_among(&others).await;
    stage.succeeds(next, &first).await;
    let second = stage.move_to(US, next).await;
    stage.succeeds(next, &second).await;
    let (before, moved) = (stage.aws.effects().len(), stage.promotions().len());
    assert_eq!(moved, 2);

    stage.thaw(old);
    stage.judge().await;
    assert_eq!(stage.answer(), Some(US.into()));
    assert_eq!(stage.promotions().len(), 2, "no step of either run had its effect twice");
    let after = stage.aws.effects_from(before);
    let stale = after.iter().find(|effect| effect.operation.contains("GlobalCluster"));
    assert_eq!(stale, None, "the old epoch moves nothing any more");
}
