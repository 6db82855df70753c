//! What AWS charges a month for what failoverd makes: one table, for estimates.
//!
//! The figures were collected second-hand and may have changed: they are never shown as AWS's word, always with the
//! pages to look at. What data, replicas and the services themselves cost is not in it.

use super::alarm::HEARD_AGAIN_S;
use super::desired::{DesiredCheck, DesiredKind};
use crate::route53::Protocol;

/// Where AWS publishes its prices.
pub const PAGES: [&str; 2] = ["https://aws.amazon.com/route53/pricing/", "https://aws.amazon.com/cloudwatch/pricing/"];
/// When the figures were last compared with what others publish of AWS's prices.
pub const CHECKED: &str = "2026-11";

/// A check of an endpoint outside AWS, US cents a month. Whether an endpoint is one of AWS's is for Route 53 to say: the
/// dearer price makes the estimate an upper bound.
const ENDPOINT_CENTS: u64 = 75;
/// Each option (HTTPS, string matching, fast interval) of such a check, US cents a month.
const OPTION_CENTS: u64 = 200;
/// A check of other checks or of an alarm, US cents a month.
const DERIVED_CENTS: u64 = 50;
/// A thousand metrics read with `GetMetricData`, US cents.
const THOUSAND_METRICS_CENTS: f64 = 1.0;
/// Seconds between checks that are not "fast".
const NORMAL_INTERVAL_S: u32 = 30;
/// Seconds between two readings of one lag by one daemon.
const READ_EVERY_S: f64 = 20.0;
/// A custom metric and the standard-resolution alarm over it, US cents a month.
const VOICE_CENTS: f64 = 30.0 + 10.0;
/// A thousand calls of `PutMetricData`, US cents.
const THOUSAND_PUTS_CENTS: f64 = 1.0;
/// Seconds of a month of 30 days.
const MONTH_S: f64 = 30.0 * 86_400.0;

/// What health checks cost a month at most, US dollars.
#[must_use]
pub fn monthly_checks_usd<'a>(checks: impl IntoIterator<Item = &'a DesiredCheck>) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "cents of a few hundred checks")]
    let cents = checks.into_iter().map(check_cents).sum::<u64>() as f64;
    cents / 100.0
}

fn check_cents(check: &DesiredCheck) -> u64 {
    let DesiredKind::Endpoint(asked) = &check.kind else { return DERIVED_CENTS };
    let options = [asked.protocol == Protocol::Https, asked.search.is_some(), asked.interval_s < NORMAL_INTERVAL_S];
    let options = options.into_iter().filter(|option| *option).count();
    ENDPOINT_CENTS + OPTION_CENTS * u64::try_from(options).unwrap_or(0)
}

/// What reading the lag of `copies` by each of `daemons` costs a month, US dollars.
#[must_use]
pub fn monthly_reads_usd(copies: u32, daemons: u32) -> f64 {
    f64::from(copies) * f64::from(daemons) * (MONTH_S / READ_EVERY_S) / 1_000.0 * THOUSAND_METRICS_CENTS / 100.0
}

/// What the voices of switches through CloudWatch cost a month, US dollars: the metric and the alarm of each of `bits` in
/// the Region of each of `daemons`, and their repetitions, which each daemon packs into one call for each of `roles`.
#[must_use]
pub fn monthly_voices_usd(bits: u32, roles: u32, daemons: u32) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "seconds")]
    let calls = MONTH_S / HEARD_AGAIN_S as f64 * f64::from(roles);
    f64::from(daemons) * (f64::from(bits) * VOICE_CENTS + calls / 1_000.0 * THOUSAND_PUTS_CENTS) / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route53::EndpointCheck;

    fn check(kind: DesiredKind) -> DesiredCheck {
        DesiredCheck { reference: "failoverd/x".to_owned(), kind, inverted: false }
    }

    fn endpoint(protocol: Protocol, search: bool, interval_s: u32) -> DesiredCheck {
        check(DesiredKind::Endpoint(EndpointCheck {
            protocol,
            host: "a.example.com".to_owned(),
            port: 443,
            path: "/".to_owned(),
            search: search.then(|| "switch=on".to_owned()),
            interval_s,
            failure_threshold: 1,
        }))
    }

    #[test]
    fn options_are_what_makes_a_check_dear() {
        let cost = |check| monthly_checks_usd([&check]);
        assert!((cost(endpoint(Protocol::Http, false, 30)) - 0.75).abs() < 1e-9);
        assert!((cost(endpoint(Protocol::Https, true, 10)) - 6.75).abs() < 1e-9);
        assert!((cost(check(DesiredKind::Calculated { children: vec![], threshold: 3 })) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn a_voice_through_cloudwatch_is_a_metric_an_alarm_and_its_repetitions() {
        assert!((monthly_voices_usd(0, 0, 3)).abs() < 1e-9);
        assert!((monthly_voices_usd(2, 1, 3) - 3.0 * (2.0 * 0.40 + 1.296)).abs() < 1e-9);
    }

    #[test]
    fn reading_lag_is_counted_by_the_thousand() {
        assert!((monthly_reads_usd(6, 3) - 23.328).abs() < 1e-6);
    }
}
