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

    /// Whether this daemon leads, and neither a majority's acknowledgement or answers nor any message have arrived for a
    /// lease.
    pub(super) fn is_deaf(&self) -> bool {
        self.is_deaf.load(Ordering::Relaxed)
    }

    /// Whether a majority, with this daemon, has said or answered something within `fresh`.
    fn hears_a_majority(&self, metrics: &Metrics, fresh: Duration) -> bool {
        let members = metrics.membership_config.membership();
        let is_heard =
            |id: &NodeId| *id == metrics.id || members.get_node(id).is_some_and(|region| self.has_heard(region, fresh));
        let mut configs = members.get_joint_config().iter();
        configs.all(|voters| voters.iter().filter(|id| is_heard(id)).count() * 2 > voters.len())
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
            let is_deaf = silence.is_some_and(|silence| silence > lease)
                && self.heard.borrow().elapsed() > lease
                && !self.hears_a_majority(&metrics.borrow(), lease);
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use openraft::{Membership, StoredMembership};
    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_leader_is_deaf_until_a_majority_says_or_answers_something() {
        let regions = ["a", "b", "c", "d", "e"].map(Region::from);
        let nodes: BTreeMap<NodeId, Region> = (1..).zip(regions.clone()).collect();
        let voters: BTreeSet<NodeId> = nodes.keys().copied().collect();
        let mut leads = Metrics::new_initial(1);
        leads.current_leader = Some(1);
        leads.millis_since_quorum_ack = Some(3_600_000);
        leads.membership_config = Arc::new(StoredMembership::new(None, Membership::new(vec![voters], nodes)));
        let (_leads_on, metrics) = watch::channel(leads);
        let hearing = Hearing::new();
        let (heartbeat, lease) = (Duration::from_millis(100), Duration::from_secs(1));
        let mut watching = JoinSet::new();
        watching.spawn(hearing.clone().watch(metrics, heartbeat, lease));
        let is_deaf = async || {
            tokio::time::sleep(heartbeat * 2).await;
            hearing.is_deaf()
        };
        assert!(!is_deaf().await, "it has led for a moment only");
        tokio::time::sleep(lease * 2).await;
        assert!(is_deaf().await);
        hearing.note_answer(&regions[1]);
        assert!(is_deaf().await, "two of five hear each other: the other three are to follow somebody else");
        hearing.note_answer(&regions[2]);
        assert!(!is_deaf().await);
        tokio::time::sleep(lease).await;
        assert!(is_deaf().await);
    }
}
