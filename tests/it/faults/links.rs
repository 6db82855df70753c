//! The network between daemons: a TCP proxy for each ordered pair, which cuts, resets, holds and delays what goes through
//! it. It knows nothing of TLS, and changes no byte.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// Chunks that are on their way; more than that waits at the sender, as in any network.
const ON_THE_WAY: usize = 256;

/// How bytes get from one daemon to another, whichever of them opened the connection.
#[derive(Clone, Copy, Default)]
struct Way {
    /// None arrives; neither end is told.
    held: bool,
    delay: Duration,
}

/// How a pair of daemons is connected.
#[derive(Clone, Copy, Default)]
struct Wire {
    /// Nothing is connected, and whoever tries is reset.
    cut: bool,
    /// Rises with every reset of what is connected.
    resets: u64,
}

/// All links of a fleet. Dropped, they are gone.
pub struct Links {
    count: usize,
    ports: BTreeMap<(usize, usize), u16>,
    ways: BTreeMap<(usize, usize), watch::Sender<Way>>,
    /// By the lower number first.
    wires: BTreeMap<(usize, usize), watch::Sender<Wire>>,
    _carrying: JoinSet<()>,
}

impl Links {
    /// Links between daemons that listen on these ports of this machine.
    pub async fn between(ports: &[u16]) -> Self {
        let pairs = || (0..ports.len()).flat_map(|a| (0..ports.len()).map(move |b| (a, b))).filter(|(a, b)| a != b);
        let ways: BTreeMap<_, _> = pairs().map(|pair| (pair, watch::Sender::new(Way::default()))).collect();
        let wires: BTreeMap<_, _> =
            pairs().filter(|(a, b)| a < b).map(|pair| (pair, watch::Sender::new(Wire::default()))).collect();
        let (mut carrying, mut proxies) = (JoinSet::new(), BTreeMap::new());
        for (from, to) in pairs() {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            proxies.insert((from, to), listener.local_addr().unwrap().port());
            let link = Link {
                target: ([127, 0, 0, 1], ports[to]).into(),
                there: ways[&(from, to)].subscribe(),
                back: ways[&(to, from)].subscribe(),
                wire: wires[&ordered(from, to)].subscribe(),
            };
            carrying.spawn(link.serve(listener));
        }
        Self { count: ports.len(), ports: proxies, ways, wires, _carrying: carrying }
    }

    /// Where `from` finds `to`.
    pub fn port(&self, from: usize, to: usize) -> u16 {
        self.ports[&(from, to)]
    }

    fn others(&self, of: usize) -> impl Iterator<Item = usize> + use<> {
        (0..self.count).filter(move |other| *other != of)
    }

    fn wire(&self, a: usize, b: usize, change: impl FnOnce(&mut Wire)) {
        self.wires[&ordered(a, b)].send_modify(change);
    }

    fn way(&self, from: usize, to: usize, change: impl FnOnce(&mut Way)) {
        self.ways[&(from, to)].send_modify(change);
    }

    /// Connections between them break, and none is made.
    pub fn cut(&self, a: usize, b: usize) {
        self.wire(a, b, |wire| wire.cut = true);
    }

    /// All links of one daemon are cut.
    pub fn isolate(&self, one: usize) {
        self.others(one).for_each(|other| self.cut(one, other));
    }

    /// Connections of one daemon with all others are reset; new ones may be made.
    pub fn reset(&self, one: usize) {
        self.others(one).for_each(|other| self.wire(one, other, |wire| wire.resets += 1));
    }

    /// What one daemon sends to another arrives no more, and neither of them is told.
    pub fn hold(&self, from: usize, to: usize) {
        self.way(from, to, |way| way.held = true);
    }

    /// Nobody hears that daemon.
    pub fn mute(&self, one: usize) {
        self.others(one).for_each(|other| self.hold(one, other));
    }

    /// That daemon hears nobody.
    pub fn deafen(&self, one: usize) {
        self.others(one).for_each(|other| self.hold(other, one));
    }

    /// Everything between all daemons takes that long, each way.
    pub fn slow(&self, delay: Duration) {
        self.ways.values().for_each(|way| way.send_modify(|way| way.delay = delay));
    }

