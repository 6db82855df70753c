//! One daemon's eyes on a service that is drilled, in the simulated AWS, on paused time.

use std::collections::BTreeMap;

use async_trait::async_trait;
use failoverd_domain::drill::{
    ComesBack, Course, DrillKind, DrillPhase, DrillRun, DrillSpec, DrillState, Guardrail, Schedule,
};
use failoverd_domain::fleet::{Actor, Applied, Command, Entry, Member, Role};
use failoverd_domain::health::{Diagnosis, Status, View, diagnose};
use failoverd_domain::ids::ServiceName;
use failoverd_domain::manifest::read_manifests;
use failoverd_domain::plan::Movement;
use failoverd_domain::route53::{Change, RecordSet, RecordType};
use failoverd_domain::service::ServiceSpec;
use failoverd_domain::time::Timestamp;
use failoverd_domain::traffic::{LookUp, Sighting};
use tokio::time::{Duration, sleep};

use super::*;
use crate::ports::{PeerError, ProposeError};
use crate::runtime::{Board, Supervisor, TaskKind};
use crate::sim::world::{SimulatedAws, Timing as WorldTiming, TokioClock};

const EAST: &str = "us-east-1";
const WEST: &str = "eu-west-1";
const SHOP: &str = "checkout";
const BEGINNING: Timestamp = Timestamp(1_767_225_600_000);
const MANIFEST: &str = r#"
apiVersion: failoverd.dev/v1
kind: FailoverService
metadata: { name: checkout }
spec:
  pattern: active-passive
  regions: [us-east-1, eu-west-1]
  objectives: { rto: 5m, rpo: 8s }
  policy: { failover: approval, announce: 1s, cooldown: 1s }
  health:
    breach_after: 5s
    recover_after: 10s
    signals:
      - name: front-door
        http: { url: "http://{region}.checkout.example.com/healthz", interval: 1s, timeout: 500ms, expect_status: 200 }
  traffic:
    hosted_zone: example.com
    records:
      - name: api.example.com
        type: A
        routing: failover
        ttl: 30s
        targets:
          us-east-1: { values: ["192.0.2.10"] }
          eu-west-1: { values: ["192.0.2.20"] }
"#;

/// A state that is the test's to say, agreed with nobody.
struct Agreed(watch::Sender<Arc<FleetState>>);

#[async_trait]
impl Agreement for Agreed {
    async fn propose(&self, _: Entry) -> Result<Applied, ProposeError> {
        Err(ProposeError::NotLeader { leader: None })
    }

    async fn confirm_leadership(&self) -> Result<(), ProposeError> {
        Err(ProposeError::NotLeader { leader: None })
    }

    fn state(&self) -> watch::Receiver<Arc<FleetState>> {
        self.0.subscribe()
    }

    fn leadership(&self) -> watch::Receiver<Leadership> {
        // A fleet of one: what this daemon says is what the fleet says.
        let leadership = Leadership { voters: [WEST.into()].into(), ..Leadership::default() };
        watch::Sender::new(leadership).subscribe()
    }

    async fn step_aside(&self, _: &Region) {}
}

/// Nobody else is there.
struct Alone;

#[async_trait]
impl Peers for Alone {
    async fn raft(&self, to: &Region, _: Vec<u8>) -> Result<Vec<u8>, PeerError> {
        Err(nobody(to))
    }

    async fn share(&self, to: &Region, _: &Report) -> Result<(), PeerError> {
        Err(nobody(to))
    }

    async fn events(
        &self,
        from: &Region,
        _: u64,
        _: u32,
    ) -> Result<Vec<failoverd_domain::fleet::HistoryEvent>, PeerError> {
        Err(nobody(from))
    }

    async fn forward(&self, to: &Region, _: Entry) -> Result<Result<Applied, ProposeError>, PeerError> {
        Err(nobody(to))
    }

    async fn look_up(&self, at: &Region, _: &LookUp) -> Result<Sighting, PeerError> {
        Err(nobody(at))
    }
}

fn nobody(peer: &Region) -> PeerError {
    PeerError { peer: peer.clone(), reason: "is not there".to_owned(), may_have_arrived: false }
}

struct Scene {
    aws: SimulatedAws,
    agreed: Arc<Agreed>,
    spec: ServiceSpec,
    view: View,
    clock: Arc<TokioClock>,
    matrix: watch::Receiver<Arc<Matrix>>,
    _supervisor: Supervisor,
}

