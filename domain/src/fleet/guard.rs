//! Guards: named yes/no questions that must hold before an action. Every no is recorded with its reason.

use serde::{Deserialize, Serialize};

/// The guards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guard {
    /// A majority of the fleet is fresh here.
    Quorum,
    /// A quorum of fresh observers sees the breach.
    BreachProven,
    /// Route 53's own checkers see it too.
    Route53Agrees,
    /// The other Region is healthy and its copies could take over.
    StandbyReady,
    /// The loss bound is within the RPO.
    RpoBudget,
    /// The old writer can be fenced.
    WriterFenced,
    /// The plan passes its checks (I4, I5).
    PlanSound,
    /// No other run is open for the service.
    NoOpenRun,
    /// The last run ended long enough ago.
    Cooldown,
    /// Automatic action is not paused.
    NotPaused,
    /// The policy lets a breach act.
    Policy,
    /// A passed drill is recent enough.
    DrillLicence,
    /// No freeze holds (graceful moves).
    NoFreeze,
    /// The service this one follows has moved.
    Follows,
    /// Health checks and records exist, so that the switch reaches Route 53.
    TrafficReady,
    /// Not too much has moved by itself lately.
    Velocity,
}

impl Guard {
    /// The word users see.
    #[must_use]
    pub fn word(self) -> String {
        serde_json::to_value(self).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
    }
}

/// What a no does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Nothing happens.
    Blocks,
    /// A person may approve.
    NeedsApproval,
    /// For the record only (asked of a person's own command).
    Informs,
}

/// A guard's verdict, recorded with the decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardVerdict {
    /// Which guard.
    pub guard: Guard,
    /// Yes or no.
    pub ok: bool,
    /// Why, in one sentence.
    pub reason: String,
    /// What a no does.
    pub severity: Severity,
}
