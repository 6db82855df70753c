//! Condition expressions: comparisons, BETWEEN, IN, functions, AND, OR, NOT and brackets.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html>

use std::cmp::Ordering;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::decimal::Decimal;
use super::{Names, Reader};

/// Whether the condition holds of what is there. The whole of it is read, whatever its beginning says.
pub(in super::super) fn holds(expression: &str, names: &Names<'_>, item: Option<&Value>) -> Result<bool, String> {
    let mut condition = Condition { reader: Reader::new(expression, names), item };
    let verdict = condition.either()?;
    condition.reader.end()?;
    Ok(verdict)
}

struct Condition<'a> {
    reader: Reader<'a>,
    item: Option<&'a Value>,
}

impl Condition<'_> {
    fn either(&mut self) -> Result<bool, String> {
        let mut verdict = self.both()?;
        while self.reader.takes("OR") {
            let other = self.both()?;
            verdict = verdict || other;
        }
        Ok(verdict)
    }

    fn both(&mut self) -> Result<bool, String> {
        let mut verdict = self.one()?;
        while self.reader.takes("AND") {
            let other = self.one()?;
            verdict = verdict && other;
        }
        Ok(verdict)
    }

    fn one(&mut self) -> Result<bool, String> {
        if self.reader.takes("NOT") {
            return Ok(!self.one()?);
        }
        if self.reader.takes("(") {
            let verdict = self.either()?;
            self.reader.expect(")")?;
            return Ok(verdict);
        }
        for (function, wanted) in [("attribute_exists", true), ("attribute_not_exists", false)] {
            if self.reader.takes_function(function) {
                let path = self.reader.path()?;
                self.reader.expect(")")?;
                return Ok(self.item.and_then(|item| path.get(item)).is_some() == wanted);
            }
        }
        for function in ["attribute_type", "begins_with", "contains"] {
            if self.reader.takes_function(function) {
                let left = self.operand()?;
                self.reader.expect(",")?;
                let right = self.operand()?;
                self.reader.expect(")")?;
                return Ok(left.zip(right).is_some_and(|(left, right)| says(function, &left, &right)));
            }
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<bool, String> {
        let left = self.operand()?;
        if self.reader.takes("BETWEEN") {
            let low = self.operand()?;
            self.reader.expect("AND")?;
            let high = self.operand()?;
            let above = compare(left.as_ref(), ">=", low.as_ref())?;
            return Ok(above && compare(left.as_ref(), "<=", high.as_ref())?);
        }
        if self.reader.takes("IN") {
            self.reader.expect("(")?;
            let mut found = false;
            loop {
                let one = self.operand()?;
                found = compare(left.as_ref(), "=", one.as_ref())? || found;
                if !self.reader.takes(",") {
                    break;
                }
            }
            self.reader.expect(")")?;
            return Ok(found);
        }
        let sign = self.reader.next()?;
        let right = self.operand()?;
        compare(left.as_ref(), &sign, right.as_ref())
    }

    /// An attribute's value, its size, or a given value; an attribute that is not there has none.
    fn operand(&mut self) -> Result<Option<Value>, String> {
        if self.reader.takes_function("size") {
            let path = self.reader.path()?;
            self.reader.expect(")")?;
            let size = self.item.and_then(|item| path.get(item)).and_then(size);
            return Ok(size.map(|size| json!({ "N": size.to_string() })));
        }
        if self.reader.peek().is_some_and(|word| word.starts_with(':')) {
            let word = self.reader.next()?;
            return self.reader.names.value(&word).cloned().map(Some);
        }
        let path = self.reader.path()?;
        Ok(self.item.and_then(|item| path.get(item)).cloned())
    }
}

fn size(value: &Value) -> Option<usize> {
    let (kind, inside) = value.as_object()?.iter().next()?;
    match (kind.as_str(), inside) {
        ("S", Value::String(text)) => Some(text.len()),
        ("B", Value::String(text)) => STANDARD.decode(text).ok().map(|bytes| bytes.len()),
        (_, Value::Array(elements)) => Some(elements.len()),
        (_, Value::Object(fields)) => Some(fields.len()),
        _ => None,
    }
}

fn says(function: &str, left: &Value, right: &Value) -> bool {
    match function {
        "attribute_type" => right["S"].as_str().is_some_and(|kind| left.get(kind).is_some()),
        "begins_with" => match (left["S"].as_str(), right["S"].as_str()) {
            (Some(text), Some(start)) => text.starts_with(start),
            _ => bytes(left).zip(bytes(right)).is_some_and(|(all, start)| all.starts_with(&start)),
        },
        _ => contains(left, right),
    }
}

fn contains(left: &Value, right: &Value) -> bool {
    if let (Some(text), Some(part)) = (left["S"].as_str(), right["S"].as_str()) {
        return text.contains(part);
    }
    let within = |set: &str, kind: &str| {
        let set = left[set].as_array()?;
        right
            .get(kind)
            .map(|wanted| set.iter().any(|element| compare_kind(kind, element, wanted) == Some(Ordering::Equal)))
    };
    let in_sets =
        [("SS", "S"), ("NS", "N"), ("BS", "B")].into_iter().any(|(set, kind)| within(set, kind) == Some(true));
    in_sets || left["L"].as_array().is_some_and(|list| list.contains(right))
}

fn bytes(value: &Value) -> Option<Vec<u8>> {
    STANDARD.decode(value["B"].as_str()?).ok()
}

/// Values of different types are unequal and in no order; so is what is not there.
fn compare(left: Option<&Value>, sign: &str, right: Option<&Value>) -> Result<bool, String> {
    let order = left.zip(right).and_then(|(left, right)| order(left, right));
    Ok(match sign {
        "=" => order == Some(Ordering::Equal),
        "<>" => order != Some(Ordering::Equal),
        "<" => order == Some(Ordering::Less),
        "<=" => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        ">" => order == Some(Ordering::Greater),
        ">=" => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        other => return Err(format!("Syntax error; token: \"{other}\"")),
    })
}

/// The order of two values of one type.
pub(in super::super) fn order(left: &Value, right: &Value) -> Option<Ordering> {
    for kind in ["S", "N", "B"] {
        if let (Some(left), Some(right)) = (left.get(kind), right.get(kind)) {
            return compare_kind(kind, left, right);
        }
    }
    (left == right).then_some(Ordering::Equal)
}

fn compare_kind(kind: &str, left: &Value, right: &Value) -> Option<Ordering> {
    let (left, right) = (left.as_str()?, right.as_str()?);
    match kind {
        "N" => Some(Decimal::parse(left)?.order(&Decimal::parse(right)?)),
        "B" => Some(STANDARD.decode(left).ok()?.cmp(&STANDARD.decode(right).ok()?)),
        _ => Some(left.cmp(right)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(expression: &str, item: Option<&Value>) -> Result<bool, String> {
        let asked = json!({
            "ExpressionAttributeNames": { "#v": "version" },
            "ExpressionAttributeValues": { ":v": { "N": "7" }, ":s": { "S": "x" }, ":t": { "S": "SS" }, ":n": { "N": "2" } },
        });
        holds(expression, &Names::of(&asked), item)
    }

    #[test]
    fn a_canary_is_written_over_older_ones_only() {
        let rule = "attribute_not_exists(pk) OR #v < :v";
        let item = |version: &str| json!({ "pk": { "S": "k" }, "version": { "N": version } });
        assert_eq!(says(rule, None), Ok(true));
        assert_eq!(says(rule, Some(&item("6"))), Ok(true));
        assert_eq!(says(rule, Some(&item("7"))), Ok(false));
        assert_eq!(says(rule, Some(&item("10"))), Ok(false));
    }

    #[test]
    fn and_binds_stronger_than_or_and_brackets_stronger_than_both() {
        let item = json!({ "a": { "S": "x" } });
        assert_eq!(says("a = :s OR a = :s AND version = :v", Some(&item)), Ok(true));
        assert_eq!(says("(a = :s OR a = :s) AND version = :v", Some(&item)), Ok(false));
        assert_eq!(says("NOT a <> :s", Some(&item)), Ok(true));
        assert_eq!(says("version >= :v", Some(&item)), Ok(false));
    }

    #[test]
    fn functions_look_into_values() {
        let item = json!({ "a": { "S": "xyz" }, "b": { "SS": ["x", "y"] }, "c": { "L": [{ "N": "7" }] }, "size": { "N": "7" } });
        for (expression, verdict) in [
            ("begins_with(a, :s)", true),
            ("contains(a, :s) AND contains(b, :s) AND contains(c, :v)", true),
            ("attribute_type(b, :t)", true),
            ("attribute_type(a, :t)", false),
            ("size(b) = :n", true),
            ("size = :v", true),
            ("size BETWEEN :n AND :v AND a IN (:t, :s)", false),
            ("size between :n and :v", true),
        ] {
            assert_eq!(says(expression, Some(&item)), Ok(verdict), "{expression}");
        }
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for bad in ["", "a =", "a = :nothing", "a ~ :v", "(a = :s", "a = :s b", "#x = :v", "attribute_exists(:v)"] {
            assert!(says(bad, None).is_err(), "{bad}");
        }
    }
}
