//! Looks at the certificates' files again and again, so that new ones are taken without a restart. Contents are compared, not
//! times: Kubernetes swaps a link, and whatever else may rewrite a file with what it held.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use failoverd_domain::ids::Region;
use failoverd_domain::time::Timestamp;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::accepted::{Accepted, names_region};
use crate::api::access::certificate::has_expired;
use crate::api::{LiveSwitch, Secured, TlsPem};
use crate::config::{SwitchTls, Tls};
use crate::ports::Clock;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(10);
/// How often the same trouble is told.
const REPEAT: Duration = Duration::from_secs(600);
/// An own certificate that ends this soon is told of.
const SOON_MS: u64 = 7 * 86_400_000;

/// What is looked at.
pub struct Upkeep {
    region: Region,
    tls: Option<(Tls, Secured)>,
    switch: Option<(SwitchTls, LiveSwitch)>,
    clock: Arc<dyn Clock>,
    told: BTreeMap<&'static str, (String, Instant)>,
}

impl Upkeep {
    /// Of that configuration.
    pub fn of(accepted: &Accepted, clock: Arc<dyn Clock>) -> Self {
        let config = &accepted.config;
        Self {
            region: config.region.clone(),
            tls: config.tls.clone().zip(accepted.secured.clone()),
            switch: config.switch.tls.clone().zip(accepted.switch.tls.clone()),
            clock,
            told: BTreeMap::new(),
        }
    }

    /// For ever.
    pub async fn keep(mut self) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            self.look().await;
        }
    }

    /// Once.
    pub async fn look(&mut self) {
        let (tls, switch) = (self.tls.clone(), self.switch.clone());
        if let Some((files, secured)) = tls {
            let taken = self.renew(&files, &secured).await;
            self.tell("tls", taken);
            let expires = *secured.tls.expires().borrow();
            let trouble = expires.and_then(|expires| expiry(expires, self.clock.now()));
            self.tell("the own certificate", trouble.map_or(Ok(false), Err));
        }
        if let Some((files, live)) = switch {
            let taken = async {
                let (cert, key) = (read(&files.cert).await?, read(&files.key).await?);
                live.renew(cert, key)
            };
            let taken = taken.await;
            self.tell("switch.tls", taken);
        }
    }

    async fn renew(&self, files: &Tls, secured: &Secured) -> Result<bool, String> {
        let (cert, key, ca) = (read(&files.cert).await?, read(&files.key).await?, read(&files.ca).await?);
        let pem = TlsPem { cert, key, ca };
        names_region(&pem, &secured.access, &self.region)?;
        let (old, new) = (*secured.tls.expires().borrow(), pem.expires()?);
        let now = self.clock.now();
        if new <= now && old.is_some_and(|old| old > now) {
            return Err(format!("the certificate has expired at {new}"));
        }
        secured.tls.renew(pem)
    }

    /// News at once, trouble at once and then now and again.
    fn tell(&mut self, what: &'static str, taken: Result<bool, String>) {
        let trouble = match taken {
            Ok(is_new) => {
                self.told.remove(what);
                if is_new {
                    tracing::info!(what, "new certificate files are in use");
                }
                return;
            }
            Err(trouble) => trouble,
        };
        let told = self.told.get(what).is_some_and(|(said, at)| *said == trouble && at.elapsed() < REPEAT);
        if !told {
            tracing::error!(what, error = %trouble, "certificates need a person; those in use stay in use");
            self.told.insert(what, (trouble, Instant::now()));
        }
    }
}

fn expiry(expires: Timestamp, now: Timestamp) -> Option<String> {
    if has_expired(expires, now) {
        Some(format!("it has expired at {expires}: peers and callers refuse this daemon"))
    } else if expires.since(now) < SOON_MS {
        Some(format!("it expires at {expires}: renew it"))
    } else {
        None
    }
}

async fn read(file: &PathBuf) -> Result<Vec<u8>, String> {
    tokio::fs::read(file).await.map_err(|error| format!("{} cannot be read: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_has_expired_once_peers_refuse_it_and_not_before() {
        let expires = Timestamp(1_000_000_000);
        let said = |ms_later: u64| expiry(expires, expires.plus_ms(ms_later));
        assert!(said(999).is_some_and(|said| said.contains("it expires at")), "its last second counts");
        assert!(said(1_000).is_some_and(|said| said.contains("it has expired at")));
        assert!(expiry(expires, expires.minus_ms(SOON_MS)).is_none());
        assert!(expiry(expires, expires.minus_ms(SOON_MS - 1)).is_some());
    }
}
