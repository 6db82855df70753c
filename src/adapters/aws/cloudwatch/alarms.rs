//! Alarms that Route 53 follows: looked up by name, made and made right with `PutMetricAlarm`.

use async_trait::async_trait;
use aws_sdk_cloudwatch::types as aws;
use failoverd_domain::ids::Region;
use failoverd_domain::route53::AlarmRule;
use failoverd_domain::traffic::SwitchAlarm;

use super::{Cloudwatch, SERVICE, read};
use crate::adapters::aws::account::Ask;
use crate::adapters::aws::budget::Kind;
use crate::adapters::aws::limits::MOST_ALARMS;
use crate::ports::{Alarms, Call, StandingAlarm};

/// Words for the person who finds one.
const DESCRIPTION: &str = "Made by failoverd: ALARM means that this daemon says the switch is off. A Route 53 health check \
                           follows it; do not change or delete it while the service exists.";

#[async_trait]
impl Alarms for Cloudwatch {
    async fn describe(&self, region: &Region, names: &[String]) -> Call<Vec<StandingAlarm>> {
        let mut found = Vec::new();
        for names in names.chunks(MOST_ALARMS) {
            let client = self.client(region, Kind::Read).await;
            let request = client.describe_alarms().set_alarm_names(Some(names.to_vec()));
            let most = i32::try_from(MOST_ALARMS).unwrap_or(i32::MAX);
            let sending = request.alarm_types(aws::AlarmType::MetricAlarm).max_records(most).send();
            let page = self.account.call(read("DescribeAlarms", region), sending).await?;
            found.extend(page.metric_alarms().iter().map(standing));
        }
        Ok(found)
    }

    async fn put(&self, region: &Region, alarm: &SwitchAlarm) -> Call<()> {
        let rule = &alarm.rule;
        let dimension = |(name, value): &(String, String)| aws::Dimension::builder().name(name).value(value).build();
        let client = self.client(region, Kind::Action).await;
        let request = client
            .put_metric_alarm()
            .alarm_name(&alarm.name)
            .alarm_description(DESCRIPTION)
            .namespace(&rule.namespace)
            .metric_name(&rule.metric)
            .set_dimensions(Some(rule.dimensions.iter().map(dimension).collect()))
            .statistic(aws::Statistic::from(rule.statistic.as_str()))
            .comparison_operator(aws::ComparisonOperator::from(rule.comparison.as_str()))
            .threshold(threshold(rule.threshold_thousandths))
            .period(whole(rule.period_s))
            .evaluation_periods(whole(rule.periods))
            .datapoints_to_alarm(whole(alarm.datapoints))
            .treat_missing_data(&alarm.missing);
        self.account.call(Ask::action(SERVICE, "PutMetricAlarm", region), request.send()).await.map(drop)
    }
}

fn standing(alarm: &aws::MetricAlarm) -> StandingAlarm {
    let state = match alarm.state_value() {
        Some(aws::StateValue::Alarm) => Some(true),
        Some(aws::StateValue::Ok) => Some(false),
        _ => None,
    };
    StandingAlarm { alarm: from_aws(alarm), state }
}

fn from_aws(alarm: &aws::MetricAlarm) -> SwitchAlarm {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let dimension = |it: &aws::Dimension| (text(it.name()), text(it.value()));
    let mut dimensions: Vec<(String, String)> = alarm.dimensions().iter().map(dimension).collect();
    dimensions.sort();
    let number = |n: Option<i32>| n.and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
    SwitchAlarm {
        name: text(alarm.alarm_name()),
        rule: AlarmRule {
            namespace: text(alarm.namespace()),
            metric: text(alarm.metric_name()),
            dimensions,
            statistic: text(alarm.statistic().map(aws::Statistic::as_str)),
            comparison: text(alarm.comparison_operator().map(aws::ComparisonOperator::as_str)),
            threshold_thousandths: thousandths(alarm.threshold().unwrap_or(0.0)),
            period_s: number(alarm.period()),
            periods: number(alarm.evaluation_periods()),
        },
        // Both may be left out, and then mean these.
        datapoints: number(alarm.datapoints_to_alarm().or(alarm.evaluation_periods())),
        missing: alarm.treat_missing_data().unwrap_or("missing").to_owned(),
    }
}

fn whole(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "thresholds of switches are small")]
fn threshold(thousandths: i64) -> f64 {
    thousandths as f64 / 1_000.0
}

#[expect(clippy::cast_possible_truncation, reason = "beyond an i64 it saturates, which is another threshold than ours")]
pub(in crate::adapters::aws) fn thousandths(threshold: f64) -> i64 {
    (threshold * 1_000.0).round() as i64
}
