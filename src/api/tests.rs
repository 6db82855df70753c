//! The services as their callers meet them: over a real connection, on a log in memory.

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

use super::error::read_status;
use super::fake::{self, Daemon, FakePeers, daemon, state_with};
use super::identity::ACTOR_KEY;
use super::proto;
use super::proto::control_service_client::ControlServiceClient;
use super::proto::status_service_client::StatusServiceClient;
use super::{GrpcPeers, TlsPem, serve};
use crate::ports::Peers;

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

async fn served_with(daemon: Daemon, tls: Option<TlsPem>) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let mut serving = tokio::task::JoinSet::new();
    serving.spawn(serve(listener, daemon.handles.clone(), tls, stop.clone()));
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

#[tokio::test]
async fn a_read_says_who_answered_and_how_far_it_is() {
    let served = plain().await;
    let answer = served.status().get_switches(proto::GetSwitchesRequest {}).await.unwrap().into_inner();
    let answered = answer.answered.unwrap();
    assert_eq!((answered.region.as_str(), answered.revision, answered.caught_up), ("us-east-1", 7, true));
    let votes: Vec<_> = answer.switches[0].votes.iter().map(|vote| (vote.region.as_str(), vote.vote())).collect();
    let silent = proto::Vote::Silent;
    assert_eq!(votes, [("eu-west-1", silent), ("us-east-1", proto::Vote::On), ("us-west-2", silent)]);
}

#[tokio::test]
async fn a_change_carries_its_callers_name() {
    let served = plain().await;
    let mut request = Request::new(proto::PauseRequest { service: Some("checkout".to_owned()) });
    request.metadata_mut().insert(ACTOR_KEY, "alice@laptop".parse().unwrap());
    let answer = served.control().pause(request).await.unwrap().into_inner();
    assert_eq!((answer.revision, answer.message.as_str()), (8, "automatic action is off for checkout"));
    let alice = Actor::Operator("alice@laptop".to_owned());
    assert_eq!(served.proposed(), [(alice, Command::Pause { service: Some("checkout".into()) })]);
}

#[tokio::test]
async fn the_states_refusal_reaches_the_caller_with_its_word() {
    let served = plain().await;
    *served.daemon.log.answer.lock().unwrap() =
        Err(Rejection { code: "LAST_SERVING".to_owned(), reason: "nobody would serve".to_owned() });
    let request = proto::SetSwitchRequest { service: "checkout".into(), region: "us-east-1".into(), on: false };
    let status = served.control().set_switch(request).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, "nobody would serve"));
    assert_eq!(read_status(&status).0.as_deref(), Some("LAST_SERVING"));
}

#[tokio::test]
async fn unknown_names_are_said_before_anything_is_committed() {
    let served = plain().await;
    let nobody = proto::PauseRequest { service: Some("nobody".to_owned()) };
    let status = served.control().pause(nobody).await.unwrap_err();
    assert_eq!((status.code(), read_status(&status).0.unwrap().as_str()), (Code::NotFound, "NO_SUCH_SERVICE"));
    let status = served.status().get_run(proto::GetRunRequest { id: "x-9".into() }).await.unwrap_err();
    assert_eq!(read_status(&status).0.unwrap(), "NO_SUCH_RUN");
    assert!(served.proposed().is_empty());
}

#[tokio::test]
async fn an_active_passive_pair_is_one_bit_whichever_region_is_named() {
    let served = plain().await;
    let request = proto::SetSwitchRequest { service: "checkout".into(), region: "eu-west-1".into(), on: true };
    served.control().set_switch(request).await.unwrap();
    let (group, region) = ("checkout".into(), "us-east-1".into());
    assert_eq!(served.proposed()[0].1, Command::SetSwitch { group, region, on: false, run: None });
}

#[tokio::test]
async fn a_follower_hands_changes_to_the_leader_with_the_callers_name() {
    let leader = daemon(state_with(&["checkout"]), FakePeers::default(), Vec::new());
    let peers = FakePeers { leader: Some(leader.log.clone()), lost_answer: false };
    let follower = daemon(state_with(&["checkout"]), peers, Vec::new());
    follower.log.lead(Some("eu-west-1"), false);
    follower.log.state.send_modify(|state| Arc::make_mut(state).applied.0 = 8);
    let served = served(follower).await;
    let mut request = Request::new(proto::ResumeRequest { service: None });
    request.metadata_mut().insert(ACTOR_KEY, "bob".parse().unwrap());
    assert_eq!(served.control().resume(request).await.unwrap().into_inner().revision, 8);
    let log = leader.log.proposed.lock().unwrap();
    assert_eq!((&log[0].actor, &log[0].command), (&Actor::Operator("bob".into()), &Command::Resume { service: None }));
}

