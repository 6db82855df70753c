//! `delete`.

use clap::{Args, ValueEnum};

use super::pause::changed;
use crate::api::proto::{DeleteDrillRequest, DeleteRequest};
use crate::cli::confirm::confirm;
use crate::cli::{Context, Failure, Outcome};

/// Arguments of `delete`.
#[derive(Args, Debug)]
pub struct DeleteArgs {
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
    #[value(alias = "drills")]
    Drill,
}

/// Forgets a service or a drill.
///
/// # Errors
/// See exit codes.
pub async fn run(context: &Context, args: DeleteArgs) -> Result<Outcome, Failure> {
    let what = match args.kind {
        Kind::Service => format!("make the fleet forget service {}; nobody would fail it over any more", args.name),
        Kind::Drill => format!("make the fleet forget drill {}; it would not run any more", args.name),
    };
    confirm(context, &what, &args.name)?;
    let mut client = context.client().await?;
    let answer = match args.kind {
        Kind::Service => client.control.delete(DeleteRequest { service: args.name.clone() }).await,
        Kind::Drill => client.control.delete_drill(DeleteDrillRequest { drill: args.name.clone() }).await,
    };
    changed(context, answer, &args.name)
}
