//! RDS instances: their lives, what a promotion loses, fences, and the way back.

use failoverd_domain::data::store::DbInstance;
use failoverd_domain::ids::Region;

use super::test_ground::{euw1, pass, use1, usw2, world};
use super::{CLOSED_GROUP, InstanceChanges, NewInstance, PendingValues, SimulatedAws, StoreId, Undelivered};

/// A world with the instance `orders` in us-east-1 and its replica `orders-eu` in eu-west-1.
fn pair() -> SimulatedAws {
    let aws = world();
    aws.make_instance(&use1(), "orders", None);
    aws.make_instance(&euw1(), "orders-eu", Some((&use1(), "orders")));
    aws
}

fn instance(aws: &SimulatedAws, region: &Region, id: &str) -> DbInstance {
    aws.with(|w| w.instance(region, id)).unwrap()
}

fn status(aws: &SimulatedAws, region: &Region, id: &str) -> String {
    aws.with(|w| w.instance(region, id)).map_or_else(|| "none".into(), |found| found.status)
}

fn write(aws: &SimulatedAws, region: &Region, id: &str, version: u64) -> Result<(), &'static str> {
    aws.with(|w| w.write_instance_row(region, id, "k", version)).map_err(|refusal| refusal.code)
}

fn row(aws: &SimulatedAws, region: &Region, id: &str) -> Result<Option<u64>, &'static str> {
    aws.with(|w| w.read_instance_row(region, id, "k")).map_err(|refusal| refusal.code)
}

fn events(aws: &SimulatedAws, region: &Region, source: &str) -> Vec<&'static str> {
    aws.with(|w| w.rds_events(region).filter(|event| event.source == source).map(|event| event.id).collect())
}

#[tokio::test(start_paused = true)]
async fn a_new_instance_is_created_backed_up_and_then_available() {
    let aws = world();
    let new =
        NewInstance { class: Some("db.t4g.medium".into()), engine: Some("postgres".into()), ..NewInstance::default() };
    aws.with(|w| w.create_instance(&use1(), "Ledger", new.clone())).unwrap();
    assert_eq!(status(&aws, &use1(), "ledger"), "creating");
    assert_eq!(write(&aws, &use1(), "ledger", 1), Err("ConnectionRefused"));
    assert_eq!(aws.with(|w| w.create_instance(&use1(), "ledger", new)).unwrap_err().code, "DBInstanceAlreadyExists");
    pass(301_000).await;
    assert_eq!(status(&aws, &use1(), "ledger"), "backing-up");
    write(&aws, &use1(), "ledger", 1).unwrap();
    pass(61_000).await;
    let made = instance(&aws, &use1(), "ledger");
    assert_eq!((made.status.as_str(), made.backup_days, made.class.as_str()), ("available", 1, "db.t4g.medium"));
    assert_eq!(events(&aws, &use1(), "ledger"), ["RDS-EVENT-0005", "RDS-EVENT-0002"]);
}

#[tokio::test(start_paused = true)]
async fn a_replica_shows_rows_after_its_lag_and_takes_none() {
    let aws = pair();
    aws.set_lag(&StoreId::Instance("orders-eu".into()), &euw1(), 10_000);
    write(&aws, &use1(), "orders", 1).unwrap();
    assert_eq!(write(&aws, &use1(), "orders", 1), Err("ConditionalCheckFailedException"));
    pass(7_900).await;
    assert_eq!((row(&aws, &use1(), "orders"), row(&aws, &euw1(), "orders-eu")), (Ok(Some(1)), Ok(None)));
    pass(4_200).await;
    assert_eq!(row(&aws, &euw1(), "orders-eu"), Ok(Some(1)));
    assert_eq!(write(&aws, &euw1(), "orders-eu", 2), Err("25006"));
    pass(120_000).await;
    let point = |w: &mut super::World| w.lag_point(&StoreId::Instance("orders-eu".into()), &euw1(), &euw1());
    let (lag_ms, age_ms) = aws.with(point).unwrap();
    assert!(lag_ms == 10_000 && age_ms < 60_000, "{lag_ms} {age_ms}");
    aws.break_replication(&euw1(), "orders-eu", true);
    assert_eq!(instance(&aws, &euw1(), "orders-eu").replication_problem.as_deref(), Some("error"));
    write(&aws, &use1(), "orders", 2).unwrap();
    pass(180_000).await;
    assert_eq!(row(&aws, &euw1(), "orders-eu"), Ok(Some(1)));
    assert!(aws.with(point).unwrap().0 > 100_000, "it grows while nothing arrives");
    aws.break_replication(&euw1(), "orders-eu", false);
    pass(20_000).await;
    assert_eq!(row(&aws, &euw1(), "orders-eu"), Ok(Some(2)));
}

