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
        version: if role == proto::FleetRole::Witness { "0.2.0" } else { "0.10.0" }.to_owned(),
        format: if role == proto::FleetRole::Witness { 1 } else { 2 },
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
        licences: vec![proto::Licence {
            from: "eu-west-1".to_owned(),
            to: "us-east-1".to_owned(),
            since: Some(time(NOW)),
            why: Some("drill checkout-monthly.2 was passed too long ago".to_owned()),
            ..proto::Licence::default()
        }],
        way_back: Some(proto::WayBack {
            actor: "operator:alice".to_owned(),
            at: Some(time(NOW)),
            reason: "home again".to_owned(),
        }),
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
        format: 1,
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
        drills: vec![drill()],
        open_drills: vec![proto::DrillRun {
            verdict: None,
            sentence: None,
            finished_at: None,
            waits_for: Some("orders-db is still being rebuilt".to_owned()),
            phase: "returning".to_owned(),
            ..drill_run()
        }],
    }
}

/// A drill that has run three times.
pub fn drill() -> proto::Drill {
    let opening = |days: u64, falls_on: Option<&str>| proto::DrillOpening {
        at: Some(time(NOW.plus_ms(days * 86_400_000))),
        falls_on: falls_on.map(str::to_owned),
    };
    proto::Drill {
        name: "checkout-monthly".to_owned(),
        service: "checkout".to_owned(),
        kind: "switchover".to_owned(),
        to: Some("eu-west-1".to_owned()),
        schedule: Some(proto::DrillSchedule {
            cron: "0 10 1 * *".to_owned(),
            timezone: "Europe/Dublin".to_owned(),
            window_ms: 7_200_000,
            blackouts: vec!["2025-12-24/2026-01-02".to_owned()],
        }),
        hypothesis: "checkout serves from eu-west-1 within its RTO and loses nothing".to_owned(),
        guardrails: vec!["lasts at most 1200 s".to_owned()],
        hold_ms: 900_000,
        comes_back: "automatic".to_owned(),
        approvals: 1,
        next_at: Some(time(NOW.plus_ms(7 * 86_400_000))),
        prevented_by: vec!["checkout is not settled".to_owned()],
        last: Some(drill_run()),
        missed_at: Some(time(NOW.minus_ms(30 * 86_400_000))),
        missed_because: Some("a freeze held".to_owned()),
        runs: 3,
        openings: vec![opening(7, None), opening(38, Some("blackout 2025-12-24/2026-01-02"))],
        ..proto::Drill::default()
    }
}

/// An execution that kept everything.
pub fn drill_run() -> proto::DrillRun {
    let check = |when: &str, ok| proto::SteadyCheck {
        when: when.to_owned(),
        name: "answers".to_owned(),
        ok,
        reason: "api.example.com answers us-east-1".to_owned(),
    };
    proto::DrillRun {
        id: "checkout-monthly.3".to_owned(),
        drill: "checkout-monthly".to_owned(),
        service: "checkout".to_owned(),
        kind: "switchover".to_owned(),
        phase: "closed".to_owned(),
        phase_since: Some(time(NOW.plus_ms(1_000_000))),
        actor: "operator:alice".to_owned(),
        from: "us-east-1".to_owned(),
        to: "eu-west-1".to_owned(),
        opened_at: Some(time(NOW)),
        began_at: Some(time(NOW.plus_ms(5_000))),
        approvals: vec![proto::DrillApproval { by: "bob".to_owned(), at: Some(time(NOW.plus_ms(4_000))) }],
        approvals_needed: 1,
        steady: vec![check("before", true), check("after", true)],
        out: Some("checkout-7".to_owned()),
        arrived_at: Some(time(NOW.plus_ms(47_000))),
        back: Some("checkout-8".to_owned()),
        rto_ms: Some(42_000),
        rto_objective_ms: Some(300_000),
        return_ms: Some(39_000),
        through: Some(proto::ThroughSeen { asked: 900, errors: 3, longest_gap_ms: 1_200, well_since: None }),
        verdict: Some("passed".to_owned()),
        sentence: Some("checkout was in eu-west-1 after 42 s and is home again".to_owned()),
        finished_at: Some(time(NOW.plus_ms(1_000_000))),
        hypothesis: "checkout serves from eu-west-1 within its RTO and loses nothing".to_owned(),
        hold_ms: 900_000,
        comes_back: "automatic".to_owned(),
        ..proto::DrillRun::default()
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
        script: None,
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
