//! What applying did, or would do.

use serde_json::{Value, json};

use super::table::table;
use crate::api::convert::word;
use crate::api::proto::{AppliedManifest, ApplyResponse, AwsChange};
use crate::cli::output::View;

/// `apply`, with or without `--dry-run`.
#[must_use]
pub fn applied(answer: &ApplyResponse) -> View {
    View { json: json_of(answer), text: text(answer), names: answer.manifests.iter().map(name).collect() }
}

fn change(manifest: &AppliedManifest) -> String {
    word(manifest.change().as_str_name(), "MANIFEST_CHANGE")
}

fn name(manifest: &AppliedManifest) -> String {
    format!("{}/{}", manifest.kind.to_lowercase(), manifest.name)
}

fn json_of(answer: &ApplyResponse) -> Value {
    let manifests = answer
        .manifests
        .iter()
        .map(|it| json!({ "kind": it.kind, "name": it.name, "change": change(it), "fields": it.fields }));
    let changes = answer
        .changes
        .iter()
        .map(|it| json!({ "service": it.service, "resource": it.resource, "action": it.action, "detail": it.detail }));
    let checks = answer.health_checks.unwrap_or_default();
    json!({
        "dry_run": answer.dry_run,
        "revision": answer.revision,
        "manifests": manifests.collect::<Vec<_>>(),
        "changes": changes.collect::<Vec<_>>(),
        "health_checks": { "add": checks.add, "used": checks.used, "limit": checks.limit },
        "monthly_cost_usd": answer.monthly_cost_usd,
        "cost_basis": answer.cost_basis,
        "warnings": answer.warnings,
        "blocked": answer.blocked,
        "needs_confirm": answer.needs_confirm,
    })
}

fn text(answer: &ApplyResponse) -> String {
    let mut text: String = answer.manifests.iter().map(|manifest| line(manifest, answer.dry_run)).collect();
    if answer.dry_run {
        text += &summary(answer);
    } else {
        text += &listed("WARNINGS", &answer.warnings);
    }
    text
}

fn line(manifest: &AppliedManifest, dry_run: bool) -> String {
    let fields = if manifest.fields.is_empty() { String::new() } else { format!(": {}", manifest.fields.join(", ")) };
    let dry = if dry_run { " (dry run)" } else { "" };
    format!("{} {}{dry}{fields}\n", name(manifest), change(manifest))
}

/// What would be made or changed in AWS, what it takes and costs, and what a person should know before.
#[must_use]
pub fn summary(answer: &ApplyResponse) -> String {
    let mut text = "\nCHANGES IN AWS\n".to_owned();
    text += &match answer.changes.is_empty() {
        true => "none\n".to_owned(),
        false => changes(&answer.changes),
    };
    let checks = answer.health_checks.unwrap_or_default();
    let account = match (checks.used, checks.limit) {
        (Some(used), Some(limit)) => {
            format!("the account has {used} of {limit}, {} afterwards", used.saturating_add(checks.add))
        }
        _ => "the account's quota could not be read".to_owned(),
    };
    text += &format!("\nHealth checks: {} to be made; {account}\n", checks.add);
    text += &format!("Monthly cost: about {:.2} USD, {}\n", answer.monthly_cost_usd, answer.cost_basis);
    text += &listed("WARNINGS", &answer.warnings);
    text += &listed("IN THE WAY", &answer.blocked);
    for zone in &answer.needs_confirm {
        text += &format!("\nThis needs the zone to be confirmed by name: --confirm {zone}\n");
    }
    text
}

fn changes(changes: &[AwsChange]) -> String {
    let row = |it: &AwsChange| vec![it.action.clone(), it.service.clone(), it.resource.clone(), it.detail.clone()];
    table(&["ACTION", "SERVICE", "RESOURCE", "DETAIL"], changes.iter().map(row))
}

fn listed(heading: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let lines: String = lines.iter().map(|line| format!("  {line}\n")).collect();
    format!("\n{heading}\n{lines}")
}
