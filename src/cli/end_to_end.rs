//! Commands against a served daemon whose log is in memory: how they end, as scripts see it.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use failoverd_domain::drill::{DrillKind, DrillPhase, DrillSpec, DrillVerdict};
use failoverd_domain::fleet::{FleetState, RunState};
use failoverd_domain::route53::{Change, Location, Policy, RecordSet, RecordType};
use failoverd_domain::traffic::SwitchEndpoint;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::output::Output;
use super::{Cli, Context, Failure, Outcome, dispatch};
use crate::api::fake::{self, Daemon, FakePeers, daemon, state_with};
use crate::api::proto::status_service_client::StatusServiceClient;
use crate::api::proto::{ExplainRouteRequest, ExplainRouteResponse};
use crate::api::serve;

struct Served {
    daemon: Daemon,
    url: String,
    stop: CancellationToken,
    _serving: tokio::task::JoinSet<()>,
}

async fn served(state: FleetState) -> Served {
    let daemon = daemon(state, FakePeers::default(), Vec::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let handles = daemon.handles.clone();
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let mut serving = tokio::task::JoinSet::new();
    serving.spawn(async move { serve(listener, handles, None, stopped).await.unwrap() });
    Served { daemon, url, stop, _serving: serving }
}

async fn failoverctl(server: &str, line: &str) -> Result<Outcome, Failure> {
    let words = ["failoverctl", "--server", server].into_iter().chain(line.split(' '));
    let cli = Cli::try_parse_from(words).unwrap();
    let out = Output::new(&cli.global);
    dispatch(&Context { global: cli.global, out }, cli.command).await
}

async fn exit(server: &str, line: &str) -> u8 {
    match failoverctl(server, line).await {
        Ok(outcome) => outcome.0,
        Err(failure) => failure.exit,
    }
}

fn with_run(state: RunState) -> FleetState {
    let mut fleet = state_with(&["checkout"]);
    let run = failoverd_domain::fleet::Run { state, ..fake::run("checkout-1") };
    fleet.runs.insert(run.id.clone(), run);
    fleet
}

async fn dead_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[tokio::test]
async fn without_a_daemon_it_says_what_was_tried_and_what_to_do() {
    let (one, two) = (dead_server().await, dead_server().await);
    let failure = failoverctl(&format!("{one},{two}"), "status").await.unwrap_err();
    assert_eq!((failure.exit, failure.details.len()), (1, 2));
    assert!(failure.details[1].starts_with(&format!("{two}: ")), "{failure:?}");
    assert!(failure.hint.unwrap().contains("--server"));
}

#[tokio::test]
async fn a_dead_daemon_is_passed_over() {
    let served = served(state_with(&["checkout"])).await;
    let servers = format!("{},{}", dead_server().await, served.url);
    for line in ["status", "get services", "get region us-east-1 -o json", "get guards checkout", "export"] {
        assert_eq!(exit(&servers, line).await, 0, "{line}");
    }
    assert_eq!(exit(&servers, "describe service checkout -o yaml").await, 0);
}

#[tokio::test]
async fn names_that_are_not_there_are_invalid_input() {
    let served = served(state_with(&["checkout"])).await;
    let lines = ["get services nobody", "describe service nobody", "get runs nobody-1", "describe run nobody-1"];
    for line in lines.into_iter().chain(["plan nobody", "pause nobody", "run watch nobody-1", "export nobody"]) {
        assert_eq!(exit(&served.url, line).await, 2, "{line}");
    }
    assert!(served.daemon.log.proposed.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_dangerous_needs_yes_where_nobody_can_be_asked() {
    if std::io::stdin().is_terminal() {
        return;
    }
    let served = served(state_with(&["checkout"])).await;
    for line in ["failover checkout --to eu-west-1", "delete service checkout", "switch set checkout us-east-1 off"] {
        let failure = failoverctl(&served.url, line).await.unwrap_err();
        assert_eq!(failure.exit, 2, "{line}");
        assert!(failure.hint.unwrap().contains("--yes"), "{line}");
    }
    assert!(served.daemon.log.proposed.lock().unwrap().is_empty());
    assert_eq!(exit(&served.url, "delete service checkout --yes").await, 0);
    assert_eq!(served.daemon.log.proposed.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_guards_no_exits_with_3() {
    let served = served(state_with(&["checkout"])).await;
    let line = "failover checkout --to eu-west-1 --mode forced --plan 000000000000 --yes";
    assert_eq!(exit(&served.url, line).await, 3);
    assert_eq!(exit(&served.url, "plan checkout --to eu-west-1 --mode forced").await, 0);
}

#[tokio::test]
async fn every_problem_of_a_manifest_is_said() {
    let served = served(state_with(&[])).await;
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.yaml"), "kind: Nonsense\n").unwrap();
    std::fs::write(dir.path().join("b.yaml"), b"\xff\xfe not text").unwrap();
    let line = format!("apply -f {}", dir.path().display());
    let failure = failoverctl(&served.url, &line).await.unwrap_err();
    assert_eq!(failure.exit, 2);
    for file in ["a.yaml", "b.yaml"] {
        assert!(failure.details.iter().any(|detail| detail.contains(file)), "{file} is not in {failure:?}");
    }
    assert!(served.daemon.log.proposed.lock().unwrap().is_empty());
}

/// A fleet whose daemons checkers can reach, and a manifest in a folder of its own.
fn with_example() -> (FleetState, tempfile::TempDir, String) {
    let mut state = state_with(&[]);
    for (region, member) in &mut state.members {
        let host = format!("switch.{region}.example.net");
        member.switch = Some(SwitchEndpoint { host, port: 443, https: true });
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("checkout.yaml");
    std::fs::write(&path, include_str!("../../examples/checkout.yaml")).unwrap();
    let path = path.display().to_string();
    (state, dir, path)
}

#[tokio::test]
async fn an_example_applies_and_a_dry_run_changes_nothing() {
    let (state, _dir, path) = with_example();
    let served = served(state).await;
    served.daemon.aws.create_zone("example.com", &["us-east-1".into()]);
    assert_eq!(exit(&served.url, &format!("apply -f {path} --dry-run -o json")).await, 0);
    assert!(served.daemon.log.proposed.lock().unwrap().is_empty());
    assert_eq!(exit(&served.url, &format!("apply -f {path} --yes")).await, 0, "creating needs no confirmation");
    assert_eq!(served.daemon.log.proposed.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_record_of_somebody_else_refuses_the_apply_with_3_and_is_named() {
    let (state, _dir, path) = with_example();
    let served = served(state).await;
    served.daemon.aws.create_zone("example.com", &["us-east-1".into()]);
    let foreign = RecordSet::simple("api.example.com", RecordType::A, 60, vec!["198.51.100.1".to_owned()]);
    let made = served.daemon.aws.with(|world| world.change_records("example.com", &[Change::Create(foreign)]));
    assert!(made.is_ok());
    assert_eq!(exit(&served.url, &format!("apply -f {path} --dry-run -o json")).await, 3, "as it would be refused");
    let failure = failoverctl(&served.url, &format!("apply -f {path} --yes --confirm example.com")).await.unwrap_err();
    assert_eq!((failure.exit, failure.details.len()), (3, 1), "{failure:?}");
    assert!(
        failure.message.contains("IN_THE_WAY") && failure.details[0].starts_with("api.example.com: "),
        "{failure:?}"
    );
    assert!(served.daemon.log.proposed.lock().unwrap().is_empty());
}

#[tokio::test]
async fn any_record_of_a_zone_is_explained_as_it_is_now() {
    let served = served(state_with(&[])).await;
    served.daemon.aws.create_zone("example.org", &["us-east-1".into()]);
    let record = |set: &str, policy: Policy, value: &str| RecordSet {
        name: "shop.example.org".to_owned(),
        record_type: RecordType::A,
        set_identifier: Some(set.to_owned()),
        policy,
        ttl_s: Some(60),
        values: vec![value.to_owned()],
        alias: None,
        health_check: None,
    };
    let asked = |from: &str| ExplainRouteRequest {
        name: "Shop.Example.org.".to_owned(),
        from: Some(from.to_owned()).filter(|from| !from.is_empty()),
        ..Default::default()
    };
    let values =
        |answer: &ExplainRouteResponse| answer.answers.iter().flat_map(|one| one.values.clone()).collect::<Vec<_>>();
    let mut client = StatusServiceClient::connect(served.url.clone()).await.unwrap();
    let first = client.explain_route(asked("country=DE")).await.unwrap().into_inner();
    assert!(first.answers.is_empty() && first.nothing_because.unwrap().contains("no record is named"));
    let made = [
        Change::Create(record("eu", Policy::Geolocation(Location::Continent("EU".into())), "192.0.2.1")),
        Change::Create(record("de", Policy::Geolocation(Location::Country("DE".into())), "192.0.2.2")),
    ];
    served.daemon.aws.with(|world| world.change_records("example.org", &made)).unwrap();
    let germany = client.explain_route(asked("country=DE")).await.unwrap().into_inner();
    assert_eq!((values(&germany), germany.zone.as_str()), (vec!["192.0.2.2".to_owned()], "example.org"));
    assert_eq!(germany.answers[0].set_identifier.as_deref(), Some("de"));
    let rejected = germany.considered.iter().find(|one| one.set_identifier.as_deref() == Some("eu")).unwrap();
    assert_eq!(rejected.rejected_because.as_deref(), Some("a more specific place answers"));
    let japan = client.explain_route(asked("country=JP")).await.unwrap().into_inner();
    assert!(values(&japan).is_empty() && japan.nothing_because.unwrap().contains("there is no default"));
    let all = client.explain_route(asked("")).await.unwrap().into_inner();
    assert_eq!(all.places.iter().map(|place| place.from.as_str()).collect::<Vec<_>>(), ["continent=EU", "country=DE"]);

    for (line, code) in [
        ("route explain shop.example.org --from country=JP -o json", 0),
        ("route explain shop.elsewhere.net", 2),
        ("route explain shop.example.org --from country=ZZ", 2),
        ("route explain shop.example.org --type HOUSE", 2),
        ("route explain shop.example.org --down mars-1", 2),
        ("route explain ..", 2),
    ] {
        assert_eq!(exit(&served.url, line).await, code, "{line}");
    }
    served.daemon.aws.break_route53_api();
    assert_eq!(exit(&served.url, "route explain shop.example.org").await, 1, "Route 53's API is away");
}

#[tokio::test]
async fn the_policy_is_printed_for_the_daemons_and_for_a_role_of_a_manifest() {
    let served = served(state_with(&["checkout"])).await;
    for line in ["iam-policy", "iam-policy --region eu-west-1 -o name", "iam-policy --role prod --account 210987654321"]
    {
        assert_eq!(exit(&served.url, line).await, 0, "{line}");
    }
}

#[tokio::test]
async fn watching_a_run_ends_as_the_run_ends() {
    for (state, code) in [(RunState::Succeeded, 0), (RunState::Failed, 1), (RunState::Aborted, 6)] {
        let served = served(with_run(state)).await;
        assert_eq!(exit(&served.url, "run watch checkout-1").await, code, "{state:?}");
    }
    let served = served(with_run(RunState::Running)).await;
    assert_eq!(exit(&served.url, "run watch checkout-1 --timeout 300ms").await, 8);
}

#[tokio::test]
async fn a_watched_run_is_followed_to_another_daemon() {
    let (first, second) = (served(with_run(RunState::Running)).await, served(with_run(RunState::Succeeded)).await);
    second.daemon.log.state.send_modify(|state| Arc::make_mut(state).applied.0 = 50);
    let servers = format!("{},{}", first.url, second.url);
    let watch = failoverctl(&servers, "run watch checkout-1");
    let crash = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        first.stop.cancel();
    };
    let both = async { tokio::join!(watch, crash).0 };
    assert_eq!(tokio::time::timeout(Duration::from_secs(30), both).await.unwrap(), Ok(Outcome::DONE));
}

#[tokio::test]
async fn a_broken_history_fails_its_verification() {
    let served = served(state_with(&[])).await;
    *served.daemon.history.0.lock().unwrap() = fake::events(3);
    assert_eq!(exit(&served.url, "history verify").await, 0);
    assert_eq!(exit(&served.url, "history --since 1h --limit 2 -o json").await, 0);
    assert_eq!(exit(&served.url, "history --since yesterday").await, 2);
    served.daemon.history.0.lock().unwrap()[1].message.push('!');
    assert_eq!(exit(&served.url, "history verify").await, 1);
}

fn drilled(kind: DrillKind, phase: DrillPhase, verdict: Option<DrillVerdict>) -> FleetState {
    let mut fleet = with_run(RunState::Succeeded);
    let spec = DrillSpec { kind, ..fake::drill("monthly") };
    fake::with_drill(&mut fleet, spec, phase, verdict);
    fleet
}

#[tokio::test]
async fn drills_are_listed_described_and_begun_where_somebody_says_yes() {
    let closed = |kind| drilled(kind, DrillPhase::Closed, Some(DrillVerdict::Passed));
    let real = served(closed(DrillKind::Switchover)).await;
    for line in ["get drills", "get drill monthly -o json", "describe drill monthly", "drill list", "status"] {
        assert_eq!(exit(&real.url, line).await, 0, "{line}");
    }
    for line in ["drill schedule", "drill schedule monthly --count 3 -o json", "export"] {
        assert_eq!(exit(&real.url, line).await, 0, "{line}");
    }
    for line in ["get drill daily", "describe drill daily", "drill schedule daily", "drill run daily --yes"] {
        assert_eq!(exit(&real.url, line).await, 2, "{line}");
    }
    if !std::io::stdin().is_terminal() {
        assert_eq!(exit(&real.url, "drill run monthly").await, 2);
        assert_eq!(exit(&real.url, "delete drill monthly").await, 2);
        assert!(real.daemon.log.proposed.lock().unwrap().is_empty());
    }
    assert_eq!(exit(&real.url, "drill run monthly --yes").await, 0);
    assert_eq!(exit(&real.url, "drill cancel monthly").await, 3, "none is open");
    assert_eq!(exit(&real.url, "delete drill monthly --yes").await, 0);
    let simulated = served(closed(DrillKind::Simulate)).await;
    assert_eq!(exit(&simulated.url, "drill run monthly --wait").await, 0, "a simulation touches nothing");
    assert_eq!(simulated.daemon.log.proposed.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_followed_drill_ends_the_command_as_it_ended() {
    for (verdict, code) in [
        (DrillVerdict::Passed, 0),
        (DrillVerdict::ObjectiveMissed, 7),
        (DrillVerdict::Cancelled, 6),
        (DrillVerdict::Overtaken, 1),
        (DrillVerdict::Failed, 1),
        (DrillVerdict::NotStarted, 3),
    ] {
        let served = served(drilled(DrillKind::Switchover, DrillPhase::Closed, Some(verdict))).await;
        assert_eq!(exit(&served.url, "drill run monthly --wait --yes").await, code, "{verdict:?}");
    }
    let served = served(drilled(DrillKind::Switchover, DrillPhase::Holding, None)).await;
    assert_eq!(exit(&served.url, "drill run monthly --wait --yes --timeout 300ms").await, 8);
    assert_eq!(exit(&served.url, "drill cancel monthly.1 --reason enough").await, 0);
}

#[tokio::test]
async fn a_way_back_that_cannot_be_now_says_how_to_have_it_later() {
    let mut state = with_run(RunState::Succeeded);
    let service = state.services.get_mut("checkout").unwrap();
    (service.primary, service.chosen) = ("eu-west-1".into(), "eu-west-1".into());
    let served = served(state).await;
    let failure = failoverctl(&served.url, "failback checkout --yes").await.unwrap_err();
    assert_eq!(failure.exit, 3, "{failure:?}");
    assert!(failure.hint.unwrap().contains("--when-ready"));
    assert_eq!(exit(&served.url, "failback checkout --forget").await, 0);
    assert_eq!(served.daemon.log.proposed.lock().unwrap().len(), 1);
}
