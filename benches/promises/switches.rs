//! How fast Route 53's checkers are answered, and how soon they all hear of a turned switch.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use failoverd::api::{SwitchLimits, SwitchSettings};
use failoverd::ports::Leadership;
use failoverd::telemetry::Telemetry;
use failoverd_domain::fleet::{Actor, Command, Entry, FleetState};
use failoverd_domain::time::Timestamp;
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::idle::resident_mb;
use crate::trio::{REGIONS, Trio};
use crate::{Measured, deciding, ms, percentile};

const CHECKERS: usize = 32;
const WARM_UP: Duration = Duration::from_secs(1);
const LASTS: Duration = Duration::from_secs(5);
/// Connections that ask once and leave: most checkers do.
const VISITS: usize = 4_000;
const TURNS: usize = 200;
/// No answer takes this long.
const PATIENCE: Duration = Duration::from_secs(10);

/// Latencies, counted by tens of microseconds in memory of one size.
struct Latencies(Vec<u32>);

impl Latencies {
    fn new() -> Self {
        let mut counts = vec![1; 10_000];
        // Written to, so that the system has given the memory before it is measured.
        counts.fill(0);
        Self(counts)
    }

    fn add(&mut self, took: Duration) {
        let at = usize::try_from(took.as_micros() / 10).unwrap().min(self.0.len() - 1);
        self.0[at] += 1;
    }

    fn count(&self) -> u32 {
        self.0.iter().sum()
    }

    /// Milliseconds below which `share` of them lie.
    fn percentile(&self, share: f64) -> f64 {
        let (mut below, most) = (0.0, f64::from(self.count()) * share);
        let at = self.0.iter().position(|count| {
            below += f64::from(*count);
            below >= most
        });
        (at.unwrap() + 1) as f64 / 100.0
    }
}

/// One connection that stays.
struct Checker {
    stream: TcpStream,
    question: String,
}

impl Checker {
    async fn new(address: SocketAddr, token: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, question: format!("GET /s/{token} HTTP/1.1\r\nhost: {address}\r\n\r\n") }
    }

    /// Whether the switch is on.
    async fn ask(&mut self) -> bool {
        self.stream.write_all(self.question.as_bytes()).await.unwrap();
        let (mut answer, mut length) = ([0; 1_024], 0);
        loop {
            let read = timeout(PATIENCE, self.stream.read(&mut answer[length..])).await.unwrap().unwrap();
            assert!(read > 0, "closed after {}", String::from_utf8_lossy(&answer[..length]));
            length += read;
            let text = &answer[..length];
            if text.ends_with(b"\r\n\r\nswitch=on") || text.ends_with(b"\r\n\r\nswitch=off") {
                assert!(text.starts_with(b"HTTP/1.1 200"));
                return text.ends_with(b"=on");
            }
        }
    }
}

/// One thread serves a thousand switches, another one asks. Every request is counted against its source, as always; but no
/// default lets one address ask as fast as this one does.
pub fn answers() -> Vec<Measured> {
    let state = deciding::state();
    let token = state.switches.values().flat_map(|switch| switch.bits.values()).last().unwrap().token.clone();
    let stop = CancellationToken::new();
    let (told, mut address) = mpsc::channel(1);
    let stopped = stop.clone();
    let serving = std::thread::spawn(move || serve(state, told, stopped));
    let asking = Builder::new_current_thread().enable_all().build().unwrap();
    let address = asking.block_on(address.recv()).unwrap();
    let measured = asking.block_on(async {
        ask_for(WARM_UP, address, &token).await;
        visit(address, &token).await;
        let before = resident_mb(std::process::id());
        let begun = Instant::now();
        let latencies = ask_for(LASTS, address, &token).await;
        let took = begun.elapsed();
        let each = visit(address, &token).await;
        let grown = resident_mb(std::process::id()) - before;
        let rate = f64::from(latencies.count()) / took.as_secs_f64();
        vec![
            Measured::at_least("checkers' requests answered by one core, 1000 switches", rate, 20_000.0, "/s"),
            Measured::new("  p99, 32 connections that stay", latencies.percentile(0.99), 5.0, "ms"),
            Measured::new("  a connection for one request: p99", each.percentile(0.99), 5.0, "ms"),
            Measured::new("  memory grown meanwhile", grown, 1.0, "MB"),
        ]
    });
    stop.cancel();
    serving.join().unwrap();
    measured
}

