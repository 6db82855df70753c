//! The sandbox itself: what it starts, what can be broken in it, and how it is stopped.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use failoverd_domain::fleet::{FleetSettings, Role};
use failoverd_domain::ids::{FleetId, Region};
use failoverd_domain::manifest::read_set;
use failoverd_domain::service::ServiceSpec;
use failoverd_domain::traffic::SwitchEndpoint;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::addresses::Addresses;
use super::door::{Door, Order};
use super::endpoints::ServiceEndpoint;
use super::network::{SandboxFetch, names};
use super::postgres::{PostgresError, PrivatePostgres};
use super::scratch::Scratch;
use super::world;
use crate::adapters::clock::SystemClock;
use crate::adapters::postgres::{DatabaseUrl, Limits, PostgresHistory, create_database};
use crate::api::SwitchSettings;
use crate::consensus::Disk;
use crate::daemon::{Daemon, DaemonError, Listeners, Setup};
use crate::ports::{Clock, History, SteadyClock, World};
use crate::runtime::{Supervisor, TaskKind, Timing};
use crate::sim::dns::DnsServer;
use crate::sim::wire;
use crate::sim::world::{SimulatedAws, Timing as AwsTiming, run_checkers};
use crate::telemetry::{Meters, Telemetry};

/// The Regions, members first.
pub const REGIONS: [&str; 3] = ["us-east-1", "eu-west-1", "us-west-2"];
/// The Region that only votes, observes and answers checkers.
pub const WITNESS: &str = "us-west-2";
const FLEET: &str = "sandbox";
const HEARTBEAT: Duration = Duration::from_millis(150);
const ELECTION_TIMEOUT: Duration = Duration::from_millis(350);
/// What the sandbox's AWS has in place.
pub(super) const CHECKOUT: &str = include_str!("../../examples/checkout.yaml");
const EXAMPLES: [(&str, &str); 4] = [
    ("examples/checkout.yaml", CHECKOUT),
    ("examples/active-passive.yaml", include_str!("../../examples/active-passive.yaml")),
    ("examples/orders-active-active.yaml", include_str!("../../examples/orders-active-active.yaml")),
    ("examples/serverless-ml.yaml", include_str!("../../examples/serverless-ml.yaml")),
];

/// How a sandbox is started.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it listens.
    pub addresses: Addresses,
    /// A Postgres of yours instead of a private one.
    pub database_url: Option<String>,
    /// Seed of the simulated AWS.
    pub seed: u64,
    /// What every daemon's file says of the whole fleet.
    pub fleet: FleetSettings,
}

/// Why a sandbox did not start, or something in it could not be done.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A port is taken.
    #[error("{what} cannot listen on {address}: {source} (is another sandbox running? `--port-base` moves this one)")]
    Port {
        /// What wanted it.
        what: String,
        /// Which.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// No Postgres, or it did not start.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// The database that was given cannot be used.
    #[error("database: {0}")]
    Database(String),
    /// A daemon did not start.
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    /// There is no such Region.
    #[error(
        "there is no Region {0} here: us-east-1, eu-west-1 or us-west-2 (or `route53`: that API, `postgres`: the histories)"
    )]
    NoSuchRegion(String),
    /// It has ended already.
    #[error("the daemon of {0} does not run")]
    NotRunning(Region),
    /// Anything else of this machine.
    #[error("{0}")]
    Machine(String),
}

/// The database of one member.
#[derive(Clone, Debug)]
pub struct Database {
    /// How to connect to it.
    pub url: DatabaseUrl,
    /// What to tell a person who wants to look with `psql`.
    pub shown: String,
}

/// A running sandbox.
pub struct Sandbox {
    settings: Settings,
    aws: SimulatedAws,
    clock: Arc<dyn Clock>,
    supervisor: Supervisor,
    databases: BTreeMap<Region, Database>,
    postgres: Option<PrivatePostgres>,
    folder: Scratch,
    daemons: BTreeMap<Region, Daemon>,
    endpoints: BTreeMap<Region, ServiceEndpoint>,
    door: Door,
}

/// How long three daemons may take to agree on who they are.
const FORMING: Duration = Duration::from_secs(60);

