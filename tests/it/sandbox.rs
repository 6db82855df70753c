//! The sandbox as a person uses it: real DNS, the real command line, real Postgres, and things break.
//!
//! Nothing here waits for time to pass: every wait is for something that a user would see, with a limit.

use std::process::Output;
use std::time::Duration;

use failoverd::adapters::dns::AuthoritativeDns;
use failoverd::ports::Dns;
use failoverd::sandbox::demo::{Demo, Narrator};
use failoverd::sandbox::{Addresses, REGIONS, Sandbox, Settings};
use failoverd_domain::fleet::{
    EventKind, FleetSettings, FleetState, HistoryEvent, RunState, ServicePhase, StepState, parts,
};
use failoverd_domain::ids::Region;
use failoverd_domain::route53::RecordType;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use crate::ports;

const EAST: &str = "us-east-1";
const WEST: &str = "eu-west-1";
const ANSWER_OF_EAST: &str = "192.0.2.10";
const ANSWER_OF_WEST: &str = "192.0.2.20";
const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/checkout.yaml");
/// What the interface promises: the answer moves, and is settled.
const MOVES_WITHIN: Duration = Duration::from_secs(60);
const SETTLED_WITHIN: Duration = Duration::from_secs(120);
/// For whatever comes about by itself, and for commands that wait for it, on a machine that is busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(300);
const LOOK: Duration = Duration::from_millis(50);

pub struct Fixture {
    pub sandbox: Sandbox,
    pub addresses: Addresses,
    pub dns: AuthoritativeDns,
    servers: String,
}

impl Fixture {
    pub async fn up() -> Self {
        Self::up_with(FleetSettings::default()).await
    }

