//! Which of CloudWatch's series tells a store's lag, and the newest point of each.
//!
//! Who emits: Aurora's and a read replica's lag the Region of the copy that lags, DynamoDB's the Region that sends, S3's
//! the Region of the destination. A dead Region emits nothing.
//! <https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Aurora.AuroraMonitoring.Metrics.html>,
//! <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-metrics.html>,
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/metrics-dimensions.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/repl-metrics.html>

use std::collections::BTreeMap;

use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types as aws;
use failoverd_domain::ids::Region;
use failoverd_domain::service::{Store, StoreKind};
use failoverd_domain::time::Timestamp;

use super::{Cloudwatch, read};
use crate::adapters::aws::budget::Kind;
use crate::adapters::aws::limits::MOST_QUERIES;
use crate::ports::Call;

/// Seconds between two points.
const PERIOD_S: i32 = 60;
/// How far back a newest point is looked for, milliseconds.
const WINDOW_MS: u64 = 15 * 60_000;

/// One series: namespace, metric, dimensions, and what one of its units is in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Series {
    namespace: &'static str,
    metric: &'static str,
    dimensions: Vec<(&'static str, String)>,
    unit_ms: u64,
}

/// A point of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) value_ms: u64,
    pub(super) at: Timestamp,
}

/// The series that tell how far a store's copy in `region` is behind, with the Region that emits each.
pub(super) fn of(store: &Store, region: &Region, rule_id: impl Fn(&str, &str) -> String) -> Vec<(Region, Series)> {
    let series = |namespace, metric, dimensions, unit_ms| Series { namespace, metric, dimensions, unit_ms };
    match &store.kind {
        StoreKind::Aurora { clusters, .. } => {
            let Some(cluster) = clusters.get(region) else { return Vec::new() };
            let from = clusters.keys().filter(|source| *source != region);
            from.map(|source| {
                let dimensions = vec![("DBClusterIdentifier", cluster.clone()), ("SourceRegion", source.to_string())];
                (region.clone(), series("AWS/RDS", "AuroraGlobalDBReplicationLag", dimensions, 1))
            })
            .collect()
        }
        StoreKind::Rds { instances, .. } => {
            let dimensions = |instance: &String| vec![("DBInstanceIdentifier", instance.clone())];
            let replica = instances.get(region);
            let of = |instance| (region.clone(), series("AWS/RDS", "ReplicaLag", dimensions(instance), 1_000));
            replica.map(of).into_iter().collect()
        }
        StoreKind::Dynamodb { table, replicas, .. } => {
            let from = replicas.iter().filter(|source| *source != region);
            from.map(|source| {
                let dimensions = vec![("ReceivingRegion", region.to_string()), ("TableName", table.clone())];
                (source.clone(), series("AWS/DynamoDB", "ReplicationLatency", dimensions, 1))
            })
            .collect()
        }
        StoreKind::S3 { buckets, .. } => {
            let Some(to) = buckets.get(region) else { return Vec::new() };
            let from = buckets.iter().filter(|(source, _)| *source != region);
            from.map(|(_, from)| {
                let dimensions = vec![
                    ("DestinationBucket", to.clone()),
                    ("RuleId", rule_id(from, to)),
                    ("SourceBucket", from.clone()),
                ];
                (region.clone(), series("AWS/S3", "ReplicationLatency", dimensions, 1_000))
            })
            .collect()
        }
    }
}

impl Cloudwatch {
    /// The newest point of each series, as far as there is one.
    pub(super) async fn fetch_figures(&self, region: &Region, asked: Vec<Series>) -> Call<BTreeMap<Series, Point>> {
        let now = self.account.now();
        let mut newest = BTreeMap::new();
        for asked in asked.chunks(MOST_QUERIES) {
            let queries: Vec<aws::MetricDataQuery> =
                asked.iter().enumerate().map(|(n, series)| query(n, series)).collect();
            let client = self.client(region, Kind::Read).await;
            let mut next = None;
            loop {
                let request = client
                    .get_metric_data()
                    .set_metric_data_queries(Some(queries.clone()))
                    .start_time(instant(now.0.saturating_sub(WINDOW_MS)))
                    .end_time(instant(now.0))
                    .scan_by(aws::ScanBy::TimestampDescending)
                    .set_next_token(next.take());
                let page = self.account.call(read("GetMetricData", region), request.send()).await?;
                for result in page.metric_data_results() {
                    let series = result.id().and_then(|id| id.strip_prefix('q')).and_then(|n| n.parse::<usize>().ok());
                    let Some(series) = series.and_then(|n| asked.get(n)) else { continue };
                    take_newest(&mut newest, series, result.timestamps(), result.values());
                }
                match page.next_token() {
                    Some(token) => next = Some(token.to_owned()),
                    None => break,
                }
            }
        }
        Ok(newest)
    }
}

/// Some servers tell the oldest first whatever they are asked: the times decide.
fn take_newest(newest: &mut BTreeMap<Series, Point>, series: &Series, times: &[DateTime], values: &[f64]) {
    for (at, value) in times.iter().zip(values) {
        let at = Timestamp(at.to_millis().ok().and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a lag is small and not negative")]
        let value_ms = (value.max(0.0) * series.unit_ms as f64).round() as u64;
        let point = Point { value_ms, at };
        let held = newest.entry(series.clone()).or_insert(point);
        if held.at < at {
            *held = point;
        }
    }
}

fn query(n: usize, series: &Series) -> aws::MetricDataQuery {
    let dimension = |(name, value): &(&str, String)| aws::Dimension::builder().name(*name).value(value).build();
    let metric = aws::Metric::builder()
        .namespace(series.namespace)
        .metric_name(series.metric)
        .set_dimensions(Some(series.dimensions.iter().map(dimension).collect()))
        .build();
    let stat = aws::MetricStat::builder().metric(metric).period(PERIOD_S).stat("Maximum").build();
    aws::MetricDataQuery::builder().id(format!("q{n}")).metric_stat(stat).return_data(true).build()
}

pub(super) fn instant(ms: u64) -> DateTime {
    DateTime::from_millis(i64::try_from(ms).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_decide_what_is_newest() {
        let series = Series { namespace: "AWS/RDS", metric: "ReplicaLag", dimensions: vec![], unit_ms: 1_000 };
        let times = [1_000, 61_000, 31_000].map(DateTime::from_millis);
        let mut newest = BTreeMap::new();
        take_newest(&mut newest, &series, &times, &[9.0, 1.5, 7.0]);
        assert_eq!(newest[&series], Point { value_ms: 1_500, at: Timestamp(61_000) });
    }
}
