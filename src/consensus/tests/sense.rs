//! A member that talks nonsense is not listened to: not as somebody else, not against what is committed, and not with
//! numbers that cannot be.

use failoverd_domain::ids::Region;
use openraft::raft::{AppendEntriesRequest, InstallSnapshotRequest, VoteRequest};
use openraft::{EntryPayload, SnapshotMeta};

use super::fleet::{Fleet, pause, simulate};
use crate::consensus::message::{Envelope, Message, VERSION};
use crate::consensus::types::{LogEntry, LogId, Membership, Vote, node_id};
use crate::consensus::{Consensus, HandleError};
use crate::ports::Agreement;

struct Liar {
    me: Region,
    to: Region,
    disk: u64,
    term: u64,
    last: u64,
}

impl Liar {
    fn at(&self, term: u64, index: u64) -> LogId {
        LogId::new(openraft::CommittedLeaderId::new(term, node_id(&self.me)), index)
    }

    fn leads(&self, term: u64) -> Vote {
        Vote::new_committed(term, node_id(&self.me))
    }

    fn entry(&self, term: u64, index: u64) -> LogEntry {
        openraft::Entry { log_id: self.at(term, index), payload: EntryPayload::Normal(pause()) }
    }

    fn append(&self, vote: Vote, prev: Option<LogId>, entries: Vec<LogEntry>) -> Message {
        Message::Append(AppendEntriesRequest { vote, prev_log_id: prev, entries, leader_commit: None })
    }

    async fn says(&self, to: &Consensus, message: Message) -> Result<(), HandleError> {
        let envelope = Envelope {
            version: VERSION,
            fleet: "prod".into(),
            generation: Default::default(),
            from: self.me.clone(),
            to: self.to.clone(),
            disk: self.disk,
            message,
        };
        to.handle_raft(&serde_json::to_vec(&envelope).unwrap()).await.map(drop)
    }

    /// What none of must be listened to.
    fn lies(&self) -> Vec<(&'static str, Message)> {
        let next = self.term + 1;
        let other = Vote::new_committed(next, node_id(&self.to));
        let (last, later) = (self.last, self.leads(next));
        let nobody = openraft::Membership::<u64, Region>::default();
        let renumbered =
            openraft::Membership::new(vec![[7].into()], std::collections::BTreeMap::from([(7, self.me.clone())]));
        let members = |membership| openraft::Entry {
            log_id: self.at(next, last + 1),
            payload: EntryPayload::Membership(membership),
        };
        let snapshot = |position: Option<LogId>, offset| {
            let meta = SnapshotMeta {
                last_log_id: position,
                last_membership: Membership::new(position, nobody.clone()),
                snapshot_id: "x".to_owned(),
            };
            Message::InstallSnapshot(InstallSnapshotRequest { vote: later, meta, offset, data: vec![0], done: true })
        };
        let before = Some(self.at(self.term, last));
        vec![
            ("another's vote", Message::Vote(VoteRequest::new(Vote::new(next, node_id(&self.to)), None))),
            ("another's entries", self.append(other, None, vec![])),
            ("a term that cannot be", Message::Vote(VoteRequest::new(Vote::new(u64::MAX, node_id(&self.me)), None))),
            ("a term out of reach", self.append(self.leads(1 << 40), None, vec![])),
            ("a position that cannot be", self.append(later, Some(self.at(next, u64::MAX)), vec![])),
            (
                "a log of the future",
                Message::Vote(VoteRequest::new(Vote::new(next, node_id(&self.me)), Some(self.at(next + 5, 3)))),
            ),
            ("the log from its beginning, anew", self.append(later, None, vec![self.entry(next, 0)])),
            (
                "another entry in place of an agreed one",
                self.append(later, None, (0..=last).map(|at| self.entry(next, at)).collect()),
            ),
            ("a gap", self.append(later, before, vec![self.entry(next, last + 5)])),
            (
                "terms that fall",
                self.append(later, Some(self.at(next, last + 1)), vec![self.entry(self.term, last + 2)]),
            ),
            ("a fleet of nobody", self.append(later, before, vec![members(nobody.clone())])),
            ("members with other numbers", self.append(later, before, vec![members(renumbered)])),
            ("a snapshot of nobody", snapshot(Some(self.at(next, last + 9)), 0)),
            ("a snapshot without end", snapshot(Some(self.at(next, last + 9)), u64::MAX)),
        ]
    }
}

#[test]
fn nonsense_of_a_member_is_dropped_counted_and_changes_nothing() {
    simulate(61, async {
        let fleet = Fleet::formed(61).await;
        for _ in 0..5 {
            fleet.commit(pause()).await;
        }
        fleet.settle().await;
        let leader = fleet.leader().await;
        let [me, to] = Fleet::others(&leader);
        let there = fleet.running[&to].clone();
        let metrics = there.fleet_metrics();
        let disk = fleet.running[&me].inner.disk;
        let liar = Liar { me: me.clone(), to, disk, term: metrics.term, last: metrics.last_log.unwrap().0 };
        let before = there.state().borrow().clone();
        let lies = liar.lies();
        let count = lies.len() as u64;
        for (what, lie) in lies {
            let refused = liar.says(&there, lie).await;
            assert!(matches!(refused, Err(HandleError::Nonsense(_))), "{what}: {refused:?}");
        }
        assert_eq!(there.inner.nonsense.counts()[me.as_str()], count);
        assert_eq!((there.fleet_metrics(), there.state().borrow().clone()), (metrics, before));
        fleet.commit(pause()).await;
        fleet.settle().await;
        assert_eq!(fleet.leader().await, leader, "nobody was unseated");
    });
}

#[test]
fn a_late_word_of_a_leader_of_before_is_no_lie_and_changes_nothing() {
    simulate(62, async {
        let fleet = Fleet::formed(62).await;
        let old = fleet.leader().await;
        let term = fleet.running[&old].fleet_metrics().term;
        let others = Fleet::others(&old);
        fleet.bus.isolate(&old, &others);
        let new = fleet.leader_but(Some(&old)).await;
        fleet.bus.heal();
        fleet.commit(pause()).await;
        fleet.settle().await;
        let to = others.into_iter().find(|other| *other != new).unwrap();
        let there = fleet.running[&to].clone();
        let metrics = there.fleet_metrics();
        let disk = fleet.running[&old].inner.disk;
        let late = Liar { me: old, to, disk, term, last: metrics.last_log.unwrap().0 };
        assert!(late.term < metrics.term);
        let before = there.state().borrow().clone();
        // Its log ended otherwise than what was agreed without it.
        let (vote, last) = (late.leads(term), late.at(term, late.last));
        let meta = SnapshotMeta {
            last_log_id: Some(last),
            last_membership: Membership::new(None, openraft::Membership::default()),
            snapshot_id: "x".to_owned(),
        };
        let snapshot = InstallSnapshotRequest { vote, meta, offset: 0, data: vec![0], done: true };
        let entries = late.append(vote, Some(last), vec![late.entry(term, late.last + 1)]);
        for word in [entries, Message::InstallSnapshot(snapshot)] {
            assert!(late.says(&there, word).await.is_ok());
        }
        assert!(there.inner.nonsense.counts().is_empty());
        assert_eq!((there.fleet_metrics(), there.state().borrow().clone()), (metrics, before));
    });
}
