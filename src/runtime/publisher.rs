//! Tells CloudWatch once a minute how the fleet stands, while this daemon leads: so that people who watch dashboards hear
//! of a service that could not survive before it has to.
//!
//! Namespace `failoverd`. AWS charges custom metrics by the month and by each set of dimensions, so there are few: one
//! for each Region of a service, two for each service, two for each Region of the fleet.

use std::sync::Arc;
use std::time::Duration;

use failoverd_domain::fleet::{FleetState, Forecast, ServiceState, what_if_region_vanishes};
use failoverd_domain::health::readiness::Verdict;
use failoverd_domain::health::{Matrix, View};
use failoverd_domain::ids::Region;
use failoverd_domain::time::Timestamp;
use tokio::sync::watch;

use crate::ports::{Agreement, Clock, Figure, Viewpoint, World};

/// Between two tellings.
const EVERY: Duration = Duration::from_secs(60);
/// One call.
const PATIENCE: Duration = Duration::from_secs(10);

/// The leader's voice to CloudWatch.
pub(super) struct Publisher {
    pub(super) view: Viewpoint,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) world: World,
    pub(super) agreement: Arc<dyn Agreement>,
    pub(super) matrix: watch::Receiver<Arc<Matrix>>,
}

impl Publisher {
    /// Runs for ever; tells nothing while another daemon leads.
    pub(super) async fn run(self) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // The first tick comes at once, before anything has been seen.
        ticks.tick().await;
        loop {
            ticks.tick().await;
            if self.agreement.leadership().borrow().is_me {
                self.tell().await;
            }
        }
    }

    async fn tell(&self) {
        let state = self.agreement.state().borrow().clone();
        let matrix = self.matrix.borrow().clone();
        let figures = figures(self.clock.now(), &state, &matrix, &self.view.over(&state));
        let told = tokio::time::timeout(PATIENCE, self.world.metrics.publish(&self.view.me, &figures)).await;
        match told {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the fleet's figures were not published"),
            Err(_) => tracing::debug!("the fleet's figures were not published in time"),
        }
    }
}

/// Everything that is told.
fn figures(now: Timestamp, state: &FleetState, matrix: &Matrix, view: &View) -> Vec<Figure> {
    let mut figures = vec![figure("Leader", vec![("Region", view.me.to_string())], true)];
    for service in state.services.values() {
        figures.extend(of_service(now, state, matrix, service));
    }
    for region in state.members.keys() {
        let forecasts = what_if_region_vanishes(now, state, matrix, view, region);
        let value = Forecast::survivable(&forecasts);
        let dimensions = vec![("Region", region.to_string())];
        figures.push(Figure { name: "Survivable", dimensions, value, newest_decides: false });
    }
    figures
}

fn of_service(now: Timestamp, state: &FleetState, matrix: &Matrix, service: &ServiceState) -> Vec<Figure> {
    let name = || ("Service", service.spec.name.to_string());
    let serving = state.serving(service);
    let serves =
        |region: &Region| figure("Serving", vec![name(), ("Region", region.to_string())], serving.contains(&region));
    let mut figures: Vec<Figure> = service.spec.regions.iter().map(serves).collect();
    figures.push(figure("Settled", vec![name()], service.is_settled()));
    let checks = matrix.checks(now, &service.spec.name);
    let not_ready = checks.iter().filter(|check| check.verdict == Verdict::NotReady).count();
    #[expect(clippy::cast_precision_loss, reason = "a few checks")]
    figures.push(Figure {
        name: "ChecksNotReady",
        dimensions: vec![name()],
        value: not_ready as f64,
        newest_decides: false,
    });
    figures
}

fn figure(name: &'static str, dimensions: Vec<(&'static str, String)>, holds: bool) -> Figure {
    Figure { name, dimensions, value: if holds { 1.0 } else { 0.0 }, newest_decides: false }
}
