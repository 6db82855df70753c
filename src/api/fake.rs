//! For tests: a state of some content, and handles whose log, peers and history live in memory.

mod drills;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use failoverd_domain::data::loss::{Loss, LossUnit};
use failoverd_domain::fleet::{
    Actor, Applied, Bit, Entry, EventHead, EventKind, FleetState, Guard, GuardVerdict, HistoryEvent, Member, Rejection,
    Role, Run, RunState, ServiceState, Settlement, Severity, StepProgress, StepState, Switch, Trigger,
};
use failoverd_domain::health::{Matrix, Report};
use failoverd_domain::ids::{Epoch, LogIndex, Region, RunId, StepName};
use failoverd_domain::plan::{Fencing, Mode, Movement, Plan, Plane, Step, StepKind, Undo};
use failoverd_domain::route53::{AliasTarget, RecordType};
use failoverd_domain::service::{
    Automation, Canary, Endpoint, HealthSpec, Objectives, OnDoubt, Pattern, Policy, ProbeSpec, PublicRecord, Routing,
    ServiceSpec, Signal, Store, StoreKind, SwitchTransport, Target, Traffic, Weight,
};
use failoverd_domain::time::Timestamp;
use failoverd_domain::traffic::{AnswerSeen, LookUp, NameProbe, Sighting, SwitchEndpoint};
use tokio::sync::{mpsc, watch};

pub use drills::{drill, with_drill};

use super::access::Identity;
use super::peer::RaftRefusal;
use super::{Handles, RaftEndpoint};
use crate::ports::{
    Agreement, Asked, Clock, History, HistoryError, HistoryFilter, Leadership, MemberSeen, Members, MembersError,
    Outbox, PeerError, Peers, ProposeError, RetryBudget, Viewpoint,
};
use crate::sim::world::{SimulatedAws, Timing, TokioClock};
use crate::telemetry::Telemetry;

/// An AWS without anything in it, which answers at once.
pub fn simulated_aws() -> SimulatedAws {
    let timing = Timing { call_ms: 0, far_call_ms: 0, call_timeout_ms: 200, ..Timing::default() };
    SimulatedAws::new(Arc::new(TokioClock::starting_at(NOW)), 1, timing)
}

pub const NOW: Timestamp = Timestamp(1_764_000_000_000);

pub fn spec(name: &str) -> ServiceSpec {
    let region = |name: &str| Region::from(name);
    let target = |dns_name: &str| Target {
        endpoint: Endpoint::Alias(AliasTarget {
            dns_name: dns_name.to_owned(),
            hosted_zone: "Z1".to_owned(),
            evaluate_target_health: false,
        }),
        geo: Vec::new(),
        weight: None,
    };
    ServiceSpec {
        name: name.into(),
        labels: BTreeMap::from([("tier".to_owned(), "1".to_owned())]),
        pattern: Pattern::ActivePassive,
        regions: vec![region("us-east-1"), region("eu-west-1")],
        role_arn: None,
        follows: None,
        objectives: Objectives { rto_ms: 300_000, rpo_ms: 5_000 },
        policy: Policy {
            failover: Automation::Automatic,
            announce_ms: 30_000,
            cooldown_ms: 1_800_000,
            restore_pause_ms: 300_000,
            loss_over_budget: OnDoubt::Approval,
            unfenced: OnDoubt::Approval,
            freeze: Vec::new(),
            require_drill_within_ms: None,
        },
        health: HealthSpec {
            breach_after_ms: 30_000,
            recover_after_ms: 300_000,
            signals: vec![Signal {
                name: "front-door".into(),
                weight: Weight::Required,
                probe: ProbeSpec::Http {
                    url: "https://{region}.example.com/healthz".to_owned(),
                    interval_ms: Some(10_000),
                    timeout_ms: 2_000,
                    expect_status: 200,
                },
            }],
        },
        traffic: Traffic {
            hosted_zone: "example.com".to_owned(),
            switch: SwitchTransport::Http,
            switch_group: None,
            records: vec![PublicRecord {
                name: format!("{name}.example.com"),
                record_type: RecordType::A,
                routing: Routing::Failover,
                ttl_s: None,
                targets: BTreeMap::from([
                    (region("us-east-1"), target("a.example.net")),
                    (region("eu-west-1"), target("b.example.net")),
                ]),
            }],
        },
        data: vec![Store {
            name: "orders-db".into(),
            kind: StoreKind::Aurora {
                global_cluster: format!("{name}-global"),
                clusters: BTreeMap::from([
                    (region("us-east-1"), format!("{name}-use1")),
                    (region("eu-west-1"), format!("{name}-euw1")),
                ]),
            },
            canary: Some(Canary::Dsn { dsn_env: "ORDERS_DSN".to_owned() }),
            fence: None,
        }],
    }
}

