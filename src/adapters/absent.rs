//! Where a build has no adapter: every call is answered with a clear no, and nothing was done.
//!
//! A daemon with these agrees, observes, answers checkers and keeps history. It cannot see a store or a record: it opens
//! no run by itself, and one that a person forces stops at its first step that needs AWS.

use std::sync::Arc;

use async_trait::async_trait;
use failoverd_domain::data::store::{BucketState, DbInstance, GlobalCluster, GlobalTable};
use failoverd_domain::ids::Region;
use failoverd_domain::route53::{Change, HealthCheck, HealthCheckConfig, RecordSet, RecordType};
use failoverd_domain::service::{Fence, NewTable, ProbeSpec, Store};

use crate::ports::{
    Action, AuroraGlobal, Buckets, Call, CallError, Canaries, CanaryAt, DbInstances, Dns, Effect, Fences, Figure,
    GlobalTables, HealthChecks, Identity, Metrics, NotGood, Permissions, Prober, Quota, Records, ReplicationWish,
    Roles, World, ZoneInfo,
};

/// No adapter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Absent;

/// Route 53 has no Region; its control plane lives in this one.
const GLOBAL: &str = "us-east-1";

fn refuse<T>(service: &'static str, operation: &'static str, region: &Region) -> Call<T> {
    Err(CallError {
        service,
        operation,
        region: region.clone(),
        code: "NotConfigured".to_owned(),
        message: format!("this build has no adapter for {service}; runs are refused by guard standby-ready"),
        effect: Effect::None,
    })
}

fn refuse_global<T>(operation: &'static str) -> Call<T> {
    refuse("route53", operation, &GLOBAL.into())
}

#[async_trait]
impl Records for Absent {
    async fn zone(&self, _: &str) -> Call<ZoneInfo> {
        refuse_global("ListHostedZonesByName")
    }

    async fn list(&self, _: &str) -> Call<Vec<RecordSet>> {
        refuse_global("ListResourceRecordSets")
    }

    async fn change(&self, _: &str, _: Vec<Change>) -> Call<String> {
        refuse_global("ChangeResourceRecordSets")
    }

    async fn in_sync(&self, _: &str) -> Call<bool> {
        refuse_global("GetChange")
    }
}

#[async_trait]
impl HealthChecks for Absent {
    async fn list(&self) -> Call<Vec<HealthCheck>> {
        refuse_global("ListHealthChecks")
    }

    async fn create(&self, _: &str, _: HealthCheckConfig) -> Call<HealthCheck> {
        refuse_global("CreateHealthCheck")
    }

    async fn update(&self, _: &HealthCheck, _: HealthCheckConfig) -> Call<HealthCheck> {
        refuse_global("UpdateHealthCheck")
    }

    async fn delete(&self, _: &HealthCheck) -> Call<()> {
        refuse_global("DeleteHealthCheck")
    }

    async fn quota(&self) -> Call<Quota> {
        refuse_global("GetAccountLimit")
    }
}

#[async_trait]
impl AuroraGlobal for Absent {
    async fn describe(&self, asked_in: &Region, _: &str) -> Call<GlobalCluster> {
        refuse("rds", "DescribeGlobalClusters", asked_in)
    }

    async fn switchover(&self, asked_in: &Region, _: &str, _: &Region) -> Call<()> {
        refuse("rds", "SwitchoverGlobalCluster", asked_in)
    }

    async fn failover(&self, asked_in: &Region, _: &str, _: &Region) -> Call<()> {
        refuse("rds", "FailoverGlobalCluster", asked_in)
    }

    async fn lost_writes(&self, region: &Region, _: &str) -> Call<Vec<String>> {
        refuse("rds", "DescribeDBClusterSnapshots", region)
    }
}

#[async_trait]
impl DbInstances for Absent {
    async fn describe(&self, region: &Region, _: &str) -> Call<Option<DbInstance>> {
        refuse("rds", "DescribeDBInstances", region)
    }

    async fn promote(&self, region: &Region, _: &str) -> Call<()> {
        refuse("rds", "PromoteReadReplica", region)
    }

    async fn create_replica(&self, region: &Region, _: &str, _: &DbInstance) -> Call<()> {
        refuse("rds", "CreateDBInstanceReadReplica", region)
    }

    async fn put_aside(&self, region: &Region, _: &str, _: &str) -> Call<()> {
        refuse("rds", "ModifyDBInstance", region)
    }
}

#[async_trait]
impl GlobalTables for Absent {
    async fn describe(&self, asked_in: &Region, _: &str) -> Call<GlobalTable> {
        refuse("dynamodb", "DescribeTable", asked_in)
    }

