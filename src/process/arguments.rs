//! The command line of the daemon.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// The daemon of one AWS Region: watches services, agrees with the other Regions' daemons, and moves traffic and data.
#[derive(Debug, Parser)]
#[command(name = "failoverd", version, after_help = "docs/configuration.md describes the file and the variables.")]
pub struct Arguments {
    /// What to do instead of running
    #[command(subcommand)]
    pub instead: Option<Instead>,
    /// Configuration file; FAILOVERD_ variables override it
    #[arg(long, value_name = "FILE", env = "FAILOVERD_CONFIG", global = true)]
    pub config: Option<PathBuf>,
    /// Check the configuration and what it names, and exit
    #[arg(long)]
    pub check: bool,
    /// Print the effective configuration, passwords hidden, and exit
    #[arg(long)]
    pub dump_config: bool,
    /// Allow to start without TLS, on loopback only
    #[arg(long)]
    pub dev: bool,
    /// On an empty data_dir: wait to be added to the fleet of this generation instead of forming one
    #[arg(long, value_name = "GENERATION")]
    pub join: Option<u64>,
}

/// What the daemon's binary does beside running.
#[derive(Debug, Subcommand)]
pub enum Instead {
    /// Recover the fleet when so many daemons are gone for good that no majority is left
    Recover(Recover),
}

/// Disaster recovery of the fleet.
#[derive(Debug, clap::Args)]
pub struct Recover {
    /// Make one daemon a fleet of its own, in a new generation: the one that is left, with its process stopped, or with
    /// --from one that begins from a backup
    #[arg(long, required = true)]
    pub force_new_fleet: bool,
    /// Every disk is lost: begin from this backup (failoverctl fleet backup), on an empty data_dir
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// With --from: the generation that begins, above any that the fleet was in; by default the minute of now
    #[arg(long, value_name = "NUMBER", requires = "from")]
    pub generation: Option<u64>,
    /// With --from: read what was agreed after the backup in this Postgres too, beside that of the configuration
    #[arg(long, value_name = "URL", requires = "from", conflicts_with = "without_history")]
    pub history: Vec<String>,
    /// With --from: there is no history in Postgres that could be read any more
    #[arg(long, requires = "from")]
    pub without_history: bool,
    /// Do it: the name of the fleet
    #[arg(long, value_name = "FLEET")]
    pub yes: Option<String>,
}