#[tokio::test(start_paused = true)]
async fn without_a_leader_nothing_is_changed_and_said_so() {
    let daemon = daemon(state_with(&[]), FakePeers::default(), Vec::new());
    daemon.log.lead(None, false);
    let error = daemon.handles.commit(Actor::Operator("x".into()), Command::Pause { service: None }).await.unwrap_err();
    assert_eq!(error.code, super::error::ErrorCode::NoLeader);
}

#[tokio::test]
async fn a_lost_answer_of_the_leader_is_unknown_not_failed() {
    let lost = FakePeers { leader: None, lost_answer: true };
    let daemon = daemon(state_with(&[]), lost, Vec::new());
    daemon.log.lead(Some("eu-west-1"), false);
    let error = daemon.handles.commit(Actor::Operator("x".into()), Command::Pause { service: None }).await.unwrap_err();
    assert_eq!((error.code.exit(), error.reason.as_str()), (5, "OUTCOME_UNKNOWN"));
}

#[tokio::test]
async fn a_failed_step_is_found_without_its_name() {
    let mut state = with_run(proto::RunState::Running);
    let run = state.runs.get_mut("checkout-1").unwrap();
    run.steps.get_mut("promote/orders-db").unwrap().state = failoverd_domain::fleet::StepState::Failed;
    let served = served(daemon(state, FakePeers::default(), Vec::new())).await;
    let request = proto::StepRequest { run: "checkout-1".into(), step: None };
    served.control().retry_step(request).await.unwrap();
    let (run, step) = ("checkout-1".into(), "promote/orders-db".into());
    assert_eq!(served.proposed()[0].1, Command::Retry { run, step });
    let request = proto::StepRequest { run: "checkout-1".into(), step: Some("nonsense".into()) };
    let status = served.control().skip_step(request).await.unwrap_err();
    assert_eq!(read_status(&status).0.unwrap(), "NO_SUCH_STEP");
}

#[tokio::test]
async fn a_run_is_watched_from_now_to_its_verdict() {
    let served = served(daemon(with_run(proto::RunState::Running), FakePeers::default(), Vec::new())).await;
    let request = proto::WatchRunRequest { id: "checkout-1".into(), after_revision: 0 };
    let mut stream = served.status().watch_run(request).await.unwrap().into_inner();
    let first = stream.message().await.unwrap().unwrap();
    assert_eq!(first.run.unwrap().state(), proto::RunState::Running);
    served.daemon.log.state.send_modify(|state| {
        let state = Arc::make_mut(state);
        state.applied.0 += 1;
        state.runs.insert("checkout-1".into(), fake::run("checkout-1"));
    });
    let last = stream.message().await.unwrap().unwrap();
    assert_eq!((last.answered.unwrap().revision, last.run.unwrap().state()), (8, proto::RunState::Succeeded));
    assert!(stream.message().await.unwrap().is_none());
}

#[tokio::test]
async fn a_watcher_that_comes_back_is_told_only_what_is_new() {
    let served = served(daemon(state_with(&[]), FakePeers::default(), Vec::new())).await;
    let request = proto::WatchFleetRequest { after_revision: 7 };
    let mut stream = served.status().watch_fleet(request).await.unwrap().into_inner();
    served.daemon.log.state.send_modify(|state| {
        let state = Arc::make_mut(state);
        state.applied.0 += 1;
        state.paused = true;
    });
    let fleet = stream.message().await.unwrap().unwrap();
    assert_eq!((fleet.answered.unwrap().revision, fleet.paused), (8, true));
}

#[tokio::test]
async fn streams_end_when_the_daemon_goes_down() {
    let mut served = served(daemon(state_with(&[]), FakePeers::default(), Vec::new())).await;
    let request = proto::WatchFleetRequest { after_revision: 0 };
    let mut stream = served.status().watch_fleet(request).await.unwrap().into_inner();
    assert!(stream.message().await.unwrap().is_some());
    served.stop.cancel();
    assert!(stream.message().await.unwrap().is_none());
    assert!(served.serving.join_next().await.unwrap().unwrap().is_ok());
}

