//! What a request to move means for a service: which Region is left, which one takes over, by which kind of move.

use super::Rejection;
use super::failover::FailoverRequest;
use super::state::{FleetState, ServiceState};
use crate::ids::Region;
use crate::plan::Movement;
use crate::service::Pattern;

/// A move with its Regions.
pub(super) struct Wanted {
    pub(super) movement: Movement,
    pub(super) from: Region,
    pub(super) to: Region,
}

/// What is asked for.
pub(super) fn asked(
    state: &FleetState,
    service: &ServiceState,
    request: &FailoverRequest,
    is_healthy: &dyn Fn(&Region) -> bool,
) -> Result<Wanted, Rejection> {
    state.moves_by_itself(&service.spec)?;
    for region in request.from.iter().chain(&request.to) {
        if !service.spec.regions.contains(region) {
            return Err(Rejection::new("UNKNOWN_REGION", format!("{} does not run in {region}", request.service)));
        }
    }
    match (service.spec.pattern, request.movement) {
        (Pattern::ActivePassive, Movement::Failover) => pair(service, request, request.to.clone()),
        (Pattern::ActivePassive, Movement::Evacuate) => evacuated_pair(service, request),
        (Pattern::ActivePassive, Movement::Restore) => restored_pair(service, request),
        (Pattern::ActiveActive, Movement::Failover) => {
            let reason = format!(
                "{} is active-active: its Regions are evacuated and restored (`failoverctl evacuate REGION`)",
                request.service
            );
            Err(Rejection::new("NOT_SUPPORTED", reason))
        }
        (Pattern::ActiveActive, Movement::Evacuate) => evacuation(state, service, request, is_healthy),
        (Pattern::ActiveActive, Movement::Restore) => restore(state, service, request),
    }
}

fn pair(service: &ServiceState, request: &FailoverRequest, to: Option<Region>) -> Result<Wanted, Rejection> {
    let to = match to {
        Some(to) => to,
        None => service
            .standby()
            .cloned()
            .ok_or_else(|| Rejection::new("NO_STANDBY", format!("{} has no other Region", request.service)))?,
    };
    if to == service.primary {
        return Err(Rejection::new("ALREADY_THERE", format!("{} serves from {to} already", request.service)));
    }
    Ok(Wanted { movement: Movement::Failover, from: service.primary.clone(), to })
}

fn evacuated_pair(service: &ServiceState, request: &FailoverRequest) -> Result<Wanted, Rejection> {
    match &request.from {
        Some(from) if from != &service.primary => {
            let reason = format!("{} serves from {}, not from {from}", request.service, service.primary);
            Err(Rejection::new("ALREADY_THERE", reason))
        }
        _ => pair(service, request, request.to.clone()),
    }
}

fn restored_pair(service: &ServiceState, request: &FailoverRequest) -> Result<Wanted, Rejection> {
    let home = service.spec.regions.first();
    match &request.to {
        Some(to) if Some(to) != home => {
            let home = home.map_or("nowhere", Region::as_str);
            let reason = format!("{} is at home in {home}: nothing goes back to {to}", request.service);
            Err(Rejection::new("ALREADY_THERE", reason))
        }
        _ => pair(service, request, home.cloned()),
    }
}

/// The writer stays where it is, unless that is the Region that is left: then the first healthy one takes it.
fn evacuation(
    state: &FleetState,
    service: &ServiceState,
    request: &FailoverRequest,
    is_healthy: &dyn Fn(&Region) -> bool,
) -> Result<Wanted, Rejection> {
    let from = request.from.clone().ok_or_else(|| which(request))?;
    let serving = state.serving(service);
    // A run that was stopped half-way, or a switch turned by hand, may have left writers behind in a Region that is off.
    if !serving.contains(&&from) && from != service.primary {
        let reason = format!("{} does not serve from {from}: it is evacuated already", request.service);
        return Err(Rejection::new("ALREADY_THERE", reason));
    }
    let left: Vec<&Region> = serving.into_iter().filter(|region| **region != from).collect();
    let keeps = left.iter().find(|region| ***region == service.primary && from != service.primary);
    let chosen = match &request.to {
        Some(to) if left.contains(&to) => Some(to),
        Some(to) => {
            let reason = format!("{} does not serve from {to}: it cannot take over there", request.service);
            return Err(Rejection::new("NO_STANDBY", reason));
        }
        None => keeps.or_else(|| left.iter().find(|region| is_healthy(region))).or(left.first()).copied(),
    };
    let to = chosen.cloned().ok_or_else(|| {
        let reason = format!("{from} is the last Region that serves {} (I4)", request.service);
        Rejection::new("LAST_SERVING_REGION", reason)
    })?;
    Ok(Wanted { movement: Movement::Evacuate, from, to })
}

fn restore(state: &FleetState, service: &ServiceState, request: &FailoverRequest) -> Result<Wanted, Rejection> {
    let to = request.to.clone().ok_or_else(|| which(request))?;
    let serving = state.serving(service);
    if serving.contains(&&to) {
        return Err(Rejection::new("ALREADY_THERE", format!("{} serves from {to} already", request.service)));
    }
    let holds_writer = serving.iter().find(|region| ***region == service.primary);
    let from = holds_writer.or(serving.first()).copied().cloned();
    let from = from.ok_or_else(|| Rejection::new("NO_STANDBY", format!("no Region serves {}", request.service)))?;
    Ok(Wanted { movement: Movement::Restore, from, to })
}

fn which(request: &FailoverRequest) -> Rejection {
    Rejection::new("UNKNOWN_REGION", format!("say which Region of {} is meant", request.service))
}
