//! Following an execution of a drill: a line for every phase and every step, until it has its verdict.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tonic::Streaming;

use super::style::{duration, timestamp};
use super::view::{execution, step_line, what_to_do};
use super::{Client, Context, Failure, Format, Outcome};
use crate::api::proto::{DrillRun, StepState, WatchDrillRunRequest, WatchDrillRunResponse};

/// Before another daemon is asked after a stream broke.
const AGAIN: Duration = Duration::from_secs(1);
/// How long all daemons may be away before following is given up.
const AWAY: Duration = Duration::from_secs(60);

/// Follows an execution to its verdict; the outcome is the execution's. It has no limit but `--timeout`.
///
/// # Errors
/// When no daemon answers any more.
pub async fn follow(context: &Context, mut client: Client, id: &str) -> Result<Outcome, Failure> {
    let begun = Instant::now();
    let mut told =
        Told { context, phase: String::new(), waits_for: None, steps: BTreeMap::new(), at_risk: BTreeMap::new() };
    let mut revision = 0;
    let mut away_until = Instant::now() + AWAY;
    loop {
        let request = WatchDrillRunRequest { id: id.to_owned(), after_revision: revision };
        match client.status.watch_drill_run(request).await {
            Ok(answer) => {
                let mut stream = answer.into_inner();
                let ended = tokio::select! {
                    ended = one_stream(&mut stream, &mut told, &mut revision) => ended,
                    () = passed(context.global.timeout, begun) => Some(left(context, id, "still running")),
                    _ = tokio::signal::ctrl_c() => Some(left(context, id, "it goes on without you")),
                };
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
            if context.global.timeout.is_some_and(|timeout| begun.elapsed() > timeout) {
                return Ok(left(context, id, "still running, as far as known"));
            }
            sleep(AGAIN).await;
            match context.client().await {
                Ok(client) => break client,
                Err(failure) if Instant::now() > away_until => return Err(failure),
                Err(_) => {}
            }
        };
    }
}

/// Until the time that the command was given is over; without one, for ever.
async fn passed(timeout: Option<Duration>, begun: Instant) {
    match timeout {
        Some(timeout) => tokio::time::sleep_until(begun + timeout).await,
        None => std::future::pending().await,
    }
}

fn left(context: &Context, id: &str, how: &str) -> Outcome {
    let drill = id.rsplit_once('.').map_or(id, |(drill, _)| drill);
    context.out.note(&format!(
        "{how}; look with: failoverctl describe drill {drill}; to end it: failoverctl drill cancel {id}"
    ));
    Outcome::STILL_RUNNING
}

/// Until the execution is closed, or the stream breaks (`None`).
async fn one_stream(
    stream: &mut Streaming<WatchDrillRunResponse>,
    told: &mut Told<'_>,
    revision: &mut u64,
) -> Option<Outcome> {
    loop {
        let answer = stream.message().await.ok()??;
        *revision = answer.answered.as_ref().map_or(*revision, |answered| answered.revision);
        told.tell(&answer);
        let ended = answer.drill_run.as_ref().and_then(outcome);
        if ended.is_some() {
            told.end(&answer);
            return ended;
        }
    }
}

/// How the command ends when the execution stands so; `None`: not yet.
#[must_use]
pub fn outcome(run: &DrillRun) -> Option<Outcome> {
    if run.phase != "closed" {
        return None;
    }
    Some(match run.verdict.as_deref() {
        Some("passed") => Outcome::DONE,
        Some("objective-missed") => Outcome::OBJECTIVE_MISSED,
        Some("cancelled") => Outcome::ABORTED,
        Some("not-started") => Outcome::REFUSED,
        _ => Outcome::FAILED,
    })
}

/// What was said so far.
struct Told<'a> {
    context: &'a Context,
    phase: String,
    waits_for: Option<String>,
    steps: BTreeMap<(String, String), (StepState, u32, bool)>,
    at_risk: BTreeMap<String, String>,
}

impl Told<'_> {
    /// What is new, a line each.
    fn tell(&mut self, answer: &WatchDrillRunResponse) {
        let Some(execution) = &answer.drill_run else { return };
        let since = since(answer, execution);
        let closed = execution.phase == "closed";
        if !closed {
            self.tell_phase(execution, &since);
        }
        for run in &answer.runs {
            for progress in &run.steps {
                let step = progress.step.as_ref().map(|step| step.name.clone()).unwrap_or_default();
                let now = (progress.state(), progress.attempts, progress.overdue);
                let key = (run.id.clone(), step);
                if now.0 != StepState::Pending && self.steps.insert(key, now) != Some(now) {
                    self.line(&format!("[{since}] {} {}", run.id, step_line(progress)));
                }
            }
            if let Some(why) = &run.rto_at_risk
                && !self.at_risk.contains_key(&run.id)
            {
                self.at_risk.insert(run.id.clone(), why.clone());
                self.line(&format!("[{since}] {} RTO at risk: {why}", run.id));
            }
        }
        if closed {
            self.tell_phase(execution, &since);
        }
    }

    fn tell_phase(&mut self, run: &DrillRun, since: &str) {
        if self.phase == run.phase && self.waits_for == run.waits_for {
            return;
        }
        self.phase.clone_from(&run.phase);
        self.waits_for.clone_from(&run.waits_for);
        let verdict = run.verdict.as_ref().map_or_else(String::new, |verdict| format!(": {verdict}"));
        self.line(&format!(
            "[{since}] {} {} -> {} {}{verdict}{}",
            run.id,
            run.from,
            run.to,
            run.phase,
            what_to_do(run)
        ));
    }

    fn line(&self, text: &str) {
        if self.context.out.is_for_people() {
            self.context.out.text(&format!("{text}\n"));
        } else {
            self.context.out.note(text);
        }
    }

    fn end(&self, answer: &WatchDrillRunResponse) {
        let Some(run) = &answer.drill_run else { return };
        if let Format::Json | Format::Yaml | Format::Name = self.context.global.output {
            let style = self.context.out.style().at(answer.answered.as_ref());
            self.context.out.show(&execution(run, &answer.runs, style));
            return;
        }
        if let Some(sentence) = &run.sentence {
            self.line(sentence);
        }
        if let Some(ending) = run.ending.as_ref().filter(|ending| run.sentence.as_ref() != Some(*ending)) {
            self.line(&format!("ended early: {ending}"));
        }
    }
}

/// Time since the execution was opened, by the daemon's clock.
fn since(answer: &WatchDrillRunResponse, run: &DrillRun) -> String {
    let begun = run.opened_at.as_ref().map(timestamp).unwrap_or_default();
    let now = answer.answered.as_ref().and_then(|answered| answered.at.as_ref());
    duration(run.finished_at.as_ref().or(now).map_or(0, |at| timestamp(at).since(begun)))
}
