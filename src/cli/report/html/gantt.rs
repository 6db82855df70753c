//! Steps of one run over time, as a picture. The same figures stand in a table beside it.

use std::fmt::Write;

use failoverd_domain::report::{RunPart, StepPart, duration};
use failoverd_domain::time::Timestamp;

use super::markup::esc;

/// Where the time axis begins and how wide it is, in the picture's units.
const LEFT: f64 = 270.0;
const WIDE: f64 = 680.0;
const ROW: f64 = 30.0;
const TOP: f64 = 64.0;
/// A step that took no time is still there to be seen.
const LEAST: f64 = 3.0;

/// A stretch of time on the picture.
pub struct Axis {
    from: u64,
    span: u64,
}

impl Axis {
    /// From the first instant to the last; never empty.
    pub fn of(instants: impl Iterator<Item = Timestamp> + Clone) -> Self {
        let from = instants.clone().min().unwrap_or_default().0;
        let until = instants.max().unwrap_or_default().0;
        Self { from, span: until.saturating_sub(from).max(1) }
    }

    /// Where an instant is.
    pub fn x(&self, at: Timestamp) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a picture")]
        let part = at.0.saturating_sub(self.from).min(self.span) as f64 / self.span as f64;
        LEFT + part * WIDE
    }

    /// Lines at even times, with how long after the beginning they are.
    pub fn grid(&self, top: f64, bottom: f64) -> String {
        let mut lines = String::new();
        for n in 0..=4_u64 {
            let at = self.from + self.span * n / 4;
            let x = self.x(Timestamp(at));
            let anchor = if n == 4 { "end" } else { "middle" };
            let _ = write!(
                lines,
                "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top}\" y2=\"{bottom}\"/><text class=\"dim\" x=\"{x:.1}\" \
                 y=\"{}\" text-anchor=\"{anchor}\">{}</text>",
                bottom + 16.0,
                duration(at - self.from)
            );
        }
        lines
    }
}

/// The instants of a run that are marked on every picture of it.
pub fn marks(run: &RunPart) -> Vec<(&'static str, Timestamp)> {
    let all = [
        ("breach", run.breach_at),
        ("decision", run.decided_at),
        ("switch", run.switched_at),
        ("verified", run.verified_at),
    ];
    all.into_iter().filter_map(|(name, at)| Some((name, at?.0))).collect()
}

/// Dashed lines with their names, on three rows so that close ones do not cover each other.
pub fn mark_lines(marks: &[(&'static str, Timestamp)], axis: &Axis, bottom: f64) -> String {
    let mut lines = String::new();
    for (n, (name, at)) in marks.iter().enumerate() {
        let (x, row) = (axis.x(*at), [12.0, 26.0, 40.0, 54.0][n % 4]);
        let (anchor, shift) = if x > LEFT + WIDE * 0.9 { ("end", -4.0) } else { ("start", 4.0) };
        let _ = write!(
            lines,
            "<line class=\"mark\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{}\" y2=\"{bottom}\"/><text x=\"{:.1}\" y=\"{row}\" \
             text-anchor=\"{anchor}\">{name}</text>",
            row - 10.0,
            x + shift
        );
    }
    lines
}

/// The picture; nothing where no step was begun.
pub fn gantt(run: &RunPart) -> String {
    let begun: Vec<&StepPart> = run.steps.iter().filter(|step| !step.tries.is_empty()).collect();
    if begun.is_empty() {
        return String::new();
    }
    let marks = marks(run);
    let ends = begun.iter().flat_map(|step| &step.tries).flat_map(|it| [Some(it.began_at), it.ended_at]).flatten();
    let axis = Axis::of(ends.map(|at| at.0).chain(marks.iter().map(|(_, at)| *at)));
    #[expect(clippy::cast_precision_loss, reason = "a picture")]
    let bottom = TOP + ROW * begun.len() as f64;
    let mut body = axis.grid(TOP - 4.0, bottom) + &mark_lines(&marks, &axis, bottom);
    for (n, step) in begun.iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "a picture")]
        let y = TOP + ROW * n as f64;
        body += &row(step, y, &axis);
    }
    let height = bottom + 24.0;
    format!(
        "<figure><div class=\"scroll\"><svg viewBox=\"0 0 970 {height}\" role=\"img\" aria-label=\"Steps of {id} over time\"><title>Steps \
         of {id} over time; the table below has the same figures</title>{body}</svg></div><figcaption>Each bar is an attempt at a step. \
         Pale: off the critical path; red: failed; amber: outcome unknown. A red tick is the step’s p95 in earlier \
         runs.</figcaption></figure>\n",
        id = esc(run.id.as_str()),
    )
}

fn row(step: &StepPart, y: f64, axis: &Axis) -> String {
    let plane = super::super::words::plane(step);
    let mut row = format!(
        "<text x=\"0\" y=\"{:.1}\">{}</text><text class=\"dim\" x=\"0\" y=\"{:.1}\">{}</text>",
        y + 11.0,
        esc(&shortened(step.name.as_str(), 38)),
        y + 24.0,
        esc(&shortened(&format!("{}, {plane} plane", step.region), 42)),
    );
    for attempt in &step.tries {
        let from = axis.x(attempt.began_at.0);
        let until = attempt.ended_at.map_or(from, |at| axis.x(at.0));
        let class = match attempt.state.as_str() {
            "failed" => "bar failed",
            "unknown" | "acting" => "bar unknown",
            _ if step.critical => "bar",
            _ => "bar off",
        };
        let took = attempt
            .ended_at
            .map_or_else(|| "no end on record".to_owned(), |at| duration(at.0.since(attempt.began_at.0)));
        let about = format!("{}, attempt {}: {}, {took}, by {}", step.name, attempt.attempt, attempt.state, attempt.by);
        let _ = write!(
            row,
            "<rect class=\"{class}\" x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"16\" rx=\"1\"><title>{}</title></rect>",
            y + 5.0,
            (until - from).max(LEAST),
            esc(&about)
        );
    }
    if let (Some(from), Some(p95)) = (step.started_at, step.p95_ms) {
        let x = axis.x(from.0.plus_ms(p95));
        let _ = write!(
            row,
            "<line class=\"tick\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"><title>p95 {}</title></line>",
            y + 2.0,
            y + 24.0,
            duration(p95)
        );
    }
    row
}

/// The whole name is in the table.
fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}
