//! `drill`: GameDays.

use clap::{Args, Subcommand};

use super::report::{DrillReportArgs, drill_report};
use crate::api::proto::{CancelDrillRequest, Drill, GetDrillRequest, ListDrillsRequest, RunDrillRequest};
use crate::cli::confirm::confirm;
use crate::cli::{Client, Context, Failure, Outcome, drill_progress, view};

/// Arguments of `drill`.
#[derive(Args, Debug)]
pub struct DrillArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Begin a drill now
    Run {
        /// Drill
        name: String,
        /// Show its progress until it is back and has its verdict; exits as the drill ended. Waits for as long as it
        /// takes, unless --timeout says otherwise
        #[arg(long)]
        wait: bool,
    },
    /// End a drill that runs: it returns
    Cancel {
        /// Drill, or one execution of it, like checkout-monthly.3
        name: String,
        /// Why, for the record
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// What is applied, when each begins next, and how the last one ended
    List,
    /// What an execution did: verdict, objectives, steps, curves, comparison; -o html for one file to hand on
    Report(DrillReportArgs),
    /// When drills begin by themselves, and what falls on these times
    Schedule {
        /// Only this drill
        name: Option<String>,
        /// How many times of each
        #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
        count: u32,
    },
}

/// Runs, cancels and lists drills.
///
/// # Errors
/// See exit codes.
pub async fn run(context: &Context, args: DrillArgs) -> Result<Outcome, Failure> {
    let mut client = context.client().await?;
    match args.action {
        Action::Report(args) => drill_report(context, args).await,
        Action::Run { name, wait } => begin(context, client, name, wait).await,
        Action::Cancel { name, reason } => {
            let answer = client.control.cancel_drill(CancelDrillRequest { run: name, reason }).await;
            let run = answer.map_err(Failure::of_change)?.into_inner().run.unwrap_or_default();
            context.out.show(&view::execution(&run, &[], context.out.style()));
            Ok(Outcome::DONE)
        }
        Action::List => {
            let (drills, style) = list(context, &mut client, 0).await?;
            context.out.show(&view::drills(&drills, style));
            Ok(Outcome::DONE)
        }
        Action::Schedule { name, count } => {
            let (mut drills, style) = list(context, &mut client, count).await?;
            if let Some(name) = name {
                drills.retain(|drill| drill.name == name);
                if drills.is_empty() {
                    return Err(Failure::usage(format!("no drill named \"{name}\" is applied")));
                }
            }
            context.out.show(&view::schedule(&drills, style));
            Ok(Outcome::DONE)
        }
    }
}

async fn list(
    context: &Context,
    client: &mut Client,
    openings: u32,
) -> Result<(Vec<Drill>, crate::cli::Style), Failure> {
    let request = ListDrillsRequest { service: None, openings };
    let answer = client.status.list_drills(request).await.map_err(Failure::of_read)?.into_inner();
    let style = context.out.style().at(answer.answered.as_ref());
    Ok((answer.drills, style))
}

async fn begin(context: &Context, mut client: Client, name: String, wait: bool) -> Result<Outcome, Failure> {
    let known = client.status.get_drill(GetDrillRequest { name: name.clone() }).await.map_err(Failure::of_read)?;
    let drill = known.into_inner().drill.unwrap_or_default();
    // A simulation touches nothing.
    if drill.kind != "simulate" {
        let to = drill.to.as_ref().map_or_else(String::new, |to| format!(", to {to}"));
        let what = format!("drill {} for real ({}{to}, hold {})", drill.service, drill.kind, held(&drill));
        confirm(context, &what, &drill.service)?;
    }
    let answer = client.control.run_drill(RunDrillRequest { drill: name }).await.map_err(Failure::of_change)?;
    let run = answer.into_inner().run.unwrap_or_default();
    if wait {
        return drill_progress::follow(context, client, &run.id).await;
    }
    context.out.show(&view::execution(&run, &[], context.out.style()));
    if context.out.is_for_people() {
        context.out.note(&format!("look at it with: failoverctl describe drill {}", run.drill));
    }
    Ok(Outcome::DONE)
}

fn held(drill: &Drill) -> String {
    crate::cli::style::duration(drill.hold_ms)
}
