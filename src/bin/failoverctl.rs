//! The hand on the fleet: arguments and exit code only.

use std::process::ExitCode;

use clap::Parser;
use failoverd::cli::{self, Cli};

#[tokio::main]
async fn main() -> ExitCode {
    // One TLS provider for every connection of the process; a second installation is refused and changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    cli::run(Cli::parse()).await
}
