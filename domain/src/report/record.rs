//! What a report rests on, and how anybody checks it.

use sha2::{Digest, Sha256};

use super::model::Record;
use crate::fleet::HistoryEvent;

/// `selector` is what lists the same events: `--run checkout-1`.
pub fn record(own: &[&HistoryEvent], selector: &str) -> Record {
    let mut digest = Sha256::new();
    for event in own {
        digest.update(event.hash.as_bytes());
    }
    Record {
        from_seq: own.first().map(|event| event.seq),
        to_seq: own.last().map(|event| event.seq),
        events: own.len() as u64,
        last_hash: own.last().map(|event| event.hash.clone()).unwrap_or_default(),
        digest: digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
        check: vec![
            "failoverctl history verify".to_owned(),
            format!(
                "failoverctl history {selector} --limit 10000 -o json | jq -j '.events | sort_by(.seq)[].hash' | sha256sum"
            ),
        ],
    }
}
