//! The examples as somebody finds them: each is applied to a sandbox as it stands, and settles; the pair moves by
//! itself when its Region dies, and has a way back.

use failoverd::ports::Dns;
use failoverd::sandbox::Sandbox;
use failoverd::sim::world::Resolution;
use failoverd_domain::data::store::ReplicaStatus;
use failoverd_domain::fleet::{FleetState, ServicePhase};
use failoverd_domain::ids::{Region, ServiceName};
use failoverd_domain::route53::{Place, RecordType};

use crate::sandbox::{Fixture, PATIENCE};

const EAST: &str = "us-east-1";
const WEST: &str = "eu-west-1";

fn example(name: &str) -> String {
    format!("{}/examples/{name}.yaml", env!("CARGO_MANIFEST_DIR"))
}

fn phase(state: &FleetState, service: &str) -> Option<ServicePhase> {
    let found = state.services.get(&ServiceName::from(service))?;
    Some(state.phase(found))
}

/// What askers in a continent are answered.
fn answer_from(sandbox: &Sandbox, continent: &str) -> Vec<String> {
    let from = Place { continent: Some(continent.to_owned()), ..Place::default() };
    match sandbox.aws().with(|world| world.resolve("orders.example.com", RecordType::A, Some(from))) {
        Resolution::Found(_, answer) => answer.values,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_example_settles_as_it_stands_and_the_pair_moves_and_comes_back() {
    let mut it = Fixture::up().await;
    it.until("a leader", PATIENCE, |it| it.leader().is_some()).await;
    for name in ["orders-active-active", "active-passive", "serverless-ml"] {
        it.expect(0, &["apply", "-f", &example(name), "--yes"]).await;
    }
    for service in ["orders", "app", "inference"] {
        it.until(&format!("{service} to be steady"), PATIENCE, |it| {
            phase(&it.state(), service) == Some(ServicePhase::Steady)
        })
        .await;
    }

    // Orders: everybody is answered where they are near, and the third Region gets its copy.
    let (america, europe) = (answer_from(&it.sandbox, "NA"), answer_from(&it.sandbox, "EU"));
    assert!(!america.is_empty() && !europe.is_empty() && america != europe, "{america:?} {europe:?}");
    assert_eq!(answer_from(&it.sandbox, "AS"), america, "whoever is elsewhere has the default location");
    it.until("the table to be in three Regions", PATIENCE, |it| {
        let found = it.sandbox.aws().with(|world| world.describe_table(&EAST.into(), "Orders")).unwrap();
        found.replicas.get(&Region::from("ap-southeast-1")) == Some(&ReplicaStatus::Active)
    })
    .await;

    let europe = it.json(&["route", "explain", "orders.example.com", "--from", "country=DE"]).await;
    assert_eq!(europe["answers"][0]["set_identifier"], "eu-west-1 continent=EU", "{europe}");
    let without = it.json(&["route", "explain", "orders.example.com", "--down", WEST]).await;
    let moved = without["places"].as_array().unwrap().iter().find(|place| place["from"] == "continent=EU").unwrap();
    let set = |answers: &serde_json::Value| answers[0]["set_identifier"].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        (set(&moved["now"]).as_str(), set(&moved["then"]).as_str()),
        ("eu-west-1 continent=EU", "us-east-1 default")
    );

    // The pair: what would happen is said beforehand; its Region dies, and it moves by itself.
    it.until_ready("app").await;
    let told = it.json(&["route", "explain", "app.example.com", "--down", EAST]).await;
    assert_eq!(told["answers"][0]["values"], serde_json::json!(["198.51.100.20"]), "{told}");
    let now = it.json(&["route", "explain", "app.example.com"]).await;
    assert_eq!(now["answers"][0]["values"], serde_json::json!(["198.51.100.10"]), "{now}");
    it.sandbox.break_region(EAST).await.unwrap();
    let serves = |service: &'static str, region: &'static str| {
        move |it: &Fixture| {
            let state = it.state();
            let found = &state.services[&ServiceName::from(service)];
            found.primary == Region::from(region) && state.phase(found) == ServicePhase::Steady
        }
    };
    it.until("app to serve from the survivor, settled", PATIENCE, serves("app", WEST)).await;
    it.until("inference to serve from the survivor, settled", PATIENCE, serves("inference", WEST)).await;
    assert_eq!(it.dns.ask("app.example.com", RecordType::A).await.unwrap().values, ["198.51.100.20"]);
    let promoted = it.sandbox.aws().with(|world| world.instance(&WEST.into(), "legacy-db-replica")).unwrap();
    assert!(promoted.is_writer(), "{promoted:?}");

    // The Region comes back: the old primary is put aside, and a replica stands in its place.
    it.sandbox.heal_region(EAST).await.unwrap();
    it.until("a new replica in the old Region", PATIENCE, |it| {
        let (aside, replica) = it.sandbox.aws().with(|world| {
            (world.instance(&EAST.into(), "legacy-db-old-e2"), world.instance(&EAST.into(), "legacy-db"))
        });
        aside.is_some() && replica.is_some_and(|replica| !replica.is_writer() && replica.is_available())
    })
    .await;
    assert_eq!(it.sandbox.aws().instance_split_brain_writes(&EAST.into(), "legacy-db-old-e2"), 0);

    // And the way back loses nothing.
    it.until_moved(&["failback", "app", "--reason", "home again", "--wait", "--yes"]).await;
    it.until("app to serve from home, settled", PATIENCE, serves("app", EAST)).await;
    assert_eq!(it.dns.ask("app.example.com", RecordType::A).await.unwrap().values, ["198.51.100.10"]);
    let report = it.json(&["describe", "run", "app-2"]).await;
    let lost = report.to_string();
    assert!(lost.contains("\"measured\":0"), "{lost}");
    it.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_drills_apply_after_the_service_they_are_of_and_not_before() {
    let it = Fixture::up().await;
    it.until("a leader", PATIENCE, |it| it.leader().is_some()).await;
    let alone = it.expect(2, &["apply", "-f", &example("drills"), "--yes"]).await;
    assert!(alone.contains("there is no service checkout"), "{alone}");
    it.expect(0, &["apply", "-f", &example("checkout"), "--yes"]).await;
    let applied = it.expect(0, &["apply", "-f", &example("drills"), "--yes"]).await;
    for drill in ["checkout-monthly", "checkout-now", "checkout-region-loss", "checkout-simulated"] {
        assert!(applied.contains(drill), "{drill} is not in {applied}");
    }
    it.sandbox.stop().await;
}
