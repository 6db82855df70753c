//! Items: written in one Region and sent to the others, or agreed upon by most of three Regions.

use failoverd_domain::ids::Region;

use super::World;
use super::refusal::Refusal;
use super::replication::{Payload, Written};
use super::tables::{Table, not_found};

impl World {
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
        payload: Option<Payload>,
    ) -> Result<(), Refusal> {
        self.has_quorum(region, table)?;
        let (now_ms, default_ms) = (self.now_ms, self.timing.table_lag_ms);
        let found = self.tables.table_mut(table, region)?;
        if !found.is_active(region) {
            return Err(not_found(table));
        }
        // Whatever is written over something is later than it, be it in the same instant.
        let at_ms = found.items.read(region.as_str(), key).map_or(now_ms, |there| now_ms.max(there.at_ms + 1));
        let written = Written { version, at_ms, by: region.as_str().to_owned(), payload };
        found.items.put(key, written.clone());
        // A replica being made is sent what is written meanwhile: it has the rest by its copy.
        for to in found.replicas.keys().filter(|to| *to != region) {
            if found.strong && self.faults.linked(region, to) {
                found.items.copy_to(key, &written, to.as_str());
                continue;
            }
            let lag_ms = found.lags_ms.get(to).copied().unwrap_or(default_ms);
            let due_ms = if found.strong { now_ms } else { now_ms + self.draws.about(lag_ms) };
            found.items.send(key, &written, to.as_str(), due_ms);
        }
        Ok(())
    }

    /// A strongly consistent table works where most of its Regions, the witness among them, can be reached.
    fn has_quorum(&self, region: &Region, table: &str) -> Result<(), Refusal> {
        let found = self.tables.table(table, region)?;
        if !found.strong {
            return Ok(());
        }
        let members: Vec<&Region> = found.replicas.keys().chain(found.witness.iter().map(|(at, _)| at)).collect();
        let reached = members.iter().filter(|member| **member == region || self.faults.linked(region, member)).count();
        if reached * 2 > members.len() {
            return Ok(());
        }
        let message = format!("Too few Regions of {table} can be reached from {region}");
        Err(Refusal::later("InternalServerError", message))
    }

    /// `GetItem`: the version that a replica shows.
    pub fn get_item(&self, region: &Region, table: &str, key: &str) -> Result<Option<u64>, Refusal> {
        Ok(self.item(region, table, key)?.map(|written| written.version))
    }

    /// `GetItem`: all that a replica shows.
    pub fn item(&self, region: &Region, table: &str, key: &str) -> Result<Option<&Written>, Refusal> {
        Ok(self.readable(region, table)?.items.read(region.as_str(), key).filter(|written| !written.is_gone()))
    }

    /// The version of whatever was written there last, a deletion too.
    pub fn last_version(&self, region: &Region, table: &str, key: &str) -> Result<u64, Refusal> {
        let found = self.readable(region, table)?;
        Ok(found.items.read(region.as_str(), key).map_or(0, |written| written.version))
    }

    /// Everything that a replica shows, by key.
    pub fn items(&self, region: &Region, table: &str) -> Result<Vec<(&String, &Written)>, Refusal> {
        let all = self.readable(region, table)?.items.all(region.as_str());
        Ok(all.filter(|(_, written)| !written.is_gone()).collect())
    }

    /// `ConsistentRead`: of a strongly consistent table only with a majority at hand.
    pub fn may_read(&self, region: &Region, table: &str, is_consistent: bool) -> Result<(), Refusal> {
        if is_consistent { self.has_quorum(region, table) } else { self.readable(region, table).map(drop) }
    }

    fn readable(&self, region: &Region, table: &str) -> Result<&Table, Refusal> {
        let found = self.tables.table(table, region)?;
        if found.is_active(region) { Ok(found) } else { Err(not_found(table)) }
    }
}
