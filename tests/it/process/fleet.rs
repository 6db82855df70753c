//! Three daemons as processes on loopback, and what one asks them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use failoverd::api::proto::Fleet as Seen;
use failoverd::api::proto::control_service_client::ControlServiceClient;
use failoverd::api::proto::status_service_client::StatusServiceClient;
use failoverd::api::proto::{self, ApplyRequest, GetFleetRequest, ManifestFile, PauseRequest, ResumeRequest};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

use super::bound::{seconds, within};
use super::databases::{self, Databases};
use crate::ports;

pub const REGIONS: [&str; 3] = ["us-east-1", "eu-west-1", "us-west-2"];
/// One that may be added.
pub const FOURTH: &str = "ap-south-1";
/// The last Region keeps no history.
pub const MEMBERS: [usize; 2] = [0, 1];
/// Service `checkout`.
pub const EXAMPLE: &str = include_str!("../../../examples/checkout.yaml");
/// How long a lost leader may be missed with the timing below; the machine may be busy.
pub const ELECTED_WITHIN: Duration = seconds(15);
const TIMING: &str = "{ heartbeat: 150ms, election_timeout: 500ms, probe_interval: 1s }";

/// What a daemon is asked for over HTTP.
#[derive(Clone, Copy)]
pub struct Ports {
    pub grpc: u16,
    pub switch: u16,
    pub ops: u16,
}

/// One daemon.
pub struct Daemon {
    pub region: &'static str,
    /// The address that it listens on.
    pub host: Ipv4Addr,
    pub ports: Ports,
    pub config: PathBuf,
    pub data: PathBuf,
    pub log: PathBuf,
    pub database: Option<String>,
    /// What we show it, where it wants to see something.
    pub tls: Option<ClientTlsConfig>,
    child: Option<Child>,
}

/// All three. Dropped: killed, their folder removed.
pub struct Fleet {
    pub daemons: Vec<Daemon>,
    _folder: TempDir,
    _databases: Option<Arc<Databases>>,
}

pub fn free_ports() -> Ports {
    let [grpc, switch, ops] = ports::free();
    Ports { grpc, switch, ops }
}

pub fn configuration(me: usize, ports: &[Ports], data: &std::path::Path, database: Option<&str>) -> String {
    let Ports { grpc, switch, ops } = ports[me];
    let role = if MEMBERS.contains(&me) { "member" } else { "witness" };
    let mut text = format!(
        "fleet: test\nregion: {}\nrole: {role}\ndata_dir: {}\ntiming: {TIMING}\n\
         listen: {{ grpc: 127.0.0.1:{grpc}, switch: 127.0.0.1:{switch}, ops: 127.0.0.1:{ops} }}\n\
         advertise: {{ switch: {{ host: 127.0.0.1, port: {switch}, https: false }} }}\n\
         references: {{ far-away-1: 'http://127.0.0.1:{ops}/livez' }}\npeers:\n",
        REGIONS[me],
        data.display(),
    );
    for (region, ports) in REGIONS.iter().zip(ports) {
        let role = if *region == REGIONS[2] { "witness" } else { "member" };
        writeln!(text, "  {region}: {{ url: 'http://127.0.0.1:{}', role: {role} }}", ports.grpc).unwrap();
    }
    if let Some(url) = database {
        writeln!(text, "database: {{ url: '{url}' }}").unwrap();
    }
    text
}

/// The daemon's binary with nothing of our environment that it would read.
pub fn failoverd() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_failoverd"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("FAILOVERD_")) {
        command.env_remove(name);
    }
    command.env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

impl Fleet {
    /// Three running daemons that agree on a leader, members with databases on the shared server.
    pub async fn formed() -> Self {
        let shared = databases::shared();
        let folder = tempfile::tempdir().unwrap();
        let name = format!("process_{}", folder.path().file_name().unwrap().to_string_lossy().replace('.', ""));
        let mut urls = Vec::new();
        for region in MEMBERS.map(|member| REGIONS[member]) {
            urls.push(shared.new_database(&format!("{name}_{region}")).await);
        }
        let mut fleet = Self::prepared(folder, &urls);
        fleet._databases = Some(shared);
        fleet.start_all().await;
        fleet
    }

