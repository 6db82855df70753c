//! One execution of a drill: where it stands, and how it ends.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::course::Course;
use super::curves::ThroughSeen;
use super::spec::DrillSpec;
use crate::fleet::Actor;
use crate::ids::{DrillName, DrillRunId, LogIndex, Region, RunId};
use crate::plan::Movement;
use crate::time::Timestamp;

/// A drill that was applied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DrillState {
    /// Its manifest.
    pub spec: Arc<DrillSpec>,
    /// The entry that applied it.
    pub spec_index: LogIndex,
    /// When: windows that opened before are none of its.
    pub applied_at: Timestamp,
    /// Executions so far.
    pub runs: u64,
    /// The newest opening of its schedule that was used, or reported as missed: each is dealt with once.
    pub handled: Option<Timestamp>,
    /// The newest opening that was missed, and why.
    pub missed: Option<(Timestamp, String)>,
    /// The newest execution.
    pub last: Option<DrillRunId>,
}

/// One execution of a drill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DrillRun {
    /// `<drill>.<n>`.
    pub id: DrillRunId,
    /// The drill as it was when this began.
    pub spec: Arc<DrillSpec>,
    /// The opening of the schedule that it uses; absent where a person asked.
    pub scheduled_for: Option<Timestamp>,
    /// Who asked.
    pub actor: Actor,
    /// The service's manifest.
    pub spec_index: LogIndex,
    /// The Region that is left.
    pub home: Region,
    /// Where the service goes.
    pub away: Region,
    /// What kind of move.
    pub movement: Movement,
    /// Where it stands.
    pub phase: DrillPhase,
    /// Since when.
    pub phase_since: Timestamp,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it began to do something.
    pub began_at: Option<Timestamp>,
    /// Who approved.
    pub approvals: Vec<Approval>,
    /// What was asked before and after, and answered.
    pub steady: Vec<SteadyCheck>,
    /// When the fleet was first shown a lost Region.
    pub breach_at: Option<Timestamp>,
    /// The run that moved the service.
    pub out: Option<RunId>,
    /// When it had arrived.
    pub arrived_at: Option<Timestamp>,
    /// When the hold is over.
    pub hold_until: Option<Timestamp>,
    /// The run that brought it back; the newest, if several were needed.
    pub back: Option<RunId>,
    /// Runs back that did not succeed.
    pub failed_returns: u32,
    /// Why it waits, in a sentence, where it does.
    pub waits_for: Option<String>,
    /// Why it was ended early, if so.
    pub ending: Option<Ending>,
    /// What was measured.
    pub measured: Measured,
    /// How it ended.
    pub verdict: Option<DrillVerdict>,
    /// The verdict in one sentence.
    pub sentence: Option<String>,
    /// When.
    pub finished_at: Option<Timestamp>,
}

/// Somebody's consent to a drill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// Where an execution stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DrillPhase {
    /// People must approve.
    AwaitingApproval,
    /// Whether the steady state holds is looked at.
    Checking,
    /// It runs in the simulated AWS.
    Simulating,
    /// The fleet is shown a lost Region, and must decide by itself.
    Detecting,
    /// The service is on its way out.
    Moving,
    /// It stays there.
    Holding,
    /// It stays there until a person says that it returns.
    AwaitingReturn,
    /// It comes back, or waits until it can.
    Returning,
    /// It is back; records and copies are set right, and the steady state is looked at again.
    Settling,
    /// It has a verdict.
    Closed,
}

/// Why an execution was ended early.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// A guardrail was hit.
    Guardrail {
        /// Which, in words.
        guardrail: String,
        /// What was seen.
        reason: String,
    },
    /// Somebody cancelled it.
    Cancelled {
        /// Who.
        by: String,
        /// Why, in their words.
        reason: String,
    },
    /// A real breach, or somebody who moved the service beside it: the drill gave way.
    Overtaken {
        /// What was seen.
        reason: String,
    },
    /// A move did not succeed, or could not begin.
    Failed {
        /// Why.
        reason: String,
    },
    /// The steady state did not hold before anything was done, or nobody approved in time.
    NotStarted {
        /// Why.
        reason: String,
    },
}

/// One thing that must hold before a drill and again after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SteadyCheck {
    /// Before or after.
    pub when: When,
    /// What, in a word.
    pub name: String,
    /// Whether it held.
    pub ok: bool,
    /// What was seen.
    pub reason: String,
}

/// Before or after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// Before anything was done.
    Before,
    /// After the return.
    After,
}

