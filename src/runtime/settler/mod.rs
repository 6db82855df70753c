//! The slow clean-up after a run, and the first set-up of a service: makes records, checks and copies match what the
//! fleet has agreed. A reconciler: it takes no input, yields to any open run, and whoever leads goes on with it.

mod copies;
mod instances;
mod packer;
mod post;
mod tables;
#[cfg(test)]
mod tests;
mod together;
mod word;
mod zone;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use failoverd_domain::fleet::{Actor, Command, Entry, FleetState, ServiceState};
use failoverd_domain::ids::{LogIndex, ServiceName};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tracing::Instrument;

use super::timing::Timing;
use crate::ports::{Agreement, Clock, Viewpoint, World};
use packer::{Lane, Packer, Ticket};
use together::{CheckChanges, Confirmation};
use word::Speaker;
pub use word::{Standing, Word, Words};

/// A settled service is looked at again this often, for drift.
const LOOK_FOR_DRIFT: Duration = Duration::from_secs(60);
/// Services settled at once: enough that all which share a zone go in one round. Each holds its state, what it wants and
/// what it changes, some tens of kilobytes; listings are shared, and calls are held back by the account's own budget.
const MOST_AT_ONCE: usize = 1_024;
/// Looks for drift that begin together: there is no hurry, and a thousand services of a large zone are a lot to compare.
const MOST_LOOKS: usize = 32;
/// Entries proposed at once: each is written to the disk, and must not wait for a thousand others within its deadline.
const MOST_PROPOSED: usize = 64;
/// After a failure, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// The leader's broom.
pub(super) struct Settler {
    pub(super) view: Viewpoint,
    pub(super) timing: Timing,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) world: World,
    pub(super) agreement: Arc<dyn Agreement>,
    speaker: Speaker,
    packer: Packer,
    confirmation: Confirmation,
    check_changes: CheckChanges,
    proposals: Semaphore,
}

/// Why a round of settlement ended early. Every one of them is tried again later.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unsettled {
    /// AWS did not do it.
    #[error(transparent)]
    Call(#[from] crate::ports::CallError),
    /// The fleet has moved on, or somebody else leads.
    #[error("yields: {0}")]
    Yield(String),
    /// A person must look.
    #[error("{0}")]
    Stuck(String),
}

/// When a service is due again.
struct Due {
    at: Instant,
    pause: Duration,
}

/// How one service's round ended.
type Ended = (ServiceName, Result<(), Unsettled>);

impl Settler {
    /// A settler, and where its word is heard.
    pub(super) fn new(
        view: Viewpoint,
        timing: Timing,
        clock: Arc<dyn Clock>,
        world: World,
        agreement: Arc<dyn Agreement>,
    ) -> (Self, watch::Receiver<Words>) {
        let (speaker, words) = Speaker::new();
        let settler = Self {
            packer: Packer::new(timing.gather),
            confirmation: Confirmation::default(),
            check_changes: CheckChanges::default(),
            proposals: Semaphore::new(MOST_PROPOSED),
            view,
            timing,
            clock,
            world,
            agreement,
            speaker,
        };
        (settler, words)
    }

    /// Runs for ever; writes nothing while another daemon leads. Services are settled side by side: one that waits for
    /// AWS or for a person holds nobody else up.
    pub(super) async fn run(self) {
        tokio::join!(self.rounds(), self.post());
    }

