//! Objects: bodies, ETags, conditions, and how far each has been replicated.

use std::sync::Arc;

use failoverd_domain::ids::Region;
use sha2::{Digest, Sha256};

use super::super::answer::{Answer, malformed};
use super::super::request::WireRequest;
use super::super::xml::Xml;
use super::NAMESPACE;
use crate::sim::world::{Refusal, World, Written};

const MOST_KEYS: usize = 1_000;

fn body_of(written: &Written) -> Vec<u8> {
    // A canary that was written through ports is its version alone.
    written.payload.as_ref().map_or_else(|| written.version.to_string().into_bytes(), |payload| payload.to_vec())
}

fn etag_of(body: &[u8]) -> String {
    let digest: String = Sha256::digest(body).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{digest}\"")
}

fn no_such_key(key: &str) -> Refusal {
    Refusal::new("NoSuchKey", format!("The specified key does not exist: {key}"))
}

/// The SDKs send bodies in signed chunks: `SIZE;…\r\nBYTES\r\n`, the last of size 0, trailers behind it.
fn unchunked(request: &WireRequest) -> Result<Vec<u8>, Refusal> {
    let chunked = request.header("content-encoding").is_some_and(|encoding| encoding.contains("aws-chunked"))
        || request.header("x-amz-content-sha256").is_some_and(|hash| hash.starts_with("STREAMING-"));
    if !chunked {
        return Ok(request.body.to_vec());
    }
    let mut rest = request.body.as_ref();
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|pair| pair == b"\r\n").ok_or_else(|| malformed("a chunk has no size"))?;
        let size = std::str::from_utf8(&rest[..end]).ok().and_then(|line| line.split(';').next());
        let size = size.and_then(|size| usize::from_str_radix(size.trim(), 16).ok());
        let size = size.ok_or_else(|| malformed("a chunk has no size"))?;
        rest = &rest[end + 2..];
        if size == 0 {
            return Ok(body);
        }
        body.extend_from_slice(rest.get(..size).ok_or_else(|| malformed("a chunk is too short"))?);
        rest = rest.get(size + 2..).unwrap_or_default();
    }
}

pub(super) fn put(world: &mut World, request: &WireRequest, bucket: &str, key: &str) -> Result<Answer, Refusal> {
    let body = unchunked(request)?;
    let held = world.object(&request.region, bucket, key)?.cloned();
    let held_etag = held.as_ref().map(|written| etag_of(&body_of(written)));
    let fits = request.header("if-none-match").is_none_or(|_| held.is_none())
        && request.header("if-match").is_none_or(|wanted| held_etag.as_deref() == Some(wanted));
    if !fits {
        let message = "At least one of the pre-conditions you specified did not hold";
        return Err(Refusal::new("PreconditionFailed", message));
    }
    let own = std::str::from_utf8(&body).ok().and_then(|text| text.parse().ok());
    let version = own.unwrap_or_else(|| held.map_or(0, |written| written.version) + 1);
    let etag = etag_of(&body);
    world.put_object_as(&request.region, bucket, key, version, Some(Arc::from(body)))?;
    Ok(Answer::empty(200).with("etag", etag).with("x-amz-version-id", format!("v{version}")))
}

pub(super) fn get(world: &World, region: &Region, bucket: &str, key: &str) -> Result<Answer, Refusal> {
    let body = body_of(world.object(region, bucket, key)?.ok_or_else(|| no_such_key(key))?);
    describe(world, region, bucket, key, Answer::ok("binary/octet-stream", body))
}

fn describe(world: &World, region: &Region, bucket: &str, key: &str, answer: Answer) -> Result<Answer, Refusal> {
    let written = world.object(region, bucket, key)?.ok_or_else(|| no_such_key(key))?;
    let answer = answer.with("etag", etag_of(&body_of(written)));
    let answer = answer.with("last-modified", super::super::http_time(written.at_ms));
    Ok(match world.replication_status(bucket, key) {
        Some(status) => answer.with("x-amz-replication-status", status),
        None => answer,
    })
}

pub(super) fn head(world: &World, region: &Region, bucket: &str, key: &str) -> Result<Answer, Refusal> {
    let length = body_of(world.object(region, bucket, key)?.ok_or_else(|| no_such_key(key))?).len();
    describe(world, region, bucket, key, Answer::empty(200).with("content-length", length.to_string()))
}

pub(super) fn delete(world: &mut World, region: &Region, bucket: &str, key: &str) -> Result<Answer, Refusal> {
    world.delete_object(region, bucket, key)?;
    Ok(Answer::empty(204))
}

pub(super) fn list(world: &World, request: &WireRequest, bucket: &str) -> Result<Answer, Refusal> {
    let prefix = request.parameter("prefix").unwrap_or_default();
    let most = request.number("max-keys").unwrap_or(MOST_KEYS).min(MOST_KEYS);
    let after =
        request.parameter("continuation-token").or_else(|| request.parameter("start-after")).unwrap_or_default();
    let all = world.object_keys(&request.region, bucket, prefix)?;
    let mut rest = all.into_iter().filter(|(key, _)| key.as_str() > after);
    let page: Vec<_> = rest.by_ref().take(most).collect();
    let truncated = rest.next().is_some();
    let last = page.last().map(|(key, _)| key.clone());
    let contents = page.iter().map(|(key, written)| {
        let body = body_of(written);
        Xml::new("Contents")
            .text("Key", key)
            .text("LastModified", super::super::time_text(failoverd_domain::time::Timestamp(written.at_ms)))
            .text("ETag", etag_of(&body))
            .text("Size", body.len())
            .text("StorageClass", "STANDARD")
    });
    let document = Xml::new("ListBucketResult")
        .attribute("xmlns", NAMESPACE)
        .text("Name", bucket)
        .text("Prefix", prefix)
        .text("KeyCount", page.len())
        .text("MaxKeys", most)
        .text("IsTruncated", truncated)
        .children(contents)
        .maybe("NextContinuationToken", last.filter(|_| truncated));
    Ok(Answer::ok("application/xml", document.into_document()))
}
