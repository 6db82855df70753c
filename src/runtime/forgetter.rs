//! The outbox of a daemon that keeps no history: a witness without a database.
//!
//! Its events are another member's to write. It forgets one only when every member says that its own database holds
//! it: until then this outbox may be the only place where a member that missed it can fetch it.

use std::sync::Arc;
use std::time::Duration;

use failoverd_domain::fleet::{FleetState, Role};
use failoverd_domain::health::Matrix;
use failoverd_domain::ids::LogIndex;
use tokio::sync::watch;

use crate::ports::Outbox;

/// Between two looks.
const PERIOD: Duration = Duration::from_secs(30);
/// Events looked at in one go.
const BATCH: usize = 1_000;

/// Forgets what every member has written.
pub(super) struct Forgetter {
    pub(super) outbox: Arc<dyn Outbox>,
    pub(super) state: watch::Receiver<Arc<FleetState>>,
    pub(super) matrix: watch::Receiver<Arc<Matrix>>,
}

impl Forgetter {
    /// Runs for ever.
    pub(super) async fn run(self) {
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Some(written) = self.written_everywhere() {
                self.forget(written).await;
            }
        }
    }

    /// The newest log index whose events every member's database holds; none while one has never said.
    fn written_everywhere(&self) -> Option<LogIndex> {
        let (state, matrix) = (self.state.borrow().clone(), self.matrix.borrow().clone());
        let members = state.members.iter().filter(|(_, member)| member.role == Role::Member);
        members.map(|(region, _)| matrix.of(region)?.report.history_confirmed).min()?
    }

    async fn forget(&self, written: LogIndex) {
        loop {
            let events = self.outbox.pending(0, BATCH).await;
            let Some(newest) = events.iter().take_while(|event| event.index <= written).last() else { return };
            self.outbox.confirm(newest.seq).await;
        }
    }
}
