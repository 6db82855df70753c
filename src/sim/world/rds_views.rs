//! What the RDS API of a Region tells: plain values for whoever writes them down, and tags.

use std::collections::BTreeMap;

use failoverd_domain::ids::Region;
use failoverd_domain::time::Timestamp;

use super::World;
use super::aurora::{AuroraCluster, LostWrites, Member};
use super::aurora_calls::not_found;
use super::aurora_members::no_cluster;
use super::faults::Service;
use super::instances::{Instance, PendingValues};
use super::instances_calls;
use super::rds_events::RdsEvent;
use super::rds_names::{cluster_arn, instance_arn, parse_arn};
use super::refusal::Refusal;

/// A DB instance.
#[derive(Clone, Debug)]
pub struct InstanceView {
    /// Identifier.
    pub id: String,
    /// ARN.
    pub arn: String,
    /// `DbiResourceId`.
    pub resource_id: String,
    /// Region.
    pub region: Region,
    /// `db.r6g.large` …
    pub class: String,
    /// `postgres` …
    pub engine: String,
    /// Its version.
    pub engine_version: String,
    /// `available`, `modifying` …
    pub status: &'static str,
    /// Days for which backups are kept.
    pub backup_days: u32,
    /// A standby in another zone.
    pub multi_az: bool,
    /// VPC security groups.
    pub groups: Vec<String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// When it was made.
    pub created: Timestamp,
    /// The Aurora cluster that it belongs to.
    pub cluster: Option<String>,
    /// Its source, if it is a replica.
    pub source: Option<String>,
    /// State of its replication, if it is a replica: `replicating`, `error`, `terminated`.
    pub replication: Option<String>,
    /// Its replicas.
    pub replicas: Vec<String>,
    /// Changes that wait for a maintenance window.
    pub pending: PendingValues,
    /// Whether deleting it is refused.
    pub deletion_protection: bool,
    /// Order of promotion inside a cluster.
    pub promotion_tier: u32,
    /// GiB.
    pub storage_gb: u32,
}

/// An instance as its cluster lists it.
#[derive(Clone, Debug)]
pub struct NodeView {
    /// Identifier.
    pub id: String,
    /// Whether it takes the cluster's writes.
    pub is_writer: bool,
    /// Order of promotion.
    pub tier: u32,
}

/// A DB cluster.
#[derive(Clone, Debug)]
pub struct ClusterView {
    /// Identifier.
    pub id: String,
    /// ARN.
    pub arn: String,
    /// Region.
    pub region: Region,
    /// `available`, `modifying` …
    pub status: &'static str,
    /// `aurora-postgresql` …
    pub engine: String,
    /// Its version.
    pub engine_version: String,
    /// The global cluster that it belongs to.
    pub global: Option<String>,
    /// The primary cluster's ARN, of a secondary.
    pub source: Option<String>,
    /// The secondaries' ARNs, of a primary.
    pub readers: Vec<String>,
    /// Its instances.
    pub nodes: Vec<NodeView>,
    /// VPC security groups.
    pub groups: Vec<String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Days for which backups are kept.
    pub backup_days: u32,
    /// Whether deleting it is refused.
    pub deletion_protection: bool,
    /// Whether a secondary forwards writes; `None` where that does not apply.
    pub write_forwarding: Option<bool>,
    /// When it was made.
    pub created: Timestamp,
}

/// One member of a global cluster.
#[derive(Clone, Debug)]
pub struct GlobalMemberView {
    /// ARN.
    pub arn: String,
    /// ARNs of the secondaries, of the writer.
    pub readers: Vec<String>,
    /// Whether it is the primary.
    pub is_writer: bool,
    /// Whether replication can go on with what it holds.
    pub in_sync: bool,
    /// Whether it forwards writes; `None` for the writer.
    pub write_forwarding: Option<bool>,
}

/// A switchover or failover under way.
#[derive(Clone, Debug)]
pub struct MoveView {
    /// `pending`, `failing-over` or `cancelling`.
    pub status: &'static str,
    /// ARN of the old primary.
    pub from: String,
    /// ARN of the new one.
    pub to: String,
    /// A failover, not a switchover.
    pub forced: bool,
}

