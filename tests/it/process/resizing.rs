//! Three processes become four and three again, with a service whose switch they are: its health checks follow.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use failoverd::adapters::clock::SystemClock;
use failoverd::adapters::probe::HttpFetch;
use failoverd::api::proto::Phase;
use failoverd::ports::Age;
use failoverd::sim::wire::{WireServer, caller_key};
use failoverd::sim::world::{SimulatedAws, Timing, run_checkers};
use failoverd_domain::fleet::Role;
use failoverd_domain::ids::Region;
use failoverd_domain::manifest::read_set;
use failoverd_domain::route53::CheckKind;
use serde_json::Value;
use tokio::task::JoinSet;

use super::bound::{seconds, within};
use super::fleet::{Daemon, FOURTH, Fleet, REGIONS, failoverd};
use super::recovery::failoverctl;
use super::security::NO_DATABASE;
use crate::aws::end_to_end::Checkers;

const FOURTH_AT: usize = 3;
const SHOP: &str = r#"
apiVersion: failoverd.dev/v1
kind: FailoverService
metadata: { name: shop }
spec:
  pattern: active-passive
  regions: [us-east-1, eu-west-1]
  objectives: { rto: 5m, rpo: 10s }
  policy: { failover: approval, announce: 0s, cooldown: 1s }
  health:
    breach_after: 3s
    recover_after: 2s
    signals:
      - { name: front-door, http: { url: "http://127.0.0.1:9/{region}/healthz", interval: 1s, timeout: 500ms } }
  traffic:
    hosted_zone: example.com
    switch: http
    records:
      - name: shop.example.com
        type: A
        routing: failover
        ttl: 30s
        targets: { us-east-1: { values: ["192.0.2.10"] }, eu-west-1: { values: ["192.0.2.20"] } }
"#;

/// What the processes reach of AWS.
struct Aws {
    simulated: SimulatedAws,
    endpoint: String,
    _serving: JoinSet<()>,
}

impl Aws {
    async fn up() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut serving = JoinSet::new();
        let simulated = SimulatedAws::new(Arc::new(SystemClock), 7, Timing::brisk());
        let roles: BTreeMap<Region, Role> = REGIONS.map(|region| (region.into(), Role::Member)).into();
        simulated.provision(&read_set([("shop.yaml", SHOP.as_bytes())], &roles, &[]).unwrap().services[0]);
        let wire = WireServer::bind(simulated.clone(), ([127, 0, 0, 1], 0).into()).await.unwrap();
        let endpoint = format!("http://{}", wire.address().unwrap());
        serving.spawn(async move { wire.run().await.unwrap() });
        let checkers = Arc::new(Checkers(HttpFetch::new().unwrap()));
        serving.spawn(run_checkers(simulated.clone(), checkers, Duration::from_millis(100)));
        Self { simulated, endpoint, _serving: serving }
    }

    fn start(&self, daemon: &mut Daemon, more: &[&str]) {
        let mut command = failoverd();
        command.args(more).arg("--config").arg(&daemon.config).arg("--dev").env("FAILOVERD_LOG", "info");
        command.env("FAILOVERD_AWS__ENDPOINT_URL", &self.endpoint).env("FAILOVERD_AWS__NAME_SERVERS", "[127.0.0.1:9]");
        command.env("AWS_ACCESS_KEY_ID", caller_key(&daemon.region.into())).env("AWS_SECRET_ACCESS_KEY", "simulated");
        daemon.start_as(command);
    }

    /// How many health checks ask each of the daemons, and children and threshold of each vote over them.
    async fn checks(&self, fleet: &Fleet) -> (Vec<usize>, Vec<(usize, u32)>) {
        let world = self.simulated.ports(REGIONS[0].into()).into_world();
        let checks = world.health_checks.list(Age::Now).await.unwrap();
        let asks = |daemon: &Daemon| {
            let is_asked = |kind: &CheckKind| matches!(kind, CheckKind::Endpoint(at) if at.port == daemon.ports.switch);
            checks.iter().filter(|check| is_asked(&check.config.kind)).count()
        };
        let votes = checks.iter().filter_map(|check| match &check.config.kind {
            CheckKind::Calculated { children, threshold } => Some((children.len(), *threshold)),
            _ => None,
        });
        (fleet.daemons.iter().map(asks).collect(), votes.collect())
    }
}

/// While the fourth waits to be added, it knows of no leader.
async fn leader_of(fleet: &Fleet) -> usize {
    within(seconds(30), "the three agree on a leader", || async {
        let mut leaders = Vec::new();
        for daemon in fleet.daemons.iter().take(REGIONS.len()).filter(|daemon| daemon.is_running()) {
            leaders.extend(daemon.seen().await?.answered?.leader);
        }
        leaders.dedup();
        fleet.daemons.iter().position(|daemon| daemon.is_running() && leaders == [daemon.region])
    })
    .await
}

async fn until_steady(fleet: &Fleet) {
    within(seconds(90), "the service is settled", || async {
        let seen = fleet.daemons[0].seen().await?;
        seen.services.iter().all(|service| service.phase() == Phase::Steady).then_some(())
    })
    .await;
}

