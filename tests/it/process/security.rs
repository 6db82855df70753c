//! The real process over real TLS: who is let in, what changes without a restart, and what it never says.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use super::bound::{seconds, within};
use super::fleet::{Fleet, failoverd, get};
use authority::Authority;

#[allow(dead_code, reason = "the rest is for tests of the other crate")]
#[path = "../../../src/api/access/authority.rs"]
pub mod authority;

/// A fleet whose daemons and people have certificates of an authority of their own.
pub struct Secured {
    pub fleet: Fleet,
    folder: tempfile::TempDir,
}

impl Secured {
    /// Prepared, with more lines in the configuration of each daemon.
    pub fn new(authority: &Authority, urls: &[String], more: &str) -> Self {
        let fleet = Fleet::prepared(tempfile::tempdir().unwrap(), urls);
        let mut secured = Self { fleet, folder: tempfile::tempdir().unwrap() };
        secured.lay(authority);
        // Who asks them in a test may do everything.
        let identity = secured.identity("carol");
        secured.fleet.daemons.iter_mut().for_each(|daemon| daemon.tls = Some(identity.clone()));
        for daemon in &secured.fleet.daemons {
            let plain = std::fs::read_to_string(&daemon.config).unwrap().replace("url: 'http://", "url: 'https://");
            let pem = |end: &str| secured.file(daemon.region, end).display().to_string();
            let tls = format!("tls: {{ cert: {}, key: {}, ca: {} }}\n", pem("crt"), pem("key"), pem("ca"));
            std::fs::write(&daemon.config, plain + &tls + more).unwrap();
        }
        secured
    }

    pub fn file(&self, name: &str, end: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.{end}"))
    }

    /// What somebody of these shows to a daemon.
    pub fn identity(&self, who: &str) -> ClientTlsConfig {
        let read = |end: &str| std::fs::read(self.file(who, end)).unwrap();
        let identity = Identity::from_pem(read("crt"), read("key"));
        ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read("ca"))).identity(identity)
    }

    /// New certificates for all daemons, and for `alice`, who only looks, and `bob`, who operates.
    pub fn lay(&self, authority: &Authority) {
        let daemons = self.fleet.daemons.iter().map(|daemon| (daemon.region, vec![daemon.host.to_string()]));
        let people = [("alice", "viewer"), ("bob", "operator"), ("carol", "admin")];
        let people = people.map(|(name, role)| (name, vec![format!("failoverd://test/{role}/{name}")]));
        for (name, names) in daemons.chain(people) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let issued = authority.issue(&names);
            for (end, text) in [("ca", authority.pem()), ("key", issued.key), ("crt", issued.cert)] {
                std::fs::write(self.file(name, end), text).unwrap();
            }
        }
    }

    pub fn start(&mut self, with: impl Fn(&mut Command)) {
        for at in 0..self.fleet.daemons.len() {
            self.start_one(at, &with);
        }
    }

    pub fn start_one(&mut self, at: usize, with: impl Fn(&mut Command)) {
        let daemon = &mut self.fleet.daemons[at];
        let mut command = failoverd();
        command.arg("--config").arg(&daemon.config);
        with(&mut command);
        daemon.start_as(command);
    }

    pub async fn ready(&self) {
        for daemon in &self.fleet.daemons {
            within(seconds(20), "a fleet over TLS is ready", || async {
                (get(daemon.ports.ops, "/readyz").await?.0 == 200).then_some(())
            })
            .await;
        }
    }

    pub fn ctl(&self, who: &str, arguments: &[&str]) -> Output {
        let file = |end: &str| self.file(who, end);
        self.ctl_with(arguments, Some((&file("crt"), &file("key"))), &file("ca"))
    }

    pub fn ctl_with(&self, arguments: &[&str], identity: Option<(&Path, &Path)>, ca: &Path) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_failoverctl"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("FAILOVERCTL_")) {
            command.env_remove(name);
        }
        command.arg("--server").arg(format!("https://127.0.0.1:{}", self.fleet.daemons[0].ports.grpc));
        if let Some((cert, key)) = identity {
            command.arg("--tls-cert").arg(cert).arg("--tls-key").arg(key);
        }
        command.arg("--tls-ca").arg(ca).args(arguments).output().unwrap()
    }
}

