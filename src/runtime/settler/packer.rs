//! Where services leave the record changes that they want, until those of one zone go together.
//!
//! A zone is a lane: nothing here waits for another zone. A service that is not settled takes a ticket when its round
//! begins; while tickets are out, what was handed in waits for them, `gather` at most, and with none out it goes at once.
//! So a service that moves alone waits for nobody, and a thousand that move together go in the fewest batches. Must never
//! depend on a waiting service's future: one that is dropped is left out, and nothing else happens.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use failoverd_domain::fleet::ServiceState;
use failoverd_domain::route53::Change;
use failoverd_domain::traffic::Piece;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::Unsettled;

/// A zone as a role reaches it.
pub(super) type Lane = (Option<String>, String);

/// Who waits for a batch.
pub(super) struct Asker {
    /// As it was when its round began.
    pub(super) service: ServiceState,
    answer: oneshot::Sender<Result<(), Unsettled>>,
}

impl Asker {
    /// Whether anybody still waits.
    pub(super) fn is_gone(&self) -> bool {
        self.answer.is_closed()
    }

    /// Says how it ended.
    pub(super) fn answer(self, ended: Result<(), Unsettled>) {
        // Whoever has stopped waiting looks again anyway.
        drop(self.answer.send(ended));
    }
}

/// What waits to be sent.
struct Waiting {
    since: Instant,
    piece: Piece<Asker>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Waiting>,
    /// Tickets that are out.
    tickets: usize,
    /// Batches of it are being sent: one at a time, or Route 53 answers `PriorRequestNotComplete`.
    sending: bool,
}

impl Queue {
    /// When it goes, if anything waits and nothing is being sent.
    fn due(&self, now: Instant, gather: Duration) -> Option<Instant> {
        let oldest = self.waiting.iter().map(|waiting| waiting.since).min().filter(|_| !self.sending)?;
        Some(if self.tickets == 0 { now } else { oldest + gather })
    }
}

/// The lanes.
pub(super) struct Packer {
    lanes: Mutex<BTreeMap<Lane, Queue>>,
    /// Something was handed in, or a ticket was given back.
    pub(super) news: Notify,
    gather: Duration,
}

impl Packer {
    pub(super) fn new(gather: Duration) -> Self {
        Self { lanes: Mutex::default(), news: Notify::new(), gather }
    }

    fn lanes(&self) -> MutexGuard<'_, BTreeMap<Lane, Queue>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A service is on its way to this lane, or may be.
    pub(super) fn ticket(&self, lane: Lane) -> Ticket<'_> {
        self.lanes().entry(lane.clone()).or_default().tickets += 1;
        Ticket { packer: self, lane, is_out: AtomicBool::new(true) }
    }

    fn give_back(&self, lane: &Lane) {
        if let Some(queue) = self.lanes().get_mut(lane) {
            queue.tickets = queue.tickets.saturating_sub(1);
        }
        self.news.notify_one();
    }

    /// What goes now. A lane that was taken from is being sent until [`Self::sent`].
    pub(super) fn take_due(&self) -> Vec<(Lane, Vec<Piece<Asker>>)> {
        let now = Instant::now();
        let mut due = Vec::new();
        self.lanes().retain(|lane, queue| {
            queue.waiting.retain(|waiting| !waiting.piece.key.is_gone());
            if queue.due(now, self.gather).is_some_and(|at| at <= now) {
                queue.sending = true;
                let pieces = std::mem::take(&mut queue.waiting).into_iter().map(|waiting| waiting.piece).collect();
                due.push((lane.clone(), pieces));
            }
            queue.sending || queue.tickets > 0 || !queue.waiting.is_empty()
        });
        due
    }

    /// When the next lane goes, if no ticket comes back before.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let now = Instant::now();
        self.lanes().values().filter_map(|queue| queue.due(now, self.gather)).min()
    }

    /// Everything that was taken from the lane was sent or refused.
    pub(super) fn sent(&self, lane: &Lane) {
        if let Some(queue) = self.lanes().get_mut(lane) {
            queue.sending = false;
        }
    }
}

/// A service's place in a lane.
pub(super) struct Ticket<'a> {
    packer: &'a Packer,
    lane: Lane,
    is_out: AtomicBool,
}

impl Ticket<'_> {
    /// Leaves changes to be sent with others', and waits until every name server has them, or until it is known why not.
    pub(super) async fn hand_in(&self, service: &ServiceState, changes: Vec<Change>) -> Result<(), Unsettled> {
        let (answer, answered) = oneshot::channel();
        let piece = Piece { key: Asker { service: service.clone(), answer }, changes };
        let waiting = Waiting { since: Instant::now(), piece };
        self.packer.lanes().entry(self.lane.clone()).or_default().waiting.push(waiting);
        self.hand_back();
        answered.await.unwrap_or_else(|_| Err(Unsettled::Yield("nobody sends record changes any more".to_owned())))
    }

    /// Nobody has to wait for this service.
    pub(super) fn hand_back(&self) {
        if self.is_out.swap(false, Ordering::Relaxed) {
            self.packer.give_back(&self.lane);
        } else {
            self.packer.news.notify_one();
        }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.hand_back();
    }
}
