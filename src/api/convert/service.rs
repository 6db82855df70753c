//! Services: where they stand, what is seen of them, what guards say.

use std::collections::BTreeMap;

use failoverd_domain::data::loss::Loss;
use failoverd_domain::fleet::{FleetState, GuardVerdict, ServiceState};
use failoverd_domain::health::readiness::{Verdict, names};
use failoverd_domain::health::{Finding, Matrix, Opinion, ReplicaReadiness, SeenCheck, StoreReading};
use failoverd_domain::ids::Region;
use failoverd_domain::service::{Pattern, Policy, Store, StoreKind};
use failoverd_domain::time::Timestamp;

use super::readiness::{readiness as readiness_of, urgent};
use super::{licences, way_back, words};
use crate::api::proto;
use crate::api::snapshot::Snapshot;

/// A service with what is seen of it in each of its Regions.
#[must_use]
pub fn service(at: &Snapshot, service: &ServiceState, findings: &BTreeMap<Region, Finding>) -> proto::Service {
    let spec = &service.spec;
    let open_run = at.state.open_run(&spec.name);
    let region = |region: &Region| service_region(at, service, region, findings.get(region));
    let checks = at.matrix.checks(at.now, &spec.name);
    proto::Service {
        name: spec.name.to_string(),
        pattern: words::pattern(spec.pattern).into(),
        phase: words::phase(at.state.phase(service)).into(),
        primary: service.primary.to_string(),
        epoch: service.epoch.0,
        paused: at.state.is_paused(&spec.name),
        regions: spec.regions.iter().map(region).collect(),
        labels: spec.labels.clone().into_iter().collect(),
        primary_since: Some(words::time(service.primary_since)),
        switch_group: spec.switch_group().to_string(),
        follows: spec.follows.as_ref().map(ToString::to_string),
        objectives: Some(proto::Objectives { rto_ms: spec.objectives.rto_ms, rpo_ms: spec.objectives.rpo_ms }),
        policy: Some(policy(&spec.policy)),
        settlement: Some(settlement(service, at.state.returning(service).is_some(), &checks)),
        attention: service.attention.clone(),
        open_run: open_run.map(|run| run.id.to_string()),
        stores: spec.data.iter().map(|store| store_status(at, service, store)).collect(),
        spec_index: service.spec_index.0,
        last_run_at: service.last_run_at.map(words::time),
        checks: urgent(&checks),
        readiness: Some(readiness_of(&checks)),
        moves_with: at.state.moves_with(spec).map(ToString::to_string),
        companions: at.state.companions(spec).into_iter().map(|service| service.spec.name.to_string()).collect(),
        licences: licences(at, service),
        way_back: service.way_back.as_ref().map(way_back),
    }
}

fn service_region(
    at: &Snapshot,
    service: &ServiceState,
    region: &Region,
    finding: Option<&Finding>,
) -> proto::ServiceRegion {
    let switch = serves_by_switch(&at.state, service, region);
    let since = finding.map_or(at.now, |finding| at.now.minus_ms(finding.held_ms));
    proto::ServiceRegion {
        region: region.to_string(),
        role: role(service, region, switch).into(),
        switch: switch.map_or(proto::SwitchState::Unspecified, words::switch_state).into(),
        diagnosis: finding.map_or(proto::Diagnosis::Unknown, |finding| words::diagnosis(finding.diagnosis)).into(),
        since: Some(words::time(since)),
        because: finding.map(|finding| finding.because.clone()).unwrap_or_default(),
        opinions: finding.map(|finding| finding.opinions.iter().map(opinion).collect()).unwrap_or_default(),
        share: at.state.share(service, region).map(u32::from),
    }
}

/// Whether Route 53 is told that `region` serves. Active-passive: the one bit means the group's first Region.
fn serves_by_switch(state: &FleetState, service: &ServiceState, region: &Region) -> Option<bool> {
    let switch = state.switches.get(&service.spec.switch_group())?;
    match switch.pattern {
        Pattern::ActiveActive => switch.bits.get(region).map(|bit| bit.on),
        Pattern::ActivePassive => {
            let first = switch.regions.first()?;
            switch.bits.get(first).map(|bit| bit.on == (region == first))
        }
    }
}

fn role(service: &ServiceState, region: &Region, switch: Option<bool>) -> proto::ServiceRole {
    match service.spec.pattern {
        Pattern::ActivePassive if region == &service.primary => proto::ServiceRole::Primary,
        Pattern::ActivePassive => proto::ServiceRole::Standby,
        Pattern::ActiveActive if switch == Some(false) => proto::ServiceRole::Evacuated,
        Pattern::ActiveActive => proto::ServiceRole::Serving,
    }
}

