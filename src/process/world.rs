//! What a real daemon reaches: probes over the network, and no AWS yet.

use std::sync::Arc;

use super::refusal::Refusal;
use crate::adapters::absent::Absent;
use crate::adapters::probe::{NetworkProber, ProberSettings};
use crate::config::Config;
use crate::ports::World;

/// Everything that reaches outside.
///
/// # Errors
/// [`Refusal::Probes`].
pub fn of(config: &Config) -> Result<World, Refusal> {
    tracing::warn!(
        "this build has no adapters for AWS and DNS: the fleet agrees, observes, answers checkers and keeps history, \
         but opens no run by itself, and one that a person forces stops at its first step that needs AWS"
    );
    let settings = ProberSettings { references: config.references.clone(), ..ProberSettings::default() };
    let prober = NetworkProber::new(settings).map_err(|error| Refusal::Probes(error.to_string()))?;
    let absent = Arc::new(Absent);
    Ok(World {
        records: absent.clone(),
        health_checks: absent.clone(),
        aurora: absent.clone(),
        tables: absent.clone(),
        buckets: absent.clone(),
        canaries: absent.clone(),
        fences: absent.clone(),
        metrics: absent.clone(),
        instances: absent.clone(),
        permissions: absent.clone(),
        roles: absent.clone(),
        dns: absent,
        prober: Arc::new(prober),
    })
}
