//! S3: versioning, replication rules, and the canary objects.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication.html>

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types as aws;
use failoverd_domain::data::store::{BucketState, ReplicationRule};
use failoverd_domain::ids::Region;

use super::account::{Account, Ask};
use super::budget::Kind;
use crate::ports::{Buckets, Call, CallError, ReplicationWish};

const SERVICE: &str = "s3";
/// Minutes that replication time control promises; S3 takes no other.
const TIME_CONTROL_MINUTES: i32 = 15;

/// S3 of one account, in every Region.
pub(super) struct S3 {
    account: Arc<Account>,
    /// Ids of replication rules by source and destination, as last seen: CloudWatch's figures are told apart by them,
    /// also when the source's Region cannot be asked any more.
    rule_ids: Mutex<BTreeMap<(String, String), String>>,
    /// How far S3 says that each bucket's own canary object is on its way to the others, as last seen.
    canaries: Mutex<BTreeMap<String, OnItsWay>>,
}

/// The replication status of an object that did not come from elsewhere.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-status.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnItsWay {
    Pending,
    Arrived,
    Failed,
}

impl OnItsWay {
    fn of(status: Option<&aws::ReplicationStatus>) -> Option<Self> {
        match status? {
            aws::ReplicationStatus::Pending => Some(Self::Pending),
            aws::ReplicationStatus::Complete | aws::ReplicationStatus::Completed => Some(Self::Arrived),
            aws::ReplicationStatus::Failed => Some(Self::Failed),
            _ => None,
        }
    }
}

const fn read<'a>(operation: &'static str, region: &'a Region) -> Ask<'a> {
    Ask::read(SERVICE, operation, region)
}

const fn action<'a>(operation: &'static str, region: &'a Region) -> Ask<'a> {
    Ask::action(SERVICE, operation, region)
}

/// The id that a rule of ours gets.
fn own_id(to: &str) -> String {
    format!("failoverd-{to}")
}

impl S3 {
    pub(super) fn new(account: Arc<Account>) -> Self {
        Self { account, rule_ids: Mutex::default(), canaries: Mutex::default() }
    }

    async fn client(&self, region: &Region, kind: Kind) -> aws_sdk_s3::Client {
        self.account.s3(region, kind).await
    }

    /// The id of the rule between two buckets.
    pub(super) fn rule_id(&self, from: &str, to: &str) -> String {
        let ids = self.rule_ids.lock().unwrap_or_else(PoisonError::into_inner);
        ids.get(&(from.to_owned(), to.to_owned())).cloned().unwrap_or_else(|| own_id(to))
    }

    async fn is_versioned(&self, region: &Region, bucket: &str) -> Call<bool> {
        let sending = self.client(region, Kind::Read).await.get_bucket_versioning().bucket(bucket).send();
        let found = self.account.call(read("GetBucketVersioning", region), sending).await;
        let found = found.map_err(|error| explain(error, region, bucket))?;
        Ok(found.status() == Some(&aws::BucketVersioningStatus::Enabled))
    }

    async fn configuration(&self, region: &Region, bucket: &str) -> Call<Option<aws::ReplicationConfiguration>> {
        let sending = self.client(region, Kind::Read).await.get_bucket_replication().bucket(bucket).send();
        let found = match self.account.call(read("GetBucketReplication", region), sending).await {
            Ok(found) => found.replication_configuration,
            Err(error) if error.code == "ReplicationConfigurationNotFoundError" => None,
            Err(error) => return Err(explain(error, region, bucket)),
        };
        let mut ids = self.rule_ids.lock().unwrap_or_else(PoisonError::into_inner);
        for rule in found.iter().flat_map(aws::ReplicationConfiguration::rules) {
            if let (Some(id), Some(to)) = (rule.id(), rule.destination()) {
                ids.insert((bucket.to_owned(), bucket_of(to.bucket()).to_owned()), id.to_owned());
            }
        }
        Ok(found)
    }

    async fn has_objects(&self, region: &Region, bucket: &str) -> Call<bool> {
        let sending = self.client(region, Kind::Read).await.list_objects_v2().bucket(bucket).max_keys(1).send();
        let found = self.account.call(read("ListObjectsV2", region), sending).await;
        let found = found.map_err(|error| explain(error, region, bucket))?;
        Ok(found.key_count().unwrap_or(0) > 0 || !found.contents().is_empty())
    }

    /// Writes a canary's version unless a newer one is there.
    pub(super) async fn put_version(&self, region: &Region, bucket: &str, key: &str, version: u64) -> Call<()> {
        let ask = action("PutObject", region);
        let held = self.object(region, bucket, key).await?;
        let client = self.client(region, Kind::Action).await;
        let request =
            client.put_object().bucket(bucket).key(key).body(ByteStream::from(version.to_string().into_bytes()));
        let request = match held {
            Some((newer, _)) if newer >= version => {
                return Err(ask.refuse("PreconditionFailed", format!("version {newer} is there already")));
            }
            Some((_, Some(etag))) => request.if_match(etag),
            Some((_, None)) => request,
            None => request.if_none_match("*"),
        };
        self.account.call(ask, request.send()).await.map(drop)
    }

