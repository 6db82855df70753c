//! The policy of a service with every kind of store.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::ids::Region;
use crate::service::{
    Canary, Fence, KeyAttribute, KeyType, NewTable, ProbeSpec, ServiceSpec, Signal, Store, StoreKind, Weight,
};

fn both(name: &str) -> BTreeMap<Region, String> {
    BTreeMap::from([("us-east-1".into(), format!("{name}-use1")), ("eu-west-1".into(), format!("{name}-euw1"))])
}

fn store(name: &str, kind: StoreKind, canary: Option<Canary>, fenced: bool) -> Store {
    let fence = fenced.then(|| Fence::SecurityGroup(both("sg")));
    Store { name: name.into(), kind, canary, fence }
}

fn spec() -> ServiceSpec {
    let mut spec = crate::health::tests::spec("shop");
    spec.traffic.hosted_zone = "example.com".to_owned();
    let key = KeyAttribute { name: "pk".to_owned(), kind: KeyType::String };
    spec.health.signals.push(Signal {
        name: "errors".into(),
        weight: Weight::Advisory,
        probe: ProbeSpec::CloudwatchAlarm { name: "shop-5xx-{region}".to_owned() },
    });
    spec.data = vec![
        store("db", StoreKind::Aurora { global_cluster: "shop-global".into(), clusters: both("shop") }, None, true),
        store("legacy", StoreKind::Rds { instances: both("legacy"), rebuild: true }, None, true),
        store(
            "orders",
            StoreKind::Dynamodb {
                table: "Orders".into(),
                ensure_replicas: true,
                replicas: vec![],
                create: Some(NewTable { partition_key: key, sort_key: None }),
            },
            Some(Canary::Table { table: "failoverd-canary".into() }),
            false,
        ),
        store(
            "media",
            StoreKind::S3 {
                buckets: both("media"),
                bidirectional: true,
                role_arn: Some("arn:aws:iam::123456789012:role/s3-repl".into()),
                time_control: false,
            },
            Some(Canary::Prefix { prefix: ".failoverd/".into() }),
            false,
        ),
    ];
    spec
}

fn place() -> Place {
    Place {
        partition: "aws".to_owned(),
        account: "123456789012".to_owned(),
        role: "failoverd".to_owned(),
        zones: BTreeMap::from([("example.com".to_owned(), "Z123".to_owned())]),
        only: None,
    }
}

fn resources_of(document: &serde_json::Value, action: &str) -> BTreeSet<String> {
    let statements = document["Statement"].as_array().unwrap();
    let with = statements.iter().filter(|it| it["Action"].as_array().unwrap().iter().any(|name| name == action));
    with.flat_map(|it| it["Resource"].as_array().unwrap())
        .map(|resource| resource.as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn real_arns_are_named_wherever_aws_knows_a_resource() {
    let spec = spec();
    let all = [&spec];
    let document = policy(&Subject { acted_on: &all, fleet: Some(&all), drills: &[] }, &place());
    let resources = |action: &str| resources_of(&document, action).into_iter().collect::<Vec<_>>();
    assert_eq!(resources("route53:ChangeResourceRecordSets"), ["arn:aws:route53:::hostedzone/Z123"]);
    assert_eq!(
        resources("rds:FailoverGlobalCluster"),
        [
            "arn:aws:rds::123456789012:global-cluster:shop-global",
            "arn:aws:rds:eu-west-1:123456789012:cluster:shop-euw1",
            "arn:aws:rds:us-east-1:123456789012:cluster:shop-use1",
        ]
    );
    assert_eq!(
        resources("s3:PutObject"),
        ["arn:aws:s3:::media-euw1/.failoverd/*", "arn:aws:s3:::media-use1/.failoverd/*"]
    );
    assert!(
        resources("dynamodb:PutItem")
            .contains(&"arn:aws:dynamodb:eu-west-1:123456789012:table/failoverd-canary".to_owned())
    );
    assert_eq!(resources("cloudwatch:DescribeAlarms").len(), 2);
    assert_eq!(resources("iam:PassRole"), ["arn:aws:iam::123456789012:role/s3-repl"]);
    assert_eq!(resources("iam:GetRole"), ["arn:aws:iam::123456789012:role/failoverd"]);
    let statements = document["Statement"].as_array().unwrap();
    for statement in statements.iter().filter(|it| it["Resource"].as_array().unwrap().iter().any(|it| it == "*")) {
        assert!(statement["Sid"].as_str().unwrap().ends_with("KnowsNoResource"), "{statement}");
    }
    let sids: BTreeSet<&str> = statements.iter().map(|it| it["Sid"].as_str().unwrap()).collect();
    assert_eq!(sids.len(), statements.len());
    assert!(sids.iter().all(|sid| sid.chars().all(char::is_alphanumeric)), "{sids:?}");
}

/// The documents that a linter of others reads too (`tests/python/test_iam_policy.py`). After a change on purpose:
/// `UPDATE_GOLDEN=1 cargo test -p failoverd-domain iam`, then read the diff.
#[test]
fn the_policies_are_as_they_were_read_by_a_person() {
    let spec = spec();
    let all = [&spec];
    let role = "arn:aws:iam::999999999999:role/shop";
    let theirs = ServiceSpec { role_arn: Some(role.to_owned()), ..spec.clone() };
    let elsewhere = [&theirs];
    let both = [&spec, &theirs];
    let there = Place { account: "999999999999".to_owned(), role: "shop".to_owned(), ..place() };
    let only = Place { only: Some("eu-west-1".into()), ..place() };
    let documents = [
        ("own.json", policy(&Subject { acted_on: &all, fleet: Some(&both), drills: &[] }, &place())),
        ("role.json", policy(&Subject { acted_on: &elsewhere, fleet: None, drills: &[] }, &there)),
        ("region.json", policy(&Subject { acted_on: &all, fleet: Some(&all), drills: &[] }, &only)),
    ];
    for (name, document) in documents {
        let path = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/iam/golden").join(name);
        let seen = format!("{document:#}\n");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &seen).unwrap();
        }
        assert_eq!(seen, std::fs::read_to_string(&path).unwrap_or_default(), "{} differs", path.display());
    }
}

