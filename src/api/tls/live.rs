//! Certificates that can be exchanged while they are in use. Connections keep what they began with.

use std::sync::Arc;

use failoverd_domain::time::Timestamp;
use tokio::sync::watch;
use tokio_rustls::rustls::{ClientConfig, ServerConfig};

use super::{TlsPem, switch_tls};

/// Whether callers must show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callers {
    /// They must.
    WithCertificate,
    /// They may come without one and say who they are in another way.
    WithOrWithout,
}

/// Certificate, key and authority of this daemon, as they are now. Clones are the same.
#[derive(Clone)]
pub struct LiveTls(Arc<Inner>);

struct Inner {
    callers: Callers,
    now: watch::Sender<Arc<Sealed>>,
    expires: watch::Sender<Option<Timestamp>>,
}

struct Sealed {
    pem: TlsPem,
    listener: Arc<ServerConfig>,
    caller: Arc<ClientConfig>,
}

impl Sealed {
    fn new(pem: TlsPem, callers: Callers) -> Result<(Self, Timestamp), String> {
        let expires = pem.expires()?;
        let (listener, caller) = (Arc::new(pem.listener(callers)?), Arc::new(pem.caller()?));
        Ok((Self { pem, listener, caller }, expires))
    }
}

impl LiveTls {
    /// These to begin with.
    ///
    /// # Errors
    /// What cannot be used, and why.
    pub fn new(pem: TlsPem, callers: Callers) -> Result<Self, String> {
        let (sealed, expires) = Sealed::new(pem, callers)?;
        let (now, expires) = (watch::Sender::new(Arc::new(sealed)), watch::Sender::new(Some(expires)));
        Ok(Self(Arc::new(Inner { callers, now, expires })))
    }

    /// Takes these from now on, for new connections; whether they differ from those in use.
    ///
    /// # Errors
    /// What cannot be used, and why; the old ones stay.
    pub fn renew(&self, pem: TlsPem) -> Result<bool, String> {
        if self.0.now.borrow().pem == pem {
            return Ok(false);
        }
        let (sealed, expires) = Sealed::new(pem, self.0.callers)?;
        self.0.now.send_replace(Arc::new(sealed));
        self.0.expires.send_replace(Some(expires));
        Ok(true)
    }

    /// Until when this daemon's certificate is valid.
    #[must_use]
    pub fn expires(&self) -> watch::Receiver<Option<Timestamp>> {
        self.0.expires.subscribe()
    }

    pub(in crate::api) fn listener(&self) -> Arc<ServerConfig> {
        self.0.now.borrow().listener.clone()
    }

    pub(super) fn caller(&self) -> Arc<ClientConfig> {
        self.0.now.borrow().caller.clone()
    }
}

impl std::fmt::Debug for LiveTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LiveTls(…)")
    }
}

/// What the switch listener shows, as it is now. Clones are the same.
#[derive(Clone)]
pub struct LiveSwitch(Arc<watch::Sender<Shown>>);

type Shown = (Vec<u8>, Vec<u8>, Arc<ServerConfig>);

impl LiveSwitch {
    /// This certificate and key to begin with.
    ///
    /// # Errors
    /// Which of them cannot be used, and why.
    pub fn new(cert: Vec<u8>, key: Vec<u8>) -> Result<Self, String> {
        let config = switch_tls(&cert, &key)?;
        Ok(Self(Arc::new(watch::Sender::new((cert, key, config)))))
    }

    /// Takes these from now on, for new connections; whether they differ from those in use.
    ///
    /// # Errors
    /// Which of them cannot be used, and why; the old ones stay.
    pub fn renew(&self, cert: Vec<u8>, key: Vec<u8>) -> Result<bool, String> {
        let same = {
            let (old_cert, old_key, _) = &*self.0.borrow();
            (old_cert, old_key) == (&cert, &key)
        };
        if same {
            return Ok(false);
        }
        let config = switch_tls(&cert, &key)?;
        self.0.send_replace((cert, key, config));
        Ok(true)
    }

    pub(in crate::api) fn listener(&self) -> Arc<ServerConfig> {
        self.0.borrow().2.clone()
    }
}

impl std::fmt::Debug for LiveSwitch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LiveSwitch(…)")
    }
}
