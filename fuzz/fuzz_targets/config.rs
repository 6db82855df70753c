//! `whole::config`, see docs/fuzzing.md.

#![no_main]

#[path = "../bodies/whole.rs"]
#[allow(dead_code, reason = "one of several")]
mod whole;

libfuzzer_sys::fuzz_target!(|data: &[u8]| whole::config(data));
