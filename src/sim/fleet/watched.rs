//! The journal with a tripwire across it.

use std::sync::Arc;

use async_trait::async_trait;
use failoverd_domain::fleet::{Applied, Command, Entry, FleetState};
use failoverd_domain::ids::Region;
use tokio::sync::watch;

use crate::consensus::Consensus;
use crate::ports::{Agreement, Leadership, ProposeError};
use crate::sim::tripwire::{Mishap, Side, Tripwire};

/// A daemon's consensus as its own runtime has it.
pub(super) struct Watched {
    pub(super) inner: Consensus,
    pub(super) tripwire: Tripwire,
}

#[async_trait]
impl Agreement for Watched {
    async fn propose(&self, entry: Entry) -> Result<Applied, ProposeError> {
        let Some(what) = journalled(&entry.command) else { return self.inner.propose(entry).await };
        let me = self.inner.me();
        match self.tripwire.pass(me, || what.clone(), Side::Before).await {
            None | Some(Mishap::Death) => {}
            Some(Mishap::Lost) => return Err(ProposeError::Unknown("lost on the way there".to_owned())),
            Some(Mishap::Refused | Mishap::Denied) => return Err(ProposeError::NotLeader { leader: None }),
        }
        let applied = self.inner.propose(entry).await?;
        match self.tripwire.pass(me, || what, Side::After).await {
            None => Ok(applied),
            Some(_) => Err(ProposeError::Unknown("lost on the way back".to_owned())),
        }
    }

    async fn confirm_leadership(&self) -> Result<(), ProposeError> {
        self.inner.confirm_leadership().await
    }

    fn state(&self) -> watch::Receiver<Arc<FleetState>> {
        self.inner.state()
    }

    fn leadership(&self) -> watch::Receiver<Leadership> {
        self.inner.leadership()
    }

    async fn step_aside(&self, to: &Region) {
        self.inner.step_aside(to).await;
    }
}

/// What a daemon writes of its own accord about a run or a settlement.
fn journalled(command: &Command) -> Option<String> {
    let of = |word: &str, what: &str| Some(format!("{word} {what}"));
    match command {
        Command::Decide(decision) => of("decide", decision.plan.service.as_str()),
        Command::Start { .. } => of("start", ""),
        Command::Intent { step, .. } => of("intent", step.as_str()),
        Command::Outcome { step, .. } => of("outcome", step.as_str()),
        Command::SetSwitch { run: Some((_, step)), .. } => of("switch", step.as_str()),
        Command::Receipt { .. } => of("receipt", ""),
        Command::Widen { .. } => of("widen", ""),
        Command::SettleIntent { service, .. } => of("settle", service.as_str()),
        Command::Settled { service, .. } => of("settled", service.as_str()),
        _ => None,
    }
}
