//! One seed from beginning to end: faults first, then rest.

use std::time::Duration;

use super::chaos::Chaos;
use super::manifest::Shop;
use super::whole::SimulatedFleet;
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
    /// What happened, for people.
    pub log: Vec<String>,
}

/// Simulates one seed on the current runtime, which must be paused and have one thread: so much time with faults, then
/// as much as the fleet needs to come to rest. Elections draw from the seed only when the caller seeds them
/// ([`crate::consensus::seed_elections`]).
pub async fn simulate(seed: u64, chaos: Duration) -> Outcome {
    let mut draws = Draws::new(seed);
    let mut fleet = SimulatedFleet::steady(seed, Shop::drawn(&mut draws)).await;
    if fleet.judge.violations().is_empty() {
        let mut reign = Chaos::new(seed);
        reign.reign(&mut fleet, chaos).await;
        reign.end(&mut fleet).await;
        fleet.come_to_rest(&mut draws).await;
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
        log: judge.log(),
    }
}
