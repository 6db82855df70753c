//! The page that a scraper reads, in Prometheus' text format.

use std::collections::BTreeMap;

use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Encoder, TextEncoder};

use super::defined::{Defined, Kind};

/// Samples by metric, each with the labels of its daemon.
#[derive(Default)]
pub(super) struct Page {
    common: Vec<LabelPair>,
    families: BTreeMap<&'static str, MetricFamily>,
}

impl Page {
    /// A page whose samples all carry these labels.
    pub(super) fn of(common: &[(&str, &str)]) -> Self {
        Self { common: common.iter().map(|(name, value)| pair(name, value)).collect(), families: BTreeMap::new() }
    }

    /// One sample; values of labels in the order of the definition.
    pub(super) fn put(&mut self, defined: &Defined, labels: &[&str], value: f64) {
        debug_assert_eq!(defined.labels.len(), labels.len(), "labels of {}", defined.name);
        let mut metric =
            Metric::from_label(defined.labels.iter().zip(labels).map(|(name, value)| pair(name, value)).collect());
        match defined.kind {
            Kind::Counter => {
                let mut counter = Counter::default();
                counter.set_value(value);
                metric.set_counter(counter);
            }
            Kind::Gauge | Kind::Histogram => {
                let mut gauge = Gauge::default();
                gauge.set_value(value);
                metric.set_gauge(gauge);
            }
        }
        self.push(defined, metric);
    }

    /// One sample where there is one.
    pub(super) fn put_some(&mut self, defined: &Defined, labels: &[&str], value: Option<f64>) {
        if let Some(value) = value {
            self.put(defined, labels, value);
        }
    }

    /// 1 or 0.
    pub(super) fn flag(&mut self, defined: &Defined, labels: &[&str], holds: bool) {
        self.put(defined, labels, if holds { 1.0 } else { 0.0 });
    }

    /// One sample for each word that the last label can be: 1 for the present one, 0 for the others.
    pub(super) fn one_of(&mut self, defined: &Defined, labels: &[&str], words: &[&str], present: &str) {
        for word in words {
            let labels: Vec<&str> = labels.iter().copied().chain([*word]).collect();
            self.flag(defined, &labels, *word == present);
        }
    }

    /// Samples of a counter or histogram that counts by itself.
    pub(super) fn take(&mut self, defined: &Defined, collected: Vec<MetricFamily>) {
        for mut family in collected {
            for metric in family.take_metric() {
                self.push(defined, metric);
            }
        }
    }

    fn push(&mut self, defined: &Defined, mut metric: Metric) {
        let mut labels = metric.take_label();
        labels.extend(self.common.iter().cloned());
        metric.set_label(labels);
        let family = self.families.entry(defined.name).or_insert_with(|| {
            let mut family = MetricFamily::default();
            family.set_name(defined.name.to_owned());
            family.set_help(defined.help.to_owned());
            family.set_field_type(match defined.kind {
                Kind::Gauge => MetricType::GAUGE,
                Kind::Counter => MetricType::COUNTER,
                Kind::Histogram => MetricType::HISTOGRAM,
            });
            family
        });
        family.mut_metric().push(metric);
    }

    /// The whole page.
    pub(super) fn text(self) -> String {
        let families: Vec<MetricFamily> = self.families.into_values().collect();
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&families, &mut text) {
            tracing::error!(%error, "metrics could not be written: this is a defect");
        }
        String::from_utf8(text).unwrap_or_default()
    }
}

fn pair(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

/// Seconds out of milliseconds.
#[expect(clippy::cast_precision_loss, reason = "milliseconds of this age of the world fit well")]
pub(super) fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

/// A count as a sample.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
pub(super) fn count(count: u64) -> f64 {
    count as f64
}
