//! Looks at every copy of every store, and keeps the canaries flying.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use failoverd_domain::data::loss;
use failoverd_domain::fleet::FleetState;
use failoverd_domain::health::readiness::{Check, CopyCase, Fact, copy_checks, lag_in_budget, names::topics, overall};
use failoverd_domain::ids::Region;
use failoverd_domain::service::{ServiceSpec, Store};
use failoverd_domain::time::Timestamp;
use futures_util::StreamExt;
use futures_util::stream;

use super::Observer;
use super::sheet::{Copy, CopyKey, Sheet};
use crate::ports::{CanaryAt, World};
use crate::survey;

/// Looks under way at once.
const MOST_AT_ONCE: usize = 64;

/// One copy of one store.
#[derive(Clone)]
struct CopyAt {
    spec: Arc<ServiceSpec>,
    store: Store,
    region: Region,
    /// Where an active-passive service writes; where an active-active one has what only one Region writes.
    primary: Region,
}

impl CopyAt {
    fn key(&self) -> CopyKey {
        (self.spec.name.clone(), self.store.name.clone(), self.region.clone())
    }

    fn canary(&self) -> Option<CanaryAt<'_>> {
        let canary = self.store.canary.as_ref()?;
        Some(CanaryAt { service: &self.spec.name, store: &self.store, canary, region: &self.region })
    }

    fn serving(&self) -> &[Region] {
        survey::serving(&self.spec, &self.primary)
    }

    /// Whether canaries are flown from here. From one Region only, also where several write: a canary that two Regions
    /// wrote would tell nothing of either's lag.
    fn flies_canary(&self) -> bool {
        self.region == self.primary
    }

    /// Whether this copy is where the service writes.
    fn serves(&self) -> bool {
        self.serving().contains(&self.region)
    }
}

fn copies(state: &FleetState) -> Vec<CopyAt> {
    let mut copies = Vec::new();
    for service in state.services.values() {
        let spec = &service.spec;
        for store in &spec.data {
            copies.extend(spec.regions.iter().map(|region| CopyAt {
                spec: spec.clone(),
                store: store.clone(),
                region: region.clone(),
                primary: service.primary.clone(),
            }));
        }
    }
    copies
}

