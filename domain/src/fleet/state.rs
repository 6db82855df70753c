//! The replicated state of the fleet.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::command::Actor;
use super::event::{EventHead, HistoryEvent};
use super::restored::Restored;
use super::run::Run;
use super::settings::{Departures, FleetSettings};
use crate::drill::{DrillRun, DrillState};
use crate::format::Format;
use crate::ids::{
    DrillName, DrillRunId, Epoch, FleetId, Generation, LogIndex, Region, RunId, ServiceName, StoreName, SwitchGroup,
};
use crate::service::{Pattern, ServiceSpec, SwitchTransport};
use crate::time::Timestamp;
use crate::traffic::SwitchEndpoint;

/// What every daemon agrees on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FleetState {
    /// The format that the fleet writes. First, so that who cannot read the rest can read this.
    #[serde(default, skip_serializing_if = "Format::is_first")]
    pub format: Format,
    /// The fleet; empty before its first entry.
    pub fleet: FleetId,
    /// Raised only by disaster recovery of the fleet itself.
    pub generation: Generation,
    /// Its daemons.
    pub members: BTreeMap<Region, Member>,
    /// Services by name.
    pub services: BTreeMap<ServiceName, ServiceState>,
    /// Switches by group.
    pub switches: BTreeMap<SwitchGroup, Switch>,
    /// Open runs, and the newest closed ones (older ones are in the history).
    pub runs: BTreeMap<RunId, Run>,
    /// Services that were deleted: what must not begin anew if one of that name is applied again.
    pub retired: BTreeMap<ServiceName, Retired>,
    /// Drills by name.
    #[serde(default)]
    pub drills: BTreeMap<DrillName, DrillState>,
    /// Open executions of drills, and the newest closed ones (older ones are in the history).
    #[serde(default)]
    pub drill_runs: BTreeMap<DrillRunId, DrillRun>,
    /// The newest events that webhooks tell, oldest first.
    #[serde(default)]
    pub news: VecDeque<HistoryEvent>,
    /// How far each webhook was told, by its name.
    #[serde(default)]
    pub told: BTreeMap<String, u64>,
    /// Automatic action is off everywhere.
    pub paused: bool,
    /// What most daemons' files say of the whole fleet.
    #[serde(default, skip_serializing_if = "FleetSettings::is_silent")]
    pub settings: FleetSettings,
    /// It goes on from a backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<Restored>,
    /// When services last left a Region by themselves.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub departures: Departures,
    /// Signed requests that were used, by their nonces, until they would have expired.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub broken_glass: BTreeMap<String, BrokenGlass>,
    /// Regions that were removed from the fleet: a daemon that comes back from there is told.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub gone: BTreeMap<Region, Gone>,
    /// The newest entry that changed which daemons there are, or where checkers reach one.
    #[serde(default)]
    pub advertised: LogIndex,
    /// The newest entry applied.
    pub applied: LogIndex,
    /// The newest event made.
    pub head: EventHead,
}

/// A signed request that was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokenGlass {
    /// When it would have expired.
    pub expires_at: Timestamp,
    /// The run that it opened.
    pub run: RunId,
}

/// What is remembered of a deleted service. Its switch stays as well: the health checks that ask for it do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retired {
    /// Its last epoch.
    pub epoch: Epoch,
    /// Its runs.
    pub runs: u64,
}

/// A daemon of the fleet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Whether its Region hosts services.
    pub role: Role,
    /// Where Route 53's checkers reach it; absent until it has said so once.
    pub switch: Option<SwitchEndpoint>,
}

/// A Region that was removed from the fleet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    /// The newest entry that removed it.
    pub at: LogIndex,
    /// The disks that its daemons had.
    pub disks: BTreeSet<u64>,
}

/// What a daemon's Region is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Hosts services.
    Member,
    /// Votes, observes, answers checkers.
    Witness,
}

