//! A plan and its steps.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::ids::{LogIndex, Region, ServiceName, StepName, StoreName, SwitchGroup};

/// An immutable DAG of steps from (service, from, to, mode).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Service.
    pub service: ServiceName,
    /// Region that serves now.
    pub from: Region,
    /// Region that will.
    pub to: Region,
    /// Graceful or forced.
    pub mode: Mode,
    /// What kind of move it is.
    #[serde(default, skip_serializing_if = "Movement::is_failover")]
    pub movement: Movement,
    /// The manifest it was made from.
    pub spec_index: LogIndex,
    /// In an order in which they could run one after the other.
    pub steps: Vec<Step>,
}

impl Plan {
    /// Twelve hex digits over everything above: the same plan has the same hash on every daemon.
    #[must_use]
    pub fn hash(&self) -> String {
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        Sha256::digest(&bytes).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }

    /// The step of that name.
    #[must_use]
    pub fn step(&self, name: &StepName) -> Option<&Step> {
        self.steps.iter().find(|step| &step.name == name)
    }
}

/// What a move does with Regions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Movement {
    /// Active-passive: another Region serves instead.
    #[default]
    Failover,
    /// Active-active: a Region stops serving. `from` is that Region; `to` is where the writer is, or goes.
    Evacuate,
    /// Active-active: a Region serves again. `to` is that Region; `from` is where the writer is, and it stays there.
    Restore,
}

impl Movement {
    /// The word users see.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Failover => "failover",
            Self::Evacuate => "evacuation",
            Self::Restore => "restore",
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
    fn is_failover(&self) -> bool {
        matches!(self, Self::Failover)
    }
}

/// Graceful loses nothing and may refuse; forced goes on without the old Region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// No loss.
    Graceful,
    /// The old Region is not waited for.
    Forced,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Graceful => "graceful",
            Self::Forced => "forced",
        })
    }
}

/// One idempotent effect: precondition, act, verify.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// `<kind>/<object>`, unique in the plan.
    pub name: StepName,
    /// The effect.
    pub kind: StepKind,
    /// The Region whose API it needs.
    pub region: Region,
    /// The plane it needs there.
    pub plane: Plane,
    /// Whether the run's end waits for it, and its failure stops the run.
    pub critical: bool,
    /// Steps that must have ended before (well, where those are critical).
    pub after: Vec<StepName>,
    /// Whether it can be taken back.
    pub undo: Undo,
    /// From the first act to the last look.
    pub timeout_ms: u64,
    /// Its calls as a person would type or read them.
    pub calls: Vec<String>,
}

impl Step {
    /// Whether guards are asked again before it, and abort after it means "stop and say where we are".
    #[must_use]
    pub const fn is_point_of_no_return(&self) -> bool {
        matches!(self.undo, Undo::Irreversible)
    }
}

/// The effects a step can have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum StepKind {
    /// Stop writes to the old copy.
    Fence {
        /// Store.
        store: StoreName,
    },
    /// Wait until the new copy has everything (graceful, stores without a single writer).
    Drain {
        /// Store.
        store: StoreName,
    },
    /// Make the new copy the writer.
    Promote {
        /// Store.
        store: StoreName,
        /// How the old writer is kept from writing.
        fencing: Fencing,
    },
    /// Look whether the new copy takes the service's data.
    CheckData {
        /// Store.
        store: StoreName,
    },
    /// Turn the switch: one committed entry.
    FlipSwitch {
        /// Group.
        group: SwitchGroup,
        /// The Region the bit belongs to.
        bit: Region,
        /// What the bit becomes.
        on: bool,
    },
    /// Ask the zone's authoritative servers until they give the new Region's answer.
    VerifyAnswer,
}

impl StepKind {
    /// The word before the slash of a step's name.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Fence { .. } => "fence",
            Self::Drain { .. } => "drain",
            Self::Promote { .. } => "promote",
            Self::CheckData { .. } => "check-data",
            Self::FlipSwitch { .. } => "flip-switch",
            Self::VerifyAnswer => "verify-answer",
        }
    }

    /// The store it is about.
    #[must_use]
    pub const fn store(&self) -> Option<&StoreName> {
        match self {
            Self::Fence { store } | Self::Drain { store } | Self::Promote { store, .. } | Self::CheckData { store } => {
                Some(store)
            }
            Self::FlipSwitch { .. } | Self::VerifyAnswer => None,
        }
    }
}

/// How a promotion keeps the old writer from writing (I1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fencing {
    /// The promotion itself does it (Aurora switchover).
    Builtin,
    /// By this step; where it fails, the run needs consent.
    ByStep(StepName),
    /// Nothing can: the run needs consent.
    None,
}

/// Which plane a step needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Plane {
    /// Answers, reads and writes that keep working when an API is away.
    Data,
    /// A Regional API.
    Control,
}

/// Whether a step can be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Undo {
    /// Changes nothing.
    Nothing,
    /// Can be put back.
    PutBack,
    /// Cannot be taken back.
    Irreversible,
}
