//! The fleet's history, and what may be taken out of it.

use std::cmp::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use failoverd_domain::fleet::{EventHead, HistoryEvent, verify_chain};
use failoverd_domain::ids::{DrillRunId, RunId, ServiceName};
use failoverd_domain::time::Timestamp;

use super::Outbox;

/// The fleet's history in this Region's database.
#[async_trait]
pub trait History: Send + Sync {
    /// The newest event stored.
    async fn head(&self) -> Result<EventHead, HistoryError>;
    /// Appends events that follow the head; ones already there are passed over, a gap or a fork is an error.
    async fn append(&self, events: &[HistoryEvent]) -> Result<(), HistoryError>;
    /// Events that match, newest first.
    async fn query(&self, filter: &HistoryFilter) -> Result<Vec<HistoryEvent>, HistoryError>;
    /// Events from `seq` on, oldest first, at most `limit`.
    async fn range(&self, from_seq: u64, limit: u32) -> Result<Vec<HistoryEvent>, HistoryError>;
    /// Walks the whole chain, from event 1 or from where retention ended, and returns its end, to be compared with the
    /// fleet's. A contradiction names the first event that is missing or was changed.
    async fn verify(&self) -> Result<Verified, HistoryError> {
        let mut walked = Verified::default();
        loop {
            let page = self.range(walked.head.seq + 1, 1_000).await?;
            if page.is_empty() {
                return Ok(walked);
            }
            page.iter().try_for_each(|event| walked.walk(event))?;
        }
    }
}

/// Whether a history holds this event as it is, where it has one of its number at all. Older ones may have been removed.
///
/// # Errors
/// It could not be read.
pub async fn holds(history: &dyn History, event: &EventHead) -> Result<bool, HistoryError> {
    if event.seq == 0 {
        return Ok(true);
    }
    let found = history.range(event.seq, 1).await?;
    Ok(found.first().is_none_or(|found| found.seq != event.seq || found.hash == event.hash))
}

/// Whether a history, whose newest event is `stored`, tells the past that the fleet agreed on, as far as this daemon can say.
/// It does not where the fleet was recovered or restored without what it holds.
///
/// # Errors
/// It could not be read.
pub async fn tells_our_past(
    history: &dyn History,
    outbox: &dyn Outbox,
    stored: &EventHead,
    agreed: &EventHead,
) -> Result<bool, HistoryError> {
    match stored.seq.cmp(&agreed.seq) {
        Ordering::Equal => Ok(stored.hash == agreed.hash),
        Ordering::Greater => holds(history, agreed).await,
        Ordering::Less => {
            let same = outbox.pending(stored.seq, 1).await;
            Ok(same.first().is_none_or(|event| event.seq != stored.seq || event.hash == stored.hash))
        }
    }
}

/// Which events to return.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryFilter {
    /// Only of this service.
    pub service: Option<ServiceName>,
    /// Only of this run.
    pub run: Option<RunId>,
    /// Only of this execution of a drill.
    pub drill: Option<DrillRunId>,
    /// Only at or after this instant.
    pub since: Option<Timestamp>,
    /// Only of this kind.
    pub kind: Option<String>,
    /// At most so many.
    pub limit: u32,
}

/// Why the history could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// Try again later; nothing is lost.
    #[error("history database is away: {0}")]
    Away(String),
    /// Its content contradicts what the fleet agreed: a person must look.
    #[error("history contradicts the fleet's log: {0}")]
    Contradiction(String),
}

/// Retention keeps at least this much, whatever it is told.
pub const LEAST_KEPT: Duration = Duration::from_hours(31 * 24);

/// Takes old events out of a history, in the one way that its verification understands.
#[async_trait]
pub trait Retention: Send + Sync {
    /// Removes the oldest events as long as each is from before `before` and of none of the `open` runs, a bounded
    /// number at a time, and leaves an anchor. Never the newest event. Returns how many went.
    async fn remove_oldest(&self, before: Timestamp, open: &[RunId]) -> Result<Removed, HistoryError>;
    /// When the newest event happened; `None` in an empty history.
    async fn newest_at(&self) -> Result<Option<Timestamp>, HistoryError>;
}

/// What one removal did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Events that went.
    pub events: u64,
    /// Whether there may be more to remove right away.
    pub more: bool,
}

/// The end of what retention removed: the chain goes on from here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The last event that was removed.
    pub seq: u64,
    /// Its hash.
    pub hash: String,
    /// When it was removed.
    pub removed_at: Timestamp,
}

/// A chain that was walked to its end without a fault.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Where it began, if older events were removed.
    pub anchor: Option<Anchor>,
    /// Its newest event.
    pub head: EventHead,
}

impl Verified {
    /// Where the walk begins.
    #[must_use]
    pub fn begin(anchor: Option<Anchor>) -> Self {
        let head = anchor.as_ref().map(|anchor| EventHead { seq: anchor.seq, hash: anchor.hash.clone() });
        Self { anchor, head: head.unwrap_or_default() }
    }

    /// How many events were walked.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.head.seq - self.anchor.as_ref().map_or(0, |anchor| anchor.seq)
    }

    /// Walks on over the event that stands next in the history.
    ///
    /// # Errors
    /// It is not the next one, was changed, or does not fit the anchor: which, and how.
    pub fn walk(&mut self, event: &HistoryEvent) -> Result<(), HistoryError> {
        let anchor = self.anchor.as_ref();
        if let Some(anchor) = anchor.filter(|anchor| event.seq <= anchor.seq) {
            return Err(HistoryError::Contradiction(format!(
                "event {} is there, although retention says that it removed everything up to event {}",
                event.seq, anchor.seq
            )));
        }
        let step = verify_chain(&self.head, std::slice::from_ref(event));
        self.head = step.map_err(|why| match anchor.filter(|anchor| event.seq == anchor.seq + 1) {
            Some(anchor) => HistoryError::Contradiction(format!(
                "event {} does not follow from the anchor that retention left at event {}: one of the two was changed",
                event.seq, anchor.seq
            )),
            None => HistoryError::Contradiction(why),
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::fake::{FakeHistory, events};

    fn head(event: &HistoryEvent) -> EventHead {
        EventHead { seq: event.seq, hash: event.hash.clone() }
    }

    #[tokio::test]
    async fn a_history_that_went_on_elsewhere_is_told_apart_whichever_is_ahead() {
        let ours = events(6);
        let mut theirs = ours[..3].to_vec();
        for event in &ours[3..5] {
            let mut other = HistoryEvent { message: "in the fleet that is lost".into(), ..event.clone() };
            other.hash = other.expected_hash(&theirs.last().unwrap().hash);
            theirs.push(other);
        }
        let tells = async |stored: &[HistoryEvent], agreed: &HistoryEvent| {
            let (newest, history) = (head(stored.last().unwrap()), FakeHistory(stored.to_vec().into()));
            // Of the first two events nothing is left in the outbox.
            tells_our_past(&history, &ours[2..].to_vec(), &newest, &head(agreed)).await.unwrap()
        };
        for at in 0..6 {
            assert!(tells(&ours, &ours[at]).await, "ahead of us who replay event {at}");
            assert!(tells(&ours[..=at], &ours[5]).await, "behind at {at}");
        }
        assert!(tells(&theirs, &ours[2]).await, "until there it is one past");
        assert!(!tells(&theirs, &ours[3]).await, "it is ahead");
        assert!(!tells(&theirs, &ours[4]).await, "it is as far");
        assert!(!tells(&theirs, &ours[5]).await, "it was overtaken");
    }
}
