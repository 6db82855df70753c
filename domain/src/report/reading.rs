//! Reading what events carry. What is not there, or not as expected, is absent.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::fleet::{EventKind, HistoryEvent};

/// A field of an event's data.
pub fn field<T: DeserializeOwned>(event: &HistoryEvent, name: &str) -> Option<T> {
    event.data.get(name).and_then(|value| serde_json::from_value(value.clone()).ok())
}

/// Events of one kind, in their order.
pub fn of_kind(events: &[HistoryEvent], kind: EventKind) -> impl DoubleEndedIterator<Item = &HistoryEvent> {
    events.iter().filter(move |event| event.kind == kind)
}

/// By number, each once.
pub fn in_order(events: &[HistoryEvent]) -> Vec<HistoryEvent> {
    let mut events = events.to_vec();
    events.sort_by_key(|event| event.seq);
    events.dedup_by_key(|event| event.seq);
    events
}

/// The word that a value is written as.
pub fn word(value: impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
