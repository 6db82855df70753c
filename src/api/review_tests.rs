//! Reviews against the simulated AWS.

use failoverd_domain::fleet::Actor;
use failoverd_domain::ids::ServiceName;
use failoverd_domain::manifest::read_set;
use failoverd_domain::route53::{Change, RecordType};
use failoverd_domain::service::Endpoint;
use failoverd_domain::traffic::{SettleAction, settle};

use super::*;
use crate::api::apply;
use crate::api::fake::{NOW, reachable, simulated_aws};
use crate::sim::world::SimulatedAws;

/// The checkout example, as its owner wrote it.
fn example() -> ServiceSpec {
    let text = include_bytes!("../../examples/checkout.yaml");
    let regions = reachable().members.iter().map(|(region, member)| (region.clone(), member.role)).collect();
    read_set([("checkout.yaml", text.as_slice())], &regions, &[]).unwrap().services.remove(0)
}

fn entry(spec: &ServiceSpec) -> Entry {
    let command = apply::command(vec![spec.clone()], Vec::new(), false);
    Entry::new(NOW, Actor::Operator("somebody".to_owned()), command)
}

fn ports(aws: &SimulatedAws) -> World {
    aws.ports("us-east-1".into()).into_world()
}

async fn asked(aws: &SimulatedAws, state: &FleetState, spec: &ServiceSpec) -> Review {
    review(&ports(aws), state, &entry(spec), std::slice::from_ref(spec)).await.unwrap()
}

