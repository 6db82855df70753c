//! Loss: a bound before, a receipt after. Never a number without where it comes from.

use serde::{Deserialize, Serialize};

use crate::ids::StoreName;

/// What may be lost, and what was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Loss {
    /// Store.
    pub store: StoreName,
    /// Upper bound before the promotion; absent when nobody can say.
    pub bound: Option<u64>,
    /// What was really lost; absent until known, or for ever.
    pub measured: Option<u64>,
    /// Unit of both: milliseconds of writes.
    pub unit: LossUnit,
    /// Where the figures come from, or why there are none.
    pub reason: String,
}

/// Unit of a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LossUnit {
    /// Milliseconds of writes.
    Ms,
}
