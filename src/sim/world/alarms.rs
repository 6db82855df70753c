//! Alarms over series: a static threshold, judged once a period of the world and whenever data comes.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html>. A state that was set
//! by hand stays until newer data says otherwise, so that a drill lasts; CloudWatch would judge again within a minute.
//! A check of Route 53 on an alarm follows the data and not the alarm's state.

use failoverd_domain::ids::Region;
use failoverd_domain::route53::AlarmRule as CopiedRule;
use failoverd_domain::traffic::SwitchAlarm;

use super::refusal::Refusal;
use super::series::{Period, Series};
use super::{SimulatedAws, World};
use crate::ports::StandingAlarm;

/// Periods that are looked at beyond those asked for, in case some are missing.
const SPARE_PERIODS: u64 = 2;

/// An alarm's rule: a static threshold.
#[derive(Clone, Debug, PartialEq)]
pub struct AlarmRule {
    /// What it watches.
    pub series: Series,
    /// `Average`, `Maximum` …
    pub statistic: String,
    /// The threshold.
    pub threshold: f64,
    /// `GreaterThanThreshold` and the like.
    pub comparison: String,
    /// Milliseconds.
    pub period_ms: u64,
    /// How many periods it looks back.
    pub periods: u64,
    /// How many of them must be over the threshold.
    pub breaching: u64,
    /// `missing`, `breaching`, `notBreaching`, `ignore`.
    pub missing: String,
    /// For people.
    pub description: Option<String>,
    /// Whom to tell; kept, and nobody is told.
    pub actions: AlarmActions,
}

/// ARNs that would be told of a state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlarmActions {
    /// Whether they would be.
    pub enabled: bool,
    /// Of ALARM.
    pub alarm: Vec<String>,
    /// Of OK.
    pub ok: Vec<String>,
    /// Of `INSUFFICIENT_DATA`.
    pub insufficient: Vec<String>,
}

impl AlarmRule {
    /// The rule of an alarm that failoverd makes.
    #[must_use]
    pub fn of_switch(alarm: &SwitchAlarm) -> Self {
        let CopiedRule { namespace, metric, dimensions, statistic, comparison, .. } = &alarm.rule;
        #[expect(clippy::cast_precision_loss, reason = "thresholds of switches are small")]
        let threshold = alarm.rule.threshold_thousandths as f64 / 1_000.0;
        Self {
            series: Series::new(namespace, metric, dimensions.iter().cloned()),
            statistic: statistic.clone(),
            threshold,
            comparison: comparison.clone(),
            period_ms: u64::from(alarm.rule.period_s) * 1_000,
            periods: u64::from(alarm.rule.periods),
            breaching: u64::from(alarm.datapoints),
            missing: alarm.missing.clone(),
            description: None,
            actions: AlarmActions::default(),
        }
    }

    /// What Route 53 copies of it: no word on missing data, nor on how many periods must be over the threshold.
    #[must_use]
    pub fn copied(&self) -> CopiedRule {
        #[expect(clippy::cast_possible_truncation, reason = "thresholds are small")]
        let threshold_thousandths = (self.threshold * 1_000.0).round() as i64;
        let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        CopiedRule {
            namespace: self.series.namespace.clone(),
            metric: self.series.name.clone(),
            dimensions: self.series.dimensions.clone(),
            statistic: self.statistic.clone(),
            comparison: self.comparison.clone(),
            threshold_thousandths,
            period_s: number(self.period_ms / 1_000),
            periods: number(self.periods),
        }
    }

    fn breaches(&self, value: f64) -> bool {
        match self.comparison.as_str() {
            "GreaterThanThreshold" => value > self.threshold,
            "GreaterThanOrEqualToThreshold" => value >= self.threshold,
            "LessThanThreshold" => value < self.threshold,
            _ => value <= self.threshold,
        }
    }

    /// Whether it is in ALARM by what is in the newest periods; `None` for insufficient data.
    fn judge(&self, newest_first: &[bool], missing: &str, before: Option<bool>) -> Option<bool> {
        let present = u64::try_from(newest_first.len()).unwrap_or(u64::MAX);
        let over = u64::try_from(newest_first.iter().filter(|over| **over).count()).unwrap_or(u64::MAX);
        let lacking = self.periods.saturating_sub(present);
        match missing {
            _ if lacking == 0 => Some(over >= self.breaching),
            "breaching" => Some(over + lacking >= self.breaching),
            "notBreaching" => Some(over >= self.breaching),
            "ignore" if over >= self.breaching => Some(true),
            "ignore" if present - over > self.periods - self.breaching => Some(false),
            "ignore" => before,
            _ if present == 0 => None,
            _ => Some(over >= self.breaching.min(present)),
        }
    }
}

