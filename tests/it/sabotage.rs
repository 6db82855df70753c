//! The simulation, on trial: the product is broken on purpose, and the seeds of `simulation.rs` must find out.

use std::time::Duration;

use failoverd::sim::fleet::{Outcome, simulate};
use failoverd_domain::sabotage::{Sabotage, commit};

use crate::simulation::{on_all_cores, virtually};

/// What is not found within the seeds that CI runs anyway is not found.
const SEEDS: u64 = 200;
const CHAOS: Duration = Duration::from_secs(120);

/// What found it, and at which seed.
fn found(what: Sabotage) -> Option<(u64, String)> {
    let _broken = commit(what);
    (1..=SEEDS).find_map(|seed| {
        let Outcome { violations, .. } = virtually(seed, simulate(seed, CHAOS));
        violations.into_iter().next().map(|first| (seed, first))
    })
}

#[test]
fn whatever_is_broken_on_purpose_the_simulation_finds_it() {
    let tried = on_all_cores(Sabotage::ALL, |what| {
        let found = found(what);
        if let Some((seed, by)) = &found {
            println!("{what:?}: seed {seed}, {by}");
        }
        found.is_none().then_some(what)
    });
    let missed: Vec<Sabotage> = tried.into_iter().flatten().collect();
    assert!(missed.is_empty(), "not found within {SEEDS} seeds: {missed:?}");
}
