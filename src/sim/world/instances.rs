//! RDS instances and their read replicas, and the instances of Aurora clusters: what there is and what goes on.
//!
//! A replica gets its source's rows after a lag. Promoting it is a one-way door; what had not arrived is lost, and what
//! the old primary still takes afterwards is counted as split brain.

use std::collections::BTreeMap;

use failoverd_domain::ids::Region;

use super::Moment;
use super::aurora::LostWrites;
use super::phases::{Phases, Then};
use super::rds_events::RdsEvent;
use super::rds_names::{OPEN_GROUP, instance_arn};
use super::replication::Replication;

/// All DB instances.
#[derive(Clone, Debug, Default)]
pub struct Instances {
    pub(super) all: BTreeMap<(Region, String), Instance>,
    /// Copies go by `Instance::place`, which outlives a new name.
    pub(super) rows: Replication,
    pub(super) made: u64,
    /// What promotions lost, by Region and identifier of the promoted replica.
    pub(super) lost: Vec<(String, LostWrites)>,
    /// Writes that old primaries took after a replica of theirs had been promoted.
    pub(super) split_brain: BTreeMap<(Region, String), u64>,
}

/// A DB instance.
#[derive(Clone, Debug)]
pub struct Instance {
    /// AWS's `DbiResourceId`.
    pub(super) place: String,
    pub(super) id: String,
    pub(super) region: Region,
    pub(super) class: String,
    pub(super) engine: String,
    pub(super) engine_version: String,
    pub(super) phases: Phases,
    pub(super) backup_days: u32,
    pub(super) multi_az: bool,
    pub(super) groups: Vec<String>,
    /// What it had before nobody was let in.
    pub(super) open_groups: Vec<String>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) created_ms: u64,
    /// The Aurora cluster that it belongs to.
    pub(super) cluster: Option<String>,
    pub(super) source: Option<Source>,
    /// A replica of it has been promoted.
    pub(super) superseded: bool,
    /// What waits for a maintenance window, which never comes here.
    pub(super) pending: PendingValues,
    pub(super) lag_ms: Option<u64>,
    pub(super) deletion_protection: bool,
    pub(super) promotion_tier: u32,
    pub(super) storage_gb: u32,
}

/// What a replica replicates from.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) place: String,
    /// As it was last known, for a source that is gone.
    pub(super) arn: String,
    /// `false` once a promotion has begun.
    pub(super) running: bool,
    /// AWS's word for a replication that does not go on.
    pub(super) problem: Option<String>,
}

/// Changes that were asked for without `ApplyImmediately`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PendingValues {
    /// A new identifier.
    pub id: Option<String>,
    /// A new class.
    pub class: Option<String>,
    /// A new engine version.
    pub engine_version: Option<String>,
    /// Days to keep backups.
    pub backup_days: Option<u32>,
    /// A standby in another zone.
    pub multi_az: Option<bool>,
}

impl Instances {
    pub(super) fn get(&self, region: &Region, id: &str) -> Option<&Instance> {
        self.all.get(&(region.clone(), id.to_owned()))
    }

    pub(super) fn get_mut(&mut self, region: &Region, id: &str) -> Option<&mut Instance> {
        self.all.get_mut(&(region.clone(), id.to_owned()))
    }

    pub(super) fn at_place(&self, place: &str) -> Option<&Instance> {
        self.all.values().find(|instance| instance.place == place)
    }

    /// The instances of an Aurora cluster, oldest first.
    pub(super) fn of_cluster(&self, region: &Region, cluster: &str) -> Vec<&Instance> {
        let mut found: Vec<&Instance> =
            self.all.values().filter(|i| &i.region == region && i.cluster.as_deref() == Some(cluster)).collect();
        found.sort_by_key(|instance| instance.place.clone());
        found
    }

    /// The replicas that an instance feeds, or is listed to feed.
    pub(super) fn replicas_of<'a>(&'a self, place: &'a str) -> impl Iterator<Item = &'a Instance> {
        self.all.values().filter(move |instance| instance.source.as_ref().is_some_and(|source| source.place == place))
    }

    /// A new instance that has nothing ahead of it.
    pub(super) fn add(
        &mut self,
        region: &Region,
        id: &str,
        engine: (&str, &str),
        class: &str,
        now_ms: u64,
    ) -> &mut Instance {
        self.made += 1;
        let instance = Instance {
            place: format!("db-{:016X}", self.made),
            id: id.to_owned(),
            region: region.clone(),
            class: class.to_owned(),
            engine: engine.0.to_owned(),
            engine_version: engine.1.to_owned(),
            phases: Phases::default(),
            backup_days: 0,
            multi_az: false,
            groups: vec![OPEN_GROUP.to_owned()],
            open_groups: Vec::new(),
            tags: BTreeMap::new(),
            created_ms: now_ms,
            cluster: None,
            source: None,
            superseded: false,
            pending: PendingValues::default(),
            lag_ms: None,
            deletion_protection: false,
            promotion_tier: 1,
            storage_gb: 20,
        };
        self.all.entry((region.clone(), id.to_owned())).insert_entry(instance).into_mut()
    }

