//! `describe`.

use clap::{Args, ValueEnum};

use crate::api::proto::{GetDrillRequest, GetRunRequest, GetServiceRequest};
use crate::cli::{Context, Failure, Outcome, view};

/// Arguments of `describe`.
#[derive(Args, Debug)]
pub struct DescribeArgs {
    /// What it is
    #[arg(value_enum)]
    kind: Kind,
    /// Its name
    name: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    #[value(alias = "services")]
    Service,
    #[value(alias = "runs")]
    Run,
    #[value(alias = "drills")]
    Drill,
}

/// Shows one thing whole.
///
/// # Errors
/// A name that is not there, exit 2; no daemon answers.
pub async fn run(context: &Context, args: DescribeArgs) -> Result<Outcome, Failure> {
    let mut client = context.client().await?;
    let style = context.out.style();
    let shown = match args.kind {
        Kind::Service => {
            let request = GetServiceRequest { name: args.name };
            let answer = client.status.get_service(request).await.map_err(Failure::of_read)?.into_inner();
            view::service_whole(&answer, style.at(answer.answered.as_ref()))
        }
        Kind::Run => {
            let request = GetRunRequest { id: args.name };
            let answer = client.status.get_run(request).await.map_err(Failure::of_read)?.into_inner();
            view::run_whole(&answer.run.unwrap_or_default(), style.at(answer.answered.as_ref()))
        }
        Kind::Drill => {
            let request = GetDrillRequest { name: args.name };
            let answer = client.status.get_drill(request).await.map_err(Failure::of_read)?.into_inner();
            view::drill_whole(&answer, style.at(answer.answered.as_ref()))
        }
    };
    context.out.show(&shown);
    Ok(Outcome::DONE)
}
