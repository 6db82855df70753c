//! DynamoDB global tables (2019.11.21): replicas, and items that replicate both ways; the last writer wins.

use std::collections::BTreeMap;
use std::sync::Arc;

use failoverd_domain::data::store::{Consistency, GlobalTable, ReplicaStatus, TableKind};
use failoverd_domain::ids::Region;
use failoverd_domain::service::{KeyAttribute, KeyType, NewTable};

use super::faults::Service;
use super::refusal::Refusal;
use super::replication::{Replication, Written};
use super::{Moment, SimulatedAws, World};

/// All global tables.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    tables: BTreeMap<String, Table>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pub(super) replicas: BTreeMap<Region, Replica>,
    pub(super) items: Replication,
    pub(super) lags_ms: BTreeMap<Region, u64>,
    pub(super) streams: bool,
    /// Key attributes and their types, partition key first; empty: `pk`, a string.
    pub(super) keys: Vec<KeyAttribute>,
    /// Made by `CreateGlobalTable`, in 2017's way.
    pub(super) legacy: bool,
    /// Three Regions agree on each write.
    pub(super) strong: bool,
    /// The Region that only witnesses.
    pub(super) witness: Option<Region>,
}

#[derive(Clone, Debug)]
pub(super) struct Replica {
    pub(super) status: ReplicaStatus,
    /// When it is made, or gone.
    due_ms: u64,
    copies: Region,
}

impl Tables {
    pub(super) fn advance(&mut self, moment: Moment<'_>) {
        self.tables.values_mut().for_each(|table| table.advance(moment));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &Table)> {
        self.tables.iter()
    }

    pub(super) fn get_mut(&mut self, table: &str) -> Option<&mut Table> {
        self.tables.get_mut(table)
    }

    fn table(&self, table: &str, region: &Region) -> Result<&Table, Refusal> {
        let found = self.tables.get(table).filter(|t| t.replicas.contains_key(region));
        found.ok_or_else(|| not_found(table))
    }
}

impl Table {
    fn advance(&mut self, moment: Moment<'_>) {
        let lags = &self.lags_ms;
        let lag_ms = |to: &str| lags.get(to).copied().unwrap_or(moment.timing.table_lag_ms);
        self.items.deliver(moment.now_ms, |a, b| moment.faults.linked(&a.into(), &b.into()), lag_ms);
        for (region, replica) in &mut self.replicas {
            let ready = replica.status == ReplicaStatus::Creating && replica.due_ms <= moment.now_ms;
            if ready && moment.faults.linked(&replica.copies, region) {
                replica.status = ReplicaStatus::Active;
                if replica.copies != *region {
                    self.items.rebuild(replica.copies.as_str(), region.as_str());
                }
            }
        }
        self.replicas.retain(|_, replica| replica.status != ReplicaStatus::Deleting || replica.due_ms > moment.now_ms);
    }

    /// Whether nothing is being made or deleted.
    pub(super) fn is_at_rest(&self) -> bool {
        self.replicas.values().all(|replica| replica.status == ReplicaStatus::Active)
    }

    pub(super) fn is_active(&self, region: &Region) -> bool {
        self.replicas.get(region).is_some_and(|replica| replica.status == ReplicaStatus::Active)
    }
}

impl World {
    /// `DescribeTable`: the replicas.
    pub fn describe_table(&self, asked_in: &Region, table: &str) -> Result<GlobalTable, Refusal> {
        let found = self.tables.table(table, asked_in)?;
        let replicas = found.replicas.iter().map(|(region, replica)| (region.clone(), replica.status)).collect();
        let is_active = found.is_at_rest();
        Ok(GlobalTable {
            table: table.to_owned(),
            replicas,
            kind: match found.replicas.len() {
                _ if found.legacy => TableKind::Legacy,
                2.. => TableKind::Global,
                _ => TableKind::Single,
            },
            consistency: if found.strong { Consistency::Strong } else { Consistency::Eventual },
            witness: found.witness.clone(),
            streams: found.streams,
            is_active,
        })
    }

    /// Regions with a replica of the table, other than `region`.
    #[must_use]
    pub fn replicas_but(&self, table: &str, region: &Region) -> Vec<Region> {
        let replicas = self.tables.tables.get(table).into_iter().flat_map(|found| found.replicas.keys());
        replicas.filter(|other| *other != region).cloned().collect()
    }

