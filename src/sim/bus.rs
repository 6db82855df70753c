//! The network between the daemons, in memory: latency, links cut one way, answers lost, daemons gone.
//!
//! Time on it is tokio's and jitter comes from a seed, so a paused, current-thread runtime replays it exactly.
//! What is asked over a cut link takes as long as a real connection that nobody answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use failoverd_domain::fleet::{Applied, Entry, HistoryEvent};
use failoverd_domain::health::Report;
use failoverd_domain::ids::Region;
use failoverd_domain::traffic::{LookUp, Sighting};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::ports::{PeerError, Peers, ProposeError};

/// A daemon as the others reach it.
#[async_trait]
pub trait Endpoint: Send + Sync {
    /// Answers a consensus message.
    async fn raft(&self, message: Vec<u8>) -> Result<Vec<u8>, String>;
    /// Takes another daemon's newest report.
    async fn share(&self, report: Report) -> Result<(), String>;
    /// Events from `from_seq` on, oldest first.
    async fn events(&self, from_seq: u64, limit: u32) -> Result<Vec<HistoryEvent>, String>;
    /// Proposes an entry for another daemon.
    async fn forward(&self, entry: Entry) -> Result<Applied, ProposeError>;
    /// Looks at the names of a service for another daemon.
    async fn look_up(&self, asked: LookUp) -> Result<Sighting, String>;
}

/// The network between the daemons. Clones are the same network.
#[derive(Clone)]
pub struct Bus {
    wiring: Arc<Mutex<Wiring>>,
}

struct Wiring {
    endpoints: BTreeMap<Region, Arc<dyn Endpoint>>,
    latency: Duration,
    jitter: Duration,
    links: BTreeMap<(Region, Region), Duration>,
    cut: BTreeSet<(Region, Region)>,
    losing_replies: BTreeSet<(Region, Region)>,
    patience: Duration,
    rng: StdRng,
    delivered: u64,
}

impl Bus {
    /// A network without daemons: 1 ms each way, no jitter, and one second until a caller gives up on silence.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let wiring = Wiring {
            endpoints: BTreeMap::new(),
            latency: Duration::from_millis(1),
            jitter: Duration::ZERO,
            links: BTreeMap::new(),
            cut: BTreeSet::new(),
            losing_replies: BTreeSet::new(),
            patience: Duration::from_secs(1),
            rng: StdRng::seed_from_u64(seed),
            delivered: 0,
        };
        Self { wiring: Arc::new(Mutex::new(wiring)) }
    }

    /// The daemon of `region` answers from now on.
    pub fn attach(&self, region: Region, endpoint: Arc<dyn Endpoint>) {
        self.wiring().endpoints.insert(region, endpoint);
    }

    /// The daemon of `region` is gone: connections to it are refused.
    pub fn detach(&self, region: &Region) {
        self.wiring().endpoints.remove(region);
    }

    /// How long a message takes one way, and how much longer at random.
    pub fn set_latency(&self, latency: Duration, jitter: Duration) {
        let mut wiring = self.wiring();
        wiring.latency = latency;
        wiring.jitter = jitter;
    }

    /// How long a message takes from one Region to another, jitter apart; other links keep what they have.
    pub fn set_link_latency(&self, from: &Region, to: &Region, latency: Duration) {
        self.wiring().links.insert((from.clone(), to.clone()), latency);
    }

    /// How long a caller waits for an answer that does not come.
    pub fn set_patience(&self, patience: Duration) {
        self.wiring().patience = patience;
    }

    /// Nothing gets from `from` to `to` any more, neither messages nor answers. The other way stays.
    pub fn cut(&self, from: &Region, to: &Region) {
        self.wiring().cut.insert((from.clone(), to.clone()));
    }

    /// Undoes [`Self::cut`].
    pub fn mend(&self, from: &Region, to: &Region) {
        self.wiring().cut.remove(&(from.clone(), to.clone()));
    }

    /// Nothing gets from `region` to any of `others` or back.
    pub fn isolate<'a>(&self, region: &Region, others: impl IntoIterator<Item = &'a Region>) {
        for other in others.into_iter().filter(|other| *other != region) {
            self.cut(region, other);
            self.cut(other, region);
        }
    }

    /// What `from` asks of `to` arrives and takes effect, but the answer is lost; or no longer so.
    pub fn lose_replies(&self, from: &Region, to: &Region, lost: bool) {
        let link = (from.clone(), to.clone());
        let mut wiring = self.wiring();
        if lost {
            wiring.losing_replies.insert(link);
        } else {
            wiring.losing_replies.remove(&link);
        }
    }

    /// All links work again. Daemons that are gone stay gone.
    pub fn heal(&self) {
        let mut wiring = self.wiring();
        wiring.cut.clear();
        wiring.losing_replies.clear();
    }

    /// How many messages have arrived so far.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.wiring().delivered
    }

    /// The other daemons as `me` reaches them.
    #[must_use]
    pub fn peers(&self, me: Region) -> Arc<dyn Peers> {
        Arc::new(Line { wiring: Arc::downgrade(&self.wiring), me })
    }

    fn wiring(&self) -> MutexGuard<'_, Wiring> {
        self.wiring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn patience(&self) -> Duration {
        self.wiring().patience
    }

    async fn silence(&self, to: &Region, may_have_arrived: bool) -> PeerError {
        tokio::time::sleep(self.patience()).await;
        failed(to, "no answer", may_have_arrived)
    }

    /// Waits as long as a message takes; `false` when it never arrives.
    async fn travel(&self, from: &Region, to: &Region) -> bool {
        let link = (from.clone(), to.clone());
        let time = {
            let mut wiring = self.wiring();
            let latency = wiring.links.get(&link).copied().unwrap_or(wiring.latency);
            let jitter = wiring.jitter;
            latency + jitter.mul_f64(wiring.rng.r#gen::<f64>())
        };
        tokio::time::sleep(time).await;
        !self.wiring().cut.contains(&link)
    }
}

