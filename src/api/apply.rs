//! Manifests in: read, compared with what is applied, and turned into one entry.

use std::collections::{BTreeMap, BTreeSet};

use failoverd_domain::drill::{DrillKind, DrillSpec, LicenceStanding, licence_of};
use failoverd_domain::fleet::{Command, FleetState, Role, ServiceState};
use failoverd_domain::ids::{Region, SwitchGroup};
use failoverd_domain::manifest::{
    DRILL_KIND, KIND, Manifests, Problem, drill_to_manifest, misfits, read_set, to_manifest,
};
use failoverd_domain::service::{Pattern, ServiceSpec};
use rand::RngCore;
use rand::rngs::OsRng;
use serde_json::Value;

use super::error::{ApiError, ErrorCode, Violation};
use super::proto::{AppliedManifest, ManifestChange, ManifestFile};
use super::snapshot::Snapshot;

/// Reads every file; all problems of all files are reported at once.
///
/// # Errors
/// `INVALID_MANIFEST` with each problem as a violation.
pub fn read(at: &Snapshot, files: &[ManifestFile], prune: bool) -> Result<Manifests, ApiError> {
    if files.is_empty() {
        return Err(ApiError::new(ErrorCode::InvalidArgument, "no manifest was given"));
    }
    if at.state.members.is_empty() {
        let message = "the fleet has not been formed yet: try again in a moment";
        return Err(ApiError::new(ErrorCode::NoLeader, message));
    }
    let regions: BTreeMap<Region, Role> =
        at.state.members.iter().map(|(region, member)| (region.clone(), member.role)).collect();
    let stay: Vec<&ServiceSpec> = at.state.services.values().filter(|_| !prune).map(|service| &*service.spec).collect();
    let texts = files.iter().map(|file| (file.name.as_str(), file.content.as_slice()));
    let read = read_set(texts, &regions, &stay).map_err(invalid)?;
    let then: Vec<&ServiceSpec> = {
        let anew = |spec: &&&ServiceSpec| !read.services.iter().any(|other| other.name == spec.name);
        stay.iter().filter(anew).copied().chain(&read.services).collect()
    };
    let mut unfit = already_there(&at.state, &read.drills);
    let kept =
        at.state.drills.values().filter(|drill| !prune && !read.drills.iter().any(|it| it.name == drill.spec.name));
    for drill in kept {
        let why = misfits(&drill.spec, &then, true);
        unfit.extend(why.into_iter().map(|(path, why)| (drill.spec.name.to_string(), path, why)));
    }
    if unfit.is_empty() { Ok(read) } else { Err(unfit_drills(unfit)) }
}

/// New and changed drills that would move a service to where it is: they would prove nothing.
fn already_there(state: &FleetState, drills: &[DrillSpec]) -> Vec<(String, String, String)> {
    let is_changed = |drill: &&DrillSpec| state.drills.get(&drill.name).is_none_or(|old| *old.spec != **drill);
    let mut found = Vec::new();
    for drill in drills.iter().filter(is_changed).filter(|drill| drill.kind != DrillKind::Simulate) {
        let Some(service) = state.services.get(&drill.service) else { continue };
        let (primary, home) = (&service.primary, service.spec.regions.first());
        let pair = service.spec.pattern == Pattern::ActivePassive;
        if pair && home != Some(primary) && drill.to.as_ref() == Some(primary) {
            let why = format!("{} has failed over to {primary} already: bring it back first", drill.service);
            found.push((drill.name.to_string(), "spec.to".to_owned(), why));
        }
    }
    found
}

fn unfit_drills(unfit: Vec<(String, String, String)>) -> ApiError {
    let names: BTreeSet<&str> = unfit.iter().map(|(name, ..)| name.as_str()).collect();
    let names = names.into_iter().collect::<Vec<_>>().join(", ");
    let message = format!("drills would not fit what they are of ({names}); nothing was applied");
    let violation = |(name, path, why): (String, String, String)| Violation {
        description: format!("drill {name}: {path}: {why}"),
        field: path,
    };
    ApiError {
        violations: unfit.into_iter().map(violation).collect(),
        ..ApiError::new(ErrorCode::InvalidManifest, message)
    }
}

