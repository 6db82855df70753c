//! S3: REST with XML, path style (`/bucket/key`), or the bucket before the host (`bucket.s3.…`, `bucket.localhost`).

mod buckets;
mod chunks;
mod listing;
mod objects;
mod replication;

use super::answer::Answer;
use super::api::Operation;
use super::request::WireRequest;
use super::xml::{Node, Xml};
use crate::sim::world::{Refusal, World};

const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// Parts of S3 that a query names and that are not simulated: without this list a call for one of them would be taken
/// for a call for the bucket or the object itself.
const ELSEWHERE: [&str; 34] = [
    "accelerate",
    "acl",
    "analytics",
    "attributes",
    "cors",
    "encryption",
    "intelligent-tiering",
    "inventory",
    "legal-hold",
    "lifecycle",
    "logging",
    "metadataConfiguration",
    "metadataTable",
    "metrics",
    "notification",
    "object-lock",
    "ownershipControls",
    "partNumber",
    "policy",
    "policyStatus",
    "publicAccessBlock",
    "renameObject",
    "replication-metrics",
    "requestPayment",
    "restore",
    "retention",
    "select",
    "session",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versioning",
    "website",
];

/// Bucket and key; a key may hold slashes.
fn place(request: &WireRequest) -> (&str, &str) {
    let path = request.path.strip_prefix('/').unwrap_or(&request.path);
    let host = request.header("host").unwrap_or_default().split(':').next().unwrap_or_default();
    let before = host.split_once(".s3.").or_else(|| host.split_once(".s3-")).map(|(bucket, _)| bucket);
    match before.or_else(|| host.strip_suffix(".localhost")).filter(|bucket| !bucket.is_empty()) {
        Some(bucket) => (bucket, path),
        None => path.split_once('/').unwrap_or((path, "")),
    }
}

pub(super) fn operation(request: &WireRequest) -> Result<Operation, Refusal> {
    let (bucket, key) = place(request);
    let asks = |name: &str| request.parameter(name).is_some();
    let elsewhere = || ELSEWHERE.into_iter().find(|name| asks(name));
    let not_served = |what: &str| {
        let message = format!(
            "A header you provided implies functionality that is not implemented: the simulated S3 does not serve {what}."
        );
        Refusal::new("NotImplemented", message)
    };
    let found = match (request.method.as_str(), bucket.is_empty(), key.is_empty()) {
        ("GET", true, _) => Operation::read("ListBuckets"),
        ("GET", _, true) if asks("location") => Operation::read("GetBucketLocation"),
        ("GET", _, true) if asks("versioning") => Operation::read("GetBucketVersioning"),
        ("GET", _, true) if asks("replication") => Operation::read("GetBucketReplication"),
        ("GET", _, true) if asks("tagging") => Operation::read("GetBucketTagging"),
        ("GET", _, true) if asks("versions") => Operation::read("ListObjectVersions").on_data(),
        ("PUT", _, true) if asks("versioning") => Operation::change("PutBucketVersioning"),
        ("PUT", _, true) if asks("replication") => Operation::change("PutBucketReplication"),
        ("PUT", _, true) if asks("tagging") => Operation::change("PutBucketTagging"),
        ("DELETE", _, true) if asks("replication") => Operation::change("DeleteBucketReplication"),
        ("DELETE", _, true) if asks("tagging") => Operation::change("DeleteBucketTagging"),
        ("POST", _, true) if asks("delete") => Operation::change("DeleteObjects").on_data(),
        (method, ..) if let Some(part) = elsewhere() => return Err(not_served(&format!("{method} with ?{part}"))),
        ("PUT", _, false) if request.header("x-amz-copy-source").is_some() => return Err(not_served("CopyObject")),
        ("GET", _, true) if request.parameter("list-type") == Some("2") => Operation::read("ListObjectsV2").on_data(),
        ("GET", _, true) => Operation::read("ListObjects").on_data(),
        ("PUT", _, true) => Operation::change("CreateBucket"),
        ("HEAD", _, true) => Operation::read("HeadBucket"),
        ("DELETE", _, true) => Operation::change("DeleteBucket"),
        ("PUT", _, false) => Operation::change("PutObject").on_data(),
        ("GET", _, false) => Operation::read("GetObject").on_data(),
        ("HEAD", _, false) => Operation::read("HeadObject").on_data(),
        ("DELETE", _, false) => Operation::change("DeleteObject").on_data(),
        (method, ..) => {
            let message =
                format!("The specified method is not allowed against this resource: {method} {}", request.path);
            return Err(Refusal::new("MethodNotAllowed", message));
        }
    };
    Ok(found)
}

