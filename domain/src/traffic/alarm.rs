//! A switch through CloudWatch: the metric in which each daemon says what it knows, and the alarm over it that Route 53
//! follows.
//!
//! One metric and one alarm per bit in each daemon's own Region: 1 is on, 0 is off, ALARM is off. Route 53 reads the data
//! behind the alarm, with standard resolution and plain statistics only
//! (<https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/health-checks-creating-values.html>). The alarm looks at
//! one period of a minute, the shortest that standard resolution has.
//!
//! - **Average below a half.** A turned switch has to win over whatever was said before it in the same minute, whichever
//!   way it turned: `Minimum` or `Maximum` would hold one of the two ways up for that minute. So each word counts the more
//!   the later in its minute it is said ([`word_weight`]): the newest decides, without a memory of the words before, which a
//!   daemon that was restarted does not have.
//! - **Missing data is missing.** The alarm then has insufficient data, and the check keeps its last state
//!   (`LastKnownStatus`): silence is no word. `breaching` or `notBreaching` would make one of it.

use std::time::Duration;

use crate::fleet::{Bit, FleetState};
use crate::ids::{FleetId, Region, SwitchGroup};
use crate::route53::AlarmRule;
use crate::service::SwitchTransport;
use crate::time::Timestamp;

use super::naming::switch_alarm_name;

/// Namespace of the fleet's own figures.
pub const NAMESPACE: &str = "failoverd";
/// Name of the metric.
pub const FIGURE: &str = "Switch";
/// Dimension: the fleet.
pub const FLEET: &str = "Fleet";
/// Dimension: the switch group.
pub const GROUP: &str = "SwitchGroup";
/// Dimension: the Region that the bit belongs to.
pub const REGION: &str = "Region";
/// Seconds between two repetitions: a minute has several even when one is lost.
pub const HEARD_AGAIN_S: u64 = 20;
/// By how much the weight of a word grows in a second. All words of the seconds before weigh a third of it together.
const GROWTH: f64 = 4.0;
/// Seconds of the alarm's only period: standard resolution has no shorter one
/// (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html>).
const PERIOD_S: u32 = 60;
/// Seconds between two looks that CloudWatch takes at an alarm with periods of a minute or more
/// (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html>).
const LOOK_S: u32 = 60;

/// How long Route 53 may take to follow a turned switch, seconds: the period, and a look at it. What Route 53 itself
/// takes to read the data is nowhere documented, and not in it.
#[must_use]
pub const fn slowest_s() -> u32 {
    PERIOD_S + LOOK_S
}

/// How often a word counts that is said at that instant; far within what a datum may count
/// (2^360, <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDatum.html>).
#[must_use]
pub fn word_weight(at: Timestamp) -> f64 {
    let into_the_minute = Duration::from_millis(at.0 % (u64::from(PERIOD_S) * 1_000));
    GROWTH.powf(into_the_minute.as_secs_f64())
}

/// An alarm whose ALARM means "off".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchAlarm {
    /// Its name.
    pub name: String,
    /// What Route 53 copies of it.
    pub rule: AlarmRule,
    /// Periods that must be below the threshold (`DatapointsToAlarm`).
    pub datapoints: u32,
    /// What missing data means (`TreatMissingData`).
    pub missing: String,
}

/// The alarm of a daemon for a bit, in the daemon's own Region.
#[must_use]
pub fn switch_alarm(fleet: &FleetId, group: &SwitchGroup, bit: &Region, daemon: &Region) -> SwitchAlarm {
    let mut dimensions = vec![
        (FLEET.to_owned(), fleet.to_string()),
        (GROUP.to_owned(), group.to_string()),
        (REGION.to_owned(), bit.to_string()),
    ];
    dimensions.sort();
    SwitchAlarm {
        name: switch_alarm_name(fleet, group, bit, daemon),
        rule: AlarmRule {
            namespace: NAMESPACE.to_owned(),
            metric: FIGURE.to_owned(),
            dimensions,
            statistic: "Average".to_owned(),
            comparison: "LessThanThreshold".to_owned(),
            threshold_thousandths: 500,
            period_s: PERIOD_S,
            periods: 1,
        },
        datapoints: 1,
        missing: "missing".to_owned(),
    }
}

