//! Settlers of whole fleets of services, against the simulated Route 53, on paused time. The log is one state that both
//! daemons see; who leads is the test's to say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use failoverd_domain::fleet::{Actor, Applied, Command, Entry, FleetState, Role};
use failoverd_domain::ids::{LogIndex, Region, ServiceName};
use failoverd_domain::manifest::read_manifests;
use failoverd_domain::route53::{Change, Policy, RecordSet, RecordType};
use failoverd_domain::service::{Endpoint, ServiceSpec, SwitchTransport};
use failoverd_domain::time::Timestamp;
use failoverd_domain::traffic::{Load, SwitchEndpoint};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::packer::Packer;
use super::{Settler, Standing, Words};
use crate::ports::{Age, Agreement, Call, Clock, Leadership, ProposeError, Records, Viewpoint, World, ZoneInfo};
use crate::runtime::{Supervisor, TaskKind, Timing};
use crate::sim::world::{Draws, Service, SimulatedAws, Timing as WorldTiming, TokioClock};

const ZONE: &str = "example.com";
const EAST: &str = "us-east-1";
const WEST: &str = "eu-west-1";
const BEGINNING: Timestamp = Timestamp(1_767_225_600_000);
const EXAMPLE: &str = include_str!("../../../examples/active-passive.yaml");

fn members() -> BTreeMap<Region, Role> {
    [(EAST, Role::Member), (WEST, Role::Member), ("us-west-2", Role::Witness)]
        .map(|(name, role)| (Region::from(name), role))
        .into()
}

fn name(at: usize) -> ServiceName {
    format!("app-{at:04}").as_str().into()
}

/// A copy of the example pair, of which only traffic is looked at here: no stores, no checks.
fn specs(count: usize) -> Vec<ServiceSpec> {
    let mut specs = specs_with_checks(count);
    for spec in &mut specs {
        spec.traffic.switch = SwitchTransport::None;
        spec.health.signals.clear();
    }
    specs
}

/// The same, each with a switch and its checks, and with Route 53's own view of it.
fn specs_with_checks(count: usize) -> Vec<ServiceSpec> {
    let example = read_manifests("example.yaml", EXAMPLE.as_bytes(), &members()).unwrap().remove(0).spec;
    let copy = |at: usize| {
        let mut spec = ServiceSpec { name: name(at), data: Vec::new(), ..example.clone() };
        spec.traffic.records[0].name = format!("{}.{ZONE}", name(at));
        spec
    };
    (0..count).map(copy).collect()
}

/// The state that is agreed, as one daemon sees it.
struct Seat {
    log: Arc<Log>,
    leadership: watch::Sender<Leadership>,
}

struct Log {
    state: watch::Sender<Arc<FleetState>>,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
}

impl Log {
    fn commit(&self, command: Command) -> Applied {
        let entry = Entry::new(BEGINNING, Actor::Daemon(EAST.into()), command);
        let mut applied = None;
        self.state.send_modify(|state| {
            let index = LogIndex(state.applied.0 + 1);
            applied = Some(Arc::make_mut(state).apply(index, &entry));
        });
        applied.unwrap()
    }
}

#[async_trait]
impl Agreement for Seat {
    async fn propose(&self, entry: Entry) -> Result<Applied, ProposeError> {
        let under_way = self.log.under_way.fetch_add(1, Ordering::Relaxed) + 1;
        self.log.most_under_way.fetch_max(under_way, Ordering::Relaxed);
        sleep(Duration::from_millis(20)).await;
        self.log.under_way.fetch_sub(1, Ordering::Relaxed);
        self.confirm_leadership().await?;
        Ok(self.log.commit(entry.command))
    }

    async fn confirm_leadership(&self) -> Result<(), ProposeError> {
        sleep(Duration::from_millis(5)).await;
        if self.leadership.borrow().is_me { Ok(()) } else { Err(ProposeError::NotLeader { leader: None }) }
    }

    fn state(&self) -> watch::Receiver<Arc<FleetState>> {
        self.log.state.subscribe()
    }

    fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.subscribe()
    }

    async fn step_aside(&self, _: &Region) {}
}

/// The simulated Route 53, with a tally of who asks it for changes.
struct Tally {
    aws: Arc<dyn Records>,
    under_way: AtomicUsize,
    /// Changes of each call, with the error's code if it was refused.
    calls: Mutex<Vec<(usize, Option<String>)>>,
}

#[async_trait]
impl Records for Tally {
    async fn zone(&self, zone: &str) -> Call<ZoneInfo> {
        self.aws.zone(zone).await
    }

