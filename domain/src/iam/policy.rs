//! The policy document, and the list of what is to be simulated.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::resources::{Place, Subject, arns};
use super::table::{Form, OPERATIONS};

/// The least-privilege policy for a role: one statement for each AWS service and form of resource.
#[must_use]
pub fn policy(subject: &Subject<'_>, place: &Place) -> Value {
    let mut statements: BTreeMap<(&str, Form), BTreeSet<&str>> = BTreeMap::new();
    for grant in OPERATIONS.iter().flat_map(|operation| operation.needs) {
        statements.entry((prefix(grant.action), grant.on)).or_default().insert(grant.action);
    }
    let written = statements.into_iter().filter_map(|((service, form), actions)| {
        let resources = arns(form, subject, place);
        (!resources.is_empty()).then(|| statement(service, form, &actions, &resources))
    });
    json!({ "Version": "2012-10-17", "Statement": written.collect::<Vec<Value>>() })
}

fn prefix(action: &str) -> &str {
    action.split(':').next().unwrap_or_default()
}

fn statement(service: &str, form: Form, actions: &BTreeSet<&str>, resources: &BTreeSet<String>) -> Value {
    let mut body = json!({
        "Sid": sid(service, form),
        "Effect": "Allow",
        "Action": actions,
        "Resource": resources,
    });
    if let (Some((operator, key, value)), Some(fields)) = (form.condition(), body.as_object_mut()) {
        fields.insert("Condition".to_owned(), json!({ operator: { key: value } }));
    }
    body
}

/// Letters and digits only. Where no resource can be named it says so.
fn sid(service: &str, form: Form) -> String {
    let mut letters = service.chars();
    let service: String = letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect();
    let any = if form.why_any().is_some() { "KnowsNoResource" } else { "" };
    format!("{service}{form:?}{any}")
}

/// Whether a simulation about this resource says something about the calls that will be made: not about groups of which
/// only some will be used, nor about a zone that could not be found.
fn can_be_asked(form: Form, resource: &str) -> bool {
    match form {
        Form::ReplicaParts => resource.contains(":db:"),
        Form::Zone | Form::Tagged => !resource.ends_with(":hostedzone/*"),
        _ => true,
    }
}

/// Every action on every resource, as IAM's simulation is asked for them. What a condition holds is left out: the
/// simulation would have to be told the context, and denies without it.
#[must_use]
pub fn needs(subject: &Subject<'_>, place: &Place) -> Vec<(String, String)> {
    let mut wanted: BTreeSet<(String, String)> = BTreeSet::new();
    let mut known: BTreeMap<Form, BTreeSet<String>> = BTreeMap::new();
    for grant in OPERATIONS.iter().flat_map(|operation| operation.needs) {
        if grant.on.condition().is_some() {
            continue;
        }
        let resources = known.entry(grant.on).or_insert_with(|| arns(grant.on, subject, place));
        let asked = resources.iter().filter(|resource| can_be_asked(grant.on, resource));
        wanted.extend(asked.map(|resource| (grant.action.to_owned(), resource.clone())));
    }
    wanted.into_iter().collect()
}
