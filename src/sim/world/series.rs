//! CloudWatch for strangers: metrics by namespace, name and dimensions, and alarms over them.
//!
//! A check of Route 53 on an alarm follows the data and not the alarm's state; without data it keeps what it knew last.

use std::collections::BTreeMap;

use failoverd_domain::ids::Region;

use super::metrics::StoreId;
use super::refusal::Refusal;
use super::{SimulatedAws, World};

/// Points of one series that are kept.
const MOST_POINTS: usize = 1_000;

/// A metric.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    /// `AWS/RDS`, or a stranger's own.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Dimensions, sorted.
    pub dimensions: Vec<(String, String)>,
}

impl Series {
    fn dimension(&self, name: &str) -> Option<&str> {
        self.dimensions.iter().find(|(held, _)| held == name).map(|(_, value)| value.as_str())
    }
}

/// An alarm's rule: a static threshold.
#[derive(Clone, Debug, PartialEq)]
pub struct AlarmRule {
    /// What it watches.
    pub series: Series,
    /// The threshold.
    pub threshold: f64,
    /// `GreaterThanThreshold` and the like.
    pub comparison: String,
    /// Milliseconds.
    pub period_ms: u64,
    /// How many periods it looks back.
    pub periods: u64,
    /// `missing`, `breaching`, `notBreaching`, `ignore`.
    pub missing: String,
}

impl AlarmRule {
    fn breaches(&self, value: f64) -> bool {
        match self.comparison.as_str() {
            "GreaterThanThreshold" => value > self.threshold,
            "GreaterThanOrEqualToThreshold" => value >= self.threshold,
            "LessThanThreshold" => value < self.threshold,
            _ => value <= self.threshold,
        }
    }
}

/// An alarm: ruled, or set by hand.
#[derive(Clone, Debug, Default)]
struct Alarm {
    rule: Option<AlarmRule>,
    /// By hand, and when; newer data overrules it.
    set: Option<(u64, Option<bool>)>,
    /// What a check of Route 53 remembers of a stream that was set by hand.
    last_known: bool,
}

/// Points by instant, milliseconds, oldest first.
type Points = Vec<(u64, f64)>;

/// All series and alarms of strangers.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    points: BTreeMap<(Region, Series), Points>,
    alarms: BTreeMap<(Region, String), Alarm>,
}

impl World {
    /// `GetMetricData` for one series: what services emit, or what was put.
    #[must_use]
    pub fn data_points(&self, region: &Region, series: &Series) -> Vec<(u64, f64)> {
        if let Some(point) = self.emitted(region, series) {
            return vec![point];
        }
        self.watch.points.get(&(region.clone(), series.clone())).cloned().unwrap_or_default()
    }

    /// The newest point that AWS itself emits in a Region.
    fn emitted(&self, region: &Region, series: &Series) -> Option<(u64, f64)> {
        let of = |name| series.dimension(name).map(str::to_owned);
        let (store, to, unit_ms) = match (series.namespace.as_str(), series.name.as_str()) {
            ("AWS/RDS", "AuroraGlobalDBReplicationLag") => {
                let cluster = of("DBClusterIdentifier")?;
                let has = |found: &&super::AuroraCluster| {
                    found.members.get(region).is_some_and(|member| member.cluster == cluster)
                };
                let id = self.clusters().find(has)?.id.clone();
                (StoreId::Aurora(id), region.clone(), 1.0)
            }
            ("AWS/RDS", "ReplicaLag") => (StoreId::Instance(of("DBInstanceIdentifier")?), region.clone(), 1_000.0),
            ("AWS/DynamoDB", "ReplicationLatency") => {
                (StoreId::Table(of("TableName")?), Region::from(of("ReceivingRegion")?.as_str()), 1.0)
            }
            ("AWS/S3", "ReplicationLatency") => (StoreId::Bucket(of("DestinationBucket")?), region.clone(), 1_000.0),
            _ => return None,
        };
        let (value_ms, age_ms) = self.lag_point(&store, region, &to)?;
        #[expect(clippy::cast_precision_loss, reason = "a lag is small")]
        Some((self.now_ms - age_ms, value_ms as f64 / unit_ms))
    }

