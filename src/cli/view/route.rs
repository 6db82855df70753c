//! What Route 53 would answer.

use serde_json::{Value, json};

use super::table::{or_dash, table, yes};
use crate::api::proto;
use crate::cli::output::View;

/// `route explain`.
#[must_use]
pub fn route(answer: &proto::ExplainRouteResponse, down: &[String]) -> View {
    View {
        json: json!({
            "zone": answer.zone,
            "name": answer.name,
            "type": answer.r#type,
            "down": down,
            "answers": answer.answers.iter().map(answer_json).collect::<Vec<Value>>(),
            "considered": answer.considered.iter().map(considered_json).collect::<Vec<Value>>(),
            "nothing_because": answer.nothing_because,
            "places": answer.places.iter().map(|place| json!({
                "from": place.from,
                "now": place.now.iter().map(answer_json).collect::<Vec<Value>>(),
                "then": place.then.iter().map(answer_json).collect::<Vec<Value>>(),
            })).collect::<Vec<Value>>(),
            "notes": answer.notes,
        }),
        text: text(answer, down),
        names: answer.answers.iter().flat_map(|one| one.values.clone()).collect(),
    }
}

fn answer_json(answer: &proto::RouteAnswer) -> Value {
    json!({
        "values": answer.values,
        "set_identifier": answer.set_identifier,
        "because": answer.because,
        "ttl_s": answer.ttl_s,
        "path": answer.path,
    })
}

fn considered_json(one: &proto::RouteConsidered) -> Value {
    json!({
        "name": one.name,
        "set_identifier": one.set_identifier,
        "healthy": one.healthy,
        "rejected_because": one.rejected_because,
    })
}

fn text(answer: &proto::ExplainRouteResponse, down: &[String]) -> String {
    let what_if = if down.is_empty() { String::new() } else { format!(", if {} were down", down.join(" and ")) };
    let mut text = format!("{} {} in zone {}{what_if}\n", answer.name, answer.r#type, answer.zone);
    if answer.places.is_empty() {
        text += "\nANSWERS\n";
        if answer.answers.is_empty() {
            text += &format!("none: {}\n", answer.nothing_because.as_deref().unwrap_or("no record fits"));
        } else {
            text += &table(
                &["ANSWER", "SET", "TTL", "BECAUSE"],
                answer.answers.iter().map(|one| {
                    vec![
                        one.values.join(" "),
                        or_dash(one.set_identifier.as_ref()),
                        format!("{}s", one.ttl_s),
                        one.because.clone(),
                    ]
                }),
            );
        }
    } else {
        text += "\nANSWERS BY PLACE\n";
        let headings: &[&str] =
            if down.is_empty() { &["FROM", "NOW", "SET"] } else { &["FROM", "NOW", "THEN", "SET NOW", "SET THEN"] };
        text += &table(
            headings,
            answer.places.iter().map(|place| {
                if down.is_empty() {
                    vec![place.from.clone(), values(&place.now), sets(&place.now)]
                } else {
                    vec![
                        place.from.clone(),
                        values(&place.now),
                        values(&place.then),
                        sets(&place.now),
                        sets(&place.then),
                    ]
                }
            }),
        );
    }
    if !answer.considered.is_empty() {
        text += "\nCONSIDERED\n";
        text += &table(
            &["RECORD", "SET", "HEALTHY", "NOT-BECAUSE"],
            answer.considered.iter().map(|one| {
                vec![
                    one.name.clone(),
                    or_dash(one.set_identifier.as_ref()),
                    yes(one.healthy),
                    or_dash(one.rejected_because.as_ref()),
                ]
            }),
        );
    }
    for note in &answer.notes {
        text += &format!("\nnote: {note}");
    }
    if !answer.notes.is_empty() {
        text.push('\n');
    }
    text
}

/// Several where weights leave it to chance.
fn values(answers: &[proto::RouteAnswer]) -> String {
    let all: Vec<String> = answers.iter().map(|one| one.values.join(" ")).collect();
    if all.is_empty() { "no answer".to_owned() } else { all.join(" or ") }
}

fn sets(answers: &[proto::RouteAnswer]) -> String {
    let mut all: Vec<&str> = answers.iter().filter_map(|one| one.set_identifier.as_deref()).collect();
    all.dedup();
    or_dash((!all.is_empty()).then(|| all.join(" or ")))
}
