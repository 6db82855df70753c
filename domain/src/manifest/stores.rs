//! `spec.data[]`: stores that move with the service.

use std::collections::BTreeSet;

use super::field::{Field, Mapping};
use super::regions::per_region;
use super::signals::unique_name;
use super::{names, unsupported};
use crate::ids::{Region, StoreName};
use crate::service::{Canary, Fence, KeyAttribute, KeyType, NewTable, Store, StoreKind};

/// Longest identifier of an instance: AWS takes 63, and `-old-e` with an epoch is put behind it.
const MAX_INSTANCE: usize = 50;
/// Words for what becomes of an old primary.
pub const REBUILD: [(&str, bool); 2] = [("automatic", true), ("manual", false)];
/// Types of key attributes.
pub const KEY_TYPES: [(&str, KeyType); 3] = [("S", KeyType::String), ("N", KeyType::Number), ("B", KeyType::Binary)];
/// Kinds of store by their key.
const KINDS: [&str; 4] = ["aurora", "rds", "dynamodb", "s3"];

/// `spec.data`; the service's Regions are absent when they are bad themselves.
#[must_use]
pub fn stores(field: &Field<'_>, regions: Option<&[Region]>) -> Option<Vec<Store>> {
    let mut taken = BTreeSet::new();
    field.each(|item| store(&item, regions, &mut taken))
}

fn store(field: &Field<'_>, regions: Option<&[Region]>, taken: &mut BTreeSet<String>) -> Option<Store> {
    let keys = field.mapping()?;
    let name = keys.need("name", |field| unique_name(&field, taken));
    let kind = kind(&keys, regions);
    let canary = keys.maybe("canary", |field| canary(&field, kind.as_ref()));
    let fence = keys.maybe("fence", |field| fence(&field, kind.as_ref(), regions));
    keys.finish();
    Some(Store { name: StoreName::new(name?), kind: kind?, canary: canary?, fence: fence? })
}

fn kind(keys: &Mapping<'_>, regions: Option<&[Region]>) -> Option<StoreKind> {
    let there: Vec<&str> = KINDS.into_iter().filter(|kind| keys.get(kind).is_some()).collect();
    match there[..] {
        ["aurora"] => keys.need("aurora", |field| aurora(&field, regions)),
        ["rds"] => keys.need("rds", |field| rds(&field, regions)),
        ["dynamodb"] => keys.need("dynamodb", |field| dynamodb(&field, regions)),
        ["s3"] => keys.need("s3", |field| s3(&field, regions)),
        [] => keys.field().refuse(format!("says not what it is: add one of {}", KINDS.join(", "))),
        _ => keys.field().refuse(format!("is {}: a store is exactly one thing", there.join(" and "))),
    }
}

fn aurora(field: &Field<'_>, regions: Option<&[Region]>) -> Option<StoreKind> {
    let keys = field.mapping()?;
    let global_cluster = keys.need("global_cluster", |field| names::resource(&field));
    let clusters = keys.need("clusters", |field| per_region(&field, regions, |item| names::resource(&item)));
    keys.finish();
    Some(StoreKind::Aurora { global_cluster: global_cluster?, clusters: clusters? })
}

fn rds(field: &Field<'_>, regions: Option<&[Region]>) -> Option<StoreKind> {
    let keys = field.mapping()?;
    let instances = keys.need("instances", |field| per_region(&field, regions, |item| instance(&item)));
    let rebuild = keys.or("rebuild", true, |field| field.choice(&REBUILD));
    keys.finish();
    Some(StoreKind::Rds { instances: instances?, rebuild: rebuild? })
}

/// "Constraints" of `DBInstanceIdentifier`:
/// <https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html>
fn instance(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    let inner = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    // A name that was put aside gets a suffix, and must fit as well.
    if !inner || !begins || text.ends_with('-') || text.contains("--") || text.len() > MAX_INSTANCE {
        return field.refuse(format!(
            "{text:?} is not the identifier of an instance: a letter first, then lower-case letters, digits and single \
             dashes, {MAX_INSTANCE} at most"
        ));
    }
    Some(text)
}

fn dynamodb(field: &Field<'_>, regions: Option<&[Region]>) -> Option<StoreKind> {
    let keys = field.mapping()?;
    let table = keys.need("table", |field| names::resource(&field));
    let ensure_replicas = keys.or("ensure_replicas", false, |field| field.boolean());
    let own = regions.unwrap_or_default();
    let replicas = keys.or("replicas", own.to_vec(), |field| replicas(&field, own));
    let create = keys.maybe("create", |field| new_table(&field));
    keys.finish();
    Some(StoreKind::Dynamodb { table: table?, ensure_replicas: ensure_replicas?, replicas: replicas?, create: create? })
}

/// Regions with a replica: the service's own must be among them, and others may be that host no daemon.
fn replicas(field: &Field<'_>, own: &[Region]) -> Option<Vec<Region>> {
    let mut seen = Vec::new();
    field.each(|item| {
        let region = Region::new(names::name(&item)?);
        if seen.contains(&region) {
            return item.refuse(format!("{region} is there twice"));
        }
        seen.push(region.clone());
        Some(region)
    })?;
    match own.iter().find(|region| !seen.contains(region)) {
        Some(missing) => field.refuse(format!("must name every Region of the service: {missing} is missing")),
        None => Some(seen),
    }
}

