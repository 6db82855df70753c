//! The RDS API over Aurora global clusters, and fences by security group.

use failoverd_domain::data::store::GlobalCluster;
use failoverd_domain::ids::Region;

use super::aurora::{AuroraCluster, LostWrites, Member, Standing, not_a_member};
use super::faults::Service;
use super::rds_names::CLOSED_GROUP;
use super::rds_views::snapshot_name;
use super::refusal::Refusal;
use super::{Moment, SimulatedAws, World, security_groups};

impl World {
    /// All global clusters.
    pub fn clusters(&self) -> impl Iterator<Item = &AuroraCluster> {
        self.clusters.values()
    }

    pub(super) fn cluster(&self, id: &str) -> Result<&AuroraCluster, Refusal> {
        self.clusters.get(id).ok_or_else(|| not_found(id))
    }

    /// The cluster, if the Region asked has a member of it.
    pub(super) fn cluster_mut(&mut self, id: &str, asked_in: &Region) -> Result<&mut AuroraCluster, Refusal> {
        self.clusters.get_mut(id).filter(|cluster| cluster.is_known_in(asked_in)).ok_or_else(|| not_found(id))
    }

    /// `DescribeGlobalClusters`, as the Region asked knows it: one that missed a failover still tells the old story.
    pub fn describe_cluster(&self, asked_in: &Region, id: &str) -> Result<GlobalCluster, Refusal> {
        let cluster = self.cluster(id)?;
        let member = cluster.members.get(asked_in).ok_or_else(|| not_found(id))?;
        let mut described = member.stale_view.clone().unwrap_or_else(|| cluster.describe());
        for (region, member) in &mut described.members {
            let mut classes: Vec<String> =
                self.usable_nodes(region, &member.cluster).map(|node| node.class.clone()).collect();
            classes.sort();
            member.instances = u32::try_from(classes.len()).unwrap_or(u32::MAX);
            member.instance_classes = classes;
        }
        Ok(described)
    }

    /// Snapshots of what unplanned failovers lost, in the Region that lost it, once that can be reached.
    #[must_use]
    pub fn lost_write_snapshots(&self, region: &Region, cluster: &str) -> Vec<String> {
        let of = |found: &&AuroraCluster| found.members.get(region).is_some_and(|member| member.cluster == cluster);
        let lost = self.clusters.values().filter(of).flat_map(|found| &found.lost);
        let lost = lost.filter(|lost| &lost.from == region && lost.undelivered.writes > 0);
        lost.map(|lost| snapshot_name(cluster, lost)).collect()
    }

    /// `SwitchoverGlobalCluster`: both sides must be up; the writer stops at once, the target takes over without loss.
    pub fn switchover_cluster(&mut self, asked_in: &Region, id: &str, to: &Region) -> Result<(), Refusal> {
        self.cluster_mut(id, asked_in)?;
        let old = self.movable(asked_in, id, to)?;
        if !self.faults.linked(&old, to) {
            let message = format!("The clusters in {old} and {to} must both be available for a switchover.");
            return Err(Refusal::later("InvalidDBClusterStateFault", message));
        }
        self.begin_move(id, to, false)?;
        self.note(Service::Rds, "SwitchoverGlobalCluster", asked_in, format!("{id} {old} -> {to}"), true);
        Ok(())
    }

    /// `FailoverGlobalCluster` with `AllowDataLoss`.
    pub fn failover_cluster(&mut self, asked_in: &Region, id: &str, to: &Region) -> Result<(), Refusal> {
        self.cluster_mut(id, asked_in)?;
        let old = self.movable(asked_in, id, to)?;
        self.begin_move(id, to, true)?;
        self.note(Service::Rds, "FailoverGlobalCluster", asked_in, format!("{id} {old} -> {to}"), true);
        Ok(())
    }

    fn begin_move(&mut self, id: &str, to: &Region, forced: bool) -> Result<(), Refusal> {
        let moment = Moment { now_ms: self.now_ms, faults: &self.faults, timing: &self.timing };
        self.clusters.get_mut(id).ok_or_else(|| not_found(id))?.begin_move(to, forced, moment);
        Ok(())
    }

    /// Whether the cluster may move to `to` at all; the present writer if so.
    fn movable(&self, asked_in: &Region, id: &str, to: &Region) -> Result<Region, Refusal> {
        let cluster = self.cluster(id)?;
        let asked: &Member = cluster.members.get(asked_in).ok_or_else(|| not_found(id))?;
        let target = cluster.members.get(to).ok_or_else(|| not_a_member(id, to))?;
        if cluster.moving.is_some() || asked.stale_view.is_some() || cluster.phases.status() != "available" {
            let message = format!("Global cluster {id} is not in a state that can be moved.");
            return Err(Refusal::later("InvalidGlobalClusterStateFault", message));
        }
        let refuse = |message: String| Err(Refusal::new("InvalidDBClusterStateFault", message));
        let Some((old, writer)) = cluster.members.iter().find(|(_, member)| member.is_writer) else {
            return refuse(format!("Global cluster {id} has no primary cluster."));
        };
        if old == to {
            return refuse(format!("The cluster in {to} is the primary cluster already."));
        }
        if self.usable_nodes(to, &target.cluster).next().is_none() {
            return refuse(format!("The cluster in {to} is headless: it has no DB instance to promote."));
        }
        if target.standing != Standing::InSync {
            let message = format!("The cluster in {to} is not synchronized with its global cluster.");
            return Err(Refusal::later("InvalidDBClusterStateFault", message));
        }
        if target.engine_version != writer.engine_version {
            let versions = (&writer.engine_version, &target.engine_version);
            return refuse(format!("Engine versions differ: {} and {}.", versions.0, versions.1));
        }
        Ok(old.clone())
    }