pub fn service(name: &str) -> ServiceState {
    ServiceState {
        spec: Arc::new(spec(name)),
        spec_index: LogIndex(2),
        epoch: Epoch(1),
        chosen: "us-east-1".into(),
        primary: "us-east-1".into(),
        primary_since: NOW.minus_ms(3_600_000),
        paused: false,
        settlement: Settlement {
            settled: Some((Epoch(1), LogIndex(2))),
            settled_at: Some(NOW),
            carries_traffic: true,
            ..Settlement::default()
        },
        runs: 0,
        last_run_at: None,
        attention: None,
        lost_writes: BTreeMap::new(),
        way_back: None,
        licences: Vec::new(),
        durations: BTreeMap::new(),
    }
}

pub fn state_with(names: &[&str]) -> FleetState {
    let member = |role| Member { role, switch: None };
    let bit = |name: &str| Bit { on: true, since: NOW, index: LogIndex(2), token: format!("token-{name}"), share: 100 };
    let switch = |name: &str| Switch {
        pattern: Pattern::ActivePassive,
        regions: spec(name).regions,
        bits: BTreeMap::from([("us-east-1".into(), bit(name))]),
    };
    FleetState {
        fleet: "test".into(),
        members: BTreeMap::from([
            ("us-east-1".into(), member(Role::Member)),
            ("eu-west-1".into(), member(Role::Member)),
            ("us-west-2".into(), member(Role::Witness)),
        ]),
        services: names.iter().map(|name| ((*name).into(), service(name))).collect(),
        switches: names.iter().map(|name| ((*name).into(), switch(name))).collect(),
        applied: LogIndex(7),
        ..FleetState::default()
    }
}

fn step(name: &str, kind: StepKind, after: &[&str], undo: Undo) -> Step {
    Step {
        name: name.into(),
        kind,
        region: "eu-west-1".into(),
        plane: Plane::Control,
        critical: true,
        after: after.iter().map(|name| StepName::from(*name)).collect(),
        undo,
        timeout_ms: 60_000,
        calls: vec![format!("rds {name} --region eu-west-1")],
    }
}