/// A service and where it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceState {
    /// Its manifest.
    pub spec: Arc<ServiceSpec>,
    /// The entry that applied it.
    pub spec_index: LogIndex,
    /// Raised once for every change of who serves.
    pub epoch: Epoch,
    /// The Region chosen in this epoch: where the service (active-active: what only one Region writes) is, or a run is
    /// taking it.
    pub chosen: Region,
    /// Active-passive: the Region that the committed switch says serves. Active-active: where the writers are that only
    /// one Region can have; it need not serve.
    pub primary: Region,
    /// Since when.
    pub primary_since: Timestamp,
    /// Automatic action is off for it.
    pub paused: bool,
    /// Whether records and checks match reality.
    pub settlement: Settlement,
    /// Runs so far; the next run's number is one more.
    pub runs: u64,
    /// End of the newest run that began, or that a person stopped: cooldown counts from there.
    pub last_run_at: Option<Timestamp>,
    /// A person must look, and why.
    pub attention: Option<String>,
    /// Snapshots of lost writes that are on record, by store.
    #[serde(default)]
    pub lost_writes: BTreeMap<StoreName, BTreeSet<String>>,
    /// It is to return to the first Region of its manifest as soon as that can be done without loss.
    #[serde(default)]
    pub way_back: Option<WayBack>,
    /// Drills that it passed: what lets it fail over by itself where its manifest asks for one.
    #[serde(default)]
    pub licences: Vec<Licence>,
    /// How long steps took in earlier runs, by mode and step: for forecasts.
    #[serde(default)]
    pub durations: BTreeMap<String, VecDeque<u64>>,
}

/// Somebody wants a service back where it belongs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WayBack {
    /// Who.
    pub actor: Actor,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

/// A drill that was passed, and what it says something about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Licence {
    /// Execution.
    pub drill: DrillRunId,
    /// When it was passed.
    pub at: Timestamp,
    /// The Region that was left.
    pub from: Region,
    /// Where the service went.
    pub to: Region,
    /// What the move rested on (`drill::fingerprint`).
    pub fingerprint: String,
}

/// Whether records and checks match reality.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settlement {
    /// The newest epoch and manifest that records and checks matched.
    pub settled: Option<(Epoch, LogIndex)>,
    /// When.
    pub settled_at: Option<Timestamp>,
    /// A daemon's endpoint has changed since: checks name the old one.
    pub is_stale: bool,
    /// Records and checks exist for the service's traffic as the manifest has it now, so that the switch reaches
    /// Route 53; who serves, and other parts of the manifest, may have changed since.
    pub carries_traffic: bool,
    /// The newest intent to write: the I of the record fence.
    pub intent: Option<LogIndex>,
}

/// A switch group's committed bits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switch {
    /// Active-passive: one bit that belongs to the first Region. Active-active: one for each.
    pub pattern: Pattern,
    /// Regions in the order of the manifest that made it.
    pub regions: Vec<Region>,
    /// The bits by the Region they belong to.
    pub bits: BTreeMap<Region, Bit>,
}

/// One committed bit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bit {
    /// On or off.
    pub on: bool,
    /// Since when.
    pub since: Timestamp,
    /// The entry that turned it.
    pub index: LogIndex,
    /// What Route 53's checkers ask for: `GET /s/{token}`.
    pub token: String,
    /// Active-active: how much of its traffic the records give the Region, percent. A Region that was evacuated comes
    /// back with little and is given more in waves.
    #[serde(default = "all_of_it")]
    pub share: u8,
}

/// A Region's whole share of traffic, percent.
pub const WHOLE_SHARE: u8 = 100;

const fn all_of_it() -> u8 {
    WHOLE_SHARE
}

/// What users see of a service in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServicePhase {
    /// Serving, settled.
    Steady,
    /// A run is open.
    FailingOver,
    /// Records and checks do not match reality yet.
    Unsettled,
    /// A drill is bringing it back, or a Region that came back is given its traffic in waves.
    Returning,
    /// A person must look.
    Attention,
}

impl FleetState {
    /// The open run of a service, or of the one that it moves with, if any: there is at most one.
    #[must_use]
    pub fn open_run(&self, service: &ServiceName) -> Option<&Run> {
        let lead = self.services.get(service).and_then(|service| self.moves_with(&service.spec));
        let moved = lead.unwrap_or(service);
        self.runs.values().find(|run| &run.service == moved && !run.state.is_closed())
    }

