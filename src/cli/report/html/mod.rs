//! A report as one HTML file: no network, no script, light and dark, and on paper.

mod curves;
mod gantt;
mod markup;

use failoverd_domain::report::{DrillPart, Report, RunPart, duration};

use super::words::{ago, figure, place, plane, when, within, zero};
use markup::{Cell, esc, facts, list, number, table, text};

const STYLE: &str = include_str!("page.css");

const TERMS: [(&str, &str); 5] = [
    (
        "RTO",
        "time from the breach (or the start, where nothing was broken) until answers were verified in the new Region.",
    ),
    ("RPO", "the most that may be lost, in milliseconds of acknowledged writes."),
    ("Bound", "the most that could be lost, said before the move; the decision rests on it."),
    ("Receipt", "what was really lost, measured after the move by the canary writes of the store."),
    ("p50, p95", "what a step took in earlier runs: half of them at most p50, all but one in twenty at most p95."),
];

/// The whole page.
#[must_use]
pub fn html(report: &Report) -> String {
    let title = format!("{}: {}", report.id, report.title);
    let mut body = headline(report);
    body += &objectives(report);
    if let Some(drill) = &report.drill {
        body += &drill_part(drill);
    }
    for run in &report.runs {
        body += &run_part(report, run);
    }
    body += &format!("<h2>What surprised</h2>\n{}", surprises(report));
    body += &comparison(report);
    body += &people(report);
    body += &timeline(report);
    body += &record(report);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n<meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\"/>\n<meta name=\"generator\" content=\"failoverctl {}\"/>\n<title>{}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION"),
        esc(&title)
    )
}

fn tone(verdict: &str) -> &'static str {
    match verdict {
        "succeeded" | "passed" => "good",
        "failed" | "overtaken" => "bad",
        "open" => "dim",
        _ => "warn",
    }
}

fn kept(within: failoverd_domain::report::Within) -> Cell {
    use failoverd_domain::report::Within;
    let word = super::words::within(within).to_owned();
    match within {
        Within::Kept => Cell::Tone("good", word),
        Within::Missed => Cell::Tone("bad", word),
        Within::Unknown => Cell::Tone("warn", word),
    }
}

fn headline(report: &Report) -> String {
    let what = if report.drill.is_some() { "Drill report" } else { "Run report" };
    let when = report.timeline.first().map_or_else(String::new, |told| format!(", {}", told.at));
    let mut text = format!(
        "<header>\n<p class=\"dim\">{what} {} · fleet {}{}</p>\n<h1>{}</h1>\n<div class=\"verdict {}\"><strong>{}</strong> {}</div>\n</header>\n",
        esc(&report.id),
        esc(report.fleet.as_str()),
        esc(&when),
        esc(&report.title),
        tone(&report.verdict),
        esc(&report.verdict.replace('-', " ")),
        esc(&report.sentence)
    );
    for gap in &report.incomplete {
        text += &format!("<p class=\"warn\">Not complete: {}</p>\n", esc(gap));
    }
    if let Some(drill) = report.drill.as_ref().filter(|drill| !drill.hypothesis.is_empty()) {
        text += &format!("<p><b>Hypothesis:</b> {}</p>\n", esc(&drill.hypothesis));
    }
    text
}

fn objectives(report: &Report) -> String {
    let rto = &report.objectives.rto;
    let mut tiles = vec![
        (format!("RTO, from the {}", rto.counted_from), figure(rto.measured_ms)),
        ("objective".to_owned(), figure(rto.objective_ms)),
        ("detected and decided in".to_owned(), figure(rto.detect_ms)),
    ];
    if rto.return_ms.is_some() {
        tiles.push(("the way back took".to_owned(), figure(rto.return_ms)));
    }
    if let Some(users) = &report.users {
        tiles.push((format!("bad answers to users, of {}", users.asked), users.errors.to_string()));
        tiles.push(("longest gap for users".to_owned(), duration(users.longest_gap_ms)));
    }
    let tiles: String = tiles
        .iter()
        .map(|(name, value)| format!("<div><b>{}</b><span class=\"dim\">{}</span></div>\n", esc(value), esc(name)))
        .collect();
    let kept_line = match &rto.reason {
        Some(reason) => format!("<p class=\"warn\">RTO not known: {}</p>\n", esc(reason)),
        None => format!("<p>RTO objective: {}.</p>\n", within(rto.within)),
    };
    let ms = |value: Option<u64>| value.map_or_else(|| "unknown".to_owned(), |ms| format!("{ms} ms"));
    let rows = report.objectives.stores.iter().map(|store| {
        vec![
            text(&store.store),
            number(ms(store.bound)),
            number(ms(store.measured)),
            number(report.objectives.rpo_ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms} ms"))),
            kept(store.within),
            text(&store.reason),
        ]
    });
    let stores = table(
        "Data lost, in milliseconds of acknowledged writes",
        &["store", "#bound", "#receipt", "#RPO", "kept", "where the receipt comes from"],
        rows,
    );
    let stores = if stores.is_empty() { "<p>No data moved.</p>\n".to_owned() } else { stores };
    let terms: String = TERMS.iter().map(|(term, means)| format!("<dt>{term}</dt><dd>{means}</dd>\n")).collect();
    format!(
        "<h2>Objectives and results</h2>\n<div class=\"facts\">\n{tiles}</div>\n{kept_line}{stores}<details open=\"open\"><summary>What the \
         words mean</summary><dl>\n{terms}</dl></details>\n"
    )
}

