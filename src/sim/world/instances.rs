//! RDS instances and their cross-Region read replicas. There are none yet: every question is answered so.

use failoverd_domain::data::store::DbInstance;
use failoverd_domain::ids::Region;

use super::World;
use super::refusal::Refusal;

impl World {
    /// `DescribeDBInstances` for one instance.
    #[must_use]
    pub fn instance(&self, _: &Region, _: &str) -> Option<DbInstance> {
        None
    }

    /// `PromoteReadReplica`.
    pub fn promote_instance(&mut self, region: &Region, id: &str) -> Result<(), Refusal> {
        Err(not_found(region, id))
    }

    /// `CreateDBInstanceReadReplica` of an instance in another Region.
    pub fn create_replica(&mut self, region: &Region, _: &str, source_arn: &str) -> Result<(), Refusal> {
        Err(not_found(region, source_arn))
    }

    /// `ModifyDBInstance` with a new identifier.
    pub fn rename_instance(&mut self, region: &Region, id: &str, _: &str) -> Result<(), Refusal> {
        Err(not_found(region, id))
    }
}

fn not_found(region: &Region, id: &str) -> Refusal {
    Refusal::new("DBInstanceNotFound", format!("DBInstance {id} not found in {region}."))
}
