//! `plan -o shell` on the day it is for: every daemon is dead, the Region that served is gone, and a person moves the
//! service with the AWS CLI alone. Then the fleet comes back, changes nothing, is told, and takes over again.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use failoverd::ports::Dns;
use failoverd_domain::fleet::{RunState, ServicePhase};
use failoverd_domain::ids::Region;
use failoverd_domain::route53::RecordType;
use failoverd_domain::traffic::FenceMark;

use crate::aws::ground::tool;
use crate::sandbox::{Fixture, PATIENCE};

const EAST: &str = "us-east-1";
const WEST: &str = "eu-west-1";
const OF_EAST: &str = "192.0.2.10";
const OF_WEST: &str = "192.0.2.20";
/// The AWS CLI takes a second to start, and a script calls it some forty times.
const SCRIPT_ENDS: Duration = Duration::from_secs(400);
/// What a script may change.
const CHANGES: [&str; 5] = [
    "ChangeResourceRecordSets",
    "UpdateHealthCheck",
    "FailoverGlobalCluster",
    "SwitchoverGlobalCluster",
    "ModifyDBCluster",
];

/// An `aws` that does what it is asked and then, once for each operation that changes something, kills the script: as
/// if the laptop had died between the call and its answer.
const DEADLY: &str = r#"#!/usr/bin/env bash
"$REAL_AWS" --endpoint-url "$AWS_ENDPOINT_URL" "$@"
code=$?
for operation in change-resource-record-sets update-health-check failover-global-cluster; do
    case " $* " in *" $operation "*)
        if [ ! -e "$GRAVES/$operation" ]; then
            touch "$GRAVES/$operation"
            kill -9 "$(cat "$GRAVES/script")"
        fi ;;
    esac
done
exit $code
"#;

/// RDS in us-east-1 takes no endpoint from the environment.
const PLAIN: &str = r#"#!/usr/bin/env bash
exec "$REAL_AWS" --endpoint-url "$AWS_ENDPOINT_URL" "$@"
"#;

/// A folder with the script, and an `aws` of ours before the real one.
struct Laptop {
    folder: tempfile::TempDir,
    endpoint: String,
}

