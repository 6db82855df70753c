//! What a scenario plays on: three daemons as processes, their links, the AWS they reach, and one service that moves.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use failoverd::adapters::clock::SystemClock;
use failoverd::adapters::probe::HttpFetch;
use failoverd::api::proto::{
    ApplyRequest, FailoverRequest, GetRunRequest, ManifestFile, Phase, Run, RunState, Service, StepState,
};
use failoverd::sim::dns::DnsServer;
use failoverd::sim::wire::{WireServer, caller_key};
use failoverd::sim::world::{EffectRecord, Resolution, SimulatedAws, Timing, run_checkers};
use failoverd_domain::fleet::Role;
use failoverd_domain::ids::Region;
use failoverd_domain::manifest::read_set;
use failoverd_domain::route53::RecordType;
use rustix::process::Signal;
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::JoinSet;

use super::links::Links;
use crate::aws::end_to_end::{Checkers, Endpoints, manifest};
use crate::process::bound::{seconds, within};
use crate::process::databases::{self, Databases};
use crate::process::fleet::{Daemon, Fleet, MEMBERS, Ports, REGIONS, failoverd};
use crate::process::security::authority::Authority;
use crate::process::security::{NO_DATABASE, Secured};

pub const SERVICE: &str = "shop";
pub const US: &str = REGIONS[0];
pub const EU: &str = REGIONS[1];
/// For a new leader; the machine may be busy, and a connection that only looks alive is given up after 8 s.
pub const ELECTED_WITHIN: Duration = seconds(40);
/// For a run, and for settlement.
pub const PATIENCE: Duration = seconds(300);

/// Everything of a scenario. Dropped, the daemons are killed.
pub struct Stage {
    pub secured: Secured,
    pub authority: Authority,
    /// Between daemons.
    pub links: Links,
    /// From all daemons to their histories.
    pub databases: Links,
    pub aws: SimulatedAws,
    pub endpoints: Endpoints,
    /// Changes that were acknowledged.
    pub acknowledged: Vec<u64>,
    /// Runs that were begun.
    pub runs: Vec<String>,
    /// Whether members have histories; else what happened is asked of the daemons alone.
    pub has_databases: bool,
    environment: BTreeMap<String, String>,
    place: Place,
    _shared: Option<Arc<Databases>>,
    _alone: MutexGuard<'static, ()>,
    _serving: JoinSet<()>,
}

/// Three daemons are work enough for a small machine that runs other tests beside.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// Where everything listens.
pub struct Place {
    /// This test: AWS, its name server, endpoints.
    pub outside: Ipv4Addr,
    /// The daemons.
    pub hosts: [Ipv4Addr; 3],
    /// What each is started by, if not by this process itself.
    pub starters: [Vec<String>; 3],
    /// Whether their links go through proxies, and they have databases; else their network is somebody else's.
    pub is_proxied: bool,
}

impl Place {
    const fn here() -> Self {
        let here = Ipv4Addr::LOCALHOST;
        Self { outside: here, hosts: [here; 3], starters: [Vec::new(), Vec::new(), Vec::new()], is_proxied: true }
    }
}

impl Stage {
    /// Formed, with a service that serves from us-east-1 and could move.
    pub async fn set() -> Self {
        Self::set_at(Place::here()).await
    }

    pub async fn set_at(place: Place) -> Self {
        let mut stage = Self::prepared(place).await;
        for at in 0..REGIONS.len() {
            stage.start(at);
        }
        stage.apply().await;
        stage
    }

    async fn prepared(place: Place) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let alone = ONE_AT_A_TIME.lock().await;
        let mut serving = JoinSet::new();
        let timing = Timing { dns_propagation_ms: 200, ..Timing::brisk() };
        let aws = SimulatedAws::new(Arc::new(SystemClock), 7, timing);
        let (endpoint, name_server) = aws_on(&aws, place.outside, &mut serving).await;

