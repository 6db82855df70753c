//! Simulations of a service's plan against a copy of what is seen now.

use std::sync::Arc;

use async_trait::async_trait;
use failoverd_domain::drill::DrillRun;
use failoverd_domain::fleet::FleetState;
use failoverd_domain::health::{Matrix, View};
use failoverd_domain::time::Timestamp;

/// What a simulation starts from.
#[derive(Clone)]
pub struct Observed {
    /// By the clock of whoever asks.
    pub now: Timestamp,
    /// What is agreed.
    pub state: Arc<FleetState>,
    /// What is seen.
    pub matrix: Arc<Matrix>,
    /// By whom, and by which limits.
    pub view: View,
}

/// How a simulation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rehearsed {
    /// Whether the service came through.
    pub passed: bool,
    /// In a sentence.
    pub sentence: String,
    /// From the loss to verified answers, virtual milliseconds.
    pub rto_ms: Option<u64>,
    /// What happened, in order.
    pub told: Vec<String>,
}

/// Whoever can simulate. Touches nothing real.
#[async_trait]
pub trait Rehearsals: Send + Sync {
    /// Lets the Region that the execution leaves be lost. Ends within a minute or so.
    async fn rehearse(&self, drill: &DrillRun, observed: Observed) -> Rehearsed;
}
