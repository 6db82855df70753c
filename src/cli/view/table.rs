//! Tables without borders, and the words in their cells.

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};

/// A table: one heading line, one line a row, columns three spaces apart.
pub fn table(headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(headings.iter().map(|heading| (*heading).to_owned()));
    for row in rows {
        // A cell of several lines would break the columns for whoever cuts them.
        table.add_row(row.into_iter().map(|cell| cell.replace('\n', " ")));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 3));
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// `key: value` lines with aligned values; those without a value are left out.
pub fn pairs(pairs: &[(&str, String)]) -> String {
    let width = pairs.iter().map(|(key, _)| key.chars().count()).max().unwrap_or(0) + 3;
    let filled = pairs.iter().filter(|(_, value)| !value.is_empty());
    filled.map(|(key, value)| format!("{:width$}{value}\n", format!("{key}:"))).collect()
}

/// `yes` or `no`.
pub fn yes(it: bool) -> String {
    if it { "yes" } else { "no" }.to_owned()
}

/// A mark for a guard's verdict.
pub fn mark(ok: bool) -> String {
    if ok { "✓" } else { "✗" }.to_owned()
}

/// The value, or `-`.
pub fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}
