//! DB clusters of Aurora: made, changed, deleted, joined to a global cluster and taken out of it.

use std::collections::BTreeMap;

use failoverd_domain::ids::Region;

use super::aurora::{AuroraCluster, LostWrites, Member, Standing};
use super::aurora_calls::not_found;
use super::faults::Service;
use super::instances::Instance;
use super::phases::Then;
use super::rds_names::{check_groups, new_identifier, parse_arn};
use super::refusal::Refusal;
use super::{SimulatedAws, World, security_groups};

/// What `CreateGlobalCluster` asks for.
#[derive(Clone, Debug, Default)]
pub struct NewGlobalCluster {
    /// `aurora-postgresql` …
    pub engine: Option<String>,
    /// Its version.
    pub engine_version: Option<String>,
    /// ARN of a cluster that becomes the primary.
    pub source: Option<String>,
    /// A database to make.
    pub database: Option<String>,
    /// Whether deleting it is refused.
    pub deletion_protection: bool,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// What `CreateDBCluster` asks for.
#[derive(Clone, Debug, Default)]
pub struct NewCluster {
    /// `aurora-postgresql` …
    pub engine: String,
    /// Its version.
    pub engine_version: Option<String>,
    /// The global cluster that it joins.
    pub global: Option<String>,
    /// VPC security groups.
    pub groups: Vec<String>,
    /// Days to keep backups.
    pub backup_days: Option<u32>,
    /// Whether deleting it is refused.
    pub deletion_protection: bool,
    /// Whether a secondary forwards writes.
    pub write_forwarding: bool,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// What `ModifyDBCluster` asks for.
#[derive(Clone, Debug, Default)]
pub struct ClusterChanges {
    /// VPC security groups.
    pub groups: Option<Vec<String>>,
    /// Days to keep backups.
    pub backup_days: Option<u32>,
    /// Whether deleting it is refused.
    pub deletion_protection: Option<bool>,
    /// Whether a secondary forwards writes.
    pub write_forwarding: Option<bool>,
    /// Engine version.
    pub engine_version: Option<String>,
}

const PROTECTED: &str = "Cannot delete protected Cluster, please disable deletion protection and try again.";

impl World {
    /// The instances of a member that are neither being made nor going away.
    pub(super) fn usable_nodes<'a>(
        &'a self,
        region: &'a Region,
        cluster: &'a str,
    ) -> impl Iterator<Item = &'a Instance> {
        let nodes = self.instances.of_cluster(region, cluster).into_iter();
        nodes.filter(|node| !matches!(node.phases.status(), "creating" | "deleting"))
    }

    pub(super) fn set_nodes(&mut self, region: &Region, cluster: &str, count: u32) {
        let names: Vec<String> =
            self.instances.of_cluster(region, cluster).iter().map(|node| node.id.clone()).collect();
        let wanted = usize::try_from(count).unwrap_or(usize::MAX);
        for name in names.iter().skip(wanted) {
            self.instances.all.remove(&(region.clone(), name.clone()));
        }
        let engine =
            self.member(region, cluster).map(|(global, member)| (global.engine.clone(), member.engine_version.clone()));
        let Some((engine, version)) = engine else { return };
        for number in names.len()..wanted {
            let (name, now_ms) = (format!("{cluster}-{}", number + 1), self.now_ms);
            let made = self.instances.add(region, &name, (&engine, &version), "db.r6g.large", now_ms);
            made.cluster = Some(cluster.to_owned());
            made.backup_days = 1;
        }
    }

    /// A DB cluster in a Region, with the global cluster that it belongs to or the one that stands for it alone.
    pub(super) fn member(&self, region: &Region, cluster: &str) -> Option<(&AuroraCluster, &Member)> {
        let all = self.clusters.values().chain(self.lone_clusters.values());
        all.filter_map(|found| Some((found, found.members.get(region)?))).find(|(_, member)| member.cluster == cluster)
    }

    pub(super) fn member_mut(&mut self, region: &Region, cluster: &str) -> Option<&mut Member> {
        let all = self.clusters.values_mut().chain(self.lone_clusters.values_mut());
        all.filter_map(|found| found.members.get_mut(region)).find(|member| member.cluster == cluster)
    }

