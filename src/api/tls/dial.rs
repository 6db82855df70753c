//! Connects to a daemon over TLS: peers with whatever certificate is the newest when the connection is made, the command
//! line so that it learns whether its certificate is taken.

use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use tonic::transport::{Channel, Endpoint, Uri};
use tower_service::Service;

use super::{CallerPem, LiveTls};
use crate::api::transport::{Reach, SystemTcp};

/// Where a URL does not say its port.
const DEFAULT_PORT: u16 = 443;

type Connecting<T> = Pin<Box<dyn Future<Output = io::Result<TokioIo<T>>> + Send>>;

async fn reach<R: Reach>(over: R, to: Uri, config: Arc<ClientConfig>) -> io::Result<TlsStream<R::Stream>> {
    let host = to.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
    let stream = over.reach(&host, to.port_u16().unwrap_or(DEFAULT_PORT)).await?;
    TlsConnector::from(config).connect(name, stream).await
}

/// Makes connections to one peer.
pub struct Dial<R> {
    tls: LiveTls,
    over: R,
}

impl<R: Reach> Dial<R> {
    /// With these certificates, over that network.
    #[must_use]
    pub const fn new(tls: LiveTls, over: R) -> Self {
        Self { tls, over }
    }
}

impl<R: Reach> Service<Uri> for Dial<R> {
    type Response = TokioIo<TlsStream<R::Stream>>;
    type Error = io::Error;
    type Future = Connecting<TlsStream<R::Stream>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let (config, over) = (self.tls.caller(), self.over.clone());
        Box::pin(async move { Ok(TokioIo::new(reach(over, to, config).await?)) })
    }
}

/// How every connection of HTTP/2 begins: RFC 9113, section 3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Makes a connection that is known to be taken. In TLS 1.3 a caller's handshake is over before its certificate is judged, and
/// what is sent meanwhile may hide the verdict. So the preface goes ahead, and what answers it is waited for.
struct Knock {
    config: Arc<ClientConfig>,
}

impl Service<Uri> for Knock {
    type Response = TokioIo<Answered>;
    type Error = io::Error;
    type Future = Connecting<Answered>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let config = self.config.clone();
        Box::pin(async move {
            let mut stream = reach(SystemTcp, to, config).await?;
            stream.write_all(PREFACE).await?;
            stream.flush().await?;
            let first = stream.read_u8().await?;
            Ok(TokioIo::new(Answered { first: Some(first), sent: PREFACE.len(), stream }))
        })
    }
}

/// A connection whose other end has spoken.
struct Answered {
    first: Option<u8>,
    /// Bytes of the preface that whoever uses the connection has yet to write, and that are there already.
    sent: usize,
    stream: TlsStream<TcpStream>,
}

impl AsyncRead for Answered {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buffer.remaining() > 0
            && let Some(first) = self.first.take()
        {
            buffer.put_slice(&[first]);
            return Poll::Ready(Ok(()));
        }
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Answered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.sent > 0 && !bytes.is_empty() {
            let again = self.sent.min(bytes.len());
            self.sent -= again;
            return Poll::Ready(Ok(again));
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl CallerPem {
    /// Connects to a daemon at an `https://` URL, and waits until it has taken the certificate; `with` sets what else holds for
    /// the connection.
    ///
    /// # Errors
    /// A URL or texts that cannot be used, nobody there, or a certificate that is not taken: rustls's words are among the
    /// causes.
    pub async fn connect(
        &self,
        url: &str,
        with: impl Fn(Endpoint) -> Endpoint,
    ) -> Result<Channel, Box<dyn Error + Send + Sync>> {
        let origin: Uri = url.parse()?;
        let plain = Endpoint::from_shared(url.replacen("https://", "http://", 1))?;
        let knock = Knock { config: Arc::new(self.config()?) };
        Ok(with(plain).origin(origin).connect_with_connector(knock).await?)
    }
}
