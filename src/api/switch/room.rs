//! Who is connected, and who must go when there is no room: whoever has been silent longest.
//!
//! Belongs to the one loop that accepts connections. Every step is a constant amount of work on average: a connection is
//! moved in a queue only for a request that it had answered.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::{AbortHandle, Id};
use tokio::time::Instant;

use super::limits::Limits;
use super::rates::Source;

/// The first request is there after this, a TLS handshake included: Route 53 gives up on connecting after 4 s.
pub(in crate::api) const FIRST_WITHIN: Duration = Duration::from_secs(8);
/// The next request is there after this: checkers ask every 10 or 30 s, and two of these fit.
pub(in crate::api) const NEXT_WITHIN: Duration = Duration::from_secs(65);

/// When a connection was last answered, told by whoever answers.
#[derive(Debug)]
pub(in crate::api) struct Pulse {
    came: Instant,
    /// Milliseconds after it came, plus one; 0: never.
    answered: AtomicU64,
}

impl Pulse {
    pub(in crate::api) fn new() -> Self {
        Self { came: Instant::now(), answered: AtomicU64::new(0) }
    }

    pub(in crate::api) fn answered(&self) {
        let ms = u64::try_from(self.came.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.answered.store(ms + 1, Ordering::Relaxed);
    }

    fn is_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed) > 0
    }

    /// Since when nothing was answered.
    fn silent_since(&self) -> Instant {
        self.came + Duration::from_millis(self.answered.load(Ordering::Relaxed).saturating_sub(1))
    }

    fn is_late(&self, now: Instant) -> bool {
        let patience = if self.is_answered() { NEXT_WITHIN } else { FIRST_WITHIN };
        now.saturating_duration_since(self.silent_since()) > patience
    }
}

struct Connected {
    source: Source,
    pulse: Arc<Pulse>,
    task: AbortHandle,
}

/// Longest silence first, as far as known; connections that have ended stay until they are met.
#[derive(Default)]
struct Queue(VecDeque<(Id, Instant)>);

impl Queue {
    fn push(&mut self, id: Id, since: Instant) {
        self.0.push_back((id, since));
    }

    /// Takes out the one that has been silent longest.
    fn pop(&mut self, connected: &HashMap<Id, Connected>) -> Option<Id> {
        let mut turns = self.0.len();
        while let Some((id, seen)) = self.0.pop_front() {
            let Some(one) = connected.get(&id) else { continue };
            let since = one.pulse.silent_since();
            // After a whole turn everybody has been heard of a moment ago: anyone is as good as another.
            if since == seen || turns == 0 {
                return Some(id);
            }
            turns -= 1;
            self.push(id, since);
        }
        None
    }
}

#[derive(Default)]
struct OfSource {
    count: usize,
    queue: Queue,
}

/// Everybody who is connected.
#[derive(Default)]
pub(in crate::api) struct Room {
    connected: HashMap<Id, Connected>,
    sources: HashMap<Source, OfSource>,
    queue: Queue,
}

impl Room {
    /// Makes room for one more connection of this source: its own ones go first, then anybody's.
    pub(in crate::api) fn make(&mut self, source: Source, limits: &Limits) {
        while let Some(own) = self.sources.get_mut(&source)
            && own.count >= limits.connections_of_a_source
            && let Some(id) = own.queue.pop(&self.connected)
        {
            self.end(id);
        }
        while self.connected.len() >= limits.connections && self.end_one() {}
    }

    /// Ends the connection that has been silent longest; `false` when there is none.
    pub(in crate::api) fn end_one(&mut self) -> bool {
        let longest = self.queue.pop(&self.connected);
        longest.is_some_and(|id| {
            self.end(id);
            true
        })
    }

    pub(in crate::api) fn enter(&mut self, source: Source, pulse: Arc<Pulse>, task: AbortHandle) {
        let (id, since) = (task.id(), pulse.silent_since());
        let own = self.sources.entry(source).or_default();
        own.count += 1;
        own.queue.push(id, since);
        self.queue.push(id, since);
        self.connected.insert(id, Connected { source, pulse, task });
    }

