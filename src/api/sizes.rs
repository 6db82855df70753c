//! What it means that a Region is added or removed: how many daemons may be lost, and which health checks follow at what
//! price. Changes nothing and asks nobody.

use std::collections::{BTreeMap, BTreeSet};

use failoverd_domain::fleet::{FleetState, Member, Role, may_be_lost};
use failoverd_domain::ids::Region;
use failoverd_domain::traffic::{DesiredCheck, monthly_checks_usd, monthly_voices_usd, voices};

use super::error::ApiError;
use super::proto::{FleetChange, FleetSize};
use crate::survey;

/// Which way a Region goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It is added.
    In,
    /// It is removed.
    Out,
}

/// What it would mean, as the fleet stands now.
///
/// # Errors
/// The replicated state would refuse it.
pub fn change(now: &FleetState, region: &Region, way: Way) -> Result<FleetChange, ApiError> {
    let is_listed = now.members.contains_key(region);
    let mut then = now.clone();
    let mut notes = Vec::new();
    match (way, is_listed) {
        (Way::In, false) => {
            now.may_enlist(region)?;
            // Where checkers will reach it, it says when it is there; what that costs is the same.
            let switch = now.members.values().find_map(|member| member.switch.clone());
            then.members.insert(region.clone(), Member { role: Role::Witness, switch });
        }
        (Way::Out, true) => {
            now.may_dismiss(region)?;
            then.members.remove(region);
        }
        (Way::In, true) => notes.push(format!("{region} is in the fleet's list already: only its vote may be missing")),
        (Way::Out, false) => notes.push(format!("{region} is not in the fleet's list: only its vote may be left")),
    }
    let (before, after) = (size(now, &mut Vec::new()), size(&then, &mut notes));
    let daemons = after.regions.len();
    if daemons.is_multiple_of(2) {
        notes.push(format!(
            "an even number is no better than the odd one below it: {daemons} daemons may lose {}, as {} may",
            after.may_be_lost,
            daemons - 1
        ));
    }
    if before.health_checks != after.health_checks {
        notes.push(
            "the health checks of every service follow by themselves, while Route 53's API answers; until then its \
             services are unsettled, and the checks that stand go on working"
                .to_owned(),
        );
    }
    if way == Way::Out && !voices(now).is_empty() {
        notes.push(format!("alarms of switches in {region} stay: delete them by hand"));
    }
    Ok(FleetChange { before: Some(before), after: Some(after), notes })
}

fn size(state: &FleetState, notes: &mut Vec<String>) -> FleetSize {
    let mut checks: BTreeMap<String, DesiredCheck> = BTreeMap::new();
    let mut is_whole = true;
    for service in state.services.values() {
        match survey::wanted(state, service) {
            Ok(wanted) => checks.extend(wanted.checks.into_iter().map(|check| (check.reference.clone(), check))),
            Err(why) => {
                is_whole = false;
                notes.push(format!("{}: its health checks cannot be counted: {why}", service.spec.name));
            }
        }
    }
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let said = voices(state);
    let roles: BTreeSet<_> = said.iter().map(|voice| voice.role_arn).collect();
    let daemons = count(state.members.len());
    let usd = monthly_checks_usd(checks.values()) + monthly_voices_usd(count(said.len()), count(roles.len()), daemons);
    FleetSize {
        regions: state.members.keys().map(ToString::to_string).collect(),
        may_be_lost: count(may_be_lost(state.members.len())),
        health_checks: count(checks.len()),
        monthly_usd: is_whole.then_some((usd * 100.0).round() / 100.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::fake::{reachable, state_with};

    #[test]
    fn a_fourth_daemon_tolerates_no_more_than_three_and_it_says_so() {
        let seen = change(&reachable(), &"ap-south-1".into(), Way::In).unwrap();
        let (before, after) = (seen.before.unwrap(), seen.after.unwrap());
        assert_eq!((before.regions.len(), before.may_be_lost, after.regions.len(), after.may_be_lost), (3, 1, 4, 1));
        assert!(after.regions.contains(&"ap-south-1".to_owned()));
        assert!(seen.notes.iter().any(|note| note.contains("4 daemons may lose 1, as 3 may")), "{:?}", seen.notes);
        assert_eq!(after.monthly_usd, Some(0.0), "no service, no check");
    }

    #[test]
    fn what_the_fleet_would_refuse_is_refused_before_anybody_is_asked() {
        let state = state_with(&[]);
        let refused = change(&state, &"us-west-2".into(), Way::Out).unwrap_err();
        assert!(refused.message.contains("a fleet of 3 cannot do without us-west-2"), "{}", refused.message);
    }

    #[test]
    fn going_on_changes_no_numbers() {
        let seen = change(&reachable(), &"us-west-2".into(), Way::In).unwrap();
        assert_eq!(seen.before, seen.after);
        assert!(seen.notes[0].contains("only its vote may be missing"), "{:?}", seen.notes);
    }
}
