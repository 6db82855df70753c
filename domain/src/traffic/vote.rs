//! The vote where silence abstains: how the daemons' answers become the health of a pair of checks.
//!
//! Per daemon two Route 53 checks poll the same answer: one is healthy on `switch=on`, the other is inverted and so
//! unhealthy on `switch=off`. A daemon thus adds 2 healthy children when it says on, 0 when it says off and 1 when it
//! is silent. Must never let a dead daemon change an answer.
//!
//! Through CloudWatch there is no silence: Route 53 keeps the last word of a daemon from which no data comes. So one
//! child per daemon is enough, healthy for on, and the vote is a plain majority of last words. An entry is agreed by a
//! majority of the fleet; as soon as a majority has published it, what any minority said last, and however long it has
//! been silent since, decides nothing.

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

    /// The same over N children that keep their last words: as many on as off are enough, or it takes more. Ties are
    /// only possible among an even number of daemons; otherwise both are the majority.
    #[must_use]
    pub const fn threshold_of_words(self, daemons: u32) -> u32 {
        match self {
            Self::On => daemons.div_ceil(2),
            Self::Off => daemons / 2 + 1,
        }
    }
}

/// Health of P (the Region that the bit belongs to) and of S, its inversion (the other Region).
#[must_use]
pub fn pair(votes: &[Vote], threshold: u32) -> (bool, bool) {
    let p_healthy = calculated_is_healthy(votes.iter().copied().map(weight).sum(), threshold);
    (p_healthy, !p_healthy)
}

/// [`pair`] for a switch through CloudWatch: over what each daemon published last.
#[must_use]
pub fn pair_of_words(on: &[bool], threshold: u32) -> (bool, bool) {
    let healthy = u32::try_from(on.iter().filter(|on| **on).count()).unwrap_or(u32::MAX);
    let p_healthy = calculated_is_healthy(healthy, threshold);
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

    /// Every way in which `daemons` can have spoken last.
    fn all_words(daemons: u32) -> Vec<Vec<bool>> {
        (0..1_u32 << daemons).map(|n| (0..daemons).map(|daemon| n >> daemon & 1 == 1).collect()).collect()
    }

    fn count(words: &[bool], word: bool) -> usize {
        words.iter().filter(|on| **on == word).count()
    }

    /// Whatever the others said last: once a majority has published the newest entry, the answer is that entry's,
    /// under both thresholds.
    #[test]
    fn a_majoritys_newest_word_wins_over_any_last_words_of_the_rest() {
        for daemons in 1..=7_u32 {
            for words in all_words(daemons) {
                for newest in [true, false] {
                    if count(&words, newest) * 2 <= daemons as usize {
                        continue;
                    }
                    for tie in [Tie::On, Tie::Off] {
                        let found = pair_of_words(&words, tie.threshold_of_words(daemons));
                        assert_eq!(found, (newest, !newest), "{words:?} {tie:?}");
                    }
                }
            }
        }
    }

    /// And a tie, which only an even number of daemons can have, means what is settled.
    #[test]
    fn a_tie_of_last_words_means_what_is_settled() {
        let mut ties = 0;
        for daemons in 1..=8_u32 {
            for words in all_words(daemons).into_iter().filter(|words| count(words, true) == count(words, false)) {
                ties += 1;
                for settled_on in [true, false] {
                    let found = pair_of_words(&words, Tie::of(settled_on).threshold_of_words(daemons));
                    assert_eq!(found, (settled_on, !settled_on), "{words:?}");
                }
            }
        }
        assert_eq!(ties, 2 + 6 + 20 + 70);
    }

    /// A run turns the bit while the threshold is still that of before. A daemon at a time says so, in any order: the
    /// answer turns once, and not back.
    #[test]
    fn the_answer_turns_once_while_the_daemons_follow_one_after_the_other() {
        for daemons in 1..=7_u32 {
            for was in [true, false] {
                let threshold = Tie::of(was).threshold_of_words(daemons);
                let answers: Vec<bool> = (0..=daemons)
                    .map(|said| (0..daemons).map(|daemon| if daemon < said { !was } else { was }).collect::<Vec<_>>())
                    .map(|words| pair_of_words(&words, threshold).0)
                    .collect();
                assert_eq!((answers.first(), answers.last()), (Some(&was), Some(&!was)));
                assert_eq!(answers.windows(2).filter(|pair| pair[0] != pair[1]).count(), 1, "{answers:?}");
            }
        }
    }
}
