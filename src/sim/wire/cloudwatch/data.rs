//! Data points: those that services emit, and what strangers put.

use failoverd_domain::ids::Region;
use serde_json::{Value, json};

use super::instant;
use crate::sim::world::{Refusal, Series, World};

const MOST_QUERIES: usize = 500;

/// Namespace, name and dimensions of a metric.
pub(super) fn series(namespace: &Value, metric: &Value) -> Series {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let dimensions = metric["Dimensions"].as_array().into_iter().flatten();
    let mut dimensions: Vec<(String, String)> =
        dimensions.map(|dimension| (text(&dimension["Name"]), text(&dimension["Value"]))).collect();
    dimensions.sort();
    Series { namespace: text(namespace), name: text(&metric["MetricName"]), dimensions }
}

/// Seconds, as a number or as text.
fn seconds(value: &Value) -> Option<f64> {
    let parsed = |text: &str| chrono::DateTime::parse_from_rfc3339(text).ok();
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of this century fit")]
    value.as_f64().or_else(|| value.as_str().and_then(parsed).map(|at| at.timestamp_millis() as f64 / 1_000.0))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an instant is not negative")]
fn milliseconds(value: &Value) -> Option<u64> {
    seconds(value).map(|seconds| (seconds.max(0.0) * 1_000.0) as u64)
}

pub(super) fn get(world: &World, region: &Region, asked: &Value) -> Result<Value, Refusal> {
    let queries = asked["MetricDataQueries"].as_array().cloned().unwrap_or_default();
    if queries.len() > MOST_QUERIES {
        let message = format!("The collection MetricDataQueries must not have a size greater than {MOST_QUERIES}.");
        return Err(Refusal::new("ValidationError", message));
    }
    let from = milliseconds(&asked["StartTime"]).unwrap_or(0);
    let to = milliseconds(&asked["EndTime"]).unwrap_or(u64::MAX);
    let ascending = asked["ScanBy"] == "TimestampAscending";
    let results: Vec<Value> = queries
        .iter()
        .map(|query| {
            let metric = &query["MetricStat"]["Metric"];
            let mut points = world.data_points(region, &series(&metric["Namespace"], metric));
            points.retain(|(at, _)| (from..=to).contains(at));
            points.sort_by_key(|(at, _)| *at);
            if !ascending {
                points.reverse();
            }
            let name = metric["MetricName"].as_str().unwrap_or_default();
            json!({
                "Id": query["Id"],
                "Label": query["Label"].as_str().unwrap_or(name),
                "StatusCode": "Complete",
                "Timestamps": points.iter().map(|(at, _)| instant(*at)).collect::<Vec<_>>(),
                "Values": points.iter().map(|(_, value)| *value).collect::<Vec<f64>>(),
            })
        })
        .collect();
    Ok(json!({ "MetricDataResults": results, "Messages": [] }))
}

pub(super) fn put(world: &mut World, region: &Region, asked: &Value) -> Result<Value, Refusal> {
    let namespace = &asked["Namespace"];
    for datum in asked["MetricData"].as_array().into_iter().flatten() {
        let value = datum["Value"].as_f64().ok_or_else(|| {
            Refusal::new("InvalidParameterValue", "A datum needs a Value; statistic sets are not simulated.")
        })?;
        let at = milliseconds(&datum["Timestamp"]).unwrap_or(world.now().0);
        world.put_data_point(region, series(namespace, datum), at, value);
    }
    Ok(json!({}))
}

pub(super) fn list(world: &World, region: &Region, asked: &Value) -> Value {
    let fits = |series: &Series| {
        let same = |field: &str, held: &str| asked[field].as_str().is_none_or(|wanted| wanted == held);
        same("Namespace", &series.namespace) && same("MetricName", &series.name)
    };
    let metrics: Vec<Value> = world
        .all_series(region)
        .into_iter()
        .filter(fits)
        .map(|series| {
            let dimensions: Vec<Value> =
                series.dimensions.iter().map(|(name, value)| json!({ "Name": name, "Value": value })).collect();
            json!({ "Namespace": series.namespace, "MetricName": series.name, "Dimensions": dimensions })
        })
        .collect();
    json!({ "Metrics": metrics })
}
