//! Following a run: lines as things happen, or on a terminal one picture that is redrawn.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, interval, sleep, timeout_at};
use tonic::Streaming;

use super::style::{duration, timestamp};
use super::view::{run_json, step_line, steps_text};
use super::{Client, Context, Failure, Format, Outcome};
use crate::api::convert::word;
use crate::api::proto::{Answered, Run, RunState, StepState, WatchRunRequest, WatchRunResponse};

/// Without `--timeout` nobody waits longer than a day.
const LONGEST: Duration = Duration::from_secs(86_400);
/// Before another daemon is asked after a stream broke.
const AGAIN: Duration = Duration::from_secs(1);
/// How long all daemons may be away before following is given up.
const AWAY: Duration = Duration::from_secs(60);
const REDRAW: Duration = Duration::from_secs(1);

/// Follows a run to its verdict; the outcome is the run's.
///
/// # Errors
/// When no daemon answers any more.
pub async fn follow(context: &Context, mut client: Client, id: &str) -> Result<Outcome, Failure> {
    let deadline = Instant::now() + context.global.timeout.unwrap_or(LONGEST);
    let mut picture = Picture::new(context);
    let mut revision = 0;
    let mut away_until = Instant::now() + AWAY;
    loop {
        let request = WatchRunRequest { id: id.to_owned(), after_revision: revision };
        match client.status.watch_run(request).await {
            Ok(answer) => {
                let mut stream = answer.into_inner();
                let ended = one_stream(&mut stream, &mut picture, &mut revision, deadline).await;
                if let Some(outcome) = ended {
                    return Ok(outcome);
                }
                away_until = Instant::now() + AWAY;
            }
            Err(status) if status.code() == tonic::Code::NotFound => return Err(Failure::of_read(status)),
            Err(_) => {}
        }
        context.out.note(&format!("{} stopped answering; asking another daemon", client.server));
        client = loop {
            sleep(AGAIN).await;
            match context.client().await {
                Ok(client) => break client,
                Err(failure) if Instant::now() > away_until.min(deadline) => return Err(failure),
                Err(_) => {}
            }
        };
    }
}

/// Until the run ends, the deadline passes, or the stream breaks (`None`).
async fn one_stream(
    stream: &mut Streaming<WatchRunResponse>,
    picture: &mut Picture<'_>,
    revision: &mut u64,
    deadline: Instant,
) -> Option<Outcome> {
    let mut tick = interval(REDRAW);
    loop {
        let message = tokio::select! {
            message = timeout_at(deadline, stream.message()) => message,
            _ = tick.tick() => {
                picture.redraw();
                continue;
            }
        };
        match message {
            Err(_) => {
                picture.note("still running; follow it with: failoverctl run watch");
                return Some(Outcome::STILL_RUNNING);
            }
            Ok(Ok(Some(answer))) => {
                let run = answer.run?;
                *revision = answer.answered.as_ref().map_or(*revision, |answered| answered.revision);
                let outcome = outcome(&run);
                picture.take(run, answer.answered);
                if outcome.is_some() {
                    picture.end();
                    return outcome;
                }
            }
            Ok(Ok(None) | Err(_)) => return None,
        }
    }
}

/// How the command ends when the run stands so; `None`: not yet.
#[must_use]
pub fn outcome(run: &Run) -> Option<Outcome> {
    match run.state() {
        RunState::Succeeded if missed(run).is_empty() => Some(Outcome::DONE),
        RunState::Succeeded => Some(Outcome::OBJECTIVE_MISSED),
        RunState::Failed | RunState::Paused => Some(Outcome::FAILED),
        RunState::Aborted => Some(Outcome::ABORTED),
        _ => None,
    }
}

/// The objectives that a run missed, in words.
#[must_use]
pub fn missed(run: &Run) -> Vec<String> {
    let mut missed = Vec::new();
    if let (Some(rto_ms), Some(objective_ms)) = (run.rto_ms, run.rto_objective_ms)
        && rto_ms > objective_ms
    {
        missed.push(format!("RTO {} over {}", duration(rto_ms), duration(objective_ms)));
    }
    for loss in &run.loss {
        if let (Some(lost), Some(objective_ms)) = (loss.measured, run.rpo_objective_ms)
            && lost > objective_ms
        {
            missed.push(format!("{} lost {lost} ms of writes, RPO {objective_ms} ms", loss.store));
        }
    }
    missed
}

/// What was shown so far.
struct Picture<'a> {
    context: &'a Context,
    run: Option<Run>,
    /// The daemon's clock and ours when the newest message came.
    heard: Option<(u64, Instant)>,
    said: BTreeMap<String, (StepState, u32, bool)>,
    at_risk: Option<String>,
    state: RunState,
    lines: usize,
}

