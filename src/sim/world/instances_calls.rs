//! The RDS API over DB instances: making, changing, promoting, renaming and deleting them.

use std::collections::BTreeMap;

use failoverd_domain::ids::Region;

use super::aurora::LostWrites;
use super::faults::Service;
use super::instances::{Instance, PendingValues, Source};
use super::phases::Then;
use super::rds_names::{OPEN_GROUP, check_groups, instance_arn, new_identifier, parse_arn};
use super::refusal::Refusal;
use super::{SimulatedAws, World};

/// What `CreateDBInstance` and `CreateDBInstanceReadReplica` ask for; a replica takes what is absent from its source.
#[derive(Clone, Debug, Default)]
pub struct NewInstance {
    /// `db.r6g.large` …
    pub class: Option<String>,
    /// `postgres`, `aurora-postgresql` …
    pub engine: Option<String>,
    /// Its version.
    pub engine_version: Option<String>,
    /// The Aurora cluster that it joins.
    pub cluster: Option<String>,
    /// Days to keep backups (AWS's default: 1; for a replica 0).
    pub backup_days: Option<u32>,
    /// A standby in another zone.
    pub multi_az: bool,
    /// VPC security groups.
    pub groups: Vec<String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Whether deleting it is refused.
    pub deletion_protection: bool,
    /// Order of promotion inside an Aurora cluster.
    pub promotion_tier: Option<u32>,
    /// Storage, GiB.
    pub storage_gb: Option<u32>,
}

/// What `ModifyDBInstance` asks for.
#[derive(Clone, Debug, Default)]
pub struct InstanceChanges {
    /// `ApplyImmediately`.
    pub now: bool,
    /// What may have to wait for a maintenance window.
    pub values: PendingValues,
    /// VPC security groups: never wait.
    pub groups: Option<Vec<String>>,
    /// Never waits.
    pub deletion_protection: Option<bool>,
}

const NO_BACKUPS: &str = "Automated backups are not enabled for this database instance. To enable automated backups, use \
                          ModifyDBInstance to set the backup retention period to a non-zero value.";

/// Days of backups, as AWS takes them.
fn check_backup_days(days: u32) -> Result<(), Refusal> {
    if days <= 35 {
        return Ok(());
    }
    let message = format!("Invalid backup retention period: {days}. Must be between 0 and 35.");
    Err(Refusal::new("InvalidParameterValue", message))
}

impl World {
    fn free_instance_id(&self, region: &Region, id: &str) -> Result<String, Refusal> {
        let id = new_identifier("DBInstanceIdentifier", id)?;
        let taken = |i: &Instance| {
            &i.region == region && (i.id == id || i.pending.id.as_deref() == Some(&id) || i.phases.leads_to_name(&id))
        };
        if self.instances.all.values().any(taken) {
            return Err(Refusal::new("DBInstanceAlreadyExists", "DB instance already exists"));
        }
        Ok(id)
    }

    /// `CreateDBInstance`, alone or in an Aurora cluster.
    pub fn create_instance(&mut self, region: &Region, id: &str, new: NewInstance) -> Result<(), Refusal> {
        let id = self.free_instance_id(region, id)?;
        check_groups(&new.groups)?;
        check_backup_days(new.backup_days.unwrap_or(0))?;
        let engine = new.engine.clone().unwrap_or_default();
        let (now_ms, timing) = (self.now_ms, self.timing.clone());
        let version = match &new.cluster {
            Some(cluster) => self.joinable_cluster(region, cluster, &engine)?,
            None if engine.starts_with("aurora") => {
                let message = format!("{engine} instances belong to a DB cluster: DBClusterIdentifier is missing.");
                return Err(Refusal::new("InvalidParameterCombination", message));
            }
            None => new.engine_version.clone().unwrap_or_else(|| "16.4".to_owned()),
        };
        let class = new.class.clone().unwrap_or_default();
        let made = self.instances.add(region, &id, (&engine, &version), &class, now_ms);
        made.backup_days = if new.cluster.is_some() { 1 } else { new.backup_days.unwrap_or(1) };
        made.cluster.clone_from(&new.cluster);
        made.dress(new);
        made.phases.push(now_ms, "creating", timing.instance_create_ms, Then::Ready);
        if made.backup_days > 0 && made.cluster.is_none() {
            made.back_up(now_ms, timing.instance_backup_ms);
        }
        self.note(Service::Rds, "CreateDBInstance", region, id, true);
        Ok(())
    }

