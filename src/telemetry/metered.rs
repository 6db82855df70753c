//! Agreement, with what is proposed counted.

use std::sync::Arc;

use async_trait::async_trait;
use failoverd_domain::fleet::{Applied, Entry, FleetState};
use failoverd_domain::ids::Region;
use tokio::sync::watch;
use tokio::time::Instant;

use super::Meters;
use crate::ports::{Agreement, Leadership, ProposeError};

/// The same agreement; what is proposed through it is counted and timed.
pub struct MeteredAgreement {
    /// Who agrees.
    pub inner: Arc<dyn Agreement>,
    /// Who counts.
    pub meters: Arc<Meters>,
}

#[async_trait]
impl Agreement for MeteredAgreement {
    async fn propose(&self, entry: Entry) -> Result<Applied, ProposeError> {
        let begun = Instant::now();
        let proposed = self.inner.propose(entry).await;
        self.meters.proposed(proposed.as_ref().map(drop), begun.elapsed());
        proposed
    }

    async fn confirm_leadership(&self) -> Result<(), ProposeError> {
        self.inner.confirm_leadership().await
    }

    fn state(&self) -> watch::Receiver<Arc<FleetState>> {
        self.inner.state()
    }

    fn leadership(&self) -> watch::Receiver<Leadership> {
        self.inner.leadership()
    }

    async fn step_aside(&self, to: &Region) {
        self.inner.step_aside(to).await;
    }
}