    async fn list(&self, zone: &str, age: Age) -> Call<Arc<Vec<RecordSet>>> {
        self.aws.list(zone, age).await
    }

    async fn change(&self, zone: &str, changes: Vec<Change>) -> Call<String> {
        assert!(Load::of(&changes).fits(), "{}", Load::of(&changes));
        assert_eq!(self.under_way.fetch_add(1, Ordering::Relaxed), 0, "one batch of a zone at a time");
        let count = changes.len();
        let result = self.aws.change(zone, changes).await;
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        let code = result.as_ref().err().map(|error| error.code.clone());
        self.calls.lock().unwrap().push((count, code));
        result
    }

    async fn in_sync(&self, change: &str) -> Call<bool> {
        self.aws.in_sync(change).await
    }
}

struct Daemon {
    leadership: watch::Sender<Leadership>,
    tally: Arc<Tally>,
    words: watch::Receiver<Words>,
}

struct Bench {
    aws: SimulatedAws,
    log: Arc<Log>,
    daemons: Vec<Daemon>,
    supervisor: Supervisor,
}

fn leadership(is_me: bool) -> Leadership {
    Leadership { is_me, term: 1, caught_up: true, ..Leadership::default() }
}

impl Bench {
    /// Two daemons over one log; the first leads.
    fn new(specs: Vec<ServiceSpec>) -> Self {
        let clock = Arc::new(TokioClock::starting_at(BEGINNING));
        let timing = WorldTiming { dns_propagation_ms: 3_000, health_check_quota: 20_000, ..WorldTiming::default() };
        let aws = SimulatedAws::new(clock.clone(), 1, timing);
        aws.create_zone(ZONE, &[EAST.into(), WEST.into()]);
        let state = watch::Sender::new(Arc::new(FleetState::default()));
        let log = Arc::new(Log { state, under_way: AtomicUsize::new(0), most_under_way: AtomicUsize::new(0) });
        log.commit(Command::Form { fleet: "prod".into(), members: members() }).result.unwrap();
        for region in members().into_keys() {
            let switch = SwitchEndpoint { host: format!("switch.{region}.example.net"), port: 443, https: true };
            log.commit(Command::Advertise { region, switch }).result.unwrap();
        }
        let tokens = specs.iter().map(|spec| (spec.switch_group(), EAST.into(), format!("token-of-{}", spec.name)));
        let tokens = tokens.collect();
        log.commit(Command::Apply { specs, drills: Vec::new(), prune: false, tokens }).result.unwrap();
        let supervisor = Supervisor::new();
        let daemons = [EAST, WEST].map(|me| {
            let world = aws.ports(me.into()).into_world();
            let tally = Tally { aws: world.records.clone(), under_way: AtomicUsize::new(0), calls: Mutex::default() };
            let tally = Arc::new(tally);
            let world = World { records: tally.clone(), ..world };
            let seat = watch::Sender::new(leadership(me == EAST));
            let agreement = Arc::new(Seat { log: log.clone(), leadership: seat.clone() });
            let view =
                Viewpoint::new(me.into(), members().into_keys(), 5_000, agreement.state(), agreement.leadership());
            let timing = Timing { settle: Duration::from_secs(1), ..Timing::default() };
            let clock: Arc<dyn Clock> = clock.clone();
            let (settler, words) = Settler::new(view, timing, clock, world, agreement);
            supervisor.spawn(TaskKind::Settler, settler.run());
            Daemon { leadership: seat, tally, words }
        });
        Self { aws, log, daemons: daemons.into(), supervisor }
    }

    fn unsettled(&self) -> BTreeSet<ServiceName> {
        let state = self.log.state.borrow().clone();
        let left = state.services.values().filter(|service| !service.is_settled());
        left.map(|service| service.spec.name.clone()).collect()
    }

    /// How long it took until no more than these were unsettled.
    async fn until_unsettled(&self, left: &[usize], patience: Duration) -> Duration {
        let began = Instant::now();
        let left: BTreeSet<ServiceName> = left.iter().map(|at| name(*at)).collect();
        while self.unsettled() != left {
            assert!(began.elapsed() < patience, "{:?} are unsettled after {patience:?}", self.unsettled());
            sleep(Duration::from_millis(100)).await;
        }
        began.elapsed()
    }

