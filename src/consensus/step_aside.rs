//! Handing leadership over. openraft 0.9 cannot transfer it, so: propose nothing, let the chosen peer's log
//! become as long as ours, give no more signs of life, and have that peer stand.
//!
//! This daemon votes for it, which is a majority of three at once. Where it is none, or that vote is lost, the
//! other followers vote as soon as their lease on us has run out: the peer is asked again until then. But it is asked
//! only while we lead and it has our whole log: each election raises its term, and whoever leads by then gives way to
//! that, while it may be unable to win.

use std::sync::atomic::Ordering;

use failoverd_domain::ids::Region;
use openraft::storage::RaftLogStorage;
use tokio::time::{Duration, Instant, timeout, timeout_at};

use super::handle::{Consensus, Inner};
use super::message::Message;
use super::types::node_id;
use crate::ports::Leadership;

impl Consensus {
    /// Gives leadership up, if held, so that `to` can win the next election. Returns when another leads, or after
    /// some election timeouts without success; then this daemon goes on as before.
    pub(super) async fn hand_over(&self, to: &Region) {
        let inner = &*self.inner;
        if !inner.leads() || to == &inner.me.region {
            return;
        }
        if inner.stepping_aside.swap(true, Ordering::Relaxed) {
            return;
        }
        let _silence = Silence { inner };
        tracing::info!(%to, "stepping aside");
        let lease = inner.config.election_timeout_max;
        if timeout(lease, inner.has_whole_log(to)).await != Ok(true) {
            tracing::warn!(%to, "not stepping aside: its log does not catch up");
            return;
        }
        inner.raft.runtime_config().heartbeat(false);
        inner.raft.runtime_config().elect(false);
        if inner.call_elections(to, lease * 4).await {
            tracing::info!(%to, "stepped aside");
        } else if inner.leads() {
            tracing::warn!(%to, "nobody took over: leading on");
        } else {
            tracing::warn!(%to, "leadership was given up, and nobody has taken over yet");
        }
    }
}

/// Keeps the leader from proposing, from giving signs of life and from standing again once it has given way; all of
/// that comes back when it is dropped.
struct Silence<'a> {
    inner: &'a Inner,
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        self.inner.raft.runtime_config().heartbeat(true);
        self.inner.raft.runtime_config().elect(true);
        self.inner.stepping_aside.store(false, Ordering::Relaxed);
    }
}

impl Inner {
    fn leads(&self) -> bool {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        metrics.current_leader == Some(metrics.id)
    }

    /// Waits until `to` has the whole log, with what was proposed before and is only on its way into it; as long as this
    /// daemon leads, nobody else knows how long that is. False when it cannot be known here, since consensus has stopped or
    /// the log cannot be read.
    async fn has_whole_log(&self, to: &Region) -> bool {
        // openraft takes its callers in turn, and writes what one has proposed before it answers the next.
        let in_turn = self.raft.with_raft_state(|_| ()).await;
        let (Ok(()), Ok(log)) = (in_turn, self.log.clone().get_log_state().await) else { return false };
        let to = node_id(to);
        let mut metrics = self.raft.metrics();
        let has_all = metrics.wait_for(|metrics| {
            let matched = metrics.replication.as_ref().and_then(|replication| replication.get(&to));
            matched.is_some_and(|matched| *matched >= log.last_log_id)
        });
        has_all.await.is_ok()
    }

    /// Asks `to` to stand, and again when the others' leases on us have run out and none of them stands yet, until
    /// somebody else leads or `patience` has run out. No sooner: a slow election is not to be begun again for ever.
    async fn call_elections(&self, to: &Region, patience: Duration) -> bool {
        let pause = self.config.election_timeout_max + self.config.heartbeat;
        let mut again = Instant::now();
        let deadline = again + patience;
        while Instant::now() < deadline {
            again = deadline.min(again + pause);
            if self.leads() && timeout_at(again, self.has_whole_log(to)).await == Ok(true) {
                let called = self.network.ask(to, Message::CallElection, self.config.heartbeat).await;
                if let Err(error) = called {
                    tracing::debug!(%to, %error, "could not call an election");
                }
            }
            if let Ok(is_another) = timeout_at(again, self.wait_for_another()).await {
                return is_another;
            }
        }
        false
    }

    /// False when consensus has stopped.
    async fn wait_for_another(&self) -> bool {
        let me = self.me.region.clone();
        let mut leadership = self.leadership.clone();
        let another = |seen: &Leadership| seen.leader.as_ref().is_some_and(|leader| leader != &me);
        leadership.wait_for(another).await.is_ok()
    }
}
