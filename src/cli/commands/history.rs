//! `history`.

use chrono::DateTime;
use clap::{Args, Subcommand};
use failoverd_domain::fleet::EventKind;
use failoverd_domain::manifest::duration::parse_ms;
use failoverd_domain::time::Timestamp;

use crate::api::convert::time;
use crate::api::proto::{GetSwitchesRequest, ListHistoryRequest, VerifyHistoryRequest};
use crate::cli::style::timestamp;
use crate::cli::{Client, Context, Failure, Outcome, view};

/// Arguments of `history`.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct HistoryArgs {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    filter: Filter,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Walk the whole hash chain; exits 1 naming the first row that is missing or changed
    Verify,
}

#[derive(Args, Debug)]
struct Filter {
    /// Only of this service
    #[arg(long, value_name = "SERVICE")]
    service: Option<String>,
    /// Only of this run
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// Only of this execution of a drill
    #[arg(long, value_name = "DRILL_RUN")]
    drill: Option<String>,
    /// Only at or after this instant (RFC 3339), or this long ago (2h)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only of this kind: decided, step-outcome, switch …
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

/// Lists events, or verifies them.
///
/// # Errors
/// See exit codes.
pub async fn run(context: &Context, args: HistoryArgs) -> Result<Outcome, Failure> {
    if let Some(kind) = &args.filter.kind {
        known(kind)?;
    }
    let mut client = context.client().await?;
    if let Some(Action::Verify) = args.action {
        return verify(context, &mut client).await;
    }
    let filter = args.filter;
    let since = match &filter.since {
        Some(text) => Some(time(since(text, &mut client).await?)),
        None => None,
    };
    let Filter { service, run, drill, kind, limit, .. } = filter;
    let request = ListHistoryRequest { service, run, drill, since, kind, limit };
    let answer = client.status.list_history(request).await.map_err(Failure::of_read)?.into_inner();
    let style = context.out.style().at(answer.answered.as_ref());
    context.out.show(&view::events(&answer.events, style));
    Ok(Outcome::DONE)
}

/// A misspelt kind would look like an empty history.
fn known(kind: &str) -> Result<(), Failure> {
    let words = EventKind::ALL.map(EventKind::word);
    if words.iter().any(|word| word == kind) {
        return Ok(());
    }
    Err(Failure::usage(format!("--kind {kind}: there is no such kind of event"))
        .hint(format!("one of {}", words.join(", "))))
}

async fn verify(context: &Context, client: &mut Client) -> Result<Outcome, Failure> {
    let answer = client.status.verify_history(VerifyHistoryRequest {}).await.map_err(Failure::of_read)?.into_inner();
    context.out.show(&view::verification(&answer));
    Ok(if answer.ok { Outcome::DONE } else { Outcome::FAILED })
}

/// "Two hours ago" is counted by the daemon's clock: ours may be wrong.
async fn since(text: &str, client: &mut Client) -> Result<Timestamp, Failure> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(Timestamp::from_utc(at.to_utc()));
    }
    let ago_ms = parse_ms(text).map_err(|error| {
        Failure::usage(format!("--since {text}: not an instant like 2026-01-31T10:00:00Z, and {error}"))
    })?;
    let answer = client.status.get_switches(GetSwitchesRequest {}).await.map_err(Failure::of_read)?.into_inner();
    let now = answer.answered.and_then(|answered| answered.at).as_ref().map(timestamp).unwrap_or_default();
    Ok(now.minus_ms(ago_ms))
}
