//! Everything that is wrong with a configuration, as one error.

use std::fmt;

use failoverd_domain::manifest::{Problem, in_order};

/// Everything that is wrong; shown one problem a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigReport {
    /// In the order of file and line; never empty.
    pub problems: Vec<Problem>,
}

impl ConfigReport {
    /// A report of these problems.
    #[must_use]
    pub fn new(problems: Vec<Problem>) -> Self {
        Self { problems: in_order(problems) }
    }
}

impl fmt::Display for ConfigReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.problems.iter().enumerate() {
            let end = if at + 1 < self.problems.len() { "\n" } else { "" };
            write!(f, "{problem}{end}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigReport {}
