//! Trees of values in CBOR and JSON. Instants are tagged seconds in one and bare seconds in the other.

use ciborium::Value as Cbor;
use serde_json::{Map, Number, Value, json};

/// Marks an instant, milliseconds, in a tree on its way out.
pub(super) const INSTANT: &str = "\u{0}instant";
/// CBOR's tag for seconds since the epoch.
const EPOCH: u64 = 1;

/// A request's body; instants become seconds.
pub(super) fn from_cbor(body: &[u8]) -> Result<Value, String> {
    if body.is_empty() {
        return Ok(json!({}));
    }
    let read: Cbor = ciborium::from_reader(body).map_err(|error| error.to_string())?;
    plain(read)
}

fn plain(value: Cbor) -> Result<Value, String> {
    Ok(match value {
        Cbor::Text(text) => Value::String(text),
        Cbor::Bool(flag) => Value::Bool(flag),
        Cbor::Integer(number) => i64::try_from(number).map_err(|error| error.to_string())?.into(),
        Cbor::Float(number) => Number::from_f64(number).map_or(Value::Null, Value::Number),
        Cbor::Tag(_, inner) => plain(*inner)?,
        Cbor::Array(items) => Value::Array(items.into_iter().map(plain).collect::<Result<_, _>>()?),
        Cbor::Map(fields) => {
            let mut map = Map::new();
            for (key, value) in fields {
                let key = key.into_text().map_err(|_| "a key is no text".to_owned())?;
                map.insert(key, plain(value)?);
            }
            Value::Object(map)
        }
        Cbor::Null => Value::Null,
        other => return Err(format!("{other:?} has no place here")),
    })
}

fn instant_of(map: &Map<String, Value>) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of this century fit")]
    map.get(INSTANT).and_then(Value::as_u64).map(|ms| ms as f64 / 1_000.0)
}

pub(super) fn to_cbor(value: &Value) -> Cbor {
    match value {
        Value::Null => Cbor::Null,
        Value::Bool(flag) => Cbor::Bool(*flag),
        Value::Number(number) => number
            .as_i64()
            .map_or_else(|| Cbor::Float(number.as_f64().unwrap_or(0.0)), |whole| Cbor::Integer(whole.into())),
        Value::String(text) => Cbor::Text(text.clone()),
        Value::Array(items) => Cbor::Array(items.iter().map(to_cbor).collect()),
        Value::Object(map) => match instant_of(map) {
            Some(seconds) => Cbor::Tag(EPOCH, Box::new(Cbor::Float(seconds))),
            None => Cbor::Map(map.iter().map(|(key, value)| (Cbor::Text(key.clone()), to_cbor(value))).collect()),
        },
    }
}

pub(super) fn to_json(value: &Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.iter().map(to_json).collect()),
        Value::Object(map) => match instant_of(map) {
            Some(seconds) => json!(seconds),
            None => Value::Object(map.iter().map(|(key, value)| (key.clone(), to_json(value))).collect()),
        },
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_written_in_each_way() {
        let tree = json!({ "a": [{ "at": { INSTANT: 1_500 } }] });
        assert_eq!(to_json(&tree), json!({ "a": [{ "at": 1.5 }] }));
        let mut written = Vec::new();
        ciborium::into_writer(&to_cbor(&tree), &mut written).unwrap();
        assert_eq!(from_cbor(&written), Ok(json!({ "a": [{ "at": 1.5 }] })));
    }
}
