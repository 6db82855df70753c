//! Handing leadership over. openraft 0.9 cannot transfer it, so: propose nothing, let the chosen peer's log
//! become as long as ours, give no more signs of life, and have that peer stand.
//!
//! This daemon votes for it, which is a majority of three at once. Where it is none, or that vote is lost, the
//! other followers vote as soon as their lease on us has run out: the peer is asked again until then.

use std::sync::atomic::Ordering;

use failoverd_domain::ids::Region;
use tokio::time::{Duration, Instant, timeout};

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
        if timeout(lease, inner.wait_for_log_of(to)).await.is_err() {
            tracing::warn!(%to, "not stepping aside: its log does not catch up");
            return;
        }
        inner.raft.runtime_config().heartbeat(false);
        if inner.call_elections(to, lease * 4).await {
            tracing::info!(%to, "stepped aside");
        } else {
            tracing::warn!(%to, "nobody took over: leading on");
        }
    }
}

/// Keeps the leader from proposing and from giving signs of life; both come back when it is dropped.
struct Silence<'a> {
    inner: &'a Inner,
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        self.inner.raft.runtime_config().heartbeat(true);
        self.inner.stepping_aside.store(false, Ordering::Relaxed);
    }
}

impl Inner {
    fn leads(&self) -> bool {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        metrics.current_leader == Some(metrics.id)
    }

    async fn wait_for_log_of(&self, to: &Region) {
        let to = node_id(to);
        let mut metrics = self.raft.metrics();
        let has_all = metrics.wait_for(|metrics| {
            let matched = metrics.replication.as_ref().and_then(|replication| replication.get(&to));
            matched.and_then(Option::as_ref).map(|log_id| log_id.index) == metrics.last_log_index
        });
        // An error means that consensus has stopped: then nobody leads here anyway.
        drop(has_all.await);
    }

    /// Asks `to` to stand until somebody else leads, or until `patience` has run out.
    async fn call_elections(&self, to: &Region, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if let Err(error) = self.network.ask(to, Message::CallElection, self.config.heartbeat).await {
                tracing::debug!(%to, %error, "could not call an election");
            }
            if timeout(self.config.heartbeat * 2, self.wait_for_another()).await.is_ok() {
                return true;
            }
        }
        false
    }

    async fn wait_for_another(&self) {
        let me = self.me.region.clone();
        let mut leadership = self.leadership.clone();
        let another = |seen: &Leadership| seen.leader.as_ref().is_some_and(|leader| leader != &me);
        drop(leadership.wait_for(another).await);
    }
}
