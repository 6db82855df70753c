//! One Aurora global cluster: who writes, and what has arrived where. A cluster by itself is one with a single member.
//!
//! Its DB instances are kept with all others (`instances`): a member without any is headless.

use std::collections::BTreeMap;

use failoverd_domain::data::store::{ClusterMember, GlobalCluster};
use failoverd_domain::ids::Region;

use super::Moment;
use super::draws::Draws;
use super::phases::Phases;
use super::rds_events::RdsEvent;
use super::rds_names::OPEN_GROUP;
use super::refusal::Refusal;
use super::replication::{Replication, Undelivered, Written};

/// A global cluster.
#[derive(Clone, Debug)]
pub struct AuroraCluster {
    /// Identifier.
    pub id: String,
    /// `aurora-postgresql` …
    pub(super) engine: String,
    /// What new members get while there is none.
    pub(super) engine_version: String,
    /// Where it was made: who knows it while it has no member.
    pub(super) home: Option<Region>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) deletion_protection: bool,
    pub(super) database: Option<String>,
    /// What the global cluster itself goes through.
    pub(super) phases: Phases,
    /// Deleted, and to be forgotten.
    pub(super) gone: bool,
    pub(super) members: BTreeMap<Region, Member>,
    pub(super) rows: Replication,
    pub(super) moving: Option<Move>,
    pub(super) lags_ms: BTreeMap<Region, u64>,
    pub(super) lost: Vec<LostWrites>,
    pub(super) split_brain_writes: u64,
    /// Events that the world has not collected yet.
    pub(super) said: Vec<RdsEvent>,
}

#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) cluster: String,
    pub(super) engine_version: String,
    pub(super) phases: Phases,
    pub(super) created_ms: u64,
    pub(super) backup_days: u32,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) deletion_protection: bool,
    pub(super) write_forwarding: bool,
    pub(super) groups: Vec<String>,
    /// What it had before nobody was let in.
    pub(super) open_groups: Vec<String>,
    /// What the global cluster says.
    pub(super) is_writer: bool,
    /// What the database does.
    pub(super) accepts_writes: bool,
    pub(super) standing: Standing,
    /// What the API of a Region that missed a failover still believes.
    pub(super) stale_view: Option<GlobalCluster>,
}

/// Where a member stands since the last unplanned failover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    InSync,
    /// The writer's Region cannot reach it.
    Away,
    /// An old writer, reachable again, that still takes writes until then.
    LateFence(u64),
    /// Being rebuilt until then.
    Rebuilding(u64),
    /// New, and given its first rows until then.
    Seeding(u64),
}

#[derive(Clone, Debug)]
pub(super) struct Move {
    pub(super) to: Region,
    /// Until then it is only being looked at.
    pub(super) is_pending: bool,
    pub(super) pending_until_ms: u64,
    pub(super) ends_ms: u64,
    pub(super) forced: bool,
    /// Being put back, until then.
    pub(super) cancelling_until_ms: Option<u64>,
    /// It has been said that data still has to arrive.
    pub(super) told_of_lag: bool,
}

/// What an unplanned failover lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostWrites {
    /// When the new writer took over.
    pub at_ms: u64,
    /// The old writer.
    pub from: Region,
    /// The new writer.
    pub to: Region,
    /// Acknowledged writes that the new writer does not have.
    pub undelivered: Undelivered,
}

impl AuroraCluster {
    /// One without members.
    #[must_use]
    pub fn empty(id: &str, engine: &str, engine_version: &str) -> Self {
        Self {
            id: id.to_owned(),
            engine: engine.to_owned(),
            engine_version: engine_version.to_owned(),
            home: None,
            tags: BTreeMap::new(),
            deletion_protection: false,
            database: None,
            phases: Phases::default(),
            gone: false,
            members: BTreeMap::new(),
            rows: Replication::default(),
            moving: None,
            lags_ms: BTreeMap::new(),
            lost: Vec::new(),
            split_brain_writes: 0,
            said: Vec::new(),
        }
    }

    /// The first member is the writer.
    #[must_use]
    pub fn new(id: &str, members: &[(Region, String)], now_ms: u64) -> Self {
        let mut made = Self::empty(id, "aurora-postgresql", "16.4");
        for (region, cluster) in members {
            made.add(region, cluster, now_ms);
        }
        made
    }

    /// Another member: the first writes.
    pub(super) fn add(&mut self, region: &Region, cluster: &str, now_ms: u64) -> &mut Member {
        let writes = self.writer().is_none();
        let member = Member {
            cluster: cluster.to_owned(),
            engine_version: self.version().to_owned(),
            phases: Phases::default(),
            created_ms: now_ms,
            backup_days: 1,
            tags: BTreeMap::new(),
            deletion_protection: false,
            write_forwarding: false,
            groups: vec![OPEN_GROUP.to_owned()],
            open_groups: Vec::new(),
            is_writer: writes,
            accepts_writes: writes,
            standing: Standing::InSync,
            stale_view: None,
        };
        self.members.entry(region.clone()).insert_entry(member).into_mut()
    }

