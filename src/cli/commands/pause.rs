//! `pause` and `resume`.

use clap::Args;
use serde_json::json;
use tonic::{Response, Status};

use crate::api::proto::{ChangeResponse, PauseRequest, ResumeRequest};
use crate::cli::output::View;
use crate::cli::{Context, Failure, Outcome};

/// Arguments of `pause` and `resume`.
#[derive(Args, Debug)]
pub struct PauseArgs {
    /// Service [default: the whole fleet]
    service: Option<String>,
}

/// Automatic action off.
///
/// # Errors
/// See exit codes.
pub async fn pause(context: &Context, args: PauseArgs) -> Result<Outcome, Failure> {
    let mut client = context.client().await?;
    let answer = client.control.pause(PauseRequest { service: args.service.clone() }).await;
    changed(context, answer, args.service.as_deref().unwrap_or("fleet"))
}

/// Automatic action on again.
///
/// # Errors
/// See exit codes.
pub async fn resume(context: &Context, args: PauseArgs) -> Result<Outcome, Failure> {
    let mut client = context.client().await?;
    let answer = client.control.resume(ResumeRequest { service: args.service.clone() }).await;
    changed(context, answer, args.service.as_deref().unwrap_or("fleet"))
}

/// Shows that a change is committed.
///
/// # Errors
/// See exit codes.
pub fn changed(
    context: &Context,
    answer: Result<Response<ChangeResponse>, Status>,
    name: &str,
) -> Result<Outcome, Failure> {
    let answer = answer.map_err(Failure::of_change)?.into_inner();
    context.out.show(&View {
        json: json!({ "revision": answer.revision, "message": answer.message }),
        text: format!("{}\n", answer.message),
        names: vec![name.to_owned()],
    });
    Ok(Outcome::DONE)
}
