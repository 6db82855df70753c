//! Who leads: elections, cut links, handing over, catching up.

use std::time::Duration;

use failoverd_domain::ids::Region;
use failoverd_domain::time::Timestamp;
use tokio::time::Instant;

use super::fleet::{Fleet, REGIONS, pause, simulate};
use crate::consensus::HandleError;
use crate::ports::{Agreement, ProposeError};

#[test]
fn a_new_fleet_forms_and_all_see_what_is_committed() {
    for seed in 0..10 {
        simulate(seed, async {
            let fleet = Fleet::formed(seed).await;
            assert!(fleet.commit(pause()).await.result.is_ok());
            fleet.settle().await;
            for consensus in fleet.running.values() {
                let state = consensus.state().borrow().clone();
                assert_eq!(state.fleet.as_str(), "prod");
                assert_eq!(state.members.len(), 3);
                assert!(state.paused);
                assert_eq!(state.applied, consensus.fleet_metrics().applied);
            }
            let leader = fleet.leader().await;
            fleet.running[&leader].ensure_formed(Timestamp(2)).await.unwrap();
            let head = fleet.running[&leader].state().borrow().head.seq;
            assert_eq!(head, 2, "a fleet is formed once");
        });
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        simulate(seed, async {
            let mut fleet = Fleet::formed(seed).await;
            for _ in 0..5 {
                fleet.commit(pause()).await;
            }
            let leader = fleet.leader().await;
            fleet.crash(&leader).await;
            fleet.commit(pause()).await;
            fleet.start(&leader).await.unwrap();
            fleet.settle().await;
            fleet.trace.lock().unwrap().clone()
        })
    };
    for seed in 0..5 {
        assert_eq!(run(seed), run(seed));
    }
    assert_ne!(run(1), run(2), "another seed gives another run");
}

#[test]
fn a_follower_names_the_leader() {
    simulate(1, async {
        let fleet = Fleet::formed(1).await;
        let leader = fleet.leader().await;
        let [follower, _] = Fleet::others(&leader);
        let refused = fleet.running[&follower].propose(pause()).await.unwrap_err();
        assert_eq!(refused, ProposeError::NotLeader { leader: Some(leader.clone()) });
        assert_eq!(fleet.running[&follower].confirm_leadership().await, Err(refused));
        assert_eq!(fleet.running[&leader].confirm_leadership().await, Ok(()));
    });
}

#[test]
fn a_leader_that_is_cut_off_is_replaced_and_cannot_confirm_itself() {
    for seed in 0..10 {
        simulate(seed, async {
            let fleet = Fleet::formed(seed).await;
            let old = fleet.leader().await;
            fleet.bus.isolate(&old, &Fleet::others(&old));
            assert!(fleet.running[&old].confirm_leadership().await.is_err());
            let unknown = fleet.running[&old].propose(pause()).await.unwrap_err();
            assert!(matches!(unknown, ProposeError::Unknown(_)), "{unknown}");
            let new = fleet.leader_but(Some(&old)).await;
            assert!(fleet.running[&new].propose(pause()).await.unwrap().result.is_ok());
            fleet.bus.heal();
            fleet.settle().await;
            assert_eq!(
                fleet.running[&old].state().borrow().head.seq,
                2,
                "what the old leader could not commit is gone"
            );
        });
    }
}

#[test]
fn one_way_links_do_not_stop_the_fleet_for_good() {
    for seed in 0..5 {
        simulate(seed, async {
            let fleet = Fleet::formed(seed).await;
            let leader = fleet.leader().await;
            let [deaf, _] = Fleet::others(&leader);
            fleet.bus.cut(&leader, &deaf);
            fleet.bus.lose_replies(&deaf, &leader, true);
            tokio::time::sleep(Duration::from_secs(10)).await;
            fleet.bus.heal();
            fleet.commit(pause()).await;
            fleet.settle().await;
        });
    }
}

