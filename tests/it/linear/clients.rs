//! Clients of a simulated fleet, and what they record.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use failoverd::api::error::{ErrorCode, read_status};
use failoverd::api::proto::control_service_server::ControlService;
use failoverd::api::proto::status_service_server::StatusService;
use failoverd::api::{ControlApi, Handles, StatusApi, proto};
use failoverd::ports::{Agreement, Leadership, ProposeError};
use failoverd::sim::fleet::{Chaos, EU_WEST, REGIONS, SERVICE, Shop, SimulatedFleet, Tempo, US_EAST, region};
use failoverd::sim::world::Draws;
use failoverd_domain::fleet::{Applied, Command, Entry, FleetState};
use failoverd_domain::ids::{LogIndex, Region};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status};

use super::Held;

const CLIENTS: u64 = 4;
/// After the faults: long enough for everybody to see how it ended.
const CALM: Duration = Duration::from_secs(20);

/// What the clients of one history do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// Turn the switch and pause: nobody else does while the service itself is paused and no run is open.
    Registers,
    /// Begin runs and abort them.
    Runs,
}

/// How the API is broken on purpose: between its services and the log.
#[derive(Clone, Copy, Debug)]
pub enum Broken {
    /// Answers are one question old, and say that they are new.
    OldForNew,
    /// Every other answer is older than the one before, and says so.
    Backwards,
    /// Every third change at the leader is answered as done, and is not.
    Swallows,
}

/// A run as a client saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenRun {
    pub id: String,
    pub state: proto::RunState,
    pub epoch: Option<u64>,
}

/// What was asked, with what was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    Pause(bool),
    Turn { first: bool },
    Move { run: Option<SeenRun> },
    Abort { run: String },
    SawFleet { paused: bool, first: bool },
    SawService { first: bool, epoch: u64, runs: Vec<SeenRun> },
}

/// One call.
#[derive(Clone, Debug)]
pub struct Record {
    pub session: usize,
    pub invoked: usize,
    /// Absent: nobody knows whether it was done.
    pub returned: Option<usize>,
    pub revision: Option<u64>,
    pub act: Act,
}

impl Record {
    pub const fn is_read(&self) -> bool {
        matches!(self.act, Act::SawFleet { .. } | Act::SawService { .. })
    }
}

/// Everything that the clients of one seed recorded.
pub struct History {
    pub start: Held,
    pub records: Vec<Record>,
    /// What the fleet refused, in its words.
    pub refused: Vec<String>,
    /// What the simulation itself says of I1 to I9.
    pub violations: Vec<String>,
}

/// A daemon as clients reach it, from one start to the end of it.
#[derive(Clone)]
struct Door {
    start: usize,
    handles: Handles,
    original: Arc<dyn Agreement>,
    /// The connection breaks when the daemon dies.
    gone: CancellationToken,
}

/// What clients and whoever drives the fleet share.
#[derive(Default)]
struct Desk {
    /// One order of everything that is recorded.
    clock: AtomicUsize,
    starts: AtomicUsize,
    doors: Mutex<BTreeMap<Region, Door>>,
    records: Mutex<BTreeMap<usize, Record>>,
    refused: Mutex<Vec<String>>,
}

impl Desk {
    fn tick(&self) -> usize {
        self.clock.fetch_add(1, Ordering::Relaxed)
    }

    /// Opens and closes doors as daemons come and go.
    fn look(&self, fleet: &SimulatedFleet, broken: Option<Broken>) {
        let mut doors = self.doors.lock().unwrap();
        for at in REGIONS.map(region) {
            let now = fleet.handles_at(&at);
            let same = match (&now, doors.get(&at)) {
                (Some(now), Some(door)) => Arc::ptr_eq(&now.agreement, &door.original),
                (None, None) => true,
                _ => false,
            };
            if same {
                continue;
            }
            if let Some(door) = doors.remove(&at) {
                door.gone.cancel();
            }
            let Some(handles) = now else { continue };
            let original = handles.agreement.clone();
            let agreement = match broken {
                Some(how) => Arc::new(BrokenLog::new(original.clone(), how)) as Arc<dyn Agreement>,
                None => original.clone(),
            };
            let start = self.starts.fetch_add(1, Ordering::Relaxed);
            let handles = Handles { agreement, ..handles };
            doors.insert(at, Door { start, handles, original, gone: CancellationToken::new() });
        }
    }

    fn door(&self, at: &Region) -> Option<Door> {
        self.doors.lock().unwrap().get(at).cloned()
    }

