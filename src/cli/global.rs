//! What holds for every command: which fleet, how to print, how long to wait.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use failoverd_domain::manifest::duration::parse_ms;
use serde::Deserialize;

use super::Failure;
use crate::api::CallerPem;

/// Tried when nothing is configured: the sandbox's daemons.
const DEFAULT_SERVERS: &str = "http://127.0.0.1:7401,http://127.0.0.1:7402,http://127.0.0.1:7403";

/// What holds for every command.
#[derive(Args, Clone, Debug, Default)]
pub struct Global {
    /// Daemons to ask, comma-separated, tried in turn [default: the sandbox's, 127.0.0.1:7401-7403]
    #[arg(long, global = true, env = "FAILOVERCTL_SERVER", value_name = "URL")]
    pub server: Option<String>,
    /// Client certificate, PEM
    #[arg(long, global = true, env = "FAILOVERCTL_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, global = true, env = "FAILOVERCTL_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Authority of the daemons' certificates, PEM
    #[arg(long, global = true, env = "FAILOVERCTL_TLS_CA", value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
    /// File with a bearer token of the identity provider; the variable FAILOVERCTL_TOKEN may hold the token itself
    #[arg(long, global = true, env = "FAILOVERCTL_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Name of a context in the configuration file ($FAILOVERCTL_CONFIG or ~/.config/failoverctl/config.yaml)
    #[arg(long, global = true, env = "FAILOVERCTL_CONTEXT", value_name = "NAME")]
    pub context: Option<String>,
    /// How to print
    #[arg(short, long, global = true, value_enum, default_value_t)]
    pub output: Format,
    /// How long to wait for an answer, or with --wait for the end: 90s, 5m
    #[arg(long, global = true, value_parser = duration, value_name = "DURATION")]
    pub timeout: Option<Duration>,
    /// No colour
    #[arg(long, global = true)]
    pub no_color: bool,
    /// Do not ask
    #[arg(short, long, global = true)]
    pub yes: bool,
}

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Table,
    /// For people with wide screens
    Wide,
    /// For scripts
    Json,
    /// For scripts and people
    Yaml,
    /// Names only
    Name,
    /// Reports only: one file that needs no network
    Html,
    /// Reports only: Markdown
    Md,
    /// Plans only: a script of `aws` commands, for the day on which no daemon lives
    Shell,
}

/// `90s`, `5m`, `1h30m`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    parse_ms(text).map(Duration::from_millis)
}

/// The configuration file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    #[serde(default)]
    contexts: BTreeMap<String, Named>,
}

/// One context: flags by another name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    server: Option<String>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    tls_ca: Option<PathBuf>,
    token_file: Option<PathBuf>,
}

/// The daemons to ask, and how.
pub struct Target {
    /// In order.
    pub servers: Vec<String>,
    /// TLS, if any.
    pub tls: Option<CallerPem>,
    /// A bearer token, if any.
    pub token: Option<String>,
}

impl Global {
    /// The daemons to ask, in order, and how.
    ///
    /// # Errors
    /// A context that is not there, or TLS files that cannot be read.
    pub fn target(&self) -> Result<Target, Failure> {
        let named = self.context.as_deref().map(context).transpose()?.unwrap_or_default();
        let server = self.server.clone().or(named.server).unwrap_or_else(|| DEFAULT_SERVERS.to_owned());
        let servers: Vec<String> =
            server.split(',').map(str::trim).filter(|url| !url.is_empty()).map(with_scheme).collect();
        if servers.is_empty() {
            return Err(Failure::usage("--server names no daemon"));
        }
        let cert = self.tls_cert.clone().or(named.tls_cert);
        let key = self.tls_key.clone().or(named.tls_key);
        let ca = self.tls_ca.clone().or(named.tls_ca);
        let tls = match (cert, key, ca) {
            (None, None, None) => None,
            (Some(cert), Some(key), Some(ca)) => {
                Some(CallerPem { identity: Some((read(&cert)?, read(&key)?)), ca: read(&ca)? })
            }
            (None, None, Some(ca)) => Some(CallerPem { identity: None, ca: read(&ca)? }),
            _ => {
                let message = "--tls-cert, --tls-key and --tls-ca go together: give all three, or --tls-ca and a token";
                return Err(Failure::usage(message));
            }
        };
        let token = self.token(named.token_file)?;
        if token.is_some() && servers.iter().any(|server| !server.starts_with("https://")) {
            return Err(Failure::usage("a token is only ever sent over https://, and --server names another URL"));
        }
        Ok(Target { servers, tls, token })
    }

    /// The file that is named here, else the variable, else the context's file.
    fn token(&self, of_context: Option<PathBuf>) -> Result<Option<String>, Failure> {
        let variable = || std::env::var("FAILOVERCTL_TOKEN").ok().filter(|token| !token.trim().is_empty());
        let text = match (&self.token_file, variable()) {
            (Some(file), _) => Some(String::from_utf8_lossy(&read(file)?).into_owned()),
            (None, Some(token)) => Some(token),
            (None, None) => match of_context {
                Some(file) => Some(String::from_utf8_lossy(&read(&file)?).into_owned()),
                None => None,
            },
        };
        Ok(text.map(|text| text.trim().to_owned()))
    }
}

fn with_scheme(url: &str) -> String {
    if url.contains("://") { url.to_owned() } else { format!("http://{url}") }
}

fn read(path: &PathBuf) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

fn context(name: &str) -> Result<Named, Failure> {
    let path = std::env::var_os("FAILOVERCTL_CONFIG")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config/failoverctl/config.yaml")));
    let path = path.ok_or_else(|| Failure::usage("--context needs FAILOVERCTL_CONFIG or HOME to be set"))?;
    let text = String::from_utf8_lossy(&read(&path)?).into_owned();
    let file: ConfigFile =
        serde_saphyr::from_str(&text).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
    let known: Vec<&str> = file.contexts.keys().map(String::as_str).collect();
    let unknown = format!("{} has no context \"{name}\" (there are: {})", path.display(), known.join(", "));
    file.contexts.get(name).cloned().ok_or_else(|| Failure::usage(unknown))
}
