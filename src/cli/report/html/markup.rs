//! Text becomes markup here and nowhere else.

/// Text of others between tags or in a quoted attribute.
#[must_use]
pub fn esc(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for sign in text.chars() {
        match sign {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\n' | '\t' => safe.push(' '),
            sign if sign.is_control() => safe.push('\u{fffd}'),
            sign => safe.push(sign),
        }
    }
    safe
}

/// A cell: text, or markup that was made here.
pub enum Cell {
    /// Escaped.
    Text(String),
    /// A figure: escaped, to the right.
    Figure(String),
    /// A word with a class of ours.
    Tone(&'static str, String),
}

impl Cell {
    fn markup(&self) -> String {
        match self {
            Self::Text(text) => format!("<td>{}</td>", esc(text)),
            Self::Figure(text) => format!("<td class=\"n\">{}</td>", esc(text)),
            Self::Tone(tone, text) => format!("<td class=\"{tone}\">{}</td>", esc(text)),
        }
    }
}

/// A text cell.
pub fn text(text: impl ToString) -> Cell {
    Cell::Text(text.to_string())
}

/// A figure cell.
pub fn number(text: impl ToString) -> Cell {
    Cell::Figure(text.to_string())
}

/// A table; nothing where there are no rows. Headings that begin with `#` are of figures.
pub fn table(caption: &str, headings: &[&str], rows: impl IntoIterator<Item = Vec<Cell>>) -> String {
    let rows: String = rows
        .into_iter()
        .map(|row| format!("<tr>{}</tr>\n", row.iter().map(Cell::markup).collect::<String>()))
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let head = headings.iter().map(|heading| match heading.strip_prefix('#') {
        Some(heading) => format!("<th scope=\"col\" class=\"n\">{}</th>", esc(heading)),
        None => format!("<th scope=\"col\">{}</th>", esc(heading)),
    });
    let head: String = head.collect();
    let caption = if caption.is_empty() { String::new() } else { format!("<caption>{}</caption>", esc(caption)) };
    format!(
        "<div class=\"scroll\"><table>{caption}<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n"
    )
}

/// A list; nothing where it is empty.
pub fn list(lines: impl IntoIterator<Item = String>) -> String {
    let lines: String = lines.into_iter().map(|line| format!("<li>{}</li>\n", esc(&line))).collect();
    if lines.is_empty() { lines } else { format!("<ul>\n{lines}</ul>\n") }
}

/// Names beside what they are.
pub fn facts(pairs: impl IntoIterator<Item = (&'static str, String)>) -> String {
    let filled = pairs.into_iter().filter(|(_, what)| !what.is_empty());
    let rows: String = filled.map(|(name, what)| format!("<dt>{name}</dt><dd>{}</dd>\n", esc(&what))).collect();
    format!("<dl>\n{rows}</dl>\n")
}
