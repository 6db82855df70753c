//! What Route 53 would answer, from the records as they are now and the health that the fleet believes in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use failoverd_domain::ids::{HealthCheckId, Region};
use failoverd_domain::route53::{
    Answer, HealthCheck, Origin, Place, Policy, Query, RecordSet, RecordType, answers, origins, plain_name,
};
use failoverd_domain::traffic::Believed;

use super::error::{ApiError, ErrorCode};
use super::snapshot::Snapshot;
use super::{Handles, proto};
use crate::ports::{Age, CallError, Effect, World};

/// Longest time that everything AWS is asked for may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// Latency is worked out from distances.
const LATENCY_IS_ESTIMATED: &str =
    "latency is estimated by distance: AWS does not publish what it measured, and between near Regions it may differ";

/// The zone that holds a name, and what is in it.
struct Zone {
    name: String,
    records: Arc<Vec<RecordSet>>,
    checks: Arc<Vec<HealthCheck>>,
}

/// What was asked, valid.
struct Question {
    name: String,
    record_type: RecordType,
    from: Option<(Origin, Place)>,
    down: BTreeSet<Region>,
}

/// The explanation that was asked for.
pub async fn answer(
    handles: &Handles,
    request: proto::ExplainRouteRequest,
) -> Result<proto::ExplainRouteResponse, ApiError> {
    let at = handles.snapshot();
    let question = Question::read(&at, request)?;
    let reading = zone_of(handles, &at, &question.name);
    let zone = tokio::time::timeout(PATIENCE, reading).await.map_err(|_| {
        ApiError::new(ErrorCode::AwsAway, format!("Route 53's API did not answer within {} s", PATIENCE.as_secs()))
    })??;
    Ok(explain(&at, &zone, &question))
}

impl Question {
    fn read(at: &Snapshot, request: proto::ExplainRouteRequest) -> Result<Self, ApiError> {
        let invalid = |why: String| ApiError::new(ErrorCode::InvalidArgument, why);
        let name = plain_name(request.name.trim());
        if name.is_empty() || name.split('.').any(str::is_empty) {
            return Err(invalid(format!("{:?} is no domain name", request.name)));
        }
        let word = if request.r#type.is_empty() { "A" } else { request.r#type.as_str() };
        let record_type = RecordType::named(word).ok_or_else(|| {
            invalid(format!("{word} is no record type: {}", RecordType::ALL.map(RecordType::as_str).join(", ")))
        })?;
        let from = match request.from.filter(|from| !from.is_empty()) {
            Some(text) => {
                let origin: Origin = text.parse().map_err(invalid)?;
                let place = origin.place().map_err(invalid)?;
                Some((origin, place))
            }
            None => None,
        };
        let down: BTreeSet<Region> = request.down.iter().map(|region| Region::from(region.as_str())).collect();
        let of_services = at.state.services.values().flat_map(|service| &service.spec.regions);
        let known: BTreeSet<&Region> = at.state.members.keys().chain(of_services).collect();
        if let Some(unknown) = down.iter().find(|region| !known.contains(region)) {
            let known: Vec<&str> = known.iter().map(|region| region.as_str()).collect();
            let message = format!("{unknown} is no Region of this fleet: {}", known.join(", "));
            return Err(ApiError::new(ErrorCode::UnknownRegion, message));
        }
        Ok(Self { name, record_type, from, down })
    }

    fn ask(&self, place: &Place, records: &[RecordSet], believed: &Believed<'_>) -> Vec<Answer> {
        let query = Query { name: self.name.clone(), record_type: self.record_type, from: place.clone(), draw: 0 };
        answers(records, &|check| believed.is_healthy(check), &query)
    }
}

/// The zone of the longest name that `name` ends in: one of the services' zones first, as their roles can read it.
async fn zone_of(handles: &Handles, at: &Snapshot, name: &str) -> Result<Zone, ApiError> {
    let mut known: BTreeMap<String, Option<String>> = BTreeMap::new();
    for service in at.state.services.values() {
        known.insert(plain_name(&service.spec.traffic.hosted_zone), service.spec.role_arn.clone());
    }
    let mut found = None;
    let mut rest = name;
    loop {
        let role = known.get(rest);
        let world = handles.world.acting_as(role.and_then(Option::as_deref));
        match world.records.zone(rest).await {
            Ok(zone) => {
                found = Some((world, zone.name));
                break;
            }
            Err(error) if error.code == "NoSuchHostedZone" && role.is_none() => {}
            Err(error) => return Err(away(&error)),
        }
        match rest.split_once('.') {
            Some((_, parent)) if parent.contains('.') => rest = parent,
            _ => break,
        }
    }
    let Some((world, zone)) = found else {
        let message = format!("no public hosted zone that this fleet can read holds {name}");
        return Err(ApiError::new(ErrorCode::UnknownZone, message));
    };
    read(&world, zone).await
}