    /// The engine version of a cluster that an instance may join.
    pub(super) fn joinable_cluster(&self, region: &Region, cluster: &str, engine: &str) -> Result<String, Refusal> {
        let (found, member) = self.member(region, cluster).ok_or_else(|| no_cluster(cluster))?;
        if found.engine != engine {
            let message = format!(
                "The engine name requested for your DB instance ({engine}) doesn't match the engine name of your DB cluster ({}).",
                found.engine
            );
            return Err(Refusal::new("InvalidParameterCombination", message));
        }
        if member.phases.status() == "deleting" {
            return Err(not_available(cluster));
        }
        Ok(member.engine_version.clone())
    }

    /// `CreateGlobalCluster`, empty or around a cluster that stands alone.
    pub fn create_global(&mut self, region: &Region, id: &str, new: NewGlobalCluster) -> Result<(), Refusal> {
        let id = new_identifier("GlobalClusterIdentifier", id)?;
        if self.clusters.contains_key(&id) {
            let message = format!("Global cluster {id} already exists.");
            return Err(Refusal::new("GlobalClusterAlreadyExistsFault", message));
        }
        let mut made = match &new.source {
            Some(source) => self.take_lone(region, source)?,
            None => {
                let version = new.engine_version.as_deref().unwrap_or("16.4");
                let engine = new.engine.as_deref().ok_or_else(|| {
                    let message = "Either Engine or SourceDBClusterIdentifier must be specified.";
                    Refusal::new("InvalidParameterCombination", message)
                })?;
                AuroraCluster::empty(&id, engine, version)
            }
        };
        made.id.clone_from(&id);
        made.home = Some(region.clone());
        made.database = new.database;
        made.deletion_protection = new.deletion_protection;
        made.tags = new.tags;
        made.phases.push(self.now_ms, "creating", self.timing.cluster_modify_ms, Then::Nothing);
        self.clusters.insert(id.clone(), made);
        self.note(Service::Rds, "CreateGlobalCluster", region, id, true);
        Ok(())
    }

    fn take_lone(&mut self, region: &Region, source: &str) -> Result<AuroraCluster, Refusal> {
        let (at, id) = match parse_arn(source) {
            Some((at, "cluster", id)) => (at, id.to_owned()),
            _ => (region.clone(), source.to_ascii_lowercase()),
        };
        let (found, member) = self.member(&at, &id).ok_or_else(|| no_cluster(source))?;
        if !self.lone_clusters.contains_key(&(at.clone(), id.clone())) {
            let message = format!("{source} is already a member of the global cluster {}.", found.id);
            return Err(Refusal::new("InvalidDBClusterStateFault", message));
        }
        if member.phases.status() != "available" {
            return Err(not_available(&id));
        }
        self.lone_clusters.remove(&(at, id)).ok_or_else(|| no_cluster(source))
    }

    /// `DeleteGlobalCluster`: only an empty one.
    pub fn delete_global(&mut self, region: &Region, id: &str) -> Result<(), Refusal> {
        let (now_ms, lasts_ms) = (self.now_ms, self.timing.cluster_modify_ms);
        let cluster = self.cluster_mut(id, region)?;
        if cluster.deletion_protection {
            return Err(Refusal::new("InvalidParameterCombination", PROTECTED));
        }
        if !cluster.members.is_empty() {
            return Err(Refusal::new("InvalidGlobalClusterStateFault", format!("Global Cluster {id} is not empty")));
        }
        cluster.phases.clear();
        cluster.phases.push(now_ms, "deleting", lasts_ms, Then::Gone);
        self.note(Service::Rds, "DeleteGlobalCluster", region, id.to_owned(), true);
        Ok(())
    }

    /// `RemoveFromGlobalCluster`: the cluster stands alone, and takes writes. What had not arrived at it is lost.
    pub fn detach_cluster(&mut self, asked_in: &Region, id: &str, cluster: &str) -> Result<(), Refusal> {
        let (region, name) = match parse_arn(cluster) {
            Some((region, "cluster", name)) => (region, name.to_owned()),
            _ => (asked_in.clone(), cluster.to_ascii_lowercase()),
        };
        let (now_ms, lasts_ms) = (self.now_ms, self.timing.cluster_modify_ms);
        let found = self.cluster_mut(id, asked_in)?;
        let member = found.members.get(&region).filter(|member| member.cluster == name);
        let member = member.cloned().ok_or_else(|| no_cluster(cluster))?;
        if found.moving.is_some() {
            let message = format!("Global cluster {id} is switching or failing over.");
            return Err(Refusal::later("InvalidGlobalClusterStateFault", message));
        }
        if member.is_writer && found.members.len() > 1 {
            let message = format!("{name} is the primary cluster of {id}: remove the secondary clusters first.");
            return Err(Refusal::new("InvalidGlobalClusterStateFault", message));
        }
        let lone = found.split_off(&region, &member, now_ms, lasts_ms);
        found.home = Some(asked_in.clone());
        found.phases.push(now_ms, "modifying", lasts_ms, Then::Nothing);
        self.lone_clusters.insert((region.clone(), name.clone()), lone);
        self.note(Service::Rds, "RemoveFromGlobalCluster", asked_in, format!("{name} in {region} from {id}"), true);
        Ok(())
    }

