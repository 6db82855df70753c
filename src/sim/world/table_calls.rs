//! Calls that make, change and delete tables and their replicas: one change at a time, as DynamoDB has it.

use failoverd_domain::data::store::ReplicaStatus;
use failoverd_domain::ids::Region;
use failoverd_domain::service::{KeyAttribute, NewTable};

use super::World;
use super::faults::Service;
use super::refusal::Refusal;
use super::tables::{Billing, Replica, Table, not_found};

/// Regions that may share a strongly consistent table.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/V2globaltables_HowItWorks.html>
const REGION_SETS: [&[&str]; 3] = [
    &["us-east-1", "us-east-2", "us-west-2"],
    &["eu-west-1", "eu-west-2", "eu-west-3", "eu-central-1"],
    &["ap-northeast-1", "ap-northeast-2", "ap-northeast-3"],
];

/// What `CreateTable` is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableWish {
    /// Partition key first.
    pub keys: Vec<KeyAttribute>,
    /// Whether new and old images are streamed.
    pub streams: bool,
    /// How it is paid for.
    pub billing: Billing,
    /// Its tags.
    pub tags: Vec<(String, String)>,
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new("ValidationException", message)
}

fn in_use(table: &str) -> Refusal {
    let message = format!("Attempt to change a resource which is still in use: Table is being updated: {table}");
    Refusal::later("ResourceInUseException", message)
}

impl World {
    /// `CreateTable` on demand, with streams.
    pub fn make_table(&mut self, region: &Region, table: &str, new: &NewTable) -> Result<(), Refusal> {
        let keys = std::iter::once(&new.partition_key).chain(&new.sort_key).cloned().collect();
        self.make_table_as(region, table, TableWish { keys, streams: true, ..TableWish::default() })
    }

    /// `CreateTable`.
    pub fn make_table_as(&mut self, region: &Region, table: &str, wish: TableWish) -> Result<(), Refusal> {
        if self.tables.table(table, region).is_ok() {
            return Err(Refusal::new("ResourceInUseException", format!("Table already exists: {table}")));
        }
        let mut made = Table::new(region, self.now_ms, self.now_ms + self.timing.replica_create_ms / 4);
        made.keys = wish.keys;
        made.billing = wish.billing;
        made.streams_since_ms = wish.streams.then_some(self.now_ms);
        made.tags.insert(region.clone(), wish.tags.into_iter().collect());
        self.tables.insert(table, made);
        self.note(Service::Dynamodb, "CreateTable", region, table.to_owned(), true);
        Ok(())
    }

    /// `DeleteTable`: this Region's replica, and the table with its last one.
    pub fn delete_table(&mut self, region: &Region, table: &str) -> Result<(), Refusal> {
        let due_ms = self.now_ms + self.timing.replica_create_ms / 4;
        let found = self.tables.table_mut(table, region)?;
        if !found.is_at_rest() {
            return Err(in_use(table));
        }
        if found.strong {
            return Err(invalid("A replica of a table with strong consistency goes by UpdateTable, with another one"));
        }
        found.leave(region, due_ms);
        self.note(Service::Dynamodb, "DeleteTable", region, table.to_owned(), true);
        Ok(())
    }

    /// `UpdateTable` with a stream of new and old images.
    pub fn enable_streams(&mut self, region: &Region, table: &str) -> Result<(), Refusal> {
        let now_ms = self.now_ms;
        let found = self.tables.table_mut(table, region)?;
        if found.streams_since_ms.is_some() {
            return Err(invalid(format!("Table already has an enabled stream: {table}")));
        }
        found.streams_since_ms = Some(now_ms);
        self.note(Service::Dynamodb, "UpdateTable", region, format!("{table} enable streams"), true);
        Ok(())
    }

    /// `UpdateTable` without a stream; replicas need theirs.
    pub fn disable_streams(&mut self, region: &Region, table: &str) -> Result<(), Refusal> {
        let found = self.tables.table_mut(table, region)?;
        if found.replicas.len() > 1 && !found.strong {
            return Err(invalid("Streams cannot be disabled on a table that has replicas"));
        }
        if found.streams_since_ms.take().is_none() {
            return Err(invalid(format!("Table is already without a stream: {table}")));
        }
        self.note(Service::Dynamodb, "UpdateTable", region, format!("{table} disable streams"), true);
        Ok(())
    }

    /// `UpdateTable` with another way to pay.
    pub fn bill_table(&mut self, region: &Region, table: &str, billing: Billing) -> Result<(), Refusal> {
        let found = self.tables.table_mut(table, region)?;
        if !found.is_at_rest() {
            return Err(in_use(table));
        }
        let changed = std::mem::replace(&mut found.billing, billing) != billing;
        self.note(Service::Dynamodb, "UpdateTable", region, format!("{table} {billing:?}"), changed);
        Ok(())
    }

