//! Connects to a peer over TLS, with whatever certificate is the newest when the connection is made.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tonic::transport::Uri;
use tower_service::Service;

use super::LiveTls;

/// Where a peer's URL does not say its port.
const DEFAULT_PORT: u16 = 443;

/// Makes connections to one peer.
pub struct Dial {
    tls: LiveTls,
}

impl Dial {
    /// With these certificates.
    #[must_use]
    pub const fn new(tls: LiveTls) -> Self {
        Self { tls }
    }
}

impl Service<Uri> for Dial {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let connector = TlsConnector::from(self.tls.caller());
        Box::pin(async move {
            let host = to.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
            let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
            let stream = TcpStream::connect((host.as_str(), to.port_u16().unwrap_or(DEFAULT_PORT))).await?;
            stream.set_nodelay(true)?;
            Ok(TokioIo::new(connector.connect(name, stream).await?))
        })
    }
}
