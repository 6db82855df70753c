//! Whether a recorded history could have come from one copy of something, taken one operation after the other.
//!
//! Wing and Gong's search with Lowe's memory of what was tried, over what clients recorded and nothing else: this file
//! knows no code of the product. `stateright` has a checker too, inside a model checker with a web server; `todc-utils`
//! wants an answer to every call. Here some calls have none, and reads may be old, so it is written out.

use std::collections::HashSet;
use std::fmt::{self, Debug};
use std::hash::Hash;

/// Nodes of the search after which it gives up, and says so.
const MOST_NODES: usize = 2_000_000;

/// What one copy does.
pub trait Model {
    /// What it holds.
    type State: Clone + Eq + Hash + Debug;
    /// What is asked of it, with what was answered.
    type Act: Clone + Debug;

    /// What it holds afterwards; nothing when it would not have answered so. `answered` is `false` where nobody knows
    /// whether it was done, which one copy always could have.
    fn step(&self, state: &Self::State, act: &Self::Act, answered: bool) -> Option<Self::State>;
}

/// One call, as its caller recorded it. Instants are places in one order of everything that was recorded.
#[derive(Clone, Debug)]
pub struct Op<A> {
    /// Calls of one session see what the session has seen before: one client that goes on at one daemon.
    pub session: usize,
    pub invoked: usize,
    /// Absent: nobody knows whether it was done, or when.
    pub returned: Option<usize>,
    /// Old answers are allowed: it must not have happened before what its session saw, that is all.
    pub may_be_old: bool,
    /// The place in the order of everything that the answer claims.
    pub revision: Option<u64>,
    pub act: A,
}

impl<A> Op<A> {
    /// Whether one order of everything must have this before that.
    fn precedes(&self, other: &Self) -> bool {
        let Some(returned) = self.returned else { return false };
        let in_time = returned < other.invoked && (!other.may_be_old || self.session == other.session);
        let claimed = match (self.revision, other.revision) {
            (Some(mine), Some(theirs)) => mine < theirs || (mine == theirs && !self.may_be_old && other.may_be_old),
            _ => false,
        };
        in_time || claimed
    }
}

impl<A: Debug> fmt::Display for Op<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { session, invoked, act, .. } = self;
        let returned = self.returned.map_or_else(|| "?".to_owned(), |returned| returned.to_string());
        let revision =
            self.revision.map_or_else(|| "no revision".to_owned(), |revision| format!("revision {revision}"));
        write!(f, "session {session:>3}  {invoked:>5}..{returned:<5}  {revision:<14}  {act:?}")
    }
}

/// Whether some order explains everything; `Err` when the search was given up.
pub fn explains<M: Model>(model: &M, start: &M::State, ops: &[Op<M::Act>]) -> Result<bool, &'static str> {
    let before: Vec<Vec<usize>> = ops
        .iter()
        .enumerate()
        .map(|(at, op)| (0..ops.len()).filter(|other| *other != at && ops[*other].precedes(op)).collect())
        .collect();
    let needed = ops.iter().filter(|op| op.returned.is_some()).count();
    // Those with an answer first: they are settled, and most of the time they are enough.
    let mut order: Vec<usize> = (0..ops.len()).collect();
    order.sort_by_key(|at| (ops[*at].returned.is_none(), ops[*at].returned, *at));
    let mut tried = HashSet::new();
    let mut open = vec![(vec![false; ops.len()], start.clone(), 0)];
    while let Some((done, state, answered)) = open.pop() {
        if answered == needed {
            return Ok(true);
        }
        if tried.len() > MOST_NODES {
            return Err("given up: too many orders");
        }
        for at in order.iter().rev().copied().filter(|at| !done[*at]) {
            let op = &ops[at];
            if before[at].iter().any(|other| !done[*other]) {
                continue;
            }
            let Some(next) = model.step(&state, &op.act, op.returned.is_some()) else { continue };
            // Done or not, nobody could tell.
            if op.returned.is_none() && next == state {
                continue;
            }
            let mut done = done.clone();
            done[at] = true;
            if tried.insert((done.clone(), next.clone())) {
                open.push((done, next, answered + usize::from(op.returned.is_some())));
            }
        }
    }
    Ok(false)
}

/// The shortest offending history that is easily found: as few answers as there can be, then as few reads.
pub fn shortest<M: Model>(model: &M, start: &M::State, ops: &[Op<M::Act>]) -> Vec<Op<M::Act>> {
    let offends = |ops: &[Op<M::Act>]| explains(model, start, ops) == Ok(false);
    let mut ends: Vec<usize> = ops.iter().filter_map(|op| op.returned).collect();
    ends.sort_unstable();
    let until = |end: usize| -> Vec<Op<M::Act>> {
        let begun = ops.iter().filter(|op| op.invoked < end).cloned();
        begun.map(|op| Op { returned: op.returned.filter(|at| *at <= end), ..op }).filter(is_of_use).collect()
    };
    // More answers never explain what fewer did not.
    let enough = ends.partition_point(|end| !offends(&until(*end)));
    let mut least = ends.get(enough).map_or_else(|| ops.to_vec(), |end| until(*end));
    let mut at = 0;
    while at < least.len() {
        let mut fewer = least.clone();
        let dropped = fewer.remove(at);
        if dropped.may_be_old && offends(&fewer) {
            least = fewer;
        } else {
            at += 1;
        }
    }
    least
}

