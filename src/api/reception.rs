//! What the switch listener and the ops listener have in common: connections are let in within limits, by source and in all,
//! speak HTTP/1.1 with small heads, and are seen out when they are silent or the daemon goes down.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::switch::limits::Limits;
use super::switch::rates::{Cells, Rates, Source};
use super::switch::room::{Pulse, Room};

/// More are refused.
pub(super) const MOST_HEADERS: usize = 64;
/// Between two looks for connections that are late.
const SWEEP: Duration = Duration::from_secs(1);
/// After the system had no socket to give.
const BREATH: Duration = Duration::from_millis(50);
/// How long connections may take to end when the daemon is going down.
const PARTING: Duration = Duration::from_secs(1);

/// Who answers at a listener.
pub(super) trait Host: Send + Sync + 'static {
    /// Which listener, for the log.
    const LISTENER: &'static str;

    /// What each source has used.
    fn rates(&self) -> &Rates;

    /// What holds now.
    fn limits(&self) -> Limits;

    /// A connection was closed without a word.
    fn turned_away(&self) {}

    /// Talks until the caller leaves, breaks the protocol, or the daemon stops. How it ended concerns nobody.
    fn talk(
        self: Arc<Self>,
        stream: TcpStream,
        source: Cells,
        pulse: Arc<Pulse>,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send;

    /// Whether this source may do one thing more.
    fn admits(&self, source: Cells) -> bool {
        self.rates().admits(source, self.limits().requests_of_a_source)
    }
}

/// Receives whoever comes until `stop` is cancelled.
///
/// # Errors
/// None so far: a listener that has no socket to give is waited for.
pub(super) async fn receive<H: Host>(host: Arc<H>, listener: TcpListener, stop: CancellationToken) -> io::Result<()> {
    let mut door = Door { host, room: Room::default(), talking: JoinSet::new(), stop: stop.clone(), told: false };
    let mut sweep = tokio::time::interval(SWEEP);
    sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = door.talking.join_next_with_id() => door.see_out(ended),
            _ = sweep.tick() => door.room.sweep(),
            accepted = listener.accept() => match accepted {
                Ok((stream, from)) => door.let_in(stream, from),
                Err(error) => door.catch_breath(&error).await,
            },
        }
    }
    drop(listener);
    let parted = async { while door.talking.join_next().await.is_some() {} };
    // Whoever has not parted by then is cut off.
    let _ = tokio::time::timeout(PARTING, parted).await;
    Ok(())
}

/// Lets connections in and sees them out. Dropped, it ends every one of them.
struct Door<H> {
    host: Arc<H>,
    room: Room,
    talking: JoinSet<()>,
    stop: CancellationToken,
    /// Whether the log has been told that the system has no sockets left.
    told: bool,
}

impl<H: Host> Door<H> {
    fn let_in(&mut self, stream: TcpStream, from: SocketAddr) {
        self.told = false;
        while let Some(ended) = self.talking.try_join_next_with_id() {
            self.see_out(ended);
        }
        let source = Source::of(from.ip());
        let cells = self.host.rates().cells_of(source);
        // Closed without a word: an answer would cost what the limit is there to save.
        if !self.host.admits(cells) {
            self.host.turned_away();
            return;
        }
        // Without it, it is only slower.
        let _ = stream.set_nodelay(true);
        self.room.make(source, &self.host.limits());
        let pulse = Arc::new(Pulse::new());
        let talk = self.host.clone().talk(stream, cells, pulse.clone(), self.stop.clone());
        let task = self.talking.spawn(talk);
        self.room.enter(source, pulse, task);
    }

    fn see_out(&mut self, ended: Result<(Id, ()), JoinError>) {
        self.room.leave(ended.map_or_else(|error| error.id(), |(id, ())| id));
    }

    /// A caller that is gone before it was let in is nothing; the rest means that the system has no socket left.
    async fn catch_breath(&mut self, error: &io::Error) {
        use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
        if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
            return;
        }
        if !std::mem::replace(&mut self.told, true) {
            let listener = H::LISTENER;
            tracing::error!(listener, %error, "no connection can be accepted: raise the limit of open files");
        }
        self.room.end_one();
        tokio::time::sleep(BREATH).await;
    }
}

/// Sizes of one connection, bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Largest head of a request: line and headers.
    pub(super) head: usize,
    /// Read and write buffers never outgrow it; hyper takes 8 KiB at least.
    pub(super) buffer: usize,
}

/// HTTP/1.1 on a stream, until either end has enough; when `stop` is cancelled an answer under way may take `last_words`.
pub(super) async fn speak<S, B>(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    service: S,
    sizes: Sizes,
    last_words: Duration,
    stop: CancellationToken,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    B: Body + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let serving = http1::Builder::new()
        .max_headers(MOST_HEADERS)
        .max_header_size(sizes.head)
        .max_buf_size(sizes.buffer)
        // Whoever is too slow is told to go by the room, with one timer for all.
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    tokio::select! {
        _ = serving.as_mut() => {}
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(last_words, serving).await;
        }
    }
}
