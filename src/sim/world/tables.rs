//! DynamoDB tables: replicas, and items that replicate both ways; the last writer wins, or all agree at once.
//!
//! Tables of one name in several Regions are strangers to each other until a call makes them one global table. Global
//! tables are of version 2019.11.21, of the older 2017.11.29, or strongly consistent over three Regions.

use std::collections::BTreeMap;

use failoverd_domain::data::store::{Consistency, GlobalTable, ReplicaStatus, TableKind};
use failoverd_domain::ids::Region;
use failoverd_domain::service::{KeyAttribute, KeyType};

use super::refusal::Refusal;
use super::replication::Replication;
use super::{Moment, SimulatedAws, World};

/// All tables.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    /// By name, and a number that tells namesakes apart.
    tables: BTreeMap<(String, u64), Table>,
    made: u64,
}

/// A table and its replicas.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pub(super) replicas: BTreeMap<Region, Replica>,
    pub(super) items: Replication,
    pub(super) lags_ms: BTreeMap<Region, u64>,
    /// Since when new and old images are streamed.
    pub(super) streams_since_ms: Option<u64>,
    /// Key attributes and their types, partition key first; empty: `pk`, a string.
    pub(super) keys: Vec<KeyAttribute>,
    pub(super) billing: Billing,
    /// The attribute that tells when an item may go. Nothing is deleted by it here.
    pub(super) ttl: Option<String>,
    /// Each Region's own.
    pub(super) tags: BTreeMap<Region, BTreeMap<String, String>>,
    /// Made by `CreateGlobalTable`, in 2017's way.
    pub(super) legacy: bool,
    /// Three Regions agree on each write.
    pub(super) strong: bool,
    /// The Region that only witnesses, and its state.
    pub(super) witness: Option<(Region, Replica)>,
    created_ms: u64,
}

/// How a table is paid for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Billing {
    /// By request.
    #[default]
    OnDemand,
    /// By capacity units.
    Provisioned {
        /// Read capacity units.
        read: u64,
        /// Write capacity units.
        write: u64,
    },
}

#[derive(Clone, Debug)]
pub(super) struct Replica {
    pub(super) status: ReplicaStatus,
    /// When it is made, or gone.
    pub(super) due_ms: u64,
    pub(super) copies: Region,
}

impl Replica {
    pub(super) fn active(region: &Region) -> Self {
        Self { status: ReplicaStatus::Active, due_ms: 0, copies: region.clone() }
    }

    fn is_gone(&self, now_ms: u64) -> bool {
        self.status == ReplicaStatus::Deleting && self.due_ms <= now_ms
    }
}

/// What a stranger sees of a table besides its replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableDetails {
    /// Tells namesakes apart.
    pub number: u64,
    /// `CREATING`, `ACTIVE`, `UPDATING`, `DELETING` …
    pub status: &'static str,
    /// When it was made.
    pub created_ms: u64,
    /// Partition key first.
    pub keys: Vec<KeyAttribute>,
    /// How it is paid for.
    pub billing: Billing,
    /// Since when new and old images are streamed.
    pub streams_since_ms: Option<u64>,
    /// The attribute of its time to live.
    pub ttl: Option<String>,
    /// Tags in the asked Region.
    pub tags: BTreeMap<String, String>,
    /// State of the witness.
    pub witness: Option<ReplicaStatus>,
    /// Items in the asked Region, and their bytes.
    pub size: (u64, u64),
}

