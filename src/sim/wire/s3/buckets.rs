//! Buckets: where they are, versioning, tags.

use std::collections::BTreeMap;

use failoverd_domain::ids::Region;
use failoverd_domain::time::Timestamp;

use super::super::answer::Answer;
use super::super::request::WireRequest;
use super::super::xml::{Node, Xml};
use super::{chunks, document, document_of, malformed, xml};
use crate::sim::world::{ACCOUNT, Refusal, Versioning, World};

/// Where a bucket is that asks for no place.
const HOME: &str = "us-east-1";
const MOST_BUCKETS: usize = 10_000;

pub(super) fn list(world: &World, request: &WireRequest) -> Answer {
    let prefix = request.parameter("prefix").unwrap_or_default();
    let wanted = request.parameter("bucket-region");
    let after = request.parameter("continuation-token").unwrap_or_default();
    let most = request.number("max-buckets").unwrap_or(MOST_BUCKETS).clamp(1, MOST_BUCKETS);
    let fits = |(name, region, _): &(&String, &Region, u64)| {
        name.starts_with(prefix) && name.as_str() > after && wanted.is_none_or(|wanted| wanted == region.as_str())
    };
    let mut rest = world.bucket_names().filter(fits);
    let page: Vec<_> = rest.by_ref().take(most).collect();
    let last = page.last().map(|(name, ..)| name.as_str()).filter(|_| rest.next().is_some());
    let bucket = |(name, region, created_ms): &(&String, &Region, u64)| {
        Xml::new("Bucket")
            .text("Name", name)
            .text("CreationDate", super::super::time_text(Timestamp(*created_ms)))
            .text("BucketRegion", region)
    };
    let owner = Xml::new("Owner").text("ID", ACCOUNT);
    let all = document("ListAllMyBucketsResult").child(owner).list("Buckets", page.iter().map(bucket));
    xml(all.maybe("ContinuationToken", last))
}

/// 3 to 63 of small letters, digits, dots and hyphens, with a letter or digit at either end.
fn is_name(name: &str) -> bool {
    let is_plain =
        |letter: Option<char>| letter.is_some_and(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit());
    let is_fine = |letter: char| is_plain(Some(letter)) || letter == '.' || letter == '-';
    (3..=63).contains(&name.len())
        && name.chars().all(is_fine)
        && is_plain(name.chars().next())
        && is_plain(name.chars().next_back())
}

/// The constraint is where the bucket shall be; without one it is us-east-1.
pub(super) fn create(world: &mut World, request: &WireRequest, bucket: &str) -> Result<Answer, Refusal> {
    if !is_name(bucket) {
        return Err(Refusal::new("InvalidBucketName", "The specified bucket is not valid."));
    }
    let body = chunks::body(request)?;
    let configuration = (!body.is_empty()).then(|| Node::read(&body).map_err(malformed)).transpose()?;
    let wanted = configuration.as_ref().and_then(|node| node.of("LocationConstraint")).map(Region::from);
    let asked = &request.region;
    if wanted.as_ref().is_some_and(|wanted| wanted.as_str() == HOME) {
        return Err(Refusal::new("InvalidLocationConstraint", "The specified location-constraint is not valid"));
    }
    let message = match &wanted {
        None if asked.as_str() != HOME => Some("unspecified".to_owned()),
        Some(wanted) if wanted != asked && asked.as_str() != HOME => Some(wanted.to_string()),
        _ => None,
    };
    if let Some(named) = message {
        let message = format!(
            "The {named} location constraint is incompatible for the region specific endpoint this request was sent to."
        );
        return Err(Refusal::new("IllegalLocationConstraintException", message));
    }
    let region = wanted.unwrap_or_else(|| HOME.into());
    world.make_bucket(&region, bucket)?;
    let tags = configuration.as_ref().map(|node| pairs(node.items("Tags"))).transpose()?.unwrap_or_default();
    if !tags.is_empty() {
        world.tag_bucket(&region, bucket, tags)?;
    }
    Ok(Answer::empty(200).with("location", format!("/{bucket}")))
}

pub(super) fn head(world: &World, region: &Region, bucket: &str) -> Result<Answer, Refusal> {
    world.versioning(region, bucket)?;
    Ok(Answer::empty(200).with("x-amz-bucket-region", region.as_str()))
}

pub(super) fn delete(world: &mut World, region: &Region, bucket: &str) -> Result<Answer, Refusal> {
    world.delete_bucket(region, bucket)?;
    Ok(Answer::empty(204))
}

/// This may be asked in any Region: it is how one finds out.
pub(super) fn location(world: &World, bucket: &str) -> Result<Answer, Refusal> {
    let region = world.bucket_region(bucket);
    let region =
        region.ok_or_else(|| Refusal::new("NoSuchBucket", format!("The specified bucket does not exist: {bucket}")))?;
    let shown = if region.as_str() == HOME { "" } else { region.as_str() };
    Ok(xml(document("LocationConstraint").body(shown)))
}

pub(super) fn versioning(world: &World, region: &Region, bucket: &str) -> Result<Answer, Refusal> {
    let status = match world.versioning(region, bucket)? {
        Versioning::Off => None,
        Versioning::Enabled => Some("Enabled"),
        Versioning::Suspended => Some("Suspended"),
    };
    Ok(xml(document("VersioningConfiguration").maybe("Status", status)))
}

pub(super) fn put_versioning(world: &mut World, request: &WireRequest, bucket: &str) -> Result<Answer, Refusal> {
    let versioning = match document_of(request)?.of("Status") {
        Some("Enabled") => Versioning::Enabled,
        Some("Suspended") => Versioning::Suspended,
        _ => {
            let message = "The Versioning element must be specified with a Status of Enabled or Suspended";
            return Err(Refusal::new("IllegalVersioningConfigurationException", message));
        }
    };
    world.put_versioning(&request.region, bucket, versioning)?;
    Ok(Answer::empty(200))
}

/// `<Tag><Key/><Value/></Tag>` and so on, each key once.
pub(super) fn pairs(nodes: &[Node]) -> Result<BTreeMap<String, String>, Refusal> {
    let mut found = BTreeMap::new();
    for node in nodes {
        let (key, value) = (node.of("Key").unwrap_or_default(), node.of("Value").unwrap_or_default());
        if key.is_empty() || key.starts_with("aws:") {
            return Err(Refusal::new("InvalidTag", "The TagKey you have provided is invalid"));
        }
        if found.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(Refusal::new("InvalidTag", "Cannot provide multiple Tags with the same key"));
        }
    }
    Ok(found)
}

pub(super) fn tags(world: &World, region: &Region, bucket: &str) -> Result<Answer, Refusal> {
    let tags = world.bucket_tags(region, bucket)?;
    if tags.is_empty() {
        return Err(Refusal::new("NoSuchTagSet", "The TagSet does not exist"));
    }
    let tags = tags.iter().map(|(key, value)| Xml::new("Tag").text("Key", key).text("Value", value));
    Ok(xml(document("Tagging").list("TagSet", tags)))
}

pub(super) fn put_tags(world: &mut World, request: &WireRequest, bucket: &str) -> Result<Answer, Refusal> {
    let tags = pairs(document_of(request)?.items("TagSet"))?;
    world.tag_bucket(&request.region, bucket, tags)?;
    Ok(Answer::empty(204))
}

pub(super) fn delete_tags(world: &mut World, region: &Region, bucket: &str) -> Result<Answer, Refusal> {
    world.tag_bucket(region, bucket, BTreeMap::new())?;
    Ok(Answer::empty(204))
}