pub fn said(output: &Output) -> (Option<i32>, String) {
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code(), text)
}

/// Nobody listens there.
pub const NO_DATABASE: &str = "postgres://x@127.0.0.1:1/x";

#[tokio::test(flavor = "multi_thread")]
async fn people_do_what_their_certificates_say_and_certificates_change_under_a_running_fleet() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let mut secured = Secured::new(&old, &[NO_DATABASE, NO_DATABASE].map(String::from), "");
    secured.start(|_| ());
    secured.ready().await;

    let (code, text) = said(&secured.ctl("alice", &["status"]));
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = said(&secured.ctl("alice", &["pause", "--yes"]));
    assert_eq!(code, Some(4), "{text}");
    assert!(text.contains("alice (viewer) may not call Pause: it needs the role operator or admin"), "{text}");
    assert!(text.contains("have somebody do it who has that role"), "{text}");
    let (code, text) = said(&secured.ctl("us-east-1", &["pause", "--yes"]));
    assert!(code == Some(4) && text.contains("peer:"), "a daemon's certificate moves nothing: {text}");
    let (code, text) = said(&secured.ctl_with(&["status"], None, &secured.file("alice", "ca")));
    assert_eq!(code, Some(4), "{text}");
    assert!(text.contains("--tls-cert") && text.contains("--token-file"), "it says what to do: {text}");
    let (code, text) = said(&secured.ctl("bob", &["pause", "--yes"]));
    assert_eq!(code, Some(0), "{text}");
    let (_, page) = get(secured.fleet.daemons[0].ports.ops, "/metrics").await.unwrap();
    assert!(page.contains("failoverd_tls_certificate_expiry_timestamp_seconds{"), "the end of its certificate is told");

    let kept = |end: &str| secured.file(&format!("kept-{end}"), "pem");
    for end in ["crt", "key"] {
        std::fs::copy(secured.file("alice", end), kept(end)).unwrap();
    }
    // Half written: refused in words, and the old ones go on.
    let whole = std::fs::read(secured.file("us-east-1", "crt")).unwrap();
    std::fs::write(secured.file("us-east-1", "crt"), &whole[..whole.len() / 2]).unwrap();
    within(seconds(30), "bad files are told of", || async {
        secured.fleet.daemons[0].logged().contains("certificates need a person").then_some(())
    })
    .await;
    let (code, text) = said(&secured.ctl("alice", &["status"]));
    assert_eq!(code, Some(0), "{text}");

    secured.lay(&new);
    within(seconds(60), "new certificates are in use", || async {
        (secured.ctl("alice", &["status"]).status.code() == Some(0)).then_some(())
    })
    .await;
    let stale = secured.ctl_with(&["status"], Some((&kept("crt"), &kept("key"))), &secured.file("alice", "ca"));
    let (code, text) = said(&stale);
    assert_eq!(code, Some(4), "the old authority opens nothing: {text}");
    let daemons = &secured.fleet.daemons;
    for daemon in daemons {
        within(seconds(60), "every daemon has taken them", || async {
            daemon.logged().contains("new certificate files are in use").then_some(())
        })
        .await;
        assert_eq!(get(daemon.ports.ops, "/readyz").await.unwrap().0, 200);
    }
    let (code, text) = said(&secured.ctl("bob", &["resume", "--yes"]));
    assert_eq!(code, Some(0), "it still agrees: {text}");
}

