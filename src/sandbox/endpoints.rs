//! The services' endpoint in a Region: a small HTTP server that is there or is not.

use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use failoverd_domain::ids::Region;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::runtime::{Supervisor, TaskKind};

/// The endpoint of one Region.
pub(super) struct ServiceEndpoint {
    region: Region,
    address: SocketAddr,
    serving: Option<CancellationToken>,
}

impl ServiceEndpoint {
    /// Not listening yet.
    pub(super) const fn new(region: Region, address: SocketAddr) -> Self {
        Self { region, address, serving: None }
    }

    /// Listens, unless it does already.
    ///
    /// # Errors
    /// The port is taken.
    pub(super) async fn up(&mut self, supervisor: &Supervisor) -> std::io::Result<()> {
        if self.serving.is_some() {
            return Ok(());
        }
        let listener = TcpListener::bind(self.address).await?;
        let stop = CancellationToken::new();
        self.serving = Some(stop.clone());
        let text = format!("checkout serves from {}\n", self.region);
        let router = Router::new().route("/healthz", get(move || std::future::ready(text.clone())));
        supervisor.spawn(TaskKind::Listener, async move {
            tokio::select! {
                // Dropping the server closes every connection, as a Region that vanishes would.
                _ = std::future::IntoFuture::into_future(axum::serve(listener, router)) => {}
                () = stop.cancelled() => {}
            }
            std::future::pending::<()>().await;
        });
        Ok(())
    }

    /// Gone.
    pub(super) fn down(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.cancel();
        }
    }
}
