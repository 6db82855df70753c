//! Signals and stores as this daemon reads them, and what would be lost.

use failoverd_domain::data::loss::quote;
use failoverd_domain::fleet::ServiceState;
use failoverd_domain::health::ReplicaReadiness;

use super::{STATUSES, status};
use crate::telemetry::Standing;
use crate::telemetry::defined;
use crate::telemetry::page::{Page, seconds};

pub(super) fn show(at: &Standing, page: &mut Page) {
    for service in at.state.services.values() {
        signals(at, service, page);
        stores(at, service, page);
        losses(at, service, page);
    }
}

fn signals(at: &Standing, service: &ServiceState, page: &mut Page) {
    let name = service.spec.name.as_str();
    let Some(mine) = at.matrix.of(&at.view.me) else { return };
    for region in &service.spec.regions {
        for reading in mine.signals(&service.spec.name, region) {
            let labels = [name, region.as_str(), reading.signal.as_str()];
            page.one_of(&defined::SIGNAL_STATUS, &labels, &STATUSES, status(reading.status));
            page.flag(&defined::SIGNAL_BREACHED, &labels, reading.breached);
            page.put(&defined::SIGNAL_AGE, &labels, seconds(mine.age_now_ms(at.now, reading.age_ms)));
            page.put_some(&defined::SIGNAL_LATENCY, &labels, reading.latency_ms.map(seconds));
        }
        let heard = at.matrix.route53_says(at.now, &at.view, &service.spec.name, region);
        page.one_of(&defined::ROUTE53_STATUS, &[name, region.as_str()], &STATUSES, status(heard));
    }
}

fn stores(at: &Standing, service: &ServiceState, page: &mut Page) {
    let name = &service.spec.name;
    for store in &service.spec.data {
        for region in &service.spec.regions {
            let readings = at.matrix.store(name, &store.name, region);
            let Some((received, reading)) = readings.first() else { continue };
            let labels = [name.as_str(), store.name.as_str(), region.as_str()];
            match reading.readiness {
                ReplicaReadiness::Ready => page.flag(&defined::STORE_READY, &labels, true),
                ReplicaReadiness::NotReady(_) => page.flag(&defined::STORE_READY, &labels, false),
                ReplicaReadiness::Unknown(_) => {}
            }
            let since_look = received.age_now_ms(at.now, reading.age_ms);
            let lag = reading.lag_ms.map(|(lag_ms, age_ms)| lag_ms.saturating_add(age_ms).saturating_add(since_look));
            page.put_some(&defined::STORE_LAG, &labels, lag.map(seconds));
        }
    }
}

/// From where the service (active-active: what only one Region writes) is, to each other Region.
fn losses(at: &Standing, service: &ServiceState, page: &mut Page) {
    let name = service.spec.name.as_str();
    for to in service.spec.regions.iter().filter(|region| **region != service.primary) {
        for loss in quote(at.now, &at.view, &service.spec, &service.primary, to, &at.matrix) {
            let labels = [name, loss.store.as_str(), to.as_str()];
            page.flag(&defined::LOSS_KNOWN, &labels, loss.bound.is_some());
            page.put_some(&defined::LOSS_BOUND, &labels, loss.bound.map(seconds));
        }
    }
}

#[cfg(test)]
mod tests {
    use failoverd_domain::health::Status;

    use super::*;

    #[test]
    fn the_words_of_statuses_are_all_there_are() {
        for one in [Status::Good, Status::Bad, Status::Unknown] {
            assert!(STATUSES.contains(&status(one)));
        }
    }
}
