//! The JSON that scripts read: fields and words fixed by the interface, more may be added.

use prost_types::value::Kind;
use serde_json::{Map, Value, json};

use crate::api::convert::word;
use crate::api::proto;
use crate::cli::style::timestamp;

/// RFC 3339 UTC, or null.
#[must_use]
pub fn time_json(at: Option<&prost_types::Timestamp>) -> Value {
    at.map_or(Value::Null, |at| json!(timestamp(at).rfc3339()))
}

macro_rules! words {
    ($($function:ident, $type:ident, $prefix:literal;)+) => {$(
        pub fn $function(value: proto::$type) -> String {
            word(value.as_str_name(), $prefix)
        }
    )+};
}

words! {
    fleet_role, FleetRole, "FLEET_ROLE";
    pattern, Pattern, "PATTERN";
    phase, Phase, "PHASE";
    service_role, ServiceRole, "SERVICE_ROLE";
    diagnosis, Diagnosis, "DIAGNOSIS";
    health, HealthStatus, "HEALTH_STATUS";
    switch_state, SwitchState, "SWITCH_STATE";
    vote, Vote, "VOTE";
    mode, Mode, "MODE";
    trigger, Trigger, "TRIGGER";
    run_state, RunState, "RUN_STATE";
    step_state, StepState, "STEP_STATE";
    plane, Plane, "PLANE";
    undo, Undo, "UNDO";
    severity, Severity, "SEVERITY";
    unit, LossUnit, "LOSS_UNIT";
    outcome, ForecastOutcome, "FORECAST_OUTCOME";
    check_verdict, CheckVerdict, "CHECK_VERDICT";
}

/// What kind of move it is.
pub const fn movement(movement: proto::Movement) -> &'static str {
    match movement {
        proto::Movement::Unspecified => "failover",
        proto::Movement::Evacuate => "evacuate",
        proto::Movement::Restore => "restore",
    }
}

/// Which move it is, for people.
pub fn moved(movement: proto::Movement, from: &str, to: &str) -> String {
    match movement {
        proto::Movement::Unspecified => format!("from {from} to {to}"),
        proto::Movement::Evacuate => format!("out of {from} ({to} keeps or takes what only one Region writes)"),
        proto::Movement::Restore => format!("into {to} again"),
    }
}

pub fn region_json(region: &proto::RegionStatus) -> Value {
    json!({
        "region": region.region,
        "role": fleet_role(region.role()),
        "leader": region.leader,
        "reachable": region.reachable,
        "applied_index": region.applied_index,
        "history_lag": region.history_lag,
        "clock_skew_ms": region.clock_skew_ms,
        "report_age_ms": region.report_age_ms,
        "control_plane": health(region.control_plane()),
        "reaches": region.reaches,
        "version": region.version,
        "format": region.format,
    })
}

pub fn switch_json(switch: &proto::Switch) -> Value {
    let votes: Vec<Value> =
        switch.votes.iter().map(|it| json!({ "region": it.region, "vote": vote(it.vote()) })).collect();
    json!({
        "group": switch.group,
        "region": switch.region,
        "state": switch_state(switch.state()),
        "since": time_json(switch.since.as_ref()),
        "votes": votes,
        "pattern": pattern(switch.pattern()),
        "index": switch.index,
    })
}

/// People of one place who are answered otherwise.
pub fn shift_json(shift: &proto::TrafficShift) -> Value {
    json!({
        "name": shift.name,
        "type": shift.r#type,
        "place": shift.place,
        "now": shift.now,
        "then": shift.then,
    })
}

/// A service as lists show it.
pub fn service_json(service: &proto::Service) -> Value {
    let region = |region: &proto::ServiceRegion| {
        json!({
            "region": region.region,
            "role": service_role(region.role()),
            "switch": switch_state(region.switch()),
            "share": region.share,
            "diagnosis": diagnosis(region.diagnosis()),
            "since": time_json(region.since.as_ref()),
            "because": region.because,
        })
    };
    json!({
        "name": service.name,
        "pattern": pattern(service.pattern()),
        "phase": phase(service.phase()),
        "primary": service.primary,
        "primary_since": time_json(service.primary_since.as_ref()),
        "epoch": service.epoch,
        "paused": service.paused,
        "regions": service.regions.iter().map(region).collect::<Vec<_>>(),
        "settled": service.settlement.as_ref().is_some_and(|settlement| settlement.settled),
        "attention": service.attention,
        "open_run": service.open_run,
        "switch_group": service.switch_group,
        "moves_with": service.moves_with,
        "companions": service.companions,
        "readiness": readiness_json(service),
        "licences": service.licences.iter().map(licence_json).collect::<Vec<_>>(),
        "way_back": service.way_back.as_ref().map(way_back_json),
    })
}

