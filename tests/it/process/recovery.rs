//! Two of three processes and their disks are gone: a person recovers the fleet from the third, and makes it three again.

use std::process::{Command, Output};

use serde_json::Value;

use super::bound::{seconds, within};
use super::fleet::{Daemon, Fleet, REGIONS, failoverd};

/// The daemon that is left: a member, with its history.
const LEFT: usize = 1;
const GONE: [usize; 2] = [0, 2];

pub fn recover(daemon: &Daemon, more: &[&str]) -> (Option<i32>, String) {
    let mut command = failoverd();
    command.args(["recover", "--force-new-fleet", "--config"]).arg(&daemon.config).args(more);
    said(command.output().unwrap())
}

pub fn failoverctl(daemon: &Daemon, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_failoverctl"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("FAILOVERCTL_")) {
        command.env_remove(name);
    }
    command.arg("--server").arg(format!("http://127.0.0.1:{}", daemon.ports.grpc)).args(arguments);
    said(command.output().unwrap())
}

fn said(output: Output) -> (Option<i32>, String) {
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (output.status.code(), text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_is_recovered_from_one_process_and_becomes_three_again() {
    let mut fleet = Fleet::formed().await;
    let applied = fleet.apply_checkout().await;
    fleet.applied(applied).await;

    let (code, text) = recover(&fleet.daemons[LEFT], &["--yes", "test"]);
    assert!(code == Some(1) && text.contains("in use by another process"), "while it runs: {text}");
    fleet.daemons.iter_mut().for_each(Daemon::kill);

    let (code, text) = recover(&fleet.daemons[LEFT], &[]);
    assert_eq!(code, Some(2), "{text}");
    for word in ["fleet test, daemon eu-west-1, generation 0", "us-east-1, us-west-2", "service checkout", "--yes test"]
    {
        assert!(text.contains(word), "{word} is not in {text}");
    }
    let (code, text) = recover(&fleet.daemons[LEFT], &["--yes", "prod"]);
    assert!(code == Some(2) && text.contains("not prod"), "{text}");
    let (code, text) = recover(&fleet.daemons[LEFT], &["--yes", "test"]);
    assert!(code == Some(0) && text.contains("generation 1"), "{text}");

    fleet.daemons[LEFT].start();
    assert_eq!(fleet.leader().await, LEFT);
    fleet.daemons[LEFT].until_caught_up().await;
    let seen = fleet.daemons[LEFT].seen().await.unwrap();
    assert_eq!((seen.generation, seen.paused, seen.services.len()), (1, true, 1));

    // What comes back of the old fleet ends by itself, and stays so.
    for gone in GONE {
        fleet.daemons[gone].start();
    }
    for gone in GONE {
        assert_eq!(fleet.daemons[gone].ended(seconds(60)).await.code(), Some(1));
        fleet.daemons[gone].start();
        assert_eq!(fleet.daemons[gone].ended(seconds(20)).await.code(), Some(1));
        let log = fleet.daemons[gone].logged();
        assert!(log.contains("the fleet was recovered without this daemon") && log.contains("--join 1"), "{log}");
    }

    for gone in GONE {
        let kept = fleet.daemons[gone].data.with_extension("old");
        std::fs::rename(&fleet.daemons[gone].data, kept).unwrap();
        fleet.daemons[gone].start_with(&["--join", "1"]);
        within(seconds(60), "it is replaced", || async {
            let (code, text) = failoverctl(&fleet.daemons[LEFT], &["fleet", "replace", REGIONS[gone], "--yes"]);
            println!("{text}");
            (code == Some(0)).then_some(())
        })
        .await;
        fleet.daemons[gone].until_caught_up().await;
    }
    let (code, text) = failoverctl(&fleet.daemons[LEFT], &["fleet", "list", "-o", "json"]);
    assert_eq!(code, Some(0), "{text}");
    let list: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(list["generation"], 1);
    let daemons = list["daemons"].as_array().unwrap();
    assert!(daemons.len() == 3 && daemons.iter().all(|daemon| daemon["votes"] == true), "{text}");

    // Any two of them agree again.
    fleet.daemons[LEFT].kill();
    fleet.leader().await;
    within(seconds(20), "automatic action is on again", || async {
        fleet.daemons[GONE[0]].set_paused(false).await.ok()
    })
    .await;
}
