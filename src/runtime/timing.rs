//! How often things are done. One place, so that the sandbox and simulations can be faster than a real fleet.

use std::time::Duration;

/// How often things are done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Between two reports of a daemon to the others.
    pub report: Duration,
    /// Between probes of a signal whose manifest names no interval.
    pub probe: Duration,
    /// Between looks at the copies of a store.
    pub look: Duration,
    /// Between canary writes, and between canary reads.
    pub canary: Duration,
    /// Between two ticks of the controller and the executor.
    pub tick: Duration,
    /// Between two rounds of settlement.
    pub settle: Duration,
    /// Longest that one service's record changes wait for those of others of the same zone, to go in one batch.
    pub gather: Duration,
    /// Reports and readings older than this do not count.
    pub stale_after: Duration,
    /// One mutating call to AWS; shorter than the leader's lease.
    pub mutation: Duration,
    /// How long a call of a leader that is gone may still take effect: waited out before "not done" is believed.
    pub afterlife: Duration,
}

impl Default for Timing {
    /// For real Regions.
    fn default() -> Self {
        Self {
            report: Duration::from_secs(1),
            probe: Duration::from_secs(10),
            look: Duration::from_secs(5),
            canary: Duration::from_secs(1),
            tick: Duration::from_millis(250),
            settle: Duration::from_secs(2),
            gather: Duration::from_secs(15),
            stale_after: Duration::from_secs(30),
            mutation: Duration::from_millis(1_200),
            afterlife: Duration::from_secs(3),
        }
    }
}

impl Timing {
    /// For a fleet on one machine that should be seen to act.
    #[must_use]
    pub fn fast() -> Self {
        Self {
            probe: Duration::from_secs(1),
            look: Duration::from_secs(1),
            tick: Duration::from_millis(100),
            settle: Duration::from_millis(500),
            gather: Duration::from_secs(2),
            stale_after: Duration::from_secs(5),
            ..Self::default()
        }
    }
}
