//! Manifests in: read, compared with what is applied, and turned into one entry.

use std::collections::{BTreeMap, BTreeSet};

use failoverd_domain::fleet::{Command, FleetState, Role};
use failoverd_domain::ids::{Region, SwitchGroup};
use failoverd_domain::manifest::{KIND, Problem, read_set, to_manifest};
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
pub fn read(at: &Snapshot, files: &[ManifestFile], prune: bool) -> Result<Vec<ServiceSpec>, ApiError> {
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
    read_set(texts, &regions, &stay).map_err(invalid)
}

fn invalid(problems: Vec<Problem>) -> ApiError {
    let count = problems.len();
    let what = if count == 1 { "problem" } else { "problems" };
    let message = format!("{count} {what} in the manifests; nothing was applied");
    let violation = |problem: Problem| Violation { field: problem.path.clone(), description: problem.to_string() };
    let violations = problems.into_iter().map(violation).collect();
    ApiError { violations, ..ApiError::new(ErrorCode::InvalidManifest, message) }
}

/// Paths of the fields in which two manifests of a service differ, for people.
fn fields_that_differ(old: &ServiceSpec, new: &ServiceSpec) -> Vec<String> {
    let mut paths = Vec::new();
    differ("", &to_manifest(old), &to_manifest(new), &mut paths);
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
pub fn compare(state: &FleetState, specs: &[ServiceSpec], prune: bool) -> Vec<AppliedManifest> {
    let mut manifests: Vec<AppliedManifest> = specs.iter().map(|spec| compare_one(state, spec)).collect();
    if prune {
        let gone = state.services.keys().filter(|name| !specs.iter().any(|spec| &spec.name == *name));
        manifests.extend(gone.map(|name| applied(name.as_str(), ManifestChange::Deleted, Vec::new())));
    }
    manifests
}

fn compare_one(state: &FleetState, spec: &ServiceSpec) -> AppliedManifest {
    let name = spec.name.as_str();
    match state.services.get(name) {
        None => applied(name, ManifestChange::Created, Vec::new()),
        Some(old) if *old.spec == *spec => applied(name, ManifestChange::Unchanged, Vec::new()),
        Some(old) => applied(name, ManifestChange::Configured, fields_that_differ(&old.spec, spec)),
    }
}

fn applied(name: &str, change: ManifestChange, fields: Vec<String>) -> AppliedManifest {
    AppliedManifest { kind: KIND.to_owned(), name: name.to_owned(), change: change.into(), fields }
}

/// The entry that applies them, with a fresh token for every bit; bits that have one keep it.
#[must_use]
pub fn command(specs: Vec<ServiceSpec>, prune: bool) -> Command {
    let tokens = specs.iter().flat_map(bits).map(|(group, region)| (group, region, token())).collect();
    Command::Apply { specs, drills: Vec::new(), prune, tokens }
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
        let Command::Apply { tokens, .. } = command(vec![spec("checkout"), spread], false) else { panic!() };
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
        let seen = compare(&state, &[changed, spec("new")], true);
        let words: Vec<_> = seen.iter().map(|it| format!("{} {:?} {:?}", it.name, it.change(), it.fields)).collect();
        assert_eq!(words, ["checkout Configured [\"spec.objectives.rto\"]", "new Created []", "old Deleted []"]);
        assert_eq!(compare(&state, &[spec("checkout")], false)[0].change(), ManifestChange::Unchanged);
    }

    #[test]
    fn only_what_differs_is_named() {
        let old = spec("checkout");
        let mut new = old.clone();
        assert!(fields_that_differ(&old, &new).is_empty());
        new.objectives.rpo_ms = 7_000;
        new.health.signals[0].name = "other".into();
        assert_eq!(fields_that_differ(&old, &new), ["spec.health.signals[0].name", "spec.objectives.rpo"]);
    }
}
