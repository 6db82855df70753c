//! Where the keys of an identity provider come from, and where they are kept.

use async_trait::async_trait;

/// The keys of an identity provider, as a JSON Web Key Set.
#[async_trait]
pub trait KeySource: Send + Sync {
    /// The newest ones.
    ///
    /// # Errors
    /// Why they cannot be had.
    async fn fetch(&self) -> Result<Vec<u8>, String>;

    /// Those that were kept last, if any.
    async fn kept(&self) -> Option<Vec<u8>>;

    /// Keeps them, so that they are there when the provider is not.
    ///
    /// # Errors
    /// Why they cannot be kept.
    async fn keep(&self, keys: &[u8]) -> Result<(), String>;
}
