//! Canary writes and reads: a row through a DSN, an item, an object.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use failoverd_domain::ids::Region;
use failoverd_domain::service::{Canary, StoreKind};

use super::account::Ask;
use super::dynamodb::Dynamodb;
use super::s3::S3;
use crate::adapters::postgres::CanaryRows;
use crate::ports::{Call, Canaries, CanaryAt};

/// Canaries of every kind.
pub(super) struct AllCanaries {
    dynamodb: Arc<Dynamodb>,
    s3: Arc<S3>,
    rows: Arc<CanaryRows>,
    home: Region,
    /// The process's variables as they were at its start: DSNs are in them.
    variables: Arc<BTreeMap<String, String>>,
}

/// The row, item or object of a canary.
fn key(at: &CanaryAt<'_>) -> String {
    format!("{}/{}", at.service, at.store.name)
}

impl AllCanaries {
    pub(super) const fn new(
        dynamodb: Arc<Dynamodb>,
        s3: Arc<S3>,
        rows: Arc<CanaryRows>,
        home: Region,
        variables: Arc<BTreeMap<String, String>>,
    ) -> Self {
        Self { dynamodb, s3, rows, home, variables }
    }

    /// The DSN of the store's copy in a Region: the variable for that Region, or the one for all with `{region}` in it.
    /// One that names no Region is the own copy's.
    fn dsn(&self, variable: &str, region: &Region) -> Result<String, String> {
        let of_region = format!("{variable}_{}", region.as_str().replace('-', "_").to_ascii_uppercase());
        if let Some(dsn) = self.variables.get(&of_region) {
            return Ok(dsn.clone());
        }
        match self.variables.get(variable) {
            Some(dsn) if dsn.contains("{region}") => Ok(dsn.replace("{region}", region.as_str())),
            Some(dsn) if region == &self.home => Ok(dsn.clone()),
            _ => Err(format!("set {of_region}, or {variable} with {{region}} in it, for the copy in {region}")),
        }
    }

    fn no_place(at: &CanaryAt<'_>) -> crate::ports::CallError {
        let why = format!("the canary of {} does not fit its store in {}", at.store.name, at.region);
        Ask::read("canary", "Canary", at.region).refuse("NotConfigured", why)
    }
}

#[async_trait]
impl Canaries for AllCanaries {
    async fn write(&self, at: &CanaryAt<'_>, version: u64) -> Call<()> {
        match (at.canary, &at.store.kind) {
            (Canary::Table { table }, _) => self.dynamodb.put_version(at.region, table, &key(at), version).await,
            (Canary::Prefix { prefix }, StoreKind::S3 { buckets, .. }) => {
                let bucket = buckets.get(at.region).ok_or_else(|| Self::no_place(at))?;
                self.s3.put_version(at.region, bucket, &format!("{prefix}{}", key(at)), version).await
            }
            (Canary::Dsn { dsn_env }, StoreKind::Aurora { .. } | StoreKind::Rds { .. }) => {
                let refuse = |why| Ask::action("database", "INSERT", at.region).refuse("NotConfigured", why);
                let dsn = self.dsn(dsn_env, at.region).map_err(refuse)?;
                self.rows.write(at.region, &dsn, &key(at), version).await
            }
            _ => Err(Self::no_place(at)),
        }
    }

    async fn read(&self, at: &CanaryAt<'_>) -> Call<Option<u64>> {
        match (at.canary, &at.store.kind) {
            (Canary::Table { table }, _) => self.dynamodb.get_version(at.region, table, &key(at)).await,
            (Canary::Prefix { prefix }, StoreKind::S3 { buckets, .. }) => {
                let bucket = buckets.get(at.region).ok_or_else(|| Self::no_place(at))?;
                self.s3.get_version(at.region, bucket, &format!("{prefix}{}", key(at))).await
            }
            (Canary::Dsn { dsn_env }, StoreKind::Aurora { .. } | StoreKind::Rds { .. }) => {
                let refuse = |why| Ask::read("database", "SELECT", at.region).refuse("NotConfigured", why);
                let dsn = self.dsn(dsn_env, at.region).map_err(refuse)?;
                self.rows.read(at.region, &dsn, &key(at)).await
            }
            _ => Err(Self::no_place(at)),
        }
    }
}