    /// The version that a bucket shows.
    pub(super) async fn get_version(&self, region: &Region, bucket: &str, key: &str) -> Call<Option<u64>> {
        Ok(self.object(region, bucket, key).await?.map(|(version, _)| version))
    }

    async fn object(&self, region: &Region, bucket: &str, key: &str) -> Call<Option<(u64, Option<String>)>> {
        let ask = read("GetObject", region);
        let sending = self.client(region, Kind::Read).await.get_object().bucket(bucket).key(key).send();
        let found = match self.account.call(ask, sending).await {
            Ok(found) => found,
            Err(error) if error.code == "NoSuchKey" => return Ok(None),
            Err(error) => return Err(explain(error, region, bucket)),
        };
        if let Some(on_its_way) = OnItsWay::of(found.replication_status()) {
            let mut canaries = self.canaries.lock().unwrap_or_else(PoisonError::into_inner);
            canaries.insert(bucket.to_owned(), on_its_way);
        }
        let etag = found.e_tag().map(str::to_owned);
        let body =
            found.body.collect().await.map_err(|error| {
                ask.error("UnreadableAnswer", error.to_string(), crate::ports::Effect::NoneRetryable)
            })?;
        let text = String::from_utf8_lossy(&body.into_bytes()).into_owned();
        match text.trim().parse() {
            Ok(version) => Ok(Some((version, etag))),
            Err(_) => {
                Err(ask
                    .refuse("NotACanary", format!("{bucket}/{key} holds something else: choose another canary.prefix")))
            }
        }
    }
}

/// S3's words for a bucket that is elsewhere or not there, with what to do.
fn explain(error: CallError, region: &Region, bucket: &str) -> CallError {
    let message = match error.code.as_str() {
        "NoSuchBucket" => format!("there is no bucket {bucket}: create it in {region}, or correct the name"),
        "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" | "HTTP301" => {
            format!("the bucket {bucket} is not in {region}: correct the manifest ({})", error.message)
        }
        _ => return error,
    };
    CallError { message, ..error }
}

/// `arn:aws:s3:::bucket` or `bucket`.
fn bucket_of(arn: &str) -> &str {
    arn.rsplit(':').next().unwrap_or(arn)
}

fn rule_from_aws(rule: &aws::ReplicationRule) -> Option<ReplicationRule> {
    let destination = rule.destination()?;
    let whole_filter = rule.filter().is_none_or(|filter| {
        filter.prefix().is_none_or(str::is_empty) && filter.tag().is_none() && filter.and().is_none()
    });
    #[expect(deprecated, reason = "rules of the first kind have their prefix here")]
    let old_prefix = rule.prefix();
    let modifications = rule.source_selection_criteria().and_then(|criteria| criteria.replica_modifications());
    let markers = rule.delete_marker_replication().and_then(|markers| markers.status());
    let time = destination.replication_time().map(aws::ReplicationTime::status);
    Some(ReplicationRule {
        to: bucket_of(destination.bucket()).to_owned(),
        enabled: rule.status() == &aws::ReplicationRuleStatus::Enabled,
        is_whole: whole_filter && old_prefix.is_none_or(str::is_empty),
        replica_modifications: modifications
            .is_some_and(|found| found.status() == &aws::ReplicaModificationsStatus::Enabled),
        delete_markers: markers == Some(&aws::DeleteMarkerReplicationStatus::Enabled),
        time_control: time == Some(&aws::ReplicationTimeStatus::Enabled),
    })
}

type Built<T> = Result<T, aws_sdk_s3::error::BuildError>;

/// A rule over everything. Its priority is above those that are there, as S3 wants each to have one of its own.
fn new_rule(wish: &ReplicationWish<'_>, present: &[aws::ReplicationRule]) -> Built<aws::ReplicationRule> {
    let priority = present.iter().filter_map(aws::ReplicationRule::priority).max().unwrap_or(0) + 1;
    let mut destination = aws::Destination::builder().bucket(format!("arn:aws:s3:::{}", wish.to));
    if wish.time_control {
        let minutes = || aws::ReplicationTimeValue::builder().minutes(TIME_CONTROL_MINUTES).build();
        let time = aws::ReplicationTime::builder().status(aws::ReplicationTimeStatus::Enabled).time(minutes());
        let metrics = aws::Metrics::builder().status(aws::MetricsStatus::Enabled).event_threshold(minutes());
        destination = destination.replication_time(time.build()?).metrics(metrics.build()?);
    }
    let mut rule = aws::ReplicationRule::builder()
        .id(own_id(wish.to))
        .priority(priority)
        .status(aws::ReplicationRuleStatus::Enabled)
        .filter(aws::ReplicationRuleFilter::builder().prefix("").build())
        .delete_marker_replication(
            aws::DeleteMarkerReplication::builder().status(aws::DeleteMarkerReplicationStatus::Disabled).build(),
        )
        .destination(destination.build()?);
    if wish.both_ways {
        let modifications = aws::ReplicaModifications::builder().status(aws::ReplicaModificationsStatus::Enabled);
        let criteria = aws::SourceSelectionCriteria::builder().replica_modifications(modifications.build()?).build();
        rule = rule.source_selection_criteria(criteria);
    }
    rule.build()
}

