//! Every check, from what AWS says to a verdict, a reason and what to do.

use std::collections::BTreeMap;

use super::*;
use crate::data::loss::LossUnit;
use crate::data::store::{ClusterMember, Consistency, ReplicaStatus, ReplicationRule, TableKind};
use crate::health::tests::spec;

const HOME: &str = "us-east-1";
const AWAY: &str = "eu-west-1";

fn at<T: Clone>(here: T, there: T) -> BTreeMap<Region, T> {
    BTreeMap::from([(HOME.into(), here), (AWAY.into(), there)])
}

fn named(name: &str) -> BTreeMap<Region, String> {
    at(format!("{name}-use1"), format!("{name}-euw1"))
}

/// The checks of the standby's copy, or of the serving one.
fn ask(kind: StoreKind, region: &str, own: Result<Fact, NoAnswer>, source: Option<Fact>) -> Vec<Check> {
    let service = ServiceSpec { regions: vec![HOME.into(), AWAY.into()], ..spec("shop") };
    let store = Store { name: "db".into(), kind, canary: None, fence: None };
    let others = source.map(|fact| (Region::from(HOME), fact)).into_iter().collect();
    let (region, serving) = (Region::from(region), [Region::from(HOME)]);
    let case = CopyCase {
        spec: &service,
        store: &store,
        region: &region,
        serving: &serving,
        own: own.as_ref(),
        others: &others,
    };
    copy_checks(&case)
}

fn verdict(checks: &[Check], name: &str) -> Option<Verdict> {
    checks.iter().find(|check| check.name == name).map(|check| check.verdict)
}

#[test]
fn who_writes_is_said_where_one_copy_alone_does() {
    let writes = |fact: Fact, region: &str| fact.writes(&region.into());
    let cluster = || Fact::Cluster(global(member("shop-euw1", false)));
    assert_eq!((writes(cluster(), HOME), writes(cluster(), AWAY)), (Some(true), Some(false)));
    assert_eq!(writes(cluster(), "ap-south-1"), None);
    assert_eq!(writes(Fact::Instance(None), HOME), None);
    let instance = |replica_of| Fact::Instance(Some(instance("books", replica_of)));
    assert_eq!((writes(instance(None), AWAY), writes(instance(Some("arn:x")), AWAY)), (Some(true), Some(false)));
}

#[track_caller]
fn reason(checks: &[Check], name: &str) -> String {
    checks
        .iter()
        .find(|check| check.name == name)
        .unwrap_or_else(|| panic!("{name} is not in {checks:?}"))
        .reason
        .clone()
}

fn no(code: &str) -> NoAnswer {
    NoAnswer { code: code.to_owned(), words: format!("rds DescribeX in eu-west-1: it is said ({code})") }
}

fn is_not_ready(checks: &[Check], name: &str) {
    assert_eq!(verdict(checks, name), Some(Verdict::NotReady), "{checks:?}");
    let ReplicaReadiness::NotReady(why) = overall(checks) else { panic!("{checks:?}") };
    assert!(why.starts_with(name), "{why}");
}

fn member(cluster: &str, is_writer: bool) -> ClusterMember {
    ClusterMember {
        cluster: cluster.to_owned(),
        is_writer,
        in_sync: true,
        instances: 1,
        engine_version: "16.4".to_owned(),
        status: "available".to_owned(),
        instance_classes: vec!["db.r6g.large".to_owned()],
    }
}

fn global(there: ClusterMember) -> GlobalCluster {
    GlobalCluster {
        id: "shop-global".to_owned(),
        members: at(member("shop-use1", true), there),
        moving_to: None,
        status: "available".to_owned(),
    }
}

fn aurora(there: ClusterMember) -> Vec<Check> {
    let kind = StoreKind::Aurora { global_cluster: "shop-global".to_owned(), clusters: named("shop") };
    let source = Fact::Cluster(global(there.clone()));
    ask(kind, AWAY, Ok(Fact::Cluster(global(there))), Some(source))
}

