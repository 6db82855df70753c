//! What is done with input that nobody vouches for, where it takes more than the domain. See `domain.rs` beside this file.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use failoverd::adapters::dns::heard;
use failoverd::api::SwitchSettings;
use failoverd::api::proto;
use failoverd::api::proto::break_glass_service_client::BreakGlassServiceClient;
use failoverd::api::proto::control_service_client::ControlServiceClient;
use failoverd::api::proto::fleet_service_client::FleetServiceClient;
use failoverd::api::proto::peer_service_client::PeerServiceClient;
use failoverd::api::proto::status_service_client::StatusServiceClient;
use failoverd::config::Config;
use failoverd::consensus::{Consensus, ConsensusConfig, Disk, MemoryDisk};
use failoverd::daemon::{Daemon, Listeners, Setup};
use failoverd::ports::Agreement;
use failoverd::runtime::Timing;
use failoverd::sim::bus::Bus;
use failoverd::sim::wire;
use failoverd::sim::world::{SimulatedAws, Timing as WorldTiming, TokioClock};
use failoverd::telemetry::Telemetry;
use failoverd_domain::fleet::Role;
use failoverd_domain::format::Format;
use failoverd_domain::ids::Region;
use failoverd_domain::route53::RecordType;
use failoverd_domain::time::Timestamp;
use hickory_proto::op::Message as DnsMessage;
use hickory_proto::serialize::binary::BinDecodable;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_util::task::TaskTracker;
use tonic::transport::{Channel, Endpoint};
use tower::ServiceExt;

const NOW: Timestamp = Timestamp(1_764_000_000_000);
const ME: &str = "us-east-1";

/// A daemon's configuration: refused, or one that can be shown.
pub fn config(data: &[u8]) {
    if let Ok(config) = Config::parse("failoverd.yaml", data, std::iter::empty()) {
        let _ = config.dump();
        let _ = config.members();
    }
}

/// The answer of a name server, as far as it can be one.
pub fn dns(data: &[u8]) {
    let Ok(message) = DnsMessage::from_bytes(data) else { return };
    for record_type in [RecordType::A, RecordType::Txt, RecordType::Ns, RecordType::Caa, RecordType::Https] {
        let _ = heard(&message.answers, record_type);
    }
}

fn paused() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime")
}

fn aws() -> SimulatedAws {
    let timing = WorldTiming { call_ms: 0, far_call_ms: 0, ..WorldTiming::default() };
    let aws = SimulatedAws::new(Arc::new(TokioClock::starting_at(NOW)), 1, timing);
    aws.create_zone("example.com", &[ME.into()]);
    aws
}

/// A request to the simulated AWS: method, path, service, target and kind of body on five lines, then the body.
pub fn wire(data: &[u8]) {
    let mut parts = data.splitn(6, |byte| *byte == b'\n');
    let mut text = || String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let (method, path, service, target, kind) = (text(), text(), text(), text(), text());
    let body = parts.next().unwrap_or_default().to_vec();
    let credential = format!("AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/{service}/aws4_request, Signature=x");
    let request = Request::builder().method(method.as_str()).uri(path.as_str()).header("authorization", credential);
    let request = request.header("x-amz-target", target).header("content-type", kind).body(Body::from(body));
    let Ok(request) = request else { return };
    // Faults are for whoever simulates.
    if request.uri().path().starts_with("/_sim") {
        return;
    }
    paused().block_on(async {
        let answered = wire::router(&aws()).oneshot(request).await.expect("an answer");
        drop(to_bytes(answered.into_body(), usize::MAX).await);
    });
}

