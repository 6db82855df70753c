//! One execution of a plan.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::command::Actor;
use super::guard::GuardVerdict;
use crate::data::loss::Loss;
use crate::health::Finding;
use crate::ids::{Epoch, LogIndex, RunId, ServiceName, StepName};
use crate::plan::Plan;
use crate::time::Timestamp;

/// One execution of a plan: a journal of step attempts and a verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// `<service>-<n>`.
    pub id: RunId,
    /// Service.
    pub service: ServiceName,
    /// Who or what asked.
    pub trigger: Trigger,
    /// Who, by name.
    pub actor: Actor,
    /// Why.
    pub reason: String,
    /// What is done.
    pub plan: Plan,
    /// What was seen when it was decided.
    pub evidence: Vec<Finding>,
    /// What the guards said when it was decided.
    pub guards: Vec<GuardVerdict>,
    /// Where it stands.
    pub state: RunState,
    /// The epoch it works under, from its start on.
    pub epoch: Option<Epoch>,
    /// The log index of the decision.
    pub decided_index: LogIndex,
    /// When the breach began, as far as known.
    pub breach_at: Option<Timestamp>,
    /// When it was decided.
    pub decided_at: Timestamp,
    /// After this instant it may not start.
    pub valid_until: Timestamp,
    /// Announced until then.
    pub announce_until: Option<Timestamp>,
    /// Consent to an unfenced old writer.
    pub unfenced_consent: Option<Consent>,
    /// When its first step could begin.
    pub started_at: Option<Timestamp>,
    /// When it got its verdict.
    pub finished_at: Option<Timestamp>,
    /// When the answer was verified in the new place; the RTO ends here.
    pub verified_at: Option<Timestamp>,
    /// Bound before, receipt after; one for each store.
    pub loss: Vec<Loss>,
    /// Journal of each step.
    pub steps: BTreeMap<StepName, StepProgress>,
    /// Asked to stop, with the reason.
    pub abort: Option<String>,
    /// The verdict in one sentence.
    pub verdict: Option<String>,
}

/// Who or what asked for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    /// A proven breach.
    Automatic,
    /// A person.
    Operator,
    /// A GameDay.
    Drill,
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// A person must approve.
    AwaitingApproval,
    /// Will start when the announcement is over.
    Announced,
    /// Steps are under way.
    Running,
    /// A critical step failed: a person retries, skips or aborts.
    Paused,
    /// Traffic is verified in the new place.
    Succeeded,
    /// It ended without having moved.
    Failed,
    /// It was stopped.
    Aborted,
}

impl RunState {
    /// Whether it has a verdict.
    #[must_use]
    pub const fn is_closed(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Aborted)
    }
}

/// Who consented to an old writer that is not fenced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consent {
    /// The manifest says `unfenced: proceed`.
    Policy,
    /// A person said so.
    Person(String),
}

/// Journal of one step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepProgress {
    /// Where it stands.
    pub state: StepState,
    /// Attempts begun.
    pub attempts: u32,
    /// The newest intent.
    pub intent: Option<Intent>,
    /// First intent.
    pub started_at: Option<Timestamp>,
    /// End.
    pub finished_at: Option<Timestamp>,
    /// What was found, or why it failed.
    pub note: Option<String>,
    /// Whether trying again by itself could help.
    pub retryable: bool,
}

/// A journalled intent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Log index: the I of the record fence.
    pub index: LogIndex,
    /// When.
    pub at: Timestamp,
    /// The daemon that is to act.
    pub by: Actor,
}

/// Where a step stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepState {
    /// Not begun.
    #[default]
    Pending,
    /// Intent journalled, outcome not.
    Acting,
    /// An attempt ended and nobody knows how: look first.
    Unknown,
    /// Done and verified.
    Succeeded,
    /// Certainly not done.
    Failed,
    /// A person went on without it.
    Skipped,
}
