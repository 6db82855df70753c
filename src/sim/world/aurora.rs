//! One Aurora global cluster: who writes, what has arrived where, and moves under way.
//!
//! "Using switchover or failover in Amazon Aurora Global Database". The write fence of an unplanned failover is best
//! effort: an old writer that nobody reaches goes on taking writes, and those are counted as split brain.

use std::collections::BTreeMap;

use failoverd_domain::data::store::{ClusterMember, GlobalCluster};
use failoverd_domain::ids::Region;

use super::Moment;
use super::draws::Draws;
use super::refusal::Refusal;
use super::replication::{Replication, Undelivered, Written};

/// A global cluster.
#[derive(Clone, Debug)]
pub struct AuroraCluster {
    /// Identifier.
    pub id: String,
    pub(super) members: BTreeMap<Region, Member>,
    pub(super) rows: Replication,
    pub(super) moving: Option<Move>,
    pub(super) lags_ms: BTreeMap<Region, u64>,
    pub(super) lost: Vec<LostWrites>,
    pub(super) split_brain_writes: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) cluster: String,
    pub(super) instances: u32,
    pub(super) engine_version: String,
    pub(super) class: String,
    /// What the global cluster says.
    pub(super) is_writer: bool,
    /// What the database does.
    pub(super) accepts_writes: bool,
    /// By its security group.
    pub(super) fenced: bool,
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
}

#[derive(Clone, Debug)]
pub(super) struct Move {
    pub(super) to: Region,
    pub(super) ends_ms: u64,
    pub(super) forced: bool,
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
    /// The first member is the writer; each has one instance.
    #[must_use]
    pub fn new(id: &str, members: &[(Region, String)]) -> Self {
        let member = |(index, (region, cluster)): (usize, &(Region, String))| {
            let writes = index == 0;
            let member = Member {
                cluster: cluster.clone(),
                instances: 1,
                engine_version: "16.4".into(),
                class: "db.r6g.large".into(),
                is_writer: writes,
                accepts_writes: writes,
                fenced: false,
                standing: Standing::InSync,
                stale_view: None,
            };
            (region.clone(), member)
        };
        Self {
            id: id.to_owned(),
            members: members.iter().enumerate().map(member).collect(),
            rows: Replication::default(),
            moving: None,
            lags_ms: BTreeMap::new(),
            lost: Vec::new(),
            split_brain_writes: 0,
        }
    }

    /// The member that the global cluster calls its writer.
    #[must_use]
    pub fn writer(&self) -> Option<&Region> {
        self.members.iter().find(|(_, member)| member.is_writer).map(|(region, _)| region)
    }

    pub(super) fn lag_ms(&self, to: &Region, default_ms: u64) -> u64 {
        self.lags_ms.get(to).copied().unwrap_or(default_ms)
    }

    pub(super) fn advance(&mut self, moment: Moment<'_>) {
        let linked = |a: &str, b: &str| moment.faults.linked(&a.into(), &b.into());
        let lags = &self.lags_ms;
        let lag_ms = |to: &str| lags.get(to).copied().unwrap_or(moment.timing.aurora_lag_ms);
        self.rows.deliver(moment.now_ms, linked, lag_ms);
        self.finish_move(moment);
        self.heal_members(moment);
    }

    fn finish_move(&mut self, moment: Moment<'_>) {
        let Some(under_way) = self.moving.clone() else { return };
        let Some(old) = self.writer().cloned() else { return };
        let both_up = moment.faults.linked(&old, &under_way.to);
        if !under_way.forced && !both_up {
            // "Cancelling": a planned move that cannot go on is put back, and the writer writes again.
            self.moving = None;
            self.set_accepting(&old, true);
        } else if moment.now_ms < under_way.ends_ms || !moment.faults.is_up(&under_way.to) {
        } else if under_way.forced {
            self.promote_with_loss(&old, &under_way.to, moment);
        } else if self.rows.undelivered_to(under_way.to.as_str()).writes == 0 {
            self.swap_roles(&old, &under_way.to);
            self.set_accepting(&old, false);
        }
    }

    fn set_accepting(&mut self, region: &Region, accepts: bool) {
        if let Some(member) = self.members.get_mut(region) {
            member.accepts_writes = accepts;
        }
    }

