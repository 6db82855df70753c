//! What every command is given.

use std::time::Duration;

use super::global::Target;
use super::{Client, Failure, Global, output::Output};

/// What every command is given.
pub struct Context {
    /// Flags that hold for every command.
    pub global: Global,
    /// Where things are printed.
    pub out: Output,
}

impl Context {
    /// A connection to the first daemon that takes one.
    ///
    /// # Errors
    /// What was tried and what to do, exit 1.
    pub async fn client(&self) -> Result<Client, Failure> {
        let Target { servers, tls, token } = self.global.target()?;
        Client::connect(&servers, tls.as_ref(), token.as_deref(), self.global.timeout).await
    }

    /// The same for a call that takes so long, unless the person says how long it may.
    ///
    /// # Errors
    /// As there.
    pub async fn client_for(&self, at_most: Duration) -> Result<Client, Failure> {
        let Target { servers, tls, token } = self.global.target()?;
        let timeout = self.global.timeout.or(Some(at_most));
        Client::connect(&servers, tls.as_ref(), token.as_deref(), timeout).await
    }
}
