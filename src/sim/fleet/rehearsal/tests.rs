//! Services rehearse as a leader has them rehearse; what is told is what people read.

use std::collections::BTreeMap;
use std::sync::Arc;

use failoverd_domain::drill::{ComesBack, DrillKind, DrillPhase, DrillRun, DrillSpec, course};
use failoverd_domain::fleet::{Actor, Bit, FleetState, Member, Role, ServiceState, Settlement, Switch};
use failoverd_domain::health::{Matrix, ReplicaReadiness, Report, SignalReading, Status, StoreReading, View};
use failoverd_domain::ids::{Epoch, LogIndex, Region};
use failoverd_domain::manifest::read_set;
use failoverd_domain::service::{Pattern, ServiceSpec};
use failoverd_domain::time::Timestamp;

use super::SimulatedRehearsals;
use crate::ports::{Observed, Rehearsals, Rehearsed};
use crate::runtime::Timing;
use crate::sim::fleet::{EU_WEST, REGIONS, US_EAST, US_WEST, region};

const NOW: Timestamp = Timestamp(1_767_225_600_000);

fn roles() -> BTreeMap<Region, Role> {
    let role = |name: &str| if name == US_WEST { Role::Witness } else { Role::Member };
    REGIONS.map(|name| (region(name), role(name))).into()
}

/// The services of a manifest of `examples/`, with some words changed.
fn services(file: &str, changes: &[(&str, &str)]) -> Vec<ServiceSpec> {
    let path = format!("{}/examples/{file}", env!("CARGO_MANIFEST_DIR"));
    let mut text = std::fs::read_to_string(path).unwrap();
    for (from, to) in changes {
        assert!(text.contains(from), "{file} has no {from}");
        text = text.replace(from, to);
    }
    read_set([(file, text.as_bytes())], &roles(), &[]).unwrap().services
}

/// A fleet whose services have just been applied and are steady.
fn state(specs: &[ServiceSpec]) -> FleetState {
    let members = roles().into_iter().map(|(region, role)| (region, Member { role, switch: None })).collect();
    let mut state = FleetState { fleet: "prod".into(), members, ..FleetState::default() };
    for spec in specs {
        let bit = |region: &Region| {
            let token = region.to_string();
            (region.clone(), Bit { on: true, since: NOW, index: LogIndex(1), token, share: 100 })
        };
        let count = if spec.pattern == Pattern::ActiveActive { spec.regions.len() } else { 1 };
        let bits = spec.regions.iter().take(count).map(bit).collect();
        let switch = Switch { pattern: spec.pattern, regions: spec.regions.clone(), bits };
        state.switches.insert(spec.switch_group(), switch);
        let first = spec.regions[0].clone();
        let settlement =
            Settlement { settled: Some((Epoch(1), LogIndex(1))), carries_traffic: true, ..Default::default() };
        let service = ServiceState {
            spec: Arc::new(spec.clone()),
            spec_index: LogIndex(1),
            epoch: Epoch(1),
            chosen: first.clone(),
            primary: first,
            primary_since: NOW,
            paused: false,
            settlement,
            runs: 0,
            last_run_at: None,
            attention: None,
            lost_writes: BTreeMap::new(),
            way_back: None,
            licences: Vec::new(),
            durations: BTreeMap::new(),
        };
        state.services.insert(spec.name.clone(), service);
    }
    state
}

/// What everybody sees now; `bad` and `unready` are of the standby.
fn reports(spec: &ServiceSpec, bad: &[Region], unready: Option<&str>) -> Matrix {
    let mut matrix = Matrix::default();
    for name in REGIONS {
        let mut report = Report {
            observer: region(name),
            build: Default::default(),
            seq: 1,
            sent_at: NOW,
            reaches: REGIONS.map(region).into(),
            references: REGIONS.map(|name| (region(name), true)).into(),
            ..empty()
        };
        for at in &spec.regions {
            let reading = |signal: &failoverd_domain::service::Signal| SignalReading {
                service: spec.name.clone(),
                region: at.clone(),
                signal: signal.name.clone(),
                status: if bad.contains(at) { Status::Bad } else { Status::Good },
                held_ms: 60_000,
                age_ms: 0,
                breached: bad.contains(at),
                detail: String::new(),
                latency_ms: None,
            };
            report.signals.extend(spec.health.signals.iter().map(reading));
            let store = |store: &failoverd_domain::service::Store| StoreReading {
                service: spec.name.clone(),
                store: store.name.clone(),
                region: at.clone(),
                readiness: match unready {
                    Some(why) if at.as_str() == EU_WEST => ReplicaReadiness::NotReady(why.to_owned()),
                    _ => ReplicaReadiness::Ready,
                },
                writer: None,
                canary: None,
                lag_ms: Some((400, 0)),
                age_ms: 0,
            };
            report.stores.extend(spec.data.iter().map(store));
        }
        matrix.take(NOW, report);
    }
    matrix
}

fn empty() -> Report {
    Report {
        observer: region(US_EAST),
        build: Default::default(),
        settings: None,
        seq: 1,
        sent_at: NOW,
        applied: LogIndex(1),
        history_confirmed: None,
        control_planes: BTreeMap::new(),
        signals: Vec::new(),
        stores: Vec::new(),
        route53: Vec::new(),
        reaches: Vec::new(),
        references: BTreeMap::new(),
        votes: Vec::new(),
        checks: Vec::new(),
        rehearsals: Vec::new(),
        through: Vec::new(),
    }
}

