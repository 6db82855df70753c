//! After the faults: what must come true again, and within how much time.

use std::time::Duration;

use failoverd_domain::ids::ServiceName;
use failoverd_domain::invariant::history_is_whole;
use tokio::time::Instant;

use super::ground::Ground;
use super::whole::{SERVICE, SimulatedFleet};
use crate::sim::world::Draws;

/// Longest time until a fleet without faults has come to rest: a promotion that was never answered waits longest.
pub(super) const PATIENCE: Duration = Duration::from_secs(20 * 60);
/// How long it must rest without anything changing.
const REST: Duration = Duration::from_secs(15);

impl<G: Ground> SimulatedFleet<G> {
    /// Lets the fleet, whole again, come to rest, with a person who answers what it asks; then holds it to account.
    pub async fn come_to_rest(&mut self, draws: &mut Draws) {
        self.come_to_rest_within(PATIENCE, draws).await;
    }

    /// As [`Self::come_to_rest`], within so much time.
    pub async fn come_to_rest_within(&mut self, patience: Duration, draws: &mut Draws) {
        let end = Instant::now() + patience;
        let mut rested_since: Option<Instant> = None;
        let mut next_word = Instant::now();
        loop {
            match self.unrest() {
                None => {
                    let since = *rested_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= REST {
                        break;
                    }
                }
                Some(unrest) => {
                    rested_since = None;
                    if Instant::now() >= end {
                        self.judge.blame(format!("the fleet does not come to rest: {unrest}"));
                        return;
                    }
                    if Instant::now() >= next_word {
                        next_word = Instant::now() + Duration::from_secs(5);
                        self.tidy_up(draws);
                    }
                }
            }
            self.step().await;
        }
        self.judge.tell("at rest");
        self.audit();
    }

    /// What is not yet as it should be.
    #[must_use]
    pub fn unrest(&self) -> Option<String> {
        let state = self.state();
        let service = state.services.get(&ServiceName::from(SERVICE))?;
        if let Some(run) = state.open_run(&service.spec.name) {
            return Some(format!("run {} is {}", run.id, run.state.word()));
        }
        if let Some(run) = state.open_drill_of(&service.spec.name) {
            let why = run.waits_for.as_deref().unwrap_or("it goes on");
            return Some(format!("drill {} is {}: {why}", run.id, run.phase.word()));
        }
        if !self.is_steady() {
            return Some(format!("{SERVICE} is {}", state.phase(service).word()));
        }
        if self.answer().as_ref() != Some(&service.primary) {
            return Some(format!("{:?} is answered, {} serves", self.answer(), service.primary));
        }
        if self.writer().as_ref() != Some(&service.primary) {
            return Some(format!("{:?} writes, {} serves", self.writer(), service.primary));
        }
        if let Some(unrest) = self.instance_unrest(service).or_else(|| self.spread_unrest()) {
            return Some(unrest);
        }
        for (region, daemon) in &self.daemons {
            let theirs = daemon.state();
            if theirs.head != state.head || !daemon.leadership().caught_up {
                return Some(format!("{region} is at event {} of {}", theirs.head.seq, state.head.seq));
            }
        }
        for (region, home) in &self.homes {
            let behind = home.history.as_ref().map(|history| history.events().len() as u64);
            if behind.is_some_and(|stored| stored != state.head.seq) {
                return Some(format!("the history of {region} has {behind:?} of {} events", state.head.seq));
            }
        }
        (self.daemons.len() != self.homes.len()).then(|| "a daemon does not run".to_owned())
    }

    /// I8 in every Region, and that both members hold the same; and that no instance writes that was put aside.
    pub fn audit(&self) {
        self.audit_instances();
        let head = self.state().head.clone();
        for (region, home) in &self.homes {
            let Some(history) = &home.history else { continue };
            self.judge.count(2);
            let events = history.events();
            if let Some(violation) = history_is_whole(&events, &head) {
                self.judge.blame(format!("{violation} (in {region})"));
            }
            if self.judge.with_events(|agreed| agreed != events) {
                self.judge.blame(format!("I8 does not hold: the history of {region} is not what was agreed"));
            }
        }
    }
}
