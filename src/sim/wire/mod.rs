//! The simulated AWS on AWS's own protocols: every service and Region on one HTTP port.
//!
//! The SDK, boto3 and the AWS CLI talk to it as to AWS. Region and service are those that a request is signed for; when it
//! was signed is judged, the signature itself is not, as nothing here is secret. What a service does is in the world; here is
//! only how it is asked and how it answers.

mod answer;
mod api;
mod cloudwatch;
mod door;
mod dynamodb;
mod faults;
mod iam;
mod query;
mod rds;
mod request;
mod route53;
mod s3;
mod sts;
mod xml;

use std::net::SocketAddr;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use tokio::net::TcpListener;

pub use request::caller_key;

use super::world::SimulatedAws;

/// The simulated AWS, as a router: AWS's own calls on every path, and `/_sim/…` for whoever breaks things.
pub fn router(aws: &SimulatedAws) -> Router {
    let calls = Router::new().fallback(answer_call).with_state(aws.clone());
    calls.merge(faults::routes(aws))
}

async fn answer_call(State(aws): State<SimulatedAws>, request: Request) -> Response {
    door::pass(&aws, request).await
}

/// An instant as AWS writes it in XML and JSON.
fn time_text(at: failoverd_domain::time::Timestamp) -> String {
    let instant = i64::try_from(at.0).ok().and_then(chrono::DateTime::from_timestamp_millis).unwrap_or_default();
    instant.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

/// An instant as HTTP's headers write it.
fn http_time(ms: u64) -> String {
    let instant = i64::try_from(ms).ok().and_then(chrono::DateTime::from_timestamp_millis).unwrap_or_default();
    instant.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// The simulated AWS on a port of its own.
pub struct WireServer {
    listener: TcpListener,
    aws: SimulatedAws,
}

impl WireServer {
    /// Binds the port.
    ///
    /// # Errors
    /// It cannot be had.
    pub async fn bind(aws: SimulatedAws, address: SocketAddr) -> std::io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address).await?, aws })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves for ever.
    ///
    /// # Errors
    /// The listener failed.
    pub async fn run(self) -> std::io::Result<()> {
        axum::serve(self.listener, router(&self.aws)).await
    }
}
