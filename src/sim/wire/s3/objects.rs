//! Objects: bodies, ETags, conditions, versions, and how far each has been replicated.

use md5::{Digest, Md5};

use super::super::answer::Answer;
use super::super::request::{WireRequest, pairs};
use super::super::xml::Xml;
use super::{chunks, document, document_of, xml};
use crate::sim::world::{Deleted, NewObject, Refusal, World, Written};

/// Headers that S3 keeps and gives back, besides `x-amz-meta-…`.
const KEPT: [&str; 6] =
    ["content-type", "cache-control", "content-disposition", "content-language", "expires", "content-encoding"];
const META: &str = "x-amz-meta-";
const MOST_DELETED: usize = 1_000;

/// A canary that was written through ports is its version alone.
fn body_of(written: &Written) -> Vec<u8> {
    written.object().map_or_else(|| written.version.to_string().into_bytes(), |object| object.body.to_vec())
}

pub(super) fn etag_of(written: &Written) -> String {
    written.object().map_or_else(|| etag(&body_of(written)), |object| object.etag.clone())
}

/// The body's MD5, in quotes.
fn etag(body: &[u8]) -> String {
    let digest: String = Md5::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\"{digest}\"")
}

pub(super) fn version_of(written: &Written) -> &str {
    written.object().map_or("null", |object| object.version())
}

/// `If-None-Match: *`, or `If-Match` with the ETag of what is there; quotes do not matter.
fn check(request: &WireRequest, held: Option<&Written>) -> Result<(), Refusal> {
    let failed = |condition: &str| {
        let message = format!("At least one of the pre-conditions you specified did not hold: {condition}");
        Refusal::new("PreconditionFailed", message)
    };
    if let Some(unwanted) = request.header("if-none-match") {
        if unwanted != "*" {
            let message =
                "A header you provided implies functionality that is not implemented: If-None-Match takes * alone";
            return Err(Refusal::new("NotImplemented", message));
        }
        if held.is_some() {
            return Err(failed("If-None-Match"));
        }
    }
    let Some(wanted) = request.header("if-match") else { return Ok(()) };
    let Some(held) = held else { return Err(Refusal::new("NoSuchKey", "The specified key does not exist.")) };
    let same = wanted == "*" || wanted.trim_matches('"') == etag_of(held).trim_matches('"');
    if same { Ok(()) } else { Err(failed("If-Match")) }
}

pub(super) fn put(world: &mut World, request: &WireRequest, bucket: &str, key: &str) -> Result<Answer, Refusal> {
    let body = chunks::body(request)?;
    let held = world.object(&request.region, bucket, key)?.filter(|written| !written.is_gone());
    check(request, held)?;
    let kept = |name: &str| KEPT.contains(&name) || name.starts_with(META);
    let headers = request.headers.iter().filter(|(name, _)| kept(name.as_str()));
    let headers = headers.filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())));
    let mut headers: std::collections::BTreeMap<String, String> = headers.collect();
    if let Some(encoding) = headers.remove("content-encoding") {
        // How it was sent is not how it is kept.
        let rest: Vec<&str> = encoding.split(',').map(str::trim).filter(|word| *word != "aws-chunked").collect();
        if !rest.is_empty() {
            headers.insert("content-encoding".to_owned(), rest.join(","));
        }
    }
    let (etag, version) = (etag(&body), std::str::from_utf8(&body).ok().and_then(|text| text.parse().ok()));
    let tags = request.header("x-amz-tagging").map(pairs).unwrap_or_default().into_iter().collect();
    let new = NewObject { body, etag: etag.clone(), headers, tags, version };
    let version_id = world.store_object(&request.region, bucket, key, new)?;
    let answer = Answer::empty(200).with("etag", etag);
    Ok(match version_id {
        Some(version_id) => answer.with("x-amz-version-id", version_id),
        None => answer,
    })
}

/// The version that is asked for, or the newest. A mark of deletion is told apart from nothing.
fn find<'a>(world: &'a World, request: &WireRequest, bucket: &str, key: &str) -> Result<&'a Written, Refusal> {
    let region = &request.region;
    match request.parameter("versionId") {
        Some(version) => match world.object_version(region, bucket, key, version)? {
            None => Err(Refusal::new("NoSuchVersion", "The specified version does not exist.")),
            Some(marker) if marker.is_gone() => {
                Err(Refusal::new("MethodNotAllowed", "The specified method is not allowed against this resource."))
            }
            Some(found) => Ok(found),
        },
        None => world
            .object(region, bucket, key)?
            .filter(|written| !written.is_gone())
            .ok_or_else(|| Refusal::new("NoSuchKey", format!("The specified key does not exist: {key}"))),
    }
}

