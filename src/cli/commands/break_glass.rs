//! `break-glass`: a forced move that enrolled people sign together, when nobody can sign in.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use failoverd_domain::glass::Glass;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::api::proto::{PrepareGlassRequest, SubmitGlassRequest, SubmitGlassResponse};
use crate::cli::confirm::confirm;
use crate::cli::global::duration;
use crate::cli::output::View;
use crate::cli::signing::SigningKey;
use crate::cli::{Client, Context, Failure, Outcome};

/// Between two looks at a move that goes on: a daemon takes no more from one caller.
const LOOK: Duration = Duration::from_secs(2);

/// Arguments of `break-glass`.
#[derive(Args, Debug)]
pub struct BreakGlassArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Makes a key and prints the line that enrols it; the key itself never leaves its file
    Keygen {
        /// Where the private key goes; a file that is there is never overwritten
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Whose it is, as the record will call them
        #[arg(long, value_name = "NAME")]
        name: String,
    },
    /// Prints a request for people to sign; changes nothing
    Request {
        /// Service
        service: String,
        /// Region that takes over [default: the only other one]
        #[arg(long, value_name = "REGION")]
        to: Option<String>,
        /// Region that is left; for active-active services
        #[arg(long, value_name = "REGION")]
        from: Option<String>,
        /// Why, for those who sign and for the record
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// How long it is good, an hour at most
        #[arg(long, value_parser = duration, value_name = "DURATION", default_value = "15m")]
        valid: Duration,
    },
    /// Adds a signature and prints the request with it; asks no daemon
    Sign {
        /// The request; - reads it from the standard input
        file: PathBuf,
        /// Your private key: of `keygen`, or OpenSSH's ed25519 without a passphrase
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// Write it back into the file instead of printing it
        #[arg(long)]
        write: bool,
    },
    /// Hands a signed request in and starts the move; again, it says how the move stands
    Submit {
        /// The request, or copies that were signed apart; - reads the standard input
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Wait for the end of the move
        #[arg(long)]
        wait: bool,
    },
}

/// Works on a request.
///
/// # Errors
/// See exit codes; 4 when the signatures open nothing.
pub async fn run(context: &Context, args: BreakGlassArgs) -> Result<Outcome, Failure> {
    match args.what {
        What::Keygen { out, name } => keygen(context, &out, &name),
        What::Request { service, to, from, reason, valid } => {
            let valid_ms = u64::try_from(valid.as_millis()).unwrap_or(u64::MAX);
            request(context, PrepareGlassRequest { service, from, to, reason, valid_ms }).await
        }
        What::Sign { file, key, write } => sign(context, &file, &key, write),
        What::Submit { files, wait } => submit(context, &files, wait).await,
    }
}

fn keygen(context: &Context, out: &Path, name: &str) -> Result<Outcome, Failure> {
    let public_key = SigningKey::new_in(out)?.public().line(name);
    context.out.show(&View {
        json: json!({ "name": name, "public_key": public_key, "file": out }),
        text: format!("- {{ name: {name}, public_key: \"{public_key}\" }}\n"),
        names: vec![name.to_owned()],
    });
    if context.out.is_for_people() {
        context.out.note(
            "that line belongs under access.break_glass.keys in every daemon's file; the key stays with its owner",
        );
    }
    Ok(Outcome::DONE)
}

async fn request(context: &Context, asked: PrepareGlassRequest) -> Result<Outcome, Failure> {
    let mut client = context.client().await?;
    let answer = client.glass.prepare(asked).await.map_err(Failure::of_read)?.into_inner();
    let glass = parse(&answer.glass, "the daemon's answer")?;
    context.out.raw(&format!("{}\n", answer.glass));
    let (threshold, enrolled) = (answer.threshold, answer.enrolled);
    context.out.note(&format!(
        "{}\n{threshold} of {enrolled} people must sign it: failoverctl break-glass sign FILE --key KEY",
        glass.request.sentence()
    ));
    Ok(Outcome::DONE)
}

fn sign(context: &Context, file: &Path, key: &Path, write: bool) -> Result<Outcome, Failure> {
    let mut glass = read(file)?;
    let key = SigningKey::read(key)?;
    confirm(context, &format!("put your name to this: {}", glass.request.sentence()), glass.request.service.as_str())?;
    glass.signatures.retain(|signature| signature.key != key.public());
    glass.signatures.push(key.sign(&glass.request));
    let text = text_of(&glass)?;
    let count = glass.signatures.len();
    if write {
        let failed = |error| Failure::new(1, format!("{} cannot be written: {error}", file.display()));
        std::fs::write(file, text).map_err(failed)?;
    } else {
        context.out.raw(&text);
    }
    context.out.note(&format!("signed; {count} signature(s) are on it"));
    Ok(Outcome::DONE)
}

