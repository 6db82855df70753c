//! `run`: work on a run.

use clap::{Args, Subcommand};
use tonic::{Response, Status};

use crate::api::proto::{AbortRunRequest, ApproveRunRequest, GetRunRequest, RunResponse, StepRequest, Trigger};
use crate::cli::confirm::confirm;
use crate::cli::{Client, Context, Failure, Outcome, progress, view};

/// Arguments of `run`.
#[derive(Args, Debug)]
pub struct RunArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show its progress until it ends; exits as the run ended
    Watch(Which),
    /// Consent to a run, or to an execution of a drill (checkout-monthly.3), that waits for a person
    Approve(Which),
    /// Put back before the point of no return; stop and say where things are after it
    Abort {
        #[command(flatten)]
        which: Which,
        /// Why, for the record
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Try a failed step again
    Retry(WhichStep),
    /// Go on without a failed step; fence and verify steps cannot be skipped
    Skip(WhichStep),
}

#[derive(Args, Debug)]
struct Which {
    /// Run
    run: String,
}

#[derive(Args, Debug)]
struct WhichStep {
    /// Run
    run: String,
    /// Step [default: the only failed one]
    #[arg(long, value_name = "STEP")]
    step: Option<String>,
}

/// Works on a run.
///
/// # Errors
/// See exit codes.
pub async fn run(context: &Context, args: RunArgs) -> Result<Outcome, Failure> {
    let mut client = context.client().await?;
    match args.action {
        Action::Watch(which) => {
            let known = client.status.get_run(GetRunRequest { id: which.run.clone() }).await;
            known.map_err(Failure::of_read)?;
            progress::follow(context, client, &which.run).await
        }
        Action::Approve(which) => {
            let answer = client.control.approve_run(ApproveRunRequest { run: which.run }).await;
            if let Some(execution) = answer.as_ref().ok().and_then(|answer| answer.get_ref().drill_run.as_ref()) {
                context.out.show(&view::execution(execution, &[], context.out.style()));
                return Ok(Outcome::DONE);
            }
            show(context, answer)
        }
        Action::Abort { which, reason } => {
            let answer = client.control.abort_run(AbortRunRequest { run: which.run, reason }).await;
            let service = answer.as_ref().ok().and_then(|answer| automatic(answer.get_ref()));
            let ended = show(context, answer)?;
            if let Some(service) = service {
                context.out.note(&format!(
                    "after the cooldown the fleet decides anew; to hold it still: failoverctl pause {service}"
                ));
            }
            Ok(ended)
        }
        Action::Retry(it) => {
            let answer = client.control.retry_step(StepRequest { run: it.run, step: it.step }).await;
            show(context, answer)
        }
        Action::Skip(it) => skip(context, &mut client, it).await,
    }
}

async fn skip(context: &Context, client: &mut Client, which: WhichStep) -> Result<Outcome, Failure> {
    let known = client.status.get_run(GetRunRequest { id: which.run.clone() }).await.map_err(Failure::of_read)?;
    let service = known.into_inner().run.unwrap_or_default().service;
    let step = which.step.as_deref().unwrap_or("its failed step");
    confirm(context, &format!("go on with {} without {step}", which.run), &service)?;
    show(context, client.control.skip_step(StepRequest { run: which.run, step: which.step }).await)
}

/// The service of a run that the fleet began by itself.
fn automatic(answer: &RunResponse) -> Option<String> {
    answer.run.as_ref().filter(|run| run.trigger() == Trigger::Automatic).map(|run| run.service.clone())
}

fn show(context: &Context, answer: Result<Response<RunResponse>, Status>) -> Result<Outcome, Failure> {
    let run = answer.map_err(Failure::of_change)?.into_inner().run.unwrap_or_default();
    context.out.show(&view::runs(std::slice::from_ref(&run), context.out.style()));
    Ok(Outcome::DONE)
}
