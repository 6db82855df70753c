//! Who leads, and whether this daemon has caught up with the fleet since its start.
//!
//! Caught up means: a leader that a majority confirmed said, after our start, how far one must have applied the
//! log, and we have. What the disk says about it, or a leader that was cut off, does not count.

use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;

use failoverd_domain::fleet::FleetState;
use failoverd_domain::ids::Region;
use openraft::RaftMetrics;
use tokio::sync::watch;

use super::message::{Message, Reply};
use super::network::Network;
use super::types::{NodeId, Raft};
use crate::ports::Leadership;

pub(super) type Metrics = RaftMetrics<NodeId, Region>;

/// The watch, and the future that feeds it for as long as consensus runs.
pub(super) fn watch(
    raft: Raft,
    network: Network,
    state: watch::Receiver<Arc<FleetState>>,
    me: Region,
    heartbeat: Duration,
) -> (watch::Receiver<Leadership>, impl Future<Output = ()> + Send + 'static) {
    let (publish, leadership) = watch::channel(Leadership::default());
    let watcher = Watcher { raft, network, state, me, heartbeat };
    (leadership, watcher.run(publish))
}

struct Watcher {
    raft: Raft,
    network: Network,
    state: watch::Receiver<Arc<FleetState>>,
    me: Region,
    heartbeat: Duration,
}

impl Watcher {
    async fn run(self, publish: watch::Sender<Leadership>) {
        let mut metrics = self.raft.metrics();
        let mut caught_up = false;
        let mut catching_up = std::pin::pin!(self.catch_up());
        loop {
            let seen = as_seen(&metrics.borrow_and_update(), &self.me, caught_up);
            let stopped = metrics.borrow().running_state.is_err();
            publish.send_if_modified(|known| {
                let is_news = *known != seen;
                *known = seen;
                is_news
            });
            if stopped {
                return;
            }
            tokio::select! {
                biased;
                changed = metrics.changed() => if changed.is_err() { return stopped_unheard(&publish) },
                () = &mut catching_up, if !caught_up => caught_up = true,
            }
        }
    }

    async fn catch_up(&self) {
        let position = loop {
            if let Some(position) = self.ask_position().await {
                break position;
            }
            tokio::time::sleep(self.heartbeat).await;
        };
        let mut state = self.state.clone();
        if state.wait_for(|state| state.applied.0 >= position).await.is_err() {
            pending::<()>().await;
        }
    }

    async fn ask_position(&self) -> Option<u64> {
        let leader = leader_of(&self.raft.metrics().borrow())?;
        if leader == self.me {
            return read_position(&self.raft).await;
        }
        match self.network.ask(&leader, Message::ReadPosition, self.heartbeat * 2).await {
            Ok(Reply::ReadPosition(position)) => position,
            _ => None,
        }
    }
}

/// openraft is gone without a word, which only a panic in it can bring about.
fn stopped_unheard(publish: &watch::Sender<Leadership>) {
    tracing::error!("consensus has stopped: it panicked");
    publish.send_modify(|known| *known = Leadership { term: known.term, ..Leadership::default() });
}

fn leader_of(metrics: &Metrics) -> Option<Region> {
    let leader = metrics.current_leader?;
    metrics.membership_config.membership().get_node(&leader).cloned()
}

fn as_seen(metrics: &Metrics, me: &Region, caught_up: bool) -> Leadership {
    let term = metrics.current_term;
    if let Err(error) = &metrics.running_state {
        if !matches!(error, openraft::error::Fatal::Stopped) {
            tracing::error!(%error, "consensus has stopped: the log cannot be read or written");
        }
        return Leadership { term, ..Leadership::default() };
    }
    let leader = leader_of(metrics);
    let members = metrics.membership_config.membership();
    let voters = members.voter_ids().filter_map(|voter| members.get_node(&voter).cloned()).collect();
    Leadership { is_me: leader.as_ref() == Some(me), leader, term, caught_up, voters }
}

/// How far one must have applied the log not to be behind the fleet now. Only a leader that a majority confirms
/// can say; anybody else says `None`.
pub(super) async fn read_position(raft: &Raft) -> Option<u64> {
    let (position, _) = raft.get_read_log_id().await.ok()?;
    Some(position.map_or(0, |position| position.index))
}