impl Sandbox {
    /// Starts everything, with the AWS resources of the examples in place and no service applied.
    ///
    /// # Errors
    /// [`SandboxError`]; whatever was started is stopped again.
    pub async fn start(settings: Settings) -> Result<Self, SandboxError> {
        let clock: Arc<dyn Clock> = Arc::new(SteadyClock::new(Arc::new(SystemClock)));
        let aws = SimulatedAws::new(clock.clone(), settings.seed, AwsTiming::brisk());
        let folder = new_folder()?;
        let (postgres, databases) = databases(&settings, folder.path()).await?;
        let mut sandbox = Self {
            aws,
            clock,
            supervisor: Supervisor::new(),
            databases,
            postgres,
            folder,
            daemons: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            door: Door::default(),
            settings,
        };
        match sandbox.populate().await {
            Ok(()) => Ok(sandbox),
            Err(error) => {
                sandbox.stop().await;
                Err(error)
            }
        }
    }

    async fn populate(&mut self) -> Result<(), SandboxError> {
        for spec in example_specs()? {
            self.aws.provision(&spec);
        }
        self.start_outside().await?;
        for region in member_regions() {
            let address = self.settings.addresses.endpoint(position(&region)?);
            let mut endpoint = ServiceEndpoint::new(region.clone(), address);
            endpoint
                .up(&self.supervisor)
                .await
                .map_err(|source| port(&format!("the endpoint of {region}"), address, source))?;
            self.endpoints.insert(region, endpoint);
        }
        for region in REGIONS {
            self.start_daemon(&Region::from(region)).await?;
        }
        self.formed().await
    }

