//! Alarms over the data points that are here.

use failoverd_domain::ids::Region;
use serde_json::{Value, json};

use super::asked::{Asked, missing, refuse};
use super::data::{dimensions, period_ms};
use super::{instant, page};
use crate::sim::world::{ACCOUNT, AlarmActions, AlarmRule, AlarmView, Period, Refusal, World};

const MOST: u64 = 100;
const COMPARISONS: [&str; 4] =
    ["GreaterThanThreshold", "GreaterThanOrEqualToThreshold", "LessThanThreshold", "LessThanOrEqualToThreshold"];
const STATISTICS: [&str; 5] = ["Average", "Maximum", "Minimum", "SampleCount", "Sum"];
const MISSING: [&str; 4] = ["breaching", "notBreaching", "ignore", "missing"];
/// How far an alarm may look back.
const MOST_BACK_MS: u64 = 7 * 24 * 3_600_000;

fn state_text(state: Option<bool>) -> &'static str {
    match state {
        Some(true) => "ALARM",
        Some(false) => "OK",
        None => "INSUFFICIENT_DATA",
    }
}

fn state_of(text: &str) -> Result<Option<bool>, Refusal> {
    match text {
        "ALARM" => Ok(Some(true)),
        "OK" => Ok(Some(false)),
        "INSUFFICIENT_DATA" => Ok(None),
        other => Err(refuse(format!("StateValue {other} is none of OK, ALARM and INSUFFICIENT_DATA."))),
    }
}

fn described(region: &Region, view: &AlarmView) -> Value {
    let mut alarm = json!({
        "AlarmName": view.name,
        "AlarmArn": format!("arn:aws:cloudwatch:{region}:{ACCOUNT}:alarm:{}", view.name),
        "StateValue": state_text(view.state),
        "StateReason": view.reason,
        "StateUpdatedTimestamp": instant(view.since_ms),
        "StateTransitionedTimestamp": instant(view.since_ms),
    });
    let Some(rule) = &view.rule else { return alarm };
    alarm["Namespace"] = json!(rule.series.namespace);
    alarm["MetricName"] = json!(rule.series.name);
    alarm["Dimensions"] = json!(dimensions(&rule.series));
    alarm["Threshold"] = json!(rule.threshold);
    alarm["ComparisonOperator"] = json!(rule.comparison);
    alarm["Period"] = json!(rule.period_ms / 1_000);
    alarm["EvaluationPeriods"] = json!(rule.periods);
    alarm["DatapointsToAlarm"] = json!(rule.breaching);
    alarm["TreatMissingData"] = json!(rule.missing);
    alarm["ActionsEnabled"] = json!(rule.actions.enabled);
    alarm["AlarmActions"] = json!(rule.actions.alarm);
    alarm["OKActions"] = json!(rule.actions.ok);
    alarm["InsufficientDataActions"] = json!(rule.actions.insufficient);
    let field = if STATISTICS.contains(&rule.statistic.as_str()) { "Statistic" } else { "ExtendedStatistic" };
    alarm[field] = json!(rule.statistic);
    if let Some(description) = &rule.description {
        alarm["AlarmDescription"] = json!(description);
    }
    alarm
}

pub(super) fn describe(world: &World, region: &Region, asked: Asked<'_>) -> Result<Value, Refusal> {
    let (names, prefix) = (asked.texts("AlarmNames"), asked.text("AlarmNamePrefix"));
    if !names.is_empty() && prefix.is_some() {
        return Err(Refusal::new("InvalidParameterCombination", "AlarmNames and AlarmNamePrefix exclude each other."));
    }
    let types = asked.texts("AlarmTypes");
    let state = asked.text("StateValue").map(state_of).transpose()?;
    let fits = |view: &AlarmView| {
        (names.is_empty() || names.contains(&view.name))
            && prefix.is_none_or(|prefix| view.name.starts_with(prefix))
            && state.is_none_or(|state| view.state == state)
            // There are metric alarms alone here.
            && (types.is_empty() || types.iter().any(|kind| kind == "MetricAlarm"))
    };
    let all: Vec<AlarmView> = world.alarms(region).into_iter().filter(fits).collect();
    let most = asked.whole("MaxRecords").unwrap_or(MOST).clamp(1, MOST);
    let (page, next) = page(&all, asked.text("NextToken"), usize::try_from(most).unwrap_or(1))?;
    let alarms: Vec<Value> = page.iter().map(|view| described(region, view)).collect();
    let mut answer = json!({ "MetricAlarms": alarms, "CompositeAlarms": [] });
    if let Some(next) = next {
        answer["NextToken"] = json!(next);
    }
    Ok(answer)
}

