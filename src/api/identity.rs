//! Who is calling.

use failoverd_domain::fleet::Actor;
use tonic::Request;

/// Metadata key by which a caller names itself where there is no TLS (`--dev`, loopback only).
pub const ACTOR_KEY: &str = "x-failoverd-actor";

/// The caller. With TLS what a caller says of itself counts for nothing.
pub fn caller<T>(request: &Request<T>) -> Actor {
    if request.peer_certs().is_some() {
        return Actor::Operator("tls-client".to_owned());
    }
    let named = request.metadata().get(ACTOR_KEY).and_then(|name| name.to_str().ok()).map(str::trim);
    let name = named.filter(|name| !name.is_empty()).unwrap_or("anonymous@dev");
    Actor::Operator(name.strip_prefix("operator:").unwrap_or(name).chars().take(128).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called_by(name: Option<&str>) -> String {
        let mut request = Request::new(());
        if let Some(name) = name {
            request.metadata_mut().insert(ACTOR_KEY, name.parse().unwrap());
        }
        caller(&request).to_string()
    }

    #[test]
    fn a_caller_without_tls_is_whom_it_says_it_is() {
        assert_eq!(called_by(Some("operator:alice@laptop")), "operator:alice@laptop");
        assert_eq!(called_by(Some("bob")), "operator:bob");
        assert_eq!(called_by(Some("  ")), "operator:anonymous@dev");
        assert_eq!(called_by(None), "operator:anonymous@dev");
    }
}
