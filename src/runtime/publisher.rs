//! Tells CloudWatch once a minute how the fleet stands, while this daemon leads: so that people who watch dashboards hear
//! of a service that could not survive before it has to.
//!
//! Namespace `failoverd`. AWS charges custom metrics by the month and by each set of dimensions, so there are few: one
//! for each Region of a service, two for each service, two for each Region of the fleet.

use std::sync::Arc;
use std::time::Duration;

use failoverd_domain::fleet::{FleetState, Forecast, ForecastOutcome, ServiceState, what_if_region_vanishes};
use failoverd_domain::health::readiness::Verdict;
use failoverd_domain::health::{Matrix, View};
use failoverd_domain::ids::Region;
use failoverd_domain::service::Pattern;
use failoverd_domain::time::Timestamp;
use tokio::sync::watch;

use crate::ports::{Agreement, Clock, Figure, World};

/// Between two tellings.
const EVERY: Duration = Duration::from_secs(60);
/// One call.
const PATIENCE: Duration = Duration::from_secs(10);

/// The leader's voice to CloudWatch.
pub(super) struct Publisher {
    pub(super) view: View,
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
        let figures = figures(self.clock.now(), &state, &matrix, &self.view);
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
        figures.push(survivable(region, &forecasts));
    }
    figures
}

fn of_service(now: Timestamp, state: &FleetState, matrix: &Matrix, service: &ServiceState) -> Vec<Figure> {
    let name = || ("Service", service.spec.name.to_string());
    let serves = |region: &Region| {
        figure("Serving", vec![name(), ("Region", region.to_string())], serves(state, service, region))
    };
    let mut figures: Vec<Figure> = service.spec.regions.iter().map(serves).collect();
    figures.push(figure("Settled", vec![name()], service.is_settled()));
    let checks = matrix.checks(now, &service.spec.name);
    let not_ready = checks.iter().filter(|check| check.verdict == Verdict::NotReady).count();
    #[expect(clippy::cast_precision_loss, reason = "a few checks")]
    figures.push(Figure { name: "ChecksNotReady", dimensions: vec![name()], value: not_ready as f64, weighed: None });
    figures
}

/// Whether a Region serves by the committed switch.
fn serves(state: &FleetState, service: &ServiceState, region: &Region) -> bool {
    match service.spec.pattern {
        Pattern::ActivePassive => &service.primary == region,
        Pattern::ActiveActive => {
            let switch = state.switches.get(&service.spec.switch_group());
            switch.and_then(|switch| switch.bits.get(region)).is_some_and(|bit| bit.on)
        }
    }
}

fn figure(name: &'static str, dimensions: Vec<(&'static str, String)>, holds: bool) -> Figure {
    Figure { name, dimensions, value: if holds { 1.0 } else { 0.0 }, weighed: None }
}

/// The share of those services that serve from a Region which would get over its end by themselves; 1 where none does.
fn survivable(region: &Region, forecasts: &[Forecast]) -> Figure {
    let hit: Vec<&Forecast> = forecasts.iter().filter(|it| it.outcome != ForecastOutcome::Unaffected).collect();
    let well = hit.iter().filter(|it| it.outcome == ForecastOutcome::FailsOver).count();
    #[expect(clippy::cast_precision_loss, reason = "a share of some services")]
    let share = if hit.is_empty() { 1.0 } else { well as f64 / hit.len() as f64 };
    Figure { name: "Survivable", dimensions: vec![("Region", region.to_string())], value: share, weighed: None }
}

#[cfg(test)]
mod tests {
    use failoverd_domain::ids::ServiceName;

    use super::*;

    fn forecast(outcome: ForecastOutcome) -> Forecast {
        let service = ServiceName::new("shop");
        Forecast { service, outcome, reason: String::new(), loss: Vec::new(), plan: None }
    }

    #[test]
    fn a_region_is_survivable_by_the_share_of_services_that_need_nobody() {
        use ForecastOutcome::{AsksForApproval, FailsOver, StaysDown, Unaffected};
        let share = |outcomes: &[ForecastOutcome]| {
            let forecasts: Vec<Forecast> = outcomes.iter().map(|outcome| forecast(*outcome)).collect();
            survivable(&"us-east-1".into(), &forecasts).value
        };
        assert!((share(&[FailsOver, Unaffected]) - 1.0).abs() < f64::EPSILON);
        assert!((share(&[FailsOver, AsksForApproval, StaysDown, Unaffected]) - 1.0 / 3.0).abs() < 1e-9);
        assert!((share(&[Unaffected]) - 1.0).abs() < f64::EPSILON);
    }
}
