//! The command line of the daemon.

use std::path::PathBuf;

use clap::Parser;

/// The daemon of one AWS Region: watches services, agrees with the other Regions' daemons, and moves traffic and data.
#[derive(Debug, Parser)]
#[command(name = "failoverd", version, after_help = "docs/configuration.md describes the file and the variables.")]
pub struct Arguments {
    /// Configuration file; FAILOVERD_ variables override it
    #[arg(long, value_name = "FILE", env = "FAILOVERD_CONFIG")]
    pub config: PathBuf,
    /// Check the configuration and what it names, and exit
    #[arg(long)]
    pub check: bool,
    /// Print the effective configuration, passwords hidden, and exit
    #[arg(long)]
    pub dump_config: bool,
    /// Allow to start without TLS, on loopback only
    #[arg(long)]
    pub dev: bool,
}
