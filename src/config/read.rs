//! The tree, read into a [`Config`], with everything that is wrong reported.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use failoverd_domain::fleet::Role;
use failoverd_domain::ids::{FleetId, Region};
use failoverd_domain::manifest::Findings;
use failoverd_domain::manifest::field::{Field, Mapping};
use failoverd_domain::manifest::names;
use failoverd_domain::manifest::yaml::Node;

use super::{access, fleet_wide, watched, webhooks};
use crate::ports::LEAST_KEPT;

use super::{
    Access, Advertise, Aws, Config, Database, Listen, Log, Peer, Switch, SwitchEndpoint, SwitchTls, Timing, Tls,
};

const ROLES: [(&str, Role); 2] = [("member", Role::Member), ("witness", Role::Witness)];
/// AWS services whose endpoint can be set.
const SERVICES: [&str; 7] = ["route53", "rds", "dynamodb", "s3", "cloudwatch", "sts", "iam"];
/// Where reference endpoints are looked for, by partition: Regions that are far from each other.
const FAR_APART: [&str; 5] = ["us-west-2", "eu-central-1", "ap-southeast-2", "sa-east-1", "eu-west-1"];
const DNS_PORT: u16 = 53;
const MIN_HEARTBEAT_MS: u64 = 50;
const MIN_PROBE_INTERVAL_MS: u64 = 100;
/// Two checks of one switch, from eight Regions with several checkers each.
const MIN_CONNECTIONS: u64 = 64;
/// The same in requests a second, each with a connection of its own.
const MIN_REQUESTS: u64 = 64;
const MOST_OF_A_LIMIT: u64 = 1_000_000;

/// Reads the whole configuration.
pub fn config(root: &Node, findings: &Findings) -> Option<Config> {
    let keys = Field::root(root, findings).mapping()?;
    let fleet = keys.need("fleet", |field| names::name(&field));
    let region = keys.need("region", |field| names::name(&field)).map(Region::new);
    let role = keys.or("role", Role::Member, |field| field.choice(&ROLES));
    let data_dir = keys.need("data_dir", |field| field.text()).map(PathBuf::from);
    let listen = keys.or("listen", default_listen(), |field| listen(&field));
    let advertise = keys.need("advertise", |field| advertise(&field));
    let asked_over_tls = advertise.as_ref().and_then(|advertise| advertise.switch.as_ref()).is_none_or(|at| at.https);
    let switch = keys.or("switch", Switch::default(), |field| switch(&field, asked_over_tls));
    let tls = keys.maybe("tls", |field| tls(&field));
    let https_only = keys.get("tls").is_some();
    let access = keys.or("access", Access::default(), |field| match https_only {
        true => access::read(&field),
        false => field.refuse("is of no use without tls: nobody can show who it is"),
    });
    let peers = keys.need("peers", |field| peers(&field, region.as_ref(), role, https_only));
    let database = database(&keys, role);
    let velocity = keys.or("velocity", Some(fleet_wide::DEFAULT_VELOCITY), |field| fleet_wide::velocity(&field));
    let aws = keys.or("aws", Aws::default(), |field| aws(&field));
    let timing = keys.or("timing", Timing::default(), |field| timing(&field));
    let references = keys.maybe("references", |field| references(&field));
    let webhooks = keys.or("webhooks", Vec::new(), |field| webhooks::read(&field));
    let log = keys.or("log", Log::default(), |field| watched::log(&field));
    let traces = keys.maybe("traces", |field| watched::traces(&field));
    keys.finish();
    let (region, peers) = (region?, peers?);
    Some(Config {
        fleet: FleetId::new(fleet?),
        role: role?,
        data_dir: data_dir?,
        listen: listen?,
        advertise: advertise?,
        switch: switch?,
        database: database?,
        tls: tls?,
        access: access?,
        velocity: velocity?,
        aws: aws?,
        timing: timing?,
        references: references?.unwrap_or_else(|| default_references(&region, &peers)),
        webhooks: webhooks?,
        log: log?,
        traces: traces?,
        region,
        peers,
    })
}