/// One daemon's end of the network. The network holds the daemons, and so they do not hold it: else none would ever be freed.
struct Line {
    wiring: Weak<Mutex<Wiring>>,
    me: Region,
}

impl Line {
    fn bus(&self, to: &Region) -> Result<Bus, PeerError> {
        let wiring = self.wiring.upgrade().ok_or_else(|| failed(to, "there is no network any more", false))?;
        Ok(Bus { wiring })
    }

    /// Carries a message to `to`: the endpoint that takes it.
    async fn reach(&self, to: &Region) -> Result<Arc<dyn Endpoint>, PeerError> {
        let bus = self.bus(to)?;
        if !bus.travel(&self.me, to).await {
            return Err(bus.silence(to, false).await);
        }
        let mut wiring = bus.wiring();
        let endpoint = wiring.endpoints.get(to).cloned();
        wiring.delivered += u64::from(endpoint.is_some());
        endpoint.ok_or_else(|| failed(to, "connection refused", false))
    }

    /// Carries the answer back.
    async fn answered<T>(&self, to: &Region, answer: T) -> Result<T, PeerError> {
        let bus = self.bus(to).map_err(|error| PeerError { may_have_arrived: true, ..error })?;
        let lost = bus.wiring().losing_replies.contains(&(self.me.clone(), to.clone()));
        if lost || !bus.travel(to, &self.me).await {
            return Err(bus.silence(to, true).await);
        }
        Ok(answer)
    }
}

fn failed(peer: &Region, reason: impl Into<String>, may_have_arrived: bool) -> PeerError {
    PeerError { peer: peer.clone(), reason: reason.into(), may_have_arrived }
}

#[async_trait]
impl Peers for Line {
    async fn raft(&self, to: &Region, message: Vec<u8>) -> Result<Vec<u8>, PeerError> {
        let answer = self.reach(to).await?.raft(message).await;
        self.answered(to, answer).await?.map_err(|reason| failed(to, reason, true))
    }

    async fn share(&self, to: &Region, report: &Report) -> Result<(), PeerError> {
        let answer = self.reach(to).await?.share(report.clone()).await;
        self.answered(to, answer).await?.map_err(|reason| failed(to, reason, true))
    }

