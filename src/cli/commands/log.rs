//! `log`: how much one daemon logs, for a while.

use std::time::Duration;

use clap::{Args, Subcommand};
use failoverd_domain::manifest::duration::format_ms;
use serde_json::json;

use crate::api::proto::{LogFilterResponse, SetLogFilterRequest, ShowLogFilterRequest};
use crate::cli::global::duration;
use crate::cli::output::View;
use crate::cli::{Context, Failure, Outcome};

/// Arguments of `log`.
#[derive(Args, Debug)]
pub struct LogArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// What the daemon that is asked logs now
    Show,
    /// Logs more, or less, for a while; then the configured filter is back by itself
    Set {
        /// A level (`debug`), or pairs (`info,failoverd::runtime=debug`)
        filter: String,
        /// How long
        #[arg(long = "for", value_parser = duration, value_name = "DURATION", default_value = "15m")]
        lasts: Duration,
    },
    /// Back to the configured filter now
    Reset,
}

/// Shows or changes the filter of the daemon that answers: one, since each has its own log.
///
/// # Errors
/// See exit codes.
pub async fn run(context: &Context, args: LogArgs) -> Result<Outcome, Failure> {
    let mut client = context.client().await?;
    let answer = match args.what {
        What::Show => client.control.show_log_filter(ShowLogFilterRequest {}).await.map_err(Failure::of_read)?,
        What::Set { filter, lasts } => {
            let lasts_ms = u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX);
            let request = SetLogFilterRequest { filter: Some(filter), lasts_ms };
            client.control.set_log_filter(request).await.map_err(Failure::of_change)?
        }
        What::Reset => {
            let request = SetLogFilterRequest { filter: None, lasts_ms: 0 };
            client.control.set_log_filter(request).await.map_err(Failure::of_change)?
        }
    };
    let answer = answer.into_inner();
    context.out.show(&View { json: json(&answer), text: text(&answer), names: vec![answer.region.clone()] });
    Ok(Outcome::DONE)
}

fn json(answer: &LogFilterResponse) -> serde_json::Value {
    json!({
        "region": answer.region,
        "filter": answer.filter,
        "configured": answer.configured,
        "back_in_ms": answer.back_in_ms,
    })
}

fn text(answer: &LogFilterResponse) -> String {
    let LogFilterResponse { region, filter, configured, back_in_ms } = answer;
    match back_in_ms {
        Some(left) => {
            format!("{region} logs by {filter}, and by {configured} again in {}\n", format_ms(left / 1_000 * 1_000))
        }
        None => format!("{region} logs by {filter}, as configured\n"),
    }
}
