//! AWS on a bad day, through the SDK: what the adapters make of it is what the engine decides by.

use std::time::Duration;

use failoverd::ports::{Effect, World};
use failoverd::sim::world::{Service, SimulatedAws};
use failoverd_domain::ids::Region;
use failoverd_domain::route53::{Change, RecordSet, RecordType};
use tokio::time::Instant;

use super::ground::{EU, Ground, US, until};

struct Bad {
    ground: Ground,
    us: Region,
    eu: Region,
}

impl Bad {
    /// A global cluster, a table and a zone on a wire that will be broken.
    async fn day() -> Self {
        let ground = Ground::simulated("wire", false).await;
        let (us, eu) = (Region::from(US), Region::from(EU));
        let bad = Self { ground, us, eu };
        let aws = bad.aws();
        let regions = [bad.us.clone(), bad.eu.clone()];
        aws.create_global_cluster(
            "shop",
            &[(regions[0].clone(), "shop-us".into()), (regions[1].clone(), "shop-eu".into())],
        );
        aws.create_table("Orders", &regions);
        aws.create_zone("example.com", &regions);
        bad
    }

    fn aws(&self) -> &SimulatedAws {
        self.ground.aws.as_ref().unwrap()
    }

    fn world(&self) -> World {
        self.ground.world(EU)
    }

    fn moves(&self) -> usize {
        let moves = |effect: &failoverd::sim::world::EffectRecord| effect.operation == "FailoverGlobalCluster";
        self.aws().effects().iter().filter(|effect| moves(effect)).count()
    }
}

