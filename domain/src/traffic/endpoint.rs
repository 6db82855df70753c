//! A signal's target as Route 53's checkers can ask it from outside.

use crate::ids::Region;
use crate::route53::{EndpointCheck, Protocol};
use crate::service::{ProbeSpec, ServiceSpec, Weight};

/// Seconds between polls: 10 or 30 are what Route 53 offers; the move of traffic waits for them.
pub const INTERVAL_S: u32 = 10;

/// One lost poll must not look like an outage to the outside observer.
const FAILURE_THRESHOLD: u32 = 2;

/// Where clients knock.
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// The check that lets Route 53 judge a service in a Region: its first required signal that has an address. `None`
/// when there is none (an alarm cannot be asked from outside).
pub(super) fn outside_check(spec: &ServiceSpec, region: &Region) -> Option<Result<EndpointCheck, String>> {
    let mut required = spec.health.signals.iter().filter(|signal| signal.weight == Weight::Required);
    required.find_map(|signal| {
        let target = signal.probe.target_in(region);
        let asked = match &signal.probe {
            ProbeSpec::Http { expect_status, .. } => http(&target, *expect_status),
            ProbeSpec::Tcp { .. } => tcp(&target),
            ProbeSpec::CloudwatchAlarm { .. } => return None,
        };
        Some(
            asked.ok_or_else(|| {
                format!("signal {}: {target} has no host and port that Route 53 could ask", signal.name)
            }),
        )
    })
}

/// Route 53 takes any 2xx or 3xx for good and nothing else. Where the owner expects another status, only the
/// connection can be asked: a check that is always bad would agree to every failover.
fn http(url: &str, expect_status: u16) -> Option<EndpointCheck> {
    let (scheme, rest) = url.split_once("://")?;
    let (protocol, default_port) = match scheme.to_ascii_lowercase().as_str() {
        "http" => (Protocol::Http, HTTP_PORT),
        "https" => (Protocol::Https, HTTPS_PORT),
        _ => return None,
    };
    let (authority, path) = match rest.find(['/', '?', '#']) {
        Some(end) => rest.split_at(end),
        None => (rest, ""),
    };
    let (host, port) = host_and_port(authority, Some(default_port))?;
    if !(200..400).contains(&expect_status) {
        return Some(check(Protocol::Tcp, host, port, String::new()));
    }
    let path = path.split('#').next().unwrap_or_default();
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    Some(check(protocol, host, port, path))
}

fn tcp(address: &str) -> Option<EndpointCheck> {
    let (host, port) = host_and_port(address, None)?;
    Some(check(Protocol::Tcp, host, port, String::new()))
}

fn check(protocol: Protocol, host: String, port: u16, path: String) -> EndpointCheck {
    EndpointCheck {
        protocol,
        host,
        port,
        path,
        search: None,
        interval_s: INTERVAL_S,
        failure_threshold: FAILURE_THRESHOLD,
    }
}

