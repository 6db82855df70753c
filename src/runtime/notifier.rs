//! Tells webhooks the news, while this daemon leads: in order, each until it has them, none in the way of another.
//!
//! How far each was told is agreed, so that another leader goes on where this one stopped. What was delivered and not yet
//! agreed upon is told again then, under the same delivery number. Nothing waits for a webhook.

use std::sync::Arc;
use std::time::Duration;

use failoverd_domain::fleet::{Actor, Command, Entry, FleetState, HistoryEvent};
use failoverd_domain::ids::Region;
use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::ports::{Agreement, Clock, Hook, Leadership, Webhooks};

/// Before the second try; twice that before the third, and so on.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// One try, whatever the adapter makes of it.
const PATIENCE: Duration = Duration::from_secs(10);
/// An event that nobody took for so long is given up.
const GIVEN_UP_MS: u64 = 24 * 3_600_000;

/// The leader's voice to webhooks.
#[derive(Clone)]
pub(super) struct Notifier {
    pub(super) me: Region,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) agreement: Arc<dyn Agreement>,
    pub(super) webhooks: Arc<dyn Webhooks>,
}

impl Notifier {
    /// Runs for ever.
    pub(super) async fn run(self) {
        join_all(self.webhooks.hooks().into_iter().map(|hook| self.serve(hook))).await;
        // Without a webhook there is nothing to do, and no task may end.
        std::future::pending::<()>().await;
    }

    /// One webhook, by itself.
    async fn serve(&self, hook: Hook) {
        let mut state = self.agreement.state();
        let mut leadership = self.agreement.leadership();
        // What it has from us, agreed upon or not.
        let mut has = 0;
        loop {
            if !leadership.borrow_and_update().is_me {
                // Others may tell it meanwhile, and it may be renamed: only what is agreed counts then.
                has = 0;
                if leadership.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
                continue;
            }
            let seen = state.borrow_and_update().clone();
            match next(&seen, &hook, has) {
                Next::Begin(seq) => self.agree(&hook, seq).await,
                Next::Tell(event) => {
                    if self.deliver(&hook, &event, &mut leadership).await {
                        has = event.seq;
                        self.agree(&hook, event.seq).await;
                    }
                }
                Next::Agree(seq) => self.agree(&hook, seq).await,
                Next::Nothing => {
                    tokio::select! {
                        changed = state.changed() => if changed.is_err() { std::future::pending::<()>().await },
                        changed = leadership.changed() => if changed.is_err() { std::future::pending::<()>().await },
                    }
                }
            }
        }
    }

    /// Tells it of one event until it has it or that is given up; `false` when this daemon does not lead any longer.
    async fn deliver(&self, hook: &Hook, event: &HistoryEvent, leadership: &mut watch::Receiver<Leadership>) -> bool {
        let mut pause = FIRST_PAUSE;
        loop {
            // A leader that was deposed and does not know it yet would tell what its successor tells.
            if self.agreement.confirm_leadership().await.is_ok() {
                let now = self.clock.now();
                let told = timeout(PATIENCE, self.webhooks.tell(&hook.name, event, now)).await;
                let error = match told {
                    Ok(Ok(())) => return true,
                    Ok(Err(error)) => error.to_string(),
                    Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
                };
                if now.since(event.at) >= GIVEN_UP_MS {
                    tracing::error!(
                        hook = hook.name,
                        seq = event.seq,
                        error,
                        "a webhook took no event for a day; it is given up"
                    );
                    return true;
                }
                tracing::warn!(
                    hook = hook.name,
                    seq = event.seq,
                    error,
                    retry_s = pause.as_secs(),
                    "a webhook did not take an event"
                );
            }
            // A successor starts anew with what is agreed.
            if timeout(pause, leadership.wait_for(|seen| !seen.is_me)).await.is_ok() {
                return false;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Puts on record how far it was told. One that is not taken is tried again as part of the next look.
    async fn agree(&self, hook: &Hook, seq: u64) {
        let command = Command::Told { hook: hook.name.clone(), seq };
        let entry = Entry::new(self.clock.now(), Actor::Daemon(self.me.clone()), command);
        let error = match self.agreement.propose(entry).await {
            Ok(applied) => applied.result.err().map(|rejection| rejection.to_string()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(error) = error {
            tracing::debug!(hook = hook.name, seq, error, "how far a webhook was told is not on record yet");
            sleep(FIRST_PAUSE).await;
        }
    }
}

/// What is next for a webhook.
#[derive(Debug, PartialEq)]
enum Next {
    /// It is new: it hears what comes from here on.
    Begin(u64),
    /// Tell it this.
    Tell(Box<HistoryEvent>),
    /// It has this from us, and that is not on record.
    Agree(u64),
    /// It has everything.
    Nothing,
}

fn next(state: &FleetState, hook: &Hook, has: u64) -> Next {
    let Some(told) = state.told.get(&hook.name).copied() else {
        return if state.fleet.as_str().is_empty() { Next::Nothing } else { Next::Begin(state.head.seq) };
    };
    let mut news = state.news.iter().filter(|event| event.seq > told.max(has) && hook.wants(event.kind));
    match news.next() {
        _ if has > told => Next::Agree(has),
        Some(event) => Next::Tell(Box::new(event.clone())),
        None => Next::Nothing,
    }
}

#[cfg(test)]
mod tests;
