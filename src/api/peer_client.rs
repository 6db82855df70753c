//! The other daemons over gRPC.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use failoverd_domain::fleet::{Applied, Entry, HistoryEvent};
use failoverd_domain::health::Report;
use failoverd_domain::ids::Region;
use failoverd_domain::sabotage::{self, Sabotage};
use failoverd_domain::traffic::{LookUp, Sighting};
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, ConnectError, Request, Status};

use super::proto::forward_response::Result as Forwarded;
use super::proto::peer_service_client::PeerServiceClient;
use super::proto::{FetchEventsRequest, ForwardRequest, LookUpRequest, RaftRequest, ShareRequest};
use super::tls::{Dial, LiveTls};
use super::transport::{Reach, SystemTcp};
use crate::ports::{PeerError, Peers, ProposeError};

/// Snapshots travel as one message.
pub const PEER_MESSAGE_LIMIT: usize = 64 * 1024 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A consensus message; a snapshot is the longest.
const RAFT_DEADLINE: Duration = Duration::from_secs(10);
const SHARE_DEADLINE: Duration = Duration::from_secs(2);
const EVENTS_DEADLINE: Duration = Duration::from_secs(10);
const FORWARD_DEADLINE: Duration = Duration::from_secs(10);
/// A peer gives itself two seconds; whoever asks has a limit of its own.
const LOOK_DEADLINE: Duration = Duration::from_secs(3);
/// After a failed connect nobody tries again for this long, doubled each time …
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
/// … up to this; short against an election, so that a healed peer is soon heard.
const MOST_BACKOFF: Duration = Duration::from_millis(500);

/// The other daemons over gRPC: one lazy connection each, made again after it broke.
pub struct GrpcPeers {
    peers: BTreeMap<Region, Peer>,
}

struct Peer {
    client: PeerServiceClient<Channel>,
    refused: Mutex<Option<Refused>>,
}

/// The newest failed connect.
#[derive(Clone, Copy)]
struct Refused {
    until: Instant,
    backoff: Duration,
}

impl GrpcPeers {
    /// Connections to these URLs; nothing is connected before it is used. Must be called inside the runtime.
    ///
    /// # Errors
    /// A URL that is none, or TLS texts that cannot be used.
    pub fn new(urls: &BTreeMap<Region, String>, tls: Option<&LiveTls>) -> Result<Self, String> {
        Self::over(SystemTcp, urls, tls)
    }

    /// The same, where TLS goes over another network than the system's.
    ///
    /// # Errors
    /// A URL that is none, or TLS texts that cannot be used.
    pub fn over(network: impl Reach, urls: &BTreeMap<Region, String>, tls: Option<&LiveTls>) -> Result<Self, String> {
        let mut peers = BTreeMap::new();
        for (region, url) in urls {
            let channel = channel(network.clone(), url, tls)
                .map_err(|error| format!("peer {region} at {url}: {}", chain(&error)))?;
            let client = PeerServiceClient::new(channel)
                .max_decoding_message_size(PEER_MESSAGE_LIMIT)
                .max_encoding_message_size(PEER_MESSAGE_LIMIT);
            peers.insert(region.clone(), Peer { client, refused: Mutex::new(None) });
        }
        Ok(Self { peers })
    }

    fn peer(&self, to: &Region) -> Result<&Peer, PeerError> {
        let peer = self.peers.get(to).ok_or_else(|| not_sent(to, "no URL is configured for it"))?;
        let refused = *peer.refused.lock().unwrap_or_else(PoisonError::into_inner);
        match refused {
            Some(refused) if Instant::now() < refused.until => {
                Err(not_sent(to, "it did not take a connection just now"))
            }
            _ => Ok(peer),
        }
    }
}

impl Peer {
    /// Notes how the connection fared and makes the error of a failed call.
    fn settle<T>(&self, to: &Region, answer: Result<T, Status>) -> Result<T, PeerError> {
        let status = match answer {
            Ok(answer) => {
                *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = None;
                return Ok(answer);
            }
            Err(status) => status,
        };
        let never_connected = is_connect_error(&status);
        if never_connected {
            self.back_off();
        }
        let reason = format!("{} ({:?})", said_or_seen(&status), status.code());
        Err(PeerError { peer: to.clone(), reason, may_have_arrived: !never_connected })
    }

    fn back_off(&self) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let backoff = refused.map_or(FIRST_BACKOFF, |refused| (refused.backoff * 2).min(MOST_BACKOFF));
        *refused = Some(Refused { until: Instant::now() + backoff, backoff });
    }
}

fn channel(network: impl Reach, url: &str, tls: Option<&LiveTls>) -> Result<Channel, tonic::transport::Error> {
    let endpoint = settled(Endpoint::from_shared(url.to_owned())?);
    let Some(tls) = tls else { return Ok(endpoint.connect_lazy()) };
    // tonic would fix the certificate once and for all: the connection is made over TLS by us, and tonic told nothing.
    let origin = endpoint.uri().clone();
    let plain = Endpoint::from_shared(url.replacen("https://", "http://", 1))?;
    let endpoint = settled(plain).origin(origin);
    Ok(endpoint.connect_with_connector_lazy(Dial::new(tls.clone(), network)))
}

