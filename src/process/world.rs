//! What a real daemon reaches: AWS through its SDK, probes over the network, zones at their own name servers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::refusal::Refusal;
use crate::adapters::aws::{self, Account, Outside, Settings};
use crate::adapters::dns::{AuthoritativeDns, DelegatedDns};
use crate::adapters::probe::{NetworkProber, ProberSettings};
use crate::config::Config;
use crate::ports::{Clock, Dns, World};
use crate::telemetry::Meters;

/// Everything that reaches outside. Nothing is asked before the first call. `variables` are the process's own, with the
/// DSNs of canary rows among them.
///
/// # Errors
/// [`Refusal::Probes`], [`Refusal::Dns`].
pub fn of(
    config: &Config,
    clock: Arc<dyn Clock>,
    mutation: Duration,
    variables: BTreeMap<String, String>,
    meters: Arc<Meters>,
) -> Result<World, Refusal> {
    let prober = |metrics| {
        let settings = ProberSettings { metrics, references: config.references.clone(), ..ProberSettings::default() };
        let prober = NetworkProber::new(settings).map_err(|error| Refusal::Probes(error.to_string()))?;
        Ok::<_, Refusal>(Arc::new(prober))
    };
    let dns: Arc<dyn Dns> = if config.aws.name_servers.is_empty() {
        Arc::new(DelegatedDns::new().map_err(Refusal::Dns)?)
    } else {
        Arc::new(AuthoritativeDns::new(&config.aws.name_servers).map_err(Refusal::Dns)?)
    };
    let settings = Settings {
        home: config.region.clone(),
        endpoint_url: config.aws.endpoint_url.clone(),
        endpoints: config.aws.endpoints.clone(),
        mutation_timeout: mutation,
        credentials: None,
    };
    let account = Account::new(settings, clock, meters);
    let outside = Outside { dns, prober: prober(None)?, variables: Arc::new(variables) };
    let world = aws::world(&account, &outside);
    // Alarms are signals too, and CloudWatch tells of them.
    Ok(World { prober: prober(Some(world.metrics.clone()))?, ..world })
}
