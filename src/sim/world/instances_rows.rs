//! Rows of RDS instances, their fences, and what is told of them.

use failoverd_domain::data::store::DbInstance;
use failoverd_domain::ids::Region;

use super::World;
use super::faults::Service;
use super::instances::{Instance, Instances};
use super::instances_calls::{InstanceChanges, not_found};
use super::rds_names::instance_arn;
use super::refusal::Refusal;
use super::replication::Written;
use super::security_groups;

impl Instances {
    /// The replicas that a write at a place goes to, with the lag that it has there: replicas of replicas get it later.
    fn replicas_below(&self, place: &str, default_ms: u64) -> Vec<(String, u64)> {
        let mut found: Vec<(String, u64)> = vec![(place.to_owned(), 0)];
        let mut next = 0;
        while let Some((from, so_far_ms)) = found.get(next).cloned() {
            let runs = |replica: &&Instance| replica.source.as_ref().is_some_and(|source| source.running);
            for replica in self.replicas_of(&from).filter(runs) {
                let lag_ms = so_far_ms + replica.lag_ms.unwrap_or(default_ms);
                found.push((replica.place.clone(), lag_ms));
            }
            next += 1;
        }
        found.split_off(1)
    }
}

impl World {
    /// The instance that a client's connection reaches.
    fn reached(&self, region: &Region, id: &str) -> Result<&Instance, Refusal> {
        let unknown = || Refusal::later("UnknownHost", format!("could not translate host name {id} to an address"));
        let instance = self.instances.get(region, id).ok_or_else(unknown)?;
        if security_groups::shut(&instance.groups, &self.closed_groups) {
            return Err(Refusal::later("ConnectionTimeout", "connection to server timed out"));
        }
        if !instance.answers() {
            let message = format!("connection refused: {id} is {}", instance.phases.status());
            return Err(Refusal::later("ConnectionRefused", message));
        }
        Ok(instance)
    }

    /// A row at an instance; acknowledged at once, at its replicas after the lag.
    pub fn write_instance_row(&mut self, region: &Region, id: &str, key: &str, version: u64) -> Result<(), Refusal> {
        let instance = self.reached(region, id)?;
        if instance.source.is_some() {
            return Err(Refusal::new("25006", "cannot execute INSERT in a read-only transaction"));
        }
        let (place, superseded) = (instance.place.clone(), instance.superseded);
        if !self.instances.rows.accepts(&place, key, version) {
            return Err(Refusal::new("ConditionalCheckFailedException", "a version as new or newer is there"));
        }
        let written = Written { version, at_ms: self.now_ms, by: place.clone(), payload: None };
        self.instances.rows.put(key, written.clone());
        if superseded {
            *self.instances.split_brain.entry((region.clone(), id.to_owned())).or_default() += 1;
        }
        for (to, lag_ms) in self.instances.replicas_below(&place, self.timing.instance_lag_ms) {
            self.instances.rows.send(key, &written, &to, self.now_ms + self.draws.about(lag_ms));
        }
        Ok(())
    }

    /// The version of a row that an instance shows.
    pub fn read_instance_row(&self, region: &Region, id: &str, key: &str) -> Result<Option<u64>, Refusal> {
        let place = &self.reached(region, id)?.place;
        Ok(self.instances.rows.read(place, key).map(|written| written.version))
    }

    /// `DescribeDBInstances` for one instance.
    #[must_use]
    pub fn instance(&self, region: &Region, id: &str) -> Option<DbInstance> {
        let instance = self.instances.get(region, id)?;
        let problem = instance.source.as_ref().and_then(|source| source.problem.clone());
        Some(DbInstance {
            id: instance.id.clone(),
            arn: instance_arn(region, &instance.id),
            status: instance.phases.status().to_owned(),
            replica_of: self.source_name(instance),
            replicas: self.replica_names(instance),
            class: instance.class.clone(),
            engine_version: instance.engine_version.clone(),
            backup_days: instance.backup_days,
            replication_problem: problem,
        })
    }

    /// How AWS names the source of a replica: by identifier in its own Region, else by ARN.
    pub(super) fn source_name(&self, instance: &Instance) -> Option<String> {
        let source = instance.source.as_ref()?;
        match self.instances.at_place(&source.place) {
            Some(from) if from.region == instance.region => Some(from.id.clone()),
            Some(from) => Some(instance_arn(&from.region, &from.id)),
            None => Some(source.arn.clone()),
        }
    }

    pub(super) fn replica_names(&self, instance: &Instance) -> Vec<String> {
        let name = |replica: &Instance| match replica.region == instance.region {
            true => replica.id.clone(),
            false => instance_arn(&replica.region, &replica.id),
        };
        self.instances.replicas_of(&instance.place).map(name).collect()
    }

    /// Swaps the security groups of an instance for `group`, which lets nobody in, or back for those it had.
    pub fn set_instance_fence(&mut self, region: &Region, id: &str, group: &str, on: bool) -> Result<(), Refusal> {
        self.closed_groups.insert(group.to_owned());
        let instance = self.instances.get(region, id).ok_or_else(|| not_found(id))?;
        let fenced = security_groups::shut(&instance.groups, &self.closed_groups);
        let groups = match on {
            true => vec![group.to_owned()],
            false => security_groups::before(&instance.open_groups),
        };
        if groups == instance.groups || (!on && !fenced) {
            self.note(Service::Rds, "ModifyDBInstance", region, format!("{id} groups as they are"), false);
            return Ok(());
        }
        self.modify_instance(
            region,
            id,
            InstanceChanges { groups: Some(groups), now: true, ..InstanceChanges::default() },
        )
    }

    /// Whether an instance has the fence's group and no other.
    pub fn instance_has_fence(&self, region: &Region, id: &str, group: &str) -> Result<bool, Refusal> {
        let instance = self.instances.get(region, id).ok_or_else(|| not_found(id))?;
        Ok(instance.groups == [group])
    }
}