/// A global cluster.
#[derive(Clone, Debug)]
pub struct GlobalClusterView {
    /// Identifier.
    pub id: String,
    /// `available`, `switching-over` …
    pub status: String,
    /// `aurora-postgresql` …
    pub engine: String,
    /// Its version.
    pub engine_version: String,
    /// Members, the writer first.
    pub members: Vec<GlobalMemberView>,
    /// What goes on.
    pub moving: Option<MoveView>,
    /// Whether deleting it is refused.
    pub deletion_protection: bool,
    /// Database.
    pub database: Option<String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// A system snapshot of a cluster's volume as it was before an unplanned failover.
#[derive(Clone, Debug)]
pub struct ClusterSnapshot {
    /// `rds:unplanned-global-failover-…`.
    pub id: String,
    /// Cluster.
    pub cluster: String,
    /// When.
    pub at: Timestamp,
    /// `aurora-postgresql` …
    pub engine: String,
    /// Its version.
    pub engine_version: String,
}

impl World {
    fn instance_view(&self, instance: &Instance) -> InstanceView {
        let member = instance.cluster.as_ref().and_then(|cluster| self.member(&instance.region, cluster));
        let replication = instance.source.as_ref().map(|source| match &source.problem {
            Some(problem) => problem.clone(),
            None if source.running => "replicating".to_owned(),
            None => "stopped".to_owned(),
        });
        InstanceView {
            id: instance.id.clone(),
            arn: instance_arn(&instance.region, &instance.id),
            resource_id: instance.place.clone(),
            region: instance.region.clone(),
            class: instance.class.clone(),
            engine: instance.engine.clone(),
            engine_version: member.map_or(&instance.engine_version, |(_, member)| &member.engine_version).clone(),
            status: instance.phases.status(),
            backup_days: member.map_or(instance.backup_days, |(_, member)| member.backup_days),
            multi_az: instance.multi_az,
            groups: member.map_or(&instance.groups, |(_, member)| &member.groups).clone(),
            tags: instance.tags.clone(),
            created: Timestamp(instance.created_ms),
            cluster: instance.cluster.clone(),
            source: self.source_name(instance),
            replication,
            replicas: self.replica_names(instance),
            pending: instance.pending.clone(),
            deletion_protection: instance.deletion_protection,
            promotion_tier: instance.promotion_tier,
            storage_gb: instance.storage_gb,
        }
    }

    /// The DB instances of a Region, by identifier.
    #[must_use]
    pub fn instance_views(&self, region: &Region) -> Vec<InstanceView> {
        let here = self.instances.all.values().filter(|instance| &instance.region == region);
        here.map(|instance| self.instance_view(instance)).collect()
    }

    /// One DB instance.
    pub fn view_instance(&self, region: &Region, id: &str) -> Result<InstanceView, Refusal> {
        let instance = self.instances.get(region, id).ok_or_else(|| instances_calls::not_found(id))?;
        Ok(self.instance_view(instance))
    }

    fn cluster_view(&self, region: &Region, found: &AuroraCluster, member: &Member, is_global: bool) -> ClusterView {
        let is_writer = member
            .stale_view
            .as_ref()
            .map_or(member.is_writer, |old| old.members.get(region).is_some_and(|member| member.is_writer));
        let others = || found.members.iter().filter(|(other, _)| *other != region);
        let arn = |(region, member): (&Region, &Member)| cluster_arn(region, &member.cluster);
        let nodes = self.instances.of_cluster(region, &member.cluster).into_iter().enumerate();
        ClusterView {
            id: member.cluster.clone(),
            arn: cluster_arn(region, &member.cluster),
            region: region.clone(),
            status: found.status_of(region, member),
            engine: found.engine.clone(),
            engine_version: member.engine_version.clone(),
            global: is_global.then(|| found.id.clone()),
            source: if is_writer { None } else { others().find(|(_, member)| member.is_writer).map(arn) },
            readers: if is_writer { others().map(arn).collect() } else { Vec::new() },
            nodes: nodes
                .map(|(index, node)| NodeView {
                    id: node.id.clone(),
                    is_writer: is_writer && index == 0,
                    tier: node.promotion_tier,
                })
                .collect(),
            groups: member.groups.clone(),
            tags: member.tags.clone(),
            backup_days: member.backup_days,
            deletion_protection: member.deletion_protection,
            write_forwarding: (is_global && !is_writer).then_some(member.write_forwarding),
            created: Timestamp(member.created_ms),
        }
    }

    /// The DB clusters of a Region, by identifier.
    #[must_use]
    pub fn cluster_views(&self, region: &Region) -> Vec<ClusterView> {
        let global = self.clusters.values().map(|found| (found, true));
        let all = global.chain(self.lone_clusters.values().map(|found| (found, false)));
        let here = all.filter_map(|(found, is_global)| Some((found, found.members.get(region)?, is_global)));
        let mut views: Vec<ClusterView> =
            here.map(|(found, member, is_global)| self.cluster_view(region, found, member, is_global)).collect();
        views.sort_by(|a, b| a.id.cmp(&b.id));
        views
    }

    /// One DB cluster.
    pub fn view_cluster(&self, region: &Region, id: &str) -> Result<ClusterView, Refusal> {
        let found = self.cluster_views(region).into_iter().find(|cluster| cluster.id == id);
        found.ok_or_else(|| no_cluster(id))
    }

    /// The global clusters that the API of a Region tells of.
    #[must_use]
    pub fn global_views(&self, asked_in: &Region) -> Vec<GlobalClusterView> {
        let known = self.clusters.values().filter(|found| found.is_known_in(asked_in));
        known.map(|found| global_view(found, asked_in)).collect()
    }

    /// One global cluster.
    pub fn view_global(&self, asked_in: &Region, id: &str) -> Result<GlobalClusterView, Refusal> {
        let found = self.clusters.get(id).filter(|found| found.is_known_in(asked_in));
        found.map(|found| global_view(found, asked_in)).ok_or_else(|| not_found(id))
    }

