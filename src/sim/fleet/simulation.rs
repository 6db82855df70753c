//! One seed from beginning to end: faults first, then rest.

use std::time::Duration;

use super::chaos::Chaos;
use super::manifest::Shop;
use super::person::switch_to;
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

/// A person's command that was on its way for long: meanwhile others turned the switch there and back, and nobody knows
/// any more what it rested on.
async fn with_a_late_command(fleet: &mut SimulatedFleet) {
    let Some((service, at)) = fleet.service().zip(fleet.leader()) else { return };
    let Some(other) = service.standby().cloned() else { return };
    let Ok(late) = fleet.failover_decision(&at, &other, None) else { return };
    for target in [&other, &service.primary] {
        if let Err(refused) = fleet.ask(switch_to(target)).await {
            fleet.judge.tell(format!("a person reads: {refused}"));
        }
        fleet.step().await;
    }
    fleet.type_at(&at, late);
    fleet.run_for(Duration::from_secs(2)).await;
}

/// Simulates one seed on the current runtime, which must be paused and have one thread: so much time with faults, then
/// as much as the fleet needs to come to rest. Elections draw from the seed only when the caller seeds them
/// ([`crate::consensus::seed_elections`]).
pub async fn simulate(seed: u64, chaos: Duration) -> Outcome {
    let mut draws = Draws::new(seed);
    let mut fleet = SimulatedFleet::steady(seed, Shop::drawn(&mut draws)).await;
    if fleet.judge.violations().is_empty() {
        if seed % 4 == 1 {
            with_a_late_command(&mut fleet).await;
        }
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