#[test]
fn a_cluster_that_does_not_come_back_by_itself_is_not_ready_and_one_that_is_busy_is() {
    let of_status = |status: &str| aurora(ClusterMember { status: status.to_owned(), ..member("shop-euw1", false) });
    for status in ["creating", "stopped", "inaccessible-encryption-credentials", "incompatible-parameters"] {
        is_not_ready(&of_status(status), names::REPLICA_ACTIVE);
    }
    for status in ["backing-up", "modifying", "upgrading"] {
        let checks = of_status(status);
        assert_eq!(verdict(&checks, names::REPLICA_ACTIVE), Some(Verdict::Note), "{status}");
        assert_eq!(overall(&checks), ReplicaReadiness::Ready, "{status}");
    }
    let unasked = aurora(ClusterMember { instance_classes: vec![], ..member("shop-euw1", false) });
    assert_eq!(verdict(&unasked, names::INSTANCE_CLASS), None, "nothing to compare");
}

#[test]
fn a_secondary_as_it_should_be_is_ready_in_every_way() {
    let checks = aurora(member("shop-euw1", false));
    assert!(checks.iter().all(|check| check.verdict == Verdict::Ready), "{checks:?}");
    let names: Vec<&str> = checks.iter().map(|check| check.name.as_str()).collect();
    assert_eq!(
        names,
        ["replica-present", "replica-active", "headless", "engine-version", "replication-healthy", "instance-class"]
    );
    assert_eq!(overall(&checks), ReplicaReadiness::Ready);
}

#[test]
fn what_keeps_a_secondary_from_being_promoted_is_said_by_name() {
    let good = || member("shop-euw1", false);
    is_not_ready(&aurora(ClusterMember { instances: 0, ..good() }), names::HEADLESS);
    is_not_ready(&aurora(ClusterMember { engine_version: "16.3".into(), ..good() }), names::ENGINE_VERSION);
    is_not_ready(&aurora(ClusterMember { in_sync: false, ..good() }), names::REPLICATION_HEALTHY);
    is_not_ready(&aurora(ClusterMember { status: "stopped".into(), ..good() }), names::REPLICA_ACTIVE);
    is_not_ready(&aurora(member("another", false)), names::REPLICA_PRESENT);
    let patch = aurora(ClusterMember { engine_version: "16.4.7".into(), ..good() });
    assert_eq!(overall(&patch), ReplicaReadiness::Ready, "equal to the minor is enough");
}

#[test]
fn a_smaller_standby_is_noted_and_can_take_over() {
    let checks = aurora(ClusterMember { instance_classes: vec!["db.t4g.medium".into()], ..member("shop-euw1", false) });
    assert_eq!(verdict(&checks, names::INSTANCE_CLASS), Some(Verdict::Note));
    assert!(reason(&checks, names::INSTANCE_CLASS).contains("db.t4g.medium here, db.r6g.large in us-east-1"));
    assert_eq!(overall(&checks), ReplicaReadiness::Ready);
}

#[test]
fn a_cluster_that_is_not_global_and_a_role_that_may_not_say_what_to_do() {
    let kind = || StoreKind::Aurora { global_cluster: "shop-global".to_owned(), clusters: named("shop") };
    let absent = ask(kind(), AWAY, Err(no("GlobalClusterNotFoundFault")), None);
    is_not_ready(&absent, names::REPLICA_PRESENT);
    assert!(reason(&absent, names::REPLICA_PRESENT).contains("create-global-cluster"), "{absent:?}");
    let denied = ask(kind(), AWAY, Err(no("AccessDenied")), None);
    is_not_ready(&denied, names::PERMISSIONS);
    assert!(reason(&denied, names::PERMISSIONS).contains("failoverctl iam-policy"), "{denied:?}");
    let silent = ask(kind(), AWAY, Err(no("Timeout")), None);
    assert_eq!(verdict(&silent, names::REPLICA_PRESENT), Some(Verdict::Unknown));
    assert!(matches!(overall(&silent), ReplicaReadiness::Unknown(_)), "silence is not a no");
}

