//! Aurora, RDS instances, fences.

use std::collections::BTreeMap;

use failoverd::ports::Effect;
use failoverd_domain::ids::Region;
use failoverd_domain::service::{Fence, Store, StoreKind};

use crate::aws::ground::{EU, Ground, US, until};

/// A global cluster with a member in each Region, one instance each unless it shall be headless.
async fn global_cluster(ground: &Ground, id: &str, headless: bool) {
    let engine = "aurora-postgresql";
    ground.rds(US).await.create_global_cluster().global_cluster_identifier(id).engine(engine).send().await.unwrap();
    for region in [US, EU] {
        let rds = ground.rds(region).await;
        let cluster = format!("{id}-{region}");
        let request =
            rds.create_db_cluster().db_cluster_identifier(&cluster).engine(engine).global_cluster_identifier(id);
        let request = match region {
            US => request.master_username("admin").master_user_password("secret-secret"),
            _ => request,
        };
        request.vpc_security_group_ids("sg-0a").send().await.unwrap();
        if region == US || !headless {
            let instance = rds.create_db_instance().db_instance_identifier(format!("{cluster}-1")).engine(engine);
            instance.db_cluster_identifier(&cluster).db_instance_class("db.r6g.large").send().await.unwrap();
        }
    }
    let world = ground.world(US);
    until("the cluster is there", || async {
        let found = world.aurora.describe(&EU.into(), id).await.map_err(|error| error.to_string())?;
        let here = world.aurora.describe(&US.into(), id).await.map_err(|error| error.to_string())?;
        let ready = found.members.len() == 2
            && found.moving_to.is_none()
            && here.members[&Region::from(US)].status == "available"
            && found.members[&Region::from(EU)].status == "available"
            && (headless || found.members[&Region::from(EU)].instances == 1);
        if ready { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}

async fn writes_in(ground: &Ground, id: &str, region: &str) {
    let world = ground.world(region);
    until("the writer moves", || async {
        let found = world.aurora.describe(&region.into(), id).await.map_err(|error| error.to_string())?;
        let there = found.moving_to.is_none() && found.writer() == Some(&region.into());
        if there { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}

pub async fn a_global_cluster_switches_over_and_fails_over(ground: &Ground) {
    global_cluster(ground, "moves", false).await;
    let world = ground.world(EU);
    let found = world.aurora.describe(&EU.into(), "moves").await.unwrap();
    let member = &found.members[&Region::from(EU)];
    assert_eq!(found.writer(), Some(&US.into()));
    assert_eq!((member.cluster.as_str(), member.instances, member.in_sync), ("moves-eu-west-1", 1, true));
    assert_eq!(member.instance_classes, ["db.r6g.large"]);
    world.aurora.switchover(&EU.into(), "moves", &EU.into()).await.unwrap();
    writes_in(ground, "moves", EU).await;
    // The member it left must have caught up before it can take over again.
    until("it fails over back", || async {
        world.aurora.failover(&US.into(), "moves", &US.into()).await.map_err(|error| error.to_string())
    })
    .await;
    writes_in(ground, "moves", US).await;
    let elsewhere = world.aurora.failover(&US.into(), "moves", &"us-west-2".into()).await.unwrap_err();
    assert_eq!(elsewhere.effect, Effect::None, "{elsewhere}");
}

pub async fn a_headless_member_is_told(ground: &Ground) {
    global_cluster(ground, "headless", true).await;
    let found = ground.world(EU).aurora.describe(&EU.into(), "headless").await.unwrap();
    assert_eq!(found.members[&Region::from(EU)].instances, 0);
}

pub async fn what_is_no_global_cluster_is_refused(ground: &Ground) {
    let refused = ground.world(EU).aurora.describe(&EU.into(), "nothing").await.unwrap_err();
    assert_eq!((refused.code.as_str(), refused.effect), ("GlobalClusterNotFoundFault", Effect::None), "{refused}");
}

pub async fn a_replica_is_promoted_put_aside_and_made_the_other_way(ground: &Ground) {
    let (us, eu) = (Region::from(US), Region::from(EU));
    let world = ground.world(EU);
    assert_eq!(world.instances.describe(&us, "ledger").await.unwrap(), None);
    let create = ground.rds(US).await.create_db_instance().db_instance_identifier("ledger").engine("postgres");
    let create = create.db_instance_class("db.r6g.large").allocated_storage(20).backup_retention_period(7);
    create.master_username("admin").master_user_password("secret-secret").send().await.unwrap();
    let available = async |region: &Region, id: &str| {
        until(&format!("{id} is available"), || async {
            let found = world.instances.describe(region, id).await.map_err(|error| error.to_string())?;
            match found {
                Some(found) if found.is_available() => Ok(found),
                other => Err(format!("{other:?}")),
            }
        })
        .await
    };
    let source = available(&us, "ledger").await;
    assert!(source.is_writer() && source.backup_days == 7, "{source:?}");
    world.instances.create_replica(&eu, "ledger-copy", &source).await.unwrap();
    let replica = available(&eu, "ledger-copy").await;
    assert_eq!((replica.replica_of.as_deref(), replica.class.as_str()), (Some(source.arn.as_str()), "db.r6g.large"));
    assert_eq!(available(&us, "ledger").await.replicas, std::slice::from_ref(&replica.arn));
    world.instances.promote(&eu, "ledger-copy").await.unwrap();
    let promoted = until("the replica is promoted", || async {
        let found = world.instances.describe(&eu, "ledger-copy").await.map_err(|error| error.to_string())?;
        found.filter(|found| found.is_writer() && found.is_available()).ok_or_else(|| "not yet".to_owned())
    })
    .await;
    let again = world.instances.promote(&eu, "ledger-copy").await.unwrap_err();
    assert_ne!(again.effect, Effect::Unknown, "{again}");
    world.instances.put_aside(&us, "ledger", "ledger-old-e2").await.unwrap();
    available(&us, "ledger-old-e2").await;
    assert_eq!(world.instances.describe(&us, "ledger").await.unwrap(), None);
    until("a replica can be made of the new writer", || async {
        world.instances.create_replica(&us, "ledger", &promoted).await.map_err(|error| error.to_string())
    })
    .await;
    assert_eq!(available(&us, "ledger").await.replica_of, Some(promoted.arn));
}

pub async fn a_fence_lets_nobody_in_and_gives_the_groups_back(ground: &Ground) {
    global_cluster(ground, "fenced", false).await;
    let named = |text: &str| [US, EU].map(|region| (Region::from(region), text.replace("{}", region))).into();
    let clusters: BTreeMap<Region, String> = named("fenced-{}");
    let store = Store {
        name: "db".into(),
        kind: StoreKind::Aurora { global_cluster: "fenced".to_owned(), clusters },
        canary: None,
        fence: None,
    };
    let fence = Fence::SecurityGroup(named("sg-0fence"));
    let (world, us) = (ground.world(US), Region::from(US));
    let groups = async || {
        let found =
            ground.rds(US).await.describe_db_clusters().db_cluster_identifier("fenced-us-east-1").send().await.unwrap();
        let held = found.db_clusters()[0].vpc_security_groups().to_vec();
        held.iter().filter_map(|group| group.vpc_security_group_id().map(str::to_owned)).collect::<Vec<_>>()
    };
    let before = groups().await;
    assert!(!world.fences.is_fenced(&us, &store, &fence).await.unwrap());
    let fenced = async |wanted: bool| {
        until("the fence", || async {
            let seen = world.fences.is_fenced(&us, &store, &fence).await.map_err(|error| error.to_string())?;
            if seen == wanted { Ok(()) } else { Err(format!("fenced: {seen}")) }
        })
        .await;
    };
    // Twice: a fence that stands must not make the groups before it be forgotten.
    for _ in 0..2 {
        until("it can be fenced", || async {
            world.fences.fence(&us, &store, &fence).await.map_err(|error| error.to_string())
        })
        .await;
        fenced(true).await;
    }
    assert_eq!(groups().await, ["sg-0fence"]);
    until("it can be let go", || async {
        world.fences.unfence(&us, &store, &fence).await.map_err(|error| error.to_string())
    })
    .await;
    fenced(false).await;
    assert_eq!(groups().await, before);
}