    /// Whether automatic action is off for a service: by itself, with the one that it moves with, or with the fleet.
    #[must_use]
    pub fn is_paused(&self, service: &ServiceName) -> bool {
        let Some(found) = self.services.get(service) else { return self.paused };
        let lead = self.moves_with(&found.spec).and_then(|lead| self.services.get(lead));
        self.paused || found.paused || lead.is_some_and(|lead| lead.paused)
    }

    /// Regions that serve by the committed switch, in the manifest's order.
    #[must_use]
    pub fn serving<'a>(&self, service: &'a ServiceState) -> Vec<&'a Region> {
        match (service.spec.pattern, self.switches.get(&service.spec.switch_group())) {
            (Pattern::ActivePassive, _) => vec![&service.primary],
            (Pattern::ActiveActive, Some(switch)) => {
                let is_on = |region: &&Region| switch.bits.get(*region).is_some_and(|bit| bit.on);
                service.spec.regions.iter().filter(is_on).collect()
            }
            (Pattern::ActiveActive, None) => Vec::new(),
        }
    }

    /// Active-active: how much of its traffic a Region that serves is given, percent.
    #[must_use]
    pub fn share(&self, service: &ServiceState, region: &Region) -> Option<u8> {
        let switch = self.switches.get(&service.spec.switch_group())?;
        let bit = switch.bits.get(region).filter(|bit| switch.pattern == Pattern::ActiveActive && bit.on)?;
        Some(bit.share)
    }

    /// A Region that serves again, but not yet all that it is to serve, with its share in percent.
    #[must_use]
    pub fn returning<'a>(&self, service: &'a ServiceState) -> Option<(&'a Region, u8)> {
        let mut shares = service.spec.regions.iter().filter_map(|region| Some((region, self.share(service, region)?)));
        shares.find(|(_, share)| *share < WHOLE_SHARE)
    }

    /// Whether records and checks match who serves, for a service and for those that move with it.
    #[must_use]
    pub fn are_settled(&self, service: &ServiceState) -> bool {
        self.moved_together(service).into_iter().all(ServiceState::is_settled)
    }

    /// Why no daemon should be stopped now, service by service. While a move is not settled, losing every daemon would send
    /// its traffic back; over CloudWatch the last words stay, and it would not.
    #[must_use]
    pub fn why_stay(&self) -> Vec<String> {
        let why = |service: &ServiceState| {
            let name = &service.spec.name;
            if let Some(run) = self.open_run(name).filter(|run| run.epoch.is_some()) {
                return Some(format!("run {} is moving {name}", run.id));
            }
            let (settled, _) = service.settlement.settled?;
            if !self.is_confirmed(&service.spec.switch_group()) {
                return None;
            }
            let falls_back = service.spec.traffic.switch == SwitchTransport::Http && settled != service.epoch;
            falls_back.then(|| {
                format!(
                    "{name} is not settled since epoch {}: without daemons its traffic would go where epoch {settled} had it",
                    service.epoch
                )
            })
        };
        self.services.values().filter_map(why).collect()
    }

    /// What users see of a service in a word.
    #[must_use]
    pub fn phase(&self, service: &ServiceState) -> ServicePhase {
        match self.open_run(&service.spec.name) {
            Some(run) if run.state == super::run::RunState::Paused => ServicePhase::Attention,
            Some(run) if self.is_way_back(run) => ServicePhase::Returning,
            Some(_) => ServicePhase::FailingOver,
            None if service.attention.is_some() => ServicePhase::Attention,
            None if self.returning(service).is_some() => ServicePhase::Returning,
            None if service.is_settled() => ServicePhase::Steady,
            None => ServicePhase::Unsettled,
        }
    }
}

impl ServiceState {
    /// Whether records and checks match who serves and what the manifest says.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.settlement.settled == Some((self.epoch, self.spec_index)) && !self.settlement.is_stale
    }

    /// Active-passive: the Region that does not serve.
    #[must_use]
    pub fn standby(&self) -> Option<&Region> {
        self.spec.regions.iter().find(|region| **region != self.primary)
    }
}

impl ServicePhase {
    /// The word users see.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::FailingOver => "failing-over",
            Self::Unsettled => "unsettled",
            Self::Returning => "returning",
            Self::Attention => "attention",
        }
    }
}
