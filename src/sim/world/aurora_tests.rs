//! Aurora beyond a move itself: words in transition, events, members that come and go.

use failoverd_domain::ids::Region;

use super::test_ground::{euw1, pass, use1, usw2, world};
use super::{ClusterChanges, NewCluster, NewGlobalCluster, NewInstance, SimulatedAws, Timing};

fn cluster_status(aws: &SimulatedAws, region: &Region, id: &str) -> &'static str {
    aws.with(|w| w.view_cluster(region, id)).map_or("none", |cluster| cluster.status)
}

fn move_status(aws: &SimulatedAws, asked_in: &Region) -> Option<&'static str> {
    aws.with(|w| w.view_global(asked_in, "gc")).unwrap().moving.map(|moving| moving.status)
}

fn events(aws: &SimulatedAws, region: &Region) -> Vec<(&'static str, String)> {
    aws.with(|w| w.rds_events(region).map(|event| (event.id, event.source.clone())).collect())
}

fn aurora(global: Option<&str>) -> NewCluster {
    NewCluster { engine: "aurora-postgresql".into(), global: global.map(Into::into), ..NewCluster::default() }
}

#[tokio::test(start_paused = true)]
async fn a_switchover_is_pending_first_and_says_how_it_goes() {
    let aws = world();
    aws.with(|w| w.switchover_cluster(&use1(), "gc", &euw1())).unwrap();
    assert_eq!(move_status(&aws, &use1()), Some("pending"));
    pass(10_000).await;
    assert_eq!(move_status(&aws, &euw1()), Some("failing-over"));
    let global = aws.with(|w| w.view_global(&use1(), "gc")).unwrap();
    let moving = global.moving.unwrap();
    assert_eq!((global.status.as_str(), moving.forced), ("switching-over", false));
    assert!(moving.from.contains("us-east-1") && moving.to.contains("eu-west-1"), "{moving:?}");
    assert_eq!(cluster_status(&aws, &use1(), "gc-use1"), "switching-over");
    pass(60_000).await;
    assert_eq!((move_status(&aws, &use1()), cluster_status(&aws, &euw1(), "gc-euw1")), (None, "available"));
    let told = |id, source: &str| (id, source.to_owned());
    assert_eq!(
        events(&aws, &use1()),
        [told("RDS-EVENT-0181", "gc-use1"), told("RDS-EVENT-0390", "gc-use1-1"), told("RDS-EVENT-0182", "gc-use1")]
    );
    assert_eq!(events(&aws, &euw1()), [told("RDS-EVENT-0184", "gc-euw1"), told("RDS-EVENT-0185", "gc-euw1")]);
}

