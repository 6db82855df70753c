//! Paths into items, through maps and lists, and projections along them.

use serde_json::{Map, Value, json};

use super::{Names, Reader};

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Field(String),
    Element(usize),
}

/// A place in an item: an attribute, and further in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Path {
    attribute: String,
    steps: Vec<Step>,
}

impl Path {
    pub(super) fn new(attribute: &str) -> Self {
        Self { attribute: attribute.to_owned(), steps: Vec::new() }
    }

    pub(super) fn enter(&mut self, field: &str) {
        self.steps.push(Step::Field(field.to_owned()));
    }

    pub(super) fn element(&mut self, at: usize) {
        self.steps.push(Step::Element(at));
    }

    /// The attribute that it begins with.
    pub(in super::super) fn attribute(&self) -> &str {
        &self.attribute
    }

    pub(in super::super) fn get<'a>(&self, item: &'a Value) -> Option<&'a Value> {
        self.steps.iter().try_fold(item.get(&self.attribute)?, |value, step| match step {
            Step::Field(field) => value.get("M")?.get(field),
            Step::Element(at) => value.get("L")?.get(at),
        })
    }

    /// Sets a value; the way to it must be there.
    pub(in super::super) fn set(&self, item: &mut Map<String, Value>, value: Value) -> Result<(), String> {
        let Some((last, way)) = self.steps.split_last() else {
            item.insert(self.attribute.clone(), value);
            return Ok(());
        };
        let inside = self
            .inside(item, way)
            .ok_or("The document path provided in the update expression is invalid for update")?;
        match last {
            Step::Field(field) => {
                let map = inside.get_mut("M").and_then(Value::as_object_mut);
                let map = map.ok_or("The document path provided in the update expression is invalid for update")?;
                map.insert(field.clone(), value);
            }
            Step::Element(at) => {
                let list = inside.get_mut("L").and_then(Value::as_array_mut);
                let list = list.ok_or("The document path provided in the update expression is invalid for update")?;
                match list.get_mut(*at) {
                    Some(there) => *there = value,
                    None => list.push(value),
                }
            }
        }
        Ok(())
    }

    /// Takes a value away, where there is one.
    pub(in super::super) fn remove(&self, item: &mut Map<String, Value>) {
        let Some((last, way)) = self.steps.split_last() else {
            item.remove(&self.attribute);
            return;
        };
        let Some(inside) = self.inside(item, way) else { return };
        match last {
            Step::Field(field) => {
                inside.get_mut("M").and_then(Value::as_object_mut).and_then(|map| map.remove(field));
            }
            Step::Element(at) => {
                if let Some(list) = inside.get_mut("L").and_then(Value::as_array_mut).filter(|list| list.len() > *at) {
                    list.remove(*at);
                }
            }
        }
    }

    fn inside<'a>(&self, item: &'a mut Map<String, Value>, way: &[Step]) -> Option<&'a mut Value> {
        way.iter().try_fold(item.get_mut(&self.attribute)?, |value, step| match step {
            Step::Field(field) => value.get_mut("M")?.get_mut(field),
            Step::Element(at) => value.get_mut("L")?.get_mut(at),
        })
    }

    /// Puts what is at the path into an item that holds only what is asked for.
    fn copy(&self, value: &Value, into: &mut Map<String, Value>) {
        let Some((first, rest)) = self.steps.split_first() else {
            into.insert(self.attribute.clone(), value.clone());
            return;
        };
        let slot = into.entry(self.attribute.clone()).or_insert_with(|| Self::empty(first));
        Self::copy_in(slot, first, rest, value);
    }

    fn empty(step: &Step) -> Value {
        match step {
            Step::Field(_) => json!({ "M": {} }),
            Step::Element(_) => json!({ "L": [] }),
        }
    }

    fn copy_in(slot: &mut Value, step: &Step, rest: &[Step], value: &Value) {
        let next = rest.split_first();
        let fresh = || next.map_or_else(|| value.clone(), |(step, _)| Self::empty(step));
        let inner = match step {
            Step::Field(field) => {
                let Some(map) = slot.get_mut("M").and_then(Value::as_object_mut) else { return };
                map.entry(field.clone()).or_insert_with(fresh)
            }
            // Elements come in the order that they are asked in.
            Step::Element(_) => {
                let Some(list) = slot.get_mut("L").and_then(Value::as_array_mut) else { return };
                list.push(fresh());
                let last = list.len() - 1;
                &mut list[last]
            }
        };
        if let Some((step, rest)) = next {
            Self::copy_in(inner, step, rest, value);
        }
    }
}

/// What `ProjectionExpression` asks for.
pub(in super::super) fn project(expression: &str, names: &Names<'_>, item: &Value) -> Result<Value, String> {
    let mut reader = Reader::new(expression, names);
    let mut projected = Map::new();
    loop {
        let path = reader.path()?;
        if let Some(value) = path.get(item) {
            path.copy(value, &mut projected);
        }
        if !reader.takes(",") {
            break;
        }
    }
    reader.end()?;
    Ok(Value::Object(projected))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_projection_keeps_what_is_asked_for() {
        let item = json!({ "a": { "S": "x" }, "b": { "M": { "c": { "N": "1" }, "d": { "N": "2" } } }, "e": { "L": [{ "S": "0" }, { "S": "1" }] } });
        let asked = json!({ "ExpressionAttributeNames": { "#c": "c" } });
        let names = Names::of(&asked);
        let found = project("b.#c, e[1], nothing", &names, &item).unwrap();
        assert_eq!(found, json!({ "b": { "M": { "c": { "N": "1" } } }, "e": { "L": [{ "S": "1" }] } }));
        for bad in ["", "a,", "a b", ":v", "a[x]"] {
            assert!(project(bad, &names, &item).is_err(), "{bad}");
        }
    }
}