    /// Every service serves elsewhere from now on.
    fn move_all(&self, to: &str) {
        let state = self.log.state.borrow().clone();
        let groups: BTreeSet<_> = state.services.values().map(|held| held.spec.switch_group()).collect();
        for group in groups {
            self.log.commit(Command::SetSwitch { group, region: to.into(), on: true, run: None }).result.unwrap();
        }
    }

    /// Calls for changes that a daemon has made since it was last asked.
    fn calls(&self, daemon: usize) -> Vec<(usize, Option<String>)> {
        std::mem::take(&mut *self.daemons[daemon].tally.calls.lock().unwrap())
    }

    fn lead(&self, daemon: usize) {
        for (at, other) in self.daemons.iter().enumerate() {
            other.leadership.send_replace(leadership(at == daemon));
        }
    }

    fn record(&self, name: &str, identifier: &str) -> RecordSet {
        let zone = self.aws.with(|world| world.zone(ZONE).unwrap().listing());
        let is = |set: &&RecordSet| set.name == name && set.set_identifier.as_deref() == Some(identifier);
        zone.iter().find(is).cloned().unwrap()
    }

    /// Whether each service's roles are those of a Region that serves.
    fn serves(&self, services: impl IntoIterator<Item = usize>, region: &str) -> bool {
        services.into_iter().all(|at| {
            let primary = self.record(&format!("{}.{ZONE}", name(at)), region).policy;
            primary == Policy::Failover { primary: true }
        })
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.supervisor.kill();
    }
}

const MINUTE: Duration = Duration::from_secs(60);

fn accepted(calls: &[(usize, Option<String>)]) -> usize {
    calls.iter().filter(|(_, refused)| refused.is_none()).count()
}

#[tokio::test(start_paused = true)]
async fn a_thousand_services_of_one_zone_are_set_up_and_moved_in_the_fewest_batches() {
    let bench = Bench::new(specs(1_000));
    bench.until_unsettled(&[], MINUTE).await;
    // Fence, two internal records and two public ones: 200 services in a batch.
    let calls = bench.calls(0);
    assert_eq!((calls.len(), accepted(&calls)), (5, 5), "{calls:?}");
    bench.move_all(WEST);
    let took = bench.until_unsettled(&[], MINUTE).await;
    // Fence and both roles, out and in: 166 services in a batch.
    let calls = bench.calls(0);
    assert_eq!((calls.len(), accepted(&calls)), (7, 7), "{calls:?}");
    assert_eq!(calls.iter().map(|(changes, _)| changes).sum::<usize>(), 6_000);
    assert!(took < Duration::from_secs(15), "{took:?}");
    assert!(bench.serves(0..1_000, WEST));
    assert_eq!(bench.log.most_under_way.load(Ordering::Relaxed), super::MOST_PROPOSED, "intents side by side");
    sleep(MINUTE * 3).await;
    assert_eq!((bench.calls(0), bench.calls(1)), (vec![], vec![]), "and then it rests");
}

#[tokio::test(start_paused = true)]
async fn services_that_change_their_own_checks_first_go_together_too() {
    let bench = Bench::new(specs_with_checks(120));
    bench.until_unsettled(&[], MINUTE).await;
    // 9 records each: 111 in a batch.
    assert_eq!(bench.calls(0).len(), 2);
    bench.move_all(WEST);
    bench.until_unsettled(&[], MINUTE).await;
    assert_eq!(bench.calls(0).into_iter().map(|(changes, _)| changes).collect::<Vec<_>>(), [120 * 6]);
    assert!(bench.serves(0..120, WEST));
}

#[tokio::test(start_paused = true)]
async fn services_that_share_a_switch_change_its_checks_once_for_all() {
    let mut specs = specs_with_checks(300);
    for spec in &mut specs {
        spec.health.signals.clear();
        spec.traffic.switch_group = Some(name(0).as_str().into());
    }
    let bench = Bench::new(specs);
    bench.until_unsettled(&[], MINUTE).await;
    let checks = |operation: &str| bench.aws.effects().iter().filter(|effect| effect.operation == operation).count();
    assert_eq!((checks("CreateHealthCheck"), bench.calls(0).len()), (8, 2), "5 records each: 200 in a batch");
    bench.move_all(WEST);
    bench.until_unsettled(&[], MINUTE).await;
    assert!(bench.serves(0..300, WEST));
    let calls = bench.calls(0);
    assert_eq!((checks("UpdateHealthCheck"), calls.len(), accepted(&calls)), (2, 2, 2), "{calls:?}");
    let words = bench.daemons[0].words.borrow().clone();
    assert!(words.values().all(|word| word.standing == Standing::Clean), "nobody was refused for another's change");
}

