//! Who is calling: a name, what it may be, and for which Regions it speaks.

use std::collections::BTreeSet;

use failoverd_domain::fleet::Actor;
use failoverd_domain::ids::Region;
use tonic::Request;

use super::{BREAK_GLASS, Role};

/// Metadata key by which a caller names itself where there is no TLS (`--dev`, loopback only).
pub const ACTOR_KEY: &str = "x-failoverd-actor";

/// Longest name on record.
const LONGEST_NAME: usize = 128;

/// Who is calling. The door puts it on every request; nothing else makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The name on record.
    pub name: String,
    /// What it may be.
    pub roles: BTreeSet<Role>,
    /// For whom it speaks as a peer.
    pub voice: Voice,
}

/// For whom a caller speaks as a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Voice {
    /// For whom it says it speaks: without TLS, on loopback.
    Anybody,
    /// For these Regions.
    Of(BTreeSet<Region>),
}

impl Identity {
    /// Without TLS a caller is whom it says it is, and may do everything.
    #[must_use]
    pub fn in_dev(named: Option<&str>) -> Self {
        let name = named.map(str::trim).filter(|name| !name.is_empty()).unwrap_or("anonymous@dev");
        let name = name.strip_prefix("operator:").unwrap_or(name);
        Self { name: shown(name), roles: Role::ALL.into(), voice: Voice::Anybody }
    }

    /// Somebody of that name.
    #[must_use]
    pub fn of(name: &str, roles: BTreeSet<Role>, regions: BTreeSet<Region>) -> Self {
        Self { name: shown(name), roles, voice: Voice::Of(regions) }
    }

    /// Whether it may speak for that Region.
    #[must_use]
    pub fn speaks_for(&self, region: &Region) -> bool {
        match &self.voice {
            Voice::Anybody => true,
            Voice::Of(regions) => regions.contains(region),
        }
    }

    /// Its roles in words.
    #[must_use]
    pub fn roles_in_words(&self) -> String {
        let words: Vec<&str> = self.roles.iter().map(|role| role.word()).collect();
        if words.is_empty() { "no role".to_owned() } else { words.join(", ") }
    }
}

/// What is fit to be logged and put on record. Nobody is called what only opened glass is called.
fn shown(name: &str) -> String {
    let name: String = name.chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect();
    if name.starts_with(BREAK_GLASS) { format!("({name})") } else { name }
}

/// The caller, as changes are recorded.
pub fn caller<T>(request: &Request<T>) -> Actor {
    let identity = request.extensions().get::<Identity>();
    Actor::Operator(identity.map_or_else(|| Identity::in_dev(None).name, |identity| identity.name.clone()))
}

/// The peer that is speaking; nobody's voice where the door did not say.
pub fn speaker<T>(request: &Request<T>) -> Identity {
    let nobody = || Identity::of("nobody", BTreeSet::new(), BTreeSet::new());
    request.extensions().get::<Identity>().cloned().unwrap_or_else(nobody)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_without_tls_is_whom_it_says_it_is() {
        let named = |name: Option<&str>| Identity::in_dev(name).name;
        assert_eq!(named(Some("operator:alice@laptop")), "alice@laptop");
        assert_eq!(named(Some("bob")), "bob");
        assert_eq!(named(Some("  ")), "anonymous@dev");
        assert_eq!(named(None), "anonymous@dev");
    }

    #[test]
    fn a_name_on_record_is_one_short_line() {
        assert_eq!(Identity::in_dev(Some("a\nlice\u{1b}[31m")).name, "alice[31m");
        assert_eq!(Identity::in_dev(Some(&"x".repeat(1_000))).name.len(), LONGEST_NAME);
        assert_eq!(Identity::of("break\u{0}-glass:bob", [].into(), [].into()).name, "(break-glass:bob)");
    }
}
