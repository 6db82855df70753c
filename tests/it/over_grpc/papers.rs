//! Certificates of the daemons and of the person.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use failoverd::api::access::{Access, Rules};
use failoverd::api::{Callers, LiveTls, Secured, TlsPem};
use failoverd::sim::fleet::REGIONS;
use failoverd_domain::ids::Region;

use crate::process::security::authority::Authority;

/// Where daemons serve gRPC.
pub const PORT: u16 = 7400;
/// The person's name, and her host's.
pub const ALICE: &str = "alice";
const FLEET: &str = "prod";

/// Made once: keys take long.
static PEMS: LazyLock<BTreeMap<String, TlsPem>> = LazyLock::new(|| {
    let authority = Authority::new("simulated");
    let hosts = REGIONS.map(|region| (region.to_owned(), region.to_owned()));
    let alice = (ALICE.to_owned(), format!("failoverd://{FLEET}/admin/{ALICE}"));
    let issue = |(holder, name): (String, String)| {
        let issued = authority.issue(&[&name]);
        (holder, TlsPem { cert: issued.cert.into(), key: issued.key.into(), ca: authority.pem().into() })
    };
    hosts.into_iter().chain([alice]).map(issue).collect()
});

/// What somebody shows and whom it trusts; sessions are remembered by nobody else.
pub fn of(holder: &str) -> LiveTls {
    LiveTls::new(PEMS[holder].clone(), Callers::WithCertificate).unwrap()
}

/// Where each daemon serves.
pub fn urls() -> BTreeMap<Region, String> {
    REGIONS.map(|region| (Region::from(region), format!("https://{region}:{PORT}"))).into()
}

/// How a daemon knows its callers.
pub fn secured(tls: LiveTls) -> Secured {
    Secured { tls, access: Access::by_certificates(Rules::new(FLEET.into(), &urls(), Vec::new())) }
}