#[tokio::test]
async fn a_changed_row_of_the_history_is_named() {
    let mut state = state_with(&[]);
    let events = fake::events(3);
    state.head.seq = 3;
    state.head.hash.clone_from(&events[2].hash);
    let served = served(daemon(state, FakePeers::default(), Vec::new())).await;
    *served.daemon.history.0.lock().unwrap() = events;
    let whole = served.status().verify_history(proto::VerifyHistoryRequest {}).await.unwrap().into_inner();
    assert_eq!((whole.ok, whole.events, whole.behind, whole.problem), (true, 3, 0, None));

    served.daemon.history.0.lock().unwrap()[1].message = "nothing happened".to_owned();
    let forged = served.status().verify_history(proto::VerifyHistoryRequest {}).await.unwrap().into_inner();
    assert!(!forged.ok && forged.problem.unwrap().contains("event 2"));

    served.daemon.history.0.lock().unwrap().truncate(1);
    let short = served.status().verify_history(proto::VerifyHistoryRequest {}).await.unwrap().into_inner();
    assert_eq!((short.ok, short.behind), (true, 2));
}

#[tokio::test]
async fn history_is_listed_newest_first() {
    let served = plain().await;
    *served.daemon.history.0.lock().unwrap() = fake::events(5);
    let request = proto::ListHistoryRequest { limit: 2, ..Default::default() };
    let events = served.status().list_history(request).await.unwrap().into_inner().events;
    assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), [5, 4]);
    assert_eq!(events[0].kind, "step-outcome");
}

#[tokio::test]
async fn what_is_exported_is_a_manifest() {
    let served = plain().await;
    let answer = served.control().export(proto::ExportRequest { service: None }).await.unwrap().into_inner();
    let yaml = &answer.manifests[0].yaml;
    let read: serde_json::Value = serde_saphyr::from_str(yaml).unwrap();
    assert_eq!(read, failoverd_domain::manifest::to_manifest(&fake::spec("checkout")), "{yaml}");
}

#[tokio::test]
async fn peers_talk_over_the_wire_as_they_would_in_memory() {
    let daemon = daemon(state_with(&["checkout"]), FakePeers::default(), fake::events(3).split_off(1));
    let mut served = served(daemon).await;
    *served.daemon.history.0.lock().unwrap() = fake::events(2);
    let us = Region::from("us-east-1");
    let peers = GrpcPeers::new(&BTreeMap::from([(us.clone(), served.url.clone())]), None).unwrap();

    assert_eq!(peers.raft(&us, vec![1, 2, 3]).await.unwrap(), [3, 2, 1]);
    assert!(peers.raft(&us, vec![]).await.unwrap_err().reason.contains("nothing said"));
    assert_eq!(peers.events(&us, 1, 10).await.unwrap(), fake::events(2));
    assert_eq!(peers.events(&us, 2, 10).await.unwrap(), fake::events(3).split_off(1));

    let report = report("eu-west-1");
    peers.share(&us, &report).await.unwrap();
    assert_eq!(served.daemon.inbox.recv().await.unwrap(), report);
    assert!(peers.share(&us, &self::report("mars-north-1")).await.is_err());

    let entry = failoverd_domain::fleet::Entry {
        at: failoverd_domain::time::Timestamp(1),
        actor: Actor::Daemon("eu-west-1".into()),
        command: Command::Pause { service: None },
    };
    let applied = peers.forward(&us, entry.clone()).await.unwrap().unwrap();
    assert_eq!(applied.index.0, 8);
    assert_eq!(served.daemon.log.proposed.lock().unwrap()[0].at, fake::NOW, "the proposer's clock counts");
    served.daemon.log.lead(Some("eu-west-1"), false);
    let refused = peers.forward(&us, entry).await.unwrap().unwrap_err();
    assert_eq!(refused, crate::ports::ProposeError::NotLeader { leader: Some("eu-west-1".into()) });
}

