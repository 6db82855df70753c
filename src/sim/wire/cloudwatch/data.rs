//! Data points: those that services emit, and what strangers put.

use failoverd_domain::ids::Region;
use serde_json::{Value, json};

use super::asked::{Asked, bad_value, missing, refuse};
use super::{instant, page};
use crate::sim::world::{Period, Refusal, Series, StatisticSet, World};

const MOST_QUERIES: usize = 500;
const MOST_DATA: usize = 1_000;
const MOST_POINTS: usize = 100_800;
const MOST_METRICS: usize = 500;
/// How old a point may be, and how far ahead, milliseconds.
const MOST_OLD_MS: u64 = 14 * 24 * 3_600_000;
const MOST_AHEAD_MS: u64 = 2 * 3_600_000;

/// Seconds of a period: 1, 5, 10, 20, 30, or whole minutes.
pub(super) fn period_ms(asked: Asked<'_>) -> Result<u64, Refusal> {
    let period_s = asked.need_whole("Period")?;
    if [1, 5, 10, 20, 30].contains(&period_s) || (period_s > 0 && period_s % 60 == 0) {
        return Ok(period_s * 1_000);
    }
    Err(refuse(format!("The parameter Period is {period_s}: it must be 1, 5, 10, 20, 30 or a multiple of 60.")))
}

/// One series that is asked for, with its points.
struct Answered<'a> {
    id: &'a str,
    label: &'a str,
    points: Vec<(u64, f64)>,
}

fn answered<'a>(
    world: &World,
    region: &Region,
    query: Asked<'a>,
    window: (u64, u64),
    ascending: bool,
) -> Result<Answered<'a>, Refusal> {
    if !query.is_given("MetricStat") {
        return Err(refuse("Expressions are not simulated: each query needs a MetricStat."));
    }
    let stat = query.part("MetricStat");
    let metric = stat.part("Metric");
    let series = metric.series(metric.need("Namespace")?)?;
    let (period_ms, statistic) = (period_ms(stat)?, stat.need("Stat")?);
    if !Period::knows(statistic) {
        return Err(refuse(format!("Stat {statistic} is not simulated.")));
    }
    let fits = stat.text("Unit").is_none_or(|unit| unit == world.unit_of(region, &series).unwrap_or("None"));
    let periods = world.periods(region, &series, period_ms, window).into_iter().filter(|_| fits);
    let mut points: Vec<(u64, f64)> =
        periods.filter_map(|period| Some((period.at_ms, period.statistic(statistic)?))).collect();
    if !ascending {
        points.reverse();
    }
    Ok(Answered { id: query.need("Id")?, label: query.text("Label").unwrap_or(metric.need("MetricName")?), points })
}

