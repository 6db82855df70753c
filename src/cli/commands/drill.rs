//! `drill`.

use clap::{Args, Subcommand};

use super::report::{DrillReportArgs, drill_report};
use crate::cli::{Context, Failure, Outcome};

/// Arguments of `drill`.
#[derive(Args, Debug)]
pub struct DrillArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// What an execution did: verdict, objectives, steps, curves, comparison; -o html for one file to hand on
    Report(DrillReportArgs),
}

/// Works on drills.
///
/// # Errors
/// See the actions.
pub async fn run(context: &Context, args: DrillArgs) -> Result<Outcome, Failure> {
    match args.action {
        Action::Report(args) => drill_report(context, args).await,
    }
}