impl Laptop {
    fn new(script: &str, endpoint: String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("move.sh"), script).unwrap();
        for (name, text) in [("deadly", DEADLY), ("plain", PLAIN)] {
            let bin = folder.path().join(name);
            std::fs::create_dir(&bin).unwrap();
            std::fs::write(bin.join("aws"), text).unwrap();
            std::fs::set_permissions(bin.join("aws"), std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self { folder, endpoint }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs the script where nobody can be asked.
    async fn run(&self, aws: &str, yes: bool, arguments: &str) -> Output {
        let real: PathBuf = tool("aws");
        let path = format!("{}:{}", self.path().join(aws).display(), std::env::var("PATH").unwrap());
        let mut command = tokio::process::Command::new("setsid");
        command
            .args(["--wait", "bash", "-c", &format!("echo $$ >\"$GRAVES/script\"; exec bash move.sh {arguments}")])
            .current_dir(self.path())
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.path())
            .env("REAL_AWS", real)
            .env("GRAVES", self.path())
            .env("LOOK_EVERY_S", "1")
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .env("AWS_ACCESS_KEY_ID", "somebody")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .stdin(std::process::Stdio::null())
            .kill_on_drop(true);
        if yes {
            command.env("YES", "1");
        }
        tokio::time::timeout(SCRIPT_ENDS, command.output()).await.expect("the script ends").unwrap()
    }

    async fn done(&self, arguments: &str) -> String {
        let output = self.run("plain", true, arguments).await;
        let said = words(&output);
        assert!(output.status.success(), "{said}");
        said
    }
}

fn words(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

async fn mark(it: &Fixture) -> FenceMark {
    let said = it.dns.ask("_failoverd.checkout.example.com", RecordType::Txt).await.unwrap().values;
    said[0].trim_matches('"').parse().unwrap()
}

fn changes(it: &Fixture) -> Vec<usize> {
    CHANGES.iter().map(|operation| it.calls(operation)).collect()
}

fn held_checks(it: &Fixture) -> usize {
    it.sandbox.aws().with(|world| world.checks.iter().filter(|check| check.config.disabled).count())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_every_daemon_dead_a_person_moves_a_service_with_aws_alone_and_the_fleet_takes_over_again() {
    let mut it = Fixture::armed().await;
    it.until_answer(OF_EAST, PATIENCE).await;
    let printed = it.cli(&["plan", "checkout", "--to", WEST, "--mode", "forced", "-o", "shell"]).await;
    assert!(printed.status.success(), "{}", words(&printed));
    let before = mark(&it).await;
    let endpoint = format!("http://{}", it.addresses.aws());
    let laptop = Laptop::new(&String::from_utf8(printed.stdout).unwrap(), endpoint);

    for region in [WEST, "us-west-2"] {
        it.sandbox.crash_daemon(&Region::from(region)).await.unwrap();
    }
    it.sandbox.break_region(EAST).await.unwrap();
    let untouched = changes(&it);

    // Where nobody can say yes, nothing is done.
    let refused = laptop.run("plain", false, "").await;
    assert!(!refused.status.success() && words(&refused).contains("YES=1"), "{}", words(&refused));
    assert_eq!(changes(&it), untouched);
    it.until_answer(OF_EAST, PATIENCE).await;

    // The laptop dies after each kind of change; the script goes on where it was.
    let mut deaths = 0;
    loop {
        let output = laptop.run("deadly", true, "").await;
        if output.status.success() {
            break;
        }
        assert!(std::fs::read_dir(laptop.path()).unwrap().count() > deaths + 3, "{}", words(&output));
        deaths += 1;
        assert!(deaths <= 3, "{}", words(&output));
    }
    assert_eq!(deaths, 3);
    it.until_answer(OF_WEST, PATIENCE).await;
    let taken = mark(&it).await;
    assert_eq!((taken.generation.0, taken.index.0), (before.generation.0 + 1, 0));
    assert_eq!(taken.epoch.0, before.epoch.0 + 1);
    assert_eq!(it.calls("FailoverGlobalCluster"), 1);
    it.sandbox.aws().with(|world| {
        world.write_row(&Region::from(WEST), "checkout-global", "by-hand", 1).expect("the new writer takes writes");
    });

    // Again: everything is seen to be done.
    let moved = changes(&it);
    let said = laptop.done("").await;
    assert!(said.contains("taken already") && said.contains("writes already"), "{said}");
    assert_eq!(changes(&it), moved);

    // The fleet comes back with what it believed; its writes are refused, its votes move nothing.
    it.sandbox.heal_region(EAST).await.unwrap();
    for region in [WEST, "us-west-2"] {
        it.sandbox.start_daemon(&Region::from(region)).await.unwrap();
    }
    it.until("a leader", PATIENCE, |it| it.leader().is_some()).await;
    it.expect(0, &["pause", "checkout"]).await;
    it.until_moved(&["failover", "checkout", "--to", WEST, "--mode", "forced", "--reason", "by hand", "--yes"]).await;
    let is_over = |it: &Fixture| {
        let runs = &it.state().runs;
        !runs.is_empty() && runs.values().all(|run| run.state.is_closed() || run.state == RunState::Paused)
    };
    it.until("the run to end", PATIENCE, is_over).await;
    let runs = it.expect(0, &["get", "runs", "-o", "yaml"]).await;
    assert!(it.state().runs.values().all(|run| run.state == RunState::Succeeded), "{runs}");
    it.until_answer(OF_WEST, PATIENCE).await;
    assert_eq!(it.calls("FailoverGlobalCluster"), 1, "what was done is found, not done again");
    assert_eq!((mark(&it).await, held_checks(&it)), (taken, 2), "the zone is locked until it is handed back");
    assert_ne!(it.phase(), Some(ServicePhase::Steady));

    laptop.done("hand-back").await;
    it.until("checkout to be steady", PATIENCE, |it| it.phase() == Some(ServicePhase::Steady)).await;
    it.expect(0, &["resume", "checkout"]).await;
    it.until_answer(OF_WEST, PATIENCE).await;
    assert_eq!((mark(&it).await.generation, held_checks(&it)), (before.generation, 0), "settlement freed the checks");
    it.sandbox.stop().await;
}

/// The old Region still answers: an instance is fenced there before its replica is promoted, and Aurora hands over in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_fences_and_promotes_an_instance_and_switches_a_global_cluster_over_with_aws_alone() {
    let mut it = Fixture::armed().await;
    let app = format!("{}/examples/active-passive.yaml", env!("CARGO_MANIFEST_DIR"));
    it.expect(0, &["apply", "-f", &app, "--yes"]).await;
    it.until_ready("app").await;
    let mut scripts = Vec::new();
    for (service, mode) in [("app", "forced"), ("checkout", "graceful")] {
        let printed = it.cli(&["plan", service, "--to", WEST, "--mode", mode, "-o", "shell"]).await;
        assert!(printed.status.success(), "{}", words(&printed));
        scripts.push(String::from_utf8(printed.stdout).unwrap());
    }
    for region in [EAST, WEST, "us-west-2"] {
        it.sandbox.crash_daemon(&Region::from(region)).await.unwrap();
    }
    let endpoint = format!("http://{}", it.addresses.aws());
    let calls = |it: &Fixture| {
        let operations = ["ModifyDBInstance", "PromoteReadReplica", "SwitchoverGlobalCluster", "FailoverGlobalCluster"];
        operations.map(|operation| it.calls(operation))
    };
    let before = calls(&it);
    assert_eq!(before[1..], [0, 0, 0]);

    let laptop = Laptop::new(&scripts[0], endpoint.clone());
    laptop.done("").await;
    let fence = "sg-0a1b2c3d4e5f60011";
    let (old, new) = it.sandbox.aws().with(|world| {
        let fenced = world.instance_has_fence(&EAST.into(), "legacy-db", fence);
        (fenced.unwrap(), world.instance(&WEST.into(), "legacy-db-replica").unwrap())
    });
    assert!(old && new.is_writer() && new.is_available(), "{new:?}");
    assert_eq!(it.dns.ask("app.example.com", RecordType::A).await.unwrap().values, ["198.51.100.20"]);
    assert_eq!(calls(&it), [before[0] + 1, 1, 0, 0]);
    laptop.done("").await;
    assert_eq!(calls(&it), [before[0] + 1, 1, 0, 0], "what was done is found, not done again");

    let laptop = Laptop::new(&scripts[1], endpoint);
    laptop.done("").await;
    it.until_answer(OF_WEST, PATIENCE).await;
    assert_eq!(calls(&it), [before[0] + 1, 1, 1, 0]);
    it.sandbox.aws().with(|world| {
        assert_eq!(world.clusters().find(|one| one.id == "checkout-global").unwrap().writer(), Some(&WEST.into()));
    });
    it.sandbox.stop().await;
}
