//! From what a certificate says to a name and roles.
//!
//! A URI `failoverd://FLEET/ROLE/NAME` says both by itself. What else gives a role stands in the configuration. A peer is
//! who names a Region: by `failoverd://FLEET/peer/REGION`, or by the host of that Region's URL among its DNS names or
//! IP addresses, written out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use failoverd_domain::ids::{FleetId, Region};

use super::Role;
use super::certificate::Named;
use super::identity::Identity;

/// Scheme of URIs that say who somebody is.
const SCHEME: &str = "failoverd://";

/// Where in a certificate a rule looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A URI among the alternative names.
    Uri,
    /// A DNS name among them.
    Dns,
    /// An address of mail among them.
    Email,
    /// An organizational unit of the subject.
    Ou,
    /// The common name of the subject.
    Cn,
}

/// Whoever has that in its certificate has that role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The role; never that of a peer.
    pub role: Role,
    /// Where it looks.
    pub place: Place,
    /// What must stand there: as it is, but one `*` stands for one character or more that are not `/`.
    pub pattern: String,
}

impl Rule {
    fn hits(&self, named: &Named) -> bool {
        let hit = |text: &String| matches(&self.pattern, text);
        match self.place {
            Place::Uri => named.uris.iter().any(hit),
            Place::Dns => named.dns.iter().any(hit),
            Place::Email => named.emails.iter().any(hit),
            Place::Ou => named.units.iter().any(hit),
            Place::Cn => named.common_name.iter().any(hit),
        }
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == text };
    let between = text.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    between.is_some_and(|between| !between.is_empty() && !between.contains('/'))
}

/// How certificates are read in one fleet.
#[derive(Clone, Debug)]
pub struct Rules {
    fleet: FleetId,
    /// Hosts of the daemons' URLs, in small letters.
    hosts: BTreeMap<Region, String>,
    rules: Vec<Rule>,
}

impl Rules {
    /// For that fleet, whose daemons serve at these URLs.
    #[must_use]
    pub fn new(fleet: FleetId, urls: &BTreeMap<Region, String>, rules: Vec<Rule>) -> Self {
        let host = |url: &String| {
            let url: http::Uri = url.parse().ok()?;
            Some(url.host()?.trim_matches(['[', ']']).to_ascii_lowercase())
        };
        let hosts = urls.iter().filter_map(|(region, url)| Some((region.clone(), host(url)?))).collect();
        Self { fleet, hosts, rules }
    }

    /// Who holds that certificate.
    #[must_use]
    pub fn identify(&self, named: &Named) -> Identity {
        let (mut roles, mut regions) = (BTreeSet::new(), self.regions_by_host(named));
        let mut own_name = None;
        for (role, name) in named.uris.iter().filter_map(|uri| self.said_by(uri)) {
            if role == Role::Peer {
                regions.extend(self.hosts.contains_key(name).then(|| Region::from(name)));
            } else {
                roles.insert(role);
                own_name.get_or_insert(name);
            }
        }
        roles.extend(self.rules.iter().filter(|rule| rule.hits(named)).map(|rule| rule.role));
        if !regions.is_empty() {
            roles.insert(Role::Peer);
        }
        let peer = || regions.first().map(|region| format!("peer:{region}"));
        let name = own_name.map(str::to_owned).or_else(|| peer().filter(|_| roles.len() == 1));
        let name = name.or_else(|| told(named)).unwrap_or_else(|| "nameless".to_owned());
        Identity::of(&name, roles, regions)
    }

    /// Role and name out of a URI of ours for this fleet.
    fn said_by<'a>(&self, uri: &'a str) -> Option<(Role, &'a str)> {
        let mut parts = uri.strip_prefix(SCHEME)?.split('/');
        let (fleet, role, name) = (parts.next()?, Role::from_word(parts.next()?)?, parts.next()?);
        let whole = parts.next().is_none() && !name.is_empty() && fleet == self.fleet.as_str();
        whole.then_some((role, name))
    }

    fn regions_by_host(&self, named: &Named) -> BTreeSet<Region> {
        let names = |host: &String| match host.parse::<IpAddr>() {
            Ok(address) => named.ips.contains(&address),
            Err(_) => named.dns.contains(host),
        };
        self.hosts.iter().filter(|(_, host)| names(host)).map(|(region, _)| region.clone()).collect()
    }
}