#[tokio::test]
async fn a_peer_looks_at_the_names_of_a_managed_service_and_is_nobodys_resolver() {
    let served = plain().await;
    let set = |name: &str, value: &str| {
        Change::Create(RecordSet {
            name: name.to_owned(),
            record_type: RecordType::A,
            set_identifier: None,
            policy: failoverd_domain::route53::Policy::Simple,
            ttl_s: Some(30),
            values: vec![value.to_owned()],
            alias: None,
            health_check: None,
        })
    };
    let changes = [
        set("checkout.example.com", "192.0.2.2"),
        set("fo-eu-west-1.checkout.example.com", "192.0.2.2"),
        set("secret.example.com", "192.0.2.9"),
    ];
    let aws = &served.daemon.aws;
    aws.create_zone("example.com", &["us-east-1".into()]);
    aws.with(|world| {
        world.timing.dns_propagation_ms = 0;
        world.change_records("example.com", &changes).unwrap();
    });
    let us = Region::from("us-east-1");
    let peers = GrpcPeers::new(&BTreeMap::from([(us.clone(), served.url.clone())]), None).unwrap();
    let asked = |service: &str| LookUp { service: service.into(), through: false };
    let saw = peers.look_up(&us, &asked("checkout")).await.unwrap();
    let heard = |value: &str| Ok(vec![Heard { values: vec![value.to_owned()], ttl_s: 30 }]);
    let names: Vec<_> = saw.names.into_iter().map(|seen| (seen.question.name, seen.heard)).collect();
    let nothing = Ok(vec![Heard::default()]);
    assert_eq!(
        names,
        [
            ("checkout.example.com".to_owned(), heard("192.0.2.2")),
            ("fo-eu-west-1.checkout.example.com".to_owned(), heard("192.0.2.2")),
            ("fo-us-east-1.checkout.example.com".to_owned(), nothing),
        ]
    );
    let refused = peers.look_up(&us, &asked("secret.example.com")).await.unwrap_err();
    assert!(refused.reason.contains("is not known there"), "{refused}");
}

#[tokio::test]
async fn a_peer_of_an_older_version_cannot_look_and_that_is_said() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (_reporter, other) = tonic_health::server::health_reporter();
    let mut serving = tokio::task::JoinSet::new();
    let router = tonic::transport::Server::builder().add_service(other);
    serving.spawn(router.serve_with_incoming(tonic::transport::server::TcpIncoming::from(listener)));
    let us = Region::from("us-east-1");
    let peers = GrpcPeers::new(&BTreeMap::from([(us.clone(), url)]), None).unwrap();
    let error = peers.look_up(&us, &LookUp { service: "checkout".into(), through: false }).await.unwrap_err();
    assert_eq!(error.reason, "it is of a version that cannot look");
}

#[tokio::test]
async fn a_peer_that_takes_no_connection_certainly_got_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let us = Region::from("us-east-1");
    let peers = GrpcPeers::new(&BTreeMap::from([(us.clone(), url)]), None).unwrap();
    let first = peers.raft(&us, vec![1]).await.unwrap_err();
    assert!(!first.may_have_arrived, "{first}");
    let second = peers.raft(&us, vec![1]).await.unwrap_err();
    assert!(second.reason.contains("just now"), "{second}");
}

fn report(observer: &str) -> failoverd_domain::health::Report {
    failoverd_domain::health::Report {
        observer: observer.into(),
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
    }
}

#[tokio::test]
async fn health_and_both_reflections_are_on() {
    let served = plain().await;
    let mut health = tonic_health::pb::health_client::HealthClient::new(served.channel.clone());
    let request = tonic_health::pb::HealthCheckRequest { service: "failoverd.v1.StatusService".to_owned() };
    assert_eq!(health.check(request).await.unwrap().into_inner().status, 1);

    use tonic_reflection::pb::{v1, v1alpha};
    let mut new = v1::server_reflection_client::ServerReflectionClient::new(served.channel.clone());
    let ask = v1::server_reflection_request::MessageRequest::ListServices(String::new());
    let ask = v1::ServerReflectionRequest { host: String::new(), message_request: Some(ask) };
    let mut answers = new.server_reflection_info(tokio_stream::once(ask)).await.unwrap().into_inner();
    let answer = format!("{:?}", answers.message().await.unwrap());
    for service in ["StatusService", "ControlService", "PeerService", "grpc.health.v1.Health"] {
        assert!(answer.contains(service), "{service} is not in {answer}");
    }
    let mut old = v1alpha::server_reflection_client::ServerReflectionClient::new(served.channel.clone());
    let ask = v1alpha::server_reflection_request::MessageRequest::ListServices(String::new());
    let ask = v1alpha::ServerReflectionRequest { host: String::new(), message_request: Some(ask) };
    assert!(old.server_reflection_info(tokio_stream::once(ask)).await.is_ok());
}

