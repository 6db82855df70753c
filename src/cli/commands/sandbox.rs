//! `sandbox`: a whole fleet on this machine, on a simulated AWS.

use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use failoverd_domain::fleet::{FleetSettings, Part};
use tokio::sync::Mutex;

use super::report::print;
use crate::api::proto::{GetReportRequest, RunPart};
use crate::cli::output::Output;
use crate::cli::view::parts_text;
use crate::cli::{Client, Context, Failure, Outcome};
use crate::sandbox::demo::{Demo, Ending, Narrator};
use crate::sandbox::{
    Addresses, ControlError, DEFAULT_PORT_BASE, REGIONS, Sandbox, SandboxError, Settings, ask_running, serve_control,
};

/// Arguments of `sandbox`.
#[derive(Args, Debug)]
pub struct SandboxArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// A Region dies and the fleet fails over by itself; ends by itself, exit 0 only if all went right
    Demo(StartArgs),
    /// Starts a fleet and leaves it running, until Ctrl-C
    Up(StartArgs),
    /// Takes a Region of the running sandbox away (`route53`: that API only; `postgres`: the histories)
    Break(TargetArgs),
    /// Brings it back
    Heal(TargetArgs),
    /// Ends one daemon where it stands, as kill -9 would; its Region lives on
    Crash(TargetArgs),
    /// Starts that daemon again on the disk it had
    Start(TargetArgs),
}

#[derive(Args, Debug)]
struct StartArgs {
    /// Moves every port: gRPC is one to three above
    #[arg(long, default_value_t = DEFAULT_PORT_BASE, value_name = "PORT")]
    port_base: u16,
    /// A Postgres of yours for the history, instead of a private one
    #[arg(long, value_name = "URL", env = "FAILOVERD_SANDBOX_DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// Log of the daemons on stderr, for example `info`
    #[arg(long, value_name = "FILTER", default_value = "off")]
    log: String,
}

#[derive(Args, Debug)]
struct TargetArgs {
    /// us-east-1, eu-west-1 or us-west-2 (break and heal: also route53 and postgres)
    region: String,
    /// Which sandbox, when several are running [default: the one that runs]
    #[arg(long, value_name = "PORT")]
    port_base: Option<u16>,
}

/// Runs it.
///
/// # Errors
/// See exit codes.
pub async fn run(context: &Context, args: SandboxArgs) -> Result<Outcome, Failure> {
    match args.action {
        Action::Demo(start) => demo(context, start).await,
        Action::Up(start) => up(context, start).await,
        Action::Break(target) => ask(context, "break", &target).await,
        Action::Heal(target) => ask(context, "heal", &target).await,
        Action::Crash(target) => ask(context, "crash", &target).await,
        Action::Start(target) => ask(context, "start", &target).await,
    }
}

async fn ask(context: &Context, action: &str, target: &TargetArgs) -> Result<Outcome, Failure> {
    match ask_running(target.port_base, action, &target.region).await {
        Ok(done) => {
            context.out.note(&done);
            Ok(Outcome::DONE)
        }
        Err(error @ (ControlError::Refused(_) | ControlError::Several(_))) => Err(Failure::usage(error.to_string())),
        Err(error @ ControlError::NotRunning(_)) => Err(Failure::new(1, error.to_string())),
    }
}

async fn start(args: &StartArgs) -> Result<Sandbox, Failure> {
    let filter = tracing_subscriber::EnvFilter::new(format!("{},openraft=off", args.log));
    // A second subscriber in one process (tests) is refused; the first one stays.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
    let addresses = Addresses::around(args.port_base).map_err(Failure::usage)?;
    let settings = Settings {
        addresses,
        database_url: args.database_url.clone(),
        seed: u64::from(std::process::id()),
        fleet: FleetSettings::default(),
    };
    tokio::select! {
        started = Sandbox::start(settings) => started.map_err(failure),
        asked = crate::sandbox::stop_asked() => Err(Failure::new(Outcome::ABORTED.0, format!("{asked}: nothing was left behind"))),
    }
}

fn failure(error: SandboxError) -> Failure {
    match error {
        SandboxError::NoSuchRegion(_) => Failure::usage(error.to_string()),
        other => Failure::new(1, other.to_string()),
    }
}

async fn demo(context: &Context, args: StartArgs) -> Result<Outcome, Failure> {
    context.out.note("starting three daemons, a simulated AWS, a name server and a Postgres …");
    let mut sandbox = start(&args).await?;
    let ended = tokio::select! {
        ended = play(context, &mut sandbox) => ended,
        asked = crate::sandbox::stop_asked() => Err(Failure::new(Outcome::ABORTED.0, format!("{asked}: the demo was stopped"))),
    };
    sandbox.stop().await;
    ended
}

async fn play(context: &Context, sandbox: &mut Sandbox) -> Result<Outcome, Failure> {
    let server = format!("http://{}", sandbox.settings().addresses.grpc(1));
    let mut teller = Teller { out: &context.out };
    let ending = Demo::new(sandbox, &mut teller).map_err(failure)?.play().await.map_err(failure)?;
    teller.heading("failoverctl report");
    print_report(context, &server, &ending).await?;
    teller.heading("Where the time went, from the first failed probe to the moved answer");
    let part =
        |part: Part| RunPart { name: part.name.to_owned(), ms: part.ms, floor_ms: part.floor_ms, floor: part.floor };
    let parts: Vec<RunPart> = ending.parts.iter().cloned().map(part).collect();
    context.out.text(&parts_text(&parts));
    teller.heading("What had to hold");
    for (what, held, seen) in &ending.checks {
        context.out.text(&format!("  {} {what}: {seen}\n", if *held { "ok  " } else { "FAIL" }));
    }
    if ending.held() {
        context.out.text("\nus-east-1 is gone and checkout serves from eu-west-1. Nobody was woken up.\n");
        return Ok(Outcome::DONE);
    }
    Err(Failure::new(1, "something that had to hold did not"))
}

