//! Stores: what arrives, what is lost, and what a move does.

use failoverd_domain::data::store::ReplicaStatus;
use failoverd_domain::ids::Region;

use super::test_ground::{euw1, pass, use1, usw2, world};
use super::{SimulatedAws, StoreId, Undelivered};

fn row(aws: &SimulatedAws, region: &Region) -> Option<u64> {
    aws.with(|w| w.read_row(region, "gc", "k")).unwrap()
}

fn write(aws: &SimulatedAws, region: &Region, version: u64) -> Result<(), &'static str> {
    aws.with(|w| w.write_row(region, "gc", "k", version)).map_err(|refusal| refusal.code)
}

fn writer(aws: &SimulatedAws, asked_in: &Region) -> String {
    let cluster = aws.with(|w| w.describe_cluster(asked_in, "gc")).unwrap();
    cluster.writer().map(ToString::to_string).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_secondary_sees_writes_after_the_lag_and_takes_none() {
    let aws = world();
    aws.set_lag(&StoreId::Aurora("gc".into()), &euw1(), 10_000);
    write(&aws, &use1(), 1).unwrap();
    assert_eq!((row(&aws, &use1()), row(&aws, &euw1())), (Some(1), None));
    pass(7_900).await;
    assert_eq!(row(&aws, &euw1()), None);
    pass(4_200).await;
    assert_eq!(row(&aws, &euw1()), Some(1));
    assert_eq!(write(&aws, &euw1(), 2), Err("25006"));
    assert_eq!(write(&aws, &use1(), 1), Err("ConditionalCheckFailedException"));
}

#[tokio::test(start_paused = true)]
async fn a_switchover_loses_nothing_and_takes_its_time() {
    let aws = world();
    aws.set_lag(&StoreId::Aurora("gc".into()), &euw1(), 90_000);
    write(&aws, &use1(), 1).unwrap();
    aws.with(|w| w.switchover_cluster(&use1(), "gc", &euw1())).unwrap();
    assert_eq!(write(&aws, &use1(), 2), Err("25006"), "the old writer stops first");
    assert_eq!(aws.with(|w| w.describe_cluster(&euw1(), "gc")).unwrap().moving_to, Some(euw1()));
    assert!(aws.with(|w| w.failover_cluster(&euw1(), "gc", &euw1())).is_err(), "one move at a time");
    pass(65_000).await;
    assert_eq!(writer(&aws, &euw1()), "us-east-1", "not before the last write has arrived");
    pass(45_000).await;
    assert_eq!((writer(&aws, &use1()).as_str(), row(&aws, &euw1())), ("eu-west-1", Some(1)));
    write(&aws, &euw1(), 2).unwrap();
    pass(1_000).await;
    assert_eq!(row(&aws, &use1()), Some(2));
    assert!(aws.lost_writes("gc").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_switchover_is_cancelled_when_a_side_dies() {
    let aws = world();
    aws.with(|w| w.switchover_cluster(&use1(), "gc", &euw1())).unwrap();
    aws.break_region(&euw1());
    pass(100_000).await;
    assert_eq!(writer(&aws, &use1()), "us-east-1");
    write(&aws, &use1(), 1).unwrap();
    assert_eq!(
        aws.with(|w| w.switchover_cluster(&use1(), "gc", &euw1())).unwrap_err().code,
        "InvalidDBClusterStateFault"
    );
}

#[tokio::test(start_paused = true)]
async fn a_failover_loses_what_had_not_arrived_and_the_old_region_is_rebuilt() {
    let aws = world();
    write(&aws, &use1(), 1).unwrap();
    pass(1_000).await;
    let lost_at = aws.with(|w| w.now().0);
    write(&aws, &use1(), 2).unwrap();
    write(&aws, &use1(), 3).unwrap();
    aws.break_region(&use1());
    aws.with(|w| w.failover_cluster(&euw1(), "gc", &euw1())).unwrap();
    pass(61_000).await;
    assert_eq!((writer(&aws, &euw1()).as_str(), row(&aws, &euw1())), ("eu-west-1", Some(1)));
    let lost = aws.lost_writes("gc");
    assert_eq!(lost[0].undelivered, Undelivered { writes: 2, oldest_ms: Some(lost_at) });
    write(&aws, &euw1(), 10).unwrap();

    aws.heal_region(&use1());
    let in_sync =
        |aws: &SimulatedAws| aws.with(|w| w.describe_cluster(&euw1(), "gc")).unwrap().members[&use1()].in_sync;
    pass(60_000).await;
    assert!(!in_sync(&aws));
    assert_eq!(
        aws.with(|w| w.switchover_cluster(&euw1(), "gc", &use1())).unwrap_err().code,
        "InvalidDBClusterStateFault"
    );
    pass(600_000).await;
    assert!(in_sync(&aws));
    assert_eq!(row(&aws, &use1()), Some(10));
    aws.with(|w| w.switchover_cluster(&euw1(), "gc", &use1())).unwrap();
    pass(61_000).await;
    assert_eq!(writer(&aws, &use1()), "us-east-1");
}

#[tokio::test(start_paused = true)]
async fn an_old_writer_that_was_only_cut_off_is_a_zombie_until_it_is_found() {
    let aws = world();
    aws.isolate(&use1());
    aws.with(|w| w.failover_cluster(&euw1(), "gc", &euw1())).unwrap();
    pass(61_000).await;
    assert_eq!((writer(&aws, &euw1()), writer(&aws, &use1())), ("eu-west-1".into(), "us-east-1".into()));
    write(&aws, &use1(), 5).unwrap();
    assert_eq!(aws.split_brain_writes("gc"), 1);
    pass(5_000).await;
    assert_eq!(row(&aws, &euw1()), None, "a zombie's writes go nowhere");
    aws.rejoin(&use1());
    pass(1_000).await;
    write(&aws, &use1(), 6).unwrap();
    assert_eq!(aws.split_brain_writes("gc"), 2, "the fence is best effort");
    pass(6_000).await;
    assert_eq!(write(&aws, &use1(), 7), Err("25006"));
    assert_eq!(writer(&aws, &use1()), "eu-west-1");
}

#[tokio::test(start_paused = true)]
async fn a_fence_stops_writes_and_a_reachable_old_writer_is_fenced_at_once() {
    let aws = world();
    aws.with(|w| w.set_fenced(&use1(), "gc", true)).unwrap();
    assert_eq!(write(&aws, &use1(), 1), Err("ConnectionTimeout"));
    assert_eq!(aws.with(|w| w.is_fenced(&use1(), "gc")), Ok(true));
    aws.with(|w| w.set_fenced(&use1(), "gc", true)).unwrap();
    assert_eq!(aws.effects().iter().map(|effect| effect.changed).collect::<Vec<_>>(), [true, false]);
    aws.with(|w| w.set_fenced(&use1(), "gc", false)).unwrap();
    write(&aws, &use1(), 1).unwrap();
    aws.with(|w| w.failover_cluster(&euw1(), "gc", &euw1())).unwrap();
    pass(61_000).await;
    assert_eq!(write(&aws, &use1(), 2), Err("25006"));
    assert_eq!(aws.split_brain_writes("gc"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_headless_or_mismatched_secondary_is_not_promoted() {
    let aws = world();
    aws.set_instances("gc", &euw1(), 0);
    let refusal = |aws: &SimulatedAws| aws.with(|w| w.failover_cluster(&euw1(), "gc", &euw1())).unwrap_err().message;
    assert!(refusal(&aws).contains("headless"));
    aws.set_instances("gc", &euw1(), 1);
    aws.set_engine_version("gc", &euw1(), "15.2");
    assert!(refusal(&aws).contains("Engine versions"));
    let code = |region: &Region, to: &Region| aws.with(|w| w.failover_cluster(region, "gc", to)).unwrap_err().code;
    assert_eq!(code(&usw2(), &euw1()), "GlobalClusterNotFoundFault");
    assert_eq!(code(&use1(), &usw2()), "DBClusterNotFoundFault");
}

#[tokio::test(start_paused = true)]
async fn table_items_replicate_both_ways_and_the_last_writer_wins() {
    let aws = world();
    let get = |region: &Region| aws.with(|w| w.get_item(region, "Orders", "k")).unwrap();
    aws.with(|w| w.put_item(&use1(), "Orders", "k", 1)).unwrap();
    let again = aws.with(|w| w.put_item(&use1(), "Orders", "k", 1)).unwrap_err();
    assert_eq!(again.code, "ConditionalCheckFailedException");
    assert_eq!(get(&euw1()), None);
    pass(2_000).await;
    assert_eq!(get(&euw1()), Some(1));
    aws.cut(&euw1(), &use1());
    aws.with(|w| w.put_item(&use1(), "Orders", "k", 9)).unwrap();
    pass(10).await;
    aws.with(|w| w.put_item(&euw1(), "Orders", "k", 2)).unwrap();
    pass(60_000).await;
    assert_eq!((get(&use1()), get(&euw1())), (Some(9), Some(2)));
    aws.mend(&euw1(), &use1());
    pass(3_000).await;
    assert_eq!((get(&use1()), get(&euw1())), (Some(2), Some(2)), "the later write wins everywhere");
}

#[tokio::test(start_paused = true)]
async fn a_new_replica_is_active_after_a_while_and_has_the_items() {
    let aws = world();
    aws.with(|w| w.put_item(&use1(), "Orders", "k", 1)).unwrap();
    aws.with(|w| w.add_replica(&use1(), "Orders", &usw2())).unwrap();
    let status = || aws.with(|w| w.describe_table(&use1(), "Orders")).unwrap().replicas[&usw2()];
    assert_eq!(status(), ReplicaStatus::Creating);
    assert!(aws.with(|w| w.get_item(&usw2(), "Orders", "k")).is_err());
    let code = |to: &str| aws.with(|w| w.add_replica(&use1(), "Orders", &to.into())).unwrap_err().code;
    assert_eq!((code("us-west-2"), code("ap-south-1")), ("ValidationException", "ResourceInUseException"));
    pass(121_000).await;
    assert_eq!(status(), ReplicaStatus::Active);
    assert_eq!(aws.with(|w| w.get_item(&usw2(), "Orders", "k")), Ok(Some(1)));
}

#[tokio::test(start_paused = true)]
async fn objects_follow_the_rules_with_a_lag_and_pending_is_counted() {
    let aws = world();
    let pending = |aws: &SimulatedAws| aws.with(|w| w.describe_bucket(&use1(), "media-use1")).unwrap().pending;
    let get = |bucket: &str, region: &Region| aws.with(|w| w.get_object(region, bucket, "k")).unwrap();
    aws.with(|w| w.put_object(&use1(), "media-use1", "k", 1)).unwrap();
    assert_eq!((pending(&aws), get("media-euw1", &euw1())), (Some(1), None));
    pass(7_000).await;
    assert_eq!((pending(&aws), get("media-euw1", &euw1())), (Some(0), Some(1)));
    let role = Some("arn:aws:iam::1:role/r");
    let reverse = |aws: &SimulatedAws, role_arn| {
        let (from, to) = ("media-euw1", "media-use1");
        let wish = crate::ports::ReplicationWish { from, to, role_arn, both_ways: true, time_control: false };
        aws.with(|w| w.replicate_bucket(&euw1(), &wish))
    };
    assert_eq!(reverse(&aws, None).unwrap_err().code, "InvalidRequest");
    aws.set_versioning("media-use1", false);
    assert!(reverse(&aws, role).unwrap_err().message.contains("versioning"));
    aws.set_versioning("media-use1", true);
    reverse(&aws, role).unwrap();
    reverse(&aws, role).unwrap();
    assert_eq!(aws.effects().iter().filter(|effect| effect.changed).count(), 1);
    aws.break_region(&euw1());
    (2..6).for_each(|version| aws.with(|w| w.put_object(&use1(), "media-use1", "k", version)).unwrap());
    pass(60_000).await;
    assert_eq!(pending(&aws), Some(4));
    aws.heal_region(&euw1());
    pass(10_000).await;
    assert_eq!((pending(&aws), get("media-euw1", &euw1())), (Some(0), Some(5)));
}

#[tokio::test(start_paused = true)]
async fn lag_is_a_data_point_with_an_age_and_a_dead_region_emits_none() {
    let aws = world();
    let table = StoreId::Table("Orders".into());
    let point = |emitter: &Region, to: &Region| aws.with(|w| w.lag_point(&table, emitter, to));
    pass(90_000).await;
    let (value, age) = point(&use1(), &euw1()).unwrap();
    assert!(value == 800 && age < 60_000, "{value} {age}");
    aws.break_region(&use1());
    pass(600_000).await;
    let (_, old) = point(&use1(), &euw1()).unwrap();
    let (_, fresh) = point(&euw1(), &use1()).unwrap();
    assert!(old >= 600_000 && fresh < 60_000, "{old} {fresh}");
}