impl<'a> Picture<'a> {
    fn new(context: &'a Context) -> Self {
        let state = RunState::Unspecified;
        Self { context, run: None, heard: None, said: BTreeMap::new(), at_risk: None, state, lines: 0 }
    }

    fn is_redrawn(&self) -> bool {
        self.context.out.is_terminal() && self.context.out.is_for_people()
    }

    fn take(&mut self, run: Run, answered: Option<Answered>) {
        let at = answered.and_then(|answered| answered.at).as_ref().map(timestamp);
        self.heard = at.map(|at| (at.0, Instant::now()));
        self.run = Some(run);
        if self.is_redrawn() {
            self.redraw();
        } else {
            self.say();
        }
    }

    /// Milliseconds since the decision, by the daemon's clock.
    fn elapsed_ms(&self, run: &Run) -> u64 {
        let begun = run.decided_at.as_ref().map_or(0, |at| timestamp(at).0);
        let end = run.finished_at.as_ref().map(|at| timestamp(at).0);
        let now = self.heard.map(|(at, heard)| at + u64::try_from(heard.elapsed().as_millis()).unwrap_or(0));
        end.or(now).map_or(0, |at| at.saturating_sub(begun))
    }

    fn redraw(&mut self) {
        let Some(run) = self.run.as_ref().filter(|_| self.is_redrawn()) else { return };
        let text = format!("{}\n{}", self.headline(run), steps_text(run));
        self.context.out.redraw(self.lines, &text);
        self.lines = text.lines().count();
    }

    fn headline(&self, run: &Run) -> String {
        let state = word(run.state().as_str_name(), "RUN_STATE");
        let elapsed = duration(self.elapsed_ms(run));
        let risk = run.rto_at_risk.as_ref().map_or_else(String::new, |why| format!(" - RTO at risk: {why}"));
        format!("{} {} -> {} {state} {elapsed}{}{risk}", run.id, run.from, run.to, hint(run))
    }

    /// What is new, a line each; with JSON or YAML the data itself comes at the end.
    fn say(&mut self) {
        let Some(run) = self.run.clone() else { return };
        let since = duration(self.elapsed_ms(&run));
        let is_end = outcome(&run).is_some();
        if !is_end {
            self.say_state(&run, &since);
        }
        for progress in &run.steps {
            let name = progress.step.as_ref().map(|step| step.name.clone()).unwrap_or_default();
            let now = (progress.state(), progress.attempts, progress.overdue);
            if now.0 != StepState::Pending && self.said.insert(name, now) != Some(now) {
                self.line(&format!("[{since}] {}", step_line(progress)));
            }
        }
        // Once: the figures in it change all the time.
        if let (None, Some(why)) = (&self.at_risk, &run.rto_at_risk) {
            self.at_risk = Some(why.clone());
            self.line(&format!("[{since}] RTO at risk: {why}"));
        }
        if is_end {
            self.say_state(&run, &since);
        }
    }

    fn say_state(&mut self, run: &Run, since: &str) {
        if run.state() != self.state {
            self.state = run.state();
            self.line(&format!("[{since}] {}", self.headline(run)));
        }
    }

    fn line(&self, text: &str) {
        if self.context.out.is_for_people() {
            self.context.out.text(&format!("{text}\n"));
        } else {
            self.context.out.note(text);
        }
    }

    fn note(&self, text: &str) {
        let id = self.run.as_ref().map_or("", |run| run.id.as_str());
        self.context.out.note(&format!("{text} {id}"));
    }

    fn end(&mut self) {
        let Some(run) = &self.run else { return };
        if let Format::Json | Format::Yaml | Format::Name = self.context.global.output {
            let json = serde_json::json!({ "runs": [run_json(run)] });
            let names = vec![run.id.clone()];
            self.context.out.show(&super::output::View { json, text: String::new(), names });
            return;
        }
        if let Some(verdict) = &run.verdict {
            self.line(verdict);
        }
        for missed in missed(run) {
            self.line(&format!("objective missed: {missed}"));
        }
    }
}

/// What a person can do about it.
fn hint(run: &Run) -> String {
    match run.state() {
        RunState::AwaitingApproval => format!(" - waits for a person: failoverctl run approve {}", run.id),
        RunState::Announced => format!(" - to stop it: failoverctl run abort {}", run.id),
        RunState::Paused => format!(" - approve, retry, skip or abort: failoverctl describe run {}", run.id),
        _ => String::new(),
    }
}
