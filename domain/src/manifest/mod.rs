//! Manifests: YAML to validated specs, every problem in one report.
//!
//! [`read_set`] is the door: files in, specs out, or everything that is wrong with them. What comes out needs no
//! further check anywhere. Never reads files itself and never applies anything.

mod cross;
pub mod duration;
pub mod field;
mod geo;
pub mod names;
mod policy;
mod problem;
mod records;
mod regions;
mod service;
mod signals;
mod stores;
pub mod suggest;
mod traffic;
mod unsupported;
mod write;
pub mod yaml;

use std::collections::BTreeMap;

pub use cross::cross_check;
pub use problem::{Findings, Problem, in_order};
pub use service::{API_VERSION, KIND};
pub use write::to_manifest;

use crate::fleet::Role;
use crate::ids::Region;
use crate::service::ServiceSpec;
use field::Field;
use yaml::{Node, NodeKind};

/// A validated document, and where its fields stand.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// What it declares.
    pub spec: ServiceSpec,
    /// File as the user named it.
    pub file: String,
    /// Line of every field by its path.
    pub lines: BTreeMap<String, usize>,
}

impl Manifest {
    /// A problem of one of its fields; a field that the document leaves out counts for the one above it.
    #[must_use]
    pub fn problem(&self, path: &str, message: impl Into<String>) -> Problem {
        let mut above = path;
        let line = loop {
            if let Some(line) = self.lines.get(above) {
                break *line;
            }
            above = above.rfind(['.', '[']).map_or("", |end| &above[..end]);
        };
        Problem { file: self.file.clone(), line, path: path.to_owned(), message: message.into() }
    }
}

/// Reads the manifests of one file. Checks between services are [`cross_check`]'s; [`read_set`] does both.
///
/// # Errors
/// Every problem, in the order of the file.
pub fn read_manifests(
    file: &str,
    text: &[u8],
    fleet_regions: &BTreeMap<Region, Role>,
) -> Result<Vec<Manifest>, Vec<Problem>> {
    let (manifests, problems) = read_file(file, text, fleet_regions);
    if problems.is_empty() { Ok(manifests) } else { Err(in_order(problems)) }
}

/// Reads all files of one `apply` and checks the services against each other and against those that stay.
///
/// `existing` are the applied services that will be there afterwards (none of them with `--prune`); one that a file
/// declares anew is replaced.
///
/// # Errors
/// Every problem of every file.
pub fn read_set<'a>(
    files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    fleet_regions: &BTreeMap<Region, Role>,
    existing: &[&ServiceSpec],
) -> Result<Vec<ServiceSpec>, Vec<Problem>> {
    let (mut manifests, mut problems) = (Vec::new(), Vec::new());
    for (file, text) in files {
        let (read, wrong) = read_file(file, text, fleet_regions);
        manifests.extend(read);
        problems.extend(wrong);
    }
    problems.extend(cross::check(existing, &manifests, problems.is_empty()));
    if !problems.is_empty() {
        return Err(in_order(problems));
    }
    Ok(manifests.into_iter().map(|manifest| manifest.spec).collect())
}

fn read_file(file: &str, text: &[u8], fleet: &BTreeMap<Region, Role>) -> (Vec<Manifest>, Vec<Problem>) {
    let documents = match yaml::read_documents(file, text) {
        Ok(documents) => documents,
        Err(problem) => return (Vec::new(), vec![problem]),
    };
    let (mut manifests, mut problems) = (Vec::new(), Vec::new());
    for document in documents.iter().filter(|document| !document.is_null()) {
        let findings = Findings::new(file);
        let spec = service::service(&Field::root(document, &findings), fleet);
        let wrong = findings.into_problems();
        if let (Some(spec), true) = (spec, wrong.is_empty()) {
            manifests.push(Manifest { spec, file: file.to_owned(), lines: lines_of(document) });
        }
        problems.extend(wrong);
    }
    if manifests.is_empty() && problems.is_empty() {
        problems.push(Problem::of_file(file, format!("is empty: expected a manifest of kind {KIND}")));
    }
    (manifests, problems)
}

/// Line of every field of a document by its path.
fn lines_of(document: &Node) -> BTreeMap<String, usize> {
    let mut lines = BTreeMap::from([(String::new(), document.line)]);
    let mut open = vec![(String::new(), document)];
    while let Some((path, node)) = open.pop() {
        match &node.kind {
            NodeKind::Scalar { .. } => {}
            NodeKind::List(items) => {
                open.extend(items.iter().enumerate().map(|(at, item)| (format!("{path}[{at}]"), item)));
            }
            NodeKind::Mapping(entries) => {
                open.extend(entries.iter().map(|entry| (field::join(&path, &entry.key), &entry.value)));
            }
        }
        lines.insert(path, node.line);
    }
    lines
}

#[cfg(test)]
mod tests;
