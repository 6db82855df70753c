//! A listing that many ask for: fetched by the first, given to all, dropped when something was changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::ports::Call;

/// One listing.
#[derive(Debug)]
pub(super) struct Shared<T> {
    held: Mutex<Option<Held<T>>>,
    /// Raised by every change: what was fetched before is not to be given to whoever asks after it.
    version: AtomicU64,
    /// Fetches that have begun.
    begun: AtomicU64,
}

#[derive(Debug)]
struct Held<T> {
    value: Arc<T>,
    at: Instant,
    version: u64,
    /// Which fetch it was.
    number: u64,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self { held: Mutex::new(None), version: AtomicU64::new(0), begun: AtomicU64::new(0) }
    }
}

impl<T> Shared<T> {
    /// What is held, if it is young enough; else what `fetch` brings. Whoever asks meanwhile waits for that. A fetch
    /// that a change overtook is given to those who had asked before it began, and kept for nobody else: while a
    /// thousand services are settled something changes all the time, and none of them may need a listing of its own.
    pub(super) async fn get(&self, age: Duration, fetch: impl Future<Output = Call<T>>) -> Call<Arc<T>> {
        let asked = self.begun.load(Ordering::SeqCst);
        let mut held = self.held.lock().await;
        let version = self.version.load(Ordering::SeqCst);
        let will_do = |found: &&Held<T>| {
            let is_of_now = found.version == version && found.at.elapsed() < age;
            is_of_now || found.number > asked
        };
        if let Some(found) = held.as_ref().filter(will_do) {
            return Ok(found.value.clone());
        }
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let value = Arc::new(fetch.await?);
        *held = Some(Held { value: value.clone(), at: Instant::now(), version, number });
        Ok(value)
    }

    /// Something was changed, or may have been.
    pub(super) fn drop_it(&self) {
        self.version.fetch_add(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    const AGE: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn one_fetch_serves_all_until_it_is_old_or_something_changed() {
        let shared = Shared::default();
        let fetches = AtomicU32::new(0);
        let get = || {
            shared.get(AGE, async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                Ok(fetches.fetch_add(1, Ordering::SeqCst))
            })
        };
        let (a, b, c) = tokio::join!(get(), get(), get());
        assert_eq!([*a.unwrap(), *b.unwrap(), *c.unwrap()], [0, 0, 0]);
        shared.drop_it();
        assert_eq!(*get().await.unwrap(), 1);
        tokio::time::sleep(AGE).await;
        assert_eq!(*get().await.unwrap(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_fetch_that_a_change_overtook_is_not_kept() {
        let shared = Shared::default();
        let fetch = shared.get(AGE, async {
            shared.drop_it();
            Ok(1)
        });
        assert_eq!(*fetch.await.unwrap(), 1);
        assert_eq!(*shared.get(AGE, async { Ok(2) }).await.unwrap(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn however_much_is_changed_meanwhile_those_who_wait_need_two_fetches_at_most() {
        let shared = Shared::default();
        let fetches = AtomicU32::new(0);
        let get = |after_ms| {
            let (shared, fetches) = (&shared, &fetches);
            async move {
                tokio::time::sleep(Duration::from_millis(after_ms)).await;
                let fetch = async {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    shared.drop_it();
                    Ok(fetches.fetch_add(1, Ordering::SeqCst))
                };
                *shared.get(AGE, fetch).await.unwrap()
            }
        };
        let early = futures_util::future::join_all((0..50).map(|_| get(0)));
        let late = futures_util::future::join_all((0..50).map(|_| get(10)));
        let (early, late) = tokio::join!(early, late);
        assert!(early[0] == 0 && early[1..].iter().all(|number| *number <= 1), "{early:?}");
        assert!(late.iter().all(|number| *number == 1), "one that began after they asked: {late:?}");
    }
}
