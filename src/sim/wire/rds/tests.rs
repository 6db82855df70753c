//! What the AWS SDK makes of the answers: every operation's shape, read by the client that daemons use.

use std::time::{Duration, SystemTime};

use aws_sdk_rds::Client;
use aws_sdk_rds::config::retry::RetryConfig;
use aws_sdk_rds::config::{BehaviorVersion, Credentials, StalledStreamProtectionConfig};
use aws_sdk_rds::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_rds::types::{
    FailoverStatus, Filter, GlobalClusterMemberSynchronizationStatus, SourceType, Tag, WriteForwardingStatus,
};
use aws_smithy_async::time::TimeSource;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use failoverd_domain::ids::Region;

use super::super::{caller_key, door};
use crate::sim::world::test_ground::{euw1, pass, use1, world};
use crate::sim::world::{CLOSED_GROUP, Service, SimulatedAws, StoreId, cluster_arn, instance_arn};

/// Takes what the SDK sends to the simulated AWS's door, without a socket between: time can be virtual.
#[derive(Clone)]
struct Straight(SimulatedAws);

impl std::fmt::Debug for Straight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Straight")
    }
}

impl HttpConnector for Straight {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let aws = self.0.clone();
        HttpConnectorFuture::new(async move {
            let (parts, body) = request.try_into_http1x().unwrap().into_parts();
            let body = axum::body::Body::from(body.bytes().unwrap_or_default().to_vec());
            let response = door::pass(&aws, axum::extract::Request::from_parts(parts, body)).await;
            let status = response.status().as_u16();
            let body = axum::body::to_bytes(response.into_body(), usize::MAX).await;
            let body = body.map_err(|lost| ConnectorError::io(lost.into()))?;
            Ok(HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body.to_vec())))
        })
    }
}

/// The world's time may be virtual, and it refuses what is signed by another.
impl TimeSource for Straight {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.0.with(|world| world.now().0))
    }
}

fn client(aws: &SimulatedAws, region: &Region) -> Client {
    client_of("AKIASTRANGER", aws, region)
}