    /// As on the first day. What was held is delivered.
    pub fn heal(&self) {
        self.wires.values().for_each(|wire| wire.send_modify(|wire| wire.cut = false));
        self.ways.values().for_each(|way| way.send_modify(|way| *way = Way::default()));
    }
}

fn ordered(a: usize, b: usize) -> (usize, usize) {
    (a.min(b), a.max(b))
}

/// One proxy.
struct Link {
    target: SocketAddr,
    there: watch::Receiver<Way>,
    back: watch::Receiver<Way>,
    wire: watch::Receiver<Wire>,
}

impl Link {
    async fn serve(self, listener: TcpListener) {
        let mut open = JoinSet::new();
        loop {
            tokio::select! {
                Ok((stream, _)) = listener.accept() => {
                    let (there, back) = (self.there.clone(), self.back.clone());
                    open.spawn(carry(stream, self.target, there, back, self.wire.clone()));
                }
                Some(_) = open.join_next() => {}
            }
        }
    }
}

/// One connection, until either end closes it or it breaks.
async fn carry(
    mut near: TcpStream,
    target: SocketAddr,
    there: watch::Receiver<Way>,
    back: watch::Receiver<Way>,
    mut wire: watch::Receiver<Wire>,
) {
    let before = *wire.borrow_and_update();
    let broken = |wire: &Wire| wire.cut || wire.resets != before.resets;
    if before.cut {
        let _ = near.set_zero_linger();
        return;
    }
    let Ok(mut far) = TcpStream::connect(target).await else {
        let _ = near.set_zero_linger();
        return;
    };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    {
        let ((from_near, to_near), (from_far, to_far)) = (near.split(), far.split());
        let both = async { tokio::join!(pump(from_near, to_far, there), pump(from_far, to_near, back)) };
        tokio::select! {
            _ = both => return,
            _ = wire.wait_for(broken) => {}
        }
    }
    // Both ends see a reset, as from a machine that knows nothing of them.
    let _ = (near.set_zero_linger(), far.set_zero_linger());
}

async fn pump(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, mut way: watch::Receiver<Way>) {
    let (put, mut take) = mpsc::channel::<(Instant, Vec<u8>)>(ON_THE_WAY);
    let now = way.clone();
    let read = async move {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            let due = Instant::now() + now.borrow().delay;
            if put.send((due, buffer[..count].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let write = async {
        while let Some((due, bytes)) = take.recv().await {
            sleep_until(due).await;
            if way.wait_for(|way| !way.held).await.is_err() || to.write_all(&bytes).await.is_err() {
                break;
            }
        }
        let _ = to.shutdown().await;
        take.close();
    };
    tokio::join!(read, write);
}

#[tokio::test]
async fn a_link_carries_holds_resets_and_cuts() {
    let far = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let links = Links::between(&[1, far.local_addr().unwrap().port()]).await;
    let mut near = TcpStream::connect(("127.0.0.1", links.port(0, 1))).await.unwrap();
    let (mut there, _) = far.accept().await.unwrap();
    let mut byte = [0];

    near.write_all(b"a").await.unwrap();
    there.read_exact(&mut byte).await.unwrap();
    assert_eq!(&byte, b"a");
    links.hold(0, 1);
    near.write_all(b"b").await.unwrap();
    there.write_all(b"c").await.unwrap();
    near.read_exact(&mut byte).await.unwrap();
    assert_eq!(&byte, b"c", "the other way is open");
    let early = tokio::time::timeout(Duration::from_millis(100), there.read_exact(&mut byte)).await;
    assert!(early.is_err(), "nothing arrives");
    links.heal();
    there.read_exact(&mut byte).await.unwrap();
    assert_eq!(&byte, b"b", "late, and whole");

    links.reset(1);
    let ended = near.read(&mut byte).await.unwrap_err();
    assert_eq!(ended.kind(), std::io::ErrorKind::ConnectionReset);
    links.cut(1, 0);
    let mut refused = TcpStream::connect(("127.0.0.1", links.port(0, 1))).await.unwrap();
    assert!(!matches!(refused.read(&mut byte).await, Ok(1..)));
}
