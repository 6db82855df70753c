//! Fences: a writer's security groups are swapped for one that lets nobody in.
//!
//! No RDS call stops writes on a running primary; its network does. The groups it had are remembered on the resource
//! itself, as a tag that is written before the swap and removed after the way back: whoever dies in between, the next
//! one finds either the old groups, or the fence with the tag beside it.

use async_trait::async_trait;
use aws_sdk_rds::types as aws;
use failoverd_domain::ids::Region;
use failoverd_domain::service::{Fence, Store, StoreKind};

use super::{Rds, action, read};
use crate::adapters::aws::account::Ask;
use crate::adapters::aws::budget::Kind;
use crate::ports::{Call, CallError, Fences};

/// Which groups a fenced resource had: ids with spaces between them.
const TAG: &str = "failoverd.dev/security-groups";

/// A cluster or an instance, and its fence.
struct Fenced<'a> {
    region: &'a Region,
    id: &'a str,
    is_cluster: bool,
    group: &'a str,
}

/// The resource as AWS tells of it.
struct Seen {
    arn: String,
    groups: Vec<String>,
}

impl<'a> Fenced<'a> {
    fn of(region: &'a Region, store: &'a Store, fence: &'a Fence) -> Call<Self> {
        let ask = read("DescribeDBClusters", region);
        let refuse = |why: &str| ask.refuse("NotConfigured", format!("{}: {why}", store.name));
        let Fence::SecurityGroup(groups) = fence;
        let group = groups.get(region).ok_or_else(|| refuse("fence.security_group names none for this Region"))?;
        let (resources, is_cluster) = match &store.kind {
            StoreKind::Aurora { clusters, .. } => (clusters, true),
            StoreKind::Rds { instances, .. } => (instances, false),
            _ => return Err(refuse("only a database can be fenced by security group")),
        };
        let id = resources.get(region).ok_or_else(|| refuse("the store has no copy in this Region"))?;
        Ok(Self { region, id, is_cluster, group })
    }

    fn ask_to_modify(&self) -> Ask<'a> {
        action(if self.is_cluster { "ModifyDBCluster" } else { "ModifyDBInstance" }, self.region)
    }
}

fn ids(groups: &[aws::VpcSecurityGroupMembership]) -> Vec<String> {
    groups.iter().filter_map(|group| group.vpc_security_group_id()).map(str::to_owned).collect()
}

impl Seen {
    fn is_fenced_by(&self, group: &str) -> bool {
        !self.groups.is_empty() && self.groups.iter().all(|held| held == group)
    }
}

impl Rds {
    async fn see(&self, fenced: &Fenced<'_>) -> Call<Seen> {
        let gone = |ask: Ask<'_>| -> CallError {
            ask.refuse("NotFound", format!("there is no {} in {}", fenced.id, fenced.region))
        };
        if !fenced.is_cluster {
            let ask = read("DescribeDBInstances", fenced.region);
            let found = self.instance(fenced.region, fenced.id).await?.ok_or_else(|| gone(ask))?;
            let arn = found.db_instance_arn().unwrap_or_default().to_owned();
            return Ok(Seen { arn, groups: ids(found.vpc_security_groups()) });
        }
        let ask = read("DescribeDBClusters", fenced.region);
        let client = self.client(fenced.region, Kind::Read).await;
        let sending = client.describe_db_clusters().db_cluster_identifier(fenced.id).send();
        let page = self.account.call(ask, sending).await?;
        let found = page.db_clusters().first().ok_or_else(|| gone(ask))?;
        Ok(Seen {
            arn: found.db_cluster_arn().unwrap_or_default().to_owned(),
            groups: ids(found.vpc_security_groups()),
        })
    }

    async fn remembered(&self, region: &Region, arn: &str) -> Call<Option<Vec<String>>> {
        let client = self.client(region, Kind::Read).await;
        let sending = client.list_tags_for_resource().resource_name(arn).send();
        let found = self.account.call(read("ListTagsForResource", region), sending).await?;
        let tag = found.tag_list().iter().find(|tag| tag.key() == Some(TAG)).and_then(|tag| tag.value());
        Ok(tag.map(|groups| groups.split_whitespace().map(str::to_owned).collect()))
    }

    async fn remember(&self, region: &Region, arn: &str, groups: &[String]) -> Call<()> {
        let tag = aws::Tag::builder().key(TAG).value(groups.join(" ")).build();
        let client = self.client(region, Kind::Action).await;
        let sending = client.add_tags_to_resource().resource_name(arn).tags(tag).send();
        self.account.call(action("AddTagsToResource", region), sending).await.map(drop)
    }

    async fn forget(&self, region: &Region, arn: &str) -> Call<()> {
        let client = self.client(region, Kind::Action).await;
        let sending = client.remove_tags_from_resource().resource_name(arn).tag_keys(TAG).send();
        self.account.call(action("RemoveTagsFromResource", region), sending).await.map(drop)
    }

    async fn set_groups(&self, fenced: &Fenced<'_>, groups: Vec<String>) -> Call<()> {
        let client = self.client(fenced.region, Kind::Action).await;
        let ask = fenced.ask_to_modify();
        if fenced.is_cluster {
            let request = client.modify_db_cluster().db_cluster_identifier(fenced.id).apply_immediately(true);
            let sending = request.set_vpc_security_group_ids(Some(groups)).send();
            return self.account.call(ask, sending).await.map(drop);
        }
        let request = client.modify_db_instance().db_instance_identifier(fenced.id).apply_immediately(true);
        let sending = request.set_vpc_security_group_ids(Some(groups)).send();
        self.account.call(ask, sending).await.map(drop)
    }
}

#[async_trait]
impl Fences for Rds {
    async fn fence(&self, region: &Region, store: &Store, fence: &Fence) -> Call<()> {
        let fenced = Fenced::of(region, store, fence)?;
        let seen = self.see(&fenced).await?;
        if seen.is_fenced_by(fenced.group) {
            return Ok(());
        }
        self.remember(region, &seen.arn, &seen.groups).await?;
        self.set_groups(&fenced, vec![fenced.group.to_owned()]).await
    }

    async fn is_fenced(&self, region: &Region, store: &Store, fence: &Fence) -> Call<bool> {
        let fenced = Fenced::of(region, store, fence)?;
        Ok(self.see(&fenced).await?.is_fenced_by(fenced.group))
    }

    async fn unfence(&self, region: &Region, store: &Store, fence: &Fence) -> Call<()> {
        let fenced = Fenced::of(region, store, fence)?;
        let seen = self.see(&fenced).await?;
        let remembered = self.remembered(region, &seen.arn).await?;
        if seen.is_fenced_by(fenced.group) {
            let groups = remembered.clone().filter(|groups| !groups.is_empty()).ok_or_else(|| {
                let why = format!(
                    "{} has only the group {} and no tag {TAG} says which it had: set its security groups by hand",
                    fenced.id, fenced.group
                );
                fenced.ask_to_modify().refuse("FenceNotRemembered", why)
            })?;
            self.set_groups(&fenced, groups).await?;
        }
        // The way back is done; a tag that stays would say of the next fence what is no longer so.
        if remembered.is_some() { self.forget(region, &seen.arn).await } else { Ok(()) }
    }
}
