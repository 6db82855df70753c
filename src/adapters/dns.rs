//! Questions to a zone's authoritative servers: no cache, no hosts file, no recursion.
//!
//! What Route 53 answers now is the only proof that traffic has moved; a remembered answer would be none.

mod delegated;

use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use failoverd_domain::route53::RecordType;
use failoverd_domain::traffic::Heard;
use hickory_proto::rr::{Name, RData, Record, RecordType as WireType};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use tokio::time::timeout;

pub use delegated::DelegatedDns;

use crate::ports::Dns;

/// One question to one server.
const QUESTION: Duration = Duration::from_secs(1);
/// All servers together, over UDP and then TCP.
const WHOLE: Duration = Duration::from_secs(4);

/// Asks authoritative servers, over UDP and, for long answers, TCP.
pub struct AuthoritativeDns {
    resolver: TokioResolver,
}

impl AuthoritativeDns {
    /// For the servers at these addresses.
    ///
    /// # Errors
    /// When there are none, or no client can be made for them.
    pub fn new(servers: &[SocketAddr]) -> Result<Self, String> {
        if servers.is_empty() {
            return Err("no name server is known for the zone".to_owned());
        }
        let config = ResolverConfig::from_name_servers(servers.iter().map(server).collect());
        let resolver = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            .with_options(options())
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { resolver })
    }
}

fn server(address: &SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}

fn options() -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.timeout = QUESTION;
    options.attempts = 1;
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.recursion_desired = false;
    options
}

#[async_trait]
impl Dns for AuthoritativeDns {
    async fn ask(&self, name: &str, record_type: RecordType) -> Result<Heard, String> {
        let mut fully_qualified = Name::from_ascii(name).map_err(|error| format!("{name}: {error}"))?;
        fully_qualified.set_fqdn(true);
        let asked = timeout(WHOLE, self.resolver.lookup(fully_qualified, wire_type(record_type))).await;
        match asked.map_err(|_| format!("{name} {record_type}: no answer within {} s", WHOLE.as_secs()))? {
            Ok(lookup) => Ok(heard(lookup.answers(), record_type)),
            Err(error) if error.is_no_records_found() => Ok(Heard::default()),
            Err(error) => Err(format!("{name} {record_type}: {error}")),
        }
    }
}

/// What the records of an answer say, of those that were asked for.
#[must_use]
pub fn heard(answers: &[Record], record_type: RecordType) -> Heard {
    let wanted = answers.iter().filter(|record| record.record_type() == wire_type(record_type));
    let ttl_s = wanted.clone().map(|record| record.ttl).max().unwrap_or(0);
    let mut values: Vec<String> = wanted.map(|record| in_words(&record.data)).collect();
    values.sort();
    Heard { values, ttl_s }
}

const fn wire_type(record_type: RecordType) -> WireType {
    match record_type {
        RecordType::A => WireType::A,
        RecordType::Aaaa => WireType::AAAA,
        RecordType::Cname => WireType::CNAME,
        RecordType::Txt => WireType::TXT,
        RecordType::Ns => WireType::NS,
        RecordType::Soa => WireType::SOA,
        RecordType::Mx => WireType::MX,
        RecordType::Srv => WireType::SRV,
        RecordType::Caa => WireType::CAA,
        RecordType::Ptr => WireType::PTR,
        RecordType::Spf => WireType::Unknown(99),
        RecordType::Ds => WireType::DS,
        RecordType::Naptr => WireType::NAPTR,
        RecordType::Https => WireType::HTTPS,
        RecordType::Svcb => WireType::SVCB,
        RecordType::Sshfp => WireType::SSHFP,
        RecordType::Tlsa => WireType::TLSA,
    }
}

/// A value as records of the domain hold it: names without the trailing dot, texts without quotes.
fn in_words(value: &RData) -> String {
    match value {
        RData::CNAME(name) => without_dot(name),
        RData::NS(name) => without_dot(name),
        RData::TXT(text) => text.txt_data.iter().map(|part| String::from_utf8_lossy(part)).collect(),
        other => other.to_string(),
    }
}

fn without_dot(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests;
