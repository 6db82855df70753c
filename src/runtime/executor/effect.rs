//! What every step can do: look, and act.

use std::time::Duration;

use async_trait::async_trait;
use failoverd_domain::traffic::AnswerSeen;

use crate::ports::CallError;

/// One step's effect on the world. Looking changes nothing and may be done at any time, by any leader.
#[async_trait]
pub(super) trait Effect: Send + Sync {
    /// Whether the effect is there.
    async fn look(&self) -> Look;
    /// Makes it so: one mutating call at most. Steps that only wait have nothing to do.
    async fn act(&self) -> Result<(), CallError> {
        Ok(())
    }
    /// Whether [`Self::act`] reaches the outside at all.
    fn acts(&self) -> bool {
        true
    }
    /// Longest wait between two looks.
    fn looks_at_least_every(&self) -> Duration {
        Duration::from_secs(5)
    }
    /// What each daemon was answered, where that is what was looked for.
    fn seen(&self) -> Vec<AnswerSeen> {
        Vec::new()
    }
}

/// What a look found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// The effect is there; what was found, for people.
    Done(String),
    /// It is on its way.
    UnderWay(String),
    /// It is not there.
    NotDone(String),
    /// Nobody could be asked.
    CannotTell(String),
}
