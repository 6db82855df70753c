//! Every operation that the adapters call, the actions that IAM knows it by, and on what.
//!
//! Actions, resources and conditions: the Service Authorization Reference,
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html>

/// An operation of an AWS API, and what it takes to be allowed to call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// As the adapters name it.
    pub name: &'static str,
    /// Actions, each on its kind of resource.
    pub actions: &'static [(&'static str, Resource)],
}

/// What an action is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// IAM knows no resource for it: `*`.
    Any,
    /// The services' hosted zones.
    Zone,
    /// Changes of record sets: their ids are nobody's to choose.
    Change,
    /// Health checks: their ids are nobody's to choose.
    HealthCheck,
    /// Aurora global clusters.
    GlobalCluster,
    /// Member clusters.
    Cluster,
    /// Snapshots that AWS makes of what an unplanned failover lost.
    ClusterSnapshot,
    /// Instances with cross-Region replicas, those put aside among them.
    Instance,
    /// Instances of member clusters: their names are the owner's, and not in the manifest.
    AnyInstance,
    /// Tables, in every Region of theirs.
    Table,
    /// Global tables of 2017 of the same name.
    LegacyTable,
    /// Canary tables.
    CanaryTable,
    /// Buckets.
    Bucket,
    /// Canary objects.
    CanaryObject,
    /// Metrics under the namespace `failoverd`.
    OwnMetrics,
    /// The role that S3 assumes to replicate.
    ReplicationRole,
    /// Roles of services in other accounts.
    ServiceRole,
    /// The daemon's own role.
    OwnRole,
    /// The service-linked role of DynamoDB's replication.
    DynamodbRole,
}

use Resource as On;

const fn plain(name: &'static str, actions: &'static [(&'static str, Resource)]) -> Operation {
    Operation { name, actions }
}

/// Every operation that the adapters call.
pub const OPERATIONS: &[Operation] = &[
    plain("ListHostedZonesByName", &[("route53:ListHostedZonesByName", On::Any)]),
    plain("GetHostedZoneLimit", &[("route53:GetHostedZoneLimit", On::Zone)]),
    plain("ListResourceRecordSets", &[("route53:ListResourceRecordSets", On::Zone)]),
    plain("ChangeResourceRecordSets", &[("route53:ChangeResourceRecordSets", On::Zone)]),
    plain("GetChange", &[("route53:GetChange", On::Change)]),
    plain("ListHealthChecks", &[("route53:ListHealthChecks", On::Any)]),
    plain("GetAccountLimit", &[("route53:GetAccountLimit", On::Any)]),
    plain("CreateHealthCheck", &[("route53:CreateHealthCheck", On::Any)]),
    plain("UpdateHealthCheck", &[("route53:UpdateHealthCheck", On::HealthCheck)]),
    plain("DeleteHealthCheck", &[("route53:DeleteHealthCheck", On::HealthCheck)]),
    plain("ChangeTagsForResource", &[("route53:ChangeTagsForResource", On::HealthCheck)]),
    plain("DescribeGlobalClusters", &[("rds:DescribeGlobalClusters", On::GlobalCluster)]),
    plain(
        "SwitchoverGlobalCluster",
        &[("rds:SwitchoverGlobalCluster", On::GlobalCluster), ("rds:SwitchoverGlobalCluster", On::Cluster)],
    ),
    plain(
        "FailoverGlobalCluster",
        &[("rds:FailoverGlobalCluster", On::GlobalCluster), ("rds:FailoverGlobalCluster", On::Cluster)],
    ),
    plain("DescribeDBClusters", &[("rds:DescribeDBClusters", On::Cluster)]),
    plain("ModifyDBCluster", &[("rds:ModifyDBCluster", On::Cluster)]),
    plain(
        "DescribeDBClusterSnapshots",
        &[("rds:DescribeDBClusterSnapshots", On::ClusterSnapshot), ("rds:DescribeDBClusterSnapshots", On::Cluster)],
    ),
    plain("DescribeDBInstances", &[("rds:DescribeDBInstances", On::AnyInstance)]),
    plain("ModifyDBInstance", &[("rds:ModifyDBInstance", On::Instance)]),
    plain("PromoteReadReplica", &[("rds:PromoteReadReplica", On::Instance)]),
    plain("CreateDBInstanceReadReplica", &[("rds:CreateDBInstanceReadReplica", On::Instance)]),
    plain(
        "ListTagsForResource",
        &[("rds:ListTagsForResource", On::Cluster), ("rds:ListTagsForResource", On::Instance)],
    ),
    plain("AddTagsToResource", &[("rds:AddTagsToResource", On::Cluster), ("rds:AddTagsToResource", On::Instance)]),
    plain(
        "RemoveTagsFromResource",
        &[("rds:RemoveTagsFromResource", On::Cluster), ("rds:RemoveTagsFromResource", On::Instance)],
    ),
    plain("DescribeTable", &[("dynamodb:DescribeTable", On::Table), ("dynamodb:DescribeTable", On::CanaryTable)]),
    plain("DescribeGlobalTable", &[("dynamodb:DescribeGlobalTable", On::LegacyTable)]),
    plain("CreateTable", &[("dynamodb:CreateTable", On::Table)]),
    plain(
        "UpdateTable",
        // A replica is made and filled with the caller's own rights: "Using IAM with global tables".
        &[
            ("dynamodb:UpdateTable", On::Table),
            ("dynamodb:CreateTable", On::Table),
            ("dynamodb:CreateTableReplica", On::Table),
            ("dynamodb:Query", On::Table),
            ("dynamodb:Scan", On::Table),
            ("dynamodb:UpdateItem", On::Table),
            ("dynamodb:PutItem", On::Table),
            ("dynamodb:GetItem", On::Table),
            ("dynamodb:DeleteItem", On::Table),
            ("dynamodb:BatchWriteItem", On::Table),
            ("iam:CreateServiceLinkedRole", On::DynamodbRole),
        ],
    ),
    plain("PutItem", &[("dynamodb:PutItem", On::CanaryTable)]),
    plain("GetItem", &[("dynamodb:GetItem", On::CanaryTable)]),
    plain("GetBucketVersioning", &[("s3:GetBucketVersioning", On::Bucket)]),
    plain("GetBucketReplication", &[("s3:GetReplicationConfiguration", On::Bucket)]),
    plain(
        "PutBucketReplication",
        &[("s3:PutReplicationConfiguration", On::Bucket), ("iam:PassRole", On::ReplicationRole)],
    ),
    plain("ListObjectsV2", &[("s3:ListBucket", On::Bucket)]),
    plain("PutObject", &[("s3:PutObject", On::CanaryObject)]),
    plain("GetObject", &[("s3:GetObject", On::CanaryObject)]),
    plain("GetMetricData", &[("cloudwatch:GetMetricData", On::Any)]),
    plain("DescribeAlarms", &[("cloudwatch:DescribeAlarms", On::Any)]),
    plain("PutMetricData", &[("cloudwatch:PutMetricData", On::OwnMetrics)]),
    plain("GetCallerIdentity", &[]),
    plain("AssumeRole", &[("sts:AssumeRole", On::ServiceRole)]),
    plain("GetRole", &[("iam:GetRole", On::OwnRole)]),
    plain("SimulatePrincipalPolicy", &[("iam:SimulatePrincipalPolicy", On::OwnRole)]),
];
