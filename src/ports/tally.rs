//! How often each peer was refused: a person is told of the first time, of the tenth, the hundredth, and so on.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Names that are counted one by one; whoever makes more of them up is counted together.
const MOST_NAMES: usize = 64;

/// How often each peer was refused.
#[derive(Debug, Default)]
pub struct Tally(Mutex<BTreeMap<String, u64>>);

impl Tally {
    /// Counts one refusal; the count, when a person should be told of it.
    pub fn refuse(&self, peer: &str) -> Option<u64> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = counts.contains_key(peer) || counts.len() < MOST_NAMES;
        let count = counts.entry(if known { peer.to_owned() } else { String::new() }).or_default();
        *count = count.saturating_add(1);
        is_power_of_ten(*count).then_some(*count)
    }

    /// Refusals so far, by peer; those of names beyond the first few are under an empty one.
    #[cfg(test)]
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn is_power_of_ten(mut count: u64) -> bool {
    while count > 1 && count.is_multiple_of(10) {
        count /= 10;
    }
    count == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_told_ever_less_often_and_names_are_bounded() {
        let tally = Tally::default();
        let told: Vec<u64> = (0..2_000).filter_map(|_| tally.refuse("eu-west-1")).collect();
        assert_eq!(told, [1, 10, 100, 1_000]);
        for made_up in 0..1_000 {
            tally.refuse(&format!("mars-{made_up}"));
        }
        let counts = tally.counts();
        assert_eq!((counts.len(), counts[""]), (MOST_NAMES + 1, 1_000 - (MOST_NAMES as u64 - 1)));
    }
}
