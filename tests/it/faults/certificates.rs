//! A daemon's certificate ends while it runs, and a new one is laid beside it.

use failoverd::adapters::clock::SystemClock;
use failoverd::ports::Clock;

use super::stage::Stage;
use crate::process::bound::{seconds, within};
use crate::process::fleet::{REGIONS, get};

/// How long the short one is valid: long enough to be taken.
const VALID_S: u64 = 16;

impl Stage {
    /// Whether a daemon has fresh reports of another.
    async fn reaches(&self, from: usize, to: &str) -> Option<bool> {
        let regions = self.at(from).seen().await?.regions;
        Some(regions.iter().find(|seen| seen.region == to)?.reachable)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_ends_is_told_of_refused_by_peers_and_replaced_without_a_restart() {
    let mut stage = Stage::set().await;
    let leader = stage.leader_among(&[0, 1, 2]).await;
    let (expired, other) = ((leader + 1) % 3, (leader + 2) % 3);
    let (region, process) = (REGIONS[expired], stage.at(expired).id());
    let end_s = SystemClock.now().0 / 1_000 + VALID_S;
    let short = stage.authority.issue_until(&[region, "127.0.0.1"], end_s);
    std::fs::write(stage.secured.file(region, "key"), short.key).unwrap();
    std::fs::write(stage.secured.file(region, "crt"), short.cert).unwrap();
    for said in ["new certificate files are in use", "it has expired at"] {
        within(seconds(60), &format!("it says {said:?}"), || async {
            stage.at(expired).logged().contains(said).then_some(())
        })
        .await;
    }
    // Connections keep what they began with; new ones are refused, whoever opens them.
    stage.links.reset(expired);
    within(seconds(40), "the others hear it no more", || async {
        (!stage.reaches(leader, region).await? && !stage.reaches(other, region).await?).then_some(())
    })
    .await;
    assert!(stage.at(expired).seen().await.is_none(), "people refuse it as well");
    assert_eq!(get(stage.at(expired).ports.ops, "/livez").await.unwrap().0, 200, "it runs");
    stage.change(leader, true).await;

    let good = stage.authority.issue(&[region, "127.0.0.1"]);
    std::fs::write(stage.secured.file(region, "key"), good.key).unwrap();
    std::fs::write(stage.secured.file(region, "crt"), good.cert).unwrap();
    within(seconds(60), "it is heard again", || async { stage.reaches(leader, region).await?.then_some(()) }).await;
    assert_eq!(stage.at(expired).id(), process, "without a restart");
    stage.judge().await;
}
