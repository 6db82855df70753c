//! Connections of the gRPC listener: how many, how quickly they must say who they are, and who they are.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use failoverd_domain::time::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::access::certificate::Named;
use super::access::{Access, Identity};
use super::switch::rates::Source;
use super::tls::LiveTls;
use super::transport::{ByteStream, Listen};

/// Most open connections; a fleet has a few peers, and people come one by one.
pub const MOST_CONNECTIONS: usize = 1_024;
/// Most of them from one address. A load balancer may hide all callers behind one.
pub const MOST_CONNECTIONS_OF_A_SOURCE: usize = 768;
/// Most callers who have not yet said who they are.
pub const MOST_HANDSHAKES: usize = 128;
/// Most of them from one address, so that it takes several to keep the others waiting.
pub const MOST_HANDSHAKES_OF_A_SOURCE: usize = 32;
/// How long saying so may take, and the first word after it.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(5);
/// After the system had no socket to give.
const BREATH: Duration = Duration::from_millis(50);

/// What is known of a connection.
#[derive(Debug)]
pub struct Line {
    /// Where it comes from.
    pub from: IpAddr,
    /// Who is at its other end, by certificate.
    pub identity: Option<Identity>,
    /// Until when that certificate is valid.
    pub until: Option<Timestamp>,
}

/// An open connection, with its place among all.
pub struct Connection<S> {
    stream: Stream<S>,
    line: Arc<Line>,
    /// Until something has been said: how long that may take.
    first_word: Option<Pin<Box<Sleep>>>,
    _place: Place,
}

impl<S> Connection<S> {
    fn new(stream: Stream<S>, line: Line, place: Place) -> Self {
        let first_word = Some(Box::pin(tokio::time::sleep(HANDSHAKE_TIME)));
        Self { stream, line: Arc::new(line), first_word, _place: place }
    }
}

enum Stream<S> {
    Plain(S),
    Tls(Box<TlsStream<S>>),
}

impl<S> Connected for Connection<S> {
    type ConnectInfo = Arc<Line>;

    fn connect_info(&self) -> Arc<Line> {
        self.line.clone()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Connection<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        };
        if read.is_ready() {
            self.first_word = None;
        } else if self.first_word.as_mut().is_some_and(|wait| wait.as_mut().poll(cx).is_ready()) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// So many places for callers, and who has taken how many.
#[derive(Clone)]
struct Places {
    taken: Arc<Mutex<HashMap<Source, usize>>>,
    most: usize,
    most_of_a_source: usize,
}

impl Places {
    fn new(most: usize, most_of_a_source: usize) -> Self {
        Self { taken: Arc::default(), most, most_of_a_source }
    }

    /// A place, unless all or all of this source are taken.
    fn take(&self, from: IpAddr) -> Option<Place> {
        let from = Source::of(from);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let of_the_source = taken.get(&from).copied().unwrap_or(0);
        if of_the_source >= self.most_of_a_source || taken.values().sum::<usize>() >= self.most {
            return None;
        }
        taken.insert(from, of_the_source + 1);
        Some(Place { of: self.clone(), from })
    }
}

/// One place; given back when dropped.
struct Place {
    of: Places,
    from: Source,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.of.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.from) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.from);
            }
        }
    }
}

/// How callers are received.
pub(super) struct Reception {
    pub(super) tls: Option<LiveTls>,
    pub(super) access: Option<Access>,
}

