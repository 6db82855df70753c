//! What a caller may be.

use std::fmt;

/// What a caller may be. One caller may be several of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads.
    Viewer,
    /// Reads, and runs what is applied: moves services, works on runs, pauses, starts drills.
    Operator,
    /// Reads, and approves what waits for a person.
    Approver,
    /// Does everything that people do: also changes what is applied, and turns single switches.
    Admin,
    /// A daemon of the fleet, which speaks for its own Region.
    Peer,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Viewer, Self::Operator, Self::Approver, Self::Admin, Self::Peer];
    /// Those that people and scripts can be given.
    pub const OF_PEOPLE: [Self; 4] = [Self::Viewer, Self::Operator, Self::Approver, Self::Admin];

    /// As it is written in certificates and in the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Approver => "approver",
            Self::Admin => "admin",
            Self::Peer => "peer",
        }
    }

    /// The role of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.word() == word)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