fn drill_part(drill: &DrillPart) -> String {
    let pairs = [
        ("drill", drill.name.to_string()),
        ("kind", drill.kind.clone()),
        ("from, to", format!("{}, {}", drill.home, drill.away)),
        ("scheduled for", drill.scheduled_for.map_or_else(|| "asked for by a person".to_owned(), |at| at.to_string())),
        ("began", drill.began_at.map(|at| at.to_string()).unwrap_or_default()),
        ("arrived", drill.arrived_at.map(|at| at.to_string()).unwrap_or_default()),
        ("ended early", drill.ending.clone().unwrap_or_default()),
    ];
    let phases = drill.phases.iter().map(|phase| {
        let took = phase.until.map(|until| until.0.since(phase.began_at.0));
        vec![text(&phase.phase), text(phase.began_at), number(figure(took))]
    });
    let steady = drill.steady.iter().map(|check| {
        let ok =
            if check.ok { Cell::Tone("good", "held".to_owned()) } else { Cell::Tone("bad", "did not hold".to_owned()) };
        vec![text(when(check)), ok, text(&check.name), text(&check.reason)]
    });
    let guardrails = drill.guardrails.iter().map(|guardrail| {
        let state = match &guardrail.hit {
            Some(hit) => Cell::Tone("bad", format!("hit: {hit}")),
            None => Cell::Tone("good", "held".to_owned()),
        };
        vec![text(&guardrail.guardrail), state]
    });
    let mut part = format!("<h2>The drill</h2>\n{}", facts(pairs));
    part += &table("Phases", &["phase", "from", "#took"], phases);
    part += &table("Steady state, before and after", &["when", "result", "check", "seen"], steady);
    part += &table("Guardrails", &["guardrail", "result"], guardrails);
    for (heading, lines) in
        [("Told by the simulation", &drill.told), ("Not practised by this kind of drill", &drill.unpractised)]
    {
        if !lines.is_empty() {
            part += &format!("<h3>{heading}</h3>\n{}", list(lines.iter().cloned()));
        }
    }
    part
}

fn run_part(report: &Report, run: &RunPart) -> String {
    let pairs = [
        ("state", run.state.clone()),
        ("verdict", run.verdict.clone().unwrap_or_default()),
        ("why", run.reason.clone()),
        ("asked by", run.actor.clone()),
        ("mode", run.mode.clone()),
        ("epoch", run.epoch.map(|epoch| epoch.to_string()).unwrap_or_default()),
        (
            "plan, manifest",
            [Some(run.plan_hash.clone()), run.manifest_hash.clone()]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join(", "),
        ),
        ("consent if unfenced", run.unfenced_consent.clone().unwrap_or_default()),
        ("asked to stop", run.abort.clone().unwrap_or_default()),
        ("settled", run.settled_at.map(|at| at.to_string()).unwrap_or_default()),
    ];
    let mut part = format!("<h2>Run {}: {}</h2>\n{}", esc(run.id.as_str()), esc(&place(run)), facts(pairs));
    part += &gantt::gantt(run);
    part += &steps(run);
    let parts = run.parts.iter().map(|part| {
        vec![text(&part.name), number(duration(part.ms)), number(duration(part.floor_ms)), text(&part.floor)]
    });
    part += &table("Where the time went", &["part", "#took", "#cannot be shorter than", "because of"], parts);
    let guards = run.guards.iter().map(|guard| {
        let word = if guard.ok { Cell::Tone("good", "yes".to_owned()) } else { Cell::Tone("bad", "no".to_owned()) };
        vec![text(&guard.name), word, text(&guard.reason)]
    });
    part += &table("Guards at the decision", &["guard", "said", "why"], guards);
    let of_run = |seen: &&failoverd_domain::report::CurvesSeen| seen.run.as_ref() == Some(&run.id);
    let curves: String = report.curves.iter().filter(of_run).map(|seen| curves::curves(seen, Some(run))).collect();
    if !curves.is_empty() {
        part += &format!("<h3>Latency and errors</h3>\n{curves}");
    }
    part
}