    /// `CreateDBCluster`: by itself, the primary of an empty global cluster, or a secondary that gets its rows first.
    pub fn create_db_cluster(&mut self, region: &Region, id: &str, new: NewCluster) -> Result<(), Refusal> {
        let id = new_identifier("DBClusterIdentifier", id)?;
        check_groups(&new.groups)?;
        if self.member(region, &id).is_some() {
            return Err(Refusal::new("DBClusterAlreadyExistsFault", "DB Cluster already exists"));
        }
        let (now_ms, create_ms) = (self.now_ms, self.timing.cluster_create_ms);
        let member = match &new.global {
            None => {
                let version = new.engine_version.as_deref().unwrap_or("16.4");
                let lone = AuroraCluster::empty(&id, &new.engine, version);
                self.lone_clusters.entry((region.clone(), id.clone())).or_insert(lone).add(region, &id, now_ms)
            }
            Some(global) => {
                self.check_joining(region, global, &new)?;
                let found = self.clusters.get_mut(global).ok_or_else(|| not_found(global))?;
                let is_first = found.members.is_empty();
                let member = found.add(region, &id, now_ms);
                if !is_first {
                    member.standing = Standing::Seeding(now_ms + create_ms);
                }
                member
            }
        };
        member.dress(new);
        member.phases.push(now_ms, "creating", create_ms, Then::Ready);
        self.note(Service::Rds, "CreateDBCluster", region, id, true);
        Ok(())
    }

    fn check_joining(&self, region: &Region, global: &str, new: &NewCluster) -> Result<(), Refusal> {
        let found = self.clusters.get(global).ok_or_else(|| not_found(global))?;
        if found.engine != new.engine {
            let message =
                format!("The engine {} differs from that of the global cluster, {}.", new.engine, found.engine);
            return Err(Refusal::new("InvalidParameterCombination", message));
        }
        if found.moving.is_some() || found.phases.status() == "deleting" {
            let message = format!("Global cluster {global} is not in available state.");
            return Err(Refusal::later("InvalidGlobalClusterStateFault", message));
        }
        if found.members.contains_key(region) {
            let message = format!("Global cluster {global} has a cluster in {region} already.");
            return Err(Refusal::new("InvalidGlobalClusterStateFault", message));
        }
        let reached = found.writer().is_none_or(|writer| self.faults.linked(writer, region));
        if !reached {
            let message = format!("The primary cluster of {global} cannot be reached from {region}.");
            return Err(Refusal::later("InvalidGlobalClusterStateFault", message));
        }
        Ok(())
    }

    /// `ModifyDBCluster`. Everything is applied at once: nothing of it waits for a maintenance window.
    pub fn modify_db_cluster(&mut self, region: &Region, id: &str, changes: ClusterChanges) -> Result<(), Refusal> {
        check_groups(changes.groups.as_deref().unwrap_or_default())?;
        let (now_ms, lasts_ms) = (self.now_ms, self.timing.cluster_modify_ms);
        let closed = self.closed_groups.clone();
        let member = self.member_mut(region, id).ok_or_else(|| no_cluster(id))?;
        if matches!(member.phases.status(), "creating" | "deleting") {
            return Err(not_available(id));
        }
        let mut said = vec![id.to_owned()];
        if let Some(groups) = changes.groups.filter(|groups| groups != &member.groups) {
            said.push(format!("groups {}", groups.join(",")));
            security_groups::swap(&mut member.groups, &mut member.open_groups, groups, &closed);
        }
        said.extend(replace(&mut member.backup_days, changes.backup_days).map(|days| format!("backups {days} d")));
        said.extend(
            replace(&mut member.deletion_protection, changes.deletion_protection).map(|on| format!("protected {on}")),
        );
        said.extend(
            replace(&mut member.write_forwarding, changes.write_forwarding).map(|on| format!("forwarding {on}")),
        );
        said.extend(
            replace(&mut member.engine_version, changes.engine_version).map(|version| format!("version {version}")),
        );
        let changed = said.len() > 1;
        if changed {
            member.phases.push(now_ms, "modifying", lasts_ms, Then::Nothing);
        }
        self.note(Service::Rds, "ModifyDBCluster", region, said.join(" "), changed);
        Ok(())
    }

