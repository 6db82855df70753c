//! One test file for Route 53.
