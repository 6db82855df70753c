//! Global tables of version 2017.11.29: they can be made and recognised, and that is all.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/globaltables.V1.html>

use failoverd_domain::data::store::TableKind;
use failoverd_domain::ids::Region;
use serde_json::{Value, json};

use super::need;
use super::shapes::{seconds, status};
use crate::sim::world::{ACCOUNT, Refusal, World};

const MOST: usize = 100;

pub(super) fn create(world: &mut World, region: &Region, asked: &Value) -> Result<Value, Refusal> {
    let name = need(asked, "GlobalTableName")?;
    let group = asked["ReplicationGroup"].as_array().into_iter().flatten();
    let regions = group.map(|replica| need(replica, "RegionName").map(Region::from));
    world.make_legacy_table(region, name, &regions.collect::<Result<Vec<_>, _>>()?)?;
    describe(world, region, asked)
}

pub(super) fn describe(world: &World, region: &Region, asked: &Value) -> Result<Value, Refusal> {
    let name = need(asked, "GlobalTableName")?;
    let found = world.describe_table(region, name).ok().filter(|found| found.kind == TableKind::Legacy);
    let found = found.ok_or_else(|| {
        let message = format!("Global table not found: Global Table with Name {name} does not exist");
        Refusal::new("GlobalTableNotFoundException", message)
    })?;
    let group: Vec<Value> = found
        .replicas
        .iter()
        .map(|(region, state)| json!({ "RegionName": region, "ReplicaStatus": status(*state) }))
        .collect();
    Ok(json!({ "GlobalTableDescription": {
        "GlobalTableName": name,
        "GlobalTableArn": format!("arn:aws:dynamodb::{ACCOUNT}:global-table/{name}"),
        "GlobalTableStatus": "ACTIVE",
        "CreationDateTime": seconds(world.table_details(region, name)?.created_ms),
        "ReplicationGroup": group,
    } }))
}

/// All of them, or those with a replica in the Region that is named.
pub(super) fn list(world: &World, asked: &Value) -> Value {
    let most = asked["Limit"].as_u64().and_then(|most| usize::try_from(most).ok()).unwrap_or(MOST).max(1);
    let after = asked["ExclusiveStartGlobalTableName"].as_str().unwrap_or_default();
    let wanted = asked["RegionName"].as_str().map(Region::from);
    let fits = |(name, regions): &(String, Vec<Region>)| {
        name.as_str() > after && wanted.as_ref().is_none_or(|region| regions.contains(region))
    };
    let all: Vec<_> = world.legacy_tables().into_iter().filter(fits).collect();
    let group = |regions: &[Region]| regions.iter().map(|region| json!({ "RegionName": region })).collect::<Vec<_>>();
    let page: Vec<Value> = all
        .iter()
        .take(most)
        .map(|(name, regions)| json!({ "GlobalTableName": name, "ReplicationGroup": group(regions) }))
        .collect();
    let mut answer = json!({ "GlobalTables": page });
    if all.len() > most {
        answer["LastEvaluatedGlobalTableName"] = json!(all[most - 1].0);
    }
    answer
}
