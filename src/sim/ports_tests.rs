//! Faults as a daemon sees them through its ports.

use std::collections::BTreeMap;

use failoverd_domain::ids::ServiceName;
use failoverd_domain::route53::{Policy, RecordType};
use failoverd_domain::service::{Canary, Fence, ProbeSpec, Store, StoreKind};
use tokio::time::Instant;

use super::*;
use crate::ports::{Canaries, CanaryAt, Dns, Fences, Metrics, NotGood, Prober};
use crate::sim::world::test_ground::{NAME, endpoint, euw1, pass, record, use1, usw2, world};

fn aurora_store() -> Store {
    let clusters = BTreeMap::from([(use1(), "gc-use1".into()), (euw1(), "gc-euw1".into())]);
    Store {
        name: "orders-db".into(),
        kind: StoreKind::Aurora { global_cluster: "gc".into(), clusters },
        canary: Some(Canary::Dsn { dsn_env: "DSN".into() }),
        fence: Some(Fence::SecurityGroup(BTreeMap::from([(use1(), "sg-0a".into())]))),
    }
}

fn txt() -> Vec<Change> {
    let set = RecordSet { record_type: RecordType::Txt, ..record("", Policy::Simple, "x", None) };
    vec![Change::Create(set)]
}

async fn timed<T>(call: impl Future<Output = T>) -> (T, u64) {
    let started = Instant::now();
    let result = call.await;
    (result, u64::try_from(started.elapsed().as_millis()).unwrap())
}

fn known(result: Call<()>) -> (String, Effect) {
    let error = result.unwrap_err();
    (error.code, error.effect)
}

fn is(code: &str, effect: Effect) -> (String, Effect) {
    (code.to_owned(), effect)
}

#[tokio::test(start_paused = true)]
async fn a_dead_region_does_not_answer_and_nobody_knows_what_a_change_did() {
    let aws = world();
    let ports = aws.ports(euw1());
    let (near, took_ms) = timed(ports.describe_cluster_in(&euw1())).await;
    assert!(near.is_ok() && took_ms < 20, "{near:?} {took_ms}");
    assert_eq!(timed(ports.describe_cluster_in(&use1())).await.1, 90);
    aws.break_region(&use1());
    let (far, took_ms) = timed(ports.switchover(&use1(), "gc", &euw1())).await;
    assert_eq!((known(far), took_ms), (is("Timeout", Effect::Unknown), 2_000));
    assert_eq!(ports.describe_cluster_in(&use1()).await.unwrap_err().effect, Effect::NoneRetryable);
    ports.failover(&euw1(), "gc", &euw1()).await.unwrap();
    assert_eq!(aws.effects().len(), 1);
    assert!(ports.change("example.com", txt()).await.is_ok(), "route 53's api outlives us-east-1's customers");
}

