//! `FleetState::apply`: deterministic and total. An entry that must not take effect is refused here, by every daemon
//! alike, whatever its proposer believed: the last line of defence stands behind the log, not before it.

mod drill_specs;
mod drills;
mod formats;
mod glass;
mod journal;
mod manifests;
mod members;
mod proof;
mod recovery;
mod restore;
mod returns;
mod runs;
mod switches;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use self::glass::signed_alone;
pub use self::members::{LEAST_DAEMONS, may_be_lost};
use super::command::{Actor, Command, Entry};
use super::event::{EventHead, EventKind, HistoryEvent};
use super::state::{FleetState, Member, Role};
use crate::ids::{DrillRunId, FleetId, LogIndex, Region, RunId, ServiceName};
use crate::time::Timestamp;

/// Events kept for webhooks that have not heard of them yet.
const NEWS_KEPT: usize = 64;

/// What came of an entry.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Applied {
    /// Its position.
    pub index: LogIndex,
    /// Events for the history; a refused entry has none.
    pub events: Vec<HistoryEvent>,
    /// Accepted (with the run it made, if any), or why not.
    pub result: Result<Option<RunId>, Rejection>,
}

/// Why an entry changed nothing. Committed all the same: everybody refuses it alike.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
#[error("{reason}")]
pub struct Rejection {
    /// Stable word for scripts, for example `RUN_OPEN`, `STALE_EPOCH`.
    pub code: String,
    /// One sentence for people.
    pub reason: String,
}

impl Rejection {
    /// A refusal with its stable word.
    pub fn new(code: &str, reason: impl Into<String>) -> Self {
        Self { code: code.to_owned(), reason: reason.into() }
    }
}

/// Result of one command's application.
pub(super) type Outcome = Result<Option<RunId>, Rejection>;

/// What an entry's application carries along.
pub(super) struct Context<'a> {
    pub(super) index: LogIndex,
    pub(super) entry: &'a Entry,
    pub(super) events: Vec<Draft>,
}

/// An event before it has its place in the chain.
pub(super) struct Draft {
    kind: EventKind,
    service: Option<ServiceName>,
    run: Option<RunId>,
    drill: Option<DrillRunId>,
    region: Option<Region>,
    message: String,
    data: Value,
}

impl Draft {
    pub(super) fn new(kind: EventKind, message: impl Into<String>) -> Self {
        Self { kind, service: None, run: None, drill: None, region: None, message: message.into(), data: Value::Null }
    }

    pub(super) fn service(mut self, service: &ServiceName) -> Self {
        self.service = Some(service.clone());
        self
    }

    pub(super) fn run(mut self, run: &RunId) -> Self {
        self.run = Some(run.clone());
        self
    }

    /// The execution of a drill that it is about.
    pub(super) fn drill(mut self, drill: &DrillRunId) -> Self {
        self.drill = Some(drill.clone());
        self
    }

    pub(super) fn region(mut self, region: &Region) -> Self {
        self.region = Some(region.clone());
        self
    }

    /// One field more, where there is something to say.
    pub(super) fn and(mut self, name: &str, value: Option<&impl serde::Serialize>) -> Self {
        if let (Value::Object(fields), Some(value)) = (&mut self.data, value) {
            fields.insert(name.to_owned(), json!(value));
        }
        self
    }

    pub(super) fn with(mut self, data: Value) -> Self {
        self.data = data;
        self
    }
}

impl FleetState {
    /// Applies the entry at `index`. An index at or before the newest applied one changes nothing.
    pub fn apply(&mut self, index: LogIndex, entry: &Entry) -> Applied {
        if index <= self.applied {
            let reason = format!("entry {index} was applied before (now at {})", self.applied);
            return Applied { index, events: Vec::new(), result: Err(Rejection::new("ALREADY_APPLIED", reason)) };
        }
        self.applied = index;
        let mut context = Context { index, entry, events: Vec::new() };
        let result = self.dispatch(&mut context);
        let drafts = if result.is_ok() { context.events } else { Vec::new() };
        let events = drafts.into_iter().map(|draft| self.chain(index, entry.at, &entry.actor, draft)).collect();
        Applied { index, events, result }
    }

