//! What a report says. Field names of a run are those of `describe run -o json`.

use serde::{Deserialize, Serialize};

use super::at::At;
use crate::data::loss::LossUnit;
use crate::drill::{Curve, SteadyCheck};
use crate::fleet::Severity;
use crate::health::Finding;
use crate::ids::{DrillName, DrillRunId, FleetId, Region, RunId, ServiceName, StepName, StoreName};
use crate::plan::Plane;
use crate::traffic::AnswerSeen;

/// What a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// One run.
    Run,
    /// One execution of a drill, with all its runs.
    Drill,
}

/// What a run or an execution of a drill did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What it is about.
    pub kind: Kind,
    /// The run's or the execution's id.
    pub id: String,
    /// Fleet.
    pub fleet: FleetId,
    /// Service.
    pub service: ServiceName,
    /// What was done, in a line.
    pub title: String,
    /// `succeeded`, `succeeded-objective-missed`, `failed`, `aborted`, `open`; of drills their own words.
    pub verdict: String,
    /// The verdict in one sentence.
    pub sentence: String,
    /// Objectives that were missed, each in a sentence.
    pub missed: Vec<String>,
    /// What this report cannot say yet, or ever, and why. Empty: it is complete.
    pub incomplete: Vec<String>,
    /// What only drills have.
    pub drill: Option<DrillPart>,
    /// Objectives against results.
    pub objectives: Objectives,
    /// What users would have seen.
    pub users: Option<Users>,
    /// Its runs, in order; the way out first.
    pub runs: Vec<RunPart>,
    /// What was seen while they went on.
    pub curves: Vec<CurvesSeen>,
    /// Who consented to what.
    pub approvals: Vec<ApprovalSeen>,
    /// Everybody who had a part in it.
    pub actors: Vec<ActorSeen>,
    /// What did not go as it usually does, computed from the events.
    pub surprises: Vec<Surprise>,
    /// The newest executions of the same before it, newest first.
    pub earlier: Vec<Earlier>,
    /// Every event, oldest first.
    pub timeline: Vec<Told>,
    /// What all this rests on.
    pub history: Record,
}

/// What only drills have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DrillPart {
    /// The drill.
    pub name: DrillName,
    /// Its execution.
    pub execution: DrillRunId,
    /// `switchover`, `region-loss` …
    pub kind: String,
    /// What was expected.
    pub hypothesis: String,
    /// The Region that was left.
    pub home: Region,
    /// Where the service went.
    pub away: Region,
    /// The opening of its schedule that it used; absent where a person asked.
    pub scheduled_for: Option<At>,
    /// When it was opened.
    pub opened_at: Option<At>,
    /// When it began to do something.
    pub began_at: Option<At>,
    /// When the fleet was first shown a lost Region.
    pub breach_at: Option<At>,
    /// When the service had arrived.
    pub arrived_at: Option<At>,
    /// When it had its verdict.
    pub finished_at: Option<At>,
    /// Why it was ended early, if so.
    pub ending: Option<String>,
    /// What would have ended it, and what did.
    pub guardrails: Vec<GuardrailSeen>,
    /// Where it stood, and for how long.
    pub phases: Vec<PhaseSeen>,
    /// What must hold before and after.
    pub steady: Vec<SteadyCheck>,
    /// What a simulation told.
    pub told: Vec<String>,
    /// Steps of a real failover that this kind of drill cannot practise.
    pub unpractised: Vec<String>,
    /// How many people had to approve.
    pub approvals_needed: u32,
}

/// A guardrail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardrailSeen {
    /// In words.
    pub guardrail: String,
    /// What was seen, where it ended the drill.
    pub hit: Option<String>,
}

/// A phase of a drill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseSeen {
    /// Its word.
    pub phase: String,
    /// From.
    pub began_at: At,
    /// Until; absent while it lasts.
    pub until: Option<At>,
}

/// Objectives against results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Objectives {
    /// Time.
    pub rto: Rto,
    /// Data: the most that may be lost of each store, milliseconds of writes.
    pub rpo_ms: Option<u64>,
    /// What each store lost.
    pub stores: Vec<StoreLoss>,
}

