//! Who looks, and whose word counts at the moment: the daemons that the fleet has agreed on and that vote. What a daemon's
//! own file names is where daemons are, not who counts.

use std::sync::Arc;

use failoverd_domain::fleet::FleetState;
use failoverd_domain::health::View;
use failoverd_domain::ids::Region;
use tokio::sync::watch;

use super::Leadership;

/// One daemon's way of looking.
#[derive(Clone)]
pub struct Viewpoint {
    /// The daemon that looks.
    pub me: Region,
    /// Reports and readings older than this do not count, milliseconds.
    pub stale_after_ms: u64,
    /// Who counts until a fleet has been formed.
    configured: Vec<Region>,
    state: watch::Receiver<Arc<FleetState>>,
    leadership: watch::Receiver<Leadership>,
}

impl Viewpoint {
    /// Of a daemon of which the file names these.
    pub fn new(
        me: Region,
        configured: impl IntoIterator<Item = Region>,
        stale_after_ms: u64,
        state: watch::Receiver<Arc<FleetState>>,
        leadership: watch::Receiver<Leadership>,
    ) -> Self {
        Self { me, stale_after_ms, configured: configured.into_iter().collect(), state, leadership }
    }

    /// As the newest state has it.
    #[must_use]
    pub fn now(&self) -> View {
        let state = self.state.borrow().clone();
        self.over(&state)
    }

    /// As this state has it. Daemons that a recovery went on without, and those that are being filled, have no vote, and so
    /// no word.
    #[must_use]
    pub fn over(&self, state: &FleetState) -> View {
        let leadership = self.leadership.borrow();
        let votes = |region: &&Region| leadership.voters.is_empty() || leadership.voters.contains(*region);
        let members = match state.fleet.as_str().is_empty() {
            true => self.configured.clone(),
            false => state.members.keys().filter(votes).cloned().collect(),
        };
        View { me: self.me.clone(), members, stale_after_ms: self.stale_after_ms, rehearses: None }
    }
}
