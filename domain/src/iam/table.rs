//! From the calls that adapters make to IAM's actions and the forms of the resources they are about.
//!
//! Actions and resource types are those of AWS's Service Authorization Reference
//! (<https://docs.aws.amazon.com/service-authorization/latest/reference/>). Nothing that deletes data or a replica is
//! here: failoverd never does that by itself.

/// A call that an adapter makes, and what it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// As adapters name the service.
    pub service: &'static str,
    /// As adapters, and AWS, name the call.
    pub operation: &'static str,
    /// What it needs; nothing for a call that nobody can be denied.
    pub needs: &'static [Grant],
}

/// One action on resources of one form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// `rds:FailoverGlobalCluster`.
    pub action: &'static str,
    /// On what.
    pub on: Form,
}

/// The form of what an action is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// Route 53 lists and limits: the API knows no resource.
    Account,
    /// Hosted zones.
    Zone,
    /// Changes; their ids are not known beforehand.
    ZoneChange,
    /// Health checks; their ids are not known beforehand.
    HealthCheck,
    /// Health checks, and the hosted zones that AWS's reference wants beside them.
    Tagged,
    /// CloudWatch's data: the API knows no resource.
    MetricData,
    /// The fleet's own figures; held by a condition on their namespace.
    FleetFigures,
    /// Alarms that are signals.
    Alarm,
    /// Alarms that failoverd makes for switches, in the Region of each daemon.
    SwitchAlarm,
    /// Aurora global clusters.
    GlobalCluster,
    /// Aurora global clusters with their clusters, which a move needs together.
    WholeGlobalCluster,
    /// Aurora clusters.
    Cluster,
    /// The instances of Aurora clusters; the manifest does not name them.
    ClusterInstance,
    /// Snapshots that AWS makes of lost writes.
    ClusterSnapshot,
    /// Aurora clusters that the manifest fences.
    FencedCluster,
    /// RDS instances.
    Instance,
    /// RDS instances that the manifest fences.
    FencedInstance,
    /// RDS instances that are put aside and made anew.
    RebuiltInstance,
    /// Everything that a new replica is made of: instances, and the groups that it is made with. AWS's reference wants a
    /// cluster too: it is called as the instance is, which no cluster can be then.
    ReplicaParts,
    /// DynamoDB tables, in each of their Regions.
    Table,
    /// DynamoDB global tables by the name that the version of 2017 had for them.
    LegacyTable,
    /// DynamoDB tables whose replicas are ensured.
    EnsuredTable,
    /// DynamoDB tables that are made where there is none.
    MadeTable,
    /// The role that DynamoDB replicates with.
    TableReplicationRole,
    /// Tables that hold canaries.
    CanaryTable,
    /// Buckets.
    Bucket,
    /// Canary objects.
    CanaryObject,
    /// Roles that S3 replicates with.
    BucketReplicationRole,
    /// Roles of services, in their accounts.
    ServiceRole,
    /// The role itself.
    OwnRole,
}

impl Form {
    /// Why no resource can be named, where that is so.
    #[must_use]
    pub const fn why_any(self) -> Option<&'static str> {
        match self {
            Self::Account => Some("Route 53 lists and account limits know no resource"),
            Self::MetricData => Some("GetMetricData knows no resource"),
            Self::FleetFigures => {
                Some("PutMetricData knows no resource; the condition holds it to failoverd's namespace")
            }
            _ => None,
        }
    }

    /// The condition that belongs to it: operator, key, value.
    #[must_use]
    pub const fn condition(self) -> Option<(&'static str, &'static str, &'static str)> {
        match self {
            Self::FleetFigures => Some(("StringEquals", "cloudwatch:namespace", "failoverd")),
            Self::BucketReplicationRole => Some(("StringEquals", "iam:PassedToService", "s3.amazonaws.com")),
            Self::TableReplicationRole => {
                Some(("StringEquals", "iam:AWSServiceName", "replication.dynamodb.amazonaws.com"))
            }
            _ => None,
        }
    }
}

const fn grant(action: &'static str, on: Form) -> Grant {
    Grant { action, on }
}

const fn call(service: &'static str, operation: &'static str, needs: &'static [Grant]) -> Operation {
    Operation { service, operation, needs }
}

