//! The daemon's configuration: a file, overridden by `FAILOVERD_…` variables, validated whole.
//!
//! Every problem is told in one report. Beyond [`Config::load`] no code checks configuration again. Passwords never
//! leave this module's types through `Debug` or [`Config::dump`].

mod access;
mod dump;
mod fleet_wide;
mod read;
mod report;
mod variables;
mod watched;
mod webhooks;

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use failoverd_domain::fleet::{FleetSettings, Role, Velocity};
use failoverd_domain::ids::{FleetId, Region};
use failoverd_domain::manifest::yaml::{MAX_BYTES, Node, NodeKind, read_documents};
use failoverd_domain::manifest::{Findings, Problem};

pub use access::{Access, AccessRule, Oidc, OidcKeys};
pub use report::ConfigReport;
pub use watched::{Log, LogFormat, Traces};
pub use webhooks::{Webhook, WebhookFormat};

/// A daemon's configuration, validated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The fleet that this daemon belongs to.
    pub fleet: FleetId,
    /// Its own Region, and so its name.
    pub region: Region,
    /// Whether its Region hosts services.
    pub role: Role,
    /// Where its log and outbox live.
    pub data_dir: PathBuf,
    /// Addresses it listens on.
    pub listen: Listen,
    /// Where Route 53's checkers find its switch listener.
    pub advertise: Advertise,
    /// How its switch listener serves.
    pub switch: Switch,
    /// Every daemon of the fleet, this one included.
    pub peers: BTreeMap<Region, Peer>,
    /// History; always there for a member.
    pub database: Option<Database>,
    /// Certificates; absent only with `--dev`.
    pub tls: Option<Tls>,
    /// Who may do what, beside what certificates say by themselves.
    pub access: Access,
    /// How much may move by itself in a while, if most daemons' files say so.
    pub velocity: Option<Velocity>,
    /// How AWS is reached.
    pub aws: Aws,
    /// Rhythms.
    pub timing: Timing,
    /// Endpoints outside the fleet, by Region, that tell an isolated observer from a broken world.
    pub references: BTreeMap<Region, String>,
    /// Who is told of news outside the fleet.
    pub webhooks: Vec<Webhook>,
    /// What is logged, and how.
    pub log: Log,
    /// Where traces of runs go, if anywhere.
    pub traces: Option<Traces>,
}

/// Addresses to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Peers, status, control.
    pub grpc: SocketAddr,
    /// Route 53's checkers, and nothing else.
    pub switch: SocketAddr,
    /// Metrics, liveness, dashboard.
    pub ops: SocketAddr,
}

/// What others are told to reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertise {
    /// What Route 53 polls; `none` in a fleet without a public endpoint, whose switches go through CloudWatch.
    pub switch: Option<SwitchEndpoint>,
}

/// What Route 53 polls: stable, since it cannot be changed in an outage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchEndpoint {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Whether it is asked over TLS, which ends in front of the listener or at it.
    pub https: bool,
}

/// How the switch listener serves. A limit that is absent follows from the number of switches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Switch {
    /// Certificate and key; absent where TLS ends in front of the listener, or checkers ask over plain HTTP.
    pub tls: Option<SwitchTls>,
    /// Most open connections.
    pub max_connections: Option<u64>,
    /// Most open connections of one source address.
    pub max_connections_per_source: Option<u64>,
    /// Most requests of one source address in a second.
    pub max_requests_per_source: Option<u64>,
}

/// What the switch listener shows, PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchTls {
    /// Certificate chain.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// Another daemon, or this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Where its gRPC listener is reached.
    pub url: String,
    /// What its Region is for.
    pub role: Role,
}

/// The history's database.
#[derive(Clone, PartialEq, Eq)]
pub struct Database {
    /// With the password, if any: never to be logged.
    pub url: String,
    /// How long events are kept, milliseconds; absent: for ever.
    pub keep_ms: Option<u64>,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("url", &dump::without_password(&self.url))
            .field("keep_ms", &self.keep_ms)
            .finish()
    }
}

/// Certificates, PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// This daemon's certificate chain.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Whom it trusts.
    pub ca: PathBuf,
}

/// How AWS is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aws {
    /// One endpoint for every service, for emulators.
    pub endpoint_url: Option<String>,
    /// An endpoint per service: `route53`, `rds`, `dynamodb`, `s3`, `cloudwatch`, `sts`, `iam`.
    pub endpoints: BTreeMap<String, String>,
    /// Name servers that are asked about every zone; empty: those that Route 53 names for it.
    pub name_servers: Vec<SocketAddr>,
}

