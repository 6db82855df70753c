//! `FAILOVERD_…` variables over the file: `FAILOVERD_DATABASE__URL` is `database.url`.
//!
//! `__` goes one level down. Below `peers` and `references` a `_` stands for the dash of a Region's name. A value that
//! begins with `{` or `[` is YAML; every other is the bare text; an empty one takes the field away.

use std::collections::BTreeMap;
use std::rc::Rc;

use failoverd_domain::manifest::Findings;
use failoverd_domain::manifest::yaml::{Entry, Node, NodeKind, read_documents};

const PREFIX: &str = "FAILOVERD_";
/// Read by the command line and the log, not by the configuration.
const NOT_OURS: [&str; 2] = ["CONFIG", "LOG"];
/// Mappings whose keys are Regions.
const BY_REGION: [&str; 2] = ["peers", "references"];

/// Puts the variables' values into the tree; each knows the variable it came from.
pub fn override_with(root: &mut Node, env: impl Iterator<Item = (String, String)>, findings: &Findings) {
    let ours: BTreeMap<String, String> =
        env.filter(|(name, _)| name.strip_prefix(PREFIX).is_some_and(is_setting)).collect();
    for (name, value) in ours {
        let path = path_of(&name);
        let variable: Rc<str> = name.as_str().into();
        match value_of(&variable, &value) {
            Ok(value) => set(root, &path, value, &variable, findings),
            Err(why) => findings.add_of_variable(&name, &path.join("."), why),
        }
    }
}

/// Kubernetes hands every pod variables about Services (`FAILOVERD_SERVICE_HOST`, `FAILOVERD_PORT_7443_TCP`), and a
/// Service called `failoverd` is likely: they are not settings.
fn is_setting(rest: &str) -> bool {
    let of_kubernetes = !rest.contains("__")
        && (rest.contains("SERVICE_HOST")
            || rest.contains("SERVICE_PORT")
            || rest.ends_with("PORT")
            || rest.contains("PORT_"));
    !of_kubernetes && !NOT_OURS.contains(&rest)
}

fn path_of(name: &str) -> Vec<String> {
    let rest = name.strip_prefix(PREFIX).unwrap_or(name).to_lowercase();
    let mut path: Vec<String> = rest.split("__").map(str::to_owned).collect();
    if BY_REGION.contains(&path[0].as_str())
        && let Some(region) = path.get_mut(1)
    {
        *region = region.replace('_', "-");
    }
    path
}

fn value_of(variable: &Rc<str>, value: &str) -> Result<Node, String> {
    let mut node = if value.trim_start().starts_with(['{', '[']) {
        let documents = read_documents(variable, value.as_bytes()).map_err(|problem| problem.message)?;
        documents.into_iter().next().ok_or("is empty")?
    } else {
        let plain = matches!(value, "" | "~" | "null" | "true" | "false");
        Node { line: 0, variable: None, kind: NodeKind::Scalar { text: value.to_owned(), plain } }
    };
    mark(&mut node, variable);
    Ok(node)
}

/// Nesting is bounded by the reader.
fn mark(node: &mut Node, variable: &Rc<str>) {
    node.variable = Some(Rc::clone(variable));
    match &mut node.kind {
        NodeKind::Scalar { .. } => {}
        NodeKind::List(items) => items.iter_mut().for_each(|item| mark(item, variable)),
        NodeKind::Mapping(entries) => entries.iter_mut().for_each(|entry| mark(&mut entry.value, variable)),
    }
}

fn set(root: &mut Node, path: &[String], value: Node, variable: &Rc<str>, findings: &Findings) {
    let mut at = root;
    for (depth, key) in path.iter().enumerate() {
        if at.is_null() {
            *at = Node { line: 0, variable: Some(Rc::clone(variable)), kind: NodeKind::Mapping(Vec::new()) };
        }
        let NodeKind::Mapping(entries) = &mut at.kind else {
            let above = path[..depth].join(".");
            findings.add_of_variable(variable, &path.join("."), format!("cannot be set: {above} is not a mapping"));
            return;
        };
        let position = entries.iter().position(|entry| entry.key == *key).unwrap_or_else(|| {
            let nothing = Node { variable: Some(Rc::clone(variable)), ..Node::plain("", 0) };
            entries.push(Entry { key: key.clone(), line: 0, value: nothing });
            entries.len() - 1
        });
        at = &mut entries[position].value;
    }
    *at = value;
}