#[tokio::test(start_paused = true)]
async fn a_promotion_is_a_one_way_door_through_a_reboot_and_loses_what_had_not_arrived() {
    let aws = pair();
    write(&aws, &use1(), "orders", 1).unwrap();
    pass(5_000).await;
    let lost_at = aws.with(|w| w.now().0);
    (2..5).for_each(|version| write(&aws, &use1(), "orders", version).unwrap());
    aws.break_region(&use1());
    aws.with(|w| w.promote_instance(&euw1(), "orders-eu")).unwrap();
    assert_eq!(status(&aws, &euw1(), "orders-eu"), "modifying");
    assert!(instance(&aws, &euw1(), "orders-eu").replica_of.is_some());
    assert_eq!(write(&aws, &euw1(), "orders-eu", 9), Err("25006"));
    assert_eq!(aws.with(|w| w.promote_instance(&euw1(), "orders-eu")).unwrap_err().code, "InvalidDBInstanceState");
    pass(91_000).await;
    let rebooting = instance(&aws, &euw1(), "orders-eu");
    assert_eq!((rebooting.status.as_str(), rebooting.replica_of), ("rebooting", None));
    assert_eq!(write(&aws, &euw1(), "orders-eu", 9), Err("ConnectionRefused"));
    pass(31_000).await;
    let alone = instance(&aws, &euw1(), "orders-eu");
    assert!(alone.is_available() && alone.is_writer() && alone.backup_days > 0, "{alone:?}");
    assert_eq!(row(&aws, &euw1(), "orders-eu"), Ok(Some(1)));
    write(&aws, &euw1(), "orders-eu", 9).unwrap();
    let lost = aws.lost_instance_writes(&euw1(), "orders-eu");
    assert_eq!(lost.len(), 1);
    assert_eq!(lost[0].undelivered, Undelivered { writes: 3, oldest_ms: Some(lost_at) });
    assert_eq!((&lost[0].from, &lost[0].to), (&use1(), &euw1()));
    let again = aws.with(|w| w.promote_instance(&euw1(), "orders-eu")).unwrap_err();
    assert!(again.message.contains("not a read replica"), "{again:?}");
    assert_eq!(events(&aws, &euw1(), "orders-eu"), ["RDS-EVENT-0062", "RDS-EVENT-0006"]);

    aws.heal_region(&use1());
    write(&aws, &use1(), "orders", 10).unwrap();
    pass(60_000).await;
    assert_eq!(aws.instance_split_brain_writes(&use1(), "orders"), 1, "nothing stopped the old primary");
    assert_eq!(row(&aws, &euw1(), "orders-eu"), Ok(Some(9)), "and nothing of it arrives");
}

