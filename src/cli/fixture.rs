//! For tests: one fleet with a finished run, as messages.

use crate::api::convert::time;
use crate::api::fake::{self, NOW};
use crate::api::{convert, proto};

pub fn run() -> proto::Run {
    let run = fake::run("checkout-1");
    convert::run(&run, Some(&fake::spec("checkout")))
}

pub fn events() -> Vec<proto::Event> {
    fake::events(3).into_iter().map(convert::event).collect()
}

fn region(name: &str, role: proto::FleetRole, reachable: bool) -> proto::RegionStatus {
    proto::RegionStatus {
        region: name.to_owned(),
        role: role.into(),
        leader: name == "eu-west-1",
        reachable,
        report_age_ms: Some(400),
        applied_index: Some(42),
        history_lag: (role == proto::FleetRole::Member).then_some(0),
        clock_skew_ms: Some(-3),
        control_plane: proto::HealthStatus::Good.into(),
        reaches: vec!["us-west-2".to_owned()],
    }
}

fn service_region(name: &str, role: proto::ServiceRole, diagnosis: proto::Diagnosis, on: bool) -> proto::ServiceRegion {
    let switch = if on { proto::SwitchState::On } else { proto::SwitchState::Off };
    proto::ServiceRegion {
        region: name.to_owned(),
        role: role.into(),
        switch: switch.into(),
        diagnosis: diagnosis.into(),
        since: Some(time(NOW)),
        because: "2 of 2 observers agree".to_owned(),
        opinions: vec![proto::Opinion {
            observer: "us-west-2".to_owned(),
            status: proto::HealthStatus::Bad.into(),
            counts: true,
            detail: "front-door: connection refused".to_owned(),
            held_ms: 31_000,
        }],
        share: None,
    }
}

pub fn service() -> proto::Service {
    use proto::{Diagnosis, ServiceRole};
    proto::Service {
        name: "checkout".to_owned(),
        pattern: proto::Pattern::ActivePassive.into(),
        phase: proto::Phase::Unsettled.into(),
        primary: "eu-west-1".to_owned(),
        epoch: 2,
        paused: false,
        regions: vec![
            service_region("us-east-1", ServiceRole::Standby, Diagnosis::RegionDown, false),
            service_region("eu-west-1", ServiceRole::Primary, Diagnosis::Healthy, true),
        ],
        labels: [("tier".to_owned(), "1".to_owned())].into(),
        primary_since: Some(time(NOW)),
        switch_group: "checkout".to_owned(),
        follows: None,
        moves_with: None,
        companions: Vec::new(),
        objectives: Some(proto::Objectives { rto_ms: 300_000, rpo_ms: 5_000 }),
        policy: Some(proto::Policy {
            failover: "automatic".to_owned(),
            announce_ms: 30_000,
            cooldown_ms: 1_800_000,
            loss_over_budget: "approval".to_owned(),
            unfenced: "approval".to_owned(),
            restore_pause_ms: 300_000,
        }),
        settlement: Some(proto::Settlement {
            settled: false,
            settled_epoch: Some(1),
            settled_at: None,
            detail: "records still say what epoch 1 was".to_owned(),
        }),
        attention: None,
        open_run: None,
        stores: vec![proto::StoreStatus {
            name: "orders-db".to_owned(),
            kind: "aurora".to_owned(),
            copies: vec![proto::StoreCopy {
                region: "eu-west-1".to_owned(),
                readiness: "ready".to_owned(),
                detail: String::new(),
                writer: Some(true),
                lag_ms: Some(120),
                read_age_ms: Some(900),
            }],
        }],
        spec_index: 2,
        last_run_at: None,
        checks: vec![
            check("replica-active", Some("orders-db"), proto::CheckVerdict::Ready, "checkout-euw1 is available"),
            check("headless", Some("orders-db"), proto::CheckVerdict::NotReady, "checkout-use1 has no instance"),
            check("records-drift", None, proto::CheckVerdict::Note, "is being rewritten: 3 record changes"),
        ],
        readiness: Some(proto::Readiness { ready: 1, note: 1, unknown: 0, not_ready: 1 }),
    }
}

fn check(name: &str, store: Option<&str>, verdict: proto::CheckVerdict, reason: &str) -> proto::Check {
    proto::Check {
        name: name.to_owned(),
        store: store.map(str::to_owned),
        region: store.map(|_| "us-east-1".to_owned()),
        verdict: verdict.into(),
        reason: reason.to_owned(),
        age_ms: 4_000,
        observer: "us-west-2".to_owned(),
    }
}

