//! A run as a trace, out of its journal: whole even if three daemons led it.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use failoverd_domain::fleet::{FleetState, Run, RunState, StepProgress, StepState};
use failoverd_domain::ids::{FleetId, RunId};
use failoverd_domain::plan::{Mode, Step};
use failoverd_domain::time::Timestamp;
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;
use tokio::sync::watch;

use super::otlp::{Ended, Spans, text};
use super::trace::SpanOf;
use crate::ports::Leadership;

impl Spans {
    /// Exports runs as they end, while this daemon leads. Runs for ever.
    pub async fn follow(
        self: Arc<Self>,
        mut state: watch::Receiver<Arc<FleetState>>,
        leadership: watch::Receiver<Leadership>,
    ) {
        let mut ended: BTreeSet<RunId> = BTreeSet::new();
        let mut is_first = true;
        loop {
            let now = state.borrow_and_update().clone();
            let closed = now.runs.values().filter(|run| run.state.is_closed());
            let known: BTreeSet<RunId> = closed.clone().map(|run| run.id.clone()).collect();
            if !is_first && leadership.borrow().is_me {
                for run in closed.filter(|run| !ended.contains(&run.id)) {
                    self.run(&now.fleet, run);
                }
            }
            // What had ended before this daemon caught up was another's to export.
            is_first = is_first && !leadership.borrow().caught_up;
            ended = known;
            if state.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// The spans of one run.
    fn run(&self, fleet: &FleetId, run: &Run) {
        let whole = SpanOf::run(fleet, run);
        let ended = run.finished_at.unwrap_or(run.decided_at);
        let failed = (run.state != RunState::Succeeded).then(|| run.state.word());
        let moments = [
            (run.breach_at, "breach"),
            (Some(run.decided_at), "decided"),
            (run.started_at, "started"),
            (run.verified_at, "verified"),
        ];
        self.end(Ended {
            of: whole,
            parent: None,
            kind: SpanKind::Internal,
            name: Cow::Owned(format!("run {}", run.service)),
            begun: run.breach_at.unwrap_or(run.decided_at),
            ended,
            attributes: of_run(run),
            events: moments.into_iter().filter_map(|(at, name)| Some((at?, name))).collect(),
            error: failed,
        });
        let part = |name: &'static str, begun: Option<Timestamp>, ended: Option<Timestamp>| {
            let Some((begun, ended)) = begun.zip(ended) else { return };
            self.end(Ended {
                of: SpanOf::part(fleet, run, name),
                parent: Some(whole),
                kind: SpanKind::Internal,
                name: Cow::Borrowed(name),
                begun,
                ended,
                attributes: Vec::new(),
                events: Vec::new(),
                error: None,
            });
        };
        part("detect", run.breach_at, Some(run.decided_at));
        part("announce", Some(run.decided_at), run.started_at);
        for step in &run.plan.steps {
            self.step(fleet, run, step, whole, ended);
        }
    }

    fn step(&self, fleet: &FleetId, run: &Run, step: &Step, whole: SpanOf, run_ended: Timestamp) {
        let progress = run.progress(&step.name);
        let Some(begun) = progress.started_at else { return };
        let failed = matches!(progress.state, StepState::Failed | StepState::Unknown);
        let why = progress.note.as_deref().unwrap_or_else(|| progress.state.word());
        self.end(Ended {
            of: SpanOf::step(fleet, run, &step.name),
            parent: Some(whole),
            kind: SpanKind::Internal,
            name: Cow::Owned(format!("step {}", step.name)),
            begun,
            // An open one was left when the run was stopped.
            ended: progress.finished_at.unwrap_or(run_ended),
            attributes: of_step(step, &progress),
            events: Vec::new(),
            error: failed.then_some(why),
        });
    }
}

fn of_run(run: &Run) -> Vec<KeyValue> {
    let mut attributes = vec![
        text("failoverd.run", &run.id),
        text("failoverd.service", &run.service),
        KeyValue::new("failoverd.trigger", run.trigger.word()),
        text("failoverd.actor", &run.actor),
        text("failoverd.from", &run.plan.from),
        text("failoverd.to", &run.plan.to),
        KeyValue::new("failoverd.mode", mode(run.plan.mode)),
        KeyValue::new("failoverd.state", run.state.word()),
    ];
    if let Some(epoch) = run.epoch {
        attributes.push(number("failoverd.epoch", epoch.0));
    }
    if let Some(rto_ms) = run.rto_ms() {
        attributes.push(number("failoverd.rto_ms", rto_ms));
    }
    attributes
}

fn of_step(step: &Step, progress: &StepProgress) -> Vec<KeyValue> {
    let mut attributes = vec![
        text("failoverd.step", &step.name),
        KeyValue::new("failoverd.kind", step.kind.word()),
        text("cloud.region", &step.region),
        KeyValue::new("failoverd.critical", step.critical),
        KeyValue::new("failoverd.state", progress.state.word()),
        number("failoverd.attempts", u64::from(progress.attempts)),
    ];
    if let Some(intent) = &progress.intent {
        attributes.push(text("failoverd.by", &intent.by));
    }
    if let Some(note) = &progress.note {
        attributes.push(text("failoverd.note", note));
    }
    attributes
}

const fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Graceful => "graceful",
        Mode::Forced => "forced",
    }
}

fn number(key: &'static str, value: u64) -> KeyValue {
    KeyValue::new(key, i64::try_from(value).unwrap_or(i64::MAX))
}
