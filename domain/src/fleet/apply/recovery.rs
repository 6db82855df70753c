//! Disaster recovery of the fleet itself: one daemon that is left goes on alone, in a newer generation.

use serde_json::json;

use super::Draft;
use crate::fleet::command::Actor;
use crate::fleet::event::{EventKind, HistoryEvent};
use crate::fleet::run::{RunState, StepState};
use crate::fleet::state::FleetState;
use crate::ids::{Generation, LogIndex, Region, RunId};
use crate::time::Timestamp;

impl FleetState {
    /// Begins the next generation with what this daemon knows. Not an entry of the log: it ends one log and begins
    /// another, at `index`. What the others had agreed and this daemon never heard is lost, so nothing goes on by
    /// itself: automatic action is off, and what was under way waits for a person.
    #[must_use]
    pub fn recover(&mut self, index: LogIndex, at: Timestamp, actor: &Actor, left: &Region) -> HistoryEvent {
        self.applied = index;
        self.generation = Generation(self.generation.0.saturating_add(1));
        self.paused = true;
        let held = self.hold_all();
        let generation = self.generation;
        let waiting: String = held.iter().map(|run| format!("; run {run} waits for a person")).collect();
        let message = format!(
            "the fleet was recovered from {left} alone: generation {generation} begins, automatic action paused{waiting}"
        );
        let data = json!({ "generation": generation, "left": left, "held": held });
        self.chain(index, at, actor, Draft::new(EventKind::Fleet, message).region(left).with(data))
    }

    /// Runs that were under way: nobody knows what became of what their leader had begun.
    fn hold_all(&mut self) -> Vec<RunId> {
        let mut held = Vec::new();
        for run in self.runs.values_mut().filter(|run| !run.state.is_closed()) {
            held.push(run.id.clone());
            run.announce_until = None;
            for progress in run.steps.values_mut().filter(|progress| progress.state == StepState::Acting) {
                progress.state = StepState::Unknown;
                progress.note = Some("the fleet was lost meanwhile: nobody knows".to_owned());
            }
            run.state = match run.state {
                RunState::Announced | RunState::AwaitingApproval => RunState::AwaitingApproval,
                _ => RunState::Paused,
            };
            if let Some(service) = self.services.get_mut(&run.service) {
                let id = &run.id;
                service.attention =
                    Some(format!("run {id} was open when the fleet was lost: look at what it did, and abort it"));
            }
        }
        held
    }
}
