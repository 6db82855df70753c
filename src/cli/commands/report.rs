//! `report`.

use clap::Args;

use crate::api::proto::{GetRunRequest, ListHistoryRequest};
use crate::cli::{Context, Failure, Outcome, report};

/// Arguments of `report`.
#[derive(Args, Debug)]
pub struct ReportArgs {
    /// Run
    run: String,
}

/// Prints what a run did.
///
/// # Errors
/// An unknown run, exit 2; no history, exit 1.
pub async fn run(context: &Context, args: ReportArgs) -> Result<Outcome, Failure> {
    let mut client = context.client().await?;
    let answer = client.status.get_run(GetRunRequest { id: args.run.clone() }).await;
    let run = answer.map_err(Failure::of_read)?.into_inner().run.unwrap_or_default();
    let request = ListHistoryRequest { run: Some(args.run), limit: 10_000, ..Default::default() };
    let answer = client.status.list_history(request).await.map_err(Failure::of_read)?.into_inner();
    context.out.show(&report::report(&run, &answer.events));
    Ok(Outcome::DONE)
}