    /// `DeleteDBCluster`: one without instances that belongs to no global cluster.
    pub fn delete_db_cluster(&mut self, region: &Region, id: &str) -> Result<(), Refusal> {
        let (now_ms, lasts_ms) = (self.now_ms, self.timing.instance_delete_ms);
        let (found, member) = self.member(region, id).ok_or_else(|| no_cluster(id))?;
        let refuse = |message: &str| Err(Refusal::new("InvalidDBClusterStateFault", message));
        if member.deletion_protection {
            return Err(Refusal::new("InvalidParameterCombination", PROTECTED));
        }
        if !self.lone_clusters.contains_key(&(region.clone(), id.to_owned())) {
            let message = "This cluster is a part of a global cluster, please remove it from globalcluster first";
            return refuse(&format!("{message} ({})", found.id));
        }
        let mut nodes = self.instances.of_cluster(region, id).into_iter();
        if nodes.any(|node| node.phases.status() != "deleting") {
            return refuse("Cluster cannot be deleted, it still contains DB instances in non-deleting state.");
        }
        if member.phases.status() == "deleting" {
            return refuse(&format!("DBCluster {id} is already being deleted"));
        }
        if let Some(member) = self.member_mut(region, id) {
            member.phases.clear();
            member.phases.push(now_ms, "deleting", lasts_ms, Then::Gone);
        }
        self.note(Service::Rds, "DeleteDBCluster", region, id.to_owned(), true);
        Ok(())
    }
}

/// Puts a value in the place of another; the new one if that made a difference.
fn replace<T: PartialEq + Clone>(place: &mut T, wish: Option<T>) -> Option<T> {
    let wish = wish.filter(|wish| wish != place)?;
    place.clone_from(&wish);
    Some(wish)
}

impl AuroraCluster {
    /// The member by itself, with the rows that it has.
    fn split_off(&mut self, region: &Region, member: &Member, now_ms: u64, lasts_ms: u64) -> Self {
        let mut lone = Self::empty(&member.cluster, &self.engine, &member.engine_version);
        lone.rows = self.rows.clone();
        if let Some(writer) = self.writer().filter(|writer| *writer != region).cloned() {
            let undelivered = self.rows.take_flights(writer.as_str(), region.as_str());
            lone.lost.push(LostWrites { at_ms: now_ms, from: writer, to: region.clone(), undelivered });
        }
        for other in self.members.keys() {
            lone.rows.take_flights(other.as_str(), region.as_str());
            lone.rows.take_flights(region.as_str(), other.as_str());
        }
        self.members.remove(region);
        let mut member = member.clone();
        if !member.is_writer {
            member.phases.push(now_ms, "promoting", lasts_ms, Then::StandsAlone(0));
        }
        (member.is_writer, member.standing, member.stale_view) = (true, Standing::InSync, None);
        lone.members.insert(region.clone(), member);
        lone
    }
}

impl Member {
    fn dress(&mut self, new: NewCluster) {
        self.engine_version = new.engine_version.unwrap_or_else(|| std::mem::take(&mut self.engine_version));
        self.backup_days = new.backup_days.unwrap_or(self.backup_days);
        self.deletion_protection = new.deletion_protection;
        self.write_forwarding = new.write_forwarding;
        self.tags = new.tags;
        if !new.groups.is_empty() {
            self.groups = new.groups;
        }
    }
}

impl SimulatedAws {
    /// What detaching a cluster that stands alone now lost.
    #[must_use]
    pub fn lost_by_detaching(&self, region: &Region, cluster: &str) -> Vec<LostWrites> {
        let key = (region.clone(), cluster.to_owned());
        self.with(|world| world.lone_clusters.get(&key).map(|lone| lone.lost.clone()).unwrap_or_default())
    }
}

pub(super) fn no_cluster(id: &str) -> Refusal {
    Refusal::new("DBClusterNotFoundFault", format!("DBCluster {id} not found."))
}

fn not_available(id: &str) -> Refusal {
    Refusal::later("InvalidDBClusterStateFault", format!("DBCluster {id} is not in available state."))
}
