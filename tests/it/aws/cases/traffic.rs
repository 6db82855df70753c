//! Zones, records and health checks.

use failoverd::ports::{Age, Effect};
use failoverd_domain::route53::{
    AliasTarget, Change, CheckKind, EndpointCheck, HealthCheckConfig, Location, Policy, Protocol, RecordSet, RecordType,
};
use failoverd_domain::traffic::wanted_reference;

use crate::aws::ground::{Ground, US, until};

/// A zone of its own for each case.
async fn zone(ground: &Ground, name: &str) -> String {
    let name = format!("{name}.example.org");
    let made = ground.route53().await.create_hosted_zone().name(&name).caller_reference(&name).send().await;
    made.unwrap_or_else(|error| panic!("{error:?}"));
    name
}

fn text(name: &str, value: &str) -> RecordSet {
    RecordSet::simple(name, RecordType::Txt, 60, vec![value.to_owned()])
}

fn routed(name: &str, set: &str, policy: Policy, value: &str) -> RecordSet {
    RecordSet {
        record_type: RecordType::A,
        set_identifier: Some(set.to_owned()),
        policy,
        values: vec![value.to_owned()],
        ..text(name, "")
    }
}

async fn sorted(ground: &Ground, zone: &str) -> Vec<RecordSet> {
    // As a daemon that has just started reads it.
    let mut all = ground.world(US).records.list(zone, Age::Shared).await.unwrap().as_ref().clone();
    all.retain(|set| !matches!(set.record_type, RecordType::Ns | RecordType::Soa));
    all.sort_by(|a, b| (&a.name, a.record_type, &a.set_identifier).cmp(&(&b.name, b.record_type, &b.set_identifier)));
    all
}

pub async fn a_zone_is_found_by_its_name_and_a_missing_one_is_refused(ground: &Ground) {
    let zone = zone(ground, "found").await;
    let world = ground.world(US);
    if ground.name != "ministack" {
        // MiniStack has no limits to tell.
        let info = world.records.zone(&zone).await.unwrap();
        assert_eq!((info.name.as_str(), info.records.used), (zone.as_str(), 2));
        assert!(info.records.limit >= 10_000, "{info:?}");
    }
    let refused = world.records.list("missing.example.org", Age::Shared).await.unwrap_err();
    assert_eq!((refused.code.as_str(), refused.effect), ("NoSuchHostedZone", Effect::None));
    assert!(refused.message.contains("missing.example.org"), "{refused}");
}

pub async fn every_record_is_listed_page_by_page(ground: &Ground) {
    let zone = zone(ground, "pages").await;
    let world = ground.world(US);
    let records: Vec<Change> =
        (0..350).map(|n| Change::Create(text(&format!("r{n:03}.{zone}"), &format!("text {n}")))).collect();
    world.records.change(&zone, records).await.unwrap();
    let listed = sorted(ground, &zone).await;
    assert_eq!(listed.len(), 350);
    assert_eq!(
        (listed[349].name.clone(), listed[349].values.clone()),
        (format!("r349.{zone}"), vec!["text 349".to_owned()])
    );
}

