//! Who hears nobody must not keep the others from acting.
//!
//! A daemon that can still send while nothing arrives ("deaf", as in Cloudflare's outage of November 2020) would do so
//! in two ways. As a leader its signs of life go on although nobody acknowledges them, and no follower stands: so it
//! falls silent. As a follower it stands for election again and again, in ever higher terms. The others' leases on the
//! leader refuse it, but openraft 0.9's leader keeps no lease on itself and gives way: so a leader that a majority
//! acknowledges refuses too. And while leadership changes hands nobody has a lease, and a vote for one that cannot hear
//! of it takes that vote from whoever could win: so a daemon asks for the votes only of those it hears.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use failoverd_domain::ids::Region;
use openraft::RaftMetrics;
use openraft::raft::VoteResponse;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::types::NodeId;

type Metrics = RaftMetrics<NodeId, Region>;

/// What is known of being heard.
#[derive(Clone)]
pub(super) struct Hearing {
    /// When a member's message arrived last; an answer is none.
    heard: watch::Sender<Instant>,
    /// When something arrived from each, be it a message or an answer.
    from: Arc<Mutex<BTreeMap<Region, Instant>>>,
    is_deaf: Arc<AtomicBool>,
}

impl Hearing {
    pub(super) fn new() -> Self {
        Self { heard: watch::Sender::new(Instant::now()), from: Arc::default(), is_deaf: Arc::default() }
    }

    /// A member's message has arrived.
    pub(super) fn note(&self, from: &Region) {
        self.heard.send_replace(Instant::now());
        self.note_answer(from);
    }

    /// A member's answer has arrived.
    pub(super) fn note_answer(&self, from: &Region) {
        self.from.lock().unwrap_or_else(PoisonError::into_inner).insert(from.clone(), Instant::now());
    }

    /// Whether something has arrived from that member within `fresh`.
    pub(super) fn has_heard(&self, from: &Region, fresh: Duration) -> bool {
        let heard = self.from.lock().unwrap_or_else(PoisonError::into_inner);
        heard.get(from).is_some_and(|last| last.elapsed() < fresh)
    }

    /// Whether this daemon leads, and neither a majority's acknowledgement nor any message has arrived for a lease.
    pub(super) fn is_deaf(&self) -> bool {
        self.is_deaf.load(Ordering::Relaxed)
    }

    /// Watches for as long as consensus runs. `lease` is how long a follower takes a leader's word for good.
    pub(super) async fn watch(self, metrics: watch::Receiver<Metrics>, heartbeat: Duration, lease: Duration) {
        let mut beat = interval(heartbeat);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut leads_since = None;
        loop {
            beat.tick().await;
            let (leads, silence, stopped) = {
                let metrics = metrics.borrow();
                (leads(&metrics), unacknowledged(&metrics), metrics.running_state.is_err())
            };
            if stopped || metrics.has_changed().is_err() {
                return;
            }
            let since = leads.then(|| *leads_since.get_or_insert_with(Instant::now));
            leads_since = since;
            let silence = since.map(|since| silence.unwrap_or(Duration::MAX).min(since.elapsed()));
            let is_deaf = silence.is_some_and(|silence| silence > lease) && self.heard.borrow().elapsed() > lease;
            if self.is_deaf.swap(is_deaf, Ordering::Relaxed) != is_deaf {
                if is_deaf {
                    tracing::warn!("this daemon leads and hears nobody: it gives no more signs of life");
                } else {
                    tracing::info!("this daemon hears others again, or leads no more");
                }
            }
        }
    }
}

fn leads(metrics: &Metrics) -> bool {
    metrics.current_leader == Some(metrics.id)
}

fn unacknowledged(metrics: &Metrics) -> Option<Duration> {
    metrics.millis_since_quorum_ack.map(Duration::from_millis)
}

/// The refusal that one who stands gets from a leader which a majority has acknowledged within `fresh`.
pub(super) fn refusal_of_a_leader(metrics: &Metrics, fresh: Duration) -> Option<VoteResponse<NodeId>> {
    let holds = leads(metrics) && unacknowledged(metrics).is_some_and(|age| age < fresh);
    holds.then_some(VoteResponse { vote: metrics.vote, vote_granted: false, last_log_id: metrics.last_applied })
}