fn policy(policy: &Policy) -> proto::Policy {
    proto::Policy {
        failover: words::serde_word(policy.failover),
        announce_ms: policy.announce_ms,
        cooldown_ms: policy.cooldown_ms,
        loss_over_budget: words::serde_word(policy.loss_over_budget),
        unfenced: words::serde_word(policy.unfenced),
        restore_pause_ms: policy.restore_pause_ms,
    }
}

/// What the settler says of it goes first: a foreign record by name, what is being written, what is waited for.
fn settlement(service: &ServiceState, returning: bool, checks: &[SeenCheck]) -> proto::Settlement {
    let settled = service.is_settled();
    let detail = match service.settlement.settled {
        Some(_) if settled => "health checks and records match reality".to_owned(),
        Some((epoch, _)) if epoch != service.epoch && returning => {
            format!("records are still those of epoch {epoch}, the wave before")
        }
        Some((epoch, _)) if epoch != service.epoch => {
            format!("records still say what epoch {epoch} was; losing every daemon now would undo the move")
        }
        Some(_) => "records and checks do not match the newest manifest yet".to_owned(),
        None => "health checks and records have not been made yet".to_owned(),
    };
    let word = checks.iter().find(|check| check.name == names::RECORDS_DRIFT && check.verdict != Verdict::Ready);
    let detail = word.map_or(detail.clone(), |word| format!("{}; {detail}", word.reason));
    proto::Settlement {
        settled,
        settled_epoch: service.settlement.settled.map(|(epoch, _)| epoch.0),
        settled_at: service.settlement.settled_at.map(words::time),
        detail,
    }
}

fn store_status(at: &Snapshot, service: &ServiceState, store: &Store) -> proto::StoreStatus {
    let kind = match store.kind {
        StoreKind::Aurora { .. } => "aurora",
        StoreKind::Rds { .. } => "rds",
        StoreKind::Dynamodb { .. } => "dynamodb",
        StoreKind::S3 { .. } => "s3",
    };
    let copy = |region: &Region| store_copy(at.now, &at.matrix, service, store, region);
    proto::StoreStatus {
        name: store.name.to_string(),
        kind: kind.to_owned(),
        copies: service.spec.regions.iter().map(copy).collect(),
    }
}

fn store_copy(
    now: Timestamp,
    matrix: &Matrix,
    service: &ServiceState,
    store: &Store,
    region: &Region,
) -> proto::StoreCopy {
    let readings = matrix.store(&service.spec.name, &store.name, region);
    let newest = readings.first();
    let (readiness, detail) = readiness(newest.map(|(_, reading)| *reading));
    proto::StoreCopy {
        region: region.to_string(),
        readiness: readiness.to_owned(),
        detail,
        writer: newest.and_then(|(_, reading)| reading.writer),
        lag_ms: newest.and_then(|(_, reading)| reading.lag_ms).map(|(lag_ms, _)| lag_ms),
        read_age_ms: newest.map(|(received, reading)| now.since(received.at.minus_ms(reading.age_ms))),
    }
}

fn readiness(reading: Option<&StoreReading>) -> (&'static str, String) {
    match reading.map(|reading| &reading.readiness) {
        Some(ReplicaReadiness::Ready) => ("ready", String::new()),
        Some(ReplicaReadiness::NotReady(why)) => ("not-ready", why.clone()),
        Some(ReplicaReadiness::Unknown(why)) => ("unknown", why.clone()),
        None => ("unknown", "nobody has looked yet".to_owned()),
    }
}

/// A guard's verdict.
#[must_use]
pub fn guard(verdict: &GuardVerdict) -> proto::GuardVerdict {
    proto::GuardVerdict {
        name: verdict.guard.word(),
        ok: verdict.ok,
        reason: verdict.reason.clone(),
        severity: words::severity(verdict.severity).into(),
    }
}

/// Verdicts of guards.
#[must_use]
pub fn guards(verdicts: &[GuardVerdict]) -> Vec<proto::GuardVerdict> {
    verdicts.iter().map(guard).collect()
}

/// What is seen of a service in a Region.
#[must_use]
pub fn finding(finding: &Finding) -> proto::Finding {
    proto::Finding {
        diagnosis: words::diagnosis(finding.diagnosis).into(),
        because: finding.because.clone(),
        held_ms: finding.held_ms,
        opinions: finding.opinions.iter().map(opinion).collect(),
    }
}

fn opinion(opinion: &Opinion) -> proto::Opinion {
    proto::Opinion {
        observer: opinion.observer.to_string(),
        status: words::status(opinion.status).into(),
        counts: opinion.counts,
        detail: opinion.detail.clone(),
        held_ms: opinion.held_ms,
    }
}

/// What may be lost, and what was.
#[must_use]
pub fn loss(loss: &Loss) -> proto::Loss {
    proto::Loss {
        store: loss.store.to_string(),
        bound: loss.bound,
        measured: loss.measured,
        unit: words::loss_unit(loss.unit).into(),
        reason: loss.reason.clone(),
    }
}
