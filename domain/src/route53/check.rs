//! Health checks and how their state derives.
//!
//! See "How Amazon Route 53 determines whether a health check is healthy" in the Route 53 Developer Guide.

use serde::{Deserialize, Serialize};

use crate::ids::{HealthCheckId, Region};

/// A health check as Route 53 holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// Id given by Route 53.
    pub id: HealthCheckId,
    /// Raised by every update; an update that names an older one is refused.
    pub version: u64,
    /// Idempotency key of its creation; failoverd names checks by it.
    pub caller_reference: String,
    /// What it does.
    pub config: HealthCheckConfig,
    /// The rule of the alarm behind it as Route 53 copied it when the check was made or last updated: a later change of
    /// the alarm is not seen
    /// (<https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/health-checks-updating-cloudwatch-alarm-settings.html>).
    /// `None` for other kinds, and where Route 53 does not say.
    #[serde(default)]
    pub copied: Option<AlarmRule>,
}

/// The rule of a CloudWatch alarm as far as Route 53 copies it (`CloudWatchAlarmConfiguration`); the words are AWS's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmRule {
    /// Namespace of the metric.
    pub namespace: String,
    /// Its name.
    pub metric: String,
    /// Its dimensions, sorted.
    pub dimensions: Vec<(String, String)>,
    /// `Average` and the like.
    pub statistic: String,
    /// `LessThanThreshold` and the like.
    pub comparison: String,
    /// The threshold in thousandths.
    pub threshold_thousandths: i64,
    /// Seconds of a period.
    pub period_s: u32,
    /// Periods that are looked at.
    pub periods: u32,
}

/// What a health check does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheckConfig {
    /// What is asked.
    pub kind: CheckKind,
    /// Report the opposite.
    pub inverted: bool,
    /// Not asked; counts as healthy (and as unhealthy when inverted).
    pub disabled: bool,
}

/// What a health check asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckKind {
    /// An endpoint, from Route 53's checkers.
    Endpoint(EndpointCheck),
    /// Other checks; healthy when at least `threshold` of them are.
    Calculated {
        /// At most 255.
        children: Vec<HealthCheckId>,
        /// How many must be healthy.
        threshold: u32,
    },
    /// The data stream of a CloudWatch alarm; keeps its last state when data stops.
    Alarm {
        /// Region of the alarm.
        region: Region,
        /// Alarm name.
        name: String,
    },
    /// A kind that failoverd never makes (`RECOVERY_CONTROL`), by AWS's word.
    Other(String),
}

/// An endpoint that Route 53's checkers poll.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointCheck {
    /// How it is asked.
    pub protocol: Protocol,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Path with a leading slash; empty for TCP.
    pub path: String,
    /// Must stand in the first 5,120 bytes of the body.
    pub search: Option<String>,
    /// 10 or 30 seconds.
    pub interval_s: u32,
    /// Consecutive results that change its state, 1–10.
    pub failure_threshold: u32,
}

/// How an endpoint is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// Plain HTTP.
    Http,
    /// HTTPS; certificates are not validated.
    Https,
    /// A TCP connect.
    Tcp,
}

/// A CALCULATED check before inversion: healthy when at least `threshold` children are.
#[must_use]
pub fn calculated_is_healthy(children_healthy: u32, threshold: u32) -> bool {
    children_healthy >= threshold
}