fn instance(id: &str, replica_of: Option<&str>) -> DbInstance {
    DbInstance {
        id: id.to_owned(),
        arn: format!("arn:aws:rds:r:1:db:{id}"),
        status: "available".to_owned(),
        replica_of: replica_of.map(str::to_owned),
        replicas: vec![],
        class: "db.m6g.large".to_owned(),
        engine_version: "16.4".to_owned(),
        backup_days: 7,
        replication_problem: None,
    }
}

fn rds(there: Option<DbInstance>) -> Vec<Check> {
    let kind = StoreKind::Rds { instances: named("shop"), rebuild: true };
    let source = Fact::Instance(Some(instance("shop-use1", None)));
    ask(kind, AWAY, Ok(Fact::Instance(there)), Some(source))
}

#[test]
fn a_read_replica_is_judged_by_what_promotion_needs() {
    let good = || instance("shop-euw1", Some("arn:aws:rds:us-east-1:1:db:shop-use1"));
    let checks = rds(Some(good()));
    assert!(checks.iter().all(|check| check.verdict == Verdict::Ready), "{checks:?}");
    is_not_ready(&rds(None), names::REPLICA_PRESENT);
    is_not_ready(&rds(Some(DbInstance { status: "rebooting".into(), ..good() })), names::REPLICA_ACTIVE);
    is_not_ready(&rds(Some(instance("shop-euw1", None))), names::REPLICATION_HEALTHY);
    is_not_ready(&rds(Some(DbInstance { engine_version: "15.8".into(), ..good() })), names::ENGINE_VERSION);
    let problem = Some("replication error: gap".to_owned());
    is_not_ready(&rds(Some(DbInstance { replication_problem: problem, ..good() })), names::REPLICATION_HEALTHY);
    let bare = rds(Some(DbInstance { backup_days: 0, class: "db.t4g.micro".into(), ..good() }));
    assert_eq!(verdict(&bare, names::BACKUPS_ON), Some(Verdict::Note));
    assert_eq!(verdict(&bare, names::INSTANCE_CLASS), Some(Verdict::Note));
    assert_eq!(overall(&bare), ReplicaReadiness::Ready);
}

#[test]
fn the_instance_that_serves_is_not_asked_whether_it_could_be_promoted() {
    let kind = StoreKind::Rds { instances: named("shop"), rebuild: true };
    let checks = ask(kind, HOME, Ok(Fact::Instance(Some(instance("shop-use1", None)))), None);
    assert_eq!(overall(&checks), ReplicaReadiness::Ready);
    assert_eq!(checks.len(), 2, "{checks:?}");
}

fn table(replicas: &[(&str, ReplicaStatus)]) -> GlobalTable {
    GlobalTable {
        table: "Orders".to_owned(),
        replicas: replicas.iter().map(|(region, status)| ((*region).into(), *status)).collect(),
        kind: TableKind::Global,
        consistency: Consistency::Eventual,
        witness: None,
        streams: true,
        is_active: true,
    }
}

fn dynamodb(table: GlobalTable) -> Vec<Check> {
    let kind =
        StoreKind::Dynamodb { table: "Orders".to_owned(), ensure_replicas: true, replicas: vec![], create: None };
    ask(kind, AWAY, Ok(Fact::Table(table)), None)
}

#[test]
fn a_replica_of_a_table_is_ready_when_aws_calls_it_active() {
    let both = |status| table(&[(HOME, ReplicaStatus::Active), (AWAY, status)]);
    let checks = dynamodb(both(ReplicaStatus::Active));
    assert!(checks.iter().all(|check| check.verdict == Verdict::Ready), "{checks:?}");
    for status in [ReplicaStatus::Creating, ReplicaStatus::Inaccessible, ReplicaStatus::RegionDisabled] {
        is_not_ready(&dynamodb(both(status)), names::REPLICA_ACTIVE);
    }
    is_not_ready(&dynamodb(table(&[(HOME, ReplicaStatus::Active)])), names::REPLICA_PRESENT);
}

