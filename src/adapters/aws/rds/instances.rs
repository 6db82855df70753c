//! RDS instances and their cross-Region read replicas.
//!
//! <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_ReadRepl.XRgn.html>

use async_trait::async_trait;
use aws_sdk_rds::types as aws;
use failoverd_domain::data::store::DbInstance;
use failoverd_domain::ids::Region;

use super::arn::{identifier_of, region_of};
use super::{Rds, action, read};
use crate::adapters::aws::budget::Kind;
use crate::ports::{Call, DbInstances};

impl Rds {
    pub(super) async fn instance(&self, region: &Region, id: &str) -> Call<Option<aws::DbInstance>> {
        let client = self.client(region, Kind::Read).await;
        let sending = client.describe_db_instances().db_instance_identifier(id).send();
        match self.account.call(read("DescribeDBInstances", region), sending).await {
            Ok(page) => Ok(page.db_instances.unwrap_or_default().into_iter().next()),
            Err(error) if error.code == "DBInstanceNotFound" || error.code == "DBInstanceNotFoundFault" => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn from_aws(found: &aws::DbInstance) -> DbInstance {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let broken = found.status_infos().iter().find(|info| {
        info.status_type() == Some("read replication") && !matches!(info.status(), Some("replicating") | None)
    });
    DbInstance {
        id: text(found.db_instance_identifier()),
        arn: text(found.db_instance_arn()),
        status: text(found.db_instance_status()),
        replica_of: found
            .read_replica_source_db_instance_identifier()
            .filter(|source| !source.is_empty())
            .map(str::to_owned),
        replicas: found.read_replica_db_instance_identifiers().to_vec(),
        class: text(found.db_instance_class()),
        engine_version: text(found.engine_version()),
        backup_days: found.backup_retention_period().and_then(|days| u32::try_from(days).ok()).unwrap_or(0),
        replication_problem: broken.map(|info| {
            let message = info.message().filter(|message| !message.is_empty());
            format!(
                "replication {}{}",
                info.status().unwrap_or_default(),
                message.map_or_else(String::new, |why| format!(": {why}"))
            )
        }),
    }
}

#[async_trait]
impl DbInstances for Rds {
    async fn describe(&self, region: &Region, instance: &str) -> Call<Option<DbInstance>> {
        Ok(self.instance(region, instance).await?.as_ref().map(from_aws))
    }

    async fn promote(&self, region: &Region, instance: &str) -> Call<()> {
        let client = self.client(region, Kind::Action).await;
        let sending = client.promote_read_replica().db_instance_identifier(instance).send();
        self.account.call(action("PromoteReadReplica", region), sending).await.map(drop)
    }

    async fn create_replica(&self, region: &Region, instance: &str, source: &DbInstance) -> Call<()> {
        let ask = action("CreateDBInstanceReadReplica", region);
        let Some(from) = region_of(&source.arn) else {
            return Err(ask.refuse("InvalidParameterValue", format!("{:?} is no ARN of an instance", source.arn)));
        };
        let held = self.instance(&from, identifier_of(&source.arn)).await?;
        if held.as_ref().and_then(aws::DbInstance::storage_encrypted) == Some(true) {
            return Err(ask.refuse(
                "KMSKeyNotAccessibleFault",
                format!("{} is encrypted: a replica in {region} needs a KMS key of that Region, and failoverd knows none; make the replica {instance} by hand", source.id),
            ));
        }
        let client = self.client(region, Kind::Action).await;
        let sending = client
            .create_db_instance_read_replica()
            .db_instance_identifier(instance)
            .source_db_instance_identifier(&source.arn)
            .db_instance_class(&source.class)
            .send();
        self.account.call(ask, sending).await.map(drop)
    }

    async fn put_aside(&self, region: &Region, instance: &str, new_name: &str) -> Call<()> {
        let client = self.client(region, Kind::Action).await;
        let request = client.modify_db_instance().db_instance_identifier(instance);
        let sending = request.new_db_instance_identifier(new_name).apply_immediately(true).send();
        self.account.call(action("ModifyDBInstance", region), sending).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_whose_replication_broke_says_so() {
        let info = aws::DbInstanceStatusInfo::builder().status_type("read replication").status("error").message("gap");
        let found = aws::DbInstance::builder()
            .db_instance_identifier("legacy-db-replica")
            .db_instance_status("available")
            .read_replica_source_db_instance_identifier("arn:aws:rds:us-east-1:1:db:legacy-db")
            .backup_retention_period(7)
            .status_infos(info.build())
            .build();
        let replica = from_aws(&found);
        assert!(!replica.is_writer() && replica.is_available() && replica.backup_days == 7);
        assert_eq!(replica.replication_problem.as_deref(), Some("replication error: gap"));
    }

    #[test]
    fn a_promoted_replica_is_a_writer() {
        let found = aws::DbInstance::builder().read_replica_source_db_instance_identifier("").build();
        assert!(from_aws(&found).is_writer());
    }
}
