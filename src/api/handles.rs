//! What the services are given to work with, and the one way in which a change is committed.

use std::sync::Arc;
use std::time::Duration;

use failoverd_domain::fleet::{Actor, Applied, Command, Entry};
use failoverd_domain::health::{Matrix, Report, View};
use failoverd_domain::ids::{LogIndex, Region};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout_at};

use super::error::{ApiError, ErrorCode};
use super::peer::RaftEndpoint;
use super::snapshot::Snapshot;
use crate::ports::{Agreement, Clock, History, Outbox, Peers, ProposeError, World};
use crate::telemetry::Telemetry;

/// How long a change may look for a leader before it is given up, nothing changed.
const COMMIT_DEADLINE: Duration = Duration::from_secs(10);
/// Between two looks for a leader.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// What the services are given to work with.
#[derive(Clone)]
pub struct Handles {
    /// This daemon.
    pub me: Region,
    /// The replicated log.
    pub agreement: Arc<dyn Agreement>,
    /// The other daemons.
    pub peers: Arc<dyn Peers>,
    /// Everybody's newest readings as held here.
    pub matrix: watch::Receiver<Arc<Matrix>>,
    /// This Region's history.
    pub history: Arc<dyn History>,
    /// AWS, for what is asked at the moment: what applying would change, what a policy has to name.
    pub world: World,
    /// Wall clock.
    pub clock: Arc<dyn Clock>,
    /// Who looks, and by which limits.
    pub view: View,
    /// Where peers' reports go.
    pub inbox: mpsc::Sender<Report>,
    /// Events that the history has not confirmed.
    pub outbox: Arc<dyn Outbox>,
    /// Where peers' consensus messages go.
    pub raft: Arc<dyn RaftEndpoint>,
    /// What is counted, and how much is logged.
    pub telemetry: Telemetry,
}

impl Handles {
    /// Everything as it is at this instant.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            now: self.clock.now(),
            me: self.me.clone(),
            state: self.agreement.state().borrow().clone(),
            leadership: self.agreement.leadership().borrow().clone(),
            matrix: self.matrix.borrow().clone(),
            view: self.view.clone(),
        }
    }

    /// The same for a change: a daemon that has just started must not judge it by a past that is over.
    ///
    /// # Errors
    /// `NO_LEADER` when it does not catch up in time; nothing was changed.
    pub async fn caught_up(&self) -> Result<Snapshot, ApiError> {
        let deadline = Instant::now() + COMMIT_DEADLINE;
        loop {
            let at = self.snapshot();
            if at.leadership.caught_up && !at.state.fleet.as_str().is_empty() {
                return Ok(at);
            }
            if Instant::now() + RETRY_PAUSE > deadline {
                let message = format!("{} has not caught up with the fleet; nothing was changed", self.me);
                return Err(ApiError::new(ErrorCode::NoLeader, message));
            }
            sleep(RETRY_PAUSE).await;
        }
    }

    /// Commits a change for `actor`, here or through the leader, and waits until it is applied here too.
    ///
    /// # Errors
    /// `NO_LEADER` when nothing was sent; `OUTCOME_UNKNOWN` when it was and no answer came; the state's refusal.
    pub async fn commit(&self, actor: Actor, command: Command) -> Result<Applied, ApiError> {
        let deadline = Instant::now() + COMMIT_DEADLINE;
        let entry = Entry::new(self.clock.now(), actor, command);
        loop {
            if let Some(answer) = self.try_commit(&entry).await? {
                if let Err(rejection) = answer.result {
                    return Err(rejection.into());
                }
                self.applied_here(answer.index, deadline).await;
                return Ok(answer);
            }
            if Instant::now() + RETRY_PAUSE > deadline {
                return Err(ApiError::new(
                    ErrorCode::NoLeader,
                    "no leader could be reached; nothing was changed. A majority of the Regions must be up to agree",
                ));
            }
            sleep(RETRY_PAUSE).await;
        }
    }

    /// One attempt; `None` when certainly nothing was committed and another attempt may help.
    async fn try_commit(&self, entry: &Entry) -> Result<Option<Applied>, ApiError> {
        let leadership = self.agreement.leadership().borrow().clone();
        let answer = if leadership.is_me {
            self.agreement.propose(entry.clone()).await
        } else {
            let Some(leader) = leadership.leader.filter(|leader| leader != &self.me) else { return Ok(None) };
            match self.peers.forward(&leader, entry.clone()).await {
                Ok(answer) => answer,
                Err(error) if error.may_have_arrived => Err(ProposeError::Unknown(error.to_string())),
                Err(_) => return Ok(None),
            }
        };
        match answer {
            Ok(applied) => Ok(Some(applied)),
            Err(ProposeError::NotLeader { .. }) => Ok(None),
            Err(error @ ProposeError::Unknown(_)) => Err(ApiError::new(ErrorCode::OutcomeUnknown, error.to_string())),
            Err(error @ ProposeError::Fatal(_)) => Err(ApiError::new(ErrorCode::LogFailed, error.to_string())),
        }
    }

    /// Waits until this daemon has applied `index`, so that a caller reads its own writes.
    async fn applied_here(&self, index: LogIndex, deadline: Instant) {
        let mut state = self.agreement.state();
        let _ = timeout_at(deadline, state.wait_for(|state| state.applied >= index)).await;
    }
}
