//! Probes over the real network: HTTP, TCP, CloudWatch alarms and reference endpoints.
//!
//! Every probe is bounded by its own time limit, opens its own connection, follows no redirect and uses no proxy: it
//! must see what a client sees, now. It never retries; hysteresis is the diagnosis's business.

mod fetch;
mod names;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use failoverd_domain::ids::Region;
use failoverd_domain::service::ProbeSpec;
use failoverd_domain::traffic::through_name;
use reqwest::redirect;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

pub use fetch::HttpFetch;
pub use names::NameOverrides;

use crate::ports::{Metrics, NotGood, Prober};

const REFERENCE_TIMEOUT: Duration = Duration::from_secs(2);

/// What a prober needs to know beforehand.
#[derive(Clone, Default)]
pub struct ProberSettings {
    /// Where CloudWatch alarms are read; without it alarm signals cannot be told.
    pub metrics: Option<Arc<dyn Metrics>>,
    /// Reference endpoints outside the fleet, by Region.
    pub references: BTreeMap<Region, String>,
    /// Addresses for names, ahead of DNS.
    pub resolve_to: NameOverrides,
}

/// Probes signals over the network.
pub struct NetworkProber {
    client: reqwest::Client,
    settings: ProberSettings,
}

impl NetworkProber {
    /// A prober. The process must have installed a TLS provider before.
    ///
    /// # Errors
    /// When no HTTP client can be made of these settings.
    pub fn new(settings: ProberSettings) -> Result<Self, reqwest::Error> {
        let client = trusting(|| bare_client().dns_resolver(Arc::new(settings.resolve_to.clone())))?;
        Ok(Self { client, settings })
    }

    /// A signal's probe through a public name, at this address; an address without a port has the target's.
    ///
    /// # Errors
    /// What was seen that was not good.
    pub async fn through_at(&self, probe: &ProbeSpec, name: &str, address: SocketAddr) -> Result<String, NotGood> {
        let asked = through_name(probe, name);
        match asked {
            Some(ProbeSpec::Http { url, timeout_ms, expect_status, .. }) => {
                // Host header and TLS name are the public name's; only where the connection goes is given.
                let client = trusting(|| bare_client().resolve(name, address));
                let client = client.map_err(|error| NotGood::Unknown(error.to_string()))?;
                http(&client, &url, Duration::from_millis(timeout_ms), expect_status).await.map_err(NotGood::Bad)
            }
            Some(ProbeSpec::Tcp { address: target, timeout_ms, .. }) => {
                let mut address = address;
                if address.port() == 0 {
                    let port = target.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
                    address.set_port(port.unwrap_or_default());
                }
                self.tcp(&address.to_string(), Duration::from_millis(timeout_ms)).await.map_err(NotGood::Bad)
            }
            Some(ProbeSpec::CloudwatchAlarm { .. }) | None => {
                Err(NotGood::Unknown(format!("this signal cannot be asked through {name}")))
            }
        }
    }

    async fn tcp(&self, target: &str, limit: Duration) -> Result<String, String> {
        let started = Instant::now();
        match timeout(limit, self.connect(target)).await {
            Err(_) => Err(format!("timed out after {} ms", limit.as_millis())),
            Ok(Err(error)) => Err(error.to_string()),
            Ok(Ok(_)) => Ok(format!("connected in {} ms", started.elapsed().as_millis())),
        }
    }

    async fn connect(&self, target: &str) -> std::io::Result<TcpStream> {
        match self.settings.resolve_to.address_of(target) {
            Some(address) => TcpStream::connect(address).await,
            None => TcpStream::connect(target).await,
        }
    }

    /// An alarm that cannot be read says nothing against the service: unknown never counts as bad.
    async fn alarm(&self, region: &Region, name: &str) -> Result<String, NotGood> {
        let Some(metrics) = &self.settings.metrics else {
            return Err(NotGood::Unknown(format!("alarms are not read here ({name})")));
        };
        match metrics.alarm(region, name).await {
            Ok(Some(true)) => Err(NotGood::Bad(format!("alarm {name} is in ALARM"))),
            Ok(Some(false)) => Ok(format!("alarm {name} is OK")),
            Ok(None) => Err(NotGood::Unknown(format!("alarm {name} has insufficient data"))),
            Err(error) => Err(NotGood::Unknown(error.to_string())),
        }
    }
}

#[async_trait]
impl Prober for NetworkProber {
    async fn probe(&self, probe: &ProbeSpec, region: &Region) -> Result<String, NotGood> {
        let target = probe.target_in(region);
        match probe {
            ProbeSpec::Http { timeout_ms, expect_status, .. } => {
                let limit = Duration::from_millis(*timeout_ms);
                http(&self.client, &target, limit, *expect_status).await.map_err(NotGood::Bad)
            }
            ProbeSpec::Tcp { timeout_ms, .. } => {
                self.tcp(&target, Duration::from_millis(*timeout_ms)).await.map_err(NotGood::Bad)
            }
            ProbeSpec::CloudwatchAlarm { .. } => self.alarm(region, &target).await,
        }
    }

    async fn through(&self, probe: &ProbeSpec, name: &str, address: IpAddr) -> Result<String, NotGood> {
        self.through_at(probe, name, SocketAddr::new(address, 0)).await
    }

    async fn reference(&self, region: &Region) -> bool {
        let Some(url) = self.settings.references.get(region) else { return false };
        self.client.get(url).timeout(REFERENCE_TIMEOUT).send().await.is_ok()
    }
}

async fn http(client: &reqwest::Client, url: &str, limit: Duration, expected: u16) -> Result<String, String> {
    let started = Instant::now();
    let response = client.get(url).timeout(limit).send().await.map_err(|error| in_words(&error, limit))?;
    let status = response.status().as_u16();
    if status != expected {
        return Err(format!("HTTP {status}, expected {expected}"));
    }
    Ok(format!("HTTP {status} in {} ms", started.elapsed().as_millis()))
}

/// A container without any CA certificate can still probe plain HTTP; HTTPS probes then fail and say why.
fn trusting(builder: impl Fn() -> reqwest::ClientBuilder) -> Result<reqwest::Client, reqwest::Error> {
    builder().build().or_else(|error| {
        tracing::warn!(%error, "no trust anchors found, https probes will fail");
        builder().tls_certs_only([]).build()
    })
}

/// A client that asks the endpoint itself, once, over a fresh connection.
fn bare_client() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .pool_max_idle_per_host(0)
        .referer(false)
        .user_agent(concat!("failoverd/", env!("CARGO_PKG_VERSION")))
}

/// The innermost reason: the outer ones only repeat the URL.
fn in_words(error: &reqwest::Error, limit: Duration) -> String {
    if error.is_timeout() {
        return format!("timed out after {} ms", limit.as_millis());
    }
    let mut reason: &dyn std::error::Error = error;
    while let Some(source) = reason.source() {
        reason = source;
    }
    reason.to_string()
}

#[cfg(test)]
mod tests;