async fn print_report(context: &Context, server: &str, ending: &Ending) -> Result<(), Failure> {
    let mut client = Client::connect(&[server.to_owned()], None, None, None).await?;
    let request = GetReportRequest { id: ending.run.to_string(), whole_drill: false };
    print(context, &mut client, request).await?;
    Ok(())
}

/// How long a line of the story may be.
const LINE: usize = 110;
const CONTINUED: &str = "    ";

/// The words of `text` in lines of at most `width`; the first keeps its indentation.
fn folded(text: &str, width: usize) -> Vec<String> {
    let indentation = text.len() - text.trim_start().len();
    let mut lines = vec![text[..indentation].to_owned()];
    let mut begun = false;
    for word in text.trim_start().split(' ') {
        let line = lines.last().map_or(0, |line| line.chars().count());
        if begun && line + 1 + word.chars().count() > width - CONTINUED.len() {
            lines.push(word.to_owned());
        } else if let Some(line) = lines.last_mut() {
            *line += if begun { " " } else { "" };
            *line += word;
        }
        begun = true;
    }
    lines
}

struct Teller<'a> {
    out: &'a Output,
}

impl Narrator for Teller<'_> {
    fn heading(&mut self, text: &str) {
        self.out.text(&format!("\n== {text}\n"));
    }

    fn event(&mut self, since_break: Option<Duration>, text: &str) {
        let at = since_break.map_or_else(|| " ".repeat(9), |since| format!("+{:6.1} s", since.as_secs_f64()));
        let width = LINE - at.len() - 2;
        let lines = if text.chars().count() <= width { vec![text.to_owned()] } else { folded(text, width) };
        let mut lines = lines.into_iter();
        self.out.text(&format!("{at}  {}\n", lines.next().unwrap_or_default()));
        for line in lines {
            self.out.text(&format!("{:width$}  {CONTINUED}{line}\n", "", width = at.len()));
        }
    }
}

async fn up(context: &Context, args: StartArgs) -> Result<Outcome, Failure> {
    let sandbox = start(&args).await?;
    let addresses = sandbox.settings().addresses;
    let how = how_to(&sandbox, args.port_base);
    let shared = Arc::new(Mutex::new(Some(sandbox)));
    let serving = serve_control(shared.clone(), addresses).await;
    if serving.is_ok() {
        context.out.text(&how);
        let ended = crate::sandbox::stop_asked().await;
        context.out.note(&format!("{ended}: stopping the sandbox on {}", addresses.grpc(0)));
    }
    if let Some(sandbox) = shared.lock().await.take() {
        sandbox.stop().await;
    }
    serving.map_err(failure)?;
    Ok(Outcome::DONE)
}

fn how_to(sandbox: &Sandbox, port_base: u16) -> String {
    let addresses = sandbox.settings().addresses;
    let servers: Vec<String> = (0..REGIONS.len()).map(|at| format!("http://{}", addresses.grpc(at))).collect();
    let dns = addresses.dns();
    let databases: Vec<String> = sandbox
        .databases()
        .iter()
        .map(|(region, database)| format!("  history {region:<12} {}", database.shown))
        .collect();
    let server = if port_base == DEFAULT_PORT_BASE {
        String::new()
    } else {
        format!("  export FAILOVERCTL_SERVER={}\n", servers.join(","))
    };
    format!(
        "A fleet of three is up, with no service applied. In another terminal:\n\n\
         {server}\
         \x20 failoverctl apply -f examples/checkout.yaml\n\
         \x20 failoverctl status --watch\n\
         \x20 dig @{} -p {} api.example.com A +short\n\
         \x20 failoverctl sandbox break us-east-1        # then watch; `sandbox heal us-east-1` brings it back\n\
         \x20 grpcurl -plaintext {} list\n\n\
         The simulated AWS speaks AWS's own protocols, for `aws` and boto3 too (any credentials, every Region):\n\n\
         \x20 export AWS_ENDPOINT_URL=http://{} AWS_ACCESS_KEY_ID=me AWS_SECRET_ACCESS_KEY=any AWS_REGION=eu-west-1\n\
         \x20 aws route53 list-hosted-zones\n\n\
         {}\n\nCtrl-C stops everything and leaves nothing behind.\n",
        dns.ip(),
        dns.port(),
        addresses.grpc(0),
        addresses.aws(),
        databases.join("\n"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_folded_between_words_and_keep_every_word() {
        let text = "    guard quorum  yes  2 of 3 daemons are heard from and nobody is missed";
        let lines = folded(text, 34);
        assert!(lines.len() > 1 && lines[0].starts_with("    guard quorum"), "{lines:?}");
        assert!(lines.iter().all(|line| line.len() <= 34 - CONTINUED.len()), "{lines:?}");
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(&lines.join(" ")), words(text));
        assert_eq!(folded("averyverylongwordthatfitsnowhere", 10), ["averyverylongwordthatfitsnowhere"]);
    }
}