    fn swap_roles(&mut self, old: &Region, to: &Region) {
        self.moving = None;
        if let Some(member) = self.members.get_mut(old) {
            member.is_writer = false;
        }
        if let Some(member) = self.members.get_mut(to) {
            member.is_writer = true;
            member.accepts_writes = true;
            member.standing = Standing::InSync;
            member.stale_view = None;
        }
    }

    fn promote_with_loss(&mut self, old: &Region, to: &Region, moment: Moment<'_>) {
        let before = GlobalCluster { moving_to: None, ..self.describe() };
        let undelivered = self.rows.take_flights(old.as_str(), to.as_str());
        self.lost.push(LostWrites { at_ms: moment.now_ms, from: old.clone(), to: to.clone(), undelivered });
        self.swap_roles(old, to);
        for (region, member) in self.members.iter_mut().filter(|(region, _)| *region != to) {
            let linked = moment.faults.linked(to, region);
            member.stale_view = (!linked).then(|| before.clone());
            member.accepts_writes &= !linked;
            member.standing = Standing::Away;
        }
    }

    /// Members that missed an unplanned failover: found again, fenced, rebuilt.
    fn heal_members(&mut self, moment: Moment<'_>) {
        let Some(writer) = self.writer().cloned() else { return };
        let mut rebuilt = Vec::new();
        for (region, member) in self.members.iter_mut().filter(|(region, _)| **region != writer) {
            let linked = moment.faults.linked(&writer, region);
            member.standing = match member.standing {
                Standing::InSync => continue,
                Standing::Away if linked && member.accepts_writes => {
                    Standing::LateFence(moment.now_ms + moment.timing.late_fence_ms)
                }
                Standing::Away if linked => member.begin_rebuild(moment.now_ms + moment.timing.rebuild_ms),
                Standing::LateFence(until) if linked && until <= moment.now_ms => {
                    member.begin_rebuild(until + moment.timing.rebuild_ms)
                }
                Standing::Rebuilding(until) if linked && until <= moment.now_ms => {
                    rebuilt.push(region.clone());
                    Standing::InSync
                }
                standing if linked => standing,
                _ => Standing::Away,
            };
        }
        rebuilt.iter().for_each(|region| self.rows.rebuild(writer.as_str(), region.as_str()));
    }

    /// The cluster as the API of a Region that sees everything describes it.
    pub(super) fn describe(&self) -> GlobalCluster {
        let member = |(region, member): (&Region, &Member)| {
            let described = ClusterMember {
                cluster: member.cluster.clone(),
                is_writer: member.is_writer,
                in_sync: member.standing == Standing::InSync,
                instances: member.instances,
                engine_version: member.engine_version.clone(),
                status: "available".to_owned(),
                instance_classes: vec![member.class.clone(); usize::try_from(member.instances).unwrap_or_default()],
            };
            (region.clone(), described)
        };
        GlobalCluster {
            id: self.id.clone(),
            members: self.members.iter().map(member).collect(),
            moving_to: self.moving.as_ref().map(|under_way| under_way.to.clone()),
            status: match &self.moving {
                None => "available",
                Some(under_way) if under_way.forced => "failing-over",
                Some(_) => "switching-over",
            }
            .to_owned(),
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
        if member.fenced {
            return Err(Refusal::later("ConnectionTimeout", "connection to server timed out"));
        }
        if !member.accepts_writes || member.instances == 0 {
            return Err(Refusal::new("25006", "cannot execute INSERT in a read-only transaction"));
        }
        let is_writer = member.is_writer;
        if !self.rows.accepts(region.as_str(), key, version) {
            return Err(Refusal::new("ConditionalCheckFailedException", "a version as new or newer is there"));
        }
        let written = Written { version, at_ms: moment.now_ms, by: region.as_str().to_owned() };
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
        if self.member(region)?.instances == 0 {
            return Err(Refusal::later("ConnectionRefused", "the cluster has no instance"));
        }
        Ok(self.rows.read(region.as_str(), key).map(|written| written.version))
    }

    pub(super) fn member(&self, region: &Region) -> Result<&Member, Refusal> {
        self.members.get(region).ok_or_else(|| not_a_member(&self.id, region))
    }
}

impl Member {
    fn begin_rebuild(&mut self, until_ms: u64) -> Standing {
        self.accepts_writes = false;
        self.stale_view = None;
        Standing::Rebuilding(until_ms)
    }
}

pub(super) fn not_a_member(id: &str, region: &Region) -> Refusal {
    Refusal::new("DBClusterNotFoundFault", format!("Global cluster {id} has no cluster in {region}."))
}