/// An id starts with a small letter and is there once.
fn check_ids(queries: &[Asked<'_>]) -> Result<(), Refusal> {
    for (n, query) in queries.iter().enumerate() {
        let id = query.need("Id")?;
        if !id.starts_with(|letter: char| letter.is_ascii_lowercase()) {
            return Err(refuse(format!(
                "The value {id} for parameter MetricDataQueries.member.{}.Id is not matching the expected pattern ^[a-z][a-zA-Z0-9_]*$.",
                n + 1
            )));
        }
        if queries[..n].iter().any(|other| other.text("Id") == Some(id)) {
            return Err(refuse(format!("Duplicate ID {id} in MetricDataQueries.")));
        }
    }
    Ok(())
}

pub(super) fn get(world: &World, region: &Region, asked: Asked<'_>) -> Result<Value, Refusal> {
    let queries: Vec<Asked<'_>> = asked.list("MetricDataQueries").collect();
    if queries.len() > MOST_QUERIES {
        let message = format!("The collection MetricDataQueries must not have a size greater than {MOST_QUERIES}.");
        return Err(refuse(message));
    }
    if queries.is_empty() {
        return Err(missing("MetricDataQueries"));
    }
    check_ids(&queries)?;
    let window = asked.window()?;
    let ascending = match asked.text("ScanBy") {
        None | Some("TimestampDescending") => false,
        Some("TimestampAscending") => true,
        Some(other) => {
            return Err(refuse(format!("ScanBy {other} is neither TimestampDescending nor TimestampAscending.")));
        }
    };
    let most = asked.whole("MaxDatapoints").and_then(|most| usize::try_from(most).ok()).unwrap_or(MOST_POINTS);
    let shown = queries.iter().filter(|query| query.flag("ReturnData") != Some(false));
    let all: Result<Vec<Answered<'_>>, Refusal> =
        shown.map(|query| answered(world, region, *query, window, ascending)).collect();
    let all = all?;
    // A page is cut through all points, one series after the other.
    let places: Vec<(usize, usize)> =
        all.iter().enumerate().flat_map(|(n, one)| (0..one.points.len()).map(move |at| (n, at))).collect();
    let (places, next) = page(&places, asked.text("NextToken"), most.clamp(1, MOST_POINTS))?;
    let is_first = asked.text("NextToken").is_none();
    let results: Vec<Value> = all
        .iter()
        .enumerate()
        .filter_map(|(n, one)| {
            let here: Vec<usize> = places.iter().filter(|(series, _)| *series == n).map(|(_, at)| *at).collect();
            let is_whole = one.points.is_empty() || here.last().is_some_and(|last| last + 1 == one.points.len());
            // What is empty belongs to the first page.
            let is_here = !here.is_empty() || (one.points.is_empty() && is_first);
            is_here.then(|| result(one, &here, is_whole))
        })
        .collect();
    let mut answer = json!({ "MetricDataResults": results, "Messages": [] });
    if let Some(next) = next {
        answer["NextToken"] = json!(next);
    }
    Ok(answer)
}

fn result(one: &Answered<'_>, here: &[usize], is_whole: bool) -> Value {
    let points = || here.iter().filter_map(|at| one.points.get(*at));
    json!({
        "Id": one.id,
        "Label": one.label,
        "StatusCode": if is_whole { "Complete" } else { "PartialData" },
        "Timestamps": points().map(|(at, _)| instant(*at)).collect::<Vec<_>>(),
        "Values": points().map(|(_, value)| *value).collect::<Vec<f64>>(),
    })
}

/// A datum is one value, several with their counts, or a set of statistics.
fn values(datum: Asked<'_>) -> Result<StatisticSet, Refusal> {
    let (given, counts) = (datum.numbers("Values"), datum.numbers("Counts"));
    let statistics = datum.part("StatisticValues");
    match datum.number("Value") {
        Some(value) if given.is_empty() && statistics.0.is_null() => Ok(StatisticSet::of(value)),
        Some(_) => {
            let message = "The parameters Value, Values and StatisticValues are mutually exclusive.";
            Err(Refusal::new("InvalidParameterCombination", message))
        }
        None if !given.is_empty() => {
            if !counts.is_empty() && counts.len() != given.len() {
                return Err(bad_value("The parameters Values and Counts must have the same size."));
            }
            let counted = given.iter().enumerate().map(|(n, value)| {
                let count = counts.get(n).copied().unwrap_or(1.0);
                StatisticSet { count, sum: value * count, minimum: *value, maximum: *value }
            });
            counted.reduce(StatisticSet::and).ok_or_else(|| missing("Values"))
        }
        None if !statistics.0.is_null() => {
            let of = |field: &str| statistics.number(field).ok_or_else(|| missing(field));
            Ok(StatisticSet {
                count: of("SampleCount")?,
                sum: of("Sum")?,
                minimum: of("Minimum")?,
                maximum: of("Maximum")?,
            })
        }
        None => Err(missing("MetricData.member.1.Value")),
    }
}

/// All of it or nothing.
pub(super) fn put(world: &mut World, region: &Region, asked: Asked<'_>) -> Result<Value, Refusal> {
    let namespace = asked.need("Namespace")?;
    if namespace.starts_with("AWS/") {
        return Err(bad_value(format!("The value {namespace} for parameter Namespace is invalid: AWS/ is AWS's own.")));
    }
    let now_ms = world.now().0;
    let mut data = Vec::new();
    for datum in asked.list("MetricData") {
        let at_ms = datum.instant("Timestamp").unwrap_or(now_ms);
        if at_ms + MOST_OLD_MS < now_ms || at_ms > now_ms + MOST_AHEAD_MS {
            let message = "The parameter MetricData.member.1.Timestamp must specify a time within the past two weeks and the next two hours.";
            return Err(bad_value(message));
        }
        data.push((datum.series(namespace)?, at_ms, values(datum)?, datum.text("Unit").map(str::to_owned)));
    }
    if data.is_empty() {
        return Err(missing("MetricData"));
    }
    if data.len() > MOST_DATA {
        return Err(bad_value(format!("The collection MetricData must not have a size greater than {MOST_DATA}.")));
    }
    for (series, at_ms, values, unit) in data {
        world.put_data_point(region, series, at_ms, values, unit.as_deref());
    }
    Ok(json!({}))
}

pub(super) fn dimensions(series: &Series) -> Vec<Value> {
    series.dimensions.iter().map(|(name, value)| json!({ "Name": name, "Value": value })).collect()
}

pub(super) fn list(world: &World, region: &Region, asked: Asked<'_>) -> Result<Value, Refusal> {
    let same = |field: &str, held: &str| asked.text(field).is_none_or(|wanted| wanted == held);
    let has = |series: &Series, wanted: Asked<'_>| {
        let fits = |(name, value): &(String, String)| {
            wanted.text("Name") == Some(name) && wanted.text("Value").is_none_or(|wanted| wanted == value)
        };
        series.dimensions.iter().any(fits)
    };
    let fits = |series: &&Series| {
        same("Namespace", &series.namespace)
            && same("MetricName", &series.name)
            && asked.list("Dimensions").all(|wanted| has(series, wanted))
    };
    let all: Vec<&Series> = world.all_series(region).filter(fits).collect();
    let (page, next) = page(&all, asked.text("NextToken"), MOST_METRICS)?;
    let metric = |series: &&Series| json!({ "Namespace": series.namespace, "MetricName": series.name, "Dimensions": dimensions(series) });
    let mut answer = json!({ "Metrics": page.iter().map(metric).collect::<Vec<_>>() });
    if let Some(next) = next {
        answer["NextToken"] = json!(next);
    }
    Ok(answer)
}
