//! Log entries: everything that can change the replicated state.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::guard::GuardVerdict;
use super::run::{Consent, Trigger};
use super::settings::FleetSettings;
use super::state::Role;
use crate::data::loss::Loss;
use crate::drill::{Advance, Curves, DrillPhase, DrillSpec};
use crate::format::Format;
use crate::glass::{self, Glass};
use crate::health::Finding;
use crate::ids::{
    DrillName, DrillRunId, Epoch, FleetId, LogIndex, Region, RunId, ServiceName, StepName, StoreName, SwitchGroup,
};
use crate::plan::Plan;
use crate::service::ServiceSpec;
use crate::time::Timestamp;
use crate::traffic::{AnswerSeen, SwitchEndpoint};

/// One entry of the replicated log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The oldest format whose readers understand it. First, so that who cannot read the rest can read this.
    #[serde(default, skip_serializing_if = "Format::is_first")]
    pub format: Format,
    /// The proposer's clock.
    pub at: Timestamp,
    /// Who asked for it.
    pub actor: Actor,
    /// What it changes.
    pub command: Command,
}

impl Entry {
    /// An entry of the format that its command needs.
    #[must_use]
    pub fn new(at: Timestamp, actor: Actor, command: Command) -> Self {
        Self { format: command.since(), at, actor, command }
    }
}

/// Who asked for a change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// A person or a script, by the name it authenticated with.
    Operator(String),
    /// A daemon.
    Daemon(Region),
    /// People whose signatures broke the glass: `alice+bob`.
    BreakGlass(String),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator(name) => write!(f, "operator:{name}"),
            Self::Daemon(region) => write!(f, "daemon:{region}"),
            Self::BreakGlass(names) => write!(f, "{}{names}", glass::PREFIX),
        }
    }
}