#[tokio::test]
async fn a_browser_can_ask_too() {
    let served = plain().await;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let url = format!("{}/failoverd.v1.StatusService/GetSwitches", served.url);
    let answer = reqwest::Client::new()
        .post(url)
        .header("content-type", "application/grpc-web+proto")
        .header("x-grpc-web", "1")
        .body(vec![0, 0, 0, 0, 0])
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/grpc-web+proto");
    assert!(String::from_utf8_lossy(&answer.bytes().await.unwrap()).contains("grpc-status:0"));
}

#[tokio::test]
async fn ten_megabytes_of_manifest_are_refused() {
    let served = plain().await;
    let file = proto::ManifestFile { name: "big.yaml".into(), content: vec![b'a'; 10 << 20] };
    let request = proto::ApplyRequest { files: vec![file], prune: false, dry_run: false, confirm: Vec::new() };
    let status = served.control().apply(request).await.unwrap_err();
    assert_eq!(super::error::exit_of(&status), 2, "{status:?}");
    assert!(served.proposed().is_empty());
}

#[tokio::test]
async fn the_fleet_at_a_glance_says_what_a_vanished_region_would_do() {
    let served = served(daemon(with_run(proto::RunState::Succeeded), FakePeers::default(), Vec::new())).await;
    let fleet = served.status().get_fleet(proto::GetFleetRequest {}).await.unwrap().into_inner();
    let service = &fleet.services[0];
    assert_eq!((service.name.as_str(), service.phase()), ("checkout", proto::Phase::Steady));
    let roles: Vec<_> = service.regions.iter().map(|it| (it.region.as_str(), it.role(), it.switch())).collect();
    let (primary, standby) = (proto::ServiceRole::Primary, proto::ServiceRole::Standby);
    let (on, off) = (proto::SwitchState::On, proto::SwitchState::Off);
    assert_eq!(roles, [("us-east-1", primary, on), ("eu-west-1", standby, off)]);
    let leaders: Vec<_> = fleet.regions.iter().filter(|it| it.leader).map(|it| it.region.as_str()).collect();
    assert_eq!(leaders, ["us-east-1"]);
    assert!(fleet.open_runs.is_empty());
    let forecast = fleet.if_vanished.iter().find(|it| it.region == "us-east-1").unwrap();
    assert_eq!(forecast.services[0].outcome(), proto::ForecastOutcome::StaysDown, "nobody else is heard of");
}

#[tokio::test]
async fn a_plan_is_shown_whatever_the_guards_say_and_changes_nothing() {
    let served = plain().await;
    let request =
        proto::PlanRequest { service: "checkout".into(), to: Some("eu-west-1".into()), mode: 2, ..Default::default() };
    let plan = served.status().plan(request.clone()).await.unwrap().into_inner();
    assert_eq!((plan.from.as_str(), plan.to.as_str(), plan.mode()), ("us-east-1", "eu-west-1", proto::Mode::Forced));
    assert!(plan.steps.iter().any(|step| step.kind == "flip-switch"));
    assert!(plan.guards.iter().any(|guard| !guard.ok), "a daemon alone has no quorum");
    assert_eq!(plan.eta.unwrap().p50_ms, None);
    assert!(served.proposed().is_empty());
    let again = served.status().plan(request).await.unwrap().into_inner();
    assert_eq!(plan.hash, again.hash);
    let nowhere =
        proto::PlanRequest { service: "checkout".into(), to: Some("mars-north-1".into()), ..Default::default() };
    let status = served.status().plan(nowhere).await.unwrap_err();
    assert_eq!((status.code(), read_status(&status).0.unwrap().as_str()), (Code::NotFound, "UNKNOWN_REGION"));
}

#[tokio::test]
async fn a_failover_with_a_stale_plan_is_refused() {
    let served = plain().await;
    let request = proto::FailoverRequest {
        service: "checkout".into(),
        to: None,
        mode: proto::Mode::Forced.into(),
        reason: "test".into(),
        plan_hash: Some("000000000000".into()),
        ..Default::default()
    };
    let status = served.control().failover(request).await.unwrap_err();
    assert_eq!(read_status(&status).0.unwrap(), "PLAN_CHANGED");
    assert!(served.proposed().is_empty());
}

