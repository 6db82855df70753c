//! The reference set-ups of `examples/` on MiniStack, as far as it goes: manifests as they stand, but for the health
//! endpoints, which are on this machine. boto3 makes what an owner would have, and says what failoverd made of it.
//!
//! How far it goes: MiniStack has no read replica of an instance in another Region, so the RDS pair of
//! `active-passive.yaml` is a case of readiness here; `tests/it/examples.rs` moves it in the sandbox.

use std::path::Path;

use serde_json::Value;

use super::end_to_end::Stage;
use super::ground::{EU, US, until};

/// Service and file.
const EXAMPLES: [(&str, &str); 3] =
    [("orders", "orders-active-active"), ("app", "active-passive"), ("inference", "serverless-ml")];

/// The file of an example with its health endpoints on this machine.
fn localised(stage: &Stage, service: &str, file: &str) -> String {
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("examples/{file}.yaml"))).unwrap();
    let theirs = format!("http://{{region}}.{service}.example.com/");
    assert!(text.contains(&theirs), "{file} asks for no {theirs}");
    let path = stage.folder.path().join(format!("{file}.yaml"));
    std::fs::write(&path, text.replace(&theirs, &format!("http://127.0.0.1:{}/{{region}}/", stage.endpoints.port)))
        .unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_examples_stand_on_ministack_as_far_as_it_goes() {
    let stage = Stage::set().await;
    let files = EXAMPLES.map(|(service, file)| localised(&stage, service, file));
    until("a dry run names what is not there", || async {
        let output = stage.ctl(&["apply", "--dry-run", "-f", &files[1]]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        let named = ["uploads-use1", "uploads-euw1", "Sessions", "legacy-db"].iter().all(|name| said.contains(name));
        if named { Ok(()) } else { Err(said) }
    })
    .await;

    stage.boto3("examples.py", "set-up", &[]);
    for file in &files {
        stage.ctl_well(&["apply", "-f", file, "--yes"]);
    }
    for (service, _) in EXAMPLES {
        stage.serves_from(service, US).await;
    }
    stage.boto3("examples.py", "verify", &[]);
    until("the replica that MiniStack cannot make is named", || async {
        let said = String::from_utf8_lossy(&stage.ctl(&["describe", "service", "app"]).stdout).into_owned();
        if said.contains("legacy-db-replica") { Ok(()) } else { Err(said) }
    })
    .await;

    until("nothing stands against a graceful move of the pipeline", || async {
        let plan: Value =
            serde_json::from_slice(&stage.ctl(&["plan", "inference", "--to", EU, "-o", "json"]).stdout).unwrap();
        let noes: Vec<&Value> =
            plan["guards"].as_array().unwrap().iter().filter(|guard| guard["ok"] == false).collect();
        let blocking: Vec<&&Value> = noes.iter().filter(|guard| guard["name"] != "breach-proven").collect();
        if blocking.is_empty() { Ok(()) } else { Err(format!("{blocking:?}")) }
    })
    .await;
    let arguments = ["failover", "inference", "--to", EU, "--mode", "graceful", "--reason", "a try", "--wait", "--yes"];
    let moved = stage.ctl(&[&arguments[..], &["--timeout", "90s"]].concat());
    assert!(moved.status.success(), "{}", stage.ctl_well(&["describe", "run", "inference-1"]));
    stage.serves_from("inference", EU).await;
    let runs: Value = serde_json::from_str(&stage.ctl_well(&["get", "runs", "-o", "json"])).unwrap();
    let run = runs["runs"].as_array().unwrap().iter().find(|run| run["service"] == "inference").unwrap();
    assert_eq!((&run["state"], &run["to"]), (&Value::from("succeeded"), &Value::from(EU)), "{run}");
    for loss in run["loss"].as_array().unwrap() {
        assert!(loss["measured"].is_u64() || loss["reason"].is_string(), "{loss}");
    }
}