fn steps(run: &RunPart) -> String {
    let rows = run.steps.iter().map(|step| {
        let took = step.started_at.zip(step.finished_at).map(|(from, until)| until.0.since(from.0));
        let usual = step
            .p50_ms
            .zip(step.p95_ms)
            .map_or_else(|| "-".to_owned(), |(p50, p95)| format!("{} / {}", duration(p50), duration(p95)));
        let took =
            if step.beyond_p95 { Cell::Tone("bad", format!("{}, beyond", figure(took))) } else { number(figure(took)) };
        let state = match step.state.as_str() {
            "succeeded" => Cell::Tone("good", step.state.clone()),
            "failed" => Cell::Tone("bad", step.state.clone()),
            "pending" => Cell::Tone("dim", step.state.clone()),
            _ => Cell::Tone("warn", step.state.clone()),
        };
        vec![
            text(&step.name),
            text(format!("{}, {}{}", step.region, plane(step), if step.critical { "" } else { ", not critical" })),
            state,
            number(step.attempts),
            took,
            number(usual),
            text(step.error.as_ref().or(step.note.as_ref()).cloned().unwrap_or_default()),
        ]
    });
    table("Steps", &["step", "where, plane", "state", "#attempts", "#took", "#p50 / p95", "said"], rows)
}

fn surprises(report: &Report) -> String {
    let lines = report.surprises.iter().map(|surprise| {
        let seqs: Vec<String> = surprise.seqs.iter().map(u64::to_string).collect();
        if seqs.is_empty() { surprise.what.clone() } else { format!("{} (events {})", surprise.what, seqs.join(", ")) }
    });
    let lines = list(lines);
    if lines.is_empty() { "<p>Nothing that the history shows.</p>\n".to_owned() } else { lines }
}

fn comparison(report: &Report) -> String {
    let ms = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |ms| format!("{ms} ms"));
    let rto = &report.objectives.rto;
    let worst = report.objectives.stores.iter().filter_map(|store| store.measured).max();
    let verdict = |verdict: &str| Cell::Tone(tone(verdict), verdict.replace('-', " "));
    let this = vec![
        text(format!("{} (this)", report.id)),
        text(report.timeline.last().map(|told| told.at.to_string()).unwrap_or_default()),
        verdict(&report.verdict),
        number(figure(rto.measured_ms)),
        number(figure(rto.detect_ms)),
        number(ms(worst)),
    ];
    let rows = report.earlier.iter().map(|row| {
        vec![
            text(&row.id),
            text(row.at),
            verdict(&row.verdict),
            number(figure(row.rto_ms)),
            number(figure(row.detect_ms)),
            number(ms(row.lost_ms)),
        ]
    });
    if report.earlier.is_empty() {
        return "<h2>Compared with earlier</h2>\n<p>This history holds no earlier one of the same.</p>\n".to_owned();
    }
    let headings = ["of", "ended", "verdict", "#RTO", "#detected in", "#worst loss"];
    format!("<h2>Compared with earlier</h2>\n{}", table("", &headings, std::iter::once(this).chain(rows)))
}

fn people(report: &Report) -> String {
    let approvals = report.approvals.iter().map(|it| vec![text(it.at), text(&it.by), text(&it.what)]);
    let actors = report.actors.iter().map(|it| vec![text(&it.actor), number(it.events)]);
    let mut part = "<h2>Who</h2>\n".to_owned();
    part += &table("Approvals", &["when", "who", "to what"], approvals);
    if report.approvals.is_empty() {
        part += "<p>Nobody was asked to approve.</p>\n";
    }
    part + &table("Everybody who had a part in it", &["who", "#events"], actors)
}

fn timeline(report: &Report) -> String {
    let zero = zero(report);
    let rows = report.timeline.iter().map(|told| {
        vec![number(told.seq), number(ago(told.at.0, zero)), text(told.at), text(&told.message), text(&told.actor)]
    });
    format!("<h2>Timeline</h2>\n{}", table("", &["#event", "#after", "when", "what", "who"], rows))
}

fn record(report: &Report) -> String {
    let history = &report.history;
    let seq = |seq: Option<u64>| seq.map_or_else(|| "-".to_owned(), |seq| seq.to_string());
    let pairs = [
        ("fleet", report.fleet.to_string()),
        ("history events", format!("{} to {}, {} of this", seq(history.from_seq), seq(history.to_seq), history.events)),
        ("hash of the last", history.last_hash.clone()),
        ("hash for the record", history.digest.clone()),
    ];
    let checks: String = history.check.iter().map(|check| format!("<li><code>{}</code></li>\n", esc(check))).collect();
    format!(
        "<h2>For the record</h2>\n{}<p>The hash for the record is SHA-256 over the hashes of these events, in their order. The history \
         is a chain: no event of it can be changed or left out without being found. Whoever holds the fleet’s history checks both:</p>\n\
         <ol>\n{checks}</ol>\n",
        facts(pairs)
    )
}
