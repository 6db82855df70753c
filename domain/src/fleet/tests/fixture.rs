//! A formed fleet of three, one service that has everything, and the readings that prove its Region broken.

use std::collections::BTreeMap;

use crate::fleet::*;
use crate::health::tests::{bad, spec};
use crate::health::{Matrix, ReplicaReadiness, Report, Route53Reading, SignalReading, Status, StoreReading, View};
use crate::ids::{Epoch, LogIndex, Region, RunId, ServiceName, StepName, SwitchGroup};
use crate::invariant::{Transition, judge};
use crate::plan::{Mode, Movement, StepKind};
use crate::service::{Fence, ServiceSpec, Store, StoreKind};
use crate::time::Timestamp;
use crate::traffic::SwitchEndpoint;

pub(crate) const NOW: Timestamp = Timestamp(1_000_000);
pub(crate) const US: &str = "us-east-1";
pub(crate) const EU: &str = "eu-west-1";
pub(crate) const WITNESS: &str = "us-west-2";
pub(crate) const FLEET: [&str; 3] = [US, EU, WITNESS];

/// A fleet's state with its whole history. Every entry is judged by I1 to I8, and a refused one must leave no trace.
#[derive(Clone)]
pub(crate) struct Bench {
    pub(crate) now: Timestamp,
    pub(crate) state: FleetState,
    pub(crate) events: Vec<HistoryEvent>,
    pub(crate) entries: Vec<Entry>,
}

pub(crate) fn person() -> Actor {
    Actor::Operator("alice".to_owned())
}

pub(crate) fn daemon() -> Actor {
    Actor::Daemon(EU.into())
}

/// Active-passive with a fenced Aurora database, a table and buckets; begins at once, with cooldown off.
pub(crate) fn shop() -> ServiceSpec {
    let by_region = |us: &str, eu: &str| BTreeMap::from([(US.into(), us.to_owned()), (EU.into(), eu.to_owned())]);
    let store = |name: &str, kind, fence| Store { name: name.into(), kind, canary: None, fence };
    let aurora = StoreKind::Aurora { global_cluster: "shop-global".into(), clusters: by_region("use1", "euw1") };
    let buckets = StoreKind::S3 {
        buckets: by_region("media-us", "media-eu"),
        bidirectional: true,
        role_arn: None,
        time_control: false,
    };
    let mut spec = spec("shop");
    spec.data = vec![
        store("orders-db", aurora, Some(Fence::SecurityGroup(by_region("sg-us", "sg-eu")))),
        store(
            "orders",
            StoreKind::Dynamodb {
                table: "Orders".into(),
                ensure_replicas: false,
                replicas: vec![US.into(), EU.into()],
                create: None,
            },
            None,
        ),
        store("media", buckets, None),
    ];
    spec
}

pub(crate) fn apply(specs: Vec<ServiceSpec>) -> Command {
    let tokens = specs.iter().flat_map(|spec| {
        spec.regions.iter().map(|region| (spec.switch_group(), region.clone(), format!("{}-{region}", spec.name)))
    });
    Command::Apply { tokens: tokens.collect(), specs, drills: Vec::new(), prune: false }
}

pub(crate) fn form() -> Command {
    let role = |region| if region == WITNESS { Role::Witness } else { Role::Member };
    Command::Form { fleet: "prod".into(), members: FLEET.map(|region| (region.into(), role(region))).into() }
}

pub(crate) fn advertise(region: &str, host: &str) -> Command {
    let switch = SwitchEndpoint { host: host.to_owned(), port: 443, https: true };
    Command::Advertise { region: region.into(), switch }
}

impl Bench {
    pub(crate) fn empty() -> Self {
        Self { now: NOW, state: FleetState::default(), events: vec![], entries: vec![] }
    }

    pub(crate) fn formed() -> Self {
        let mut bench = Self::empty();
        bench.ok(daemon(), form());
        for region in FLEET {
            bench.ok(daemon(), advertise(region, &format!("switch.{region}.example.com")));
        }
        bench
    }

    /// With `shop` applied and settled.
    pub(crate) fn serving() -> Self {
        Self::serving_spec(shop())
    }

