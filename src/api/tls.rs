//! Mutual TLS from PEM texts.

use tonic::transport::{Certificate, ClientTlsConfig, Identity, ServerTlsConfig};

/// A certificate, its key and the authority that both ends trust, as PEM.
#[derive(Clone)]
pub struct TlsPem {
    /// Certificate chain of this end.
    pub cert: Vec<u8>,
    /// Its key.
    pub key: Vec<u8>,
    /// Authority that signed the other end's certificate.
    pub ca: Vec<u8>,
}

impl TlsPem {
    /// For a listener: callers must show a certificate of the authority.
    #[must_use]
    pub fn server(&self) -> ServerTlsConfig {
        ServerTlsConfig::new()
            .identity(Identity::from_pem(&self.cert, &self.key))
            .client_ca_root(Certificate::from_pem(&self.ca))
    }

    /// For a caller.
    #[must_use]
    pub fn client(&self) -> ClientTlsConfig {
        ClientTlsConfig::new()
            .identity(Identity::from_pem(&self.cert, &self.key))
            .ca_certificate(Certificate::from_pem(&self.ca))
    }
}

impl std::fmt::Debug for TlsPem {
    /// Never shows the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsPem(…)")
    }
}
