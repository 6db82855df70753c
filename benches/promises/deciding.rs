//! How long pure decisions take.

use std::collections::BTreeMap;

use failoverd_domain::fleet::{Actor, Command, Entry, FleetState, Role};
use failoverd_domain::health::{Matrix, Report, Route53Reading, SignalReading, Status, View};
use failoverd_domain::ids::{LogIndex, Region};
use failoverd_domain::manifest::read_set;
use failoverd_domain::plan::{Mode, Movement, PlanRequest};
use failoverd_domain::route53::{AliasTarget, Location, Place, Policy, Query, RecordSet, RecordType, answers};
use failoverd_domain::service::ServiceSpec;
use failoverd_domain::time::Timestamp;
use tokio::time::Instant;

use crate::trio::REGIONS;
use crate::{Measured, ms, percentile};

const SERVICES: usize = 1_000;
const SIGNALS: usize = 4;
const NOW: Timestamp = Timestamp(1_800_000_000_000);

/// The controller's look at the whole fleet.
pub fn tick() -> Vec<Measured> {
    let state = state();
    let view = View {
        me: REGIONS[0].into(),
        members: REGIONS.map(Region::from).to_vec(),
        stale_after_ms: 30_000,
        rehearses: None,
    };
    let case = |what: &str, matrix: &Matrix| {
        let mut took: Vec<f64> = (0..200)
            .map(|_| {
                let begun = Instant::now();
                std::hint::black_box(tick_once(&state, matrix, &view));
                ms(begun.elapsed())
            })
            .collect();
        let what = format!("controller tick, {SERVICES} services, {SIGNALS} signals, {what}: p50");
        Measured::new(what, percentile(&mut took, 0.5), 5.0, "ms")
    };
    vec![case("all healthy", &matrix(&state, None)), case("a Region down", &matrix(&state, Some(REGIONS[0])))]
}

fn tick_once(state: &FleetState, matrix: &Matrix, view: &View) -> usize {
    let proposed = failoverd_domain::fleet::tick(NOW, state, matrix, view).len();
    // A bench of refusals would measure nothing.
    assert!(proposed == 0 || proposed == 32, "{proposed}");
    proposed
}

/// What Route 53 would answer for a name with a hundred geolocation records on two levels, and why.
pub fn explain() -> Vec<Measured> {
    let location = |n: usize| match n {
        0 => Location::Default,
        _ => Location::Country(format!("{}{}", char::from(b'A' + (n / 26) as u8), char::from(b'A' + (n % 26) as u8))),
    };
    let plain = |name: String, policy, values: Vec<String>| RecordSet {
        name,
        record_type: RecordType::A,
        set_identifier: None,
        policy,
        ttl_s: Some(60),
        values,
        alias: None,
        health_check: None,
    };
    let records: Vec<RecordSet> = (0..100)
        .flat_map(|n| {
            let inner = format!("fo-{n}.orders.example.com");
            let mut public = plain("orders.example.com".to_owned(), Policy::Geolocation(location(n)), Vec::new());
            public.set_identifier = Some(format!("place {n}"));
            public.ttl_s = None;
            public.alias = Some(AliasTarget {
                dns_name: inner.clone(),
                hosted_zone: "example.com".to_owned(),
                evaluate_target_health: true,
            });
            [public, plain(inner, Policy::Simple, vec![format!("192.0.2.{n}")])]
        })
        .collect();
    let from = Place { country: Some("BC".to_owned()), ..Place::default() };
    let query = Query { name: "orders.example.com".to_owned(), record_type: RecordType::A, from, draw: 0 };
    let mut took: Vec<f64> = (0..500)
        .map(|_| {
            let begun = Instant::now();
            let found = std::hint::black_box(answers(&records, &|_| true, &query));
            let took = ms(begun.elapsed());
            assert_eq!(found[0].considered.len(), 101, "a bench of nothing would measure nothing");
            took
        })
        .collect();
    vec![Measured::new(
        "an answer among 100 geolocation records is explained: p99",
        percentile(&mut took, 0.99),
        1.0,
        "ms",
    )]
}

/// One service's plan, with its hash.
pub fn plan() -> Vec<Measured> {
    let text = include_str!("../../examples/checkout.yaml");
    let spec = read(text).remove(0);
    let (from, to) = (spec.regions[0].clone(), spec.regions[1].clone());
    let request = PlanRequest {
        spec: &spec,
        spec_index: LogIndex(7),
        from: &from,
        to: &to,
        mode: Mode::Forced,
        movement: Movement::Failover,
        moves_writers: true,
    };
    let mut took: Vec<f64> = (0..1_000)
        .map(|_| {
            let begun = Instant::now();
            std::hint::black_box(failoverd_domain::plan::plan(&request).hash());
            ms(begun.elapsed())
        })
        .collect();
    vec![Measured::new("a service with three stores is planned: p99", percentile(&mut took, 0.99), 1.0, "ms")]
}

