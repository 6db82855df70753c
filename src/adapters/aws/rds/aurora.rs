//! Aurora global clusters.
//!
//! <https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database-disaster-recovery.html>

use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_sdk_rds::types as aws;
use failoverd_domain::data::store::{ClusterMember, GlobalCluster};
use failoverd_domain::ids::Region;

use super::arn::{identifier_of, region_of};
use super::{Rds, action, read};
use crate::adapters::aws::budget::Kind;
use crate::ports::{AuroraGlobal, Call};

/// What AWS begins the names of such snapshots with.
const LOST_WRITES: &str = "rds:unplanned-global-failover-";
/// Instances of a member whose Region was not asked.
const NOT_TOLD: u32 = u32::MAX;

impl Rds {
    async fn global_cluster(&self, asked_in: &Region, id: &str) -> Call<aws::GlobalCluster> {
        let ask = read("DescribeGlobalClusters", asked_in);
        let client = self.client(asked_in, Kind::Read).await;
        let sending = client.describe_global_clusters().global_cluster_identifier(id).send();
        let found = self.account.call(ask, sending).await?;
        let found = found.global_clusters.unwrap_or_default().into_iter().next();
        found.ok_or_else(|| ask.refuse("GlobalClusterNotFoundFault", format!("there is no global cluster {id}")))
    }

    /// What the asked Region tells of its own member: state, instances, version.
    async fn add_own_member(&self, asked_in: &Region, member: &mut ClusterMember) -> Call<()> {
        let client = self.client(asked_in, Kind::Read).await;
        let cluster = client.describe_db_clusters().db_cluster_identifier(&member.cluster).send();
        let of_cluster = aws::Filter::builder().name("db-cluster-id").values(&member.cluster).build();
        let instances = client.describe_db_instances().filters(of_cluster).send();
        let (cluster, instances) = tokio::join!(
            self.account.call(read("DescribeDBClusters", asked_in), cluster),
            self.account.call(read("DescribeDBInstances", asked_in), instances),
        );
        let (cluster, instances) = (cluster?, instances?);
        if let Some(cluster) = cluster.db_clusters().first() {
            cluster.status().unwrap_or_default().clone_into(&mut member.status);
            if let Some(version) = cluster.engine_version() {
                version.clone_into(&mut member.engine_version);
            }
        }
        // One that is not made yet, or no more, cannot be promoted.
        let unusable = ["creating", "deleting", "failed", "stopped", "stopping", "incompatible-restore"];
        let is_there = |instance: &&aws::DbInstance| {
            instance.db_instance_status().is_none_or(|status| !unusable.contains(&status))
        };
        let there: Vec<_> = instances.db_instances().iter().filter(is_there).collect();
        member.instances = u32::try_from(there.len()).unwrap_or(NOT_TOLD);
        member.instance_classes =
            there.iter().map(|instance| instance.db_instance_class().unwrap_or_default().to_owned()).collect();
        member.instance_classes.sort();
        Ok(())
    }

    async fn target_arn(&self, operation: &'static str, asked_in: &Region, id: &str, to: &Region) -> Call<String> {
        let found = self.global_cluster(asked_in, id).await?;
        let mut arns = found.global_cluster_members().iter().filter_map(|member| member.db_cluster_arn());
        let target = arns.find(|arn| region_of(arn).as_ref() == Some(to)).map(str::to_owned);
        target.ok_or_else(|| {
            action(operation, asked_in).refuse("DBClusterNotFoundFault", format!("{id} has no cluster in {to}"))
        })
    }
}

/// A global cluster as one Region's API describes it; members without what only their own Region tells.
fn from_aws(found: &aws::GlobalCluster) -> GlobalCluster {
    let version = found.engine_version().unwrap_or_default();
    let members: BTreeMap<Region, ClusterMember> = found
        .global_cluster_members()
        .iter()
        .filter_map(|member| {
            let arn = member.db_cluster_arn()?;
            Some((region_of(arn)?, member_from_aws(member, arn, version)))
        })
        .collect();
    GlobalCluster {
        id: found.global_cluster_identifier().unwrap_or_default().to_owned(),
        moving_to: moving_to(found, &members),
        status: found.status().unwrap_or_default().to_owned(),
        members,
    }
}

fn member_from_aws(member: &aws::GlobalClusterMember, arn: &str, version: &str) -> ClusterMember {
    use aws::GlobalClusterMemberSynchronizationStatus as Status;
    ClusterMember {
        cluster: identifier_of(arn).to_owned(),
        is_writer: member.is_writer().unwrap_or(false),
        // The writer has none, and neither has an API that does not know the word yet.
        in_sync: !matches!(member.synchronization_status(), Some(Status::PendingResync)),
        instances: NOT_TOLD,
        engine_version: version.to_owned(),
        status: String::new(),
        instance_classes: Vec::new(),
    }
}