fn default_listen() -> Listen {
    Listen {
        grpc: SocketAddr::from(([0, 0, 0, 0], 7443)),
        switch: SocketAddr::from(([0, 0, 0, 0], 8080)),
        ops: SocketAddr::from(([127, 0, 0, 1], 9090)),
    }
}

fn listen(field: &Field<'_>) -> Option<Listen> {
    let keys = field.mapping()?;
    let default = default_listen();
    let mut taken = BTreeMap::new();
    let mut address = |name: &'static str, default| {
        let address = keys.or(name, default, |field| address(&field))?;
        match taken.insert(address, name) {
            Some(other) if address.port() != 0 => {
                keys.field().refuse(format!("{name} and {other} are both {address}: each listener needs its own"))
            }
            _ => Some(address),
        }
    };
    let grpc = address("grpc", default.grpc);
    let switch = address("switch", default.switch);
    let ops = address("ops", default.ops);
    keys.finish();
    Some(Listen { grpc: grpc?, switch: switch?, ops: ops? })
}

fn address(field: &Field<'_>) -> Option<SocketAddr> {
    let text = field.text()?;
    match text.parse() {
        Ok(address) => Some(address),
        Err(_) => field.refuse(format!("{text:?} is not an address to listen on: write IP:PORT, like 0.0.0.0:7443")),
    }
}

fn advertise(field: &Field<'_>) -> Option<Advertise> {
    let keys = field.mapping()?;
    let switch = keys.need("switch", |field| match field.is_word("none") {
        true => Some(None),
        false => switch_endpoint(&field).map(Some),
    });
    keys.finish();
    Some(Advertise { switch: switch? })
}

fn switch_endpoint(field: &Field<'_>) -> Option<SwitchEndpoint> {
    let keys = field.mapping()?;
    let host = keys.need("host", |field| host(&field));
    let https = keys.or("https", true, |field| field.boolean());
    let port = keys.or("port", if https == Some(false) { 80 } else { 443 }, |field| field.number(1, 65_535));
    keys.finish();
    Some(SwitchEndpoint { host: host?, port: u16::try_from(port?).ok()?, https: https? })
}

fn host(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    if !names::is_host(&text) {
        return field.refuse(format!("{text:?} is not a host: write a name or an address, without scheme and port"));
    }
    Some(text)
}

fn switch(field: &Field<'_>, asked_over_tls: bool) -> Option<Switch> {
    let keys = field.mapping()?;
    let tls = keys.maybe("tls", |field| {
        if !asked_over_tls {
            return field.refuse("is of no use: advertise.switch.https is false, so checkers ask without TLS");
        }
        let keys = field.mapping()?;
        let path = |key| keys.need(key, |field| field.text()).map(PathBuf::from);
        let (cert, key) = (path("cert"), path("key"));
        keys.finish();
        Some(SwitchTls { cert: cert?, key: key? })
    });
    let limit = |key, least| keys.maybe(key, |field| field.number(least, MOST_OF_A_LIMIT));
    let max_connections = limit("max_connections", MIN_CONNECTIONS);
    let max_connections_per_source = limit("max_connections_per_source", MIN_CONNECTIONS);
    let max_requests_per_source = limit("max_requests_per_source", MIN_REQUESTS);
    keys.finish();
    let (max_connections, max_connections_per_source) = (max_connections?, max_connections_per_source?);
    if let (Some(all), Some(of_a_source)) = (max_connections, max_connections_per_source)
        && of_a_source > all / 4 * 3
    {
        return field.refuse(
            "max_connections_per_source must be at most three quarters of max_connections: no source may have them all",
        );
    }
    Some(Switch {
        tls: tls?,
        max_connections,
        max_connections_per_source,
        max_requests_per_source: max_requests_per_source?,
    })
}

fn tls(field: &Field<'_>) -> Option<Tls> {
    let keys = field.mapping()?;
    let path = |key| keys.need(key, |field| field.text()).map(PathBuf::from);
    let (cert, key, ca) = (path("cert"), path("key"), path("ca"));
    keys.finish();
    Some(Tls { cert: cert?, key: key?, ca: ca? })
}

