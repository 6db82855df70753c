//! One connection: a TLS handshake if so configured, then HTTP/1.1 until either end has enough.

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::desk::Desk;
use super::limits::Limits;
use super::rates::{Cells, Rates};
use super::room::Pulse;
use crate::api::reception::{Host, Sizes, speak};
use crate::telemetry::Answer;

/// Largest head of a request: line and headers. A checker's has a few hundred bytes; a load balancer adds some.
pub(super) const LARGEST_HEAD: usize = 4 * 1024;
const SIZES: Sizes = Sizes { head: LARGEST_HEAD, buffer: 8 * 1024 };
/// How long an answer under way may take when the daemon is going down.
const LAST_WORDS: Duration = Duration::from_millis(500);

impl Host for Desk {
    const LISTENER: &'static str = "switch";

    fn rates(&self) -> &Rates {
        &self.rates
    }

    fn limits(&self) -> Limits {
        Limits::of(self.table.borrow().len(), &self.fixed)
    }

    fn turned_away(&self) {
        self.meters.switch_answered(Answer::Refused);
    }

    async fn talk(self: Arc<Self>, stream: TcpStream, source: Cells, pulse: Arc<Pulse>, stop: CancellationToken) {
        match &self.tls {
            None => self.converse(stream, source, pulse, stop).await,
            Some(tls) => {
                if let Ok(stream) = TlsAcceptor::from(tls.listener()).accept(stream).await {
                    self.converse(stream, source, pulse, stop).await;
                }
            }
        }
    }
}

impl Desk {
    async fn converse(
        self: &Arc<Self>,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        source: Cells,
        pulse: Arc<Pulse>,
        stop: CancellationToken,
    ) {
        let desk = self.clone();
        let service = service_fn(move |request| {
            let response = desk.answer(source, &request);
            pulse.answered();
            ready(Ok::<_, Infallible>(response))
        });
        speak(stream, service, SIZES, LAST_WORDS, stop).await;
    }
}