    /// `PutMetricData`, one datum.
    pub fn put_data_point(&mut self, region: &Region, series: Series, at_ms: u64, value: f64) {
        let points = self.watch.points.entry((region.clone(), series)).or_default();
        points.push((at_ms, value));
        points.sort_by_key(|(at, _)| *at);
        let surplus = points.len().saturating_sub(MOST_POINTS);
        points.drain(..surplus);
    }

    /// Every series that strangers put in a Region.
    #[must_use]
    pub fn all_series(&self, region: &Region) -> Vec<Series> {
        self.watch.points.keys().filter(|(at, _)| at == region).map(|(_, series)| series.clone()).collect()
    }

    /// Alarms of a Region by name, with their rules.
    #[must_use]
    pub fn alarms(&self, region: &Region) -> Vec<(String, Option<AlarmRule>)> {
        let here = self.watch.alarms.iter().filter(|((at, _), _)| at == region);
        here.map(|((_, name), alarm)| (name.clone(), alarm.rule.clone())).collect()
    }

    /// `PutMetricAlarm`.
    pub fn put_alarm(&mut self, region: &Region, name: &str, rule: AlarmRule) {
        self.watch.alarms.entry((region.clone(), name.to_owned())).or_default().rule = Some(rule);
    }

    /// `DeleteAlarms`, one of them.
    pub fn delete_alarm(&mut self, region: &Region, name: &str) {
        self.watch.alarms.remove(&(region.clone(), name.to_owned()));
    }

    /// `SetAlarmState`.
    pub fn set_alarm_state(&mut self, region: &Region, name: &str, state: Option<bool>) -> Result<(), Refusal> {
        let now_ms = self.now_ms;
        match self.watch.alarms.get_mut(&(region.clone(), name.to_owned())) {
            Some(alarm) => {
                alarm.set = Some((now_ms, state));
                Ok(())
            }
            None => Err(Refusal::new("ResourceNotFound", format!("There is no alarm {name}."))),
        }
    }

    /// State of an alarm: in ALARM or not; `None` for insufficient data or no such alarm.
    #[must_use]
    pub fn alarm_state(&self, region: &Region, name: &str) -> Option<bool> {
        let alarm = self.watch.alarms.get(&(region.clone(), name.to_owned()))?;
        let newest = alarm.rule.as_ref().and_then(|rule| self.data_points(region, &rule.series).last().copied());
        match (&alarm.rule, alarm.set, newest) {
            (None, set, _) => set.and_then(|(_, state)| state),
            (Some(_), Some((at, state)), newest) if newest.is_none_or(|(newest, _)| newest <= at) => state,
            (Some(rule), _, Some((at, value))) if at + rule.period_ms * rule.periods.max(1) >= self.now_ms => {
                Some(rule.breaches(value))
            }
            (Some(rule), _, newest) => match rule.missing.as_str() {
                "breaching" => Some(true),
                "notBreaching" => Some(false),
                "ignore" => newest.map(|(_, value)| rule.breaches(value)),
                _ => None,
            },
        }
    }

    /// Whether there is such an alarm.
    #[must_use]
    pub fn has_alarm(&self, region: &Region, name: &str) -> bool {
        self.watch.alarms.contains_key(&(region.clone(), name.to_owned()))
    }

    /// Whether the data stream behind an alarm is healthy; without data its last known state (at first: healthy).
    #[must_use]
    pub fn stream_is_healthy(&self, region: &Region, name: &str) -> bool {
        let Some(alarm) = self.watch.alarms.get(&(region.clone(), name.to_owned())) else { return true };
        let newest = alarm.rule.as_ref().and_then(|rule| {
            let (_, value) = self.data_points(region, &rule.series).last().copied()?;
            Some(rule.breaches(value))
        });
        !newest.unwrap_or(alarm.last_known)
    }
}

impl SimulatedAws {
    /// Sets an alarm and its data stream: in ALARM or not, `None` for insufficient data.
    pub fn set_alarm(&self, region: &Region, name: &str, state: Option<bool>) {
        self.with(|world| {
            let now_ms = world.now_ms;
            let alarm = world.watch.alarms.entry((region.clone(), name.to_owned())).or_default();
            alarm.set = Some((now_ms, state));
            alarm.last_known = state.unwrap_or(alarm.last_known);
        });
    }
}
