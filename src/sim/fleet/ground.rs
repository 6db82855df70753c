//! What the daemons of a simulated fleet stand on: where they run, how they reach each other, how a person reaches them.
//!
//! Two of them: [`Bus`], where everything is in one runtime and messages are handed over in memory, and in
//! `tests/it/turmoil/` hosts of their own that talk gRPC over a simulated TCP.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use failoverd_domain::fleet::{Actor, Command};
use failoverd_domain::ids::Region;

use super::daemon::{Daemon, Home, Served, Surroundings};
use super::faults::Fault;
use super::whole::BEGINNING;
use crate::ports::Clock;
use crate::sim::bus::Bus;
use crate::sim::world::{Draws, TokioClock};

/// What comes of something a person typed, in the words of the fleet: done, or refused, or (outside) why there is no
/// answer.
pub type Said = Pin<Box<dyn Future<Output = Result<Result<(), String>, String>> + Send>>;

/// Where daemons run and how they are reached. Clones are the same.
#[async_trait]
pub trait Ground: Clone + Send + Sync + 'static {
    /// A wall clock that is so far ahead of the simulation's own.
    fn clock(&self, ahead_ms: u64) -> Arc<dyn Clock>;

    /// Starts the daemon of a home. It serves the others from then on.
    ///
    /// # Errors
    /// Why it does not start.
    async fn start(&self, home: &Home, around: &Surroundings) -> Result<Daemon, String>;

    /// Power off: whatever it had not synced is gone.
    async fn crash(&self, home: &Home, daemon: Daemon);

    /// Nothing gets from the one to the other any more; or it does again.
    fn set_cut(&self, from: &Region, to: &Region, cut: bool);

    /// What the one asks of the other arrives, the answers do not; or they do again.
    fn set_replies_lost(&self, from: &Region, to: &Region, lost: bool);

    /// A fault of lines that only some grounds have.
    fn set_line(&self, _: &Fault, _: bool) {}

    /// Another fault for chaos to inflict now and then; grounds without lines have none.
    fn drawn(&self, _: &mut Draws) -> Option<Fault> {
        None
    }

    /// Called at every step, for what comes and goes by itself.
    fn step(&self) {}

    /// Every line works again.
    fn heal(&self);

    /// What a person types at a daemon, on its way.
    fn typed(&self, at: &Region, daemon: &Daemon, actor: Actor, command: Command) -> Said;
}

#[async_trait]
impl Ground for Bus {
    fn clock(&self, ahead_ms: u64) -> Arc<dyn Clock> {
        Arc::new(TokioClock::starting_at(BEGINNING.plus_ms(ahead_ms)))
    }

    async fn start(&self, home: &Home, around: &Surroundings) -> Result<Daemon, String> {
        let daemon = Daemon::start(home, around, self.peers(home.region.clone())).await?;
        self.attach(home.region.clone(), Arc::new(Served::of(&daemon)));
        Ok(daemon)
    }

    async fn crash(&self, home: &Home, daemon: Daemon) {
        self.detach(&home.region);
        daemon.crash(home).await;
    }

    fn set_cut(&self, from: &Region, to: &Region, cut: bool) {
        if cut { self.cut(from, to) } else { self.mend(from, to) }
    }

    fn set_replies_lost(&self, from: &Region, to: &Region, lost: bool) {
        self.lose_replies(from, to, lost);
    }

    fn heal(&self) {
        Self::heal(self);
    }

    fn typed(&self, _: &Region, daemon: &Daemon, actor: Actor, command: Command) -> Said {
        let typed = daemon.typed(actor, command);
        Box::pin(async move { Ok(typed.await?.result.map(drop).map_err(|refused| refused.to_string())) })
    }
}
