//! Alarms over the data points that are here.

use failoverd_domain::ids::Region;
use serde_json::{Value, json};

use super::data::series;
use super::instant;
use crate::sim::world::{ACCOUNT, AlarmRule, Refusal, World};

const MOST: usize = 100;

fn state_text(state: Option<bool>) -> &'static str {
    match state {
        Some(true) => "ALARM",
        Some(false) => "OK",
        None => "INSUFFICIENT_DATA",
    }
}

fn alarm(world: &World, region: &Region, name: &str, rule: Option<&AlarmRule>) -> Value {
    let mut alarm = json!({
        "AlarmName": name,
        "AlarmArn": format!("arn:aws:cloudwatch:{region}:{ACCOUNT}:alarm:{name}"),
        "StateValue": state_text(world.alarm_state(region, name)),
        "StateReason": "simulated",
        "StateUpdatedTimestamp": instant(world.now().0),
        "ActionsEnabled": true,
    });
    if let Some(rule) = rule {
        let dimensions: Vec<Value> =
            rule.series.dimensions.iter().map(|(name, value)| json!({ "Name": name, "Value": value })).collect();
        alarm["Namespace"] = json!(rule.series.namespace);
        alarm["MetricName"] = json!(rule.series.name);
        alarm["Dimensions"] = json!(dimensions);
        alarm["Threshold"] = json!(rule.threshold);
        alarm["ComparisonOperator"] = json!(rule.comparison);
        alarm["Period"] = json!(rule.period_ms / 1_000);
        alarm["EvaluationPeriods"] = json!(rule.periods);
        alarm["TreatMissingData"] = json!(rule.missing);
        alarm["Statistic"] = json!("Maximum");
    }
    alarm
}

pub(super) fn describe(world: &World, region: &Region, asked: &Value) -> Value {
    let names = asked["AlarmNames"].as_array();
    let prefix = asked["AlarmNamePrefix"].as_str().unwrap_or_default();
    let wanted = |name: &str| match names {
        Some(names) if !names.is_empty() => names.iter().any(|wanted| wanted == name),
        _ => name.starts_with(prefix),
    };
    let most = asked["MaxRecords"].as_u64().and_then(|most| usize::try_from(most).ok()).unwrap_or(MOST).clamp(1, MOST);
    let after = asked["NextToken"].as_str().unwrap_or_default();
    let all = world.alarms(region);
    let mut rest = all.iter().filter(|(name, _)| wanted(name) && name.as_str() > after);
    let page: Vec<_> = rest.by_ref().take(most).collect();
    let more = rest.next().is_some();
    let alarms: Vec<Value> = page.iter().map(|(name, rule)| alarm(world, region, name, rule.as_ref())).collect();
    let mut answer = json!({ "MetricAlarms": alarms, "CompositeAlarms": [] });
    if more {
        answer["NextToken"] = json!(page.last().map(|(name, _)| name));
    }
    answer
}

fn need<'a>(asked: &'a Value, field: &str) -> Result<&'a str, Refusal> {
    asked[field].as_str().ok_or_else(|| Refusal::new("ValidationError", format!("The parameter {field} is required.")))
}

pub(super) fn put(world: &mut World, region: &Region, asked: &Value) -> Result<Value, Refusal> {
    let number = |field: &str, default: u64| {
        asked[field]
            .as_u64()
            .or_else(|| {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
                asked[field].as_f64().map(|number| number as u64)
            })
            .unwrap_or(default)
    };
    let rule = AlarmRule {
        series: series(&asked["Namespace"], asked),
        threshold: asked["Threshold"].as_f64().unwrap_or(0.0),
        comparison: need(asked, "ComparisonOperator")?.to_owned(),
        period_ms: number("Period", 60) * 1_000,
        periods: number("EvaluationPeriods", 1),
        missing: asked["TreatMissingData"].as_str().unwrap_or("missing").to_owned(),
    };
    world.put_alarm(region, need(asked, "AlarmName")?, rule);
    Ok(json!({}))
}

pub(super) fn delete(world: &mut World, region: &Region, asked: &Value) -> Value {
    for name in asked["AlarmNames"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        world.delete_alarm(region, name);
    }
    json!({})
}

pub(super) fn set(world: &mut World, region: &Region, asked: &Value) -> Result<Value, Refusal> {
    let state = match need(asked, "StateValue")? {
        "ALARM" => Some(true),
        "OK" => Some(false),
        _ => None,
    };
    world.set_alarm_state(region, need(asked, "AlarmName")?, state)?;
    Ok(json!({}))
}
