//! A configuration whose every word can be used: files read, addresses parsed, certificates taken.

use std::collections::BTreeMap;
use std::path::Path;

use failoverd_domain::manifest::Problem;
use rustix::process::{Resource, getrlimit};

use crate::adapters::postgres::DatabaseUrl;
use crate::adapters::webhook::{HookSettings, Shape, is_refused, literal};
use crate::api::{GrpcPeers, SwitchLimits, SwitchSettings, TlsPem, switch_tls};
use crate::config::{Config, ConfigReport, Switch, Tls, Webhook, WebhookFormat};
use crate::telemetry::{LogControl, OtlpSettings};

/// A configuration that nothing but the machine can still stand against.
pub struct Accepted {
    pub config: Config,
    pub tls: Option<TlsPem>,
    /// How Route 53's checkers are served.
    pub switch: SwitchSettings,
    pub database: Option<DatabaseUrl>,
    /// Webhooks, with their secrets.
    pub webhooks: Vec<HookSettings>,
    /// Where traces of runs go, if anywhere.
    pub traces: Option<OtlpSettings>,
    /// The process's variables: canaries' DSNs are among them.
    pub variables: BTreeMap<String, String>,
}

impl Accepted {
    /// Looks at everything that the configuration names without opening a socket. Must be called inside the runtime.
    ///
    /// # Errors
    /// Every problem in one report.
    pub fn new(config: Config, dev: bool, variables: BTreeMap<String, String>) -> Result<Self, ConfigReport> {
        let mut problems = config.check_dev(dev).err().map_or_else(Vec::new, |report| report.problems);
        let database = config.database.as_ref().and_then(|database| {
            // The parser's words may repeat the URL, and with it the password.
            database.url.parse().map_err(|_| problems.push(problem("database.url", NOT_A_DATABASE))).ok()
        });
        let tls = config.tls.as_ref().and_then(|tls| certificates(tls, &mut problems));
        let switch = switch(&config.switch, &mut problems);
        let hooks = config.webhooks.iter().enumerate();
        let webhooks = hooks.filter_map(|(at, hook)| webhook(at, hook, &variables, &mut problems)).collect();
        let traces = config.traces.as_ref().map(|traces| OtlpSettings {
            endpoint: traces.endpoint.clone(),
            ca: traces.ca.as_ref().and_then(|ca| read("traces.ca", ca, &mut problems)),
        });
        if let Some(Err(error)) = config.log.filter.as_deref().map(LogControl::parse) {
            problems.push(problem("log.filter", error.to_string()));
        }
        if let Err(cause) = GrpcPeers::new(&super::compose::peer_urls(&config), tls.as_ref()) {
            problems.push(problem("peers", cause));
        }
        if problems.is_empty() {
            Ok(Self { config, tls, switch, database, webhooks, traces, variables })
        } else {
            Err(ConfigReport::new(problems))
        }
    }
}

const NOT_A_DATABASE: &str = "is not the address of a Postgres database: write postgres://user@host:port/database";

fn problem(path: &str, message: impl Into<String>) -> Problem {
    Problem { file: "configuration".to_owned(), line: 0, path: path.to_owned(), message: message.into() }
}

fn read(path: &str, file: &Path, problems: &mut Vec<Problem>) -> Option<Vec<u8>> {
    std::fs::read(file)
        .map_err(|error| problems.push(problem(path, format!("{} cannot be read: {error}", file.display()))))
        .ok()
}

fn switch(switch: &Switch, problems: &mut Vec<Problem>) -> SwitchSettings {
    let limits = SwitchLimits {
        connections: switch.max_connections,
        connections_of_a_source: switch.max_connections_per_source,
        requests_of_a_source: switch.max_requests_per_source,
        descriptors: getrlimit(Resource::Nofile).current,
    };
    let tls = switch.tls.as_ref().and_then(|tls| {
        let (cert, key) = (read("switch.tls.cert", &tls.cert, problems), read("switch.tls.key", &tls.key, problems));
        switch_tls(&cert?, &key?).map_err(|why| problems.push(problem("switch.tls", why))).ok()
    });
    SwitchSettings { tls, limits }
}

/// A webhook with its secret, unless it leads to where machines find their credentials.
fn webhook(
    at: usize,
    hook: &Webhook,
    variables: &BTreeMap<String, String>,
    problems: &mut Vec<Problem>,
) -> Option<HookSettings> {
    if let Some(address) = literal(&hook.url).filter(|address| is_refused(*address)) {
        problems.push(problem(&format!("webhooks[{at}].url"), format!("{address} is no place for a webhook")));
        return None;
    }
    let secret = hook.secret_env.as_ref().map(|name| (name, variables.get(name).filter(|value| !value.is_empty())));
    if let Some((name, None)) = secret {
        let message =
            format!("the variable {name} is not set: it holds the secret that signs what the webhook is sent");
        problems.push(problem(&format!("webhooks[{at}].secret_env"), message));
        return None;
    }
    Some(HookSettings {
        name: hook.name.clone(),
        url: hook.url.clone(),
        shape: match hook.format {
            WebhookFormat::Json => Shape::Json,
            WebhookFormat::Slack => Shape::Slack,
        },
        secret: secret.and_then(|(_, value)| value.cloned()),
        events: hook.events.clone(),
    })
}

/// Reads all three files, so that all three can be complained about.
fn certificates(tls: &Tls, problems: &mut Vec<Problem>) -> Option<TlsPem> {
    let mut read = |path: &str, file: &Path| read(path, file, problems);
    let (cert, key, ca) = (read("tls.cert", &tls.cert), read("tls.key", &tls.key), read("tls.ca", &tls.ca));
    let pem = TlsPem { cert: cert?, key: key?, ca: ca? };
    if let Err(error) = tonic::transport::Server::builder().tls_config(pem.server()) {
        let cause = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        problems.push(problem("tls", format!("certificate, key and authority cannot be used: {cause}")));
    }
    Some(pem)
}
