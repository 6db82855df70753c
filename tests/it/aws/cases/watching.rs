//! Alarms, lag, the fleet's own figures, and permissions.

use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{ComparisonOperator, Dimension, MetricDatum, StateValue, Statistic};
use failoverd::ports::{Action, Age, Figure, World};
use failoverd_domain::ids::Region;
use failoverd_domain::route53::{CheckKind, HealthCheckConfig};
use failoverd_domain::service::{Store, StoreKind};
use failoverd_domain::traffic::{FIGURE, FLEET, GROUP, REGION, SwitchAlarm, switch_alarm};

use crate::aws::ground::{EU, Ground, US, until};

const HOUR_MS: i64 = 3_600_000;

pub async fn an_alarm_tells_its_state(ground: &Ground) {
    let cloudwatch = ground.cloudwatch(EU).await;
    let alarm = cloudwatch.put_metric_alarm().alarm_name("slo").namespace("shop").metric_name("errors");
    let alarm = alarm.comparison_operator(ComparisonOperator::GreaterThanThreshold).threshold(5.0).period(60);
    alarm.evaluation_periods(1).statistic(Statistic::Maximum).send().await.unwrap();
    let world = ground.world(US);
    for (state, told) in
        [(StateValue::Alarm, Some(true)), (StateValue::Ok, Some(false)), (StateValue::InsufficientData, None)]
    {
        let set = cloudwatch.set_alarm_state().alarm_name("slo").state_value(state).state_reason("test");
        set.send().await.unwrap();
        assert_eq!(world.metrics.alarm(&EU.into(), "slo").await.unwrap(), told);
    }
}