    /// The system snapshots of a Region.
    #[must_use]
    pub fn snapshot_views(&self, region: &Region) -> Vec<ClusterSnapshot> {
        let all = self.clusters.values().chain(self.lone_clusters.values());
        let here = all.filter_map(|found| Some((found, found.members.get(region)?)));
        let of = |(found, member): (&AuroraCluster, &Member)| {
            let lost = found.lost.iter().filter(|lost| &lost.from == region && lost.undelivered.writes > 0);
            let view = |lost: &LostWrites| ClusterSnapshot {
                id: snapshot_name(&member.cluster, lost),
                cluster: member.cluster.clone(),
                at: Timestamp(lost.at_ms),
                engine: found.engine.clone(),
                engine_version: member.engine_version.clone(),
            };
            lost.map(view).collect::<Vec<_>>()
        };
        here.flat_map(of).collect()
    }

    /// The events that a Region has recorded, oldest first.
    pub fn rds_events<'a>(&'a self, region: &'a Region) -> impl Iterator<Item = &'a RdsEvent> {
        self.rds_events.iter().filter(move |event| &event.region == region)
    }

    /// Takes over what the databases had to say, and forgets clusters that are gone.
    pub(super) fn collect_rds(&mut self, mut said: Vec<RdsEvent>) {
        let all = self.clusters.values_mut().chain(self.lone_clusters.values_mut());
        let of_clusters: Vec<RdsEvent> = all.flat_map(|cluster| std::mem::take(&mut cluster.said)).collect();
        for mut event in of_clusters {
            // What a cluster says as an instance, its writer says; a headless one says it itself.
            if event.source_type == "db-instance" {
                let node = self.usable_nodes(&event.region, &event.source).next().map(|node| node.id.clone());
                match node {
                    Some(node) => {
                        event.arn = instance_arn(&event.region, &node);
                        event.source = node;
                    }
                    None => {
                        event.source_type = "db-cluster";
                        event.arn = cluster_arn(&event.region, &event.source);
                    }
                }
            }
            said.push(event);
        }
        self.rds_events.extend(said);
        self.clusters.retain(|_, cluster| !cluster.gone);
        self.lone_clusters.retain(|_, cluster| !cluster.members.is_empty());
    }

    /// The tags of the resource with an ARN, to read or change them.
    pub fn rds_tags(&mut self, asked_in: &Region, arn: &str) -> Result<&mut BTreeMap<String, String>, Refusal> {
        let invalid = || Refusal::new("InvalidParameterValue", format!("Invalid resource name: {arn}"));
        let (region, kind, id) = parse_arn(arn).ok_or_else(invalid)?;
        match kind {
            "db" if &region == asked_in => {
                let instance = self.instances.get_mut(&region, id).ok_or_else(|| instances_calls::not_found(id))?;
                Ok(&mut instance.tags)
            }
            "cluster" if &region == asked_in => {
                self.member_mut(&region, id).map(|member| &mut member.tags).ok_or_else(|| no_cluster(id))
            }
            "global-cluster" => self.cluster_mut(id, asked_in).map(|cluster| &mut cluster.tags),
            _ => Err(invalid()),
        }
    }

    /// Notes that tags were changed.
    pub fn note_rds_tags(&mut self, operation: &'static str, region: &Region, arn: &str) {
        self.note(Service::Rds, operation, region, arn.to_owned(), true);
    }
}

pub(super) fn snapshot_name(cluster: &str, lost: &LostWrites) -> String {
    format!("rds:unplanned-global-failover-{cluster}-{}", lost.at_ms)
}

fn global_view(found: &AuroraCluster, asked_in: &Region) -> GlobalClusterView {
    let stale = found.members.get(asked_in).and_then(|member| member.stale_view.as_ref());
    let told = stale.cloned().unwrap_or_else(|| found.describe());
    let arn_of = |region: &Region| told.members.get(region).map(|member| cluster_arn(region, &member.cluster));
    let mut members: Vec<GlobalMemberView> = Vec::new();
    for (region, member) in &told.members {
        let others = told.members.keys().filter(|other| *other != region);
        let forwards = found.members.get(region).is_some_and(|member| member.write_forwarding);
        members.push(GlobalMemberView {
            arn: cluster_arn(region, &member.cluster),
            readers: if member.is_writer { others.filter_map(arn_of).collect() } else { Vec::new() },
            is_writer: member.is_writer,
            in_sync: member.in_sync,
            write_forwarding: (!member.is_writer).then_some(forwards),
        });
    }
    members.sort_by_key(|member| !member.is_writer);
    let moving = found.moving.as_ref().filter(|_| stale.is_none()).map(|under_way| MoveView {
        status: under_way.status(),
        from: found.writer().and_then(arn_of).unwrap_or_default(),
        to: arn_of(&under_way.to).unwrap_or_default(),
        forced: under_way.forced,
    });
    GlobalClusterView {
        id: found.id.clone(),
        status: told.status.clone(),
        engine: found.engine.clone(),
        engine_version: found.version().to_owned(),
        members,
        moving,
        deletion_protection: found.deletion_protection,
        database: found.database.clone(),
        tags: found.tags.clone(),
    }
}