fn client_of(key: &str, aws: &SimulatedAws, region: &Region) -> Client {
    let straight = Straight(aws.clone());
    let time = straight.clone();
    let http = http_client_fn(move |_, _| SharedHttpConnector::new(straight.clone()));
    let config = aws_sdk_rds::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(aws_sdk_rds::config::Region::new(region.to_string()))
        .credentials_provider(Credentials::from_keys(key, "secret", None))
        .retry_config(RetryConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .http_client(http)
        .time_source(time);
    Client::from_conf(config.build())
}

fn code<T, E: ProvideErrorMetadata>(result: Result<T, SdkError<E, HttpResponse>>) -> (String, u16) {
    match result {
        Err(SdkError::ServiceError(error)) => {
            (error.err().code().unwrap_or_default().to_owned(), error.raw().status().as_u16())
        }
        _ => ("nothing was refused".to_owned(), 0),
    }
}

#[tokio::test(start_paused = true)]
async fn the_sdk_reads_global_clusters_and_their_moves() {
    let aws = world();
    let (here, there) = (client(&aws, &use1()), client(&aws, &euw1()));
    let told = here.describe_global_clusters().send().await.unwrap();
    let global = &told.global_clusters()[0];
    assert_eq!((global.global_cluster_identifier(), global.status()), (Some("gc"), Some("available")));
    assert!(global.failover_state().is_none());
    let [writer, reader] = global.global_cluster_members() else { panic!("{global:?}") };
    assert_eq!(writer.readers(), [cluster_arn(&euw1(), "gc-euw1")]);
    assert_eq!((writer.is_writer(), reader.is_writer()), (Some(true), Some(false)));
    assert_eq!(reader.synchronization_status(), Some(&GlobalClusterMemberSynchronizationStatus::Connected));
    let forwarding = |status: &WriteForwardingStatus| status.as_str().to_owned();
    assert_eq!(writer.global_write_forwarding_status().map(forwarding).as_deref(), Some("unknown"));

    aws.set_lag(&StoreId::Aurora("gc".into()), &euw1(), 600_000);
    aws.with(|w| w.write_row(&use1(), "gc", "k", 1)).unwrap();
    let failover = there.failover_global_cluster().global_cluster_identifier("gc").allow_data_loss(true);
    let target = cluster_arn(&euw1(), "gc-euw1");
    let started = failover.target_db_cluster_identifier(&target).send().await.unwrap();
    let state = started.global_cluster().unwrap().failover_state().unwrap();
    assert_eq!((state.status(), state.is_data_loss_allowed()), (Some(&FailoverStatus::Pending), Some(true)));
    assert_eq!(state.to_db_cluster_arn(), Some(target.as_str()));
    let switchover = here.switchover_global_cluster().global_cluster_identifier("gc");
    let again = switchover.target_db_cluster_identifier(&target).send().await;
    assert_eq!(code(again), ("InvalidGlobalClusterStateFault".into(), 400));
    pass(61_000).await;

    // What had not arrived is kept in a snapshot where it was lost.
    let snapshots = here.describe_db_cluster_snapshots().db_cluster_identifier("gc-use1").snapshot_type("automated");
    let kept = snapshots.send().await.unwrap();
    let [snapshot] = kept.db_cluster_snapshots() else { panic!("{kept:?}") };
    let id = snapshot.db_cluster_snapshot_identifier().unwrap();
    assert!(id.starts_with("rds:unplanned-global-failover-gc-use1-"), "{id}");
    assert!(snapshot.snapshot_create_time().is_some());
    let manual = here.describe_db_cluster_snapshots().snapshot_type("manual").send().await.unwrap();
    assert!(manual.db_cluster_snapshots().is_empty());
    assert!(there.describe_db_cluster_snapshots().send().await.unwrap().db_cluster_snapshots().is_empty());
    let events = here.describe_events().source_type(SourceType::DbInstance).source_identifier("gc-use1-1");
    let said = events.send().await.unwrap();
    let message = said.events()[0].message().unwrap();
    assert_eq!(message, "Attempt to block writes for DB cluster gc-use1 in Region us-east-1 succeeded.");
    assert_eq!(said.events()[0].event_categories(), ["notification", "global database"]);
    let unknown = here.describe_global_clusters().global_cluster_identifier("none").send().await;
    assert_eq!(code(unknown), ("GlobalClusterNotFoundFault".into(), 404));
}

#[tokio::test(start_paused = true)]
async fn the_sdk_reads_clusters_instances_and_tags() {
    let aws = world();
    let here = client(&aws, &use1());
    let fence = here.modify_db_cluster().db_cluster_identifier("gc-use1").vpc_security_group_ids(CLOSED_GROUP);
    let fenced = fence.apply_immediately(true).send().await.unwrap();
    let groups = fenced.db_cluster().unwrap().vpc_security_groups();
    assert_eq!(groups[0].vpc_security_group_id(), Some(CLOSED_GROUP));
    assert_eq!(aws.with(|w| w.is_fenced(&use1(), "gc")), Ok(true));
    let listed = here.describe_db_clusters().send().await.unwrap();
    let cluster = &listed.db_clusters()[0];
    assert_eq!((cluster.status(), cluster.global_cluster_identifier()), (Some("modifying"), Some("gc")));
    assert_eq!(cluster.db_cluster_members()[0].is_cluster_writer(), Some(true));
    assert!(cluster.cluster_create_time().is_some());
    let filter = Filter::builder().name("db-cluster-id").values("gc-use1").build();
    let nodes = here.describe_db_instances().filters(filter).send().await.unwrap();
    assert_eq!(nodes.db_instances()[0].db_instance_class(), Some("db.r6g.large"));

    let arn = cluster_arn(&use1(), "gc-use1");
    let tag = Tag::builder().key("failoverd").value("a,b").build();
    here.add_tags_to_resource().resource_name(&arn).tags(tag.clone()).send().await.unwrap();
    let tags = here.list_tags_for_resource().resource_name(&arn).send().await.unwrap();
    assert_eq!(tags.tag_list(), [tag]);
    here.remove_tags_from_resource().resource_name(&arn).tag_keys("failoverd").send().await.unwrap();
    let described = here.describe_db_clusters().db_cluster_identifier(&arn).send().await.unwrap();
    assert!(described.db_clusters()[0].tag_list().is_empty());
    let quotas = here.describe_account_attributes().send().await.unwrap();
    assert_eq!(quotas.account_quotas()[0].max(), Some(40));
}

#[tokio::test(start_paused = true)]
async fn the_sdk_reads_a_replica_from_its_making_to_its_promotion() {
    let aws = world();
    aws.make_instance(&use1(), "orders", None);
    let (here, there) = (client(&aws, &use1()), client(&aws, &euw1()));
    let source = instance_arn(&use1(), "orders");
    let ask = there.create_db_instance_read_replica().db_instance_identifier("orders-eu");
    let made = ask.source_db_instance_identifier(&source).db_instance_class("db.r6g.xlarge").send().await.unwrap();
    let made = made.db_instance().unwrap();
    assert_eq!((made.db_instance_status(), made.db_instance_class()), (Some("creating"), Some("db.r6g.xlarge")));
    pass(301_000).await;
    let look = || async {
        let told = there.describe_db_instances().db_instance_identifier("orders-eu").send().await.unwrap();
        told.db_instances()[0].clone()
    };
    let replica = look().await;
    assert_eq!(replica.read_replica_source_db_instance_identifier(), Some(source.as_str()));
    let info = &replica.status_infos()[0];
    assert_eq!((info.normal(), info.status()), (Some(true), Some("replicating")));
    assert!(replica.endpoint().and_then(|endpoint| endpoint.address()).is_some());
    there.promote_read_replica().db_instance_identifier("orders-eu").send().await.unwrap();
    let twice = there.promote_read_replica().db_instance_identifier("orders-eu").send().await;
    assert_eq!(code(twice), ("InvalidDBInstanceState".into(), 400));
    pass(121_000).await;
    let promoted = look().await;
    assert_eq!(promoted.read_replica_source_db_instance_identifier(), None);
    assert_eq!((promoted.db_instance_status(), promoted.backup_retention_period()), (Some("available"), Some(1)));
    let rename = here.modify_db_instance().db_instance_identifier("orders").apply_immediately(true);
    rename.new_db_instance_identifier("orders-aside").send().await.unwrap();
    pass(61_000).await;
    let gone = here.describe_db_instances().db_instance_identifier("orders").send().await;
    assert_eq!(code(gone), ("DBInstanceNotFound".into(), 404));
    let wrong = here.delete_db_instance().db_instance_identifier("orders-aside").send().await;
    assert_eq!(code(wrong), ("InvalidParameterCombination".into(), 400));
    let headless = here.describe_db_instances().max_records(20).send().await.unwrap();
    assert_eq!(headless.marker(), None);
}

#[tokio::test(start_paused = true)]
async fn faults_are_felt_through_the_sdk() {
    let aws = world();
    let stranger = client(&aws, &use1());
    let daemon = client_of(&caller_key(&euw1()), &aws, &use1());
    let look = |client: &Client| client.describe_global_clusters().send();
    aws.throttle(&use1(), Service::Rds, true);
    assert_eq!(code(look(&stranger).await), ("Throttling".into(), 400));
    aws.throttle(&use1(), Service::Rds, false);
    aws.lose_next_answers(&use1(), Service::Rds, 1);
    let change = stranger.create_global_cluster().global_cluster_identifier("new").engine("aurora-postgresql");
    assert!(matches!(change.clone().send().await, Err(SdkError::DispatchFailure(_))), "the answer is lost");
    assert_eq!(code(change.send().await), ("GlobalClusterAlreadyExistsFault".into(), 400), "its effect is not");
    aws.cut(&euw1(), &use1());
    assert!(tokio::time::timeout(Duration::from_secs(30), look(&daemon)).await.is_err(), "nothing answers");
    assert!(look(&stranger).await.is_ok(), "the cut is between two Regions");
    aws.break_region(&use1());
    assert!(tokio::time::timeout(Duration::from_secs(30), look(&stranger)).await.is_err(), "nothing answers");
}