/// Receives callers for as long as somebody takes them. Dropped, it ends those who have not said who they are.
pub(super) async fn receive<L: Listen>(
    listener: L,
    reception: Reception,
    ready: mpsc::Sender<io::Result<Connection<L::Stream>>>,
) {
    let places = Places::new(MOST_CONNECTIONS, MOST_CONNECTIONS_OF_A_SOURCE);
    let lobby = Places::new(MOST_HANDSHAKES, MOST_HANDSHAKES_OF_A_SOURCE);
    let mut handshakes = JoinSet::new();
    // Said once, until it goes on.
    let mut told = false;
    while !ready.is_closed() {
        tokio::select! {
            () = ready.closed() => return,
            Some(_) = handshakes.join_next() => {}
            accepted = listener.accept(), if handshakes.len() < MOST_HANDSHAKES => match accepted {
                Ok((stream, from)) => {
                    told = false;
                    // Whoever finds no place is closed without a word.
                    if let Some((chair, place)) = lobby.take(from.ip()).zip(places.take(from.ip())) {
                        let welcomed = welcome(&reception, stream, from, place, ready.clone());
                        handshakes.spawn(async {
                            welcomed.await;
                            drop(chair);
                        });
                    }
                }
                Err(error) => {
                    if !std::mem::replace(&mut told, true) {
                        tracing::error!(listener = "grpc", %error, "no connection can be accepted: is the limit of open files reached?");
                    }
                    tokio::time::sleep(BREATH).await;
                }
            },
        }
    }
}

fn welcome<S: ByteStream>(
    reception: &Reception,
    stream: S,
    from: SocketAddr,
    place: Place,
    ready: mpsc::Sender<io::Result<Connection<S>>>,
) -> impl Future<Output = ()> + Send + use<S> {
    let tls = reception.tls.as_ref().map(|tls| TlsAcceptor::from(tls.listener()));
    let access = reception.access.clone();
    async move {
        let from = from.ip();
        let Some(tls) = tls else {
            let line = Line { from, identity: None, until: None };
            let _ = ready.send(Ok(Connection::new(Stream::Plain(stream), line, place))).await;
            return;
        };
        let stream = match tokio::time::timeout(HANDSHAKE_TIME, tls.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!(%from, %error, "a handshake failed"),
            Err(_) => return tracing::debug!(%from, "a handshake took too long"),
        };
        let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let named = leaf.and_then(|leaf| Named::read(leaf).ok());
        let until = named.as_ref().map(|named| named.expires);
        let identity = access.zip(named).map(|(access, named)| access.rules.identify(&named));
        let line = Line { from, identity, until };
        let _ = ready.send(Ok(Connection::new(Stream::Tls(Box::new(stream)), line, place))).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_source_has_every_place_and_places_are_given_back() {
        let places = Places::new(MOST_CONNECTIONS, MOST_CONNECTIONS_OF_A_SOURCE);
        let (here, there) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let of_one: Vec<Place> = std::iter::from_fn(|| places.take(here)).collect();
        assert_eq!(of_one.len(), MOST_CONNECTIONS_OF_A_SOURCE);
        let of_another: Vec<Place> = std::iter::from_fn(|| places.take(there)).collect();
        assert_eq!(of_another.len(), MOST_CONNECTIONS - MOST_CONNECTIONS_OF_A_SOURCE);
        drop(of_one);
        assert!(places.take(here).is_some());
        drop(of_another);
        assert!(places.taken.lock().unwrap().is_empty(), "nothing is remembered of those who left");
    }
    #[tokio::test(start_paused = true)]
    async fn whoever_says_nothing_is_let_go_and_a_word_is_enough() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        for speaks in [false, true] {
            let (mut caller, stream) = tokio::io::duplex(64);
            let place = Places::new(1, 1).take(IpAddr::from([192, 0, 2, 1])).unwrap();
            let line = Line { from: IpAddr::from([192, 0, 2, 1]), identity: None, until: None };
            let mut connection = Connection::new(Stream::Plain(stream), line, place);
            if speaks {
                caller.write_all(b"x").await.unwrap();
                connection.read_u8().await.unwrap();
            }
            let next = tokio::time::timeout(HANDSHAKE_TIME * 2, connection.read_u8()).await;
            assert_eq!(next.is_ok(), !speaks, "{next:?}");
            assert!(next.is_err() || next.is_ok_and(|read| read.unwrap_err().kind() == io::ErrorKind::TimedOut));
        }
    }
}