    /// The writer's engine version.
    pub(super) fn version(&self) -> &str {
        let writer = self.members.values().find(|member| member.is_writer);
        writer.map_or(&self.engine_version, |member| &member.engine_version)
    }

    /// The member that the global cluster calls its writer.
    #[must_use]
    pub fn writer(&self) -> Option<&Region> {
        self.members.iter().find(|(_, member)| member.is_writer).map(|(region, _)| region)
    }

    /// Whether the API of a Region tells of it: where it has a member, or was made while it has none.
    pub(super) fn is_known_in(&self, region: &Region) -> bool {
        self.members.contains_key(region) || (self.members.is_empty() && self.home.as_ref() == Some(region))
    }

    pub(super) fn lag_ms(&self, to: &Region, default_ms: u64) -> u64 {
        self.lags_ms.get(to).copied().unwrap_or(default_ms)
    }

    /// AWS's word for a member.
    pub(super) fn status_of(&self, region: &Region, member: &Member) -> &'static str {
        match &self.moving {
            Some(under_way) if member.is_writer || &under_way.to == region => under_way.word(),
            _ => member.phases.status(),
        }
    }

    /// The cluster as the API of a Region that sees everything describes it; its instances are not counted here.
    pub(super) fn describe(&self) -> GlobalCluster {
        let member = |(region, member): (&Region, &Member)| {
            let described = ClusterMember {
                cluster: member.cluster.clone(),
                is_writer: member.is_writer,
                in_sync: member.standing == Standing::InSync,
                instances: 0,
                engine_version: member.engine_version.clone(),
                status: self.status_of(region, member).to_owned(),
                instance_classes: Vec::new(),
            };
            (region.clone(), described)
        };
        GlobalCluster {
            id: self.id.clone(),
            members: self.members.iter().map(member).collect(),
            moving_to: self.moving.as_ref().map(|under_way| under_way.to.clone()),
            status: self.moving.as_ref().map_or_else(|| self.phases.status(), Move::word).to_owned(),
        }
    }

    /// A row written at one Region's copy; acknowledged at once, elsewhere after the lag.
    pub(super) fn write(
        &mut self,
        region: &Region,
        key: &str,
        version: u64,
        moment: Moment<'_>,
        draws: &mut Draws,
    ) -> Result<(), Refusal> {
        let member = self.member(region)?;
        if !member.accepts_writes {
            return Err(Refusal::new("25006", "cannot execute INSERT in a read-only transaction"));
        }
        let is_writer = member.is_writer;
        if !self.rows.accepts(region.as_str(), key, version) {
            return Err(Refusal::new("ConditionalCheckFailedException", "a version as new or newer is there"));
        }
        let written = Written { version, at_ms: moment.now_ms, by: region.as_str().to_owned(), payload: None };
        self.rows.put(key, written.clone());
        if !is_writer {
            self.split_brain_writes += 1;
            return Ok(());
        }
        let in_sync = |(to, member): &(&Region, &Member)| *to != region && member.standing == Standing::InSync;
        for (to, _) in self.members.iter().filter(in_sync) {
            let lag_ms = self.lags_ms.get(to).copied().unwrap_or(moment.timing.aurora_lag_ms);
            self.rows.send(key, &written, to.as_str(), moment.now_ms + draws.about(lag_ms));
        }
        Ok(())
    }

    pub(super) fn read(&self, region: &Region, key: &str) -> Result<Option<u64>, Refusal> {
        self.member(region)?;
        Ok(self.rows.read(region.as_str(), key).map(|written| written.version))
    }

    pub(super) fn member(&self, region: &Region) -> Result<&Member, Refusal> {
        self.members.get(region).ok_or_else(|| not_a_member(&self.id, region))
    }
}

impl Move {
    /// AWS's word for a cluster that takes part.
    pub(super) const fn word(&self) -> &'static str {
        if self.forced { "failing-over" } else { "switching-over" }
    }

    /// `FailoverState`'s word.
    pub(super) const fn status(&self) -> &'static str {
        match (self.cancelling_until_ms, self.is_pending) {
            (Some(_), _) => "cancelling",
            (None, true) => "pending",
            (None, false) => "failing-over",
        }
    }
}

pub(super) fn not_a_member(id: &str, region: &Region) -> Refusal {
    Refusal::new("DBClusterNotFoundFault", format!("Global cluster {id} has no cluster in {region}."))
}