    /// Every daemon's file says the same of the whole fleet.
    async fn up_with(fleet: FleetSettings) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let addresses = ports::of_sandbox();
        let sandbox = Sandbox::start(Settings { addresses, database_url: None, seed: 7, fleet }).await.unwrap();
        let servers: Vec<String> = (0..REGIONS.len()).map(|at| format!("http://{}", addresses.grpc(at))).collect();
        let dns = AuthoritativeDns::new(&[addresses.dns()]).unwrap();
        Self { sandbox, addresses, dns, servers: servers.join(",") }
    }

    /// With checkout applied, steady, and ready to move.
    pub async fn armed() -> Self {
        Self::armed_with(FleetSettings::default()).await
    }

    /// The same, and every daemon's file says this of the whole fleet.
    pub async fn armed_with(fleet: FleetSettings) -> Self {
        let it = Self::up_with(fleet).await;
        it.until("a leader", MOVES_WITHIN, |it| it.leader().is_some()).await;
        it.expect(0, &["apply", "-f", MANIFEST]).await;
        it.until("checkout to be steady", MOVES_WITHIN, |it| it.phase() == Some(ServicePhase::Steady)).await;
        let until = Instant::now() + MOVES_WITHIN;
        while !it.json(&["status"]).await.to_string().contains("fails-over") {
            assert!(Instant::now() < until, "the fleet never was ready to fail over");
            sleep(LOOK).await;
        }
        it
    }

    /// Until the forecast says that a service would fail over by itself.
    pub async fn until_ready(&self, service: &str) {
        let until = Instant::now() + MOVES_WITHIN;
        loop {
            let said = self.expect(0, &["status"]).await;
            let ready = |line: &str| line.contains(service) && line.contains("fails-over");
            if said.lines().any(ready) {
                return;
            }
            assert!(Instant::now() < until, "{service} never was ready to fail over: {said}");
            sleep(LOOK).await;
        }
    }

    /// Until a move that guards may still refuse goes through.
    pub async fn until_moved(&self, arguments: &[&str]) {
        let until = Instant::now() + SETTLED_WITHIN;
        loop {
            let output = self.cli(arguments).await;
            if output.status.success() {
                return;
            }
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.code() == Some(3) && Instant::now() < until, "{arguments:?}: {said}");
            sleep(LOOK).await;
        }
    }

    /// Runs the command line to its end.
    pub async fn cli(&self, arguments: &[&str]) -> Output {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_failoverctl"));
        command.args(arguments).env("FAILOVERCTL_SERVER", &self.servers).stdin(std::process::Stdio::null());
        command.kill_on_drop(true);
        let output = timeout(PATIENCE, command.output()).await;
        output.unwrap_or_else(|_| panic!("{arguments:?} does not end in {PATIENCE:?}")).unwrap()
    }

    pub async fn expect(&self, exit: i32, arguments: &[&str]) -> String {
        let output = self.cli(arguments).await;
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        assert_eq!(output.status.code(), Some(exit), "{arguments:?} said: {said}");
        said
    }

    pub async fn json(&self, arguments: &[&str]) -> Value {
        let output = self.cli(&[arguments, &["-o", "json"]].concat()).await;
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// What a living daemon has applied: the one that has applied most.
    pub fn state(&self) -> std::sync::Arc<FleetState> {
        let daemons = REGIONS.into_iter().filter_map(|region| self.sandbox.daemon(&Region::from(region)));
        let states = daemons.map(|daemon| daemon.handles().agreement.state().borrow().clone());
        states.max_by_key(|state| state.applied).unwrap()
    }

    pub fn phase(&self) -> Option<ServicePhase> {
        let state = self.state();
        state.services.get("checkout").map(|service| state.phase(service))
    }

    pub fn leader(&self) -> Option<Region> {
        let leads = |region: &Region| {
            let daemon = self.sandbox.daemon(region);
            daemon.is_some_and(|daemon| daemon.handles().agreement.leadership().borrow().is_me)
        };
        REGIONS.into_iter().map(Region::from).find(leads)
    }

    pub async fn until(&self, what: &str, limit: Duration, done: impl Fn(&Self) -> bool) {
        let until = Instant::now() + limit;
        while !done(self) {
            assert!(Instant::now() < until, "gave up waiting for {what}");
            sleep(LOOK).await;
        }
    }

    pub async fn until_answer(&self, wanted: &str, limit: Duration) {
        let until = Instant::now() + limit;
        loop {
            let answer = self.dns.ask("api.example.com", RecordType::A).await.unwrap_or_default().values;
            if answer == [wanted] {
                return;
            }
            assert!(Instant::now() < until, "the answer is {answer:?}, not {wanted}");
            sleep(LOOK).await;
        }
    }

    /// Until the history of a Region has everything that the fleet agreed on.
    pub async fn until_history_is_whole(&self, region: &str) -> Vec<HistoryEvent> {
        let history = self.sandbox.daemon(&Region::from(region)).unwrap().handles().history.clone();
        let until = Instant::now() + MOVES_WITHIN;
        loop {
            let head = self.state().head.clone();
            if history.verify().await.is_ok_and(|written| written.head == head) {
                return history.range(1, 100_000).await.unwrap();
            }
            assert!(Instant::now() < until, "the history of {region} never became whole");
            sleep(LOOK).await;
        }
    }

    pub fn calls(&self, operation: &str) -> usize {
        self.sandbox.aws().effects().iter().filter(|effect| effect.operation == operation).count()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_dies_without_postgres_and_comes_back_by_hand() {
    let mut it = Fixture::armed().await;
    it.until_answer(ANSWER_OF_EAST, MOVES_WITHIN).await;
    it.sandbox.break_region("postgres").await.unwrap();
    let broken_at = Instant::now();
    it.sandbox.break_region(EAST).await.unwrap();
    it.until_answer(ANSWER_OF_WEST, MOVES_WITHIN).await;
    it.until("checkout to be settled", SETTLED_WITHIN - broken_at.elapsed(), |it| {
        it.phase() == Some(ServicePhase::Steady) && it.state().runs.values().all(|run| run.state == RunState::Succeeded)
    })
    .await;
    it.expect(1, &["history", "verify"]).await;
    it.sandbox.heal_region("postgres").await.unwrap();
    let events = it.until_history_is_whole(WEST).await;
    assert_eq!(events.iter().filter(|event| event.kind == EventKind::Finished).count(), 1);
    assert!(events.iter().all(|event| event.kind != EventKind::Violation), "{events:?}");
    it.expect(0, &["history", "verify"]).await;

    it.sandbox.heal_region(EAST).await.unwrap();
    // A database of the old Region has to be rebuilt before it could take over again.
    it.until("us-east-1 to be heard of", MOVES_WITHIN, |it| {
        it.sandbox.daemon(&Region::from(EAST)).is_some_and(|daemon| {
            let applied = daemon.handles().agreement.state().borrow().applied;
            daemon.handles().agreement.leadership().borrow().caught_up && applied == it.state().applied
        })
    })
    .await;
    it.expect(2, &["failover", "checkout", "--to", EAST]).await;
    it.expect(2, &["failover", "checkout", "--to", "mars-north-1", "--yes"]).await;
    it.expect(3, &["failover", "checkout", "--to", EAST, "--plan", "000000000000", "--yes"]).await;
    let until = Instant::now() + MOVES_WITHIN;
    let back = ["failover", "checkout", "--to", EAST, "--mode", "graceful", "--wait", "--yes"];
    loop {
        let output = it.cli(&back).await;
        match output.status.code() {
            Some(0) => break,
            Some(3) if Instant::now() < until => sleep(LOOK).await,
            other => panic!("{other:?}: {}", String::from_utf8_lossy(&output.stderr)),
        }
    }
    it.until_answer(ANSWER_OF_EAST, MOVES_WITHIN).await;
    let services = it.json(&["get", "services"]).await;
    assert_eq!(services["services"][0]["primary"], EAST);
    assert_eq!(services["services"][0]["epoch"], 3);
    assert_eq!((it.calls("FailoverGlobalCluster"), it.calls("SwitchoverGlobalCluster")), (1, 1));
    it.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_crashes_while_it_promotes_and_another_daemon_finishes_the_run() {
    let mut it = Fixture::armed().await;
    it.expect(0, &["failover", "checkout", "--to", WEST, "--mode", "forced", "--yes"]).await;
    let promotes = |it: &Fixture| {
        let state = it.state();
        let run = state.runs.values().next().unwrap();
        let promotion = run.plan.steps.iter().find(|step| step.is_point_of_no_return()).unwrap();
        run.progress(&promotion.name).state == StepState::Acting && it.calls("FailoverGlobalCluster") > 0
    };
    it.until("the promotion to be under way", MOVES_WITHIN, promotes).await;
    let crashed = it.leader().unwrap();
    it.sandbox.crash_daemon(&crashed).await.unwrap();
    assert!(it.sandbox.crash_daemon(&crashed).await.is_err(), "it is gone already");

    it.expect(0, &["run", "watch", "checkout-1"]).await;
    it.until_answer(ANSWER_OF_WEST, MOVES_WITHIN).await;
    assert_eq!(it.calls("FailoverGlobalCluster"), 1, "no effect is done twice");
    it.sandbox.start_daemon(&crashed).await.unwrap();
    let events = it.until_history_is_whole(EAST).await;
    let by = |kind: EventKind, about: &str| {
        let found = events.iter().filter(|event| event.kind == kind && event.message.starts_with(about));
        found.map(|event| event.actor.clone()).collect::<Vec<_>>()
    };
    assert_eq!(by(EventKind::StepIntent, "promote/"), [format!("daemon:{crashed}")]);
    let outcome = by(EventKind::StepOutcome, "promote/");
    assert!(outcome.len() == 1 && outcome[0] != format!("daemon:{crashed}"), "{outcome:?}");
    it.sandbox.stop().await;
}

/// Hears the story and says nothing.
struct Listener;

impl Narrator for Listener {
    fn heading(&mut self, _: &str) {}
    fn event(&mut self, _: Option<Duration>, _: &str) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_accounts_for_every_millisecond_of_its_move() {
    let mut it = Fixture::up().await;
    let ending = Demo::new(&mut it.sandbox, &mut Listener).unwrap().play().await.unwrap();
    assert!(ending.held(), "{:#?}", ending.checks);
    let names: Vec<&str> = ending.parts.iter().map(|part| part.name).collect();
    let expected =
        ["detect: quorum", "detect: Route 53", "detect: decision", "decide", "data", "commit", "checkers", "answer"];
    assert_eq!(names, expected);
    let floors: Vec<u64> = ending.parts.iter().map(|part| part.floor_ms).collect();
    assert_eq!(floors, [5_000, 0, 0, 2_000, 3_000, 0, 0, 0], "from the manifest and the simulated AWS");
    // What the daemons agreed on is the same move, seen from inside.
    let state = it.state();
    let run = &state.runs[&ending.run];
    let spec = state.services.get("checkout").map(|service| &*service.spec);
    let inside = parts(run, spec);
    assert_eq!(Some(inside.iter().map(|part| part.ms).sum()), run.rto_ms());
    assert!(inside.iter().all(|part| part.ms >= part.floor_ms), "{inside:#?}");
    it.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_simulated_drill_passes_and_touches_nothing() {
    let it = Fixture::armed().await;
    let drills = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/drills.yaml");
    it.expect(0, &["apply", "-f", drills, "--yes"]).await;
    let before = it.calls("FailoverGlobalCluster") + it.calls("SwitchoverGlobalCluster");
    let said = it.expect(0, &["drill", "run", "checkout-simulated", "--wait"]).await;
    assert!(said.contains("passed"), "{said}");
    let described = it.expect(0, &["describe", "drill", "checkout-simulated"]).await;
    assert!(described.contains("in the simulated AWS, RTO"), "{described}");
    let after = it.calls("FailoverGlobalCluster") + it.calls("SwitchoverGlobalCluster");
    assert_eq!(before, after, "nothing was moved");
    assert_eq!(it.phase(), Some(ServicePhase::Steady));
}