/// Where a move under way leads: by the failover's own state, else the member that does not write yet.
fn moving_to(found: &aws::GlobalCluster, members: &BTreeMap<Region, ClusterMember>) -> Option<Region> {
    let stated = found.failover_state().and_then(|state| state.to_db_cluster_arn()).and_then(region_of);
    let moving = matches!(found.status(), Some("switching-over" | "failing-over"));
    if found.failover_state().is_some_and(|state| state.status().is_some()) || moving {
        let other = || members.iter().find(|(_, member)| !member.is_writer).map(|(region, _)| region.clone());
        return stated.or_else(other);
    }
    None
}

#[async_trait]
impl AuroraGlobal for Rds {
    async fn describe(&self, asked_in: &Region, global_cluster: &str) -> Call<GlobalCluster> {
        let mut described = from_aws(&self.global_cluster(asked_in, global_cluster).await?);
        if let Some(member) = described.members.get_mut(asked_in) {
            self.add_own_member(asked_in, member).await?;
        }
        Ok(described)
    }

    async fn switchover(&self, asked_in: &Region, global_cluster: &str, to: &Region) -> Call<()> {
        let target = self.target_arn("SwitchoverGlobalCluster", asked_in, global_cluster, to).await?;
        let client = self.client(asked_in, Kind::Action).await;
        let request = client.switchover_global_cluster().global_cluster_identifier(global_cluster);
        let sending = request.target_db_cluster_identifier(target).send();
        self.account.call(action("SwitchoverGlobalCluster", asked_in), sending).await.map(drop)
    }

    async fn failover(&self, asked_in: &Region, global_cluster: &str, to: &Region) -> Call<()> {
        let target = self.target_arn("FailoverGlobalCluster", asked_in, global_cluster, to).await?;
        let client = self.client(asked_in, Kind::Action).await;
        let request = client.failover_global_cluster().global_cluster_identifier(global_cluster);
        let sending = request.target_db_cluster_identifier(target).allow_data_loss(true).send();
        self.account.call(action("FailoverGlobalCluster", asked_in), sending).await.map(drop)
    }

    async fn lost_writes(&self, region: &Region, cluster: &str) -> Call<Vec<String>> {
        let client = self.client(region, Kind::Read).await;
        let mut found = Vec::new();
        let mut marker = None;
        loop {
            let request = client.describe_db_cluster_snapshots().db_cluster_identifier(cluster);
            let sending = request.set_marker(marker.take()).send();
            let page = self.account.call(read("DescribeDBClusterSnapshots", region), sending).await?;
            let names =
                page.db_cluster_snapshots().iter().filter_map(|snapshot| snapshot.db_cluster_snapshot_identifier());
            found.extend(names.filter(|name| name.starts_with(LOST_WRITES)).map(str::to_owned));
            match page.marker() {
                Some(next) if !next.is_empty() => marker = Some(next.to_owned()),
                _ => return Ok(found),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arn(region: &str) -> String {
        format!("arn:aws:rds:{region}:123456789012:cluster:shop-{region}")
    }

    fn cluster() -> aws::builders::GlobalClusterBuilder {
        let member = |region: &str, writer| {
            aws::GlobalClusterMember::builder().db_cluster_arn(arn(region)).is_writer(writer).build()
        };
        aws::GlobalCluster::builder()
            .global_cluster_identifier("shop")
            .engine_version("16.4")
            .status("available")
            .global_cluster_members(member("us-east-1", true))
            .global_cluster_members(member("eu-west-1", false))
    }

    #[test]
    fn members_are_told_apart_by_their_arns() {
        let described = from_aws(&cluster().build());
        assert_eq!(described.writer(), Some(&"us-east-1".into()));
        assert_eq!(described.members[&Region::from("eu-west-1")].cluster, "shop-eu-west-1");
        assert_eq!(described.moving_to, None);
    }

    #[test]
    fn a_move_under_way_is_seen_in_every_form() {
        let stated = aws::FailoverState::builder()
            .status(aws::FailoverStatus::FailingOver)
            .to_db_cluster_arn(arn("eu-west-1"))
            .build();
        let of = |built: aws::builders::GlobalClusterBuilder| from_aws(&built.build()).moving_to;
        assert_eq!(of(cluster().failover_state(stated)), Some("eu-west-1".into()));
        assert_eq!(of(cluster().status("switching-over")), Some("eu-west-1".into()));
        assert_eq!(of(cluster().status("modifying")), None);
    }

    #[test]
    fn a_member_that_is_rebuilt_is_not_in_sync() {
        let status = aws::GlobalClusterMemberSynchronizationStatus::PendingResync;
        let member = aws::GlobalClusterMember::builder().synchronization_status(status).build();
        assert!(!member_from_aws(&member, &arn("eu-west-1"), "16.4").in_sync);
    }
}