    /// `CreateDBInstanceReadReplica` of an instance, by its ARN in another Region or by its identifier here.
    pub fn create_replica(&mut self, region: &Region, id: &str, source: &str) -> Result<(), Refusal> {
        self.create_replica_as(region, id, source, NewInstance::default())
    }

    /// The same, with what shall differ from the source.
    pub fn create_replica_as(
        &mut self,
        region: &Region,
        id: &str,
        source: &str,
        new: NewInstance,
    ) -> Result<(), Refusal> {
        let id = self.free_instance_id(region, id)?;
        check_groups(&new.groups)?;
        let (from_region, from_id) = match parse_arn(source) {
            Some((from, "db", id)) => (from, id.to_owned()),
            _ if source.starts_with("arn:") => {
                return Err(Refusal::new("InvalidParameterValue", format!("Invalid DB Instance ARN: {source}")));
            }
            _ => (region.clone(), source.to_ascii_lowercase()),
        };
        if !self.faults.linked(&from_region, region) {
            let message = format!("The source DB instance {source} cannot be reached from {region}.");
            return Err(Refusal::later("InvalidDBInstanceState", message));
        }
        let from = self.instances.get(&from_region, &from_id).ok_or_else(|| not_found(source))?.clone();
        if from.cluster.is_some() {
            let message = "Read replicas of DB instances in an Aurora DB cluster are not supported.";
            return Err(Refusal::new("InvalidDBInstanceState", message));
        }
        if !from.is_settled() {
            return Err(not_available(&from_id));
        }
        if from.backup_days == 0 {
            return Err(Refusal::new("InvalidDBInstanceState", NO_BACKUPS));
        }
        if self.instances.replicas_of(&from.place).count() >= 15 {
            let message = format!("{from_id} has as many read replicas as it can have.");
            return Err(Refusal::new("InstanceQuotaExceeded", message));
        }
        let (now_ms, lasts_ms) = (self.now_ms, self.timing.instance_create_ms);
        let class = new.class.clone().unwrap_or_else(|| from.class.clone());
        let made = self.instances.add(region, &id, (&from.engine, &from.engine_version), &class, now_ms);
        // "RDS creates read replicas with backups disabled"; groups belong to a Region.
        made.backup_days = 0;
        made.storage_gb = from.storage_gb;
        made.groups = if &from_region == region { from.groups.clone() } else { vec![OPEN_GROUP.to_owned()] };
        made.source =
            Some(Source { place: from.place, arn: instance_arn(&from_region, &from_id), running: true, problem: None });
        made.dress(new);
        made.phases.push(now_ms, "creating", lasts_ms, Then::Ready);
        self.note(Service::Rds, "CreateDBInstanceReadReplica", region, format!("{id} of {source}"), true);
        Ok(())
    }

    /// `PromoteReadReplica` with AWS's default of one day of backups.
    pub fn promote_instance(&mut self, region: &Region, id: &str) -> Result<(), Refusal> {
        self.promote_instance_with(region, id, None)
    }

    /// `PromoteReadReplica`: replication ends now, and what had not arrived is lost.
    pub fn promote_instance_with(
        &mut self,
        region: &Region,
        id: &str,
        backup_days: Option<u32>,
    ) -> Result<(), Refusal> {
        check_backup_days(backup_days.unwrap_or(1))?;
        let (now_ms, timing) = (self.now_ms, self.timing.clone());
        let instance = self.instances.get_mut(region, id).ok_or_else(|| not_found(id))?;
        if instance.phases.status() != "available" {
            return Err(not_available(id));
        }
        let days = backup_days.unwrap_or_else(|| instance.backup_days.max(1));
        let Some(source) = &mut instance.source else {
            return Err(Refusal::new("InvalidDBInstanceState", format!("DB Instance {id} is not a read replica.")));
        };
        source.running = false;
        let from = source.place.clone();
        instance.phases.push(now_ms, "modifying", timing.instance_promote_ms, Then::StandsAlone(days));
        instance.restart(now_ms, timing.instance_reboot_ms);
        self.end_replication(region, id, &from);
        self.note(Service::Rds, "PromoteReadReplica", region, id.to_owned(), true);
        Ok(())
    }