fn described(world: &World, request: &WireRequest, bucket: &str, key: &str, body: bool) -> Result<Answer, Refusal> {
    let written = find(world, request, bucket, key)?;
    let etag = etag_of(written);
    if let Some(wanted) = request.header("if-match").filter(|wanted| wanted.trim_matches('"') != etag.trim_matches('"'))
    {
        let message = format!("At least one of the pre-conditions you specified did not hold: If-Match {wanted}");
        return Err(Refusal::new("PreconditionFailed", message));
    }
    let bytes = body_of(written);
    let length = bytes.len().to_string();
    let type_of = written.object().and_then(|object| object.headers.get("content-type")).map(String::as_str);
    let mut answer = Answer::ok(type_of.unwrap_or("binary/octet-stream"), if body { bytes } else { Vec::new() })
        .with("etag", etag)
        .with("content-length", length)
        .with("accept-ranges", "bytes")
        .with("last-modified", super::super::http_time(written.at_ms));
    if let Some(object) = written.object() {
        for (name, value) in object.headers.iter().filter(|(name, _)| name.as_str() != "content-type") {
            answer = answer.with_named(name, value);
        }
        if let Some(version_id) = &object.version_id {
            answer = answer.with("x-amz-version-id", version_id);
        }
    }
    Ok(match world.replication_status(bucket, key, written) {
        Some(status) => answer.with("x-amz-replication-status", status),
        None => answer,
    })
}

pub(super) fn get(world: &World, request: &WireRequest, bucket: &str, key: &str) -> Result<Answer, Refusal> {
    if request.header("range").is_some() {
        return Err(Refusal::new("NotImplemented", "The simulated S3 serves no ranges of objects."));
    }
    described(world, request, bucket, key, true)
}

pub(super) fn head(world: &World, request: &WireRequest, bucket: &str, key: &str) -> Result<Answer, Refusal> {
    described(world, request, bucket, key, false)
}

fn take(
    world: &mut World,
    request: &WireRequest,
    bucket: &str,
    key: &str,
    version: Option<&str>,
) -> Result<Deleted, Refusal> {
    match version {
        Some(version) => world.delete_version(&request.region, bucket, key, version),
        None => world.delete_object(&request.region, bucket, key),
    }
}

pub(super) fn delete(world: &mut World, request: &WireRequest, bucket: &str, key: &str) -> Result<Answer, Refusal> {
    let deleted = take(world, request, bucket, key, request.parameter("versionId"))?;
    let mut answer = Answer::empty(204);
    if let Some(version_id) = deleted.version_id {
        answer = answer.with("x-amz-version-id", version_id);
    }
    Ok(if deleted.is_marker { answer.with("x-amz-delete-marker", "true") } else { answer })
}

pub(super) fn delete_many(world: &mut World, request: &WireRequest, bucket: &str) -> Result<Answer, Refusal> {
    let wanted = document_of(request)?;
    world.versioning(&request.region, bucket)?;
    let objects: Vec<_> = wanted.children.iter().filter(|child| child.name == "Object").collect();
    if objects.is_empty() || objects.len() > MOST_DELETED {
        return Err(super::malformed(format!("there must be 1 to {MOST_DELETED} objects")));
    }
    let mut done = Vec::new();
    for object in objects {
        let key = object.of("Key").unwrap_or_default();
        let version = object.of("VersionId");
        let deleted = take(world, request, bucket, key, version)?;
        let marker = deleted.is_marker.then_some("true");
        let entry = Xml::new("Deleted").text("Key", key).maybe("VersionId", version).maybe("DeleteMarker", marker);
        done.push(entry.maybe("DeleteMarkerVersionId", deleted.version_id.filter(|_| deleted.is_marker)));
    }
    let done = done.into_iter().filter(|_| !wanted.flag("Quiet"));
    Ok(xml(document("DeleteResult").children(done)))
}
