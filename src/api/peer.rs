//! `PeerService`: what daemons say to each other.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use failoverd_domain::fleet::{Actor, Applied, Entry, HistoryEvent};
use failoverd_domain::format::{Format, newest_in};
use failoverd_domain::health::Report;
use failoverd_domain::ids::Region;
use failoverd_domain::traffic::LookUp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tonic::{Request, Response, Status};

use super::access::{BREAK_GLASS, Identity, speaker};
use super::error::{ApiError, ErrorCode};
use super::proto::forward_response::Result as Forwarded;
use super::proto::peer_service_server::PeerService;
use super::{Handles, proto};
use crate::ports::{ProposeError, Tally};
use crate::survey::look_up;

/// Most events in one answer.
const MOST_EVENTS: u32 = 1_000;
/// How long a report may wait for the one who reads them.
const INBOX_WAIT: Duration = Duration::from_millis(500);

/// Where peers' consensus messages go.
#[async_trait]
pub trait RaftEndpoint: Send + Sync {
    /// Handles a message and gives its answer. `speaker` must speak for whoever the message says it is from.
    async fn handle(&self, message: Vec<u8>, speaker: &Identity) -> Result<Vec<u8>, RaftRefusal>;
}

/// Why a message was not handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RaftRefusal {
    /// It is not from who sent it.
    Stranger(String),
    /// Anything else.
    Failed(String),
}

/// What a peer may not say.
fn not_for_it(speaker: &Identity, region: &Region) -> ApiError {
    let message = format!("{} does not speak for {region}: its certificate does not name that Region", speaker.name);
    ApiError::new(ErrorCode::NotAllowed, message)
}

/// Answers peers.
#[derive(Clone)]
pub struct PeerApi {
    handles: Handles,
    nonsense: Arc<Tally>,
}

impl PeerApi {
    /// Answers from these handles.
    pub fn new(handles: Handles) -> Self {
        Self { handles, nonsense: Arc::default() }
    }

    /// A peer that makes no sense is not obeyed, counted, and told so.
    fn refuse(&self, peer: &str, why: &str) -> Status {
        if let Some(times) = self.nonsense.refuse(peer) {
            tracing::error!(%peer, why, times, "a peer talks nonsense: it is not obeyed");
        }
        ApiError::new(ErrorCode::InvalidArgument, format!("that makes no sense: {why}")).into()
    }

    fn refuse_newer(&self, needed: Format) -> Result<Response<proto::ForwardResponse>, Status> {
        let state = self.handles.agreement.state().borrow().clone();
        let result = state.writes(needed).map(|()| None);
        let applied = Applied { index: state.applied, events: Vec::new(), result };
        Ok(Response::new(proto::ForwardResponse { result: Some(Forwarded::Applied(write(&applied)?)) }))
    }

