//! A "no" in AWS's own words.

/// An error that the simulated AWS answers with. The call had no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({code})")]
pub struct Refusal {
    /// AWS's error code.
    pub code: &'static str,
    /// AWS's words, or close to them.
    pub message: String,
    /// Whether the same call could succeed later.
    pub retryable: bool,
}

impl Refusal {
    /// One that trying again does not help.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retryable: false }
    }

    /// One that may pass later: throttling, something in progress, a server's own trouble.
    pub fn later(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retryable: true }
    }
}
