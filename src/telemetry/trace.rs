//! Ids of traces, and whose step is being carried out.
//!
//! A run is one trace. Its ids follow from the run itself, so the spans of whichever daemon led at the time, and the log
//! lines of all of them, belong together without anybody passing ids around.

use std::time::Duration;

use failoverd_domain::fleet::Run;
use failoverd_domain::ids::{FleetId, Region, StepName};
use sha2::{Digest, Sha256};

use super::CallOutcome;

/// A span that others are children of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanOf {
    /// The run's trace.
    pub trace: [u8; 16],
    /// The span in it.
    pub span: [u8; 8],
}

impl SpanOf {
    /// The whole run.
    #[must_use]
    pub fn run(fleet: &FleetId, run: &Run) -> Self {
        Self::part(fleet, run, "run")
    }

    /// One of its steps.
    #[must_use]
    pub fn step(fleet: &FleetId, run: &Run, step: &StepName) -> Self {
        Self::part(fleet, run, &format!("step/{step}"))
    }

    /// Some other part of it.
    pub(super) fn part(fleet: &FleetId, run: &Run, part: &str) -> Self {
        // Numbers of runs begin anew in a fleet that begins anew: when it was decided tells them apart.
        let name = format!("{fleet}/{}/{}", run.id, run.decided_at.0);
        Self { trace: first_bytes(&name), span: first_bytes(&format!("{name}/{part}")) }
    }

    /// The trace's id as collectors write it.
    #[must_use]
    pub fn trace_id(&self) -> String {
        self.trace.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn first_bytes<const N: usize>(text: &str) -> [u8; N] {
    let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    std::array::from_fn(|at| digest.get(at).copied().unwrap_or_default())
}

tokio::task_local! {
    static ON_BEHALF: SpanOf;
}

/// Does something on behalf of a step: calls to AWS in it become children of the step's span.
pub async fn within<F: Future>(step: SpanOf, doing: F) -> F::Output {
    ON_BEHALF.scope(step, doing).await
}

/// The step on whose behalf this is done, if any.
#[must_use]
pub fn current() -> Option<SpanOf> {
    ON_BEHALF.try_with(|step| *step).ok()
}

/// A call to AWS that ended.
#[derive(Clone, Copy, Debug)]
pub struct CallSpan<'a> {
    /// `rds`, `route53` …
    pub service: &'static str,
    /// `FailoverGlobalCluster` …
    pub operation: &'static str,
    /// The Region asked.
    pub region: &'a Region,
    /// Whether it changes something.
    pub acts: bool,
    /// How it ended.
    pub outcome: CallOutcome,
    /// AWS's error code, or ours; `ok`.
    pub code: &'a str,
    /// AWS's id of the request, where there was an answer.
    pub request_id: &'a str,
    /// How long it took.
    pub took: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_what_is_done_within_a_step_belongs_to_it() {
        let step = SpanOf { trace: [1; 16], span: [2; 8] };
        assert_eq!(current(), None);
        within(step, async { assert_eq!(current(), Some(step)) }).await;
        assert_eq!(current(), None);
    }
}
