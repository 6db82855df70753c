//! `failback`: the way back to where a service is at home, the first Region of its manifest.

use clap::Args;

use super::failover::{FailoverArgs, run as fail_over};
use super::plan::ModeArg;
use crate::api::proto::GetServiceRequest;
use crate::cli::{Context, Failure, Outcome};

/// Arguments of `failback`.
#[derive(Args, Debug)]
pub struct FailbackArgs {
    /// Service
    service: String,
    /// Graceful loses nothing and may refuse; forced goes on without the Region that is left
    #[arg(long, value_enum, default_value_t = ModeArg::Graceful)]
    mode: ModeArg,
    /// Why, for the record
    #[arg(long, value_name = "TEXT", default_value = "failback")]
    reason: String,
    /// Show its progress and wait for its end
    #[arg(long)]
    wait: bool,
}

/// Starts the run back, and with `--wait` ends as the run ends.
///
/// # Errors
/// See exit codes; a service that is at home already is refused.
pub async fn run(context: &Context, args: FailbackArgs) -> Result<Outcome, Failure> {
    let request = GetServiceRequest { name: args.service.clone() };
    let answer = context.client().await?.status.get_service(request).await.map_err(Failure::of_read)?.into_inner();
    let service = answer.service.unwrap_or_default();
    let home = service.regions.first().map(|region| region.region.clone()).unwrap_or_default();
    if service.primary == home {
        let why = format!(
            "{} serves from {home} already, the first Region of its manifest: there is no way back",
            args.service
        );
        return Err(Failure::new(Outcome::REFUSED.0, why));
    }
    fail_over(context, FailoverArgs::back(args.service, home, args.mode, args.reason, args.wait)).await
}