fn settled(endpoint: Endpoint) -> Endpoint {
    if sabotage::is(Sabotage::WaitForEver) {
        return endpoint;
    }
    endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(5))
        .keep_alive_timeout(Duration::from_secs(3))
        .keep_alive_while_idle(true)
}

fn not_sent(to: &Region, reason: &str) -> PeerError {
    PeerError { peer: to.clone(), reason: reason.to_owned(), may_have_arrived: false }
}

/// Whether no connection was made, so that certainly nothing arrived.
fn is_connect_error(status: &Status) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = status.source();
    while let Some(error) = cause {
        if error.is::<ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

fn said_or_seen(status: &Status) -> String {
    match status.code() {
        Code::Unavailable | Code::Unknown | Code::Cancelled => {
            status.source().map_or_else(|| status.message().to_owned(), chain)
        }
        _ => status.message().to_owned(),
    }
}

fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let more = next.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = next.source();
    }
    text
}

fn timed<T>(message: T, deadline: Duration) -> Request<T> {
    let mut request = Request::new(message);
    if !sabotage::is(Sabotage::WaitForEver) {
        request.set_timeout(deadline);
    }
    request
}

fn unreadable(from: &Region, error: &serde_json::Error) -> PeerError {
    PeerError { peer: from.clone(), reason: format!("its answer makes no sense: {error}"), may_have_arrived: true }
}

#[async_trait]
impl Peers for GrpcPeers {
    async fn raft(&self, to: &Region, message: Vec<u8>) -> Result<Vec<u8>, PeerError> {
        let peer = self.peer(to)?;
        let answer = peer.client.clone().raft(timed(RaftRequest { message }, RAFT_DEADLINE)).await;
        Ok(peer.settle(to, answer)?.into_inner().message)
    }

    async fn share(&self, to: &Region, report: &Report) -> Result<(), PeerError> {
        let peer = self.peer(to)?;
        let report = serde_json::to_vec(report).map_err(|error| not_sent(to, &error.to_string()))?;
        let answer = peer.client.clone().share(timed(ShareRequest { report }, SHARE_DEADLINE)).await;
        peer.settle(to, answer).map(|_| ())
    }

    async fn events(&self, from: &Region, from_seq: u64, limit: u32) -> Result<Vec<HistoryEvent>, PeerError> {
        let peer = self.peer(from)?;
        let request = timed(FetchEventsRequest { from_seq, limit }, EVENTS_DEADLINE);
        let answer = peer.client.clone().fetch_events(request).await;
        let events = peer.settle(from, answer)?.into_inner().events;
        events.iter().map(|event| serde_json::from_slice(event).map_err(|error| unreadable(from, &error))).collect()
    }

    async fn forward(&self, to: &Region, entry: Entry) -> Result<Result<Applied, ProposeError>, PeerError> {
        let peer = self.peer(to)?;
        let entry = serde_json::to_vec(&entry).map_err(|error| not_sent(to, &error.to_string()))?;
        let answer = peer.client.clone().forward(timed(ForwardRequest { entry }, FORWARD_DEADLINE)).await;
        let result = peer.settle(to, answer)?.into_inner().result;
        Ok(match result {
            Some(Forwarded::Applied(applied)) => {
                Ok(serde_json::from_slice(&applied).map_err(|error| unreadable(to, &error))?)
            }
            Some(Forwarded::NotLeader(other)) => {
                Err(ProposeError::NotLeader { leader: other.leader.map(Region::from) })
            }
            Some(Forwarded::Unknown(why)) => Err(ProposeError::Unknown(why)),
            Some(Forwarded::Fatal(why)) => Err(ProposeError::Unknown(format!("the leader's log failed: {why}"))),
            None => Err(ProposeError::Unknown("the leader's answer was empty".to_owned())),
        })
    }

    async fn look_up(&self, at: &Region, asked: &LookUp) -> Result<Sighting, PeerError> {
        let peer = self.peer(at)?;
        let asked = serde_json::to_vec(asked).map_err(|error| not_sent(at, &error.to_string()))?;
        let answer = peer.client.clone().look_up(timed(LookUpRequest { asked }, LOOK_DEADLINE)).await;
        if answer.as_ref().is_err_and(|status| status.code() == Code::Unimplemented) {
            let reason = "it is of a version that cannot look".to_owned();
            return Err(PeerError { peer: at.clone(), reason, may_have_arrived: true });
        }
        let sighting = peer.settle(at, answer)?.into_inner().sighting;
        serde_json::from_slice(&sighting).map_err(|error| unreadable(at, &error))
    }
}