#[test]
fn a_table_of_2017_is_recognised_and_told_how_to_upgrade() {
    let legacy = GlobalTable {
        kind: TableKind::Legacy,
        ..table(&[(HOME, ReplicaStatus::Active), (AWAY, ReplicaStatus::Active)])
    };
    let checks = dynamodb(legacy);
    assert_eq!(verdict(&checks, names::TABLE_KIND), Some(Verdict::Note));
    assert!(reason(&checks, names::TABLE_KIND).contains("2017.11.29") && overall(&checks) == ReplicaReadiness::Ready);
}

#[test]
fn a_strongly_consistent_table_has_three_regions_of_one_set() {
    let strong = |regions: &[(&str, ReplicaStatus)], witness: Option<&str>| GlobalTable {
        consistency: Consistency::Strong,
        witness: witness.map(Region::from),
        streams: false,
        ..table(regions)
    };
    let active = ReplicaStatus::Active;
    let eu = [(AWAY, active), ("eu-central-1", active)];
    assert_eq!(verdict(&dynamodb(strong(&eu, Some("eu-west-3"))), names::MRSC_REGIONS), Some(Verdict::Ready));
    is_not_ready(&dynamodb(strong(&eu, None)), names::MRSC_REGIONS);
    is_not_ready(&dynamodb(strong(&eu, Some(HOME))), names::MRSC_REGIONS);
    assert_eq!(verdict(&dynamodb(strong(&eu, Some("eu-west-3"))), names::STREAMS_ON), Some(Verdict::Ready));
}

fn bucket(name: &str, to: &[&str]) -> BucketState {
    let rule = |to: &&str| ReplicationRule {
        to: (*to).to_owned(),
        enabled: true,
        is_whole: true,
        replica_modifications: true,
        delete_markers: true,
        time_control: false,
    };
    BucketState {
        bucket: name.to_owned(),
        versioning: true,
        rules: to.iter().map(rule).collect(),
        has_objects: false,
        pending: None,
        failed: None,
    }
}

fn s3(region: &str, own: BucketState, source: Option<BucketState>) -> Vec<Check> {
    let kind = StoreKind::S3 { buckets: named("media"), bidirectional: true, role_arn: None, time_control: false };
    ask(kind, region, Ok(Fact::Bucket(own)), source.map(Fact::Bucket))
}

#[test]
fn a_bucket_needs_versions_and_a_rule_towards_it() {
    let (here, there) = (bucket("media-use1", &["media-euw1"]), bucket("media-euw1", &["media-use1"]));
    let checks = s3(AWAY, there.clone(), Some(here.clone()));
    assert!(checks.iter().all(|check| check.verdict == Verdict::Ready), "{checks:?}");
    is_not_ready(&s3(AWAY, BucketState { versioning: false, ..there.clone() }, Some(here)), names::VERSIONING);
    is_not_ready(&s3(AWAY, there.clone(), Some(bucket("media-use1", &[]))), names::REPLICATION_RULE);
    let unasked = s3(AWAY, there, None);
    assert_eq!(verdict(&unasked, names::REPLICATION_RULE), Some(Verdict::Unknown));
    assert_eq!(overall(&unasked), ReplicaReadiness::Ready, "a source that is gone does not make its survivor unknown");
}

#[test]
fn the_rule_back_and_its_metadata_are_noted() {
    let here = bucket("media-use1", &["media-euw1"]);
    let no_way_back = s3(AWAY, bucket("media-euw1", &[]), Some(here.clone()));
    assert_eq!(verdict(&no_way_back, names::REPLICATION_RULE), Some(Verdict::Note));
    assert_eq!(overall(&no_way_back), ReplicaReadiness::Ready);
    let mut plain = bucket("media-euw1", &["media-use1"]);
    plain.rules[0].replica_modifications = false;
    let checks = s3(AWAY, plain, Some(here));
    assert!(reason(&checks, names::REPLICATION_RULE).contains("replica modification sync"), "{checks:?}");
}