/// Everything that can change the replicated state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// First entry of a fleet.
    Form {
        /// Its id.
        fleet: FleetId,
        /// Its daemons.
        members: BTreeMap<Region, Role>,
    },
    /// Where Route 53's checkers reach a daemon.
    Advertise {
        /// The daemon.
        region: Region,
        /// Its switch endpoint.
        switch: SwitchEndpoint,
    },
    /// Manifests, all or none.
    Apply {
        /// Validated manifests.
        specs: Vec<ServiceSpec>,
        /// Validated manifests of drills.
        #[serde(default)]
        drills: Vec<DrillSpec>,
        /// Delete services and drills that are not among them.
        prune: bool,
        /// Unguessable tokens for switches that do not have one yet, by group and Region of the bit.
        tokens: Vec<(SwitchGroup, Region, String)>,
    },
    /// Forget a service. Its AWS resources stay.
    Delete {
        /// Service.
        service: ServiceName,
    },
    /// Forget a drill. Its record stays in the history.
    DeleteDrill {
        /// Drill.
        drill: DrillName,
    },
    /// Open a run.
    Decide(Box<Decision>),
    /// Let an announced or approved run begin: raises the epoch.
    Start {
        /// Run.
        run: RunId,
    },
    /// A person consents.
    Approve {
        /// Run.
        run: RunId,
    },
    /// Stop a run: put back before the point of no return, stop and say where we are after it.
    Abort {
        /// Run.
        run: RunId,
        /// Why.
        reason: String,
    },
    /// A step is about to act. Nothing acts without this being committed (I7).
    Intent {
        /// Run.
        run: RunId,
        /// Step.
        step: StepName,
        /// 1, 2, 3 …
        attempt: u32,
        /// The run's epoch; a superseded one is refused (I2).
        epoch: Epoch,
    },
    /// How an attempt ended.
    Outcome {
        /// Run.
        run: RunId,
        /// Step.
        step: StepName,
        /// The attempt.
        attempt: u32,
        /// How.
        outcome: StepOutcome,
    },
    /// Try a failed step again.
    Retry {
        /// Run.
        run: RunId,
        /// Step.
        step: StepName,
    },
    /// Go on without a failed step.
    Skip {
        /// Run.
        run: RunId,
        /// Step.
        step: StepName,
    },
    /// Give a Region that comes back more of its traffic: the next wave.
    Widen {
        /// Service.
        service: ServiceName,
        /// Region.
        region: Region,
        /// The service's epoch when this was proposed.
        epoch: Epoch,
        /// Percent of its whole share.
        share: u8,
    },
    /// Turn a switch: by a run's step, or by hand.
    SetSwitch {
        /// Group.
        group: SwitchGroup,
        /// The Region that shall serve (`on`) or not.
        region: Region,
        /// On or off.
        on: bool,
        /// The run and step it is done for, if any.
        run: Option<(RunId, StepName)>,
    },
    /// What was really lost.
    Receipt {
        /// Run.
        run: RunId,
        /// One for each store.
        losses: Vec<Loss>,
    },
    /// Settlement is about to write records or checks of a service.
    SettleIntent {
        /// Service.
        service: ServiceName,
        /// Its epoch.
        epoch: Epoch,
        /// What will be written, for people.
        work: Vec<String>,
    },
    /// Records and checks match reality.
    Settled {
        /// Service.
        service: ServiceName,
        /// The epoch they match.
        epoch: Epoch,
        /// The manifest they match.
        spec_index: LogIndex,
        /// The newest entry that whoever looked had applied before; 0 where an older version did not say.
        #[serde(default)]
        seen: LogIndex,
    },
    /// AWS kept snapshots of what a forced promotion of a store lost.
    LostWrites {
        /// Service.
        service: ServiceName,
        /// Store.
        store: StoreName,
        /// Region that lost the writes, where the snapshots are.
        region: Region,
        /// Identifiers of the snapshots.
        snapshots: Vec<String>,
    },
    /// Open an execution of a drill.
    OpenDrill {
        /// Drill.
        drill: DrillName,
        /// The opening of its schedule that is used; absent where a person asks.
        scheduled_for: Option<Timestamp>,
    },
    /// An opening of a drill's schedule passed without it.
    MissDrill {
        /// Drill.
        drill: DrillName,
        /// The newest opening that was missed.
        scheduled_for: Timestamp,
        /// How many there were since the last one that was dealt with.
        openings: u64,
        /// Why.
        reason: String,
    },
    /// A person consents to an execution of a drill.
    ApproveDrill {
        /// Execution.
        run: DrillRunId,
    },
    /// A person ends an execution of a drill: it returns.
    CancelDrill {
        /// Execution.
        run: DrillRunId,
        /// Why.
        reason: String,
    },
    /// An execution of a drill goes on.
    AdvanceDrill {
        /// Execution.
        run: DrillRunId,
        /// Where the proposer saw it stand.
        phase: DrillPhase,
        /// What came of it.
        advance: Advance,
    },
    /// Bring a service back to the first Region of its manifest as soon as that can be done without loss.
    AskReturn {
        /// Service.
        service: ServiceName,
        /// Why.
        reason: String,
    },
    /// Take that back.
    ForgetReturn {
        /// Service.
        service: ServiceName,
    },
    /// What was seen while a run went on.
    Record {
        /// Run.
        run: RunId,
        /// What.
        curves: Box<Curves>,
    },
    /// News up to this event were delivered to a webhook.
    Told {
        /// Webhook, by its name in the configuration.
        hook: String,
        /// Number of the event.
        seq: u64,
    },
    /// Automatic action off, for one service or all.
    Pause {
        /// `None`: the fleet.
        service: Option<ServiceName>,
    },
    /// Automatic action on again.
    Resume {
        /// `None`: the fleet.
        service: Option<ServiceName>,
    },
    /// An invariant check failed on a running daemon.
    Violation {
        /// `I1` … `I9`.
        invariant: String,
        /// What was seen.
        detail: String,
    },
    /// Every daemon reads a newer format: the fleet writes it from here on.
    RaiseFormat {
        /// The newer one.
        format: Format,
    },
    /// A person says where a service of a restored fleet is.
    Confirm {
        /// Service.
        service: ServiceName,
        /// Regions that serve.
        serving: BTreeSet<Region>,
        /// Where the writers are that only one Region can have.
        writers: Region,
    },
    /// Most daemons' files say this of the whole fleet: it holds from here on.
    Agree {
        /// What they say.
        settings: FleetSettings,
        /// Whose files.
        said_by: BTreeSet<Region>,
    },
    /// A Region's daemon belongs to the fleet from here on. It has the whole log, and is given its vote next.
    Enlist {
        /// The Region.
        region: Region,
        /// What it is for.
        role: Role,
        /// Where Route 53's checkers reach its daemon, as the daemon says itself.
        switch: Option<SwitchEndpoint>,
    },
    /// A Region's daemon belongs to the fleet no longer; its vote is taken next.
    Dismiss {
        /// The Region.
        region: Region,
        /// The number of its daemon's disk, by which it is known should it come back; absent where nobody ever met it.
        disk: Option<u64>,
    },
}

/// The decision to open a run, with all it rests on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// What will be done.
    pub plan: Plan,
    /// Who or what asked.
    pub trigger: Trigger,
    /// What a person gave as reason, or the diagnosis in a sentence.
    pub reason: String,
    /// What was seen.
    pub evidence: Vec<Finding>,
    /// What each guard said.
    pub guards: Vec<GuardVerdict>,
    /// The most that can be lost, one for each store.
    pub loss: Vec<Loss>,
    /// When the breach began, as far as known; a person's command has none.
    pub breach_at: Option<Timestamp>,
    /// After this instant the evidence is too old to start on.
    pub valid_until: Timestamp,
    /// Announced until then; `None` begins at once.
    pub announce_until: Option<Timestamp>,
    /// Whether a person must approve first.
    pub needs_approval: bool,
    /// Consent to an unfenced old writer, by policy or by the person who asked.
    pub unfenced_consent: Option<Consent>,
    /// The service's epoch when this was decided; a newer one refuses it.
    pub epoch_seen: Epoch,
    /// The execution of a drill that it is part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<DrillRunId>,
    /// The signed request that it rests on, where nobody could sign in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub glass: Option<Box<Glass>>,
}

/// How an attempt of a step ended. Unknown is neither success nor failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepOutcome {
    /// Acted (or found done) and verified.
    Succeeded {
        /// What was found, for people.
        note: String,
        /// What each daemon was answered, where that was the step.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        seen: Vec<AnswerSeen>,
    },
    /// Certainly not done.
    Failed {
        /// Why.
        error: String,
        /// Whether trying again could help.
        retryable: bool,
    },
    /// Nobody knows yet: look before acting again.
    Unknown {
        /// What was seen.
        error: String,
    },
}
