//! The vote where silence abstains: how the daemons' answers become the health of a pair of checks.
//!
//! Per daemon two Route 53 checks poll the same answer: one is healthy on `switch=on`, the other is inverted and so
//! unhealthy on `switch=off`. A daemon thus adds 2 healthy children when it says on, 0 when it says off and 1 when it
//! is silent. Must never let a dead daemon change an answer.

use crate::health::Vote;
use crate::route53::calculated_is_healthy;

/// Healthy children that one daemon adds to the 2N of a switch.
#[must_use]
pub const fn weight(vote: Vote) -> u32 {
    match vote {
        Vote::On => 2,
        Vote::Silent => 1,
        Vote::Off => 0,
    }
}

/// What a tie, and silence of all, means: the settled reality.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tie {
    /// The bit counts as on: the Region that it belongs to serves.
    On,
    /// The bit counts as off: settled elsewhere.
    Off,
}

impl Tie {
    /// The tie that keeps reality when every daemon is gone, for a bit that is settled.
    #[must_use]
    pub const fn of(on: bool) -> Self {
        if on { Self::On } else { Self::Off }
    }

    /// The threshold of the CALCULATED check over the 2N children of N daemons: N, or N+1.
    #[must_use]
    pub const fn threshold(self, daemons: u32) -> u32 {
        match self {
            Self::On => daemons,
            Self::Off => daemons + 1,
        }
    }
}

/// Health of P (the Region that the bit belongs to) and of S, its inversion (the other Region).
#[must_use]
pub fn pair(votes: &[Vote], threshold: u32) -> (bool, bool) {
    let p_healthy = calculated_is_healthy(votes.iter().copied().map(weight).sum(), threshold);
    (p_healthy, !p_healthy)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every way in which `daemons` can vote.
    pub(crate) fn all_votes(daemons: u32) -> Vec<Vec<Vote>> {
        (0..3_usize.pow(daemons))
            .map(|mut n| {
                let vote = |_| {
                    let vote = [Vote::On, Vote::Off, Vote::Silent][n % 3];
                    n /= 3;
                    vote
                };
                (0..daemons).map(vote).collect()
            })
            .collect()
    }

    fn tally(votes: &[Vote]) -> (usize, usize) {
        let count = |wanted| votes.iter().filter(|vote| **vote == wanted).count();
        (count(Vote::On), count(Vote::Off))
    }

    /// DESIGN's table, row by row, for every vote of one to five daemons.
    #[test]
    fn every_row_of_the_table_holds() {
        for daemons in 1..=5 {
            for votes in all_votes(daemons) {
                let (on, off) = tally(&votes);
                for (tie, tie_goes_to_p) in [(Tie::On, true), (Tie::Off, false)] {
                    let expected = match on.cmp(&off) {
                        std::cmp::Ordering::Greater => (true, false),
                        std::cmp::Ordering::Less => (false, true),
                        std::cmp::Ordering::Equal => (tie_goes_to_p, !tie_goes_to_p),
                    };
                    assert_eq!(pair(&votes, tie.threshold(daemons)), expected, "{votes:?} {tie:?}");
                }
            }
        }
    }

    /// While settled, any daemons may fall silent, and at most fewer than half of the rest be out of date.
    #[test]
    fn silence_changes_nothing_while_settled() {
        for daemons in 1..=5_u32 {
            for on in [true, false] {
                let truth = if on { Vote::On } else { Vote::Off };
                for votes in all_votes(daemons) {
                    if votes.iter().all(|vote| *vote == truth || *vote == Vote::Silent) {
                        assert_eq!(pair(&votes, Tie::of(on).threshold(daemons)).0, on, "{votes:?}");
                    }
                }
            }
        }
    }
}
