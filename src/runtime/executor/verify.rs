//! Verification: every daemon asks the zone's authoritative servers, and all that could be asked are answered right.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use failoverd_domain::fleet::{FleetState, Run};
use failoverd_domain::ids::{Region, ServiceName};
use failoverd_domain::plan::{Movement, StepKind};
use failoverd_domain::service::ServiceSpec;
use failoverd_domain::time::Timestamp;
use failoverd_domain::traffic::{AnswerSeen, LookUp, Looked, Sighting, Verdict, Wanted, Watch, questions, sentence};
use futures_util::future::join_all;
use tokio::time::{Instant, timeout};

use super::Executor;
use super::effect::{Effect, Look};
use crate::ports::PeerError;
use crate::survey::{LOOK_LIMIT, look_up, probes_through};

/// How long a daemon may take to answer: its own limit, and the way there and back.
const PATIENCE: Duration = LOOK_LIMIT.saturating_add(Duration::from_millis(500));
/// The same for one that nobody has heard of lately: the others do not wait for a Region that is dead.
const LITTLE_PATIENCE: Duration = Duration::from_millis(500);

/// How long those that move along are waited for once the service itself is answered right.
const PATIENCE_BESIDE: Duration = Duration::from_secs(30);

/// The step that verifies the answer of one run.
pub(super) struct VerifyAnswer {
    executor: Executor,
    run: Run,
    memory: Mutex<Memory>,
}

/// What earlier looks of this attempt found. A leader that takes the step over begins anew: what it says of times is then
/// later than it was, never earlier.
#[derive(Default)]
struct Memory {
    watch: Watch,
    /// Of the names of those that move along.
    beside: Watch,
    /// Since when the service's own names are answered right.
    right_since: Option<Instant>,
    seen: Vec<AnswerSeen>,
}

impl VerifyAnswer {
    pub(super) fn new(executor: Executor, run: Run) -> Self {
        Self { executor, run, memory: Mutex::default() }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the service answers by its name, as far as those who see the right answer can tell. Traffic has moved: a
    /// bad one undoes nothing, but is said.
    async fn probe_through(&self, state: &FleetState, seen: &mut [AnswerSeen]) {
        let specs = moved_together(state, &self.run.service);
        if specs.into_iter().all(|spec| probes_through(spec).is_empty()) {
            return;
        }
        let asked = LookUp { service: self.run.service.clone(), through: true };
        let can_tell: Vec<Region> =
            seen.iter().filter(|one| one.after_ms.is_some()).map(|one| one.daemon.clone()).collect();
        let mut looks = self.ask_all(&can_tell, state, &asked).await;
        for one in seen.iter_mut() {
            let look = looks.iter_mut().find(|look| look.daemon == one.daemon);
            if let Some(Ok(sighting)) = look.map(|look| &mut look.saw) {
                one.probes = std::mem::take(&mut sighting.probes);
            }
        }
    }

    async fn ask_all(&self, daemons: &[Region], state: &FleetState, asked: &LookUp) -> Vec<Looked> {
        let looks = daemons.iter().map(|daemon| async move {
            let saw = if daemon == &self.executor.view.me {
                look_up(&self.executor.world, state, asked).await
            } else {
                self.ask_peer(daemon, asked).await
            };
            Looked { daemon: daemon.clone(), at: self.executor.clock.now(), saw }
        });
        join_all(looks).await
    }

    async fn ask_peer(&self, daemon: &Region, asked: &LookUp) -> Result<Sighting, String> {
        let Executor { view, clock, matrix, peers, .. } = &self.executor;
        let is_heard = matrix.borrow().fresh(clock.now(), daemon, view.stale_after_ms).is_some();
        let patience = if is_heard { PATIENCE } else { LITTLE_PATIENCE };
        match timeout(patience, peers.look_up(daemon, asked)).await {
            Ok(Ok(sighting)) => Ok(sighting),
            Ok(Err(error)) => Err(why_not(error)),
            Err(_) => Err("no answer in time".to_owned()),
        }
    }

    /// What is wanted of the service's own names, and of the names of those that move along and have records.
    fn wanted(&self, state: &FleetState) -> Option<(Wanted, Wanted)> {
        let service = state.services.get(&self.run.service)?;
        let companions = state.companions(&service.spec).into_iter();
        let companions = companions.filter(|companion| companion.settlement.carries_traffic);
        let beside = companions.flat_map(|companion| questions(&companion.spec)).collect();
        let regions = match self.run.plan.movement {
            Movement::Failover => vec![self.run.plan.to.clone()],
            Movement::Evacuate | Movement::Restore => state.serving(service).into_iter().cloned().collect(),
        };
        let own = Wanted {
            questions: questions(&service.spec),
            regions,
            judge: self.executor.view.me.clone(),
            flipped_at: self.flipped_at(state),
        };
        let beside = Wanted { questions: beside, ..own.clone() };
        Some((own, beside))
    }

    /// What is not right of those that move along. They are waited for, but not for long: traffic of the service itself
    /// has moved, and until the run ends nobody is settled.
    fn beside(&self, wanted: &Wanted, looks: &[Looked]) -> Option<String> {
        let verdict = (!wanted.questions.is_empty()).then(|| self.memory().beside.take(wanted, looks));
        match verdict? {
            Verdict::Right(_) => None,
            Verdict::Wrong(what) | Verdict::CannotTell(what) => Some(what),
        }
    }

    /// What is to be said beside who answered whom.
    fn remarks(&self, seen: &[AnswerSeen], beside: Option<String>) -> String {
        let to = &self.run.plan.to;
        let unseen =
            self.run.plan.movement == Movement::Restore && !seen.iter().any(|one| one.answered_by.contains(to));
        let unseen = unseen.then(|| format!("; nobody was answered by {to} yet"));
        let beside = beside.map(|what| format!("; WARNING: of what moves along, {what}"));
        unseen.unwrap_or_default() + &beside.unwrap_or_default()
    }

    /// When the switch was turned, and no earlier than the run began: it may have been so before.
    fn flipped_at(&self, state: &FleetState) -> Timestamp {
        let turned = self.run.plan.steps.iter().find_map(|step| match &step.kind {
            StepKind::FlipSwitch { group, bit, .. } => state.switches.get(group)?.bits.get(bit),
            _ => None,
        });
        turned.map(|bit| bit.since).max(self.run.started_at).unwrap_or(self.run.decided_at)
    }
}

fn moved_together<'a>(state: &'a FleetState, service: &ServiceName) -> Vec<&'a ServiceSpec> {
    let lead = state.services.get(service);
    lead.map(|lead| state.moved_together(lead).into_iter().map(|moved| moved.spec.as_ref()).collect())
        .unwrap_or_default()
}