#[test]
fn objects_that_a_new_rule_leaves_behind_are_noted_where_it_starts() {
    let full = BucketState { has_objects: true, ..bucket("media-use1", &[]) };
    let checks = s3(HOME, full.clone(), None);
    assert_eq!(verdict(&checks, names::EXISTING_OBJECTS), Some(Verdict::Note));
    assert!(reason(&checks, names::EXISTING_OBJECTS).contains("Batch Replication"));
    let ruled = BucketState { has_objects: true, ..bucket("media-use1", &["media-euw1"]) };
    assert_eq!(verdict(&s3(HOME, ruled.clone(), None), names::EXISTING_OBJECTS), None);
    for (failed, expected) in [(None, None), (Some(0), None), (Some(1), Some(Verdict::Note))] {
        let checks = s3(HOME, BucketState { failed, ..ruled.clone() }, None);
        assert_eq!(verdict(&checks, names::EXISTING_OBJECTS), expected, "{failed:?}");
    }
}

#[test]
fn who_serves_must_replicate_and_who_will_once_it_serves() {
    let unruled = |region, name| s3(region, bucket(name, &[]), Some(bucket("media-use1", &["media-euw1"])));
    is_not_ready(&unruled(HOME, "media-use1"), names::REPLICATION_RULE);
    let standby = unruled(AWAY, "media-euw1");
    assert_eq!(verdict(&standby, names::REPLICATION_RULE), Some(Verdict::Note), "{standby:?}");
    // One way, it is the first Region that replicates, and nobody back to it.
    let one_way = |region, own, source| {
        let kind = StoreKind::S3 { buckets: named("media"), bidirectional: false, role_arn: None, time_control: false };
        verdict(&ask(kind, region, Ok(Fact::Bucket(own)), source), names::REPLICATION_RULE)
    };
    assert_eq!(one_way(HOME, bucket("media-use1", &[]), None), Some(Verdict::NotReady));
    let source = Some(Fact::Bucket(bucket("media-use1", &["media-euw1"])));
    assert_eq!(one_way(AWAY, bucket("media-euw1", &[]), source), Some(Verdict::Ready));
}

#[test]
fn the_lag_is_held_against_the_objective_and_decides_nothing() {
    let loss = |bound| Loss {
        store: "db".into(),
        bound,
        measured: None,
        unit: LossUnit::Ms,
        reason: "canary: behind".to_owned(),
    };
    assert_eq!(lag_in_budget(&loss(Some(900)), 5_000).verdict, Verdict::Ready);
    let over = lag_in_budget(&loss(Some(9_000)), 5_000);
    assert_eq!(
        (over.verdict, overall(std::slice::from_ref(&over))),
        (Verdict::Note, ReplicaReadiness::Ready),
        "{over:?}"
    );
    let unknown = lag_in_budget(&loss(None), 5_000);
    assert_eq!((unknown.verdict, overall(&[unknown])), (Verdict::Unknown, ReplicaReadiness::Ready));
}

