//! The configuration as text, for `--dump-config`, with passwords hidden.

use failoverd_domain::fleet::Velocity;
use failoverd_domain::glass::{Enrolment, PublicKey};
use failoverd_domain::manifest::duration::format_ms;
use serde_json::{Map, Value, json};

use super::{Access, Config, Oidc, OidcKeys, Peer, Webhook};

const HIDDEN: &str = "***";

/// YAML that can be loaded again, once the password is back.
pub fn dump(config: &Config) -> String {
    let peer = |peer: &Peer| json!({ "url": peer.url, "role": peer.role });
    let peers: Map<String, Value> =
        config.peers.iter().map(|(region, value)| (region.to_string(), peer(value))).collect();
    let serving = &config.switch;
    let switch = config.advertise.switch.as_ref().map_or_else(
        || json!("none"),
        |switch| json!({ "host": switch.host, "port": switch.port, "https": switch.https }),
    );
    let value = json!({
        "fleet": config.fleet,
        "region": config.region,
        "role": config.role,
        "data_dir": config.data_dir,
        "listen": { "grpc": config.listen.grpc, "switch": config.listen.switch, "ops": config.listen.ops },
        "advertise": { "switch": switch },
        "switch": {
            "tls": serving.tls.as_ref().map(|tls| json!({ "cert": tls.cert, "key": tls.key })),
            "max_connections": serving.max_connections,
            "max_connections_per_source": serving.max_connections_per_source,
            "max_requests_per_source": serving.max_requests_per_source,
        },
        "peers": peers,
        "database": config.database.as_ref().map(|database| json!({
            "url": without_password(&database.url),
            "keep": database.keep_ms.map(format_ms),
        })),
        "tls": config.tls.as_ref().map(|tls| json!({ "cert": tls.cert, "key": tls.key, "ca": tls.ca })),
        "access": access(&config.access),
        "velocity": config.velocity.as_ref().map_or_else(|| json!("none"), velocity),
        "aws": {
            "endpoint_url": config.aws.endpoint_url,
            "endpoints": config.aws.endpoints,
            "name_servers": config.aws.name_servers,
        },
        "timing": {
            "heartbeat": format_ms(config.timing.heartbeat_ms),
            "election_timeout": format_ms(config.timing.election_timeout_ms),
            "probe_interval": format_ms(config.timing.probe_interval_ms),
        },
        "references": config.references,
        "webhooks": config.webhooks.iter().map(webhook).collect::<Vec<_>>(),
        "log": { "filter": config.log.filter, "format": config.log.format.word() },
        "traces": config.traces.as_ref().map(|traces| json!({
            "endpoint": without_password(&traces.endpoint),
            "ca": traces.ca,
        })),
    });
    // JSON is YAML too: should the writer ever fail, the reader still gets the whole.
    serde_saphyr::to_string(&value).unwrap_or_else(|_| value.to_string())
}

/// Nothing where nothing is said: without TLS the key must not be there.
fn access(access: &Access) -> Value {
    if *access == Access::default() {
        return Value::Null;
    }
    let rules = access.rules.iter().map(|rule| json!({ "role": rule.role, rule.place: rule.pattern }));
    json!({
        "rules": rules.collect::<Vec<_>>(),
        "oidc": access.oidc.as_ref().map(oidc),
        "break_glass": access.break_glass.as_ref().map(break_glass),
    })
}

fn velocity(velocity: &Velocity) -> Value {
    let Velocity { window_ms, regions, services } = velocity;
    json!({ "window": format_ms(*window_ms), "regions": regions, "services": services })
}

fn break_glass(enrolment: &Enrolment) -> Value {
    let person = |(name, key): (&String, &PublicKey)| json!({ "name": name, "public_key": key.line(name) });
    json!({ "threshold": enrolment.threshold, "keys": enrolment.keys.iter().map(person).collect::<Vec<_>>() })
}

fn oidc(oidc: &Oidc) -> Value {
    let (url, file) = match &oidc.keys {
        OidcKeys::Url(url) => (Some(url), None),
        OidcKeys::File(file) => (None, Some(file)),
    };
    json!({
        "issuer": oidc.issuer,
        "audience": oidc.audience,
        "jwks_url": url,
        "jwks_file": file,
        "role_claim": oidc.role_claim,
        "name_claim": oidc.name_claim,
        "roles": oidc.roles,
        "leeway": format_ms(oidc.leeway_ms),
    })
}

fn webhook(webhook: &Webhook) -> Value {
    json!({
        "name": webhook.name,
        "url": webhook.shown_url(),
        "format": webhook.format.word(),
        "secret_env": webhook.secret_env,
        "events": webhook.events,
    })
}

/// The URL with everything that could be a password hidden: in its authority and in its query.
pub fn without_password(url: &str) -> String {
    let (base, query) = url.split_once('?').map_or((url, None), |(base, query)| (base, Some(query)));
    let mut shown = match (base.find("://"), base.rfind('@')) {
        // A password with a question mark in it, which is no URL: what belongs to what is anybody's guess.
        (Some(scheme), None) if query.is_some_and(|query| query.contains('@')) => {
            return format!("{}{HIDDEN}", &base[..scheme + 3]);
        }
        (Some(scheme), Some(at)) if at > scheme => {
            let user = base[scheme + 3..at].split(':').next().unwrap_or_default();
            let secret = if base[scheme + 3..at].contains(':') { format!(":{HIDDEN}") } else { String::new() };
            format!("{}{user}{secret}{}", &base[..scheme + 3], &base[at..])
        }
        _ => base.to_owned(),
    };
    if let Some(query) = query {
        let hidden = query.split('&').map(|pair| match pair.split_once('=') {
            Some((key, _)) if key.to_ascii_lowercase().contains("password") => format!("{key}={HIDDEN}"),
            _ => pair.to_owned(),
        });
        shown.push('?');
        shown.push_str(&hidden.collect::<Vec<_>>().join("&"));
    }
    shown
}
