//! Listings of objects and of their versions, page by page.

use failoverd_domain::time::Timestamp;

use super::super::answer::Answer;
use super::super::request::WireRequest;
use super::super::xml::Xml;
use super::objects::{etag_of, version_of};
use super::{document, xml};
use crate::sim::world::{ACCOUNT, ListedVersion, Refusal, World, Written};

const MOST_KEYS: usize = 1_000;

/// A key, or what several keys begin with up to the delimiter.
enum Entry<'a> {
    Object(&'a String, &'a Written),
    Folder(String),
}

impl Entry<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Object(key, _) => key,
            Self::Folder(prefix) => prefix,
        }
    }
}

/// What a request for a page says.
struct Wanted<'a> {
    prefix: &'a str,
    delimiter: Option<&'a str>,
    most: usize,
    /// Where names are to be written so that any of them fits into XML.
    encodes: bool,
}

impl<'a> Wanted<'a> {
    fn of(request: &'a WireRequest) -> Result<Self, Refusal> {
        let most = match request.parameter("max-keys") {
            None => MOST_KEYS,
            Some(given) => given
                .parse::<usize>()
                .map_err(|_| {
                    Refusal::new("InvalidArgument", "Provided max-keys not an integer or within integer range")
                })?
                .min(MOST_KEYS),
        };
        Ok(Self {
            prefix: request.parameter("prefix").unwrap_or_default(),
            delimiter: request.parameter("delimiter").filter(|delimiter| !delimiter.is_empty()),
            most,
            encodes: request.parameter("encoding-type") == Some("url"),
        })
    }

    fn text(&self, name: &str) -> String {
        const KEPT: &percent_encoding::AsciiSet =
            &percent_encoding::NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');
        match self.encodes {
            true => percent_encoding::utf8_percent_encode(name, KEPT).to_string(),
            false => name.to_owned(),
        }
    }
}

/// Of either version: the first one calls its places differently.
pub(super) fn objects(world: &World, request: &WireRequest, bucket: &str) -> Result<Answer, Refusal> {
    let wanted = Wanted::of(request)?;
    let token = request.parameter("continuation-token");
    let is_first_version = request.parameter("list-type").is_none();
    let start = request.parameter(if is_first_version { "marker" } else { "start-after" });
    let after = token.or(start).unwrap_or_default();
    let mut entries: Vec<Entry<'_>> = Vec::new();
    for (key, written) in world.objects_below(&request.region, bucket, wanted.prefix)? {
        let rest = &key[wanted.prefix.len()..];
        let folder = wanted.delimiter.and_then(|delimiter| rest.find(delimiter).map(|at| at + delimiter.len()));
        match folder.map(|end| format!("{}{}", wanted.prefix, &rest[..end])) {
            Some(folder) if entries.last().is_some_and(|last| last.name() == folder) => {}
            Some(folder) => entries.push(Entry::Folder(folder)),
            None => entries.push(Entry::Object(key, written)),
        }
    }
    entries.retain(|entry| entry.name() > after);
    let truncated = entries.len() > wanted.most;
    entries.truncate(wanted.most);
    let last = entries.last().map(|entry| entry.name().to_owned()).filter(|_| truncated);
    let mut listed = document("ListBucketResult")
        .text("Name", bucket)
        .text("Prefix", wanted.text(wanted.prefix))
        .maybe("Delimiter", wanted.delimiter.map(|delimiter| wanted.text(delimiter)))
        .maybe("EncodingType", wanted.encodes.then_some("url"))
        .text("MaxKeys", wanted.most)
        .text("IsTruncated", truncated);
    listed = match is_first_version {
        true => listed.text("Marker", wanted.text(after)).maybe("NextMarker", last.map(|last| wanted.text(&last))),
        false => listed
            .maybe("ContinuationToken", token)
            .text("KeyCount", entries.len())
            .maybe("NextContinuationToken", last),
    };
    for entry in entries {
        listed = listed.child(match entry {
            Entry::Object(key, written) => stored(Xml::new("Contents").text("Key", wanted.text(key)), written),
            Entry::Folder(prefix) => Xml::new("CommonPrefixes").text("Prefix", wanted.text(&prefix)),
        });
    }
    Ok(xml(listed))
}

fn stored(entry: Xml, written: &Written) -> Xml {
    entry
        .text("LastModified", super::super::time_text(Timestamp(written.at_ms)))
        .text("ETag", etag_of(written))
        .text("Size", written.bytes())
        .text("StorageClass", "STANDARD")
}

pub(super) fn versions(world: &World, request: &WireRequest, bucket: &str) -> Result<Answer, Refusal> {
    let wanted = Wanted::of(request)?;
    let mut all = world.versions_below(&request.region, bucket, wanted.prefix)?;
    let (key, version) = (request.parameter("key-marker"), request.parameter("version-id-marker"));
    if let Some(key) = key.filter(|key| !key.is_empty()) {
        let is_it = |listed: &ListedVersion| listed.key == key && Some(version_of(&listed.written)) == version;
        let begin = match all.iter().position(is_it) {
            Some(at) => at + 1,
            None => all.iter().position(|listed| listed.key.as_str() > key).unwrap_or(all.len()),
        };
        all.drain(..begin);
    }
    let truncated = all.len() > wanted.most;
    all.truncate(wanted.most);
    let mut document = document("ListVersionsResult")
        .text("Name", bucket)
        .text("Prefix", wanted.text(wanted.prefix))
        .text("KeyMarker", wanted.text(key.unwrap_or_default()))
        .text("VersionIdMarker", version.unwrap_or_default())
        .maybe("EncodingType", wanted.encodes.then_some("url"))
        .text("MaxKeys", wanted.most)
        .text("IsTruncated", truncated);
    if let Some(last) = all.last().filter(|_| truncated) {
        document = document
            .text("NextKeyMarker", wanted.text(&last.key))
            .text("NextVersionIdMarker", version_of(&last.written));
    }
    for ListedVersion { key, written, is_latest } in &all {
        let is_marker = written.is_gone();
        let entry = Xml::new(if is_marker { "DeleteMarker" } else { "Version" })
            .text("Key", wanted.text(key))
            .text("VersionId", version_of(written))
            .text("IsLatest", is_latest);
        let entry = match is_marker {
            true => entry.text("LastModified", super::super::time_text(Timestamp(written.at_ms))),
            false => stored(entry, written),
        };
        document = document.child(entry.child(Xml::new("Owner").text("ID", ACCOUNT)));
    }
    Ok(xml(document))
}