    async fn rounds(&self) {
        let mut ticks = tokio::time::interval(self.timing.settle);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut due: BTreeMap<ServiceName, Due> = BTreeMap::new();
        let mut busy: BTreeSet<ServiceName> = BTreeSet::new();
        let mut under_way: FuturesUnordered<BoxFuture<'_, Ended>> = FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                Some((name, ended)) = under_way.next(), if !under_way.is_empty() => {
                    busy.remove(&name);
                    if self.leads() {
                        self.speaker.conclude(&name, self.clock.now(), &ended);
                    }
                    note(&mut due, name, ended);
                }
                _ = ticks.tick() => {
                    for service in self.due(&mut due, &busy, MOST_AT_ONCE - under_way.len()) {
                        let name = service.spec.name.clone();
                        busy.insert(name.clone());
                        let span = tracing::info_span!("settle", service = %name, epoch = service.epoch.0);
                        let unsettled = (!service.is_settled()).then(|| self.packer.ticket(lane_of(&service)));
                        let settling = async move { (name, self.settle(&service, unsettled).await) };
                        under_way.push(Box::pin(settling.instrument(span)));
                    }
                }
            }
        }
    }

    /// Services whose turn it is, at most `room` of them.
    fn due(
        &self,
        due: &mut BTreeMap<ServiceName, Due>,
        busy: &BTreeSet<ServiceName>,
        room: usize,
    ) -> Vec<ServiceState> {
        if !self.leads() {
            due.clear();
            self.speaker.retain(|_| false);
            self.check_changes.forget();
            return Vec::new();
        }
        let state = self.state();
        due.retain(|name, _| state.services.contains_key(name));
        self.speaker.retain(|name| state.services.contains_key(name));
        let is_due = |service: &&ServiceState| {
            let name = &service.spec.name;
            let waits = due
                .get(name)
                .is_some_and(|due| Instant::now() < due.at && (service.is_settled() || due.pause > Duration::ZERO));
            // While another Region is chosen than serves, a person has to say first where it shall serve; and after the
            // fleet was restored, where it is.
            !waits
                && !busy.contains(name)
                && state.open_run(name).is_none()
                && service.chosen == service.primary
                && state.is_confirmed(&service.spec.switch_group())
        };
        let mut ready: Vec<&ServiceState> = state.services.values().filter(is_due).collect();
        // What is not settled goes before looks for drift, and what has waited longest goes first.
        ready.sort_by_key(|service| (service.is_settled(), due.get(&service.spec.name).map(|due| due.at)));
        let mut looks = 0;
        let has_turn = |service: &&ServiceState| {
            looks += usize::from(service.is_settled());
            !service.is_settled() || looks <= MOST_LOOKS
        };
        ready.into_iter().filter(has_turn).take(room).cloned().collect()
    }

    /// First of all whoever serves must be able to write. Then traffic: a settled service keeps its answer whatever
    /// happens to the daemons. Copies may take hours. None of them waits for the others to go well.
    async fn settle(&self, service: &ServiceState, ticket: Option<Ticket<'_>>) -> Result<(), Unsettled> {
        let writers = self.free_writers(service).await;
        let zone = self.settle_zone(service, ticket).await;
        let copies = self.settle_copies(service).await;
        writers.and(zone).and(copies)
    }

    /// What the service's own role reaches.
    fn world_of(&self, service: &ServiceState) -> World {
        self.world.acting_as(service.spec.role_arn.as_deref())
    }

    fn leads(&self) -> bool {
        self.agreement.leadership().borrow().is_me
    }

    fn state(&self) -> Arc<FleetState> {
        self.agreement.state().borrow().clone()
    }

    /// Makes sure, by the others' word, that this daemon may still write for the service: before each single write, as
    /// whoever was leader a moment ago may not be any more.
    async fn may_write(&self, service: &ServiceState) -> Result<(), Unsettled> {
        self.confirm().await?;
        self.still(service)
    }

    async fn confirm(&self) -> Result<(), Unsettled> {
        let confirmed = self.confirmation.confirm(self.agreement.as_ref()).await;
        confirmed.map_err(|error| Unsettled::Yield(error.to_string()))
    }

    /// The service as it is now, as far as this daemon knows.
    fn still(&self, service: &ServiceState) -> Result<(), Unsettled> {
        let state = self.state();
        let unchanged = state
            .services
            .get(&service.spec.name)
            .is_some_and(|now| now.epoch == service.epoch && now.spec_index == service.spec_index);
        if !self.leads() || !unchanged || state.open_run(&service.spec.name).is_some() {
            return Err(Unsettled::Yield("the fleet has moved on".to_owned()));
        }
        Ok(())
    }

    /// Commits the intent to write, and makes sure that this daemon still leads. Returns the intent's log index.
    async fn intend(&self, service: &ServiceState, work: Vec<String>) -> Result<LogIndex, Unsettled> {
        let name = service.spec.name.clone();
        self.speaker.say(&name, self.clock.now(), Standing::Writes(work.clone()));
        let index = self.propose(Command::SettleIntent { service: name, epoch: service.epoch, work }).await?;
        self.may_write(service).await?;
        Ok(index)
    }

    async fn propose(&self, command: Command) -> Result<LogIndex, Unsettled> {
        // Never closed: settlement goes on without a permit rather than not at all.
        let _permit = self.proposals.acquire().await.ok();
        let entry = Entry::new(self.clock.now(), Actor::Daemon(self.view.me.clone()), command);
        let applied = self.agreement.propose(entry).await.map_err(|error| Unsettled::Yield(error.to_string()))?;
        match applied.result {
            Ok(_) => Ok(applied.index),
            Err(rejection) => Err(Unsettled::Yield(rejection.reason)),
        }
    }
}

/// Where a service's records are changed.
fn lane_of(service: &ServiceState) -> Lane {
    let zone = service.spec.traffic.hosted_zone.trim_end_matches('.').to_ascii_lowercase();
    (service.spec.role_arn.clone(), zone)
}

/// Says when a service is due again after its round.
fn note(due: &mut BTreeMap<ServiceName, Due>, name: ServiceName, ended: Result<(), Unsettled>) {
    let next = match ended {
        Ok(()) => Due { at: Instant::now() + LOOK_FOR_DRIFT, pause: Duration::ZERO },
        Err(Unsettled::Yield(reason)) => {
            tracing::debug!(service = %name, reason, "settlement yields");
            Due { at: Instant::now() + PAUSE.0, pause: PAUSE.0 }
        }
        Err(problem) => {
            tracing::warn!(service = %name, %problem, "settlement waits");
            let pause = due.get(&name).map_or(PAUSE.0, |due| (due.pause * 2).clamp(PAUSE.0, PAUSE.1));
            Due { at: Instant::now() + pause, pause }
        }
    };
    due.insert(name, next);
}