/// At whoever leads, again until it is done.
async fn typed(fleet: &Fleet, arguments: &[&str]) {
    within(seconds(120), &arguments.join(" "), || async {
        let (code, text) = failoverctl(&fleet.daemons[leader_of(fleet).await], arguments);
        println!("{text}");
        (code == Some(0)).then_some(())
    })
    .await;
}

async fn voters(fleet: &Fleet) -> usize {
    let (code, text) = failoverctl(&fleet.daemons[leader_of(fleet).await], &["fleet", "list", "-o", "json"]);
    assert_eq!(code, Some(0), "{text}");
    let list: Value = serde_json::from_str(&text).unwrap();
    list["daemons"].as_array().unwrap().iter().filter(|daemon| daemon["votes"] == true).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn three_processes_become_four_and_three_again_and_the_health_checks_follow() {
    let aws = Aws::up().await;
    let urls = [NO_DATABASE.to_owned(), NO_DATABASE.to_owned()];
    let mut fleet = Fleet::prepared(tempfile::tempdir().unwrap(), &urls);
    for daemon in &mut fleet.daemons {
        aws.start(daemon, &[]);
    }
    leader_of(&fleet).await;
    for daemon in &fleet.daemons {
        daemon.until_caught_up().await;
    }
    within(seconds(20), "a pause", || async { fleet.daemons[0].set_paused(true).await.ok() }).await;
    fleet.apply(SHOP).await;
    until_steady(&fleet).await;
    assert_eq!(aws.checks(&fleet).await, (vec![2, 2, 2], vec![(6, 3), (6, 3)]));

    // Everybody is told where the fourth will be, one after the other; then it waits.
    fleet.prepare_fourth();
    for at in 0..REGIONS.len() {
        fleet.daemons[at].kill();
        aws.start(&mut fleet.daemons[at], &[]);
        fleet.daemons[at].until_caught_up().await;
    }
    let (_, text) = failoverctl(&fleet.daemons[leader_of(&fleet).await], &["fleet", "add", FOURTH, "--yes"]);
    assert!(text.contains("start it on an empty data_dir with --join 0"), "{text}");
    aws.start(&mut fleet.daemons[FOURTH_AT], &["--join", "0"]);
    assert_eq!(voters(&fleet).await, 3, "named is not added");

    let leader = &fleet.daemons[leader_of(&fleet).await];
    let (code, text) = failoverctl(leader, &["fleet", "add", FOURTH, "--dry-run"]);
    assert_eq!(code, Some(0), "{text}");
    for words in
        ["daemons        3 -> 4", "may be lost    1 -> 1", "10 -> 12 of all services", "no better than the odd one"]
    {
        assert!(text.contains(words), "{words} is not in {text}");
    }
    let (code, text) = failoverctl(leader, &["fleet", "add", FOURTH]);
    assert!(code == Some(2) && text.contains("--yes"), "nobody can be asked here: {text}");
    typed(&fleet, &["fleet", "add", FOURTH, "--yes"]).await;
    fleet.daemons[FOURTH_AT].until_caught_up().await;
    assert_eq!(voters(&fleet).await, 4);
    until_steady(&fleet).await;
    assert_eq!(aws.checks(&fleet).await, (vec![2, 2, 2, 2], vec![(8, 4), (8, 4)]));
    within(seconds(30), "all four vote by the switch", || async {
        let seen = fleet.daemons[FOURTH_AT].seen().await?;
        seen.regions.iter().all(|region| region.reachable).then_some(())
    })
    .await;

    // Whoever goes does not lead; if it does, it hands leadership over by being restarted.
    if leader_of(&fleet).await == FOURTH_AT {
        fleet.daemons[FOURTH_AT].kill();
        leader_of(&fleet).await;
        aws.start(&mut fleet.daemons[FOURTH_AT], &[]);
        fleet.daemons[FOURTH_AT].until_caught_up().await;
    }
    let (code, text) = failoverctl(&fleet.daemons[leader_of(&fleet).await], &["fleet", "remove", REGIONS[0], "--yes"]);
    assert!(code == Some(3), "a service is there, or it leads: {text}");
    typed(&fleet, &["fleet", "remove", FOURTH, "--yes"]).await;
    assert_eq!(fleet.daemons[FOURTH_AT].ended(seconds(60)).await.code(), Some(1));
    aws.start(&mut fleet.daemons[FOURTH_AT], &[]);
    assert_eq!(fleet.daemons[FOURTH_AT].ended(seconds(20)).await.code(), Some(1));
    let log = fleet.daemons[FOURTH_AT].logged();
    for words in ["ap-south-1, which was removed from the fleet", "failoverctl fleet add ap-south-1"] {
        assert!(log.contains(words), "{log}");
    }
    assert_eq!(voters(&fleet).await, 3);
    until_steady(&fleet).await;
    assert_eq!(aws.checks(&fleet).await, (vec![2, 2, 2, 0], vec![(6, 3), (6, 3)]));

    // Any two of the three agree.
    fleet.daemons[2].kill();
    leader_of(&fleet).await;
    within(seconds(20), "automatic action is on again", || async { fleet.daemons[0].set_paused(false).await.ok() })
        .await;
}
