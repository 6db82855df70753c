//! Which way a drill goes, given where its service is now.

use super::spec::{DrillKind, DrillSpec};
use crate::fleet::{FleetState, Rejection, ServiceState};
use crate::ids::Region;
use crate::plan::Movement;
use crate::service::Pattern;

/// The way out of a drill; the way back is the same backwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Course {
    /// The Region that is left.
    pub home: Region,
    /// Where the service goes; where its writers are, if a Region of several is evacuated.
    pub away: Region,
    /// What kind of move.
    pub movement: Movement,
}

/// Where a drill would go now.
///
/// # Errors
/// Why it cannot: something is open, or its service is not where the drill begins.
pub fn course(state: &FleetState, spec: &DrillSpec) -> Result<Course, Rejection> {
    let no_service = || Rejection::new("NO_SUCH_SERVICE", format!("there is no service {}", spec.service));
    let service = state.services.get(&spec.service).ok_or_else(no_service)?;
    if let Some(lead) = state.moves_with(&service.spec) {
        let reason = format!("{} shares the switch of {lead} and moves with it: drill {lead}", spec.service);
        return Err(Rejection::new("MOVES_WITH", reason));
    }
    state.place_is_known(&service.spec)?;
    if let Some(open) = state.open_drill_of(&spec.service) {
        let reason = format!("drill {} of {} is {}: one at a time", open.id, spec.service, open.phase.word());
        return Err(Rejection::new("DRILL_OPEN", reason));
    }
    if let Some(run) = state.open_run(&spec.service) {
        let reason = format!("run {} of {} is {}", run.id, spec.service, run.state.word());
        return Err(Rejection::new("RUN_OPEN", reason));
    }
    match service.spec.pattern {
        Pattern::ActivePassive => pair(service, spec),
        Pattern::ActiveActive => spread(state, service, spec),
    }
}

fn elsewhere(spec: &DrillSpec, what: String) -> Rejection {
    Rejection::new("ALREADY_FAILED_OVER", format!("drill {}: {what}", spec.name))
}

fn pair(service: &ServiceState, spec: &DrillSpec) -> Result<Course, Rejection> {
    let home = &service.primary;
    if let Some(from) = spec.from.as_ref().filter(|from| *from != home) {
        return Err(elsewhere(spec, format!("{} serves from {home}, not from {from}", spec.service)));
    }
    if spec.to.as_ref() == Some(home) {
        return Err(elsewhere(spec, format!("{} serves from {home} already", spec.service)));
    }
    let standby = service.standby();
    let away = spec.to.as_ref().or(standby).cloned();
    let away = away.ok_or_else(|| Rejection::new("NO_STANDBY", format!("{} has no other Region", spec.service)))?;
    if spec.kind == DrillKind::Evacuate && holds_writers(service) {
        return Err(moves_writers(spec, home));
    }
    Ok(Course { home: home.clone(), away, movement: Movement::Failover })
}

fn spread(state: &FleetState, service: &ServiceState, spec: &DrillSpec) -> Result<Course, Rejection> {
    if spec.kind == DrillKind::Switchover {
        let reason = format!("{} is active-active: its Regions are evacuated, not switched over", spec.service);
        return Err(Rejection::new("NOT_SUPPORTED", reason));
    }
    let serving = state.serving(service);
    let writes = |region: &Region| holds_writers(service) && region == &service.primary;
    let only_traffic = spec.kind == DrillKind::Evacuate;
    let home = match &spec.from {
        Some(from) if serving.contains(&from) => from.clone(),
        Some(from) => return Err(elsewhere(spec, format!("{} does not serve from {from}", spec.service))),
        None => {
            let fits = |region: &&&Region| !(only_traffic && writes(region)) && spec.to.as_ref() != Some(**region);
            let first = serving.iter().find(fits);
            first
                .map(|region| (*region).clone())
                .ok_or_else(|| elsewhere(spec, format!("no Region of {} can be left", spec.service)))?
        }
    };
    if only_traffic && writes(&home) {
        return Err(moves_writers(spec, &home));
    }
    let left: Vec<&Region> = serving.into_iter().filter(|region| **region != home).collect();
    let stays = left.iter().find(|region| ***region == service.primary);
    let away = match &spec.to {
        Some(to) if left.contains(&to) => Some(to),
        Some(to) => return Err(elsewhere(spec, format!("{} does not serve from {to}", spec.service))),
        None => stays.or(left.first()).copied(),
    };
    let away = away.cloned().ok_or_else(|| {
        let reason = format!("{home} is the last Region that serves {} (I4)", spec.service);
        Rejection::new("LAST_SERVING_REGION", reason)
    })?;
    Ok(Course { home, away, movement: Movement::Evacuate })
}

fn holds_writers(service: &ServiceState) -> bool {
    service.spec.data.iter().any(|store| store.kind.has_single_writer())
}

fn moves_writers(spec: &DrillSpec, home: &Region) -> Rejection {
    let reason = format!(
        "drill {}: {home} holds the writers of {}, and an evacuation moves traffic alone: use switchover or region-loss",
        spec.name, spec.service
    );
    Rejection::new("MOVES_WRITERS", reason)
}
