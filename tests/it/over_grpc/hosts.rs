//! The ground of daemons on hosts of their own, each with a runtime and a network of turmoil.
//!
//! Hosts are switched on and off from outside, between two ticks. So whoever asks for that leaves an order, and
//! [`Hosts::carry_out`] sees to it.

use std::collections::{BTreeMap, VecDeque};
use std::future::pending;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use failoverd::adapters::no_history::NoHistory;
use failoverd::api::tls::Dial;
use failoverd::api::{self, GrpcPeers, Handles};
use failoverd::daemon::Doorway;
use failoverd::ports::{Clock, Peers, RetryBudget};
use failoverd::runtime::TaskKind;
use failoverd::sim::fleet::{BEGINNING, Daemon, Fault, Ground, Home, REGIONS, Said, Surroundings};
use failoverd::sim::world::Draws;
use failoverd::telemetry::Telemetry;
use failoverd_domain::fleet::{Actor, Command, Entry};
use failoverd_domain::ids::Region;
use failoverd_domain::time::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use turmoil::Sim;
use turmoil::net::TcpListener;

use super::lines::{Caller, Lines, Socket, Way};
use super::papers::{self, ALICE, PORT};
use super::person;

/// Shortest and longest time that a message takes one way between two hosts, milliseconds; a person sits anywhere.
const LATENCIES: [(&str, &str, u64); 3] =
    [("us-east-1", "eu-west-1", 45), ("us-east-1", "us-west-2", 40), ("eu-west-1", "us-west-2", 80)];
pub const SHORTEST: Duration = Duration::from_millis(25);
pub const LONGEST: Duration = Duration::from_millis(50);
/// On a slow line. Longer there and back than between two signs of life of a leader.
const SLOW: Duration = Duration::from_millis(350);

/// Something to be done between two ticks.
enum Order {
    On(Region),
    Off(Region, oneshot::Sender<()>),
    /// A line becomes slow, or as fast as it was.
    Slow((Region, Region), bool),
}

/// What a daemon is asked to send to whoever leads.
type Sending = (Entry, oneshot::Sender<Result<Result<(), String>, String>>);

/// What a host starts, and where it says how that went.
type Plan = (Home, Surroundings, oneshot::Sender<Result<Daemon, String>>);

/// What a host needs to know when it is switched on, and what to send on.
#[derive(Default)]
struct Desk {
    plan: Option<Plan>,
    sending: Option<mpsc::UnboundedSender<Sending>>,
}

/// The hosts. Clones are the same.
#[derive(Clone)]
pub struct Hosts {
    lines: Lines,
    orders: Arc<Mutex<VecDeque<Order>>>,
    desks: Arc<BTreeMap<Region, Mutex<Desk>>>,
    /// A person's connections.
    channels: Arc<Mutex<BTreeMap<Region, Channel>>>,
    newest_ms: Arc<AtomicU64>,
}

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The simulation's own time, as every host has it.
struct SimulatedTime {
    ahead_ms: u64,
    newest_ms: Arc<AtomicU64>,
}

impl Clock for SimulatedTime {
    fn now(&self) -> Timestamp {
        // Between ticks there is no time; what is asked then is asked by what is taken down.
        let now = turmoil::sim_elapsed().and_then(|elapsed| u64::try_from(elapsed.as_millis()).ok());
        let now = now.unwrap_or_else(|| self.newest_ms.load(Ordering::Relaxed));
        self.newest_ms.store(now, Ordering::Relaxed);
        BEGINNING.plus_ms(now + self.ahead_ms)
    }
}

fn lay_line(sim: &Sim<'_>, a: &str, b: &str) {
    let longest = LATENCIES.iter().find(|(from, to, _)| [(*from, *to), (*to, *from)].contains(&(a, b)));
    sim.set_link_latency(a, b, SHORTEST);
    sim.set_link_max_message_latency(a, b, longest.map_or(LONGEST, |(.., ms)| Duration::from_millis(*ms)));
}

