//! The effects of each kind of step.

use std::sync::Arc;

use async_trait::async_trait;
use failoverd_domain::data::loss::{Loss, newest_acknowledged, receipt};
use failoverd_domain::data::store::ReplicaStatus;
use failoverd_domain::fleet::{Command, FleetState, Run};
use failoverd_domain::ids::Region;
use failoverd_domain::plan::{Mode, Movement, Step, StepKind};
use failoverd_domain::service::{ServiceSpec, Store, StoreKind};

use super::Executor;
use super::effect::{Effect, Look};
use super::verify::VerifyAnswer;
use crate::ports::{Call, CallError, CanaryAt, Effect as Known, World};

/// One step of one run, with what it needs.
struct StepEffect {
    executor: Executor,
    /// As the service's own role.
    world: World,
    run: Run,
    step: Step,
    spec: Arc<ServiceSpec>,
}

/// The service or the store is gone from the manifest: nothing can be done or seen.
struct Orphan(String);

impl Executor {
    pub(super) fn effect(&self, run: &Run, step: &Step) -> Box<dyn Effect> {
        let state = self.agreement.state().borrow().clone();
        match state.services.get(&run.service) {
            Some(_) if matches!(step.kind, StepKind::VerifyAnswer) => {
                Box::new(VerifyAnswer::new(self.clone(), run.clone()))
            }
            Some(service) => Box::new(StepEffect {
                executor: self.clone(),
                world: self.world.acting_as(service.spec.role_arn.as_deref()),
                run: run.clone(),
                step: step.clone(),
                spec: service.spec.clone(),
            }),
            None => Box::new(Orphan(format!("service {} is gone", run.service))),
        }
    }
}

#[async_trait]
impl Effect for Orphan {
    async fn look(&self) -> Look {
        Look::CannotTell(self.0.clone())
    }
}

#[async_trait]
impl Effect for StepEffect {
    async fn look(&self) -> Look {
        match &self.step.kind {
            StepKind::Fence { .. } => self.look_fence().await,
            StepKind::Promote { .. } => self.look_promoted().await,
            StepKind::Drain { .. } => self.look_drained().await,
            StepKind::CheckData { .. } => self.look_data().await,
            StepKind::FlipSwitch { group, bit, on } => {
                let state = self.state();
                let held = state.switches.get(group).and_then(|switch| switch.bits.get(bit));
                match held {
                    Some(held) if held.on == *on => Look::Done(match self.run.plan.movement {
                        Movement::Failover | Movement::Restore => format!("switch {group}: {} serves", self.to()),
                        Movement::Evacuate => format!("switch {group}: {bit} serves no more"),
                    }),
                    _ => Look::NotDone(format!("switch {group} is not turned")),
                }
            }
            StepKind::VerifyAnswer => Look::CannotTell("another effect looks at answers".to_owned()),
        }
    }

    async fn act(&self) -> Result<(), CallError> {
        match &self.step.kind {
            StepKind::Fence { .. } => self.fence().await,
            StepKind::Promote { .. } => self.promote().await,
            StepKind::FlipSwitch { group, bit, on } => {
                let run = Some((self.run.id.clone(), self.step.name.clone()));
                self.flip(Command::SetSwitch { group: group.clone(), region: bit.clone(), on: *on, run }).await
            }
            StepKind::Drain { .. } | StepKind::CheckData { .. } | StepKind::VerifyAnswer => Ok(()),
        }
    }

    fn acts(&self) -> bool {
        matches!(self.step.kind, StepKind::Fence { .. } | StepKind::Promote { .. } | StepKind::FlipSwitch { .. })
    }
}

impl StepEffect {
    fn state(&self) -> Arc<FleetState> {
        self.executor.agreement.state().borrow().clone()
    }

    fn to(&self) -> &Region {
        &self.run.plan.to
    }

    fn store(&self) -> Result<&Store, Look> {
        let name = self.step.kind.store();
        name.and_then(|name| self.spec.store(name)).ok_or_else(|| Look::CannotTell("the store is gone".to_owned()))
    }

    async fn look_fence(&self) -> Look {
        let store = match self.store() {
            Ok(store) => store,
            Err(gone) => return gone,
        };
        let Some(fence) = &store.fence else {
            return Look::CannotTell("the fence is gone from the manifest".to_owned());
        };
        match self.world.fences.is_fenced(&self.step.region, store, fence).await {
            Ok(true) => Look::Done(format!("{} in {} takes no writes", store.name, self.step.region)),
            Ok(false) => Look::NotDone(format!("{} in {} takes writes", store.name, self.step.region)),
            Err(error) => Look::CannotTell(error.to_string()),
        }
    }