pub(super) fn act(world: &mut World, request: &WireRequest, operation: Operation) -> Result<Answer, Refusal> {
    let (bucket, key) = place(request);
    let answered = serve(world, request, operation, bucket, key);
    match answered {
        Err(refusal) if refusal.code == "PermanentRedirect" => Ok(redirect(world, bucket, &refusal)),
        answered => answered,
    }
}

fn serve(
    world: &mut World,
    request: &WireRequest,
    operation: Operation,
    bucket: &str,
    key: &str,
) -> Result<Answer, Refusal> {
    let region = &request.region;
    match operation.name {
        "ListBuckets" => Ok(buckets::list(world, request)),
        "GetBucketLocation" => buckets::location(world, bucket),
        "GetBucketVersioning" => buckets::versioning(world, region, bucket),
        "GetBucketReplication" => replication::get(world, region, bucket),
        "GetBucketTagging" => buckets::tags(world, region, bucket),
        "PutBucketVersioning" => buckets::put_versioning(world, request, bucket),
        "PutBucketReplication" => replication::put(world, request, bucket),
        "PutBucketTagging" => buckets::put_tags(world, request, bucket),
        "DeleteBucketReplication" => replication::delete(world, region, bucket),
        "DeleteBucketTagging" => buckets::delete_tags(world, region, bucket),
        "CreateBucket" => buckets::create(world, request, bucket),
        "HeadBucket" => buckets::head(world, region, bucket),
        "DeleteBucket" => buckets::delete(world, region, bucket),
        "ListObjectsV2" | "ListObjects" => listing::objects(world, request, bucket),
        "ListObjectVersions" => listing::versions(world, request, bucket),
        "PutObject" => objects::put(world, request, bucket, key),
        "GetObject" => objects::get(world, request, bucket, key),
        "HeadObject" => objects::head(world, request, bucket, key),
        "DeleteObject" => objects::delete(world, request, bucket, key),
        "DeleteObjects" => objects::delete_many(world, request, bucket),
        // Every operation that is found above is in this list.
        other => Err(Refusal::new("NotImplemented", other)),
    }
}

/// A bucket that is elsewhere says where, so that clients can go there.
fn redirect(world: &World, bucket: &str, refusal: &Refusal) -> Answer {
    let region = world.bucket_region(bucket).map_or("us-east-1", |region| region.as_str());
    let error = Xml::new("Error")
        .text("Code", refusal.code)
        .text("Message", &refusal.message)
        .text("Bucket", bucket)
        .text("Endpoint", format!("{bucket}.s3.{region}.amazonaws.com"));
    Answer::ok("application/xml", error.into_document()).with_status(301).with("x-amz-bucket-region", region)
}

fn document(name: &str) -> Xml {
    Xml::new(name).attribute("xmlns", NAMESPACE)
}

fn xml(document: Xml) -> Answer {
    Answer::ok("application/xml", document.into_document())
}

fn malformed(why: impl std::fmt::Display) -> Refusal {
    let message = "The XML you provided was not well-formed or did not validate against our published schema";
    Refusal::new("MalformedXML", format!("{message}: {why}"))
}

/// The document in a body, which may come in chunks.
fn document_of(request: &WireRequest) -> Result<Node, Refusal> {
    Node::read(&chunks::body(request)?).map_err(malformed)
}