#[tokio::test(start_paused = true)]
async fn a_fence_is_a_swap_of_security_groups_and_back() {
    let aws = pair();
    let groups = |aws: &SimulatedAws| aws.with(|w| w.view_instance(&use1(), "orders")).unwrap().groups;
    let before = groups(&aws);
    aws.with(|w| w.set_instance_fence(&use1(), "orders", "sg-0fence", true)).unwrap();
    assert_eq!(groups(&aws), ["sg-0fence"]);
    assert_eq!(aws.with(|w| w.instance_has_fence(&use1(), "orders", "sg-0fence")), Ok(true));
    assert_eq!(status(&aws, &use1(), "orders"), "modifying");
    assert_eq!(write(&aws, &use1(), "orders", 1), Err("ConnectionTimeout"));
    assert_eq!(row(&aws, &use1(), "orders"), Err("ConnectionTimeout"));
    aws.with(|w| w.set_instance_fence(&use1(), "orders", "sg-0fence", true)).unwrap();
    assert_eq!(aws.effects().iter().map(|effect| effect.changed).collect::<Vec<_>>(), [true, false]);
    pass(21_000).await;
    aws.with(|w| w.set_instance_fence(&use1(), "orders", "sg-0fence", false)).unwrap();
    assert_eq!(groups(&aws), before);
    write(&aws, &use1(), "orders", 1).unwrap();
    pass(21_000).await;
    let open_too =
        InstanceChanges { groups: Some(vec![CLOSED_GROUP.into(), "sg-0web".into()]), ..InstanceChanges::default() };
    aws.with(|w| w.modify_instance(&use1(), "orders", open_too)).unwrap();
    write(&aws, &use1(), "orders", 2).unwrap();
    let wrong = InstanceChanges { groups: Some(vec!["default".into()]), ..InstanceChanges::default() };
    pass(21_000).await;
    assert_eq!(aws.with(|w| w.modify_instance(&use1(), "orders", wrong)).unwrap_err().code, "InvalidParameterValue");
}

