//! One execution of a plan.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::command::Actor;
use super::guard::GuardVerdict;
use crate::data::loss::Loss;
use crate::health::Finding;
use crate::ids::{DrillRunId, Epoch, LogIndex, RunId, ServiceName, StepName};
use crate::plan::{Fencing, Plan, Step, StepKind};
use crate::time::Timestamp;
use crate::traffic::AnswerSeen;

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
    /// When a person last let it go on.
    pub resumed_at: Option<Timestamp>,
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
    /// The execution of a drill that it is part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<DrillRunId>,
    /// Whether what was seen meanwhile is on record.
    #[serde(default)]
    pub recorded: bool,
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
    /// What each daemon was answered, where that was the step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seen: Vec<AnswerSeen>,
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

impl Run {
    /// The journal of a step; pending when it has none yet.
    #[must_use]
    pub fn progress(&self, step: &StepName) -> StepProgress {
        self.steps.get(step).cloned().unwrap_or_default()
    }

    /// Whether a step has ended so that those after it may begin.
    #[must_use]
    pub fn is_resolved(&self, step: &Step) -> bool {
        match self.progress(&step.name).state {
            StepState::Succeeded | StepState::Skipped => true,
            // A step off the critical path gets one try; how it ended is on record.
            StepState::Failed | StepState::Unknown => !step.critical,
            StepState::Pending | StepState::Acting => false,
        }
    }

    /// Whether something that cannot be taken back was done, or may have been.
    #[must_use]
    pub fn is_past_no_return(&self) -> bool {
        self.plan.steps.iter().filter(|step| step.is_point_of_no_return()).any(|step| {
            // Skipped too: whoever went on without it may have done it by hand.
            !matches!(self.progress(&step.name).state, StepState::Pending | StepState::Failed)
        })
    }

    /// Steps whose outcome is open: an intent without an outcome, or an outcome that nobody knows.
    pub fn open_steps(&self) -> impl Iterator<Item = &Step> {
        self.plan.steps.iter().filter(|step| match self.progress(&step.name).state {
            StepState::Acting => true,
            StepState::Unknown => step.critical,
            _ => false,
        })
    }

    /// Why `step` may not begin now, if so: what comes before it, fencing (I1), or where it stands.
    ///
    /// # Errors
    /// One sentence for people.
    pub fn may_begin(&self, step: &Step) -> Result<(), String> {
        let progress = self.progress(&step.name);
        match progress.state {
            StepState::Pending => {}
            StepState::Failed if progress.retryable && step.critical => {}
            state => return Err(format!("step {} is {}", step.name, state.word())),
        }
        for before in &step.after {
            let resolved = self.plan.step(before).is_some_and(|before| self.is_resolved(before));
            if !resolved {
                return Err(format!("step {} waits for {before}", step.name));
            }
        }
        if let Some(doubt) = self.unfenced(step)
            && self.unfenced_consent.is_none()
        {
            return Err(format!("step {}: {doubt}, and nobody consented to that", step.name));
        }
        Ok(())
    }

    /// For a promotion whose old writer is not fenced: why it is not.
    #[must_use]
    pub fn unfenced(&self, step: &Step) -> Option<String> {
        let StepKind::Promote { fencing, .. } = &step.kind else { return None };
        match fencing {
            Fencing::Builtin => None,
            Fencing::None => Some("nothing can fence the old writer".to_owned()),
            Fencing::ByStep(fence) => match self.progress(fence).state {
                StepState::Succeeded => None,
                state => Some(format!("the old writer is not fenced ({fence} is {})", state.word())),
            },
        }
    }

    /// Whether it has changed nothing yet, so that another may take its place.
    #[must_use]
    pub const fn gives_way(&self) -> bool {
        self.epoch.is_none() && !self.state.is_closed()
    }

    /// Why a promotion whose turn it is may not begin until somebody consents, if so.
    #[must_use]
    pub fn waits_for_consent(&self) -> Option<String> {
        if self.unfenced_consent.is_some() {
            return None;
        }
        let is_next = |step: &&Step| {
            let ended = |name: &StepName| self.plan.step(name).is_some_and(|step| self.is_resolved(step));
            self.progress(&step.name).state == StepState::Pending && step.after.iter().all(ended)
        };
        self.plan.steps.iter().filter(is_next).find_map(|step| self.unfenced(step))
    }

    /// Milliseconds from the breach (or the start, where a person asked) to the verified answer.
    #[must_use]
    pub fn rto_ms(&self) -> Option<u64> {
        let from = self.breach_at.or(self.started_at)?;
        Some(self.verified_at?.since(from))
    }

    /// Milliseconds from the breach to the decision.
    #[must_use]
    pub fn detect_ms(&self) -> Option<u64> {
        self.breach_at.map(|breach| self.decided_at.since(breach))
    }
}

impl RunState {
    /// The word users see.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::AwaitingApproval => "awaiting-approval",
            Self::Announced => "announced",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Aborted => "aborted",
        }
    }
}

impl StepState {
    /// The word users see.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Acting => "acting",
            Self::Unknown => "unknown",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

impl Trigger {
    /// The word users see.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Automatic => "automatic",
            Self::Operator => "operator",
            Self::Drill => "drill",
        }
    }
}
