//! One step from intent to outcome.

use std::time::Duration;

use failoverd_domain::fleet::{Actor, Command, Entry, Run, StepOutcome, StepState, Trigger, still_holds};
use failoverd_domain::plan::{Step, StepKind};
use failoverd_domain::sabotage::{self, Sabotage};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::Executor;
use super::effect::{Effect, Look};
use crate::ports::{CallError, Effect as Known, ProposeError};

/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// A run whose first step has not begun this long after its start does not begin any more, milliseconds.
const TOO_LATE_MS: u64 = 60_000;
/// One look, however many calls it takes.
const LOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// One attempt of one step.
struct Attempt<'a> {
    run: &'a Run,
    step: &'a Step,
    number: u32,
}

/// How asking for an effect ended.
#[derive(Debug, PartialEq, Eq)]
enum Act {
    /// It was accepted.
    Accepted,
    /// Nobody said anything: it may have happened, or may still.
    Unanswered,
    /// The attempt is over without an effect.
    Over(StepOutcome),
}

/// Why driving a step ended without an outcome of ours: somebody else leads, the state moved on, or a pause holds a drill.
struct NotOurs;

impl Executor {
    /// Takes one step as far as this leader can. Whatever cannot be said for sure stays open in the journal.
    pub(super) async fn drive(&self, run: &Run, step: &Step) {
        let effect = self.effect(run, step);
        let progress = run.progress(&step.name);
        let ended = match progress.state {
            StepState::Acting | StepState::Unknown => self.resume(run, step, effect.as_ref(), progress.attempts).await,
            _ => self.begin(run, step, effect.as_ref(), progress.attempts + 1).await,
        };
        if ended.is_err() {
            // Whoever leads now, or the next tick, goes on from the journal.
            sleep(self.timing.tick).await;
        }
    }

    async fn begin(&self, run: &Run, step: &Step, effect: &dyn Effect, attempt: u32) -> Result<(), NotOurs> {
        if attempt > 1 {
            sleep(LOOK_AGAIN * attempt.min(8)).await;
        }
        if self.reason_is_gone(run, step).await? {
            return Ok(());
        }
        let epoch = run.epoch.ok_or(NotOurs)?;
        let intent = Command::Intent { run: run.id.clone(), step: step.name.clone(), attempt, epoch };
        if sabotage::is(Sabotage::ActBeforeJournal) {
            let _ = effect.act().await;
        }
        self.propose(intent).await?;
        tracing::info!(run = %run.id, step = %step.name, attempt, %epoch, region = %step.region, "step begins");
        let deadline = Instant::now() + Duration::from_millis(step.timeout_ms);
        let outcome = match look(effect).await {
            Look::Done(found) if effect.acts() => succeeded(effect, format!("was done already: {found}")),
            Look::Done(found) => succeeded(effect, found),
            _ => self.act_and_verify(&Attempt { run, step, number: attempt }, effect, deadline).await?,
        };
        self.conclude(run, step, attempt, outcome).await
    }

    /// Before a writer is stopped, and before what cannot be undone, an automatic run asks its guards again, and one of a drill
    /// whether automatic action is paused.
    async fn reason_is_gone(&self, run: &Run, step: &Step) -> Result<bool, NotOurs> {
        if let Some(reason) = self.is_late(run) {
            tracing::warn!(run = %run.id, reason, "nothing is begun that late");
            self.propose(Command::Abort { run: run.id.clone(), reason }).await?;
            return Ok(true);
        }
        // Half-way over it there is no reason to stop: one store here and one there is the worst of both.
        let does_harm = step.is_point_of_no_return() || matches!(step.kind, StepKind::Fence { .. });
        if run.trigger == Trigger::Operator || !does_harm || run.is_past_no_return() {
            return Ok(false);
        }
        let state = self.agreement.state().borrow().clone();
        if run.trigger == Trigger::Drill {
            // A drill that is held goes on where it stands.
            return if state.is_paused(&run.service) { Err(NotOurs) } else { Ok(false) };
        }
        let matrix = self.matrix.borrow().clone();
        let Err(no) = still_holds(self.clock.now(), &state, &matrix, &self.view.over(&state), &run.service, &run.plan)
        else {
            return Ok(false);
        };
        let reason = format!("guard {} says no by now: {}", no.guard.word(), no.reason);
        tracing::warn!(run = %run.id, step = %step.name, reason, "stopping before harm is done");
        self.propose(Command::Abort { run: run.id.clone(), reason }).await?;
        Ok(true)
    }

    /// A run may have been committed long after it was asked for, by a leader that had lost the others for a while: what
    /// a person or the guards said then counts for nothing now.
    fn is_late(&self, run: &Run) -> Option<String> {
        let begun = run.steps.values().any(|progress| progress.intent.is_some());
        let since = run.started_at.max(run.resumed_at)?;
        let age_ms = self.clock.now().since(since);
        let late = !begun && age_ms > TOO_LATE_MS && !sabotage::is(Sabotage::ResumeStale);
        late.then(|| format!("it was to begin {} s ago: look again and ask again", age_ms / 1_000))
    }