    /// `UpdateTimeToLive`, with the attribute or none.
    pub fn set_ttl(&mut self, region: &Region, table: &str, attribute: Option<String>) -> Result<(), Refusal> {
        let found = self.tables.table_mut(table, region)?;
        if found.strong {
            return Err(invalid("TimeToLive is not supported on tables with strong consistency"));
        }
        if found.ttl.is_some() == attribute.is_some() {
            let state = if attribute.is_some() { "enabled" } else { "disabled" };
            return Err(invalid(format!("TimeToLive is already {state}")));
        }
        found.ttl = attribute;
        self.note(Service::Dynamodb, "UpdateTimeToLive", region, table.to_owned(), true);
        Ok(())
    }

    /// `TagResource` and `UntagResource`: a tag with a value is set, one without is taken away.
    pub fn tag_table(
        &mut self,
        region: &Region,
        table: &str,
        tags: &[(String, Option<String>)],
    ) -> Result<(), Refusal> {
        let held = self.tables.table_mut(table, region)?.tags.entry(region.clone()).or_default();
        for (key, value) in tags {
            match value {
                Some(value) => held.insert(key.clone(), value.clone()),
                None => held.remove(key),
            };
        }
        self.note(Service::Dynamodb, "TagResource", region, table.to_owned(), true);
        Ok(())
    }

    /// `UpdateTable` with one `ReplicaUpdates` entry; one at a time.
    pub fn add_replica(&mut self, asked_in: &Region, table: &str, region: &Region) -> Result<(), Refusal> {
        let due_ms = self.now_ms + self.timing.replica_create_ms;
        let is_taken = self.tables.table(table, region).is_ok();
        let found = self.tables.table_mut(table, asked_in)?;
        if found.replicas.contains_key(region) {
            return Err(invalid(format!("Failed to create a replica in {region}: it exists already.")));
        }
        if !found.is_at_rest() {
            return Err(in_use(table));
        }
        if is_taken {
            let message = format!(
                "Failed to create a the new replica of table with name: '{table}' because one or more replicas already existed as tables."
            );
            return Err(invalid(message));
        }
        if found.legacy {
            return Err(invalid(
                "Operation is not supported on a global table of version 2017.11.29: upgrade it first",
            ));
        }
        if found.strong {
            return Err(invalid("The replicas of a table with strong consistency are chosen when it is made"));
        }
        if found.streams_since_ms.is_none() {
            let message = "Table must have DynamoDB Streams enabled with StreamViewType set to NEW_AND_OLD_IMAGES";
            return Err(invalid(message));
        }
        found.join(region, asked_in, due_ms);
        self.note(Service::Dynamodb, "UpdateTable", asked_in, format!("{table} add replica {region}"), true);
        Ok(())
    }

    /// `UpdateTable` that deletes a replica, with what is in it.
    pub fn remove_replica(&mut self, asked_in: &Region, table: &str, region: &Region) -> Result<(), Refusal> {
        let due_ms = self.now_ms + self.timing.replica_create_ms / 2;
        let found = self.tables.table_mut(table, asked_in)?;
        if !found.is_at_rest() {
            return Err(in_use(table));
        }
        if found.strong {
            let message = "A table with strong consistency keeps three Regions: delete both others in one call";
            return Err(invalid(message));
        }
        if !found.replicas.contains_key(region) {
            return Err(Refusal::new("ReplicaNotFoundException", format!("{table} has no replica in {region}")));
        }
        found.leave(region, due_ms);
        self.note(Service::Dynamodb, "UpdateTable", asked_in, format!("{table} delete replica {region}"), true);
        Ok(())
    }