/// Those that are there, with ours added or, if it is one of ours already, put in its place.
fn with_rule(
    present: Option<&aws::ReplicationConfiguration>,
    wish: &ReplicationWish<'_>,
    role: &str,
) -> Built<aws::ReplicationConfiguration> {
    let ours = own_id(wish.to);
    let kept: Vec<aws::ReplicationRule> = present
        .into_iter()
        .flat_map(aws::ReplicationConfiguration::rules)
        .filter(|rule| rule.id() != Some(ours.as_str()))
        .cloned()
        .collect();
    let rule = new_rule(wish, &kept)?;
    let rules = kept.into_iter().chain([rule]).collect();
    aws::ReplicationConfiguration::builder().role(role).set_rules(Some(rules)).build()
}

#[async_trait]
impl Buckets for S3 {
    async fn describe(&self, region: &Region, bucket: &str) -> Call<BucketState> {
        let (versioning, configuration, has_objects) = tokio::join!(
            self.is_versioned(region, bucket),
            self.configuration(region, bucket),
            self.has_objects(region, bucket),
        );
        let canary = self.canaries.lock().unwrap_or_else(PoisonError::into_inner).get(bucket).copied();
        let rules = configuration?.as_ref().map(|found| found.rules().iter().filter_map(rule_from_aws).collect());
        Ok(BucketState {
            bucket: bucket.to_owned(),
            versioning: versioning?,
            rules: rules.unwrap_or_default(),
            has_objects: has_objects?,
            // S3 counts in CloudWatch, and only for rules with metrics; the canary object stands for the others.
            pending: canary.map(|on_its_way| u64::from(on_its_way == OnItsWay::Pending)),
            failed: canary.map(|on_its_way| u64::from(on_its_way == OnItsWay::Failed)),
        })
    }

    async fn replicate(&self, region: &Region, wish: &ReplicationWish<'_>) -> Call<()> {
        let ask = action("PutBucketReplication", region);
        if !self.is_versioned(region, wish.from).await? {
            let why =
                format!("{} is not versioned: turn versioning on, as replication needs it on both sides", wish.from);
            return Err(ask.refuse("InvalidRequest", why));
        }
        let present = self.configuration(region, wish.from).await?;
        let role = wish.role_arn.or_else(|| present.as_ref().map(aws::ReplicationConfiguration::role));
        let role = role.filter(|role| !role.is_empty()).ok_or_else(|| {
            let why = format!("{} has no replication role: add s3.role_arn to the manifest", wish.from);
            ask.refuse("InvalidRequest", why)
        })?;
        let wanted = with_rule(present.as_ref(), wish, role);
        let wanted = wanted.map_err(|error| ask.refuse("InvalidRequest", error.to_string()))?;
        let client = self.client(region, Kind::Action).await;
        let sending = client.put_bucket_replication().bucket(wish.from).replication_configuration(wanted).send();
        self.account.call(ask, sending).await.map_err(|error| explain(error, region, wish.from)).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &str = "arn:aws:iam::123456789012:role/s3-replication";

    fn wish(both_ways: bool, time_control: bool) -> ReplicationWish<'static> {
        ReplicationWish { from: "media-use1", to: "media-euw1", role_arn: Some(ROLE), both_ways, time_control }
    }

    fn foreign() -> aws::ReplicationRule {
        let destination = aws::Destination::builder().bucket("arn:aws:s3:::backup").build().unwrap();
        aws::ReplicationRule::builder()
            .id("backup")
            .priority(4)
            .status(aws::ReplicationRuleStatus::Disabled)
            .filter(aws::ReplicationRuleFilter::builder().prefix("logs/").build())
            .destination(destination)
            .build()
            .unwrap()
    }

    #[test]
    fn a_rule_of_ours_covers_everything_and_leaves_the_others_as_they_are() {
        let present = aws::ReplicationConfiguration::builder().role(ROLE).rules(foreign()).build().unwrap();
        let first = with_rule(Some(&present), &wish(true, true), ROLE).unwrap();
        assert_eq!((first.rules()[0].clone(), first.rules().len()), (foreign(), 2));
        assert_eq!((first.rules()[1].id(), first.rules()[1].priority()), (Some("failoverd-media-euw1"), Some(5)));
        let ours = rule_from_aws(&first.rules()[1]).unwrap();
        assert!(ours.enabled && ours.is_whole && ours.replica_modifications && ours.time_control, "{ours:?}");
        let again = with_rule(Some(&first), &wish(false, false), ROLE).unwrap();
        assert_eq!(again.rules().len(), 2);
        assert!(!rule_from_aws(&again.rules()[1]).unwrap().replica_modifications);
    }

    #[test]
    fn a_rule_over_a_prefix_or_one_that_is_off_is_seen_as_such() {
        let rule = rule_from_aws(&foreign()).unwrap();
        assert_eq!((rule.to.as_str(), rule.enabled, rule.is_whole), ("backup", false, false));
    }
}
