//! The simulated AWS as strangers see it: boto3 drives every operation that the wire serves, and botocore's own models
//! must accept what it answers. And a linter of somebody else's on the policies that we print.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::ground::{Ground, tool};

fn suites() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python")
}

/// One suite in a process of its own, with an AWS of its own: suites break Regions.
struct Suite {
    name: String,
    _ground: Ground,
    child: Child,
    said: PathBuf,
    calls: PathBuf,
}

impl Suite {
    async fn start(name: String, folder: &Path) -> Self {
        let ground = Ground::for_strangers().await;
        let (said, calls) = (folder.join(format!("{name}.log")), folder.join(format!("{name}.calls")));
        let log = std::fs::File::create(&said).unwrap();
        let mut command = Command::new(tool("python"));
        command.current_dir(suites()).arg("driven.py").arg(&name).arg(&calls);
        command.env("AWS_ENDPOINT_URL", &ground.endpoint).env("SIM_WAIT_S", "90").stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        Self { name, _ground: ground, child: command.spawn().unwrap(), said, calls }
    }

    fn said(&self) -> String {
        format!("--- {}\n{}", self.name, std::fs::read_to_string(&self.said).unwrap_or_default())
    }
}

impl Drop for Suite {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Service and operation of all that the source of the wire says it serves.
fn served() -> BTreeSet<String> {
    let wire = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sim/wire");
    let mut found = BTreeSet::new();
    for service in ["route53", "rds", "dynamodb", "s3", "cloudwatch", "sts", "iam"] {
        let (folder, file) = (wire.join(service).join("mod.rs"), wire.join(format!("{service}.rs")));
        let text = std::fs::read_to_string(&folder).or_else(|_| std::fs::read_to_string(&file)).unwrap();
        for part in text.split("Operation::read(\"").skip(1).chain(text.split("Operation::change(\"").skip(1)) {
            found.insert(format!("{service} {}", part.split('"').next().unwrap()));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn boto3_drives_every_operation_that_the_wire_serves() {
    let folder = tempfile::tempdir().unwrap();
    let names = std::fs::read_dir(suites()).unwrap().filter_map(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        name.strip_suffix(".py").filter(|name| name.starts_with("test_wire_")).map(str::to_owned)
    });
    let mut running = Vec::new();
    for name in names {
        running.push(Suite::start(name, folder.path()).await);
    }
    assert!(running.len() >= 6, "suites are missing below {}", suites().display());
    let mut called = BTreeSet::new();
    let mut failed = Vec::new();
    for suite in &mut running {
        let status = finished(suite).await;
        if status {
            called.extend(std::fs::read_to_string(&suite.calls).unwrap().lines().map(str::to_owned));
        } else {
            failed.push(suite.said());
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    let served = served();
    let never: Vec<_> = served.difference(&called).collect();
    assert!(never.is_empty(), "served, and no suite calls it: {never:?}");
    assert!(served.len() > 80, "what is served is not found in the source of the wire: {served:?}");
}

async fn finished(suite: &mut Suite) -> bool {
    let name = suite.name.clone();
    let ended = tokio::time::timeout(Duration::from_secs(300), async {
        loop {
            if let Some(status) = suite.child.try_wait().unwrap() {
                return status.success();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    ended.await.unwrap_or_else(|_| panic!("{name} does not end"))
}

#[test]
fn the_policies_that_are_printed_pass_somebody_elses_linter() {
    let output =
        Command::new(tool("python")).current_dir(suites()).args(["-m", "unittest", "test_iam_policy"]).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("Ran 0 tests"), "{said}");
}
