//! The same daemons on a network of the kernel's: each in a network namespace of its own, on a bridge. A cut link says
//! nothing to anybody there, as between two real sites. Needs no privilege where users may make namespaces; where they may
//! not, it says so and the proxies alone have to do.

use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};

use super::stage::{EU, Place, Stage};
use crate::process::bound::{seconds, within};

/// Not one of `FAILOVERD_…`: daemons would take it for their configuration.
const INSIDE: &str = "TEST_IS_INSIDE_NAMESPACES";
const BRIDGE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// Nobody has it: what is sent there is lost.
const NOWHERE: &str = "02:00:00:00:00:99";

const fn host(at: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, 10 + at)
}

#[track_caller]
fn run(words: &[&str]) {
    let output = Command::new(words[0]).args(&words[1..]).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Why this machine has no namespaces for us.
fn missing() -> Option<String> {
    let script = "ip link add v0 type veth peer name v1 && ip link add br0 type bridge && command -v nsenter";
    match Command::new("unshare").args(["-Urn", "sh", "-c", script]).stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(format!("unshare: {error}")),
    }
}

#[test]
fn daemons_in_network_namespaces_outlive_lost_links() {
    if let Some(why) = missing() {
        println!("not run: this user may not make network namespaces with veth pairs and a bridge ({why})");
        return;
    }
    let mut inside = Command::new("unshare");
    inside.arg("-Urn").arg(std::env::current_exe().unwrap());
    inside.args(["faults::namespaces::inside", "--exact", "--ignored", "--nocapture"]).env(INSIDE, "yes");
    let output = inside.stdin(Stdio::null()).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

/// A namespace, for as long as its process lives.
struct Namespace {
    at: u8,
    holder: Child,
}

impl Namespace {
    async fn new(at: u8) -> Self {
        let holder = Command::new("unshare").args(["-n", "sleep", "3600"]).stdin(Stdio::null()).spawn().unwrap();
        let namespace = Self { at, holder };
        let of = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/net")).ok();
        let id = namespace.id();
        within(seconds(10), "a namespace of its own", || async {
            of(&id).is_some_and(|own| Some(own) != of("self")).then_some(())
        })
        .await;
        let (near, far) = (format!("v{at}"), format!("e{at}"));
        run(&["ip", "link", "add", &near, "type", "veth", "peer", "name", &far]);
        run(&["ip", "link", "set", &far, "netns", &id]);
        run(&["ip", "link", "set", &near, "master", "br0", "up"]);
        namespace.within(&["ip", "addr", "add", &format!("{}/24", host(at)), "dev", &far]);
        namespace.within(&["ip", "link", "set", "lo", "up"]);
        namespace.within(&["ip", "link", "set", &far, "up"]);
        namespace
    }

    fn id(&self) -> String {
        self.holder.id().to_string()
    }

    fn starter(&self) -> Vec<String> {
        ["nsenter", "-t", &self.id(), "-n"].map(str::to_owned).to_vec()
    }

    #[track_caller]
    fn within(&self, words: &[&str]) {
        let starter = self.starter();
        let mut all: Vec<&str> = starter.iter().map(String::as_str).collect();
        all.extend(words);
        run(&all);
    }

    /// Its cable is pulled, or put back.
    fn plug(&self, is_in: bool) {
        run(&["ip", "link", "set", &format!("v{}", self.at), if is_in { "up" } else { "down" }]);
    }

    /// What it sends to another is lost, or not any more.
    fn loses(&self, to: u8, does: bool) {
        let (to, link) = (host(to).to_string(), format!("e{}", self.at));
        if does {
            self.within(&["ip", "neigh", "replace", &to, "lladdr", NOWHERE, "nud", "permanent", "dev", &link]);
        } else {
            self.within(&["ip", "neigh", "del", &to, "dev", &link]);
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by the test above, inside namespaces"]
async fn inside() {
    if std::env::var_os(INSIDE).is_none() {
        println!("not run: this network is the machine's");
        return;
    }
    run(&["ip", "link", "set", "lo", "up"]);
    run(&["ip", "link", "add", "br0", "type", "bridge"]);
    run(&["ip", "addr", "add", &format!("{BRIDGE}/24"), "dev", "br0"]);
    run(&["ip", "link", "set", "br0", "up"]);
    let namespaces = [Namespace::new(0).await, Namespace::new(1).await, Namespace::new(2).await];
    let place = Place {
        outside: BRIDGE,
        hosts: [host(0), host(1), host(2)],
        starters: [namespaces[0].starter(), namespaces[1].starter(), namespaces[2].starter()],
        is_proxied: false,
    };
    let mut stage = Stage::set_at(place).await;

    // Nobody hears the leader.
    let mute = stage.leader_among(&[0, 1, 2]).await;
    let others: Vec<usize> = (0..3).filter(|at| *at != mute).collect();
    let number = |at: usize| u8::try_from(at).unwrap();
    others.iter().for_each(|other| namespaces[mute].loses(number(*other), true));
    let next = stage.leader_among(&others).await;
    stage.change(next, true).await;
    others.iter().for_each(|other| namespaces[mute].loses(number(*other), false));
    let leader = stage.leader_among(&[0, 1, 2]).await;
    stage.change(leader, false).await;

    // The leader's Region is off the net altogether.
    let lost = stage.leader_among(&[0, 1, 2]).await;
    let others: Vec<usize> = (0..3).filter(|at| *at != lost).collect();
    namespaces[lost].plug(false);
    let next = stage.leader_among(&others).await;
    stage.change(next, true).await;
    namespaces[lost].plug(true);
    let leader = stage.leader_among(&[0, 1, 2]).await;
    let run = stage.move_to(EU, leader).await;
    stage.succeeds(leader, &run).await;
    stage.judge().await;
    assert_eq!(stage.promotions().len(), 1);
}
