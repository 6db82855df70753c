//! The sandbox's network: real HTTP on loopback, with the simulated AWS deciding which Regions can be reached.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use failoverd_domain::ids::Region;
use failoverd_domain::route53::Protocol;
use failoverd_domain::service::ProbeSpec;

use crate::adapters::probe::{HttpFetch, NameOverrides, NetworkProber, ProberSettings};
use crate::ports::{Metrics, NotGood, Prober};
use crate::sim::ports::SimulatedPorts;
use crate::sim::world::Fetch;

/// Where the names of services in each Region lead.
pub(super) fn names(endpoints: &BTreeMap<Region, SocketAddr>) -> NameOverrides {
    NameOverrides::new(endpoints.iter().map(|(region, address)| (region.to_string(), *address)).collect())
}

/// A daemon's probes: over real HTTP where its Region's network allows, and nowhere where it does not.
pub(super) struct SandboxProber {
    network: NetworkProber,
    aws: SimulatedPorts,
    names: NameOverrides,
}

impl SandboxProber {
    pub(super) fn new(aws: SimulatedPorts, names: NameOverrides) -> Result<Self, reqwest::Error> {
        let metrics: Arc<dyn Metrics> = Arc::new(aws.clone());
        let resolve_to = names.clone();
        let settings = ProberSettings { metrics: Some(metrics), references: BTreeMap::new(), resolve_to };
        Ok(Self { network: NetworkProber::new(settings)?, aws, names })
    }
}

#[async_trait]
impl Prober for SandboxProber {
    async fn probe(&self, probe: &ProbeSpec, region: &Region) -> Result<String, NotGood> {
        self.network.probe(probe, region).await
    }

    /// Addresses of the sandbox are for documentation: what stands in for a Region answers for those that are its.
    async fn through(&self, probe: &ProbeSpec, name: &str, address: IpAddr) -> Result<String, NotGood> {
        match self.aws.region_at(address).and_then(|region| self.names.get(region.as_str())) {
            Some(there) => self.network.through_at(probe, name, there).await,
            None => Err(NotGood::Unknown(format!("nothing stands in for {address} in a sandbox"))),
        }
    }

    async fn reference(&self, region: &Region) -> bool {
        self.aws.reference(region).await
    }
}

/// Route 53's checkers: they live outside every Region and ask over real HTTP.
pub(super) struct SandboxFetch {
    http: HttpFetch,
    names: NameOverrides,
}

impl SandboxFetch {
    pub(super) fn new(names: NameOverrides) -> Result<Self, reqwest::Error> {
        Ok(Self { http: HttpFetch::new()?, names })
    }
}

#[async_trait]
impl Fetch for SandboxFetch {
    async fn get(&self, protocol: Protocol, host: &str, port: u16, path: &str) -> Result<(u16, Vec<u8>), String> {
        match self.names.get(host) {
            Some(address) => self.http.fetch(protocol, &address.ip().to_string(), address.port(), path).await,
            None => self.http.fetch(protocol, host, port, path).await,
        }
    }
}
