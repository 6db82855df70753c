//! `ReplicaUpdates` of `UpdateTable`: one replica at a time, or the three Regions of strong consistency at once.

use failoverd_domain::data::store::Consistency;
use failoverd_domain::ids::Region;
use serde_json::Value;

use super::{invalid, need};
use crate::sim::world::{Refusal, World};

/// Whether a call says anything about replicas.
pub(super) fn are_in(asked: &Value) -> bool {
    let is_given = |field: &str| asked[field].as_array().is_some_and(|updates| !updates.is_empty());
    is_given("ReplicaUpdates") || is_given("GlobalTableWitnessUpdates") || asked["MultiRegionConsistency"].is_string()
}

/// Regions to be added and to be taken away.
#[derive(Debug, Default)]
struct Updates {
    create: Vec<Region>,
    delete: Vec<Region>,
}

impl Updates {
    fn of(asked: &Value, field: &str) -> Result<Self, Refusal> {
        let mut found = Self::default();
        for update in asked[field].as_array().into_iter().flatten() {
            match (update.get("Create"), update.get("Delete")) {
                (Some(create), None) => found.create.push(need(create, "RegionName")?.into()),
                (None, Some(delete)) => found.delete.push(need(delete, "RegionName")?.into()),
                _ => {
                    return Err(invalid(format!(
                        "{field}: give Create or Delete in each entry; Update is not simulated"
                    )));
                }
            }
        }
        Ok(found)
    }
}

pub(super) fn update(world: &mut World, region: &Region, table: &str, asked: &Value) -> Result<(), Refusal> {
    let replicas = Updates::of(asked, "ReplicaUpdates")?;
    let witnesses = Updates::of(asked, "GlobalTableWitnessUpdates")?;
    let is_strong = world.describe_table(region, table)?.consistency == Consistency::Strong;
    let witness = |named: &[Region]| named.first().cloned();
    if asked["MultiRegionConsistency"] == "STRONG" {
        let all_new = replicas.delete.is_empty() && witnesses.delete.is_empty() && witnesses.create.len() < 2;
        if !all_new {
            return Err(invalid("MultiRegionConsistency STRONG goes with entries that create Regions alone"));
        }
        return world.make_strong(region, table, &replicas.create, witness(&witnesses.create).as_ref());
    }
    if is_strong && replicas.create.is_empty() && witnesses.create.is_empty() {
        return world.end_strong(region, table, &replicas.delete, witness(&witnesses.delete).as_ref());
    }
    if !witnesses.create.is_empty() || !witnesses.delete.is_empty() {
        return Err(invalid("A witness goes with MultiRegionConsistency STRONG alone"));
    }
    match (replicas.create.as_slice(), replicas.delete.as_slice()) {
        ([create], []) => world.add_replica(region, table, create),
        ([], [delete]) => world.remove_replica(region, table, delete),
        _ => Err(invalid(
            "One or more parameter values were invalid: only one replica can be created or deleted in one call",
        )),
    }
}
