//! The fleet at a glance: what a person needs at 3 a.m., most urgent last so that it stands above the prompt.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::drill::{drill_json, execution_json, next_drills_text};
use super::fleet::regions_text;
use super::json::{
    check_verdict, loss_json, outcome, region_json, run_json, run_state, service_json, shift_json, switch_json,
};
use super::run::runs_text;
use super::service::{licence_text, services_text, way_back_text};
use super::table::table;
use crate::api::proto;
use crate::cli::Style;
use crate::cli::output::View;
use crate::cli::style::duration;

/// Places that are named one by one.
const MOST_PLACES: usize = 3;

/// `status`.
#[must_use]
pub fn status(fleet: &proto::Fleet, style: Style) -> View {
    let answered = fleet.answered.clone().unwrap_or_default();
    View {
        json: json!({
            "fleet": fleet.fleet,
            "generation": fleet.generation,
            "format": fleet.format,
            "paused": fleet.paused,
            "leader": answered.leader,
            "answered_by": answered.region,
            "revision": answered.revision,
            "caught_up": answered.caught_up,
            "regions": fleet.regions.iter().map(region_json).collect::<Vec<_>>(),
            "services": fleet.services.iter().map(service_json).collect::<Vec<_>>(),
            "open_runs": fleet.open_runs.iter().map(run_json).collect::<Vec<_>>(),
            "switches": fleet.switches.iter().map(switch_json).collect::<Vec<_>>(),
            "drills": fleet.drills.iter().map(drill_json).collect::<Vec<_>>(),
            "open_drills": fleet.open_drills.iter().map(execution_json).collect::<Vec<_>>(),
            "if_vanished": fleet.if_vanished.iter().map(forecast_json).collect::<Vec<_>>(),
        }),
        text: text(fleet, &answered, style),
        names: fleet.services.iter().map(|service| service.name.clone()).collect(),
    }
}

fn forecast_json(forecast: &proto::RegionForecast) -> Value {
    let service = |it: &proto::Forecast| {
        let eta = it.eta.clone().unwrap_or_default();
        json!({
            "service": it.service,
            "outcome": outcome(it.outcome()),
            "reason": it.reason,
            "loss": it.loss.iter().map(loss_json).collect::<Vec<_>>(),
            "loss_bound_ms": it.loss_bound_ms,
            "eta_ms": { "p50": eta.p50_ms, "p95": eta.p95_ms },
            "eta_basis": eta.basis,
            "shifts": it.shifts.iter().map(shift_json).collect::<Vec<_>>(),
        })
    };
    json!({ "region": forecast.region, "services": forecast.services.iter().map(service).collect::<Vec<_>>() })
}

fn text(fleet: &proto::Fleet, answered: &proto::Answered, style: Style) -> String {
    let leader = answered.leader.as_deref().unwrap_or("none known");
    let name = if fleet.fleet.is_empty() { "not formed yet" } else { &fleet.fleet };
    let mut text = format!(
        "Fleet {name}, generation {}, leader {leader}; {} answers at revision {}\n",
        fleet.generation, answered.region, answered.revision
    );
    text += &warnings(fleet, answered);
    text += "\nREGIONS\n";
    text += &regions_text(&fleet.regions, style);
    text += "\nSERVICES\n";
    text += &match fleet.services.is_empty() {
        true => "none applied yet: failoverctl apply -f FILE\n".to_owned(),
        false => services_text(&fleet.services, style),
    };
    for service in &fleet.services {
        if let Some(attention) = &service.attention {
            text += &format!("  {}: a person must look: {attention}\n", service.name);
        }
    }
    for service in &fleet.services {
        for licence in service.licences.iter().filter(|licence| !licence.held) {
            text += &format!("  {}: no drill licence, {}\n", service.name, licence_text(licence, style));
        }
        if let Some(wish) = &service.way_back {
            text += &format!("  {}: returns {}\n", service.name, way_back_text(wish, style));
        }
    }
    text += &readiness(fleet);
    text += &next_drills_text(&fleet.drills, &fleet.open_drills, style);
    text += "\nOPEN RUNS\n";
    text += &open_runs(fleet, style);
    if !fleet.services.is_empty() {
        text += "\nIF A REGION VANISHED NOW\n";
        text += &forecasts(fleet);
    }
    text
}

/// What must not be overlooked.
fn warnings(fleet: &proto::Fleet, answered: &proto::Answered) -> String {
    let mut text = String::new();
    if answered.leader.is_none() {
        text += "! no leader is known: nothing can be changed until a majority of Regions is up\n";
    }
    if !answered.caught_up {
        text += "! the daemon that answers has not caught up: this may be old\n";
    }
    if fleet.paused {
        text += "! automatic action is paused for the whole fleet: failoverctl resume\n";
    }
    text += &upgrade(fleet);
    let silent: Vec<&str> =
        fleet.regions.iter().filter(|region| !region.reachable).map(|region| region.region.as_str()).collect();
    if !silent.is_empty() {
        text += &format!("! not heard of: {}\n", silent.join(", "));
    }
    text
}