fn licence_json(licence: &proto::Licence) -> Value {
    json!({
        "from": licence.from,
        "to": licence.to,
        "held": licence.held,
        "drill": licence.drill,
        "until": time_json(licence.until.as_ref()),
        "since": time_json(licence.since.as_ref()),
        "why": licence.why,
    })
}

fn way_back_json(wish: &proto::WayBack) -> Value {
    json!({ "actor": wish.actor, "at": time_json(wish.at.as_ref()), "reason": wish.reason })
}

/// How many checks there are of each verdict, and those that are not ready.
fn readiness_json(service: &proto::Service) -> Value {
    let count = service.readiness.unwrap_or_default();
    let not_ready = service.checks.iter().filter(|it| it.verdict() == proto::CheckVerdict::NotReady);
    json!({
        "ready": count.ready,
        "note": count.note,
        "unknown": count.unknown,
        "not_ready": count.not_ready,
        "checks_not_ready": not_ready.map(check_json).collect::<Vec<_>>(),
    })
}

/// A readiness check.
pub fn check_json(check: &proto::Check) -> Value {
    json!({
        "name": check.name,
        "store": check.store,
        "region": check.region,
        "verdict": check_verdict(check.verdict()),
        "reason": check.reason,
        "age_ms": check.age_ms,
        "observer": check.observer,
    })
}

/// A service whole.
pub fn service_whole_json(service: &proto::Service) -> Value {
    let mut body = service_json(service);
    let Some(fields) = body.as_object_mut() else { return body };
    fields.insert("labels".to_owned(), labels(service));
    fields.insert("follows".to_owned(), json!(service.follows));
    fields.insert("spec_index".to_owned(), json!(service.spec_index));
    fields.insert("last_run_at".to_owned(), time_json(service.last_run_at.as_ref()));
    if let Some(it) = &service.objectives {
        fields.insert("objectives".to_owned(), json!({ "rto_ms": it.rto_ms, "rpo_ms": it.rpo_ms }));
    }
    if let Some(it) = &service.policy {
        let policy = json!({
            "failover": it.failover,
            "announce_ms": it.announce_ms,
            "cooldown_ms": it.cooldown_ms,
            "loss_over_budget": it.loss_over_budget,
            "unfenced": it.unfenced,
        });
        fields.insert("policy".to_owned(), policy);
    }
    if let Some(it) = &service.settlement {
        let settlement = json!({
            "settled": it.settled,
            "epoch": it.settled_epoch,
            "at": time_json(it.settled_at.as_ref()),
            "detail": it.detail,
        });
        fields.insert("settlement".to_owned(), settlement);
    }
    let opinions = service
        .regions
        .iter()
        .flat_map(|region| region.opinions.iter().map(|it| with_region(opinion_json(it), &region.region)));
    fields.insert("observations".to_owned(), opinions.collect());
    fields.insert("stores".to_owned(), service.stores.iter().map(store_json).collect());
    fields.insert("checks".to_owned(), service.checks.iter().map(check_json).collect());
    body
}

fn labels(service: &proto::Service) -> Value {
    let sorted: std::collections::BTreeMap<_, _> = service.labels.iter().collect();
    json!(sorted)
}

fn with_region(mut body: Value, region: &str) -> Value {
    if let Some(fields) = body.as_object_mut() {
        fields.insert("region".to_owned(), json!(region));
    }
    body
}

fn opinion_json(opinion: &proto::Opinion) -> Value {
    json!({
        "observer": opinion.observer,
        "status": health(opinion.status()),
        "counts": opinion.counts,
        "held_ms": opinion.held_ms,
        "detail": opinion.detail,
    })
}

fn store_json(store: &proto::StoreStatus) -> Value {
    let copy = |copy: &proto::StoreCopy| {
        json!({
            "region": copy.region,
            "readiness": copy.readiness,
            "detail": copy.detail,
            "writer": copy.writer,
            "lag_ms": copy.lag_ms,
            "read_age_ms": copy.read_age_ms,
        })
    };
    json!({ "name": store.name, "kind": store.kind, "copies": store.copies.iter().map(copy).collect::<Vec<_>>() })
}

pub fn guard_json(guard: &proto::GuardVerdict) -> Value {
    json!({ "name": guard.name, "ok": guard.ok, "reason": guard.reason, "severity": severity(guard.severity()) })
}

pub fn loss_json(loss: &proto::Loss) -> Value {
    json!({
        "store": loss.store,
        "bound": loss.bound,
        "measured": loss.measured,
        "unit": unit(loss.unit()),
        "reason": loss.reason,
    })
}

pub fn finding_json(finding: &proto::Finding) -> Value {
    json!({
        "diagnosis": diagnosis(finding.diagnosis()),
        "because": finding.because,
        "held_ms": finding.held_ms,
        "opinions": finding.opinions.iter().map(opinion_json).collect::<Vec<_>>(),
    })
}

