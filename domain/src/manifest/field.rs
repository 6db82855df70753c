//! Reading fields out of a tree, reporting what is wrong instead of stopping at it.
//!
//! A reader returns `None` after it has reported why; so whole inputs are read to the end and every problem is told
//! at once.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::btree_map;

use super::duration;
use super::problem::Findings;
use super::suggest::nearest;
use super::yaml::{Entry, Node, NodeKind};

/// One value with its path, and where to report.
#[derive(Clone, Debug)]
pub struct Field<'a> {
    node: &'a Node,
    path: String,
    findings: &'a Findings,
}

impl<'a> Field<'a> {
    /// The root of an input.
    #[must_use]
    pub fn root(node: &'a Node, findings: &'a Findings) -> Self {
        Self { node, path: String::new(), findings }
    }

    /// Path of this field.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Reports a problem of this field. Always `None`, for readers to return.
    pub fn refuse<T>(&self, message: impl Into<String>) -> Option<T> {
        report(self.findings, self.node, &self.path, message);
        None
    }

    /// A field below this one, with no report when there is none.
    #[must_use]
    pub fn peek(&self, keys: &[&str]) -> Option<Self> {
        let mut field = self.clone();
        for key in keys {
            let NodeKind::Mapping(entries) = &field.node.kind else { return None };
            let entry = entries.iter().find(|entry| entry.key == *key)?;
            field = Self { node: &entry.value, path: join(&field.path, key), findings: self.findings };
        }
        Some(field)
    }

    /// Whether it is exactly that word.
    #[must_use]
    pub fn is_word(&self, word: &str) -> bool {
        matches!(&self.node.kind, NodeKind::Scalar { text, .. } if text == word)
    }

    /// Its keys.
    #[must_use]
    pub fn mapping(&self) -> Option<Mapping<'a>> {
        let NodeKind::Mapping(entries) = &self.node.kind else {
            return self.refuse(format!("must be a mapping (`key: value`), not {}", self.node.kind_in_words()));
        };
        let mut mapping = Mapping { of: self.clone(), entries: BTreeMap::new(), asked: RefCell::default() };
        for (position, entry) in entries.iter().enumerate() {
            mapping.take(position, entry);
        }
        Some(mapping)
    }

    /// Its items.
    #[must_use]
    pub fn list(&self) -> Option<Vec<Field<'a>>> {
        let NodeKind::List(items) = &self.node.kind else {
            return self.refuse(format!("must be a list, not {}", self.node.kind_in_words()));
        };
        let item = |(at, node)| Field { node, path: format!("{}[{at}]", self.path), findings: self.findings };
        Some(items.iter().enumerate().map(item).collect())
    }

    /// Reads every item; `None` when one of them is bad.
    pub fn each<T>(&self, mut read: impl FnMut(Field<'a>) -> Option<T>) -> Option<Vec<T>> {
        let read: Vec<Option<T>> = self.list()?.into_iter().map(&mut read).collect();
        read.into_iter().collect()
    }

    /// Text that is not empty and not meant as something else.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let (text, plain) = self.scalar("text")?;
        if text.trim().is_empty() {
            return self.refuse("must not be empty");
        }
        if plain && (matches!(text, "true" | "false") || text.parse::<f64>().is_ok_and(f64::is_finite)) {
            return self.refuse(format!("must be text: write \"{text}\" in quotes"));
        }
        Some(text.to_owned())
    }

    /// Text in which bare numbers are fine: codes, labels of numbered things.
    #[must_use]
    pub fn code(&self) -> Option<String> {
        self.scalar("text").map(|(text, _)| text.to_owned())
    }

    /// `true` or `false`.
    #[must_use]
    pub fn boolean(&self) -> Option<bool> {
        match self.scalar("true or false")? {
            ("true", true) => Some(true),
            ("false", true) => Some(false),
            (other, _) => self.refuse(format!("must be true or false, not {other:?}")),
        }
    }

    /// A whole number within bounds, both included.
    #[must_use]
    pub fn number(&self, least: u64, most: u64) -> Option<u64> {
        let (text, _) = self.scalar("a number")?;
        match text.parse::<u64>() {
            Ok(number) if (least..=most).contains(&number) => Some(number),
            _ => self.refuse(format!("must be a whole number from {least} to {most}, not {text:?}")),
        }
    }

    /// A duration with its unit, in milliseconds; may be zero.
    #[must_use]
    pub fn duration_ms(&self) -> Option<u64> {
        let (text, _) = self.scalar("a duration")?;
        duration::parse_ms(text).map_or_else(|why| self.refuse(why), Some)
    }

    /// A duration that is not zero.
    #[must_use]
    pub fn positive_ms(&self) -> Option<u64> {
        match self.duration_ms()? {
            0 => self.refuse("must be longer than zero"),
            ms => Some(ms),
        }
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let (text, _) = self.scalar("a word")?;
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        self.refuse(format!("must be one of {}, not {text:?}{}", words.join(", "), nearest(text, &words)))
    }

    fn scalar(&self, wanted: &str) -> Option<(&'a str, bool)> {
        match &self.node.kind {
            NodeKind::Scalar { text, plain } if !self.node.is_null() => Some((text, *plain)),
            _ => self.refuse(format!("must be {wanted}, not {}", self.node.kind_in_words())),
        }
    }
}

