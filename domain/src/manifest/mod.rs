//! Manifests: YAML to validated specs, every problem in one report.
//!
//! [`read_set`] is the door: files in, specs out, or everything that is wrong with them. What comes out needs no
//! further check anywhere. Never reads files itself and never applies anything.

mod cross;
mod drill;
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
pub use drill::{DRILL_KIND, misfits};
pub use problem::{Findings, Problem, in_order};
pub use service::{API_VERSION, KIND};
pub use write::{drill_to_manifest, to_manifest};

use crate::drill::DrillSpec;
use crate::fleet::Role;
use crate::ids::Region;
use crate::service::ServiceSpec;
use field::Field;
use service::Declared;
use yaml::{Node, NodeKind};

/// A validated document, and where its fields stand.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest<S = ServiceSpec> {
    /// What it declares.
    pub spec: S,
    /// File as the user named it.
    pub file: String,
    /// Line of every field by its path.
    pub lines: BTreeMap<String, usize>,
}

/// Everything that the files of one `apply` declare.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Manifests {
    /// Services, in the order of the files.
    pub services: Vec<ServiceSpec>,
    /// Drills, in the order of the files.
    pub drills: Vec<DrillSpec>,
}

impl<S> Manifest<S> {
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

/// Reads the services of one file. Checks between services are [`cross_check`]'s; [`read_set`] does both.
///
/// # Errors
/// Every problem, in the order of the file.
pub fn read_manifests(
    file: &str,
    text: &[u8],
    fleet_regions: &BTreeMap<Region, Role>,
) -> Result<Vec<Manifest>, Vec<Problem>> {
    let mut read = Documents::default();
    read.take_file(file, text, fleet_regions);
    if read.problems.is_empty() { Ok(read.services) } else { Err(in_order(read.problems)) }
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
) -> Result<Manifests, Vec<Problem>> {
    let mut read = Documents::default();
    for (file, text) in files {
        read.take_file(file, text, fleet_regions);
    }
    let complete = read.problems.is_empty();
    let clashes = cross::check(existing, &read.services, complete);
    let unfit = cross::check_drills(existing, &read.services, &read.drills, complete);
    let Documents { services, drills, mut problems } = read;
    problems.extend(clashes);
    problems.extend(unfit);
    if !problems.is_empty() {
        return Err(in_order(problems));
    }
    Ok(Manifests {
        services: services.into_iter().map(|manifest| manifest.spec).collect(),
        drills: drills.into_iter().map(|manifest| manifest.spec).collect(),
    })
}

/// What was read so far, and what is wrong.
#[derive(Default)]
struct Documents {
    services: Vec<Manifest>,
    drills: Vec<Manifest<DrillSpec>>,
    problems: Vec<Problem>,
}

impl Documents {
    fn take_file(&mut self, file: &str, text: &[u8], fleet: &BTreeMap<Region, Role>) {
        let documents = match yaml::read_documents(file, text) {
            Ok(documents) => documents,
            Err(problem) => return self.problems.push(problem),
        };
        let documents: Vec<&Node> = documents.iter().filter(|document| !document.is_null()).collect();
        if documents.is_empty() {
            self.problems.push(Problem::of_file(file, format!("is empty: expected a manifest of kind {KIND}")));
        }
        for document in documents {
            let findings = Findings::new(file);
            let declared = service::document(&Field::root(document, &findings), fleet);
            let wrong = findings.into_problems();
            let (file, lines) = (file.to_owned(), lines_of(document));
            match declared.filter(|_| wrong.is_empty()) {
                Some(Declared::Service(spec)) => self.services.push(Manifest { spec: *spec, file, lines }),
                Some(Declared::Drill(spec)) => self.drills.push(Manifest { spec: *spec, file, lines }),
                None => {}
            }
            self.problems.extend(wrong);
        }
    }
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