/// Applies the service and settles it, by settlement's own function.
async fn settled(aws: &SimulatedAws, spec: &ServiceSpec) -> FleetState {
    let mut state = reachable();
    state.apply(LogIndex(state.applied.0 + 1), &entry(spec)).result.unwrap();
    let (world, name) = (ports(aws), ServiceName::new("checkout"));
    let service = state.services[&name].clone();
    let wanted = survey::wanted(&state, &service).unwrap();
    let mark = survey::looking_mark(&state, service.epoch);
    let mark = failoverd_domain::traffic::FenceMark { index: state.applied, ..mark };
    loop {
        let (checks, records) = (
            world.health_checks.list(Age::Now).await.unwrap(),
            world.records.list("example.com", Age::Now).await.unwrap(),
        );
        let actions = settle(&wanted, &mark, &checks, &records);
        if actions.is_empty() {
            return state;
        }
        for action in actions {
            match action {
                SettleAction::CreateCheck { reference, config } => {
                    drop(world.health_checks.create(&reference, config).await.unwrap());
                }
                SettleAction::ChangeRecords { changes } => {
                    drop(world.records.change("example.com", changes).await.unwrap());
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

fn with_values(spec: &ServiceSpec, value: &str) -> ServiceSpec {
    let mut changed = spec.clone();
    for record in &mut changed.traffic.records {
        for target in record.targets.values_mut() {
            target.endpoint = Endpoint::Values(vec![value.to_owned()]);
        }
    }
    changed
}

#[tokio::test(start_paused = true)]
async fn the_example_applies_to_a_near_empty_zone_without_any_confirmation() {
    let (aws, spec) = (simulated_aws(), example());
    aws.provision(&spec);
    let review = asked(&aws, &reachable(), &spec).await;
    assert_eq!(review.judge(&[]), Ok(()));
    assert!(review.changes.iter().all(|change| change.action == "create"), "{:#?}", review.changes);
    assert!(review.changes.iter().any(|change| change.resource == "record A api.example.com \"us-east-1\""));
    let HealthCheckUse { add, used, limit } = review.health_checks;
    assert_eq!((add, used, limit), (10, Some(0), Some(200)), "six voices, two votes, two views from outside");
    assert!(review.monthly_cost_usd > 10.0 && review.monthly_cost_usd < 100.0, "{}", review.monthly_cost_usd);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_said_by_name_with_what_to_do() {
    let (aws, spec) = (simulated_aws(), example());
    aws.create_zone("example.com", &[]);
    let review = asked(&aws, &reachable(), &spec).await;
    let said = |words: &[&str]| review.warnings.iter().any(|it| words.iter().all(|word| it.contains(word)));
    for words in [
        ["checkout/orders-db in eu-west-1: replica-present is not-ready", "create-global-cluster"],
        ["checkout/orders in us-east-1: replica-present is not-ready", "role_arn"],
        ["checkout/media in eu-west-1: replica-present is not-ready", "s3.buckets"],
    ] {
        assert!(said(&words), "{words:?} is not in {:#?}", review.warnings);
    }
    assert_eq!(review.judge(&[]), Ok(()), "a resource may be made later: it is a warning");
}

#[tokio::test(start_paused = true)]
async fn buckets_without_versions_and_roles_that_may_not_are_warned_about() {
    let (aws, spec) = (simulated_aws(), example());
    aws.create_bucket(&"us-east-1".into(), "media-use1", false);
    aws.provision(&spec);
    aws.deny(&"us-east-1".into(), "rds:FailoverGlobalCluster", true);
    let review = asked(&aws, &reachable(), &spec).await;
    for words in ["versioning is not-ready: media-use1", "IAM denies rds:FailoverGlobalCluster on arn:aws:rds"] {
        assert!(review.warnings.iter().any(|it| it.contains(words)), "{words} is not in {:#?}", review.warnings);
    }
}

#[tokio::test(start_paused = true)]
async fn a_region_that_does_not_answer_is_said_and_holds_nobody_up() {
    let (aws, spec) = (simulated_aws(), example());
    aws.provision(&spec);
    aws.break_region(&"eu-west-1".into());
    let before = tokio::time::Instant::now();
    let review = asked(&aws, &reachable(), &spec).await;
    assert!(before.elapsed() < Duration::from_secs(15));
    let silent = |it: &&String| it.contains("in eu-west-1: replica-present is unknown");
    assert_eq!(review.warnings.iter().filter(silent).count(), 3, "{:#?}", review.warnings);
    assert!(review.judge(&[]).is_ok() && !review.changes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_foreign_record_refuses_the_apply_and_is_named() {
    let (aws, spec) = (simulated_aws(), example());
    aws.provision(&spec);
    let foreign = RecordSet::simple("api.example.com", RecordType::A, 60, vec!["198.51.100.1".to_owned()]);
    ports(&aws).records.change("example.com", vec![Change::Create(foreign)]).await.unwrap();
    let review = asked(&aws, &reachable(), &spec).await;
    let refusal = review.judge(&["example.com".to_owned()]).unwrap_err();
    assert_eq!((refusal.code, refusal.violations.len()), (ErrorCode::InTheWay, 1));
    assert!(refusal.violations[0].description.starts_with("api.example.com: "), "{refusal:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_settled_and_unchanged_shows_no_change() {
    let (aws, spec) = (simulated_aws(), example());
    aws.provision(&spec);
    let state = settled(&aws, &spec).await;
    let review = asked(&aws, &state, &spec).await;
    assert!(review.changes.is_empty() && review.blocked.is_empty(), "{:#?}", review.changes);
    assert_eq!(review.health_checks.add, 0);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_touches_much_of_a_zone_needs_its_name() {
    let (aws, spec) = (simulated_aws(), example());
    aws.provision(&spec);
    let state = settled(&aws, &spec).await;
    let one = asked(&aws, &state, &with_values(&spec, "192.0.2.99")).await;
    assert!(one.needs_confirm.is_empty(), "2 of 8 records: {:?}", one.needs_confirm);
    let mut weighted = spec.clone();
    weighted.traffic.records[0].routing = failoverd_domain::service::Routing::Weighted;
    for target in weighted.traffic.records[0].targets.values_mut() {
        target.endpoint = Endpoint::Values(vec!["192.0.2.98".to_owned()]);
    }
    let all = asked(&aws, &state, &weighted).await;
    let refusal = all.judge(&["example.org".to_owned()]).unwrap_err();
    assert_eq!(refusal.code, ErrorCode::ConfirmationNeeded);
    assert!(refusal.violations[0].description.contains("add --confirm example.com"), "{refusal:?}");
    assert!(refusal.violations[0].description.contains("4 of the 8 records"), "{refusal:?}");
    assert_eq!(all.judge(&["example.com".to_owned()]), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_change_of_traffic_that_nobody_can_measure_needs_the_zones_name() {
    let (aws, spec) = (simulated_aws(), example());
    aws.provision(&spec);
    let state = settled(&aws, &spec).await;
    aws.break_route53_api();
    let review = asked(&aws, &state, &with_values(&spec, "192.0.2.99")).await;
    assert_eq!(review.judge(&[]).unwrap_err().code, ErrorCode::ConfirmationNeeded);
    let mut quicker = spec.clone();
    quicker.objectives.rto_ms = 60_000;
    assert_eq!(asked(&aws, &state, &quicker).await.judge(&[]), Ok(()), "traffic stays as it is");
}

#[tokio::test(start_paused = true)]
async fn a_manifest_that_the_state_would_refuse_is_refused_beforehand() {
    let (aws, spec) = (simulated_aws(), example());
    let mut other = spec.clone();
    other.regions.reverse();
    let mut state = reachable();
    state.apply(LogIndex(state.applied.0 + 1), &entry(&spec)).result.unwrap();
    let refused = review(&ports(&aws), &state, &entry(&other), &[other.clone()]).await.unwrap_err();
    assert_eq!(refused.reason, "SWITCH_FIXED");
}
