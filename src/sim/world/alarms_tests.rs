//! Alarms over data, and checks of Route 53 that follow the data behind them.

use failoverd_domain::route53::{CheckKind, HealthCheckConfig};

use super::test_ground::{euw1, pass, use1, world};
use super::{AlarmActions, AlarmRule, Series, SimulatedAws, StatisticSet, StoreId};

const NAME: &str = "errors";

fn series() -> Series {
    Series::new("shop", "errors", [("Service", "shop".to_owned())])
}

fn alarm(aws: &SimulatedAws, change: impl Fn(&mut AlarmRule)) {
    let mut rule = AlarmRule {
        series: series(),
        statistic: "Maximum".to_owned(),
        threshold: 5.0,
        comparison: "GreaterThanThreshold".to_owned(),
        period_ms: 60_000,
        periods: 1,
        breaching: 1,
        missing: "missing".to_owned(),
        description: None,
        actions: AlarmActions::default(),
    };
    change(&mut rule);
    aws.with(|w| w.put_alarm(&use1(), NAME, rule));
}

/// A value a minute, the last one now; nothing where there is none. Then the alarm is looked at.
async fn told(aws: &SimulatedAws, values: &[Option<f64>]) -> Option<bool> {
    for value in values {
        pass(60_000).await;
        if let Some(value) = value {
            aws.with(|w| w.put_data_point(&use1(), series(), w.now().0, StatisticSet::of(*value), None));
        }
    }
    pass(1).await;
    aws.with(|w| w.watch.next_look_ms = 0);
    aws.with(|w| w.alarm_state(&use1(), NAME))
}

#[tokio::test(start_paused = true)]
async fn data_moves_an_alarm() {
    let aws = world();
    alarm(&aws, |_| {});
    assert_eq!(told(&aws, &[]).await, None);
    assert_eq!(told(&aws, &[Some(5.0)]).await, Some(false));
    assert_eq!(told(&aws, &[Some(5.1)]).await, Some(true));
    assert_eq!(told(&aws, &[None, None, None, None]).await, None);
}

type Minutes = [Option<f64>; 5];

/// The table of AWS's page on missing data, for three of three.
#[tokio::test(start_paused = true)]
async fn missing_data_is_treated_as_the_rule_says() {
    let (over, under, none) = (Some(9.0), Some(1.0), None);
    let table: [(Minutes, [Option<bool>; 3]); 4] = [
        ([under, none, over, none, over], [Some(false), Some(false), Some(false)]),
        ([none, none, none, none, under], [Some(false), Some(false), Some(false)]),
        ([none, none, none, none, none], [None, Some(true), Some(false)]),
        ([under, over, over, none, over], [Some(true), Some(true), Some(true)]),
    ];
    for (values, verdicts) in table {
        for (missing, verdict) in ["missing", "breaching", "notBreaching"].into_iter().zip(verdicts) {
            let aws = world();
            alarm(&aws, |rule| {
                (rule.periods, rule.breaching, rule.missing) = (3, 3, missing.to_owned());
            });
            assert_eq!(told(&aws, &values).await, verdict, "{missing} {values:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn missing_data_may_leave_an_alarm_as_it_is() {
    let aws = world();
    alarm(&aws, |rule| rule.missing = "ignore".to_owned());
    assert_eq!(told(&aws, &[Some(9.0)]).await, Some(true));
    assert_eq!(told(&aws, &[None; 10]).await, Some(true));
    assert_eq!(told(&aws, &[Some(1.0), None, None, None, None]).await, Some(false));
}

#[tokio::test(start_paused = true)]
async fn a_state_set_by_hand_yields_to_newer_data() {
    let aws = world();
    alarm(&aws, |_| {});
    aws.with(|w| w.set_alarm_state(&use1(), NAME, Some(true), "drill")).unwrap();
    assert_eq!(told(&aws, &[None, None]).await, Some(true));
    assert_eq!(told(&aws, &[Some(1.0)]).await, Some(false));
    assert_eq!(aws.with(|w| w.set_alarm_state(&use1(), "none", None, "drill")).unwrap_err().code, "ResourceNotFound");
}

#[tokio::test(start_paused = true)]
async fn a_check_of_route_53_follows_the_data_and_not_the_alarm() {
    let aws = world();
    let checks = ["LastKnownStatus", "Healthy", "Unhealthy"].map(|insufficient| {
        let kind = CheckKind::Alarm { region: use1(), name: NAME.to_owned() };
        let config = HealthCheckConfig { kind, inverted: false, disabled: false };
        aws.with(|w| {
            let check = w.create_check(insufficient, config).unwrap().id;
            w.labels.keep(&check, "InsufficientDataHealthStatus", insufficient);
            check
        })
    });
    let healthy = || aws.with(|w| checks.clone().map(|check| w.check_is_healthy(&check)));
    alarm(&aws, |_| {});
    assert_eq!(healthy(), [true, true, false], "before there is any data");
    told(&aws, &[Some(9.0)]).await;
    assert_eq!(healthy(), [false; 3]);
    aws.with(|w| w.set_alarm_state(&use1(), NAME, Some(false), "drill")).unwrap();
    assert_eq!(healthy(), [false; 3], "SetAlarmState cannot move a check");
    told(&aws, &[None, None, None, None]).await;
    assert_eq!(healthy(), [false, true, false], "the data has stopped");
    told(&aws, &[Some(1.0)]).await;
    assert_eq!(healthy(), [true; 3]);
}

#[tokio::test(start_paused = true)]
async fn an_alarm_on_what_aws_emits() {
    let aws = world();
    alarm(&aws, |rule| {
        let dimensions = [("TableName", "Orders".to_owned()), ("ReceivingRegion", "eu-west-1".to_owned())];
        rule.series = Series::new("AWS/DynamoDB", "ReplicationLatency", dimensions);
        rule.threshold = 1_000.0;
    });
    pass(121_000).await;
    let state = || aws.with(|w| w.alarm_state(&use1(), NAME));
    assert_eq!(state(), Some(false));
    aws.set_lag(&StoreId::Table("Orders".to_owned()), &euw1(), 2_000);
    pass(121_000).await;
    assert_eq!(state(), Some(true));
}

#[tokio::test(start_paused = true)]
async fn old_points_are_let_go() {
    let aws = world();
    pass(3 * 24 * 3_600_000).await;
    for _ in 0..2_000 {
        pass(60_000).await;
        aws.with(|_| ());
    }
    let dimensions = [("TableName", "Orders".to_owned()), ("ReceivingRegion", "eu-west-1".to_owned())];
    let series = Series::new("AWS/DynamoDB", "ReplicationLatency", dimensions);
    let kept = aws.with(|w| w.periods(&use1(), &series, 60_000, (0, u64::MAX)).len());
    assert_eq!(kept, 1_440, "a day of minutes");
}