/// Time against its objective.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rto {
    /// The objective, milliseconds.
    pub objective_ms: Option<u64>,
    /// Measured.
    pub measured_ms: Option<u64>,
    /// `breach` or `start`: what it is counted from.
    pub counted_from: String,
    /// Part of it: from the breach to the decision.
    pub detect_ms: Option<u64>,
    /// The way back, on its own.
    pub return_ms: Option<u64>,
    /// Whether it was kept.
    pub within: Within,
    /// Why there is no figure, where there is none.
    pub reason: Option<String>,
}

/// Whether an objective was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Within {
    /// Kept.
    Kept,
    /// Missed.
    Missed,
    /// Nobody can say.
    Unknown,
}

/// What a store lost: what was promised before, and what was measured after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreLoss {
    /// Store.
    pub store: StoreName,
    /// The most it could lose, said before the decision.
    pub bound: Option<u64>,
    /// Where the bound came from, or why there was none.
    pub bound_reason: Option<String>,
    /// What it really lost.
    pub measured: Option<u64>,
    /// Unit of both.
    pub unit: LossUnit,
    /// Where the measured figure comes from, or why there is none.
    pub reason: String,
    /// Whether what was measured is within the objective.
    pub within: Within,
}

/// What somebody who asks by the public name would have had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Users {
    /// Questions that were asked.
    pub asked: u64,
    /// Those that were not answered well.
    pub errors: u64,
    /// The longest time without a good answer, where it was longest, milliseconds.
    pub longest_gap_ms: u64,
    /// Since when everybody was answered well.
    pub well_since: Option<At>,
}

/// A run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunPart {
    /// Its id.
    pub id: RunId,
    /// Service.
    pub service: ServiceName,
    /// `automatic`, `operator` or `drill`.
    pub trigger: String,
    /// `graceful` or `forced`; empty where the decision is missing.
    pub mode: String,
    /// `failover`, `evacuate` or `restore`.
    pub movement: String,
    /// Region that was left; empty where the decision is missing.
    pub from: Region,
    /// Region that it went to.
    pub to: Region,
    /// Epoch it worked under.
    pub epoch: Option<u64>,
    /// Hash of its plan.
    pub plan_hash: String,
    /// Hash of the manifest that it was decided by.
    pub manifest_hash: Option<String>,
    /// Where it stands.
    pub state: String,
    /// Who asked.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// When the breach began.
    pub breach_at: Option<At>,
    /// When it was decided.
    pub decided_at: Option<At>,
    /// Announced until then.
    pub announce_until: Option<At>,
    /// When its first step could begin.
    pub started_at: Option<At>,
    /// When the committed switch turned.
    pub switched_at: Option<At>,
    /// When answers were verified in the new place.
    pub verified_at: Option<At>,
    /// When it had its verdict.
    pub finished_at: Option<At>,
    /// When records and checks said the same.
    pub settled_at: Option<At>,
    /// Breach or start to verified answers.
    pub rto_ms: Option<u64>,
    /// Objective.
    pub rto_objective_ms: Option<u64>,
    /// Objective.
    pub rpo_objective_ms: Option<u64>,
    /// Breach to decision.
    pub detect_ms: Option<u64>,
    /// Where the time went.
    pub parts: Vec<PartSeen>,
    /// Who consented to an unfenced writer.
    pub unfenced_consent: Option<String>,
    /// Why it was asked to stop.
    pub abort: Option<String>,
    /// Its verdict in one sentence.
    pub verdict: Option<String>,
    /// Bound before, receipt after.
    pub loss: Vec<StoreLoss>,
    /// Its steps, in the order of the plan.
    pub steps: Vec<StepPart>,
    /// What the guards said.
    pub guards: Vec<GuardSeen>,
    /// What was seen when it was decided.
    pub evidence: Vec<Finding>,
}

/// A part of the time that a run took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartSeen {
    /// `detect`, `decide`, `data`, `commit`, `answer`.
    pub name: String,
    /// Took, milliseconds.
    pub ms: u64,
    /// Cannot be shorter with these settings.
    pub floor_ms: u64,
    /// Where the floor comes from.
    pub floor: String,
}