fn one_of(asked: Asked<'_>, field: &str, known: &[&str]) -> Result<String, Refusal> {
    let given = asked.need(field)?;
    if known.contains(&given) {
        return Ok(given.to_owned());
    }
    Err(refuse(format!("{field} {given} is none of {}.", known.join(", "))))
}

fn rule(asked: Asked<'_>) -> Result<AlarmRule, Refusal> {
    if asked.is_given("Metrics") || asked.is_given("ThresholdMetricId") {
        return Err(refuse("Alarms on expressions and anomalies are not simulated: name one metric and a Threshold."));
    }
    let statistic = match (asked.text("Statistic"), asked.text("ExtendedStatistic")) {
        (Some(_), None) => one_of(asked, "Statistic", &STATISTICS)?,
        (None, Some(percentile)) if percentile.starts_with('p') && Period::knows(percentile) => percentile.to_owned(),
        (None, Some(other)) => return Err(refuse(format!("ExtendedStatistic {other} is not simulated."))),
        (Some(_), Some(_)) => {
            let message = "Exactly one of Statistic and ExtendedStatistic must be given.";
            return Err(Refusal::new("InvalidParameterCombination", message));
        }
        (None, None) => return Err(missing("Statistic")),
    };
    let (period_ms, periods) = (period_ms(asked)?, asked.need_whole("EvaluationPeriods")?);
    let breaching = asked.whole("DatapointsToAlarm").unwrap_or(periods);
    if periods == 0 || breaching == 0 || breaching > periods {
        return Err(refuse("DatapointsToAlarm must be 1 to EvaluationPeriods, and EvaluationPeriods at least 1."));
    }
    if period_ms.saturating_mul(periods) > MOST_BACK_MS {
        return Err(refuse("Metrics cannot be checked across more than seven days (EvaluationPeriods * Period)."));
    }
    let missing_data = if asked.is_given("TreatMissingData") {
        one_of(asked, "TreatMissingData", &MISSING)?
    } else {
        "missing".to_owned()
    };
    Ok(AlarmRule {
        series: asked.series(asked.need("Namespace")?)?,
        statistic,
        threshold: asked.number("Threshold").ok_or_else(|| missing("Threshold"))?,
        comparison: one_of(asked, "ComparisonOperator", &COMPARISONS)?,
        period_ms,
        periods,
        breaching,
        missing: missing_data,
        description: asked.text("AlarmDescription").map(str::to_owned),
        actions: AlarmActions {
            enabled: asked.flag("ActionsEnabled").unwrap_or(true),
            alarm: asked.texts("AlarmActions"),
            ok: asked.texts("OKActions"),
            insufficient: asked.texts("InsufficientDataActions"),
        },
    })
}

pub(super) fn put(world: &mut World, region: &Region, asked: Asked<'_>) -> Result<Value, Refusal> {
    world.put_alarm(region, asked.need("AlarmName")?, rule(asked)?);
    Ok(json!({}))
}

/// All of them or none.
pub(super) fn delete(world: &mut World, region: &Region, asked: Asked<'_>) -> Result<Value, Refusal> {
    let names = asked.texts("AlarmNames");
    if let Some(name) = names.iter().find(|name| !world.has_alarm(region, name)) {
        return Err(Refusal::new("ResourceNotFound", format!("There is no alarm {name}.")));
    }
    names.iter().for_each(|name| world.delete_alarm(region, name));
    Ok(json!({}))
}

pub(super) fn set(world: &mut World, region: &Region, asked: Asked<'_>) -> Result<Value, Refusal> {
    let (state, reason) = (state_of(asked.need("StateValue")?)?, asked.need("StateReason")?);
    world.set_alarm_state(region, asked.need("AlarmName")?, state, reason)?;
    Ok(json!({}))
}