#[tokio::test(start_paused = true)]
async fn one_services_rejected_change_holds_nobody_up() {
    let mut specs = specs(40);
    // Route 53 names the first in its refusal, and not the second.
    specs[7].traffic.records[0].name = "app-0007.example.org".into();
    let values = specs[21].traffic.records[0].targets.values_mut().next().unwrap();
    values.endpoint = Endpoint::Values(vec!["300.1.1.1".into()]);
    let bench = Bench::new(specs);
    // Somebody's own record stands where the third would put its own.
    let theirs = RecordSet::simple(format!("{}.{ZONE}", name(30)), RecordType::A, 300, vec!["203.0.113.9".into()]);
    bench.aws.with(|world| world.change_records(ZONE, &[Change::Create(theirs.clone())])).unwrap();
    let took = bench.until_unsettled(&[7, 21, 30], MINUTE).await;
    assert!(took < Duration::from_secs(15), "{took:?}");
    let calls = bench.calls(0);
    assert!(calls.len() <= 14, "one is named, one is found by halves: {calls:?}");
    sleep(MINUTE).await;
    let words = bench.daemons[0].words.borrow().clone();
    let says = |at: usize, what: &str| match &words[&name(at)].standing {
        Standing::Waits(reason) | Standing::Stuck(reason) => assert!(reason.contains(what), "{reason}"),
        other => panic!("{other:?}"),
    };
    says(7, "app-0007.example.org. is not permitted in zone");
    says(21, "300.1.1.1");
    says(30, "app-0030.example.com: the record was not made by failoverd");
    for at in (0..40).filter(|at| ![7, 21, 30].contains(at)) {
        assert_eq!(words[&name(at)].standing, Standing::Clean, "{at}");
    }
    // They are tried again at longer and longer intervals, each by itself or with the other: no storm.
    assert!(bench.calls(0).len() <= 24);
}

#[tokio::test(start_paused = true)]
async fn route_53s_api_is_away_and_whoever_leads_when_it_is_back_finishes() {
    let bench = Bench::new(specs(300));
    bench.until_unsettled(&[], MINUTE).await;
    let settled = bench.calls(0).len();
    assert_eq!(settled, 2);
    bench.aws.break_route53_api();
    bench.move_all(WEST);
    sleep(MINUTE).await;
    assert_eq!(bench.unsettled().len(), 300);
    bench.lead(1);
    sleep(MINUTE).await;
    bench.aws.heal_route53_api();
    bench.until_unsettled(&[], MINUTE).await;
    assert!(bench.serves(0..300, WEST));
    assert_eq!((bench.calls(0), accepted(&bench.calls(1))), (vec![], 2), "300 services of 6 records");
}

#[tokio::test(start_paused = true)]
async fn a_busy_zone_or_a_lost_answer_is_everybodys_and_all_come_again_together() {
    let bench = Bench::new(specs(300));
    bench.until_unsettled(&[], MINUTE).await;
    bench.calls(0);
    bench.aws.hold_up_changes(3);
    bench.move_all(WEST);
    bench.until_unsettled(&[], MINUTE).await;
    let calls = bench.calls(0);
    assert_eq!((calls.len(), accepted(&calls)), (3 + 2, 2), "refused three times, then 300 services: {calls:?}");
    bench.aws.lose_next_answers(&EAST.into(), Service::Route53, 1);
    bench.move_all(EAST);
    bench.until_unsettled(&[], MINUTE).await;
    assert!(bench.serves(0..300, EAST));
    let calls = bench.calls(0);
    assert_eq!(calls.len(), 2, "what was done without an answer is found done: {calls:?}");
    bench.aws.hold_up_changes(1_000);
    bench.move_all(WEST);
    sleep(Duration::from_secs(14)).await;
    let calls = bench.calls(0);
    assert!(calls.len() <= 5, "one question for both batches, and each pause twice as long: {calls:?}");
    bench.aws.hold_up_changes(0);
    bench.until_unsettled(&[], MINUTE).await;
    assert_eq!(bench.calls(0).len(), 2);
}

/// 300 services are two batches; something happens while the first is on its way.
async fn while_the_first_is_under_way(happens: impl FnOnce(&Bench)) -> Bench {
    let bench = Bench::new(specs(300));
    bench.until_unsettled(&[], MINUTE).await;
    bench.calls(0);
    bench.aws.slow(&EAST.into(), Service::Route53, 1_000);
    bench.move_all(WEST);
    let began = Instant::now();
    while bench.daemons[0].tally.under_way.load(Ordering::Relaxed) == 0 {
        assert!(began.elapsed() < MINUTE);
        sleep(Duration::from_millis(10)).await;
    }
    happens(&bench);
    bench
}

