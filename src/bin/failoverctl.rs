//! The hand on the fleet: arguments and exit code only.

use std::process::ExitCode;

use clap::Parser;
use failoverd::cli::{self, Cli};

#[tokio::main]
async fn main() -> ExitCode {
    cli::run(Cli::parse()).await
}