/// A service that is drilled is not forgotten: its drills would run into nothing.
///
/// # Errors
/// `REFUSED`, with the drills by name.
pub fn refuse_while_drilled(at: &Snapshot, service: &str) -> Result<(), ApiError> {
    let of_it = at.state.drills.values().filter(|drill| drill.spec.service.as_str() == service);
    let names: Vec<&str> = of_it.map(|drill| drill.spec.name.as_str()).collect();
    if names.is_empty() {
        return Ok(());
    }
    let message = format!("drills of {service} are applied ({}): delete them first", names.join(", "));
    Err(ApiError::new(ErrorCode::Refused, message))
}

/// Services that may move by themselves now, and by the new manifest would have to ask, with why.
#[must_use]
pub fn lapsing_licences(at: &Snapshot, specs: &[ServiceSpec]) -> Vec<String> {
    let lapses = |spec: &ServiceSpec| {
        let now = at.state.services.get(&spec.name).filter(|now| *now.spec != *spec)?;
        let then = ServiceState { spec: std::sync::Arc::new(spec.clone()), ..now.clone() };
        let ways = spec.regions.iter().flat_map(|from| spec.regions.iter().map(move |to| (from, to)));
        ways.filter(|(from, to)| from != to).find_map(|(from, to)| {
            let held = !matches!(licence_of(at.now, now, from, to), LicenceStanding::Lapsed { .. });
            let LicenceStanding::Lapsed { why, .. } = licence_of(at.now, &then, from, to) else { return None };
            // The way back of a pair that is at home is licensed when it is away.
            let is_way = then.spec.pattern == Pattern::ActiveActive || *from == now.primary;
            (held && is_way).then(|| {
                format!(
                    "{}: a breach of {from} would ask for approval from then on, whatever policy.failover says: {why}",
                    spec.name
                )
            })
        })
    };
    specs.iter().filter_map(lapses).collect()
}

fn invalid(problems: Vec<Problem>) -> ApiError {
    let count = problems.len();
    let what = if count == 1 { "problem" } else { "problems" };
    let message = format!("{count} {what} in the manifests; nothing was applied");
    let violation = |problem: Problem| Violation { field: problem.path.clone(), description: problem.to_string() };
    let violations = problems.into_iter().map(violation).collect();
    ApiError { violations, ..ApiError::new(ErrorCode::InvalidManifest, message) }
}

/// Paths of the fields in which two manifests differ, for people.
fn fields_that_differ(old: &Value, new: &Value) -> Vec<String> {
    let mut paths = Vec::new();
    differ("", old, new, &mut paths);
    paths
}

fn differ(path: &str, old: &Value, new: &Value, paths: &mut Vec<String>) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for key in keys {
                let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                let side = |side: &serde_json::Map<String, Value>| side.get(key).cloned().unwrap_or_default();
                differ(&below, &side(old), &side(new), paths);
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (n, (old, new)) in old.iter().zip(new).enumerate() {
                differ(&format!("{path}[{n}]"), old, new, paths);
            }
        }
        _ if old != new => paths.push(path.to_owned()),
        _ => {}
    }
}

/// What applying the manifests would do.
pub fn compare(state: &FleetState, specs: &[ServiceSpec], drills: &[DrillSpec], prune: bool) -> Vec<AppliedManifest> {
    let mut manifests: Vec<AppliedManifest> = specs.iter().map(|spec| compare_one(state, spec)).collect();
    manifests.extend(drills.iter().map(|drill| compare_drill(state, drill)));
    if prune {
        let gone = state.services.keys().filter(|name| !specs.iter().any(|spec| &spec.name == *name));
        manifests.extend(gone.map(|name| applied(KIND, name.as_str(), ManifestChange::Deleted, Vec::new())));
        let gone = state.drills.keys().filter(|name| !drills.iter().any(|drill| &drill.name == *name));
        manifests.extend(gone.map(|name| applied(DRILL_KIND, name.as_str(), ManifestChange::Deleted, Vec::new())));
    }
    manifests
}

