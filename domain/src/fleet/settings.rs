//! What holds for the whole fleet and stands in every daemon's own file: it counts once a majority of the daemons say the
//! same. So no single file, and nobody who can write to one machine, decides whose signatures break the glass or how fast
//! the fleet may move.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::command::Command;
use super::state::FleetState;
use crate::format::Format;
use crate::glass::Enrolment;
use crate::health::Matrix;
use crate::ids::Region;

/// Longest window of a velocity limit, milliseconds: departures are remembered for as long.
pub const MOST_WINDOW_MS: u64 = 24 * 3_600_000;
/// Shortest one.
pub const LEAST_WINDOW_MS: u64 = 1_000;

/// What the daemons' files say of the whole fleet.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FleetSettings {
    /// How much may move by itself in a while; absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub velocity: Option<Velocity>,
    /// Whose signatures break the glass; absent: nobody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<Enrolment>,
}

/// How much may move by itself in a while.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Velocity {
    /// The while, milliseconds.
    pub window_ms: u64,
    /// So many Regions may be left.
    pub regions: u32,
    /// So many services may leave them; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services: Option<u32>,
}

impl FleetSettings {
    /// Whether they can be meant.
    ///
    /// # Errors
    /// What of them cannot.
    pub fn check(&self) -> Result<(), String> {
        if let Some(velocity) = &self.velocity {
            velocity.check().map_err(|why| format!("velocity {why}"))?;
        }
        self.break_glass
            .as_ref()
            .map_or(Ok(()), |enrolment| enrolment.check().map_err(|why| format!("break_glass {why}")))
    }

    /// For serde: what says nothing is not written.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        *self == Self::default()
    }

    /// In a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let velocity = self.velocity.as_ref().map_or_else(
            || "no limit on automatic moves".to_owned(),
            |velocity| format!("automatic moves: {}", velocity.sentence()),
        );
        let glass = self.break_glass.as_ref().map_or_else(|| "nobody".to_owned(), Enrolment::sentence);
        format!("{velocity}; the glass is broken by {glass}")
    }
}

impl Velocity {
    fn check(&self) -> Result<(), String> {
        if !(LEAST_WINDOW_MS..=MOST_WINDOW_MS).contains(&self.window_ms) {
            return Err(format!("has a window of {} ms; it is a second at least and a day at most", self.window_ms));
        }
        if self.regions == 0 || self.services == Some(0) {
            return Err("lets nothing move: that is what `failoverctl pause` is for".to_owned());
        }
        Ok(())
    }

    /// In a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let services =
            self.services.map_or_else(|| "any number of services".to_owned(), |most| format!("{most} services"));
        format!("{services} out of {} Region(s) in {} s", self.regions, self.window_ms / 1_000)
    }
}

/// When services last left a Region by themselves.
pub type Departures = BTreeMap<Region, BTreeMap<crate::ids::ServiceName, crate::time::Timestamp>>;

/// What the leader should propose once a majority of the daemons' files say something else than the fleet has agreed on. A
/// daemon that is silent counts with what it said last.
pub(super) fn agree(state: &FleetState, matrix: &Matrix) -> Option<Command> {
    state.writes(SINCE).ok()?;
    let mut said: BTreeMap<&FleetSettings, BTreeSet<Region>> = BTreeMap::new();
    for region in state.members.keys() {
        if let Some(settings) = matrix.of(region).and_then(|received| received.report.settings.as_ref()) {
            said.entry(settings).or_default().insert(region.clone());
        }
    }
    let (settings, said_by) = said.into_iter().find(|(_, by)| state.is_majority(by))?;
    (*settings != state.settings).then(|| Command::Agree { settings: settings.clone(), said_by })
}

/// The format in which they are agreed on.
pub(super) const SINCE: Format = Format(2);

impl FleetState {
    /// Whether these are more than half of the fleet.
    pub(super) fn is_majority(&self, of: &BTreeSet<Region>) -> bool {
        of.iter().filter(|region| self.members.contains_key(*region)).count() > self.members.len() / 2
    }
}