    /// Counts what had not arrived at a replica as lost, and its source as superseded.
    fn end_replication(&mut self, region: &Region, id: &str, from: &str) {
        let Some(place) = self.instances.get(region, id).map(|instance| instance.place.clone()) else { return };
        let Some(source) = self.instances.all.values_mut().find(|instance| instance.place == from) else { return };
        source.superseded = true;
        let old = source.region.clone();
        let undelivered = self.instances.rows.take_flights(from, &place);
        let lost = LostWrites { at_ms: self.now_ms, from: old, to: region.clone(), undelivered };
        self.instances.lost.push((id.to_owned(), lost));
    }

    /// `ModifyDBInstance` with a new identifier, at once: afterwards the old endpoint answers nobody.
    pub fn rename_instance(&mut self, region: &Region, id: &str, new_id: &str) -> Result<(), Refusal> {
        let values = PendingValues { id: Some(new_id.to_owned()), ..PendingValues::default() };
        self.modify_instance(region, id, InstanceChanges { now: true, values, ..InstanceChanges::default() })
    }

    /// `ModifyDBInstance`.
    pub fn modify_instance(&mut self, region: &Region, id: &str, mut changes: InstanceChanges) -> Result<(), Refusal> {
        let instance = self.instances.get(region, id).ok_or_else(|| not_found(id))?;
        if !instance.is_settled() {
            return Err(not_available(id));
        }
        self.check_changes(instance, &changes)?;
        if let Some(new_id) = changes.values.id.take().filter(|new_id| !new_id.eq_ignore_ascii_case(id)) {
            changes.values.id = Some(self.free_instance_id(region, &new_id)?);
        }
        let (now_ms, timing) = (self.now_ms, self.timing.clone());
        let arguments = changes.arguments(id);
        let shut = self.closed_groups.clone();
        let instance = self.instances.get_mut(region, id).ok_or_else(|| not_found(id))?;
        let mut changed = instance.wants(&changes);
        if let Some(groups) = changes.groups {
            super::security_groups::swap(&mut instance.groups, &mut instance.open_groups, groups, &shut);
        }
        instance.deletion_protection = changes.deletion_protection.unwrap_or(instance.deletion_protection);
        instance.pending.merge(changes.values);
        let waiting =
            if changes.now { std::mem::take(&mut instance.pending) } else { instance.take_what_never_waits() };
        changed |= waiting != PendingValues::default();
        if changed {
            instance.apply(waiting, now_ms, &timing);
        }
        self.note(Service::Rds, "ModifyDBInstance", region, arguments, changed);
        Ok(())
    }

    fn check_changes(&self, instance: &Instance, changes: &InstanceChanges) -> Result<(), Refusal> {
        check_groups(changes.groups.as_deref().unwrap_or_default())?;
        check_backup_days(changes.values.backup_days.unwrap_or(0))?;
        let refuse = |message: String| Err(Refusal::new("InvalidParameterCombination", message));
        if instance.cluster.is_some() && (changes.groups.is_some() || changes.values.backup_days.is_some()) {
            return refuse(format!(
                "{} belongs to a DB cluster: its security groups and backups are set with ModifyDBCluster.",
                instance.id
            ));
        }
        if changes.values.backup_days == Some(0) && self.instances.replicas_of(&instance.place).next().is_some() {
            return refuse("Backups cannot be disabled on a DB instance that is the source of read replicas.".into());
        }
        Ok(())
    }

