//! The connection to a daemon: several are tried in turn, and the caller's name goes along.

use std::error::Error;
use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use super::Failure;
use super::failure::{WHO_ARE_YOU, is_turned_away};
use crate::api::CallerPem;
use crate::api::proto::break_glass_service_client::BreakGlassServiceClient;
use crate::api::proto::control_service_client::ControlServiceClient;
use crate::api::proto::fleet_service_client::FleetServiceClient;
use crate::api::proto::status_service_client::StatusServiceClient;

/// Metadata key of the caller's name.
const ACTOR_KEY: &str = "x-failoverd-actor";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Longer than a daemon looks for a leader, so that its answer arrives.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
const MESSAGE_LIMIT: usize = 64 * 1024 * 1024;

type Named = InterceptedService<Channel, CallerName>;

/// A connection to one daemon.
#[derive(Clone)]
pub struct Client {
    /// Reads.
    pub status: StatusServiceClient<Named>,
    /// Changes.
    pub control: ControlServiceClient<Named>,
    /// Signed requests.
    pub glass: BreakGlassServiceClient<Named>,
    /// The daemons themselves.
    pub fleet: FleetServiceClient<Named>,
    /// The daemon's URL.
    pub server: String,
}

impl Client {
    /// Connects to the first of `servers` that takes a connection.
    ///
    /// # Errors
    /// What each of them said.
    pub async fn connect(
        servers: &[String],
        tls: Option<&CallerPem>,
        token: Option<&str>,
        timeout: Option<Duration>,
    ) -> Result<Self, Failure> {
        let (mut tried, mut turned_away) = (Vec::new(), false);
        let caller = CallerName::from_environment().with_token(token)?;
        for server in servers {
            match connect_one(server, tls, timeout.unwrap_or(ANSWER_TIMEOUT)).await {
                Ok(channel) => return Ok(Self::over(channel, server, caller)),
                Err(error) => {
                    turned_away |= is_turned_away(error.as_ref());
                    tried.push(format!("{server}: {}", innermost(error.as_ref())));
                }
            }
        }
        if turned_away {
            return Err(Failure { details: tried, ..Failure::new(4, "the daemons do not take this certificate") }
                .hint(WHO_ARE_YOU));
        }
        let hint = "is the fleet up? For one on this machine: `failoverctl sandbox up`; for yours: --server URL or \
                    FAILOVERCTL_SERVER";
        Err(Failure { details: tried, ..Failure::new(1, "no daemon answers").hint(hint) })
    }

    fn over(channel: Channel, server: &str, caller: CallerName) -> Self {
        let named = InterceptedService::new(channel, caller);
        Self {
            status: StatusServiceClient::new(named.clone()).max_decoding_message_size(MESSAGE_LIMIT),
            glass: BreakGlassServiceClient::new(named.clone()),
            control: ControlServiceClient::new(named.clone()).max_decoding_message_size(MESSAGE_LIMIT),
            fleet: FleetServiceClient::new(named).max_decoding_message_size(MESSAGE_LIMIT),
            server: server.to_owned(),
        }
    }
}

async fn connect_one(
    server: &str,
    tls: Option<&CallerPem>,
    timeout: Duration,
) -> Result<Channel, Box<dyn Error + Send + Sync>> {
    let settled = |endpoint: Endpoint| {
        endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(timeout)
            .http2_keep_alive_interval(Duration::from_secs(5))
            .keep_alive_timeout(Duration::from_secs(5))
    };
    match tls {
        Some(tls) if server.starts_with("https://") => tls.connect(server, settled).await,
        _ => Ok(settled(Endpoint::from_shared(server.to_owned())?).connect().await?),
    }
}

/// The cause that says most.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut cause: &dyn Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// Puts the caller's name on every request; daemons with TLS go by the certificate instead.
#[derive(Clone)]
pub struct CallerName {
    name: Option<MetadataValue<Ascii>>,
    token: Option<MetadataValue<Ascii>>,
}

impl CallerName {
    fn from_environment() -> Self {
        let name = std::env::var("FAILOVERCTL_ACTOR").ok().or_else(|| {
            let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).ok()?;
            let host = std::env::var("HOSTNAME").or_else(|_| std::fs::read_to_string("/etc/hostname")).ok();
            Some(host.map_or_else(|| user.clone(), |host| format!("{user}@{}", host.trim())))
        });
        Self { name: name.and_then(|name| name.parse().ok()), token: None }
    }

    /// With a bearer token, which nothing that is printed shows.
    fn with_token(self, token: Option<&str>) -> Result<Self, Failure> {
        let Some(token) = token else { return Ok(self) };
        let value: Result<MetadataValue<Ascii>, _> = format!("Bearer {token}").parse();
        let mut value = value.map_err(|_| Failure::usage("the token has characters that no token has"))?;
        value.set_sensitive(true);
        Ok(Self { token: Some(value), ..self })
    }
}

impl Interceptor for CallerName {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(name) = &self.name {
            request.metadata_mut().insert(ACTOR_KEY, name.clone());
        }
        if let Some(token) = &self.token {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}
