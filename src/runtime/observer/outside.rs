//! What others than the fleet see: Route 53's checkers through DNS, references, Regional control planes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use failoverd_domain::fleet::FleetState;
use failoverd_domain::health::Status;
use failoverd_domain::ids::{Region, ServiceName};
use failoverd_domain::route53::RecordType;
use failoverd_domain::service::{ServiceSpec, StoreKind};
use failoverd_domain::traffic::canary_name;
use futures_util::future::join_all;

use super::Observer;
use super::sheet::Sheet;
use crate::survey;

impl Observer {
    pub(super) async fn watch_outside(&self, sheet: &Sheet) {
        // Apart from each other: a Region whose API hangs must not make what DNS says look stale.
        tokio::join!(
            self.every(self.timing.report, || async { self.ask_route53(sheet, &self.state()).await }),
            self.every(self.timing.report, || self.ask_references(sheet)),
            self.every(self.timing.look, || async { self.ask_control_planes(sheet, &self.state()).await }),
        );
    }

    pub(super) async fn every<F: Future<Output = ()>>(&self, period: Duration, look: impl Fn() -> F) {
        let mut ticks = tokio::time::interval(period);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            look().await;
        }
    }

    async fn ask_route53(&self, sheet: &Sheet, state: &FleetState) {
        let mut asked: Vec<(ServiceName, Region, String)> = Vec::new();
        for service in state.services.values() {
            for region in &service.spec.regions {
                let name = canary_name(region, &service.spec.name, &service.spec.traffic.hosted_zone);
                asked.push((service.spec.name.clone(), region.clone(), name));
            }
        }
        let answers = join_all(asked.into_iter().map(|(service, region, name)| async move {
            let answer = self.world.dns.ask(&name, RecordType::Txt).await.map(|heard| heard.values);
            (service, region, verdict(answer))
        }));
        let answers = answers.await;
        let now = self.clock.now();
        let mut pages = sheet.open();
        pages.route53.retain(|(service, _), _| state.services.contains_key(service));
        for (service, region, status) in answers {
            pages.route53.insert((service, region), (status, now));
        }
    }

    async fn ask_references(&self, sheet: &Sheet) {
        // A daemon that is cut off still reaches its own Region: that one tells nothing about the world outside.
        let asked = self
            .references
            .iter()
            .filter(|region| **region != self.view.me)
            .map(|region| async move { (region.clone(), self.world.prober.reference(region).await) });
        let answers = join_all(asked).await;
        sheet.open().references = answers.into_iter().collect();
    }

    /// A Region's API answers when anything that services use there does: the looks at their stores tell. That it knows
    /// of no such cluster, or does not let us see it, is an answer too.
    async fn ask_control_planes(&self, sheet: &Sheet, state: &FleetState) {
        let mut asked: BTreeMap<Region, (Arc<ServiceSpec>, String)> = BTreeMap::new();
        for service in state.services.values() {
            for store in &service.spec.data {
                let StoreKind::Aurora { global_cluster, .. } = &store.kind else { continue };
                for region in &service.spec.regions {
                    let first = || (service.spec.clone(), global_cluster.clone());
                    asked.entry(region.clone()).or_insert_with(first);
                }
            }
        }
        let answers = join_all(asked.into_iter().map(|(region, (spec, cluster))| async move {
            let said = self.world_of(&spec).aurora.describe(&region, &cluster).await.map_err(|e| survey::no_answer(&e));
            let answers = said.err().is_none_or(|no| no.is_absence() || no.is_refusal());
            (region, if answers { Status::Good } else { Status::Bad })
        }));
        let answers = answers.await;
        sheet.open().control_planes = answers.into_iter().collect();
    }
}

/// `healthy` and `unhealthy` are the canary record's two values; anything else tells nothing.
fn verdict(answer: Result<Vec<String>, String>) -> Status {
    match answer.as_deref() {
        Ok([value]) if value == "healthy" => Status::Good,
        Ok([value]) if value == "unhealthy" => Status::Bad,
        _ => Status::Unknown,
    }
}