/// A read without an answer says nothing.
fn is_of_use<A>(op: &Op<A>) -> bool {
    op.returned.is_some() || !op.may_be_old
}

mod tests {
    use super::*;

    /// One number.
    struct Register;

    #[derive(Clone, Debug)]
    enum Act {
        Write(u8),
        Read(u8),
    }

    impl Model for Register {
        type State = u8;
        type Act = Act;

        fn step(&self, state: &u8, act: &Act, _: bool) -> Option<u8> {
            match act {
                Act::Write(value) => Some(*value),
                Act::Read(seen) => (seen == state).then_some(*state),
            }
        }
    }

    fn op(session: usize, invoked: usize, returned: usize, act: Act) -> Op<Act> {
        let returned = (returned > 0).then_some(returned);
        Op { session, invoked, returned, may_be_old: false, revision: None, act }
    }

    fn old(session: usize, invoked: usize, returned: usize, seen: u8) -> Op<Act> {
        Op { may_be_old: true, ..op(session, invoked, returned, Act::Read(seen)) }
    }

    fn holds(ops: &[Op<Act>]) -> bool {
        explains(&Register, &0, ops).unwrap()
    }

    #[test]
    fn what_one_copy_could_have_done_is_explained() {
        use Act::{Read, Write};
        assert!(holds(&[]));
        assert!(holds(&[op(1, 1, 2, Write(1)), op(2, 3, 4, Read(1))]), "one after the other");
        for seen in [0, 1] {
            assert!(holds(&[op(1, 1, 4, Write(1)), op(2, 2, 3, Read(seen))]), "at the same time: either");
        }
        let crossed = [op(1, 1, 6, Write(1)), op(2, 2, 7, Write(2)), op(3, 3, 4, Read(2)), op(3, 5, 8, Read(1))];
        assert!(holds(&crossed), "2 before 1, though 1 was asked first");
    }

    #[test]
    fn what_no_single_copy_could_have_done_is_found() {
        use Act::{Read, Write};
        assert!(!holds(&[op(1, 1, 2, Write(1)), op(2, 3, 4, Read(0))]), "an old answer");
        assert!(!holds(&[op(1, 1, 2, Read(1)), op(2, 3, 4, Write(1))]), "an answer from the future");
        let back = [op(1, 1, 9, Write(1)), op(2, 2, 3, Read(1)), op(3, 4, 5, Read(0))];
        assert!(!holds(&back), "new, then old again");
        let lost = [op(1, 1, 2, Write(1)), op(2, 3, 4, Write(2)), op(3, 5, 6, Read(1))];
        assert!(!holds(&lost), "a change that was lost");
    }

    #[test]
    fn what_nobody_answered_may_be_done_late_or_never_but_only_once() {
        use Act::{Read, Write};
        let unknown = |rest: &[Op<Act>]| holds(&[&[op(1, 1, 0, Write(1))][..], rest].concat());
        assert!(unknown(&[op(2, 2, 3, Read(0)), op(2, 4, 5, Read(0))]), "never");
        assert!(unknown(&[op(2, 2, 3, Read(0)), op(2, 4, 5, Read(1))]), "late");
        assert!(unknown(&[op(2, 2, 3, Write(2)), op(2, 4, 5, Read(1))]), "after another");
        assert!(!unknown(&[op(2, 2, 3, Read(1)), op(2, 4, 5, Read(0))]), "and not undone");
        let again = [op(2, 2, 3, Read(1)), op(2, 4, 5, Write(2)), op(2, 6, 7, Read(1))];
        assert!(!unknown(&again), "twice");
    }

    #[test]
    fn an_old_answer_is_allowed_where_it_was_promised_but_never_backwards_nor_from_the_future() {
        use Act::Write;
        let write = op(1, 1, 2, Write(1));
        assert!(holds(&[write.clone(), old(2, 3, 4, 0)]), "old");
        assert!(!holds(&[write.clone(), old(1, 3, 4, 0)]), "but not to who wrote it");
        assert!(!holds(&[write.clone(), old(2, 3, 4, 1), old(2, 5, 6, 0)]), "nor backwards");
        assert!(holds(&[write, old(2, 3, 4, 1), old(3, 5, 6, 0)]), "another may be behind");
        assert!(!holds(&[old(2, 1, 2, 1), op(1, 3, 4, Write(1))]), "nor what nobody has written yet");
    }

    #[test]
    fn what_an_answer_claims_of_the_order_must_be_so() {
        use Act::Write;
        let at = |revision, op: Op<Act>| Op { revision: Some(revision), ..op };
        let (one, two) = (at(7, op(1, 1, 2, Write(1))), at(9, op(1, 3, 4, Write(2))));
        assert!(holds(&[one.clone(), two.clone(), at(8, old(2, 5, 6, 1))]));
        assert!(!holds(&[one.clone(), two.clone(), at(9, old(2, 5, 6, 1))]), "revision 9 has 2");
        assert!(!holds(&[at(9, one), at(7, two)]), "the order of time");
    }

    #[test]
    fn the_shortest_offence_has_no_more_than_it_needs() {
        use Act::{Read, Write};
        let mut ops = vec![op(1, 1, 2, Write(1)), old(2, 3, 4, 1), old(3, 5, 6, 0), op(4, 7, 8, Read(0))];
        ops.extend((5..9).map(|n| old(n, n * 10, n * 10 + 1, 1)));
        let least = shortest(&Register, &0, &ops);
        assert_eq!(least.len(), 2, "{least:#?}");
    }
}
