//! `failoverd recover --force-new-fleet`: shows what is left of a fleet and, with its name given, goes on with it.

use std::fmt::Write as _;
use std::path::Path;

use failoverd_domain::fleet::Actor;
use failoverd_domain::format::Format;
use failoverd_domain::ids::Region;

use super::arguments::Recover;
use super::refusal::Refusal;
use crate::adapters::clock::SystemClock;
use crate::config::Config;
use crate::consensus::{Disk, Left, Recovery};
use crate::ports::Clock;

/// Shows what is there, and does it when told to by the fleet's name.
///
/// # Errors
/// [`Refusal::Recover`], [`Refusal::Unconfirmed`].
pub fn recover(asked: &Recover, config: &Config, file: &Path) -> Result<(), Refusal> {
    let disk = Disk::Directory(config.data_dir.clone());
    let recovery = Recovery::open(&disk, &config.fleet, &config.region, Format::NEWEST)?;
    super::say(&words(&recovery.left()))?;
    let typed = format!("failoverd recover --force-new-fleet --config {} --yes {}", file.display(), config.fleet);
    confirmed(asked, config, &typed)?;
    let actor = Actor::Operator(who());
    let generation = recovery.force_new_fleet(SystemClock.now(), &actor)?.generation;
    super::say(&format!(
        "done: this disk is of generation {generation}. Start the daemon as usual; it leads alone. Automatic action is paused \
         until `failoverctl resume`.\n"
    ))
}

/// Whether the person gave the fleet's name; else they are told what to type.
pub(super) fn confirmed(asked: &Recover, config: &Config, typed: &str) -> Result<(), Refusal> {
    match &asked.yes {
        None => Err(Refusal::Unconfirmed(format!("nothing was changed; to do it: {typed}"))),
        Some(name) if *name != config.fleet.as_str() => {
            let why = format!("nothing was changed: the fleet is {}, not {name}; to do it: {typed}", config.fleet);
            Err(Refusal::Unconfirmed(why))
        }
        Some(_) => Ok(()),
    }
}

pub(super) fn who() -> String {
    let name =
        ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok().filter(|it| !it.is_empty()));
    name.unwrap_or_else(|| "unknown".to_owned())
}

fn words(left: &Left) -> String {
    let Left { place, fleet, region, generation, last, agreed, term, gone, state } = left;
    let names = |regions: &[&Region]| regions.iter().map(|region| region.as_str()).collect::<Vec<_>>().join(", ");
    let gone = if gone.is_empty() { "none".to_owned() } else { names(&gone.iter().collect::<Vec<_>>()) };
    let mut text = format!(
        "{place}: fleet {fleet}, daemon {region}, generation {generation}\n\
         log up to entry {last} (known to be agreed: {agreed}), term {term}, history up to event {}\n\
         voted beside it until now, and will no longer: {gone}\n",
        state.head.seq
    );
    for (name, service) in &state.services {
        let _ = writeln!(text, "service {name}: epoch {}, {} serves", service.epoch, names(&state.serving(service)));
    }
    let runs = state.runs.values().filter(|run| !run.state.is_closed());
    for run in runs {
        let _ = writeln!(text, "open run {}: it stays open and waits for a person", run.id);
    }
    for run in state.drill_runs.values().filter(|run| !run.is_closed()) {
        let _ = writeln!(text, "open drill {}", run.id);
    }
    let _ = write!(
        text,
        "\nIt will be made a fleet of one in generation {}. What the others agreed on after entry {last} is lost: runs, switches \
         that were turned, manifests. Compare with AWS and with the histories of the other Regions before you act.\n\
         The other daemons must be gone for good. One that is only cut off still leads its own fleet beside this one until it \
         hears of it; the fence in the zones refuses what it writes there, but not what it does to databases.\n",
        generation.0.saturating_add(1)
    );
    text
}
