//! `whole::Host::protos`, see docs/fuzzing.md.

#![no_main]

#[path = "../bodies/whole.rs"]
#[allow(dead_code, reason = "one of several")]
mod whole;

thread_local! {
    static HOST: whole::Host = whole::Host::start();
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| HOST.with(|host| host.protos(data)));
