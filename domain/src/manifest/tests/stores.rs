//! Stores beyond the interface's example: RDS pairs, tables that are made, replicas elsewhere, other accounts.

use super::{full_with, one, refused};
use crate::ids::Region;
use crate::service::{KeyType, StoreKind};

const TABLE: &str = "dynamodb: { table: Orders, ensure_replicas: true }";
const RDS: &str = "rds: { instances: { us-east-1: legacy-db, eu-west-1: legacy-db-replica } }";

fn store(to: &str) -> StoreKind {
    // What stood there has a canary that fits tables only.
    let text = full_with(TABLE, to).replace("canary: { table: failoverd-canary }", "canary: { dsn_env: LEGACY_DSN }");
    one(&text).data[1].kind.clone()
}

#[test]
fn an_rds_pair_names_its_instances() {
    let StoreKind::Rds { instances, rebuild } = store(RDS) else { panic!() };
    assert_eq!((instances[&Region::from("eu-west-1")].as_str(), rebuild), ("legacy-db-replica", true));
    let manual = RDS.replace("replica }", "replica }, rebuild: manual");
    assert!(matches!(store(&manual), StoreKind::Rds { rebuild: false, .. }));
}

#[test]
fn an_rds_pair_that_cannot_be_is_refused() {
    let bad = |instances: &str, place: &str, says: &str| {
        refused(TABLE, &format!("rds: {{ {instances} }}"), place, says);
    };
    let at = "39: spec.data[1].rds.instances";
    bad(
        "instances: { us-east-1: a, eu-west-1: Legacy }",
        &format!("{at}.eu-west-1"),
        "not the identifier of an instance",
    );
    bad("instances: { us-east-1: a }", &format!("{at}.eu-west-1"), "is missing");
    let long = "a".repeat(51);
    bad(&format!("instances: {{ us-east-1: a, eu-west-1: {long} }}"), &format!("{at}.eu-west-1"), "50 at most");
    bad("instances: { us-east-1: a, eu-west-1: b }, rebuild: never", "39: spec.data[1].rds.rebuild", "automatic");
}

#[test]
fn a_table_says_how_it_is_made_and_where_else_it_is() {
    let to = "dynamodb: { table: Orders, ensure_replicas: true, replicas: [us-east-1, eu-west-1, ap-southeast-1], create: { partition_key: { name: id, type: S }, sort_key: { name: at, type: N } } }";
    let StoreKind::Dynamodb { replicas, create: Some(create), .. } = one(&full_with(TABLE, to)).data[1].kind.clone()
    else {
        panic!()
    };
    assert_eq!(replicas.len(), 3);
    assert_eq!(create.sort_key.map(|key| key.kind), Some(KeyType::Number));
    let StoreKind::Dynamodb { replicas, create: None, .. } = one(&full_with(TABLE, TABLE)).data[1].kind.clone() else {
        panic!()
    };
    assert_eq!(replicas, ["us-east-1", "eu-west-1"].map(Region::from));
}

#[test]
fn a_table_that_cannot_be_is_refused() {
    let bad = |more: &str, place: &str, says: &str| {
        refused(TABLE, &format!("dynamodb: {{ table: Orders, {more} }}"), place, says);
    };
    bad("replicas: [us-east-1]", "39: spec.data[1].dynamodb.replicas", "eu-west-1 is missing");
    bad("replicas: [us-east-1, us-east-1, eu-west-1]", "39: spec.data[1].dynamodb.replicas[1]", "twice");
    let create = "39: spec.data[1].dynamodb.create";
    bad("create: {}", &format!("{create}.partition_key"), "is missing");
    bad("create: { partition_key: { name: id, type: X } }", &format!("{create}.partition_key.type"), "S");
    let same = "create: { partition_key: { name: id, type: S }, sort_key: { name: id, type: S } }";
    bad(same, create, "the same attribute");
}

#[test]
fn a_role_of_another_account_is_read() {
    let arn = "arn:aws:iam::999999999999:role/shop";
    assert_eq!(one(&full_with("role_arn: null", &format!("role_arn: {arn}"))).role_arn.as_deref(), Some(arn));
    refused("role_arn: null", "role_arn: shop", "7: spec.role_arn", "not the ARN of a role");
}