    /// Swaps the security groups of the copy in a Region for one that lets nobody in, or back.
    pub fn set_fenced(&mut self, region: &Region, id: &str, fenced: bool) -> Result<(), Refusal> {
        self.set_cluster_fence(region, id, CLOSED_GROUP, fenced)
    }

    /// The same with a group of one's own, which is known from then on to let nobody in.
    pub fn set_cluster_fence(&mut self, region: &Region, id: &str, group: &str, on: bool) -> Result<(), Refusal> {
        self.closed_groups.insert(group.to_owned());
        let shut = |groups: &[String]| security_groups::shut(groups, &self.closed_groups);
        let cluster = self.clusters.get_mut(id).ok_or_else(|| not_found(id))?;
        let member = cluster.members.get_mut(region).ok_or_else(|| not_a_member(id, region))?;
        let groups = match on {
            true => vec![group.to_owned()],
            false if shut(&member.groups) => security_groups::before(&member.open_groups),
            false => member.groups.clone(),
        };
        let changed = groups != member.groups;
        if changed {
            security_groups::swap(&mut member.groups, &mut member.open_groups, groups, &self.closed_groups);
        }
        let verb = if on { "fence" } else { "unfence" };
        self.note(Service::Rds, "ModifyDBCluster", region, format!("{verb} {id}"), changed);
        Ok(())
    }

    /// Whether the copy in a Region is fenced.
    pub fn is_fenced(&self, region: &Region, id: &str) -> Result<bool, Refusal> {
        Ok(security_groups::shut(&self.cluster(id)?.member(region)?.groups, &self.closed_groups))
    }

    /// Whether the copy in a Region has the fence's group and no other.
    pub fn cluster_has_fence(&self, region: &Region, id: &str, group: &str) -> Result<bool, Refusal> {
        Ok(self.cluster(id)?.member(region)?.groups == [group])
    }

    /// A row at one Region's copy.
    pub fn write_row(&mut self, region: &Region, id: &str, key: &str, version: u64) -> Result<(), Refusal> {
        let member = self.store(region, id)?.member(region)?;
        if security_groups::shut(&member.groups, &self.closed_groups) {
            return Err(Refusal::later("ConnectionTimeout", "connection to server timed out"));
        }
        self.answering_node(region, &member.cluster)?;
        let moment = Moment { now_ms: self.now_ms, faults: &self.faults, timing: &self.timing };
        let lone = self.lone_clusters.get_mut(&(region.clone(), id.to_owned()));
        let cluster = self.clusters.get_mut(id).or(lone).ok_or_else(|| not_found(id))?;
        cluster.write(region, key, version, moment, &mut self.draws)
    }

    /// The version of a row that one Region's copy shows.
    pub fn read_row(&self, region: &Region, id: &str, key: &str) -> Result<Option<u64>, Refusal> {
        let cluster = self.store(region, id)?;
        self.answering_node(region, &cluster.member(region)?.cluster)?;
        cluster.read(region, key)
    }

    /// A global cluster, or one that stands alone in a Region.
    fn store(&self, region: &Region, id: &str) -> Result<&AuroraCluster, Refusal> {
        let lone = self.lone_clusters.get(&(region.clone(), id.to_owned()));
        self.clusters.get(id).or(lone).ok_or_else(|| not_found(id))
    }

    fn answering_node(&self, region: &Region, cluster: &str) -> Result<(), Refusal> {
        match self.usable_nodes(region, cluster).any(|node| node.answers()) {
            true => Ok(()),
            false => Err(Refusal::later("ConnectionRefused", "no instance of the cluster answers")),
        }
    }
}

impl SimulatedAws {
    /// Makes a global cluster with one instance in each Region; the first writes. One that exists stays as it is.
    pub fn create_global_cluster(&self, id: &str, members: &[(Region, String)]) {
        self.with(|world| {
            if world.clusters.contains_key(id) {
                return;
            }
            world.clusters.insert(id.to_owned(), AuroraCluster::new(id, members, world.now_ms));
            members.iter().for_each(|(region, cluster)| world.set_nodes(region, cluster, 1));
        });
    }

    /// Sets the number of instances of a member; 0 makes it headless.
    pub fn set_instances(&self, id: &str, region: &Region, instances: u32) {
        self.with(|world| {
            let member = world.clusters.get(id).and_then(|cluster| cluster.members.get(region));
            let Some(cluster) = member.map(|member| member.cluster.clone()) else { return };
            world.set_nodes(region, &cluster, instances);
        });
    }

    /// Sets the engine version of a member.
    pub fn set_engine_version(&self, id: &str, region: &Region, version: &str) {
        self.with_member(id, region, |member| version.clone_into(&mut member.engine_version));
    }

    fn with_member(&self, id: &str, region: &Region, act: impl FnOnce(&mut Member)) {
        self.with(|world| world.clusters.get_mut(id).and_then(|c| c.members.get_mut(region)).map(act));
    }

    /// Writes that old writers took after another Region had been promoted.
    #[must_use]
    pub fn split_brain_writes(&self, id: &str) -> u64 {
        self.with(|world| world.clusters.get(id).map_or(0, |cluster| cluster.split_brain_writes))
    }

    /// What unplanned failovers of the cluster lost.
    #[must_use]
    pub fn lost_writes(&self, id: &str) -> Vec<LostWrites> {
        self.with(|world| world.clusters.get(id).map(|cluster| cluster.lost.clone()).unwrap_or_default())
    }
}

pub(super) fn not_found(id: &str) -> Refusal {
    Refusal::new("GlobalClusterNotFoundFault", format!("Global cluster {id} not found"))
}
