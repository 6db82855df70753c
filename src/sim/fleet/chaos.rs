//! Random faults and a person who types at random, all from one seed.

use std::time::Duration;

use tokio::time::Instant;

use super::faults::{Fault, below};
use super::whole::SimulatedFleet;
use crate::sim::world::Draws;

/// Faults in force at once.
const MOST_AT_ONCE: usize = 4;

/// What will go wrong, drawn as it goes.
pub struct Chaos {
    draws: Draws,
    active: Vec<(Instant, Fault)>,
    next_fault: Instant,
    next_word: Instant,
}

impl Chaos {
    /// Chaos of that seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let now = Instant::now();
        Self { draws: Draws::new(seed ^ 0xC4A0_5EED), active: Vec::new(), next_fault: now, next_word: now }
    }

    /// Lets faults come and go for so long.
    pub async fn reign(&mut self, fleet: &mut SimulatedFleet, time: Duration) {
        let end = Instant::now() + time;
        self.next_word = Instant::now() + self.pause(5, 40);
        while Instant::now() < end {
            self.end_what_is_over(fleet).await;
            if Instant::now() >= self.next_fault {
                self.begin_another(fleet).await;
            }
            if Instant::now() >= self.next_word {
                self.next_word = Instant::now() + self.pause(10, 60);
                fleet.type_something(&mut self.draws);
            }
            fleet.step().await;
        }
    }

    /// Everything is taken back.
    pub async fn end(&mut self, fleet: &mut SimulatedFleet) {
        for (_, fault) in std::mem::take(&mut self.active) {
            fleet.take_back(&fault).await;
        }
        fleet.bus.heal();
    }

    async fn end_what_is_over(&mut self, fleet: &mut SimulatedFleet) {
        let now = Instant::now();
        while let Some(at) = self.active.iter().position(|(until, _)| *until <= now) {
            let (_, fault) = self.active.remove(at);
            fleet.take_back(&fault).await;
        }
    }

    async fn begin_another(&mut self, fleet: &mut SimulatedFleet) {
        self.next_fault = Instant::now() + self.pause(0, 12);
        let fault = Fault::drawn(&mut self.draws);
        let until = Instant::now() + self.pause(1, 40);
        if self.active.len() >= MOST_AT_ONCE || self.active.iter().any(|(_, other)| *other == fault) {
            return;
        }
        fleet.inflict(&fault).await;
        self.active.push((until, fault));
    }

    fn pause(&mut self, from_s: usize, to_s: usize) -> Duration {
        let range_ms = (to_s - from_s) * 1_000;
        Duration::from_millis((from_s * 1_000 + below(&mut self.draws, range_ms)) as u64)
    }
}