/// A step as plans show it.
pub fn step_json(step: &proto::Step) -> Value {
    json!({
        "name": step.name,
        "kind": step.kind,
        "region": step.region,
        "plane": plane(step.plane()),
        "critical": step.critical,
        "after": step.after,
        "calls": step.calls,
        "undo": undo(step.undo()),
        "point_of_no_return": step.point_of_no_return,
        "timeout_ms": step.timeout_ms,
        "took_ms": { "p50": step.p50_ms, "p95": step.p95_ms },
    })
}

fn progress_json(progress: &proto::StepProgress) -> Value {
    let step = progress.step.clone().unwrap_or_default();
    json!({
        "name": step.name,
        "kind": step.kind,
        "region": step.region,
        "plane": plane(step.plane()),
        "critical": step.critical,
        "point_of_no_return": step.point_of_no_return,
        "state": step_state(progress.state()),
        "attempts": progress.attempts,
        "started_at": time_json(progress.started_at.as_ref()),
        "finished_at": time_json(progress.finished_at.as_ref()),
        "error": progress.error,
        "note": progress.note,
        "overdue": progress.overdue,
        "took_ms": { "p50": step.p50_ms, "p95": step.p95_ms },
        "answers": progress.answers.iter().map(answer_json).collect::<Vec<_>>(),
    })
}

fn answer_json(seen: &proto::AnswerSeen) -> Value {
    let probe = |probe: &proto::NameProbe| json!({ "name": probe.name, "signal": probe.signal, "good": probe.good, "detail": probe.detail });
    json!({
        "daemon": seen.daemon,
        "answered_by": seen.answered_by,
        "after_ms": seen.after_ms,
        "tail_s": seen.tail_s,
        "not_asked": seen.not_asked,
        "probes": seen.probes.iter().map(probe).collect::<Vec<_>>(),
    })
}

fn part_json(part: &proto::RunPart) -> Value {
    json!({ "name": part.name, "ms": part.ms, "floor_ms": part.floor_ms, "floor": part.floor })
}

/// A run whole.
#[must_use]
pub fn run_json(run: &proto::Run) -> Value {
    json!({
        "id": run.id,
        "service": run.service,
        "trigger": trigger(run.trigger()),
        "mode": mode(run.mode()),
        "movement": movement(run.movement()),
        "from": run.from,
        "to": run.to,
        "epoch": run.epoch,
        "plan_hash": run.plan_hash,
        "state": run_state(run.state()),
        "actor": run.actor,
        "reason": run.reason,
        "breach_at": time_json(run.breach_at.as_ref()),
        "decided_at": time_json(run.decided_at.as_ref()),
        "announce_until": time_json(run.announce_until.as_ref()),
        "started_at": time_json(run.started_at.as_ref()),
        "verified_at": time_json(run.verified_at.as_ref()),
        "finished_at": time_json(run.finished_at.as_ref()),
        "rto_ms": run.rto_ms,
        "rto_objective_ms": run.rto_objective_ms,
        "rpo_objective_ms": run.rpo_objective_ms,
        "detect_ms": run.detect_ms,
        "parts": run.parts.iter().map(part_json).collect::<Vec<_>>(),
        "unfenced_consent": run.unfenced_consent,
        "abort": run.abort,
        "verdict": run.verdict,
        "drill": run.drill,
        "rto_at_risk": run.rto_at_risk,
        "loss": run.loss.iter().map(loss_json).collect::<Vec<_>>(),
        "steps": run.steps.iter().map(progress_json).collect::<Vec<_>>(),
        "guards": run.guards.iter().map(guard_json).collect::<Vec<_>>(),
        "evidence": run.evidence.iter().map(finding_json).collect::<Vec<_>>(),
    })
}

pub fn event_json(event: &proto::Event) -> Value {
    json!({
        "seq": event.seq,
        "at": time_json(event.at.as_ref()),
        "service": event.service,
        "run": event.run,
        "drill": event.drill,
        "kind": event.kind,
        "region": event.region,
        "actor": event.actor,
        "message": event.message,
        "data": event.data.as_ref().map_or(Value::Null, plain),
        "hash": event.hash,
        "index": event.index,
    })
}

/// A protobuf value as JSON; whole numbers stay whole.
fn plain(value: &prost_types::Value) -> Value {
    match &value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(it)) => json!(it),
        #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
        Some(Kind::NumberValue(it)) if it.fract() == 0.0 && it.abs() < 9_007_199_254_740_992.0 => json!(*it as i64),
        Some(Kind::NumberValue(it)) => json!(it),
        Some(Kind::StringValue(it)) => json!(it),
        Some(Kind::ListValue(it)) => it.values.iter().map(plain).collect(),
        Some(Kind::StructValue(it)) => {
            let sorted: std::collections::BTreeMap<_, _> = it.fields.iter().collect();
            Value::Object(sorted.into_iter().map(|(key, it)| (key.clone(), plain(it))).collect::<Map<_, _>>())
        }
    }
}
