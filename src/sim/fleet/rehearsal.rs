//! Drills that are simulated: a service as it is applied, on a copy of what is seen now, loses a Region.
//!
//! The copy is a simulated AWS with a fleet of its own, on paused time, in a thread of its own: whole daemons that see,
//! prove, decide and move as the real ones would, and nothing that could reach anything real.

mod copied;
mod outcome;
mod stage;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use failoverd_domain::drill::DrillRun;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::subscriber::{NoSubscriber, with_default};

use self::copied::Copied;
use self::outcome::failed;
use self::stage::Stage;
use crate::consensus::seed_elections;
use crate::ports::{Observed, Rehearsals, Rehearsed};
use crate::runtime::Timing;

/// Longest that a simulation may take, by the clock on the wall.
const LONGEST: Duration = Duration::from_secs(60);

/// Simulates drills, one thread for each.
pub struct SimulatedRehearsals {
    timing: Timing,
}

impl SimulatedRehearsals {
    /// Simulated daemons do things as often as real ones with that timing.
    #[must_use]
    pub const fn new(timing: Timing) -> Self {
        Self { timing }
    }
}

#[async_trait]
impl Rehearsals for SimulatedRehearsals {
    async fn rehearse(&self, drill: &DrillRun, observed: Observed) -> Rehearsed {
        let copied = match Copied::of(drill, &observed, &self.timing) {
            Ok(copied) => copied,
            Err(reason) => return failed(reason, Vec::new()),
        };
        let stop = CancellationToken::new();
        // Nobody waits any more: the thread ends at its next step.
        let _ended = stop.clone().drop_guard();
        let (tell, told) = oneshot::channel();
        let played = thread::Builder::new().name("rehearsal".to_owned()).spawn(move || {
            let _nobody_waits = tell.send(play(copied, &stop));
        });
        if let Err(error) = played {
            return failed(format!("the simulation could not be started: {error}"), Vec::new());
        }
        match tokio::time::timeout(LONGEST, told).await {
            Ok(Ok(ended)) => ended,
            Ok(Err(_)) => failed("the simulation ended without a word".to_owned(), Vec::new()),
            Err(_) => failed(format!("the simulation took longer than {} s", LONGEST.as_secs()), Vec::new()),
        }
    }
}

/// All of it, on this thread, silently: what simulated daemons log is not this daemon's.
fn play(copied: Copied, stop: &CancellationToken) -> Rehearsed {
    let played = AssertUnwindSafe(|| with_default(NoSubscriber::default(), || on_paused_time(copied, stop)));
    catch_unwind(played).unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().map(String::as_str);
        let words = words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
        failed(format!("the simulation broke off ({words}): please report this"), Vec::new())
    })
}

fn on_paused_time(copied: Copied, stop: &CancellationToken) -> Rehearsed {
    let _seeded = seed_elections(copied.seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    match runtime {
        Ok(runtime) => runtime.block_on(Stage::play(copied, stop)),
        Err(error) => failed(format!("the simulation could not be started: {error}"), Vec::new()),
    }
}

#[cfg(test)]
mod tests;
