//! Change batches and their way to the name servers.

use failoverd_domain::ids::HealthCheckId;
use failoverd_domain::route53::{AliasTarget, Change, Policy, RecordSet, RecordType};

use super::test_ground::{NAME, euw1, pass, record, use1, world};
use super::{Resolution, SimulatedAws};

fn change(aws: &SimulatedAws, changes: &[Change]) -> Result<String, String> {
    aws.with(|world| world.change_records("example.com", changes)).map_err(|refusal| refusal.to_string())
}

fn values(aws: &SimulatedAws, name: &str, record_type: RecordType) -> Vec<String> {
    match aws.with(|world| world.resolve(name, record_type, None)) {
        Resolution::Found(_, answer) => answer.values,
        _ => vec![],
    }
}

fn refused(changes: &[Change], words: &str) {
    let aws = world();
    let before = aws.with(|world| world.list_records("example.com"));
    let error = change(&aws, changes).unwrap_err();
    assert!(error.contains(words) && error.contains("(InvalidChangeBatch)"), "{error}");
    assert_eq!(aws.with(|world| world.list_records("example.com")), before, "all or nothing");
    assert!(aws.effects().is_empty());
}

fn simple(value: &str) -> RecordSet {
    record("", Policy::Simple, value, None)
}

fn txt(value: &str) -> RecordSet {
    RecordSet { name: "_failoverd.example.com".into(), record_type: RecordType::Txt, ..simple(value) }
}

#[tokio::test(start_paused = true)]
async fn name_servers_follow_after_the_propagation_delay() {
    let aws = world();
    let id = change(&aws, &[Change::Create(simple("192.0.2.1"))]).unwrap();
    assert_eq!(values(&aws, NAME, RecordType::A), Vec::<String>::new());
    assert_eq!(aws.with(|world| world.change_in_sync(&id)), Ok(false));
    pass(20_001).await;
    assert_eq!(values(&aws, NAME, RecordType::A), ["192.0.2.1"]);
    assert_eq!(aws.with(|world| world.change_in_sync(&id)), Ok(true));
    assert!(aws.with(|world| world.change_in_sync("C99")).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_txt_record_is_a_compare_and_swap() {
    let aws = world();
    change(&aws, &[Change::Create(txt("index=1"))]).unwrap();
    let to = |old: &str, new: &str| [Change::Delete(txt(old)), Change::Create(txt(new))];
    change(&aws, &to("index=1", "index=2")).unwrap();
    let late = change(&aws, &to("index=1", "index=3")).unwrap_err();
    assert!(late.contains("do not match the current values"), "{late}");
    let held = aws.with(|world| world.list_records("example.com")).unwrap();
    assert!(held.contains(&txt("index=2")));
    assert_eq!(aws.effects().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn batches_are_all_or_nothing() {
    refused(&[Change::Create(txt("x")), Change::Delete(simple("192.0.2.1"))], "but it was not found");
    refused(&[Change::Create(simple("192.0.2.1")), Change::Create(simple("192.0.2.2"))], "but it already exists");
    let many: Vec<Change> = (0..1_001)
        .map(|n| Change::Create(RecordSet { name: format!("h{n}.example.com"), ..simple("192.0.2.1") }))
        .collect();
    refused(&many, "limit of 1000 exceeded");
    assert!(change(&world(), &many[..1_000]).is_ok());
    refused(&(0..40).map(|_| Change::Create(txt(&"x".repeat(900)))).collect::<Vec<_>>(), "limit of 32000 exceeded");
}

#[tokio::test(start_paused = true)]
async fn records_that_contradict_each_other_are_refused() {
    let of = |id: &str, policy| Change::Create(record(id, policy, "192.0.2.1", None));
    let primary = Policy::Failover { primary: true };
    refused(&[of("a", primary.clone()), of("b", primary.clone())], "failover role PRIMARY");
    refused(&[of("a", primary), of("b", Policy::Weighted(1))], "another routing policy");
    refused(&[of("a", Policy::Latency(use1())), of("b", Policy::Latency(use1()))], "same region");
    assert!(change(&world(), &[of("a", Policy::Latency(use1())), of("b", Policy::Latency(euw1()))]).is_ok());
    let cname = RecordSet { record_type: RecordType::Cname, ..simple("x.example.net") };
    refused(&[Change::Create(simple("192.0.2.1")), Change::Create(cname)], "conflicts with other records");
}

#[tokio::test(start_paused = true)]
async fn malformed_records_are_refused() {
    let create = |set: RecordSet| [Change::Create(set)];
    refused(&create(simple("300.1.1.1")), "not a valid IPv4 address");
    refused(&create(RecordSet { name: "api.example.org".into(), ..simple("192.0.2.1") }), "is not permitted in zone");
    refused(&create(RecordSet { name: "badexample.com".into(), ..simple("192.0.2.1") }), "is not permitted in zone");
    let unknown = HealthCheckId::from("nope");
    refused(
        &create(record("a", Policy::Weighted(1), "192.0.2.1", Some(&unknown))),
        "health check id nope does not exist",
    );
    let alias = |zone: &str, to: &str| RecordSet {
        ttl_s: None,
        values: vec![],
        alias: Some(AliasTarget { dns_name: to.into(), hosted_zone: zone.into(), evaluate_target_health: true }),
        ..simple("")
    };
    refused(&create(RecordSet { ttl_s: Some(30), ..alias("ZLB", "lb.amazonaws.com") }), "must not have a TTL");
    refused(&create(alias("example.com", "missing.example.com")), "that target was not found");
    refused(&create(RecordSet { ttl_s: None, ..simple("192.0.2.1") }), "missing its TTL");
}

#[tokio::test(start_paused = true)]
async fn a_deletion_matches_whatever_the_order_of_values() {
    let aws = world();
    let two = |values: [&str; 2]| RecordSet { values: values.map(str::to_owned).to_vec(), ..simple("") };
    change(&aws, &[Change::Create(two(["192.0.2.1", "192.0.2.2"]))]).unwrap();
    change(&aws, &[Change::Delete(two(["192.0.2.2", "192.0.2.1"]))]).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_batch_behind_an_earlier_one_is_refused_for_now() {
    let aws = world();
    aws.hold_up_changes(1);
    let refusal = aws.with(|world| world.change_records("example.com", &[Change::Create(txt("x"))])).unwrap_err();
    assert_eq!((refusal.code, refusal.retryable), ("PriorRequestNotComplete", true));
    change(&aws, &[Change::Create(txt("x"))]).unwrap();
}
