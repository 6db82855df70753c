//! What is answered for each token: made anew when the agreed state changes, so that a request is one look into a map.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};

use failoverd_domain::fleet::FleetState;

/// Longest token that is looked up; the ones that are made have half as many characters.
const LONGEST: usize = 64;

/// A token, padded to one size, so that hashing and comparing take the same time for every one: how long an answer
/// takes says nothing about how much of a guess was right.
#[derive(Clone, Copy, Debug)]
struct Token([u8; LONGEST]);

impl Token {
    fn read(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let mut padded = [0; LONGEST];
        padded.get_mut(..bytes.len()).filter(|room| !room.is_empty())?.copy_from_slice(bytes);
        Some(Self(padded))
    }
}

impl PartialEq for Token {
    /// Looks at every byte, whatever the first ones are.
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().zip(other.0).fold(0, |differs, (left, right)| differs | (left ^ right)) == 0
    }
}

impl Eq for Token {}

impl Hash for Token {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write(&self.0);
    }
}

/// Every bit of the fleet, by token. The map's hash has a key of its own that nobody outside knows.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Table {
    bits: HashMap<Token, bool>,
}

impl Table {
    pub(super) fn of(state: &FleetState) -> Self {
        // Of a switch that nobody has confirmed since the fleet was restored nothing is known: silence.
        let bits = state.known_switches().flat_map(|(_, switch)| switch.bits.values());
        Self { bits: bits.filter_map(|bit| Some((Token::read(&bit.token)?, bit.on))).collect() }
    }

    /// Whether the bit of this token is on.
    pub(super) fn look_up(&self, token: &str) -> Option<bool> {
        self.bits.get(&Token::read(token)?).copied()
    }

    /// How many bits there are.
    pub(super) fn len(&self) -> usize {
        self.bits.len()
    }
}

#[cfg(test)]
mod tests {
    use failoverd_domain::fleet::Restored;
    use failoverd_domain::ids::LogIndex;
    use failoverd_domain::time::Timestamp;

    use super::*;
    use crate::api::fake::state_with;

    #[test]
    fn a_switch_that_nobody_has_confirmed_since_the_fleet_was_restored_is_not_known() {
        let mut state = state_with(&["checkout", "search"]);
        let unconfirmed = ["checkout".into()].into();
        state.restored = Some(Restored { as_of: LogIndex(7), taken_at: Timestamp(1), unconfirmed });
        let table = Table::of(&state);
        assert_eq!((table.look_up("token-checkout"), table.look_up("token-search")), (None, Some(true)));
    }

    #[test]
    fn only_the_whole_token_is_known() {
        let table = Table::of(&state_with(&["checkout", "search"]));
        assert_eq!(table.len(), 2);
        assert_eq!(table.look_up("token-checkout"), Some(true));
        let long = format!("token-checkout{}", "x".repeat(LONGEST));
        for other in ["", "token-checkou", "token-checkout2", "Token-checkout", "token-checkout/", &long] {
            assert_eq!(table.look_up(other), None, "{other}");
        }
    }
}
