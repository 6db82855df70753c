//! openraft's way to the other daemons: messages as bytes over the [`Peers`] port.
//!
//! Every call ends by openraft's own deadline. A peer that cannot be reached is never asked again at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use failoverd_domain::fleet::FleetState;
use failoverd_domain::ids::{Generation, LogIndex, Region};
use openraft::error::{InstallSnapshotError, RPCError, RaftError, RemoteError, Unreachable};
use openraft::network::{Backoff, RPCOption};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse, VoteRequest,
    VoteResponse,
};
use openraft::{RaftNetwork, RaftNetworkFactory};
use tokio::sync::watch;

use super::hearing::Hearing;
use super::identity::Identity;
use super::message::{Answer, Envelope, Introduction, Message, Reply, VERSION};
use super::promises::{Doubt, Promises, check_term};
use super::store::Acquaintances;
use super::types::{NodeId, TypeConfig};
use crate::ports::{Peers, Tally};

/// The way to the other daemons.
#[derive(Clone)]
pub(super) struct Network {
    pub(super) me: Identity,
    /// The number of our own disk.
    pub(super) disk: u64,
    pub(super) acquaintances: Acquaintances,
    pub(super) promises: Promises,
    /// Messages and answers that made no sense, by peer.
    pub(super) nonsense: Arc<Tally>,
    pub(super) knows_it_is_refused: Arc<AtomicBool>,
    /// Why this daemon must stop for good, once it knows.
    pub(super) ended: watch::Sender<Option<End>>,
    /// What this daemon has applied.
    pub(super) state: watch::Receiver<Arc<FleetState>>,
    pub(super) peers: Arc<dyn Peers>,
    pub(super) hearing: Hearing,
    /// How long an unreachable peer is left alone.
    pub(super) pause: Duration,
    /// The leader's lease: a peer that was heard within it is taken to be heard.
    pub(super) lease: Duration,
}

/// Why a daemon stops for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The fleet was recovered without it, as this generation.
    Superseded(Generation),
    /// Its Region was removed from the fleet, by this entry.
    Dismissed(LogIndex),
}

/// Why a peer gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error("no answer in {0:?}")]
    Late(Duration),
    #[error("{0}")]
    Away(String),
    #[error("it answers from another disk than it was met with: it must be replaced")]
    AnotherDisk,
    #[error("it has forgotten entry {0}, which it had acknowledged: its disk lost it, and it must be replaced")]
    Forgot(LogIndex),
    #[error("this daemon leads and hears nobody: it is silent until it does, so that others can lead")]
    Deaf,
    #[error("the fleet was recovered without this daemon, as generation {0}")]
    Superseded(Generation),
    #[error("this Region was removed from the fleet, by entry {0}")]
    Dismissed(LogIndex),
    #[error("it knows this daemon with another disk")]
    WeHaveAnotherDisk,
    #[error("an answer that makes no sense: {0}")]
    Nonsense(String),
}

impl Network {
    /// Asks `to`, for at most `deadline`.
    pub(super) async fn ask(&self, to: &Region, message: Message, deadline: Duration) -> Result<Reply, AskError> {
        let answer = self.exchange(to, message, deadline).await?;
        self.reply_of(to, answer)
    }

    /// Has a daemon that is to be added introduce itself, with the number of its disk. It is not met by that: until it is
    /// added, its disk may still be exchanged for another.
    pub(super) async fn introduced(&self, to: &Region, deadline: Duration) -> Result<(Introduction, u64), AskError> {
        let answer = self.exchange(to, Message::Introduce, deadline).await?;
        match answer.reply {
            Reply::Introduce(introduction) => Ok((introduction, answer.disk)),
            Reply::AnotherDisk => Err(AskError::WeHaveAnotherDisk),
            other => Err(AskError::Nonsense(format!("{other:?}"))),
        }
    }

    async fn exchange(&self, to: &Region, message: Message, deadline: Duration) -> Result<Answer, AskError> {
        let envelope = Envelope {
            version: VERSION,
            fleet: self.me.fleet.clone(),
            generation: self.me.generation,
            from: self.me.region.clone(),
            to: to.clone(),
            disk: self.disk,
            message,
        };
        let bytes = serde_json::to_vec(&envelope).map_err(|error| AskError::Nonsense(error.to_string()))?;
        let answer = tokio::time::timeout(deadline, self.peers.raft(to, bytes)).await;
        let answer =
            answer.map_err(|_| AskError::Late(deadline))?.map_err(|error| AskError::Away(error.to_string()))?;
        let answer = serde_json::from_slice(&answer).map_err(|error| AskError::Nonsense(error.to_string()))?;
        self.hearing.note_answer(to);
        Ok(answer)
    }

