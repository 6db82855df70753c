//! Webhooks: who is told of news outside the fleet.

use std::collections::BTreeSet;
use std::fmt;

use failoverd_domain::fleet::EventKind;
use failoverd_domain::manifest::field::Field;
use failoverd_domain::manifest::names;

const FORMATS: [(&str, WebhookFormat); 2] = [("json", WebhookFormat::Json), ("slack", WebhookFormat::Slack)];
/// Each is told by a loop of its own.
const MOST_WEBHOOKS: usize = 32;

/// Somebody outside who is told of news. Who its URL is shown to can write to it: it is a secret as well.
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Its name: how far it was told is kept under it.
    pub name: String,
    /// Where it is; `http://` only with `--dev`.
    pub url: String,
    /// What it is sent.
    pub format: WebhookFormat,
    /// The variable that holds the secret which signs what it is sent.
    pub secret_env: Option<String>,
    /// Of what it is told; empty: of everything that webhooks tell.
    pub events: Vec<EventKind>,
}

/// What a webhook is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookFormat {
    /// The whole event.
    Json,
    /// One line, as Slack takes it.
    Slack,
}

impl WebhookFormat {
    /// As it is written.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Slack => "slack",
        }
    }
}

impl Webhook {
    /// Scheme and host of its URL, without what may be a secret.
    #[must_use]
    pub fn shown_url(&self) -> String {
        let (scheme, rest) = self.url.split_once("://").unwrap_or(("", &self.url));
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let hidden = if rest.len() > host.len() + 1 { "/***" } else { "/" };
        format!("{scheme}://{host}{hidden}")
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("name", &self.name)
            .field("url", &self.shown_url())
            .field("format", &self.format)
            .field("secret_env", &self.secret_env)
            .field("events", &self.events)
            .finish()
    }
}

/// Reads the list.
pub fn read(field: &Field<'_>) -> Option<Vec<Webhook>> {
    let webhooks = field.each(|item| webhook(&item))?;
    if webhooks.len() > MOST_WEBHOOKS {
        return field.refuse(format!("has {} webhooks: at most {MOST_WEBHOOKS}", webhooks.len()));
    }
    let mut names = BTreeSet::new();
    match webhooks.iter().find(|webhook| !names.insert(&webhook.name)) {
        Some(twice) => field.refuse(format!("has two webhooks called {}: each needs a name of its own", twice.name)),
        None => Some(webhooks),
    }
}

fn webhook(field: &Field<'_>) -> Option<Webhook> {
    let keys = field.mapping()?;
    let name = keys.need("name", |field| names::name(&field));
    let url = keys.need("url", |field| url(&field));
    let format = keys.or("format", WebhookFormat::Json, |field| field.choice(&FORMATS));
    let secret_env = keys.maybe("secret_env", |field| variable(&field));
    let events = keys.or("events", Vec::new(), |field| field.each(|item| event(&item)));
    keys.finish();
    let (format, secret_env) = (format?, secret_env?);
    if format == WebhookFormat::Json && secret_env.is_none() {
        return field.refuse("needs secret_env: whoever is sent JSON must be able to tell who sent it");
    }
    Some(Webhook { name: name?, url: url?, format, secret_env, events: events? })
}

/// Never repeats the URL: whoever knows it can write there.
fn url(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    match names::check_http_url(&text) {
        Ok(()) => Some(text),
        Err(_) => field.refuse("is not a URL: write https://host/path, without credentials"),
    }
}

fn variable(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    let is_name = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !is_name || text.starts_with(|first: char| first.is_ascii_digit()) {
        // It may be the secret itself.
        return field.refuse("is not the name of a variable: write the name, and put the secret into the variable");
    }
    Some(text)
}

fn event(field: &Field<'_>) -> Option<EventKind> {
    let text = field.text()?;
    match EventKind::ALL.into_iter().find(|kind| kind.word() == text) {
        Some(kind) => Some(kind),
        None => field.refuse(format!("{text:?} is no kind of event: write one like drill-finished")),
    }
}