/// A bit that every daemon has to publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Voice<'a> {
    /// The role of the service: its zone, checks, alarms and data are in one account.
    pub role_arn: Option<&'a str>,
    /// The switch.
    pub group: &'a SwitchGroup,
    /// The Region that the bit belongs to.
    pub region: &'a Region,
    /// What it says.
    pub bit: &'a Bit,
}

/// The bits of the switches that go through CloudWatch.
#[must_use]
pub fn voices(state: &FleetState) -> Vec<Voice<'_>> {
    let through = state.services.values().filter(|service| service.spec.traffic.switch == SwitchTransport::Cloudwatch);
    let mut found: Vec<Voice<'_>> = through
        .filter_map(|service| Some((service, state.switches.get_key_value(&service.spec.switch_group())?)))
        .filter(|(_, (group, _))| state.is_confirmed(group))
        .flat_map(|(service, (group, switch))| {
            let role_arn = service.spec.role_arn.as_deref();
            switch.bits.iter().map(move |(region, bit)| Voice { role_arn, group, region, bit })
        })
        .collect();
    found.sort_by_key(|voice| (voice.role_arn, voice.group, voice.region));
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_of_different_bits_fleets_and_daemons_stay_apart() {
        let alarm = |fleet: &str, bit: &str, daemon: &str| {
            switch_alarm(&fleet.into(), &"shop".into(), &bit.into(), &daemon.into())
        };
        let here = alarm("prod", "us-east-1", "eu-west-1");
        assert_eq!(here.name, "failoverd/prod/sw/shop/us-east-1/eu-west-1");
        assert_eq!(here, alarm("prod", "us-east-1", "eu-west-1"));
        for other in [
            alarm("test", "us-east-1", "eu-west-1"),
            alarm("prod", "eu-west-1", "eu-west-1"),
            alarm("prod", "us-east-1", "us-west-2"),
        ] {
            assert_ne!(here.name, other.name);
        }
        assert_ne!(here.rule, alarm("test", "us-east-1", "eu-west-1").rule, "two fleets of an account");
        assert_eq!(here.rule, alarm("prod", "us-east-1", "us-west-2").rule, "the same metric, elsewhere");
    }

    /// What Route 53 takes, by its documentation: a period of standard resolution and one of five plain statistics.
    #[test]
    fn the_alarm_is_one_that_route_53_follows() {
        let alarm = switch_alarm(&"prod".into(), &"shop".into(), &"us-east-1".into(), &"us-east-1".into());
        assert_eq!(alarm.rule.period_s % 60, 0);
        assert!(["Average", "Minimum", "Maximum", "Sum", "SampleCount"].contains(&alarm.rule.statistic.as_str()));
        assert_eq!(alarm.missing, "missing", "silence must stay silence");
        assert!(alarm.name.len() <= 255);
    }

    /// Words of one minute, as often as once a second and turned or repeated at will: the newest decides, restarted or not.
    #[test]
    fn the_newest_word_of_a_minute_decides_it() {
        let minute = Timestamp(1_700_000_000_000 / 60_000 * 60_000);
        for pattern in 0..1_u64 << 12 {
            let (mut sum, mut count) = (0.0, 0.0);
            for second in 0..60_u64 {
                let on = pattern >> (second % 12) & 1 == 1;
                let counts = word_weight(minute.plus_ms(second * 1_000));
                sum += if on { counts } else { 0.0 };
                count += counts;
                assert_eq!(sum / count < 0.5, !on, "{pattern:b} at {second}");
            }
            assert!(count < 2_f64.powi(360));
        }
    }

    /// Two turns that follow each other at once.
    #[test]
    fn the_later_of_two_words_decides() {
        let (first, second) = (word_weight(Timestamp(90_000)), word_weight(Timestamp(90_100)));
        assert!(first / (first + second) < 0.5 && second / (first + second) > 0.5);
    }
}
