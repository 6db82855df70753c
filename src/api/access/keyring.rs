//! The keys of an identity provider as they are known here. The provider may be away, even over a restart: what was had last
//! counts until something newer is had. No request waits for it but one that names a key which nobody has heard of, and that
//! one not for long.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};

use super::token::Keys;
use crate::ports::KeySource;

/// Between two looks while all is well.
const REFRESH: Duration = Duration::from_secs(600);
/// After a failed look, doubled each time …
const FIRST_BACKOFF: Duration = Duration::from_secs(2);
/// … up to this.
const MOST_BACKOFF: Duration = Duration::from_secs(300);
/// How long a request with an unknown key waits for news.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// Strangers can name unknown keys as often as they like: the provider is asked no more often than this.
const BETWEEN_ASKS: Duration = Duration::from_secs(10);

/// The keys of an identity provider as they are known here. Clones are the same.
#[derive(Clone)]
pub struct Keyring(Arc<Inner>);

struct Inner {
    source: Arc<dyn KeySource>,
    known: watch::Sender<Arc<Keys>>,
    /// How many looks have ended.
    looks: watch::Sender<u64>,
    asked: Notify,
}

impl Keyring {
    /// Nothing is known before [`Self::tend`] runs.
    #[must_use]
    pub fn new(source: Arc<dyn KeySource>) -> Self {
        let (known, looks) = (watch::Sender::default(), watch::Sender::default());
        Self(Arc::new(Inner { source, known, looks, asked: Notify::new() }))
    }

    /// What is known now.
    #[must_use]
    pub fn known(&self) -> Arc<Keys> {
        self.0.known.borrow().clone()
    }

    /// What is known after one more look, or after a moment.
    pub async fn asked_again(&self) -> Arc<Keys> {
        let mut looks = self.0.looks.subscribe();
        let seen = *looks.borrow_and_update();
        self.0.asked.notify_one();
        let _ = timeout(PATIENCE, looks.wait_for(|now| *now > seen)).await;
        self.known()
    }

    /// Keeps them fresh, for ever.
    pub async fn tend(self) {
        let inner = &self.0;
        if let Some(keys) = inner.source.kept().await.and_then(|kept| Keys::read(&kept).ok()) {
            inner.known.send_replace(Arc::new(keys));
        }
        let mut backoff = FIRST_BACKOFF;
        loop {
            let looked = Instant::now();
            let pause = match self.look().await {
                Ok(()) => {
                    backoff = FIRST_BACKOFF;
                    REFRESH
                }
                Err(error) => {
                    tracing::warn!(%error, "keys of the identity provider cannot be had; those known stay in use");
                    let pause = backoff;
                    backoff = (backoff * 2).min(MOST_BACKOFF);
                    pause
                }
            };
            inner.looks.send_modify(|looks| *looks += 1);
            tokio::select! {
                () = sleep(pause) => {}
                () = async {
                    inner.asked.notified().await;
                    sleep((looked + BETWEEN_ASKS).saturating_duration_since(Instant::now())).await;
                } => {}
            }
        }
    }

    async fn look(&self) -> Result<(), String> {
        let fetched = self.0.source.fetch().await?;
        let keys = Keys::read(&fetched)?;
        if *self.known() != keys {
            tracing::info!("keys of the identity provider are new");
            if let Err(error) = self.0.source.keep(&fetched).await {
                tracing::warn!(%error, "keys of the identity provider cannot be kept on the disk");
            }
            self.0.known.send_replace(Arc::new(keys));
        }
        Ok(())
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keyring(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use failoverd_domain::time::Timestamp;
    use serde_json::json;

    use super::super::token::TokenError;
    use super::super::token::tests::{Provider, rules};
    use super::*;

    #[derive(Default)]
    struct FakeSource {
        there: Mutex<Option<Vec<u8>>>,
        disk: Mutex<Option<Vec<u8>>>,
        looks: Mutex<u32>,
    }

    #[async_trait]
    impl KeySource for FakeSource {
        async fn fetch(&self) -> Result<Vec<u8>, String> {
            *self.looks.lock().unwrap() += 1;
            self.there.lock().unwrap().clone().ok_or_else(|| "it is down".to_owned())
        }
        async fn kept(&self) -> Option<Vec<u8>> {
            self.disk.lock().unwrap().clone()
        }
        async fn keep(&self, keys: &[u8]) -> Result<(), String> {
            *self.disk.lock().unwrap() = Some(keys.to_vec());
            Ok(())
        }
    }

    fn takes(ring: &Keyring, provider: &Provider) -> bool {
        takes_by(&ring.known(), provider) == Ok(())
    }

    fn takes_by(keys: &Keys, provider: &Provider) -> Result<(), TokenError> {
        rules().verify(&provider.token(&json!({})), keys, Timestamp(1_764_000_000_000)).map(|_| ())
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_are_taken_while_the_provider_is_down_and_after_a_restart() {
        let (source, provider) = (Arc::new(FakeSource::default()), Provider::new("k1"));
        *source.there.lock().unwrap() = Some(provider.jwks());
        let mut tending = tokio::task::JoinSet::new();
        let ring = Keyring::new(source.clone());
        tending.spawn(ring.clone().tend());
        sleep(Duration::from_secs(1)).await;
        assert!(takes(&ring, &provider));
        *source.there.lock().unwrap() = None;
        sleep(Duration::from_secs(100_000)).await;
        assert!(takes(&ring, &provider), "down for a day");

        tending.shutdown().await;
        let ring = Keyring::new(source.clone());
        assert!(!takes(&ring, &provider));
        tending.spawn(ring.clone().tend());
        sleep(Duration::from_secs(1)).await;
        assert!(takes(&ring, &provider), "from the disk");
        // Whatever stands where the keys should be is no reason to forget them.
        *source.there.lock().unwrap() = Some(b"<html>maintenance</html>".to_vec());
        sleep(Duration::from_secs(1_000)).await;
        assert!(takes(&ring, &provider));
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_key_is_known_at_once_and_strangers_cannot_make_us_ask_for_ever() {
        let (source, old, new) = (Arc::new(FakeSource::default()), Provider::new("k1"), Provider::new("k2"));
        *source.there.lock().unwrap() = Some(old.jwks());
        let mut tending = tokio::task::JoinSet::new();
        let ring = Keyring::new(source.clone());
        tending.spawn(ring.clone().tend());
        sleep(Duration::from_secs(60)).await;
        *source.there.lock().unwrap() = Some(new.jwks());
        assert_eq!(takes_by(&ring.known(), &new), Err(TokenError::UnknownKey));
        assert_eq!(takes_by(&*ring.asked_again().await, &new), Ok(()));

        let (before, began) = (*source.looks.lock().unwrap(), Instant::now());
        for _ in 0..100 {
            let asked = Instant::now();
            ring.asked_again().await;
            assert!(
                asked.elapsed() <= PATIENCE + Duration::from_millis(10),
                "a request waited for {:?}",
                asked.elapsed()
            );
        }
        let (asked, most) =
            (*source.looks.lock().unwrap() - before, began.elapsed().as_secs() / BETWEEN_ASKS.as_secs() + 1);
        assert!(u64::from(asked) <= most, "{asked} looks in {:?}", began.elapsed());
    }
}
