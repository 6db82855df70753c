//! RDS after a move: the old primary is seen again, kept from writing, put aside, and a new replica is made in its place.
//!
//! Nothing is deleted, and nothing is touched that this fleet's own run did not leave behind: an instance that writes
//! where the manifest wants a replica may be somebody's mistake, and is then a person's to mend.

use failoverd_domain::fleet::{RunState, ServiceState, StepState};
use failoverd_domain::ids::Region;
use failoverd_domain::plan::StepKind;
use failoverd_domain::service::{Store, StoreKind};

use super::copies::Mend;
use super::{Settler, Unsettled};

impl Settler {
    /// The next thing to do with the instance that no longer serves.
    pub(super) async fn instance_lacks<'a>(
        &self,
        service: &'a ServiceState,
        store: &'a Store,
    ) -> Result<Option<Mend<'a>>, Unsettled> {
        let StoreKind::Rds { instances, rebuild } = &store.kind else { return Ok(None) };
        let Some(standby) = service.standby() else { return Ok(None) };
        let (Some(here), Some(there)) = (instances.get(&service.primary), instances.get(standby)) else {
            return Ok(None);
        };
        let world = self.world_of(service);
        let writer = world.instances.describe(&service.primary, here).await?;
        let Some(writer) = writer.filter(failoverd_domain::data::store::DbInstance::is_writer) else {
            return Err(Unsettled::Stuck(format!("{here} in {} is not the writer that it should be", service.primary)));
        };
        if !writer.is_available() {
            return Err(Unsettled::Yield(format!("{here} is {}", writer.status)));
        }
        let other = world.instances.describe(standby, there).await?;
        if other.as_ref().is_some_and(|other| !other.is_writer()) {
            return Ok(None);
        }
        if !self.left_behind(service, store, standby) {
            return Err(Unsettled::Stuck(match other {
                Some(_) => format!(
                    "{there} in {standby} is no replica of {here}, and no run of this fleet made it so: make it one, or correct the manifest"
                ),
                None => format!("there is no {there} in {standby}: make a cross-Region read replica of {here}"),
            }));
        }
        let Some(old) = other else {
            return Ok(rebuild.then_some(Mend::CreateReplica { instance: there, region: standby, source: writer }));
        };
        if let Some(fence) = &store.fence
            && !world.fences.is_fenced(standby, store, fence).await?
        {
            return Ok(Some(Mend::Fence { store, fence, region: standby }));
        }
        if !rebuild {
            return Err(Unsettled::Stuck(format!(
                "the old primary {there} in {standby} is left as it is (rebuild: manual): save what it has, then make a replica of {here} in its place"
            )));
        }
        if !old.is_available() {
            return Err(Unsettled::Yield(format!("{there} in {standby} is {}", old.status)));
        }
        let aside = format!("{there}-old-e{}", service.epoch);
        Ok(Some(Mend::PutAside { instance: there, region: standby, aside }))
    }

    /// Whether the run that brought the service where it is promoted this store, away from `standby`.
    fn left_behind(&self, service: &ServiceState, store: &Store, standby: &Region) -> bool {
        let state = self.state();
        let promoted = |run: &failoverd_domain::fleet::Run| {
            run.plan.steps.iter().any(|step| {
                matches!(&step.kind, StepKind::Promote { store: promoted, .. } if *promoted == store.name)
                    && run.progress(&step.name).state == StepState::Succeeded
            })
        };
        state.runs.values().any(|run| {
            run.service == service.spec.name
                && run.state == RunState::Succeeded
                && run.epoch == Some(service.epoch)
                && run.plan.from == *standby
                && promoted(run)
        })
    }
}