    async fn fence(&self) -> Call<()> {
        let Ok(store) = self.store() else { return Err(self.gone()) };
        let Some(fence) = &store.fence else { return Err(self.gone()) };
        self.world.fences.fence(&self.step.region, store, fence).await
    }

    async fn look_promoted(&self) -> Look {
        match self.store().map(|store| &store.kind) {
            Ok(StoreKind::Aurora { global_cluster, .. }) => self.look_cluster(global_cluster).await,
            Ok(StoreKind::Rds { instances, .. }) => match instances.get(self.to()) {
                Some(instance) => self.look_instance(instance).await,
                None => Look::CannotTell(format!("the manifest names no instance in {}", self.to())),
            },
            _ => Look::CannotTell("the store is gone".to_owned()),
        }
    }

    async fn look_instance(&self, instance: &str) -> Look {
        match self.world.instances.describe(self.to(), instance).await {
            Ok(None) => Look::CannotTell(format!("there is no instance {instance} in {}", self.to())),
            Ok(Some(found)) if !found.is_writer() && found.is_available() => {
                Look::NotDone(format!("{instance} is still a replica"))
            }
            // It reboots when it is promoted, and is a replica until it is done.
            Ok(Some(found)) if !found.is_available() => Look::UnderWay(format!("{instance} is {}", found.status)),
            Ok(Some(_)) => Look::Done(format!("{instance} writes in {}", self.to())),
            Err(error) => Look::CannotTell(error.to_string()),
        }
    }

    async fn look_cluster(&self, global_cluster: &str) -> Look {
        match self.world.aurora.describe(self.to(), global_cluster).await {
            Ok(cluster) if cluster.moving_to.as_ref() == Some(self.to()) => {
                Look::UnderWay(format!("{global_cluster} is moving to {}", self.to()))
            }
            Ok(cluster) if cluster.moving_to.is_none() && cluster.writer() == Some(self.to()) => {
                Look::Done(format!("{global_cluster} writes in {}", self.to()))
            }
            Ok(cluster) => {
                let writer = cluster.writer().map_or("nobody", Region::as_str);
                Look::NotDone(format!("{global_cluster}: {writer} writes"))
            }
            Err(error) => Look::CannotTell(error.to_string()),
        }
    }

    async fn promote(&self) -> Call<()> {
        let Ok(store) = self.store() else { return Err(self.gone()) };
        if let Some(fence) = &store.fence {
            // Fenced when it was the old writer; it is about to serve again.
            let fences = &self.world.fences;
            if fences.is_fenced(self.to(), store, fence).await? {
                fences.unfence(self.to(), store, fence).await?;
            }
        }
        match (&store.kind, self.run.plan.mode) {
            (StoreKind::Aurora { global_cluster, .. }, Mode::Graceful) => {
                self.world.aurora.switchover(self.to(), global_cluster, self.to()).await
            }
            (StoreKind::Aurora { global_cluster, .. }, Mode::Forced) => {
                self.world.aurora.failover(self.to(), global_cluster, self.to()).await
            }
            (StoreKind::Rds { instances, .. }, _) => match instances.get(self.to()) {
                Some(instance) => self.world.instances.promote(self.to(), instance).await,
                None => Err(self.gone()),
            },
            (StoreKind::Dynamodb { .. } | StoreKind::S3 { .. }, _) => Err(self.gone()),
        }
    }

    /// Within the RPO by canary; where there is none, by CloudWatch's lag and its age.
    async fn look_drained(&self) -> Look {
        let store = match self.store() {
            Ok(store) => store,
            Err(gone) => return gone,
        };
        // A writer that is stopped has nothing left to send when its newest canary has arrived.
        let is_stopped = store.kind.has_single_writer() && store.fence.is_some() && store.canary.is_some();
        let rpo_ms = if is_stopped { 0 } else { self.spec.objectives.rpo_ms };
        let behind_ms = match &store.canary {
            Some(_) => self.canary_behind_ms(store).await,
            None => match self.world.metrics.replication_lag(self.to(), store).await {
                Ok(Some((lag_ms, age_ms))) => Some(lag_ms + age_ms),
                _ => None,
            },
        };
        match behind_ms {
            Some(ms) if ms <= rpo_ms => Look::Done(format!("{} is {ms} ms behind in {}", store.name, self.to())),
            Some(ms) => {
                Look::NotDone(format!("{} is {ms} ms behind in {}, {rpo_ms} are allowed", store.name, self.to()))
            }
            None => Look::CannotTell(format!("nobody can say how far {} is behind in {}", store.name, self.to())),
        }
    }