pub async fn records_of_every_policy_come_back_as_they_were_written(ground: &Ground) {
    let zone = zone(ground, "policies").await;
    let at = |label: &str| format!("{label}.{zone}");
    let alias = |to: &str| AliasTarget { dns_name: at(to), hosted_zone: zone.clone(), evaluate_target_health: true };
    let place = |set: &str, location| routed(&at("geo"), set, Policy::Geolocation(location), "192.0.2.3");
    let mut wanted = vec![
        routed(&at("fo"), "one", Policy::Failover { primary: true }, "192.0.2.1"),
        routed(&at("fo"), "two", Policy::Failover { primary: false }, "192.0.2.2"),
        place("default", Location::Default),
        place("europe", Location::Continent("EU".to_owned())),
        place("germany", Location::Country("DE".to_owned())),
        place("california", Location::Subdivision("US".to_owned(), "CA".to_owned())),
        routed(&at("lat"), "us", Policy::Latency("us-east-1".into()), "192.0.2.4"),
        routed(&at("w"), "half", Policy::Weighted(128), "192.0.2.5"),
        RecordSet {
            alias: Some(alias("w")),
            ttl_s: None,
            values: vec![],
            ..routed(&at("alias"), "half", Policy::Weighted(1), "")
        },
        text(&at("text"), "fleet=prod generation=0 epoch=2 index=31"),
    ];
    wanted
        .sort_by(|a, b| (&a.name, a.record_type, &a.set_identifier).cmp(&(&b.name, b.record_type, &b.set_identifier)));
    let changes = wanted.iter().rev().cloned().map(Change::Create).collect();
    ground.world(US).records.change(&zone, changes).await.unwrap();
    assert_eq!(sorted(ground, &zone).await, wanted);
    let deletes = wanted.into_iter().map(Change::Delete).collect();
    ground.world(US).records.change(&zone, deletes).await.unwrap();
    assert_eq!(sorted(ground, &zone).await, []);
}

pub async fn a_batch_is_all_or_nothing(ground: &Ground) {
    let zone = zone(ground, "atomic").await;
    let world = ground.world(US);
    let (one, two) = (text(&format!("one.{zone}"), "1"), text(&format!("two.{zone}"), "2"));
    world.records.change(&zone, vec![Change::Create(one.clone())]).await.unwrap();
    let strange = RecordSet { values: vec!["3".to_owned()], ..one.clone() };
    for bad in
        [Change::Create(one.clone()), Change::Delete(strange), Change::Delete(text(&format!("none.{zone}"), "0"))]
    {
        let refused = world.records.change(&zone, vec![Change::Create(two.clone()), bad]).await.unwrap_err();
        assert_eq!((refused.code.as_str(), refused.effect), ("InvalidChangeBatch", Effect::None), "{refused}");
        assert_eq!(sorted(ground, &zone).await, std::slice::from_ref(&one));
    }
}

pub async fn whoever_read_an_old_mark_writes_nothing(ground: &Ground) {
    let zone = zone(ground, "mark").await;
    let (ours, theirs) = (ground.world(US), ground.world("eu-west-1"));
    let mark =
        |index: u32| text(&format!("_failoverd.shop.{zone}"), &format!("fleet=f generation=0 epoch=1 index={index}"));
    ours.records.change(&zone, vec![Change::Create(mark(1))]).await.unwrap();
    let swap = |from, to| vec![Change::Delete(mark(from)), Change::Create(mark(to))];
    theirs.records.change(&zone, swap(1, 2)).await.unwrap();
    let late = ours.records.change(&zone, swap(1, 3)).await.unwrap_err();
    assert_eq!(late.effect, Effect::None, "{late}");
    assert_eq!(sorted(ground, &zone).await, [mark(2)]);
}

pub async fn a_change_comes_in_sync(ground: &Ground) {
    let zone = zone(ground, "sync").await;
    let world = ground.world(US);
    let change = world.records.change(&zone, vec![Change::Create(text(&format!("a.{zone}"), "1"))]).await.unwrap();
    until("the change is INSYNC", || async {
        world.records.in_sync(&change).await.unwrap().then_some(()).ok_or_else(|| "PENDING".to_owned())
    })
    .await;
}

fn endpoint(protocol: Protocol, host: &str, search: Option<&str>) -> CheckKind {
    CheckKind::Endpoint(EndpointCheck {
        protocol,
        host: host.to_owned(),
        port: 8443,
        path: if protocol == Protocol::Tcp { String::new() } else { "/s/abc".to_owned() },
        search: search.map(str::to_owned),
        interval_s: 10,
        failure_threshold: 1,
    })
}

