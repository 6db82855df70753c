//! Every zone at its own name servers, found by DNS itself: Route 53's API need not answer for it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use failoverd_domain::route53::RecordType;
use failoverd_domain::traffic::Heard;
use hickory_proto::rr::{Name, RData, RecordType as WireType};
use hickory_resolver::TokioResolver;
use tokio::time::{Instant, timeout};

use super::AuthoritativeDns;
use crate::ports::Dns;

const DNS_PORT: u16 = 53;
/// How long a delegation is believed.
const BELIEVED: Duration = Duration::from_secs(600);
/// One that cannot be looked up again is believed on, and looked up again after this.
const BELIEVED_ON: Duration = Duration::from_secs(30);
/// Finding a zone's servers, all look-ups together.
const FINDING: Duration = Duration::from_secs(5);
/// The same where servers are known from before, of the name or of a zone above it.
const FINDING_AGAIN: Duration = Duration::from_millis(500);

/// Asks each zone at the servers that it is delegated to.
pub struct DelegatedDns {
    system: TokioResolver,
    /// By name asked about.
    known: Mutex<BTreeMap<String, Known>>,
}

#[derive(Clone)]
struct Known {
    apex: String,
    zone: Arc<AuthoritativeDns>,
    until: Instant,
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
        let (own, nearest) = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            let above = known.values().filter(|held| is_within(name, &held.apex));
            (known.get(name).cloned(), above.max_by_key(|held| held.apex.len()).cloned())
        };
        if let Some(own) = own.as_ref().filter(|own| Instant::now() < own.until) {
            return Ok(own.zone.clone());
        }
        let old = own.or(nearest);
        let patience = if old.is_some() { FINDING_AGAIN } else { FINDING };
        let found = timeout(patience, self.find(name)).await.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        let (held, believed) = match (found, old) {
            (Ok((apex, zone)), _) => (Known { apex, zone, until: Instant::now() }, BELIEVED),
            // Delegations outlast outages; whoever is asked in one has no time to wait for a resolver that is away.
            (Err(_), Some(old)) => (old, BELIEVED_ON),
            (Err(why), None) => return Err(format!("{name}: its name servers cannot be found: {why}")),
        };
        let zone = held.zone.clone();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(name.to_owned(), Known { until: Instant::now() + believed, ..held });
        Ok(zone)
    }

    /// The nearest name above (or at) `name` that has name servers is its zone.
    async fn find(&self, name: &str) -> Result<(String, Arc<AuthoritativeDns>), String> {
        let mut why = "no zone above it has name servers".to_owned();
        let mut at = name.trim_end_matches('.');
        while at.contains('.') {
            match self.name_servers(at).await {
                Ok(servers) if !servers.is_empty() => {
                    return Ok((at.to_owned(), Arc::new(AuthoritativeDns::new(&servers)?)));
                }
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

fn is_within(name: &str, apex: &str) -> bool {
    let (name, apex) = (name.trim_end_matches('.').to_ascii_lowercase(), apex.to_ascii_lowercase());
    name.strip_suffix(&apex).is_some_and(|head| head.is_empty() || head.ends_with('.'))
}

#[async_trait]
impl Dns for DelegatedDns {
    async fn ask(&self, name: &str, record_type: RecordType) -> Result<Heard, String> {
        self.servers_of(name).await?.ask(name, record_type).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{both, server};
    use super::*;
    use hickory_resolver::config::ResolverConfig;
    use hickory_resolver::net::runtime::TokioRuntimeProvider;

    #[test]
    fn a_name_is_within_its_zone_and_not_in_one_that_only_ends_alike() {
        assert!(is_within("api.Example.com.", "example.com") && is_within("example.com", "example.com"));
        assert!(!is_within("api.myexample.com", "example.com") && !is_within("com", "example.com"));
    }

    #[tokio::test]
    async fn while_the_machines_resolver_is_silent_a_zones_known_servers_are_asked_about_all_its_names() {
        let (silent, _tcp) = both().await;
        let (address, _tasks) = server().await;
        let silent = super::super::server(&silent.local_addr().unwrap());
        let config = ResolverConfig::from_name_servers(vec![silent]);
        let system = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).build().unwrap();
        let zone = Arc::new(AuthoritativeDns::new(&[address]).unwrap());
        let held = Known { apex: "example.com".to_owned(), zone, until: Instant::now() };
        let known = Mutex::new(BTreeMap::from([("_failoverd.checkout.example.com".to_owned(), held)]));
        let dns = DelegatedDns { system, known };
        let begun = Instant::now();
        let asked = ["api.example.com", "www.example.com", "_failoverd.checkout.example.com"];
        let heard = futures_util::future::join_all(asked.map(|name| dns.ask(name, RecordType::A))).await;
        assert_eq!(heard[0].as_ref().unwrap().values.len(), 2);
        assert!(heard.iter().all(Result::is_ok), "{heard:?}");
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(2), "nobody waits for another: {took:?}");
        assert!(dns.ask("api.example.org", RecordType::A).await.is_err());
    }
}
