//! Diagnoses in words for a person at 3 a.m.: who sees what, since when, and who says nothing.

use super::diagnosis::Case;
use super::opinion::{Look, Voice};
use super::reading::Status;
use crate::ids::Region;
use crate::service::{Signal, Weight};

pub(super) fn healthy(case: &Case<'_>) -> String {
    let (agreeing, all) = (voters(case, Status::Good), case.looks.len());
    // The usual case at any scale: said without further ado.
    if agreeing.len() == all {
        format!("all {all} observers see it good")
    } else {
        with_absent(case, &count(case, Status::Good, "see it good"))
    }
}

pub(super) fn broken(case: &Case<'_>) -> String {
    let held_ms = voters(case, Status::Bad).iter().map(|look| look.held_ms).min().unwrap_or(0);
    let names: Vec<&str> = case.looks.first().map(|look| required(look)).unwrap_or_default();
    let main = count(case, Status::Bad, &format!("see {} bad for {} s", and(&names), held_ms / 1_000));
    let mut text = main;
    if let Some(seeing_good) = list(&voters(case, Status::Good)) {
        text.push_str(&format!("; it is good for {seeing_good}"));
    }
    if let Some(region_too) = region_evidence(case) {
        text.push_str(&format!("; {region_too}"));
    }
    with_absent(case, &text)
}

pub(super) fn control_plane_only(case: &Case<'_>) -> String {
    let region = case.region;
    with_absent(
        case,
        &format!(
            "{}, but a majority gets no answer from the AWS API of {region}",
            count(case, Status::Good, "see it good")
        ),
    )
}

pub(super) fn degraded(case: &Case<'_>) -> String {
    let mut parts: Vec<String> = Vec::new();
    if let Some(first) = case.looks.first() {
        for signal in &first.spec.health.signals {
            parts.extend(troubled(case, signal));
        }
    }
    if case.control_plane_is_bad() {
        parts.push(format!("a majority gets no answer from the AWS API of {}", case.region));
    }
    with_absent(case, &parts.join("; "))
}

pub(super) fn unknown(case: &Case<'_>) -> String {
    let (counting, all, needed) = (case.counting().count(), case.looks.len(), case.view.majority());
    if counting < needed {
        return with_absent(
            case,
            &format!("only {counting} of {all} observers can be counted, and {needed} are needed"),
        );
    }
    with_absent(case, &format!("too few of {all} observers can tell: their readings are neither good nor bad"))
}

/// Who sees one signal in trouble, and how many of those who count that is.
fn troubled(case: &Case<'_>, signal: &Signal) -> Option<String> {
    let seeing = |wanted: fn(Status, bool) -> bool| -> Vec<&Region> {
        let looks = case.counting().filter(|look| look.reading(signal).is_some_and(|r| wanted(r.status, r.breached)));
        looks.map(|look| look.observer).collect()
    };
    let bad = seeing(|status, _| status == Status::Bad);
    let recovering = seeing(|status, breached| status == Status::Good && breached);
    let all = case.looks.len();
    let advisory = if signal.weight == Weight::Advisory { "advisory " } else { "" };
    let mut parts = Vec::new();
    if !bad.is_empty() {
        parts.push(format!(
            "{advisory}{} is bad for {} of {all} observers ({})",
            signal.name,
            bad.len(),
            regions(&bad)
        ));
    }
    if !recovering.is_empty() {
        let who = regions(&recovering);
        parts.push(format!("{advisory}{} is good again for {who}, but not for long enough yet", signal.name));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn region_evidence(case: &Case<'_>) -> Option<String> {
    let region = case.region;
    // Silence is told with the others who are absent.
    match () {
        () if case.reference_is_bad() => Some(format!("nothing answers in {region}, not even its reference endpoint")),
        () if case.control_plane_is_bad() => Some(format!("the AWS API of {region} does not answer")),
        () => None,
    }
}

fn voters<'a>(case: &'a Case<'_>, status: Status) -> Vec<&'a Look<'a>> {
    case.counting().filter(|look| look.status == status).collect()
}

fn required<'a>(look: &Look<'a>) -> Vec<&'a str> {
    let signals = look.spec.health.signals.iter().filter(|signal| signal.weight == Weight::Required);
    signals.map(|signal| signal.name.as_str()).collect()
}

/// `2 of 3 observers (eu-west-1, us-west-2) <say>`.
fn count(case: &Case<'_>, status: Status, say: &str) -> String {
    let who = voters(case, status);
    format!("{} of {} observers ({}) {say}", who.len(), case.looks.len(), list(&who).unwrap_or_default())
}

fn list(looks: &[&Look<'_>]) -> Option<String> {
    (!looks.is_empty()).then(|| regions(&looks.iter().map(|look| look.observer).collect::<Vec<_>>()))
}

fn regions(of: &[&Region]) -> String {
    of.iter().map(|region| region.as_str()).collect::<Vec<_>>().join(", ")
}

fn and(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Adds those who do not count, each with its reason.
fn with_absent(case: &Case<'_>, text: &str) -> String {
    let mut text = text.to_owned();
    for look in case.looks {
        let said = match look.voice {
            Voice::Counts => continue,
            Voice::Silent(None) => "has never been heard".to_owned(),
            Voice::Silent(Some(_)) => "is silent".to_owned(),
            Voice::Isolated => "is cut off itself".to_owned(),
            Voice::NotRead(signal) => format!("has no fresh reading of {}", signal.name),
        };
        text.push_str(&format!("; {} {said}", look.observer));
    }
    text
}
