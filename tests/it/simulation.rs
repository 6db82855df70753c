//! Whole fleets on virtual time: seeds at random, each held to I1–I9 and to coming to rest.

use std::sync::Mutex;
use std::time::Duration;

use failoverd::consensus::seed_elections;
use failoverd::sim::fleet::{Outcome, simulate};

/// Seeds among the tests; `make test` runs thousands more after them.
const SEEDS: u64 = 60;
const CHAOS: Duration = Duration::from_secs(120);

/// Runs a scenario on paused time with seeded elections.
pub fn virtually<T>(seed: u64, scenario: impl Future<Output = T>) -> T {
    let _seeded = seed_elections(seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(scenario)
}

/// Threads on virtual time stand back for tests that real time passes in, where the system lets them.
const NICENESS: i32 = 10;

/// What comes of each, in any order, on as many threads as there are processors.
pub fn on_all_cores<I, T: Send>(
    each: impl IntoIterator<Item = I, IntoIter: Send>,
    run: impl Fn(I) -> T + Sync,
) -> Vec<T> {
    let (left, done) = (Mutex::new(each.into_iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                let _ = rustix::process::nice(NICENESS);
                loop {
                    let Some(next) = left.lock().unwrap().next() else { return };
                    let outcome = run(next);
                    done.lock().unwrap().push(outcome);
                }
            });
        }
    });
    done.into_inner().unwrap()
}

fn run(seed: u64) -> Outcome {
    virtually(seed, simulate(seed, CHAOS))
}

#[test]
fn nothing_that_must_not_happen_happens_under_any_seed() {
    let outcomes = on_all_cores(1..=SEEDS, run);
    let failed: Vec<&Outcome> = outcomes.iter().filter(|outcome| !outcome.violations.is_empty()).collect();
    for outcome in &failed {
        println!(
            "seed {}: {:#?}\nreplay: make simulate SEEDS=1 FROM={}",
            outcome.seed, outcome.violations, outcome.seed
        );
    }
    assert!(failed.is_empty(), "{} of {} seeds failed", failed.len(), outcomes.len());
    assert_eq!(outcomes.len() as u64, SEEDS);
    // Chaos that moves nothing proves nothing.
    let runs: u64 = outcomes.iter().map(|outcome| outcome.runs).sum();
    assert!(runs >= SEEDS / 2, "only {runs} runs");
}

#[test]
fn a_seed_replays_itself_exactly() {
    for seed in [7, 8, 9] {
        let (first, second) = (run(seed), run(seed));
        assert_eq!(first.trace, second.trace, "seed {seed}");
        assert_eq!(first.log, second.log, "seed {seed}");
    }
    assert_ne!(run(7).trace, run(8).trace);
}
