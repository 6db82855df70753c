//! A fleet that goes on from a backup. What was agreed after it is not known here, above all where services went since: so
//! of none of them anything is said or done until a person has said where it is.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::apply::Rejection;
use super::command::Actor;
use super::event::{EventHead, EventKind, HistoryEvent, verify_chain};
use super::state::{FleetState, Switch};
use crate::format::Format;
use crate::ids::{Epoch, Generation, LogIndex, Region, ServiceName, SwitchGroup};
use crate::service::ServiceSpec;
use crate::time::Timestamp;

/// The oldest format that knows of restored fleets.
pub(super) const SINCE: Format = Format(2);
/// What a restored log passes over: the lost fleet has not used as many positions after its backup.
pub const POSITIONS_PASSED_OVER: u64 = 1_000_000;
/// The same for epochs, and for numbers of runs, of one service.
pub(super) const NUMBERS_PASSED_OVER: u64 = 1_000;
/// Of what the history knows since, so much is shown.
const SHOWN: usize = 40;

/// A fleet goes on from a backup, and a person has not ended that yet by turning automatic action on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// The newest entry that the backup knew.
    pub as_of: LogIndex,
    /// When it was made.
    pub taken_at: Timestamp,
    /// Switches of which no person has said yet how they stand.
    pub unconfirmed: BTreeSet<SwitchGroup>,
}

/// By what a fleet is restored.
#[derive(Clone, Copy, Debug)]
pub struct Restoring<'a> {
    /// Where its log begins.
    pub index: LogIndex,
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub actor: &'a Actor,
    /// On whose disk.
    pub on: &'a Region,
    /// The generation that begins.
    pub generation: Generation,
    /// When the backup was made.
    pub taken_at: Timestamp,
    /// What the histories know since.
    pub since: &'a Since,
}

/// What a history holds that was agreed after a backup: where the chain of events goes on, and which numbers are used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Since {
    /// The newest event.
    pub head: EventHead,
    /// How many there are.
    pub events: u64,
    /// The newest log position among them.
    pub index: LogIndex,
    /// The newest generation that began among them.
    pub generation: Generation,
    /// The newest of what a person must know of, oldest first.
    pub shown: VecDeque<(Timestamp, String)>,
    /// The newest epoch and number of a run, by service.
    pub(super) numbers: BTreeMap<ServiceName, (Epoch, u64)>,
}

impl Since {
    /// Nothing yet.
    #[must_use]
    pub fn after(head: &EventHead) -> Self {
        Self { head: head.clone(), ..Self::default() }
    }

    /// The next event.
    ///
    /// # Errors
    /// It does not follow.
    pub fn take(&mut self, event: &HistoryEvent) -> Result<(), String> {
        self.head = verify_chain(&self.head, std::slice::from_ref(event))?;
        self.events += 1;
        self.index = self.index.max(event.index);
        let number = |field: &str| event.data.get(field).and_then(serde_json::Value::as_u64);
        if event.kind == EventKind::Fleet
            && let Some(generation) = number("generation")
        {
            self.generation = self.generation.max(Generation(generation));
        }
        if let Some(service) = &event.service {
            let (epoch, runs) = self.numbers.entry(service.clone()).or_default();
            *epoch = (*epoch).max(Epoch(number("epoch").unwrap_or_default()));
            let of_run = event.run.as_ref().and_then(|run| run.as_str().strip_prefix(service.as_str()));
            let run = of_run.and_then(|rest| rest.strip_prefix('-')?.parse().ok());
            *runs = (*runs).max(run.unwrap_or_default());
        }
        if must_be_known(event.kind) {
            self.shown.push_back((event.at, event.message.clone()));
            let surplus = self.shown.len().saturating_sub(SHOWN);
            self.shown.drain(..surplus);
        }
        Ok(())
    }
}

/// Whether it changes what a person would do with an older state.
const fn must_be_known(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::Fleet
            | EventKind::Applied
            | EventKind::Deleted
            | EventKind::Decided
            | EventKind::Started
            | EventKind::Switch
            | EventKind::Finished
            | EventKind::Paused
            | EventKind::LostWrites
    )
}

impl FleetState {
    /// Whether it is known how a switch stands. Of one that is not known nothing is told to Route 53, and nothing that
    /// rests on it is written.
    #[must_use]
    pub fn is_confirmed(&self, group: &SwitchGroup) -> bool {
        self.restored.as_ref().is_none_or(|restored| !restored.unconfirmed.contains(group))
    }

    /// The switches of which something is told.
    pub fn known_switches(&self) -> impl Iterator<Item = (&SwitchGroup, &Switch)> {
        self.switches.iter().filter(|(group, _)| self.is_confirmed(group))
    }

    /// Services of which no person has said yet where they are, since the fleet was restored.
    #[must_use]
    pub fn unconfirmed(&self) -> Vec<&ServiceName> {
        let waits = self.services.iter().filter(|(_, service)| !self.is_confirmed(&service.spec.switch_group()));
        waits.map(|(name, _)| name).collect()
    }

    /// Refuses to go on as if nothing had been lost.
    pub(super) fn all_places_are_known(&self) -> Result<(), Rejection> {
        match self.unconfirmed().first() {
            None => Ok(()),
            Some(service) => Err(Rejection::new("UNCONFIRMED", where_is_it(service))),
        }
    }

    /// Refuses what rests on where a service is.
    pub(crate) fn place_is_known(&self, spec: &ServiceSpec) -> Result<(), Rejection> {
        if self.is_confirmed(&spec.switch_group()) {
            return Ok(());
        }
        Err(Rejection::new("UNCONFIRMED", where_is_it(self.moves_with(spec).unwrap_or(&spec.name))))
    }
}

/// What a person is asked.
pub(super) fn where_is_it(service: &ServiceName) -> String {
    format!(
        "the fleet was restored from a backup, and where {service} is may have changed since: look at its records and its \
         data, then say so (failoverctl fleet confirm {service} --serves REGION)"
    )
}