fn text(value: &str) -> RecordSet {
    RecordSet::simple("a.example.com", RecordType::Txt, 60, vec![value.to_owned()])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_neither_yes_nor_no_and_the_effect_is_found_by_looking() {
    let bad = Bad::day().await;
    bad.aws().lose_next_answers(&bad.eu, Service::Rds, 1);
    let world = bad.world();
    let lost = world.aurora.failover(&bad.eu, "shop", &bad.eu).await.unwrap_err();
    assert_eq!((lost.operation, lost.effect), ("FailoverGlobalCluster", Effect::Unknown), "{lost}");
    until("the move that nobody confirmed is seen", || async {
        let found = world.aurora.describe(&bad.eu, "shop").await.map_err(|error| error.to_string())?;
        if found.moving_to.is_none() && found.writer() == Some(&bad.eu) { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
    assert_eq!(bad.moves(), 1, "a mutation is sent once, whatever becomes of its answer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_throttled_change_had_no_effect_and_may_be_tried_again() {
    let bad = Bad::day().await;
    bad.aws().throttle(&bad.eu, Service::Rds, true);
    let world = bad.world();
    let began = Instant::now();
    let refused = world.aurora.failover(&bad.eu, "shop", &bad.eu).await.unwrap_err();
    assert_eq!((refused.code.as_str(), refused.effect), ("Throttling", Effect::NoneRetryable), "{refused}");
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    bad.aws().throttle(&bad.eu, Service::Rds, false);
    world.aurora.failover(&bad.eu, "shop", &bad.eu).await.unwrap();
    assert_eq!(bad.moves(), 1);
}

/// The SDK tries a read again out of a budget: ten at once, and one in ten seconds. A change is tried again by the engine alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_everything_is_throttled_reads_are_hardly_more_than_one_try_each() {
    let bad = Bad::day().await;
    let world = bad.world();
    world.aurora.describe(&bad.eu, "shop").await.unwrap();
    bad.aws().throttle(&bad.eu, Service::Rds, true);
    let mut tries = Vec::new();
    let until = Instant::now() + Duration::from_secs(40);
    while tries.len() < 25 && Instant::now() < until {
        let before = bad.aws().turned_away();
        let refused = world.aurora.describe(&bad.eu, "shop").await.unwrap_err();
        assert_eq!(refused.effect, Effect::NoneRetryable, "{refused}");
        // One that our own budget keeps back is not sent at all.
        tries.extend(Some(bad.aws().turned_away() - before).filter(|tried| *tried > 0));
    }
    let again: u64 = tries.iter().map(|tried| tried - 1).sum();
    assert!((8..=15).contains(&again) && tries.len() >= 15, "{again} retries: {tries:?}");
    let before = bad.aws().turned_away();
    let change = world.aurora.failover(&bad.eu, "shop", &bad.eu).await.unwrap_err();
    assert_eq!(change.effect, Effect::NoneRetryable, "{change}");
    assert!(bad.aws().turned_away() - before <= 2, "nobody but the engine tries a change again");
    bad.aws().throttle(&bad.eu, Service::Rds, false);
    world.aurora.describe(&bad.eu, "shop").await.expect("the first read after it goes through");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_regions_apis_that_say_nothing_are_given_up_on_in_time() {
    let bad = Bad::day().await;
    bad.aws().break_region(&bad.us);
    let world = bad.world();
    let began = Instant::now();
    let silent = world.aurora.describe(&bad.us, "shop").await.unwrap_err();
    assert_eq!(silent.effect, Effect::NoneRetryable, "{silent}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let change = world.aurora.failover(&bad.us, "shop", &bad.eu).await.unwrap_err();
    // Its target is looked up first, and that is a read: nothing was sent that could have an effect.
    assert_eq!(change.effect, Effect::NoneRetryable, "{change}");
    world.aurora.failover(&bad.eu, "shop", &bad.eu).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn route_53s_api_may_be_away_and_the_others_do_not_mind() {
    let bad = Bad::day().await;
    let world = bad.world();
    world.records.change("example.com", vec![Change::Create(text("1"))]).await.unwrap();
    bad.aws().break_route53_api();
    let began = Instant::now();
    let swap = vec![Change::Delete(text("1")), Change::Create(text("2"))];
    let away = world.records.change("example.com", swap).await.unwrap_err();
    assert_eq!(away.effect, Effect::Unknown, "{away}");
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    world.aurora.failover(&bad.eu, "shop", &bad.eu).await.unwrap();
    world.tables.describe(&bad.eu, "Orders").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_credentials_are_said_in_words_and_pass() {
    let bad = Bad::day().await;
    bad.aws().expire_credentials(&bad.eu, true);
    let world = bad.world();
    let expired = world.aurora.failover(&bad.eu, "shop", &bad.eu).await.unwrap_err();
    assert_eq!((expired.code.as_str(), expired.effect), ("ExpiredToken", Effect::NoneRetryable));
    assert!(expired.message.contains("IRSA"), "{expired}");
    bad.aws().expire_credentials(&bad.eu, false);
    world.aurora.failover(&bad.eu, "shop", &bad.eu).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_permission_names_the_action_and_what_to_do() {
    let bad = Bad::day().await;
    bad.aws().deny(&bad.eu, "rds:FailoverGlobalCluster", true);
    let denied = bad.world().aurora.failover(&bad.eu, "shop", &bad.eu).await.unwrap_err();
    assert_eq!(denied.effect, Effect::None);
    assert!(denied.message.contains("rds:FailoverGlobalCluster") && denied.message.contains("iam-policy"), "{denied}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_is_assumed_and_one_that_may_not_be_is_named() {
    let bad = Bad::day().await;
    let role = "arn:aws:iam::123456789012:role/failoverd-shop";
    let as_role = bad.world().acting_as(Some(role));
    let identity = as_role.permissions.identity().await.unwrap();
    assert!(identity.arn.contains("assumed-role/failoverd-shop"), "{identity:?}");
    as_role.aurora.describe(&bad.eu, "shop").await.unwrap();
    let closed = "arn:aws:iam::999999999999:role/closed";
    bad.aws().close_role(closed, true);
    let refused = bad.world().acting_as(Some(closed)).aurora.failover(&bad.eu, "shop", &bad.eu).await.unwrap_err();
    assert_eq!(refused.effect, Effect::NoneRetryable, "{refused}");
    assert!(refused.message.contains(closed) && refused.message.contains("AssumeRole"), "{refused}");
    assert_eq!(bad.moves(), 0);
}
