//! Two services that share a switch, as people see them: one is moved, both are.

use failoverd::ports::Dns;
use failoverd_domain::fleet::ServicePhase;
use failoverd_domain::ids::{Region, ServiceName};
use failoverd_domain::route53::{Change, Policy, RecordSet, RecordType};

use crate::sandbox::{Fixture, PATIENCE};

const WEST: &str = "eu-west-1";
const BOTH: [&str; 2] = ["checkout", "storefront"];

fn example(name: &str) -> String {
    format!("{}/examples/{name}.yaml", env!("CARGO_MANIFEST_DIR"))
}

async fn answers(it: &Fixture) -> [String; 2] {
    let ask = async |name| it.dns.ask(name, RecordType::A).await.unwrap().values.join(" ");
    [ask("api.example.com").await, ask("shop.example.com").await]
}

fn all_steady(it: &Fixture) -> bool {
    let state = it.state();
    let steady = |name: &str| {
        let found = state.services.get(&ServiceName::from(name));
        found.map(|service| state.phase(service)) == Some(ServicePhase::Steady)
    };
    BOTH.into_iter().all(steady)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_of_one_switch_move_together() {
    let it = Fixture::up().await;
    it.until("a leader", PATIENCE, |it| it.leader().is_some()).await;
    let alone = it.json(&["apply", "-f", &example("checkout"), "--dry-run"]).await;
    let together = it.json(&["apply", "-f", &example("checkout"), "-f", &example("storefront"), "--dry-run"]).await;
    let checks = |said: &serde_json::Value| said["health_checks"]["add"].as_u64().unwrap();
    assert_eq!(checks(&together) - checks(&alone), 2, "only what watches its own endpoints: {together}");
    it.expect(0, &["apply", "-f", &example("checkout"), "-f", &example("storefront"), "--yes"]).await;
    it.until("both to be steady", PATIENCE, all_steady).await;
    let made = it.sandbox.aws().with(|world| world.check_quota().used);
    assert_eq!(made, checks(&together), "as it was said");
    assert_eq!(answers(&it).await, ["192.0.2.10", "192.0.2.11"]);
    assert_eq!(it.state().switches.len(), 1);

    it.until_ready("checkout").await;
    let status = it.json(&["status"]).await;
    let forecasts = status["if_vanished"].as_array().unwrap().iter().find(|it| it["region"] == "us-east-1").unwrap();
    let shifts = |service: &str| {
        let of = forecasts["services"].as_array().unwrap().iter().find(|it| it["service"] == service).unwrap();
        (of["shifts"][0]["place"].clone(), of["shifts"][0]["now"][0].clone(), of["shifts"][0]["then"][0].clone())
    };
    let moved = ("everywhere".into(), "us-east-1".into(), WEST.into());
    assert_eq!([shifts("checkout"), shifts("storefront")], [moved.clone(), moved], "{status}");
    let status = it.expect(0, &["status"]).await;
    assert!(status.contains("everywhere to eu-west-1"), "{status}");

    // Whoever asks the wrong one is told whom to ask, and is told who moves along.
    let refused = it.expect(3, &["failover", "storefront", "--to", WEST, "--yes"]).await;
    assert!(refused.contains("moves with it: ask for checkout"), "{refused}");
    it.expect(3, &["switch", "set", "storefront", WEST, "on", "--yes"]).await;
    let described = it.expect(0, &["describe", "service", "checkout"]).await;
    assert!(
        described.lines().any(|line| line.starts_with("Moved along:") && line.contains("storefront")),
        "{described}"
    );
    let plan = it.json(&["plan", "checkout", "--to", WEST]).await;
    let names: Vec<&str> = plan["shifts"].as_array().unwrap().iter().filter_map(|it| it["name"].as_str()).collect();
    assert!(names.contains(&"api.example.com") && names.contains(&"shop.example.com"), "{plan}");

    it.until_moved(&["failover", "checkout", "--to", WEST, "--reason", "storm", "--wait", "--yes"]).await;
    assert_eq!(answers(&it).await, ["192.0.2.20", "192.0.2.21"], "verified before the run ended");
    it.until("both to be settled", PATIENCE, all_steady).await;
    assert_eq!(answers(&it).await, ["192.0.2.20", "192.0.2.21"]);
    let state = it.state();
    assert!(BOTH.into_iter().all(|name| state.services[&ServiceName::from(name)].primary == Region::from(WEST)));
    let own = it.expect(0, &["history", "--service", "storefront"]).await;
    assert!(own.contains("storefront moves with checkout: eu-west-1 serves"), "{own}");
    assert_eq!(it.sandbox.aws().with(|world| world.check_quota().used), made, "settled, no more and no fewer");

    // All services of a Region: each moves once.
    let out = it.expect(3, &["evacuate", WEST, "--service", "storefront", "--yes"]).await;
    assert!(out.contains("ask for checkout"), "{out}");
    it.until_moved(&["evacuate", WEST, "--wait", "--yes"]).await;
    assert_eq!(answers(&it).await, ["192.0.2.10", "192.0.2.11"]);

    // Somebody's edit of the other's record holds nobody up, and is said.
    it.until("both to be settled", PATIENCE, all_steady).await;
    it.sandbox.aws().with(|world| {
        let records = world.list_records("example.com").unwrap();
        let edited: Vec<RecordSet> = records.into_iter().filter(|record| record.name == "shop.example.com").collect();
        let plain = RecordSet {
            set_identifier: None,
            policy: Policy::Simple,
            ttl_s: Some(60),
            values: vec!["203.0.113.9".to_owned()],
            alias: None,
            ..edited[0].clone()
        };
        let deletes = edited.into_iter().map(Change::Delete);
        world.change_records("example.com", &deletes.chain([Change::Create(plain)]).collect::<Vec<_>>()).unwrap();
    });
    it.until_moved(&["failover", "checkout", "--to", WEST, "--wait", "--yes"]).await;
    assert_eq!(answers(&it).await, ["192.0.2.20", "203.0.113.9"]);
    let runs = it.json(&["get", "runs"]).await;
    let newest = runs["runs"][0]["id"].as_str().unwrap().to_owned();
    let said = it.expect(0, &["describe", "run", &newest]).await;
    assert!(said.contains("WARNING: of what moves along") && said.contains("203.0.113.9"), "{said}");

    // The lead cannot be taken away from under the other.
    let refused = it.expect(3, &["delete", "service", "checkout", "--yes"]).await;
    assert!(refused.contains("leads the switch of storefront"), "{refused}");
    let history = it.expect(0, &["history"]).await;
    assert!(!history.contains("violation"), "{history}");
    it.sandbox.stop().await;
}
