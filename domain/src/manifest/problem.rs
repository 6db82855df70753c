//! What is wrong with an input, and where.

use std::cell::RefCell;
use std::fmt;

/// More than this many problems in one report help nobody.
const MOST: usize = 100;

/// One thing that is wrong: where, why, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// File as the user named it, or the environment variable.
    pub file: String,
    /// Counted from 1; 0 when the problem has no line (a whole file, a variable).
    pub line: usize,
    /// Path of the field, for example `spec.regions[1]`; empty for the whole input.
    pub path: String,
    /// Why it is refused and what to do.
    pub message: String,
}

impl Problem {
    /// A problem of the whole file.
    pub fn of_file(file: &str, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line: 0, path: String::new(), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file)?;
        if self.line > 0 {
            write!(f, "{}:", self.line)?;
        }
        if !self.path.is_empty() {
            write!(f, " {}:", self.path)?;
        }
        write!(f, " {}", self.message)
    }
}

/// Collects the problems of one input while it is read.
#[derive(Debug)]
pub struct Findings {
    file: String,
    problems: RefCell<Vec<Problem>>,
}

impl Findings {
    /// For the input of that name.
    #[must_use]
    pub fn new(file: &str) -> Self {
        Self { file: file.to_owned(), problems: RefCell::default() }
    }

    /// Takes a problem of this input.
    pub fn add(&self, line: usize, path: &str, message: impl Into<String>) {
        let problem = Problem { file: self.file.clone(), line, path: path.to_owned(), message: message.into() };
        self.problems.borrow_mut().push(problem);
    }

    /// Takes a problem of an environment variable.
    pub fn add_of_variable(&self, variable: &str, path: &str, message: impl Into<String>) {
        let problem = Problem { file: variable.to_owned(), line: 0, path: path.to_owned(), message: message.into() };
        self.problems.borrow_mut().push(problem);
    }

    /// How many there are so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.problems.borrow().len()
    }

    /// All of them, as they were found; [`in_order`] makes a report of them.
    #[must_use]
    pub fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }
}

/// Problems of one report by file and line, bounded: the last one says how many were left out.
#[must_use]
pub fn in_order(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    if problems.len() > MOST {
        let left = problems.len() - MOST;
        let file = problems[MOST].file.clone();
        problems.truncate(MOST);
        problems.push(Problem::of_file(&file, format!("and {left} more problems; solve these first")));
    }
    problems
}
