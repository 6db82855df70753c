//! The driver of Route 53's health checkers: the only thing in the simulated AWS that acts by itself.
//!
//! It lives outside all Regions: a dead Region does not stop it, only its questions to that Region fail.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use failoverd_domain::route53::Protocol;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::SimulatedAws;
use super::checks::Poll;

/// How checkers reach endpoints: over real HTTP in a sandbox, in memory in a simulation.
#[async_trait]
pub trait Fetch: Send + Sync {
    /// Status and body; for TCP any `Ok` is a connection. `Err` says what went wrong.
    async fn get(&self, protocol: Protocol, host: &str, port: u16, path: &str) -> Result<(u16, Vec<u8>), String>;
}

/// Polls endpoint checks as they fall due, looking every `tick`; runs until it is dropped.
pub async fn run_checkers(aws: SimulatedAws, fetch: Arc<dyn Fetch>, tick: Duration) {
    let mut ticks = interval(tick);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut asking = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            Some((poll, good)) = asking.next(), if !asking.is_empty() => {
                aws.with(|world| world.checks.record(&poll, good));
            }
            _ = ticks.tick() => {
                let (due, limit) = aws.with(|world| {
                    (world.checks.take_due(world.now_ms, &world.timing), world.timing.checker_timeout_ms)
                });
                asking.extend(due.into_iter().map(|poll| ask(Arc::clone(&fetch), poll, limit)));
            }
        }
    }
}

async fn ask(fetch: Arc<dyn Fetch>, poll: Poll, limit_ms: u64) -> (Poll, bool) {
    let endpoint = &poll.endpoint;
    let question = fetch.get(endpoint.protocol, &endpoint.host, endpoint.port, &endpoint.path);
    let answer = timeout(Duration::from_millis(limit_ms), question).await;
    let good = poll.is_good(&answer.unwrap_or_else(|_| Err("no answer in time".to_owned())));
    (poll, good)
}
