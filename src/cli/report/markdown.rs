//! A report as Markdown that also reads well on a terminal.

use std::fmt::Write;

use failoverd_domain::report::{Report, RunPart, Within, duration};

use super::words::{ago, figure, place, within};

/// The whole report.
#[must_use]
pub fn markdown(report: &Report) -> String {
    let mut text = headline(report);
    text += &objectives(report);
    text += &drill(report);
    for run in &report.runs {
        text += &run_text(report, run);
    }
    if !report.surprises.is_empty() {
        text += "\n## What surprised\n\n";
        for surprise in &report.surprises {
            let _ = writeln!(text, "- {}{}", safe(&surprise.what), events_of(&surprise.seqs));
        }
    }
    text += &people(report);
    text += &comparison(report);
    text += &timeline(report);
    text += &record(report);
    text
}

fn headline(report: &Report) -> String {
    let what = if report.drill.is_some() { "Drill" } else { "Run" };
    let mut text = format!("# {what} {}: {}\n\n", safe(&report.id), safe(&report.title));
    let _ = writeln!(text, "- verdict: {} ({})", safe(&report.sentence), safe(&report.verdict));
    for gap in &report.incomplete {
        let _ = writeln!(text, "- not complete: {}", safe(gap));
    }
    if let Some(drill) = report.drill.as_ref().filter(|drill| !drill.hypothesis.is_empty()) {
        let _ = writeln!(text, "- hypothesis: {}", safe(&drill.hypothesis));
    }
    text
}

fn objectives(report: &Report) -> String {
    let rto = &report.objectives.rto;
    let mut text = "\n## Objectives\n\n".to_owned();
    let measured = figure(rto.measured_ms);
    let rto_line = match (&rto.reason, rto.objective_ms) {
        (Some(reason), _) => format!("- RTO: {reason}"),
        (None, Some(most)) => format!("- RTO {measured} against {}: {}", duration(most), within(rto.within)),
        (None, None) => format!("- RTO {measured}; no objective is on record"),
    };
    let _ = writeln!(text, "{} (counted from the {})", safe(&rto_line), rto.counted_from);
    if let Some(detect_ms) = rto.detect_ms {
        let _ = writeln!(text, "- detected and decided in {}", duration(detect_ms));
    }
    if let Some(return_ms) = rto.return_ms {
        let _ = writeln!(text, "- the way back took {}", duration(return_ms));
    }
    if let Some(users) = &report.users {
        let (errors, asked, gap) = (users.errors, users.asked, duration(users.longest_gap_ms));
        let _ = writeln!(text, "- users: {errors} of {asked} answers bad, longest gap {gap}");
    }
    text += "\n## Loss\n\n";
    if report.objectives.stores.is_empty() {
        return text + "no data moved\n";
    }
    let rpo = report.objectives.rpo_ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms} ms"));
    let rows = report.objectives.stores.iter().map(|store| {
        let ms = |value: Option<u64>| value.map_or_else(|| "unknown".to_owned(), |ms| format!("{ms} ms"));
        let kept = if store.within == Within::Unknown { "unknown" } else { within(store.within) };
        [
            store.store.to_string(),
            ms(store.bound),
            ms(store.measured),
            rpo.clone(),
            kept.to_owned(),
            store.reason.clone(),
        ]
    });
    text + &table(&["STORE", "BOUND", "RECEIPT", "RPO", "KEPT", "WHERE-FROM"], rows)
}

fn drill(report: &Report) -> String {
    let Some(drill) = &report.drill else { return String::new() };
    let mut text = "\n## Phases\n\n".to_owned();
    let rows = drill.phases.iter().map(|phase| {
        let took = phase.until.map(|until| until.0.since(phase.began_at.0));
        [phase.phase.clone(), phase.began_at.to_string(), figure(took)]
    });
    text += &table(&["PHASE", "FROM", "TOOK"], rows);
    if !drill.steady.is_empty() {
        text += "\n## Steady state\n\n";
        let rows = drill.steady.iter().map(|check| {
            [super::words::when(check).to_owned(), mark(check.ok).to_owned(), check.name.clone(), check.reason.clone()]
        });
        text += &table(&["WHEN", "OK", "CHECK", "SEEN"], rows);
    }
    if !drill.guardrails.is_empty() {
        text += "\n## Guardrails\n\n";
        for guardrail in &drill.guardrails {
            let hit = guardrail.hit.as_ref().map_or_else(|| "held".to_owned(), |hit| format!("HIT: {hit}"));
            let _ = writeln!(text, "- {}: {}", safe(&guardrail.guardrail), safe(&hit));
        }
    }
    for (heading, lines) in
        [("Told by the simulation", &drill.told), ("Not practised by this kind", &drill.unpractised)]
    {
        if !lines.is_empty() {
            let _ = write!(text, "\n## {heading}\n\n");
            text.extend(lines.iter().map(|line| format!("- {}\n", safe(line))));
        }
    }
    text
}