impl Hosts {
    /// Three of them, switched off.
    pub fn new(seed: u64, sim: &mut Sim<'_>) -> Self {
        let desks = REGIONS.map(|region| (Region::from(region), Mutex::default())).into();
        let hosts = Self {
            lines: Lines::new(seed),
            orders: Arc::default(),
            desks: Arc::new(desks),
            channels: Arc::default(),
            newest_ms: Arc::default(),
        };
        for region in REGIONS {
            let ours = hosts.clone();
            sim.host(region, move || ours.clone().run(Region::from(region)));
        }
        hosts
    }

    /// As it is between Regions.
    pub fn lay_lines(sim: &Sim<'_>) {
        LATENCIES.iter().for_each(|(a, b, _)| lay_line(sim, a, b));
    }

    /// What has been asked for since the last tick.
    pub fn carry_out(&self, sim: &mut Sim<'_>) {
        let orders = std::mem::take(&mut *locked(&self.orders));
        for order in orders {
            match order {
                Order::On(region) => sim.bounce(region.as_str()),
                Order::Off(region, done) => {
                    self.switch_off(sim, &region);
                    let _ = done.send(());
                }
                Order::Slow((a, b), true) => sim.set_link_latency(a.as_str(), b.as_str(), SLOW),
                Order::Slow((a, b), false) => lay_line(sim, a.as_str(), b.as_str()),
            }
        }
    }

    /// Who has no power says no goodbye. Turmoil would have every connection say it, in an order that no seed decides.
    fn switch_off(&self, sim: &mut Sim<'_>, region: &Region) {
        let others = || REGIONS.into_iter().chain([ALICE]).filter(|other| *other != region.as_str());
        others().for_each(|other| sim.partition_oneway(region.as_str(), other));
        sim.crash(region.as_str());
        for other in others() {
            match self.lines.laid(region, &other.into()) {
                Way::Cut => {}
                Way::Open => sim.repair_oneway(region.as_str(), other),
                Way::Held => sim.hold(region.as_str(), other),
            }
        }
    }

    fn order(&self, order: Order) {
        locked(&self.orders).push_back(order);
    }

    fn desk(&self, region: &Region) -> MutexGuard<'_, Desk> {
        locked(&self.desks[region])
    }

    /// What a host does when it is switched on.
    async fn run(self, region: Region) -> turmoil::Result {
        let Some((home, around, started)) = self.desk(&region).plan.take() else { return pending().await };
        let daemon = match self.boot(&home, &around).await {
            Ok(daemon) => daemon,
            Err(why) => {
                let _ = started.send(Err(why));
                return pending().await;
            }
        };
        let (sending, mut sent) = mpsc::unbounded_channel();
        self.desk(&region).sending = Some(sending);
        let _ = started.send(Ok(daemon.clone()));
        while let Some((entry, answer)) = sent.recv().await {
            let answered = daemon.sent(entry).await;
            let _ = answer.send(answered.map(|applied| applied.result.map(drop).map_err(|why| why.to_string())));
        }
        pending().await
    }

    /// A daemon whose consensus, reports, forwarded commands and API go through gRPC as they ship.
    async fn boot(&self, home: &Home, around: &Surroundings) -> Result<Daemon, String> {
        let tls = papers::of(home.region.as_str());
        let network = Caller { host: home.region.clone(), lines: self.lines.clone() };
        let peers: Arc<dyn Peers> = Arc::new(GrpcPeers::over(network, &papers::urls(), Some(&tls))?);
        let listener = TcpListener::bind(("0.0.0.0", PORT)).await.map_err(|error| error.to_string())?;
        let daemon = Daemon::start(home, around, peers.clone()).await?;
        let (consensus, engine) = (daemon.consensus().clone(), daemon.engine().clone());
        let handles = Handles {
            me: home.region.clone(),
            agreement: Arc::new(consensus.clone()),
            peers,
            matrix: engine.matrix,
            history: daemon.history().unwrap_or_else(|| Arc::new(NoHistory)),
            world: daemon.world().clone(),
            clock: daemon.clock(),
            view: engine.view,
            inbox: engine.inbox,
            outbox: consensus.outbox(),
            members: Arc::new(consensus.clone()),
            raft: Arc::new(Doorway(consensus)),
            telemetry: Telemetry::counting(daemon.clock().now()),
            retries: Arc::new(RetryBudget::new(home.region.as_str())),
        };
        let serving = api::serve(Socket(listener), handles, Some(papers::secured(tls)), CancellationToken::new());
        let region = home.region.clone();
        daemon.supervisor().spawn(TaskKind::Listener, async move {
            println!("the listener of {region} ended: {:?}", serving.await);
        });
        Ok(daemon)
    }

    /// A person's connection to a daemon, made when it is first used and again when it broke.
    fn channel(&self, to: &Region) -> Channel {
        let connect = || {
            let network = Caller { host: ALICE.into(), lines: self.lines.clone() };
            let url = |scheme: &str| format!("{scheme}://{to}:{PORT}");
            let endpoint = Endpoint::from_shared(url("http")).unwrap().origin(url("https").parse().unwrap());
            let endpoint = endpoint.connect_timeout(Duration::from_secs(2)).timeout(person::PATIENCE);
            endpoint.connect_with_connector_lazy(Dial::new(papers::of(ALICE), network))
        };
        locked(&self.channels).entry(to.clone()).or_insert_with(connect).clone()
    }

    fn pair(fault: &Fault) -> Option<(Region, Region)> {
        match fault {
            Fault::Flapping(a, b) | Fault::Held(a, b) | Fault::SlowLine(a, b) => Some((a.clone(), b.clone())),
            _ => None,
        }
    }
}

