//! A configuration whose every word can be used: files read, addresses parsed, certificates taken.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use failoverd_domain::ids::Region;
use failoverd_domain::manifest::Problem;
use rustix::process::{Resource, getrlimit};

use crate::adapters::jwks::{self, Jwks};
use crate::adapters::postgres::DatabaseUrl;
use crate::adapters::webhook::{HookSettings, Shape, is_refused, literal};
use crate::api::access::keyring::Keyring;
use crate::api::access::token::TokenRules;
use crate::api::access::{Access, Place, Role, Rule, Rules, Tokens};
use crate::api::{Callers, GrpcPeers, LiveSwitch, LiveTls, Secured, SwitchLimits, SwitchSettings, TlsPem};
use crate::config::{Config, ConfigReport, Oidc, OidcKeys, Switch, Tls, Webhook, WebhookFormat};
use crate::telemetry::{LogControl, OtlpSettings};

/// A configuration that nothing but the machine can still stand against.
pub struct Accepted {
    pub config: Config,
    /// Certificates, and who may do what.
    pub secured: Option<Secured>,
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
        let secured = config.tls.as_ref().and_then(|tls| secured(&config, tls, &mut problems));
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
        if let Err(cause) = GrpcPeers::new(&super::compose::peer_urls(&config), secured.as_ref().map(|it| &it.tls)) {
            problems.push(problem("peers", cause));
        }
        if problems.is_empty() {
            Ok(Self { config, secured, switch, database, webhooks, traces, variables })
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
        LiveSwitch::new(cert?, key?).map_err(|why| problems.push(problem("switch.tls", why))).ok()
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
    Some(TlsPem { cert: cert?, key: key?, ca: ca? })
}

/// Certificates that can be used, and who may do what by them.
fn secured(config: &Config, tls: &Tls, problems: &mut Vec<Problem>) -> Option<Secured> {
    let pem = certificates(tls, problems)?;
    let access = access(config, problems);
    // People may come with a token alone.
    let callers = if access.tokens.is_some() { Callers::WithOrWithout } else { Callers::WithCertificate };
    let tls = LiveTls::new(pem.clone(), callers);
    let tls = tls.map_err(|why| problems.push(problem("tls", format!("cannot be used: {why}")))).ok()?;
    if let Err(why) = names_region(&pem, &access, &config.region) {
        problems.push(problem("tls.cert", why));
    }
    Some(Secured { tls, access })
}

/// Whether the certificate makes the others listen to this daemon.
pub fn names_region(pem: &TlsPem, access: &Access, region: &Region) -> Result<(), String> {
    if access.rules.identify(&pem.named()?).speaks_for(region) {
        return Ok(());
    }
    Err(format!(
        "does not name {region}, so no peer would listen to it: the host of its own URL in peers must be among the \
         certificate's DNS names or addresses, or failoverd://FLEET/peer/{region} among its URIs"
    ))
}

fn access(config: &Config, problems: &mut Vec<Problem>) -> Access {
    let place = |word| match word {
        "uri" => Place::Uri,
        "dns" => Place::Dns,
        "email" => Place::Email,
        "ou" => Place::Ou,
        _ => Place::Cn,
    };
    let rules = config.access.rules.iter().filter_map(|rule| {
        Some(Rule { role: Role::from_word(rule.role)?, place: place(rule.place), pattern: rule.pattern.clone() })
    });
    let rules = Rules::new(config.fleet.clone(), &super::compose::peer_urls(config), rules.collect());
    let tokens = config.access.oidc.as_ref().map(|oidc| tokens(oidc, &config.data_dir));
    let tokens = tokens.transpose().map_err(|why| problems.push(problem("access.oidc", why))).ok().flatten();
    Access { tokens: tokens.map(Arc::new), ..Access::by_certificates(rules) }
}

fn tokens(oidc: &Oidc, data_dir: &Path) -> Result<Tokens, String> {
    let place = match &oidc.keys {
        OidcKeys::Url(url) => jwks::Place::Url(url.clone()),
        OidcKeys::File(file) => jwks::Place::File(file.clone()),
    };
    let source = Jwks::new(place, data_dir.join("jwks.json"));
    let source = source.map_err(|error| format!("keys cannot be fetched: {error}"))?;
    let roles = oidc.roles.iter().filter_map(|(word, role)| Some((word.clone(), Role::from_word(role)?)));
    let rules = TokenRules {
        issuer: oidc.issuer.clone(),
        audience: oidc.audience.clone(),
        role_claim: oidc.role_claim.clone(),
        roles: roles.collect(),
        name_claim: oidc.name_claim.clone(),
        leeway_s: oidc.leeway_ms / 1_000,
    };
    Ok(Tokens { rules, keys: Keyring::new(Arc::new(source)) })
}
