//! `status`.

use std::time::Duration;

use clap::Args;

use crate::api::proto::{Fleet, GetFleetRequest, WatchFleetRequest};
use crate::cli::{Context, Failure, Outcome, view};

/// How long to wait before asking another daemon after a watch broke.
const AGAIN: Duration = Duration::from_secs(1);

/// Arguments of `status`.
#[derive(Args, Debug)]
pub struct StatusArgs {
    /// Keep showing it as it changes
    #[arg(short, long)]
    watch: bool,
}

/// Shows the fleet, once or for as long as somebody watches.
///
/// # Errors
/// No daemon answers.
pub async fn run(context: &Context, args: StatusArgs) -> Result<Outcome, Failure> {
    let mut client = context.client().await?;
    if !args.watch {
        let fleet = client.status.get_fleet(GetFleetRequest {}).await.map_err(Failure::of_read)?.into_inner();
        context.out.show(&shown(context, &fleet));
        return Ok(Outcome::DONE);
    }
    // A daemon that dies while we watch is one of the things worth watching: go on with the next one.
    loop {
        if let Ok(answer) = client.status.watch_fleet(WatchFleetRequest { after_revision: 0 }).await {
            let mut stream = answer.into_inner();
            while let Ok(Some(fleet)) = stream.message().await {
                context.out.show_next(&shown(context, &fleet));
            }
        }
        context.out.note(&format!("{} stopped answering; asking another daemon", client.server));
        tokio::time::sleep(AGAIN).await;
        client = context.client().await?;
    }
}

fn shown(context: &Context, fleet: &Fleet) -> crate::cli::output::View {
    view::status(fleet, context.out.style().at(fleet.answered.as_ref()))
}
