//! Nothing too much, nothing too little, and ARNs where IAM knows them.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::fleet::Role;
use crate::manifest::read_set;
use crate::service::ServiceSpec;

fn checkout() -> ServiceSpec {
    let fleet = [("us-east-1", Role::Member), ("eu-west-1", Role::Member), ("us-west-2", Role::Witness)];
    let fleet = fleet.map(|(region, role)| (region.into(), role)).into();
    let text = include_bytes!("../../../examples/checkout.yaml");
    read_set([("checkout.yaml", text.as_slice())], &fleet, &[]).unwrap().remove(0)
}

fn account() -> Account {
    Account {
        partition: "aws".to_owned(),
        id: "123456789012".to_owned(),
        zones: BTreeMap::from([("example.com".to_owned(), "Z123".to_owned())]),
        role: "failoverd".to_owned(),
    }
}

fn on(grants: &[Grant], action: &str) -> Vec<String> {
    grants.iter().filter(|grant| grant.action == action).map(|grant| grant.resource.clone()).collect()
}

#[test]
fn each_action_is_on_the_services_own_resources() {
    let spec = checkout();
    let all = grants(&[&spec], &account(), None, None);
    assert_eq!(on(&all, "route53:ChangeResourceRecordSets"), ["arn:aws:route53:::hostedzone/Z123"]);
    assert_eq!(
        on(&all, "rds:FailoverGlobalCluster"),
        [
            "arn:aws:rds::123456789012:global-cluster:checkout-global",
            "arn:aws:rds:eu-west-1:123456789012:cluster:checkout-euw1",
            "arn:aws:rds:us-east-1:123456789012:cluster:checkout-use1",
        ]
        .map(String::from)
    );
    assert_eq!(
        on(&all, "s3:PutObject"),
        ["media-euw1", "media-use1"].map(|b| format!("arn:aws:s3:::{b}/.failoverd/*"))
    );
    assert_eq!(on(&all, "iam:PassRole"), ["arn:aws:iam::123456789012:role/s3-replication"]);
    assert_eq!(on(&all, "iam:SimulatePrincipalPolicy"), ["arn:aws:iam::123456789012:role/failoverd"]);
    assert_eq!(on(&all, "rds:PromoteReadReplica"), Vec::<String>::new(), "there is no such store");
    assert_eq!(on(&all, "sts:AssumeRole"), Vec::<String>::new());
}

#[test]
fn a_role_of_another_account_has_what_the_service_needs_and_the_daemon_may_assume_it() {
    let arn = "arn:aws:iam::999999999999:role/failoverd-shop";
    let spec = ServiceSpec { role_arn: Some(arn.to_owned()), ..checkout() };
    let daemons = grants(&[&spec], &account(), None, None);
    assert_eq!(on(&daemons, "sts:AssumeRole"), [arn]);
    assert_eq!(on(&daemons, "rds:FailoverGlobalCluster"), Vec::<String>::new());
    let theirs = grants(&[&spec], &account(), Some(arn), None);
    assert!(!on(&theirs, "rds:FailoverGlobalCluster").is_empty());
    assert_eq!(on(&theirs, "sts:AssumeRole"), Vec::<String>::new());
}

#[test]
fn one_regions_policy_names_no_other() {
    let spec = checkout();
    let here = grants(&[&spec], &account(), None, Some(&"eu-west-1".into()));
    assert!(here.iter().all(|grant| !grant.resource.contains("us-east-1")), "{here:?}");
    assert!(!on(&here, "rds:FailoverGlobalCluster").is_empty());
}

#[test]
fn a_star_stands_only_where_iam_knows_no_resource() {
    let spec = checkout();
    let starred: BTreeSet<String> = grants(&[&spec], &account(), None, None)
        .into_iter()
        .filter(|grant| grant.resource == "*")
        .map(|grant| grant.action)
        .collect();
    let expected = [
        "cloudwatch:DescribeAlarms",
        "cloudwatch:GetMetricData",
        "cloudwatch:PutMetricData",
        "route53:CreateHealthCheck",
        "route53:GetAccountLimit",
        "route53:ListHealthChecks",
        "route53:ListHostedZonesByName",
    ];
    assert_eq!(starred, expected.map(String::from).into());
}

#[test]
fn the_document_is_one_that_iam_takes() {
    let spec = checkout();
    let document = policy(&grants(&[&spec], &account(), None, None));
    assert_eq!(document["Version"], "2012-10-17");
    let statements = document["Statement"].as_array().unwrap();
    let sids: BTreeSet<&str> = statements.iter().map(|statement| statement["Sid"].as_str().unwrap()).collect();
    assert_eq!(sids.len(), statements.len());
    assert!(sids.iter().all(|sid| sid.chars().all(|letter| letter.is_ascii_alphanumeric())), "{sids:?}");
    let metrics = statements.iter().find(|statement| statement["Sid"] == "CloudwatchOwnMetrics").unwrap();
    assert_eq!(metrics["Condition"]["StringEquals"]["cloudwatch:namespace"], "failoverd");
}
