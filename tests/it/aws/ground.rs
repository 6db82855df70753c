//! The three servers, and how a case sets things up on any of them: with the SDK, as a stranger would.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_rds::config::{BehaviorVersion, Credentials};
use failoverd::adapters::aws::{Account, Outside, Settings, world};
use failoverd::adapters::clock::SystemClock;
use failoverd::adapters::dns::AuthoritativeDns;
use failoverd::adapters::probe::{NetworkProber, ProberSettings};
use failoverd::ports::{Clock, World};
use failoverd::sim::wire::{WireServer, caller_key};
use failoverd::sim::world::{SimulatedAws, Timing};
use failoverd::telemetry::Telemetry;
use failoverd_domain::ids::Region;
use failoverd_domain::time::Timestamp;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::ports;

pub const US: &str = "us-east-1";
pub const EU: &str = "eu-west-1";

/// How long anything may take that a server does in the background.
const PATIENCE: Duration = Duration::from_secs(90);

/// A server that cases run on.
pub struct Ground {
    pub name: &'static str,
    pub endpoint: String,
    /// The world behind it, where it is ours.
    pub aws: Option<SimulatedAws>,
    through_ports: bool,
    _serving: JoinSet<()>,
    _child: Option<MiniStack>,
}

/// A child process that ends with its owner.
struct MiniStack(Child);

impl Drop for MiniStack {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Ground {
    pub async fn simulated(name: &'static str, through_ports: bool) -> Self {
        Self::with(name, through_ports, Timing { dns_propagation_ms: 200, ..Timing::brisk() }).await
    }

    /// The wire alone, for clients that wait for nothing of ours.
    pub async fn for_strangers() -> Self {
        Self::with("wire", false, Timing::hasty()).await
    }

    async fn with(name: &'static str, through_ports: bool, timing: Timing) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let aws = SimulatedAws::new(Arc::new(SystemClock), 7, timing);
        let server = WireServer::bind(aws.clone(), ([127, 0, 0, 1], 0).into()).await.unwrap();
        let endpoint = format!("http://{}", server.address().unwrap());
        let mut serving = JoinSet::new();
        serving.spawn(async move { server.run().await.unwrap() });
        Self { name, endpoint, aws: Some(aws), through_ports, _serving: serving, _child: None }
    }

    pub async fn ministack() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let [port] = ports::free();
        let program = tool("ministack");
        let child = Command::new(&program)
            .env("BIND_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", port.to_string())
            .env("LOG_LEVEL", "WARNING")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}: `make tools` installs it", program.display()));
        let child = MiniStack(child);
        let began = Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            assert!(began.elapsed() < PATIENCE, "MiniStack does not answer");
            sleep(Duration::from_millis(50)).await;
        }
        let endpoint = format!("http://127.0.0.1:{port}");
        Self {
            name: "ministack",
            endpoint,
            aws: None,
            through_ports: false,
            _serving: JoinSet::new(),
            _child: Some(child),
        }
    }

    /// The ports of a daemon in a Region.
    pub fn world(&self, region: &str) -> World {
        self.world_off_by(region, 0)
    }

    /// Those of a daemon whose clock is ahead of everybody else's.
    pub fn world_off_by(&self, region: &str, ahead_ms: i64) -> World {
        match &self.aws {
            Some(aws) if self.through_ports => aws.ports(region.into()).into_world(),
            _ => self.adapters(region, Arc::new(WrongClock { ahead_ms })),
        }
    }

    fn adapters(&self, region: &str, clock: Arc<dyn Clock>) -> World {
        let region = Region::from(region);
        let key = if self.aws.is_some() { caller_key(&region) } else { "test".to_owned() };
        let settings = Settings {
            home: region,
            endpoint_url: Some(self.endpoint.clone()),
            endpoints: BTreeMap::new(),
            mutation_timeout: Duration::from_secs(2),
            credentials: Some((key, "test".to_owned())),
        };
        let account = Account::new(settings, clock, Telemetry::counting(Timestamp(0)).meters);
        world(&account, &outside())
    }

    /// The SDK as a stranger in a Region has it.
    pub async fn stranger(&self, region: &str) -> aws_config::SdkConfig {
        aws_config::defaults(BehaviorVersion::v2026_01_12())
            .region(aws_config::Region::new(region.to_owned()))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .credentials_provider(Credentials::new("stranger", "test", None, None, "test"))
            .endpoint_url(&self.endpoint)
            .load()
            .await
    }

    pub async fn route53(&self) -> aws_sdk_route53::Client {
        aws_sdk_route53::Client::new(&self.stranger(US).await)
    }

    pub async fn rds(&self, region: &str) -> aws_sdk_rds::Client {
        aws_sdk_rds::Client::new(&self.stranger(region).await)
    }

    pub async fn s3(&self, region: &str) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::config::Builder::from(&self.stranger(region).await).force_path_style(true).build();
        aws_sdk_s3::Client::from_conf(config)
    }

    pub async fn cloudwatch(&self, region: &str) -> aws_sdk_cloudwatch::Client {
        aws_sdk_cloudwatch::Client::new(&self.stranger(region).await)
    }
}

struct WrongClock {
    ahead_ms: i64,
}

impl Clock for WrongClock {
    fn now(&self) -> Timestamp {
        Timestamp(SystemClock.now().0.saturating_add_signed(self.ahead_ms))
    }
}

/// What no case here needs.
fn outside() -> Outside {
    Outside {
        dns: Arc::new(AuthoritativeDns::new(&[([127, 0, 0, 1], 9).into()]).unwrap()),
        prober: Arc::new(NetworkProber::new(ProberSettings::default()).unwrap()),
        variables: Arc::default(),
    }
}

/// A program of the tools that `make tools` installs below the target folder.
pub fn tool(name: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_BIN_EXE_failoverctl")).ancestors().nth(2).unwrap();
    let found = target.join("tools/venv/bin").join(name);
    assert!(found.exists(), "{} is missing: `make tools` installs it", found.display());
    found
}

/// Looks until something is so; says what was seen last when it never is.
pub async fn until<T, F: Future<Output = Result<T, String>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let began = Instant::now();
    loop {
        match look().await {
            Ok(found) => return found,
            Err(seen) => assert!(began.elapsed() < PATIENCE, "{what}: {seen}"),
        }
        sleep(Duration::from_millis(100)).await;
    }
}
