//! Tables and buckets, with their canaries.

use failoverd::ports::{CanaryAt, Effect, ReplicationWish, World};
use failoverd_domain::data::store::{ReplicaStatus, TableKind};
use failoverd_domain::ids::{Region, ServiceName};
use failoverd_domain::service::{Canary, KeyAttribute, KeyType, NewTable, Store, StoreKind};

use crate::aws::ground::{EU, Ground, US, until};

const ROLE: &str = "arn:aws:iam::123456789012:role/s3-replication";

async fn table(ground: &Ground, name: &str) -> World {
    let world = ground.world(US);
    let new = NewTable { partition_key: KeyAttribute { name: "pk".to_owned(), kind: KeyType::String }, sort_key: None };
    world.tables.create(&US.into(), name, &new).await.unwrap();
    active(&world, US, name).await;
    world
}

/// The table is at rest, and every replica of it active.
async fn active(world: &World, region: &str, name: &str) {
    until("the table is active", || async {
        let found = world.tables.describe(&region.into(), name).await.map_err(|error| error.to_string())?;
        let ready = found.is_active && found.replicas.values().all(|status| *status == ReplicaStatus::Active);
        if ready { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}

pub async fn a_table_is_made_and_gets_replicas_one_at_a_time(ground: &Ground) {
    let world = table(ground, "Orders").await;
    let found = world.tables.describe(&US.into(), "Orders").await.unwrap();
    assert_eq!((found.kind, found.streams, found.replicas.len()), (TableKind::Single, true, 1));
    for region in [EU, "ap-southeast-1"] {
        world.tables.add_replica(&US.into(), "Orders", &region.into()).await.unwrap();
        active(&world, US, "Orders").await;
    }
    active(&world, EU, "Orders").await;
    let found = world.tables.describe(&EU.into(), "Orders").await.unwrap();
    assert_eq!((found.kind, found.replicas.len()), (TableKind::Global, 3), "{found:?}");
    world.tables.remove_replica(&US.into(), "Orders", &"ap-southeast-1".into()).await.unwrap();
    until("the replica is gone", || async {
        let found = world.tables.describe(&US.into(), "Orders").await.map_err(|error| error.to_string())?;
        if found.replicas.len() == 2 { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}

async fn only_rises_and_arrives(ground: &Ground, store: &Store) {
    let (world, service) = (ground.world(US), ServiceName::from("shop"));
    let (us, eu) = (Region::from(US), Region::from(EU));
    let at = |region| CanaryAt { service: &service, store, canary: store.canary.as_ref().unwrap(), region };
    assert_eq!(world.canaries.read(&at(&us)).await.unwrap(), None);
    for version in [1_000, 2_000] {
        world.canaries.write(&at(&us), version).await.unwrap();
    }
    for old in [1_500, 2_000] {
        let refused = world.canaries.write(&at(&us), old).await.unwrap_err();
        assert_eq!(refused.effect, Effect::None, "{refused}");
    }
    assert_eq!(world.canaries.read(&at(&us)).await.unwrap(), Some(2_000));
    until("it arrives elsewhere", || async {
        match world.canaries.read(&at(&eu)).await {
            Ok(Some(2_000)) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

pub async fn a_canary_item_only_rises_and_arrives_elsewhere(ground: &Ground) {
    let world = table(ground, "canaries").await;
    world.tables.add_replica(&US.into(), "canaries", &EU.into()).await.unwrap();
    active(&world, US, "canaries").await;
    let store = Store {
        name: "orders".into(),
        kind: StoreKind::Dynamodb {
            table: "Orders".to_owned(),
            ensure_replicas: false,
            replicas: vec![],
            create: None,
        },
        canary: Some(Canary::Table { table: "canaries".to_owned() }),
        fence: None,
    };
    only_rises_and_arrives(ground, &store).await;
}

pub async fn a_missing_table_is_refused_in_words(ground: &Ground) {
    let refused = ground.world(US).tables.describe(&US.into(), "Nothing").await.unwrap_err();
    assert_eq!((refused.code.as_str(), refused.effect), ("ResourceNotFoundException", Effect::None));
    assert!(refused.message.contains("Nothing"), "{refused}");
}

async fn buckets(ground: &Ground, name: &str, versioned: bool) -> [String; 2] {
    let names = [US, EU].map(|region| format!("{name}-{region}"));
    for (region, bucket) in [US, EU].into_iter().zip(&names) {
        let s3 = ground.s3(region).await;
        let mut create = s3.create_bucket().bucket(bucket);
        if region != US {
            let place = aws_sdk_s3::types::BucketLocationConstraint::from(region);
            let configuration = aws_sdk_s3::types::CreateBucketConfiguration::builder().location_constraint(place);
            create = create.create_bucket_configuration(configuration.build());
        }
        create.send().await.unwrap();
        if versioned {
            let on = aws_sdk_s3::types::VersioningConfiguration::builder()
                .status(aws_sdk_s3::types::BucketVersioningStatus::Enabled)
                .build();
            s3.put_bucket_versioning().bucket(bucket).versioning_configuration(on).send().await.unwrap();
        }
    }
    names
}

fn wish<'a>([from, to]: [&'a String; 2]) -> ReplicationWish<'a> {
    ReplicationWish { from, to, role_arn: Some(ROLE), both_ways: true, time_control: false }
}

pub async fn a_bucket_without_versioning_is_refused_in_words(ground: &Ground) {
    let [us, eu] = buckets(ground, "plain", false).await;
    let world = ground.world(US);
    let found = world.buckets.describe(&US.into(), &us).await.unwrap();
    assert_eq!((found.versioning, found.has_objects, found.rules.len()), (false, false, 0));
    let refused = world.buckets.replicate(&US.into(), &wish([&us, &eu])).await.unwrap_err();
    assert_eq!(refused.effect, Effect::None);
    assert!(refused.message.to_lowercase().contains("version"), "{refused}");
    let missing = world.buckets.describe(&US.into(), "no-such-bucket-here").await.unwrap_err();
    assert_eq!((missing.code.as_str(), missing.effect), ("NoSuchBucket", Effect::None), "{missing}");
}

pub async fn rules_are_added_and_others_left_alone(ground: &Ground) {
    let [us, eu] = buckets(ground, "media", true).await;
    let [_, backup] = buckets(ground, "backup", true).await;
    let world = ground.world(US);
    world.buckets.replicate(&US.into(), &wish([&us, &backup])).await.unwrap();
    world.buckets.replicate(&US.into(), &wish([&us, &eu])).await.unwrap();
    world.buckets.replicate(&EU.into(), &wish([&eu, &us])).await.unwrap();
    let there = world.buckets.describe(&US.into(), &us).await.unwrap();
    assert!(there.replicates_to(&eu) && there.replicates_to(&backup) && there.rules.len() == 2, "{there:?}");
    assert!(there.rules.iter().all(|rule| rule.replica_modifications && !rule.delete_markers), "{there:?}");
    let back = world.buckets.describe(&EU.into(), &eu).await.unwrap();
    assert!(back.replicates_to(&us), "{back:?}");
}

pub async fn a_canary_object_only_rises_and_arrives_elsewhere(ground: &Ground) {
    let [us, eu] = buckets(ground, "objects", true).await;
    ground.world(US).buckets.replicate(&US.into(), &wish([&us, &eu])).await.unwrap();
    let store = Store {
        name: "media".into(),
        kind: StoreKind::S3 {
            buckets: [(US.into(), us), (EU.into(), eu)].into(),
            bidirectional: false,
            role_arn: None,
            time_control: false,
        },
        canary: Some(Canary::Prefix { prefix: ".failoverd/".to_owned() }),
        fence: None,
    };
    only_rises_and_arrives(ground, &store).await;
    // S3 says of the source's object how far it is on its way.
    let StoreKind::S3 { buckets, .. } = &store.kind else { unreachable!() };
    let (world, region) = (ground.world(US), Region::from(US));
    let service = ServiceName::from("shop");
    let at = CanaryAt { service: &service, store: &store, canary: store.canary.as_ref().unwrap(), region: &region };
    until("the canary is said to have arrived", || async {
        world.canaries.read(&at).await.unwrap();
        let seen = world.buckets.describe(&region, &buckets[&region]).await.unwrap();
        if (seen.pending, seen.failed) == (Some(0), Some(0)) { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;
}
