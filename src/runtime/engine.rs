//! A daemon's engine: its tasks, wired together over ports. The same for a real daemon, the sandbox and simulations.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use failoverd_domain::fleet::{Actor, Command, Entry, FleetSettings, FleetState, Role};
use failoverd_domain::format::Build;
use failoverd_domain::health::{Matrix, Report};
use failoverd_domain::ids::{FleetId, Region};
use failoverd_domain::traffic::SwitchEndpoint;
use tokio::sync::{mpsc, watch};

use super::board::Board;
use super::controller::Controller;
use super::executor::Executor;
use super::forgetter::Forgetter;
use super::notifier::Notifier;
use super::observer::Observer;
use super::projector::Projector;
use super::pruner::{Keep, Pruner};
use super::publisher::Publisher;
use super::recorder::Recorder;
use super::rehearser::Rehearser;
use super::settler::{Settler, Words};
use super::supervisor::{Supervisor, TaskKind};
use super::timing::Timing;
use super::voice::Voice;
use crate::ports::{Agreement, Clock, History, Outbox, Peers, Rehearsals, Viewpoint, Webhooks, World};
use crate::telemetry::Meters;

/// What an engine is made of.
#[derive(Clone)]
pub struct Parts {
    /// This daemon.
    pub me: Region,
    /// What it tells the others of its build.
    pub build: Build,
    /// What its file says of the whole fleet.
    pub settings: FleetSettings,
    /// The fleet.
    pub fleet: FleetId,
    /// Every daemon that it is formed of, or that this one is to know; who counts, the fleet has agreed on.
    pub members: BTreeMap<Region, Role>,
    /// Where Route 53's checkers reach this daemon.
    pub advertise: Option<SwitchEndpoint>,
    /// Reference endpoints outside the fleet.
    pub references: Vec<Region>,
    /// How often things are done.
    pub timing: Timing,
    /// Wall clock.
    pub clock: Arc<dyn Clock>,
    /// AWS, DNS and probes.
    pub world: World,
    /// The replicated log.
    pub agreement: Arc<dyn Agreement>,
    /// Events to be written.
    pub outbox: Arc<dyn Outbox>,
    /// The other daemons.
    pub peers: Arc<dyn Peers>,
    /// This Region's history; a witness may have none.
    pub history: Option<Arc<dyn History>>,
    /// How long it keeps its events; absent: for ever.
    pub keep: Option<Keep>,
    /// Who is told of news outside the fleet, if anybody.
    pub webhooks: Option<Arc<dyn Webhooks>>,
    /// Who simulates drills; daemons that are simulated themselves have nobody.
    pub rehearsals: Option<Arc<dyn Rehearsals>>,
    /// What is counted.
    pub meters: Arc<Meters>,
}

/// A running engine. Clones are the same.
#[derive(Clone)]
pub struct Engine {
    /// Who looks at the matrix, and by which limits.
    pub view: Viewpoint,
    /// The newest matrix.
    pub matrix: watch::Receiver<Arc<Matrix>>,
    /// Where peers' reports go.
    pub inbox: mpsc::Sender<Report>,
    /// What the settler last made of each service; empty while another daemon leads.
    pub words: watch::Receiver<Words>,
}

