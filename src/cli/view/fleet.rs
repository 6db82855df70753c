//! Regions and switches.

use serde_json::{Value, json};

use super::json::{fleet_role, health, region_json, switch_json, switch_state, vote};
use super::table::{or_dash, table, yes};
use crate::api::proto;
use crate::cli::Style;
use crate::cli::output::View;
use crate::cli::style::duration;

/// `get regions`.
#[must_use]
pub fn regions(regions: &[proto::RegionStatus], style: Style) -> View {
    View {
        json: json!({ "regions": regions.iter().map(region_json).collect::<Vec<_>>() }),
        text: regions_text(regions, style),
        names: regions.iter().map(|region| region.region.clone()).collect(),
    }
}

pub fn regions_text(regions: &[proto::RegionStatus], style: Style) -> String {
    let mut headings =
        vec!["REGION", "ROLE", "LEADER", "REACHABLE", "APPLIED", "HISTORY-LAG", "SKEW", "VERSION", "FORMAT"];
    if style.wide {
        headings.extend(["AWS-API", "HEARD", "REACHES"]);
    }
    let row = |region: &proto::RegionStatus| {
        let mut row = vec![
            region.region.clone(),
            fleet_role(region.role()),
            if region.leader { "leader" } else { "-" }.to_owned(),
            yes(region.reachable),
            or_dash(region.applied_index),
            or_dash(region.history_lag),
            region.clock_skew_ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms}ms")),
            if region.version.is_empty() { "-".to_owned() } else { region.version.clone() },
            if region.format == 0 { "-".to_owned() } else { region.format.to_string() },
        ];
        if style.wide {
            row.push(health(region.control_plane()));
            row.push(region.report_age_ms.map_or_else(|| "-".to_owned(), |ms| format!("{} ago", duration(ms))));
            row.push(region.reaches.join(","));
        }
        row
    };
    table(&headings, regions.iter().map(row))
}

/// `get switches`.
#[must_use]
pub fn switches(switches: &[proto::Switch], style: Style) -> View {
    let row = |switch: &proto::Switch| {
        let votes: Vec<String> = switch.votes.iter().map(|it| format!("{}={}", it.region, vote(it.vote()))).collect();
        vec![
            switch.group.clone(),
            switch.region.clone(),
            switch_state(switch.state()),
            style.time(switch.since.as_ref()),
            votes.join(" "),
        ]
    };
    let rows: Vec<Value> = switches.iter().map(switch_json).collect();
    View {
        json: json!({ "switches": rows }),
        text: table(&["GROUP", "REGION", "STATE", "SINCE", "VOTES"], switches.iter().map(row)),
        names: switches.iter().map(|switch| format!("{}/{}", switch.group, switch.region)).collect(),
    }
}