    /// Waits until every daemon knows where checkers reach all of them: before that nobody can say what a service needs.
    async fn formed(&self) -> Result<(), SandboxError> {
        let knows = |daemon: &Daemon| {
            let state = daemon.handles().agreement.state().borrow().clone();
            state.members.len() == REGIONS.len() && state.members.values().all(|member| member.switch.is_some())
        };
        let waiting = async {
            while !self.daemons.values().all(knows) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(FORMING, waiting).await.map_err(|_| machine("the fleet does not form"))
    }

    /// What lies outside every Region: AWS's port, the name server, Route 53's checkers.
    async fn start_outside(&mut self) -> Result<(), SandboxError> {
        let listener = listen("the simulated AWS", self.settings.addresses.aws()).await?;
        let router = wire::router(&self.aws).merge(self.door.routes());
        self.supervisor.spawn(TaskKind::Listener, async move {
            if let Err(error) = std::future::IntoFuture::into_future(axum::serve(listener, router)).await {
                tracing::error!(%error, "the simulated AWS ended");
            }
        });
        let address = self.settings.addresses.dns();
        let dns = DnsServer::bind(self.aws.clone(), address).await;
        let dns = dns.map_err(|source| port("the name server", address, source))?;
        self.supervisor.spawn(TaskKind::Listener, async move {
            if let Err(error) = dns.run().await {
                tracing::error!(%error, "the name server ended");
            }
        });
        let fetch = SandboxFetch::new(names(&self.endpoint_addresses())).map_err(machine)?;
        let checkers = run_checkers(self.aws.clone(), Arc::new(fetch), Duration::from_millis(100));
        self.supervisor.spawn(TaskKind::Listener, checkers);
        Ok(())
    }

    fn endpoint_addresses(&self) -> BTreeMap<Region, SocketAddr> {
        let address = |(at, region): (usize, &str)| (Region::from(region), self.settings.addresses.endpoint(at));
        REGIONS.into_iter().enumerate().map(address).collect()
    }

    /// Starts the daemon of a Region on the disk it had.
    ///
    /// # Errors
    /// [`SandboxError`].
    pub async fn start_daemon(&mut self, region: &Region) -> Result<(), SandboxError> {
        let at = position(region)?;
        if self.daemons.contains_key(region) {
            return Ok(());
        }
        let addresses = self.settings.addresses;
        let switch = addresses.switch(at);
        let timing = Timing::fast();
        let telemetry = Telemetry::counting(self.clock.now());
        let setup = Setup {
            settings: self.settings.fleet.clone(),
            me: region.clone(),
            fleet: FleetId::new(FLEET),
            join: None,
            members: roles(),
            peers: REGIONS
                .iter()
                .enumerate()
                .map(|(at, peer)| (Region::from(*peer), format!("http://{}", addresses.grpc(at))))
                .collect(),
            advertise: Some(SwitchEndpoint { host: switch.ip().to_string(), port: switch.port(), https: false }),
            references: REGIONS.iter().map(|region| Region::from(*region)).collect(),
            listeners: Listeners {
                grpc: listen(&format!("gRPC of {region}"), addresses.grpc(at)).await?,
                switch: listen(&format!("the switch endpoint of {region}"), switch).await?,
                ops: listen(&format!("the ops endpoint of {region}"), addresses.ops(at)).await?,
            },
            switch: SwitchSettings::default(),
            secured: None,
            disk: Disk::Directory(self.folder.path().join(region.as_str())),
            world: self.world(region, timing.mutation, telemetry.meters.clone())?,
            history: self.history(region)?,
            keep: None,
            webhooks: None,
            telemetry,
            clock: self.clock.clone(),
            timing,
            heartbeat: HEARTBEAT,
            election_timeout: ELECTION_TIMEOUT,
        };
        let daemon = Daemon::start(setup).await?;
        self.daemons.insert(region.clone(), daemon);
        Ok(())
    }

    fn world(&self, region: &Region, mutation: Duration, meters: Arc<Meters>) -> Result<World, SandboxError> {
        let endpoints = self.endpoint_addresses();
        world::of(&self.aws, region, self.settings.addresses, &endpoints, mutation, meters)
            .map_err(SandboxError::Machine)
    }

    fn history(&self, region: &Region) -> Result<Option<Arc<dyn History>>, SandboxError> {
        let Some(database) = self.databases.get(region) else { return Ok(None) };
        let url = database.url.clone();
        Ok(Some(Arc::new(PostgresHistory::connect(url, FleetId::new(FLEET), Limits::default()))))
    }

    /// Orders from other processes, from now on. `None` when they are taken already.
    pub(super) fn take_orders(&self) -> Option<mpsc::Receiver<Order>> {
        self.door.open()
    }

    /// The running daemon of a Region.
    #[must_use]
    pub fn daemon(&self, region: &Region) -> Option<&Daemon> {
        self.daemons.get(region)
    }

    /// The simulated AWS.
    #[must_use]
    pub const fn aws(&self) -> &SimulatedAws {
        &self.aws
    }

    /// How it was started.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Where each member's history is.
    #[must_use]
    pub const fn databases(&self) -> &BTreeMap<Region, Database> {
        &self.databases
    }

    /// Takes a Region away: its daemon, endpoints, stores and Regional APIs; `route53` takes that API away instead,
    /// `postgres` the histories' server.
    ///
    /// # Errors
    /// There is no such Region.
    pub async fn break_region(&mut self, name: &str) -> Result<String, SandboxError> {
        if name == "route53" {
            self.aws.break_route53_api();
            return Ok("Route 53's API is away; its name servers and checkers go on".to_owned());
        }
        if name == "postgres" {
            self.private_postgres()?.halt().await;
            return Ok("Postgres is away; what it had is kept".to_owned());
        }
        let region = Region::from(name);
        position(&region)?;
        self.aws.break_region(&region);
        if let Some(endpoint) = self.endpoints.get_mut(&region) {
            endpoint.down();
        }
        self.end_daemon(&region).await;
        Ok(format!("{region} is gone: daemon, endpoints, stores and Regional APIs"))
    }

    /// Brings it back.
    ///
    /// # Errors
    /// There is no such Region, or its ports were taken meanwhile.
    pub async fn heal_region(&mut self, name: &str) -> Result<String, SandboxError> {
        if name == "route53" {
            self.aws.heal_route53_api();
            return Ok("Route 53's API is back".to_owned());
        }
        if name == "postgres" {
            self.private_postgres()?.resume().await?;
            return Ok("Postgres is back".to_owned());
        }
        let region = Region::from(name);
        let at = position(&region)?;
        self.aws.heal_region(&region);
        if let Some(endpoint) = self.endpoints.get_mut(&region) {
            let address = self.settings.addresses.endpoint(at);
            endpoint.up(&self.supervisor).await.map_err(|source| port("the endpoint", address, source))?;
        }
        self.start_daemon(&region).await?;
        Ok(format!("{region} is back"))
    }

    /// Ends a daemon where it stands; its Region lives on.
    ///
    /// # Errors
    /// There is no such Region, or no daemon runs there.
    pub async fn crash_daemon(&mut self, region: &Region) -> Result<(), SandboxError> {
        position(region)?;
        if self.end_daemon(region).await { Ok(()) } else { Err(SandboxError::NotRunning(region.clone())) }
    }

    fn private_postgres(&mut self) -> Result<&mut PrivatePostgres, SandboxError> {
        self.postgres
            .as_mut()
            .ok_or_else(|| SandboxError::Database("it is a server of yours: stop it yourself".to_owned()))
    }

    async fn end_daemon(&mut self, region: &Region) -> bool {
        let Some(daemon) = self.daemons.remove(region) else { return false };
        daemon.crash().await;
        true
    }

    /// Stops everything and removes what it kept on disk.
    pub async fn stop(mut self) {
        let daemons = std::mem::take(&mut self.daemons);
        futures_util::future::join_all(daemons.into_values().map(Daemon::crash)).await;
        self.supervisor.stop(Duration::from_secs(2)).await;
        if let Some(postgres) = self.postgres.take() {
            postgres.stop().await;
        }
    }
}

pub(super) fn roles() -> BTreeMap<Region, Role> {
    let role = |region: &str| if region == WITNESS { Role::Witness } else { Role::Member };
    REGIONS.into_iter().map(|region| (Region::from(region), role(region))).collect()
}

fn member_regions() -> impl Iterator<Item = Region> {
    REGIONS.into_iter().filter(|region| *region != WITNESS).map(Region::from)
}

fn example_specs() -> Result<Vec<ServiceSpec>, SandboxError> {
    let mut specs = Vec::new();
    for (name, text) in EXAMPLES {
        // Each for itself: a table may be in two of them.
        let read = read_set([(name, text.as_bytes())], &roles(), &[]).map_err(|problems| {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            SandboxError::Machine(problems.join("\n"))
        });
        specs.extend(read?.services);
    }
    Ok(specs)
}

fn position(region: &Region) -> Result<usize, SandboxError> {
    let at = REGIONS.into_iter().position(|known| known == region.as_str());
    at.ok_or_else(|| SandboxError::NoSuchRegion(region.to_string()))
}

async fn databases(
    settings: &Settings,
    folder: &Path,
) -> Result<(Option<PrivatePostgres>, BTreeMap<Region, Database>), SandboxError> {
    let name = |region: &Region| format!("failoverd_sandbox_{}", region.as_str().replace('-', "_"));
    let mut urls = BTreeMap::new();
    if let Some(url) = &settings.database_url {
        let url: DatabaseUrl = url.parse().map_err(|error| SandboxError::Database(format!("{error}")))?;
        for region in member_regions() {
            let created = create_database(&url, &name(&region)).await;
            created.map_err(|error| SandboxError::Database(error.to_string()))?;
            let shown = format!("database {} on your server", name(&region));
            urls.insert(region.clone(), Database { url: url.database(&name(&region)), shown });
        }
        return Ok((None, urls));
    }
    let wanted = settings.addresses.postgres();
    let port = TcpListener::bind(wanted).await.map_or(0, |_free| wanted.port());
    let postgres = PrivatePostgres::start(folder, port).await?;
    for region in member_regions() {
        let shown = postgres.database(&name(&region)).await?;
        let url = shown.parse().map_err(|error| SandboxError::Database(format!("{error}")))?;
        urls.insert(region.clone(), Database { url, shown });
    }
    Ok((Some(postgres), urls))
}

fn new_folder() -> Result<Scratch, SandboxError> {
    let parent = std::env::temp_dir();
    let failed = |error| SandboxError::Machine(format!("no folder can be made in {}: {error}", parent.display()));
    Scratch::create(&parent, "failoverd-sandbox-").map_err(failed)
}

async fn listen(what: &str, address: SocketAddr) -> Result<TcpListener, SandboxError> {
    TcpListener::bind(address).await.map_err(|source| port(what, address, source))
}

fn port(what: &str, address: SocketAddr, source: std::io::Error) -> SandboxError {
    SandboxError::Port { what: what.to_owned(), address, source }
}

fn machine(error: impl std::fmt::Display) -> SandboxError {
    SandboxError::Machine(error.to_string())
}
