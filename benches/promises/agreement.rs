//! How long the fleet takes to agree, and to find a new leader.

use std::time::Duration;

use failoverd_domain::fleet::{Actor, Command, Entry};
use futures_util::FutureExt;
use futures_util::future::select_all;
use tokio::time::Instant;

use crate::trio::Trio;
use crate::{Measured, ms, percentile};

const COMMITS: usize = 500;
const ROUNDS: usize = 20;

/// A decision is committed: on the disks of a majority, over gRPC.
pub async fn commits() -> Vec<Measured> {
    let mut trio = Trio::start().await;
    let leader = trio.leader().await;
    let handles = trio.daemons[leader].as_ref().unwrap().handles().clone();
    let formed = handles.agreement.state().wait_for(|state| !state.members.is_empty()).await.is_ok();
    assert!(formed);
    let mut took = Vec::new();
    for round in 0..COMMITS + 50 {
        let command = if round % 2 == 0 { Command::Pause { service: None } } else { Command::Resume { service: None } };
        let actor = Actor::Operator("bench".to_owned());
        let begun = Instant::now();
        handles.agreement.propose(Entry::new(handles.clock.now(), actor, command)).await.unwrap();
        took.push(ms(begun.elapsed()));
    }
    trio.stop().await;
    let warm = &mut took[50..];
    let p99 = percentile(warm, 0.99);
    vec![
        Measured::new("a decision is committed, three daemons, fsync, gRPC: p50", percentile(warm, 0.5), 5.0, "ms"),
        Measured::new("  p99", p99, f64::INFINITY, "ms"),
    ]
}

/// The leader is gone; another one leads. Timing of the sandbox: heartbeat 100 ms, election 200 to 400 ms.
pub async fn elections() -> Vec<Measured> {
    let mut trio = Trio::start().await;
    let mut took = Vec::new();
    for _ in 0..ROUNDS {
        let lost = trio.leader().await;
        let daemon = trio.daemons[lost].take().unwrap();
        let survivors = (0..3).filter_map(|me| trio.leadership(me));
        let elected = survivors.map(|mut seen| async move { drop(seen.wait_for(|seen| seen.is_me).await) }.boxed());
        let begun = Instant::now();
        let (_, duration) = tokio::join!(daemon.crash(), async {
            select_all(elected.collect::<Vec<_>>()).await;
            begun.elapsed()
        });
        took.push(ms(duration));
        trio.restart(lost).await;
        // The next round begins from a settled fleet.
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    trio.stop().await;
    let p50 = percentile(&mut took, 0.5);
    vec![
        Measured::new("a killed leader is replaced, 20 rounds: longest", percentile(&mut took, 1.0), 2_000.0, "ms"),
        Measured::new("  p50", p50, f64::INFINITY, "ms"),
    ]
}
