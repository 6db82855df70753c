//! Services, epochs, guards.

use serde_json::{Value, json};

use super::json::{
    check_verdict, diagnosis, guard_json, health, pattern, phase, run_json, service_json, service_role,
    service_whole_json, severity, switch_state, time_json,
};
use super::run::runs_text;
use super::table::{mark, or_dash, pairs, table, yes};
use crate::api::proto;
use crate::cli::Style;
use crate::cli::output::View;
use crate::cli::style::duration;

/// Percent.
const WHOLE_SHARE: u32 = 100;

/// `get services`.
#[must_use]
pub fn services(services: &[proto::Service], style: Style) -> View {
    View {
        json: json!({ "services": services.iter().map(service_json).collect::<Vec<_>>() }),
        text: services_text(services, style),
        names: services.iter().map(|service| service.name.clone()).collect(),
    }
}

pub fn services_text(services: &[proto::Service], style: Style) -> String {
    let mut headings = vec!["NAME", "PATTERN", "PHASE", "PRIMARY", "EPOCH", "PAUSED", "HEALTH"];
    if style.wide {
        headings.extend(["PRIMARY-SINCE", "SWITCHES", "GROUP", "ATTENTION"]);
    }
    let row = |service: &proto::Service| {
        let each = |show: &dyn Fn(&proto::ServiceRegion) -> String| {
            let cells: Vec<String> =
                service.regions.iter().map(|region| format!("{} {}", region.region, show(region))).collect();
            cells.join(", ")
        };
        let mut row = vec![
            service.name.clone(),
            pattern(service.pattern()),
            phase(service.phase()),
            service.primary.clone(),
            service.epoch.to_string(),
            yes(service.paused),
            each(&|region| diagnosis(region.diagnosis())),
        ];
        if style.wide {
            row.push(style.time(service.primary_since.as_ref()));
            row.push(each(&switch_cell));
            row.push(service.switch_group.clone());
            row.push(or_dash(service.attention.as_ref()));
        }
        row
    };
    table(&headings, services.iter().map(row))
}

/// `get epochs`.
#[must_use]
pub fn epochs(services: &[proto::Service], style: Style) -> View {
    let json = |service: &proto::Service| {
        json!({
            "service": service.name,
            "epoch": service.epoch,
            "primary": service.primary,
            "since": time_json(service.primary_since.as_ref()),
            "settled_epoch": service.settlement.as_ref().and_then(|settlement| settlement.settled_epoch),
        })
    };
    let row = |service: &proto::Service| {
        vec![
            service.name.clone(),
            service.epoch.to_string(),
            service.primary.clone(),
            style.time(service.primary_since.as_ref()),
            or_dash(service.settlement.as_ref().and_then(|settlement| settlement.settled_epoch)),
        ]
    };
    View {
        json: json!({ "epochs": services.iter().map(json).collect::<Vec<_>>() }),
        text: table(&["SERVICE", "EPOCH", "PRIMARY", "SINCE", "SETTLED-EPOCH"], services.iter().map(row)),
        names: services.iter().map(|service| format!("{}/{}", service.name, service.epoch)).collect(),
    }
}

/// `get guards`: what each guard would say to an automatic move now.
#[must_use]
pub fn guards(of: &[(String, Vec<proto::GuardVerdict>)]) -> View {
    let all = || of.iter().flat_map(|(service, guards)| guards.iter().map(move |guard| (service, guard)));
    let json = |(service, guard): (&String, &proto::GuardVerdict)| {
        let mut body = guard_json(guard);
        if let Some(fields) = body.as_object_mut() {
            fields.insert("service".to_owned(), json!(service));
        }
        body
    };
    let row = |(service, guard): (&String, &proto::GuardVerdict)| {
        vec![service.clone(), guard.name.clone(), mark(guard.ok), no_does(guard), guard.reason.clone()]
    };
    View {
        json: json!({ "guards": all().map(json).collect::<Vec<Value>>() }),
        text: table(&["SERVICE", "GUARD", "OK", "IF-NO", "REASON"], all().map(row)),
        names: all().map(|(service, guard)| format!("{service}/{}", guard.name)).collect(),
    }
}