async fn read(world: &World, name: String) -> Result<Zone, ApiError> {
    let (records, checks) = tokio::join!(world.records.list(&name, Age::Now), world.health_checks.list(Age::Now));
    let (records, checks) = (records.map_err(|error| away(&error))?, checks.map_err(|error| away(&error))?);
    Ok(Zone { name, records, checks })
}

fn away(error: &CallError) -> ApiError {
    let code = match (error.code.as_str(), error.effect) {
        ("NoSuchHostedZone", _) => ErrorCode::UnknownZone,
        (_, Effect::None) if error.code.contains("Denied") => ErrorCode::NotAllowed,
        _ => ErrorCode::AwsAway,
    };
    ApiError::new(code, error.to_string())
}

fn explain(at: &Snapshot, zone: &Zone, question: &Question) -> proto::ExplainRouteResponse {
    let nobody = BTreeSet::new();
    let now = Believed::new(&at.state, &zone.checks, &nobody);
    let then = Believed::new(&at.state, &zone.checks, &question.down);
    let place = question.from.as_ref().map(|(_, place)| place.clone()).unwrap_or_default();
    let found = question.ask(&place, &zone.records, &then);
    let places = match question.from {
        Some(_) => Vec::new(),
        None => places(zone, question, &now, &then),
    };
    let nothing = found.iter().find(|answer| answer.values.is_empty()).map(|answer| answer.because.clone());
    proto::ExplainRouteResponse {
        answered: Some(at.answered()),
        zone: zone.name.clone(),
        name: question.name.clone(),
        r#type: question.record_type.to_string(),
        answers: shown(&question.name, &found),
        considered: considered(&found),
        nothing_because: nothing,
        places,
        notes: notes(zone, question, &then.assumed()),
    }
}

fn shown(name: &str, answers: &[Answer]) -> Vec<proto::RouteAnswer> {
    let given = answers.iter().filter(|answer| !answer.values.is_empty());
    given
        .map(|answer| proto::RouteAnswer {
            values: answer.values.clone(),
            set_identifier: first_set(name, answer),
            because: answer.because.clone(),
            ttl_s: answer.ttl_s,
            path: answer.path.clone(),
        })
        .collect()
}

/// The set identifier of the record that was chosen first.
fn first_set(name: &str, answer: &Answer) -> Option<String> {
    let at_name = |considered: &&failoverd_domain::route53::Considered| {
        considered.rejected_because.is_none() && considered.name.eq_ignore_ascii_case(name)
    };
    let chosen = answer
        .considered
        .iter()
        .find(at_name)
        .or_else(|| answer.considered.iter().find(|considered| considered.rejected_because.is_none()));
    chosen.and_then(|considered| considered.set_identifier.clone())
}

/// Every record that was looked at on the way to any of the answers, once; rejected only where none of them chose it.
fn considered(answers: &[Answer]) -> Vec<proto::RouteConsidered> {
    let mut all: Vec<proto::RouteConsidered> = Vec::new();
    for one in answers.iter().flat_map(|answer| &answer.considered) {
        let same =
            |held: &&mut proto::RouteConsidered| held.name == one.name && held.set_identifier == one.set_identifier;
        match all.iter_mut().find(same) {
            Some(held) if one.rejected_because.is_none() => held.rejected_because = None,
            Some(_) => {}
            None => all.push(proto::RouteConsidered {
                name: one.name.clone(),
                set_identifier: one.set_identifier.clone(),
                healthy: one.healthy,
                rejected_because: one.rejected_because.clone(),
            }),
        }
    }
    all
}

/// The records of the name itself, and of what stands in for it.
fn own<'a>(zone: &'a Zone, question: &'a Question) -> impl Iterator<Item = &'a RecordSet> {
    zone.records.iter().filter(|set| set.record_type == question.record_type && set.name == question.name)
}

/// Where people of each place go that the name's records tell apart.
fn places(zone: &Zone, question: &Question, now: &Believed<'_>, then: &Believed<'_>) -> Vec<proto::RoutePlace> {
    let down = !question.down.is_empty();
    origins(&zone.records, &question.name, question.record_type)
        .into_iter()
        .map(|(from, place)| proto::RoutePlace {
            from,
            now: shown(&question.name, &question.ask(&place, &zone.records, now)),
            then: if down { shown(&question.name, &question.ask(&place, &zone.records, then)) } else { Vec::new() },
        })
        .collect()
}

fn notes(zone: &Zone, question: &Question, assumed: &BTreeSet<HealthCheckId>) -> Vec<String> {
    let mut notes = Vec::new();
    if own(zone, question).any(|set| matches!(set.policy, Policy::Latency(_))) {
        notes.push(LATENCY_IS_ESTIMATED.to_owned());
    }
    for id in assumed {
        let reference = zone.checks.iter().find(|check| check.id == *id).map(|check| check.caller_reference.as_str());
        let whose = reference.unwrap_or("gone, or of another account");
        notes.push(format!("health check {id} ({whose}) is taken as healthy: the fleet does not know better"));
    }
    notes
}