const fn plain(kind: CheckKind) -> HealthCheckConfig {
    HealthCheckConfig { kind, inverted: false, disabled: false }
}

pub async fn checks_of_every_kind_come_back_as_they_were_made(ground: &Ground) {
    let world = ground.world(US);
    let mut made = Vec::new();
    for (n, config) in [
        plain(endpoint(Protocol::Http, "192.0.2.1", Some("switch=on"))),
        HealthCheckConfig { inverted: true, ..plain(endpoint(Protocol::Https, "s.example.org", Some("switch=off"))) },
        plain(endpoint(Protocol::Https, "a.example.org", None)),
        HealthCheckConfig { disabled: true, ..plain(endpoint(Protocol::Tcp, "db.example.org", None)) },
        plain(CheckKind::Alarm { region: "eu-west-1".into(), name: "alarm".to_owned() }),
    ]
    .into_iter()
    .enumerate()
    {
        let check = world.health_checks.create(&format!("failoverd/test/hc/kinds/{n}"), config.clone()).await.unwrap();
        assert_eq!(check.config, config);
        made.push(check);
    }
    let children = made.iter().map(|check| check.id.clone()).collect();
    let parent = HealthCheckConfig { inverted: true, ..plain(CheckKind::Calculated { children, threshold: 0 }) };
    made.push(world.health_checks.create("failoverd/test/hc/kinds/p", parent).await.unwrap());
    let listed = ground.world(US).health_checks.list(Age::Shared).await.unwrap();
    for check in &made {
        assert!(listed.contains(check), "{check:?}");
    }
    let used = world.health_checks.quota().await.unwrap();
    assert!(used.used >= 6 && used.limit >= 200, "{used:?}");
    for check in made.iter().rev() {
        world.health_checks.delete(check).await.unwrap();
        // Gone already is as good.
        world.health_checks.delete(check).await.unwrap();
    }
    let left = ground.world(US).health_checks.list(Age::Shared).await.unwrap();
    assert!(!left.iter().any(|check| check.caller_reference.contains("/kinds/")), "{left:?}");
}

pub async fn a_check_is_made_once_and_changed_at_its_version(ground: &Ground) {
    let world = ground.world(US);
    let reference = "failoverd/test/sw/once/us-east-1/p";
    let config = |threshold| plain(CheckKind::Calculated { children: vec![], threshold });
    let first = world.health_checks.create(reference, config(2)).await.unwrap();
    let again = ground.world(US).health_checks.create(reference, config(2)).await.unwrap();
    assert_eq!(first.id, again.id);
    let changed = world.health_checks.update(&first, config(3)).await.unwrap();
    assert_eq!((changed.config.clone(), changed.version > first.version), (config(3), true));
    let late = world.health_checks.update(&first, config(4)).await.unwrap_err();
    assert_eq!((late.code.as_str(), late.effect), ("HealthCheckVersionMismatch", Effect::None));
    let listed = ground.world(US).health_checks.list(Age::Shared).await.unwrap();
    assert_eq!(listed.iter().filter(|check| check.caller_reference == reference).count(), 1);
}

/// Route 53 remembers the reference of a check that was deleted, for days.
pub async fn a_check_that_was_deleted_is_made_anew(ground: &Ground) {
    let world = ground.world(US);
    let reference = "failoverd/test/sw/anew/us-east-1/p";
    let config = plain(CheckKind::Calculated { children: vec![], threshold: 1 });
    let mut before = Vec::new();
    for _ in 0..3 {
        let made = world.health_checks.create(reference, config.clone()).await.unwrap();
        assert_eq!(wanted_reference(&made.caller_reference), reference);
        let again = ground.world(US).health_checks.create(reference, config.clone()).await.unwrap();
        assert_eq!(again.id, made.id);
        assert!(!before.contains(&made.id), "made anew");
        before.push(made.id.clone());
        world.health_checks.delete(&made).await.unwrap();
    }
}
