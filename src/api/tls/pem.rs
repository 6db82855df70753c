//! PEM texts and what is made of them.

use std::sync::Arc;

use failoverd_domain::time::Timestamp;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::live::Callers;
use crate::api::access::certificate::Named;

/// A certificate, its key and the authority that both ends trust, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct TlsPem {
    /// Certificate chain of this end.
    pub cert: Vec<u8>,
    /// Its key.
    pub key: Vec<u8>,
    /// Authority that signed the other end's certificate.
    pub ca: Vec<u8>,
}

impl TlsPem {
    /// Whom the own certificate names, and until when.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn named(&self) -> Result<Named, String> {
        let leaf = chain(&self.cert)?;
        let leaf = leaf.first().ok_or("there is no certificate in it")?;
        Named::read(leaf).map_err(|why| format!("the certificate cannot be read: {why}"))
    }

    /// Until when the own certificate is valid.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn expires(&self) -> Result<Timestamp, String> {
        self.named().map(|named| named.expires)
    }

    /// For a listener.
    pub(super) fn listener(&self, callers: Callers) -> Result<ServerConfig, String> {
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(&self.ca)?), provider());
        let verifier = match callers {
            Callers::WithCertificate => verifier,
            Callers::WithOrWithout => verifier.allow_unauthenticated(),
        };
        let verifier = verifier.build().map_err(|error| format!("the authority cannot be used: {error}"))?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                let builder = builder.with_client_cert_verifier(verifier);
                builder.with_single_cert(chain_for_rustls(&self.cert)?, key_for_rustls(&self.key)?)
            })
            .map_err(unusable)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // A session that is resumed takes its certificate from the one before, without a look at whether it has expired since.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(config)
    }

    /// For a daemon that calls another.
    pub(super) fn caller(&self) -> Result<ClientConfig, String> {
        let identity = Some((self.cert.clone(), self.key.clone()));
        CallerPem { identity, ca: self.ca.clone() }.config()
    }
}

/// What somebody with or without a certificate calls with, as PEM.
#[derive(Clone)]
pub struct CallerPem {
    /// Certificate chain and key.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
    /// Authority that signed the daemons' certificates.
    pub ca: Vec<u8>,
}

impl CallerPem {
    /// For rustls.
    pub(super) fn config(&self) -> Result<ClientConfig, String> {
        let roots = roots(&self.ca)?;
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                let builder = builder.with_root_certificates(roots);
                match &self.identity {
                    Some((cert, key)) => builder.with_client_auth_cert(chain_for_rustls(cert)?, key_for_rustls(key)?),
                    None => Ok(builder.with_no_client_auth()),
                }
            })
            .map_err(unusable)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(config)
    }

    /// For tonic's own connector.
    #[cfg(test)]
    pub fn client(&self) -> tonic::transport::ClientTlsConfig {
        use tonic::transport::{Certificate, ClientTlsConfig, Identity};
        let config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&self.ca));
        match &self.identity {
            Some((cert, key)) => config.identity(Identity::from_pem(cert, key)),
            None => config,
        }
    }
}

impl std::fmt::Debug for TlsPem {
    /// Never shows the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsPem(…)")
    }
}

type RustlsError = tokio_rustls::rustls::Error;

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn unusable(error: RustlsError) -> String {
    format!("certificate and key cannot be used: {error}")
}

fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    chain.map_err(|error| format!("the certificate cannot be read: {error}"))
}

fn chain_for_rustls(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, RustlsError> {
    chain(pem).map_err(RustlsError::General)
}

fn key_for_rustls(pem: &[u8]) -> Result<PrivateKeyDer<'static>, RustlsError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| RustlsError::General(format!("the key cannot be read: {error}")))
}

fn roots(ca: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(ca) {
        let authority = authority.map_err(|error| format!("the authority cannot be read: {error}"))?;
        roots.add(authority).map_err(|error| format!("the authority cannot be used: {error}"))?;
    }
    if roots.is_empty() {
        return Err("there is no authority's certificate in it".to_owned());
    }
    Ok(roots)
}

/// What the switch listener shows to everybody. Route 53's checkers have no certificate of their own and check none.
///
/// # Errors
/// Which of the two texts cannot be used, and why.
pub fn switch_tls(cert: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, String> {
    let chain = chain(cert)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| format!("the key cannot be read: {error}"))?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(unusable)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_rustls::rustls::HandshakeKind;
    use tokio_rustls::rustls::server::ServerSessionMemoryCache;
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;

    async fn handshake(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>) -> Option<HandshakeKind> {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let connecting = TlsConnector::from(client.clone()).connect("127.0.0.1".try_into().unwrap(), near);
        let accepting = TlsAcceptor::from(server.clone()).accept(far);
        let (mut client, mut server) = tokio::try_join!(connecting, accepting).unwrap();
        // With the first word come the tickets that another connection could be opened with.
        server.write_all(b"x").await.unwrap();
        server.flush().await.unwrap();
        client.read_u8().await.unwrap();
        client.get_ref().1.handshake_kind()
    }

    #[tokio::test]
    async fn no_session_is_resumed_so_that_each_connection_shows_its_certificate() {
        let pem = TlsPem {
            cert: include_bytes!("../testdata/cert.pem").to_vec(),
            key: include_bytes!("../testdata/key.pem").to_vec(),
            ca: include_bytes!("../testdata/ca.pem").to_vec(),
        };
        let listener = pem.listener(Callers::WithCertificate).unwrap();
        let mut usual = listener.clone();
        usual.session_storage = ServerSessionMemoryCache::new(16);
        for (listener, second) in [(usual, HandshakeKind::Resumed), (listener, HandshakeKind::Full)] {
            let (client, listener) = (Arc::new(pem.caller().unwrap()), Arc::new(listener));
            assert_eq!(handshake(&client, &listener).await, Some(HandshakeKind::Full));
            assert_eq!(handshake(&client, &listener).await, Some(second));
        }
    }
}
