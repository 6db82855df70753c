//! The simulated AWS alone, on a port: `cargo run --example wire -- --port 0` says where, and ends with its input.
//!
//! `AWS_ENDPOINT_URL` set to what it prints lets `aws` and boto3 work against it. Nothing is in it but what they make.

use std::io::{BufRead, Write};
use std::sync::Arc;

use failoverd::adapters::clock::SystemClock;
use failoverd::sim::wire::WireServer;
use failoverd::sim::world::{SimulatedAws, Timing};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let port = match (arguments.next().as_deref(), arguments.next()) {
        (Some("--port"), Some(port)) => port.parse()?,
        (None, _) => 0,
        _ => anyhow::bail!("usage: wire [--port PORT]"),
    };
    let aws = SimulatedAws::new(Arc::new(SystemClock), 1, Timing::hasty());
    let server = WireServer::bind(aws, ([127, 0, 0, 1], port).into()).await?;
    let mut out = std::io::stdout();
    writeln!(out, "AWS_ENDPOINT_URL=http://{}", server.address()?)?;
    out.flush()?;
    let input_ended = tokio::task::spawn_blocking(|| std::io::stdin().lock().lines().for_each(drop));
    tokio::select! {
        served = server.run() => served?,
        _ = input_ended => {}
    }
    Ok(())
}
