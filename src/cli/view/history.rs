//! The history.

use serde_json::json;

use super::json::{event_json, time_json};
use super::table::{or_dash, table};
use crate::api::proto;
use crate::cli::Style;
use crate::cli::output::View;
use crate::cli::style::timestamp;

/// `history`.
#[must_use]
pub fn events(events: &[proto::Event], style: Style) -> View {
    let mut headings = vec!["SEQ", "AT", "KIND", "SERVICE", "RUN", "ACTOR", "MESSAGE"];
    if style.wide {
        headings.extend(["REGION", "HASH"]);
    }
    let row = |event: &proto::Event| {
        let mut row = vec![
            event.seq.to_string(),
            style.time(event.at.as_ref()),
            event.kind.clone(),
            or_dash(event.service.as_ref()),
            or_dash(event.run.as_ref()),
            event.actor.clone(),
            event.message.clone(),
        ];
        if style.wide {
            row.extend([or_dash(event.region.as_ref()), event.hash.chars().take(12).collect()]);
        }
        row
    };
    View {
        json: json!({ "events": events.iter().map(event_json).collect::<Vec<_>>() }),
        text: table(&headings, events.iter().map(row)),
        names: events.iter().map(|event| event.seq.to_string()).collect(),
    }
}

/// `history verify`.
#[must_use]
pub fn verification(answer: &proto::VerifyHistoryResponse) -> View {
    let region = answer.answered.as_ref().map_or("", |answered| answered.region.as_str());
    let mut text = match &answer.problem {
        None => format!("the history of {region} is whole: {} events, head {}\n", answer.events, answer.head_hash),
        Some(problem) => format!("the history of {region} is broken: {problem}\n"),
    };
    if let (None, Some(removed)) = (&answer.problem, &answer.removed) {
        text += &format!(
            "verified from event {} (older ones were removed by retention on {})\n",
            removed.up_to_seq + 1,
            removed.at.as_ref().map(timestamp).unwrap_or_default().to_utc().format("%Y-%m-%d")
        );
    }
    if answer.behind > 0 {
        text += &format!("{} newer events of the fleet have not arrived in it yet\n", answer.behind);
    }
    View {
        json: json!({
            "ok": answer.ok,
            "region": region,
            "events": answer.events,
            "head_seq": answer.head_seq,
            "head_hash": answer.head_hash,
            "behind": answer.behind,
            "removed": answer.removed.as_ref().map(|removed| json!({
                "up_to_seq": removed.up_to_seq,
                "at": time_json(removed.at.as_ref()),
            })),
            "problem": answer.problem,
        }),
        text,
        names: vec![answer.head_hash.clone()],
    }
}