/// Rhythms, milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Between the leader's heartbeats.
    pub heartbeat_ms: u64,
    /// Silence after which a follower stands for election; at least two heartbeats.
    pub election_timeout_ms: u64,
    /// Between probes of signals that do not say their own.
    pub probe_interval_ms: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self { heartbeat_ms: 500, election_timeout_ms: 1_500, probe_interval_ms: 10_000 }
    }
}

impl Config {
    /// What this file says of the whole fleet.
    #[must_use]
    pub fn fleet_settings(&self) -> FleetSettings {
        FleetSettings { velocity: self.velocity.clone(), break_glass: self.access.break_glass.clone() }
    }

    /// Reads the file, lets variables override it, and validates the whole.
    ///
    /// # Errors
    /// Every problem in one report.
    pub fn load(path: &Path, env: impl Iterator<Item = (String, String)>) -> Result<Self, ConfigReport> {
        let file = path.display().to_string();
        let bytes = read_bounded(path)
            .map_err(|error| ConfigReport::new(vec![Problem::of_file(&file, format!("cannot be read: {error}"))]))?;
        Self::parse(&file, &bytes, env)
    }

    /// The same for text that is already here; `file` is what reports call it.
    ///
    /// # Errors
    /// Every problem in one report.
    pub fn parse(file: &str, text: &[u8], env: impl Iterator<Item = (String, String)>) -> Result<Self, ConfigReport> {
        let mut root = root_of(file, text).map_err(|problem| ConfigReport::new(vec![problem]))?;
        let findings = Findings::new(file);
        variables::override_with(&mut root, env, &findings);
        let config = read::config(&root, &findings);
        match (config, findings.into_problems()) {
            (Some(config), problems) if problems.is_empty() => Ok(config),
            (_, problems) => Err(ConfigReport::new(problems)),
        }
    }

    /// Whether it may start like this: without certificates only with `--dev`, and then on loopback only; webhooks in the
    /// clear only with `--dev`.
    ///
    /// # Errors
    /// Every reason why not.
    pub fn check_dev(&self, dev: bool) -> Result<(), ConfigReport> {
        let problem = |path: &str, message: String| Problem {
            file: "configuration".to_owned(),
            line: 0,
            path: path.to_owned(),
            message,
        };
        let plain = self.webhooks.iter().enumerate().filter(|(_, webhook)| !dev && webhook.url.starts_with("http://"));
        let mut problems: Vec<Problem> = plain
            .map(|(at, _)| {
                let message = "must begin with https://: only --dev sends news in the clear".to_owned();
                problem(&format!("webhooks[{at}].url"), message)
            })
            .collect();
        let listen = [("grpc", self.listen.grpc), ("switch", self.listen.switch), ("ops", self.listen.ops)];
        let open = listen.into_iter().filter(|(_, address)| !address.ip().is_loopback()).map(|(name, address)| {
            problem(
                &format!("listen.{name}"),
                format!("{address} is not loopback: --dev without tls listens on 127.0.0.1 only"),
            )
        });
        match (&self.tls, dev) {
            (Some(_), _) => {}
            (None, true) => problems.extend(open),
            (None, false) => {
                let message = "is missing: daemons talk over TLS; only --dev starts without, on loopback".to_owned();
                problems.push(problem("tls", message));
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(ConfigReport::new(problems)) }
    }

    /// Every daemon of the fleet and what its Region is for.
    #[must_use]
    pub fn members(&self) -> BTreeMap<Region, Role> {
        self.peers.iter().map(|(region, peer)| (region.clone(), peer.role)).collect()
    }

    /// The configuration as YAML that can be loaded again, with passwords hidden.
    #[must_use]
    pub fn dump(&self) -> String {
        dump::dump(self)
    }
}

/// Never more than the reader would take, whatever the file is.
fn read_bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The only document of a file; an empty file is an empty mapping, for variables to fill.
fn root_of(file: &str, text: &[u8]) -> Result<Node, Problem> {
    let mut documents = read_documents(file, text)?;
    documents.retain(|document| !document.is_null());
    let empty = Node { line: 1, variable: None, kind: NodeKind::Mapping(Vec::new()) };
    match documents.len() {
        0 => Ok(empty),
        1 => Ok(documents.remove(0)),
        count => Err(Problem::of_file(file, format!("has {count} documents: a configuration is one"))),
    }
}

#[cfg(test)]
mod tests;
