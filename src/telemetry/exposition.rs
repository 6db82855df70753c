//! What a scraper is answered.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use failoverd_domain::fleet::{FleetState, Role};
use failoverd_domain::health::{Matrix, View};
use failoverd_domain::ids::FleetId;
use failoverd_domain::time::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use super::page::Page;
use super::{LogControl, Meters, defined, scrape};
use crate::ports::{Clock, Correction, Leadership, Viewpoint};

/// A page this young is served again: whoever asks in a loop makes no work.
const FRESH: Duration = Duration::from_secs(1);

/// A daemon's metrics.
pub struct Exposition {
    /// What is counted.
    pub meters: Arc<Meters>,
    /// Wall clock.
    pub clock: Arc<dyn Clock>,
    /// Who looks, and by which limits.
    pub view: Viewpoint,
    /// What is agreed.
    pub state: watch::Receiver<Arc<FleetState>>,
    /// Who leads.
    pub leadership: watch::Receiver<Leadership>,
    /// What is seen.
    pub matrix: watch::Receiver<Arc<Matrix>>,
    /// The fleet, as configured.
    pub fleet: FleetId,
    /// What the Region is for, as configured.
    pub role: Role,
    /// How much is logged.
    pub logs: LogControl,
    /// When the daemon's own certificate ends, where it has one.
    pub certificate_ends: Option<watch::Receiver<Option<Timestamp>>>,
    /// The newest page.
    pub newest: Mutex<Option<(Instant, String)>>,
}

/// What one daemon knows at one instant.
pub struct Standing {
    pub(super) now: Timestamp,
    pub(super) clock: Correction,
    pub(super) view: View,
    pub(super) state: Arc<FleetState>,
    pub(super) leadership: Leadership,
    pub(super) matrix: Arc<Matrix>,
}

impl Exposition {
    /// The page. Takes milliseconds for hundreds of services: not to be called where others wait.
    #[must_use]
    pub fn text(&self) -> String {
        // Held while it is made: of several scrapers one makes it.
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, text)) = newest.as_ref().filter(|(made, _)| made.elapsed() < FRESH) {
            return text.clone();
        }
        let text = self.page().text();
        *newest = Some((Instant::now(), text.clone()));
        text
    }

    fn page(&self) -> Page {
        let state = self.state.borrow().clone();
        let standing = Standing {
            now: self.clock.now(),
            clock: self.clock.correction(),
            view: self.view.over(&state),
            state,
            leadership: self.leadership.borrow().clone(),
            matrix: self.matrix.borrow().clone(),
        };
        let mut page = Page::of(&[("fleet", self.fleet.as_str()), ("daemon", self.view.me.as_str())]);
        let role = scrape::role(self.role);
        page.put(&defined::BUILD_INFO, &[env!("CARGO_PKG_VERSION"), role], 1.0);
        page.flag(&defined::LOG_OVERRIDE, &[], self.logs.is_overridden());
        let ends = self.certificate_ends.as_ref().and_then(|ends| *ends.borrow());
        page.put_some(&defined::CERTIFICATE_EXPIRY, &[], ends.map(|at| super::page::seconds(at.0)));
        self.meters.show(&mut page, &standing.state);
        scrape::all(&standing, &mut page);
        page
    }
}
