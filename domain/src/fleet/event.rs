//! History events: what was agreed, in order, chained by hash.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::ids::{DrillRunId, FleetId, LogIndex, Region, RunId, ServiceName};
use crate::time::Timestamp;

/// One event of the fleet's history. Made by `FleetState::apply` and so the same on every daemon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryEvent {
    /// 1, 2, 3 … without a gap in the whole life of the fleet.
    pub seq: u64,
    /// The log entry that made it.
    pub index: LogIndex,
    /// When the proposer says it happened.
    pub at: Timestamp,
    /// Fleet.
    pub fleet: FleetId,
    /// Service, where it is about one.
    pub service: Option<ServiceName>,
    /// Run, where it is about one.
    pub run: Option<RunId>,
    /// The execution of a drill, where it is about one. Not written where it is not: older events hash as they did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<DrillRunId>,
    /// What kind of event.
    pub kind: EventKind,
    /// Region, where it is about one.
    pub region: Option<Region>,
    /// Who did it: `operator:alice`, `daemon:eu-west-1`.
    pub actor: String,
    /// One sentence for people.
    pub message: String,
    /// Everything else, for machines.
    pub data: Value,
    /// SHA-256 over the previous event's hash and all of the above, hex.
    pub hash: String,
}

/// Kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// The fleet was formed or its members changed.
    Fleet,
    /// A manifest was applied.
    Applied,
    /// A service was deleted.
    Deleted,
    /// A run was decided, with evidence and guard verdicts.
    Decided,
    /// A person approved.
    Approved,
    /// A run began; the epoch was raised.
    Started,
    /// A step is about to act.
    StepIntent,
    /// A step ended, or its outcome is unknown.
    StepOutcome,
    /// A switch was turned.
    Switch,
    /// A run was asked to stop.
    AbortAsked,
    /// A run has its verdict.
    Finished,
    /// What was really lost.
    Receipt,
    /// Settlement is about to write.
    SettleIntent,
    /// Settlement is done.
    Settled,
    /// AWS kept what a forced promotion lost.
    LostWrites,
    /// Automatic action was paused or resumed.
    Paused,
    /// An invariant check failed: a person must look.
    Violation,
}

impl EventKind {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::Fleet,
        Self::Applied,
        Self::Deleted,
        Self::Decided,
        Self::Approved,
        Self::Started,
        Self::StepIntent,
        Self::StepOutcome,
        Self::Switch,
        Self::AbortAsked,
        Self::Finished,
        Self::Receipt,
        Self::SettleIntent,
        Self::Settled,
        Self::LostWrites,
        Self::Paused,
        Self::Violation,
    ];

    /// The word users see and filter by.
    #[must_use]
    pub fn word(self) -> String {
        serde_json::to_value(self).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
    }
}

/// The newest event: where the chain goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventHead {
    /// Its number; 0 before the first.
    pub seq: u64,
    /// Its hash; empty before the first.
    pub hash: String,
}

impl HistoryEvent {
    /// The hash that this event should carry after `previous`.
    #[must_use]
    pub fn expected_hash(&self, previous: &str) -> String {
        let unhashed = Self { hash: String::new(), ..self.clone() };
        let mut digest = Sha256::new();
        digest.update(previous.as_bytes());
        digest.update(serde_json::to_vec(&unhashed).unwrap_or_default());
        digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Walks a chain of events that follows `head`; the error names the first row that is missing or changed.
///
/// # Errors
/// The number of the row that breaks the chain, and how.
pub fn verify_chain(head: &EventHead, events: &[HistoryEvent]) -> Result<EventHead, String> {
    let mut head = head.clone();
    for event in events {
        if event.seq != head.seq + 1 {
            return Err(format!("event {} is missing (found {} after {})", head.seq + 1, event.seq, head.seq));
        }
        if event.hash != event.expected_hash(&head.hash) {
            return Err(format!("event {} was changed: its hash does not follow from its content", event.seq));
        }
        head = EventHead { seq: event.seq, hash: event.hash.clone() };
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An event as it stood in databases before events could name a drill.
    const STORED: &str = r#"{"seq":7,"index":31,"at":1795449607123,"fleet":"prod","service":"checkout","run":"checkout-1","kind":"step-outcome","region":"eu-west-1","actor":"daemon:eu-west-1","message":"step promote/orders-db succeeded","data":{"attempt":1,"step":"promote/orders-db"},"hash":"d4cf5e1bac8fbcba9e0d666f44dc457f5f68bc0d4e22544cb55cc614f58d833e"}"#;
    const BEFORE: &str = "c9f0f895fb98ab9159f51fd0297e236d11b0b3a1";

    #[test]
    fn an_event_stored_before_drills_reads_writes_and_hashes_as_it_did() {
        let event: HistoryEvent = serde_json::from_str(STORED).unwrap();
        assert_eq!(event.expected_hash(BEFORE), event.hash);
        assert_eq!(serde_json::to_string(&event).unwrap(), STORED);
    }

    #[test]
    fn the_drill_of_an_event_is_hashed_and_comes_back() {
        let stored: HistoryEvent = serde_json::from_str(STORED).unwrap();
        let event = HistoryEvent { drill: Some("checkout-monthly.3".into()), ..stored.clone() };
        assert_ne!(event.expected_hash(BEFORE), stored.hash);
        let text = serde_json::to_string(&event).unwrap();
        assert!(text.contains(r#""run":"checkout-1","drill":"checkout-monthly.3","kind""#), "{text}");
        assert_eq!(serde_json::from_str::<HistoryEvent>(&text).unwrap(), event);
    }
}