/// An alarm: ruled, or set by hand.
#[derive(Clone, Debug, Default)]
pub(super) struct Alarm {
    rule: Option<AlarmRule>,
    state: Option<bool>,
    reason: String,
    since_ms: u64,
    /// By hand, and when.
    set_ms: Option<u64>,
    /// The data stream of an alarm without a rule.
    stream: Option<bool>,
    /// What a check of Route 53 remembers of the data: whether it was over the threshold.
    last_known: bool,
}

/// An alarm as `DescribeAlarms` shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct AlarmView {
    /// Its name.
    pub name: String,
    /// Its rule, unless it is a test's.
    pub rule: Option<AlarmRule>,
    /// In ALARM or not; `None` for insufficient data.
    pub state: Option<bool>,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since_ms: u64,
}

impl Alarm {
    fn turn(&mut self, state: Option<bool>, reason: String, now_ms: u64) {
        if self.state != state || self.reason.is_empty() {
            (self.state, self.since_ms) = (state, now_ms);
            self.reason = reason;
        }
    }
}

impl World {
    /// Judges every alarm, once a period.
    pub(super) fn look_at_alarms(&mut self) {
        if self.watch.alarms.is_empty() || self.now_ms < self.watch.next_look_ms {
            return;
        }
        self.watch.next_look_ms = self.now_ms + self.timing.metric_period_ms.max(1);
        let names: Vec<(Region, String)> = self.watch.alarms.keys().cloned().collect();
        names.into_iter().for_each(|at| self.look_at_alarm(&at));
    }

    /// Those that new data of a series concerns.
    pub(super) fn alarms_on(&self, region: &Region, series: &Series) -> Vec<(Region, String)> {
        let concerned = |((at, _), alarm): &(&(Region, String), &Alarm)| {
            at == region && alarm.rule.as_ref().is_some_and(|rule| rule.series == *series)
        };
        self.watch.alarms.iter().filter(concerned).map(|(at, _)| at.clone()).collect()
    }

    pub(super) fn look_at_alarm(&mut self, at: &(Region, String)) {
        let Some(alarm) = self.watch.alarms.get(at) else { return };
        let Some(rule) = &alarm.rule else { return };
        let newest = self.newest_periods(&at.0, rule);
        let over = overs(rule, &newest);
        let stream = rule.judge(&over, "missing", None);
        // A state set by hand yields to data that came after it.
        let newest_ms = self.newest_point(&at.0, &rule.series).map(|(at_ms, _)| at_ms);
        let holds = alarm.set_ms.is_some_and(|set_ms| newest_ms.is_none_or(|newest_ms| newest_ms <= set_ms));
        let state = rule.judge(&over, &rule.missing, alarm.state);
        let reason = reason(rule, &newest, state);
        let now_ms = self.now_ms;
        let Some(alarm) = self.watch.alarms.get_mut(at) else { return };
        alarm.last_known = stream.unwrap_or(alarm.last_known);
        if !holds {
            alarm.set_ms = None;
            alarm.turn(state, reason, now_ms);
        }
    }

    /// The newest periods with data, newest first: of those that a rule looks back on and some more.
    fn newest_periods(&self, region: &Region, rule: &AlarmRule) -> Vec<Period> {
        let period_ms = self.world_period_ms(&rule.series, rule.period_ms);
        let present_ms = self.now_ms - self.now_ms % period_ms;
        let from_ms = present_ms.saturating_sub((rule.periods + SPARE_PERIODS) * period_ms);
        let mut found = self.periods(region, &rule.series, rule.period_ms, (from_ms, self.now_ms + 1));
        // The present period counts from its first datum on, in the place of the oldest.
        if found.last().is_some_and(|last| last.at_ms == present_ms) {
            found.retain(|period| period.at_ms > from_ms);
        }
        found.reverse();
        found.truncate(usize::try_from(rule.periods).unwrap_or(usize::MAX));
        found
    }

    /// `PutMetricAlarm`. A new one has no state until it is first looked at.
    pub fn put_alarm(&mut self, region: &Region, name: &str, rule: AlarmRule) {
        let at = (region.clone(), name.to_owned());
        let now_ms = self.now_ms;
        let alarm = self.watch.alarms.entry(at.clone()).or_default();
        if alarm.rule.is_none() {
            alarm.turn(None, "Unchecked: Initial alarm creation".to_owned(), now_ms);
        }
        alarm.rule = Some(rule);
        self.note(super::Service::Cloudwatch, "PutMetricAlarm", region, name.to_owned(), true);
    }

    /// `DeleteAlarms`, one of them.
    pub fn delete_alarm(&mut self, region: &Region, name: &str) {
        let changed = self.watch.alarms.remove(&(region.clone(), name.to_owned())).is_some();
        self.note(super::Service::Cloudwatch, "DeleteAlarms", region, name.to_owned(), changed);
    }

