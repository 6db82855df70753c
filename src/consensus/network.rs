//! openraft's way to the other daemons: messages as bytes over the [`Peers`] port.
//!
//! Every call ends by openraft's own deadline. A peer that cannot be reached is never asked again at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use failoverd_domain::ids::Region;
use openraft::error::{InstallSnapshotError, RPCError, RaftError, RemoteError, Unreachable};
use openraft::network::{Backoff, RPCOption};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse, VoteRequest,
    VoteResponse,
};
use openraft::{RaftNetwork, RaftNetworkFactory};

use super::identity::Identity;
use super::message::{Answer, Envelope, Message, Reply, VERSION};
use super::store::Acquaintances;
use super::types::{NodeId, TypeConfig};
use crate::ports::Peers;

/// The way to the other daemons.
#[derive(Clone)]
pub(super) struct Network {
    me: Identity,
    /// The number of our own disk.
    disk: u64,
    acquaintances: Acquaintances,
    knows_it_is_refused: Arc<AtomicBool>,
    peers: Arc<dyn Peers>,
    /// How long an unreachable peer is left alone.
    pause: Duration,
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
    #[error("it knows this daemon with another disk")]
    WeHaveAnotherDisk,
    #[error("an answer that makes no sense: {0}")]
    Nonsense(String),
}

impl Network {
    pub(super) fn new(
        me: Identity,
        disk: u64,
        acquaintances: Acquaintances,
        peers: Arc<dyn Peers>,
        pause: Duration,
    ) -> Self {
        Self { me, disk, acquaintances, knows_it_is_refused: Arc::default(), peers, pause }
    }

    /// Asks `to`, for at most `deadline`.
    pub(super) async fn ask(&self, to: &Region, message: Message, deadline: Duration) -> Result<Reply, AskError> {
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
        self.reply_of(to, answer)
    }

    fn reply_of(&self, to: &Region, answer: Answer) -> Result<Reply, AskError> {
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
        let asked = self.network.ask(&self.to, message, option.hard_ttl()).await;
        asked.map_err(|error| RPCError::Unreachable(Unreachable::new(&error)))
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
        match self.ask(Message::Append(rpc), &option).await? {
            Reply::Append(response) => Ok(response),
            other => Err(Self::misplaced(&other)),
        }
    }

    async fn install_snapshot(
        &mut self,
        rpc: InstallSnapshotRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<InstallSnapshotResponse<NodeId>, RpcError<InstallSnapshotError>> {
        match self.ask(Message::InstallSnapshot(rpc), &option).await? {
            Reply::InstallSnapshot(Ok(response)) => Ok(response),
            Reply::InstallSnapshot(Err(error)) => Err(RPCError::RemoteError(RemoteError::new(self.id, error))),
            other => Err(Self::misplaced(&other)),
        }
    }

    async fn vote(&mut self, rpc: VoteRequest<NodeId>, option: RPCOption) -> Result<VoteResponse<NodeId>, RpcError> {
        match self.ask(Message::Vote(rpc), &option).await? {
            Reply::Vote(response) => Ok(response),
            other => Err(Self::misplaced(&other)),
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(self.network.pause))
    }
}
