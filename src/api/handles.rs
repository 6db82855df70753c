//! What the services are given to work with, and the one way in which a change is committed.

use std::sync::Arc;
use std::time::Duration;

use failoverd_domain::fleet::{Actor, Applied, Command, Entry};
use failoverd_domain::health::{Matrix, Report};
use failoverd_domain::ids::{LogIndex, Region};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout_at};

use super::error::{ApiError, ErrorCode};
use super::peer::RaftEndpoint;
use super::snapshot::Snapshot;
use crate::ports::{Agreement, Clock, History, Members, Outbox, Peers, ProposeError, RetryBudget, Viewpoint, World};
use crate::telemetry::Telemetry;

/// How long a change may look for a leader before it is given up, nothing changed.
const COMMIT_DEADLINE: Duration = Duration::from_secs(10);
/// Between two looks for a leader, which cost nobody anything.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause before the leader is asked again.
const MOST_PAUSE: Duration = Duration::from_secs(2);

/// Who is to be asked to commit something.
enum Leader {
    Me,
    Other(Region),
}

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
    pub view: Viewpoint,
    /// Where peers' reports go.
    pub inbox: mpsc::Sender<Report>,
    /// Events that the history has not confirmed.
    pub outbox: Arc<dyn Outbox>,
    /// Where peers' consensus messages go.
    pub raft: Arc<dyn RaftEndpoint>,
    /// Which daemons vote.
    pub members: Arc<dyn Members>,
    /// What is counted, and how much is logged.
    pub telemetry: Telemetry,
    /// How often changes may be handed to a leader again, all together.
    pub retries: Arc<RetryBudget>,
}

impl Handles {
    /// Everything as it is at this instant.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let state = self.agreement.state().borrow().clone();
        Snapshot {
            now: self.clock.now(),
            me: self.me.clone(),
            view: self.view.over(&state),
            state,
            leadership: self.agreement.leadership().borrow().clone(),
            matrix: self.matrix.borrow().clone(),
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
        let mut backoff = self.retries.backoff(RETRY_PAUSE, MOST_PAUSE);
        let mut asked_before = false;
        loop {
            // While nobody leads, looking again asks nobody anything; a leader that was asked in vain is spared.
            let leader = self.leader();
            let pause = match leader {
                Some(leader) if !asked_before || self.retries.may_retry() => {
                    asked_before = true;
                    if let Some(answer) = self.try_commit(leader, &entry).await? {
                        self.retries.succeeded();
                        if let Err(rejection) = answer.result {
                            return Err(rejection.into());
                        }
                        self.applied_here(answer.index, deadline).await;
                        return Ok(answer);
                    }
                    backoff.pause()
                }
                Some(_) => backoff.pause(),
                None => RETRY_PAUSE,
            };
            if Instant::now() + pause > deadline {
                return Err(ApiError::new(
                    ErrorCode::NoLeader,
                    "no leader could be reached; nothing was changed. A majority of the Regions must be up to agree",
                ));
            }
            sleep(pause).await;
        }
    }

    /// Who is to be asked: this daemon itself, or another.
    fn leader(&self) -> Option<Leader> {
        let leadership = self.agreement.leadership().borrow().clone();
        if leadership.is_me {
            return Some(Leader::Me);
        }
        leadership.leader.filter(|leader| leader != &self.me).map(Leader::Other)
    }

    /// One attempt; `None` when certainly nothing was committed and another attempt may help.
    async fn try_commit(&self, leader: Leader, entry: &Entry) -> Result<Option<Applied>, ApiError> {
        let answer = match leader {
            Leader::Me => self.agreement.propose(entry.clone()).await,
            Leader::Other(leader) => match self.peers.forward(&leader, entry.clone()).await {
                Ok(answer) => answer,
                Err(error) if error.may_have_arrived => Err(ProposeError::Unknown(error.to_string())),
                Err(_) => return Ok(None),
            },
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use async_trait::async_trait;
    use failoverd_domain::health::Report;
    use failoverd_domain::traffic::{LookUp, Sighting};
    use tokio::task::JoinSet;

    use super::*;
    use crate::api::fake::{FakePeers, daemon, state_with};
    use crate::ports::PeerError;

    /// A leader that says that it leads no more, until it does.
    #[derive(Default)]
    struct Stormy {
        asked: AtomicU32,
        calm: AtomicU32,
    }

    #[async_trait]
    impl Peers for Stormy {
        async fn raft(&self, _: &Region, _: Vec<u8>) -> Result<Vec<u8>, PeerError> {
            unreachable!()
        }
        async fn share(&self, _: &Region, _: &Report) -> Result<(), PeerError> {
            unreachable!()
        }
        async fn events(
            &self,
            _: &Region,
            _: u64,
            _: u32,
        ) -> Result<Vec<failoverd_domain::fleet::HistoryEvent>, PeerError> {
            unreachable!()
        }
        async fn look_up(&self, _: &Region, _: &LookUp) -> Result<Sighting, PeerError> {
            unreachable!()
        }
        async fn forward(&self, _: &Region, _: Entry) -> Result<Result<Applied, ProposeError>, PeerError> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            if self.calm.load(Ordering::Relaxed) == 0 {
                return Ok(Err(ProposeError::NotLeader { leader: None }));
            }
            Ok(Ok(Applied { index: LogIndex(1), events: Vec::new(), result: Ok(None) }))
        }
    }

    fn follower() -> (Handles, Arc<Stormy>) {
        let daemon = daemon(state_with(&["checkout"]), FakePeers::default(), Vec::new());
        daemon.log.lead(Some("eu-west-1"), false);
        let peers = Arc::new(Stormy::default());
        (Handles { peers: peers.clone(), ..daemon.handles }, peers)
    }

    async fn pause(handles: Handles) -> Result<Applied, ApiError> {
        handles.commit(Actor::Operator("alice".to_owned()), Command::Pause { service: None }).await
    }

    #[tokio::test(start_paused = true)]
    async fn many_who_try_again_are_no_storm() {
        let (handles, peers) = follower();
        let mut callers = JoinSet::new();
        (0..200).for_each(|_| drop(callers.spawn(pause(handles.clone()))));
        let answers = callers.join_all().await;
        assert!(answers.iter().all(|answer| answer.as_ref().is_err_and(|error| error.code == ErrorCode::NoLeader)));
        let asked = peers.asked.load(Ordering::Relaxed);
        assert!((200..=200 + 10 + 11).contains(&asked), "{asked} times for 200 changes in ten seconds");
    }

    #[tokio::test(start_paused = true)]
    async fn when_the_leader_is_back_the_next_change_goes_through_and_whoever_waited_soon() {
        let (handles, peers) = follower();
        let mut callers = JoinSet::new();
        (0..20).for_each(|_| drop(callers.spawn(pause(handles.clone()))));
        sleep(Duration::from_secs(4)).await;
        peers.calm.store(1, Ordering::Relaxed);
        let began = Instant::now();
        pause(handles.clone()).await.unwrap();
        assert_eq!(began.elapsed(), Duration::ZERO, "a first try waits for nothing");
        let went_through = callers.join_all().await.into_iter().filter(Result::is_ok).count();
        assert!(went_through >= 5, "{went_through} of those who waited");
    }
}