    pub(crate) fn serving_spec(spec: ServiceSpec) -> Self {
        let mut bench = Self::formed();
        bench.ok(person(), apply(vec![spec]));
        bench.settle();
        bench
    }

    pub(crate) fn settle(&mut self) {
        let service = self.shop();
        let (service, epoch, spec_index) = (service.spec.name.clone(), service.epoch, service.spec_index);
        self.ok(daemon(), Command::Settled { service, epoch, spec_index, seen: LogIndex(0) });
    }

    pub(crate) fn put(&mut self, actor: Actor, command: Command) -> Applied {
        let before = self.state.clone();
        let entry = Entry::new(self.now, actor, command);
        let applied = self.state.apply(before.applied.next(), &entry);
        let seen = Transition { before: &before, entry: &entry, applied: &applied, after: &self.state };
        assert_eq!(judge(&seen), vec![], "after {:?}", entry.command);
        if applied.result.is_err() {
            let unchanged = FleetState { applied: self.state.applied, ..before };
            assert_eq!(self.state, unchanged, "a refused entry left a trace: {:?}", entry.command);
            assert_eq!(applied.events, vec![]);
        }
        self.events.extend(applied.events.clone());
        self.entries.push(entry);
        applied
    }

    /// Accepted, with the run it is about.
    #[track_caller]
    pub(crate) fn ok(&mut self, actor: Actor, command: Command) -> Option<RunId> {
        let said = format!("{command:?}");
        self.put(actor, command).result.unwrap_or_else(|refused| panic!("{said}: {refused}"))
    }

    /// Refused, with the stable word.
    #[track_caller]
    pub(crate) fn refused(&mut self, actor: Actor, command: Command) -> String {
        self.put(actor, command).result.expect_err("should be refused").code
    }

    pub(crate) fn shop(&self) -> &ServiceState {
        &self.state.services[&ServiceName::from("shop")]
    }

    pub(crate) fn run(&self, run: &RunId) -> &Run {
        &self.state.runs[run]
    }

    pub(crate) fn kinds(&self) -> Vec<EventKind> {
        self.events.iter().map(|event| event.kind).collect()
    }

    pub(crate) fn phase(&self) -> ServicePhase {
        self.state.phase(self.shop())
    }

    pub(crate) fn matrix(&self, reports: Vec<Report>) -> Matrix {
        let mut matrix = Matrix::default();
        for report in reports {
            matrix.take(self.now.minus_ms(1_000), report);
        }
        matrix
    }

    pub(crate) fn propose(&self, reports: Vec<Report>, request: &FailoverRequest) -> Result<Decision, Rejection> {
        propose_failover(self.now, &self.state, &self.matrix(reports), &view(), request)
    }

    pub(crate) fn automatic(&self) -> Decision {
        self.propose(breach(), &by_itself()).unwrap()
    }

    pub(crate) fn asked(&self, mode: Mode) -> Decision {
        let reports = if mode == Mode::Forced { breach() } else { healthy() };
        self.propose(reports, &by_person(mode)).unwrap()
    }

    pub(crate) fn decide(&mut self, decision: Decision) -> RunId {
        let actor = if decision.trigger == Trigger::Automatic { daemon() } else { person() };
        self.ok(actor, Command::Decide(Box::new(decision))).unwrap()
    }

    /// A forced run that began by itself.
    pub(crate) fn running() -> (Self, RunId) {
        let mut bench = Self::serving();
        let run = bench.decide(bench.automatic());
        assert_eq!(bench.run(&run).state, RunState::Running);
        (bench, run)
    }

    pub(crate) fn intent(&self, run: &RunId, step: &str) -> Command {
        let run = self.run(run);
        let attempt = run.progress(&step.into()).attempts + 1;
        Command::Intent { run: run.id.clone(), step: step.into(), attempt, epoch: run.epoch.unwrap_or(Epoch(0)) }
    }

    pub(crate) fn outcome(&self, run: &RunId, step: &str, outcome: StepOutcome) -> Command {
        let attempt = self.run(run).progress(&step.into()).attempts;
        Command::Outcome { run: run.clone(), step: step.into(), attempt, outcome }
    }