    async fn add_replica(&self, asked_in: &Region, _: &str, _: &Region) -> Call<()> {
        refuse("dynamodb", "UpdateTable", asked_in)
    }

    async fn create(&self, region: &Region, _: &str, _: &NewTable) -> Call<()> {
        refuse("dynamodb", "CreateTable", region)
    }

    async fn enable_streams(&self, region: &Region, _: &str) -> Call<()> {
        refuse("dynamodb", "UpdateTable", region)
    }

    async fn remove_replica(&self, asked_in: &Region, _: &str, _: &Region) -> Call<()> {
        refuse("dynamodb", "UpdateTable", asked_in)
    }
}

#[async_trait]
impl Buckets for Absent {
    async fn describe(&self, region: &Region, _: &str) -> Call<BucketState> {
        refuse("s3", "GetBucketReplication", region)
    }

    async fn replicate(&self, region: &Region, _: &ReplicationWish<'_>) -> Call<()> {
        refuse("s3", "PutBucketReplication", region)
    }
}

#[async_trait]
impl Canaries for Absent {
    async fn write(&self, at: &CanaryAt<'_>, _: u64) -> Call<()> {
        refuse("canary", "write", at.region)
    }

    async fn read(&self, at: &CanaryAt<'_>) -> Call<Option<u64>> {
        refuse("canary", "read", at.region)
    }
}

#[async_trait]
impl Fences for Absent {
    async fn fence(&self, region: &Region, _: &Store, _: &Fence) -> Call<()> {
        refuse("rds", "ModifyDBCluster", region)
    }

    async fn is_fenced(&self, region: &Region, _: &Store, _: &Fence) -> Call<bool> {
        refuse("rds", "DescribeDBClusters", region)
    }

    async fn unfence(&self, region: &Region, _: &Store, _: &Fence) -> Call<()> {
        refuse("rds", "ModifyDBCluster", region)
    }
}

#[async_trait]
impl Metrics for Absent {
    async fn replication_lag(&self, region: &Region, _: &Store) -> Call<Option<(u64, u64)>> {
        refuse("cloudwatch", "GetMetricData", region)
    }

    async fn alarm(&self, region: &Region, _: &str) -> Call<Option<bool>> {
        refuse("cloudwatch", "DescribeAlarms", region)
    }

    async fn publish(&self, region: &Region, _: &[Figure]) -> Call<()> {
        refuse("cloudwatch", "PutMetricData", region)
    }
}

/// Nothing is reached, as whoever.
impl Roles for Absent {
    fn assuming(&self, _: &str) -> World {
        let absent = Arc::new(Self);
        World {
            records: absent.clone(),
            health_checks: absent.clone(),
            aurora: absent.clone(),
            instances: absent.clone(),
            tables: absent.clone(),
            buckets: absent.clone(),
            canaries: absent.clone(),
            fences: absent.clone(),
            metrics: absent.clone(),
            permissions: absent.clone(),
            roles: absent.clone(),
            dns: absent.clone(),
            prober: absent,
        }
    }
}

#[async_trait]
impl Prober for Absent {
    async fn probe(&self, _: &ProbeSpec, region: &Region) -> Result<String, NotGood> {
        Err(NotGood::Unknown(format!("nothing probes {region}")))
    }

    async fn reference(&self, _: &Region) -> bool {
        false
    }
}

#[async_trait]
impl Permissions for Absent {
    async fn identity(&self) -> Call<Identity> {
        refuse_global("GetCallerIdentity")
    }

    async fn denied(&self, _: &[Action]) -> Call<Vec<(Action, String)>> {
        refuse_global("SimulatePrincipalPolicy")
    }
}

#[async_trait]
impl Dns for Absent {
    async fn ask(&self, name: &str, record_type: RecordType) -> Result<Vec<String>, String> {
        Err(format!("{name} {record_type}: this build does not know the zone's name servers"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_call_is_refused_with_certainty_and_in_words() {
        let refused = AuroraGlobal::failover(&Absent, &"eu-west-1".into(), "orders", &"eu-west-1".into()).await;
        let refused = refused.unwrap_err();
        assert_eq!((refused.code.as_str(), refused.effect), ("NotConfigured", Effect::None));
        assert_eq!(
            refused.to_string(),
            "rds FailoverGlobalCluster in eu-west-1: this build has no adapter for rds; \
             runs are refused by guard standby-ready (NotConfigured)"
        );
        let refused = Dns::ask(&Absent, "api.example.com", RecordType::A).await.unwrap_err();
        assert!(refused.contains("does not know the zone's name servers"), "{refused}");
    }
}