/// Consensus messages, one a line, to a daemon of three: it goes on.
pub fn messages(data: &[u8]) {
    paused().block_on(async {
        let tasks = TaskTracker::new();
        let members = [ME, "eu-west-1", "us-west-2"].map(|region| (Region::from(region), Role::Member)).into();
        let config = ConsensusConfig {
            me: ME.into(),
            fleet: "prod".into(),
            join: None,
            members,
            switch: None,
            heartbeat: Duration::from_millis(150),
            election_timeout_min: Duration::from_millis(300),
            election_timeout_max: Duration::from_millis(600),
            snapshot_every: 20,
            reads: Format::NEWEST,
        };
        let (disk, peers) = (Disk::Memory(MemoryDisk::new()), Bus::new(1).peers(ME.into()));
        let consensus = Consensus::start(config, &disk, peers, &tasks, None).await.expect("it starts");
        for line in data.split(|byte| *byte == b'\n').take(8) {
            drop(consensus.handle_raft(line).await);
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(consensus.leadership().has_changed().is_ok(), "consensus has stopped");
        consensus.shutdown().await;
    });
}

/// A whole daemon on loopback that leads a fleet of one.
pub struct Host {
    runtime: Runtime,
    channel: Channel,
    daemon: Daemon,
}

impl Host {
    /// Starts it.
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (daemon, channel) = runtime.block_on(async {
            let listen = || TcpListener::bind("127.0.0.1:0");
            let grpc = listen().await.expect("a port");
            let url = format!("http://{}", grpc.local_addr().expect("an address"));
            let (switch, ops) = (listen().await.expect("a port"), listen().await.expect("a port"));
            let setup = Setup {
                settings: Default::default(),
                me: ME.into(),
                fleet: "prod".into(),
                join: None,
                members: [(Region::from(ME), Role::Member)].into(),
                peers: BTreeMap::from([(Region::from(ME), url.clone())]),
                advertise: None,
                references: Vec::new(),
                listeners: Listeners { grpc, switch, ops },
                switch: SwitchSettings::default(),
                secured: None,
                telemetry: Telemetry::counting(NOW),
                disk: Disk::Memory(MemoryDisk::new()),
                world: aws().ports(ME.into()).into_world(),
                history: None,
                keep: None,
                webhooks: None,
                clock: Arc::new(TokioClock::starting_at(NOW)),
                timing: Timing::fast(),
                heartbeat: Duration::from_millis(50),
                election_timeout: Duration::from_millis(150),
            };
            let daemon = Daemon::start(setup).await.expect("it starts");
            let mut leadership = daemon.handles().agreement.leadership();
            let led =
                tokio::time::timeout(Duration::from_secs(30), leadership.wait_for(|seen| seen.is_me && seen.caught_up));
            assert!(led.await.is_ok(), "it does not lead");
            (daemon, Endpoint::from_shared(url).expect("a URL").connect_lazy())
        });
        Self { runtime, channel, daemon }
    }

    /// One request: the first byte says which, the rest is its bytes. It is answered, one way or the other, and the daemon
    /// goes on.
    pub fn protos(&self, data: &[u8]) {
        let Some((which, bytes)) = data.split_first() else { return };
        self.runtime.block_on(async {
            let asked = tokio::time::timeout(Duration::from_secs(20), ask(self.channel.clone(), *which, bytes));
            assert!(asked.await.is_ok(), "no answer to request {which}");
        });
        assert!(self.daemon.handles().agreement.leadership().has_changed().is_ok(), "consensus has stopped");
    }
}

macro_rules! requests {
    ($which:expr, $bytes:expr; $($client:ident.$call:ident($type:ident)),* $(,)?) => {{
        let mut at = 0_u8;
        $(
            if $which == at && let Ok(request) = <proto::$type as prost::Message>::decode($bytes) {
                drop($client.$call(request).await);
            }
            at += 1;
        )*
        let _ = at;
    }};
}

async fn ask(channel: Channel, which: u8, bytes: &[u8]) {
    let mut status = StatusServiceClient::new(channel.clone());
    let mut control = ControlServiceClient::new(channel.clone());
    let mut fleet = FleetServiceClient::new(channel.clone());
    let mut glass = BreakGlassServiceClient::new(channel.clone());
    let mut peer = PeerServiceClient::new(channel);
    requests!(which % 46, bytes;
        control.apply(ApplyRequest), control.delete(DeleteRequest), control.delete_drill(DeleteDrillRequest),
        control.run_drill(RunDrillRequest), control.cancel_drill(CancelDrillRequest), control.failback(FailbackRequest),
        control.export(ExportRequest), control.failover(FailoverRequest), control.approve_run(ApproveRunRequest),
        control.abort_run(AbortRunRequest), control.retry_step(StepRequest), control.skip_step(StepRequest),
        control.set_switch(SetSwitchRequest), control.pause(PauseRequest), control.resume(ResumeRequest),
        peer.raft(RaftRequest), peer.share(ShareRequest), peer.fetch_events(FetchEventsRequest),
        peer.forward(ForwardRequest), peer.look_up(LookUpRequest),
        status.get_fleet(GetFleetRequest), status.list_services(ListServicesRequest),
        status.get_service(GetServiceRequest), status.list_runs(ListRunsRequest), status.get_run(GetRunRequest),
        status.get_switches(GetSwitchesRequest), status.list_history(ListHistoryRequest),
        status.verify_history(VerifyHistoryRequest), status.get_report(GetReportRequest), status.plan(PlanRequest),
        status.explain_route(ExplainRouteRequest), status.get_iam_policy(GetIamPolicyRequest),
        status.list_drills(ListDrillsRequest), status.get_drill(GetDrillRequest),
        status.get_drill_run(GetDrillRunRequest), status.watch_drill_run(WatchDrillRunRequest),
        status.watch_fleet(WatchFleetRequest), status.watch_run(WatchRunRequest),
        fleet.list_daemons(ListDaemonsRequest), fleet.replace_daemon(ReplaceDaemonRequest),
        fleet.back_up(BackUpRequest), fleet.confirm_service(ConfirmServiceRequest),
        fleet.add_daemon(AddDaemonRequest), fleet.remove_daemon(RemoveDaemonRequest),
        glass.prepare(PrepareGlassRequest), glass.submit(SubmitGlassRequest),
    );
}