/// A forced run of `checkout` that succeeded; its steps took 5 s, 0.5 s and 1.5 s.
pub fn run(id: &str) -> Run {
    let promote = StepKind::Promote { store: "orders-db".into(), fencing: Fencing::None };
    let flip = StepKind::FlipSwitch { group: "checkout".into(), bit: "us-east-1".into(), on: false };
    let steps = vec![
        step("promote/orders-db", promote, &[], Undo::Irreversible),
        step("flip-switch/checkout", flip, &["promote/orders-db"], Undo::PutBack),
        step("verify-answer/checkout", StepKind::VerifyAnswer, &["flip-switch/checkout"], Undo::Nothing),
    ];
    let (began, times) = (NOW.plus_ms(31_000), [0, 5_000, 5_500, 7_000]);
    let journal = |n: usize| StepProgress {
        state: StepState::Succeeded,
        attempts: 1,
        started_at: Some(began.plus_ms(times[n])),
        finished_at: Some(began.plus_ms(times[n + 1])),
        note: Some("as it should be".to_owned()),
        seen: if n == 2 { seen() } else { Vec::new() },
        ..StepProgress::default()
    };
    Run {
        id: id.into(),
        service: "checkout".into(),
        trigger: Trigger::Automatic,
        actor: Actor::Daemon("eu-west-1".into()),
        reason: "us-east-1 is region-down for checkout".to_owned(),
        evidence: Vec::new(),
        guards: vec![GuardVerdict {
            guard: Guard::RpoBudget,
            ok: true,
            reason: "at most 1200 ms of writes against 5000 ms".to_owned(),
            severity: Severity::NeedsApproval,
        }],
        state: RunState::Succeeded,
        epoch: Some(Epoch(2)),
        decided_index: LogIndex(20),
        breach_at: Some(NOW),
        decided_at: NOW.plus_ms(31_000),
        valid_until: NOW.plus_ms(91_000),
        announce_until: None,
        unfenced_consent: None,
        started_at: Some(began),
        resumed_at: None,
        finished_at: Some(began.plus_ms(7_000)),
        verified_at: Some(began.plus_ms(7_000)),
        loss: vec![Loss {
            store: "orders-db".into(),
            bound: Some(1_200),
            measured: Some(800),
            unit: LossUnit::Ms,
            reason: "canary".to_owned(),
        }],
        steps: steps.iter().enumerate().map(|(n, step)| (step.name.clone(), journal(n))).collect(),
        plan: Plan {
            movement: Movement::Failover,
            service: "checkout".into(),
            from: "us-east-1".into(),
            to: "eu-west-1".into(),
            mode: Mode::Forced,
            spec_index: LogIndex(2),
            steps,
        },
        abort: None,
        verdict: Some("eu-west-1 serves".to_owned()),
        drill: None,
        recorded: false,
    }
}

/// Three daemons after a failover to eu-west-1: two saw it, one of them not well, the third is gone.
fn seen() -> Vec<AnswerSeen> {
    let right = |daemon: &str, after_ms, good, detail: &str| AnswerSeen {
        daemon: daemon.into(),
        answered_by: vec!["eu-west-1".into()],
        after_ms: Some(after_ms),
        tail_s: Some(59),
        not_asked: None,
        probes: vec![NameProbe {
            name: "api.example.com".to_owned(),
            signal: "front-door".into(),
            good,
            detail: detail.to_owned(),
        }],
    };
    let gone = AnswerSeen {
        daemon: "us-east-1".into(),
        answered_by: Vec::new(),
        after_ms: None,
        tail_s: None,
        not_asked: Some("unreachable".to_owned()),
        probes: Vec::new(),
    };
    let [eu, us] = [right("eu-west-1", 1_200, true, "HTTP 200 in 12 ms"), right("us-west-2", 1_400, false, "HTTP 503")];
    vec![eu, gone, us]
}

pub fn events(count: u64) -> Vec<HistoryEvent> {
    let mut previous = String::new();
    (1..=count)
        .map(|seq| {
            let mut event = HistoryEvent {
                seq,
                index: LogIndex(seq + 1),
                at: NOW.plus_ms(seq * 1_000),
                fleet: "test".into(),
                service: Some("checkout".into()),
                run: Some("checkout-1".into()),
                drill: None,
                kind: EventKind::StepOutcome,
                region: Some("eu-west-1".into()),
                actor: "daemon:eu-west-1".to_owned(),
                message: format!("event {seq}"),
                data: serde_json::json!({ "n": seq, "list": [true, null, "x"] }),
                hash: String::new(),
            };
            event.hash = event.expected_hash(&previous);
            previous.clone_from(&event.hash);
            event
        })
        .collect()
}

/// A log that takes every entry down and answers as told.
pub struct FakeLog {
    pub state: watch::Sender<Arc<FleetState>>,
    pub leadership: watch::Sender<Leadership>,
    pub proposed: Mutex<Vec<Entry>>,
    pub answer: Mutex<Result<Option<RunId>, Rejection>>,
}