#[test]
fn what_surrounds_a_service_is_checked_by_name() {
    let zone = zone_found("example.com", Err(&no("NoSuchHostedZone")));
    assert!(zone[0].verdict == Verdict::NotReady && zone[0].reason.contains("traffic.hosted_zone"), "{zone:?}");
    let room = |used, wanted| check_quota(Ok(Room { used, limit: 200, wanted })).verdict;
    assert_eq!((room(190, 10), room(190, 11)), (Verdict::Ready, Verdict::NotReady));
    let full = record_quota("example.com", Room { used: 9_999, limit: 10_000, wanted: 9 });
    assert!(full.reason.contains("9999 of 10000 records, 9 more are wanted"), "{full:?}");
    let denied = [("rds:FailoverGlobalCluster".to_owned(), "arn:aws:rds::1:global-cluster:g".to_owned())];
    let denied = permissions(12, Ok(&denied));
    assert!(denied.reason.contains("rds:FailoverGlobalCluster on arn:aws:rds::1:global-cluster:g"), "{denied:?}");
    assert_eq!((denied.verdict, permissions(12, Ok(&[])).verdict), (Verdict::NotReady, Verdict::Ready));
    let names = ["failoverd/f/sw/shop/us-east-1/p".to_owned()];
    let checks = health_checks(Ok((&[], &names)), 8, true);
    assert_eq!([checks[0].verdict, checks[1].verdict], [Verdict::Ready, Verdict::NotReady]);
    let stuck = records_drift(&Standing::Stuck("api.example.com: not made by failoverd".to_owned()));
    assert!(stuck.verdict == Verdict::NotReady && stuck.reason.contains("api.example.com"));
    assert_eq!(records_drift(&Standing::Writes(vec!["create check x".to_owned()])).verdict, Verdict::Note);
}

#[test]
fn a_quota_may_be_used_up_and_who_cannot_ask_iam_is_told_what_to_grant() {
    let room = |used, limit| check_quota(Ok(Room { used, limit, wanted: 9 })).verdict;
    assert_eq!([room(191, 200), room(192, 200)], [Verdict::Ready, Verdict::NotReady]);
    assert_eq!(room(192, 0), Verdict::Ready, "a limit that nobody told");
    let said = |code: &str, words: &str| {
        let no = NoAnswer { code: code.to_owned(), words: words.to_owned() };
        let check = permissions(12, Err(&no));
        (check.verdict, check.reason.contains("grant iam:SimulatePrincipalPolicy"))
    };
    assert_eq!(said("AccessDenied", "iam SimulatePrincipalPolicy: no"), (Verdict::Unknown, true));
    assert!(!said("AccessDenied", "sts GetCallerIdentity: no").1);
    assert!(!said("Timeout", "iam SimulatePrincipalPolicy: no answer").1);
    let listed = |count: usize| {
        let work = (0..count).map(|at| format!("w{at}")).collect();
        records_drift(&Standing::Writes(work)).reason
    };
    assert!(listed(3).ends_with("w0, w1, w2") && listed(5).ends_with("w0, w1, w2 and 2 more"), "{}", listed(5));
}

#[test]
fn a_table_that_is_being_changed_or_is_alone_says_so() {
    let whole = table(&[(HOME, ReplicaStatus::Active), (AWAY, ReplicaStatus::Active)]);
    let busy = dynamodb(GlobalTable { is_active: false, ..whole });
    assert_eq!(verdict(&busy, names::REPLICA_ACTIVE), Some(Verdict::Note), "{busy:?}");
    let alone = |ensure_replicas, replicas: &[&str]| {
        let replicas = replicas.iter().map(|region| Region::from(*region)).collect();
        let kind = StoreKind::Dynamodb { table: "Orders".to_owned(), ensure_replicas, replicas, create: None };
        let single = GlobalTable { kind: TableKind::Single, ..table(&[(HOME, ReplicaStatus::Active)]) };
        verdict(&ask(kind, HOME, Ok(Fact::Table(single)), None), names::TABLE_KIND)
    };
    assert_eq!(alone(true, &[HOME, AWAY]), Some(Verdict::Note), "its replica is to come");
    assert_eq!(alone(true, &[HOME]), Some(Verdict::Ready));
    assert_eq!(alone(false, &[HOME, AWAY]), Some(Verdict::Ready));
}

#[test]
fn a_report_of_an_older_daemon_has_no_checks_and_can_be_read() {
    let mut told = serde_json::to_value(crate::health::tests::bad("us-west-2")).unwrap();
    told.as_object_mut().unwrap().remove("checks");
    let read: crate::health::Report = serde_json::from_value(told).unwrap();
    assert!(read.checks.is_empty());
}
