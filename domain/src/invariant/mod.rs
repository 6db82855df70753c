//! I1–I9 as functions.
