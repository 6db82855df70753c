//! Manifests in: read, compared with what is applied, and turned into one entry.

use std::collections::BTreeMap;

use failoverd_domain::fleet::{Command, FleetState, Role};
use failoverd_domain::ids::{Region, SwitchGroup};
use failoverd_domain::service::{Pattern, ServiceSpec};
use rand::RngCore;
use rand::rngs::OsRng;

use super::convert::fields_that_differ;
use super::error::{ApiError, ErrorCode, Violation};
use super::pending::read_manifests;
use super::proto::{AppliedManifest, ManifestChange, ManifestFile};
use super::snapshot::Snapshot;

/// Reads every file; all problems of all files are reported at once.
///
/// # Errors
/// `INVALID_MANIFEST` with each problem as a violation.
pub fn read(at: &Snapshot, files: &[ManifestFile]) -> Result<Vec<ServiceSpec>, ApiError> {
    let regions: BTreeMap<Region, Role> =
        at.state.members.iter().map(|(region, member)| (region.clone(), member.role)).collect();
    if files.is_empty() {
        return Err(ApiError::new(ErrorCode::InvalidArgument, "no manifest was given"));
    }
    let (mut specs, mut violations) = (Vec::new(), Vec::new());
    for file in files {
        match read_manifests(&file.name, &file.content, &regions) {
            Ok(read) => specs.extend(read),
            Err(problems) => violations.extend(
                problems
                    .into_iter()
                    .map(|problem| Violation { field: file.name.clone(), description: problem.to_string() }),
            ),
        }
    }
    violations.extend(declared_twice(&specs));
    if violations.is_empty() {
        return Ok(specs);
    }
    let count = violations.len();
    let message = format!("{count} {} in the manifests; nothing was applied", plural(count, "problem"));
    Err(ApiError { violations, ..ApiError::new(ErrorCode::InvalidManifest, message) })
}

/// Services that two files declare; one file's own doubles are the reader's to find.
fn declared_twice(specs: &[ServiceSpec]) -> Vec<Violation> {
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for spec in specs {
        *count.entry(spec.name.as_str()).or_default() += 1;
    }
    let twice = count.into_iter().filter(|(_, count)| *count > 1);
    twice
        .map(|(name, count)| Violation {
            field: format!("metadata.name: {name}"),
            description: format!("service \"{name}\" is declared {count} times; each service has one manifest"),
        })
        .collect()
}

fn plural(count: usize, word: &str) -> String {
    if count == 1 { word.to_owned() } else { format!("{word}s") }
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
    AppliedManifest { kind: "FailoverService".to_owned(), name: name.to_owned(), change: change.into(), fields }
}

/// The entry that applies them, with a fresh token for every bit; bits that have one keep it.
#[must_use]
pub fn command(specs: Vec<ServiceSpec>, prune: bool) -> Command {
    let tokens = specs.iter().flat_map(bits).map(|(group, region)| (group, region, token())).collect();
    Command::Apply { specs, prune, tokens }
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
        assert!(tokens.iter().all(|(_, _, token)| token.len() == 32 && token != &tokens[0].2 || token == &tokens[0].2));
        assert_ne!(tokens[0].2, tokens[1].2);
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
    fn a_service_in_two_files_is_refused() {
        let twice = declared_twice(&[spec("a"), spec("b"), spec("a")]);
        assert_eq!(twice.len(), 1);
        assert!(twice[0].description.contains("\"a\" is declared 2 times"));
    }
}
