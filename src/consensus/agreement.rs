//! Agreement as the rest of the daemon sees it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use failoverd_domain::fleet::{Applied, Entry, FleetState};
use failoverd_domain::ids::Region;
use openraft::error::{CheckIsLeaderError, ClientWriteError, ForwardToLeader, RaftError};
use tokio::sync::watch;

use super::handle::Consensus;
use super::types::NodeId;
use crate::ports::{Agreement, Leadership, ProposeError};

#[async_trait]
impl Agreement for Consensus {
    async fn propose(&self, entry: Entry) -> Result<Applied, ProposeError> {
        // Once it is in the log, daemons that cannot read it would meet it: refused before, in the words of `apply`.
        let known = self.inner.state.borrow().clone();
        if let Err(refused) = known.may_be_written(&entry) {
            return Ok(Applied { index: known.applied, events: Vec::new(), result: Err(refused) });
        }
        if self.inner.stepping_aside.load(Ordering::Relaxed) {
            return Err(ProposeError::NotLeader { leader: None });
        }
        // A leader that has lost the others stays one until it hears otherwise, and would keep the entry for whenever
        // they come back: long after whoever asked for it has given up.
        let lease_ms = u64::try_from(self.inner.config.election_timeout_max.as_millis()).unwrap_or(u64::MAX);
        let alone_ms = self.fleet_metrics().quorum_ack_age_ms;
        if alone_ms.is_some_and(|alone_ms| alone_ms > lease_ms) {
            return Err(ProposeError::NotLeader { leader: None });
        }
        let deadline = self.inner.config.propose_deadline();
        match tokio::time::timeout(deadline, self.inner.raft.client_write(entry)).await {
            Ok(Ok(response)) => Ok(response.data),
            Ok(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward)))) => Err(not_leader(forward)),
            Ok(Err(RaftError::APIError(error))) => Err(ProposeError::Unknown(error.to_string())),
            Ok(Err(RaftError::Fatal(error))) => Err(ProposeError::Fatal(error.to_string())),
            Err(_) => Err(ProposeError::Unknown(format!("no majority answered in {deadline:?}"))),
        }
    }

    async fn confirm_leadership(&self) -> Result<(), ProposeError> {
        if self.inner.stepping_aside.load(Ordering::Relaxed) {
            return Err(ProposeError::NotLeader { leader: None });
        }
        let deadline = self.inner.config.propose_deadline();
        match tokio::time::timeout(deadline, self.inner.raft.ensure_linearizable()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(RaftError::APIError(CheckIsLeaderError::ForwardToLeader(forward)))) => Err(not_leader(forward)),
            Ok(Err(RaftError::APIError(CheckIsLeaderError::QuorumNotEnough(_)))) | Err(_) => {
                Err(ProposeError::NotLeader { leader: None })
            }
            Ok(Err(RaftError::Fatal(error))) => Err(ProposeError::Fatal(error.to_string())),
        }
    }

    fn state(&self) -> watch::Receiver<Arc<FleetState>> {
        self.inner.state.clone()
    }

    fn leadership(&self) -> watch::Receiver<Leadership> {
        self.inner.leadership.clone()
    }

    async fn step_aside(&self, to: &Region) {
        self.hand_over(to).await;
    }
}

fn not_leader(forward: ForwardToLeader<NodeId, Region>) -> ProposeError {
    ProposeError::NotLeader { leader: forward.leader_node }
}
