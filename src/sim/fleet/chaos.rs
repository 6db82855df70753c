//! Random faults and a person who types at random, all from one seed.

use std::time::Duration;

use failoverd_domain::ids::RunId;
use tokio::time::Instant;

use super::faults::{Fault, below};
use super::ground::Ground;
use super::whole::{SERVICE, SimulatedFleet};
use crate::sim::world::Draws;

/// Faults in force at once.
const MOST_AT_ONCE: usize = 4;

/// From and to, seconds.
type Span = (usize, usize);

/// How things follow on each other.
#[derive(Clone, Copy, Debug)]
pub struct Tempo {
    /// Between two faults.
    fault_pause: Span,
    /// How long one lasts.
    fault_lasts: Span,
    /// Until a person first types.
    first_word: Span,
    /// Between two things that a person types.
    word_pause: Span,
    /// Within so many seconds of the beginning of a run a person types something.
    meddles_within: Option<usize>,
}

impl Default for Tempo {
    /// For minutes of chaos.
    fn default() -> Self {
        Self {
            fault_pause: (0, 12),
            fault_lasts: (1, 40),
            first_word: (5, 40),
            word_pause: (10, 60),
            meddles_within: None,
        }
    }
}

impl Tempo {
    /// For minutes of chaos; in every other seed the person types at the worst moment.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        Self { meddles_within: seed.is_multiple_of(2).then_some(8), ..Self::default() }
    }

    /// For less than a minute of chaos, with a person who types at the worst moment.
    #[must_use]
    pub const fn brisk() -> Self {
        Self {
            fault_pause: (0, 7),
            fault_lasts: (1, 20),
            first_word: (1, 8),
            word_pause: (3, 15),
            meddles_within: Some(8),
        }
    }
}

/// What will go wrong, drawn as it goes.
pub struct Chaos {
    tempo: Tempo,
    draws: Draws,
    known_run: Option<RunId>,
    active: Vec<(Instant, Fault)>,
    next_fault: Instant,
    next_word: Instant,
}

impl Chaos {
    /// Chaos of that seed.
    #[must_use]
    pub fn new(seed: u64, tempo: Tempo) -> Self {
        let (now, draws) = (Instant::now(), Draws::new(seed ^ 0xC4A0_5EED));
        Self { tempo, draws, known_run: None, active: Vec::new(), next_fault: now, next_word: now }
    }

    /// Lets faults come and go for so long.
    pub async fn reign<G: Ground>(&mut self, fleet: &mut SimulatedFleet<G>, time: Duration) {
        let end = Instant::now() + time;
        self.next_word = Instant::now() + self.pause(self.tempo.first_word);
        while Instant::now() < end {
            self.end_what_is_over(fleet).await;
            if Instant::now() >= self.next_fault {
                self.begin_another(fleet).await;
            }
            self.lie_in_wait(fleet);
            if Instant::now() >= self.next_word {
                self.next_word = Instant::now() + self.pause(self.tempo.word_pause);
                fleet.type_something(&mut self.draws);
            }
            fleet.step().await;
        }
    }

    /// Everything is taken back.
    pub async fn end<G: Ground>(&mut self, fleet: &mut SimulatedFleet<G>) {
        for (_, fault) in std::mem::take(&mut self.active) {
            fleet.take_back(&fault).await;
        }
        fleet.ground.heal();
    }

    /// A run that has just begun is the moment to meddle.
    fn lie_in_wait<G: Ground>(&mut self, fleet: &SimulatedFleet<G>) {
        let Some(within_s) = self.tempo.meddles_within else { return };
        let open = fleet.state().open_run(&SERVICE.into()).map(|run| run.id.clone());
        if open.is_some() && open != self.known_run {
            self.next_word = self.next_word.min(Instant::now() + self.pause((0, within_s)));
        }
        self.known_run = open;
    }

    async fn end_what_is_over<G: Ground>(&mut self, fleet: &mut SimulatedFleet<G>) {
        let now = Instant::now();
        while let Some(at) = self.active.iter().position(|(until, _)| *until <= now) {
            let (_, fault) = self.active.remove(at);
            fleet.take_back(&fault).await;
        }
    }

    async fn begin_another<G: Ground>(&mut self, fleet: &mut SimulatedFleet<G>) {
        self.next_fault = Instant::now() + self.pause(self.tempo.fault_pause);
        let fault = fleet.ground.drawn(&mut self.draws);
        let fault = fault.unwrap_or_else(|| Fault::drawn(&mut self.draws));
        let until = Instant::now() + self.pause(self.tempo.fault_lasts);
        if self.active.len() >= MOST_AT_ONCE || self.active.iter().any(|(_, other)| *other == fault) {
            return;
        }
        fleet.inflict(&fault).await;
        self.active.push((until, fault));
    }

    fn pause(&mut self, (from_s, to_s): Span) -> Duration {
        let range_ms = (to_s - from_s) * 1_000;
        Duration::from_millis((from_s * 1_000 + below(&mut self.draws, range_ms)) as u64)
    }
}