/// Cloudflare, November 2020: a switch let a machine send and not receive, and its elections held up everybody.
#[test]
fn a_daemon_that_hears_nobody_does_not_keep_the_others_from_agreeing() {
    for seed in 0..10 {
        for was_leader in [false, true] {
            simulate(seed, async {
                let fleet = Fleet::formed(seed).await;
                let leader = fleet.leader().await;
                let [follower, _] = Fleet::others(&leader);
                let deaf = if was_leader { &leader } else { &follower };
                // The log is idle: nothing but signs of life tells followers of a leader.
                tokio::time::sleep(Duration::from_secs(10)).await;
                for other in Fleet::others(deaf) {
                    fleet.bus.cut(&other, deaf);
                }
                tokio::time::sleep(Duration::from_secs(10)).await;
                let terms = || Fleet::others(deaf).map(|other| fleet.running[&other].fleet_metrics().term);
                let (new, before) = (fleet.leader_but(Some(deaf)).await, terms());
                assert_eq!(new == leader, !was_leader, "seed {seed}: {new} leads after {leader}");
                for _ in 0..30 {
                    let committed = fleet.running[&new].propose(pause()).await;
                    assert!(committed.is_ok(), "seed {seed}: {committed:?}");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                assert_eq!(terms(), before, "seed {seed}: it held up nobody");
                fleet.bus.heal();
                fleet.commit(pause()).await;
                fleet.settle().await;
            });
        }
    }
}

/// Whoever is being elected has no lease yet, and the one that gave way has none any more.
#[test]
fn a_daemon_that_hears_nobody_does_not_keep_leadership_from_changing_hands() {
    for seed in 0..40 {
        simulate(seed, async {
            let fleet = Fleet::formed(seed).await;
            let old = fleet.leader().await;
            let [to, deaf] = Fleet::others(&old);
            for other in [&old, &to] {
                fleet.bus.cut(other, &deaf);
            }
            // Long enough that its term is far beyond the others'.
            tokio::time::sleep(Duration::from_secs(60)).await;
            for (from, to) in [(&old, &to), (&to, &old)].repeat(5) {
                let term = fleet.running[from].fleet_metrics().term;
                fleet.running[from].step_aside(to).await;
                assert_eq!(fleet.leader().await, *to, "seed {seed}");
                assert_eq!(fleet.running[to].fleet_metrics().term, term + 1, "seed {seed}: one election");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            fleet.bus.heal();
            fleet.commit(pause()).await;
            fleet.settle().await;
        });
    }
}

#[test]
fn stepping_aside_moves_leadership_to_the_one_chosen() {
    for seed in 0..20 {
        simulate(seed, async {
            let fleet = Fleet::formed(seed).await;
            let old = fleet.leader().await;
            for to in Fleet::others(&old) {
                let from = fleet.leader().await;
                let term = fleet.running[&from].fleet_metrics().term;
                // One that was elected just now does not give way before its lease is over.
                tokio::time::sleep(Duration::from_secs(1)).await;
                let begun = Instant::now();
                fleet.running[&from].step_aside(&to).await;
                assert!(begun.elapsed() < Duration::from_millis(300), "{:?} without a leader", begun.elapsed());
                assert_eq!(fleet.leader_but(Some(&from)).await, to, "seed {seed}");
                assert_eq!(fleet.running[&to].fleet_metrics().term, term + 1, "one election, nobody else stood");
                fleet.commit(pause()).await;
            }
            let from = fleet.leader().await;
            fleet.running[&from].step_aside(&old).await;
            assert_eq!(fleet.leader_but(Some(&from)).await, old, "one that stepped aside can lead again");
            tokio::time::sleep(Duration::from_secs(10)).await;
            assert_eq!(fleet.leader().await, old, "and gives signs of life again");
        });
    }
}

#[test]
fn stepping_aside_works_without_the_old_leaders_own_vote() {
    for seed in 0..40 {
        simulate(seed, async {
            let fleet = Fleet::formed(seed).await;
            let old = fleet.leader().await;
            let [to, _] = Fleet::others(&old);
            fleet.settle().await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            fleet.bus.cut(&to, &old);
            fleet.running[&old].step_aside(&to).await;
            assert!(fleet.running[&to].leadership().borrow().is_me, "seed {seed}");
            fleet.bus.heal();
            fleet.commit(pause()).await;
            fleet.settle().await;
        });
    }
}

#[test]
fn stepping_aside_waits_for_what_was_proposed_just_before() {
    for seed in 0..40 {
        simulate(seed, async {
            let fleet = Fleet::formed(seed).await;
            let old = fleet.leader().await;
            let [to, _] = Fleet::others(&old);
            tokio::time::sleep(Duration::from_secs(1)).await;
            let leader = &fleet.running[&old];
            let term = leader.fleet_metrics().term;
            let begun = Instant::now();
            // The entry is on its way into the log, which nothing shows yet, when leadership is to be handed over.
            let (proposed, ()) = tokio::join!(leader.propose(pause()), leader.step_aside(&to));
            assert!(
                begun.elapsed() < Duration::from_millis(400),
                "seed {seed}: {:?} without a leader",
                begun.elapsed()
            );
            assert!(fleet.running[&to].leadership().borrow().is_me, "seed {seed}");
            assert_eq!(fleet.running[&to].fleet_metrics().term, term + 1, "seed {seed}: one election");
            proposed.unwrap();
            fleet.settle().await;
        });
    }
}

#[test]
fn one_that_was_elected_just_now_steps_aside_once_its_lease_is_over() {
    for seed in 0..40 {
        simulate(seed, async {
            let fleet = Fleet::started(seed).await;
            let old = fleet.leader().await;
            let [to, _] = Fleet::others(&old);
            let leader = &fleet.running[&old];
            let begun = Instant::now();
            let (proposed, ()) = tokio::join!(leader.propose(pause()), leader.step_aside(&to));
            assert!(
                begun.elapsed() < Duration::from_millis(1_200),
                "seed {seed}: {:?} without a leader",
                begun.elapsed()
            );
            assert_ne!(fleet.leader_but(Some(&old)).await, old, "seed {seed}");
            proposed.unwrap();
            fleet.commit(pause()).await;
            fleet.settle().await;
        });
    }
}

#[test]
fn stepping_aside_for_one_that_is_gone_leaves_the_leader_leading() {
    simulate(3, async {
        let mut fleet = Fleet::formed(3).await;
        let leader = fleet.leader().await;
        let [gone, other] = Fleet::others(&leader);
        fleet.crash(&gone).await;
        fleet.commit(pause()).await;
        fleet.running[&leader].step_aside(&gone).await;
        assert!(fleet.running[&leader].leadership().borrow().is_me);
        fleet.commit(pause()).await;
        assert!(fleet.seen(&other, |seen| seen.leader.as_ref() == Some(&leader)).await);
    });
}

#[test]
fn a_restarted_daemon_has_not_caught_up_until_a_confirmed_leader_says_so() {
    simulate(4, async {
        let mut fleet = Fleet::formed(4).await;
        let leader = fleet.leader().await;
        let [other, late] = Fleet::others(&leader);
        assert!(fleet.seen(&late, |seen| seen.caught_up).await);
        fleet.stop(&late).await;
        fleet.commit(pause()).await;
        // The leader reaches the late one, but nobody else: it must not be believed.
        fleet.bus.isolate(&leader, [&other]);
        fleet.bus.cut(&late, &leader);
        fleet.bus.isolate(&late, [&other]);
        fleet.start(&late).await.unwrap();
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert!(!fleet.running[&late].leadership().borrow().caught_up);
        fleet.bus.heal();
        assert!(fleet.seen(&late, |seen| seen.caught_up).await);
        assert!(fleet.running[&late].state().borrow().paused, "caught up means that it knows");
    });
}

#[test]
fn a_leader_that_restarts_never_confirms_itself_without_what_it_committed() {
    for seed in 0..20 {
        simulate(seed, async {
            let mut fleet = Fleet::formed(seed).await;
            let leader = fleet.leader().await;
            for _ in 0..5 {
                fleet.commit(pause()).await;
            }
            fleet.crash(&leader).await;
            fleet.start(&leader).await.unwrap();
            for _ in 0..200 {
                if fleet.running[&leader].confirm_leadership().await.is_ok() {
                    assert_eq!(fleet.running[&leader].state().borrow().head.seq, 6, "seed {seed}");
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    }
}

#[test]
fn who_has_caught_up_knows_everything_committed_before_even_after_all_lost_power() {
    for seed in 0..10 {
        simulate(seed, async {
            let mut fleet = Fleet::formed(seed).await;
            for _ in 0..7 {
                fleet.commit(pause()).await;
            }
            for region in REGIONS.map(Region::from) {
                fleet.crash(&region).await;
            }
            for region in REGIONS.map(Region::from) {
                fleet.start(&region).await.unwrap();
            }
            let known = REGIONS.map(|region| {
                let consensus = fleet.running[region].clone();
                async move {
                    consensus.leadership().wait_for(|seen| seen.caught_up).await.unwrap();
                    consensus.state().borrow().head.seq
                }
            });
            let known = futures_util::future::join_all(known).await;
            assert_eq!(known, [8, 8, 8], "seed {seed}");
        });
    }
}

#[test]
fn a_daemon_alone_never_catches_up_and_commits_nothing() {
    simulate(5, async {
        let mut fleet = Fleet::formed(5).await;
        for region in REGIONS.map(Region::from) {
            fleet.crash(&region).await;
        }
        let alone = Region::from(REGIONS[0]);
        fleet.start(&alone).await.unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(!fleet.running[&alone].leadership().borrow().caught_up);
        assert!(matches!(fleet.running[&alone].propose(pause()).await, Err(ProposeError::NotLeader { .. })));
    });
}

#[test]
fn nonsense_is_an_error_for_who_sent_it() {
    simulate(6, async {
        let fleet = Fleet::formed(6).await;
        let consensus = &fleet.running[&Region::from(REGIONS[0])];
        for bytes in [&b""[..], b"\xff\xfe", b"{}", b"{\"version\":1}", b"[1]"] {
            assert!(matches!(consensus.handle_raft(bytes).await, Err(HandleError::Nonsense(_))));
        }
        let newer = consensus.handle_raft(b"{\"version\":2,\"anything\":true}").await;
        assert!(matches!(newer, Err(HandleError::Version { found: 2 })));
        let envelope = |fleet: &str, from: &str, to: &str| {
            format!(
                r#"{{"version":1,"fleet":"{fleet}","generation":0,"from":"{from}","to":"{to}","disk":7,"message":"read_position"}}"#
            )
        };
        let strangers = [
            ("other", REGIONS[1], REGIONS[0]),
            ("prod", REGIONS[2], REGIONS[1]),
            ("prod", "ap-south-1", REGIONS[0]),
            ("prod", REGIONS[0], REGIONS[0]),
        ];
        for (name, from, to) in strangers {
            let stranger = consensus.handle_raft(envelope(name, from, to).as_bytes()).await;
            assert!(matches!(stranger, Err(HandleError::Stranger(_))), "{stranger:?}");
        }
        assert!(consensus.handle_raft(envelope("prod", REGIONS[1], REGIONS[0]).as_bytes()).await.is_ok());
        fleet.commit(pause()).await;
    });
}