impl Tables {
    pub(super) fn advance(&mut self, moment: Moment<'_>) {
        let mut is_gone = false;
        for table in self.tables.values_mut() {
            table.advance(moment);
            is_gone |= table.replicas.is_empty();
        }
        if is_gone {
            self.tables.retain(|_, table| !table.replicas.is_empty());
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &Table)> {
        self.tables.iter().map(|((name, _), table)| (name, table))
    }

    /// The first of that name.
    pub(super) fn first_mut(&mut self, name: &str) -> Option<&mut Table> {
        self.tables.range_mut((name.to_owned(), 0)..=(name.to_owned(), u64::MAX)).next().map(|(_, table)| table)
    }

    fn namesakes(&self, name: &str) -> impl Iterator<Item = (u64, &Table)> {
        let all = self.tables.range((name.to_owned(), 0)..=(name.to_owned(), u64::MAX));
        all.map(|((_, number), table)| (*number, table))
    }

    fn numbered(&self, name: &str, region: &Region) -> Result<(u64, &Table), Refusal> {
        self.namesakes(name).find(|(_, table)| table.replicas.contains_key(region)).ok_or_else(|| not_found(name))
    }

    /// A table that has a replica in a Region.
    pub(super) fn table(&self, name: &str, region: &Region) -> Result<&Table, Refusal> {
        self.numbered(name, region).map(|(_, table)| table)
    }

    pub(super) fn table_mut(&mut self, name: &str, region: &Region) -> Result<&mut Table, Refusal> {
        let all = self.tables.range_mut((name.to_owned(), 0)..=(name.to_owned(), u64::MAX));
        let found = all.map(|(_, table)| table).find(|table| table.replicas.contains_key(region));
        found.ok_or_else(|| not_found(name))
    }

    pub(super) fn insert(&mut self, name: &str, table: Table) {
        self.made += 1;
        self.tables.insert((name.to_owned(), self.made), table);
    }

    /// Makes one table of namesakes: what is in the others is empty, and goes.
    pub(super) fn unite(&mut self, name: &str, regions: &[Region]) {
        let Some(first) = regions.first() else { return };
        let absorbed: Vec<u64> = self
            .namesakes(name)
            .filter(|(_, table)| !table.replicas.contains_key(first))
            .filter(|(_, table)| regions.iter().any(|region| table.replicas.contains_key(region)))
            .map(|(number, _)| number)
            .collect();
        let tags: Vec<_> = absorbed
            .iter()
            .filter_map(|number| self.tables.remove(&(name.to_owned(), *number)))
            .flat_map(|table| table.tags)
            .collect();
        if let Ok(table) = self.table_mut(name, first) {
            table.legacy = true;
            table.tags.extend(tags);
            table.replicas.extend(regions.iter().map(|region| (region.clone(), Replica::active(region))));
        }
    }
}

impl Table {
    pub(super) fn new(region: &Region, now_ms: u64, due_ms: u64) -> Self {
        let replica = Replica { status: ReplicaStatus::Creating, due_ms, copies: region.clone() };
        Self { replicas: BTreeMap::from([(region.clone(), replica)]), created_ms: now_ms, ..Self::default() }
    }

    fn advance(&mut self, moment: Moment<'_>) {
        let (lags, strong) = (&self.lags_ms, self.strong);
        let lag_ms = |to: &str| match strong {
            true => 0,
            false => lags.get(to).copied().unwrap_or(moment.timing.table_lag_ms),
        };
        self.items.deliver(moment.now_ms, |a, b| moment.faults.linked(&a.into(), &b.into()), lag_ms);
        let witness = self.witness.as_mut().map(|(region, replica)| (&*region, replica));
        for (region, replica) in self.replicas.iter_mut().chain(witness) {
            let ready = replica.status == ReplicaStatus::Creating && replica.due_ms <= moment.now_ms;
            if ready && moment.faults.linked(&replica.copies, region) {
                replica.status = ReplicaStatus::Active;
                if replica.copies != *region {
                    self.items.rebuild(replica.copies.as_str(), region.as_str());
                }
            }
        }
        if self.replicas.values().any(|replica| replica.is_gone(moment.now_ms)) {
            self.drop_gone(moment.now_ms);
        }
        self.witness = self.witness.take().filter(|(_, replica)| !replica.is_gone(moment.now_ms));
    }

    /// A replica goes with what is in it.
    fn drop_gone(&mut self, now_ms: u64) {
        let gone: Vec<Region> =
            self.replicas.iter().filter(|(_, replica)| replica.is_gone(now_ms)).map(|(at, _)| at.clone()).collect();
        for region in gone {
            self.replicas.remove(&region);
            self.tags.remove(&region);
            self.items.drop_place(region.as_str());
        }
        if self.replicas.len() == 1 {
            (self.strong, self.legacy) = (false, false);
        }
    }

    /// Whether nothing is being made or deleted.
    pub(super) fn is_at_rest(&self) -> bool {
        let all = self.replicas.values().chain(self.witness.iter().map(|(_, replica)| replica));
        all.into_iter().all(|replica| !matches!(replica.status, ReplicaStatus::Creating | ReplicaStatus::Deleting))
    }

    pub(super) fn is_active(&self, region: &Region) -> bool {
        self.replicas.get(region).is_some_and(|replica| replica.status == ReplicaStatus::Active)
    }

    fn status(&self, region: &Region) -> &'static str {
        match self.replicas.get(region).map(|replica| replica.status) {
            Some(ReplicaStatus::Creating) => "CREATING",
            Some(ReplicaStatus::Deleting) => "DELETING",
            Some(ReplicaStatus::Inaccessible) => "INACCESSIBLE_ENCRYPTION_CREDENTIALS",
            _ if !self.is_at_rest() => "UPDATING",
            _ => "ACTIVE",
        }
    }