    /// Makes a call and records it: as unknown until there is an answer.
    async fn call(&self, client: u64, door: &Door, asked: Act) -> Option<Act> {
        let invoked = self.tick();
        let session = usize::try_from(client).unwrap() * 10_000 + door.start;
        let record = Record { session, invoked, returned: None, revision: None, act: asked.clone() };
        self.records.lock().unwrap().insert(invoked, record);
        let answer = tokio::select! {
            biased;
            () = door.gone.cancelled() => return None,
            answer = ask(&door.handles, asked) => answer,
        };
        let mut records = self.records.lock().unwrap();
        match answer {
            Ok((revision, act)) => {
                let record = records.get_mut(&invoked).unwrap();
                record.returned = Some(self.tick());
                record.revision = Some(revision);
                record.act = act.clone();
                Some(act)
            }
            Err(status) => {
                let reason = read_status(&status).0.unwrap_or_default();
                let unknown = [ErrorCode::OutcomeUnknown, ErrorCode::LogFailed, ErrorCode::Internal];
                if !unknown.iter().any(|code| code.reason() == reason) {
                    // It says that nothing was changed: the rest of the history must be explained without it.
                    records.remove(&invoked);
                    if reason != ErrorCode::NoLeader.reason() {
                        self.refused.lock().unwrap().push(format!("{reason}: {}", status.message()));
                    }
                }
                None
            }
        }
    }
}

fn other(first: bool) -> String {
    if first { US_EAST } else { EU_WEST }.to_owned()
}

/// Calls the service behind an act.
async fn ask(handles: &Handles, asked: Act) -> Result<(u64, Act), Status> {
    let control = ControlApi::new(handles.clone());
    let status = StatusApi::new(handles.clone(), CancellationToken::new());
    let service = SERVICE.to_owned();
    match asked {
        Act::Pause(true) => {
            let answer = control.pause(Request::new(proto::PauseRequest { service: None })).await?;
            Ok((answer.into_inner().revision, asked))
        }
        Act::Pause(false) => {
            let answer = control.resume(Request::new(proto::ResumeRequest { service: None })).await?;
            Ok((answer.into_inner().revision, asked))
        }
        Act::Turn { first } => {
            let request = proto::SetSwitchRequest { service, region: other(first), on: true };
            Ok((control.set_switch(Request::new(request)).await?.into_inner().revision, asked))
        }
        Act::Move { .. } => {
            let request =
                proto::FailoverRequest { service, reason: "because".to_owned(), ..proto::FailoverRequest::default() };
            let answer = control.failover(Request::new(request)).await?.into_inner();
            Ok((answer.revision, Act::Move { run: answer.run.as_ref().map(seen_run) }))
        }
        Act::Abort { ref run } => {
            let request = proto::AbortRunRequest { run: run.clone(), reason: "enough".to_owned() };
            Ok((control.abort_run(Request::new(request)).await?.into_inner().revision, asked))
        }
        Act::SawFleet { .. } => {
            let fleet = status.get_fleet(Request::new(proto::GetFleetRequest {})).await?.into_inner();
            let bit = fleet.switches.iter().find(|switch| switch.group == SERVICE).unwrap();
            let first = bit.state() == proto::SwitchState::On;
            Ok((fleet.answered.unwrap().revision, Act::SawFleet { paused: fleet.paused, first }))
        }
        Act::SawService { .. } => {
            let request = proto::GetServiceRequest { name: service };
            let answer = status.get_service(Request::new(request)).await?.into_inner();
            let service = answer.service.unwrap();
            let runs = answer.runs.iter().map(seen_run).collect();
            let first = service.primary == US_EAST;
            Ok((answer.answered.unwrap().revision, Act::SawService { first, epoch: service.epoch, runs }))
        }
    }
}

fn seen_run(run: &proto::Run) -> SeenRun {
    SeenRun { id: run.id.clone(), state: run.state(), epoch: run.epoch }
}

const LOOKS: [Act; 2] =
    [Act::SawFleet { paused: false, first: false }, Act::SawService { first: false, epoch: 0, runs: Vec::new() }];