fn members() -> BTreeMap<Region, Role> {
    REGIONS.iter().map(|region| (Region::from(*region), Role::Member)).collect()
}

pub fn read(text: &str) -> Vec<ServiceSpec> {
    let read = read_set([("bench", text.as_bytes())], &members(), &[]);
    read.unwrap_or_else(|problems| panic!("{problems:?}")).services
}

pub fn manifest(number: usize) -> String {
    let signals: String = (0..SIGNALS)
        .map(|signal| {
            format!("      - {{ name: signal-{signal}, http: {{ url: 'http://{{region}}.s{number}.example.com/{signal}' }} }}\n")
        })
        .collect();
    format!(
        "apiVersion: failoverd.dev/v1\nkind: FailoverService\nmetadata: {{ name: s{number} }}\nspec:\n  \
         pattern: active-passive\n  regions: [{}, {}]\n  objectives: {{ rto: 5m, rpo: 5s }}\n  \
         policy: {{ failover: automatic }}\n  health:\n    signals:\n{signals}  \
         traffic:\n    hosted_zone: example.com\n    switch: http\n    records:\n      \
         - name: s{number}.example.com\n        type: A\n        routing: failover\n        ttl: 30s\n        \
         targets:\n          {}: {{ values: ['192.0.2.10'] }}\n          {}: {{ values: ['192.0.2.20'] }}\n",
        REGIONS[0], REGIONS[1], REGIONS[0], REGIONS[1]
    )
}

pub fn state() -> FleetState {
    let mut state = FleetState::default();
    let mut apply = |command| {
        let entry = Entry::new(NOW.minus_ms(3_600_000), Actor::Operator("bench".to_owned()), command);
        let index = LogIndex(state.applied.0 + 1);
        state.apply(index, &entry).result.unwrap_or_else(|refused| panic!("{refused:?}"));
    };
    apply(Command::Form { fleet: "bench".into(), members: members() });
    for number in 0..SERVICES {
        let specs = read(&manifest(number));
        let token = (specs[0].switch_group(), specs[0].regions[0].clone(), format!("{number:032x}"));
        apply(Command::Apply { specs, drills: Vec::new(), prune: false, tokens: vec![token] });
    }
    let settled: Vec<Command> = state
        .services
        .values()
        .map(|held| Command::Settled {
            service: held.spec.name.clone(),
            epoch: held.epoch,
            spec_index: held.spec_index,
            seen: LogIndex(0),
        })
        .collect();
    for command in settled {
        let entry = Entry::new(NOW.minus_ms(3_600_000), Actor::Daemon(REGIONS[0].into()), command);
        let index = LogIndex(state.applied.0 + 1);
        state.apply(index, &entry).result.unwrap_or_else(|refused| panic!("{refused:?}"));
    }
    assert_eq!(state.services.len(), SERVICES);
    state
}

/// Route 53's checkers see what the daemons see.
fn route53(state: &FleetState, down: Option<&str>) -> Vec<Route53Reading> {
    let reading = |spec: &ServiceSpec, region: &Region| Route53Reading {
        service: spec.name.clone(),
        region: region.clone(),
        status: if Some(region.as_str()) == down { Status::Bad } else { Status::Good },
        age_ms: 500,
    };
    let services = state.services.values().map(|service| &service.spec);
    services.flat_map(|spec| spec.regions.iter().map(move |region| reading(spec, region))).collect()
}

/// Everybody sees every signal in every Region; those of `down` have been bad for long.
fn matrix(state: &FleetState, down: Option<&str>) -> Matrix {
    let mut matrix = Matrix::default();
    for observer in REGIONS {
        let reading = |spec: &ServiceSpec, region: &Region, signal: usize| {
            let bad = Some(region.as_str()) == down;
            SignalReading {
                service: spec.name.clone(),
                region: region.clone(),
                signal: spec.health.signals[signal].name.clone(),
                status: if bad { Status::Bad } else { Status::Good },
                held_ms: 600_000,
                age_ms: 500,
                breached: bad,
                detail: String::new(),
                latency_ms: None,
            }
        };
        let services = state.services.values().map(|service| &service.spec);
        let signals = services.flat_map(|spec| {
            spec.regions.iter().flat_map(move |region| (0..SIGNALS).map(move |signal| reading(spec, region, signal)))
        });
        let report = Report {
            observer: observer.into(),
            build: Default::default(),
            seq: 1,
            sent_at: NOW.minus_ms(500),
            applied: state.applied,
            history_confirmed: None,
            reaches: REGIONS.iter().filter(|other| **other != observer).map(|other| Region::from(*other)).collect(),
            references: BTreeMap::from([("far-away-1".into(), true)]),
            signals: signals.collect(),
            stores: Vec::new(),
            route53: route53(state, down),
            control_planes: BTreeMap::new(),
            votes: Vec::new(),
            checks: Vec::new(),
            rehearsals: Vec::new(),
            through: Vec::new(),
            settings: None,
        };
        matrix.take(NOW.minus_ms(500), report);
    }
    matrix
}
