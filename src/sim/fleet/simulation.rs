//! One seed from beginning to end: faults first, then rest.

use std::time::Duration;

use super::chaos::{Chaos, Tempo};
use super::faults::Fault;
use super::figures::Figures;
use super::ground::Ground;
use super::manifest::Shop;
use super::person::switch_to;
use super::settled::PATIENCE;
use super::whole::{SimulatedFleet, US_WEST, region};
use crate::sim::world::Draws;

/// What came of one seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// Virtual time that passed.
    pub simulated_ms: u64,
    /// Checks made.
    pub checks: u64,
    /// What did not hold.
    pub violations: Vec<String>,
    /// One number for everything that happened, in order and in time.
    pub trace: u64,
    /// Runs that were decided.
    pub runs: u64,
    /// What was tried.
    pub figures: Figures,
    /// What happened, for people.
    pub log: Vec<String>,
}

/// A person's command that was on its way for long: meanwhile others turned the switch there and back, and nobody knows
/// any more what it rested on.
async fn with_a_late_command<G: Ground>(fleet: &mut SimulatedFleet<G>) {
    let Some((service, at)) = fleet.service().zip(fleet.leader()) else { return };
    let Some(other) = service.standby().cloned() else { return };
    let Ok(late) = fleet.failover_decision(&at, &other, None) else { return };
    for target in [&other, &service.primary] {
        if let Err(refused) = fleet.say(switch_to(target)).await {
            fleet.judge.tell(format!("a person reads: {refused}"));
        }
        fleet.step().await;
    }
    fleet.type_at(&at, late);
    fleet.run_for(Duration::from_secs(2)).await;
}

/// A daemon that sends and hears nobody, just before the service's Region goes bad: the others see both, and must act.
async fn with_a_deaf_daemon<G: Ground>(fleet: &mut SimulatedFleet<G>) {
    let Some(service) = fleet.service() else { return };
    if !fleet.make_leader(&service.primary).await {
        return;
    }
    let deaf = Fault::Deaf(region(US_WEST));
    let bad = Fault::Endpoint(service.primary.clone());
    fleet.inflict(&deaf).await;
    fleet.run_for(Duration::from_secs(15)).await;
    fleet.inflict(&bad).await;
    let is_decided = |fleet: &SimulatedFleet<G>| fleet.service().is_some_and(|now| now.runs > service.runs);
    if !fleet.until(Duration::from_secs(30), is_decided).await {
        fleet.judge.blame("a deaf daemon kept the others from acting for 30 s".to_owned());
    }
    fleet.take_back(&bad).await;
    fleet.take_back(&deaf).await;
}

/// What a seed goes through.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    /// For how long there are faults.
    pub chaos: Duration,
    /// How they follow on each other.
    pub tempo: Tempo,
    /// How long the fleet then may take to come to rest.
    pub patience: Duration,
}

/// Simulates one seed on the current runtime, which must be paused and have one thread: so much time with faults, then
/// as much as the fleet needs to come to rest. Elections draw from the seed only when the caller seeds them
/// ([`crate::consensus::seed_elections`]).
pub async fn simulate(seed: u64, chaos: Duration) -> Outcome {
    let mut draws = Draws::new(seed);
    let fleet = SimulatedFleet::steady(seed, Shop::drawn(&mut draws)).await;
    try_out(fleet, seed, draws, Trial { chaos, tempo: Tempo::of(seed), patience: PATIENCE }).await
}

/// The same on another ground, in whose time this runs.
pub async fn simulate_on<G: Ground>(ground: G, seed: u64, trial: Trial) -> Outcome {
    let mut draws = Draws::new(seed);
    let fleet = SimulatedFleet::steady_on(ground, seed, Shop::drawn(&mut draws)).await;
    try_out(fleet, seed, draws, trial).await
}

async fn try_out<G: Ground>(mut fleet: SimulatedFleet<G>, seed: u64, mut draws: Draws, trial: Trial) -> Outcome {
    if fleet.judge.violations().is_empty() {
        if seed % 4 == 1 {
            with_a_late_command(&mut fleet).await;
        }
        if seed % 4 == 3 {
            with_a_deaf_daemon(&mut fleet).await;
        }
        let mut reign = Chaos::new(seed, trial.tempo);
        reign.reign(&mut fleet, trial.chaos).await;
        reign.end(&mut fleet).await;
        fleet.come_to_rest_within(trial.patience, &mut draws).await;
    }
    let judge = fleet.judge.clone();
    let runs = fleet.state().services.values().map(|service| service.runs).sum();
    Outcome {
        seed,
        simulated_ms: judge.elapsed_ms(),
        checks: judge.checks(),
        violations: judge.violations(),
        trace: judge.trace(),
        runs,
        figures: judge.figures(),
        log: judge.log(),
    }
}