    /// Three daemons that are not running yet.
    pub fn prepared(folder: TempDir, urls: &[String]) -> Self {
        let ports: Vec<Ports> = REGIONS.iter().map(|_| free_ports()).collect();
        let daemon = |me: usize| {
            let path = |end: &str| folder.path().join(format!("{}{end}", REGIONS[me]));
            let (config, data, log) = (path(".yaml"), path(""), path(".log"));
            let database = urls.get(me).cloned();
            fs::write(&config, configuration(me, &ports, &data, database.as_deref())).unwrap();
            let (region, host, ports) = (REGIONS[me], Ipv4Addr::LOCALHOST, ports[me]);
            Daemon { region, host, ports, config, data, log, database, tls: None, child: None }
        };
        Self { daemons: (0..REGIONS.len()).map(daemon).collect(), _folder: folder, _databases: None }
    }

    /// A fourth daemon that is not running yet, named in everybody's file; whoever runs reads that when it starts again.
    pub fn prepare_fourth(&mut self) {
        let (like, ports) = (&self.daemons[2], free_ports());
        let path = |end: &str| like.data.with_file_name(format!("{FOURTH}{end}"));
        let (config, data, log) = (path(".yaml"), path(""), path(".log"));
        let mut text = fs::read_to_string(&like.config).unwrap();
        let mut put = |from: String, to: String| text = text.replacen(&from, &to, 1);
        put(format!("region: {}\n", like.region), format!("region: {FOURTH}\n"));
        put(like.data.display().to_string(), data.display().to_string());
        put(format!("grpc: 127.0.0.1:{}", like.ports.grpc), format!("grpc: 127.0.0.1:{}", ports.grpc));
        put(format!("switch: 127.0.0.1:{}", like.ports.switch), format!("switch: 127.0.0.1:{}", ports.switch));
        put(format!("ops: 127.0.0.1:{}", like.ports.ops), format!("ops: 127.0.0.1:{}", ports.ops));
        put(format!("port: {}", like.ports.switch), format!("port: {}", ports.switch));
        fs::write(&config, text).unwrap();
        let (host, database, tls) = (Ipv4Addr::LOCALHOST, None, like.tls.clone());
        self.daemons.push(Daemon { region: FOURTH, host, ports, config, data, log, database, tls, child: None });
        let peer = format!("peers:\n  {FOURTH}: {{ url: 'http://127.0.0.1:{}', role: witness }}\n", ports.grpc);
        for daemon in &self.daemons {
            let text = fs::read_to_string(&daemon.config).unwrap();
            fs::write(&daemon.config, text.replacen("peers:\n", &peer, 1)).unwrap();
        }
    }

    pub async fn start_all(&mut self) {
        self.daemons.iter_mut().for_each(Daemon::start);
        self.leader().await;
        for daemon in &self.daemons {
            daemon.until_caught_up().await;
            within(seconds(20), "everybody is a reachable member", || async {
                let regions = daemon.seen().await?.regions;
                (regions.len() == REGIONS.len() && regions.iter().all(|region| region.reachable)).then_some(())
            })
            .await;
        }
    }

    /// The daemon whom every running one takes for the leader.
    pub async fn leader(&self) -> usize {
        within(ELECTED_WITHIN, "one leader that all running daemons know", || self.agreed_leader()).await
    }

    async fn agreed_leader(&self) -> Option<usize> {
        let mut leaders = Vec::new();
        for daemon in self.daemons.iter().filter(|daemon| daemon.is_running()) {
            leaders.push(daemon.seen().await?.answered?.leader?);
        }
        leaders.dedup();
        let [leader] = leaders.as_slice() else { return None };
        let leader = self.daemons.iter().position(|daemon| daemon.region == leader)?;
        self.daemons[leader].is_running().then_some(leader)
    }

    /// Applies the example's service and returns its first revision.
    pub async fn apply_checkout(&self) -> u64 {
        self.apply(EXAMPLE).await
    }

    pub async fn apply(&self, manifest: &str) -> u64 {
        let file = ManifestFile { name: "checkout.yaml".to_owned(), content: manifest.as_bytes().to_vec() };
        let request = ApplyRequest { files: vec![file], prune: false, dry_run: false, confirm: Vec::new() };
        self.daemons[0].control().apply(request).await.unwrap().into_inner().revision
    }

    /// Until every running daemon has applied `revision`.
    pub async fn applied(&self, revision: u64) {
        for daemon in self.daemons.iter().filter(|daemon| daemon.is_running()) {
            within(seconds(20), &format!("{} applies {revision}", daemon.region), || async {
                (daemon.seen().await?.answered?.revision >= revision).then_some(())
            })
            .await;
        }
    }
}

impl Daemon {
    pub fn start(&mut self) {
        self.start_with(&[]);
    }

