//! A daemon that must not start says why, exits with the right code, and never panics.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use super::bound::{seconds, within};
use super::fleet::{Fleet, Ports, configuration, failoverd, free_ports, get};

/// The witness's configuration, which needs no database.
struct Witness {
    folder: TempDir,
    ports: Vec<Ports>,
}

impl Witness {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let witness = Self { ports: (0..3).map(|_| free_ports()).collect(), folder };
        witness.configure(2, &witness.data());
        witness
    }

    fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    fn config(&self) -> std::path::PathBuf {
        self.folder.path().join("failoverd.yaml")
    }

    fn configure(&self, me: usize, data: &Path) {
        let database = (me < 2).then_some("postgres://nobody@127.0.0.1:1/none");
        std::fs::write(self.config(), configuration(me, &self.ports, data, database)).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        outcome(failoverd().arg("--config").arg(self.config()).args(arguments).output().unwrap())
    }

    /// Starts it once, so that its disk exists.
    async fn make_disk(&self) {
        let mut fleet = Fleet::prepared(tempfile::tempdir().unwrap(), &[]);
        let daemon = &mut fleet.daemons[2];
        daemon.config = self.config();
        daemon.ports = self.ports[2];
        daemon.start();
        within(seconds(20), "it answers", || daemon.checker("/s/x")).await;
        daemon.kill();
        assert!(self.data().join("consensus.redb").exists());
    }
}

/// Exit code and everything it said, which is never a panic's words.
fn outcome(output: Output) -> (Option<i32>, String) {
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    for panic in ["panicked", "backtrace", "RUST_BACKTRACE"] {
        assert!(!said.contains(panic), "{said}");
    }
    (output.status.code(), said)
}

#[test]
fn every_problem_of_a_configuration_is_in_one_report_and_no_socket_is_bound() {
    let witness = Witness::new();
    let text = "fleet: UPPER\nregion: us-west-2\nrole: boss\nlisen: {}\n\
                listen: { grpc: 127.0.0.1:99999 }\npeers: { us-west-2: 'ftp://x' }\n";
    std::fs::write(witness.config(), text).unwrap();
    let (code, said) = witness.run(&["--dev"]);
    assert_eq!(code, Some(2), "{said}");
    for path in ["fleet:", "role:", "lisen:", "listen.grpc:", "peers", "data_dir:", "advertise:"] {
        assert!(said.contains(path), "{path} is not in:\n{said}");
    }
    assert!(said.contains("failoverd.yaml:1: fleet"), "{said}");
    assert!(!said.contains("listening"), "{said}");
}

