//! Update expressions: SET, REMOVE, ADD and DELETE.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html>

use serde_json::{Map, Value, json};

use super::decimal::Decimal;
use super::expression::{Names, Path, Reader};

const SETS: [&str; 3] = ["SS", "NS", "BS"];

/// The item after the update, and the attributes that it touched.
pub(super) fn updated(
    expression: &str,
    names: &Names<'_>,
    before: &Map<String, Value>,
) -> Result<(Map<String, Value>, Vec<String>), String> {
    let mut update =
        Update { reader: Reader::new(expression, names), before, after: before.clone(), touched: Vec::new() };
    while update.reader.peek().is_some() {
        update.clause()?;
    }
    if update.touched.is_empty() {
        return Err("The expression can not be empty;".to_owned());
    }
    Ok((update.after, update.touched))
}

struct Update<'a> {
    reader: Reader<'a>,
    before: &'a Map<String, Value>,
    after: Map<String, Value>,
    touched: Vec<String>,
}

impl Update<'_> {
    fn clause(&mut self) -> Result<(), String> {
        let clause = self.reader.next()?.to_ascii_uppercase();
        loop {
            let path = self.reader.path()?;
            self.touched.push(path.attribute().to_owned());
            match clause.as_str() {
                "SET" => {
                    self.reader.expect("=")?;
                    let value = self.sum()?;
                    path.set(&mut self.after, value)?;
                }
                "REMOVE" => path.remove(&mut self.after),
                "ADD" => self.add(&path)?,
                "DELETE" => self.take_out(&path)?,
                other => return Err(format!("Syntax error; token: \"{other}\"")),
            }
            if !self.reader.takes(",") {
                return Ok(());
            }
        }
    }

    /// What every path reads is what was there before any of it.
    fn held(&self, path: &Path) -> Option<Value> {
        path.get(&Value::Object(self.before.clone())).cloned()
    }

    /// One operand, or two with a sign between them.
    fn sum(&mut self) -> Result<Value, String> {
        let left = self.operand()?;
        for (sign, negates) in [("+", false), ("-", true)] {
            if self.reader.takes(sign) {
                let right = self.operand()?;
                return plus(&left, &right, negates);
            }
        }
        Ok(left)
    }

    fn operand(&mut self) -> Result<Value, String> {
        if self.reader.takes_function("if_not_exists") {
            let path = self.reader.path()?;
            self.reader.expect(",")?;
            let otherwise = self.operand()?;
            self.reader.expect(")")?;
            return Ok(self.held(&path).unwrap_or(otherwise));
        }
        if self.reader.takes_function("list_append") {
            let first = self.operand()?;
            self.reader.expect(",")?;
            let second = self.operand()?;
            self.reader.expect(")")?;
            return match (first["L"].as_array(), second["L"].as_array()) {
                (Some(first), Some(second)) => {
                    let both: Vec<Value> = first.iter().chain(second).cloned().collect();
                    Ok(json!({ "L": both }))
                }
                _ => Err("An operand in the update expression has an incorrect data type".to_owned()),
            };
        }
        if self.reader.peek().is_some_and(|word| word.starts_with(':')) {
            return self.value();
        }
        let path = self.reader.path()?;
        self.held(&path)
            .ok_or_else(|| "The provided expression refers to an attribute that does not exist in the item".to_owned())
    }

    fn value(&mut self) -> Result<Value, String> {
        let word = self.reader.next()?;
        self.reader.names.value(&word).cloned()
    }

    /// A number grows, a set takes more in.
    fn add(&mut self, path: &Path) -> Result<(), String> {
        let value = self.value()?;
        let held = self.held(path);
        if value.get("N").is_some() {
            let held = held.unwrap_or_else(|| json!({ "N": "0" }));
            return path.set(&mut self.after, plus(&held, &value, false)?);
        }
        let kind = set_kind(&value)?;
        let mut all = held.map_or_else(Vec::new, |held| held[kind].as_array().cloned().unwrap_or_default());
        for element in value[kind].as_array().into_iter().flatten() {
            if !all.contains(element) {
                all.push(element.clone());
            }
        }
        path.set(&mut self.after, json!({ kind: all }))
    }

    /// A set gives up some of its elements; an empty one goes.
    fn take_out(&mut self, path: &Path) -> Result<(), String> {
        let value = self.value()?;
        let kind = set_kind(&value)?;
        let gone = value[kind].as_array().cloned().unwrap_or_default();
        let Some(held) = self.held(path) else { return Ok(()) };
        let mut all = held[kind].as_array().cloned().unwrap_or_default();
        all.retain(|element| !gone.contains(element));
        match all.is_empty() {
            true => path.remove(&mut self.after),
            false => path.set(&mut self.after, json!({ kind: all }))?,
        }
        Ok(())
    }
}

fn set_kind(value: &Value) -> Result<&'static str, String> {
    SETS.into_iter().find(|kind| value.get(kind).is_some()).ok_or_else(|| {
        "Incorrect operand type for operator or function; ADD and DELETE take numbers or sets".to_owned()
    })
}

fn plus(left: &Value, right: &Value, negates: bool) -> Result<Value, String> {
    let number = |value: &Value| value["N"].as_str().and_then(Decimal::parse);
    let (left, right) =
        number(left).zip(number(right)).ok_or("An operand in the update expression has an incorrect data type")?;
    let right = if negates { right.negated() } else { right };
    let sum = left.plus(&right).ok_or("Number overflow. Attempting to store a number with too many digits")?;
    Ok(json!({ "N": sum.text() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(expression: &str, item: Value) -> Result<Value, String> {
        let asked = json!({ "ExpressionAttributeValues": {
            ":n": { "N": "2" }, ":s": { "S": "x" }, ":l": { "L": [{ "S": "x" }] }, ":ss": { "SS": ["a", "b"] },
        } });
        let names = Names::of(&asked);
        updated(expression, &names, item.as_object().unwrap()).map(|(after, _)| Value::Object(after))
    }

    #[test]
    fn every_clause_does_its_part() {
        let item = json!({ "n": { "N": "40" }, "m": { "M": { "k": { "S": "old" } } }, "ss": { "SS": ["a", "c"] } });
        for (expression, attribute, value) in [
            ("SET n = n + :n", "n", json!({ "N": "42" })),
            ("SET n = n - :n, other = :s", "n", json!({ "N": "38" })),
            ("SET m.k = :s", "m", json!({ "M": { "k": { "S": "x" } } })),
            ("SET l = list_append(if_not_exists(l, :l), :l)", "l", json!({ "L": [{ "S": "x" }, { "S": "x" }] })),
            ("ADD n :n", "n", json!({ "N": "42" })),
            ("ADD fresh :n", "fresh", json!({ "N": "2" })),
            ("ADD ss :ss", "ss", json!({ "SS": ["a", "c", "b"] })),
            ("DELETE ss :ss", "ss", json!({ "SS": ["c"] })),
            ("REMOVE m SET n = :n", "m", Value::Null),
        ] {
            assert_eq!(after(expression, item.clone()).unwrap()[attribute], value, "{expression}");
        }
    }

    #[test]
    fn what_is_no_update_is_refused() {
        for bad in ["", "SET a", "SET a = missing", "PUT a = :n", "ADD a :s", "SET a.b = :n", "SET a = :s + :n"] {
            assert!(after(bad, json!({})).is_err(), "{bad}");
        }
    }
}