/// A step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepPart {
    /// `<kind>/<object>`.
    pub name: StepName,
    /// The word before the slash.
    pub kind: String,
    /// Region whose API it needs.
    pub region: Region,
    /// Plane it needs there.
    pub plane: Plane,
    /// Whether the run waits for it.
    pub critical: bool,
    /// Whether it cannot be taken back.
    pub point_of_no_return: bool,
    /// What it waits for.
    pub after: Vec<StepName>,
    /// Where it stands.
    pub state: String,
    /// Attempts begun.
    pub attempts: u32,
    /// First intent.
    pub started_at: Option<At>,
    /// End.
    pub finished_at: Option<At>,
    /// What went wrong, of a step that did not succeed.
    pub error: Option<String>,
    /// What was found.
    pub note: Option<String>,
    /// What daemons were answered.
    pub answers: Vec<AnswerSeen>,
    /// Every attempt.
    pub tries: Vec<AttemptSeen>,
    /// Its limit.
    pub timeout_ms: u64,
    /// What it usually takes: the middle of earlier runs, as known at the decision.
    pub p50_ms: Option<u64>,
    /// What it takes at most, but for one in twenty.
    pub p95_ms: Option<u64>,
    /// Whether it took longer than that.
    pub beyond_p95: bool,
}

/// An attempt at a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptSeen {
    /// 1, 2 …
    pub attempt: u32,
    /// The daemon that acted.
    pub by: String,
    /// From.
    pub began_at: At,
    /// Until; absent where nobody said.
    pub ended_at: Option<At>,
    /// How it ended; `acting` where nobody said.
    pub state: String,
    /// In a sentence.
    pub note: Option<String>,
    /// The event of its intent.
    pub seq: u64,
}

/// A guard's verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardSeen {
    /// Which.
    pub name: String,
    /// Yes or no.
    pub ok: bool,
    /// Why.
    pub reason: String,
    /// What a no does.
    pub severity: Severity,
}

/// What was seen while a run went on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvesSeen {
    /// The run.
    pub run: Option<RunId>,
    /// When the first points were taken.
    pub from: At,
    /// One for each observer, Region and signal.
    pub curves: Vec<Curve>,
}

/// Somebody's consent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalSeen {
    /// Who.
    pub by: String,
    /// When.
    pub at: At,
    /// To what, in a sentence.
    pub what: String,
}

/// Somebody who had a part in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorSeen {
    /// `operator:alice`, `daemon:eu-west-1`.
    pub actor: String,
    /// Events of theirs.
    pub events: u64,
}

/// Something that did not go as it usually does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Surprise {
    /// In a sentence.
    pub what: String,
    /// The events that it follows from.
    pub seqs: Vec<u64>,
}

/// An earlier execution of the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Earlier {
    /// Its id.
    pub id: String,
    /// When it had its verdict.
    pub at: At,
    /// Its verdict.
    pub verdict: String,
    /// Breach or start to verified answers.
    pub rto_ms: Option<u64>,
    /// Breach to decision.
    pub detect_ms: Option<u64>,
    /// The most that any store lost, as measured; absent where none was measured.
    pub lost_ms: Option<u64>,
    /// Stores whose loss nobody could measure.
    pub unmeasured: u64,
}

/// An event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Its number.
    pub seq: u64,
    /// When.
    pub at: At,
    /// What kind.
    pub kind: String,
    /// Who.
    pub actor: String,
    /// In a sentence.
    pub message: String,
    /// The run, where it is about one.
    pub run: Option<RunId>,
}

/// What a report rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// First event.
    pub from_seq: Option<u64>,
    /// Last event.
    pub to_seq: Option<u64>,
    /// How many of its own.
    pub events: u64,
    /// Hash of the last one.
    pub last_hash: String,
    /// SHA-256 over the hashes of its own events, in order: the hash for the record.
    pub digest: String,
    /// How anybody checks that.
    pub check: Vec<String>,
}
