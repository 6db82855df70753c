//! Condition expressions, as far as conditional writes need them: existence, comparisons, AND, OR, NOT and brackets.

use std::cmp::Ordering;

use serde_json::{Map, Value};

/// What `#names` and `:values` stand for.
pub(super) struct Names<'a> {
    pub(super) names: &'a Map<String, Value>,
    pub(super) values: &'a Map<String, Value>,
}

/// Whether the condition holds of what is there.
pub(super) fn holds(expression: &str, names: &Names<'_>, item: Option<&Value>) -> Result<bool, String> {
    let words = words(expression);
    let mut reader = Reader { words: &words, at: 0, names, item };
    let verdict = reader.either()?;
    match words.get(reader.at) {
        None => Ok(verdict),
        Some(word) => Err(format!("unexpected {word}")),
    }
}

fn words(expression: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    for letter in expression.chars() {
        match letter {
            letter if letter.is_whitespace() || "(),=<>".contains(letter) => {
                words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
                let joins =
                    matches!((words.last().map(String::as_str), letter), (Some("<"), '=' | '>') | (Some(">"), '='));
                if joins && expression.contains(&format!("{}{letter}", words.last().map_or("", String::as_str))) {
                    if let Some(last) = words.last_mut() {
                        last.push(letter);
                    }
                } else if !letter.is_whitespace() {
                    words.push(letter.to_string());
                }
            }
            letter => word.push(letter),
        }
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

struct Reader<'a> {
    words: &'a [String],
    at: usize,
    names: &'a Names<'a>,
    item: Option<&'a Value>,
}

impl Reader<'_> {
    fn takes(&mut self, word: &str) -> bool {
        let found = self.words.get(self.at).is_some_and(|there| there.eq_ignore_ascii_case(word));
        self.at += usize::from(found);
        found
    }

    fn next(&mut self) -> Result<&str, String> {
        let word = self.words.get(self.at).ok_or("it ends too early")?;
        self.at += 1;
        Ok(word)
    }

    fn expect(&mut self, word: &str) -> Result<(), String> {
        if self.takes(word) { Ok(()) } else { Err(format!("{word} is missing")) }
    }

    fn either(&mut self) -> Result<bool, String> {
        let mut verdict = self.both()?;
        while self.takes("OR") {
            let other = self.both()?;
            verdict = verdict || other;
        }
        Ok(verdict)
    }

    fn both(&mut self) -> Result<bool, String> {
        let mut verdict = self.one()?;
        while self.takes("AND") {
            let other = self.one()?;
            verdict = verdict && other;
        }
        Ok(verdict)
    }

    fn one(&mut self) -> Result<bool, String> {
        if self.takes("NOT") {
            return Ok(!self.one()?);
        }
        if self.takes("(") {
            let verdict = self.either()?;
            self.expect(")")?;
            return Ok(verdict);
        }
        for (function, wanted) in [("attribute_exists", true), ("attribute_not_exists", false)] {
            if self.takes(function) {
                self.expect("(")?;
                let there = self.operand()?.is_some();
                self.expect(")")?;
                return Ok(there == wanted);
            }
        }
        let left = self.operand()?;
        let sign = self.next()?.to_owned();
        let right = self.operand()?;
        compare(left.as_ref(), &sign, right.as_ref())
    }

    /// An attribute's value, or a given one; an attribute that is not there has none.
    fn operand(&mut self) -> Result<Option<Value>, String> {
        let word = self.next()?.to_owned();
        if word.starts_with(':') {
            return self.names.values.get(&word).cloned().map(Some).ok_or_else(|| format!("{word} has no value"));
        }
        let name = match word.strip_prefix('#') {
            Some(_) => {
                self.names.names.get(&word).and_then(Value::as_str).ok_or_else(|| format!("{word} has no name"))?
            }
            None => &word,
        };
        Ok(self.item.and_then(|item| item.get(name)).cloned())
    }
}

/// Values of different types are unequal and in no order; so is what is not there.
fn compare(left: Option<&Value>, sign: &str, right: Option<&Value>) -> Result<bool, String> {
    let order = match (left, right) {
        (Some(left), Some(right)) => order(left, right),
        _ => None,
    };
    Ok(match sign {
        "=" => order == Some(Ordering::Equal),
        "<>" => order != Some(Ordering::Equal),
        "<" => order == Some(Ordering::Less),
        "<=" => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        ">" => order == Some(Ordering::Greater),
        ">=" => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        other => return Err(format!("{other} is no comparison")),
    })
}

fn order(left: &Value, right: &Value) -> Option<Ordering> {
    let number = |value: &Value| value["N"].as_str().and_then(|text| text.parse::<f64>().ok());
    let whole = |value: &Value| value["N"].as_str().and_then(|text| text.parse::<u64>().ok());
    let text = |value: &Value| value["S"].as_str().map(str::to_owned);
    match (whole(left), whole(right), number(left), number(right)) {
        (Some(left), Some(right), ..) => return Some(left.cmp(&right)),
        (_, _, Some(left), Some(right)) => return left.partial_cmp(&right),
        _ => {}
    }
    match (text(left), text(right)) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        _ if left == right => Some(Ordering::Equal),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn says(expression: &str, item: Option<&Value>) -> Result<bool, String> {
        let names = json!({ "#v": "version" });
        let values = json!({ ":v": { "N": "7" }, ":s": { "S": "x" } });
        let names = Names { names: names.as_object().unwrap(), values: values.as_object().unwrap() };
        holds(expression, &names, item)
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
    fn what_is_no_condition_is_refused() {
        for bad in ["", "a =", "a = :nothing", "a ~ :v", "(a = :s", "a = :s b"] {
            assert!(says(bad, None).is_err(), "{bad}");
        }
    }
}