    /// An attempt that some leader began and nobody concluded: look, and only then decide.
    async fn resume(&self, run: &Run, step: &Step, effect: &dyn Effect, attempt: u32) -> Result<(), NotOurs> {
        tracing::info!(run = %run.id, step = %step.name, attempt, "step was left open; looking");
        let not_done_counts_from = Instant::now() + self.timing.afterlife;
        let deadline = Instant::now() + Duration::from_millis(step.timeout_ms);
        let was_acting = run.progress(&step.name).state == StepState::Acting;
        let open = Attempt { run, step, number: attempt };
        let mut again = Pause::before(effect);
        loop {
            self.still_mine()?;
            self.still_open(&open)?;
            let outcome = match look(effect).await {
                Look::Done(found) if effect.acts() => Some(succeeded(effect, format!("found done: {found}"))),
                Look::Done(found) => Some(succeeded(effect, found)),
                // A call of a leader that is gone could still arrive; and steps that only wait begin anew at once.
                Look::NotDone(found) if !effect.acts() || Instant::now() >= not_done_counts_from => {
                    Some(StepOutcome::Failed { error: format!("looked, not done: {found}"), retryable: true })
                }
                Look::UnderWay(_) | Look::NotDone(_) | Look::CannotTell(_) => None,
            };
            match outcome {
                Some(outcome) => return self.conclude(run, step, attempt, outcome).await,
                // The journal says so once; then looking goes on, and a person may stop the run.
                None if was_acting && (Instant::now() >= deadline || self.is_stopping(&open)) => {
                    let error = "nobody could tell in time".to_owned();
                    return self.conclude(run, step, attempt, StepOutcome::Unknown { error }).await;
                }
                None => sleep(again.next()).await,
            }
        }
    }

    async fn act_and_verify(
        &self,
        attempt: &Attempt<'_>,
        effect: &dyn Effect,
        deadline: Instant,
    ) -> Result<StepOutcome, NotOurs> {
        let asked = match self.act(attempt, effect, deadline).await? {
            Act::Over(failure) => return Ok(failure),
            asked => asked,
        };
        // A call without an answer may still arrive for a while; one that is not there then never will be.
        let mut again = Pause::before(effect);
        let mut not_done_counts_from = (asked == Act::Unanswered).then(|| Instant::now() + self.timing.afterlife);
        loop {
            self.still_mine()?;
            let (seen, told) = match look(effect).await {
                Look::Done(found) => return Ok(succeeded(effect, found)),
                Look::NotDone(found) if not_done_counts_from.is_some_and(|from| Instant::now() >= from) => {
                    let error = format!("asked for, but not done: {found}");
                    return Ok(StepOutcome::Failed { error, retryable: true });
                }
                Look::UnderWay(seen) => {
                    // If it is neither under way nor done later, it was put back.
                    not_done_counts_from = Some(Instant::now() + self.timing.afterlife);
                    (seen, true)
                }
                Look::NotDone(seen) => (seen, true),
                Look::CannotTell(seen) => (seen, false),
            };
            if !effect.acts() && self.is_stopping(attempt) {
                return Ok(StepOutcome::Failed { error: format!("stopped waiting: {seen}"), retryable: false });
            }
            if Instant::now() >= deadline {
                // It was asked for and is not there: not a failure that could be repeated blindly.
                let error = format!("not verified in time: {seen}");
                let waits_only = !effect.acts();
                // An AWS that says nothing, or that it is too much, will say something again: no person need tell us to look.
                let retryable = !told && !matches!(attempt.step.kind, StepKind::VerifyAnswer);
                return Ok(if waits_only {
                    StepOutcome::Failed { error, retryable }
                } else {
                    StepOutcome::Unknown { error }
                });
            }
            sleep(again.next().min(deadline.saturating_duration_since(Instant::now()))).await;
        }
    }

