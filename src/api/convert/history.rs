//! History events and filters.

use failoverd_domain::fleet::HistoryEvent;
use failoverd_domain::ids::{DrillRunId, RunId, ServiceName};
use failoverd_domain::time::Timestamp;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};

use super::words;
use crate::api::proto;
use crate::ports::{Anchor, HistoryFilter};

/// How many events a listing returns unless told.
const DEFAULT_LIMIT: u32 = 100;
/// How many it returns at most.
const MOST: u32 = 10_000;

/// An event.
#[must_use]
pub fn event(event: HistoryEvent) -> proto::Event {
    proto::Event {
        seq: event.seq,
        at: Some(words::time(event.at)),
        service: event.service.map(|name| name.to_string()),
        run: event.run.map(|id| id.to_string()),
        kind: event.kind.word(),
        region: event.region.map(|region| region.to_string()),
        actor: event.actor,
        message: event.message,
        data: Some(value(event.data)),
        hash: event.hash,
        index: event.index.0,
        drill: event.drill.map(|id| id.to_string()),
    }
}

/// What retention has removed.
#[must_use]
pub fn removal(anchor: Anchor) -> proto::Removal {
    proto::Removal { up_to_seq: anchor.seq, at: Some(words::time(anchor.removed_at)) }
}

/// What to list.
#[must_use]
pub fn filter(request: proto::ListHistoryRequest) -> HistoryFilter {
    let since = request.since.map(|at| {
        let ms = at.seconds.saturating_mul(1000).saturating_add(i64::from(at.nanos) / 1_000_000);
        Timestamp(u64::try_from(ms).unwrap_or(0))
    });
    HistoryFilter {
        service: request.service.map(ServiceName::from),
        run: request.run.map(RunId::from),
        drill: request.drill.map(DrillRunId::from),
        since,
        kind: request.kind,
        limit: if request.limit == 0 { DEFAULT_LIMIT } else { request.limit.min(MOST) },
    }
}

/// JSON as a protobuf value. Numbers become doubles: exact up to 2^53.
fn value(json: serde_json::Value) -> Value {
    let kind = match json {
        serde_json::Value::Null => Kind::NullValue(0),
        serde_json::Value::Bool(it) => Kind::BoolValue(it),
        serde_json::Value::Number(it) => Kind::NumberValue(it.as_f64().unwrap_or(f64::NAN)),
        serde_json::Value::String(it) => Kind::StringValue(it),
        serde_json::Value::Array(it) => Kind::ListValue(ListValue { values: it.into_iter().map(value).collect() }),
        serde_json::Value::Object(it) => {
            Kind::StructValue(Struct { fields: it.into_iter().map(|(key, it)| (key, value(it))).collect() })
        }
    };
    Value { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_has_a_limit_even_when_none_is_asked_for() {
        assert_eq!(filter(proto::ListHistoryRequest::default()).limit, DEFAULT_LIMIT);
        let greedy = proto::ListHistoryRequest { limit: u32::MAX, ..Default::default() };
        assert_eq!(filter(greedy).limit, MOST);
    }

    #[test]
    fn since_is_kept_to_the_millisecond() {
        let since = Some(words::time(Timestamp(1_764_000_000_123)));
        let filter = filter(proto::ListHistoryRequest { since, ..Default::default() });
        assert_eq!(filter.since, Some(Timestamp(1_764_000_000_123)));
    }
}
