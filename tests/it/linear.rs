//! What clients see of switches, epochs, pauses and runs, through the API of three daemons while the fleet breaks.
//!
//! Several clients record what they asked and what they were answered, each at whichever daemon it likes: the services
//! of `src/api`, called in process, with all that is behind them as it ships; no socket. What is promised of the answers is
//! in `docs/simulation.md`. `checker.rs` judges the recorded histories and knows no code of the product.

mod checker;
mod clients;
mod runs;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use checker::{Model, Op, explains, shortest};
use clients::{Act, Broken, History, Record, Wants, record};

use crate::simulation::{on_all_cores, virtually};

/// Half of them with switches and pauses, half with runs.
const SEEDS: u64 = 16;
const CHAOS: Duration = Duration::from_secs(60);

/// The switch of a pair, the fleet's pause, and the service's epoch.
struct Registers;

/// What they hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Held {
    /// Automatic action is off in the whole fleet.
    pub paused: bool,
    /// The first Region serves.
    pub first: bool,
    pub epoch: u64,
}

impl Model for Registers {
    type State = Held;
    type Act = Act;

    fn step(&self, held: &Held, act: &Act, _: bool) -> Option<Held> {
        let kept = |so: bool| so.then(|| held.clone());
        match act {
            Act::Pause(paused) => Some(Held { paused: *paused, ..held.clone() }),
            // Turning it to where it is turns nothing; every other time is an epoch of its own.
            Act::Turn { first } => {
                Some(Held { first: *first, epoch: held.epoch + u64::from(held.first != *first), ..held.clone() })
            }
            Act::SawFleet { paused, first } => kept((paused, first) == (&held.paused, &held.first)),
            Act::SawService { first, epoch, .. } => kept((first, epoch) == (&held.first, &held.epoch)),
            Act::Move { .. } | Act::Abort { .. } => None,
        }
    }
}

/// As the checker reads it: what was certainly not done is no part of it.
fn ops(history: &[Record]) -> Vec<Op<Act>> {
    let known = history.iter().filter(|record| record.returned.is_some() || !record.is_read());
    let op = |record: &Record| Op {
        session: record.session,
        invoked: record.invoked,
        returned: record.returned,
        may_be_old: record.is_read(),
        revision: record.revision,
        act: record.act.clone(),
    };
    known.map(op).collect()
}

/// What is wrong with a history of switches, pauses and epochs, with the shortest part of it that shows it.
fn offence_of_registers(History { start, records, .. }: &History) -> Option<String> {
    let ops = ops(records);
    match explains(&Registers, start, &ops) {
        Ok(true) => None,
        Ok(false) => {
            let least = shortest(&Registers, start, &ops);
            let lines: Vec<String> = least.iter().map(ToString::to_string).collect();
            Some(format!("no order explains this, from {start:?}:\n{}", lines.join("\n")))
        }
        Err(why) => Some(why.to_owned()),
    }
}

fn recorded(seed: u64, wants: Wants, broken: Option<Broken>) -> History {
    virtually(seed, record(seed, wants, CHAOS, broken))
}

/// What `judge` says of any seed.
fn over_seeds(seeds: u64, judge: impl Fn(u64) -> Option<String> + Sync) -> Vec<String> {
    let judged = on_all_cores(1..=seeds, |seed| judge(seed).map(|offence| format!("seed {seed}: {offence}")));
    judged.into_iter().flatten().collect()
}

#[test]
fn what_clients_see_of_switches_pauses_and_epochs_has_one_order_that_explains_it() {
    let counted = [const { AtomicU64::new(0) }; 3];
    let offences = over_seeds(SEEDS / 2, |seed| {
        let history = recorded(seed, Wants::Registers, None);
        let unknown = history.records.iter().filter(|record| record.returned.is_none() && !record.is_read());
        let changes = history.records.iter().filter(|record| record.returned.is_some() && !record.is_read());
        let numbers = [history.records.len(), changes.count(), unknown.count()];
        counted.iter().zip(numbers).for_each(|(count, n)| _ = count.fetch_add(n as u64, Ordering::Relaxed));
        let broken = history.violations.first().cloned().or_else(|| history.refused.first().cloned());
        broken.or_else(|| offence_of_registers(&history))
    });
    assert!(offences.is_empty(), "{}", offences.join("\n\n"));
    let [calls, changes, unknown] = counted.map(AtomicU64::into_inner);
    println!("{calls} calls, {changes} changes answered, {unknown} of which nobody knows whether they were done");
    // Clients that change nothing, or whose every call is answered, prove nothing.
    assert!(changes > SEEDS * 5 && unknown > SEEDS / 4, "{changes} changes, {unknown} unknown");
}

#[test]
fn what_clients_see_of_runs_has_one_order_and_no_epoch_is_given_twice() {
    let begun = AtomicU64::new(0);
    let offences = over_seeds(SEEDS / 2, |seed| {
        let history = recorded(seed, Wants::Runs, None);
        begun.fetch_add(runs::begun(&history.records), Ordering::Relaxed);
        let broken = history.violations.first().cloned();
        broken.or_else(|| runs::offence(&history.records))
    });
    assert!(offences.is_empty(), "{}", offences.join("\n\n"));
    let begun = begun.into_inner();
    println!("{begun} runs began");
    assert!(begun >= SEEDS / 4, "only {begun} runs began");
}

/// The seed that finds it, and how.
fn found(broken: Broken, wants: Wants) -> (u64, String) {
    let judge = |seed| {
        let history = recorded(seed, wants, Some(broken));
        let offence = match wants {
            Wants::Registers => offence_of_registers(&history),
            Wants::Runs => runs::offence(&history.records),
        };
        offence.map(|offence| (seed, offence))
    };
    (1..=SEEDS / 2).find_map(judge).unwrap_or_else(|| panic!("{broken:?} is not found with {wants:?}"))
}

#[test]
fn an_api_that_is_broken_on_purpose_is_found() {
    for broken in [Broken::OldForNew, Broken::Backwards, Broken::Swallows] {
        let (seed, how) = found(broken, Wants::Registers);
        println!("{broken:?}: seed {seed}: {how}");
    }
    for broken in [Broken::OldForNew, Broken::Backwards] {
        let (seed, how) = found(broken, Wants::Runs);
        println!("{broken:?}: seed {seed}: {how}");
    }
}
