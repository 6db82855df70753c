//! What a simulation has tried, in numbers.

use std::collections::{BTreeMap, BTreeSet};

use failoverd_domain::fleet::{Actor, Applied, Command, Entry, EventKind, Guard, Rejection, Severity};
use failoverd_domain::ids::{Region, RunId};

use super::faults::Fault;
use super::ground::Ground;
use super::whole::{SERVICE, SimulatedFleet};

/// Between two looks at the guards, milliseconds.
const LOOK_MS: u64 = 1_000;

/// What a simulation has tried, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Faults inflicted, by kind.
    pub faults: BTreeMap<String, u64>,
    /// Moves that were decided.
    pub decided: u64,
    /// How moves ended, by the run's state.
    pub ended: BTreeMap<String, u64>,
    /// Promotions that were begun; one that was not answered, and is tried again, is begun twice.
    pub promotions: u64,
    /// Promotions that AWS made.
    pub promoted: u64,
    /// Times that a guard stood in the way of an automatic move while the service was not reached: one for each guard
    /// and outage.
    pub held_by: BTreeMap<String, u64>,
    /// What people asked for and did not get, by code.
    pub people_refused: BTreeMap<String, u64>,
    /// What daemons proposed to a fleet that was formed, and it did not agree on, by code.
    pub daemons_refused: BTreeMap<String, u64>,
    /// From the death of a leader in the middle of a step to the next word about that run, milliseconds.
    pub resumed_ms: Vec<u64>,
}

impl Figures {
    /// Adds those of another simulation.
    pub fn add(&mut self, other: Self) {
        fn sum<K: Ord>(into: &mut BTreeMap<K, u64>, from: BTreeMap<K, u64>) {
            for (key, count) in from {
                *into.entry(key).or_default() += count;
            }
        }
        sum(&mut self.faults, other.faults);
        sum(&mut self.held_by, other.held_by);
        sum(&mut self.ended, other.ended);
        sum(&mut self.people_refused, other.people_refused);
        sum(&mut self.daemons_refused, other.daemons_refused);
        self.decided += other.decided;
        self.promotions += other.promotions;
        self.promoted += other.promoted;
        self.resumed_ms.extend(other.resumed_ms);
    }

    pub(super) fn fault(&mut self, fault: &Fault) {
        *self.faults.entry(fault.kind()).or_default() += 1;
    }

    /// Somebody was told no.
    pub(super) fn refusal(&mut self, actor: &Actor, rejection: &Rejection) {
        // Every daemon tries to form the fleet when it starts.
        if matches!(rejection.code.as_str(), "NOT_FORMED" | "ALREADY_FORMED") {
            return;
        }
        let refused = match actor {
            Actor::Daemon(_) => &mut self.daemons_refused,
            _ => &mut self.people_refused,
        };
        *refused.entry(rejection.code.clone()).or_default() += 1;
    }
}

/// What is remembered to get there.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) figures: Figures,
    left: BTreeMap<RunId, u64>,
    looked_ms: u64,
    held_by: BTreeSet<Guard>,
}

impl Tally {
    /// A leader has died, and these runs were in the middle of a step.
    pub(super) fn left_alone(&mut self, at: u64, runs: impl Iterator<Item = RunId>) {
        for run in runs {
            self.left.entry(run).or_insert(at);
        }
    }

    pub(super) fn learn(&mut self, at: u64, entry: &Entry, applied: &Applied) {
        if let Err(rejection) = &applied.result {
            self.figures.refusal(&entry.actor, rejection);
            return;
        }
        for event in applied.events.iter().filter(|event| event.kind == EventKind::Finished) {
            let state = event.data.get("state").and_then(|state| state.as_str()).unwrap_or("unknown");
            *self.figures.ended.entry(state.to_owned()).or_default() += 1;
        }
        if let Command::Intent { step, .. } = &entry.command {
            self.figures.promotions += u64::from(step.as_str().starts_with("promote/"));
        }
        match &entry.command {
            Command::Decide(_) => self.figures.decided += 1,
            Command::Intent { run, .. } | Command::Outcome { run, .. } => {
                if let Some(since) = self.left.remove(run) {
                    self.figures.resumed_ms.push(at - since);
                }
            }
            _ => {}
        }
    }

    /// What stands in the way now, while the service is not reached where it should be; `None` while it is.
    fn hold(&mut self, held_by: Option<Vec<Guard>>) {
        let Some(held_by) = held_by else { return self.held_by.clear() };
        for guard in held_by {
            if self.held_by.insert(guard) {
                *self.figures.held_by.entry(guard.word()).or_default() += 1;
            }
        }
    }
}

impl<G: Ground> SimulatedFleet<G> {
    /// Asks the guards of whoever leads, as long as the world outside does not reach the service.
    pub(super) fn look_at_guards(&self) {
        let now = self.judge.elapsed_ms();
        let due = self.judge.tally(|tally| {
            let due = now >= tally.looked_ms + LOOK_MS;
            tally.looked_ms = if due { now } else { tally.looked_ms };
            due
        });
        if !due {
            return;
        }
        let service = self.service();
        let is_gone = |at: &Region| !self.aws.endpoint_up(at, &SERVICE.into());
        let lost = service.is_some_and(|service| is_gone(&service.primary));
        let held_by = lost.then(|| {
            let verdicts = self.leader().map(|leader| self.guards_at(&leader)).unwrap_or_default();
            let noes = verdicts.into_iter().filter(|verdict| !verdict.ok && verdict.severity != Severity::Informs);
            noes.map(|verdict| verdict.guard).collect()
        });
        self.judge.tally(|tally| tally.hold(held_by));
    }
}
