//! What a failover would do.

use serde_json::{Value, json};

use super::json::{finding_json, guard_json, loss_json, mode, moved, movement, plane, shift_json, step_json};
use super::run::losses_text;
use super::service::guards_text;
use super::table::table;
use crate::api::proto;
use crate::cli::output::View;
use crate::cli::style::duration;

/// `plan`.
#[must_use]
pub fn plan(plan: &proto::PlanResponse) -> View {
    let eta = plan.eta.clone().unwrap_or_default();
    View {
        json: json!({
            "hash": plan.hash,
            "service": plan.service,
            "from": plan.from,
            "to": plan.to,
            "mode": mode(plan.mode()),
            "movement": movement(plan.movement()),
            "eta_ms": { "p50": eta.p50_ms, "p95": eta.p95_ms, "basis": eta.basis },
            "steps": plan.steps.iter().map(step_json).collect::<Vec<Value>>(),
            "guards": plan.guards.iter().map(guard_json).collect::<Vec<Value>>(),
            "loss": plan.loss.iter().map(loss_json).collect::<Vec<Value>>(),
            "findings": plan.findings.iter().map(finding_json).collect::<Vec<Value>>(),
            "shifts": plan.shifts.iter().map(shift_json).collect::<Vec<Value>>(),
        }),
        text: text(plan, &eta),
        names: vec![plan.hash.clone()],
    }
}

fn text(plan: &proto::PlanResponse, eta: &proto::Eta) -> String {
    let (hash, service) = (&plan.hash, &plan.service);
    let mut text =
        format!("Plan {hash}: {service} {}, {}\n", moved(plan.movement(), &plan.from, &plan.to), mode(plan.mode()));
    let known = |ms: Option<u64>| ms.map_or_else(|| "unknown".to_owned(), duration);
    text += &format!("ETA p50 {}, p95 {} ({})\n", known(eta.p50_ms), known(eta.p95_ms), eta.basis);
    text += "\nSTEPS\n";
    text += &steps(plan);
    text += "\nCALLS\n";
    for step in plan.steps.iter().filter(|step| !step.calls.is_empty()) {
        text += &format!("{}\n", step.name);
        text += &step.calls.iter().map(|call| format!("  {call}\n")).collect::<String>();
    }
    if !plan.shifts.is_empty() {
        text += "\nWHO IS SENT ELSEWHERE\n";
        let row = |shift: &proto::TrafficShift| {
            vec![
                format!("{} {}", shift.name, shift.r#type),
                shift.place.clone(),
                shift.now.join(" or "),
                shift.then.join(" or "),
            ]
        };
        text += &table(&["NAME", "FROM", "NOW", "THEN"], plan.shifts.iter().map(row));
    }
    text += "\nGUARDS\n";
    text += &guards_text(&plan.guards);
    if !plan.loss.is_empty() {
        text += "\nLOSS\n";
        text += &losses_text(&plan.loss);
    }
    text
}

/// What a step took before.
fn usual(step: &proto::Step) -> String {
    match (step.p50_ms, step.p95_ms) {
        (Some(p50_ms), Some(p95_ms)) => format!("{}/{}", duration(p50_ms), duration(p95_ms)),
        _ => "-".to_owned(),
    }
}

fn steps(plan: &proto::PlanResponse) -> String {
    let row = |(n, step): (usize, &proto::Step)| {
        vec![
            (n + 1).to_string(),
            step.name.clone(),
            step.region.clone(),
            plane(step.plane()),
            if step.critical { "yes" } else { "-" }.to_owned(),
            if step.point_of_no_return { "here" } else { "-" }.to_owned(),
            usual(step),
            duration(step.timeout_ms),
            if step.after.is_empty() { "-".to_owned() } else { step.after.join(", ") },
        ]
    };
    let headings = ["#", "STEP", "REGION", "PLANE", "CRITICAL", "NO-RETURN", "P50/P95", "LIMIT", "AFTER"];
    table(&headings, plan.steps.iter().enumerate().map(row))
}
