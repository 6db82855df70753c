//! Connections of the gRPC listener: how many, how quickly they must say who they are, and who they are.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::access::certificate::Named;
use super::access::{Access, Identity};
use super::tls::LiveTls;
use super::transport::{ByteStream, Listen};

/// Most open connections; a fleet has a few peers, and people come one by one.
pub const MOST_CONNECTIONS: usize = 1_024;
/// Most of them from one address. A load balancer may hide all callers behind one.
pub const MOST_CONNECTIONS_OF_A_SOURCE: usize = 768;
/// Most callers who have not yet said who they are.
pub const MOST_HANDSHAKES: usize = 128;
/// How long saying so may take.
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
}

/// An open connection, with its place among all.
pub struct Connection<S> {
    stream: Stream<S>,
    line: Arc<Line>,
    _place: Place,
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
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
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

/// Open connections by where they come from.
#[derive(Clone, Default)]
struct Places(Arc<Mutex<BTreeMap<IpAddr, usize>>>);

impl Places {
    /// A place, unless all or all of this source are taken.
    fn take(&self, from: IpAddr) -> Option<Place> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_the_source = taken.get(&from).copied().unwrap_or(0);
        if of_the_source >= MOST_CONNECTIONS_OF_A_SOURCE || taken.values().sum::<usize>() >= MOST_CONNECTIONS {
            return None;
        }
        taken.insert(from, of_the_source + 1);
        Some(Place { of: self.clone(), from })
    }
}

/// One place; given back when dropped.
struct Place {
    of: Places,
    from: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.of.0.lock().unwrap_or_else(PoisonError::into_inner);
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
    let (places, mut handshakes) = (Places::default(), JoinSet::new());
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
                    if let Some(place) = places.take(from.ip()) {
                        handshakes.spawn(welcome(&reception, stream, from, place, ready.clone()));
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
            let line = Arc::new(Line { from, identity: None });
            let _ = ready.send(Ok(Connection { stream: Stream::Plain(stream), line, _place: place })).await;
            return;
        };
        let stream = match tokio::time::timeout(HANDSHAKE_TIME, tls.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!(%from, %error, "a handshake failed"),
            Err(_) => return tracing::debug!(%from, "a handshake took too long"),
        };
        let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let named = leaf.and_then(|leaf| Named::read(leaf).ok());
        let identity = access.zip(named).map(|(access, named)| access.rules.identify(&named));
        let line = Arc::new(Line { from, identity });
        let _ = ready.send(Ok(Connection { stream: Stream::Tls(Box::new(stream)), line, _place: place })).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_source_has_every_place_and_places_are_given_back() {
        let (places, here, there) = (Places::default(), IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let of_one: Vec<Place> = std::iter::from_fn(|| places.take(here)).collect();
        assert_eq!(of_one.len(), MOST_CONNECTIONS_OF_A_SOURCE);
        let of_another: Vec<Place> = std::iter::from_fn(|| places.take(there)).collect();
        assert_eq!(of_another.len(), MOST_CONNECTIONS - MOST_CONNECTIONS_OF_A_SOURCE);
        drop(of_one);
        assert!(places.take(here).is_some());
        drop(of_another);
        assert!(places.0.lock().unwrap().is_empty(), "nothing is remembered of those who left");
    }
}
