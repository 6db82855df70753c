//! `failback`: the way back to where a service is at home, the first Region of its manifest.

use std::time::Duration;

use clap::Args;
use tokio::time::{Instant, sleep};

use super::failover::{FailoverArgs, run as fail_over};
use super::plan::ModeArg;
use crate::api::proto::{FailbackRequest, FailbackResponse, GetServiceRequest, Service};
use crate::cli::confirm::confirm;
use crate::cli::output::View;
use crate::cli::{Client, Context, Failure, Outcome, progress, view};

/// Between two looks at a service that waits for its way back.
const LOOK: Duration = Duration::from_millis(500);
/// How long all daemons may be away before waiting is given up.
const AWAY: Duration = Duration::from_secs(60);

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
    /// Where copies or records are not ready yet, return by itself once they are; always graceful
    #[arg(long, conflicts_with = "mode")]
    when_ready: bool,
    /// Take an earlier --when-ready back
    #[arg(long, conflicts_with_all = ["when_ready", "mode", "wait"])]
    forget: bool,
    /// Show its progress and wait for its end
    #[arg(long)]
    wait: bool,
}

/// Starts the run back, and with `--wait` ends as the run ends.
///
/// # Errors
/// See exit codes; a service that is at home already is refused.
pub async fn run(context: &Context, args: FailbackArgs) -> Result<Outcome, Failure> {
    let mut client = context.client().await?;
    if args.forget {
        let answer = ask(&mut client, &args).await?;
        show(context, &args.service, &answer);
        return Ok(Outcome::DONE);
    }
    let service = look(&mut client, &args.service).await?;
    let home = home_of(&service);
    if service.primary == home {
        let why = format!(
            "{} serves from {home} already, the first Region of its manifest: there is no way back",
            args.service
        );
        return Err(Failure::new(Outcome::REFUSED.0, why));
    }
    if args.when_ready {
        return when_ready(context, client, &args, &service).await;
    }
    let back = FailoverArgs::back(args.service, home, args.mode, args.reason, args.wait);
    let refused = |failure: Failure| match failure.exit == Outcome::REFUSED.0 {
        true => failure.hint("to let it return by itself as soon as that loses nothing: add --when-ready"),
        false => failure,
    };
    fail_over(context, back).await.map_err(refused)
}

fn home_of(service: &Service) -> String {
    service.regions.first().map(|region| region.region.clone()).unwrap_or_default()
}

async fn look(client: &mut Client, name: &str) -> Result<Service, Failure> {
    let request = GetServiceRequest { name: name.to_owned() };
    let answer = client.status.get_service(request).await.map_err(Failure::of_read)?.into_inner();
    Ok(answer.service.unwrap_or_default())
}

async fn ask(client: &mut Client, args: &FailbackArgs) -> Result<FailbackResponse, Failure> {
    let request = FailbackRequest {
        service: args.service.clone(),
        reason: args.reason.clone(),
        when_ready: args.when_ready,
        forget: args.forget,
    };
    Ok(client.control.failback(request).await.map_err(Failure::of_change)?.into_inner())
}

fn show(context: &Context, service: &str, answer: &FailbackResponse) {
    let run = answer.run.as_ref().map(view::run_json);
    context.out.show(&View {
        json: serde_json::json!({
            "revision": answer.revision,
            "message": answer.message,
            "run": run,
            "waits_for": answer.waits_for,
        }),
        text: format!("{}\n", answer.message),
        names: vec![answer.run.as_ref().map_or_else(|| service.to_owned(), |run| run.id.clone())],
    });
}

async fn when_ready(
    context: &Context,
    mut client: Client,
    args: &FailbackArgs,
    service: &Service,
) -> Result<Outcome, Failure> {
    let what = format!("move {} from {} back to {}, now or later", args.service, service.primary, home_of(service));
    confirm(context, &what, &args.service)?;
    let answer = ask(&mut client, args).await?;
    match (&answer.run, args.wait) {
        (Some(run), true) => progress::follow(context, client, &run.id).await,
        (None, true) => {
            context.out.note(&answer.message);
            wait(context, client, &args.service).await
        }
        (_, false) => {
            show(context, &args.service, &answer);
            Ok(Outcome::DONE)
        }
    }
}

/// Until the way back has begun and ended, or nobody wants it any more.
async fn wait(context: &Context, mut client: Client, name: &str) -> Result<Outcome, Failure> {
    let begun = Instant::now();
    let mut heard = Instant::now();
    loop {
        match look(&mut client, name).await {
            Ok(service) => {
                heard = Instant::now();
                if let Some(run) = &service.open_run {
                    return progress::follow(context, client, run).await;
                }
                if service.primary == home_of(&service) {
                    context.out.note(&format!("{name} serves from {} again", service.primary));
                    return Ok(Outcome::DONE);
                }
                if service.way_back.is_none() {
                    return Err(Failure::new(Outcome::ABORTED.0, format!("nobody wants {name} back any more")));
                }
            }
            Err(failure) if heard.elapsed() > AWAY => return Err(failure),
            Err(_) => {
                if let Ok(other) = context.client().await {
                    client = other;
                }
            }
        }
        if context.global.timeout.is_some_and(|timeout| begun.elapsed() > timeout) {
            context.out.note(&format!(
                "{name} still waits for its way back; to take that back: failoverctl failback {name} --forget"
            ));
            return Ok(Outcome::STILL_RUNNING);
        }
        tokio::select! {
            () = sleep(LOOK) => {}
            _ = tokio::signal::ctrl_c() => {
                context.out.note(&format!("{name} returns without you; to take that back: failoverctl failback {name} --forget"));
                return Ok(Outcome::STILL_RUNNING);
            }
        }
    }
}
