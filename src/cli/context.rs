//! What every command is given.

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
}
