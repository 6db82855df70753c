//! Webhooks over HTTP: one signed POST for each event.
//!
//! Where a webhook is, people write down; a name in it may lead anywhere. So the addresses at which machines find their
//! credentials are never connected to, whatever a name resolves to, and redirects are not followed.

mod address;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use failoverd_domain::fleet::{EventKind, HistoryEvent};
use failoverd_domain::time::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect;
use serde_json::json;
use sha2::Sha256;

pub use address::{is_refused, literal};

use crate::ports::{Hook, Undelivered, Webhooks};

/// One POST, answer included.
const LIMIT: Duration = Duration::from_secs(5);

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The whole event.
    Json,
    /// One line, as Slack's incoming webhooks take it.
    Slack,
}

/// One webhook, with what nobody else may see.
#[derive(Clone)]
pub struct HookSettings {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// What is sent.
    pub shape: Shape,
    /// Signs what is sent.
    pub secret: Option<String>,
    /// Of what it is told; empty: of everything.
    pub events: Vec<EventKind>,
}

/// Webhooks over HTTP.
pub struct HttpWebhooks {
    client: reqwest::Client,
    hooks: BTreeMap<String, HookSettings>,
}

impl HttpWebhooks {
    /// Webhooks of a configuration. The process must have installed a TLS provider before.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(hooks: Vec<HookSettings>) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .timeout(LIMIT)
            .dns_resolver(Arc::new(Guarded))
            .user_agent(concat!("failoverd/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client, hooks: hooks.into_iter().map(|hook| (hook.name.clone(), hook)).collect() })
    }

    async fn post(&self, hook: &HookSettings, event: &HistoryEvent, now: Timestamp) -> Result<(), String> {
        if let Some(address) = literal(&hook.url).filter(|address| is_refused(*address)) {
            return Err(format!("{address} is no place for a webhook"));
        }
        let body = body(hook.shape, event);
        let delivery = format!("{}-{}", event.fleet, event.seq);
        let mut request = self
            .client
            .post(&hook.url)
            .header(CONTENT_TYPE, "application/json")
            .header("X-Failoverd-Delivery", delivery);
        if let Some(secret) = &hook.secret {
            request = request.header("X-Failoverd-Signature", signature(secret, now, &body)?);
        }
        let answer = request.body(body).send().await.map_err(|error| in_words(&error))?;
        let status = answer.status();
        if status.is_success() { Ok(()) } else { Err(format!("HTTP {}", status.as_u16())) }
    }
}

#[async_trait]
impl Webhooks for HttpWebhooks {
    fn hooks(&self) -> Vec<Hook> {
        self.hooks.values().map(|hook| Hook { name: hook.name.clone(), events: hook.events.clone() }).collect()
    }

    async fn tell(&self, hook: &str, event: &HistoryEvent, now: Timestamp) -> Result<(), Undelivered> {
        let hook = self.hooks.get(hook).ok_or_else(|| Undelivered(format!("no webhook is called {hook} here")))?;
        self.post(hook, event, now).await.map_err(Undelivered)
    }
}

fn body(shape: Shape, event: &HistoryEvent) -> String {
    let HistoryEvent { seq, at, fleet, service, run, drill, kind, region, actor, message, data, .. } = event;
    let body = match shape {
        Shape::Json => json!({
            "fleet": fleet,
            "seq": seq,
            "at": at.rfc3339(),
            "kind": kind,
            "service": service,
            "run": run,
            "drill": drill,
            "region": region,
            "actor": actor,
            "message": message,
            "data": data,
        }),
        Shape::Slack => {
            let about = service.as_ref().map(|service| format!(" {service}")).unwrap_or_default();
            json!({ "text": escaped(&format!("[{fleet}]{about}: {message}")) })
        }
    };
    body.to_string()
}

/// Slack reads these three as its own: <https://docs.slack.dev/messaging/formatting-message-text>
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// `t=<unix seconds>,v1=<hex HMAC-SHA256 of "t.body">`: whoever checks it can refuse what is old.
fn signature(secret: &str, now: Timestamp, body: &str) -> Result<String, String> {
    let t = now.0 / 1_000;
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes());
    let mut mac = mac.map_err(|_| "the secret cannot be used".to_owned())?;
    mac.update(format!("{t}.{body}").as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("t={t},v1={hex}"))
}

/// The innermost reason. The outer ones repeat the URL, which may be a secret by itself.
fn in_words(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", LIMIT.as_secs());
    }
    let Some(mut reason) = std::error::Error::source(error) else { return "the request could not be made".to_owned() };
    while let Some(source) = reason.source() {
        reason = source;
    }
    reason.to_string()
}

/// DNS, without the addresses that nobody may be sent to.
struct Guarded;

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(allowed(name.as_str(), found)?.into_iter()) as Addrs)
        })
    }
}

fn allowed(name: &str, found: Vec<SocketAddr>) -> std::io::Result<Vec<SocketAddr>> {
    let (refused, allowed): (Vec<_>, Vec<_>) = found.into_iter().partition(|address| is_refused(address.ip()));
    match (refused.first(), allowed.is_empty()) {
        (Some(refused), true) => {
            Err(std::io::Error::other(format!("{name} leads to {}, which is no place for a webhook", refused.ip())))
        }
        _ => Ok(allowed),
    }
}

#[cfg(test)]
mod tests;