    /// From the outbox where it still has them, else from the history.
    async fn events(&self, from_seq: u64, limit: u32) -> Result<Vec<HistoryEvent>, Status> {
        let mut pending = self.handles.outbox.pending(from_seq, limit as usize).await;
        // A snapshot leaves a gap in an outbox: what lies behind it does not follow.
        let gap = pending.iter().zip(from_seq..).position(|(event, seq)| event.seq != seq);
        pending.truncate(gap.unwrap_or(pending.len()));
        if !pending.is_empty() {
            return Ok(pending);
        }
        let stored = self.handles.history.range(from_seq, limit).await;
        stored.map_err(|error| ApiError::new(ErrorCode::HistoryAway, error.to_string()).into())
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Status> {
    serde_json::from_slice(bytes).map_err(|error| nonsense(&error))
}

fn nonsense(error: &serde_json::Error) -> Status {
    ApiError::new(ErrorCode::InvalidArgument, format!("a peer of another version? {error}")).into()
}

fn write(value: &impl Serialize) -> Result<Vec<u8>, Status> {
    serde_json::to_vec(value).map_err(|error| ApiError::new(ErrorCode::Internal, error.to_string()).into())
}

#[tonic::async_trait]
impl PeerService for PeerApi {
    async fn raft(&self, request: Request<proto::RaftRequest>) -> Result<Response<proto::RaftResponse>, Status> {
        let speaker = speaker(&request);
        let answer = self.handles.raft.handle(request.into_inner().message, &speaker).await;
        let message = answer.map_err(|refusal| match refusal {
            RaftRefusal::Stranger(why) => ApiError::new(ErrorCode::NotAllowed, why),
            RaftRefusal::Failed(why) => ApiError::new(ErrorCode::Internal, why),
        })?;
        Ok(Response::new(proto::RaftResponse { message }))
    }

    async fn share(&self, request: Request<proto::ShareRequest>) -> Result<Response<proto::ShareResponse>, Status> {
        let speaker = speaker(&request);
        let report: Report = read(&request.into_inner().report)?;
        if !speaker.speaks_for(&report.observer) {
            return Err(not_for_it(&speaker, &report.observer).into());
        }
        if !self.handles.view.now().members.contains(&report.observer) {
            let message = format!("{} is not a member of this fleet", report.observer);
            return Err(ApiError::new(ErrorCode::NotAllowed, message).into());
        }
        // Our own word comes from nobody else.
        if report.observer == self.handles.me {
            return Err(self.refuse(report.observer.as_str(), "a report in this daemon's own name"));
        }
        let applied = self.handles.agreement.state().borrow().applied;
        report.check_sense(applied).map_err(|why| self.refuse(report.observer.as_str(), &why))?;
        // A newer report follows in a moment: one that finds no room is dropped, never queued up.
        let sent = tokio::time::timeout(INBOX_WAIT, self.handles.inbox.send(report)).await;
        match sent {
            Ok(Ok(())) => Ok(Response::new(proto::ShareResponse {})),
            Ok(Err(_)) => Err(Status::unavailable("this daemon is going down")),
            Err(_) => Err(Status::resource_exhausted("this daemon is behind with reading reports")),
        }
    }

    async fn fetch_events(
        &self,
        request: Request<proto::FetchEventsRequest>,
    ) -> Result<Response<proto::FetchEventsResponse>, Status> {
        let request = request.into_inner();
        let events = self.events(request.from_seq, request.limit.min(MOST_EVENTS)).await?;
        let events = events.iter().map(write).collect::<Result<_, _>>()?;
        Ok(Response::new(proto::FetchEventsResponse { events }))
    }

    async fn forward(
        &self,
        request: Request<proto::ForwardRequest>,
    ) -> Result<Response<proto::ForwardResponse>, Status> {
        let speaker = speaker(&request);
        let bytes = request.into_inner().entry;
        let entry: Entry = match serde_json::from_slice(&bytes) {
            Ok(entry) => entry,
            // A newer build asks for what this one does not know. It is refused as it would be if it could be read.
            Err(_) if newest_in(&bytes) > Format::NEWEST => return self.refuse_newer(newest_in(&bytes)),
            Err(error) => return Err(nonsense(&error)),
        };
        match &entry.actor {
            Actor::Daemon(region) if !speaker.speaks_for(region) => return Err(not_for_it(&speaker, region).into()),
            // Nobody is called that: no door gives anybody such a name.
            Actor::Operator(name) if name.starts_with(BREAK_GLASS) => {
                let message = format!("{} forwards a change in a name that nobody has", speaker.name);
                return Err(ApiError::new(ErrorCode::NotAllowed, message).into());
            }
            // Its name is nobody's word: the signatures are, and whoever applies it verifies them.
            Actor::Daemon(_) | Actor::Operator(_) | Actor::BreakGlass(_) => {}
        }
        if let Err(why) = entry.may_be_forwarded() {
            // Whoever forwards it is wrong, in whose name ever.
            return Err(self.refuse(&speaker.name, &why));
        }
        // `at` is the proposer's clock, and the proposer is whoever leads.
        let entry = Entry { at: self.handles.clock.now(), ..entry };
        let result = match self.handles.agreement.propose(entry).await {
            Ok(applied) => Forwarded::Applied(write(&applied)?),
            Err(ProposeError::NotLeader { leader }) => {
                Forwarded::NotLeader(proto::NotLeader { leader: leader.map(|leader| leader.to_string()) })
            }
            Err(ProposeError::Unknown(why)) => Forwarded::Unknown(why),
            Err(ProposeError::Fatal(why)) => Forwarded::Fatal(why),
        };
        Ok(Response::new(proto::ForwardResponse { result: Some(result) }))
    }

    async fn look_up(&self, request: Request<proto::LookUpRequest>) -> Result<Response<proto::LookUpResponse>, Status> {
        let asked: LookUp = read(&request.into_inner().asked)?;
        let state = self.handles.agreement.state().borrow().clone();
        let sighting = look_up(&self.handles.world, &state, &asked).await;
        let sighting = sighting.map_err(|reason| ApiError::new(ErrorCode::UnknownService, reason))?;
        Ok(Response::new(proto::LookUpResponse { sighting: write(&sighting)? }))
    }
}
