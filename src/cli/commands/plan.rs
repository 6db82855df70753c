//! `plan`.

use clap::{Args, ValueEnum};

use crate::api::proto::{self, PlanRequest};
use crate::cli::{Context, Failure, Format, Outcome, view};

/// Arguments of `plan`.
#[derive(Args, Debug)]
pub struct PlanArgs {
    /// Service
    service: String,
    /// Region to move it to
    #[arg(long, value_name = "REGION", conflicts_with_all = ["evacuate", "restore"])]
    to: Option<String>,
    /// What evacuating this Region would do
    #[arg(long, value_name = "REGION", conflicts_with = "restore")]
    evacuate: Option<String>,
    /// What restoring this Region would do
    #[arg(long, value_name = "REGION")]
    restore: Option<String>,
    /// Graceful loses nothing and may refuse; forced goes on without the old Region [default: forced when it is broken]
    #[arg(long, value_enum)]
    mode: Option<ModeArg>,
}

/// How to move.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ModeArg {
    /// Loses nothing and may refuse
    Graceful,
    /// Goes on without the old Region
    Forced,
}

/// The mode as the API says it.
#[must_use]
pub const fn mode(mode: Option<ModeArg>) -> proto::Mode {
    match mode {
        None => proto::Mode::Unspecified,
        Some(ModeArg::Graceful) => proto::Mode::Graceful,
        Some(ModeArg::Forced) => proto::Mode::Forced,
    }
}

/// Shows what a failover would do, or prints it as a script; exits 0 whatever the guards say.
///
/// # Errors
/// Moves that cannot be planned; no daemon answers.
pub async fn run(context: &Context, args: PlanArgs) -> Result<Outcome, Failure> {
    let mut client = context.client().await?;
    let movement = match (&args.evacuate, &args.restore) {
        (Some(_), _) => proto::Movement::Evacuate,
        (None, Some(_)) => proto::Movement::Restore,
        (None, None) => proto::Movement::Unspecified,
    };
    let request = PlanRequest {
        service: args.service,
        from: args.evacuate,
        to: args.to.or(args.restore),
        mode: mode(args.mode).into(),
        movement: movement.into(),
        script: context.global.output == Format::Shell,
    };
    let plan = client.status.plan(request).await.map_err(Failure::of_read)?.into_inner();
    if context.global.output == Format::Shell {
        let older = || Failure::new(1, "that daemon is older than this command and makes no scripts");
        context.out.raw(&plan.script.ok_or_else(older)?);
        context.out.note("note: keep the script away from the Regions that it is for, and print a new one after each change of the manifest");
        return Ok(Outcome::DONE);
    }
    context.out.show(&view::plan(&plan));
    Ok(Outcome::DONE)
}