impl Engine {
    /// Starts every task under `supervisor`.
    #[must_use]
    pub fn start(parts: &Parts, supervisor: &Supervisor) -> Self {
        let Parts { timing, clock, world, agreement, .. } = parts.clone();
        let view = view(parts);
        let (board, inbox, matrix) = Board::new(clock.clone());
        supervisor.spawn(TaskKind::Board, board.run());
        let (settler, words) =
            Settler::new(view.clone(), timing.clone(), clock.clone(), world.clone(), agreement.clone());
        let (voice, spoken) = Voice::new(view.me.clone(), world.clone(), agreement.clone());
        supervisor.spawn(TaskKind::Voice, voice.run());
        let observer = Observer {
            spoken,
            build: parts.build.clone(),
            settings: parts.settings.clone(),
            view: view.clone(),
            timing: timing.clone(),
            clock: clock.clone(),
            world: world.clone(),
            agreement: agreement.clone(),
            peers: parts.peers.clone(),
            history: parts.history.clone(),
            matrix: matrix.clone(),
            inbox: inbox.clone(),
            references: parts.references.clone(),
            words: words.clone(),
        };
        supervisor.spawn(TaskKind::Observer, observer.run());
        let controller = Controller {
            view: view.clone(),
            timing: timing.clone(),
            clock: clock.clone(),
            agreement: agreement.clone(),
            matrix: matrix.clone(),
        };
        supervisor.spawn(TaskKind::Controller, controller.run());
        let executor = Executor {
            view: view.clone(),
            timing,
            clock: clock.clone(),
            world: world.clone(),
            agreement: agreement.clone(),
            peers: parts.peers.clone(),
            matrix: matrix.clone(),
        };
        supervisor.spawn(TaskKind::Executor, executor.run());
        supervisor.spawn(TaskKind::Settler, settler.run());
        let recorder =
            Recorder { view: view.clone(), clock: clock.clone(), agreement: agreement.clone(), matrix: matrix.clone() };
        supervisor.spawn(TaskKind::Recorder, recorder.run());
        if let Some(webhooks) = parts.webhooks.clone() {
            let (me, clock, agreement) = (view.me.clone(), clock.clone(), agreement.clone());
            supervisor.spawn(TaskKind::Notifier, Notifier { me, clock, agreement, webhooks }.run());
        }
        if let Some(rehearsals) = parts.rehearsals.clone() {
            let (view, clock, agreement) = (view.clone(), clock.clone(), agreement.clone());
            let rehearser = Rehearser { view, clock, agreement, matrix: matrix.clone(), rehearsals };
            supervisor.spawn(TaskKind::Rehearser, rehearser.run());
        }
        let publisher = Publisher { view: view.clone(), clock, world, agreement, matrix: matrix.clone() };
        supervisor.spawn(TaskKind::Publisher, publisher.run());
        supervisor.spawn(TaskKind::Registrar, register(parts.clone()));
        if let Some(keep) = parts.keep.clone() {
            let pruner = Pruner { keep, clock: parts.clock.clone(), state: parts.agreement.state() };
            supervisor.spawn(TaskKind::Pruner, pruner.run());
        }
        let (state, outbox) = (parts.agreement.state(), parts.outbox.clone());
        match parts.history.clone() {
            Some(history) => {
                let (me, peers) = (parts.me.clone(), parts.peers.clone());
                let meters = parts.meters.clone();
                supervisor.spawn(TaskKind::Projector, Projector { me, history, outbox, peers, state, meters }.run());
            }
            None => supervisor.spawn(TaskKind::Projector, Forgetter { outbox, state, matrix: matrix.clone() }.run()),
        }
        Self { view, matrix, inbox, words }
    }
}

fn view(parts: &Parts) -> Viewpoint {
    let stale_after_ms = u64::try_from(parts.timing.stale_after.as_millis()).unwrap_or(u64::MAX);
    let (state, leadership) = (parts.agreement.state(), parts.agreement.leadership());
    Viewpoint::new(parts.me.clone(), parts.members.keys().cloned(), stale_after_ms, state, leadership)
}

/// Sees to it that the fleet is formed and knows where checkers reach this daemon.
async fn register(parts: Parts) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let state = parts.agreement.state().borrow().clone();
        let Some(command) = missing(&parts, &state) else { continue };
        let entry = Entry::new(parts.clock.now(), Actor::Daemon(parts.me.clone()), command);
        let leadership = parts.agreement.leadership().borrow().clone();
        let done = match leadership.leader {
            Some(_) if leadership.is_me => {
                parts.agreement.propose(entry).await.map(drop).map_err(|error| error.to_string())
            }
            Some(leader) => parts.peers.forward(&leader, entry).await.map(drop).map_err(|error| error.to_string()),
            None => continue,
        };
        if let Err(error) = done {
            tracing::debug!(error, "not registered yet");
        }
    }
}

fn missing(parts: &Parts, state: &FleetState) -> Option<Command> {
    if state.fleet.as_str().is_empty() {
        return Some(Command::Form { fleet: parts.fleet.clone(), members: parts.members.clone() });
    }
    let wanted = parts.advertise.as_ref()?;
    let known = state.members.get(&parts.me)?.switch.as_ref();
    (known != Some(wanted)).then(|| Command::Advertise { region: parts.me.clone(), switch: wanted.clone() })
}