    /// `RebootDBInstance`.
    pub fn reboot_instance(&mut self, region: &Region, id: &str) -> Result<(), Refusal> {
        let (now_ms, lasts_ms) = (self.now_ms, self.timing.instance_reboot_ms);
        let instance = self.instances.get_mut(region, id).ok_or_else(|| not_found(id))?;
        if instance.phases.status() != "available" {
            return Err(not_available(id));
        }
        instance.restart(now_ms, lasts_ms);
        self.note(Service::Rds, "RebootDBInstance", region, id.to_owned(), true);
        Ok(())
    }

    /// `DeleteDBInstance`.
    pub fn delete_instance(&mut self, region: &Region, id: &str) -> Result<(), Refusal> {
        let (now_ms, lasts_ms) = (self.now_ms, self.timing.instance_delete_ms);
        let instance = self.instances.get_mut(region, id).ok_or_else(|| not_found(id))?;
        if instance.deletion_protection {
            let message = "Cannot delete protected DB Instance, please disable deletion protection and try again.";
            return Err(Refusal::new("InvalidParameterCombination", message));
        }
        if instance.phases.status() == "deleting" {
            let message = format!("Instance {id} is already being deleted.");
            return Err(Refusal::new("InvalidDBInstanceState", message));
        }
        instance.phases.clear();
        instance.phases.push(now_ms, "deleting", lasts_ms, Then::Gone);
        self.note(Service::Rds, "DeleteDBInstance", region, id.to_owned(), true);
        Ok(())
    }
}

impl Instance {
    /// Puts on what was asked for.
    fn dress(&mut self, new: NewInstance) {
        self.multi_az = new.multi_az;
        self.tags = new.tags;
        self.deletion_protection = new.deletion_protection;
        self.promotion_tier = new.promotion_tier.unwrap_or(self.promotion_tier);
        self.storage_gb = new.storage_gb.unwrap_or(self.storage_gb);
        if !new.groups.is_empty() {
            self.groups = new.groups;
        }
    }

    fn back_up(&mut self, now_ms: u64, lasts_ms: u64) {
        let over = Then::Says("RDS-EVENT-0002", "backup", "Finished DB instance backup.");
        self.phases.push(now_ms, "backing-up", lasts_ms, over);
    }

    fn restart(&mut self, now_ms: u64, lasts_ms: u64) {
        let over = Then::Says("RDS-EVENT-0006", "availability", "DB instance restarted.");
        self.phases.push(now_ms, "rebooting", lasts_ms, over);
    }

    fn wants(&self, changes: &InstanceChanges) -> bool {
        changes.groups.as_ref().is_some_and(|groups| groups != &self.groups)
            || changes.deletion_protection.is_some_and(|on| on != self.deletion_protection)
    }

    /// A change from one number of days to another waits for no window; turning backups on or off does.
    fn take_what_never_waits(&mut self) -> PendingValues {
        let both_on = |days: &u32| *days > 0 && self.backup_days > 0;
        let days = self.pending.backup_days.filter(both_on);
        if days.is_some() {
            self.pending.backup_days = None;
        }
        PendingValues { backup_days: days, ..PendingValues::default() }
    }

    fn apply(&mut self, values: PendingValues, now_ms: u64, timing: &super::Timing) {
        let rename_only = PendingValues { id: values.id.clone(), ..PendingValues::default() } == values;
        if !rename_only || values.id.is_none() {
            self.phases.push(now_ms, "modifying", timing.instance_modify_ms, Then::Nothing);
        }
        let reboots =
            values.class.as_ref().is_some_and(|class| class != &self.class) || values.engine_version.is_some();
        self.class = values.class.unwrap_or_else(|| std::mem::take(&mut self.class));
        self.engine_version = values.engine_version.unwrap_or_else(|| std::mem::take(&mut self.engine_version));
        self.multi_az = values.multi_az.unwrap_or(self.multi_az);
        let starts_backups = self.backup_days == 0 && values.backup_days.is_some_and(|days| days > 0);
        self.backup_days = values.backup_days.unwrap_or(self.backup_days);
        let renames = values.id.is_some();
        if let Some(id) = values.id {
            self.phases.push(now_ms, "renaming", timing.instance_rename_ms, Then::Renamed(id));
        }
        if reboots || renames {
            self.restart(now_ms, timing.instance_reboot_ms);
        }
        if starts_backups {
            self.back_up(now_ms, timing.instance_backup_ms);
        }
    }
}

