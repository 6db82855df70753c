//! Expressions: what `#names` and `:values` stand for, paths into items, and the reader that conditions, projections
//! and updates share.

mod condition;
mod paths;
mod words;

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::invalid;
use crate::sim::world::Refusal;

pub(super) use condition::{holds, order};
pub(super) use paths::{Path, project};
pub(super) use words::Reader;

/// What `#names` and `:values` stand for, and which of them were used: all of them must be.
pub(super) struct Names<'a> {
    names: Option<&'a Map<String, Value>>,
    values: Option<&'a Map<String, Value>>,
    used: RefCell<BTreeSet<String>>,
}

impl<'a> Names<'a> {
    /// Of a request.
    pub(super) fn of(asked: &'a Value) -> Self {
        Self {
            names: asked["ExpressionAttributeNames"].as_object(),
            values: asked["ExpressionAttributeValues"].as_object(),
            used: RefCell::default(),
        }
    }

    fn name<'b>(&'b self, word: &'b str) -> Result<&'b str, String> {
        if !word.starts_with('#') {
            return Ok(word);
        }
        self.used.borrow_mut().insert(word.to_owned());
        let found = self.names.and_then(|names| names.get(word)).and_then(Value::as_str);
        found.ok_or_else(|| {
            format!("An expression attribute name used in the document path is not defined; attribute name: {word}")
        })
    }

    pub(super) fn value(&self, word: &str) -> Result<&'a Value, String> {
        self.used.borrow_mut().insert(word.to_owned());
        let found = self.values.and_then(|values| values.get(word));
        found.ok_or_else(|| {
            format!("An expression attribute value used in expression is not defined; attribute value: {word}")
        })
    }

    /// Every name and value that was given has been used.
    pub(super) fn all_used(&self) -> Result<(), Refusal> {
        let used = self.used.borrow();
        for (kind, given) in [("Names", self.names), ("Values", self.values)] {
            let unused: Vec<&str> = given
                .into_iter()
                .flat_map(Map::keys)
                .map(String::as_str)
                .filter(|word| !used.contains(*word))
                .collect();
            if !unused.is_empty() {
                let message = format!(
                    "Value provided in ExpressionAttribute{kind} unused in expressions: keys: {{{}}}",
                    unused.join(", ")
                );
                return Err(invalid(message));
            }
        }
        Ok(())
    }
}

/// An expression that cannot be read, in AWS's words.
pub(super) fn unreadable(kind: &str) -> impl Fn(String) -> Refusal {
    move |why| invalid(format!("Invalid {kind}: {why}"))
}