impl FakeLog {
    fn take(&self, entry: Entry) -> Applied {
        self.proposed.lock().unwrap().push(entry);
        self.state.send_modify(|state| Arc::make_mut(state).applied.0 += 1);
        Applied { index: self.state.borrow().applied, events: Vec::new(), result: self.answer.lock().unwrap().clone() }
    }

    pub fn lead(&self, leader: Option<&str>, is_me: bool) {
        let leader = leader.map(Region::from);
        self.leadership
            .send_modify(|it| *it = Leadership { leader, is_me, term: 1, caught_up: true, ..Leadership::default() });
    }
}

#[async_trait]
impl Agreement for FakeLog {
    async fn propose(&self, entry: Entry) -> Result<Applied, ProposeError> {
        let leadership = self.leadership.borrow().clone();
        if leadership.is_me { Ok(self.take(entry)) } else { Err(ProposeError::NotLeader { leader: leadership.leader }) }
    }
    async fn confirm_leadership(&self) -> Result<(), ProposeError> {
        Ok(())
    }
    fn state(&self) -> watch::Receiver<Arc<FleetState>> {
        self.state.subscribe()
    }
    fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.subscribe()
    }
    async fn step_aside(&self, _: &Region) {}
}

/// Peers that reach one other log, or nobody.
#[derive(Default)]
pub struct FakePeers {
    pub leader: Option<Arc<FakeLog>>,
    pub lost_answer: bool,
}

#[async_trait]
impl Peers for FakePeers {
    async fn raft(&self, to: &Region, _: Vec<u8>) -> Result<Vec<u8>, PeerError> {
        Err(self.away(to))
    }
    async fn share(&self, to: &Region, _: &Report) -> Result<(), PeerError> {
        Err(self.away(to))
    }
    async fn events(&self, from: &Region, _: u64, _: u32) -> Result<Vec<HistoryEvent>, PeerError> {
        Err(self.away(from))
    }
    async fn forward(&self, to: &Region, entry: Entry) -> Result<Result<Applied, ProposeError>, PeerError> {
        match &self.leader {
            Some(log) if !self.lost_answer => Ok(log.propose(entry).await),
            _ => Err(self.away(to)),
        }
    }
    async fn look_up(&self, at: &Region, _: &LookUp) -> Result<Sighting, PeerError> {
        Err(self.away(at))
    }
}

impl FakePeers {
    fn away(&self, peer: &Region) -> PeerError {
        PeerError { peer: peer.clone(), reason: "away".to_owned(), may_have_arrived: self.lost_answer }
    }
}

pub struct FakeHistory(pub Mutex<Vec<HistoryEvent>>);

#[async_trait]
impl History for FakeHistory {
    async fn head(&self) -> Result<EventHead, HistoryError> {
        let events = self.0.lock().unwrap();
        Ok(events.last().map(|last| EventHead { seq: last.seq, hash: last.hash.clone() }).unwrap_or_default())
    }
    async fn append(&self, events: &[HistoryEvent]) -> Result<(), HistoryError> {
        self.0.lock().unwrap().extend_from_slice(events);
        Ok(())
    }
    async fn query(&self, filter: &HistoryFilter) -> Result<Vec<HistoryEvent>, HistoryError> {
        let events = self.0.lock().unwrap();
        let matches = |event: &&HistoryEvent| {
            filter.run.as_ref().is_none_or(|run| event.run.as_ref() == Some(run))
                && filter.drill.as_ref().is_none_or(|drill| event.drill.as_ref() == Some(drill))
                && filter.service.as_ref().is_none_or(|service| event.service.as_ref() == Some(service))
                && filter.kind.as_ref().is_none_or(|kind| &event.kind.word() == kind)
                && filter.since.is_none_or(|since| event.at >= since)
        };
        Ok(events.iter().rev().filter(matches).take(filter.limit as usize).cloned().collect())
    }
    async fn range(&self, from_seq: u64, limit: u32) -> Result<Vec<HistoryEvent>, HistoryError> {
        let events = self.0.lock().unwrap();
        Ok(events.iter().filter(|event| event.seq >= from_seq).take(limit as usize).cloned().collect())
    }
}

struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        NOW
    }
}

#[async_trait]
impl Outbox for Vec<HistoryEvent> {
    async fn pending(&self, from_seq: u64, limit: usize) -> Vec<HistoryEvent> {
        self.iter().filter(|event| event.seq >= from_seq).take(limit).cloned().collect()
    }
    async fn confirm(&self, _: u64) {}
}

struct Echo;

#[async_trait]
impl RaftEndpoint for Echo {
    async fn handle(&self, mut message: Vec<u8>, _: &Identity) -> Result<Vec<u8>, RaftRefusal> {
        if message.is_empty() {
            return Err(RaftRefusal::Failed("nothing said".to_owned()));
        }
        message.reverse();
        Ok(message)
    }
}

/// Handles of us-east-1, which leads, with what is behind them.
pub struct Daemon {
    pub handles: Handles,
    pub log: Arc<FakeLog>,
    pub history: Arc<FakeHistory>,
    pub matrix: watch::Sender<Arc<Matrix>>,
    pub inbox: mpsc::Receiver<Report>,
    pub aws: SimulatedAws,
}

pub fn daemon(state: FleetState, peers: FakePeers, outbox: Vec<HistoryEvent>) -> Daemon {
    let log = Arc::new(FakeLog {
        state: watch::Sender::new(Arc::new(state)),
        leadership: watch::Sender::default(),
        proposed: Mutex::default(),
        answer: Mutex::new(Ok(None)),
    });
    log.lead(Some("us-east-1"), true);
    let history = Arc::new(FakeHistory(Mutex::default()));
    let (inbox, received) = mpsc::channel(8);
    let members: Vec<Region> = vec!["eu-west-1".into(), "us-east-1".into(), "us-west-2".into()];
    let matrix = watch::Sender::new(Arc::new(Matrix::default()));
    let aws = simulated_aws();
    let handles = Handles {
        me: "us-east-1".into(),
        agreement: log.clone(),
        peers: Arc::new(peers),
        matrix: matrix.subscribe(),
        history: history.clone(),
        world: aws.ports("us-east-1".into()).into_world(),
        clock: Arc::new(FixedClock),
        view: Viewpoint::new("us-east-1".into(), members, 5_000, log.state(), log.leadership()),
        inbox,
        outbox: Arc::new(outbox),
        raft: Arc::new(Echo),
        members: Arc::new(Fixed),
        telemetry: Telemetry::counting(NOW),
        retries: Arc::new(RetryBudget::new("us-east-1")),
    };
    Daemon { handles, log, history, matrix, inbox: received, aws }
}

/// A fleet whose daemons can be reached, without services.
pub fn reachable() -> FleetState {
    let mut state = state_with(&[]);
    for (region, member) in &mut state.members {
        let host = format!("switch.{region}.example.net");
        member.switch = Some(SwitchEndpoint { host, port: 443, https: true });
    }
    state
}

/// A fleet whose members stay as they are.
struct Fixed;

#[async_trait]
impl Members for Fixed {
    async fn list(&self) -> Vec<MemberSeen> {
        vec![MemberSeen { region: "us-east-1".into(), votes: true, follows: false, leads: true, has: None }]
    }

    async fn replace(&self, region: &Region) -> Result<(), MembersError> {
        Err(MembersError::refused(format!("{region} is not a Region of this fleet")))
    }

    async fn add(&self, region: &Region, _: Asked<'_>) -> Result<(), MembersError> {
        Err(MembersError::unfinished(format!("{region} follows and does not vote yet: add it again")))
    }

    async fn remove(&self, _: &Region, _: Asked<'_>) -> Result<(), MembersError> {
        Ok(())
    }
}