fn run_text(report: &Report, run: &RunPart) -> String {
    let mut text = String::new();
    let _ = write!(text, "\n## Run {}: {}\n\n", safe(run.id.as_str()), safe(&place(run)));
    if run.decided_at.is_some() {
        let _ = writeln!(text, "- why: {} ({}, {}, by {})", safe(&run.reason), run.trigger, run.mode, safe(&run.actor));
        let epoch = run.epoch.map_or_else(|| "none: it never started".to_owned(), |epoch| epoch.to_string());
        let manifest = run.manifest_hash.as_ref().map_or_else(String::new, |hash| format!(", manifest {hash}"));
        let _ = writeln!(text, "- epoch: {epoch}, plan {}{manifest}", run.plan_hash);
    }
    if let Some(verdict) = run.verdict.as_ref().filter(|_| report.drill.is_some()) {
        let _ = writeln!(text, "- verdict: {}", safe(verdict));
    }
    if let Some(by) = &run.unfenced_consent {
        let _ = writeln!(text, "- consent to go on if the old writer could not be fenced: {}", safe(by));
    }
    if let Some(reason) = &run.abort {
        let _ = writeln!(text, "- asked to stop: {}", safe(reason));
    }
    if !run.parts.is_empty() {
        text += "\n### Where the time went\n\n";
        let total: u64 = run.parts.iter().map(|part| part.ms).sum();
        let floor: u64 = run.parts.iter().map(|part| part.floor_ms).sum();
        let row = |name: &str, ms, floor_ms, by: &str| {
            [name.to_owned(), format!("{ms} ms"), format!("{floor_ms} ms"), by.to_owned()]
        };
        let rows = run.parts.iter().map(|part| row(&part.name, part.ms, part.floor_ms, &part.floor));
        text += &table(&["PART", "TOOK", "FLOOR", "FLOOR-IS"], rows.chain([row("total", total, floor, "")]));
    }
    if !run.guards.is_empty() {
        text += "\n### Guards at the decision\n\n";
        for guard in &run.guards {
            let _ = writeln!(text, "- {} {}: {}", mark(guard.ok), guard.name, safe(&guard.reason));
        }
    }
    if !run.steps.is_empty() {
        text += "\n### Steps\n\n";
        text += &steps(run);
    }
    text + &answers(run)
}

fn steps(run: &RunPart) -> String {
    let yes = |it: bool, word: &str| if it { word.to_owned() } else { "-".to_owned() };
    let rows = run.steps.iter().map(|step| {
        let took = step.started_at.zip(step.finished_at).map(|(from, until)| until.0.since(from.0));
        let usual = step.p50_ms.zip(step.p95_ms).map_or_else(
            || "-".to_owned(),
            |(p50, p95)| format!("{}/{}{}", duration(p50), duration(p95), if step.beyond_p95 { " BEYOND" } else { "" }),
        );
        [
            step.name.to_string(),
            step.region.to_string(),
            yes(step.critical, "yes"),
            yes(step.point_of_no_return, "here"),
            step.state.clone(),
            step.attempts.to_string(),
            figure(took),
            usual,
            step.error.clone().or_else(|| step.note.clone()).unwrap_or_default(),
        ]
    });
    table(&["STEP", "REGION", "CRITICAL", "NO-RETURN", "STATE", "ATTEMPTS", "TOOK", "P50/P95", "SAID"], rows)
}

