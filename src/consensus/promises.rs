//! What the others have acknowledged to this daemon while it leads.
//!
//! openraft counts on it that whoever acknowledged an entry keeps it, and its leader does not survive an answer that says
//! otherwise. So answers are held to what was sent and to what was acknowledged before. A daemon that has forgotten is on a disk
//! that lost writes or was put back from a copy: what it acknowledged may be counted on, and is gone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse};

use super::sense::is_out_of_reach;
use super::types::{LogId, NodeId, TypeConfig, Vote};

/// The newest entry that is on each disk by its daemon's word, as this daemon leads. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Promises {
    newest: Arc<Mutex<BTreeMap<u64, (Vote, LogId)>>>,
}

/// What is wrong with an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// It cannot be an answer to what was sent.
    Nonsense(String),
    /// An entry that was acknowledged is not there any more, or another is in its place.
    Forgot(LogId),
}

/// Where the entries of a message stand, and what is before them.
#[derive(Debug)]
pub(super) struct Sent {
    vote: Vote,
    before: Option<LogId>,
    entries: Vec<LogId>,
    /// What was acknowledged when it was sent. What is acknowledged later may be newer than the answer, which was late.
    promised: Option<LogId>,
}

impl Sent {
    fn has(&self, position: &LogId) -> bool {
        self.before.as_ref() == Some(position) || self.entries.contains(position)
    }
}

impl Promises {
    /// What is about to be sent there.
    pub(super) fn sending(&self, disk: Option<u64>, request: &AppendEntriesRequest<TypeConfig>) -> Sent {
        let entries = request.entries.iter().map(|entry| entry.log_id).collect();
        let promised = self.newest(disk, &request.vote);
        Sent { vote: request.vote, before: request.prev_log_id, entries, promised }
    }

    /// Takes an answer to entries for what it promises.
    pub(super) fn hear(
        &self,
        disk: Option<u64>,
        sent: &Sent,
        answer: &AppendEntriesResponse<NodeId>,
    ) -> Result<(), Doubt> {
        let nonsense = |what: &str| Err(Doubt::Nonsense(what.to_owned()));
        match answer {
            AppendEntriesResponse::Success => {
                self.promised(disk, sent.vote, sent.entries.last().or(sent.before.as_ref()));
                Ok(())
            }
            AppendEntriesResponse::PartialSuccess(Some(until)) if sent.has(until) => {
                self.promised(disk, sent.vote, Some(until));
                Ok(())
            }
            AppendEntriesResponse::PartialSuccess(_) => nonsense("it acknowledges what it was not sent"),
            AppendEntriesResponse::HigherVote(vote) if *vote <= sent.vote => nonsense("it refuses for a lower vote"),
            AppendEntriesResponse::HigherVote(vote) => check_term(vote, &sent.vote),
            AppendEntriesResponse::Conflict => {
                let Some(before) = &sent.before else { return nonsense("a log does not conflict with nothing") };
                match &sent.promised {
                    Some(promised) if promised.index >= before.index => Err(Doubt::Forgot(*promised)),
                    _ => Ok(()),
                }
            }
        }
    }

    /// Takes an answer to a part of a snapshot for what it promises: with the last part, everything `until` there.
    pub(super) fn hear_of_snapshot(
        &self,
        disk: Option<u64>,
        ours: &Vote,
        until: Option<LogId>,
        theirs: &Vote,
    ) -> Result<(), Doubt> {
        check_term(theirs, ours)?;
        if theirs <= ours {
            self.promised(disk, *ours, until.as_ref());
        }
        Ok(())
    }

    fn newest(&self, disk: Option<u64>, vote: &Vote) -> Option<LogId> {
        let all = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&disk?).filter(|(under, _)| under == vote).map(|(_, newest)| *newest)
    }

    fn promised(&self, disk: Option<u64>, vote: Vote, position: Option<&LogId>) {
        let (Some(position), Some(of)) = (position, disk) else { return };
        if self.newest(disk, &vote).is_none_or(|newest| newest < *position) {
            self.newest.lock().unwrap_or_else(PoisonError::into_inner).insert(of, (vote, *position));
        }
    }
}

