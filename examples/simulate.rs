//! Thousands of simulated outages: `make simulate SEEDS=2000 FROM=1`.
//!
//! Every seed is a fleet of its own on virtual time. Progress and failures go to stderr; the last line of stdout sums up.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use clap::Parser;
use failoverd::consensus::seed_elections;
use failoverd::sim::fleet::{Figures, Outcome, simulate};

/// Simulate whole fleets under faults.
#[derive(Parser)]
struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Virtual minutes of faults for each seed.
    #[arg(long, default_value_t = 3)]
    minutes: u64,
    /// Print what happened in every seed.
    #[arg(long)]
    log: bool,
    /// Print what was tried as rows of a table.
    #[arg(long)]
    figures: bool,
}

/// Sums over all seeds.
#[derive(Default)]
struct Sum {
    done: u64,
    simulated_ms: u64,
    checks: u64,
    runs: u64,
    violations: u64,
    figures: Figures,
    failed: Vec<u64>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let next = AtomicU64::new(arguments.from);
    let sum = Mutex::new(Sum::default());
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| work(&arguments, &next, &sum));
        }
    });
    let sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    if !sum.failed.is_empty() {
        eprintln!("failed seeds: {:?}", sum.failed);
    }
    if arguments.figures {
        print_figures(&sum);
    }
    println!(
        "{} seeds, {:.1} simulated hours, {} runs, {} checks, {} violations",
        sum.done,
        sum.simulated_ms as f64 / 3.6e6,
        sum.runs,
        sum.checks,
        sum.violations
    );
    if sum.violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn work(arguments: &Arguments, next: &AtomicU64, sum: &Mutex<Sum>) {
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= arguments.from + arguments.seeds {
            return;
        }
        let outcome = run(seed, Duration::from_secs(60 * arguments.minutes));
        if arguments.log || !outcome.violations.is_empty() {
            report(&outcome);
        }
        let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
        sum.done += 1;
        sum.simulated_ms += outcome.simulated_ms;
        sum.checks += outcome.checks;
        sum.runs += outcome.runs;
        sum.figures.add(outcome.figures.clone());
        sum.violations += outcome.violations.len() as u64;
        if !outcome.violations.is_empty() {
            sum.failed.push(seed);
        }
        if sum.done.is_multiple_of(50) {
            eprintln!("{} seeds done, {} violations", sum.done, sum.violations);
        }
    }
}

fn run(seed: u64, chaos: Duration) -> Outcome {
    let _seeded = seed_elections(seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    match runtime {
        Ok(runtime) => runtime.block_on(simulate(seed, chaos)),
        Err(error) => panic!("no runtime: {error}"),
    }
}

/// Rows of a table in Markdown.
fn print_figures(sum: &Sum) {
    let Sum { done, simulated_ms, checks, violations, figures, .. } = sum;
    let counted = |counts: &BTreeMap<String, u64>| {
        let mut counts: Vec<_> = counts.iter().collect();
        counts.sort_by_key(|(what, count)| (Reverse(**count), (*what).clone()));
        counts.iter().map(|(what, count)| format!("{what} {count}")).collect::<Vec<_>>().join(", ")
    };
    let mut resumed = figures.resumed_ms.clone();
    resumed.sort_unstable();
    let quantile = |percent: usize| resumed.get(resumed.len() * percent / 100).map_or(0.0, |ms| *ms as f64 / 1e3);
    println!("| seeds, simulated hours | {done}, {:.1} |", *simulated_ms as f64 / 3.6e6);
    println!("| faults inflicted | {} |", counted(&figures.faults));
    println!("| checks of invariants | {checks} |");
    println!("| moves decided, and how they ended | {}: {} |", figures.decided, counted(&figures.ended));
    println!("| promotions attempted, made | {}, {} |", figures.promotions, figures.promoted);
    println!("| automatic moves refused, by guard and outage | {} |", counted(&figures.held_by));
    println!("| requests of people refused, by code | {} |", counted(&figures.people_refused));
    println!("| proposals of daemons refused, by code | {} |", counted(&figures.daemons_refused));
    println!(
        "| from a leader's death in a step to the next word of its run, while faults go on, p50, p99 (of {}) | {:.1} s, {:.1} s |",
        resumed.len(),
        quantile(50),
        quantile(99)
    );
    println!("| violations | {violations} |");
}

fn report(outcome: &Outcome) {
    let mut text = format!("--- seed {} (trace {:016x})\n", outcome.seed, outcome.trace);
    for line in &outcome.log {
        text.push_str(line);
        text.push('\n');
    }
    for violation in &outcome.violations {
        text.push_str(&format!("seed {}: {violation}\n", outcome.seed));
    }
    text.push_str(&format!("replay: make simulate SEEDS=1 FROM={}\n", outcome.seed));
    eprint!("{text}");
}
