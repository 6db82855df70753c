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
    let known = client.status.get_run(GetRunRequest { id: args.run.clone() }).await;
    let request = ListHistoryRequest { run: Some(args.run.clone()), limit: 10_000, ..Default::default() };
    let events = client.status.list_history(request).await.map_err(Failure::of_read)?.into_inner().events;
    match known {
        Ok(answer) => context.out.show(&report::report(&answer.into_inner().run.unwrap_or_default(), &events)),
        // The fleet keeps the newest runs whole; the history keeps what happened in all of them.
        Err(status) if status.code() == tonic::Code::NotFound && !events.is_empty() => {
            context.out.show(&report::report_of_old(&args.run, &events));
        }
        Err(status) => return Err(Failure::of_read(status)),
    }
    Ok(Outcome::DONE)
}