pub fn applied(dry_run: bool) -> proto::ApplyResponse {
    let change = |action: &str, resource: &str, detail: &str| proto::AwsChange {
        service: "checkout".to_owned(),
        resource: resource.to_owned(),
        action: action.to_owned(),
        detail: detail.to_owned(),
    };
    proto::ApplyResponse {
        revision: 42,
        dry_run,
        manifests: vec![proto::AppliedManifest {
            kind: "FailoverService".to_owned(),
            name: "checkout".to_owned(),
            change: proto::ManifestChange::Configured.into(),
            fields: vec!["spec.traffic.records[0].targets.eu-west-1.values".to_owned()],
        }],
        changes: vec![
            change("create", "health-check failoverd/prod/sw/checkout/us-east-1/p", "healthy when 3 of 6 others are"),
            change("replace", "record A fo-eu-west-1.api.example.com \"eu-west-1\"", "weight 1, 192.0.2.99"),
            change("create", "replica Orders eu-west-1", "a replica of the global table"),
        ],
        health_checks: Some(proto::HealthCheckUse { add: 1, used: Some(9), limit: Some(200) }),
        monthly_cost_usd: 38.5,
        warnings: vec!["checkout/media in us-east-1: versioning is not-ready: media-use1 is not versioned".to_owned()],
        blocked: vec!["api.example.com: the record was not made by failoverd".to_owned()],
        needs_confirm: vec!["example.com".to_owned()],
        cost_basis: "an upper estimate".to_owned(),
    }
}

pub fn guard() -> proto::GuardVerdict {
    proto::GuardVerdict {
        name: "standby-ready".to_owned(),
        ok: false,
        reason: "us-east-1 is region-down".to_owned(),
        severity: proto::Severity::Blocks.into(),
    }
}

pub fn switch() -> proto::Switch {
    let vote = |region: &str, vote: proto::Vote| proto::SwitchVote { region: region.to_owned(), vote: vote.into() };
    proto::Switch {
        group: "checkout".to_owned(),
        region: "us-east-1".to_owned(),
        state: proto::SwitchState::Off.into(),
        since: Some(time(NOW)),
        votes: vec![vote("eu-west-1", proto::Vote::Off), vote("us-east-1", proto::Vote::Silent)],
        pattern: proto::Pattern::ActivePassive.into(),
        index: 40,
    }
}

pub fn fleet() -> proto::Fleet {
    let forecast = proto::Forecast {
        service: "checkout".to_owned(),
        outcome: proto::ForecastOutcome::StaysDown.into(),
        reason: "standby-ready: us-east-1 is region-down".to_owned(),
        loss: run().loss,
        loss_bound_ms: Some(1_200),
        eta: Some(proto::Eta { p50_ms: None, p95_ms: Some(95_000), basis: "no step measured".to_owned() }),
        shifts: vec![everybody("eu-west-1", "us-east-1")],
    };
    let waiting = proto::Run {
        id: "search-4".to_owned(),
        service: "search".to_owned(),
        state: proto::RunState::AwaitingApproval.into(),
        epoch: None,
        rto_ms: None,
        verdict: None,
        ..run()
    };
    proto::Fleet {
        answered: Some(proto::Answered {
            region: "us-west-2".to_owned(),
            revision: 42,
            at: Some(time(NOW.plus_ms(60_000))),
            caught_up: true,
            leader: Some("eu-west-1".to_owned()),
        }),
        fleet: "prod".to_owned(),
        generation: 0,
        paused: false,
        regions: vec![
            region("eu-west-1", proto::FleetRole::Member, true),
            region("us-east-1", proto::FleetRole::Member, false),
            region("us-west-2", proto::FleetRole::Witness, true),
        ],
        services: vec![service()],
        open_runs: vec![waiting],
        switches: vec![switch()],
        if_vanished: vec![proto::RegionForecast { region: "eu-west-1".to_owned(), services: vec![forecast] }],
    }
}

pub fn plan() -> proto::PlanResponse {
    let run = run();
    proto::PlanResponse {
        movement: 0,
        answered: None,
        hash: run.plan_hash,
        service: run.service,
        from: run.from,
        to: run.to,
        mode: proto::Mode::Forced.into(),
        eta: Some(proto::Eta { p50_ms: None, p95_ms: Some(180_000), basis: "no step measured".to_owned() }),
        steps: run.steps.into_iter().filter_map(|progress| progress.step).collect(),
        guards: vec![guard()],
        loss: run.loss,
        findings: run.evidence,
        shifts: vec![everybody("us-east-1", "eu-west-1")],
    }
}

fn everybody(now: &str, then: &str) -> proto::TrafficShift {
    proto::TrafficShift {
        name: "api.example.com".to_owned(),
        r#type: "A".to_owned(),
        place: "everywhere".to_owned(),
        now: vec![now.to_owned()],
        then: vec![then.to_owned()],
    }
}