async fn submit(context: &Context, files: &[PathBuf], wait: bool) -> Result<Outcome, Failure> {
    let glass = together(files)?;
    confirm(context, &format!("break the glass: {}", glass.request.sentence()), glass.request.service.as_str())?;
    let text = text_of(&glass)?;
    let mut client = context.client().await?;
    let answer = hand_in(&mut client, &text).await?;
    if !wait {
        show(context, &answer);
        return Ok(Outcome::DONE);
    }
    follow(context, client, &text, answer).await
}

async fn hand_in(client: &mut Client, text: &str) -> Result<SubmitGlassResponse, Failure> {
    let request = SubmitGlassRequest { glass: text.to_owned() };
    Ok(client.glass.submit(request).await.map_err(Failure::of_change)?.into_inner())
}

/// Whoever carries a request need not be anybody, and may watch no runs: the request itself is asked how its move stands.
async fn follow(
    context: &Context,
    mut client: Client,
    text: &str,
    first: SubmitGlassResponse,
) -> Result<Outcome, Failure> {
    let deadline = context.global.timeout.map(|timeout| Instant::now() + timeout);
    let mut answer = first;
    loop {
        let ended = match answer.state.as_str() {
            "succeeded" => Some(Outcome::DONE),
            "failed" | "paused" => Some(Outcome::FAILED),
            "aborted" => Some(Outcome::ABORTED),
            _ if deadline.is_some_and(|deadline| Instant::now() + LOOK > deadline) => Some(Outcome::STILL_RUNNING),
            _ => None,
        };
        if let Some(ended) = ended {
            show(context, &answer);
            return Ok(ended);
        }
        sleep(LOOK).await;
        match hand_in(&mut client, text).await {
            Ok(newer) => answer = newer,
            // A daemon that goes down meanwhile is passed over like at the beginning.
            Err(lost) if lost.exit == 1 || lost.exit == 5 => client = context.client().await?,
            Err(refused) => return Err(refused),
        }
    }
}

fn show(context: &Context, answer: &SubmitGlassResponse) {
    let verdict = answer.verdict.as_ref().map_or_else(String::new, |verdict| format!(": {verdict}"));
    context.out.show(&View {
        json: json!({
            "run": answer.run, "state": answer.state, "verdict": answer.verdict, "actor": answer.actor,
            "revision": answer.revision, "again": answer.again,
        }),
        text: format!("run {} of {} is {}{verdict}\n", answer.run, answer.actor, answer.state),
        names: vec![answer.run.clone()],
    });
}

/// One request out of copies that were signed apart.
fn together(files: &[PathBuf]) -> Result<Glass, Failure> {
    let mut whole: Option<Glass> = None;
    for file in files {
        let glass = read(file)?;
        match &mut whole {
            None => whole = Some(glass),
            Some(whole) if whole.request == glass.request => whole.signatures.extend(glass.signatures),
            Some(_) => {
                return Err(Failure::usage(format!("{} holds another request than the files before", file.display())));
            }
        }
    }
    let mut whole = whole.ok_or_else(|| Failure::usage("no request was given"))?;
    let mut seen = BTreeSet::new();
    whole.signatures.retain(|signature| seen.insert((signature.key.clone(), signature.signature.clone())));
    Ok(whole)
}

fn read(file: &Path) -> Result<Glass, Failure> {
    let mut text = String::new();
    let read = match file.to_str() {
        Some("-") => std::io::stdin().lock().read_to_string(&mut text).map(|_| ()),
        _ => std::fs::read_to_string(file).map(|found| text = found),
    };
    read.map_err(|error| Failure::usage(format!("{} cannot be read: {error}", file.display())))?;
    parse(&text, &file.display().to_string())
}

fn parse(text: &str, place: &str) -> Result<Glass, Failure> {
    serde_json::from_str(text).map_err(|error| Failure::usage(format!("{place} is not a request: {error}")))
}

fn text_of(glass: &Glass) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(glass).map_err(|error| Failure::new(1, error.to_string()))?;
    Ok(format!("{text}\n"))
}