    /// `UpdateTable` with one `ReplicaUpdates` entry; one at a time.
    pub fn add_replica(&mut self, asked_in: &Region, table: &str, region: &Region) -> Result<(), Refusal> {
        self.tables.table(table, asked_in)?;
        let due_ms = self.now_ms + self.timing.replica_create_ms;
        let found = self.tables.get_mut(table).ok_or_else(|| not_found(table))?;
        if found.replicas.contains_key(region) {
            let message = format!("Failed to create a replica in {region}: it exists already.");
            return Err(Refusal::new("ValidationException", message));
        }
        if found.replicas.values().any(|replica| replica.status != ReplicaStatus::Active) {
            let message =
                format!("Attempt to change a resource which is still in use: Table is being updated: {table}");
            return Err(Refusal::later("ResourceInUseException", message));
        }
        if !found.streams {
            let message = "Table must have DynamoDB Streams enabled with StreamViewType set to NEW_AND_OLD_IMAGES";
            return Err(Refusal::new("ValidationException", message));
        }
        if found.strong {
            let message = "The replicas of a table with strong consistency are chosen when it is made";
            return Err(Refusal::new("ValidationException", message));
        }
        let replica = Replica { status: ReplicaStatus::Creating, due_ms, copies: asked_in.clone() };
        found.replicas.insert(region.clone(), replica);
        self.note(Service::Dynamodb, "UpdateTable", asked_in, format!("{table} add replica {region}"), true);
        Ok(())
    }

    /// `CreateTable` on demand, with streams.
    pub fn make_table(&mut self, region: &Region, table: &str, new: &NewTable) -> Result<(), Refusal> {
        let keys = std::iter::once(&new.partition_key).chain(&new.sort_key).cloned().collect();
        self.make_table_as(region, table, keys, true)
    }

    /// `CreateTable`, with or without streams.
    pub fn make_table_as(
        &mut self,
        region: &Region,
        table: &str,
        keys: Vec<KeyAttribute>,
        streams: bool,
    ) -> Result<(), Refusal> {
        if self.tables.tables.contains_key(table) {
            return Err(Refusal::new("ResourceInUseException", format!("Table already exists: {table}")));
        }
        let due_ms = self.now_ms + self.timing.replica_create_ms / 4;
        let replica = Replica { status: ReplicaStatus::Creating, due_ms, copies: region.clone() };
        let made = Table { replicas: BTreeMap::from([(region.clone(), replica)]), streams, keys, ..Table::default() };
        self.tables.tables.insert(table.to_owned(), made);
        self.note(Service::Dynamodb, "CreateTable", region, table.to_owned(), true);
        Ok(())
    }

    /// `UpdateTable` with a stream of new and old images.
    pub fn enable_streams(&mut self, region: &Region, table: &str) -> Result<(), Refusal> {
        self.tables.table(table, region)?;
        let found = self.tables.get_mut(table).ok_or_else(|| not_found(table))?;
        if std::mem::replace(&mut found.streams, true) {
            return Err(Refusal::new("ValidationException", format!("Table already has an enabled stream: {table}")));
        }
        self.note(Service::Dynamodb, "UpdateTable", region, format!("{table} enable streams"), true);
        Ok(())
    }

    /// `UpdateTable` that deletes a replica, with what is in it.
    pub fn remove_replica(&mut self, asked_in: &Region, table: &str, region: &Region) -> Result<(), Refusal> {
        self.tables.table(table, asked_in)?;
        let due_ms = self.now_ms + self.timing.replica_create_ms / 2;
        let found = self.tables.get_mut(table).ok_or_else(|| not_found(table))?;
        if !found.is_at_rest() {
            let message =
                format!("Attempt to change a resource which is still in use: Table is being updated: {table}");
            return Err(Refusal::later("ResourceInUseException", message));
        }
        let Some(replica) = found.replicas.get_mut(region) else {
            return Err(Refusal::new("ReplicaNotFoundException", format!("{table} has no replica in {region}")));
        };
        (replica.status, replica.due_ms) = (ReplicaStatus::Deleting, due_ms);
        self.note(Service::Dynamodb, "UpdateTable", asked_in, format!("{table} delete replica {region}"), true);
        Ok(())
    }

    /// `PutItem` on condition that no version as new or newer is there.
    pub fn put_item(&mut self, region: &Region, table: &str, key: &str, version: u64) -> Result<(), Refusal> {
        let found = self.tables.table(table, region)?;
        if !found.items.accepts(region.as_str(), key, version) {
            return Err(Refusal::new("ConditionalCheckFailedException", "The conditional request failed"));
        }
        self.put_item_as(region, table, key, version, None)
    }