fn peers(
    field: &Field<'_>,
    own: Option<&Region>,
    own_role: Option<Role>,
    https_only: bool,
) -> Option<BTreeMap<Region, Peer>> {
    let mut urls: BTreeMap<String, String> = BTreeMap::new();
    let read = field.mapping()?.all().into_iter().map(|(key, item)| {
        let own_role = own_role.filter(|_| own.is_some_and(|own| own.as_str() == key));
        let peer = peer(&item, own_role)?;
        if https_only && !peer.url.starts_with("https://") {
            return item.refuse("must begin with https://, since tls is set");
        }
        if let Some(other) = urls.insert(peer.url.clone(), key.to_owned()) {
            return item.refuse(format!("has the same URL as {other}: every daemon has its own"));
        }
        Some((Region::new(key), peer))
    });
    let read: Vec<Option<(Region, Peer)>> = read.collect();
    let peers: BTreeMap<Region, Peer> = read.into_iter().collect::<Option<_>>()?;
    match own {
        Some(own) if !peers.contains_key(own) => {
            field.refuse(format!("must name every daemon of the fleet, this one ({own}) included"))
        }
        _ => Some(peers),
    }
}

/// A URL, or `{ url, role }`; a bare URL is a member, or this daemon with its own role.
fn peer(field: &Field<'_>, own_role: Option<Role>) -> Option<Peer> {
    if field.peek(&["url"]).is_none() && field.peek(&["role"]).is_none() {
        return Some(Peer { url: url(field)?, role: own_role.unwrap_or(Role::Member) });
    }
    let keys = field.mapping()?;
    let url = keys.need("url", |field| url(&field));
    let role = keys.or("role", own_role.unwrap_or(Role::Member), |field| {
        let role = field.choice(&ROLES)?;
        if own_role.is_some_and(|own| own != role) {
            return field.refuse("disagrees with role, which says what this very daemon is");
        }
        Some(role)
    });
    keys.finish();
    Some(Peer { url: url?, role: role? })
}

fn url(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    match names::check_http_url(&text) {
        Ok(()) => Some(text),
        Err(why) => field.refuse(why),
    }
}

#[allow(clippy::option_option, reason = "absent and bad are different outcomes")]
fn database(keys: &Mapping<'_>, role: Option<Role>) -> Option<Option<Database>> {
    let read = |field: Field<'_>| {
        let keys = field.mapping()?;
        let url = keys.maybe("url", |field| database_url(&field));
        let keep_ms = keys.maybe("keep", |field| keep_ms(&field));
        keys.finish();
        let (url, keep_ms) = (url?, keep_ms?);
        match (url, keep_ms) {
            (None, Some(_)) => field.refuse("says what to keep of a database, but has no url"),
            (url, keep_ms) => Some(url.map(|url| Database { url, keep_ms })),
        }
    };
    if role == Some(Role::Witness) {
        keys.or("database", None, read)
    } else {
        keys.need("database", |field| {
            let database = read(field.clone())?;
            if database.is_none() && role == Some(Role::Member) {
                return field.refuse("needs a url: a member keeps the fleet's history");
            }
            Some(database)
        })
    }
}

/// What is younger than a month is needed too often, by people and by the fleet itself, to be given away.
fn keep_ms(field: &Field<'_>) -> Option<u64> {
    match field.duration_ms()? {
        ms if u128::from(ms) < LEAST_KEPT.as_millis() => field.refuse(
            "is less than 31d: the newest month always stays; write something like 730d, or leave keep out to keep everything",
        ),
        ms => Some(ms),
    }
}

/// Never repeats the URL: it may hold a password.
fn database_url(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    let rest = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"));
    if rest.is_none_or(str::is_empty) || text.contains(char::is_whitespace) {
        return field.refuse("is not a database URL: write postgres://user@host/database");
    }
    Some(text)
}