fn no_does(guard: &proto::GuardVerdict) -> String {
    severity(guard.severity())
}

pub fn guards_text(guards: &[proto::GuardVerdict]) -> String {
    let row =
        |guard: &proto::GuardVerdict| vec![mark(guard.ok), guard.name.clone(), no_does(guard), guard.reason.clone()];
    table(&["OK", "GUARD", "IF-NO", "REASON"], guards.iter().map(row))
}

/// `describe service`.
#[must_use]
pub fn service_whole(answer: &proto::GetServiceResponse, style: Style) -> View {
    let service = answer.service.clone().unwrap_or_default();
    View {
        json: json!({
            "service": service_whole_json(&service),
            "guards": answer.guards.iter().map(guard_json).collect::<Vec<_>>(),
            "runs": answer.runs.iter().map(run_json).collect::<Vec<_>>(),
        }),
        text: whole_text(&service, answer, style),
        names: vec![service.name.clone()],
    }
}

fn whole_text(service: &proto::Service, answer: &proto::GetServiceResponse, style: Style) -> String {
    let mut text = facts(service, style);
    text += "\nREGIONS\n";
    text += &regions_text(service, style);
    text += "\nOBSERVATIONS\n";
    text += &observations_text(service);
    if !service.stores.is_empty() {
        text += "\nSTORES\n";
        text += &stores_text(service);
    }
    if !service.checks.is_empty() {
        text += "\nREADINESS\n";
        text += &checks_text(&service.checks);
    }
    if !answer.guards.is_empty() {
        text += "\nGUARDS OF AN AUTOMATIC MOVE NOW\n";
        text += &guards_text(&answer.guards);
    }
    if !answer.runs.is_empty() {
        text += "\nRUNS\n";
        text += &runs_text(&answer.runs, style);
    }
    text
}

fn facts(service: &proto::Service, style: Style) -> String {
    let policy = service.policy.clone().unwrap_or_default();
    let objectives = service.objectives.unwrap_or_default();
    let settlement = service.settlement.clone().unwrap_or_default();
    let waves = match service.pattern() {
        proto::Pattern::ActiveActive => format!(", each wave of a restore {}", duration(policy.restore_pause_ms)),
        _ => String::new(),
    };
    let mut labels: Vec<String> = service.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    labels.sort();
    pairs(&[
        ("Name", service.name.clone()),
        ("Labels", labels.join(", ")),
        ("Pattern", pattern(service.pattern())),
        ("Phase", phase(service.phase())),
        ("Attention", service.attention.clone().unwrap_or_default()),
        ("Primary", format!("{} since {}", service.primary, style.time(service.primary_since.as_ref()))),
        ("Epoch", service.epoch.to_string()),
        ("Paused", yes(service.paused)),
        ("Open run", service.open_run.clone().unwrap_or_default()),
        ("Follows", service.follows.clone().unwrap_or_default()),
        ("Switch group", service.switch_group.clone()),
        ("Moves with", service.moves_with.clone().unwrap_or_default()),
        ("Moved along", service.companions.join(", ")),
        ("Objectives", format!("RTO {}, RPO {}", duration(objectives.rto_ms), duration(objectives.rpo_ms))),
        (
            "Policy",
            format!(
                "{}, announce {}, cooldown {}, loss over budget: {}, unfenced: {}{waves}",
                policy.failover,
                duration(policy.announce_ms),
                duration(policy.cooldown_ms),
                policy.loss_over_budget,
                policy.unfenced
            ),
        ),
        ("Licence", licences_text(service, style)),
        ("Way back", service.way_back.as_ref().map_or_else(String::new, |wish| way_back_text(wish, style))),
        ("Settlement", settlement.detail),
    ])
}