    /// `SetAlarmState`.
    pub fn set_alarm_state(
        &mut self,
        region: &Region,
        name: &str,
        state: Option<bool>,
        reason: &str,
    ) -> Result<(), Refusal> {
        let now_ms = self.now_ms;
        let Some(alarm) = self.watch.alarms.get_mut(&(region.clone(), name.to_owned())) else {
            return Err(Refusal::new("ResourceNotFound", format!("There is no alarm {name}.")));
        };
        alarm.set_ms = Some(now_ms);
        alarm.turn(state, reason.to_owned(), now_ms);
        Ok(())
    }

    /// Alarms of a Region, by name.
    #[must_use]
    pub fn alarms(&self, region: &Region) -> Vec<AlarmView> {
        let here = self.watch.alarms.iter().filter(|((at, _), _)| at == region);
        here.map(|((_, name), alarm)| AlarmView {
            name: name.clone(),
            rule: alarm.rule.clone(),
            state: alarm.state,
            reason: alarm.reason.clone(),
            since_ms: alarm.since_ms,
        })
        .collect()
    }

    /// Named alarms, as failoverd describes those of switches.
    #[must_use]
    pub fn switch_alarms(&self, region: &Region, names: &[String]) -> Vec<StandingAlarm> {
        let ruled = |view: AlarmView| view.rule.map(|rule| (view.name, rule, view.state));
        let named = self.alarms(region).into_iter().filter(|view| names.contains(&view.name)).filter_map(ruled);
        named
            .map(|(name, rule, state)| {
                let datapoints = u32::try_from(rule.breaching).unwrap_or(u32::MAX);
                let alarm = SwitchAlarm { name, datapoints, missing: rule.missing.clone(), rule: rule.copied() };
                StandingAlarm { alarm, state }
            })
            .collect()
    }

    /// The rule of an alarm, if there is one.
    pub(super) fn alarm_rule(&self, region: &Region, name: &str) -> Option<&AlarmRule> {
        self.watch.alarms.get(&(region.clone(), name.to_owned()))?.rule.as_ref()
    }

    /// State of an alarm: in ALARM or not; `None` for insufficient data or no such alarm.
    #[must_use]
    pub fn alarm_state(&self, region: &Region, name: &str) -> Option<bool> {
        self.watch.alarms.get(&(region.clone(), name.to_owned()))?.state
    }

    /// Whether there is such an alarm.
    #[must_use]
    pub fn has_alarm(&self, region: &Region, name: &str) -> bool {
        self.watch.alarms.contains_key(&(region.clone(), name.to_owned()))
    }

    /// Whether the data stream behind an alarm is healthy, by the rule that was copied of it, or else by its own. Without
    /// data `insufficient` decides (`InsufficientDataHealthStatus`): `Healthy`, `Unhealthy`, or else its last known state,
    /// at first healthy.
    #[must_use]
    pub fn stream_is_healthy(
        &self,
        region: &Region,
        name: &str,
        insufficient: Option<&str>,
        copied: Option<&AlarmRule>,
    ) -> bool {
        let Some(alarm) = self.watch.alarms.get(&(region.clone(), name.to_owned())) else { return true };
        let over = match copied.or(alarm.rule.as_ref()) {
            Some(rule) => rule.judge(&overs(rule, &self.newest_periods(region, rule)), "missing", None),
            None => alarm.stream,
        };
        match (over, insufficient) {
            (Some(over), _) => !over,
            (None, Some("Healthy")) => true,
            (None, Some("Unhealthy")) => false,
            (None, _) => !alarm.last_known,
        }
    }
}

fn overs(rule: &AlarmRule, periods: &[Period]) -> Vec<bool> {
    periods.iter().filter_map(|period| period.statistic(&rule.statistic)).map(|value| rule.breaches(value)).collect()
}

fn reason(rule: &AlarmRule, newest: &[Period], state: Option<bool>) -> String {
    let values: Vec<String> = newest
        .iter()
        .filter_map(|period| period.statistic(&rule.statistic))
        .map(|value| format!("{value:?}"))
        .collect();
    let crossed = match state {
        Some(true) => "Threshold Crossed",
        Some(false) => "Threshold not crossed",
        None => "Insufficient Data",
    };
    format!("{crossed}: {} datapoints [{}] against {:?}", values.len(), values.join(", "), rule.threshold)
}

impl SimulatedAws {
    /// Sets an alarm and its data stream: in ALARM or not, `None` for insufficient data.
    pub fn set_alarm(&self, region: &Region, name: &str, state: Option<bool>) {
        self.with(|world| {
            let now_ms = world.now_ms;
            let alarm = world.watch.alarms.entry((region.clone(), name.to_owned())).or_default();
            alarm.set_ms = Some(now_ms);
            alarm.turn(state, "set by hand".to_owned(), now_ms);
            (alarm.stream, alarm.last_known) = (state, state.unwrap_or(alarm.last_known));
        });
    }
}
