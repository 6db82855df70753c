//! Every zone at its own name servers, found by DNS itself: Route 53's API need not answer for it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use failoverd_domain::route53::RecordType;
use failoverd_domain::traffic::Heard;
use hickory_proto::rr::{Name, RData, RecordType as WireType};
use hickory_resolver::TokioResolver;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::AuthoritativeDns;
use crate::ports::Dns;

const DNS_PORT: u16 = 53;
/// How long a delegation is believed; one that cannot be looked up again is believed on.
const BELIEVED: Duration = Duration::from_secs(600);
/// Finding a zone's servers, all look-ups together.
const FINDING: Duration = Duration::from_secs(5);

/// Asks each zone at the servers that it is delegated to.
pub struct DelegatedDns {
    system: TokioResolver,
    /// By name asked about; names of one zone share a resolver.
    known: Mutex<BTreeMap<String, Known>>,
}

#[derive(Clone)]
struct Known {
    zone: Arc<AuthoritativeDns>,
    at: Instant,
}

impl DelegatedDns {
    /// Finds servers through the machine's own resolver.
    ///
    /// # Errors
    /// The machine has no resolver.
    pub fn new() -> Result<Self, String> {
        let system = TokioResolver::builder_tokio().and_then(hickory_resolver::ResolverBuilder::build);
        Ok(Self { system: system.map_err(|error| error.to_string())?, known: Mutex::default() })
    }

    async fn servers_of(&self, name: &str) -> Result<Arc<AuthoritativeDns>, String> {
        let mut known = self.known.lock().await;
        let held = known.get(name).cloned();
        if let Some(held) = held.as_ref().filter(|held| held.at.elapsed() < BELIEVED) {
            return Ok(held.zone.clone());
        }
        let found = timeout(FINDING, self.find(name)).await.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        match (found, held) {
            (Ok(zone), _) => {
                known.insert(name.to_owned(), Known { zone: zone.clone(), at: Instant::now() });
                Ok(zone)
            }
            (Err(_), Some(held)) => Ok(held.zone),
            (Err(why), None) => Err(format!("{name}: its name servers cannot be found: {why}")),
        }
    }

    /// The nearest name above (or at) `name` that has name servers is its zone.
    async fn find(&self, name: &str) -> Result<Arc<AuthoritativeDns>, String> {
        let mut why = "no zone above it has name servers".to_owned();
        let mut at = name.trim_end_matches('.');
        while at.contains('.') {
            match self.name_servers(at).await {
                Ok(servers) if !servers.is_empty() => return Ok(Arc::new(AuthoritativeDns::new(&servers)?)),
                Ok(_) => {}
                Err(error) => why = error,
            }
            at = at.split_once('.').map_or("", |(_, rest)| rest);
        }
        Err(why)
    }

    async fn name_servers(&self, zone: &str) -> Result<Vec<SocketAddr>, String> {
        let mut fully_qualified = Name::from_ascii(zone).map_err(|error| error.to_string())?;
        fully_qualified.set_fqdn(true);
        let named = match self.system.lookup(fully_qualified, WireType::NS).await {
            Ok(named) => named,
            Err(error) if error.is_no_records_found() => return Ok(Vec::new()),
            Err(error) => return Err(error.to_string()),
        };
        let mut servers = Vec::new();
        for record in named.answers() {
            let RData::NS(server) = &record.data else { continue };
            if let Ok(addresses) = self.system.lookup_ip(server.0.clone()).await {
                servers.extend(addresses.iter().map(|ip| SocketAddr::new(ip, DNS_PORT)));
            }
        }
        Ok(servers)
    }
}

#[async_trait]
impl Dns for DelegatedDns {
    async fn ask(&self, name: &str, record_type: RecordType) -> Result<Heard, String> {
        self.servers_of(name).await?.ask(name, record_type).await
    }
}