impl Scene {
    fn new() -> Self {
        let members: BTreeMap<Region, Role> = [EAST, WEST].map(|name| (Region::from(name), Role::Member)).into();
        let spec = read_manifests("shop.yaml", MANIFEST.as_bytes(), &members).unwrap().remove(0).spec;
        let clock = Arc::new(TokioClock::starting_at(BEGINNING));
        let aws = SimulatedAws::new(clock.clone(), 1, WorldTiming::default());
        aws.provision(&spec);
        let mut state = FleetState::default();
        let put = |state: &mut FleetState, command| {
            let index = LogIndex(state.applied.0 + 1);
            let entry = Entry::new(BEGINNING, Actor::Daemon(WEST.into()), command);
            state.apply(index, &entry).result.unwrap();
        };
        put(&mut state, Command::Form { fleet: "prod".into(), members });
        let switch = failoverd_domain::traffic::SwitchEndpoint { host: "s.example.net".into(), port: 443, https: true };
        for region in [EAST, WEST] {
            put(&mut state, Command::Advertise { region: region.into(), switch: switch.clone() });
        }
        let tokens = vec![(spec.switch_group(), EAST.into(), "0123456789abcdef0123456789abcdef".to_owned())];
        put(&mut state, Command::Apply { specs: vec![spec.clone()], drills: Vec::new(), prune: false, tokens });
        assert!(state.members.values().all(|member: &Member| member.switch.is_some()));
        let agreed = Arc::new(Agreed(watch::Sender::new(Arc::new(state))));
        let view = Viewpoint::new(WEST.into(), [WEST.into()], 5_000, agreed.state(), agreed.leadership());
        let supervisor = Supervisor::new();
        let (board, inbox, matrix) = Board::new(clock.clone());
        supervisor.spawn(TaskKind::Board, board.run());
        let observer = Observer {
            build: Default::default(),
            settings: Default::default(),
            view: view.clone(),
            timing: Timing::fast(),
            clock: clock.clone(),
            world: aws.ports(WEST.into()).into_world(),
            agreement: agreed.clone(),
            peers: Arc::new(Alone),
            history: None,
            matrix: matrix.clone(),
            inbox,
            references: vec![WEST.into(), EAST.into()],
            words: watch::Sender::new(Words::default()).subscribe(),
            spoken: watch::Sender::new(Spoken::default()).subscribe(),
        };
        supervisor.spawn(TaskKind::Observer, observer.run());
        Self { aws, agreed, spec, view: view.now(), clock, matrix, _supervisor: supervisor }
    }

    fn change(&self, change: impl FnOnce(&mut FleetState)) {
        self.agreed.0.send_modify(|state| change(Arc::make_mut(state)));
    }

    fn set_phase(&self, phase: DrillPhase) {
        self.change(|state| {
            let run =
                state.drill_runs.entry("checkout-loss.3".into()).or_insert_with(|| execution(DrillKind::RegionLoss));
            run.phase = phase;
        });
    }

    fn report(&self) -> Report {
        self.matrix.borrow().of(&WEST.into()).expect("a report").report.clone()
    }

    fn diagnosis(&self, view: &View) -> Diagnosis {
        let matrix = self.matrix.borrow().clone();
        diagnose(self.clock.now(), view, &self.spec, &EAST.into(), &matrix).diagnosis
    }
}

fn drill(kind: DrillKind) -> DrillSpec {
    DrillSpec {
        name: "checkout-loss".into(),
        labels: BTreeMap::new(),
        service: SHOP.into(),
        kind,
        from: None,
        to: None,
        schedule: None,
        hypothesis: "it moves by itself".to_owned(),
        guardrails: vec![Guardrail::Alarm { name: "too-many-errors".to_owned(), region: EAST.into() }],
        hold_ms: 60_000,
        comes_back: ComesBack::Automatic,
        approvals: 0,
    }
}

fn execution(kind: DrillKind) -> DrillRun {
    let way = Course { home: EAST.into(), away: WEST.into(), movement: Movement::Failover };
    let actor = Actor::Operator("alice".to_owned());
    DrillRun::opened("checkout-loss.3".into(), Arc::new(drill(kind)), way, actor, BEGINNING)
}

async fn seconds(count: u64) {
    sleep(Duration::from_secs(count)).await;
}

#[tokio::test(start_paused = true)]
async fn a_drill_shows_a_lost_region_to_whoever_asks_for_it_and_to_nobody_else() {
    let scene = Scene::new();
    let drilled = scene.view.rehearsing(&"checkout-loss.3".into());
    seconds(20).await;
    assert_eq!(scene.diagnosis(&scene.view), Diagnosis::Healthy);
    scene.set_phase(DrillPhase::Checking);
    seconds(5).await;
    assert_eq!(scene.report().rehearsals, [], "nothing is shown before its time");
    scene.set_phase(DrillPhase::Detecting);
    seconds(3).await;
    assert!(!scene.diagnosis(&drilled).is_breach(), "three seconds bad is no breach of five");
    seconds(6).await;
    assert!(scene.diagnosis(&drilled).is_breach());
    let shown = scene.report().rehearsals.remove(0);
    assert_eq!((shown.service, shown.region), (ServiceName::from(SHOP), Region::from(EAST)));
    assert_eq!(shown.route53.unwrap().status, Status::Bad);
    let signal = &shown.signals[0];
    assert!(signal.detail.starts_with("shown by drill checkout-loss.3"), "{}", signal.detail);
    assert!((6_000..=10_000).contains(&signal.held_ms), "held since the phase was seen: {}", signal.held_ms);
    assert_eq!(scene.diagnosis(&scene.view), Diagnosis::Healthy, "what is really read goes on beside it");
    scene.set_phase(DrillPhase::Moving);
    seconds(3).await;
    assert_eq!(scene.report().rehearsals, []);
    // The next execution begins at nothing.
    scene.set_phase(DrillPhase::Detecting);
    seconds(3).await;
    assert!(!scene.diagnosis(&drilled).is_breach());
}