    fn dispatch(&mut self, context: &mut Context<'_>) -> Outcome {
        let entry = context.entry;
        if self.fleet.as_str().is_empty() && !matches!(entry.command, Command::Form { .. }) {
            return Err(Rejection::new("NOT_FORMED", "the fleet has not been formed yet"));
        }
        self.may_be_written(entry)?;
        signed_alone(entry)?;
        match &entry.command {
            Command::Form { fleet, members } => self.form(context, fleet, members),
            Command::Advertise { region, switch } => self.advertise(context, region, switch),
            Command::Apply { specs, drills, prune, tokens } => {
                self.apply_manifests(context, specs, drills, *prune, tokens)
            }
            Command::Delete { service } => self.delete(context, service),
            Command::Decide(decision) => self.decide(context, decision),
            Command::Start { run } => self.start(context, run),
            Command::Approve { run } => self.approve(context, run),
            Command::Abort { run, reason } => self.abort(context, run, reason),
            Command::Intent { run, step, attempt, epoch } => self.intent(context, run, step, *attempt, *epoch),
            Command::Outcome { run, step, attempt, outcome } => self.outcome(context, run, step, *attempt, outcome),
            Command::Retry { run, step } => self.retry(context, run, step),
            Command::Skip { run, step } => self.skip(context, run, step),
            Command::Widen { service, region, epoch, share } => self.widen(context, service, region, *epoch, *share),
            Command::SetSwitch { group, region, on, run } => self.set_switch(context, group, region, *on, run.as_ref()),
            Command::Receipt { run, losses } => self.receipt(context, run, losses),
            Command::SettleIntent { service, epoch, work } => self.settle_intent(context, service, *epoch, work),
            Command::Settled { service, epoch, spec_index, seen } => {
                self.settled(context, service, *epoch, *spec_index, *seen)
            }
            Command::LostWrites { service, store, region, snapshots } => {
                self.lost_writes(context, service, store, region, snapshots)
            }
            Command::DeleteDrill { drill } => self.delete_drill(context, drill),
            Command::OpenDrill { drill, scheduled_for } => self.open_drill(context, drill, *scheduled_for),
            Command::MissDrill { drill, scheduled_for, openings, reason } => {
                self.miss_drill(context, drill, *scheduled_for, *openings, reason)
            }
            Command::ApproveDrill { run } => self.approve_drill(context, run),
            Command::CancelDrill { run, reason } => self.cancel_drill(context, run, reason),
            Command::AdvanceDrill { run, phase, advance } => self.advance_drill(context, run, *phase, advance),
            Command::AskReturn { service, reason } => self.ask_return(context, service, reason),
            Command::ForgetReturn { service } => self.forget_return(context, service),
            Command::Record { run, curves } => self.record(context, run, curves),
            Command::Told { hook, seq } => self.note_told(hook, *seq),
            Command::Pause { service } => self.pause(context, service.as_ref(), true),
            Command::Resume { service } => self.pause(context, service.as_ref(), false),
            Command::Confirm { service, serving, writers } => self.confirm(context, service, serving, writers),
            Command::RaiseFormat { format } => self.raise_format(context, *format),
            Command::Agree { settings, said_by } => self.agree(context, settings, said_by),
            Command::Enlist { region, role, switch } => self.enlist(context, region, *role, switch.as_ref()),
            Command::Dismiss { region, disk } => self.dismiss(context, region, *disk),
            Command::Violation { invariant, detail } => {
                context.say(Draft::new(EventKind::Violation, format!("{invariant} does not hold: {detail}")));
                Ok(None)
            }
        }
    }

    fn form(&mut self, context: &mut Context<'_>, fleet: &FleetId, members: &BTreeMap<Region, Role>) -> Outcome {
        if !self.fleet.as_str().is_empty() {
            return Err(Rejection::new("ALREADY_FORMED", format!("fleet {} exists already", self.fleet)));
        }
        if fleet.as_str().is_empty() || members.is_empty() {
            return Err(Rejection::new("INVALID_FLEET", "a fleet has an id and at least one daemon"));
        }
        self.fleet = fleet.clone();
        self.members =
            members.iter().map(|(region, role)| (region.clone(), Member { role: *role, switch: None })).collect();
        let regions: Vec<&str> = members.keys().map(Region::as_str).collect();
        let message = format!("fleet {fleet} formed by {}", regions.join(", "));
        context.say(Draft::new(EventKind::Fleet, message).with(json!({ "members": members })));
        Ok(None)
    }

    fn chain(&mut self, index: LogIndex, at: Timestamp, actor: &Actor, draft: Draft) -> HistoryEvent {
        let of_run = || self.runs.get(draft.run.as_ref()?)?.drill.clone();
        let drill = draft.drill.clone().or_else(of_run);
        let mut event = HistoryEvent {
            seq: self.head.seq + 1,
            index,
            at,
            fleet: self.fleet.clone(),
            service: draft.service,
            run: draft.run,
            drill,
            kind: draft.kind,
            region: draft.region,
            actor: actor.to_string(),
            message: draft.message,
            data: draft.data,
            hash: String::new(),
        };
        event.hash = event.expected_hash(&self.head.hash);
        self.head = EventHead { seq: event.seq, hash: event.hash.clone() };
        if event.kind.is_news() {
            self.news.push_back(event.clone());
            let surplus = self.news.len().saturating_sub(NEWS_KEPT);
            self.news.drain(..surplus);
        }
        event
    }
}

impl Context<'_> {
    pub(super) fn say(&mut self, draft: Draft) {
        self.events.push(draft);
    }
}