#[tokio::test(start_paused = true)]
async fn a_service_that_moves_on_while_it_waits_is_left_out_of_its_batch() {
    let bench = while_the_first_is_under_way(|bench| {
        let (group, region) = (name(299).as_str().into(), EAST.into());
        bench.log.commit(Command::SetSwitch { group, region, on: true, run: None }).result.unwrap();
    })
    .await;
    bench.until_unsettled(&[], MINUTE).await;
    let calls: Vec<usize> = bench.calls(0).into_iter().map(|(changes, _)| changes).collect();
    assert_eq!(calls, [166 * 6, 133 * 6, 2], "one fewer, and its mark alone afterwards: it is where it was");
    assert!(bench.serves(0..299, WEST) && bench.serves([299], EAST));
}

#[tokio::test(start_paused = true)]
async fn who_leads_no_more_sends_no_second_batch() {
    let bench = while_the_first_is_under_way(|bench| bench.lead(1)).await;
    bench.until_unsettled(&[], MINUTE).await;
    assert_eq!(bench.calls(0).len(), 1);
    assert_eq!(accepted(&bench.calls(1)), 1);
    assert!(bench.serves(0..300, WEST));
}

/// Draws of leaders, outages and lost answers; every service ends where it was last sent, by exact changes alone.
#[tokio::test(start_paused = true)]
async fn leaders_change_answers_are_lost_and_everything_ends_where_it_should() {
    for seed in 1..=12 {
        let bench = Bench::new(specs(60));
        let mut draws = Draws::new(seed);
        for round in 0..12 {
            let to = if round % 2 == 0 { WEST } else { EAST };
            bench.move_all(to);
            for _ in 0..draws.next_u64() % 4 {
                sleep(Duration::from_millis(draws.next_u64() % 1_500)).await;
                match draws.next_u64() % 5 {
                    0 | 1 => bench.lead(usize::try_from(draws.next_u64() % 2).unwrap()),
                    2 => bench.aws.lose_next_answers(&EAST.into(), Service::Route53, 1),
                    3 => bench.aws.break_route53_api(),
                    _ => bench.aws.hold_up_changes(1),
                }
            }
            bench.aws.heal_route53_api();
        }
        bench.until_unsettled(&[], MINUTE * 3).await;
        assert!(bench.serves(0..60, EAST), "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_stops_waiting_is_left_out_and_wedges_nothing() {
    let bench = Bench::new(specs(2));
    let state = bench.log.state.borrow().clone();
    let (first, second) = (&state.services[&name(0)], &state.services[&name(1)]);
    let packer = Packer::new(Duration::from_secs(15));
    let lane = || (None, ZONE.to_owned());
    let (leaver, slow) = (packer.ticket(lane()), packer.ticket(lane()));
    let waits = tokio::time::timeout(Duration::from_secs(1), leaver.hand_in(first, vec![])).await;
    assert!(waits.is_err() && packer.take_due().is_empty(), "it waits for the other ticket, and gives up");
    assert!(packer.next_due().is_none(), "nobody waits");
    let (sent, ()) = tokio::join!(slow.hand_in(second, vec![]), async {
        let mut due = packer.take_due();
        let (lane, mut pieces) = due.remove(0);
        assert_eq!(pieces.len(), 1, "who is gone is left out");
        assert!(packer.take_due().is_empty(), "nothing else of the zone goes meanwhile");
        let piece = pieces.remove(0);
        assert_eq!(piece.key.service.spec.name, name(1));
        piece.key.answer(Ok(()));
        packer.sent(&lane);
    });
    assert_eq!(sent, Ok(()));
    // A ticket that never comes back holds the others up for so long and no longer.
    let (_lost, late) = (packer.ticket(lane()), packer.ticket(lane()));
    let handing_in = tokio::time::timeout(Duration::from_secs(20), late.hand_in(second, vec![]));
    let (_, waited) = tokio::join!(handing_in, async {
        tokio::task::yield_now().await;
        let began = Instant::now();
        tokio::time::sleep_until(packer.next_due().unwrap()).await;
        assert_eq!(packer.take_due().len(), 1);
        began.elapsed()
    });
    assert_eq!(waited, Duration::from_secs(15));
}
