//! Faults built into the product on purpose, so that tests can show that the simulation finds them.
//!
//! Only builds with debug assertions have the switch; in a release build [`is`] is `false` before anything is compiled
//! behind it. A fault is in force for one thread and as long as somebody holds what [`commit`] gave.

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// One daemon's word is a majority.
    SkipQuorum,
    /// Decisions and intents under any epoch are taken.
    SkipEpochCompare,
    /// Steps act before their intent is agreed.
    ActBeforeJournal,
    /// A call that nobody answered counts as done.
    IgnoreUnknown,
    /// Events are not kept until the history has them.
    DropOutbox,
    /// The word of a daemon that is cut off from everybody counts.
    CountIsolated,
    /// A daemon that says nothing votes off.
    SilenceIsOff,
    /// A decision is carried out however old its evidence is, and whether its reason is gone or not.
    ResumeStale,
    /// Calls to other daemons have no time limit, and nobody notices that a connection is dead.
    WaitForEver,
}

impl Sabotage {
    /// Those that show whatever carries messages between daemons.
    pub const ALL: [Self; 8] = [
        Self::SkipQuorum,
        Self::SkipEpochCompare,
        Self::ActBeforeJournal,
        Self::IgnoreUnknown,
        Self::DropOutbox,
        Self::CountIsolated,
        Self::SilenceIsOff,
        Self::ResumeStale,
    ];

    /// Those that show only where messages go over connections.
    pub const OF_CONNECTIONS: [Self; 1] = [Self::WaitForEver];
}

#[cfg(debug_assertions)]
mod switch {
    use std::cell::Cell;

    use super::Sabotage;

    thread_local! {
        static COMMITTED: Cell<Option<Sabotage>> = const { Cell::new(None) };
    }

    /// Ends the sabotage of this thread.
    #[derive(Debug)]
    pub struct Committed(());

    impl Drop for Committed {
        fn drop(&mut self) {
            COMMITTED.set(None);
        }
    }

    /// Breaks that on this thread, until what is returned is dropped.
    #[must_use]
    pub fn commit(what: Sabotage) -> Committed {
        COMMITTED.set(Some(what));
        Committed(())
    }

    /// Whether that is broken here.
    #[must_use]
    pub fn is(what: Sabotage) -> bool {
        COMMITTED.get() == Some(what)
    }
}

#[cfg(debug_assertions)]
pub use switch::{Committed, commit, is};

/// Nothing is broken on purpose in a release.
#[cfg(not(debug_assertions))]
#[must_use]
pub const fn is(_: Sabotage) -> bool {
    false
}
