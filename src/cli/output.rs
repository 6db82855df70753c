//! The only place that prints. Data goes to stdout, the rest to stderr.

#![expect(clippy::print_stderr, reason = "this is the place")]

use std::io::{IsTerminal, Write};

use failoverd_domain::time::Timestamp;
use serde_json::Value;

use super::{Failure, Format, Global, Style};

/// What a command has to say, in every format.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// For scripts: an object.
    pub json: Value,
    /// For people.
    pub text: String,
    /// The names of what is listed.
    pub names: Vec<String>,
}

/// Where things are printed.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    format: Format,
    colour: bool,
    terminal: bool,
}

impl Output {
    /// By the flags and by what stdout is.
    #[must_use]
    pub fn new(global: &Global) -> Self {
        let terminal = std::io::stdout().is_terminal();
        let no_colour = global.no_color || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { format: global.output, colour: terminal && !no_colour, terminal }
    }

    /// How to show things to people. Instants are relative on a terminal only.
    #[must_use]
    pub fn style(&self) -> Style {
        Style { wide: self.format == Format::Wide, now: self.terminal.then_some(Timestamp(0)) }
    }

    /// Whether a person watches.
    #[must_use]
    pub const fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Whether the answer is for people, so that it may be followed by more text.
    #[must_use]
    pub const fn is_for_people(&self) -> bool {
        matches!(self.format, Format::Table | Format::Wide)
    }

    /// Prints an answer in the chosen format.
    pub fn show(&self, view: &View) {
        self.write(&self.render(view));
    }

    /// The answer in the chosen format.
    #[must_use]
    pub fn render(&self, view: &View) -> String {
        match self.format {
            Format::Table | Format::Wide => self.painted(&view.text),
            // Only reports and plans have these forms; they print them themselves.
            Format::Html | Format::Md | Format::Shell => view.text.clone(),
            Format::Json => format!("{:#}\n", view.json),
            Format::Yaml => serde_saphyr::to_string(&view.json).unwrap_or_else(|error| format!("# {error}\n")),
            Format::Name => view.names.iter().map(|name| format!("{name}\n")).collect(),
        }
    }

    /// Prints one of a row of answers: a line each in JSON, a document each in YAML, redrawn on a terminal.
    pub fn show_next(&self, view: &View) {
        match self.format {
            Format::Json => self.write(&format!("{}\n", view.json)),
            Format::Yaml => self.write(&format!("---\n{}", self.render(view))),
            Format::Table | Format::Wide if self.terminal => {
                self.write(&format!("\x1b[H\x1b[2J\x1b[3J{}", self.render(view)));
            }
            _ => self.write(&format!("{}\n", self.render(view))),
        }
    }

    /// Prints lines in the place of the `above` lines printed before; only on a terminal.
    pub fn redraw(&self, above: usize, text: &str) {
        let up = if above > 0 { format!("\x1b[{above}A\x1b[0J") } else { String::new() };
        self.write(&format!("{up}{}", self.painted(text)));
    }

    /// Prints text as it is.
    pub fn text(&self, text: &str) {
        self.write(&self.painted(text));
    }

    /// Prints bytes for another program, never coloured.
    pub fn raw(&self, text: &str) {
        self.write(text);
    }

    /// Says something that is not data.
    pub fn note(&self, text: &str) {
        eprintln!("{text}");
    }

    /// Asks something; the answer is read by `confirm`.
    pub fn ask(&self, text: &str) {
        eprint!("{text}");
        let _ = std::io::stderr().flush();
    }

    /// Says why a command failed and what to do.
    pub fn failure(&self, failure: &Failure) {
        eprintln!("error: {}", failure.message);
        for detail in &failure.details {
            eprintln!("  {detail}");
        }
        if let Some(hint) = &failure.hint {
            eprintln!("hint: {hint}");
        }
    }

    /// A reader that went away (`| head`) is no error.
    fn write(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    /// The words that matter, in colour.
    fn painted(&self, text: &str) -> String {
        if self.colour { paint(text) } else { text.to_owned() }
    }
}

const GREEN: &str = "32";
const RED: &str = "31;1";
const YELLOW: &str = "33";
const BOLD: &str = "1";

fn colour_of(word: &str) -> Option<&'static str> {
    Some(match word {
        "steady" | "healthy" | "succeeded" | "on" | "ready" | "yes" | "✓" | "fails-over" | "good" => GREEN,
        "attention" | "service-down" | "region-down" | "failed" | "stays-down" | "not-ready" | "no" | "✗" | "bad" => {
            RED
        }
        "failing-over" | "unsettled" | "returning" | "degraded" | "unknown" | "acting" | "awaiting-approval"
        | "announced" | "running" | "paused" | "silent" | "aborted" | "control-plane-only" | "observer-isolated"
        | "asks-for-approval" | "needs-person" | "…" => YELLOW,
        _ => return None,
    })
}

/// Headings (lines of capitals) are bold, words of state coloured. Done last, so that columns keep their width.
fn paint(text: &str) -> String {
    text.split_inclusive('\n').map(paint_line).collect()
}

fn paint_line(line: &str) -> String {
    let bare = line.trim_end_matches('\n');
    if !bare.is_empty() && !bare.chars().any(char::is_lowercase) && bare.chars().any(char::is_uppercase) {
        return format!("\x1b[{BOLD}m{bare}\x1b[0m{}", &line[bare.len()..]);
    }
    let paint = |word: &str| {
        let bare = word.trim_end_matches(',');
        match colour_of(bare) {
            Some(colour) => format!("\x1b[{colour}m{bare}\x1b[0m{}", &word[bare.len()..]),
            None => word.to_owned(),
        }
    };
    bare.split(' ').map(paint).collect::<Vec<_>>().join(" ") + &line[bare.len()..]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plain(format: Format) -> Output {
        Output { format, colour: false, terminal: false }
    }

    #[test]
    fn every_format_shows_the_same_thing() {
        let view = View { json: json!({ "a": [1] }), text: "A\n1\n".to_owned(), names: vec!["one".to_owned()] };
        assert_eq!(plain(Format::Table).render(&view), "A\n1\n");
        assert_eq!(plain(Format::Json).render(&view), "{\n  \"a\": [\n    1\n  ]\n}\n");
        assert_eq!(plain(Format::Name).render(&view), "one\n");
        let yaml: Value = serde_saphyr::from_str(&plain(Format::Yaml).render(&view)).unwrap();
        assert_eq!(yaml, view.json);
    }

    #[test]
    fn colour_changes_no_column() {
        let painted = paint("NAME   STATE\nx      failed,  y\n");
        assert_eq!(painted, "\x1b[1mNAME   STATE\x1b[0m\nx      \x1b[31;1mfailed\x1b[0m,  y\n");
    }
}