    /// A connection has ended, by itself or because it was told to.
    pub(in crate::api) fn leave(&mut self, id: Id) {
        let Some(gone) = self.connected.remove(&id) else { return };
        if let Some(own) = self.sources.get_mut(&gone.source) {
            own.count = own.count.saturating_sub(1);
            if own.count == 0 {
                self.sources.remove(&gone.source);
            }
        }
    }

    /// Ends whoever let too much time pass, and forgets everybody who has left. Called now and then.
    pub(in crate::api) fn sweep(&mut self) {
        let now = Instant::now();
        let late = self.connected.iter().filter(|(_, one)| one.pulse.is_late(now)).map(|(id, _)| *id);
        for id in late.collect::<Vec<_>>() {
            self.end(id);
        }
        let queues = self.sources.values_mut().map(|own| &mut own.queue).chain([&mut self.queue]);
        for queue in queues {
            queue.0.retain(|(id, _)| self.connected.contains_key(id));
        }
    }

    /// How many are connected.
    #[cfg(test)]
    pub(in crate::api) fn len(&self) -> usize {
        self.connected.len()
    }

    fn end(&mut self, id: Id) {
        if let Some(one) = self.connected.get(&id) {
            one.task.abort();
        }
        self.leave(id);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use tokio::task::JoinSet;

    use super::*;

    const LIMITS: Limits = Limits { connections: 4, connections_of_a_source: 3, requests_of_a_source: 1 };

    /// Connections that never end by themselves.
    #[derive(Default)]
    struct Ground {
        room: Room,
        tasks: JoinSet<()>,
    }

    impl Ground {
        fn come(&mut self, last: u8) -> (Id, Arc<Pulse>) {
            let (source, pulse) = (Source::of(IpAddr::from([192, 0, 2, last])), Arc::new(Pulse::new()));
            self.room.make(source, &LIMITS);
            let task = self.tasks.spawn(std::future::pending());
            let id = task.id();
            self.room.enter(source, pulse.clone(), task);
            (id, pulse)
        }

        fn has(&self, id: Id) -> bool {
            self.room.connected.contains_key(&id)
        }
    }

    async fn later(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_has_been_silent_longest_makes_room() {
        let mut ground = Ground::default();
        let mut come = Vec::new();
        for source in 1..=4 {
            come.push(ground.come(source));
            later(1).await;
        }
        // The oldest one has been answered since.
        come[0].1.answered();
        let (new, _) = ground.come(5);
        assert_eq!(come.iter().map(|(id, _)| ground.has(*id)).collect::<Vec<_>>(), [true, false, true, true]);
        assert!(ground.has(new) && ground.room.len() == 4);
        // And it is really gone.
        assert!(ground.tasks.join_next().await.unwrap().unwrap_err().is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_has_its_share_gives_up_its_own() {
        let mut ground = Ground::default();
        let (other, _) = ground.come(1);
        later(1).await;
        let mine: Vec<Id> = (0..20).map(|_| ground.come(2).0).collect();
        assert!(ground.has(other), "the other one came before them and stays");
        assert_eq!(mine.iter().filter(|id| ground.has(**id)).count(), 3);
        assert!(mine[17..].iter().all(|id| ground.has(*id)), "the newest stay");
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_request_is_awaited_shortly_and_the_next_one_for_long() {
        let mut ground = Ground::default();
        let (silent, _) = ground.come(1);
        let (heard, pulse) = ground.come(2);
        later(7).await;
        pulse.answered();
        ground.room.sweep();
        assert!(ground.has(silent) && ground.has(heard));
        later(2).await;
        ground.room.sweep();
        assert!(!ground.has(silent) && ground.has(heard));
        later(62).await;
        ground.room.sweep();
        assert!(ground.has(heard));
        later(2).await;
        ground.room.sweep();
        assert_eq!((ground.room.len(), ground.room.queue.0.len(), ground.room.sources.len()), (0, 0, 0));
    }
}
