//! `failover`.

use clap::Args;

use super::plan::{ModeArg, mode};
use crate::api::proto::{FailoverRequest, PlanRequest, PlanResponse, Run};
use crate::cli::confirm::confirm;
use crate::cli::{Client, Context, Failure, Outcome, progress, view};

/// Arguments of `failover`.
#[derive(Args, Debug)]
pub struct FailoverArgs {
    /// Service
    service: String,
    /// Region to move it to
    #[arg(long, value_name = "REGION")]
    to: Option<String>,
    /// Graceful loses nothing and may refuse; forced goes on without the old Region [default: forced when it is broken]
    #[arg(long, value_enum)]
    mode: Option<ModeArg>,
    /// Why, for the record
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// Refuse unless the plan still has this hash
    #[arg(long, value_name = "HASH")]
    plan: Option<String>,
    /// Show its progress and wait for its end
    #[arg(long)]
    wait: bool,
}

impl FailoverArgs {
    /// The way back.
    pub(super) const fn back(service: String, to: String, mode: ModeArg, reason: String, wait: bool) -> Self {
        Self { service, to: Some(to), mode: Some(mode), reason, plan: None, wait }
    }
}

/// Starts a run, and with `--wait` ends as the run ends.
///
/// # Errors
/// See exit codes.
pub async fn run(context: &Context, mut args: FailoverArgs) -> Result<Outcome, Failure> {
    let mut client = context.client().await?;
    if !context.global.yes {
        let seen = look(context, &mut client, &args).await?;
        let what = format!("move {} from {} to {}", args.service, seen.from, seen.to);
        confirm(context, &what, &args.service)?;
        // What the person agreed to is what is done.
        args.plan.get_or_insert(seen.hash);
    }
    let request = FailoverRequest {
        service: args.service,
        to: args.to,
        mode: mode(args.mode).into(),
        reason: args.reason,
        plan_hash: args.plan,
        ..FailoverRequest::default()
    };
    let answer = client.control.failover(request).await.map_err(Failure::of_change)?.into_inner();
    let run = answer.run.unwrap_or_default();
    begun(context, &run, args.wait);
    if args.wait {
        return progress::follow(context, client, &run.id).await;
    }
    Ok(Outcome::DONE)
}

/// What a person sees before being asked; where nobody can be asked, nothing is shown.
async fn look(context: &Context, client: &mut Client, args: &FailoverArgs) -> Result<PlanResponse, Failure> {
    let request = PlanRequest {
        service: args.service.clone(),
        to: args.to.clone(),
        mode: mode(args.mode).into(),
        ..PlanRequest::default()
    };
    let plan = client.status.plan(request).await.map_err(Failure::of_read)?.into_inner();
    if context.out.is_terminal() {
        context.out.note(&view::plan(&plan).text);
    }
    Ok(plan)
}

fn begun(context: &Context, run: &Run, wait: bool) {
    if !wait {
        let shown = view::runs(std::slice::from_ref(run), context.out.style());
        context.out.show(&shown);
    }
    if context.out.is_for_people() && !wait {
        context.out.note(&format!("follow it with: failoverctl run watch {}", run.id));
    }
}