/// A signal's probe sent to a public name instead of a Region's own. `None` where that would ask something else: an
/// alarm, another port than the one that clients use, a Region in the path.
#[must_use]
pub fn through_name(probe: &ProbeSpec, name: &str) -> Option<ProbeSpec> {
    if name.contains('*') {
        return None;
    }
    let mut probe = probe.clone();
    match &mut probe {
        ProbeSpec::Http { url, .. } => {
            let (scheme, rest) = url.split_once("://")?;
            let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
            let port = if scheme.eq_ignore_ascii_case("https") { HTTPS_PORT } else { HTTP_PORT };
            let (_, asked) = host_and_port(authority, Some(port))?;
            if asked != port || path.contains("{region}") {
                return None;
            }
            *url = format!("{scheme}://{name}{path}");
        }
        ProbeSpec::Tcp { address, .. } => {
            let (_, port) = host_and_port(address, None)?;
            if ![HTTP_PORT, HTTPS_PORT].contains(&port) {
                return None;
            }
            *address = format!("{name}:{port}");
        }
        ProbeSpec::CloudwatchAlarm { .. } => return None,
    }
    Some(probe)
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`; no user name.
fn host_and_port(authority: &str, default_port: Option<u16>) -> Option<(String, u16)> {
    if authority.contains('@') {
        return None;
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            (host, if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
        }
        None => match authority.rsplit_once(':') {
            Some((host, _)) if host.contains(':') => return None,
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port = match port {
        Some(port) => port.parse().ok().filter(|port| *port > 0)?,
        None => default_port?,
    };
    (!host.is_empty()).then(|| (host.to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(url: &str) -> Option<(Protocol, String, u16, String)> {
        http(url, 200).map(|check| (check.protocol, check.host, check.port, check.path))
    }

    #[test]
    fn urls_become_checks() {
        let expect = |protocol, host: &str, port, path: &str| Some((protocol, host.to_owned(), port, path.to_owned()));
        assert_eq!(asked("https://a.example.com/healthz"), expect(Protocol::Https, "a.example.com", 443, "/healthz"));
        assert_eq!(asked("http://a.example.com"), expect(Protocol::Http, "a.example.com", 80, "/"));
        assert_eq!(asked("http://127.0.0.1:7701/h?x=1#y"), expect(Protocol::Http, "127.0.0.1", 7701, "/h?x=1"));
        assert_eq!(asked("HTTPS://A.Example.com:8443?x"), expect(Protocol::Https, "a.example.com", 8443, "/?x"));
        assert_eq!(asked("http://[::1]:8080/x"), expect(Protocol::Http, "::1", 8080, "/x"));
        for bad in ["ftp://a/", "a.example.com", "http://", "http://:80/", "http://a:x/", "http://a:0/", "http://u@a/"]
        {
            assert_eq!(asked(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_status_that_route_53_cannot_expect_is_asked_by_connection() {
        let check = http("https://a.example.com/private", 401).unwrap();
        assert_eq!((check.protocol, check.port, check.path.as_str()), (Protocol::Tcp, 443, ""));
    }

    #[test]
    fn a_probe_is_sent_to_a_public_name_where_clients_would_knock() {
        let through = |url: &str, name: &str| {
            let probe = ProbeSpec::Http { url: url.to_owned(), interval_ms: None, timeout_ms: 1, expect_status: 204 };
            match through_name(&probe, name) {
                Some(ProbeSpec::Http { url, expect_status: 204, timeout_ms: 1, .. }) => Some(url),
                Some(other) => panic!("{other:?}"),
                None => None,
            }
        };
        let name = "api.example.com";
        assert_eq!(
            through("https://{region}.a.example/up?x=1", name).as_deref(),
            Some("https://api.example.com/up?x=1")
        );
        assert_eq!(through("http://{region}.a.example:80", name).as_deref(), Some("http://api.example.com"));
        for other in ["http://{region}.a.example:8080/up", "http://a.example/{region}/up", "http://u@a.example/"] {
            assert_eq!(through(other, name), None, "{other}");
        }
        assert_eq!(through("http://a.example/", "*.example.com"), None);
        let tcp = |address: &str| {
            through_name(&ProbeSpec::Tcp { address: address.to_owned(), interval_ms: None, timeout_ms: 1 }, name)
        };
        assert!(
            matches!(tcp("{region}.a.example:443"), Some(ProbeSpec::Tcp { address, .. }) if address == "api.example.com:443")
        );
        assert_eq!(tcp("db.{region}.a.example:5432"), None);
        assert_eq!(through_name(&ProbeSpec::CloudwatchAlarm { name: "down".to_owned() }, name), None);
    }

    #[test]
    fn tcp_needs_a_port() {
        assert_eq!(tcp("db.example.com:5432").map(|check| check.port), Some(5432));
        assert!(tcp("db.example.com").is_none());
        assert!(tcp("::1:80").is_none());
    }
}
