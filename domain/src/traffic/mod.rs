//! The record fence, desired records and checks, and what settlement has to write.