    pub fn start_with(&mut self, more: &[&str]) {
        let mut command = failoverd();
        command.args(more).arg("--config").arg(&self.config).arg("--dev").env("FAILOVERD_LOG", "info");
        // Nobody answers there: what these tests are about needs no AWS.
        command
            .env("FAILOVERD_AWS__ENDPOINT_URL", "http://127.0.0.1:9")
            .env("FAILOVERD_AWS__NAME_SERVERS", "[127.0.0.1:9]");
        command.env("AWS_ACCESS_KEY_ID", "nobody").env("AWS_SECRET_ACCESS_KEY", "nothing");
        self.start_as(command);
    }

    pub fn start_as(&mut self, mut command: Command) {
        assert!(!self.is_running());
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        self.child = Some(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
    }

    pub const fn is_running(&self) -> bool {
        self.child.is_some()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.id(), signal).unwrap();
    }

    /// Of the running process.
    pub fn id(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.as_ref().unwrap().id()).unwrap()).unwrap()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Whether it has ended by itself, and how.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut().unwrap().try_wait().unwrap()?;
        self.child = None;
        Some(status)
    }

    /// Until it has ended by itself.
    pub async fn ended(&mut self, limit: Duration) -> ExitStatus {
        let child = std::cell::RefCell::new(self.child.as_mut().unwrap());
        let status = within(limit, "the process ends", || async { child.borrow_mut().try_wait().unwrap() }).await;
        self.child = None;
        status
    }

    fn channel(&self) -> Channel {
        self.channel_as(self.tls.clone())
    }

    /// To it, as somebody else.
    pub fn channel_as(&self, tls: Option<ClientTlsConfig>) -> Channel {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let plain = Endpoint::from_shared(format!("{scheme}://{}:{}", self.host, self.ports.grpc)).unwrap();
        let endpoint = match tls {
            Some(tls) => plain.tls_config(tls).unwrap(),
            None => plain,
        };
        endpoint.timeout(seconds(12)).connect_timeout(seconds(2)).connect_lazy()
    }

    pub fn status(&self) -> StatusServiceClient<Channel> {
        StatusServiceClient::new(self.channel())
    }

    pub fn control(&self) -> ControlServiceClient<Channel> {
        ControlServiceClient::new(self.channel())
    }

    /// The fleet as this daemon sees it; `None` while it does not answer.
    pub async fn seen(&self) -> Option<Seen> {
        let mut client = self.status();
        let answer = tokio::time::timeout(seconds(2), client.get_fleet(GetFleetRequest {})).await.ok()?.ok()?;
        Some(answer.into_inner())
    }

    pub async fn until_caught_up(&self) {
        within(seconds(20), &format!("{} has caught up", self.region), || async {
            self.seen().await?.answered?.caught_up.then_some(())
        })
        .await;
    }

    /// Pauses or resumes the whole fleet; the revision that holds it.
    pub async fn set_paused(&self, paused: bool) -> Result<u64, tonic::Status> {
        let answer = if paused {
            self.control().pause(PauseRequest { service: None }).await
        } else {
            self.control().resume(ResumeRequest { service: None }).await
        };
        answer.map(|change: tonic::Response<proto::ChangeResponse>| change.into_inner().revision)
    }

    /// What a health checker gets for `path`: status and body; `None` without an answer.
    pub async fn checker(&self, path: &str) -> Option<(u16, String)> {
        get(self.ports.switch, path).await
    }

    pub fn logged(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// The tokens that checkers ask for, which no API tells: read from the log of this stopped daemon.
    pub fn tokens(&self) -> BTreeSet<String> {
        const FIELD: &[u8] = b"\"tokens\":";
        assert!(!self.is_running());
        let disk = fs::read(self.data.join("consensus.redb")).unwrap();
        let found = disk.windows(FIELD.len()).enumerate().filter(|(_, window)| *window == FIELD);
        let after = found.map(|(at, _)| &disk[at + FIELD.len()..]);
        let listed = after.filter_map(|text| {
            serde_json::Deserializer::from_slice(text).into_iter::<Vec<(String, String, String)>>().next()?.ok()
        });
        listed.flatten().map(|(_, _, token)| token).collect()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.is_running() {
            self.kill();
        }
        if std::thread::panicking() {
            println!("--- log of {}\n{}", self.region, fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}

/// Status and body of an answer over HTTP; `None` without one.
pub async fn get(port: u16, path: &str) -> Option<(u16, String)> {
    // Another test may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().timeout(seconds(2)).build().unwrap();
    let answer = client.get(format!("http://127.0.0.1:{port}{path}")).send().await.ok()?;
    Some((answer.status().as_u16(), answer.text().await.ok()?))
}