#[async_trait]
impl Ground for Hosts {
    fn clock(&self, ahead_ms: u64) -> Arc<dyn Clock> {
        Arc::new(SimulatedTime { ahead_ms, newest_ms: self.newest_ms.clone() })
    }

    async fn start(&self, home: &Home, around: &Surroundings) -> Result<Daemon, String> {
        let (started, heard) = oneshot::channel();
        self.desk(&home.region).plan = Some((home.clone(), around.clone(), started));
        self.order(Order::On(home.region.clone()));
        heard.await.map_err(|_| "the host was switched off".to_owned())?
    }

    async fn crash(&self, home: &Home, daemon: Daemon) {
        let (done, off) = oneshot::channel();
        self.order(Order::Off(home.region.clone(), done));
        let _ = off.await;
        home.disk.crash_torn(home.luck);
        drop(daemon);
    }

    fn set_cut(&self, from: &Region, to: &Region, cut: bool) {
        self.lines.set_cut((from.clone(), to.clone()), cut);
    }

    fn set_replies_lost(&self, from: &Region, to: &Region, lost: bool) {
        self.lines.set_replies_lost((from.clone(), to.clone()), lost);
    }

    fn set_line(&self, fault: &Fault, on: bool) {
        let Some((a, b)) = Self::pair(fault) else { return };
        match fault {
            Fault::Flapping(..) => self.lines.set_flapping((a, b), on),
            Fault::Held(..) => self.lines.set_held((a, b), on),
            _ => {
                let (line, slow) = self.lines.set_slow((a, b), on);
                self.order(Order::Slow(line, slow));
            }
        }
    }

    fn drawn(&self, draws: &mut Draws) -> Option<Fault> {
        draws.next_u64().is_multiple_of(4).then(|| Fault::of_a_line(draws))
    }

    fn step(&self) {
        self.lines.step();
    }

    fn heal(&self) {
        self.lines.heal();
        LATENCIES.iter().for_each(|(a, b, _)| self.order(Order::Slow(((*a).into(), (*b).into()), false)));
    }

    /// Through the API. Only the first manifest goes in as the entry that the API would have made of it: the API
    /// draws the tokens of switches by the system's dice, which no seed has in hand.
    fn typed(&self, at: &Region, daemon: &Daemon, actor: Actor, command: Command) -> Said {
        if matches!(command, Command::Apply { .. }) && daemon.state().services.is_empty() {
            let (answer, heard) = oneshot::channel();
            let entry = Entry::new(self.clock(0).now(), actor, command);
            let sent = self.desk(at).sending.as_ref().is_some_and(|host| host.send((entry, answer)).is_ok());
            return Box::pin(async move {
                if !sent {
                    return Err("the daemon does not run".to_owned());
                }
                heard.await.map_err(|_| "the daemon crashed".to_owned())?
            });
        }
        Box::pin(person::typed(self.channel(at), command))
    }
}
