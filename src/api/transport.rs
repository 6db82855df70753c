//! Where connections come from, and how they are made: the system's TCP, or the network of a simulation.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

/// Bytes both ways.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> ByteStream for S {}

/// Takes connections.
pub trait Listen: Send + 'static {
    /// A connection.
    type Stream: ByteStream;

    /// The next one, and where it comes from.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;
}

impl Listen for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, from) = Self::accept(self).await?;
        // Without it, it is only slower.
        let _ = stream.set_nodelay(true);
        Ok((stream, from))
    }
}

/// Makes connections.
pub trait Reach: Clone + Send + Sync + 'static {
    /// A connection.
    type Stream: ByteStream;

    /// One to that host.
    fn reach(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// The system's TCP.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemTcp;

impl Reach for SystemTcp {
    type Stream = TcpStream;

    async fn reach(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}
