//! The gRPC listener: every service, health, reflection and gRPC-Web on one port.

use std::future::Future;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::server::HealthReporter;
use tonic_web::GrpcWebLayer;

use super::control::ControlApi;
use super::counted::CountedLayer;
use super::peer::PeerApi;
use super::peer_client::PEER_MESSAGE_LIMIT;
use super::proto::DESCRIPTORS;
use super::proto::control_service_server::ControlServiceServer;
use super::proto::peer_service_server::PeerServiceServer;
use super::proto::status_service_server::StatusServiceServer;
use super::status::StatusApi;
use super::{Handles, TlsPem};
use crate::ports::Leadership;

/// Largest request of a user.
pub const MESSAGE_LIMIT: usize = 4 * 1024 * 1024;

/// Why the listener ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The TLS texts cannot be used, or the transport failed.
    #[error("grpc listener failed")]
    Transport(#[from] tonic::transport::Error),
    /// The descriptors of the protos cannot be read: a defect of the build.
    #[error("reflection cannot be served")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// Serves until `stop` is cancelled; then streams end, answers under way are finished, and it returns.
///
/// # Errors
/// [`ServeError`].
pub async fn serve(
    listener: TcpListener,
    handles: Handles,
    tls: Option<TlsPem>,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    let (reporter, health) = tonic_health::server::health_reporter();
    let leadership = handles.agreement.leadership();
    let mut server = Server::builder().accept_http1(true).tcp_nodelay(true);
    if let Some(tls) = &tls {
        server = server.tls_config(tls.server())?;
    }
    let router = server
        .layer(GrpcWebLayer::new())
        .layer(CountedLayer(handles.telemetry.meters.clone()))
        .add_service(health)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?)
        .add_service(
            StatusServiceServer::new(StatusApi::new(handles.clone(), stop.clone()))
                .max_decoding_message_size(MESSAGE_LIMIT),
        )
        .add_service(
            ControlServiceServer::new(ControlApi::new(handles.clone())).max_decoding_message_size(MESSAGE_LIMIT),
        )
        .add_service(
            PeerServiceServer::new(PeerApi::new(handles))
                .max_decoding_message_size(PEER_MESSAGE_LIMIT)
                .max_encoding_message_size(PEER_MESSAGE_LIMIT),
        );
    let serving = router.serve_with_incoming_shutdown(TcpIncoming::from(listener), stop.cancelled_owned());
    with_health(serving, leadership, reporter).await.map_err(ServeError::from)
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

/// Runs the listener, and keeps `grpc.health.v1` true to whether this daemon has caught up.
async fn with_health<T>(
    serving: impl Future<Output = T>,
    leadership: watch::Receiver<Leadership>,
    reporter: HealthReporter,
) -> T {
    tokio::pin!(serving);
    tokio::select! {
        ended = &mut serving => ended,
        () = follow(leadership, reporter) => serving.await,
    }
}

/// Returns when the daemon is going down.
async fn follow(mut leadership: watch::Receiver<Leadership>, reporter: HealthReporter) {
    reporter.set_serving::<PeerServiceServer<PeerApi>>().await;
    loop {
        let caught_up = leadership.borrow_and_update().caught_up;
        if caught_up {
            reporter.set_serving::<StatusServiceServer<StatusApi>>().await;
            reporter.set_serving::<ControlServiceServer<ControlApi>>().await;
        } else {
            reporter.set_not_serving::<StatusServiceServer<StatusApi>>().await;
            reporter.set_not_serving::<ControlServiceServer<ControlApi>>().await;
        }
        if leadership.changed().await.is_err() {
            return;
        }
    }
}
