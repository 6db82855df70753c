//! What is promised about speed and size, measured: `make bench`. Every line says value, limit, and whether it held.
//!
//! Real disks, real sockets, release code. The machine should have nothing else to do.

#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

mod agreement;
mod deciding;
mod history;
mod idle;
mod switches;
mod trio;

use std::process::ExitCode;

/// One promise.
pub struct Measured {
    what: String,
    value: f64,
    limit: f64,
    /// Whether the value must reach the limit, not stay below it.
    at_least: bool,
    unit: &'static str,
}

impl Measured {
    pub fn new(what: impl Into<String>, value: f64, limit: f64, unit: &'static str) -> Self {
        Self { what: what.into(), value, limit, at_least: false, unit }
    }

    pub fn at_least(what: impl Into<String>, value: f64, limit: f64, unit: &'static str) -> Self {
        Self { at_least: true, ..Self::new(what, value, limit, unit) }
    }

    fn held(&self) -> bool {
        if self.at_least { self.value >= self.limit } else { self.value < self.limit }
    }

    fn print(&self) {
        let verdict = match (self.held(), self.limit.is_infinite()) {
            (_, true) => "",
            (true, _) => "ok",
            (false, _) if self.at_least => "UNDER",
            (false, _) => "OVER",
        };
        let limit = if self.limit.is_infinite() {
            String::new()
        } else {
            let sign = if self.at_least { ">=" } else { "<" };
            format!("{sign} {} {}", self.limit, self.unit)
        };
        println!("{:<62} {:>9.3} {:<3} {:<12} {verdict}", self.what, self.value, self.unit, limit);
    }
}

fn main() -> ExitCode {
    // `cargo test --all-targets` runs benches too; a debug build has nothing to say about speed.
    if cfg!(debug_assertions) {
        println!("measures nothing in a debug build: run `make bench`");
        return ExitCode::SUCCESS;
    }
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut held = true;
    // `cargo bench --bench promises -- switches` measures one part only.
    let part = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let wanted = |name: &str| part.as_ref().is_none_or(|part| part == name);
    let mut show = |measured: Vec<Measured>| {
        for one in measured {
            one.print();
            held &= one.held();
        }
    };
    if wanted("deciding") {
        show(deciding::tick());
        show(deciding::plan());
        show(deciding::explain());
    }
    if wanted("switches") {
        show(switches::answers());
        show(runtime.block_on(switches::turns()));
    }
    if wanted("agreement") {
        show(runtime.block_on(agreement::commits()));
        show(runtime.block_on(agreement::elections()));
    }
    if wanted("history") {
        show(runtime.block_on(history::history()));
    }
    if wanted("idle") {
        show(runtime.block_on(idle::memory()));
    }
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The value below which `share` of them lie.
pub fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a position in a short list")]
    let at = ((values.len() - 1) as f64 * share).round() as usize;
    values[at]
}

pub fn ms(took: std::time::Duration) -> f64 {
    took.as_secs_f64() * 1_000.0
}