/// The keys of a mapping; those that nobody asked for are reported by `finish`.
#[derive(Debug)]
pub struct Mapping<'a> {
    of: Field<'a>,
    /// By key, with the position in the text.
    entries: BTreeMap<&'a str, (usize, &'a Entry)>,
    asked: RefCell<Vec<String>>,
}

impl<'a> Mapping<'a> {
    fn take(&mut self, position: usize, entry: &'a Entry) {
        let path = self.path_of(&entry.key);
        match self.entries.entry(&entry.key) {
            btree_map::Entry::Vacant(place) => {
                place.insert((position, entry));
            }
            btree_map::Entry::Occupied(first) => {
                let message = format!("is there twice, first on line {}: remove one", first.get().1.line);
                report_at(self.of.findings, &entry.value, entry.line, &path, message);
            }
        }
    }

    fn path_of(&self, key: &str) -> String {
        join(&self.of.path, key)
    }

    /// The field that this mapping is.
    #[must_use]
    pub fn field(&self) -> &Field<'a> {
        &self.of
    }

    /// The key's value, if it is there and not null.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Field<'a>> {
        self.asked.borrow_mut().push(key.to_owned());
        let (_, entry) = *self.entries.get(key)?;
        let field = Field { node: &entry.value, path: self.path_of(key), findings: self.of.findings };
        (!entry.value.is_null()).then_some(field)
    }

    /// A key that must be there.
    pub fn need<T>(&self, key: &str, read: impl FnOnce(Field<'a>) -> Option<T>) -> Option<T> {
        match self.get(key) {
            Some(field) => read(field),
            None => {
                report(self.of.findings, self.of.node, &self.path_of(key), "is missing");
                None
            }
        }
    }

    /// A key with a default; `None` only when it is there and bad.
    pub fn or<T>(&self, key: &str, default: T, read: impl FnOnce(Field<'a>) -> Option<T>) -> Option<T> {
        self.get(key).map_or(Some(default), read)
    }

    /// A key that may be absent; the outer `None` only when it is there and bad.
    #[allow(clippy::option_option, reason = "absent and bad are different outcomes")]
    pub fn maybe<T>(&self, key: &str, read: impl FnOnce(Field<'a>) -> Option<T>) -> Option<Option<T>> {
        self.get(key).map_or(Some(None), |field| read(field).map(Some))
    }

    /// Every entry in the order of the text, for mappings whose keys are names.
    #[must_use]
    pub fn all(&self) -> Vec<(&'a str, Field<'a>)> {
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by_key(|(_, (position, _))| *position);
        let field =
            |key, entry: &'a Entry| Field { node: &entry.value, path: self.path_of(key), findings: self.of.findings };
        entries.into_iter().map(|(key, (_, entry))| (*key, field(key, entry))).collect()
    }

    /// Reports keys that nobody asked for.
    pub fn finish(&self) {
        let asked = self.asked.borrow();
        let known: Vec<&str> = asked.iter().map(String::as_str).collect();
        for (key, (_, entry)) in self.entries.iter().filter(|(key, _)| !known.contains(key)) {
            let hint = match nearest(key, &known) {
                hint if hint.is_empty() => format!("; known here: {}", known.join(", ")),
                hint => hint,
            };
            let message = format!("is not a known field{hint}");
            report_at(self.of.findings, &entry.value, entry.line, &self.path_of(key), message);
        }
    }
}

pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn report(findings: &Findings, node: &Node, path: &str, message: impl Into<String>) {
    report_at(findings, node, node.line, path, message);
}

fn report_at(findings: &Findings, node: &Node, line: usize, path: &str, message: impl Into<String>) {
    match &node.variable {
        Some(variable) => findings.add_of_variable(variable, path, message),
        None => findings.add(line, path, message),
    }
}
