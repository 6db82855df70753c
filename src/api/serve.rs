//! The gRPC listener: every service, health, reflection and gRPC-Web on one port.

use std::future::Future;
use std::time::Duration;

use failoverd_domain::sabotage::{self, Sabotage};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic_health::server::HealthReporter;
use tonic_web::GrpcWebLayer;

use super::accept::{Reception, receive};
use super::access::Access;
use super::access::door::DoorLayer;
use super::control::ControlApi;
use super::counted::CountedLayer;
use super::fleet::FleetApi;
use super::glass::{self, BreakGlassApi};
use super::peer::PeerApi;
use super::peer_client::PEER_MESSAGE_LIMIT;
use super::proto::DESCRIPTORS;
use super::proto::break_glass_service_server::BreakGlassServiceServer;
use super::proto::control_service_server::ControlServiceServer;
use super::proto::fleet_service_server::FleetServiceServer;
use super::proto::peer_service_server::PeerServiceServer;
use super::proto::status_service_server::StatusServiceServer;
use super::status::StatusApi;
use super::transport::Listen;
use super::{Handles, LiveTls};
use crate::ports::Leadership;

/// Largest request of a user.
pub const MESSAGE_LIMIT: usize = 4 * 1024 * 1024;
/// Largest question: what nobody's right to change anything stands behind must not take much memory, 256 times a connection.
const QUESTION_LIMIT: usize = 64 * 1024;
/// Largest question about health, which is open to everybody: it has the name of a service.
const HEALTH_LIMIT: usize = 1_024;

/// Most calls at once on one connection.
const MOST_STREAMS: u32 = 256;
/// Largest head of a call: a token is the largest part of it.
const LARGEST_HEAD: u32 = 32 * 1024;
/// Most streams that a caller may have opened and given up before the daemon looked at them.
const MOST_RESETS: usize = 64;
/// A connection that says nothing for this long is asked whether anybody is there …
const QUIET: Duration = Duration::from_secs(30);
/// … and closed when there is no answer for this long.
const NO_ANSWER: Duration = Duration::from_secs(10);
/// Connections that have said who they are and wait to be served.
const WAITING: usize = 16;

/// How a listener knows its callers.
#[derive(Clone, Debug)]
pub struct Secured {
    /// Certificates.
    pub tls: LiveTls,
    /// Who may do what.
    pub access: Access,
}

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
pub async fn serve<L: Listen>(
    listener: L,
    handles: Handles,
    secured: Option<Secured>,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    let (reporter, health) = tonic_health::server::health_reporter();
    let leadership = handles.agreement.leadership();
    let server = Server::builder()
        .accept_http1(true)
        .max_concurrent_streams(MOST_STREAMS)
        .http2_max_header_list_size(LARGEST_HEAD)
        .http2_max_pending_accept_reset_streams(Some(MOST_RESETS))
        .http2_keepalive_interval(Some(QUIET).filter(|_| !sabotage::is(Sabotage::WaitForEver)))
        .http2_keepalive_timeout(Some(NO_ANSWER));
    let (access, tls) = secured.map(|secured| (secured.access, secured.tls)).unzip();
    let router = server
        .layer(GrpcWebLayer::new())
        // What the door refuses is counted as well.
        .layer(CountedLayer(handles.telemetry.meters.clone()))
        .layer(DoorLayer::new(access.clone(), handles.clock.clone()))
        .add_service(health.max_decoding_message_size(HEALTH_LIMIT))
        .add_service(reflection().build_v1()?.max_decoding_message_size(QUESTION_LIMIT))
        .add_service(reflection().build_v1alpha()?.max_decoding_message_size(QUESTION_LIMIT))
        .add_service(
            StatusServiceServer::new(StatusApi::new(handles.clone(), stop.clone()))
                .max_decoding_message_size(QUESTION_LIMIT),
        )
        .add_service(
            ControlServiceServer::new(ControlApi::new(handles.clone())).max_decoding_message_size(MESSAGE_LIMIT),
        )
        .add_service(FleetServiceServer::new(FleetApi::new(handles.clone())).max_decoding_message_size(MESSAGE_LIMIT))
        .add_service(
            BreakGlassServiceServer::new(BreakGlassApi::new(handles.clone()))
                .max_decoding_message_size(2 * glass::LARGEST),
        )
        .add_service(
            PeerServiceServer::new(PeerApi::new(handles))
                .max_decoding_message_size(PEER_MESSAGE_LIMIT)
                .max_encoding_message_size(PEER_MESSAGE_LIMIT),
        );
    let (ready, received) = mpsc::channel(WAITING);
    let serving = router.serve_with_incoming_shutdown(ReceiverStream::new(received), stop.cancelled_owned());
    let serving = with_health(serving, leadership, reporter);
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = &mut serving => ended,
        // Nobody takes callers any more: what is under way is finished.
        () = receive(listener, Reception { tls, access }, ready) => serving.await,
    };
    ended.map_err(ServeError::from)
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
            reporter.set_serving::<BreakGlassServiceServer<BreakGlassApi>>().await;
        } else {
            reporter.set_not_serving::<StatusServiceServer<StatusApi>>().await;
            reporter.set_not_serving::<ControlServiceServer<ControlApi>>().await;
            reporter.set_not_serving::<BreakGlassServiceServer<BreakGlassApi>>().await;
        }
        if leadership.changed().await.is_err() {
            return;
        }
    }
}
