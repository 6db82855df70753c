//! Many askers, one call: whoever asks first waits a moment, takes along what others ask meanwhile, and tells them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use crate::ports::{Call, CallError};

/// How long the first one waits for company.
const COMPANY: Duration = Duration::from_millis(10);

type Waiting<K, V> = Vec<(K, oneshot::Sender<Call<V>>)>;

/// Answers that are asked for together and kept for a while.
#[derive(Debug)]
pub(super) struct Batch<K, V> {
    waiting: Mutex<Waiting<K, V>>,
    held: Mutex<BTreeMap<K, (V, Instant)>>,
    age: Duration,
}

impl<K: Ord + Clone, V: Clone> Batch<K, V> {
    /// Answers are given again until they are `age` old.
    pub(super) fn new(age: Duration) -> Self {
        Self { waiting: Mutex::default(), held: Mutex::default(), age }
    }

    /// One answer. `fetch` gets every key that is asked for by then, and answers those that it can.
    pub(super) async fn get<F>(&self, key: K, fetch: impl FnOnce(Vec<K>) -> F) -> Call<Option<V>>
    where
        F: Future<Output = Call<BTreeMap<K, V>>>,
        V: Send,
    {
        if let Some((value, at)) = self.held.lock().unwrap_or_else(PoisonError::into_inner).get(&key)
            && at.elapsed() < self.age
        {
            return Ok(Some(value.clone()));
        }
        let (tell, told) = oneshot::channel();
        let is_first = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.push((key, tell));
            waiting.len() == 1
        };
        if is_first {
            sleep(COMPANY).await;
            let asked = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
            let mut keys: Vec<K> = asked.iter().map(|(key, _)| key.clone()).collect();
            keys.sort();
            keys.dedup();
            let fetched = fetch(keys).await;
            self.tell(asked, fetched);
        }
        // Nobody tells when the first one was given up: it asks again at its next look.
        match told.await {
            Ok(Ok(value)) => Ok(Some(value)),
            Ok(Err(error)) if error.code == NO_ANSWER => Ok(None),
            Ok(Err(error)) => Err(error),
            Err(_) => Ok(None),
        }
    }

    fn tell(&self, asked: Waiting<K, V>, fetched: Call<BTreeMap<K, V>>) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(fetched) = &fetched {
            let now = Instant::now();
            held.extend(fetched.iter().map(|(key, value)| (key.clone(), (value.clone(), now))));
            held.retain(|_, (_, at)| at.elapsed() < self.age);
        }
        for (key, tell) in asked {
            let answer = match &fetched {
                Ok(fetched) => fetched.get(&key).cloned().ok_or_else(no_answer),
                Err(error) => Err(error.clone()),
            };
            // Whoever asked may have gone away.
            let _ = tell.send(answer);
        }
    }
}

/// Between the first asker and the others: the call went well and said nothing of this key.
const NO_ANSWER: &str = "failoverd:NoAnswer";

fn no_answer() -> CallError {
    CallError {
        service: "cloudwatch",
        operation: "",
        region: "".into(),
        code: NO_ANSWER.to_owned(),
        message: String::new(),
        effect: crate::ports::Effect::None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn many_ask_and_one_call_is_made() {
        let batch = Batch::new(Duration::from_secs(20));
        let calls = AtomicUsize::new(0);
        let ask = |key: u32| {
            batch.get(key, async |keys| {
                calls.fetch_add(1, Ordering::SeqCst);
                Ok(keys.into_iter().filter(|key| key % 2 == 0).map(|key| (key, key * 10)).collect())
            })
        };
        let (two, two_again, three, four) = tokio::join!(ask(2), ask(2), ask(3), ask(4));
        assert_eq!([two, two_again, three, four].map(Result::unwrap), [Some(20), Some(20), None, Some(40)]);
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        assert_eq!(ask(4).await.unwrap(), Some(40));
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        sleep(Duration::from_secs(21)).await;
        assert_eq!(ask(4).await.unwrap(), Some(40));
        assert_eq!(calls.load(Ordering::SeqCst), 2);
    }
}
