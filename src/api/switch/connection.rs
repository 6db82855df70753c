//! One connection: a TLS handshake if so configured, then HTTP/1.1 until either end has enough.

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::desk::Desk;
use super::rates::Cells;
use super::room::Pulse;

/// Largest head of a request: line and headers. A checker's has a few hundred bytes; a load balancer adds some.
pub(super) const LARGEST_HEAD: usize = 4 * 1024;
const MOST_HEADERS: usize = 64;
/// The least that hyper takes; read and write buffers of a connection never outgrow it.
const BUFFER: usize = 8 * 1024;
/// How long an answer under way may take when the daemon is going down.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What a connection is served with.
#[derive(Clone)]
pub(super) struct Conversation {
    pub(super) desk: Arc<Desk>,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) source: Cells,
    pub(super) pulse: Arc<Pulse>,
    pub(super) stop: CancellationToken,
}

impl Conversation {
    /// Until the caller leaves, breaks the protocol, or the daemon stops. How it ended concerns nobody.
    pub(super) async fn hold(self, stream: TcpStream) {
        // Without it, it is only slower.
        let _ = stream.set_nodelay(true);
        match self.tls.clone() {
            None => self.speak(stream).await,
            Some(tls) => {
                if let Ok(stream) = tls.accept(stream).await {
                    self.speak(stream).await;
                }
            }
        }
    }

    async fn speak(self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let Self { desk, source, pulse, stop, .. } = self;
        let service = service_fn(move |request| {
            let response = desk.answer(source, &request);
            pulse.answered();
            ready(Ok::<_, Infallible>(response))
        });
        let serving = http1::Builder::new()
            .max_headers(MOST_HEADERS)
            .max_header_size(LARGEST_HEAD)
            .max_buf_size(BUFFER)
            // Whoever is too slow is told to go by the room, with one timer for all.
            .header_read_timeout(None)
            .serve_connection(TokioIo::new(stream), service);
        tokio::pin!(serving);
        tokio::select! {
            _ = serving.as_mut() => {}
            () = stop.cancelled() => {
                serving.as_mut().graceful_shutdown();
                let _ = tokio::time::timeout(LAST_WORDS, serving).await;
            }
        }
    }
}