/// A word where one will do: the note is read by people in a hurry.
fn why_not(error: PeerError) -> String {
    if error.may_have_arrived { error.reason } else { "unreachable".to_owned() }
}

#[async_trait]
impl Effect for VerifyAnswer {
    async fn look(&self) -> Look {
        let state = self.executor.agreement.state().borrow().clone();
        let Some((wanted, wanted_beside)) = self.wanted(&state) else {
            return Look::CannotTell("the service is gone".to_owned());
        };
        let asked = LookUp { service: self.run.service.clone(), through: false };
        let looks = self.ask_all(&self.executor.view.over(&state).members, &state, &asked).await;
        let beside = self.beside(&wanted_beside, &looks);
        let verdict = self.memory().watch.take(&wanted, &looks);
        if !matches!(verdict, Verdict::Right(_)) {
            self.memory().right_since = None;
        }
        let mut seen = match verdict {
            Verdict::Right(seen) => seen,
            Verdict::Wrong(what) => return Look::NotDone(what),
            Verdict::CannotTell(why) => return Look::CannotTell(why),
        };
        let right_since = *self.memory().right_since.get_or_insert_with(Instant::now);
        if let Some(what) = beside.as_ref().filter(|_| right_since.elapsed() < PATIENCE_BESIDE) {
            return Look::NotDone(format!("of what moves along, {what}"));
        }
        self.probe_through(&state, &mut seen).await;
        let note = sentence(&seen) + &self.remarks(&seen, beside);
        self.memory().seen = seen;
        Look::Done(note)
    }

    fn acts(&self) -> bool {
        false
    }

    /// Name servers are no API that could be used up, and what is on record is as exact as this.
    fn looks_at_least_every(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn seen(&self) -> Vec<AnswerSeen> {
        self.memory().seen.clone()
    }
}
