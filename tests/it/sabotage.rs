//! The simulation, on trial: the product is broken on purpose, and the seeds of `simulation.rs` must find out.

use std::sync::Mutex;
use std::time::Duration;

use failoverd::sim::fleet::{Outcome, simulate};
use failoverd_domain::sabotage::{Sabotage, commit};

use crate::simulation::virtually;

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
    let open = Mutex::new(Sabotage::ALL.into_iter().rev().collect::<Vec<_>>());
    let missed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let next = open.lock().unwrap().pop();
                    let Some(what) = next else { return };
                    match found(what) {
                        Some((seed, by)) => println!("{what:?}: seed {seed}, {by}"),
                        None => missed.lock().unwrap().push(what),
                    }
                }
            });
        }
    });
    let missed = missed.into_inner().unwrap();
    assert!(missed.is_empty(), "not found within {SEEDS} seeds: {missed:?}");
}