#[tokio::test(start_paused = true)]
async fn a_switchover_that_cannot_go_on_is_cancelling_for_a_while() {
    let aws = world();
    aws.with(|w| w.switchover_cluster(&use1(), "gc", &euw1())).unwrap();
    aws.cut(&euw1(), &use1());
    assert_eq!(move_status(&aws, &use1()), Some("cancelling"));
    let refusal = aws.with(|w| w.failover_cluster(&euw1(), "gc", &euw1())).unwrap_err();
    assert_eq!((refusal.code, refusal.retryable), ("InvalidGlobalClusterStateFault", true));
    pass(Timing::default().cancel_ms).await;
    assert_eq!(move_status(&aws, &use1()), None);
    aws.with(|w| w.failover_cluster(&euw1(), "gc", &euw1())).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_failover_tells_whether_writes_were_stopped() {
    let words = |aws: &SimulatedAws, region: &Region| {
        let said = |w: &mut super::World| w.rds_events(region).map(|event| event.message.clone()).collect::<Vec<_>>();
        aws.with(said)
    };
    let aws = world();
    aws.with(|w| w.failover_cluster(&euw1(), "gc", &euw1())).unwrap();
    pass(61_000).await;
    let stopped = "Attempt to block writes for DB cluster gc-use1 in Region us-east-1 succeeded.".to_owned();
    assert!(words(&aws, &use1()).contains(&stopped), "{:?}", words(&aws, &use1()));
    pass(601_000).await;
    assert!(words(&aws, &use1()).last().is_some_and(|last| last.starts_with("Finished resynchronizing")));

    let aws = world();
    aws.isolate(&use1());
    aws.with(|w| w.failover_cluster(&euw1(), "gc", &euw1())).unwrap();
    pass(61_000).await;
    let timed_out = "Attempt to block writes for DB cluster gc-use1 in Region us-east-1 timed out.".to_owned();
    assert!(words(&aws, &euw1()).contains(&timed_out), "the old primary cannot be reached: {:?}", words(&aws, &euw1()));
    let cluster = aws.with(|w| w.view_global(&use1(), "gc")).unwrap();
    assert!(cluster.members[0].arn.contains("us-east-1") && cluster.members[0].is_writer, "the old Region's old story");
    aws.rejoin(&use1());
    pass(1_000).await;
    pass(6_000).await;
    assert!(words(&aws, &use1()).contains(&stopped), "{:?}", words(&aws, &use1()));
    let view = aws.with(|w| w.view_global(&euw1(), "gc")).unwrap();
    assert!(view.members[0].arn.contains("eu-west-1") && !view.members[1].in_sync);
}

#[tokio::test(start_paused = true)]
async fn a_fence_is_a_real_swap_of_security_groups() {
    let aws = world();
    let groups = |aws: &SimulatedAws| aws.with(|w| w.view_cluster(&use1(), "gc-use1")).unwrap().groups;
    let before = groups(&aws);
    aws.close_group("sg-0a");
    let swap = |to: &[String]| ClusterChanges { groups: Some(to.to_vec()), ..ClusterChanges::default() };
    aws.with(|w| w.modify_db_cluster(&use1(), "gc-use1", swap(&["sg-0a".into()]))).unwrap();
    assert_eq!(cluster_status(&aws, &use1(), "gc-use1"), "modifying");
    assert_eq!(aws.with(|w| w.is_fenced(&use1(), "gc")), Ok(true));
    assert_eq!(aws.with(|w| w.write_row(&use1(), "gc", "k", 1)).unwrap_err().code, "ConnectionTimeout");
    aws.with(|w| w.set_fenced(&use1(), "gc", false)).unwrap();
    assert_eq!(groups(&aws), before, "what was there before comes back");
    aws.with(|w| w.modify_db_cluster(&use1(), "gc-use1", swap(&["sg-0a".into(), "sg-0b".into()]))).unwrap();
    assert_eq!(aws.with(|w| w.is_fenced(&use1(), "gc")), Ok(false), "another group lets clients in");
}

#[tokio::test(start_paused = true)]
async fn a_secondary_can_be_detached_and_a_new_global_cluster_grown_from_it() {
    let aws = world();
    aws.with(|w| w.write_row(&use1(), "gc", "k", 1)).unwrap();
    pass(1_000).await;
    aws.with(|w| w.write_row(&use1(), "gc", "k", 2)).unwrap();
    let detach = |id: &str| aws.with(|w| w.detach_cluster(&euw1(), "gc", id)).map_err(|refusal| refusal.code);
    let arn = |region: &Region, id: &str| super::cluster_arn(region, id);
    assert_eq!(detach(&arn(&use1(), "gc-use1")), Err("InvalidGlobalClusterStateFault"), "secondaries go first");
    assert_eq!(detach(&arn(&euw1(), "other")), Err("DBClusterNotFoundFault"));
    detach(&arn(&euw1(), "gc-euw1")).unwrap();
    assert_eq!(cluster_status(&aws, &euw1(), "gc-euw1"), "promoting");
    assert_eq!(aws.with(|w| w.write_row(&euw1(), "gc-euw1", "k", 9)).unwrap_err().code, "25006");
    pass(11_000).await;
    assert_eq!(aws.with(|w| w.read_row(&euw1(), "gc-euw1", "k")), Ok(Some(1)));
    assert_eq!(aws.lost_by_detaching(&euw1(), "gc-euw1")[0].undelivered.writes, 1);
    aws.with(|w| w.write_row(&euw1(), "gc-euw1", "k", 9)).unwrap();
    assert!(aws.with(|w| w.describe_cluster(&euw1(), "gc")).is_err());

    let source = Some(arn(&euw1(), "gc-euw1"));
    aws.with(|w| w.create_global(&euw1(), "gc2", NewGlobalCluster { source, ..NewGlobalCluster::default() })).unwrap();
    aws.with(|w| w.create_db_cluster(&usw2(), "gc2-usw2", aurora(Some("gc2")))).unwrap();
    let described = |aws: &SimulatedAws| aws.with(|w| w.describe_cluster(&euw1(), "gc2")).unwrap();
    assert!(!described(&aws).members[&usw2()].in_sync);
    pass(121_000).await;
    let grown = described(&aws);
    assert_eq!((grown.writer(), grown.members[&usw2()].in_sync), (Some(&euw1()), true));
    let headless = aws.with(|w| w.switchover_cluster(&euw1(), "gc2", &usw2())).unwrap_err();
    assert!(headless.message.contains("headless"));
    let node = NewInstance {
        class: Some("db.r6g.xlarge".into()),
        engine: Some("aurora-postgresql".into()),
        cluster: Some("gc2-usw2".into()),
        ..NewInstance::default()
    };
    aws.with(|w| w.create_instance(&usw2(), "gc2-usw2-a", node)).unwrap();
    assert_eq!(described(&aws).members[&usw2()].instances, 0, "not while it is being made");
    pass(301_000).await;
    assert_eq!(described(&aws).members[&usw2()].instance_classes, ["db.r6g.xlarge"]);
    assert_eq!(aws.with(|w| w.read_row(&usw2(), "gc2", "k")), Ok(Some(9)));
    aws.with(|w| w.switchover_cluster(&euw1(), "gc2", &usw2())).unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_deleted_has_to_be_empty() {
    let aws = world();
    let code = |refusal: super::Refusal| refusal.code;
    assert_eq!(aws.with(|w| w.delete_global(&use1(), "gc")).map_err(code), Err("InvalidGlobalClusterStateFault"));
    assert_eq!(aws.with(|w| w.delete_db_cluster(&euw1(), "gc-euw1")).map_err(code), Err("InvalidDBClusterStateFault"));
    for (region, cluster) in [(euw1(), "gc-euw1"), (use1(), "gc-use1")] {
        aws.with(|w| w.detach_cluster(&region, "gc", cluster)).unwrap();
        pass(11_000).await;
        let nodes = aws.with(|w| w.delete_db_cluster(&region, cluster)).unwrap_err();
        assert!(nodes.message.contains("still contains DB instances"), "{nodes:?}");
        aws.with(|w| w.delete_instance(&region, &format!("{cluster}-1"))).unwrap();
        aws.with(|w| w.delete_db_cluster(&region, cluster)).unwrap();
        assert_eq!(cluster_status(&aws, &region, cluster), "deleting");
        pass(121_000).await;
        assert_eq!(cluster_status(&aws, &region, cluster), "none");
    }
    aws.with(|w| w.delete_global(&use1(), "gc")).unwrap();
    pass(11_000).await;
    assert!(aws.with(|w| w.view_global(&use1(), "gc")).is_err());
}