fn drill(state: &FleetState, spec: &ServiceSpec) -> DrillRun {
    let drill = DrillSpec {
        name: "simulated".into(),
        labels: BTreeMap::new(),
        service: spec.name.clone(),
        kind: DrillKind::Simulate,
        from: None,
        to: None,
        schedule: None,
        hypothesis: "it moves".to_owned(),
        guardrails: Vec::new(),
        hold_ms: 0,
        comes_back: ComesBack::Automatic,
        approvals: 0,
    };
    let way = course(state, &drill).unwrap();
    let actor = Actor::Operator("alice".to_owned());
    let opened = DrillRun::opened("simulated.1".into(), Arc::new(drill), way, actor, NOW);
    DrillRun { phase: DrillPhase::Simulating, began_at: Some(NOW), ..opened }
}

async fn rehearse(spec: &ServiceSpec, state: FleetState, matrix: Matrix) -> Rehearsed {
    let view =
        View { me: region(EU_WEST), members: REGIONS.map(region).into(), stale_after_ms: 5_000, rehearses: None };
    let drill = drill(&state, spec);
    let observed = Observed { now: NOW, state: Arc::new(state), matrix: Arc::new(matrix), view };
    let ended = SimulatedRehearsals::new(Timing::default()).rehearse(&drill, observed).await;
    assert!(ended.told.len() <= 60, "{ended:#?}");
    ended
}

async fn of(file: &str, changes: &[(&str, &str)], bad: &[&str], unready: Option<&str>) -> Rehearsed {
    let specs = services(file, changes);
    let bad: Vec<Region> = bad.iter().map(|name| region(name)).collect();
    rehearse(&specs[0], state(&specs), reports(&specs[0], &bad, unready)).await
}

fn tells(ended: &Rehearsed, what: &str) {
    assert!(ended.told.iter().any(|line| line.contains(what)), "nobody tells of {what:?}: {ended:#?}");
}

#[tokio::test]
async fn a_pair_moves_by_itself_and_every_step_is_told() {
    let ended = of("checkout.yaml", &[], &[], None).await;
    assert!(ended.passed, "{ended:#?}");
    assert!(ended.sentence.contains("checkout moves to eu-west-1 by itself, verified after"), "{ended:#?}");
    assert!(ended.rto_ms.is_some_and(|rto_ms| rto_ms > 5_000 && rto_ms < 300_000), "{ended:#?}");
    for what in ["us-east-1 is lost", "orders-db in eu-west-1 is 400 ms behind", "step promote", "at stake: orders-db"]
    {
        tells(&ended, what);
    }
    tells(&ended, "api.example.com is answered from eu-west-1");
}

#[tokio::test]
async fn a_pair_that_was_moved_before_rehearses_the_other_way() {
    let specs = services("checkout.yaml", &[]);
    let mut state = state(&specs);
    let service = state.services.get_mut(&specs[0].name).unwrap();
    (service.primary, service.chosen) = (region(EU_WEST), region(EU_WEST));
    let ended = rehearse(&specs[0], state, reports(&specs[0], &[], None)).await;
    assert!(ended.passed, "{ended:#?}");
    tells(&ended, "api.example.com is answered from us-east-1");
}

#[tokio::test]
async fn a_service_of_two_regions_that_only_people_move_is_moved_by_one() {
    let ended = of("orders-active-active.yaml", &[], &[], None).await;
    assert!(ended.passed, "{ended:#?}");
    assert!(ended.sentence.contains("orders leaves it"), "{ended:#?}");
    assert!(ended.sentence.contains("after a person asked for it"), "{ended:#?}");
}

#[tokio::test]
async fn a_standby_that_is_bad_now_does_not_take_over_and_it_is_said_why() {
    let ended = of("checkout.yaml", &[], &[EU_WEST], None).await;
    assert!(!ended.passed, "{ended:#?}");
    assert!(ended.sentence.contains("checkout does not move: standby-ready"), "{ended:#?}");
    tells(&ended, "now: front-door is bad in eu-west-1, as 3 of 3 see it");
    assert_eq!(ended.rto_ms, None);
}

#[tokio::test]
async fn a_copy_that_could_not_take_over_now_is_not_made_whole_for_the_simulation() {
    let ended = of("checkout.yaml", &[], &[], Some("it is being made")).await;
    assert!(!ended.passed, "{ended:#?}");
    let why = "the copy of orders-db in eu-west-1 could not take over now: it is being made";
    assert_eq!(ended.sentence, why);
}

#[tokio::test]
async fn an_objective_that_cannot_be_kept_is_missed() {
    let ended = of("checkout.yaml", &[("rto: 5m", "rto: 20s")], &[], None).await;
    assert!(!ended.passed, "{ended:#?}");
    assert!(ended.sentence.contains("over its RTO of 20.0 s"), "{ended:#?}");
    assert!(ended.rto_ms.is_some(), "{ended:#?}");
}

#[tokio::test]
async fn every_example_comes_to_an_end_in_words() {
    for file in ["active-passive.yaml", "serverless-ml.yaml", "storefront.yaml"] {
        let specs = services(file, &[]);
        let state = state(&specs);
        for spec in &specs {
            // Services that share a switch are drilled with the one that leads.
            if state.moves_with(spec).is_some() {
                continue;
            }
            let ended = rehearse(spec, state.clone(), reports(spec, &[], None)).await;
            assert!(!ended.sentence.contains("please report this"), "{file}: {ended:#?}");
            assert!(ended.passed, "{file}: {ended:#?}");
        }
    }
}
