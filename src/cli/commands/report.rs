//! `report` and `drill report`.

use clap::Args;
use failoverd_domain::report::Report;

use crate::api::proto::GetReportRequest;
use crate::cli::{Client, Context, Failure, Format, Outcome, report};

/// Arguments of `report`.
#[derive(Args, Debug)]
pub struct ReportArgs {
    /// Run, execution of a drill (checkout-monthly.3), or drill: its newest execution
    run: String,
}

/// Arguments of `drill report`.
#[derive(Args, Debug)]
pub struct DrillReportArgs {
    /// Any run of the drill, execution (checkout-monthly.3), or drill: its newest execution
    run: String,
}

/// Prints what a run did.
///
/// # Errors
/// An unknown run, exit 2; no history, exit 1.
pub async fn run(context: &Context, args: ReportArgs) -> Result<Outcome, Failure> {
    let mut client = context.client().await?;
    print(context, &mut client, GetReportRequest { id: args.run, whole_drill: false }).await
}

/// Prints what an execution of a drill did, with all its runs.
///
/// # Errors
/// An unknown drill, exit 2; no history, exit 1.
pub async fn drill_report(context: &Context, args: DrillReportArgs) -> Result<Outcome, Failure> {
    let mut client = context.client().await?;
    print(context, &mut client, GetReportRequest { id: args.run, whole_drill: true }).await
}

/// Asks for a report and prints it.
///
/// # Errors
/// What the daemon says; a report that this version cannot read.
pub async fn print(context: &Context, client: &mut Client, request: GetReportRequest) -> Result<Outcome, Failure> {
    let answer = client.status.get_report(request).await.map_err(Failure::of_read)?.into_inner();
    let report: Report = serde_json::from_str(&answer.document).map_err(|error| {
        Failure::new(1, format!("the daemon's report cannot be read by this version: {error}"))
            .hint("use the failoverctl of the daemon's version")
    })?;
    for gap in &report.incomplete {
        context.out.note(&format!("note: {gap}"));
    }
    match context.global.output {
        Format::Html => context.out.raw(&report::html::html(&report)),
        Format::Md => context.out.raw(&report::view(&report).text),
        _ => context.out.show(&report::view(&report)),
    }
    Ok(Outcome::DONE)
}
