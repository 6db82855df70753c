//! `route`.

use clap::{Args, Subcommand};

use crate::api::proto::ExplainRouteRequest;
use crate::cli::{Context, Failure, Outcome, view};

/// Arguments of `route`.
#[derive(Args, Debug)]
pub struct RouteArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// What Route 53 would answer, and why, record by record
    Explain(ExplainArgs),
}

#[derive(Args, Debug)]
struct ExplainArgs {
    /// Any name of a hosted zone that the fleet can read
    name: String,
    /// Record type
    #[arg(long = "type", value_name = "TYPE", default_value = "A")]
    record_type: String,
    /// Where it is asked from: eu-west-1, continent=EU, country=DE or country=US,subdivision=CA [default: each place that
    /// the records tell apart]
    #[arg(long, value_name = "PLACE")]
    from: Option<String>,
    /// What if this Region were down; may be given several times
    #[arg(long, value_name = "REGION")]
    down: Vec<String>,
}

/// Explains an answer; exits 0 where Route 53 would give none, too.
///
/// # Errors
/// No zone holds the name, AWS or no daemon answers.
pub async fn run(context: &Context, args: RouteArgs) -> Result<Outcome, Failure> {
    let Action::Explain(args) = args.action;
    let mut client = context.client().await?;
    let request =
        ExplainRouteRequest { name: args.name, r#type: args.record_type, from: args.from, down: args.down.clone() };
    let answer = client.status.explain_route(request).await.map_err(Failure::of_read)?.into_inner();
    context.out.show(&view::route(&answer, &args.down));
    Ok(Outcome::DONE)
}
