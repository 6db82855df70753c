//! Real time, real files, several threads: agreement must not be what takes long.

use std::sync::Arc;
use std::time::Duration;

use failoverd_domain::time::Timestamp;
use tokio_util::task::TaskTracker;

use super::fleet::{REGIONS, Served, config, pause};
use crate::consensus::{Consensus, Disk};
use crate::ports::Agreement;
use crate::sim::bus::Bus;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_on_real_disks_commits_in_milliseconds() {
    let directory = tempfile::tempdir().unwrap();
    let bus = Bus::new(0);
    bus.set_latency(Duration::ZERO, Duration::ZERO);
    let tasks = TaskTracker::new();
    let mut fleet = Vec::new();
    for region in REGIONS {
        let disk = Disk::Directory(directory.path().join(region));
        let consensus = Consensus::start(config(region), &disk, bus.peers(region.into()), &tasks, None).await.unwrap();
        bus.attach(region.into(), Arc::new(Served(consensus.clone())));
        fleet.push(consensus);
    }
    let mut seen = fleet[0].leadership();
    let leader = seen.wait_for(|seen| seen.leader.is_some() && seen.caught_up).await.unwrap().leader.clone();
    let leader = fleet.iter().find(|consensus| Some(consensus.me()) == leader.as_ref()).unwrap();
    leader.ensure_formed(Timestamp(1)).await.unwrap();

    let mut took = Vec::new();
    for _ in 0..50 {
        let begun = tokio::time::Instant::now();
        leader.propose(pause()).await.unwrap();
        took.push(begun.elapsed());
    }
    took.sort();
    println!("commit: median {:?}, worst {:?}", took[25], took[49]);
    assert!(took[25] < Duration::from_millis(250), "median {:?}, even on a busy machine", took[25]);
    for consensus in &fleet {
        consensus.shutdown().await;
    }
}
