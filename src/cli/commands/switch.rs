//! `switch`.

use clap::{Args, Subcommand, ValueEnum};

use super::pause::changed;
use crate::api::proto::SetSwitchRequest;
use crate::cli::confirm::confirm;
use crate::cli::{Context, Failure, Outcome};

/// Arguments of `switch`.
#[derive(Args, Debug)]
pub struct SwitchArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Tell Route 53 that a Region serves or not; the last serving one cannot be switched off
    Set {
        /// Service
        service: String,
        /// Region
        region: String,
        /// On or off
        #[arg(value_enum)]
        state: OnOff,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OnOff {
    On,
    Off,
}

/// Turns a switch by hand.
///
/// # Errors
/// See exit codes.
pub async fn run(context: &Context, args: SwitchArgs) -> Result<Outcome, Failure> {
    let Action::Set { service, region, state } = args.action;
    let on = state == OnOff::On;
    let what = format!("switch {service} in {region} {}, data is not moved", if on { "on" } else { "off" });
    confirm(context, &what, &service)?;
    let mut client = context.client().await?;
    let request = SetSwitchRequest { service: service.clone(), region, on };
    let answer = client.control.set_switch(request).await;
    changed(context, answer, &service)
}