/// Every call of the adapters.
pub const OPERATIONS: &[Operation] = &[
    call("route53", "ListHostedZonesByName", &[grant("route53:ListHostedZonesByName", Form::Account)]),
    call("route53", "GetHostedZoneLimit", &[grant("route53:GetHostedZoneLimit", Form::Zone)]),
    call("route53", "ListResourceRecordSets", &[grant("route53:ListResourceRecordSets", Form::Zone)]),
    call("route53", "ChangeResourceRecordSets", &[grant("route53:ChangeResourceRecordSets", Form::Zone)]),
    call("route53", "GetChange", &[grant("route53:GetChange", Form::ZoneChange)]),
    call("route53", "ListHealthChecks", &[grant("route53:ListHealthChecks", Form::Account)]),
    call("route53", "GetAccountLimit", &[grant("route53:GetAccountLimit", Form::Account)]),
    call("route53", "CreateHealthCheck", &[grant("route53:CreateHealthCheck", Form::Account)]),
    call("route53", "UpdateHealthCheck", &[grant("route53:UpdateHealthCheck", Form::HealthCheck)]),
    call("route53", "DeleteHealthCheck", &[grant("route53:DeleteHealthCheck", Form::HealthCheck)]),
    call("route53", "ChangeTagsForResource", &[grant("route53:ChangeTagsForResource", Form::Tagged)]),
    call("rds", "DescribeGlobalClusters", &[grant("rds:DescribeGlobalClusters", Form::GlobalCluster)]),
    call("rds", "DescribeDBClusters", &[grant("rds:DescribeDBClusters", Form::Cluster)]),
    call(
        "rds",
        "DescribeDBInstances",
        &[grant("rds:DescribeDBInstances", Form::ClusterInstance), grant("rds:DescribeDBInstances", Form::Instance)],
    ),
    call("rds", "SwitchoverGlobalCluster", &[grant("rds:SwitchoverGlobalCluster", Form::WholeGlobalCluster)]),
    call("rds", "FailoverGlobalCluster", &[grant("rds:FailoverGlobalCluster", Form::WholeGlobalCluster)]),
    call(
        "rds",
        "DescribeDBClusterSnapshots",
        &[
            grant("rds:DescribeDBClusterSnapshots", Form::Cluster),
            grant("rds:DescribeDBClusterSnapshots", Form::ClusterSnapshot),
        ],
    ),
    call("rds", "ModifyDBCluster", &[grant("rds:ModifyDBCluster", Form::FencedCluster)]),
    call(
        "rds",
        "ModifyDBInstance",
        &[grant("rds:ModifyDBInstance", Form::FencedInstance), grant("rds:ModifyDBInstance", Form::RebuiltInstance)],
    ),
    call(
        "rds",
        "ListTagsForResource",
        &[
            grant("rds:ListTagsForResource", Form::FencedCluster),
            grant("rds:ListTagsForResource", Form::FencedInstance),
        ],
    ),
    call(
        "rds",
        "AddTagsToResource",
        &[grant("rds:AddTagsToResource", Form::FencedCluster), grant("rds:AddTagsToResource", Form::FencedInstance)],
    ),
    call(
        "rds",
        "RemoveTagsFromResource",
        &[
            grant("rds:RemoveTagsFromResource", Form::FencedCluster),
            grant("rds:RemoveTagsFromResource", Form::FencedInstance),
        ],
    ),
    call("rds", "PromoteReadReplica", &[grant("rds:PromoteReadReplica", Form::Instance)]),
    call("rds", "CreateDBInstanceReadReplica", &[grant("rds:CreateDBInstanceReadReplica", Form::ReplicaParts)]),
    call(
        "dynamodb",
        "DescribeTable",
        &[grant("dynamodb:DescribeTable", Form::Table), grant("dynamodb:DescribeTable", Form::CanaryTable)],
    ),
    call("dynamodb", "DescribeGlobalTable", &[grant("dynamodb:DescribeGlobalTable", Form::LegacyTable)]),
    call("dynamodb", "CreateTable", &[grant("dynamodb:CreateTable", Form::MadeTable)]),
    // What a new replica needs besides UpdateTable, in its own Region and in those that there are:
    // https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/V2gt_IAM.html
    call(
        "dynamodb",
        "UpdateTable",
        &[
            grant("dynamodb:UpdateTable", Form::EnsuredTable),
            grant("dynamodb:CreateTable", Form::EnsuredTable),
            grant("dynamodb:CreateTableReplica", Form::EnsuredTable),
            grant("dynamodb:Query", Form::EnsuredTable),
            grant("dynamodb:Scan", Form::EnsuredTable),
            grant("dynamodb:GetItem", Form::EnsuredTable),
            grant("dynamodb:PutItem", Form::EnsuredTable),
            grant("dynamodb:UpdateItem", Form::EnsuredTable),
            grant("dynamodb:DeleteItem", Form::EnsuredTable),
            grant("dynamodb:BatchWriteItem", Form::EnsuredTable),
            grant("iam:CreateServiceLinkedRole", Form::TableReplicationRole),
        ],
    ),
    call("dynamodb", "PutItem", &[grant("dynamodb:PutItem", Form::CanaryTable)]),
    call("dynamodb", "GetItem", &[grant("dynamodb:GetItem", Form::CanaryTable)]),
    call("s3", "GetBucketVersioning", &[grant("s3:GetBucketVersioning", Form::Bucket)]),
    call("s3", "GetBucketReplication", &[grant("s3:GetReplicationConfiguration", Form::Bucket)]),
    call(
        "s3",
        "PutBucketReplication",
        &[grant("s3:PutReplicationConfiguration", Form::Bucket), grant("iam:PassRole", Form::BucketReplicationRole)],
    ),
    call("s3", "ListObjectsV2", &[grant("s3:ListBucket", Form::Bucket)]),
    call("s3", "GetObject", &[grant("s3:GetObject", Form::CanaryObject)]),
    call("s3", "PutObject", &[grant("s3:PutObject", Form::CanaryObject)]),
    call("cloudwatch", "GetMetricData", &[grant("cloudwatch:GetMetricData", Form::MetricData)]),
    call(
        "cloudwatch",
        "DescribeAlarms",
        &[grant("cloudwatch:DescribeAlarms", Form::Alarm), grant("cloudwatch:DescribeAlarms", Form::SwitchAlarm)],
    ),
    call("cloudwatch", "PutMetricAlarm", &[grant("cloudwatch:PutMetricAlarm", Form::SwitchAlarm)]),
    call("cloudwatch", "PutMetricData", &[grant("cloudwatch:PutMetricData", Form::FleetFigures)]),
    // Nobody can be denied this one.
    call("sts", "GetCallerIdentity", &[]),
    call("sts", "AssumeRole", &[grant("sts:AssumeRole", Form::ServiceRole)]),
    call("iam", "GetRole", &[grant("iam:GetRole", Form::OwnRole)]),
    call("iam", "SimulatePrincipalPolicy", &[grant("iam:SimulatePrincipalPolicy", Form::OwnRole)]),
];