    async fn canary_behind_ms(&self, store: &Store) -> Option<u64> {
        let visible = self.canary(store).await?;
        let matrix = self.executor.matrix.borrow().clone();
        let acknowledged = newest_acknowledged(&matrix, &self.spec.name, &store.name, &self.run.plan.from)?;
        Some(acknowledged.saturating_sub(visible))
    }

    async fn canary(&self, store: &Store) -> Option<u64> {
        let canary = store.canary.as_ref()?;
        let at = CanaryAt { service: &self.spec.name, store, canary, region: self.to() };
        self.world.canaries.read(&at).await.ok().flatten()
    }

    /// Whether the new copy takes the service's data; writes the receipt for it while nothing new is written there.
    async fn look_data(&self) -> Look {
        let store = match self.store() {
            Ok(store) => store,
            Err(gone) => return gone,
        };
        let world = &self.world;
        let look = match &store.kind {
            StoreKind::Aurora { .. } | StoreKind::Rds { .. } => self.look_promoted().await,
            StoreKind::Dynamodb { table, .. } => match world.tables.describe(self.to(), table).await {
                Ok(described) if described.replicas.get(self.to()) == Some(&ReplicaStatus::Active) => {
                    Look::Done(format!("the replica of {table} in {} is ACTIVE", self.to()))
                }
                Ok(_) => Look::NotDone(format!("{table} has no ACTIVE replica in {}", self.to())),
                Err(error) => Look::CannotTell(error.to_string()),
            },
            StoreKind::S3 { buckets, .. } => {
                let bucket = buckets.get(self.to()).map_or("", String::as_str);
                match world.buckets.describe(self.to(), bucket).await {
                    Ok(state) if state.versioning => Look::Done(format!("{bucket} takes objects")),
                    Ok(_) => Look::NotDone(format!("{bucket} is not versioned")),
                    Err(error) => Look::CannotTell(error.to_string()),
                }
            }
        };
        if let Look::Done(found) = look {
            let receipt = self.write_receipt(store).await;
            return Look::Done(format!("{found}; {receipt}"));
        }
        look
    }

    async fn write_receipt(&self, store: &Store) -> String {
        let quoted = self.run.loss.iter().find(|loss| loss.store == store.name).cloned();
        let Some(quoted) = quoted else { return "no loss was quoted".to_owned() };
        let from = &self.run.plan.from;
        let flown_there = self.state().services.get(&self.run.service).is_some_and(|service| &service.primary == from);
        if self.run.plan.movement == Movement::Evacuate && !flown_there {
            return format!("loss not measured: no canary is flown from {from}");
        }
        let matrix = self.executor.matrix.borrow().clone();
        let acknowledged = newest_acknowledged(&matrix, &self.spec.name, &store.name, &self.run.plan.from);
        let measured: Loss = receipt(quoted, acknowledged, self.canary(store).await);
        // The whole sentence is in the receipt.
        let lost = measured.measured.map_or("loss not measurable".to_owned(), |ms| format!("canary: lost {ms} ms"));
        let command = Command::Receipt { run: self.run.id.clone(), losses: vec![measured] };
        if let Err(error) = self.executor.propose_for_step(command).await {
            tracing::warn!(%error, "the receipt did not go through; the next look writes it again");
        }
        lost
    }

    async fn flip(&self, command: Command) -> Call<()> {
        let refused = |code: &str, message: String, effect| CallError {
            service: "fleet",
            operation: "SetSwitch",
            region: self.to().clone(),
            code: code.to_owned(),
            message,
            effect,
        };
        match self.executor.propose_for_step(command).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(reason)) => Err(refused("Refused", reason, Known::None)),
            Err(error) => Err(refused("NotCommitted", error.to_string(), Known::Unknown)),
        }
    }

    fn gone(&self) -> CallError {
        CallError {
            service: "fleet",
            operation: "Step",
            region: self.step.region.clone(),
            code: "Gone".to_owned(),
            message: format!("{} needs something that is no longer in the manifest", self.step.name),
            effect: Known::None,
        }
    }
}
