//! What many services that are settled side by side do once for all of them: confirm leadership, and change a health
//! check that they share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use tokio::sync::Mutex;

use crate::ports::{Agreement, Call, ProposeError};

/// Leadership, confirmed for all who ask at the same time.
///
/// A linearizable read that began after somebody asked answers them, whoever it was made for.
#[derive(Default)]
pub(super) struct Confirmation {
    begun: AtomicU64,
    newest: Mutex<Option<(u64, Result<(), ProposeError>)>>,
}

impl Confirmation {
    pub(super) async fn confirm(&self, agreement: &dyn Agreement) -> Result<(), ProposeError> {
        let asked = self.begun.load(Ordering::SeqCst);
        let mut newest = self.newest.lock().await;
        if let Some((began, outcome)) = newest.as_ref().filter(|(began, _)| *began > asked) {
            tracing::trace!(began, "leadership was confirmed meanwhile");
            return outcome.clone();
        }
        let began = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let outcome = agreement.confirm_leadership().await;
        *newest = Some((began, outcome.clone()));
        outcome
    }
}

/// A health check as a role reaches it.
pub(super) type CheckKey = (Option<String>, String);
/// When it was last changed here, and how that ended.
type LastChange = Arc<Mutex<Option<(u64, Call<()>)>>>;

/// Changes of health checks. Those of a switch group are wanted by every service of the group; whoever comes second
/// takes the first one's outcome for its own, and looks again.
#[derive(Default)]
pub(super) struct CheckChanges {
    count: AtomicU64,
    newest: StdMutex<BTreeMap<CheckKey, LastChange>>,
}

impl CheckChanges {
    /// A moment, to be taken before checks are read.
    pub(super) fn now(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    /// Does `change`, unless the check was changed after `read_at`.
    pub(super) async fn once(&self, key: CheckKey, read_at: u64, change: impl Future<Output = Call<()>>) -> Call<()> {
        let of_check = {
            let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
            newest.entry(key).or_default().clone()
        };
        let mut last = of_check.lock().await;
        if let Some((_, outcome)) = last.as_ref().filter(|(at, _)| *at > read_at) {
            return outcome.clone();
        }
        let outcome = change.await;
        let at = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        *last = Some((at, outcome.clone()));
        outcome
    }

    /// Forgets everything: for whoever leads no more.
    pub(super) fn forget(&self) {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_check_that_many_want_changed_is_changed_once_and_again_after_a_new_look() {
        let (changes, calls) = (CheckChanges::default(), AtomicU64::new(0));
        let key = |reference: &str| (None, reference.to_owned());
        let change = |read_at, reference: &str| {
            changes.once(key(reference), read_at, async {
                sleep(Duration::from_millis(50)).await;
                calls.fetch_add(1, Ordering::SeqCst);
                Ok(())
            })
        };
        let before = changes.now();
        let (a, b, other) = tokio::join!(change(before, "p"), change(before, "p"), change(before, "s"));
        assert_eq!((a, b, other, calls.load(Ordering::SeqCst)), (Ok(()), Ok(()), Ok(()), 2));
        change(before, "p").await.unwrap();
        assert_eq!(calls.load(Ordering::SeqCst), 2, "it looked before the change");
        change(changes.now(), "p").await.unwrap();
        assert_eq!(calls.load(Ordering::SeqCst), 3, "it looked since");
        // Whoever gives up in the middle leaves the change to the next.
        let looked = changes.now();
        assert!(tokio::time::timeout(Duration::from_millis(10), change(looked, "p")).await.is_err());
        change(looked, "p").await.unwrap();
        assert_eq!(calls.load(Ordering::SeqCst), 4);
    }
}
