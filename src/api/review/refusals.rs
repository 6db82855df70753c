//! What Route 53 would refuse of what is applied.

use std::collections::BTreeSet;

use failoverd_domain::ids::ServiceName;
use failoverd_domain::service::ServiceSpec;
use failoverd_domain::traffic::{Desired, KnownZone, Refused, refused, strayed};

use super::{NO_SUCH_ZONE, Reading, Review, is_changed, zone_of};
use crate::survey;

impl Reading<'_> {
    /// What Route 53 would refuse, zone by zone: refuses a manifest that changes, and is said of one that does not.
    pub(super) fn refusals(&self, specs: &[ServiceSpec], review: &mut Review) {
        for (at, around) in &self.zones {
            let lives_here = |spec: &ServiceSpec| zone_of(spec) == *at;
            let here: Vec<&ServiceSpec> = specs.iter().filter(|spec| lives_here(spec)).collect();
            let changed: BTreeSet<&ServiceName> =
                here.iter().filter(|spec| is_changed(self.now, spec)).map(|spec| &spec.name).collect();
            if let Err(no) = &around.zone
                && no.code == NO_SUCH_ZONE
            {
                // The words are the adapter's: they tell an unknown zone from a private one.
                let moves = |spec: &&&ServiceSpec| {
                    self.now.services.get(&spec.name).is_none_or(|service| service.spec.traffic != spec.traffic)
                };
                review.refused.extend(here.iter().find(moves).map(|_| (at.1.clone(), no.words.clone())));
                continue;
            }
            let zone = KnownZone {
                name: &at.1,
                id: around.zone.as_ref().map(|zone| zone.id.as_str()).unwrap_or_default(),
                records: around.records.as_ref().ok().map(|records| records.as_slice()),
            };
            let beside = self.then.services.values().filter(|service| lives_here(&service.spec));
            let wanted: Vec<Desired> = beside.filter_map(|service| survey::wanted(self.then, service).ok()).collect();
            let asked = here.iter().map(|spec| spec.name.clone()).collect();
            let strays: Vec<Refused> = here.iter().flat_map(|spec| strayed(zone, spec)).collect();
            let is_astray = |it: &Refused| strays.iter().any(|stray| stray.name == it.name);
            let mut found = refused(zone, &wanted, &asked);
            found.retain(|it| !is_astray(it));
            for Refused { service, name, reason } in found.into_iter().chain(strays) {
                if changed.contains(&service) {
                    review.refused.push((name, reason));
                } else {
                    review.warnings.push(format!("{service}: {name}: Route 53 would refuse it: {reason}"));
                }
            }
        }
    }
}
