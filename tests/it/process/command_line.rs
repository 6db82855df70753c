//! `failoverctl` against real processes: what a person does first, and after a Region is gone.

use std::process::{Command, Output};

use serde_json::Value;

use super::fleet::{Fleet, failoverd};
use super::history::same_and_whole;

/// `failoverctl` on all daemons of the fleet, tried in turn.
fn failoverctl(fleet: &Fleet, arguments: &[&str]) -> Output {
    let servers: Vec<String> =
        fleet.daemons.iter().map(|daemon| format!("http://127.0.0.1:{}", daemon.ports.grpc)).collect();
    let mut command = Command::new(env!("CARGO_BIN_EXE_failoverctl"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("FAILOVERCTL_")) {
        command.env_remove(name);
    }
    command.arg("--server").arg(servers.join(",")).args(arguments).output().unwrap()
}

fn json(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_applies_looks_loses_a_region_and_looks_again() {
    let mut fleet = Fleet::formed().await;
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/checkout.yaml");
    let applied = failoverctl(&fleet, &["apply", "-f", file, "--yes"]);
    assert_eq!(applied.status.code(), Some(0), "{}", String::from_utf8_lossy(&applied.stderr));

    let services = json(&failoverctl(&fleet, &["get", "services", "-o", "json"]));
    assert_eq!(services["services"][0]["name"], "checkout");
    assert_eq!(services["services"][0]["primary"], "us-east-1");
    let lost = fleet.leader().await;
    fleet.daemons[lost].kill();
    fleet.leader().await;
    assert_eq!(json(&failoverctl(&fleet, &["get", "services", "-o", "json"]))["services"][0]["name"], "checkout");
    let regions = json(&failoverctl(&fleet, &["get", "regions", "-o", "json"]));
    let leaders: Vec<&Value> =
        regions["regions"].as_array().unwrap().iter().filter(|region| region["leader"] == true).collect();
    assert_eq!(leaders.len(), 1, "{regions}");
    assert_ne!(leaders[0]["region"], fleet.daemons[lost].region);

    let paused = failoverctl(&fleet, &["pause", "--yes"]);
    assert_eq!(paused.status.code(), Some(0), "{}", String::from_utf8_lossy(&paused.stderr));
    fleet.daemons[lost].start();
    fleet.daemons[lost].until_caught_up().await;
    let events = same_and_whole(&fleet, &[]).await;
    let actors: Vec<&str> = events.iter().map(|event| event.actor.as_str()).collect();
    assert!(actors.iter().any(|actor| actor.starts_with("operator:")), "{actors:?}");
    let verified = failoverctl(&fleet, &["history", "verify"]);
    assert_eq!(verified.status.code(), Some(0), "{}", String::from_utf8_lossy(&verified.stderr));
}

#[test]
fn a_daemon_says_its_version_and_help() {
    let version = failoverd().arg("--version").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&version.stdout).trim(), concat!("failoverd ", env!("CARGO_PKG_VERSION")));
    let help = failoverd().arg("--help").output().unwrap();
    for flag in ["--config <FILE>", "--check", "--dump-config", "--dev", "--join <GENERATION>", "recover"] {
        assert!(String::from_utf8_lossy(&help.stdout).contains(flag), "{flag} is not in the help");
    }
}