#[tokio::test(start_paused = true)]
async fn after_a_rename_the_old_endpoint_answers_nobody_and_a_replica_takes_the_name() {
    let aws = pair();
    aws.with(|w| w.promote_instance(&euw1(), "orders-eu")).unwrap();
    pass(121_000).await;
    write(&aws, &euw1(), "orders-eu", 7).unwrap();
    let taken = aws.with(|w| w.create_replica(&use1(), "orders", "arn:aws:rds:eu-west-1:123456789012:db:orders-eu"));
    assert_eq!(taken.unwrap_err().code, "DBInstanceAlreadyExists");
    aws.with(|w| w.rename_instance(&use1(), "orders", "orders-aside")).unwrap();
    assert_eq!(
        (status(&aws, &use1(), "orders"), status(&aws, &use1(), "orders-aside")),
        ("renaming".into(), "none".into())
    );
    assert_eq!(write(&aws, &use1(), "orders", 8), Err("ConnectionRefused"));
    assert_eq!(aws.with(|w| w.rename_instance(&use1(), "orders", "other")).unwrap_err().code, "InvalidDBInstanceState");
    pass(61_000).await;
    assert_eq!(
        (status(&aws, &use1(), "orders"), status(&aws, &use1(), "orders-aside")),
        ("none".into(), "rebooting".into())
    );
    assert_eq!(write(&aws, &use1(), "orders", 8), Err("UnknownHost"));
    assert!(instance(&aws, &use1(), "orders-aside").arn.ends_with(":db:orders-aside"));

    // The way back: a replica of the new primary under the old name, which is promoted in its turn.
    let source = "arn:aws:rds:eu-west-1:123456789012:db:orders-eu";
    aws.with(|w| w.create_replica(&use1(), "orders", source)).unwrap();
    assert_eq!(instance(&aws, &euw1(), "orders-eu").replicas, ["arn:aws:rds:us-east-1:123456789012:db:orders"]);
    write(&aws, &euw1(), "orders-eu", 8).unwrap();
    pass(301_000).await;
    let back = instance(&aws, &use1(), "orders");
    assert_eq!((back.status.as_str(), back.replica_of.as_deref(), back.backup_days), ("available", Some(source), 0));
    assert_eq!(
        row(&aws, &use1(), "orders"),
        Ok(Some(8)),
        "it has what was there before, and what was written meanwhile"
    );
    write(&aws, &euw1(), "orders-eu", 9).unwrap();
    pass(5_000).await;
    aws.with(|w| w.promote_instance(&use1(), "orders")).unwrap();
    pass(121_000).await;
    write(&aws, &use1(), "orders", 10).unwrap();
    assert_eq!(aws.lost_instance_writes(&use1(), "orders")[0].undelivered.writes, 0);
    write(&aws, &euw1(), "orders-eu", 11).unwrap();
    assert_eq!(aws.instance_split_brain_writes(&euw1(), "orders-eu"), 1);
    assert_eq!(aws.instance_split_brain_writes(&use1(), "orders"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_replica_needs_a_source_that_is_there_reachable_and_backed_up() {
    let aws = pair();
    let replicate = |to: &Region, source: &str| {
        aws.with(|w| w.create_replica(to, "copy", &format!("arn:aws:rds:us-east-1:123456789012:db:{source}")))
            .map_err(|r| (r.code, r.retryable))
    };
    assert_eq!(replicate(&usw2(), "nothing"), Err(("DBInstanceNotFound", false)));
    aws.cut(&usw2(), &use1());
    assert_eq!(replicate(&usw2(), "orders"), Err(("InvalidDBInstanceState", true)));
    aws.mend(&usw2(), &use1());
    aws.with(|w| w.reboot_instance(&use1(), "orders")).unwrap();
    assert_eq!(replicate(&usw2(), "orders"), Err(("InvalidDBInstanceState", true)));
    pass(31_000).await;
    aws.make_instance(&use1(), "bare", None);
    let days = |days| InstanceChanges {
        now: true,
        values: PendingValues { backup_days: Some(days), ..PendingValues::default() },
        ..InstanceChanges::default()
    };
    aws.with(|w| w.modify_instance(&use1(), "bare", days(0))).unwrap();
    pass(21_000).await;
    let bare =
        aws.with(|w| w.create_replica(&usw2(), "copy", "arn:aws:rds:us-east-1:123456789012:db:bare")).unwrap_err();
    assert!(bare.message.starts_with("Automated backups are not enabled"), "{bare:?}");
    aws.with(|w| w.modify_instance(&use1(), "bare", days(7))).unwrap();
    pass(21_000).await;
    assert_eq!(status(&aws, &use1(), "bare"), "backing-up", "the first backup comes at once");
    assert_eq!(replicate(&usw2(), "bare"), Ok(()));
    let off = aws.with(|w| w.modify_instance(&use1(), "bare", days(0))).unwrap_err();
    assert_eq!(off.code, "InvalidParameterCombination", "a source keeps its backups");

    aws.break_region(&use1());
    pass(400_000).await;
    assert_eq!(status(&aws, &usw2(), "copy"), "creating", "its first rows cannot come");
    aws.heal_region(&use1());
    pass(1_000).await;
    assert_eq!(status(&aws, &usw2(), "copy"), "available");
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_window_is_pending_and_a_stranger_may_delete() {
    let aws = pair();
    let later = InstanceChanges {
        values: PendingValues {
            id: Some("renamed".into()),
            class: Some("db.r6g.xlarge".into()),
            ..PendingValues::default()
        },
        ..InstanceChanges::default()
    };
    aws.with(|w| w.modify_instance(&use1(), "orders", later)).unwrap();
    let view = aws.with(|w| w.view_instance(&use1(), "orders")).unwrap();
    assert_eq!((view.status, view.class.as_str()), ("available", "db.r6g.large"));
    assert_eq!((view.pending.id.as_deref(), view.pending.class.as_deref()), (Some("renamed"), Some("db.r6g.xlarge")));
    aws.with(|w| w.delete_instance(&use1(), "orders")).unwrap();
    assert_eq!(aws.with(|w| w.delete_instance(&use1(), "orders")).unwrap_err().code, "InvalidDBInstanceState");
    assert_eq!(status(&aws, &use1(), "orders"), "deleting");
    pass(121_000).await;
    assert_eq!(status(&aws, &use1(), "orders"), "none");
    let orphan = instance(&aws, &euw1(), "orders-eu");
    assert_eq!(orphan.replication_problem.as_deref(), Some("terminated"));
    assert_eq!(orphan.replica_of.as_deref(), Some("arn:aws:rds:us-east-1:123456789012:db:orders"));
    aws.with(|w| w.promote_instance(&euw1(), "orders-eu")).unwrap();
    pass(121_000).await;
    write(&aws, &euw1(), "orders-eu", 1).unwrap();
}