fn compare_drill(state: &FleetState, drill: &DrillSpec) -> AppliedManifest {
    let name = drill.name.as_str();
    match state.drills.get(name) {
        None => applied(DRILL_KIND, name, ManifestChange::Created, Vec::new()),
        Some(old) if *old.spec == *drill => applied(DRILL_KIND, name, ManifestChange::Unchanged, Vec::new()),
        Some(old) => {
            let fields = fields_that_differ(&drill_to_manifest(&old.spec), &drill_to_manifest(drill));
            applied(DRILL_KIND, name, ManifestChange::Configured, fields)
        }
    }
}

fn compare_one(state: &FleetState, spec: &ServiceSpec) -> AppliedManifest {
    let name = spec.name.as_str();
    match state.services.get(name) {
        None => applied(KIND, name, ManifestChange::Created, Vec::new()),
        Some(old) if *old.spec == *spec => applied(KIND, name, ManifestChange::Unchanged, Vec::new()),
        Some(old) => {
            let fields = fields_that_differ(&to_manifest(&old.spec), &to_manifest(spec));
            applied(KIND, name, ManifestChange::Configured, fields)
        }
    }
}

fn applied(kind: &str, name: &str, change: ManifestChange, fields: Vec<String>) -> AppliedManifest {
    AppliedManifest { kind: kind.to_owned(), name: name.to_owned(), change: change.into(), fields }
}

/// The entry that applies them, with a fresh token for every bit; bits that have one keep it.
#[must_use]
pub fn command(specs: Vec<ServiceSpec>, drills: Vec<DrillSpec>, prune: bool) -> Command {
    let tokens = specs.iter().flat_map(bits).map(|(group, region)| (group, region, token())).collect();
    Command::Apply { specs, drills, prune, tokens }
}

/// Active-passive: one bit, of the first Region. Active-active: one for each.
fn bits(spec: &ServiceSpec) -> Vec<(SwitchGroup, Region)> {
    let count = match spec.pattern {
        Pattern::ActivePassive => 1,
        Pattern::ActiveActive => spec.regions.len(),
    };
    spec.regions.iter().take(count).map(|region| (spec.switch_group(), region.clone())).collect()
}

/// 128 unguessable bits, hex. The listener is public: who knows a token can read a bit, nothing more.
fn token() -> String {
    let mut bytes = [0_u8; 16];
    OsRng.fill_bytes(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::fake::{spec, state_with};

    #[test]
    fn every_bit_gets_its_own_unguessable_token() {
        let mut spread = spec("search");
        spread.pattern = Pattern::ActiveActive;
        let Command::Apply { tokens, .. } = command(vec![spec("checkout"), spread], Vec::new(), false) else {
            panic!()
        };
        let bits: Vec<_> = tokens.iter().map(|(group, region, _)| format!("{group}/{region}")).collect();
        assert_eq!(bits, ["checkout/us-east-1", "search/us-east-1", "search/eu-west-1"]);
        assert!(tokens.iter().all(|(_, _, token)| token.len() == 32));
        assert!(tokens[0].2 != tokens[1].2 && tokens[1].2 != tokens[2].2);
    }

    #[test]
    fn a_dry_run_names_what_would_change() {
        let state = state_with(&["checkout", "old"]);
        let mut changed = spec("checkout");
        changed.objectives.rto_ms = 60_000;
        let seen = compare(&state, &[changed, spec("new")], &[], true);
        let words: Vec<_> = seen.iter().map(|it| format!("{} {:?} {:?}", it.name, it.change(), it.fields)).collect();
        assert_eq!(words, ["checkout Configured [\"spec.objectives.rto\"]", "new Created []", "old Deleted []"]);
        assert_eq!(compare(&state, &[spec("checkout")], &[], false)[0].change(), ManifestChange::Unchanged);
    }

    #[test]
    fn only_what_differs_is_named() {
        let old = spec("checkout");
        let mut new = old.clone();
        let differ = |new: &ServiceSpec| fields_that_differ(&to_manifest(&old), &to_manifest(new));
        assert!(differ(&new).is_empty());
        new.objectives.rpo_ms = 7_000;
        new.health.signals[0].name = "other".into();
        assert_eq!(differ(&new), ["spec.health.signals[0].name", "spec.objectives.rpo"]);
    }
}