fn licences_text(service: &proto::Service, style: Style) -> String {
    service.licences.iter().map(|licence| licence_text(licence, style)).collect::<Vec<_>>().join("; ")
}

/// Whether a passed drill lets a service move by itself one way, and if not since when and why.
pub fn licence_text(licence: &proto::Licence, style: Style) -> String {
    let way = format!("{} -> {}", licence.from, licence.to);
    if licence.held {
        let drill = licence.drill.as_deref().unwrap_or_default();
        return format!("{way}: held until {} by {drill}", style.time(licence.until.as_ref()));
    }
    let since = licence.since.as_ref().map_or_else(String::new, |at| format!(" since {}", style.time(Some(at))));
    format!("{way}: none{since}, a breach asks for approval: {}", licence.why.as_deref().unwrap_or_default())
}

/// Who wants a service back.
pub fn way_back_text(wish: &proto::WayBack, style: Style) -> String {
    format!("as soon as it loses nothing, wished by {} {} ({})", wish.actor, style.time(wish.at.as_ref()), wish.reason)
}

/// `on`, or `on (10 %)` while the Region comes back.
fn switch_cell(region: &proto::ServiceRegion) -> String {
    let state = switch_state(region.switch());
    match region.share {
        Some(share) if share < WHOLE_SHARE => format!("{state} ({share} %)"),
        _ => state,
    }
}

fn regions_text(service: &proto::Service, style: Style) -> String {
    let row = |region: &proto::ServiceRegion| {
        vec![
            region.region.clone(),
            service_role(region.role()),
            switch_cell(region),
            diagnosis(region.diagnosis()),
            style.time(region.since.as_ref()),
            region.because.clone(),
        ]
    };
    table(&["REGION", "ROLE", "SWITCH", "DIAGNOSIS", "SINCE", "BECAUSE"], service.regions.iter().map(row))
}

fn observations_text(service: &proto::Service) -> String {
    let rows = service.regions.iter().flat_map(|region| {
        region.opinions.iter().map(|opinion| {
            vec![
                region.region.clone(),
                opinion.observer.clone(),
                health(opinion.status()),
                yes(opinion.counts),
                duration(opinion.held_ms),
                opinion.detail.clone(),
            ]
        })
    });
    table(&["REGION", "OBSERVER", "SAYS", "COUNTS", "FOR", "DETAIL"], rows)
}

fn stores_text(service: &proto::Service) -> String {
    let rows = service.stores.iter().flat_map(|store| {
        store.copies.iter().map(|copy| {
            vec![
                store.name.clone(),
                store.kind.clone(),
                copy.region.clone(),
                copy.readiness.clone(),
                copy.writer.map_or_else(|| "-".to_owned(), yes),
                copy.lag_ms.map_or_else(|| "-".to_owned(), duration),
                copy.detail.clone(),
            ]
        })
    });
    table(&["STORE", "KIND", "REGION", "READINESS", "WRITER", "LAG", "DETAIL"], rows)
}

/// Readiness checks: what is wrong goes first.
pub fn checks_text(checks: &[proto::Check]) -> String {
    use proto::CheckVerdict as Verdict;
    let mut sorted: Vec<&proto::Check> = checks.iter().collect();
    sorted.sort_by_key(|check| match check.verdict() {
        Verdict::NotReady => 0,
        Verdict::Unknown | Verdict::Unspecified => 1,
        Verdict::Note => 2,
        Verdict::Ready => 3,
    });
    let row = |check: &&proto::Check| {
        vec![
            check.name.clone(),
            or_dash(check.store.as_ref()),
            or_dash(check.region.as_ref()),
            check_verdict(check.verdict()),
            duration(check.age_ms),
            check.reason.clone(),
        ]
    };
    table(&["CHECK", "STORE", "REGION", "VERDICT", "AGE", "REASON"], sorted.iter().map(row))
}