fn manifest(name: &str, content: &str) -> proto::ManifestFile {
    proto::ManifestFile { name: name.to_owned(), content: content.as_bytes().to_vec() }
}

#[tokio::test]
async fn every_problem_of_every_file_is_reported_and_nothing_applied() {
    let served = plain().await;
    let files = vec![manifest("a.yaml", "kind: Nonsense\n"), manifest("b.yaml", "- just\n- a list\n")];
    let request = proto::ApplyRequest { files, prune: false, dry_run: false, confirm: Vec::new() };
    let status = served.control().apply(request).await.unwrap_err();
    let (reason, violations) = read_status(&status);
    assert_eq!((status.code(), reason.unwrap().as_str()), (Code::InvalidArgument, "INVALID_MANIFEST"));
    for file in ["a.yaml", "b.yaml"] {
        assert!(violations.iter().any(|it| it.description.starts_with(file)), "{file} is not in {violations:?}");
    }
    assert!(served.proposed().is_empty());
}

#[tokio::test]
async fn what_is_exported_applies_again_and_changes_nothing() {
    let served = plain().await;
    let exported = served.control().export(proto::ExportRequest { service: None }).await.unwrap().into_inner();
    let files = vec![manifest("export.yaml", &exported.manifests[0].yaml)];
    let request = proto::ApplyRequest { files: files.clone(), prune: false, dry_run: true, confirm: Vec::new() };
    let answer = served.control().apply(request).await.unwrap().into_inner();
    assert_eq!(answer.manifests[0].change(), proto::ManifestChange::Unchanged, "{:?}", answer.manifests);
    assert!(served.proposed().is_empty(), "a dry run commits nothing");
    let request = proto::ApplyRequest { files, prune: false, dry_run: false, confirm: Vec::new() };
    assert_eq!(served.control().apply(request).await.unwrap().into_inner().revision, 8);
    let Command::Apply { specs, tokens, .. } = &served.proposed()[0].1 else { panic!("not an apply") };
    assert_eq!((specs.as_slice(), tokens.len()), ([fake::spec("checkout")].as_slice(), 1));
}

fn test_tls() -> TlsPem {
    TlsPem {
        cert: include_bytes!("testdata/cert.pem").to_vec(),
        key: include_bytes!("testdata/key.pem").to_vec(),
        ca: include_bytes!("testdata/ca.pem").to_vec(),
    }
}

#[tokio::test]
async fn with_tls_a_caller_needs_a_certificate_and_cannot_name_itself() {
    let daemon = daemon(state_with(&["checkout"]), FakePeers::default(), Vec::new());
    let served = served_with(daemon, Some(test_tls())).await;
    let us = Region::from("us-east-1");
    let urls = BTreeMap::from([(us.clone(), served.url.clone())]);
    let peers = GrpcPeers::new(&urls, Some(&test_tls())).unwrap();
    assert_eq!(peers.raft(&us, vec![1, 2]).await.unwrap(), [2, 1]);

    let endpoint = Channel::from_shared(served.url.clone()).unwrap().tls_config(test_tls().client()).unwrap();
    let mut request = Request::new(proto::PauseRequest { service: None });
    request.metadata_mut().insert(ACTOR_KEY, "root".parse().unwrap());
    ControlServiceClient::new(endpoint.connect_lazy()).pause(request).await.unwrap();
    assert_eq!(served.proposed()[0].0, Actor::Operator("tls-client".to_owned()));

    let ca = tonic::transport::Certificate::from_pem(test_tls().ca);
    let nobody = tonic::transport::ClientTlsConfig::new().ca_certificate(ca);
    let endpoint = Channel::from_shared(served.url.clone()).unwrap().tls_config(nobody).unwrap();
    let answer = StatusServiceClient::new(endpoint.connect_lazy()).get_switches(proto::GetSwitchesRequest {}).await;
    assert!(answer.is_err(), "no certificate, no answer");
}

#[tokio::test]
async fn a_watcher_sees_a_region_come_into_sight() {
    let served = served(daemon(state_with(&[]), FakePeers::default(), Vec::new())).await;
    let request = proto::WatchFleetRequest { after_revision: 0 };
    let mut stream = served.status().watch_fleet(request).await.unwrap().into_inner();
    let sight = |fleet: &proto::Fleet| fleet.regions.iter().filter(|it| it.reachable).count();
    assert_eq!(sight(&stream.message().await.unwrap().unwrap()), 1);
    served.daemon.matrix.send_modify(|matrix| Arc::make_mut(matrix).take(fake::NOW, report("eu-west-1")));
    assert_eq!(sight(&stream.message().await.unwrap().unwrap()), 2);
}

