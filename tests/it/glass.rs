//! Nobody can sign in, the fleet is paused, and a Region is gone: two people with keys move the service by hand.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use failoverd_domain::fleet::{EventKind, FleetSettings};
use failoverd_domain::glass::{Enrolment, PublicKey};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::sandbox::{Fixture, PATIENCE};

const EAST: &str = "us-east-1";
const WEST: &str = "eu-west-1";

/// Makes a key as its owner would, on a machine that knows no fleet.
fn keygen(folder: &Path, name: &str) -> (PathBuf, PublicKey) {
    let file = folder.join(format!("{name}.key"));
    let command = ["break-glass", "keygen", "--name", name, "-o", "json", "--out"];
    let output = Command::new(env!("CARGO_BIN_EXE_failoverctl")).args(command).arg(&file).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    (file, PublicKey::of_line(said["public_key"].as_str().unwrap()).unwrap())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_people_with_keys_move_a_service_while_the_fleet_is_paused() {
    let folder = tempfile::tempdir().unwrap();
    let people: BTreeMap<&str, (PathBuf, PublicKey)> =
        ["alice", "bob", "carol", "mallory"].map(|name| (name, keygen(folder.path(), name))).into();
    let enrolled = ["alice", "bob", "carol"].map(|name| (name.to_owned(), people[name].1.clone()));
    let break_glass = Some(Enrolment { threshold: 2, keys: enrolled.into() });
    let mut it = Fixture::armed_with(FleetSettings { velocity: None, break_glass }).await;
    it.until("keys to be agreed on", PATIENCE, |it| it.state().enrolment().is_some()).await;
    it.expect(0, &["pause"]).await;
    it.sandbox.break_region(EAST).await.unwrap();
    it.until("the breach to be seen by nobody who acts", PATIENCE, |it| it.leader().is_some()).await;

    let asked = ["break-glass", "request", "checkout", "--to", WEST, "--reason", "us-east-1 is gone"];
    let until = Instant::now() + PATIENCE;
    let request = loop {
        let output = it.cli(&asked).await;
        if output.status.success() {
            break output.stdout;
        }
        assert!(Instant::now() < until, "{}", String::from_utf8_lossy(&output.stderr));
        sleep(Duration::from_secs(1)).await;
    };
    let (hers, his) = (folder.path().join("hers.json"), folder.path().join("his.json"));
    for copy in [&hers, &his] {
        std::fs::write(copy, &request).unwrap();
    }
    let sign = |file: &Path, who: &str| {
        let words = ["break-glass", "sign", text(file), "--write", "--yes", "--key", text(&people[who].0)];
        words.map(str::to_owned)
    };
    let signs = async |file: &Path, who: &str| {
        let words = sign(file, who);
        it.expect(0, &words.each_ref().map(String::as_str)).await;
    };
    let submit = ["break-glass", "submit", "--yes"];
    signs(&hers, "alice").await;
    let said = it.expect(4, &[&submit[..], &[text(&hers)]].concat()).await;
    assert!(said.contains("1 of 2 signatures are there (alice)"), "{said}");
    signs(&his, "mallory").await;
    let said = it.expect(4, &[&submit[..], &[text(&hers), text(&his)]].concat()).await;
    assert!(said.contains("is not enrolled here"), "{said}");

    // Copies that were signed apart are handed in together.
    std::fs::write(&his, &request).unwrap();
    signs(&his, "bob").await;
    it.expect(0, &[&submit[..], &[text(&hers), text(&his), "--wait"]].concat()).await;
    it.until_answer("192.0.2.20", PATIENCE).await;
    let again = it.expect(0, &[&submit[..], &[text(&hers), text(&his)]].concat()).await;
    assert!(again.contains("checkout-1 of break-glass:alice+bob is succeeded"), "{again}");
    assert!(it.state().paused, "it is no reason to let others act");
    assert_eq!(it.state().runs.len(), 1, "a request is good once");

    let events = it.until_history_is_whole(WEST).await;
    let decided = events.iter().find(|event| event.kind == EventKind::Decided).unwrap();
    assert_eq!(decided.actor, "break-glass:alice+bob");
    assert_eq!(decided.data["glass"]["signatures"].as_array().unwrap().len(), 2);
    let listed = it.expect(0, &["history", "--kind", "decided"]).await;
    assert!(listed.contains("break-glass:alice+bob"), "{listed}");
    it.sandbox.stop().await;
}
