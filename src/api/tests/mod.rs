//! The services as their callers meet them: over a real connection, on a log in memory.

mod access;
mod backups;
mod changes;
mod doors;
mod drills;
mod glass;
mod manifests;
mod peers;
mod reads;
mod samples;
mod watching;

use std::collections::BTreeMap;
use std::sync::Arc;

use failoverd_domain::fleet::{Actor, Command, Rejection};
use failoverd_domain::ids::Region;
use failoverd_domain::route53::{Change, RecordSet, RecordType};
use failoverd_domain::traffic::{Heard, LookUp};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Code, Request};

use super::access::ACTOR_KEY;
use super::access::{Access, Rule, Rules};
use super::error::read_status;
use super::fake::{self, Daemon, FakePeers, daemon, state_with};
use super::proto;
use super::proto::control_service_client::ControlServiceClient;
use super::proto::status_service_client::StatusServiceClient;
use super::{Callers, GrpcPeers, LiveTls, Secured, TlsPem, serve};
use crate::ports::Peers;

/// The fleet of these tests, whose daemons all serve on this machine.
fn rules(rules: Vec<Rule>) -> Rules {
    let urls =
        ["us-east-1", "eu-west-1", "us-west-2"].map(|region| (Region::from(region), "https://127.0.0.1:1".to_owned()));
    Rules::new("prod".into(), &BTreeMap::from(urls), rules)
}

fn secured(pem: TlsPem) -> Secured {
    let tls = LiveTls::new(pem, Callers::WithCertificate).unwrap();
    Secured { tls, access: Access::by_certificates(rules(Vec::new())) }
}

struct Served {
    daemon: Daemon,
    url: String,
    channel: Channel,
    stop: CancellationToken,
    serving: tokio::task::JoinSet<Result<(), super::ServeError>>,
}

async fn served(daemon: Daemon) -> Served {
    served_with(daemon, None).await
}

async fn served_with(daemon: Daemon, secured: Option<Secured>) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let scheme = if secured.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let mut serving = tokio::task::JoinSet::new();
    serving.spawn(serve(listener, daemon.handles.clone(), secured, stop.clone()));
    let channel = Channel::from_shared(url.clone()).unwrap().connect_lazy();
    Served { daemon, url, channel, stop, serving }
}

async fn plain() -> Served {
    served(daemon(state_with(&["checkout"]), FakePeers::default(), Vec::new())).await
}

fn with_run(state: proto::RunState) -> failoverd_domain::fleet::FleetState {
    let mut fleet = state_with(&["checkout"]);
    let mut run = fake::run("checkout-1");
    if state == proto::RunState::Running {
        run.state = failoverd_domain::fleet::RunState::Running;
    }
    fleet.runs.insert(run.id.clone(), run);
    fleet
}

impl Served {
    fn status(&self) -> StatusServiceClient<Channel> {
        StatusServiceClient::new(self.channel.clone())
    }
    fn control(&self) -> ControlServiceClient<Channel> {
        ControlServiceClient::new(self.channel.clone())
    }
    fn proposed(&self) -> Vec<(Actor, Command)> {
        let log = self.daemon.log.proposed.lock().unwrap();
        log.iter().map(|entry| (entry.actor.clone(), entry.command.clone())).collect()
    }
}

fn report(observer: &str) -> failoverd_domain::health::Report {
    failoverd_domain::health::Report {
        observer: observer.into(),
        build: Default::default(),
        settings: None,
        seq: 1,
        sent_at: fake::NOW,
        applied: failoverd_domain::ids::LogIndex(7),
        history_confirmed: None,
        reaches: Vec::new(),
        references: BTreeMap::new(),
        signals: Vec::new(),
        stores: Vec::new(),
        route53: Vec::new(),
        control_planes: BTreeMap::new(),
        votes: Vec::new(),
        checks: Vec::new(),
        rehearsals: Vec::new(),
        through: Vec::new(),
    }
}
