//! TCP of turmoil as daemons use it, and what can be wrong with its lines.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use failoverd::api::transport::{Listen, Reach};
use failoverd::sim::world::Draws;
use failoverd_domain::ids::Region;
use turmoil::net::{TcpListener, TcpStream};

/// From whom to whom.
type Between = (Region, Region);

/// What becomes of what is sent one way.
pub enum Way {
    Open,
    Cut,
    Held,
}

/// The lines between the daemons. Clones are the same.
#[derive(Clone)]
pub struct Lines(Arc<Mutex<Wiring>>);

struct Wiring {
    cut: BTreeSet<Between>,
    /// By whom and whom it asks: answers to that are lost.
    losing_replies: BTreeSet<Between>,
    /// Lines that come and go, and whether they are gone now.
    flapping: BTreeMap<Between, bool>,
    held: BTreeSet<Between>,
    slow: BTreeSet<Between>,
    /// How turmoil has it.
    laid: BTreeMap<Between, Laid>,
    draws: Draws,
}

/// A line, its ends in alphabetical order.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Laid {
    there_cut: bool,
    back_cut: bool,
    held: bool,
}

fn line((a, b): &Between) -> Between {
    if a < b { (a.clone(), b.clone()) } else { (b.clone(), a.clone()) }
}

impl Wiring {
    /// Whether what the first sends to the second is lost.
    fn loses(&self, from: &Region, to: &Region) -> bool {
        let (there, back) = ((from.clone(), to.clone()), (to.clone(), from.clone()));
        let is_gone = |way: &Between| self.flapping.get(way).copied().unwrap_or(false);
        self.cut.contains(&there) || self.losing_replies.contains(&back) || is_gone(&there) || is_gone(&back)
    }

    /// Makes it so in turmoil, which knows neither overlapping faults nor a line that is held one way.
    fn lay(&mut self, of: &Between) {
        let (a, b) = line(of);
        let (there_cut, back_cut) = (self.loses(&a, &b), self.loses(&b, &a));
        let is_held = self.held.contains(&(a.clone(), b.clone())) || self.held.contains(&(b.clone(), a.clone()));
        let wanted = Laid { there_cut, back_cut, held: is_held && !there_cut && !back_cut };
        let laid = self.laid.insert((a.clone(), b.clone()), wanted).unwrap_or_default();
        let (a, b) = (a.as_str(), b.as_str());
        if laid == wanted {
            return;
        }
        if laid.held {
            turmoil::release(a, b);
        }
        if wanted.held {
            turmoil::repair(a, b);
            turmoil::hold(a, b);
            return;
        }
        for (from, to, cut) in [(a, b, there_cut), (b, a, back_cut)] {
            if cut {
                turmoil::partition_oneway(from, to);
            } else {
                turmoil::repair_oneway(from, to);
            }
        }
    }
}

impl Lines {
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Wiring {
            cut: BTreeSet::new(),
            losing_replies: BTreeSet::new(),
            flapping: BTreeMap::new(),
            held: BTreeSet::new(),
            slow: BTreeSet::new(),
            laid: BTreeMap::new(),
            draws: Draws::new(seed ^ 0xF1A9),
        })))
    }

    fn wiring(&self) -> MutexGuard<'_, Wiring> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, of: Between, change: impl FnOnce(&mut Wiring, Between)) {
        let mut wiring = self.wiring();
        change(&mut wiring, of.clone());
        wiring.lay(&of);
    }

    pub fn set_cut(&self, way: Between, cut: bool) {
        self.change(way, |wiring, way| set(&mut wiring.cut, way, cut));
    }

    pub fn set_replies_lost(&self, way: Between, lost: bool) {
        self.change(way, |wiring, way| set(&mut wiring.losing_replies, way, lost));
    }

    pub fn set_held(&self, way: Between, held: bool) {
        self.change(way, |wiring, way| set(&mut wiring.held, way, held));
    }

    /// The line, and whether it is slow now.
    pub fn set_slow(&self, way: Between, slow: bool) -> (Between, bool) {
        let mut wiring = self.wiring();
        let (a, b) = line(&way);
        set(&mut wiring.slow, way, slow);
        let is_slow = wiring.slow.contains(&(a.clone(), b.clone())) || wiring.slow.contains(&(b.clone(), a.clone()));
        ((a, b), is_slow)
    }

    pub fn set_flapping(&self, way: Between, flapping: bool) {
        self.change(way, |wiring, way| {
            if flapping {
                wiring.flapping.insert(way, true);
            } else {
                wiring.flapping.remove(&way);
            }
        });
    }

    /// Lines that flap come and go, from a quarter of a second to some seconds at a time.
    pub fn step(&self) {
        let mut wiring = self.wiring();
        let flapping: Vec<Between> = wiring.flapping.keys().cloned().collect();
        for way in flapping {
            if wiring.draws.next_u64().is_multiple_of(4) {
                wiring.flapping.entry(way.clone()).and_modify(|gone| *gone = !*gone);
                wiring.lay(&way);
            }
        }
    }

    pub fn heal(&self) {
        let mut wiring = self.wiring();
        wiring.cut.clear();
        wiring.losing_replies.clear();
        wiring.flapping.clear();
        wiring.held.clear();
        wiring.slow.clear();
        let laid: Vec<Between> = wiring.laid.keys().cloned().collect();
        laid.iter().for_each(|way| wiring.lay(way));
    }

    /// How turmoil has it.
    pub fn laid(&self, from: &Region, to: &Region) -> Way {
        let laid = self.wiring().laid.get(&line(&(from.clone(), to.clone()))).copied().unwrap_or_default();
        match laid {
            Laid { held: true, .. } => Way::Held,
            Laid { there_cut: true, .. } if from < to => Way::Cut,
            Laid { back_cut: true, .. } if to < from => Way::Cut,
            _ => Way::Open,
        }
    }

    fn loses_any(&self, from: &Region, to: &Region) -> bool {
        let wiring = self.wiring();
        wiring.loses(from, to) || wiring.loses(to, from)
    }
}

fn set(of: &mut BTreeSet<Between>, way: Between, on: bool) {
    if on {
        of.insert(way);
    } else {
        of.remove(&way);
    }
}

/// A socket that listens.
pub struct Socket(pub TcpListener);

impl Listen for Socket {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.0.accept().await
    }
}

/// Connections from one host to others.
#[derive(Clone)]
pub struct Caller {
    pub host: Region,
    pub lines: Lines,
}

impl Reach for Caller {
    type Stream = TcpStream;

    /// A line that is cut is silent; turmoil would refuse.
    async fn reach(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let to = Region::from(host);
        match TcpStream::connect((host, port)).await {
            Err(_) if self.lines.loses_any(&self.host, &to) => pending().await,
            answer => answer,
        }
    }
}
