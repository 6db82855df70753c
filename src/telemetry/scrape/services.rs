//! Services: where they stand, what is seen of them, what guards would say.

use failoverd_domain::drill::{LicenceStanding, licence_of};
use failoverd_domain::fleet::{Actor, FailoverRequest, ServicePhase, ServiceState, Trigger, outlook};
use failoverd_domain::health::readiness::Verdict;
use failoverd_domain::health::{Diagnosis, diagnose};
use failoverd_domain::plan::Movement;
use failoverd_domain::service::Pattern;

use super::word;
use crate::telemetry::Standing;
use crate::telemetry::defined;
use crate::telemetry::page::{Page, count, seconds};

const PHASES: [ServicePhase; 5] = [
    ServicePhase::Steady,
    ServicePhase::FailingOver,
    ServicePhase::Unsettled,
    ServicePhase::Returning,
    ServicePhase::Attention,
];

const DIAGNOSES: [Diagnosis; 7] = [
    Diagnosis::Healthy,
    Diagnosis::Degraded,
    Diagnosis::ServiceDown,
    Diagnosis::RegionDown,
    Diagnosis::ControlPlaneOnly,
    Diagnosis::ObserverIsolated,
    Diagnosis::Unknown,
];

const VERDICTS: [Verdict; 4] = [Verdict::Ready, Verdict::Note, Verdict::Unknown, Verdict::NotReady];

pub(super) fn show(at: &Standing, page: &mut Page) {
    for service in at.state.services.values() {
        manifest(service, page);
        stands(at, service, page);
        seen(at, service, page);
        guards(at, service, page);
        licences(at, service, page);
    }
}

fn manifest(service: &ServiceState, page: &mut Page) {
    let spec = &service.spec;
    let name = spec.name.as_str();
    page.put(&defined::SERVICE_INFO, &[name, &word(spec.pattern), &word(spec.policy.failover)], 1.0);
    page.put(&defined::OBJECTIVE_RTO, &[name], seconds(spec.objectives.rto_ms));
    page.put(&defined::OBJECTIVE_RPO, &[name], seconds(spec.objectives.rpo_ms));
    page.flag(&defined::DRILL_REQUIRED, &[name], spec.policy.require_drill_within_ms.is_some());
}

fn stands(at: &Standing, service: &ServiceState, page: &mut Page) {
    let name = service.spec.name.as_str();
    page.put(&defined::SERVICE_EPOCH, &[name], count(service.epoch.0));
    page.one_of(&defined::SERVICE_PHASE, &[name], &PHASES.map(ServicePhase::word), at.state.phase(service).word());
    page.flag(&defined::SERVICE_PAUSED, &[name], at.state.is_paused(&service.spec.name));
    page.flag(&defined::SERVICE_SETTLED, &[name], service.is_settled());
    page.put(&defined::PRIMARY_SINCE, &[name], seconds(service.primary_since.0));
    let serving = at.state.serving(service);
    for region in &service.spec.regions {
        let labels = [name, region.as_str()];
        page.flag(&defined::SERVICE_SERVING, &labels, serving.contains(&region));
        let share = at.state.share(service, region);
        page.put_some(&defined::SERVICE_SHARE, &labels, share.map(|percent| f64::from(percent) / 100.0));
    }
}

fn seen(at: &Standing, service: &ServiceState, page: &mut Page) {
    let name = service.spec.name.as_str();
    for region in &service.spec.regions {
        let found = diagnose(at.now, &at.view, &service.spec, region, &at.matrix).diagnosis;
        page.one_of(&defined::DIAGNOSIS, &[name, region.as_str()], &DIAGNOSES.map(Diagnosis::word), found.word());
    }
    let checks = at.matrix.checks(at.now, &service.spec.name);
    for verdict in VERDICTS {
        let such = checks.iter().filter(|check| check.verdict == verdict).count();
        page.put(&defined::CHECKS, &[name, verdict.word()], count(such as u64));
    }
    let mut not_ready: Vec<(&str, &str)> = checks
        .iter()
        .filter(|check| check.verdict == Verdict::NotReady)
        .map(|check| (check.region.as_ref().map_or("", |region| region.as_str()), check.name.as_str()))
        .collect();
    // Two stores may fail the same check.
    not_ready.sort_unstable();
    not_ready.dedup();
    for (region, check) in not_ready {
        page.put(&defined::CHECK_NOT_READY, &[name, region, check], 1.0);
    }
}

fn guards(at: &Standing, service: &ServiceState, page: &mut Page) {
    let request = FailoverRequest {
        service: service.spec.name.clone(),
        movement: Movement::Failover,
        from: None,
        to: None,
        mode: None,
        trigger: Trigger::Automatic,
        actor: Actor::Daemon(at.view.me.clone()),
        reason: None,
        plan_hash: None,
        drill: None,
    };
    // Where there is nowhere to go, or the service moves with another, there is nothing to ask.
    let Ok(outlook) = outlook(at.now, &at.state, &at.matrix, &at.view, &request) else { return };
    for verdict in &outlook.guards {
        page.flag(&defined::GUARD_OK, &[service.spec.name.as_str(), &verdict.guard.word()], verdict.ok);
    }
}

/// Every way that the service could have to go.
fn licences(at: &Standing, service: &ServiceState, page: &mut Page) {
    let regions = &service.spec.regions;
    for from in regions {
        for to in regions.iter().filter(|to| *to != from) {
            let until = match licence_of(at.now, service, from, to) {
                LicenceStanding::NotRequired => continue,
                LicenceStanding::Held { until, .. } => seconds(until.0),
                LicenceStanding::Lapsed { .. } => 0.0,
            };
            let leaves = service.spec.pattern == Pattern::ActiveActive || from == &service.primary;
            if leaves {
                page.put(&defined::LICENCE_EXPIRY, &[service.spec.name.as_str(), from.as_str(), to.as_str()], until);
            }
        }
    }
}