#[tokio::test]
async fn a_change_waits_until_the_daemon_knows_the_fleet() {
    let served = served(daemon(state_with(&["checkout"]), FakePeers::default(), Vec::new())).await;
    served.daemon.log.leadership.send_modify(|leadership| leadership.caught_up = false);
    let mut control = served.control();
    let change = control.pause(proto::PauseRequest { service: Some("checkout".to_owned()) });
    let catch_up = async {
        tokio::task::yield_now().await;
        assert!(served.proposed().is_empty());
        served.daemon.log.lead(Some("us-east-1"), true);
    };
    assert!(tokio::join!(change, catch_up).0.is_ok());
}

#[tokio::test]
async fn the_iam_policy_names_the_account_the_zone_and_the_role() {
    let served = plain().await;
    served.daemon.aws.create_zone("example.com", &["us-east-1".into()]);
    let zone = served.daemon.aws.with(|world| world.zone_info("example.com")).unwrap().id;
    let ask = |role: Option<&str>, account: Option<&str>| proto::GetIamPolicyRequest {
        region: None,
        account: account.map(str::to_owned),
        role: role.map(str::to_owned),
    };
    let answer = served.status().get_iam_policy(ask(None, None)).await.unwrap().into_inner();
    let document: serde_json::Value = serde_json::from_str(&answer.policy).unwrap();
    assert_eq!(document["Version"], "2012-10-17");
    for arn in [
        format!("arn:aws:route53:::hostedzone/{zone}"),
        "arn:aws:rds::123456789012:global-cluster:checkout-global".to_owned(),
        "arn:aws:iam::123456789012:role/failoverd".to_owned(),
    ] {
        assert!(answer.policy.contains(&arn), "{arn} is not in {}", answer.policy);
    }
    assert!(answer.notes.is_empty(), "{:?}", answer.notes);
    let told = ask(Some("prod-failoverd"), Some("210987654321"));
    let told = served.status().get_iam_policy(told).await.unwrap().into_inner().policy;
    assert!(told.contains("arn:aws:iam::210987654321:role/prod-failoverd"), "{told}");
    assert!(!told.contains("123456789012"));
}

#[tokio::test]
async fn checks_are_all_told_of_one_service_and_only_what_is_wrong_in_lists() {
    use failoverd_domain::health::readiness::{Check, Sheet, Verdict, names};
    let served = plain().await;
    let check = |name: &str, verdict| Check { name: name.to_owned(), verdict, reason: "seen".to_owned() };
    let sheet = Sheet {
        service: "checkout".into(),
        topic: names::topics::COPY.to_owned(),
        store: Some("orders-db".into()),
        region: Some("eu-west-1".into()),
        age_ms: 100,
        checks: vec![check(names::REPLICA_PRESENT, Verdict::Ready), check(names::HEADLESS, Verdict::NotReady)],
    };
    let stuck = Sheet {
        topic: names::topics::SETTLEMENT.to_owned(),
        store: None,
        region: None,
        checks: vec![check(names::RECORDS_DRIFT, Verdict::Note)],
        ..sheet.clone()
    };
    let told = failoverd_domain::health::Report { checks: vec![sheet, stuck], ..report("eu-west-1") };
    served.daemon.matrix.send_modify(|matrix| Arc::make_mut(matrix).take(fake::NOW, told));
    let request = proto::GetServiceRequest { name: "checkout".to_owned() };
    let service = served.status().get_service(request).await.unwrap().into_inner().service.unwrap();
    assert_eq!(service.checks.len(), 3);
    assert!(service.settlement.unwrap().detail.starts_with("seen; "), "drift is said where settlement is");
    let fleet = served.status().get_fleet(proto::GetFleetRequest {}).await.unwrap().into_inner();
    let names: Vec<_> = fleet.services[0].checks.iter().map(|check| check.name.as_str()).collect();
    assert_eq!(names, ["records-drift", "headless"]);
    let count = fleet.services[0].readiness.unwrap();
    assert_eq!((count.ready, count.note, count.unknown, count.not_ready), (1, 1, 0, 1));
}
