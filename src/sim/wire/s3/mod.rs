//! S3: REST with XML, path style (`/bucket/key`).

mod buckets;
mod objects;

use super::answer::{Answer, unknown_operation};
use super::api::Operation;
use super::request::WireRequest;
use crate::sim::world::{Refusal, World};

const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// Bucket and key of a path; a key may hold slashes.
fn place(request: &WireRequest) -> (&str, &str) {
    let path = request.path.strip_prefix('/').unwrap_or(&request.path);
    path.split_once('/').unwrap_or((path, ""))
}

pub(super) fn operation(request: &WireRequest) -> Result<Operation, Refusal> {
    let (bucket, key) = place(request);
    let asks = |name: &str| request.parameter(name).is_some();
    Ok(match (request.method.as_str(), bucket.is_empty(), key.is_empty()) {
        ("GET", true, _) => Operation::read("ListBuckets"),
        ("GET", _, true) if asks("location") => Operation::read("GetBucketLocation"),
        ("GET", _, true) if asks("versioning") => Operation::read("GetBucketVersioning"),
        ("GET", _, true) if asks("replication") => Operation::read("GetBucketReplication"),
        ("GET", _, true) => Operation::read("ListObjectsV2").on_data(),
        ("PUT", _, true) if asks("versioning") => Operation::change("PutBucketVersioning"),
        ("PUT", _, true) if asks("replication") => Operation::change("PutBucketReplication"),
        ("DELETE", _, true) if asks("replication") => Operation::change("DeleteBucketReplication"),
        ("PUT", _, true) => Operation::change("CreateBucket"),
        ("HEAD", _, true) => Operation::read("HeadBucket"),
        ("DELETE", _, true) => Operation::change("DeleteBucket"),
        ("PUT", _, false) => Operation::change("PutObject").on_data(),
        ("GET", _, false) => Operation::read("GetObject").on_data(),
        ("HEAD", _, false) => Operation::read("HeadObject").on_data(),
        ("DELETE", _, false) => Operation::change("DeleteObject").on_data(),
        _ => return Err(unknown_operation(&format!("{} {}", request.method, request.path))),
    })
}

pub(super) fn act(world: &mut World, request: &WireRequest, operation: Operation) -> Result<Answer, Refusal> {
    let (bucket, key) = place(request);
    match operation.name {
        "ListBuckets" => Ok(buckets::list(world)),
        "GetBucketLocation" => buckets::location(world, &request.region, bucket),
        "GetBucketVersioning" => buckets::versioning(world, &request.region, bucket),
        "GetBucketReplication" => buckets::replication(world, &request.region, bucket),
        "PutBucketVersioning" => buckets::put_versioning(world, request, bucket),
        "PutBucketReplication" => buckets::put_replication(world, request, bucket),
        "DeleteBucketReplication" => buckets::delete_replication(world, &request.region, bucket),
        "CreateBucket" => buckets::create(world, request, bucket),
        "HeadBucket" => buckets::head(world, &request.region, bucket),
        "DeleteBucket" => buckets::delete(world, &request.region, bucket),
        "ListObjectsV2" => objects::list(world, request, bucket),
        "PutObject" => objects::put(world, request, bucket, key),
        "GetObject" => objects::get(world, &request.region, bucket, key),
        "HeadObject" => objects::head(world, &request.region, bucket, key),
        "DeleteObject" => objects::delete(world, &request.region, bucket, key),
        other => Err(unknown_operation(other)),
    }
}
