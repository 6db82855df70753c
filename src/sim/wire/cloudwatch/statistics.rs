//! `GetMetricStatistics`: one series, several statistics.

use failoverd_domain::ids::Region;
use serde_json::{Value, json};

use super::asked::{Asked, missing};
use super::data::period_ms;
use super::instant;
use crate::sim::world::{Period, Refusal, World};

const MOST_POINTS: usize = 1_440;

pub(super) fn get(world: &World, region: &Region, asked: Asked<'_>) -> Result<Value, Refusal> {
    let series = asked.series(asked.need("Namespace")?)?;
    let (period_ms, window) = (period_ms(asked)?, asked.window()?);
    let (plain, percentiles) = (asked.texts("Statistics"), asked.texts("ExtendedStatistics"));
    if plain.is_empty() && percentiles.is_empty() {
        return Err(missing("Statistics"));
    }
    if let Some(name) = plain.iter().chain(&percentiles).find(|name| !Period::knows(name)) {
        let message = format!("The value {name} for parameter Statistics is invalid or not simulated.");
        return Err(Refusal::new("InvalidParameterValue", message));
    }
    let unit = world.unit_of(region, &series).unwrap_or("None");
    let fits = asked.text("Unit").is_none_or(|wanted| wanted == unit);
    let periods: Vec<Period> = world.periods(region, &series, period_ms, window).into_iter().filter(|_| fits).collect();
    if periods.len() > MOST_POINTS {
        let message = format!(
            "You have requested up to {} datapoints, which exceeds the limit of {MOST_POINTS}. You may reduce the datapoints requested by increasing Period, or decreasing the time range.",
            periods.len()
        );
        return Err(Refusal::new("InvalidParameterCombination", message));
    }
    let mut points = Vec::new();
    for period in &periods {
        let mut point = json!({ "Timestamp": instant(period.at_ms), "Unit": unit });
        for name in &plain {
            point[name] = json!(period.statistic(name));
        }
        for name in &percentiles {
            point["ExtendedStatistics"][name] = json!(period.statistic(name));
        }
        points.push(point);
    }
    Ok(json!({ "Label": asked.need("MetricName")?, "Datapoints": points }))
}