impl SteadyCheck {
    /// The first of them that does not hold.
    #[must_use]
    pub fn first_no(checks: &[Self]) -> Option<&Self> {
        checks.iter().find(|check| !check.ok)
    }
}

/// Runs back that may fail before a person is called.
pub const RETURNS_TRIED: u32 = 3;

/// What an execution measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// From the breach (or the start) until answers were verified and the service answered well through them.
    pub rto_ms: Option<u64>,
    /// From the breach to the decision.
    pub detect_ms: Option<u64>,
    /// The way back: from its decision to verified answers.
    pub return_ms: Option<u64>,
    /// What users would have seen, on the whole way out and back.
    pub through: Option<ThroughSeen>,
}

/// How an execution ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DrillVerdict {
    /// It moved, kept its objectives, came back, and the steady state holds.
    Passed,
    /// It moved and came back, and missed an objective.
    ObjectiveMissed,
    /// It did not do what it was to do, or the steady state does not hold afterwards.
    Failed,
    /// Somebody cancelled it.
    Cancelled,
    /// It gave way to a real breach.
    Overtaken,
    /// It did not start.
    NotStarted,
}

/// What the leader says of an execution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Advance {
    /// The steady state was looked at and holds: begin.
    Begin {
        /// What was seen.
        steady: Vec<SteadyCheck>,
    },
    /// The hold is over.
    ComeHome,
    /// End it early: give up, or bring it back.
    End {
        /// Why.
        ending: Ending,
        /// What the steady state was, where it was that.
        steady: Vec<SteadyCheck>,
    },
    /// It waits, and why (`None`: no more). For people.
    Waits {
        /// Why.
        why: Option<String>,
    },
    /// A simulation has ended.
    Simulated {
        /// Whether the simulated service came through.
        passed: bool,
        /// In a sentence.
        sentence: String,
        /// From the simulated breach to verified answers.
        rto_ms: Option<u64>,
        /// What happened, in order.
        told: Vec<String>,
    },
    /// It is back and settled, and the steady state was looked at.
    Close {
        /// What was seen.
        steady: Vec<SteadyCheck>,
    },
}

impl DrillRun {
    /// A new execution, that goes this way: people approve first, or the steady state is looked at.
    #[must_use]
    pub fn opened(id: DrillRunId, spec: Arc<DrillSpec>, way: Course, actor: Actor, at: Timestamp) -> Self {
        let phase = if spec.approvals > 0 { DrillPhase::AwaitingApproval } else { DrillPhase::Checking };
        Self {
            id,
            spec,
            scheduled_for: None,
            actor,
            spec_index: LogIndex::default(),
            home: way.home,
            away: way.away,
            movement: way.movement,
            phase,
            phase_since: at,
            opened_at: at,
            began_at: None,
            approvals: Vec::new(),
            steady: Vec::new(),
            breach_at: None,
            out: None,
            arrived_at: None,
            hold_until: None,
            back: None,
            failed_returns: 0,
            waits_for: None,
            ending: None,
            measured: Measured::default(),
            verdict: None,
            sentence: None,
            finished_at: None,
        }
    }

    /// Whether it has a verdict.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        matches!(self.phase, DrillPhase::Closed)
    }

    /// Whether it has begun to do something.
    #[must_use]
    pub const fn has_begun(&self) -> bool {
        self.began_at.is_some()
    }

    /// The drill's name.
    #[must_use]
    pub fn drill(&self) -> &DrillName {
        &self.spec.name
    }
}

impl DrillPhase {
    /// The word users see.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::AwaitingApproval => "awaiting-approval",
            Self::Checking => "checking",
            Self::Simulating => "simulating",
            Self::Detecting => "detecting",
            Self::Moving => "moving",
            Self::Holding => "holding",
            Self::AwaitingReturn => "awaiting-return",
            Self::Returning => "returning",
            Self::Settling => "settling",
            Self::Closed => "closed",
        }
    }
}

impl DrillVerdict {
    /// The word users see.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::ObjectiveMissed => "objective-missed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Overtaken => "overtaken",
            Self::NotStarted => "not-started",
        }
    }
}

impl Ending {
    /// In a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::Guardrail { guardrail, reason } => format!("guardrail hit ({guardrail}): {reason}"),
            Self::Cancelled { by, reason } => format!("cancelled by {by}: {reason}"),
            Self::Overtaken { reason } => format!("overtaken: {reason}"),
            Self::Failed { reason } | Self::NotStarted { reason } => reason.clone(),
        }
    }
}