#[tokio::test(start_paused = true)]
async fn other_kinds_of_drills_show_nothing() {
    let scene = Scene::new();
    for kind in [DrillKind::Switchover, DrillKind::Evacuate, DrillKind::Simulate] {
        let run = DrillRun { phase: DrillPhase::Detecting, ..execution(kind) };
        scene.change(|state| drop(state.drill_runs.insert(run.id.clone(), run)));
        seconds(5).await;
        assert_eq!(scene.report().rehearsals, [], "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn alarms_of_guardrails_are_told_while_a_drill_may_begin_and_disturb_no_diagnosis() {
    let scene = Scene::new();
    let alarm = || {
        let signals = scene.report().signals;
        signals.into_iter().find(|reading| reading.signal == Guardrail::alarm_signal("too-many-errors"))
    };
    scene.aws.set_alarm(&EAST.into(), "too-many-errors", Some(false));
    seconds(5).await;
    assert_eq!(alarm(), None, "no drill names it");
    // One that people start only: nothing is asked before they do.
    let mut applied = DrillState {
        spec: Arc::new(drill(DrillKind::Switchover)),
        spec_index: LogIndex(9),
        applied_at: BEGINNING,
        runs: 0,
        handled: None,
        missed: None,
        last: None,
    };
    scene.change(|state| drop(state.drills.insert("checkout-loss".into(), applied.clone())));
    seconds(40).await;
    assert_eq!(alarm(), None);
    let schedule = Schedule {
        cron: "0 10 * * 1".to_owned(),
        timezone: "UTC".to_owned(),
        window_ms: 3_600_000,
        blackouts: Vec::new(),
    };
    applied.spec = Arc::new(DrillSpec { schedule: Some(schedule), ..drill(DrillKind::Switchover) });
    scene.change(|state| drop(state.drills.insert("checkout-loss".into(), applied)));
    seconds(40).await;
    assert_eq!(alarm().unwrap().status, Status::Good);
    // While it is open, an alarm is seen within a few probes.
    scene.change(|state| drop(state.drill_runs.insert("checkout-loss.3".into(), execution(DrillKind::Switchover))));
    scene.aws.set_alarm(&EAST.into(), "too-many-errors", Some(true));
    seconds(4).await;
    let bad = alarm().unwrap();
    assert_eq!((bad.status, bad.region), (Status::Bad, Region::from(EAST)));
    assert_eq!(scene.diagnosis(&scene.view), Diagnosis::Healthy);
    scene.aws.set_alarm(&EAST.into(), "too-many-errors", None);
    seconds(4).await;
    assert_eq!(alarm().unwrap().status, Status::Unknown, "insufficient data is neither good nor bad");
}

#[tokio::test(start_paused = true)]
async fn a_service_is_asked_by_its_public_name_while_it_is_drilled_and_a_moment_after() {
    let scene = Scene::new();
    seconds(5).await;
    assert_eq!(scene.report().through, [], "nobody asks for nothing");
    let first = scene.report().signals.into_iter().find(|reading| reading.region.as_str() == EAST).unwrap();
    assert!(first.latency_ms.is_some_and(|ms| ms > 0), "a good answer says how long it took: {first:?}");
    scene.set_phase(DrillPhase::Moving);
    seconds(5).await;
    let seen = scene.report().through;
    // No record has been written yet.
    assert_eq!((seen.len(), seen[0].status), (1, Status::Unknown), "{seen:?}");
    // Both levels, as settlement writes them: the inner name says whose address it is.
    let address = || vec!["192.0.2.10".to_owned()];
    let names = ["api.example.com", "fo-us-east-1.api.example.com"];
    let records = names.map(|name| Change::Create(RecordSet::simple(name, RecordType::A, 30, address())));
    let world = scene.aws.ports(WEST.into()).into_world();
    world.records.change("example.com", records.to_vec()).await.unwrap();
    seconds(90).await;
    let seen = scene.report().through;
    assert_eq!(seen[0].status, Status::Good, "{seen:?}");
    assert!(seen[0].latency_ms.is_some() && seen[0].age_ms <= 2_000, "{seen:?}");
    scene.aws.break_region(&EAST.into());
    seconds(5).await;
    let seen = scene.report().through;
    assert_eq!((seen[0].status, seen[0].latency_ms), (Status::Bad, None), "{seen:?}");
    let now = scene.clock.now();
    scene.change(|state| {
        let run = state.drill_runs.get_mut("checkout-loss.3").unwrap();
        (run.phase, run.finished_at) = (DrillPhase::Closed, Some(now));
    });
    seconds(8).await;
    assert_eq!(scene.report().through.len(), 1, "ten seconds more");
    seconds(5).await;
    assert_eq!(scene.report().through, []);
}
