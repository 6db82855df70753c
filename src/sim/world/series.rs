//! CloudWatch's data: series by namespace, name and dimensions, and figures over periods.
//!
//! Strangers put data, and AWS's own services emit theirs (`metrics.rs`). Where the world's periods are shorter than
//! CloudWatch's minute, a period of what AWS emits shrinks with them.

use std::collections::{BTreeMap, VecDeque};

use failoverd_domain::ids::Region;

use super::World;
use super::alarms::Alarm;

/// Points of one series that are kept: a day of minutes.
const MOST_POINTS: usize = 1_440;
/// CloudWatch's own period.
const MINUTE_MS: u64 = 60_000;

/// A metric.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    /// `AWS/RDS`, or a stranger's own.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Dimensions, sorted.
    pub dimensions: Vec<(String, String)>,
}

impl Series {
    /// A series; the order of the dimensions does not matter.
    #[must_use]
    pub fn new<D: Into<String>>(
        namespace: &str,
        name: &str,
        dimensions: impl IntoIterator<Item = (D, String)>,
    ) -> Self {
        let mut dimensions: Vec<(String, String)> =
            dimensions.into_iter().map(|(key, value)| (key.into(), value)).collect();
        dimensions.sort();
        Self { namespace: namespace.to_owned(), name: name.to_owned(), dimensions }
    }
}

/// Several values in one: what a datum is, and what a period comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StatisticSet {
    /// How many values.
    pub count: f64,
    /// Their sum.
    pub sum: f64,
    /// The least.
    pub minimum: f64,
    /// The greatest.
    pub maximum: f64,
}

impl StatisticSet {
    /// One value.
    #[must_use]
    pub const fn of(value: f64) -> Self {
        Self { count: 1.0, sum: value, minimum: value, maximum: value }
    }

    /// One value, several times.
    #[must_use]
    pub fn repeated(value: f64, count: f64) -> Self {
        Self { count, sum: value * count, minimum: value, maximum: value }
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            sum: self.sum + other.sum,
            minimum: self.minimum.min(other.minimum),
            maximum: self.maximum.max(other.maximum),
        }
    }
}

/// A period of a series.
#[derive(Clone, Debug, PartialEq)]
pub struct Period {
    /// When it begins.
    pub at_ms: u64,
    /// What was measured in it.
    pub all: StatisticSet,
    /// The same one by one, as far as they came so: percentiles need them.
    values: Vec<f64>,
}

impl Period {
    /// Whether there is such a statistic.
    #[must_use]
    pub fn knows(statistic: &str) -> bool {
        let nothing = Self { at_ms: 0, all: StatisticSet::of(0.0), values: vec![0.0] };
        nothing.statistic(statistic).is_some()
    }

    /// `Average`, `Sum`, `Minimum`, `Maximum`, `SampleCount`, `p99` …; `None` for a statistic that is none.
    #[must_use]
    pub fn statistic(&self, name: &str) -> Option<f64> {
        Some(match name {
            "Average" => self.all.sum / self.all.count,
            "Sum" => self.all.sum,
            "Minimum" => self.all.minimum,
            "Maximum" => self.all.maximum,
            "SampleCount" => self.all.count,
            percentile => self.percentile(percentile.strip_prefix('p')?.parse().ok()?)?,
        })
    }

    fn percentile(&self, percent: f64) -> Option<f64> {
        if !(0.0..=100.0).contains(&percent) {
            return None;
        }
        let mut values = self.values.clone();
        values.sort_by(f64::total_cmp);
        #[expect(clippy::cast_precision_loss, reason = "a place in a short list")]
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a short list")]
        let at = (percent / 100.0 * values.len() as f64).ceil() as usize;
        // Sets of values keep no single ones: then the greatest stands for all.
        Some(values.get(at.saturating_sub(1)).copied().unwrap_or(self.all.maximum))
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Data {
    /// By instant, milliseconds, oldest first.
    points: VecDeque<(u64, StatisticSet)>,
    unit: Option<String>,
}

/// All series and alarms.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    series: BTreeMap<Region, BTreeMap<Series, Data>>,
    pub(super) alarms: BTreeMap<(Region, String), Alarm>,
    pub(super) next_look_ms: u64,
}

impl World {
    /// `PutMetricData`, one datum.
    pub fn put_data_point(
        &mut self,
        region: &Region,
        series: Series,
        at_ms: u64,
        values: StatisticSet,
        unit: Option<&str>,
    ) {
        let watching = self.alarms_on(region, &series);
        let data = self.watch.series.entry(region.clone()).or_default().entry(series).or_default();
        let at = data.points.iter().rposition(|(held_ms, _)| *held_ms <= at_ms).map_or(0, |before| before + 1);
        data.points.insert(at, (at_ms, values));
        if data.points.len() > MOST_POINTS {
            data.points.pop_front();
        }
        if data.unit.as_deref() != unit {
            data.unit = unit.map(str::to_owned);
        }
        watching.iter().for_each(|at| self.look_at_alarm(at));
    }

    /// The newest point: when, and its value.
    pub(super) fn newest_point(&self, region: &Region, series: &Series) -> Option<(u64, f64)> {
        let (at_ms, values) = self.watch.series.get(region)?.get(series)?.points.back()?;
        Some((*at_ms, values.maximum))
    }

    /// Periods that hold data, oldest first, of those that begin from `from_ms` on and before `to_ms`.
    #[must_use]
    pub fn periods(
        &self,
        region: &Region,
        series: &Series,
        period_ms: u64,
        (from_ms, to_ms): (u64, u64),
    ) -> Vec<Period> {
        let Some(data) = self.watch.series.get(region).and_then(|all| all.get(series)) else { return Vec::new() };
        let period_ms = self.world_period_ms(series, period_ms);
        let mut periods: Vec<Period> = Vec::new();
        for (point_ms, values) in &data.points {
            let at_ms = point_ms - point_ms % period_ms;
            // CloudWatch begins with the period that the start falls into.
            if at_ms + period_ms <= from_ms || at_ms >= to_ms {
                continue;
            }
            let single = (values.count == 1.0).then_some(values.sum);
            match periods.last_mut().filter(|last| last.at_ms == at_ms) {
                Some(last) => {
                    last.all = last.all.and(*values);
                    last.values.extend(single);
                }
                None => periods.push(Period { at_ms, all: *values, values: single.into_iter().collect() }),
            }
        }
        periods
    }

    /// How long a period lasts here: what AWS emits once a minute may come faster.
    pub(super) fn world_period_ms(&self, series: &Series, period_ms: u64) -> u64 {
        match series.namespace.starts_with("AWS/") {
            true => (period_ms * self.timing.metric_period_ms / MINUTE_MS).max(1),
            false => period_ms.max(1),
        }
    }

    /// Unit of a series, `None` where nobody said.
    #[must_use]
    pub fn unit_of(&self, region: &Region, series: &Series) -> Option<&str> {
        self.watch.series.get(region)?.get(series)?.unit.as_deref()
    }

    /// Every series of a Region.
    pub fn all_series(&self, region: &Region) -> impl Iterator<Item = &Series> {
        self.watch.series.get(region).into_iter().flat_map(BTreeMap::keys)
    }
}
