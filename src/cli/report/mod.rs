//! What a run or a drill did: for whoever writes the incident up, and for an auditor. The daemon makes the report from
//! its history alone; here it is shown.

pub mod html;
mod markdown;
#[cfg(test)]
pub mod sample;
#[cfg(test)]
mod tests;
mod words;

use failoverd_domain::report::Report;
use serde_json::{Value, json};

use super::output::View;

/// The report for every format but HTML.
#[must_use]
pub fn view(report: &Report) -> View {
    View { json: json(report), text: markdown::markdown(report), names: vec![report.id.clone()] }
}

/// With the run (the way out, of a drill) on top, where scripts look for it.
fn json(report: &Report) -> Value {
    let mut body = serde_json::to_value(report).unwrap_or_else(|error| json!({ "error": error.to_string() }));
    if let Some(fields) = body.as_object_mut() {
        let run = report.runs.first().and_then(|run| serde_json::to_value(run).ok());
        fields.insert("run".to_owned(), run.unwrap_or(Value::Null));
    }
    body
}