    /// `PutItem` whatever is there, with what a stranger wrote.
    pub fn put_item_as(
        &mut self,
        region: &Region,
        table: &str,
        key: &str,
        version: u64,
        payload: Option<Arc<[u8]>>,
    ) -> Result<(), Refusal> {
        let (now_ms, default_ms) = (self.now_ms, self.timing.table_lag_ms);
        let found =
            self.tables.get_mut(table).filter(|found| found.is_active(region)).ok_or_else(|| not_found(table))?;
        let written = Written { version, at_ms: now_ms, by: region.as_str().to_owned(), payload };
        found.items.put(key, written.clone());
        // A replica being made is sent what is written meanwhile: it has the rest by its copy.
        for to in found.replicas.keys().filter(|to| *to != region) {
            let lag_ms = found.lags_ms.get(to).copied().unwrap_or(default_ms);
            found.items.send(key, &written, to.as_str(), now_ms + self.draws.about(lag_ms));
        }
        Ok(())
    }

    /// `GetItem`: the version that a replica shows.
    pub fn get_item(&self, region: &Region, table: &str, key: &str) -> Result<Option<u64>, Refusal> {
        Ok(self.item(region, table, key)?.map(|written| written.version))
    }

    /// `GetItem`: all that a replica shows.
    pub fn item(&self, region: &Region, table: &str, key: &str) -> Result<Option<&Written>, Refusal> {
        let found = self.tables.table(table, region)?;
        if !found.is_active(region) {
            return Err(not_found(table));
        }
        Ok(found.items.read(region.as_str(), key))
    }

    /// Everything that a replica shows, by key.
    pub fn items(&self, region: &Region, table: &str) -> Result<Vec<(&String, &Written)>, Refusal> {
        Ok(self.tables.table(table, region)?.items.all(region.as_str()).collect())
    }

    /// Key attributes of a table, partition key first.
    pub fn table_keys(&self, region: &Region, table: &str) -> Result<Vec<KeyAttribute>, Refusal> {
        let keys = &self.tables.table(table, region)?.keys;
        if keys.is_empty() {
            return Ok(vec![KeyAttribute { name: "pk".to_owned(), kind: KeyType::String }]);
        }
        Ok(keys.clone())
    }

    /// `ListTables`: those with a replica in the Region.
    #[must_use]
    pub fn table_names(&self, region: &Region) -> Vec<String> {
        let here = self.tables.iter().filter(|(_, table)| table.replicas.contains_key(region));
        here.map(|(name, _)| name.clone()).collect()
    }

    /// `DeleteTable`: this Region's replica, or the table with its last one.
    pub fn delete_table(&mut self, region: &Region, table: &str) -> Result<(), Refusal> {
        self.tables.table(table, region)?;
        if let Some(found) = self.tables.get_mut(table) {
            found.replicas.remove(region);
            if found.replicas.is_empty() {
                self.tables.tables.remove(table);
            }
        }
        self.note(Service::Dynamodb, "DeleteTable", region, table.to_owned(), true);
        Ok(())
    }

    /// `CreateGlobalTable`, of 2017: equal, empty tables of several Regions become one.
    pub fn make_legacy_table(&mut self, region: &Region, table: &str, regions: &[Region]) -> Result<(), Refusal> {
        self.tables.table(table, region)?;
        if let Some(found) = self.tables.get_mut(table) {
            found.legacy = true;
            for region in regions {
                let replica = Replica { status: ReplicaStatus::Active, due_ms: 0, copies: region.clone() };
                found.replicas.entry(region.clone()).or_insert(replica);
            }
        }
        Ok(())
    }
}

impl SimulatedAws {
    /// Makes a global table with ACTIVE replicas. One that exists stays as it is.
    pub fn create_table(&self, table: &str, regions: &[Region]) {
        self.with(|world| {
            let replica = |region: &Region| {
                let replica = Replica { status: ReplicaStatus::Active, due_ms: 0, copies: region.clone() };
                (region.clone(), replica)
            };
            let made = || Table { replicas: regions.iter().map(replica).collect(), streams: true, ..Table::default() };
            world.tables.tables.entry(table.to_owned()).or_insert_with(made);
        });
    }

    /// Makes a table strongly consistent, with a witness or without.
    pub fn set_strong(&self, table: &str, witness: Option<&Region>) {
        self.with(|world| {
            if let Some(found) = world.tables.get_mut(table) {
                (found.strong, found.witness) = (true, witness.cloned());
            }
        });
    }

    /// Takes a replica away at once, as if somebody had deleted it.
    pub fn drop_replica(&self, table: &str, region: &Region) {
        self.with(|world| world.tables.get_mut(table).and_then(|found| found.replicas.remove(region)));
    }
}

fn not_found(table: &str) -> Refusal {
    Refusal::new("ResourceNotFoundException", format!("Requested resource not found: Table: {table} not found"))
}
