//! `domain::backups`, see docs/fuzzing.md.

#![no_main]

#[path = "../bodies/domain.rs"]
#[allow(dead_code, reason = "one of several")]
mod domain;

libfuzzer_sys::fuzz_target!(|data: &[u8]| domain::backups(data));