    /// Begins a step, turns the switch if that is its effect, and ends it.
    #[track_caller]
    pub(crate) fn step(&mut self, run: &RunId, step: &str, outcome: StepOutcome) {
        self.ok(daemon(), self.intent(run, step));
        if outcome == done() {
            self.turn(run, step);
        }
        let outcome = self.outcome(run, step, outcome);
        self.ok(daemon(), outcome);
    }

    pub(crate) fn turn(&mut self, run: &RunId, step: &str) {
        let step = StepName::from(step);
        let kind = self.run(run).plan.step(&step).map(|step| step.kind.clone());
        if let Some(StepKind::FlipSwitch { group, bit, on }) = kind {
            self.ok(daemon(), Command::SetSwitch { group, region: bit, on, run: Some((run.clone(), step)) });
        }
    }

    /// Does every step that is left, well.
    #[track_caller]
    pub(crate) fn finish(&mut self, run: &RunId) {
        let names: Vec<StepName> = self.run(run).plan.steps.iter().map(|step| step.name.clone()).collect();
        for name in names {
            if self.run(run).progress(&name).state == StepState::Pending {
                self.step(run, name.as_str(), done());
            }
        }
    }

    pub(crate) fn abort(&mut self, run: &RunId) {
        self.ok(person(), Command::Abort { run: run.clone(), reason: "stop it".into() });
    }

    pub(crate) fn serves(&self) -> (String, bool) {
        let bit = self.state.switches[&SwitchGroup::from("shop")].bits[&Region::from(US)].on;
        (self.shop().primary.to_string(), bit)
    }
}

pub(crate) fn done() -> StepOutcome {
    StepOutcome::Succeeded { note: "done".into(), seen: Vec::new() }
}

pub(crate) fn failed() -> StepOutcome {
    StepOutcome::Failed { error: "denied".into(), retryable: false }
}

pub(crate) fn retryable() -> StepOutcome {
    StepOutcome::Failed { error: "throttled".into(), retryable: true }
}

pub(crate) fn unknown() -> StepOutcome {
    StepOutcome::Unknown { error: "no answer".into() }
}

pub(crate) fn view() -> View {
    View { me: EU.into(), members: FLEET.map(Region::from).to_vec(), stale_after_ms: 5_000, rehearses: None }
}

pub(crate) fn by_itself() -> FailoverRequest {
    FailoverRequest {
        movement: Movement::Failover,
        from: None,
        service: "shop".into(),
        to: None,
        mode: Some(Mode::Forced),
        trigger: Trigger::Automatic,
        actor: daemon(),
        reason: None,
        plan_hash: None,
        drill: None,
    }
}

pub(crate) fn by_person(mode: Mode) -> FailoverRequest {
    FailoverRequest { mode: Some(mode), trigger: Trigger::Operator, actor: person(), ..by_itself() }
}

/// One observer's report: us-east-1 as `status`, eu-west-1 good and its copies 200 ms behind, Route 53 agreeing.
pub(crate) fn report(observer: &str, status: Status) -> Report {
    let mut report = bad(observer);
    for signal in &mut report.signals {
        (signal.status, signal.breached) = (status, status == Status::Bad);
    }
    let elsewhere = report.signals.clone().into_iter();
    let good = |signal| SignalReading { region: EU.into(), status: Status::Good, breached: false, ..signal };
    report.signals.extend(elsewhere.map(good));
    report.stores = ["orders-db", "orders", "media"].map(store_reading).to_vec();
    report.route53.push(Route53Reading { service: "shop".into(), region: US.into(), status, age_ms: 100 });
    report
}

fn store_reading(store: &str) -> StoreReading {
    StoreReading {
        service: "shop".into(),
        store: store.into(),
        region: EU.into(),
        readiness: ReplicaReadiness::Ready,
        writer: None,
        canary: None,
        lag_ms: Some((200, 500)),
        age_ms: 100,
    }
}

/// us-east-1 is silent, and both others see its service broken.
pub(crate) fn breach() -> Vec<Report> {
    vec![report(EU, Status::Bad), report(WITNESS, Status::Bad)]
}

pub(crate) fn healthy() -> Vec<Report> {
    FLEET.map(|observer| report(observer, Status::Good)).to_vec()
}

pub(crate) fn index(at: u64) -> LogIndex {
    LogIndex(at)
}
