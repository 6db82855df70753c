//! Sends what services have left with the packer: one batch at a time for each zone, and never on one service's account
//! against the others.

use failoverd_domain::traffic::{Piece, pack};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

use super::packer::{Asker, Lane};
use super::{Settler, Unsettled};
use crate::ports::{CallError, Effect, World};

/// Longest wait for every name server to have a change.
const INSYNC_PATIENCE: Duration = Duration::from_secs(120);

/// A batch that Route 53 took.
struct Sent {
    change: String,
    askers: Vec<Asker>,
}

/// What has come to an end.
enum Ended {
    Sent(Lane, Vec<Sent>),
    InSync,
}

impl Settler {
    /// Runs for ever. No service's future is needed for this to go on: who waits may be dropped at any time.
    pub(super) async fn post(&self) {
        let mut under_way: FuturesUnordered<BoxFuture<'_, Ended>> = FuturesUnordered::new();
        loop {
            for (lane, pieces) in self.packer.take_due() {
                under_way.push(Box::pin(self.send(lane, pieces)));
            }
            let due = self.packer.next_due();
            tokio::select! {
                biased;
                Some(ended) = under_way.next(), if !under_way.is_empty() => {
                    if let Ended::Sent(lane, batches) = ended {
                        self.packer.sent(&lane);
                        let in_sync = |sent| -> BoxFuture<'_, Ended> { Box::pin(self.tell_when_in_sync(lane.clone(), sent)) };
                        under_way.extend(batches.into_iter().map(in_sync));
                    }
                }
                () = self.packer.news.notified() => {}
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            }
        }
    }

    /// Sends pieces of one zone in as few batches as they fit in.
    async fn send(&self, lane: Lane, pieces: Vec<Piece<Asker>>) -> Ended {
        let world = self.world.acting_as(lane.0.as_deref());
        let (batches, refused) = pack(pieces);
        for large in refused {
            let words = format!("records of {}: {large}", large.key.service.spec.name);
            large.key.answer(Err(Unsettled::Stuck(words)));
        }
        let mut left: Vec<Vec<Piece<Asker>>> = batches.into_iter().rev().map(|batch| batch.pieces).collect();
        let mut sent = Vec::new();
        while let Some(pieces) = left.pop() {
            let pieces = self.who_still_wants(pieces).await;
            if pieces.is_empty() {
                continue;
            }
            let changes = pieces.iter().flat_map(|piece| &piece.changes).cloned().collect();
            match world.records.change(&lane.1, changes).await {
                Ok(change) => sent.push(Sent { change, askers: askers(pieces) }),
                Err(error) if pieces.len() > 1 && is_about_some(&error) => {
                    left.extend(without_the_guilty(pieces, &error))
                }
                // The next round reads what came of it, and every change is exact about what it replaces.
                Err(error) if error.effect == Effect::Unknown => tell(pieces, &Ok(())),
                Err(error) => {
                    let busy = error.effect == Effect::NoneRetryable;
                    tell(pieces, &Err(Unsettled::Call(error.clone())));
                    if busy {
                        // The others would be told the same: all of them come again later, and together.
                        left.drain(..).for_each(|pieces| tell(pieces, &Err(Unsettled::Call(error.clone()))));
                    }
                }
            }
        }
        Ended::Sent(lane, sent)
    }

    /// Asked right before each batch, as a leader of a moment ago may be none any more, and services move on meanwhile.
    async fn who_still_wants(&self, pieces: Vec<Piece<Asker>>) -> Vec<Piece<Asker>> {
        if let Err(moved_on) = self.confirm().await {
            tell(pieces, &Err(moved_on));
            return Vec::new();
        }
        let mut wanted = Vec::with_capacity(pieces.len());
        for piece in pieces {
            match self.still(&piece.key.service) {
                _ if piece.key.is_gone() => {}
                Ok(()) => wanted.push(piece),
                Err(moved_on) => piece.key.answer(Err(moved_on)),
            }
        }
        wanted
    }

    /// One wait for all whose changes are in the batch.
    async fn tell_when_in_sync(&self, lane: Lane, sent: Sent) -> Ended {
        let world = self.world.acting_as(lane.0.as_deref());
        let ended = self.wait_in_sync(&world, &sent.change).await;
        for asker in sent.askers {
            asker.answer(ended.clone());
        }
        Ended::InSync
    }

    async fn wait_in_sync(&self, world: &World, change: &str) -> Result<(), Unsettled> {
        let deadline = Instant::now() + INSYNC_PATIENCE;
        while !world.records.in_sync(change).await? {
            if Instant::now() >= deadline {
                return Err(Unsettled::Stuck(format!("change {change} is still not INSYNC")));
            }
            sleep(self.timing.settle).await;
        }
        Ok(())
    }
}

fn askers(pieces: Vec<Piece<Asker>>) -> Vec<Asker> {
    pieces.into_iter().map(|piece| piece.key).collect()
}

fn tell(pieces: Vec<Piece<Asker>>, ended: &Result<(), Unsettled>) {
    for asker in askers(pieces) {
        asker.answer(ended.clone());
    }
}

/// Whether the batch was refused for what some of it says. A refusal of the caller, or of the zone, is everybody's.
fn is_about_some(error: &CallError) -> bool {
    let about_changes = ["InvalidChangeBatch", "InvalidInput", "NoSuchHealthCheck"];
    error.effect == Effect::None && about_changes.contains(&error.code.as_str())
}

/// What to try next of a batch that was refused: without whom AWS names, who is told so; or, where it names nobody, each
/// half by itself.
fn without_the_guilty(pieces: Vec<Piece<Asker>>, error: &CallError) -> Vec<Vec<Piece<Asker>>> {
    let (guilty, mut innocent): (Vec<_>, Vec<_>) =
        pieces.into_iter().partition(|piece| piece.is_named_in(&error.message));
    if guilty.is_empty() {
        let other_half = innocent.split_off(innocent.len() / 2);
        return vec![other_half, innocent];
    }
    tell(guilty, &Err(Unsettled::Call(error.clone())));
    if innocent.is_empty() { Vec::new() } else { vec![innocent] }
}
