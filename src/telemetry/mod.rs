//! What operators see of a daemon from outside: metrics, traces, and how much it logs.
//!
//! [`Meters`] count what happens; [`Exposition`] adds what is agreed and seen at the moment of a scrape. Every metric is
//! defined in `defined.rs` and nowhere else; `docs/metrics.md` says what each means.

mod defined;
mod exposition;
mod journal;
mod logs;
mod metered;
mod meters;
mod otlp;
mod page;
mod scrape;
mod trace;

pub use defined::{Defined, Kind, all as defined};
pub use exposition::{Exposition, Standing};
pub use logs::{LogControl, LogFilterError, Logs};
pub use metered::MeteredAgreement;
pub use meters::{Answer, BudgetLevel, BudgetLevels, CallOutcome, Meters};
pub use otlp::{OtlpError, OtlpSettings, Spans};
pub use trace::{CallSpan, SpanOf, current, within};

use std::sync::Arc;

use failoverd_domain::time::Timestamp;

/// How a daemon is watched from outside.
#[derive(Clone)]
pub struct Telemetry {
    /// What is counted.
    pub meters: Arc<Meters>,
    /// How much is logged.
    pub logs: LogControl,
}

impl Telemetry {
    /// Counts from `started_at` on, exports no traces and changes no log: for daemons that share a process, and for tests.
    #[must_use]
    pub fn counting(started_at: Timestamp) -> Self {
        Self { meters: Meters::new(started_at, None), logs: LogControl::fixed() }
    }
}
