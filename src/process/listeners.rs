//! Binds the daemon's sockets, and says which one could not be had.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::refusal::Refusal;
use crate::config::Listen;
use crate::daemon::Listeners;

/// All three sockets, or the first that cannot be had.
///
/// # Errors
/// [`Refusal::Listen`], with listener and address.
pub async fn bind(listen: &Listen) -> Result<Listeners, Refusal> {
    Ok(Listeners {
        grpc: one("grpc", listen.grpc).await?,
        switch: one("switch", listen.switch).await?,
        ops: one("ops", listen.ops).await?,
    })
}

async fn one(listener: &'static str, address: SocketAddr) -> Result<TcpListener, Refusal> {
    let refused = |cause: io::Error| Refusal::Listen { listener, address, cause };
    let bound = TcpListener::bind(address).await.map_err(refused)?;
    let local = bound.local_addr().map_err(refused)?;
    tracing::info!(listener, address = %local, "listening");
    Ok(bound)
}