    /// `UpdateTable` with `MultiRegionConsistency: STRONG`: two replicas more, or one and a witness, from an empty table.
    pub fn make_strong(
        &mut self,
        asked_in: &Region,
        table: &str,
        replicas: &[Region],
        witness: Option<&Region>,
    ) -> Result<(), Refusal> {
        let due_ms = self.now_ms + self.timing.replica_create_ms;
        let regions = || replicas.iter().chain(witness);
        let is_taken = replicas.iter().any(|region| self.tables.table(table, region).is_ok());
        let found = self.tables.table_mut(table, asked_in)?;
        if !found.is_at_rest() {
            return Err(in_use(table));
        }
        if found.replicas.len() > 1 || is_taken {
            return Err(invalid("MultiRegionConsistency can only be chosen for a table in one Region"));
        }
        if regions().count() != 2 || replicas.is_empty() || regions().any(|region| region == asked_in) {
            let message =
                "MultiRegionConsistency STRONG needs exactly three Regions: three replicas, or two and a witness";
            return Err(invalid(message));
        }
        let is_within = |set: &&[&str]| regions().chain([asked_in]).all(|region| set.contains(&region.as_str()));
        if !REGION_SETS.iter().any(is_within) {
            return Err(invalid("The Regions of a table with MultiRegionConsistency STRONG must be of one Region set"));
        }
        if found.items.holds_any(asked_in.as_str()) {
            return Err(invalid("MultiRegionConsistency STRONG can only be chosen for an empty table"));
        }
        if found.ttl.is_some() {
            return Err(invalid("TimeToLive is not supported on tables with strong consistency"));
        }
        found.strong = true;
        replicas.iter().for_each(|region| found.join(region, asked_in, due_ms));
        found.witness = witness.map(|region| {
            (region.clone(), Replica { status: ReplicaStatus::Creating, due_ms, copies: region.clone() })
        });
        let regions: Vec<&str> = regions().map(Region::as_str).collect();
        self.note(
            Service::Dynamodb,
            "UpdateTable",
            asked_in,
            format!("{table} strong with {}", regions.join(", ")),
            true,
        );
        Ok(())
    }

    /// `UpdateTable` that deletes the two other Regions of a strongly consistent table in one call.
    pub fn end_strong(
        &mut self,
        asked_in: &Region,
        table: &str,
        replicas: &[Region],
        witness: Option<&Region>,
    ) -> Result<(), Refusal> {
        let due_ms = self.now_ms + self.timing.replica_create_ms / 2;
        let found = self.tables.table_mut(table, asked_in)?;
        if !found.is_at_rest() {
            return Err(in_use(table));
        }
        let mut others: Vec<&Region> = found.replicas.keys().filter(|region| *region != asked_in).collect();
        let mut named: Vec<&Region> = replicas.iter().collect();
        named.sort();
        others.sort();
        if !found.strong || named != others || witness != found.witness.as_ref().map(|(region, _)| region) {
            let message = "A table with strong consistency keeps three Regions: delete both others in one call";
            return Err(invalid(message));
        }
        replicas.iter().for_each(|region| found.leave(region, due_ms));
        if let Some((_, replica)) = &mut found.witness {
            (replica.status, replica.due_ms) = (ReplicaStatus::Deleting, due_ms);
        }
        self.note(Service::Dynamodb, "UpdateTable", asked_in, format!("{table} alone in {asked_in}"), true);
        Ok(())
    }

    /// `CreateGlobalTable`, of 2017: equal, empty tables of several Regions become one.
    pub fn make_legacy_table(&mut self, region: &Region, table: &str, regions: &[Region]) -> Result<(), Refusal> {
        if self.tables.table(table, region).is_ok_and(|found| found.legacy) {
            let message = format!("Global table already exists: Global Table with name {table} already exists");
            return Err(Refusal::new("GlobalTableAlreadyExistsException", message));
        }
        if !regions.contains(region) {
            return Err(invalid(format!("ReplicationGroup must include the Region that is asked, {region}")));
        }
        let keys = self.tables.table(table, region).map_err(|_| no_such_table(table, region))?.key_attributes();
        for place in regions {
            let found = self.tables.table(table, place).map_err(|_| no_such_table(table, place))?;
            let problem = match found {
                found if found.replicas.len() > 1 => "is global already",
                found if !found.is_active(place) => "is not active",
                found if found.streams_since_ms.is_none() => "has no stream of new and old images",
                found if found.items.holds_any(place.as_str()) => "is not empty",
                found if found.key_attributes() != keys => "has other keys",
                _ => continue,
            };
            return Err(invalid(format!(
                "One or more parameter values were invalid: table {table} in {place} {problem}"
            )));
        }
        self.tables.unite(table, regions);
        self.note(Service::Dynamodb, "CreateGlobalTable", region, table.to_owned(), true);
        Ok(())
    }

    /// Key attributes of a table, partition key first.
    pub fn table_keys(&self, region: &Region, table: &str) -> Result<Vec<KeyAttribute>, Refusal> {
        Ok(self.tables.table(table, region).map_err(|_| not_found(table))?.key_attributes())
    }
}

fn no_such_table(table: &str, region: &Region) -> Refusal {
    Refusal::new("TableNotFoundException", format!("Table not found: {table} in {region}"))
}

impl Table {
    fn join(&mut self, region: &Region, copies: &Region, due_ms: u64) {
        let replica = Replica { status: ReplicaStatus::Creating, due_ms, copies: copies.clone() };
        self.replicas.insert(region.clone(), replica);
    }

    fn leave(&mut self, region: &Region, due_ms: u64) {
        if let Some(replica) = self.replicas.get_mut(region) {
            (replica.status, replica.due_ms) = (ReplicaStatus::Deleting, due_ms);
        }
    }
}
