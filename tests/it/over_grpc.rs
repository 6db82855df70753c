//! Whole fleets over real gRPC: three daemons on hosts of their own, that talk through tonic and mutual TLS as they ship, on
//! turmoil's network and virtual time. Faults, person and judge are those of `simulation.rs`; lines can also flap, be slow
//! and hold back what was sent.

mod hosts;
mod lines;
mod papers;
mod person;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use failoverd::consensus::seed_elections;
use failoverd::sim::fleet::{Outcome, Tempo, Trial, simulate_on};
#[cfg(debug_assertions)]
use failoverd_domain::sabotage::{Sabotage, commit};

use hosts::{Hosts, LONGEST, SHORTEST};
use papers::ALICE;

use crate::simulation::on_all_cores;

/// Seeds of `make test`.
const SEEDS: u64 = 30;
/// Time on every host goes in steps of this.
const TICK: Duration = Duration::from_millis(10);
/// No seed takes as long.
const FOR_EVER: Duration = Duration::from_secs(24 * 60 * 60);
/// Less than a minute of faults, and a few to come to rest in.
const CI: Trial =
    Trial { chaos: Duration::from_secs(40), tempo: Tempo::brisk(), patience: Duration::from_secs(10 * 60) };

/// One seed from beginning to end.
fn over_grpc(seed: u64, trial: Trial) -> Outcome {
    let _seeded = seed_elections(seed);
    let mut sim = turmoil::Builder::new()
        .rng_seed(seed)
        .tick_duration(TICK)
        .simulation_duration(FOR_EVER)
        .min_message_latency(SHORTEST)
        .max_message_latency(LONGEST)
        .tcp_capacity(1_024)
        .build();
    let hosts = Hosts::new(seed, &mut sim);
    let (outcome, told) = (Arc::new(Mutex::new(None)), hosts.clone());
    let end = outcome.clone();
    sim.client(ALICE, async move {
        *end.lock().unwrap() = Some(simulate_on(told, seed, trial).await);
        Ok(())
    });
    Hosts::lay_lines(&sim);
    while !sim.step().unwrap() {
        hosts.carry_out(&mut sim);
    }
    let outcome = outcome.lock().unwrap().take();
    outcome.unwrap()
}

#[test]
fn nothing_that_must_not_happen_happens_over_grpc() {
    let outcomes = on_all_cores(1..=SEEDS, |seed| over_grpc(seed, CI));
    let failed: Vec<&Outcome> = outcomes.iter().filter(|outcome| !outcome.violations.is_empty()).collect();
    for outcome in &failed {
        println!("{}\nseed {}: {:#?}", outcome.log.join("\n"), outcome.seed, outcome.violations);
    }
    assert!(failed.is_empty(), "{} of {SEEDS} seeds failed", failed.len());
    // Chaos that moves nothing proves nothing.
    let (mut faults, mut runs) = (BTreeMap::new(), 0);
    for outcome in &outcomes {
        runs += outcome.runs;
        outcome.figures.faults.iter().for_each(|(kind, count)| *faults.entry(kind.clone()).or_insert(0) += count);
    }
    let simulated_s: u64 = outcomes.iter().map(|outcome| outcome.simulated_ms / 1_000).sum();
    println!("{SEEDS} seeds, {simulated_s} simulated seconds, {runs} runs, {faults:?}");
    assert!(runs >= SEEDS / 2, "only {runs} runs");
    for kind in NETWORK_AND_POWER {
        assert!(faults.contains_key(kind), "no {kind} in {faults:?}");
    }
}

/// Faults that are about what is shown here.
const NETWORK_AND_POWER: [&str; 10] =
    ["RegionLoss", "Crash", "OneWay", "Pair", "Isolated", "LostReplies", "Flapping", "Held", "SlowLine", "History"];

/// Short ones: what h2 forgets after 30 s by the real clock is the one thing that does not come from the seed.
#[test]
fn a_seed_replays_itself_exactly_over_grpc() {
    let trial = Trial { chaos: Duration::from_secs(10), ..CI };
    for seed in [1, 2, 4] {
        let (first, second) = (over_grpc(seed, trial), over_grpc(seed, trial));
        assert_eq!(first.log, second.log, "seed {seed}");
        assert_eq!(first.trace, second.trace, "seed {seed}");
    }
}

/// Breaks that the simulation finds here within few seeds; `sabotage.rs` has the whole list, for its faster network.
#[cfg(debug_assertions)]
const FOUND_SOON: [Sabotage; 3] = [Sabotage::ActBeforeJournal, Sabotage::SilenceIsOff, Sabotage::WaitForEver];

#[cfg(debug_assertions)]
#[test]
fn what_is_broken_on_purpose_is_found_over_grpc_too() {
    let trial = Trial { patience: Duration::from_secs(3 * 60), ..CI };
    for what in FOUND_SOON {
        let _broken = commit(what);
        let found = (1..=SEEDS).find_map(|seed| Some((seed, over_grpc(seed, trial).violations.into_iter().next()?)));
        let (seed, by) = found.unwrap_or_else(|| panic!("{what:?} is not found within {SEEDS} seeds"));
        println!("{what:?}: seed {seed}, {by}");
    }
}

/// By hand: what happens in one seed, or in as many as `SEEDS` says from there on. `SABOTAGE` breaks the product, and
/// `WIRE_LOG` names a file that is told of every segment.
///
/// ```text
/// SEED=7 cargo test --test it over_grpc::one_seed -- --ignored --nocapture
/// ```
#[test]
#[ignore = "by hand"]
fn one_seed() {
    let told = |name: &str| std::env::var(name).ok();
    let number = |name: &str| told(name).and_then(|text| text.parse::<u64>().ok());
    if let Some(file) = told("WIRE_LOG") {
        let file = Mutex::new(std::fs::File::create(file).unwrap());
        let log = tracing_subscriber::fmt().with_env_filter("turmoil=trace").without_time().with_ansi(false);
        log.with_writer(file).init();
    }
    #[cfg(debug_assertions)]
    let _broken = told("SABOTAGE").map(|name| {
        let all = Sabotage::ALL.into_iter().chain(Sabotage::OF_CONNECTIONS);
        commit(all.into_iter().find(|what| format!("{what:?}") == name).expect("a sabotage of that name"))
    });
    let (first, count) = (number("SEED").unwrap_or(1), number("SEEDS").unwrap_or(1));
    let mut failed = 0;
    for seed in first..first + count {
        let Outcome { log, violations, simulated_ms, checks, runs, trace, figures, .. } = over_grpc(seed, CI);
        if count == 1 || !violations.is_empty() {
            println!("{}", log.join("\n"));
        }
        println!(
            "seed {seed}: {simulated_ms} ms, {checks} checks, {runs} runs, trace {trace:x}, {:?}, {violations:#?}",
            figures.faults
        );
        failed += usize::from(!violations.is_empty());
    }
    assert_eq!(failed, 0);
}