fn answers(run: &RunPart) -> String {
    let rows: Vec<[String; 5]> = run
        .steps
        .iter()
        .flat_map(|step| &step.answers)
        .map(|seen| {
            let by: Vec<&str> = seen.answered_by.iter().map(failoverd_domain::ids::Region::as_str).collect();
            let probes = seen.probes.iter().map(|it| format!("{} {}: {}", mark(it.good), it.name, it.detail));
            [
                seen.daemon.to_string(),
                seen.not_asked.as_ref().map_or_else(|| by.join(" "), |why| format!("not asked ({why})")),
                figure(seen.after_ms),
                seen.tail_s.map_or_else(|| "-".to_owned(), |tail_s| format!("{tail_s} s more")),
                probes.collect::<Vec<_>>().join(", "),
            ]
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    format!("\n### Answers\n\n{}", table(&["FROM", "ANSWERED-BY", "AFTER", "CACHES", "THROUGH-NAME"], rows.into_iter()))
}

fn people(report: &Report) -> String {
    let mut text = "\n## Who\n\n".to_owned();
    for approval in &report.approvals {
        let _ = writeln!(text, "- {} by {}: {}", approval.at, safe(&approval.by), safe(&approval.what));
    }
    for actor in &report.actors {
        let _ = writeln!(text, "- {}: {} events", safe(&actor.actor), actor.events);
    }
    text
}

fn comparison(report: &Report) -> String {
    if report.earlier.is_empty() {
        return "\n## Compared with earlier\n\nthis history holds no earlier one of the same\n".to_owned();
    }
    let rto = &report.objectives.rto;
    let measured: Vec<u64> = report.objectives.stores.iter().filter_map(|store| store.measured).collect();
    let ms = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |ms| format!("{ms} ms"));
    let this = [
        format!("{} (this)", report.id),
        report.verdict.clone(),
        figure(rto.measured_ms),
        figure(rto.detect_ms),
        ms(measured.iter().max().copied()),
    ];
    let rows = report
        .earlier
        .iter()
        .map(|row| [row.id.clone(), row.verdict.clone(), figure(row.rto_ms), figure(row.detect_ms), ms(row.lost_ms)]);
    let rows = table(&["OF", "VERDICT", "RTO", "DETECTED", "WORST-LOSS"], [this].into_iter().chain(rows));
    format!("\n## Compared with earlier\n\n{rows}")
}

fn timeline(report: &Report) -> String {
    let zero = super::words::zero(report);
    let mut text = "\n## Timeline\n\n".to_owned();
    for told in &report.timeline {
        let _ =
            writeln!(text, "- {}  {}  {} ({})", ago(told.at.0, zero), told.at, safe(&told.message), safe(&told.actor));
    }
    text
}

fn record(report: &Report) -> String {
    let history = &report.history;
    let seq = |seq: Option<u64>| seq.map_or_else(|| "-".to_owned(), |seq| seq.to_string());
    let mut text = "\n## For the record\n\n".to_owned();
    let (from, to) = (seq(history.from_seq), seq(history.to_seq));
    let _ = writeln!(
        text,
        "- fleet {}, history events {from} to {to} ({} of this)",
        safe(report.fleet.as_str()),
        history.events
    );
    let _ = writeln!(text, "- hash of the last event: {}", history.last_hash);
    let _ = writeln!(text, "- hash for the record (SHA-256 over those of its events): {}", history.digest);
    for check in &history.check {
        let _ = writeln!(text, "- check with: `{}`", check.replace('`', "'"));
    }
    text
}

fn events_of(seqs: &[u64]) -> String {
    let seqs: Vec<String> = seqs.iter().map(u64::to_string).collect();
    if seqs.is_empty() { String::new() } else { format!(" (events {})", seqs.join(", ")) }
}

const fn mark(ok: bool) -> &'static str {
    if ok { "✓" } else { "✗" }
}

/// Text of others: no line, cell, tag or terminal command of it becomes one of ours.
fn safe(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for sign in text.chars() {
        match sign {
            '|' | '<' | '[' | '`' | '\\' => safe.extend(['\\', sign]),
            sign if sign.is_control() => safe.push(' '),
            sign => safe.push(sign),
        }
    }
    safe
}

fn table<const N: usize>(headings: &[&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let rows: Vec<[String; N]> = rows.map(|row| row.map(|cell| safe(&cell))).collect();
    let width = |n: usize| {
        let cells = rows.iter().map(|row| row[n].chars().count());
        cells.chain([headings[n].len(), 3]).max().unwrap_or(3)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |cells: &[String; N]| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| format!(" {cell:width$} |"));
        format!("|{}\n", padded.collect::<String>())
    };
    let rule: String = widths.iter().map(|width| format!("{}|", "-".repeat(width + 2))).collect();
    let mut text = line(&std::array::from_fn(|n| headings[n].to_owned()));
    let _ = writeln!(text, "|{rule}");
    text.extend(rows.iter().map(line));
    text
}