impl Observer {
    pub(super) async fn watch_stores(&self, sheet: &Sheet) {
        let mut ticks = tokio::time::interval(self.timing.look);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let state = self.state();
            let keys: BTreeSet<CopyKey> = copies(&state).iter().map(CopyAt::key).collect();
            sheet.open().keep_copies(&keys);
            let looks = copies(&state).into_iter().map(|copy| async move { self.look(sheet, &copy).await });
            stream::iter(looks).buffer_unordered(MOST_AT_ONCE).collect::<()>().await;
        }
    }

    /// A copy costs one to three reads of its Region's control plane (Aurora three, S3 three, DynamoDB one or two, RDS
    /// one) and one figure of CloudWatch's, every `timing.look`: 24 to 48 calls a minute by each daemon at 5 s. Many
    /// copies are looked at in turn, within the budget that the adapters keep for reads.
    async fn look(&self, sheet: &Sheet, copy: &CopyAt) {
        let world = self.world_of(&copy.spec);
        let said = survey::ask(&world, &copy.store, &copy.region).await;
        let lag_ms = world.metrics.replication_lag(&copy.region, &copy.store).await.ok().flatten();
        let writer = said.as_ref().ok().and_then(|fact| fact.writes(&copy.region));
        let case = CopyCase {
            spec: &copy.spec,
            store: &copy.store,
            region: &copy.region,
            serving: copy.serving(),
            own: said.as_ref(),
            others: &others(sheet, copy),
        };
        let mut checks = copy_checks(&case);
        let readiness = overall(&checks);
        checks.extend(self.lag_check(copy));
        let now = self.clock.now();
        let mut pages = sheet.open();
        pages.note_checks(now, &copy.spec.name, topics::COPY, Some(&copy.store.name), Some(&copy.region), checks);
        if let Ok(fact) = said {
            pages.facts.insert(copy.key(), fact);
        }
        let held = pages.stores.entry(copy.key()).or_insert_with(|| Copy::unread(now));
        (held.readiness, held.writer, held.lag_ms, held.at) = (readiness, writer, lag_ms, now);
    }

    /// What a standby would lose now, held against the objective.
    fn lag_check(&self, copy: &CopyAt) -> Option<Check> {
        if copy.serves() {
            return None;
        }
        let (now, matrix) = (self.clock.now(), self.matrix.borrow().clone());
        let losses = loss::quote(now, &self.view.now(), &copy.spec, &copy.primary, &copy.region, &matrix);
        let loss = losses.into_iter().find(|loss| loss.store == copy.store.name)?;
        Some(lag_in_budget(&loss, copy.spec.objectives.rpo_ms))
    }

    /// What the service's own role reaches.
    pub(super) fn world_of(&self, spec: &ServiceSpec) -> World {
        self.world.acting_as(spec.role_arn.as_deref())
    }

    /// The serving Region's own daemon writes; where that one is silent, the leader does.
    pub(super) async fn write_canaries(&self, sheet: &Sheet) {
        let mut ticks = tokio::time::interval(self.timing.canary);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let state = self.state();
            let flights = copies(&state).into_iter().map(|copy| async move { self.fly(sheet, &copy).await });
            let all = stream::iter(flights).buffer_unordered(MOST_AT_ONCE).collect::<()>();
            // A Region that hangs must not hold up the canaries of the others for long.
            let _ = tokio::time::timeout(self.timing.canary * 3, all).await;
        }
    }

    async fn fly(&self, sheet: &Sheet, copy: &CopyAt) {
        let Some(at) = copy.canary() else { return };
        let world = self.world_of(&copy.spec);
        if copy.flies_canary() && self.writes(&copy.region) {
            let mut version = 0;
            self.keep(sheet, copy, |held, now| version = held.next_version(now));
            match world.canaries.write(&at, version).await {
                Ok(()) => {
                    tracing::trace!(store = %copy.store.name, version, "canary written");
                    self.keep(sheet, copy, |held, now| held.acknowledged = held.acknowledged.max(Some((version, now))));
                }
                Err(error) => {
                    tracing::debug!(service = %copy.spec.name, store = %copy.store.name, %error, "canary not written")
                }
            }
        }
        match world.canaries.read(&at).await {
            Ok(visible) => {
                self.keep(sheet, copy, |held, now| held.visible = visible.map(|version| (version, now)));
            }
            Err(error) => {
                tracing::debug!(service = %copy.spec.name, store = %copy.store.name, %error, "canary not read")
            }
        }
    }

    fn keep(&self, sheet: &Sheet, copy: &CopyAt, change: impl FnOnce(&mut Copy, Timestamp)) {
        let now = self.clock.now();
        let mut pages = sheet.open();
        let held = pages.stores.entry(copy.key()).or_insert_with(|| Copy::unread(now));
        change(held, now);
    }

    fn writes(&self, region: &Region) -> bool {
        if region == &self.view.me {
            return true;
        }
        let theirs = self.matrix.borrow().fresh(self.clock.now(), region, self.view.stale_after_ms).is_some();
        !theirs && self.agreement.leadership().borrow().is_me
    }
}

/// What the other Regions' copies were last seen to be.
fn others(sheet: &Sheet, copy: &CopyAt) -> BTreeMap<Region, Fact> {
    let pages = sheet.open();
    let known = copy.spec.regions.iter().filter(|region| **region != copy.region).filter_map(|region| {
        let key = (copy.spec.name.clone(), copy.store.name.clone(), region.clone());
        Some((region.clone(), pages.facts.get(&key)?.clone()))
    });
    known.collect()
}