    pub(super) fn key_attributes(&self) -> Vec<KeyAttribute> {
        match self.keys.is_empty() {
            true => vec![KeyAttribute { name: "pk".to_owned(), kind: KeyType::String }],
            false => self.keys.clone(),
        }
    }

    fn kind(&self) -> TableKind {
        match self.replicas.len() {
            _ if self.legacy => TableKind::Legacy,
            2.. => TableKind::Global,
            _ => TableKind::Single,
        }
    }
}

impl World {
    /// `DescribeTable`: the replicas.
    pub fn describe_table(&self, asked_in: &Region, table: &str) -> Result<GlobalTable, Refusal> {
        let found = self.tables.table(table, asked_in)?;
        Ok(GlobalTable {
            table: table.to_owned(),
            replicas: found.replicas.iter().map(|(region, replica)| (region.clone(), replica.status)).collect(),
            kind: found.kind(),
            consistency: if found.strong { Consistency::Strong } else { Consistency::Eventual },
            witness: found.witness.as_ref().map(|(region, _)| region.clone()),
            streams: found.streams_since_ms.is_some(),
            is_active: found.status(asked_in) == "ACTIVE",
        })
    }

    /// `DescribeTable`: everything else.
    pub fn table_details(&self, region: &Region, table: &str) -> Result<TableDetails, Refusal> {
        let (number, found) = self.tables.numbered(table, region)?;
        let items = found.items.all(region.as_str()).filter(|(_, written)| !written.is_gone());
        let size = items.fold((0, 0), |(count, bytes), (_, written)| (count + 1, bytes + written.bytes()));
        Ok(TableDetails {
            number,
            status: found.status(region),
            created_ms: found.created_ms,
            keys: found.key_attributes(),
            billing: found.billing,
            streams_since_ms: found.streams_since_ms,
            ttl: found.ttl.clone(),
            tags: found.tags.get(region).cloned().unwrap_or_default(),
            witness: found.witness.as_ref().map(|(_, replica)| replica.status),
            size,
        })
    }

    /// Regions with a replica of the table, other than `region`.
    #[must_use]
    pub fn replicas_but(&self, table: &str, region: &Region) -> Vec<Region> {
        let all = self.tables.namesakes(table).flat_map(|(_, found)| found.replicas.keys());
        all.filter(|other| *other != region).cloned().collect()
    }

    /// `ListTables`: those with a replica in the Region.
    #[must_use]
    pub fn table_names(&self, region: &Region) -> Vec<String> {
        let here = self.tables.iter().filter(|(_, table)| table.replicas.contains_key(region));
        here.map(|(name, _)| name.clone()).collect()
    }

    /// Global tables of 2017 with a replica in a Region, and where they are.
    #[must_use]
    pub fn legacy_tables(&self) -> Vec<(String, Vec<Region>)> {
        let legacy = self.tables.iter().filter(|(_, table)| table.legacy);
        legacy.map(|(name, table)| (name.clone(), table.replicas.keys().cloned().collect())).collect()
    }
}

impl SimulatedAws {
    /// Makes a global table with ACTIVE replicas. One that exists stays as it is.
    pub fn create_table(&self, table: &str, regions: &[Region]) {
        self.with(|world| {
            if world.tables.first_mut(table).is_some() {
                return;
            }
            let replicas = regions.iter().map(|region| (region.clone(), Replica::active(region))).collect();
            let (created_ms, streams_since_ms) = (world.now_ms, Some(world.now_ms));
            world.tables.insert(table, Table { replicas, created_ms, streams_since_ms, ..Table::default() });
        });
    }

    /// Makes a table strongly consistent, with a witness or without.
    pub fn set_strong(&self, table: &str, witness: Option<&Region>) {
        self.with(|world| {
            if let Some(found) = world.tables.first_mut(table) {
                found.strong = true;
                found.witness = witness.map(|region| (region.clone(), Replica::active(region)));
            }
        });
    }

    /// Sets the state of a replica, such as one whose key cannot be used.
    pub fn set_replica_status(&self, table: &str, region: &Region, status: ReplicaStatus) {
        self.with(|world| {
            let replica = world.tables.first_mut(table).and_then(|found| found.replicas.get_mut(region));
            if let Some(replica) = replica {
                replica.status = status;
            }
        });
    }

    /// Takes a replica away at once, as if somebody had deleted it.
    pub fn drop_replica(&self, table: &str, region: &Region) {
        self.with(|world| world.tables.first_mut(table).and_then(|found| found.replicas.remove(region)));
    }
}

pub(super) fn not_found(table: &str) -> Refusal {
    Refusal::new("ResourceNotFoundException", format!("Requested resource not found: Table: {table} not found"))
}
