//! The cases, and what a server cannot do.

mod data;
mod databases;
mod traffic;
mod watching;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::ground::Ground;

type Case = fn(&Ground) -> BoxFuture<'_, ()>;

macro_rules! cases {
    ($($module:ident :: $name:ident),* $(,)?) => {
        const CASES: &[(&str, Case)] = &[$((stringify!($name), |ground| Box::pin($module::$name(ground)))),*];
    };
}

cases![
    traffic::a_zone_is_found_by_its_name_and_a_missing_one_is_refused,
    traffic::every_record_is_listed_page_by_page,
    traffic::records_of_every_policy_come_back_as_they_were_written,
    traffic::a_batch_is_all_or_nothing,
    traffic::whoever_read_an_old_mark_writes_nothing,
    traffic::a_change_comes_in_sync,
    traffic::checks_of_every_kind_come_back_as_they_were_made,
    traffic::a_check_is_made_once_and_changed_at_its_version,
    traffic::a_check_that_was_deleted_is_made_anew,
    databases::a_global_cluster_switches_over_and_fails_over,
    databases::a_headless_member_is_told,
    databases::what_is_no_global_cluster_is_refused,
    databases::a_replica_is_promoted_put_aside_and_made_the_other_way,
    databases::a_fence_lets_nobody_in_and_gives_the_groups_back,
    data::a_table_is_made_and_gets_replicas_one_at_a_time,
    data::a_canary_item_only_rises_and_arrives_elsewhere,
    data::a_missing_table_is_refused_in_words,
    data::a_bucket_without_versioning_is_refused_in_words,
    data::rules_are_added_and_others_left_alone,
    data::a_canary_object_only_rises_and_arrives_elsewhere,
    watching::an_alarm_tells_its_state,
    watching::lag_comes_with_its_age,
    watching::figures_of_the_fleet_are_published,
    watching::an_alarm_of_a_switch_comes_back_as_it_was_made,
    watching::a_switchs_alarm_says_what_was_published,
    watching::a_switchs_alarm_hears_a_daemon_whose_clock_is_hours_off,
    watching::a_check_copies_its_alarms_rule_when_it_is_made_and_when_it_is_updated,
    watching::we_know_who_we_are_and_what_we_may_not,
];

/// What a server cannot do, and why: nothing is skipped in silence.
const SKIPS: &[(&str, &str, &str)] = &[
    ("ministack", "checks_of_every_kind_come_back_as_they_were_made", "loses CALCULATED children and flags"),
    ("ministack", "a_check_is_made_once_and_changed_at_its_version", "loses the flags of checks"),
    ("ministack", "a_check_that_was_deleted_is_made_anew", "loses the flags of checks"),
    ("ministack", "a_replica_is_promoted_put_aside_and_made_the_other_way", "has no read replicas by ARN"),
    (
        "ministack",
        "a_check_copies_its_alarms_rule_when_it_is_made_and_when_it_is_updated",
        "copies no alarm into a check",
    ),
    ("ministack", "we_know_who_we_are_and_what_we_may_not", "simulates no policies for principals that have none"),
];

async fn run(ground: &Ground) {
    let mut failed = Vec::new();
    for (name, case) in CASES {
        if let Some((_, _, why)) = SKIPS.iter().find(|(server, case, _)| *server == ground.name && case == name) {
            println!("{}: {name} ... skipped: {why}", ground.name);
            continue;
        }
        let ended = std::panic::AssertUnwindSafe(case(ground)).catch_unwind().await;
        println!("{}: {name} ... {}", ground.name, if ended.is_ok() { "ok" } else { "FAILED" });
        failed.extend(ended.is_err().then_some(*name));
    }
    assert!(failed.is_empty(), "on {}: {}", ground.name, failed.join(", "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_port_keeps_its_word_on_the_simulated_aws() {
    run(&Ground::simulated("ports", true).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_port_keeps_its_word_through_the_sdk_on_the_wire() {
    run(&Ground::simulated("wire", false).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_port_keeps_its_word_through_the_sdk_on_ministack() {
    run(&Ground::ministack().await).await;
}

#[test]
fn what_is_skipped_is_a_case_of_a_server() {
    for (server, case, _) in SKIPS {
        assert!(CASES.iter().any(|(name, _)| name == case), "{case} is no case");
        assert_eq!(*server, "ministack", "our own servers do everything");
    }
}
