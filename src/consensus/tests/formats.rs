//! Daemons that read different formats: what is written waits for the oldest, and who is too old takes nothing in,
//! says why, and loses nothing.

use std::time::Duration;

use failoverd_domain::fleet::{Actor, Command, Entry};
use failoverd_domain::format::Format;
use failoverd_domain::ids::Region;
use failoverd_domain::time::Timestamp;

use super::fleet::{Fleet, REGIONS, pause, simulate};
use crate::consensus::{HandleError, OpenError, StartError};
use crate::ports::Agreement;

const LATER: Format = Format(Format::NEWEST.0 + 1);

fn raise() -> Entry {
    Entry::new(Timestamp(1), Actor::Daemon("eu-west-1".into()), Command::RaiseFormat { format: LATER })
}

/// Something that only readers of the later format understand.
fn new_thing() -> Entry {
    Entry { format: LATER, ..pause() }
}

/// Three daemons, of which those named read the later format.
async fn fleet(seed: u64, upgraded: &[&str]) -> Fleet {
    let mut fleet = Fleet::formed(seed).await;
    for region in upgraded {
        upgrade(&mut fleet, &(*region).into(), LATER).await.unwrap();
    }
    fleet.settle().await;
    fleet
}

async fn upgrade(fleet: &mut Fleet, region: &Region, reads: Format) -> Result<(), StartError> {
    if fleet.running.contains_key(region) {
        fleet.stop(region).await;
    }
    fleet.reads.insert(region.clone(), reads);
    fleet.start(region).await
}

#[test]
fn what_not_everybody_reads_never_reaches_the_log() {
    simulate(31, async {
        let fleet = fleet(31, &REGIONS[..2]).await;
        let leader = fleet.leader().await;
        let before = fleet.running[&leader].fleet_metrics().last_log;
        let refused = fleet.commit(new_thing()).await.result.unwrap_err();
        assert_eq!(refused.code, "FORMAT_NOT_AGREED");
        assert_eq!(fleet.running[&leader].fleet_metrics().last_log, before, "an older daemon would have met it there");
    });
}

#[test]
fn an_older_build_on_a_newer_disk_is_refused_with_both_numbers_and_nothing_is_lost() {
    simulate(32, async {
        let mut fleet = fleet(32, &REGIONS).await;
        assert!(fleet.commit(raise()).await.result.is_ok());
        assert!(fleet.commit(new_thing()).await.result.is_ok());
        fleet.settle().await;
        let one = Region::from(REGIONS[0]);
        let Err(refused) = upgrade(&mut fleet, &one, Format::NEWEST).await else { panic!("it must not start") };
        assert!(matches!(refused, StartError::Disk(OpenError::TooNew(_))), "{refused:?}");
        let said = refused.to_string();
        let (found, reads) = (format!("memory has format {LATER}"), format!("reads formats up to {}", Format::NEWEST));
        for part in [&found, &reads, "start the build that wrote it", "nothing is lost"] {
            assert!(said.contains(part), "{said}");
        }
        fleet.commit(pause()).await;
        upgrade(&mut fleet, &one, LATER).await.unwrap();
        fleet.settle().await;
        assert_eq!(fleet.seqs(&one).await, [1, 2, 3, 4], "put right, it goes on where it was");
    });
}

#[test]
fn the_newer_number_is_on_the_disk_after_a_crash_in_the_next_moment() {
    simulate(33, async {
        let mut fleet = fleet(33, &REGIONS).await;
        assert!(fleet.commit(raise()).await.result.is_ok());
        fleet.settle().await;
        let one = Region::from(REGIONS[0]);
        fleet.crash(&one).await;
        fleet.reads.insert(one.clone(), Format::NEWEST);
        assert!(matches!(fleet.start(&one).await, Err(StartError::Disk(OpenError::TooNew(_)))));
    });
}

/// It was away while the fleet went on without it, with an older build on a disk that it can read.
#[test]
fn a_daemon_that_is_too_old_takes_nothing_in_until_it_is_upgraded() {
    for (seed, entries) in [(34, 1), (35, 60)] {
        simulate(seed, async {
            let mut fleet = fleet(seed, &REGIONS).await;
            let old = Region::from(REGIONS[0]);
            fleet.stop(&old).await;
            assert!(fleet.commit(raise()).await.result.is_ok());
            for _ in 0..entries {
                assert!(fleet.commit(new_thing()).await.result.is_ok());
            }
            upgrade(&mut fleet, &old, Format::NEWEST).await.unwrap();
            let leader = fleet.leader().await;
            let term = fleet.running[&leader].fleet_metrics().term;
            for _ in 0..30 {
                tokio::time::sleep(Duration::from_secs(1)).await;
                assert_eq!(fleet.running[&leader].confirm_leadership().await, Ok(()));
            }
            assert_eq!(fleet.running[&leader].fleet_metrics().term, term, "it deposes nobody");
            let stands = &fleet.running[&old];
            assert!(!stands.leadership().borrow().caught_up, "it answers nobody who asks for a switch");
            assert_eq!(stands.state().borrow().format, Format::FIRST);
            assert!(stands.state().borrow().head.seq < 2, "nothing behind the raise was taken in");
            assert!(fleet.commit(pause()).await.result.is_ok(), "the others go on");

            upgrade(&mut fleet, &old, LATER).await.unwrap();
            fleet.settle().await;
            assert_eq!(fleet.running[&old].state().borrow().head.seq, entries + 3);
        });
    }
}

#[test]
fn what_cannot_even_be_parsed_is_refused_by_its_number() {
    simulate(36, async {
        let fleet = fleet(36, &[]).await;
        let consensus = &fleet.running[&Region::from(REGIONS[0])];
        let append = |entry: &str| {
            format!(
                r#"{{"version":1,"fleet":"prod","generation":0,"from":"us-east-1","to":"{}","disk":7,"message":{{"append":
                {{"vote":{{"leader_id":{{"term":9,"node_id":1}},"committed":true}},"prev_log_id":null,"leader_commit":null,
                "entries":[{{"log_id":{{"leader_id":{{"term":9,"node_id":1}},"index":7}},"payload":{{"Normal":{entry}}}}}]}}}}}}"#,
                REGIONS[0]
            )
        };
        let later = r#"{"format":3,"at":1,"actor":{"daemon":"a"},"command":{"teleport":{}}}"#;
        assert_eq!(LATER, Format(3), "that it is later");
        let refused = consensus.handle_raft(append(later).as_bytes()).await.unwrap_err();
        assert!(matches!(&refused, HandleError::TooNew(newer) if newer.found == LATER), "{refused:?}");
        let unknown = later.replace(r#""format":3,"#, "");
        let nonsense = consensus.handle_raft(append(&unknown).as_bytes()).await.unwrap_err();
        assert!(matches!(nonsense, HandleError::Nonsense(_)), "no number explains it: {nonsense:?}");
    });
}
