//! Golden output of every view. After a change on purpose: `UPDATE_GOLDEN=1 cargo test golden`, then read the diff.

use std::path::PathBuf;

use clap::{CommandFactory, Parser};
use failoverd_domain::time::Timestamp;

use super::output::View;
use super::{Cli, Outcome, Style, drill_progress, fixture, progress, view};
use crate::api::convert;
use crate::api::fake::NOW;
use crate::api::proto::{self, RunState};

const PLAIN: Style = Style { wide: false, now: None };
const WIDE: Style = Style { wide: true, now: None };

fn golden(name: &str, seen: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/cli/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, seen).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(seen, wanted, "{} differs", path.display());
}

fn both(name: &str, view: &View) {
    golden(&format!("{name}.txt"), &view.text);
    golden(&format!("{name}.json"), &format!("{:#}\n", view.json));
}

#[test]
fn fleet_views() {
    let fleet = fixture::fleet();
    both("status", &view::status(&fleet, PLAIN));
    both("regions", &view::regions(&fleet.regions, PLAIN));
    golden("regions.wide.txt", &view::regions(&fleet.regions, WIDE).text);
    both("switches", &view::switches(&fleet.switches, PLAIN));
}

#[test]
fn service_views() {
    let service = fixture::service();
    both("services", &view::services(std::slice::from_ref(&service), PLAIN));
    golden("services.wide.txt", &view::services(std::slice::from_ref(&service), WIDE).text);
    both("epochs", &view::epochs(std::slice::from_ref(&service), PLAIN));
    both("guards", &view::guards(&[("checkout".to_owned(), vec![fixture::guard()])]));
    let answer = proto::GetServiceResponse {
        answered: None,
        service: Some(service),
        guards: vec![fixture::guard()],
        runs: vec![fixture::run()],
    };
    both("describe-service", &view::service_whole(&answer, PLAIN));
}

#[test]
fn apply_views() {
    both("apply", &view::applied(&fixture::applied(false)));
    both("apply-dry-run", &view::applied(&fixture::applied(true)));
}

#[test]
fn run_views() {
    let run = fixture::run();
    both("runs", &view::runs(std::slice::from_ref(&run), PLAIN));
    both("describe-run", &view::run_whole(&run, PLAIN));
    let lines: Vec<String> = run.steps.iter().map(view::step_line).collect();
    golden("steps.txt", &(lines.join("\n") + "\n"));
}

#[test]
fn drill_views() {
    let drill = fixture::drill();
    both("drills", &view::drills(std::slice::from_ref(&drill), PLAIN));
    golden("drills.wide.txt", &view::drills(std::slice::from_ref(&drill), WIDE).text);
    both("drill-schedule", &view::schedule(std::slice::from_ref(&drill), PLAIN));
    both("execution", &view::execution(&fixture::drill_run(), &[], PLAIN));
    let answer = proto::GetDrillResponse { answered: None, drill: Some(drill), runs: vec![fixture::drill_run()] };
    both("describe-drill", &view::drill_whole(&answer, PLAIN));
}

#[test]
fn the_last_run_of_a_drill_that_moved_nothing_is_its_execution() {
    let only_looked = proto::DrillRun { out: None, ..fixture::drill_run() };
    let drill = proto::Drill { last: Some(only_looked), ..fixture::drill() };
    let seen = view::drills(&[drill], PLAIN).json;
    assert_eq!(seen["drills"][0]["last"]["run"], "checkout-monthly.3");
    let moved = view::drills(&[fixture::drill()], PLAIN).json;
    assert_eq!(moved["drills"][0]["last"]["run"], "checkout-7");
}

#[test]
fn a_drill_ends_the_command_with_its_own_code() {
    let ends = |phase: &str, verdict: Option<&str>| {
        let verdict = verdict.map(str::to_owned);
        drill_progress::outcome(&proto::DrillRun { phase: phase.to_owned(), verdict, ..fixture::drill_run() })
    };
    for (verdict, code) in
        [("passed", 0), ("objective-missed", 7), ("cancelled", 6), ("overtaken", 1), ("failed", 1), ("not-started", 3)]
    {
        assert_eq!(ends("closed", Some(verdict)), Some(Outcome(code)), "{verdict}");
    }
    assert_eq!(ends("settling", None), None);
}

#[test]
fn a_step_that_is_late_is_said_to_be() {
    let mut run = fixture::run();
    let progress = &mut run.steps[0];
    (progress.overdue, progress.finished_at) = (true, None);
    progress.state = proto::StepState::Acting.into();
    progress.step.as_mut().unwrap().p95_ms = Some(4_000);
    run.rto_at_risk = Some("5 s are gone".to_owned());
    assert!(view::step_line(&run.steps[0]).contains("overdue: 95 of 100 took 4s or less"));
    let whole = view::run_whole(&run, PLAIN);
    assert!(whole.text.contains("overdue: 95 of 100") && whole.text.contains("5 s are gone"), "{}", whole.text);
    assert_eq!(whole.json["runs"][0]["steps"][0]["overdue"], true);
}

