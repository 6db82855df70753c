//! What is asked for, read out of a tree. A form knows texts alone, so a text may stand for a number or a flag.

use serde_json::Value;

use crate::sim::world::{Refusal, Series};

/// A request's tree, or a part of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a>(pub(super) &'a Value);

impl<'a> Asked<'a> {
    pub(super) fn part(self, field: &str) -> Self {
        Self(&self.0[field])
    }

    pub(super) fn is_given(self, field: &str) -> bool {
        !self.0[field].is_null()
    }

    pub(super) fn text(self, field: &str) -> Option<&'a str> {
        self.0[field].as_str().filter(|text| !text.is_empty())
    }

    pub(super) fn need(self, field: &str) -> Result<&'a str, Refusal> {
        self.text(field).ok_or_else(|| missing(field))
    }

    pub(super) fn number(self, field: &str) -> Option<f64> {
        number(&self.0[field])
    }

    /// A count, or a length in seconds.
    pub(super) fn whole(self, field: &str) -> Option<u64> {
        let number = self.number(field).filter(|number| *number >= 0.0 && number.fract() == 0.0)?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and not negative")]
        Some(number as u64)
    }

    pub(super) fn need_whole(self, field: &str) -> Result<u64, Refusal> {
        self.whole(field).ok_or_else(|| missing(field))
    }

    pub(super) fn flag(self, field: &str) -> Option<bool> {
        self.0[field].as_bool().or_else(|| self.text(field).map(|text| text.eq_ignore_ascii_case("true")))
    }

    pub(super) fn list(self, field: &str) -> impl Iterator<Item = Self> {
        self.0[field].as_array().into_iter().flatten().map(Asked)
    }

    pub(super) fn texts(self, field: &str) -> Vec<String> {
        self.list(field).filter_map(|text| text.0.as_str()).map(str::to_owned).collect()
    }

    pub(super) fn numbers(self, field: &str) -> Vec<f64> {
        self.list(field).filter_map(|value| number(value.0)).collect()
    }

    /// An instant, milliseconds: seconds, or text.
    pub(super) fn instant(self, field: &str) -> Option<u64> {
        let parsed = |text: &str| chrono::DateTime::parse_from_rfc3339(text).ok();
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of this century fit")]
        let of_text = |text: &str| parsed(text).map(|at| at.timestamp_millis() as f64 / 1_000.0);
        let seconds = self.0[field].as_f64().or_else(|| self.text(field).and_then(of_text))?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative")]
        Some((seconds.max(0.0) * 1_000.0).round() as u64)
    }

    pub(super) fn need_instant(self, field: &str) -> Result<u64, Refusal> {
        self.instant(field).ok_or_else(|| missing(field))
    }

    /// Start and end of what is looked at.
    pub(super) fn window(self) -> Result<(u64, u64), Refusal> {
        let (from, to) = (self.need_instant("StartTime")?, self.need_instant("EndTime")?);
        if from >= to {
            return Err(refuse("The parameter StartTime must be less than the parameter EndTime."));
        }
        Ok((from, to))
    }

    /// Name and dimensions of a metric here, in a namespace.
    pub(super) fn series(self, namespace: &str) -> Result<Series, Refusal> {
        let mut dimensions = Vec::new();
        for dimension in self.list("Dimensions") {
            dimensions.push((dimension.need("Name")?, dimension.need("Value")?.to_owned()));
        }
        Ok(Series::new(namespace, self.need("MetricName")?, dimensions))
    }
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok()).filter(|number| number.is_finite())
}

pub(super) fn missing(field: &str) -> Refusal {
    Refusal::new("MissingParameter", format!("The parameter {field} is required."))
}

/// A no to something that no client can know beforehand.
pub(super) fn refuse(message: impl Into<String>) -> Refusal {
    Refusal::new("ValidationError", message)
}

pub(super) fn bad_value(message: impl Into<String>) -> Refusal {
    Refusal::new("InvalidParameterValue", message)
}