impl SimulatedPorts {
    async fn describe_cluster_in(&self, region: &Region) -> Call<GlobalCluster> {
        AuroraGlobal::describe(self, region, "gc").await
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_leaves_its_effect_behind() {
    let aws = world();
    let ports = aws.ports(use1());
    aws.lose_next_answers(&use1(), Service::Route53, 1);
    let lost = ports.change("example.com", txt()).await.map(|_| ());
    assert_eq!(known(lost), is("Timeout", Effect::Unknown));
    let again = ports.change("example.com", txt()).await.unwrap_err();
    assert_eq!((again.code.as_str(), again.effect), ("InvalidChangeBatch", Effect::None));
    assert_eq!(aws.effects().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn throttling_expired_tokens_and_slowness_have_no_effect_or_an_unknown_one() {
    let aws = world();
    let ports = aws.ports(use1());
    aws.throttle(&use1(), Service::Rds, true);
    assert_eq!(known(ports.switchover(&use1(), "gc", &euw1()).await), is("Throttling", Effect::NoneRetryable));
    aws.throttle(&use1(), Service::Rds, false);
    aws.expire_credentials(&use1(), true);
    assert_eq!(known(ports.switchover(&use1(), "gc", &euw1()).await), is("ExpiredToken", Effect::None));
    aws.expire_credentials(&use1(), false);
    assert!(aws.effects().is_empty());
    aws.slow(&use1(), Service::Rds, 60_000);
    let (slow, took_ms) = timed(ports.switchover(&use1(), "gc", &euw1())).await;
    assert_eq!((known(slow), took_ms), (is("Timeout", Effect::Unknown), 2_000));
    assert_eq!(aws.effects().len(), 1, "it arrived all the same");
}

#[tokio::test(start_paused = true)]
async fn with_the_control_plane_away_data_still_flows_but_nothing_can_be_fenced() {
    let aws = world();
    let (ports, store) = (aws.ports(use1()), aurora_store());
    let (service, region) = (ServiceName::from("checkout"), use1());
    let canary = store.canary.clone().unwrap();
    let at = CanaryAt { service: &service, store: &store, canary: &canary, region: &region };
    let fence = store.fence.clone().unwrap();
    aws.break_control_plane(&use1());
    Canaries::write(&ports, &at, 1).await.unwrap();
    assert_eq!(known(ports.fence(&use1(), &store, &fence).await), is("Timeout", Effect::Unknown));
    aws.heal_control_plane(&use1());
    ports.fence(&use1(), &store, &fence).await.unwrap();
    assert_eq!(ports.is_fenced(&use1(), &store, &fence).await, Ok(true));
    assert!(Canaries::write(&ports, &at, 2).await.is_err());
    assert_eq!(Canaries::read(&ports, &at).await, Ok(Some(1)));
    assert_eq!(known(ports.fence(&euw1(), &store, &fence).await), is("NotConfigured", Effect::None));
}

#[tokio::test(start_paused = true)]
async fn route53_away_stops_its_api_and_not_its_dns() {
    let aws = world();
    let ports = aws.ports(euw1());
    ports.change("example.com", vec![Change::Create(record("", Policy::Simple, "192.0.2.1", None))]).await.unwrap();
    pass(20_000).await;
    aws.break_route53_api();
    assert!(HealthChecks::create(&ports, "r", endpoint("h", None)).await.is_err());
    assert_eq!(ports.ask(NAME, RecordType::A).await.map(|heard| heard.values), Ok(vec!["192.0.2.1".to_owned()]));
    assert!(ports.ask("example.org", RecordType::A).await.is_err());
    aws.isolate(&euw1());
    assert!(ports.ask(NAME, RecordType::A).await.is_err());
    aws.heal_route53_api();
    assert_eq!(HealthChecks::list(&aws.ports(usw2()), crate::ports::Age::Now).await, Ok(Arc::default()));
}

#[tokio::test(start_paused = true)]
async fn probes_see_regions_cuts_and_endpoints() {
    let aws = world();
    let (here, there) = (aws.ports(euw1()), aws.ports(usw2()));
    let probe = ProbeSpec::Http {
        url: "https://{region}.checkout.example.com/healthz".into(),
        interval_ms: None,
        timeout_ms: 2_000,
        expect_status: 200,
    };
    assert!(here.probe(&probe, &use1()).await.is_ok());
    aws.set_endpoint(&use1(), &"checkout".into(), false);
    assert!(matches!(here.probe(&probe, &use1()).await, Err(NotGood::Bad(why)) if why.contains("503")));
    assert!(here.probe(&probe, &euw1()).await.is_ok());
    assert!(!aws.endpoint_up(&use1(), &"checkout".into()));
    aws.set_endpoint(&use1(), &"checkout".into(), true);
    aws.cut(&euw1(), &use1());
    assert!(here.probe(&probe, &use1()).await.is_err() && !here.reference(&use1()).await);
    assert!(there.probe(&probe, &use1()).await.is_ok() && there.reference(&use1()).await);
    aws.break_region(&use1());
    assert!(there.probe(&probe, &use1()).await.is_err());
    let alarm = ProbeSpec::CloudwatchAlarm { name: "5xx-{region}".into() };
    assert!(matches!(there.probe(&alarm, &euw1()).await, Err(NotGood::Unknown(_))), "there is no such alarm yet");
    aws.set_alarm(&euw1(), "5xx-eu-west-1", Some(true));
    assert!(there.probe(&alarm, &euw1()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn canaries_find_their_place_in_each_kind_of_store() {
    let aws = world();
    let service = ServiceName::from("checkout");
    let stores = [
        Store {
            kind: StoreKind::Dynamodb {
                table: "Orders".into(),
                ensure_replicas: false,
                replicas: vec![],
                create: None,
            },
            canary: Some(Canary::Table { table: "Orders".into() }),
            fence: None,
            ..aurora_store()
        },
        Store {
            kind: StoreKind::S3 {
                buckets: BTreeMap::from([(use1(), "media-use1".into()), (euw1(), "media-euw1".into())]),
                bidirectional: false,
                role_arn: None,
                time_control: false,
            },
            canary: Some(Canary::Prefix { prefix: ".failoverd/".into() }),
            fence: None,
            ..aurora_store()
        },
        aurora_store(),
    ];
    let ports = aws.ports(euw1());
    for store in &stores {
        let canary = store.canary.as_ref().unwrap();
        let (use1, euw1) = (use1(), euw1());
        let in_region = |region| CanaryAt { service: &service, store, canary, region };
        Canaries::write(&ports, &in_region(&use1), 7).await.unwrap();
        assert_eq!(Canaries::read(&ports, &in_region(&use1)).await, Ok(Some(7)));
        pass(10_000).await;
        assert_eq!(Canaries::read(&ports, &in_region(&euw1)).await, Ok(Some(7)));
        pass(60_000).await;
        let (lag_ms, age_ms) = ports.replication_lag(&euw1, store).await.unwrap().unwrap();
        assert!(lag_ms > 0 && age_ms < 61_000, "{lag_ms} {age_ms}");
    }
    let misfit = Store { canary: Some(Canary::Prefix { prefix: "x/".into() }), ..aurora_store() };
    let use1 = use1();
    let at = CanaryAt { service: &service, store: &misfit, canary: misfit.canary.as_ref().unwrap(), region: &use1 };
    assert_eq!(known(Canaries::write(&ports, &at, 1).await), is("NotConfigured", Effect::None));
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_world() {
    let story = || async {
        let aws = world();
        let ports = aws.ports(use1());
        let check = HealthChecks::create(&ports, "r", endpoint("h", None)).await.unwrap();
        for version in 0..50 {
            aws.with(|w| w.put_item(&use1(), "Orders", "k", version)).unwrap();
            pass(137).await;
        }
        let seen = aws.with(|w| w.get_item(&euw1(), "Orders", "k")).unwrap();
        (check, seen, aws.effects())
    };
    assert_eq!(story().await, story().await);
}

#[tokio::test(start_paused = true)]
async fn a_replicated_instance_is_fenced_promoted_put_aside_and_rebuilt() {
    let aws = world();
    aws.make_instance(&use1(), "ledger", None);
    aws.make_instance(&euw1(), "ledger-eu", Some((&use1(), "ledger")));
    let store = Store {
        name: "ledger".into(),
        kind: StoreKind::Rds {
            instances: BTreeMap::from([(use1(), "ledger".into()), (euw1(), "ledger-eu".into())]),
            rebuild: true,
        },
        ..aurora_store()
    };
    let (service, old, new) = (ServiceName::from("checkout"), use1(), euw1());
    let (canary, fence) = (store.canary.clone().unwrap(), store.fence.clone().unwrap());
    let ports = aws.ports(euw1());
    let at = |region| CanaryAt { service: &service, store: &store, canary: &canary, region };
    Canaries::write(&ports, &at(&old), 1).await.unwrap();
    pass(5_000).await;
    assert_eq!(Canaries::read(&ports, &at(&new)).await, Ok(Some(1)));
    pass(60_000).await;
    assert!(ports.replication_lag(&new, &store).await.unwrap().is_some_and(|(lag_ms, _)| lag_ms >= 1_000));

    assert_eq!(ports.is_fenced(&old, &store, &fence).await, Ok(false));
    ports.fence(&old, &store, &fence).await.unwrap();
    assert_eq!(ports.is_fenced(&old, &store, &fence).await, Ok(true));
    assert_eq!(Canaries::write(&ports, &at(&old), 2).await.unwrap_err().code, "ConnectionTimeout");
    assert_eq!(known(ports.fence(&new, &store, &fence).await), is("NotConfigured", Effect::None));

    ports.promote(&new, "ledger-eu").await.unwrap();
    pass(130_000).await;
    let promoted = DbInstances::describe(&ports, &new, "ledger-eu").await.unwrap().unwrap();
    assert!(promoted.is_writer() && promoted.is_available(), "{promoted:?}");
    Canaries::write(&ports, &at(&new), 2).await.unwrap();
    ports.put_aside(&old, "ledger", "ledger-aside").await.unwrap();
    pass(70_000).await;
    ports.create_replica(&old, "ledger", &promoted).await.unwrap();
    pass(301_000).await;
    let replica = DbInstances::describe(&ports, &old, "ledger").await.unwrap().unwrap();
    assert_eq!(replica.replica_of, Some(promoted.arn));
    assert_eq!(Canaries::read(&ports, &at(&old)).await, Ok(Some(2)));
    assert_eq!(ports.is_fenced(&old, &store, &fence).await, Ok(false), "the fence stayed with what was put aside");
}
