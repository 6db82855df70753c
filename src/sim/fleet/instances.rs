//! The RDS instance of the first service: what must come true again, and what a person does in AWS's console where the
//! fleet says that it is a person's.

use failoverd_domain::data::store::DbInstance;
use failoverd_domain::fleet::{FleetState, Run, RunState, ServiceState, StepState};
use failoverd_domain::ids::Region;

use super::ground::Ground;
use super::manifest::{INSTANCE_FENCE, INSTANCES};
use super::whole::{SERVICE, SimulatedFleet, region};

/// Its step that cannot be undone.
const PROMOTE: &str = "promote/legacy";

impl<G: Ground> SimulatedFleet<G> {
    /// The instances of a Region that serves and of the one that does not, as AWS has them.
    fn instances(&self, primary: &Region) -> [(Region, &'static str, Option<DbInstance>); 2] {
        let mut both = INSTANCES.map(|(at, id)| {
            let at = region(at);
            let found = self.aws.with(|world| world.instance(&at, id));
            (at, id, found)
        });
        both.sort_by_key(|(at, ..)| at != primary);
        both
    }

    /// What is not yet as it should be of it, in the fleets that have it.
    pub(super) fn instance_unrest(&self, service: &ServiceState) -> Option<String> {
        if !self.shop.instance {
            return None;
        }
        let [(_, writer, here), (_, replica, there)] = self.instances(&service.primary);
        if !here.is_some_and(|here| here.is_writer() && here.is_available()) {
            return Some(format!("{writer} does not write, {} serves", service.primary));
        }
        let stands_by = there.is_some_and(|there| !there.is_writer() && there.is_available());
        (!stands_by).then(|| format!("{replica} does not stand by"))
    }

    /// An old primary that was put aside must not take writes again, where it can be fenced.
    pub(super) fn audit_instances(&self) {
        if !self.shop.fence {
            return;
        }
        for (at, id) in INSTANCES {
            let aside = format!("{id}-old-e");
            let views = self.aws.with(|world| world.instance_views(&region(at)));
            for old in views.iter().filter(|view| view.id.starts_with(&aside)) {
                self.judge.count(1);
                if !old.groups.iter().any(|group| INSTANCE_FENCE.contains(group.as_str())) {
                    self.judge.blame(format!("I1 does not hold: {} in {at} was put aside and takes writes", old.id));
                }
            }
        }
    }

    /// What no run that went well left behind, the fleet leaves to a person: a move that was stopped half-way.
    pub(super) fn mend_instances(&self, state: &FleetState, service: &ServiceState) {
        if !self.shop.instance || self.instance_unrest(service).is_none() || !self.is_at_ease() {
            return;
        }
        let mends_itself = |run: &Run| {
            run.service.as_str() == SERVICE
                && run.state == RunState::Succeeded
                && run.epoch == Some(service.epoch)
                && run.progress(&PROMOTE.into()).state == StepState::Succeeded
        };
        let [(primary, writer, here), (standby, replica, there)] = self.instances(&service.primary);
        let writes = here.as_ref().is_some_and(DbInstance::is_writer);
        if writes && (there.is_some_and(|there| !there.is_writer()) || state.runs.values().any(mends_itself)) {
            return;
        }
        self.judge
            .tell(format!("a person makes {writer} in {primary} the writer, and {replica} in {standby} its replica"));
        self.aws.stand_by((&primary, writer), (&standby, replica));
    }

    /// Whether AWS is doing nothing with either of them just now.
    fn is_at_ease(&self) -> bool {
        INSTANCES.iter().all(|(at, id)| {
            let found = self.aws.with(|world| world.instance(&region(at), id));
            found.is_none_or(|found| found.is_available())
        })
    }
}