fn serve(state: FleetState, told: mpsc::Sender<SocketAddr>, stop: CancellationToken) {
    let (_state, states) = watch::channel(Arc::new(state));
    let (_leadership, leaderships) = watch::channel(Leadership { caught_up: true, ..Leadership::default() });
    Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        told.send(listener.local_addr().unwrap()).await.unwrap();
        let limits = SwitchLimits { requests_of_a_source: Some(1_000_000), ..SwitchLimits::default() };
        let settings = SwitchSettings { limits, ..SwitchSettings::default() };
        failoverd::api::switch::serve(
            listener,
            states,
            leaderships,
            settings,
            Telemetry::counting(Timestamp(0)).meters,
            stop,
        )
        .await
        .unwrap();
    });
}

async fn ask_for(lasts: Duration, address: SocketAddr, token: &str) -> Latencies {
    let mut latencies = Latencies::new();
    let (told, mut took) = mpsc::channel(1_024);
    let until = Instant::now() + lasts;
    let checkers = join_all((0..CHECKERS).map(|_| {
        let told = told.clone();
        async move {
            let mut checker = Checker::new(address, token).await;
            while Instant::now() < until {
                let begun = Instant::now();
                checker.ask().await;
                told.send(begun.elapsed()).await.unwrap();
            }
        }
    }));
    drop(told);
    tokio::join!(checkers, async {
        while let Some(took) = took.recv().await {
            latencies.add(took);
        }
    });
    latencies
}

async fn visit(address: SocketAddr, token: &str) -> Latencies {
    let mut latencies = Latencies::new();
    for _ in 0..VISITS {
        let begun = Instant::now();
        Checker::new(address, token).await.ask().await;
        latencies.add(begun.elapsed());
    }
    latencies
}

/// A switch is turned; from asking for it, which is before it is committed, until every daemon answers differently.
pub async fn turns() -> Vec<Measured> {
    let mut trio = Trio::start().await;
    let leader = trio.leader().await;
    let handles = trio.daemons[leader].as_ref().unwrap().handles().clone();
    assert!(handles.agreement.state().wait_for(|state| !state.members.is_empty()).await.is_ok());
    let propose = async |command| {
        let entry = Entry::new(handles.clock.now(), Actor::Operator("bench".to_owned()), command);
        handles.agreement.propose(entry).await.unwrap().result.unwrap();
    };
    propose(Command::Pause { service: None }).await;
    let specs = deciding::read(&deciding::manifest(0).replace("automatic", "manual"));
    let (group, region) = (specs[0].switch_group(), specs[0].regions[0].clone());
    let token = "0123456789abcdef0123456789abcdef";
    let tokens = vec![(group.clone(), region.clone(), token.to_owned())];
    propose(Command::Apply { specs, drills: Vec::new(), prune: false, tokens }).await;
    let mut checkers = Vec::new();
    for address in &trio.switches {
        let mut checker = Checker::new(*address, token).await;
        // The others may not have applied the manifest yet: then they know no such token.
        while !known(*address, token).await {
            sleep(Duration::from_millis(5)).await;
        }
        assert!(checker.ask().await);
        checkers.push(checker);
    }
    assert_eq!(checkers.len(), REGIONS.len());
    let mut took = Vec::new();
    for turn in 0..TURNS {
        let on = turn % 2 == 1;
        let begun = Instant::now();
        propose(Command::SetSwitch { group: group.clone(), region: region.clone(), on, run: None }).await;
        let heard = checkers.iter_mut().map(async |checker| {
            while checker.ask().await != on {
                sleep(Duration::from_micros(500)).await;
            }
        });
        timeout(PATIENCE, join_all(heard)).await.unwrap();
        took.push(ms(begun.elapsed()));
    }
    trio.stop().await;
    vec![
        Measured::new(
            "a switch is turned, every daemon answers differently: p99",
            percentile(&mut took, 0.99),
            250.0,
            "ms",
        ),
        Measured::new("  p50", percentile(&mut took, 0.5), f64::INFINITY, "ms"),
    ]
}

async fn known(address: SocketAddr, token: &str) -> bool {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.get(format!("http://{address}/s/{token}")).send().await.unwrap().status().is_success()
}