#[test]
fn route_views() {
    let answer = |set: &str, value: &str| proto::RouteAnswer {
        values: vec![value.to_owned()],
        set_identifier: Some(set.to_owned()),
        because: format!("{set}: the most specific place that may answer"),
        ttl_s: 60,
        path: vec![set.to_owned()],
    };
    let considered = |set: &str, why: Option<&str>| proto::RouteConsidered {
        name: "orders.example.com".to_owned(),
        set_identifier: Some(set.to_owned()),
        healthy: why != Some("unhealthy"),
        rejected_because: why.map(str::to_owned),
    };
    let explained = proto::ExplainRouteResponse {
        zone: "example.com".to_owned(),
        name: "orders.example.com".to_owned(),
        r#type: "A".to_owned(),
        answers: vec![answer("us default", "192.0.2.1")],
        considered: vec![considered("us default", None), considered("eu", Some("unhealthy"))],
        places: vec![proto::RoutePlace {
            from: "continent=EU".to_owned(),
            now: vec![answer("eu", "192.0.2.2")],
            then: vec![answer("us default", "192.0.2.1")],
        }],
        notes: vec!["health check abc (theirs) is taken as healthy: the fleet does not know better".to_owned()],
        ..Default::default()
    };
    both("route-places", &view::route(&explained, &["eu-west-1".to_owned()]));
    let nothing = proto::ExplainRouteResponse {
        answers: Vec::new(),
        places: Vec::new(),
        nothing_because: Some("no record fits the asker's place, and there is no default".to_owned()),
        ..explained.clone()
    };
    both("route-nothing", &view::route(&nothing, &[]));
    both("route-one", &view::route(&proto::ExplainRouteResponse { places: Vec::new(), ..explained }, &[]));
}

#[test]
fn plan_and_history_views() {
    both("plan", &view::plan(&fixture::plan()));
    both("history", &view::events(&fixture::events(), PLAIN));
    let broken = proto::VerifyHistoryResponse {
        events: 17,
        problem: Some("event 18 was changed".to_owned()),
        behind: 2,
        ..Default::default()
    };
    both("verify", &view::verification(&broken));
    let removed = proto::Removal { up_to_seq: 4_999, at: Some(convert::time(NOW)) };
    let shortened = proto::VerifyHistoryResponse {
        ok: true,
        events: 3,
        head_seq: 5_002,
        head_hash: "c0ffee".to_owned(),
        removed: Some(removed),
        ..Default::default()
    };
    both("verify-shortened", &view::verification(&shortened));
}

#[test]
fn a_terminal_shows_how_long_ago() {
    let style = Style { wide: false, now: Some(Timestamp(0)) }.at(fixture::fleet().answered.as_ref());
    assert_eq!(style.now, Some(NOW.plus_ms(60_000)));
    assert!(view::switches(&[fixture::switch()], style).text.contains("1m ago"));
}

#[test]
fn a_run_ends_the_command_with_its_own_code() {
    let ends = |state: RunState| progress::outcome(&proto::Run { state: state.into(), ..fixture::run() });
    assert_eq!(ends(RunState::Succeeded), Some(Outcome::DONE));
    assert_eq!(ends(RunState::Failed), Some(Outcome::FAILED));
    assert_eq!(ends(RunState::Paused), Some(Outcome::FAILED));
    assert_eq!(ends(RunState::Aborted), Some(Outcome::ABORTED));
    assert_eq!(ends(RunState::Running), None);
    assert_eq!(ends(RunState::AwaitingApproval), None);

    let slow = proto::Run { rto_ms: Some(300_001), ..fixture::run() };
    assert_eq!(progress::outcome(&slow), Some(Outcome::OBJECTIVE_MISSED));
    let mut lossy = fixture::run();
    lossy.loss[0].measured = Some(5_001);
    assert_eq!(progress::outcome(&lossy), Some(Outcome::OBJECTIVE_MISSED));
}

#[test]
fn the_command_line_is_the_interfaces() {
    Cli::command().debug_assert();
    for line in [
        "status --watch",
        "get service checkout -o json",
        "get services -o wide",
        "get runs checkout-1 -o name",
        "get epochs",
        "get guard checkout",
        "describe run checkout-1",
        "apply -f a.yaml -f - --dry-run --prune --yes",
        "delete service checkout --yes",
        "export checkout",
        "plan checkout --to eu-west-1 --mode forced -o json",
        "plan checkout --to eu-west-1 --mode forced -o shell",
        "failover checkout --to eu-west-1 --mode graceful --reason why --plan abc --wait --yes --timeout 5m",
        "run watch checkout-1",
        "run approve checkout-1",
        "run abort checkout-1 --reason x",
        "run retry checkout-1 --step promote/orders-db",
        "run skip checkout-1",
        "switch set checkout us-east-1 off",
        "pause",
        "resume checkout",
        "history --service checkout --since 2h --kind decided --limit 5",
        "get drills -o json",
        "describe drill checkout-monthly",
        "delete drill checkout-monthly --yes",
        "drill run checkout-monthly --wait",
        "drill run checkout-monthly --wait --yes --timeout 5m",
        "drill cancel checkout-monthly.3 --reason enough",
        "drill list",
        "drill schedule checkout-monthly --count 3",
        "run approve checkout-monthly.3",
        "failback checkout --when-ready --wait",
        "failback checkout --forget",
        "history --drill checkout-monthly.3",
        "history verify",
        "iam-policy --region eu-west-1 --account 123456789012 --role failoverd",
        "apply -f a.yaml --confirm example.com --confirm example.org",
        "report checkout-1 -o json",
        "report checkout-1 -o html",
        "drill report checkout-monthly.3 -o md",
        "completion bash",
        "--server http://a:1,http://b:2 --no-color status",
    ] {
        let words = std::iter::once("failoverctl").chain(line.split(' '));
        assert!(Cli::try_parse_from(words).is_ok(), "{line}");
    }
    for line in [
        "get nonsense",
        "history --limit 0",
        "failover",
        "status --timeout 30",
        "switch set a b maybe",
        "drill schedule --count 0",
        "failback checkout --when-ready --mode forced",
        "failback checkout --forget --wait",
        "iam-policy --account 12",
    ] {
        let words = std::iter::once("failoverctl").chain(line.split(' '));
        assert_eq!(Cli::try_parse_from(words).unwrap_err().exit_code(), 2, "{line}");
    }
}