        let shared = place.is_proxied.then(databases::shared);
        let unique = format!("faults_{}_{}", std::process::id(), name_server.port());
        let (mut urls, mut orders) = (MEMBERS.map(|_| NO_DATABASE.to_owned()).to_vec(), String::new());
        if let Some(shared) = &shared {
            for member in MEMBERS {
                urls[member] = shared.new_database(&format!("{unique}_{}", REGIONS[member])).await;
            }
            orders = shared.new_database(&format!("{unique}_orders")).await;
        }
        let authority = Authority::new("the fleet's");
        let mut secured = Secured::new(&authority, &urls, "");
        for (daemon, host) in secured.fleet.daemons.iter_mut().zip(place.hosts) {
            daemon.host = host;
        }
        secured.lay(&authority);
        let identity = secured.identity("carol");
        secured.fleet.daemons.iter_mut().for_each(|daemon| daemon.tls = Some(identity.clone()));
        let grpc: Vec<u16> = secured.fleet.daemons.iter().map(|daemon| daemon.ports.grpc).collect();
        let links = Links::between(&grpc).await;
        // Number 1 is the server of databases, and nobody is number 0.
        let databases = Links::between(&[1, port_of(&urls[0])]).await;
        let environment = BTreeMap::from([
            ("FAILOVERD_LOG".to_owned(), "info".to_owned()),
            ("FAILOVERD_AWS__ENDPOINT_URL".to_owned(), endpoint),
            ("FAILOVERD_AWS__NAME_SERVERS".to_owned(), format!("[{name_server}]")),
            ("AWS_SECRET_ACCESS_KEY".to_owned(), "simulated".to_owned()),
            ("ORDERS_DSN".to_owned(), format!("{orders}&application_name={{region}}")),
        ]);
        let stage = Self {
            has_databases: place.is_proxied,
            endpoints: Endpoints::up_on(place.outside).await,
            acknowledged: Vec::new(),
            runs: Vec::new(),
            secured,
            authority,
            links,
            databases,
            aws,
            environment,
            place,
            _shared: shared,
            _alone: alone,
            _serving: serving,
        };
        stage.lay_links(port_of(&urls[0]));
        stage
    }

    /// Tells the daemons where they and the others are: behind proxies, or at addresses of their own.
    fn lay_links(&self, database: u16) {
        for (me, daemon) in self.fleet().daemons.iter().enumerate() {
            let mut text = std::fs::read_to_string(&daemon.config).unwrap();
            let mut put = |from: String, to: String| text = text.replace(&from, &to);
            if self.place.is_proxied {
                for other in (0..REGIONS.len()).filter(|other| *other != me) {
                    let (direct, proxied) = (self.at(other).ports.grpc, self.links.port(me, other));
                    put(format!("https://127.0.0.1:{direct}'"), format!("https://127.0.0.1:{proxied}'"));
                }
                let proxied = self.databases.port(0, 1);
                put(format!("127.0.0.1:{database}/"), format!("127.0.0.1:{proxied}/"));
            } else {
                for other in &self.fleet().daemons {
                    let Ports { grpc, switch, ops } = other.ports;
                    for port in [grpc, switch, ops] {
                        put(format!("127.0.0.1:{port}"), format!("{}:{port}", other.host));
                    }
                }
                put("host: 127.0.0.1".to_owned(), format!("host: {}", daemon.host));
            }
            std::fs::write(&daemon.config, text).unwrap();
        }
    }

    async fn apply(&mut self) {
        let text = manifest(self.endpoints.port).replace("127.0.0.1", &self.place.outside.to_string());
        let text = if self.has_databases { text } else { text.replace("      canary: { dsn_env: ORDERS_DSN }\n", "") };
        let roles: BTreeMap<Region, Role> = (REGIONS.iter().enumerate())
            .map(|(at, region)| ((*region).into(), if MEMBERS.contains(&at) { Role::Member } else { Role::Witness }))
            .collect();
        let read = read_set([("shop.yaml", text.as_bytes())], &roles, &[]).unwrap();
        self.aws.provision(&read.services[0]);
        self.leader_among(&[0, 1, 2]).await;
        let file = ManifestFile { name: "shop.yaml".to_owned(), content: text.clone().into_bytes() };
        let request = || ApplyRequest { files: vec![file.clone()], ..ApplyRequest::default() };
        let applied = within(seconds(60), "the manifest is taken", || async {
            Some(self.at(0).control().apply(request()).await.ok()?.into_inner().revision)
        })
        .await;
        self.acknowledged.push(applied);
        within(PATIENCE, "the service is settled", || async { self.is_steady(0).await.then_some(()) }).await;
    }

    pub fn at(&self, at: usize) -> &Daemon {
        &self.secured.fleet.daemons[at]
    }

    pub fn at_mut(&mut self, at: usize) -> &mut Daemon {
        &mut self.secured.fleet.daemons[at]
    }

    pub const fn fleet(&self) -> &Fleet {
        &self.secured.fleet
    }

    /// What a daemon is started with.
    pub fn command(&self, at: usize) -> Command {
        let daemon = failoverd();
        let mut command = match self.place.starters[at].as_slice() {
            [] => daemon,
            [program, arguments @ ..] => {
                let mut starter = Command::new(program);
                starter.args(arguments).arg(daemon.get_program()).stdin(Stdio::null());
                starter
            }
        };
        command.arg("--config").arg(&self.at(at).config).envs(&self.environment);
        command.env("AWS_ACCESS_KEY_ID", caller_key(&REGIONS[at].into()));
        command
    }

    pub fn start(&mut self, at: usize) {
        let command = self.command(at);
        self.at_mut(at).start_as(command);
    }

    /// Whoever all of these take for the leader, and who is one of them.
    pub async fn leader_among(&self, voters: &[usize]) -> usize {
        within(ELECTED_WITHIN, &format!("{voters:?} agree on a leader among them"), || self.agreed_among(voters)).await
    }

    async fn agreed_among(&self, voters: &[usize]) -> Option<usize> {
        let mut leaders = Vec::new();
        for voter in voters {
            leaders.push(self.at(*voter).seen().await?.answered?.leader?);
        }
        leaders.dedup();
        let [leader] = leaders.as_slice() else { return None };
        let leader = REGIONS.iter().position(|region| region == leader)?;
        voters.contains(&leader).then_some(leader)
    }

    pub async fn service(&self, at: usize) -> Option<Service> {
        self.at(at).seen().await?.services.into_iter().find(|service| service.name == SERVICE)
    }

    /// Settled, and no run is open.
    pub async fn is_steady(&self, at: usize) -> bool {
        let service = self.service(at).await;
        service.is_some_and(|service| service.phase() == Phase::Steady && service.open_run.is_none())
    }

    /// A change through that daemon, tried until it is taken.
    pub async fn change(&mut self, via: usize, paused: bool) -> u64 {
        let revision =
            within(ELECTED_WITHIN, "a change is agreed", || async { self.at(via).set_paused(paused).await.ok() }).await;
        self.acknowledged.push(revision);
        revision
    }

    /// Has the service moved, as soon as the guards let it; the run.
    pub async fn move_to(&mut self, region: &str, via: usize) -> String {
        let asked = FailoverRequest {
            service: SERVICE.to_owned(),
            to: Some(region.to_owned()),
            reason: "a scenario".to_owned(),
            ..FailoverRequest::default()
        };
        let said = std::cell::RefCell::new(String::new());
        let run = tokio::time::timeout(PATIENCE, async {
            loop {
                match self.at(via).control().failover(asked.clone()).await {
                    Ok(answer) => break answer.into_inner().run.unwrap().id,
                    Err(refused) => *said.borrow_mut() = refused.message().to_owned(),
                }
                // Its answer may have been lost.
                if let Some(open) = self.service(via).await.and_then(|service| service.open_run) {
                    break open;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        let run = run.await.unwrap_or_else(|_| panic!("no move to {region}: {}", said.borrow()));
        self.runs.push(run.clone());
        run
    }

    pub async fn run(&self, at: usize, id: &str) -> Option<Run> {
        self.at(at).status().get_run(GetRunRequest { id: id.to_owned() }).await.ok()?.into_inner().run
    }

    /// Until a step of that name has an intent and no outcome.
    pub async fn is_acting(&self, at: usize, id: &str, step: &str) {
        within(PATIENCE, &format!("{step} of {id} acts"), || async {
            let run = self.run(at, id).await?;
            run.steps.iter().find(|progress| {
                progress.state() == StepState::Acting
                    && progress.step.as_ref().is_some_and(|known| known.name.starts_with(step))
            })?;
            Some(())
        })
        .await;
    }

    pub async fn succeeds(&self, at: usize, id: &str) {
        within(PATIENCE, &format!("{id} succeeds"), || async {
            let run = self.run(at, id).await?;
            let state = run.state();
            assert!(!matches!(state, RunState::Failed | RunState::Aborted), "{run:#?}");
            (state == RunState::Succeeded).then_some(())
        })
        .await;
    }

    /// Accepted calls that moved a database.
    pub fn promotions(&self) -> Vec<EffectRecord> {
        let mut effects = self.aws.effects();
        effects.retain(|effect| matches!(effect.operation, "SwitchoverGlobalCluster" | "FailoverGlobalCluster"));
        effects
    }

    /// Where Route 53 sends people now.
    pub fn answer(&self) -> Option<Region> {
        self.aws.with(|world| {
            let Resolution::Found(_, answer) = world.resolve("shop.example.com", RecordType::A, None) else {
                return None;
            };
            answer.values.first()?.parse().ok().and_then(|address| world.region_at(address))
        })
    }

    pub async fn answers_from(&self, region: &str) {
        let region = Region::from(region);
        within(PATIENCE, &format!("Route 53 answers with {region}"), || async {
            (self.answer().as_ref() == Some(&region)).then_some(())
        })
        .await;
    }

    /// Stops a process as if its machine had stood still.
    pub fn freeze(&self, at: usize) {
        self.at(at).signal(Signal::STOP);
    }

    pub fn thaw(&self, at: usize) {
        self.at(at).signal(Signal::CONT);
    }
}

/// Serves AWS, its zone and its checkers; where AWS and where its name server is.
async fn aws_on(aws: &SimulatedAws, host: Ipv4Addr, serving: &mut JoinSet<()>) -> (String, SocketAddr) {
    let wire = WireServer::bind(aws.clone(), (host, 0).into()).await.unwrap();
    let endpoint = format!("http://{}", wire.address().unwrap());
    serving.spawn(async move { wire.run().await.unwrap() });
    let dns = DnsServer::bind(aws.clone(), (host, 0).into()).await.unwrap();
    let name_server = dns.address();
    serving.spawn(async move { dns.run().await.unwrap() });
    let checkers = Arc::new(Checkers(HttpFetch::new().unwrap()));
    serving.spawn(run_checkers(aws.clone(), checkers, Duration::from_millis(100)));
    (endpoint, name_server)
}

/// The port in a URL of a database.
fn port_of(url: &str) -> u16 {
    let after = url.rsplit_once("127.0.0.1:").unwrap().1;
    after.split('/').next().unwrap().parse().unwrap()
}
