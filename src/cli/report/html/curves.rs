//! How fast and how well the service answered over a move, as a picture.

use std::collections::BTreeSet;
use std::fmt::Write;

use failoverd_domain::drill::Curve;
use failoverd_domain::health::Status;
use failoverd_domain::report::{CurvesSeen, RunPart, duration};

use super::gantt::{Axis, mark_lines, marks};
use super::markup::{esc, number, table, text};

const TOP: f64 = 64.0;
const HIGH: f64 = 150.0;
/// Below the latencies each curve has a lane for its bad answers.
const LANE: f64 = 16.0;

/// The picture and its figures; nothing where nothing was seen.
pub fn curves(seen: &CurvesSeen, run: Option<&RunPart>) -> String {
    let drawn: Vec<&Curve> = seen.curves.iter().filter(|curve| !curve.at_ms.is_empty()).collect();
    if drawn.is_empty() {
        return String::new();
    }
    let marks = run.map(marks).unwrap_or_default();
    let points = drawn.iter().flat_map(|curve| &curve.at_ms).map(|at_ms| seen.from.0.plus_ms(*at_ms));
    let axis = Axis::of(points.chain(marks.iter().map(|(_, at)| *at)));
    let most = drawn.iter().flat_map(|curve| &curve.latency_ms).flatten().max().copied().unwrap_or(1).max(1);
    #[expect(clippy::cast_precision_loss, reason = "a picture")]
    let bottom = TOP + HIGH + 10.0 + LANE * drawn.len() as f64;
    let mut body = axis.grid(TOP, bottom) + &mark_lines(&marks, &axis, bottom);
    let _ = write!(
        body,
        "<text class=\"dim\" x=\"262\" y=\"{:.1}\" text-anchor=\"end\">{most} ms</text><text class=\"dim\" x=\"262\" y=\"{:.1}\" \
         text-anchor=\"end\">0 ms</text>",
        TOP + 6.0,
        TOP + HIGH
    );
    for (n, curve) in drawn.iter().enumerate() {
        body += &drawn_curve(curve, n, seen, &axis, most);
    }
    let rows = drawn.iter().map(|curve| {
        let bad = curve.status.iter().filter(|status| **status == Status::Bad).count();
        let worst = curve.latency_ms.iter().flatten().max();
        vec![
            text(&curve.observer),
            text(curve.region.as_ref().map_or("by the public name", |region| region.as_str())),
            text(&curve.signal),
            number(curve.at_ms.len()),
            number(bad),
            number(worst.map_or_else(|| "-".to_owned(), |ms| duration(*ms))),
        ]
    });
    let headings = ["seen from", "in", "signal", "#readings", "#bad", "#slowest"];
    let figures = table("The same in figures", &headings, rows);
    format!(
        "<figure><div class=\"scroll\"><svg viewBox=\"0 0 970 {:.0}\" role=\"img\" aria-label=\"Latency and errors over the \
         move\"><title>Latency and errors over the move; the table below sums it up</title>{body}</svg></div><figcaption>Lines: how long \
         answers took. Red marks in the lanes below: bad answers.</figcaption></figure>\n{figures}",
        bottom + 24.0
    )
}

fn drawn_curve(curve: &Curve, n: usize, seen: &CurvesSeen, axis: &Axis, most: u64) -> String {
    let mut path = String::new();
    let mut is_down = false;
    for (at_ms, latency) in curve.at_ms.iter().zip(&curve.latency_ms) {
        let Some(latency) = latency else {
            is_down = false;
            continue;
        };
        #[expect(clippy::cast_precision_loss, reason = "a picture")]
        let y = TOP + HIGH - HIGH * (*latency as f64 / most as f64);
        let _ = write!(path, "{}{:.1} {y:.1}", if is_down { "L" } else { "M" }, axis.x(seen.from.0.plus_ms(*at_ms)));
        is_down = true;
    }
    #[expect(clippy::cast_precision_loss, reason = "a picture")]
    let lane = TOP + HIGH + 10.0 + LANE * n as f64;
    let place = curve.region.as_ref().map_or_else(|| "public name".to_owned(), ToString::to_string);
    let name = format!("{} from {}, {place}", curve.signal, curve.observer);
    let short: String = name.chars().take(42).collect();
    let colour = n % 6;
    let mut drawn = format!(
        "<path class=\"curve c{colour}\" d=\"{path}\"><title>{}</title></path><line class=\"c{colour}\" stroke-width=\"3\" x1=\"0\" \
         x2=\"12\" y1=\"{:.1}\" y2=\"{:.1}\"/><text class=\"dim\" x=\"18\" y=\"{:.1}\" font-size=\"11\">{}</text>",
        esc(&name),
        lane + 8.0,
        lane + 8.0,
        lane + 12.0,
        esc(&short)
    );
    let bad = curve.at_ms.iter().zip(&curve.status).filter(|(_, status)| **status == Status::Bad);
    // Readings closer together than the eye can tell are one mark.
    #[expect(clippy::cast_possible_truncation, reason = "a place on the picture")]
    let places: BTreeSet<i64> = bad.map(|(at_ms, _)| axis.x(seen.from.0.plus_ms(*at_ms)).round() as i64).collect();
    for x in places {
        let _ = write!(drawn, "<rect class=\"err\" x=\"{x}\" y=\"{:.1}\" width=\"2\" height=\"10\"/>", lane + 3.0);
    }
    drawn
}