#[test]
fn without_certificates_it_starts_only_in_dev_and_on_loopback() {
    let witness = Witness::new();
    let (code, said) = witness.run(&[]);
    assert_eq!(code, Some(2));
    assert!(said.contains("tls") && said.contains("--dev"), "{said}");
    let open = std::fs::read_to_string(witness.config()).unwrap().replace("switch: 127.0.0.1:", "switch: 0.0.0.0:");
    std::fs::write(witness.config(), open).unwrap();
    let (code, said) = witness.run(&["--dev"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("listen.switch") && said.contains("loopback"), "{said}");
}

#[tokio::test]
async fn with_certificates_a_fleet_forms_without_dev_and_turns_strangers_away() {
    let urls = ["postgres://x@127.0.0.1:1/x"; 2].map(String::from);
    let mut fleet = Fleet::prepared(tempfile::tempdir().unwrap(), &urls);
    let pem = |name: &str| format!("{}/src/api/testdata/{name}.pem", env!("CARGO_MANIFEST_DIR"));
    for daemon in &mut fleet.daemons {
        let plain = std::fs::read_to_string(&daemon.config).unwrap();
        let tls = format!("tls: {{ cert: {}, key: {}, ca: {} }}\n", pem("cert"), pem("key"), pem("ca"));
        std::fs::write(&daemon.config, plain.replace("url: 'http://", "url: 'https://") + &tls).unwrap();
        let mut command = failoverd();
        command.arg("--config").arg(&daemon.config);
        daemon.start_as(command);
    }
    for daemon in &fleet.daemons {
        within(seconds(20), "a fleet over TLS is ready", || async {
            (get(daemon.ports.ops, "/readyz").await?.0 == 200).then_some(())
        })
        .await;
        assert!(daemon.seen().await.is_none(), "nobody is answered without a certificate");
    }
}

#[test]
fn certificates_that_cannot_be_read_are_named_one_by_one() {
    let witness = Witness::new();
    let text = std::fs::read_to_string(witness.config()).unwrap().replace("http://127", "https://127");
    let tls = "tls: { cert: /nowhere/tls.crt, key: /nowhere/tls.key, ca: /nowhere/ca.crt }\n";
    std::fs::write(witness.config(), text + tls).unwrap();
    let (code, said) = witness.run(&["--check"]);
    assert_eq!(code, Some(2), "{said}");
    for problem in ["tls.cert: /nowhere/tls.crt", "tls.key: /nowhere/tls.key", "tls.ca: /nowhere/ca.crt"] {
        assert!(said.contains(problem), "{said}");
    }
}

#[test]
fn check_and_dump_print_and_start_nothing() {
    let witness = Witness::new();
    let (code, said) = witness.run(&["--check", "--dev"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("the configuration is good"), "{said}");
    witness.configure(0, &witness.data());
    let url = "postgres://alice:hunter2@db/failoverd";
    let mut dump = failoverd();
    dump.arg("--config").arg(witness.config()).arg("--dump-config").env("FAILOVERD_DATABASE__URL", url);
    let (code, said) = outcome(dump.output().unwrap());
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("postgres://alice:***@db/failoverd") && !said.contains("hunter2"), "{said}");
    assert!(!witness.data().exists(), "nothing was started");
}

#[test]
fn a_taken_port_is_named_with_its_listener() {
    let witness = Witness::new();
    let taken = TcpListener::bind(("127.0.0.1", witness.ports[2].switch)).unwrap();
    let (code, said) = witness.run(&["--dev"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&format!("listen.switch: {} is taken", taken.local_addr().unwrap())), "{said}");
}

#[tokio::test]
async fn the_disk_of_another_region_is_refused() {
    let witness = Witness::new();
    witness.make_disk().await;
    witness.configure(0, &witness.data());
    let (code, said) = witness.run(&["--dev"]);
    assert_eq!(code, Some(1), "{said}");
    let place = witness.data().join("consensus.redb").display().to_string();
    assert!(said.contains(&place) && said.contains("Region us-west-2") && said.contains("Region us-east-1"), "{said}");
    assert!(said.contains("point data_dir at this daemon's own directory"), "{said}");

    witness.configure(2, &witness.data());
    let other = std::fs::read_to_string(witness.config()).unwrap().replace("fleet: test", "fleet: other");
    std::fs::write(witness.config(), other).unwrap();
    let (code, said) = witness.run(&["--dev"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("fleet test") && said.contains("fleet other"), "{said}");
}

#[tokio::test]
async fn a_damaged_disk_is_refused_with_its_path_and_advice() {
    let witness = Witness::new();
    witness.make_disk().await;
    let place = witness.data().join("consensus.redb");
    let whole = std::fs::read(&place).unwrap();
    let broken: [(&str, Vec<u8>); 3] = [
        ("noise", whole.iter().map(|byte| byte ^ 0x5a).collect()),
        ("cut off", whole[..whole.len() / 3].to_vec()),
        ("empty", Vec::new()),
    ];
    for (how, bytes) in broken {
        std::fs::write(&place, bytes).unwrap();
        let (code, said) = witness.run(&["--dev"]);
        assert_eq!(code, Some(1), "{how}: {said}");
        assert!(said.contains(&place.display().to_string()), "{how}: {said}");
        assert!(said.contains("is damaged") && said.contains("leave this daemon stopped"), "{how}: {said}");
    }
}

/// Mounted while it lives.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// `None` where this user may not mount.
    fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(folder.path());
        mount.output().is_ok_and(|output| output.status.success()).then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).output();
    }
}

#[tokio::test]
async fn a_disk_that_fills_up_ends_the_daemon_in_words_and_room_brings_it_back() {
    let Some(disk) = SmallDisk::mount("6m") else {
        println!("not run: this user may not mount a small disk");
        return;
    };
    let mut fleet = Fleet::prepared(tempfile::tempdir().unwrap(), &["postgres://x@127.0.0.1:1/x"; 2].map(String::from));
    let configured = std::fs::read_to_string(&fleet.daemons[2].config).unwrap();
    let (data, small) = (fleet.daemons[2].data.clone(), disk.0.path().join("data"));
    let moved = configured.replace(&data.display().to_string(), &small.display().to_string());
    assert_ne!(moved, configured);
    std::fs::write(&fleet.daemons[2].config, moved).unwrap();
    fleet.start_all().await;

    let ballast = disk.0.path().join("ballast");
    assert!(std::fs::write(&ballast, vec![1; 6 * 1024 * 1024]).is_err(), "the disk is full now");
    let filling = async {
        for round in 0..2_000_u64 {
            if fleet.daemons[2].seen().await.is_none() {
                break;
            }
            // While the full one leads, a change may be refused or its outcome unknown.
            let _ = fleet.daemons[0].set_paused(round.is_multiple_of(2)).await;
        }
    };
    tokio::time::timeout(seconds(60), filling).await.expect("it notices");
    let status = fleet.daemons[2].ended(seconds(30)).await;
    let log = fleet.daemons[2].logged();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains(&format!("the log in {}", small.display())), "{log}");
    assert!(!log.contains("panicked"), "{log}");

    fleet.leader().await;
    let agreed = fleet.daemons[0].set_paused(true).await.expect("two of three go on");
    std::fs::remove_file(ballast).unwrap();
    fleet.daemons[2].start();
    fleet.applied(agreed).await;
}

#[test]
fn a_full_disk_is_refused_with_its_path_and_advice() {
    let witness = Witness::new();
    let Some(disk) = SmallDisk::mount("256k") else {
        println!("not run: this user may not mount a small disk");
        return;
    };
    std::fs::write(disk.0.path().join("ballast"), vec![1; 250 * 1024]).unwrap();
    witness.configure(2, &disk.0.path().join("data"));
    let (code, said) = witness.run(&["--dev"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&disk.0.path().display().to_string()), "{said}");
    assert!(said.contains("the disk is full") && said.contains("make room"), "{said}");
}
