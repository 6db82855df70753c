//! Readiness of what surrounds a service, at a slow rhythm: zone, health checks and quotas by the leader alone; what a
//! daemon's own role may, by each daemon, since each of them may have to lead; and the leader's word on drift.
//!
//! What it costs, with S services in Z zones: per minute, by the leader, for each zone and role that has services due:
//! one `GetHostedZoneLimit`, one `GetAccountLimit`, the pages of `ListResourceRecordSets` (300 records each) and of
//! `ListHealthChecks` (100 each). 300 services in one zone of 3,000 records with 200 checks: 14 calls a minute. Per
//! quarter of an hour, by each daemon: one `GetCallerIdentity` and one `SimulatePrincipalPolicy` for each resource of a
//! service, about 20: 400 calls a minute for 300 services, spread by going through them four at a time.

use std::collections::BTreeMap;
use std::time::Duration;

use failoverd_domain::fleet::{FleetState, ServiceState};
use failoverd_domain::health::readiness::{names::topics, records_drift};
use failoverd_domain::ids::{Epoch, LogIndex, ServiceName};
use futures_util::StreamExt;
use futures_util::stream;
use tokio::time::Instant;

use super::Observer;
use super::sheet::Sheet;
use crate::ports::Age;
use crate::survey;

/// Between two looks at what surrounds a service that has not changed.
const AROUND_EVERY: Duration = Duration::from_secs(60);
/// Between two simulations of what a role may.
const ROLE_EVERY: Duration = Duration::from_secs(15 * 60);
/// After a simulation that nobody answered.
const ROLE_AGAIN: Duration = Duration::from_secs(60);
/// Services looked at side by side.
const MOST_AT_ONCE: usize = 4;
/// Longest look: what does not answer by then is looked at in the next round.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a look was about: it is due at once when any of it changes.
type Seen = (LogIndex, Epoch, bool);

/// When each service was looked at last, and as what.
type Looks = BTreeMap<ServiceName, (Instant, Seen)>;

fn seen(service: &ServiceState) -> Seen {
    (service.spec_index, service.epoch, service.is_settled())
}

impl Observer {
    pub(super) async fn watch_readiness(&self, sheet: &Sheet) {
        tokio::join!(self.watch_surroundings(sheet), self.watch_roles(sheet), self.hear_the_settler(sheet));
    }

    async fn watch_surroundings(&self, sheet: &Sheet) {
        let mut ticks = tokio::time::interval(self.timing.look);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut looks = Looks::new();
        loop {
            ticks.tick().await;
            let state = self.state();
            let leads = self.agreement.leadership().borrow().is_me;
            looks.retain(|name, _| leads && state.services.contains_key(name));
            sheet.open().keep_checks(topics::TRAFFIC, |name| leads && state.services.contains_key(name));
            if leads {
                self.look_around(sheet, &state, &mut looks).await;
            }
        }
    }

    /// Services of one zone and role share one reading of it.
    async fn look_around(&self, sheet: &Sheet, state: &FleetState, looks: &mut Looks) {
        let is_due = |service: &&ServiceState| {
            looks.get(&service.spec.name).is_none_or(|(at, was)| at.elapsed() >= AROUND_EVERY || *was != seen(service))
        };
        let mut zones: BTreeMap<(Option<&str>, &str), Vec<&ServiceState>> = BTreeMap::new();
        for service in state.services.values().filter(is_due) {
            let zone = (service.spec.role_arn.as_deref(), service.spec.traffic.hosted_zone.as_str());
            zones.entry(zone).or_default().push(service);
        }
        for ((role, zone), services) in zones {
            let world = self.world.acting_as(role);
            let asked = tokio::time::timeout(PATIENCE, survey::surroundings(&world, zone, Age::Shared)).await;
            for service in services {
                looks.insert(service.spec.name.clone(), (Instant::now(), seen(service)));
                let Ok(around) = &asked else { continue };
                let checks = survey::traffic_checks(state, service, around);
                sheet.open().note_checks(self.clock.now(), &service.spec.name, topics::TRAFFIC, None, None, checks);
            }
        }
    }

    async fn watch_roles(&self, sheet: &Sheet) {
        let mut ticks = tokio::time::interval(self.timing.look);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut due: BTreeMap<ServiceName, (Instant, LogIndex)> = BTreeMap::new();
        loop {
            ticks.tick().await;
            let state = self.state();
            due.retain(|name, _| state.services.contains_key(name));
            sheet.open().keep_checks(topics::ROLE, |name| state.services.contains_key(name));
            let now = Instant::now();
            let is_due = |service: &&ServiceState| {
                due.get(&service.spec.name).is_none_or(|(at, index)| now >= *at || *index != service.spec_index)
            };
            let ready: Vec<ServiceState> = state.services.values().filter(is_due).cloned().collect();
            let looks = ready.into_iter().map(|service| async move { self.look_at_role(sheet, &service).await });
            let ended: Vec<_> = stream::iter(looks).buffer_unordered(MOST_AT_ONCE).collect().await;
            due.extend(ended);
        }
    }

    /// What this daemon's role may do for a service, and when to ask again.
    async fn look_at_role(&self, sheet: &Sheet, service: &ServiceState) -> (ServiceName, (Instant, LogIndex)) {
        use failoverd_domain::health::readiness::Verdict;
        let name = &service.spec.name;
        let world = self.world_of(&service.spec);
        let asked = async {
            // The simulation is asked about the zone by its id; without one, about any.
            let zone = world.records.zone(&service.spec.traffic.hosted_zone).await.ok();
            survey::permission_check(&world, &service.spec, zone.as_ref().map(|zone| zone.id.as_str())).await
        };
        let found = tokio::time::timeout(PATIENCE, asked).await.ok();
        let known = found.as_ref().is_some_and(|check| check.verdict == Verdict::Ready);
        if let Some(check) = found {
            let me = Some(&self.view.me);
            sheet.open().note_checks(self.clock.now(), name, topics::ROLE, None, me, vec![check]);
        }
        let pause = if known { ROLE_EVERY } else { ROLE_AGAIN };
        (name.clone(), (Instant::now() + pause, service.spec_index))
    }

    /// The settler's words become checks, so that every daemon can show them.
    async fn hear_the_settler(&self, sheet: &Sheet) {
        let mut words = self.words.clone();
        loop {
            let heard = words.borrow_and_update().clone();
            {
                let mut pages = sheet.open();
                pages.keep_checks(topics::SETTLEMENT, |name| heard.contains_key(name));
                for (name, word) in &heard {
                    let checks = vec![records_drift(&word.standing)];
                    pages.note_checks(word.at, name, topics::SETTLEMENT, None, None, checks);
                }
            }
            if words.changed().await.is_err() {
                // The settler is gone: the daemon is stopping.
                std::future::pending::<()>().await;
            }
        }
    }
}