    fn reply_of(&self, to: &Region, answer: Answer) -> Result<Reply, AskError> {
        if let Some(generation) = answer.superseded {
            if generation <= self.me.generation {
                return Err(AskError::Nonsense(format!("generation {generation} is no newer one")));
            }
            self.end(End::Superseded(generation));
            return Err(AskError::Superseded(generation));
        }
        if let Some(at) = answer.dismissed {
            let state = self.state.borrow().clone();
            // Whoever came after the one that was removed has this in its log, and knows that another disk was meant.
            if state.applied < at || state.dismissed(&self.me.region, self.disk).is_some() {
                self.end(End::Dismissed(at));
            }
            return Err(AskError::Dismissed(at));
        }
        if matches!(answer.reply, Reply::AnotherDisk) {
            if !self.knows_it_is_refused.swap(true, Ordering::Relaxed) {
                tracing::error!(
                    peer = %to,
                    "this daemon is known with another disk: its own was lost or swapped, and it must be replaced"
                );
            }
            return Err(AskError::WeHaveAnotherDisk);
        }
        match self.acquaintances.recognise(to, answer.disk) {
            Ok(true) => Ok(answer.reply),
            Ok(false) => Err(AskError::AnotherDisk),
            Err(error) => Err(AskError::Away(error.in_full())),
        }
    }
}

impl Network {
    /// The first reason counts.
    fn end(&self, end: End) {
        self.ended.send_if_modified(|known| {
            let is_news = known.is_none();
            known.get_or_insert(end);
            is_news
        });
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Link;

    async fn new_client(&mut self, target: NodeId, node: &Region) -> Link {
        Link { network: self.clone(), id: target, to: node.clone() }
    }
}

/// The way to one daemon.
pub(super) struct Link {
    network: Network,
    id: NodeId,
    to: Region,
}

type RpcError<E = openraft::error::Infallible> = RPCError<NodeId, Region, RaftError<NodeId, E>>;

impl Link {
    async fn ask<E: std::error::Error>(&self, message: Message, option: &RPCOption) -> Result<Reply, RpcError<E>> {
        let leads_on = matches!(message, Message::Append(_) | Message::InstallSnapshot(_));
        let asked = if leads_on && self.network.hearing.is_deaf() {
            // Whether it hears again may show by nothing but an answer. This asks nobody to follow.
            self.network.ask(&self.to, Message::ReadPosition, option.hard_ttl()).await.and(Err(AskError::Deaf))
        } else {
            self.network.ask(&self.to, message, option.hard_ttl()).await
        };
        asked.map_err(|error| RPCError::Unreachable(Unreachable::new(&error)))
    }

    /// The disk that the other answers from, once it has answered.
    fn disk(&self) -> Option<u64> {
        self.network.acquaintances.disk_of(&self.to)
    }

    /// Whoever forgot what it acknowledged is not listened to any longer: it could vote for a leader without that.
    fn doubted<E: std::error::Error>(&self, doubt: Doubt) -> RpcError<E> {
        let error = match doubt {
            Doubt::Nonsense(why) => {
                if let Some(times) = self.network.nonsense.refuse(self.to.as_str()) {
                    tracing::error!(peer = %self.to, why, times, "a peer answers nonsense: it is not listened to");
                }
                AskError::Nonsense(why)
            }
            Doubt::Forgot(position) => {
                let error = AskError::Forgot(LogIndex(position.index));
                tracing::error!(peer = %self.to, %error, "a daemon has lost what it had promised: stop it and replace it");
                match self.network.acquaintances.distrust(&self.to) {
                    Ok(()) => error,
                    Err(error) => AskError::Away(error.in_full()),
                }
            }
        };
        RPCError::Unreachable(Unreachable::new(&error))
    }

    fn misplaced<E: std::error::Error>(reply: &Reply) -> RpcError<E> {
        RPCError::Unreachable(Unreachable::new(&AskError::Nonsense(format!("{reply:?}"))))
    }
}

impl RaftNetwork<TypeConfig> for Link {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<NodeId>, RpcError> {
        let sent = self.network.promises.sending(self.disk(), &rpc);
        match self.ask(Message::Append(rpc), &option).await? {
            Reply::Append(response) => {
                let heard = self.network.promises.hear(self.disk(), &sent, &response);
                heard.map(|()| response).map_err(|doubt| self.doubted(doubt))
            }
            other => Err(Self::misplaced(&other)),
        }
    }

    async fn install_snapshot(
        &mut self,
        rpc: InstallSnapshotRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<InstallSnapshotResponse<NodeId>, RpcError<InstallSnapshotError>> {
        let until = rpc.done.then_some(rpc.meta.last_log_id).flatten();
        let ours = rpc.vote;
        match self.ask(Message::InstallSnapshot(rpc), &option).await? {
            Reply::InstallSnapshot(Ok(response)) => {
                let heard = self.network.promises.hear_of_snapshot(self.disk(), &ours, until, &response.vote);
                heard.map(|()| response).map_err(|doubt| self.doubted(doubt))
            }
            Reply::InstallSnapshot(Err(error)) => Err(RPCError::RemoteError(RemoteError::new(self.id, error))),
            other => Err(Self::misplaced(&other)),
        }
    }

    async fn vote(&mut self, rpc: VoteRequest<NodeId>, option: RPCOption) -> Result<VoteResponse<NodeId>, RpcError> {
        let ours = rpc.vote;
        if !self.network.hearing.has_heard(&self.to, self.network.lease) {
            // Every build answers this one.
            self.ask(Message::ReadPosition, &option).await?;
        }
        match self.ask(Message::Vote(rpc), &option).await? {
            Reply::Vote(response) => {
                let checked = check_term(&response.vote, &ours);
                checked.map(|()| response).map_err(|doubt| self.doubted(doubt))
            }
            other => Err(Self::misplaced(&other)),
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(self.network.pause))
    }
}
