//! What a decision rests on besides its evidence, written with it so that a report needs nothing else.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::state::ServiceState;
use super::timeline::Floors;
use crate::ids::StepName;
use crate::plan::Plan;
use crate::service::SwitchTransport;

/// What the manifest and earlier runs said when a run was decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Basis {
    /// Objective, milliseconds.
    pub rto_ms: u64,
    /// Objective, milliseconds of writes.
    pub rpo_ms: u64,
    /// A breach must have lasted so long, milliseconds.
    pub breach_after_ms: u64,
    /// How the switch reaches Route 53.
    pub switch: SwitchTransport,
    /// Twelve hex digits over the manifest.
    pub manifest_hash: String,
    /// What the steps took before; those that were never measured are not there.
    #[serde(default)]
    pub forecast: BTreeMap<StepName, Usual>,
}

/// What a step usually takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usual {
    /// The middle of earlier runs, milliseconds.
    pub p50_ms: u64,
    /// All but one in twenty took at most this, milliseconds.
    pub p95_ms: u64,
}

impl Basis {
    pub(super) fn of(service: &ServiceState, plan: &Plan) -> Self {
        let spec = &service.spec;
        let bytes = serde_json::to_vec(&**spec).unwrap_or_default();
        let usual = |name: &StepName| {
            let took = service.durations.get(&format!("{}:{name}", plan.mode))?;
            Usual::of(took.iter().copied())
        };
        let forecast = plan.steps.iter().filter_map(|step| Some((step.name.clone(), usual(&step.name)?)));
        Self {
            rto_ms: spec.objectives.rto_ms,
            rpo_ms: spec.objectives.rpo_ms,
            breach_after_ms: spec.health.breach_after_ms,
            switch: spec.traffic.switch,
            manifest_hash: Sha256::digest(&bytes).iter().take(6).map(|byte| format!("{byte:02x}")).collect(),
            forecast: forecast.collect(),
        }
    }

    /// What it says of how short the parts of a run can be.
    #[must_use]
    pub const fn floors(&self) -> Floors {
        Floors { breach_after_ms: self.breach_after_ms, switch: self.switch }
    }
}

impl Usual {
    /// Nearest ranks; `None` of nothing.
    fn of(took: impl Iterator<Item = u64>) -> Option<Self> {
        let mut took: Vec<u64> = took.collect();
        took.sort_unstable();
        let rank = |percent: usize| took.get((took.len() * percent).div_ceil(100).max(1) - 1).copied();
        Some(Self { p50_ms: rank(50)?, p95_ms: rank(95)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::tests::fixture::Bench;

    #[test]
    fn a_decision_says_what_its_steps_took_before_and_nothing_of_those_never_measured() {
        let (mut fleet, id) = Bench::running();
        let plan = fleet.run(&id).plan.clone();
        let step = plan.steps[0].name.clone();
        let service = fleet.state.services.get_mut("shop").unwrap();
        service.durations.insert(format!("{}:{step}", plan.mode), (1..=20).map(|n| n * 100).collect());
        let basis = Basis::of(service, &plan);
        assert_eq!(basis.forecast, BTreeMap::from([(step, Usual { p50_ms: 1_000, p95_ms: 1_900 })]));
        assert_eq!((basis.rto_ms, basis.manifest_hash.len()), (service.spec.objectives.rto_ms, 12));
    }
}
