//! Addresses for names, ahead of DNS: how a sandbox stands in for Regions that do not exist.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Addresses by whole name (`db.example.com`) or by one label of a name (`us-east-1` for every name of that Region).
/// The address's port replaces the one of the target, unless the target of an HTTP probe names its own.
#[derive(Clone, Debug, Default)]
pub struct NameOverrides(Arc<BTreeMap<String, SocketAddr>>);

impl NameOverrides {
    /// With these addresses; names in lower case.
    #[must_use]
    pub fn new(addresses: BTreeMap<String, SocketAddr>) -> Self {
        Self(Arc::new(addresses))
    }

    /// The address that stands in for a name: of the whole name first, else of one of its labels.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<SocketAddr> {
        let name = name.to_ascii_lowercase();
        let whole = self.0.get(name.as_str());
        whole.or_else(|| name.split('.').find_map(|label| self.0.get(label))).copied()
    }

    /// The address that stands in for a `host:port`.
    #[must_use]
    pub fn address_of(&self, target: &str) -> Option<SocketAddr> {
        let (host, port) = target.rsplit_once(':')?;
        let mut address = self.get(host)?;
        if address.port() == 0 {
            address.set_port(port.parse().ok()?);
        }
        Some(address)
    }
}

impl FromIterator<(String, SocketAddr)> for NameOverrides {
    fn from_iter<T: IntoIterator<Item = (String, SocketAddr)>>(addresses: T) -> Self {
        Self::new(addresses.into_iter().collect())
    }
}

impl Resolve for NameOverrides {
    fn resolve(&self, name: Name) -> Resolving {
        if let Some(address) = self.get(name.as_str()) {
            return Box::pin(std::future::ready(Ok(Box::new(std::iter::once(address)) as Addrs)));
        }
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}
