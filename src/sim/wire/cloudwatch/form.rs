//! The Query protocol of old: a form becomes a tree, a tree becomes XML.

use failoverd_domain::time::Timestamp;
use serde_json::{Map, Value};

use super::super::answer::Answer;
use super::super::query;
use super::super::request::{WireRequest, pairs};
use super::super::xml::Xml;
use super::tree::INSTANT;

const NAMESPACE: &str = "http://monitoring.amazonaws.com/doc/2010-08-01/";

/// `A.member.1.B=x` as `{"A": [{"B": "x"}]}`.
pub(super) fn tree(request: &WireRequest, body: &[u8]) -> Value {
    let mut root = Map::new();
    for (key, value) in pairs(&String::from_utf8_lossy(body)).into_iter().chain(request.query.iter().cloned()) {
        let mut place = &mut root;
        let mut parts = key.split('.').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                place.insert(part.to_owned(), Value::String(value.clone()));
                break;
            }
            let inner = place.entry(part).or_insert_with(|| Value::Object(Map::new()));
            let Value::Object(inner) = inner else { break };
            place = inner;
        }
    }
    listed(Value::Object(root))
}

/// `{"member": {"2": y, "1": x}}` as `[x, y]`.
fn listed(value: Value) -> Value {
    let Value::Object(mut fields) = value else { return value };
    if fields.len() == 1
        && let Some(Value::Object(members)) = fields.get_mut("member")
    {
        let mut members: Vec<(usize, Value)> =
            std::mem::take(members).into_iter().filter_map(|(at, value)| Some((at.parse().ok()?, value))).collect();
        members.sort_by_key(|(at, _)| *at);
        return Value::Array(members.into_iter().map(|(_, value)| listed(value)).collect());
    }
    Value::Object(fields.into_iter().map(|(name, value)| (name, listed(value))).collect())
}

pub(super) fn answer(operation: &str, tree: &Value) -> Answer {
    query::response(NAMESPACE, operation, |result| inside(result, tree))
}

fn inside(element: Xml, value: &Value) -> Xml {
    match value {
        Value::Null => element,
        Value::Bool(flag) => element.body(flag),
        Value::Number(number) => element.body(number),
        Value::String(text) => element.body(text),
        Value::Array(items) => element.children(items.iter().map(|item| inside(Xml::new("member"), item))),
        Value::Object(fields) => match fields.get(INSTANT).and_then(Value::as_u64) {
            Some(ms) => element.body(super::super::time_text(Timestamp(ms))),
            None => element.children(fields.iter().map(|(name, value)| inside(Xml::new(name), value))),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_become_lists_in_their_order() {
        let members = json!({ "member": { "10": "j", "2": { "B": { "member": { "1": "x" } } } } });
        assert_eq!(listed(json!({ "A": members, "C": "c" })), json!({ "A": [{ "B": ["x"] }, "j"], "C": "c" }));
    }
}