/// The name of somebody who is not named by a URI of ours: mail first, since a token would say the same.
fn told(named: &Named) -> Option<String> {
    named.emails.first().or(named.uris.first()).or(named.dns.first()).or(named.common_name.as_ref()).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(rules: &[(Role, Place, &str)]) -> Rules {
        let urls = [("us-east-1", "https://a.example.internal:7443"), ("eu-west-1", "https://[2001:db8::1]:7443")];
        let urls = urls.into_iter().map(|(region, url)| (Region::from(region), url.to_owned())).collect();
        let rule = |(role, place, pattern): &(Role, Place, &str)| Rule {
            role: *role,
            place: *place,
            pattern: (*pattern).to_owned(),
        };
        Rules::new(FleetId::new("prod"), &urls, rules.iter().map(rule).collect())
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn is(identity: &Identity) -> (String, String) {
        (identity.name.clone(), identity.roles_in_words())
    }

    #[test]
    fn a_uri_of_the_fleet_says_role_and_name() {
        let who = |uris: &[&str]| is(&rules(&[]).identify(&Named { uris: texts(uris), ..Named::default() }));
        let words = |name: &str, roles: &str| (name.to_owned(), roles.to_owned());
        assert_eq!(who(&["failoverd://prod/operator/alice"]), words("alice", "operator"));
        let both = ["failoverd://prod/operator/alice", "failoverd://prod/approver/alice"];
        assert_eq!(who(&both), words("alice", "operator, approver"));
        for nothing in [
            "failoverd://staging/admin/alice",
            "failoverd://prod/owner/alice",
            "failoverd://prod/admin/",
            "failoverd://prod/admin/alice/x",
            "https://prod/admin/alice",
        ] {
            assert_eq!(who(&[nothing]).1, "no role", "{nothing}");
        }
    }

    #[test]
    fn a_peer_is_who_names_a_region_by_the_host_of_its_url() {
        let rules = rules(&[]);
        let named = Named { dns: texts(&["a.example.internal", "localhost"]), ..Named::default() };
        let peer = rules.identify(&named);
        assert_eq!(is(&peer), ("peer:us-east-1".to_owned(), "peer".to_owned()));
        assert!(peer.speaks_for(&"us-east-1".into()) && !peer.speaks_for(&"eu-west-1".into()));
        let named = Named { ips: vec!["2001:db8::1".parse().unwrap()], ..Named::default() };
        assert!(rules.identify(&named).speaks_for(&"eu-west-1".into()));
        let named = Named { uris: texts(&["failoverd://prod/peer/eu-west-1"]), ..Named::default() };
        assert!(rules.identify(&named).speaks_for(&"eu-west-1".into()));
        for nobody in [
            Named { dns: texts(&["*.example.internal", "b.example.internal"]), ..Named::default() },
            Named { uris: texts(&["failoverd://prod/peer/mars-1"]), ..Named::default() },
            Named { common_name: Some("a.example.internal".to_owned()), ..Named::default() },
        ] {
            assert_eq!(is(&rules.identify(&nobody)).1, "no role", "{nobody:?}");
        }
    }

    #[test]
    fn other_authorities_names_get_roles_by_rules() {
        let rules = rules(&[
            (Role::Operator, Place::Uri, "spiffe://corp.example/operator/*"),
            (Role::Approver, Place::Email, "*@sre.example.com"),
            (Role::Admin, Place::Ou, "fleet admins"),
        ]);
        let who = |named: Named| is(&rules.identify(&named));
        let named = Named { uris: texts(&["spiffe://corp.example/operator/bob"]), ..Named::default() };
        assert_eq!(who(named), ("spiffe://corp.example/operator/bob".to_owned(), "operator".to_owned()));
        for other in
            ["spiffe://corp.example/operator/", "spiffe://corp.example/operator/x/y", "spiffe://evil/operator/b"]
        {
            assert_eq!(who(Named { uris: texts(&[other]), ..Named::default() }).1, "no role", "{other}");
        }
        let named = Named {
            emails: texts(&["carol@sre.example.com"]),
            units: texts(&["fleet admins"]),
            common_name: Some("Carol".to_owned()),
            ..Named::default()
        };
        assert_eq!(who(named), ("carol@sre.example.com".to_owned(), "approver, admin".to_owned()));
    }
}
