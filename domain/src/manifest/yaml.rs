//! YAML text as a tree whose every node knows its line.
//!
//! Bounded on purpose: no anchors (alias bombs), no tags, no deep nesting, no huge files. It never interprets a
//! scalar: whether `no` is a word or an error is for the field that reads it to say.

use std::rc::Rc;

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::problem::Problem;

/// Larger inputs are refused before they are parsed.
pub const MAX_BYTES: usize = 1024 * 1024;
/// Deeper nesting is refused.
pub const MAX_DEPTH: usize = 32;

/// A node and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Line, counted from 1; 0 when it came from a variable.
    pub line: usize,
    /// The environment variable it came from, if any.
    pub variable: Option<Rc<str>>,
    /// What it is.
    pub kind: NodeKind,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// Text; `plain` when it was written without quotes.
    Scalar {
        /// Unquoted text.
        text: String,
        /// Written without quotes, so that `null` means nothing and `5` a number.
        plain: bool,
    },
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order written, keys possibly repeated.
    Mapping(Vec<Entry>),
}

/// One key of a mapping with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Key.
    pub key: String,
    /// Line of the key.
    pub line: usize,
    /// Value.
    pub value: Node,
}

impl Node {
    /// Text that was written without quotes.
    pub fn plain(text: impl Into<String>, line: usize) -> Self {
        Self { line, variable: None, kind: NodeKind::Scalar { text: text.into(), plain: true } }
    }

    /// Whether it says nothing: empty, `~` or `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(&self.kind, NodeKind::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null"))
    }

    /// What it is, in words for a report.
    #[must_use]
    pub fn kind_in_words(&self) -> &'static str {
        match &self.kind {
            NodeKind::Scalar { .. } if self.is_null() => "nothing",
            NodeKind::Scalar { .. } => "a single value",
            NodeKind::List(_) => "a list",
            NodeKind::Mapping(_) => "a mapping",
        }
    }
}

/// The documents of a file.
///
/// # Errors
/// One problem that says why the text cannot be read at all: too large, not UTF-8, not YAML, or YAML beyond the bounds.
pub fn read_documents(file: &str, bytes: &[u8]) -> Result<Vec<Node>, Problem> {
    let text = check_text(file, bytes)?;
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) =
            event.map_err(|error| at(file, error.marker().line(), format!("is not YAML: {}", error.info())))?;
        let line = span.start.line();
        builder.take(event, line).map_err(|message| at(file, line, message))?;
    }
    Ok(builder.documents)
}

fn at(file: &str, line: usize, message: impl Into<String>) -> Problem {
    Problem { file: file.to_owned(), line, path: String::new(), message: message.into() }
}

fn check_text<'a>(file: &str, bytes: &'a [u8]) -> Result<&'a str, Problem> {
    if bytes.len() > MAX_BYTES {
        let message = format!("has {} bytes; at most {MAX_BYTES} are read: split it into several files", bytes.len());
        return Err(Problem::of_file(file, message));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let offset = error.valid_up_to();
        let line = bytes[..offset].iter().filter(|byte| **byte == b'\n').count() + 1;
        at(file, line, format!("is not UTF-8 text: the byte at offset {offset} (0x{:02x}) is invalid", bytes[offset]))
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match text.find('\0') {
        None => Ok(text),
        Some(offset) => Err(Problem::of_file(file, format!("is not text: it has a NUL byte at offset {offset}"))),
    }
}

/// Builds trees from parser events, without recursion.
#[derive(Default)]
struct Builder {
    documents: Vec<Node>,
    open: Vec<Open>,
}

/// A list or mapping that has not ended; a mapping may hold a key that waits for its value.
struct Open {
    node: Node,
    key: Option<(String, usize)>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, line: usize) -> Result<(), String> {
        match event {
            Event::Alias(_) => Err("uses a YAML alias (`*name`): write the value out".to_owned()),
            Event::Scalar(text, style, anchor, tag) => {
                refuse_extras(anchor, tag.is_some())?;
                let kind = NodeKind::Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain };
                self.place(Node { line, variable: None, kind })
            }
            Event::SequenceStart(anchor, tag) => {
                refuse_extras(anchor, tag.is_some())?;
                self.push(NodeKind::List(Vec::new()), line)
            }
            Event::MappingStart(anchor, tag) => {
                refuse_extras(anchor, tag.is_some())?;
                self.push(NodeKind::Mapping(Vec::new()), line)
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) => self.place(open.node),
                None => Err("is not YAML: something ends that never began".to_owned()),
            },
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Ok(())
            }
        }
    }

    fn push(&mut self, kind: NodeKind, line: usize) -> Result<(), String> {
        if self.open.len() >= MAX_DEPTH {
            return Err(format!("nests deeper than {MAX_DEPTH} levels"));
        }
        self.open.push(Open { node: Node { line, variable: None, kind }, key: None });
        Ok(())
    }

    fn place(&mut self, node: Node) -> Result<(), String> {
        let Some(parent) = self.open.last_mut() else {
            self.documents.push(node);
            return Ok(());
        };
        match &mut parent.node.kind {
            NodeKind::List(items) => items.push(node),
            NodeKind::Mapping(entries) => match parent.key.take() {
                Some((key, line)) => entries.push(Entry { key, line, value: node }),
                None => parent.key = Some(key_of(node)?),
            },
            NodeKind::Scalar { .. } => return Err("is not YAML: a value inside a value".to_owned()),
        }
        Ok(())
    }
}

fn key_of(node: Node) -> Result<(String, usize), String> {
    match node.kind {
        NodeKind::Scalar { text, .. } => Ok((text, node.line)),
        _ => Err(format!("has {} as a key: keys are plain words", node.kind_in_words())),
    }
}

fn refuse_extras(anchor: usize, tagged: bool) -> Result<(), String> {
    if anchor != 0 {
        return Err("uses a YAML anchor (`&name`): write the value out where it is needed".to_owned());
    }
    if tagged {
        return Err("uses a YAML tag (`!name`): leave it out, every field knows its own type".to_owned());
    }
    Ok(())
}
