//! How often AWS lets itself be asked, one place for every figure.
//!
//! Route 53: <https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DNSLimitations.html>. CloudWatch:
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_limits.html>. RDS, DynamoDB's and S3's
//! control planes, STS and IAM state no figure for the calls made here: theirs is ours, chosen to stay out of the way.

use std::time::Duration;

/// Record sets listed a page (AWS: at most 300).
pub(super) const RECORDS_PAGE: i32 = 300;
/// Health checks listed a page (AWS: at most 100).
pub(super) const CHECKS_PAGE: i32 = 100;
/// Queries in one `GetMetricData`.
pub(super) const MOST_QUERIES: usize = 500;
/// Names in one `DescribeAlarms`.
pub(super) const MOST_ALARMS: usize = 100;
/// Data in one `PutMetricData`.
pub(super) const MOST_DATA: usize = 1_000;
/// How old a shared listing may be.
pub(super) const LISTING_AGE: Duration = Duration::from_secs(10);
/// How old a figure of CloudWatch may be that several ask for: its data points are a minute apart.
pub(super) const FIGURE_AGE: Duration = Duration::from_secs(20);

/// A token bucket of AWS's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Limit {
    /// What the bucket counts; calls of one group share it.
    pub(super) group: &'static str,
    /// Tokens when it is full.
    pub(super) burst: f64,
    /// Tokens a second.
    pub(super) refill: f64,
}

const fn limit(group: &'static str, burst: f64, refill: f64) -> Limit {
    Limit { group, burst, refill }
}

/// The bucket that a call takes from.
pub(super) fn limit_of(service: &str, operation: &str) -> Limit {
    match (service, operation) {
        ("route53", "CreateHealthCheck") => limit("CreateHealthCheck", 50.0, 0.5),
        ("route53", "DeleteHealthCheck") => limit("DeleteHealthCheck", 15.0, 3.0),
        ("route53", "GetHealthCheckStatus") => limit("GetHealthCheckStatus", 4.0, 1.0),
        ("route53", _) => limit("other", 50.0, 10.0),
        ("cloudwatch", "GetMetricData") => limit("GetMetricData", 50.0, 50.0),
        ("cloudwatch", "DescribeAlarms") => limit("DescribeAlarms", 9.0, 9.0),
        ("cloudwatch", "PutMetricAlarm") => limit("PutMetricAlarm", 3.0, 3.0),
        ("cloudwatch", "PutMetricData") => limit("PutMetricData", 100.0, 100.0),
        // Items and objects: the tables' and buckets' own capacity is far above one canary a second.
        ("dynamodb", "PutItem" | "GetItem") | ("s3", "PutObject" | "GetObject") => limit("canaries", 1_000.0, 1_000.0),
        _ => limit("other", 40.0, 20.0),
    }
}