    pub(super) fn advance(&mut self, moment: Moment<'_>) -> Vec<RdsEvent> {
        let mut said = Vec::new();
        self.deliver(moment);
        let keys: Vec<(Region, String)> = self.all.keys().cloned().collect();
        for key in keys.into_iter().filter(|(region, _)| moment.faults.is_up(region)) {
            let mut key = Some(key);
            while let Some(at) = key.take() {
                key = self.end_phase(&at, moment, &mut said);
            }
        }
        said
    }

    fn deliver(&mut self, moment: Moment<'_>) {
        let all = &self.all;
        let at = |place: &str| all.values().find(|instance| instance.place == place);
        let linked = |a: &str, b: &str| match (at(a), at(b)) {
            (Some(from), Some(to)) => {
                let runs = to.source.as_ref().is_none_or(|source| source.running && source.problem.is_none());
                runs && moment.faults.linked(&from.region, &to.region)
            }
            _ => false,
        };
        let lag_ms = |to: &str| at(to).and_then(|i| i.lag_ms).unwrap_or(moment.timing.instance_lag_ms);
        self.rows.deliver(moment.now_ms, linked, lag_ms);
    }

    /// Ends one phase of an instance that is over; the instance's key if another one may be over too.
    fn end_phase(
        &mut self,
        at: &(Region, String),
        moment: Moment<'_>,
        said: &mut Vec<RdsEvent>,
    ) -> Option<(Region, String)> {
        let instance = self.all.get(at)?;
        if instance.phases.due(moment.now_ms)? == &Then::Ready && !self.can_seed(instance, moment) {
            return None;
        }
        let instance = self.all.get_mut(at)?;
        let (place, then) = (instance.place.clone(), instance.phases.end_one(moment.now_ms)?);
        let mut say = |id, category, message: String| {
            said.push(RdsEvent::of_instance(moment.now_ms, &at.0, &at.1, id, &[category], message));
        };
        match then {
            Then::Nothing => {}
            Then::Ready => {
                let source = instance.source.as_ref().map(|source| source.place.clone());
                say("RDS-EVENT-0005", "creation", "DB instance created.".into());
                if let Some(source) = source {
                    self.rows.rebuild(&source, &place);
                    say("RDS-EVENT-0046", "read replica", "Replication for the Read Replica resumed.".into());
                }
            }
            Then::StandsAlone(backup_days) => {
                instance.source = None;
                instance.backup_days = backup_days;
                let message = "Replication for the Read Replica has been manually stopped.";
                say("RDS-EVENT-0062", "read replica", message.into());
            }
            Then::Renamed(id) => {
                let mut renamed = self.all.remove(at)?;
                renamed.id.clone_from(&id);
                let arn = instance_arn(&at.0, &id);
                for source in self.all.values_mut().filter_map(|i| i.source.as_mut()).filter(|s| s.place == place) {
                    source.arn.clone_from(&arn);
                }
                self.all.insert((at.0.clone(), id.clone()), renamed);
                return Some((at.0.clone(), id));
            }
            Then::Gone => {
                say("RDS-EVENT-0003", "deletion", "DB instance deleted.".into());
                self.all.remove(at);
                self.forget_source(&place, &at.0, moment, said);
                return None;
            }
            Then::Says(id, category, message) => say(id, category, message.into()),
        }
        Some(at.clone())
    }

    /// Whether a new instance's first rows can come: a replica's from its source.
    fn can_seed(&self, instance: &Instance, moment: Moment<'_>) -> bool {
        let Some(source) = &instance.source else { return true };
        self.at_place(&source.place).is_some_and(|from| moment.faults.linked(&from.region, &instance.region))
    }

    /// Replicas of a deleted source: those in its Region stand alone, the others have nothing to replicate from.
    fn forget_source(&mut self, place: &str, region: &Region, moment: Moment<'_>, said: &mut Vec<RdsEvent>) {
        for replica in self.all.values_mut().filter(|i| i.source.as_ref().is_some_and(|s| s.place == place)) {
            if &replica.region == region {
                replica.source = None;
            } else if let Some(source) = &mut replica.source {
                source.problem = Some("terminated".to_owned());
            }
            let (id, region) = (replica.id.clone(), replica.region.clone());
            let message = "Replication streaming has been terminated.";
            said.push(RdsEvent::of_instance(moment.now_ms, &region, &id, "RDS-EVENT-0057", &["read replica"], message));
        }
    }
}

impl Instance {
    /// Whether a client that knows its endpoint gets an answer.
    pub(super) fn answers(&self) -> bool {
        !matches!(self.phases.status(), "creating" | "rebooting" | "renaming" | "deleting")
    }

    /// Whether AWS takes a change of it now.
    pub(super) fn is_settled(&self) -> bool {
        matches!(self.phases.status(), "available" | "backing-up")
    }
}