pub async fn lag_comes_with_its_age(ground: &Ground) {
    let store = Store {
        name: "ledger".into(),
        kind: StoreKind::Rds {
            instances: [(US.into(), "lag-use1".to_owned()), (EU.into(), "lag-euw1".to_owned())].into(),
            rebuild: true,
        },
        canary: None,
        fence: None,
    };
    match &ground.aws {
        // AWS emits by itself.
        Some(aws) => {
            aws.make_instance(&US.into(), "lag-use1", None);
            aws.make_instance(&EU.into(), "lag-euw1", Some((&US.into(), "lag-use1")));
        }
        None => {
            let dimension = Dimension::builder().name("DBInstanceIdentifier").value("lag-euw1").build();
            let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
            let datum = |value: f64, age_s: u64| {
                let at = DateTime::from_secs(i64::try_from(now - age_s).unwrap());
                MetricDatum::builder()
                    .metric_name("ReplicaLag")
                    .dimensions(dimension.clone())
                    .value(value)
                    .timestamp(at)
                    .build()
            };
            let put = ground.cloudwatch(EU).await.put_metric_data().namespace("AWS/RDS");
            put.metric_data(datum(9.0, 240)).metric_data(datum(0.15, 70)).send().await.unwrap();
        }
    }
    // How old it is does not hang on the daemon's clock.
    let world = ground.world_off_by(US, HOUR_MS);
    let (lag_ms, age_ms) = until("a figure is there", || async {
        match world.metrics.replication_lag(&EU.into(), &store).await {
            Ok(Some(found)) => Ok(found),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    assert_eq!(lag_ms, 150);
    assert!(age_ms < 200_000, "{age_ms}");
}

pub async fn figures_of_the_fleet_are_published(ground: &Ground) {
    let figure = |value| Figure {
        name: "Serving",
        dimensions: vec![("Service", "shop".to_owned())],
        value,
        newest_decides: false,
    };
    let world = ground.world(EU);
    world.metrics.publish(&EU.into(), &[figure(1.0)]).await.unwrap();
    if ground.aws.is_some() && ground.name == "ports" {
        return;
    }
    let cloudwatch = ground.cloudwatch(EU).await;
    until("the figure is there", || async {
        let found =
            cloudwatch.list_metrics().namespace("failoverd").send().await.map_err(|error| format!("{error:?}"))?;
        let named = |metric: &aws_sdk_cloudwatch::types::Metric| metric.metric_name() == Some("Serving");
        found.metrics().iter().any(named).then_some(()).ok_or_else(|| "no such metric".to_owned())
    })
    .await;
}

fn word(alarm: &SwitchAlarm, on: bool) -> Figure {
    let of = |name: &str| alarm.rule.dimensions.iter().find(|(held, _)| held == name).unwrap().1.clone();
    let dimensions = [FLEET, GROUP, REGION].map(|name| (name, of(name))).to_vec();
    Figure { name: FIGURE, dimensions, value: if on { 1.0 } else { 0.0 }, newest_decides: true }
}

pub async fn an_alarm_of_a_switch_comes_back_as_it_was_made(ground: &Ground) {
    let (eu, world) = (Region::from(EU), ground.world(EU));
    let alarm = switch_alarm(&"prod".into(), &"made".into(), &US.into(), &eu);
    let named = [alarm.name.clone(), "failoverd/prod/sw/nowhere".to_owned()];
    assert_eq!(world.alarms.describe(&eu, &named).await.unwrap(), []);
    let mut other = alarm.clone();
    (other.rule.periods, other.datapoints) = (2, 2);
    // Once wrong, and twice right.
    for put in [&other, &alarm, &alarm] {
        world.alarms.put(&eu, put).await.unwrap();
        let standing = world.alarms.describe(&eu, &named).await.unwrap();
        assert_eq!(standing.iter().map(|stands| &stands.alarm).collect::<Vec<_>>(), [put]);
    }
    assert_eq!(world.alarms.describe(&US.into(), &named).await.unwrap(), [], "it is in one Region");
}

pub async fn a_switchs_alarm_says_what_was_published(ground: &Ground) {
    follows_every_word(&ground.world(EU), "said").await;
}

pub async fn a_switchs_alarm_hears_a_daemon_whose_clock_is_hours_off(ground: &Ground) {
    for (ahead_ms, group) in [(3 * HOUR_MS, "ahead"), (-3 * HOUR_MS, "behind")] {
        let world = ground.world_off_by(EU, ahead_ms);
        // The first call tells AWS's time, and is refused for what it was signed with. The next is a change, and is taken.
        let _ = world.alarms.describe(&EU.into(), &["failoverd/prod/sw/nowhere".to_owned()]).await;
        follows_every_word(&world, group).await;
    }
}

async fn follows_every_word(world: &World, group: &str) {
    let eu = Region::from(EU);
    let alarm = switch_alarm(&"prod".into(), &group.into(), &US.into(), &eu);
    world.alarms.put(&eu, &alarm).await.unwrap();
    let names = [alarm.name.clone()];
    // All within a minute, and so each against what was said before it.
    for on in [true, false, true, false] {
        world.metrics.publish(&eu, &[word(&alarm, on)]).await.unwrap();
        until("the alarm follows", || async {
            let standing = world.alarms.describe(&eu, &names).await.map_err(|error| error.to_string())?;
            let state = standing.first().and_then(|stands| stands.state);
            (state == Some(!on)).then_some(()).ok_or_else(|| format!("{standing:?}"))
        })
        .await;
    }
}

pub async fn a_check_copies_its_alarms_rule_when_it_is_made_and_when_it_is_updated(ground: &Ground) {
    let (eu, world) = (Region::from(EU), ground.world(US));
    let alarm = switch_alarm(&"prod".into(), &"copied".into(), &US.into(), &eu);
    let mut old = alarm.clone();
    old.rule.periods = 3;
    world.alarms.put(&eu, &old).await.unwrap();
    let kind = CheckKind::Alarm { region: eu.clone(), name: alarm.name.clone() };
    let config = HealthCheckConfig { kind, inverted: false, disabled: false };
    let made = world.health_checks.create("failoverd/prod/sw/copied/us-east-1/alarm", config.clone()).await.unwrap();
    assert_eq!(made.copied.as_ref(), Some(&old.rule));
    world.alarms.put(&eu, &alarm).await.unwrap();
    let listed = world.health_checks.list(Age::Now).await.unwrap();
    let held = listed.iter().find(|check| check.id == made.id).cloned().unwrap();
    assert_eq!(held.copied.as_ref(), Some(&old.rule), "a change of the alarm alone is not seen");
    let updated = world.health_checks.update(&held, config.clone()).await.unwrap();
    assert_eq!((updated.copied.as_ref(), &updated.config), (Some(&alarm.rule), &config));
    world.health_checks.delete(&updated).await.unwrap();
}

pub async fn we_know_who_we_are_and_what_we_may_not(ground: &Ground) {
    let (world, us) = (ground.world(US), Region::from(US));
    let identity = world.permissions.identity().await.unwrap();
    assert_eq!((identity.account.as_str(), identity.partition.as_str()), ("123456789012", "aws"));
    assert!(identity.arn.contains("assumed-role/failoverd"), "{identity:?}");
    let action = |name: &str| Action { name: name.to_owned(), resource: "*".to_owned() };
    let actions = [action("rds:FailoverGlobalCluster"), action("route53:ChangeResourceRecordSets")];
    assert_eq!(world.permissions.denied(&actions).await.unwrap(), []);
    ground.aws.as_ref().unwrap().deny(&us, "rds:FailoverGlobalCluster", true);
    let denied = world.permissions.denied(&actions).await.unwrap();
    assert_eq!(denied, [(action("rds:FailoverGlobalCluster"), "explicitDeny".to_owned())]);
    let moved = world.aurora.failover(&us, "nothing", &us).await.unwrap_err();
    assert_ne!(moved.effect, failoverd::ports::Effect::Unknown);
}
