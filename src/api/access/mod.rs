//! Who may do what: the one place between a connection and the services.
//!
//! [`door`] asks [`table`] before any handler runs, and puts the caller's [`Identity`] on the request. Handlers only ever
//! read it.

pub mod certificate;
pub(super) mod door;
mod identity;
mod in_time;
pub mod keyring;
mod rates;
mod rules;
pub mod table;
pub mod token;

#[cfg(test)]
pub(crate) mod authority;

use std::sync::Arc;

use failoverd_domain::time::Timestamp;

pub use identity::{ACTOR_KEY, Identity};
pub(super) use identity::{caller, speaker};
pub(super) use rates::Rates;
pub use role::Role;
pub use rules::{Place, Rule, Rules};

mod role;

use keyring::Keyring;
use token::{TokenError, TokenRules};

/// How names begin that are kept for moves which several people sign together: no certificate, token or peer may use one.
pub use failoverd_domain::glass::PREFIX as BREAK_GLASS;

/// Who may do what on a listener. Clones are the same.
#[derive(Clone, Debug)]
pub struct Access {
    /// How certificates are read.
    pub rules: Arc<Rules>,
    /// How tokens are read, where they are taken at all.
    pub tokens: Option<Arc<Tokens>>,
}

/// How tokens are read.
#[derive(Debug)]
pub struct Tokens {
    /// What they must say.
    pub rules: TokenRules,
    /// By whose keys they are judged.
    pub keys: Keyring,
}

impl Tokens {
    /// Who holds it. Only a token that names a key nobody has heard of waits, and not for long.
    ///
    /// # Errors
    /// Why it is not taken.
    pub async fn identify(&self, token: &str, now: Timestamp) -> Result<Identity, TokenError> {
        match self.rules.verify(token, &self.keys.known(), now) {
            Err(TokenError::UnknownKey) => self.rules.verify(token, &*self.keys.asked_again().await, now),
            verdict => verdict,
        }
    }
}

impl Access {
    /// By certificates alone.
    #[must_use]
    pub fn by_certificates(rules: Rules) -> Self {
        Self { rules: Arc::new(rules), tokens: None }
    }
}