#[test]
fn nothing_is_granted_that_no_manifest_needs() {
    let mut spec = spec();
    spec.data.truncate(1);
    spec.data[0].fence = None;
    let all = [&spec];
    let document = policy(&Subject { acted_on: &all, fleet: Some(&all), drills: &[] }, &place());
    let text = document.to_string();
    for word in ["dynamodb:", "s3:", "ModifyDB", "PromoteReadReplica", "iam:PassRole", "sts:AssumeRole"] {
        assert!(!text.contains(word), "{word} is in {text}");
    }
    for word in ["Delete", "Create"] {
        let dangerous = text.matches(word).count();
        let of_checks = text.matches(&format!("{word}HealthCheck")).count();
        assert_eq!(dangerous, of_checks, "{word}: {text}");
    }
}

#[test]
fn a_role_in_another_account_gets_its_services_and_nothing_of_the_fleet() {
    let role = "arn:aws:iam::999999999999:role/shop";
    let theirs = ServiceSpec { role_arn: Some(role.to_owned()), ..spec() };
    let all = [&theirs];
    let own = policy(&Subject { acted_on: &[], fleet: Some(&all), drills: &[] }, &place());
    assert_eq!(resources_of(&own, "sts:AssumeRole").into_iter().collect::<Vec<_>>(), [role]);
    assert!(resources_of(&own, "rds:FailoverGlobalCluster").is_empty());
    assert!(!resources_of(&own, "cloudwatch:PutMetricData").is_empty());
    let there = Place { account: "999999999999".to_owned(), role: "shop".to_owned(), ..place() };
    let assumed = policy(&Subject { acted_on: &all, fleet: None, drills: &[] }, &there);
    assert!(resources_of(&assumed, "cloudwatch:PutMetricData").is_empty());
    assert!(resources_of(&assumed, "dynamodb:DescribeTable").iter().all(|arn| arn.contains(":999999999999:")));
}

#[test]
fn one_region_alone_can_be_asked_for() {
    let spec = spec();
    let all = [&spec];
    let only = Place { only: Some("eu-west-1".into()), ..place() };
    let document = policy(&Subject { acted_on: &all, fleet: Some(&all), drills: &[] }, &only);
    assert_eq!(resources_of(&document, "rds:PromoteReadReplica").len(), 1);
    assert!(!document.to_string().contains("us-east-1"), "{document}");
}

#[test]
fn what_is_simulated_is_what_the_policy_grants_less_what_needs_a_context() {
    let spec = spec();
    let all = [&spec];
    let subject = Subject { acted_on: &all, fleet: Some(&all), drills: &[] };
    let document = policy(&subject, &place());
    let wanted = needs(&subject, &place());
    assert!(wanted.iter().all(|(action, resource)| resources_of(&document, action).contains(resource)));
    assert!(wanted.iter().any(|(action, _)| action == "rds:FailoverGlobalCluster"));
    assert!(!wanted.iter().any(|(_, resource)| resource.ends_with(":subgrp:*")), "of groups only some are used");
    let unknown = Place { zones: BTreeMap::new(), ..place() };
    assert!(!needs(&subject, &unknown).iter().any(|(_, resource)| resource.ends_with(":hostedzone/*")));
    assert!(!wanted.iter().any(|(action, _)| action == "iam:PassRole"), "IAM would have to be told for which service");
}

#[test]
fn a_switch_through_cloudwatch_needs_its_alarms_and_its_figures_in_the_services_account() {
    let mut spec = spec();
    spec.role_arn = Some("arn:aws:iam::123456789012:role/shop".to_owned());
    let actions = |spec: &ServiceSpec, only: Option<&str>| {
        let place = Place { only: only.map(Region::from), ..place() };
        let document = policy(&Subject { acted_on: &[spec], fleet: None, drills: &[] }, &place);
        ["cloudwatch:PutMetricAlarm", "cloudwatch:PutMetricData"].map(|action| resources_of(&document, action))
    };
    assert_eq!(actions(&spec, None), [BTreeSet::new(), BTreeSet::new()]);
    spec.traffic.switch = crate::service::SwitchTransport::Cloudwatch;
    let alarms = |region: &str| BTreeSet::from([format!("arn:aws:cloudwatch:{region}:123456789012:alarm:failoverd/*")]);
    assert_eq!(actions(&spec, None), [alarms("*"), BTreeSet::from(["*".to_owned()])]);
    assert_eq!(actions(&spec, Some("us-west-2"))[0], alarms("us-west-2"));
}

#[test]
fn alarms_of_guardrails_are_read_by_the_daemons_own_role_alone() {
    let spec = crate::fleet::tests::fixture::shop();
    let all = [&spec];
    let mut drill = crate::fleet::tests::drills::drill(crate::drill::DrillKind::Switchover);
    drill.guardrails.push(crate::drill::Guardrail::Alarm { name: "slo".into(), region: "eu-west-1".into() });
    let own = policy(&Subject { acted_on: &all, fleet: Some(&all), drills: &[&drill] }, &place()).to_string();
    assert!(own.contains(":cloudwatch:eu-west-1:123456789012:alarm:slo"), "{own}");
    let assumed = policy(&Subject { acted_on: &all, fleet: None, drills: &[&drill] }, &place()).to_string();
    assert!(!assumed.contains("alarm:slo"), "{assumed}");
}