    async fn events(&self, from: &Region, from_seq: u64, limit: u32) -> Result<Vec<HistoryEvent>, PeerError> {
        let answer = self.reach(from).await?.events(from_seq, limit).await;
        self.answered(from, answer).await?.map_err(|reason| failed(from, reason, true))
    }

    async fn forward(&self, to: &Region, entry: Entry) -> Result<Result<Applied, ProposeError>, PeerError> {
        let answer = self.reach(to).await?.forward(entry).await;
        self.answered(to, answer).await
    }

    async fn look_up(&self, at: &Region, asked: &LookUp) -> Result<Sighting, PeerError> {
        let answer = self.reach(at).await?.look_up(asked.clone()).await;
        self.answered(at, answer).await?.map_err(|reason| failed(at, reason, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};
    use tokio::time::Instant;

    #[derive(Default)]
    struct Counting(AtomicU32);

    #[async_trait]
    impl Endpoint for Counting {
        async fn raft(&self, message: Vec<u8>) -> Result<Vec<u8>, String> {
            self.0.fetch_add(1, Ordering::Relaxed);
            if message.is_empty() { Err("empty".to_owned()) } else { Ok(message) }
        }

        async fn share(&self, _: Report) -> Result<(), String> {
            Ok(())
        }

        async fn events(&self, _: u64, _: u32) -> Result<Vec<HistoryEvent>, String> {
            Ok(Vec::new())
        }

        async fn forward(&self, _: Entry) -> Result<Applied, ProposeError> {
            Err(ProposeError::NotLeader { leader: None })
        }

        async fn look_up(&self, _: LookUp) -> Result<Sighting, String> {
            Ok(Sighting::default())
        }
    }

    fn pair() -> (Bus, Arc<Counting>, Arc<dyn Peers>, Region, Region) {
        let (a, b) = (Region::from("a"), Region::from("b"));
        let (bus, there) = (Bus::new(1), Arc::new(Counting::default()));
        bus.attach(b.clone(), there.clone());
        let peers = bus.peers(a.clone());
        (bus, there, peers, a, b)
    }

    #[tokio::test(start_paused = true)]
    async fn messages_take_their_time_both_ways() {
        let (bus, _, peers, a, b) = pair();
        bus.set_link_latency(&a, &b, Duration::from_millis(70));
        let begun = Instant::now();
        assert_eq!(peers.raft(&b, vec![1]).await, Ok(vec![1]));
        assert_eq!(begun.elapsed(), Duration::from_millis(71));
        assert!(peers.raft(&b, vec![]).await.unwrap_err().may_have_arrived, "an error of the other side arrived");
    }

    #[tokio::test(start_paused = true)]
    async fn a_cut_is_one_way_and_looks_like_silence() {
        let (bus, there, peers, a, b) = pair();
        bus.cut(&a, &b);
        let begun = Instant::now();
        assert!(!peers.raft(&b, vec![1]).await.unwrap_err().may_have_arrived);
        assert!(begun.elapsed() >= Duration::from_secs(1), "nobody answers at once over a cut link");
        assert_eq!(there.0.load(Ordering::Relaxed), 0);

        bus.heal();
        bus.cut(&b, &a);
        assert!(peers.raft(&b, vec![1]).await.unwrap_err().may_have_arrived);
        assert_eq!(there.0.load(Ordering::Relaxed), 1, "it arrived, its answer did not");
    }

    #[tokio::test(start_paused = true)]
    async fn lost_replies_and_daemons_that_are_gone() {
        let (bus, there, peers, a, b) = pair();
        bus.lose_replies(&a, &b, true);
        assert!(peers.raft(&b, vec![1]).await.unwrap_err().may_have_arrived);
        assert_eq!(there.0.load(Ordering::Relaxed), 1);
        bus.lose_replies(&a, &b, false);
        assert!(peers.raft(&b, vec![1]).await.is_ok());
        bus.detach(&b);
        let refused = peers.raft(&b, vec![1]).await.unwrap_err();
        assert_eq!((refused.reason.as_str(), refused.may_have_arrived), ("connection refused", false));
    }
}