/// An upgrade that is under way, and a daemon that was left behind by one.
fn upgrade(fleet: &proto::Fleet) -> String {
    let mut text = String::new();
    // A build from before they told says nothing.
    let known = || fleet.regions.iter().filter(|region| region.report_age_ms.is_some());
    let newest = known().max_by_key(|region| (region.format, words_of(&region.version)));
    if let Some(newest) = newest.filter(|newest| known().any(|region| region.version != newest.version)) {
        let upgraded = known().filter(|region| region.version == newest.version).count();
        let all = fleet.regions.len();
        text += &format!("! upgrade under way: {upgraded} of {all} daemons run {}", newest.version);
        let waits = newest.format > fleet.format;
        text += if waits { "; what is new in it waits until all do\n" } else { "\n" };
    }
    for region in known().filter(|region| region.format < fleet.format) {
        text += &format!(
            "! {} runs {}, which reads formats up to {}, and the fleet writes {}: it stands still until it is upgraded\n",
            region.region, region.version, region.format, fleet.format
        );
    }
    text
}

/// A version's numbers, to tell the newer of two: 0.10.0 comes after 0.9.1.
fn words_of(version: &str) -> Vec<(u64, &str)> {
    version.split(['.', '-', '+']).map(|word| (word.parse().unwrap_or(0), word)).collect()
}

fn open_runs(fleet: &proto::Fleet, style: Style) -> String {
    if fleet.open_runs.is_empty() {
        return "none\n".to_owned();
    }
    let mut text = runs_text(&fleet.open_runs, style);
    for run in &fleet.open_runs {
        match run.state() {
            proto::RunState::AwaitingApproval => {
                text += &format!("  {} waits for a person: failoverctl run approve {0}\n", run.id);
            }
            proto::RunState::Paused => {
                text += &format!(
                    "  {} is stuck: failoverctl describe run {0}, then approve, retry, skip or abort\n",
                    run.id
                );
            }
            proto::RunState::Announced => {
                let until = style.time(run.announce_until.as_ref());
                text += &format!("  {} starts {until}; to stop it: failoverctl run abort {0}\n", run.id);
            }
            _ => text += &format!("  {} is {}: failoverctl run watch {0}\n", run.id, run_state(run.state())),
        }
        if let Some(why) = &run.rto_at_risk {
            text += &format!("  {}: RTO at risk: {why}\n", run.id);
        }
    }
    text
}

/// Services of which something is not ready, or is being rewritten; nothing when all is well.
fn readiness(fleet: &proto::Fleet) -> String {
    const SHOWN: usize = 5;
    let mut text = String::new();
    for service in fleet.services.iter().filter(|service| !service.checks.is_empty()) {
        let checks = || service.checks.iter().filter(|check| check.verdict() != proto::CheckVerdict::Ready);
        for check in checks().take(SHOWN) {
            let whose = [check.store.as_deref(), check.region.as_deref()].into_iter().flatten();
            let whose: Vec<&str> = std::iter::once(service.name.as_str()).chain(whose).collect();
            let verdict = check_verdict(check.verdict());
            text += &format!("  {}: {} is {verdict}: {}\n", whose.join(" "), check.name, check.reason);
        }
        let more = checks().count().saturating_sub(SHOWN);
        if more > 0 {
            text += &format!("  {}: {more} more: failoverctl describe service {0}\n", service.name);
        }
    }
    if text.is_empty() { text } else { format!("\nREADINESS\n{text}") }
}

/// Only what would be hit; the JSON has the unaffected too.
fn forecasts(fleet: &proto::Fleet) -> String {
    let rows = fleet.if_vanished.iter().flat_map(|region| {
        let hit = region.services.iter().filter(|it| it.outcome() != proto::ForecastOutcome::Unaffected);
        hit.map(|it| {
            // What stays down takes no time.
            let moves = it.outcome() != proto::ForecastOutcome::StaysDown;
            let within = it.eta.as_ref().filter(|_| moves).and_then(|eta| eta.p95_ms);
            vec![
                region.region.clone(),
                it.service.clone(),
                outcome(it.outcome()),
                within.map_or_else(|| "-".to_owned(), duration),
                it.loss_bound_ms.map_or_else(|| if it.loss.is_empty() { "-" } else { "unknown" }.to_owned(), duration),
                sends(&it.shifts),
                it.reason.clone(),
            ]
        })
    });
    table(&["REGION", "SERVICE", "WOULD", "WITHIN", "LOSING", "SENDS", "BECAUSE"], rows)
}

/// Who would be sent where, in short: `everywhere to eu-west-1`; the JSON has all of them, name by name.
fn sends(shifts: &[proto::TrafficShift]) -> String {
    let mut by_target: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for shift in shifts {
        by_target.entry(shift.then.join(" or ")).or_default().insert(&shift.place);
    }
    let to = |(target, places): (String, BTreeSet<&str>)| {
        let told: Vec<&str> = places.iter().copied().take(MOST_PLACES).collect();
        let more = places.len().saturating_sub(MOST_PLACES);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let target = if target.is_empty() { "nobody".to_owned() } else { target };
        format!("{}{more} to {target}", told.join(", "))
    };
    let all: Vec<String> = by_target.into_iter().map(to).collect();
    if all.is_empty() { "-".to_owned() } else { all.join("; ") }
}