impl PendingValues {
    /// Later wishes replace earlier ones.
    fn merge(&mut self, later: Self) {
        self.id = later.id.or_else(|| self.id.take());
        self.class = later.class.or_else(|| self.class.take());
        self.engine_version = later.engine_version.or_else(|| self.engine_version.take());
        self.backup_days = later.backup_days.or(self.backup_days);
        self.multi_az = later.multi_az.or(self.multi_az);
    }
}

impl InstanceChanges {
    /// For the list of effects.
    fn arguments(&self, id: &str) -> String {
        let mut said = vec![id.to_owned()];
        said.extend(self.values.id.iter().map(|new_id| format!("-> {new_id}")));
        said.extend(self.groups.iter().map(|groups| format!("groups {}", groups.join(","))));
        said.extend(self.values.backup_days.iter().map(|days| format!("backups {days} d")));
        said.extend(self.values.class.iter().map(|class| format!("class {class}")));
        said.join(" ")
    }
}

impl SimulatedAws {
    /// Makes an instance that is available at once; with `source`, a replica of that instance. One that exists stays.
    pub fn make_instance(&self, region: &Region, id: &str, source: Option<(&Region, &str)>) {
        self.with(|world| {
            if world.instances.get(region, id).is_some() {
                return;
            }
            let now_ms = world.now_ms;
            let from = source
                .and_then(|(at, id)| world.instances.get(at, id))
                .map(|from| (from.place.clone(), from.region.clone(), from.id.clone()));
            let made = world.instances.add(region, id, ("postgres", "16.4"), "db.r6g.large", now_ms);
            made.backup_days = 7;
            made.source =
                from.map(|(place, at, id)| Source { place, arn: instance_arn(&at, &id), running: true, problem: None });
            let (place, from) = (made.place.clone(), made.source.as_ref().map(|source| source.place.clone()));
            if let Some(from) = from {
                world.instances.rows.rebuild(&from, &place);
            }
        });
    }

    /// Makes one instance stand alone and the other a new replica of it, as a person would who clears up; at once, and not
    /// among the effects.
    pub fn stand_by(&self, (region, writer): (&Region, &str), (standby, replica): (&Region, &str)) {
        self.make_instance(region, writer, None);
        self.with(|world| {
            if let Some(instance) = world.instances.get_mut(region, writer) {
                instance.source = None;
                instance.superseded = false;
            }
            world.instances.all.remove(&(standby.clone(), replica.to_owned()));
        });
        self.make_instance(standby, replica, Some((region, writer)));
    }

    /// Whether the replication to an instance is broken, as by an error in what is replayed.
    pub fn break_replication(&self, region: &Region, id: &str, broken: bool) {
        self.with(|world| {
            let source = world.instances.get_mut(region, id).and_then(|instance| instance.source.as_mut());
            if let Some(source) = source {
                source.problem = broken.then(|| "error".to_owned());
            }
        });
    }

    /// What the promotion of a replica lost, each time.
    #[must_use]
    pub fn lost_instance_writes(&self, region: &Region, id: &str) -> Vec<LostWrites> {
        let of = |(promoted, lost): &&(String, LostWrites)| promoted == id && &lost.to == region;
        self.with(|world| world.instances.lost.iter().filter(of).map(|(_, lost)| lost.clone()).collect())
    }

    /// Writes that an instance (by the name it had then) took after a replica of it had been promoted.
    #[must_use]
    pub fn instance_split_brain_writes(&self, region: &Region, id: &str) -> u64 {
        self.with(|world| world.instances.split_brain.get(&(region.clone(), id.to_owned())).copied().unwrap_or(0))
    }
}

pub(super) fn not_found(id: &str) -> Refusal {
    Refusal::new("DBInstanceNotFound", format!("DBInstance {id} not found."))
}

fn not_available(id: &str) -> Refusal {
    Refusal::later("InvalidDBInstanceState", format!("Instance {id} is not in available state."))
}
