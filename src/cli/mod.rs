//! `failoverctl`: the hand on the fleet. Knows the generated client, nothing of a daemon's inside.
//!
//! What goes to stdout can be read by a script; everything else goes to stderr. Exit codes are fixed:
//! 0 done · 1 failed · 2 usage or invalid input · 3 refused by a guard · 4 not allowed · 5 outcome unknown ·
//! 6 cancelled or aborted · 7 finished, but an objective was missed · 8 still running.

mod client;
mod commands;
mod confirm;
mod context;
mod drill_progress;
mod failure;
mod global;
pub mod output;
mod progress;
pub mod report;
mod signing;
mod style;
pub mod view;

#[cfg(test)]
mod end_to_end;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod golden;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use client::Client;
pub use context::Context;
pub use failure::{Failure, Outcome};
pub use global::{Format, Global};
use output::Output;
pub use style::Style;

/// Moves services between AWS Regions, and says what would happen, how long it takes and how much is lost.
#[derive(Debug, Parser)]
#[command(name = "failoverctl", version, max_term_width = 110)]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The fleet at a glance, and what would happen if each Region vanished now
    Status(commands::status::StatusArgs),
    /// Lists: services, regions, switches, runs, drills, epochs, guards
    Get(commands::get::GetArgs),
    /// One thing whole: why it is in its state
    Describe(commands::describe::DescribeArgs),
    /// Applies manifests, all or none; never changes who serves
    Apply(commands::apply::ApplyArgs),
    /// Forgets a service or a drill; AWS resources stay
    Delete(commands::delete::DeleteArgs),
    /// Prints what is applied, as manifests
    Export(commands::export::ExportArgs),
    /// What a failover would do; changes nothing
    Plan(commands::plan::PlanArgs),
    /// Starts a run that moves a service to another Region
    Failover(commands::failover::FailoverArgs),
    /// Moves a service back to the first Region of its manifest
    Failback(commands::failback::FailbackArgs),
    /// Takes a Region out of service, for all services there or some
    Evacuate(commands::region::RegionArgs),
    /// Brings a Region back into service, for all services at home there or some
    Restore(commands::region::RegionArgs),
    /// Works on a run: watch, approve, abort, retry, skip
    Run(commands::run::RunArgs),
    /// GameDays: run, cancel, list, schedule, report
    Drill(commands::drill::DrillArgs),
    /// Turns a switch by hand
    Switch(commands::switch::SwitchArgs),
    /// A forced move that enrolled people sign together, when nobody can sign in: keygen, request, sign, submit
    BreakGlass(commands::break_glass::BreakGlassArgs),
    /// Automatic action off, for a service or the whole fleet; observing goes on
    Pause(commands::pause::PauseArgs),
    /// Automatic action on again
    Resume(commands::pause::PauseArgs),
    /// What happened, newest first, from the history database
    History(commands::history::HistoryArgs),
    /// What a run did, how long it took and what was lost
    Report(commands::report::ReportArgs),
    /// What Route 53 would answer, and why: explain
    Route(commands::route::RouteArgs),
    /// The least-privilege IAM policy for what is applied
    IamPolicy(commands::iam_policy::IamPolicyArgs),
    /// The daemons themselves: list, backup, confirm, replace, add, remove
    Fleet(commands::fleet::FleetArgs),
    /// How much a daemon logs, changed for a while: show, set, reset
    Log(commands::log::LogArgs),
    /// A whole fleet on this machine, on a simulated AWS: demo, up, break, heal
    Sandbox(commands::sandbox::SandboxArgs),
    /// Prints the completion script of a shell
    Completion(commands::completion::CompletionArgs),
}

/// Runs one command and says how it ended.
pub async fn run(cli: Cli) -> ExitCode {
    let out = Output::new(&cli.global);
    let context = Context { global: cli.global, out };
    match dispatch(&context, cli.command).await {
        Ok(outcome) => ExitCode::from(outcome.0),
        Err(failure) => {
            context.out.failure(&failure);
            ExitCode::from(failure.exit)
        }
    }
}

async fn dispatch(context: &Context, command: Command) -> Result<Outcome, Failure> {
    let is_document = matches!(context.global.output, Format::Html | Format::Md);
    if is_document && !matches!(command, Command::Report(_) | Command::Drill(_)) {
        return Err(Failure::usage("-o html and -o md are for `report` and `drill report`")
            .hint("use -o table, wide, json, yaml or name"));
    }
    if context.global.output == Format::Shell && !matches!(command, Command::Plan(_)) {
        return Err(Failure::usage("-o shell is for `plan`").hint("use -o table, wide, json, yaml or name"));
    }
    match command {
        Command::Status(args) => commands::status::run(context, args).await,
        Command::Get(args) => commands::get::run(context, args).await,
        Command::Describe(args) => commands::describe::run(context, args).await,
        Command::Apply(args) => commands::apply::run(context, args).await,
        Command::Delete(args) => commands::delete::run(context, args).await,
        Command::Export(args) => commands::export::run(context, args).await,
        Command::Plan(args) => commands::plan::run(context, args).await,
        Command::Failover(args) => commands::failover::run(context, args).await,
        Command::Failback(args) => commands::failback::run(context, args).await,
        Command::Evacuate(args) => commands::region::evacuate(context, args).await,
        Command::Restore(args) => commands::region::restore(context, args).await,
        Command::Run(args) => commands::run::run(context, args).await,
        Command::Drill(args) => commands::drill::run(context, args).await,
        Command::Switch(args) => commands::switch::run(context, args).await,
        Command::BreakGlass(args) => commands::break_glass::run(context, args).await,
        Command::Pause(args) => commands::pause::pause(context, args).await,
        Command::Resume(args) => commands::pause::resume(context, args).await,
        Command::History(args) => commands::history::run(context, args).await,
        Command::Report(args) => commands::report::run(context, args).await,
        Command::Route(args) => commands::route::run(context, args).await,
        Command::IamPolicy(args) => commands::iam_policy::run(context, args).await,
        Command::Fleet(args) => commands::fleet::run(context, args).await,
        Command::Log(args) => commands::log::run(context, args).await,
        Command::Sandbox(args) => commands::sandbox::run(context, args).await,
        Command::Completion(args) => Ok(commands::completion::run(context, &args)),
    }
}