/// No term is that far ahead of ours.
pub(super) fn check_term(theirs: &Vote, ours: &Vote) -> Result<(), Doubt> {
    let (theirs, ours) = (theirs.leader_id.term, ours.leader_id.term);
    if is_out_of_reach(theirs, ours) {
        return Err(Doubt::Nonsense(format!("term {theirs} cannot be, {ours} is known here")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DISK: Option<u64> = Some(5);
    const OTHER: NodeId = 9;

    fn at(term: u64, index: u64) -> LogId {
        LogId::new(openraft::CommittedLeaderId::new(term, 7), index)
    }

    fn request(term: u64, before: u64, entries: std::ops::Range<u64>) -> AppendEntriesRequest<TypeConfig> {
        let entry = |index| openraft::Entry { log_id: at(1, index), payload: openraft::EntryPayload::Blank };
        AppendEntriesRequest {
            vote: Vote::new_committed(term, 7),
            prev_log_id: Some(at(1, before)),
            entries: entries.map(entry).collect(),
            leader_commit: None,
        }
    }

    #[test]
    fn whoever_has_not_what_it_acknowledged_has_forgotten_it() {
        use AppendEntriesResponse::{Conflict, PartialSuccess, Success};

        let promises = Promises::default();
        let hear = |disk, term, before, entries: std::ops::Range<u64>, answer| {
            promises.hear(disk, &promises.sending(disk, &request(term, before, entries)), &answer)
        };
        let early = promises.sending(DISK, &request(1, 7, 8..9));
        assert_eq!(hear(DISK, 1, 8, 9..9, Conflict), Ok(()), "it is only behind");
        assert_eq!(hear(DISK, 1, 3, 4..7, Success), Ok(()));
        assert_eq!(hear(DISK, 1, 7, 8..8, Conflict), Ok(()), "it never said that it has 7");
        assert_eq!(hear(DISK, 1, 6, 7..9, PartialSuccess(Some(at(1, 7)))), Ok(()));
        assert_eq!(hear(DISK, 1, 2, 3..3, Success), Ok(()), "a late answer takes nothing back");
        assert_eq!(promises.hear(DISK, &early, &Conflict), Ok(()), "nor does it speak of what came after");
        for before in [4, 7] {
            assert_eq!(hear(DISK, 1, before, 8..9, Conflict), Err(Doubt::Forgot(at(1, 7))), "before {before}");
        }
        assert_eq!(hear(Some(6), 1, 7, 8..9, Conflict), Ok(()), "another disk owes nothing");
        assert_eq!(hear(None, 1, 3, 4..7, Success), Ok(()));
        assert_eq!(hear(None, 1, 6, 7..8, Conflict), Ok(()), "nor does one that nobody knows");
        assert_eq!(hear(DISK, 2, 7, 8..9, Conflict), Ok(()), "nor does this one a later leader");

        let vote = Vote::new_committed(2, 7);
        assert_eq!(promises.hear_of_snapshot(DISK, &vote, None, &vote), Ok(()), "a part of it");
        assert_eq!(hear(DISK, 2, 9, 10..10, Conflict), Ok(()));
        let refused = promises.hear_of_snapshot(DISK, &vote, Some(at(1, 9)), &Vote::new(3, OTHER));
        assert_eq!((refused, hear(DISK, 2, 9, 10..10, Conflict)), (Ok(()), Ok(())), "it follows another by now");
        assert_eq!(promises.hear_of_snapshot(DISK, &vote, Some(at(1, 9)), &vote), Ok(()));
        assert_eq!(hear(DISK, 2, 9, 10..10, Conflict), Err(Doubt::Forgot(at(1, 9))));
    }

    #[test]
    fn answers_that_cannot_be_are_nonsense() {
        use AppendEntriesResponse::{Conflict, HigherVote, PartialSuccess};

        let promises = Promises::default();
        let sent = promises.sending(DISK, &request(1, 3, 4..7));
        let lies = [
            ("less than was there", PartialSuccess(None)),
            ("what was before", PartialSuccess(Some(at(1, 2)))),
            ("what was never sent", PartialSuccess(Some(at(1, 7)))),
            ("an entry of another leader", PartialSuccess(Some(at(2, 5)))),
            ("a lower vote", HigherVote(Vote::new(0, OTHER))),
            ("our own vote", HigherVote(Vote::new_committed(1, 7))),
            ("a term that cannot be", HigherVote(Vote::new(u64::MAX, OTHER))),
        ];
        for (what, lie) in lies {
            let heard = promises.hear(DISK, &sent, &lie);
            assert!(matches!(heard, Err(Doubt::Nonsense(_))), "{what}: {heard:?}");
        }
        assert_eq!(promises.hear(DISK, &sent, &HigherVote(Vote::new(2, OTHER))), Ok(()));
        let first = AppendEntriesRequest { prev_log_id: None, ..request(1, 0, 0..3) };
        let heard = promises.hear(DISK, &promises.sending(DISK, &first), &Conflict);
        assert!(matches!(heard, Err(Doubt::Nonsense(_))), "nothing fits nowhere: {heard:?}");
        assert!(check_term(&Vote::new(1 << 40, OTHER), &Vote::new(1, 7)).is_err());
    }
}
