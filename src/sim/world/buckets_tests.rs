//! Objects and their copies: versions, marks of deletion, rules, and the metrics of rules.

use std::collections::BTreeMap;

use failoverd_domain::data::store::ReplicationRule;
use failoverd_domain::ids::Region;

use super::test_ground::{euw1, pass, use1, world};
use super::{BucketRule, NewObject, Replicated, Series, SimulatedAws, StoreId, Versioning};

const FROM: &str = "media-use1";
const TO: &str = "media-euw1";

fn put(aws: &SimulatedAws, key: &str, body: &[u8]) -> Option<String> {
    let new = NewObject { body: body.to_vec(), etag: "\"e\"".to_owned(), ..NewObject::default() };
    aws.with(|w| w.store_object(&use1(), FROM, key, new)).unwrap()
}

fn body(aws: &SimulatedAws, region: &Region, bucket: &str, key: &str) -> Option<Vec<u8>> {
    aws.with(|w| {
        let found = w.object(region, bucket, key).unwrap().filter(|written| !written.is_gone());
        found.and_then(|written| written.object()).map(|object| object.body.to_vec())
    })
}

fn status(aws: &SimulatedAws, region: &Region, bucket: &str, key: &str) -> Option<&'static str> {
    aws.with(|w| {
        let written = w.object(region, bucket, key).unwrap()?.clone();
        w.replication_status(bucket, key, &written)
    })
}

fn rules(aws: &SimulatedAws, change: impl Fn(&mut BucketRule)) {
    let rule = ReplicationRule {
        to: TO.to_owned(),
        enabled: true,
        is_whole: true,
        replica_modifications: false,
        delete_markers: false,
        time_control: false,
    };
    let id = "r".to_owned();
    let mut held = BucketRule { rule, id, priority: 1, prefix: String::new(), tags: Vec::new(), metrics: false };
    change(&mut held);
    let wanted = Replicated { role: "arn:aws:iam::1:role/r".to_owned(), rules: vec![held], configuration: None };
    aws.with(|w| w.put_replication(&use1(), FROM, wanted)).unwrap();
}

#[tokio::test(start_paused = true)]
async fn every_version_arrives_and_a_copy_is_a_replica() {
    let aws = world();
    let first = put(&aws, "k", b"1").unwrap();
    put(&aws, "k", b"2").unwrap();
    assert_eq!(status(&aws, &use1(), FROM, "k"), Some("PENDING"));
    pass(8_000).await;
    assert_eq!(status(&aws, &use1(), FROM, "k"), Some("COMPLETED"));
    assert_eq!(status(&aws, &euw1(), TO, "k"), Some("REPLICA"));
    assert_eq!(body(&aws, &euw1(), TO, "k").unwrap(), b"2");
    let versions = aws.with(|w| w.versions_below(&euw1(), TO, "").unwrap());
    let ids: Vec<&str> = versions.iter().map(|listed| listed.written.object().unwrap().version()).collect();
    assert_eq!((ids.len(), ids[1]), (2, first.as_str()));
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_taken_away_uncovers_the_one_before() {
    let aws = world();
    put(&aws, "k", b"1").unwrap();
    let second = put(&aws, "k", b"2").unwrap();
    let marker = aws.with(|w| w.delete_object(&use1(), FROM, "k")).unwrap();
    assert!(marker.is_marker);
    assert_eq!(body(&aws, &use1(), FROM, "k"), None);
    for id in [marker.version_id.unwrap(), second] {
        aws.with(|w| w.delete_version(&use1(), FROM, "k", &id)).unwrap();
    }
    assert_eq!(body(&aws, &use1(), FROM, "k").unwrap(), b"1");
    assert_eq!(aws.with(|w| w.delete_bucket(&use1(), FROM)).unwrap_err().code, "BucketNotEmpty");
}

#[tokio::test(start_paused = true)]
async fn marks_of_deletion_follow_only_where_a_rule_says_so() {
    for follows in [true, false] {
        let aws = world();
        rules(&aws, |held| held.rule.delete_markers = follows);
        put(&aws, "k", b"1");
        pass(8_000).await;
        aws.with(|w| w.delete_object(&use1(), FROM, "k")).unwrap();
        pass(8_000).await;
        assert_eq!(body(&aws, &euw1(), TO, "k").is_none(), follows);
    }
}

#[tokio::test(start_paused = true)]
async fn rules_choose_by_prefix_and_tag_and_touch_nothing_older() {
    let aws = world();
    aws.with(|w| w.delete_replication(&use1(), FROM)).unwrap();
    put(&aws, "a/before", b"");
    rules(&aws, |held| {
        held.prefix = "a/".to_owned();
        held.tags = vec![("copy".to_owned(), "yes".to_owned())];
    });
    let tagged = |key: &str, value: &str| {
        let tags = BTreeMap::from([("copy".to_owned(), value.to_owned())]);
        aws.with(|w| w.store_object(&use1(), FROM, key, NewObject { tags, ..NewObject::default() })).unwrap();
    };
    tagged("a/1", "yes");
    tagged("a/2", "no");
    tagged("b/1", "yes");
    pass(8_000).await;
    let arrived = aws.with(|w| w.versions_below(&euw1(), TO, "").unwrap());
    assert_eq!(arrived.iter().map(|listed| listed.key.as_str()).collect::<Vec<_>>(), ["a/1"]);
    assert_eq!(status(&aws, &use1(), FROM, "a/before"), None);
    assert_eq!(status(&aws, &use1(), FROM, "a/1"), Some("COMPLETED"));
}

#[tokio::test(start_paused = true)]
async fn what_no_destination_takes_has_failed() {
    let aws = world();
    aws.with(|w| w.put_versioning(&euw1(), TO, Versioning::Suspended)).unwrap();
    put(&aws, "k", b"1");
    assert_eq!(status(&aws, &use1(), FROM, "k"), Some("FAILED"));
    assert_eq!(aws.with(|w| w.describe_bucket(&use1(), FROM)).unwrap().failed, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_rule_with_metrics_tells_what_is_pending_in_the_destinations_region() {
    let aws = world();
    let series = |name: &str| {
        let dimensions = [("SourceBucket", FROM), ("DestinationBucket", TO), ("RuleId", "r")];
        Series::new("AWS/S3", name, dimensions.map(|(name, value)| (name, value.to_owned())))
    };
    let newest = |region: &Region, name: &str| {
        let all = aws.with(|w| w.periods(region, &series(name), 60_000, (0, u64::MAX)));
        all.last().and_then(|period| period.statistic("Maximum"))
    };
    let lag = || aws.with(|w| w.lag_point(&StoreId::Bucket(TO.to_owned()), &euw1(), &euw1()));
    rules(&aws, |_| {});
    pass(61_000).await;
    assert_eq!((newest(&euw1(), "ReplicationLatency"), lag()), (None, None), "a rule without metrics tells nothing");
    rules(&aws, |held| held.metrics = true);
    aws.cut(&use1(), &euw1());
    put(&aws, "k", b"12345");
    put(&aws, "k", b"123");
    pass(121_000).await;
    assert_eq!(newest(&euw1(), "OperationsPendingReplication"), Some(2.0));
    assert_eq!(newest(&euw1(), "BytesPendingReplication"), Some(8.0));
    assert!(newest(&euw1(), "ReplicationLatency").unwrap() > 60.0);
    assert_eq!(newest(&use1(), "ReplicationLatency"), None);
    assert!(lag().unwrap().0 > 60_000);
    aws.mend(&use1(), &euw1());
    pass(121_000).await;
    assert_eq!(newest(&euw1(), "OperationsPendingReplication"), Some(0.0));
}