    /// Acts once; again only after refusals that certainly had no effect. Before each try the others confirm that this
    /// daemon leads, and the journal that the attempt is still open: a try may come minutes after the intent.
    async fn act(&self, attempt: &Attempt<'_>, effect: &dyn Effect, deadline: Instant) -> Result<Act, NotOurs> {
        let mut pause = Duration::from_millis(200);
        loop {
            let asked_at = Instant::now();
            self.agreement.confirm_leadership().await.map_err(|_| NotOurs)?;
            if self.is_stopping(attempt) {
                let error = "the run was asked to stop before this was done".to_owned();
                return Ok(Act::Over(StepOutcome::Failed { error, retryable: false }));
            }
            self.is_open(attempt)?;
            // A process that was stopped in between may have been replaced as leader meanwhile.
            if asked_at.elapsed() >= self.timing.mutation {
                if Instant::now() >= deadline {
                    let error = "the others took too long to confirm that this daemon leads".to_owned();
                    return Ok(Act::Over(StepOutcome::Failed { error, retryable: true }));
                }
                continue;
            }
            let Ok(result) = timeout_at(asked_at + self.timing.mutation, effect.act()).await else {
                tracing::warn!("no answer in time; looking before acting again");
                return Ok(unanswered(effect));
            };
            let error = match result {
                Ok(()) => return Ok(Act::Accepted),
                Err(error) => error,
            };
            match error.effect {
                // Verification looks; whatever it finds is the truth.
                Known::Unknown => {
                    tracing::warn!(%error, "outcome unknown; looking before acting again");
                    return Ok(unanswered(effect));
                }
                Known::None => return Ok(Act::Over(failed(&error, false))),
                Known::NoneRetryable if Instant::now() + pause >= deadline => {
                    return Ok(Act::Over(failed(&error, true)));
                }
                Known::NoneRetryable => {
                    tracing::info!(%error, "refused for now; trying again");
                    sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(5));
                }
            }
        }
    }

    /// Whether the attempt is the one that the journal has open, under the service's present epoch.
    fn is_open(&self, attempt: &Attempt<'_>) -> Result<(), NotOurs> {
        let state = self.agreement.state().borrow().clone();
        let run = state.runs.get(&attempt.run.id).ok_or(NotOurs)?;
        let progress = run.progress(&attempt.step.name);
        let epoch = state.services.get(&run.service).map(|service| service.epoch);
        let is_current = run.epoch == epoch || sabotage::is(Sabotage::SkipEpochCompare);
        let is_open = progress.state == StepState::Acting && progress.attempts == attempt.number && is_current;
        if is_open { Ok(()) } else { Err(NotOurs) }
    }

    /// Whether the attempt still waits for its outcome; a run that was closed meanwhile needs no more looking.
    fn still_open(&self, attempt: &Attempt<'_>) -> Result<(), NotOurs> {
        let state = self.agreement.state().borrow().clone();
        let run = state.runs.get(&attempt.run.id).ok_or(NotOurs)?;
        let progress = run.progress(&attempt.step.name);
        let is_open = matches!(progress.state, StepState::Acting | StepState::Unknown) && !run.state.is_closed();
        if is_open && progress.attempts == attempt.number { Ok(()) } else { Err(NotOurs) }
    }

    fn is_stopping(&self, attempt: &Attempt<'_>) -> bool {
        let state = self.agreement.state();
        let state = state.borrow();
        state.runs.get(&attempt.run.id).is_some_and(|run| run.abort.is_some())
    }

    async fn conclude(&self, run: &Run, step: &Step, attempt: u32, outcome: StepOutcome) -> Result<(), NotOurs> {
        tracing::info!(run = %run.id, step = %step.name, attempt, ?outcome, "step ended");
        let command = Command::Outcome { run: run.id.clone(), step: step.name.clone(), attempt, outcome };
        self.propose(command).await
    }

    pub(super) async fn propose_for_step(&self, command: Command) -> Result<Result<(), String>, ProposeError> {
        let entry = Entry::new(self.clock.now(), Actor::Daemon(self.view.me.clone()), command);
        let applied = self.agreement.propose(entry).await?;
        Ok(applied.result.map(drop).map_err(|rejection| rejection.reason))
    }

    async fn propose(&self, command: Command) -> Result<(), NotOurs> {
        match self.propose_for_step(command).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(reason)) => {
                tracing::info!(reason, "entry refused; the state has moved on");
                Err(NotOurs)
            }
            Err(error) => {
                tracing::warn!(%error, "entry did not go through; the journal tells what to do next");
                Err(NotOurs)
            }
        }
    }

    fn still_mine(&self) -> Result<(), NotOurs> {
        if self.agreement.leadership().borrow().is_me { Ok(()) } else { Err(NotOurs) }
    }
}

fn unanswered(effect: &dyn Effect) -> Act {
    if sabotage::is(Sabotage::IgnoreUnknown) {
        return Act::Over(succeeded(effect, "asked for".to_owned()));
    }
    Act::Unanswered
}

fn succeeded(effect: &dyn Effect, note: String) -> StepOutcome {
    StepOutcome::Succeeded { note, seen: effect.seen() }
}

fn failed(error: &CallError, retryable: bool) -> StepOutcome {
    StepOutcome::Failed { error: error.to_string(), retryable }
}

/// Between two looks: soon at first, then seldom, so that hundreds of steps do not use up an API between them.
struct Pause {
    next: Duration,
    most: Duration,
}

impl Pause {
    fn before(effect: &dyn Effect) -> Self {
        Self { next: LOOK_AGAIN, most: effect.looks_at_least_every() }
    }

    fn next(&mut self) -> Duration {
        let now = self.next;
        self.next = (now * 5 / 4).min(self.most);
        now
    }
}

/// A look that does not end tells nothing.
async fn look(effect: &dyn Effect) -> Look {
    let looked = timeout(LOOK_TIMEOUT, effect.look()).await;
    looked.unwrap_or_else(|_| Look::CannotTell("no answer in time".to_owned()))
}