/// One client, for as long as it is let.
async fn client(desk: Arc<Desk>, client: u64, seed: u64, wants: Wants) {
    let mut draws = Draws::new(seed ^ (0xC11E_4700 + client));
    let mut coin = move |out_of: u64| draws.next_u64() % out_of;
    let mut at = region(REGIONS[usize::try_from(client % 3).unwrap()]);
    let mut open: Option<String> = None;
    loop {
        sleep(Duration::from_millis(300 + coin(1_500))).await;
        if coin(5) == 0 {
            at = region(REGIONS[usize::try_from(coin(3)).unwrap()]);
        }
        let Some(door) = desk.door(&at) else {
            at = region(REGIONS[usize::try_from(coin(3)).unwrap()]);
            continue;
        };
        let act = match (wants, coin(10)) {
            (Wants::Registers, 0..=1) => Act::Pause(coin(2) == 0),
            (Wants::Registers, 2..=3) => Act::Turn { first: coin(2) == 0 },
            (Wants::Runs, 0..=1) => Act::Move { run: None },
            (Wants::Runs, 2) if open.is_some() => Act::Abort { run: open.take().unwrap() },
            (_, n) => LOOKS[usize::from(n % 2 == 0 || wants == Wants::Runs)].clone(),
        };
        if let Some(Act::SawService { runs, .. }) = desk.call(client, &door, act).await {
            let is_open = |run: &&SeenRun| (run.state as i32) < proto::RunState::Succeeded as i32;
            open = runs.iter().find(is_open).map(|run| run.id.clone());
        }
    }
}

/// A seed from beginning to end: clients and faults, then calm.
pub async fn record(seed: u64, wants: Wants, chaos: Duration, broken: Option<Broken>) -> History {
    let shop = Shop { spread: None, ..Shop::drawn(&mut Draws::new(seed)) };
    let mut fleet = SimulatedFleet::steady(seed, shop).await;
    // Otherwise daemons would move it too, and no client would know.
    let paused = fleet.ask(Command::Pause { service: Some(SERVICE.into()) }).await.unwrap().index;
    fleet.run_for(Duration::from_secs(2)).await;
    let state = fleet.state();
    assert!(state.applied >= paused);
    let service = fleet.service().unwrap();
    let start = Held { paused: false, first: service.primary == region(US_EAST), epoch: service.epoch.0 };
    let desk = Arc::new(Desk::default());
    desk.look(&fleet, broken);
    let mut clients = JoinSet::new();
    for n in 0..CLIENTS {
        clients.spawn(client(desk.clone(), n, seed, wants));
    }
    let step = Duration::from_millis(250);
    let mut reign = Chaos::new(seed, Tempo::default());
    let mut left = chaos;
    while !left.is_zero() {
        reign.reign(&mut fleet, step).await;
        desk.look(&fleet, broken);
        left = left.saturating_sub(step);
    }
    reign.end(&mut fleet).await;
    desk.look(&fleet, broken);
    fleet.run_for(CALM).await;
    clients.shutdown().await;
    let records = std::mem::take(&mut *desk.records.lock().unwrap()).into_values().collect();
    let refused = std::mem::take(&mut *desk.refused.lock().unwrap());
    History { start, records, refused, violations: fleet.judge.violations() }
}

/// The log of a daemon, misrepresented to its API.
struct BrokenLog {
    inner: Arc<dyn Agreement>,
    how: Broken,
    asked: AtomicUsize,
    before: Mutex<Arc<FleetState>>,
}

impl BrokenLog {
    fn new(inner: Arc<dyn Agreement>, how: Broken) -> Self {
        let before = inner.state().borrow().clone();
        Self { inner, how, asked: AtomicUsize::new(0), before: Mutex::new(before) }
    }
}

#[async_trait]
impl Agreement for BrokenLog {
    async fn propose(&self, entry: Entry) -> Result<Applied, ProposeError> {
        let swallows = matches!(self.how, Broken::Swallows) && self.asked.fetch_add(1, Ordering::Relaxed) % 3 == 2;
        if swallows {
            let index = LogIndex(self.inner.state().borrow().applied.0 + 1);
            return Ok(Applied { index, events: Vec::new(), result: Ok(None) });
        }
        self.inner.propose(entry).await
    }

    async fn confirm_leadership(&self) -> Result<(), ProposeError> {
        self.inner.confirm_leadership().await
    }

    fn state(&self) -> watch::Receiver<Arc<FleetState>> {
        let now = self.inner.state();
        // Before a daemon knows its fleet there is nothing to be wrong about.
        if now.borrow().services.is_empty() || matches!(self.how, Broken::Swallows) {
            return now;
        }
        let newest = now.borrow().clone();
        let mut before = self.before.lock().unwrap();
        if before.services.is_empty() {
            *before = newest.clone();
        }
        let told = match self.how {
            Broken::OldForNew => {
                let old = std::mem::replace(&mut *before, newest.clone());
                let mut told = FleetState::clone(&old);
                told.applied = newest.applied;
                Arc::new(told)
            }
            _ if self.asked.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) => newest,
            _ => std::mem::replace(&mut *before, newest),
        };
        watch::channel(told).1
    }

    fn leadership(&self) -> watch::Receiver<Leadership> {
        self.inner.leadership()
    }

    async fn step_aside(&self, to: &Region) {
        self.inner.step_aside(to).await;
    }
}