fn aws(field: &Field<'_>) -> Option<Aws> {
    let keys = field.mapping()?;
    let endpoint_url = keys.maybe("endpoint_url", |field| url(&field));
    let endpoints = keys.or("endpoints", BTreeMap::new(), |field| {
        let keys = field.mapping()?;
        let read: Vec<_> = SERVICES.iter().map(|name| (*name, keys.maybe(name, |field| url(&field)))).collect();
        keys.finish();
        let named = read.into_iter().map(|(name, url)| Some(url?.map(|url| (name.to_owned(), url))));
        Some(named.collect::<Option<Vec<_>>>()?.into_iter().flatten().collect())
    });
    let name_servers = keys.or("name_servers", Vec::new(), |field| field.each(|item| name_server(&item)));
    keys.finish();
    Some(Aws { endpoint_url: endpoint_url?, endpoints: endpoints?, name_servers: name_servers? })
}

fn name_server(field: &Field<'_>) -> Option<SocketAddr> {
    let text = field.text()?;
    let bare = || text.parse().ok().map(|ip: IpAddr| SocketAddr::new(ip, DNS_PORT));
    match text.parse().ok().or_else(bare) {
        Some(address) => Some(address),
        None => field.refuse(format!("{text:?} is not the address of a name server: write IP or IP:PORT")),
    }
}

fn timing(field: &Field<'_>) -> Option<Timing> {
    let keys = field.mapping()?;
    let default = Timing::default();
    let at_least = |field: Field<'_>, least: u64| match field.duration_ms()? {
        ms if ms < least => field.refuse(format!("must be {least}ms or more")),
        ms => Some(ms),
    };
    let heartbeat_ms = keys.or("heartbeat", default.heartbeat_ms, |field| at_least(field, MIN_HEARTBEAT_MS));
    let election_timeout_ms = keys.or("election_timeout", default.election_timeout_ms, |field| field.positive_ms());
    let probe_interval_ms =
        keys.or("probe_interval", default.probe_interval_ms, |field| at_least(field, MIN_PROBE_INTERVAL_MS));
    keys.finish();
    let (heartbeat_ms, election_timeout_ms) = (heartbeat_ms?, election_timeout_ms?);
    if election_timeout_ms < heartbeat_ms.saturating_mul(2) {
        return field
            .refuse("election_timeout must be at least twice the heartbeat: one lost heartbeat is no reason to elect");
    }
    Some(Timing { heartbeat_ms, election_timeout_ms, probe_interval_ms: probe_interval_ms? })
}

fn references(field: &Field<'_>) -> Option<BTreeMap<Region, String>> {
    let read = field.mapping()?.all().into_iter().map(|(key, item)| Some((Region::new(key), url(&item)?)));
    let read: Vec<Option<(Region, String)>> = read.collect();
    let references: BTreeMap<Region, String> = read.into_iter().collect::<Option<_>>()?;
    if references.is_empty() {
        return field.refuse("needs at least one endpoint; leave references out for the default ones");
    }
    Some(references)
}

/// Endpoints that anybody may ask, in the own Region and in two that host no daemon: <https://dynamodb.us-east-1.amazonaws.com/ping>
fn default_references(own: &Region, peers: &BTreeMap<Region, Peer>) -> BTreeMap<Region, String> {
    let (candidates, suffix): (&[&str], &str) = match own.as_str() {
        own if own.starts_with("cn-") => (&["cn-north-1", "cn-northwest-1"], "amazonaws.com.cn"),
        own if own.starts_with("us-gov-") => (&["us-gov-west-1", "us-gov-east-1"], "amazonaws.com"),
        _ => (&FAR_APART, "amazonaws.com"),
    };
    let outside = candidates.iter().filter(|region| !peers.contains_key(**region));
    let inside = candidates.iter().filter(|region| peers.contains_key(**region));
    let others = outside.chain(inside).filter(|region| **region != own.as_str()).take(2);
    let url = |region: &str| (Region::new(region), format!("https://dynamodb.{region}.{suffix}/ping"));
    std::iter::once(own.as_str()).chain(others.copied()).map(url).collect()
}
