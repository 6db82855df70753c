//! What a daemon of the sandbox reaches: the simulated AWS through the AWS SDK, the simulated zone over real DNS, the
//! services' endpoints over real HTTP. Only SQL goes a shorter way: nobody serves Postgres's protocol for a simulated
//! database, so its canary rows are asked of the world itself.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use failoverd_domain::ids::Region;
use failoverd_domain::service::Canary;

use super::addresses::Addresses;
use super::network::{SandboxProber, names};
use crate::adapters::aws::{self, Account, Outside, Settings};
use crate::adapters::clock::SystemClock;
use crate::adapters::dns::AuthoritativeDns;
use crate::ports::{Call, Canaries, CanaryAt, World};
use crate::sim::ports::SimulatedPorts;
use crate::sim::wire::caller_key;
use crate::sim::world::SimulatedAws;
use crate::telemetry::Meters;

/// Everything that the daemon of a Region reaches.
///
/// # Errors
/// No client can be made, in words.
pub(super) fn of(
    aws: &SimulatedAws,
    region: &Region,
    addresses: Addresses,
    endpoints: &BTreeMap<Region, SocketAddr>,
    mutation: Duration,
    meters: Arc<Meters>,
) -> Result<World, String> {
    let ports = aws.ports(region.clone());
    let prober = SandboxProber::new(ports.clone(), names(endpoints)).map_err(|error| error.to_string())?;
    let settings = Settings {
        home: region.clone(),
        endpoint_url: Some(format!("http://{}", addresses.aws())),
        endpoints: BTreeMap::new(),
        mutation_timeout: mutation,
        credentials: Some((caller_key(region), "simulated".to_owned())),
    };
    let account = Account::new(settings, Arc::new(SystemClock), meters);
    let outside = Outside {
        dns: Arc::new(AuthoritativeDns::new(&[addresses.dns()])?),
        prober: Arc::new(prober),
        variables: Arc::default(),
    };
    let world = aws::world(&account, &outside);
    let canaries = Arc::new(SandboxCanaries { rows: ports, others: world.canaries.clone() });
    Ok(World { canaries, ..world })
}

/// Rows of simulated databases, and everything else through the SDK.
struct SandboxCanaries {
    rows: SimulatedPorts,
    others: Arc<dyn Canaries>,
}

impl SandboxCanaries {
    fn of(&self, canary: &Canary) -> &dyn Canaries {
        match canary {
            Canary::Dsn { .. } => &self.rows,
            Canary::Table { .. } | Canary::Prefix { .. } => self.others.as_ref(),
        }
    }
}

#[async_trait]
impl Canaries for SandboxCanaries {
    async fn write(&self, at: &CanaryAt<'_>, version: u64) -> Call<()> {
        self.of(at.canary).write(at, version).await
    }

    async fn read(&self, at: &CanaryAt<'_>) -> Call<Option<u64>> {
        self.of(at.canary).read(at).await
    }
}