fn new_table(field: &Field<'_>) -> Option<NewTable> {
    let keys = field.mapping()?;
    let partition_key = keys.need("partition_key", |field| key_attribute(&field));
    let sort_key = keys.maybe("sort_key", |field| key_attribute(&field));
    keys.finish();
    let (partition_key, sort_key) = (partition_key?, sort_key?);
    if sort_key.as_ref().is_some_and(|sort| sort.name == partition_key.name) {
        return field.refuse("partition_key and sort_key are the same attribute");
    }
    Some(NewTable { partition_key, sort_key })
}

fn key_attribute(field: &Field<'_>) -> Option<KeyAttribute> {
    let keys = field.mapping()?;
    let name = keys.need("name", |field| match field.text()? {
        text if (1..=255).contains(&text.len()) => Some(text),
        _ => field.refuse("an attribute's name has 1 to 255 characters"),
    });
    let kind = keys.need("type", |field| field.choice(&KEY_TYPES));
    keys.finish();
    Some(KeyAttribute { name: name?, kind: kind? })
}

fn s3(field: &Field<'_>, regions: Option<&[Region]>) -> Option<StoreKind> {
    let keys = field.mapping()?;
    let mut seen = BTreeSet::new();
    let buckets = keys.need("buckets", |field| per_region(&field, regions, |item| bucket(&item, &mut seen)));
    let bidirectional = keys.or("bidirectional", false, |field| field.boolean());
    let role_arn = keys.maybe("role_arn", |field| names::role_arn(&field));
    let time_control = keys.or("time_control", false, |field| field.boolean());
    keys.finish();
    Some(StoreKind::S3 {
        buckets: buckets?,
        bidirectional: bidirectional?,
        role_arn: role_arn?,
        time_control: time_control?,
    })
}

/// Rules for names of buckets: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>
fn bucket(field: &Field<'_>, seen: &mut BTreeSet<String>) -> Option<String> {
    let text = field.text()?;
    let inner = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.');
    let ends = |end: Option<char>| end.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    if !(3..=63).contains(&text.len()) || !inner || !ends(text.chars().next()) || !ends(text.chars().last()) {
        return field.refuse(format!(
            "{text:?} is not the name of a bucket: 3 to 63 lower-case letters, digits, dashes and dots"
        ));
    }
    if !seen.insert(text.clone()) {
        return field.refuse(format!("{text:?} is there twice: a bucket lives in one Region"));
    }
    Some(text)
}

fn canary(field: &Field<'_>, kind: Option<&StoreKind>) -> Option<Canary> {
    let keys = field.mapping()?;
    let dsn_env = keys.maybe("dsn_env", |field| names::variable(&field));
    let table = keys.maybe("table", |field| names::resource(&field));
    let prefix = keys.maybe("prefix", |field| prefix(&field));
    keys.finish();
    let canary = match (dsn_env?, table?, prefix?) {
        (Some(dsn_env), None, None) => Canary::Dsn { dsn_env },
        (None, Some(table), None) => Canary::Table { table },
        (None, None, Some(prefix)) => Canary::Prefix { prefix },
        _ => return field.refuse("has exactly one of dsn_env (aurora, rds), table (dynamodb) and prefix (s3)"),
    };
    match (kind, &canary) {
        (Some(StoreKind::Aurora { .. } | StoreKind::Rds { .. }), Canary::Table { .. } | Canary::Prefix { .. }) => {
            field.refuse("the canary of a database is a row: write dsn_env, the variable that holds its DSN")
        }
        (Some(StoreKind::Dynamodb { .. }), Canary::Dsn { .. } | Canary::Prefix { .. }) => {
            field.refuse("the canary of a dynamodb store is an item: write table")
        }
        (Some(StoreKind::S3 { .. }), Canary::Dsn { .. } | Canary::Table { .. }) => {
            field.refuse("the canary of an s3 store is an object: write prefix")
        }
        _ => Some(canary),
    }
}

fn prefix(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    if !text.ends_with('/') || text.starts_with('/') || text.len() > 512 {
        return field.refuse(format!(
            "{text:?} is not a key prefix: it ends in a slash and starts with none, like .failoverd/"
        ));
    }
    Some(text)
}

fn fence(field: &Field<'_>, kind: Option<&StoreKind>, regions: Option<&[Region]>) -> Option<Fence> {
    let keys = field.mapping()?;
    let hook = unsupported::fence_hook(&keys);
    let groups = keys.maybe("security_group", |field| per_region(&field, regions, |item| security_group(&item)));
    keys.finish();
    if kind.is_some_and(|kind| !kind.has_single_writer()) {
        return field.refuse("there is no old writer to fence: every Region writes to this kind of store; remove it");
    }
    match groups? {
        Some(groups) => Some(Fence::SecurityGroup(groups)),
        None if hook => None,
        None => field.refuse("says not how: add security_group, one that lets nobody in, per Region"),
    }
}

fn security_group(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    let id = text.strip_prefix("sg-").unwrap_or_default();
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return field.refuse(format!("{text:?} is not the id of a security group: it begins with sg-"));
    }
    Some(text)
}