/// One word in everything that is secret.
const SECRET: &str = "xyzzySECRETxyzzy";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_secret_is_in_nothing_that_the_process_says() {
    let authority = Authority::new("the fleet's");
    let url = format!("postgres://failoverd:{SECRET}@127.0.0.1:1/x?application_name=a");
    let hooks = format!(
        "webhooks:\n  - {{ name: signed, url: 'https://127.0.0.1:1/{SECRET}', secret_env: HOOK_SECRET }}\n  \
         - {{ name: chat, url: 'https://127.0.0.1:1/services/{SECRET}', format: slack }}\n"
    );
    let mut secured = Secured::new(&authority, &[url.clone(), url], &hooks);
    let dsn = format!("postgres://orders:{SECRET}@127.0.0.1:1/orders");
    let environment = |command: &mut Command| {
        command.env("HOOK_SECRET", SECRET).env("ORDERS_DSN", &dsn).env("FAILOVERD_LOG", "trace");
        command.env("FAILOVERD_AWS__ENDPOINT_URL", "http://127.0.0.1:9");
        command.env("FAILOVERD_AWS__NAME_SERVERS", "[127.0.0.1:9]");
        command.env("AWS_ACCESS_KEY_ID", "nobody").env("AWS_SECRET_ACCESS_KEY", SECRET);
    };
    let mut everything = Vec::new();
    let config = secured.fleet.daemons[0].config.clone();
    for argument in ["--check", "--dump-config"] {
        let mut command = failoverd();
        environment(&mut command);
        let (code, text) = said(&command.arg("--config").arg(&config).arg(argument).output().unwrap());
        assert_eq!(code, Some(0), "{text}");
        everything.push((argument.to_owned(), text));
    }
    // Refusals of what is nearly right repeat none of it.
    let good = std::fs::read_to_string(&config).unwrap();
    for (from, to) in [("postgres://", "mysql://"), ("https://127.0.0.1:1/services/", "https://u@h/"), (":1/x", ":x/x")]
    {
        let bad = secured.file("bad", "yaml");
        std::fs::write(&bad, good.replace(from, to)).unwrap();
        let mut command = failoverd();
        environment(&mut command);
        let (code, text) = said(&command.arg("--config").arg(&bad).arg("--check").output().unwrap());
        assert_eq!(code, Some(2), "{from} -> {to}: {text}");
        everything.push((format!("refusal of {to}"), text));
    }

    secured.start(environment);
    secured.ready().await;
    let manifest = secured.file("service", "yaml");
    std::fs::write(&manifest, include_str!("../../../examples/checkout.yaml")).unwrap();
    let manifest = manifest.display().to_string();
    for (who, arguments) in [
        ("bob", &["pause", "--yes"][..]),
        ("carol", &["apply", "-f", &manifest, "--yes"]),
        ("alice", &["status", "-o", "json"]),
        ("alice", &["get", "services", "-o", "json"]),
        ("alice", &["history", "-o", "json"]),
        ("alice", &["history", "verify"]),
        ("alice", &["export"]),
        ("alice", &["plan", "checkout"]),
        ("alice", &["plan", "checkout", "-o", "shell"]),
        ("alice", &["describe", "service", "checkout", "-o", "json"]),
    ] {
        everything.push((arguments.join(" "), said(&secured.ctl(who, arguments)).1));
    }
    let token = secured.file("token", "txt");
    std::fs::write(&token, SECRET).unwrap();
    let token = token.display().to_string();
    let refused = secured.ctl("alice", &["--token-file", &token, "status"]);
    assert_eq!(refused.status.code(), Some(4));
    everything.push(("a bad token".to_owned(), said(&refused).1));
    // Until the history, the webhooks and AWS have failed at least once.
    for daemon in &mut secured.fleet.daemons {
        within(seconds(30), "it has had to do with the outside", || async {
            (daemon.logged().lines().count() > 20).then_some(())
        })
        .await;
        for path in ["/readyz", "/drainz", "/livez", "/metrics"] {
            everything.push((path.to_owned(), get(daemon.ports.ops, path).await.unwrap().1));
        }
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", daemon.id().as_raw_nonzero())).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
        daemon.signal(rustix::process::Signal::TERM);
        daemon.ended(seconds(31)).await;
        everything.push((format!("log of {}", daemon.region), daemon.logged()));
    }
    for (what, text) in &everything {
        let found = text.lines().find(|line| line.contains(SECRET) || line.contains("PRIVATE KEY"));
        assert_eq!(found, None, "{what}");
    }
}
