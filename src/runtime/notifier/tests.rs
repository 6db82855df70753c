//! What webhooks hear, whoever leads, on paused time.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use failoverd_domain::fleet::{Applied, EventKind};
use failoverd_domain::ids::LogIndex;
use failoverd_domain::time::Timestamp;
use tokio::time::Instant;

use super::*;
use crate::ports::{ProposeError, Undelivered};
use crate::runtime::{Supervisor, TaskKind};
use crate::sim::world::TokioClock;

const BEGINNING: Timestamp = Timestamp(1_767_225_600_000);

/// The agreed state and who leads, as one daemon sees it.
#[derive(Clone)]
struct Seat {
    state: watch::Sender<Arc<FleetState>>,
    leadership: watch::Sender<Leadership>,
    /// Entries are lost.
    is_deaf: Arc<Mutex<bool>>,
}

#[async_trait]
impl Agreement for Seat {
    async fn propose(&self, entry: Entry) -> Result<Applied, ProposeError> {
        self.confirm_leadership().await?;
        if *self.is_deaf.lock().unwrap() {
            return Err(ProposeError::Unknown("lost".to_owned()));
        }
        let Command::Told { hook, seq } = entry.command else { panic!("a notifier proposes nothing else") };
        self.state.send_modify(|state| {
            let told = &mut Arc::make_mut(state).told;
            assert!(told.get(&hook).is_none_or(|before| *before < seq), "{hook} goes back to {seq}");
            told.insert(hook, seq);
        });
        Ok(Applied { index: LogIndex(1), events: Vec::new(), result: Ok(None) })
    }

    async fn confirm_leadership(&self) -> Result<(), ProposeError> {
        if self.leadership.borrow().is_me { Ok(()) } else { Err(ProposeError::NotLeader { leader: None }) }
    }

    fn state(&self) -> watch::Receiver<Arc<FleetState>> {
        self.state.subscribe()
    }

    fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.subscribe()
    }

    async fn step_aside(&self, _: &Region) {}
}

/// Webhooks that remember what they took, and when.
#[derive(Default)]
struct Hooks {
    hooks: Vec<Hook>,
    took: Mutex<Vec<(String, u64)>>,
    tries: Mutex<Vec<(String, u64, Instant)>>,
    /// How often each refuses from here on.
    refuses: Mutex<BTreeMap<String, u64>>,
}

#[async_trait]
impl Webhooks for Hooks {
    fn hooks(&self) -> Vec<Hook> {
        self.hooks.clone()
    }

    async fn tell(&self, hook: &str, event: &HistoryEvent, _: Timestamp) -> Result<(), Undelivered> {
        self.tries.lock().unwrap().push((hook.to_owned(), event.seq, Instant::now()));
        if let Some(left) = self.refuses.lock().unwrap().get_mut(hook).filter(|left| **left > 0) {
            *left -= 1;
            return Err(Undelivered("HTTP 500".to_owned()));
        }
        self.took.lock().unwrap().push((hook.to_owned(), event.seq));
        Ok(())
    }
}

struct Scene {
    state: watch::Sender<Arc<FleetState>>,
    seats: Vec<Seat>,
    hooks: Arc<Hooks>,
    _supervisor: Supervisor,
}

impl Scene {
    /// Two daemons with the same webhooks; the first leads.
    fn new(names: &[(&str, &[EventKind])]) -> Self {
        let state = FleetState { fleet: "prod".into(), ..FleetState::default() };
        let state = watch::Sender::new(Arc::new(state));
        let hook = |(name, events): &(&str, &[EventKind])| Hook { name: (*name).to_owned(), events: events.to_vec() };
        let hooks = Arc::new(Hooks { hooks: names.iter().map(hook).collect(), ..Hooks::default() });
        let supervisor = Supervisor::new();
        let seats = [true, false].map(|leads| {
            let leadership = watch::Sender::new(Leadership { is_me: leads, ..Leadership::default() });
            let seat = Seat { state: state.clone(), leadership, is_deaf: Arc::default() };
            let notifier = Notifier {
                me: "eu-west-1".into(),
                clock: Arc::new(TokioClock::starting_at(BEGINNING)),
                agreement: Arc::new(seat.clone()),
                webhooks: hooks.clone(),
            };
            supervisor.spawn(TaskKind::Notifier, notifier.run());
            seat
        });
        Self { state, seats: seats.into(), hooks, _supervisor: supervisor }
    }

    fn happen(&self, kind: EventKind) {
        self.state.send_modify(|state| {
            let state = Arc::make_mut(state);
            state.head.seq += 1;
            state.news.push_back(HistoryEvent {
                seq: state.head.seq,
                index: LogIndex(1),
                at: BEGINNING,
                fleet: "prod".into(),
                service: Some("checkout".into()),
                run: None,
                drill: None,
                kind,
                region: None,
                actor: "daemon:eu-west-1".to_owned(),
                message: "it happened".to_owned(),
                data: serde_json::Value::Null,
                hash: String::new(),
            });
        });
    }

    fn lead(&self, who: usize) {
        for (at, seat) in self.seats.iter().enumerate() {
            seat.leadership.send_modify(|leadership| leadership.is_me = at == who);
        }
    }

    fn refuse(&self, hook: &str, times: u64) {
        self.hooks.refuses.lock().unwrap().insert(hook.to_owned(), times);
    }

    fn took(&self, hook: &str) -> Vec<u64> {
        let took = self.hooks.took.lock().unwrap();
        took.iter().filter(|(name, _)| name == hook).map(|(_, seq)| *seq).collect()
    }

    fn told(&self, hook: &str) -> Option<u64> {
        self.state.borrow().told.get(hook).copied()
    }
}

async fn seconds(count: u64) {
    sleep(Duration::from_secs(count)).await;
}

#[tokio::test(start_paused = true)]
async fn a_new_webhook_hears_what_comes_and_nothing_old_each_once_and_in_order() {
    let scene = Scene::new(&[("ops", &[])]);
    scene.happen(EventKind::DrillOpened);
    // Nobody has run yet: that one is old.
    seconds(1).await;
    assert_eq!((scene.took("ops"), scene.told("ops")), (vec![], Some(1)));
    for _ in 0..5 {
        scene.happen(EventKind::DrillPhase);
    }
    seconds(1).await;
    assert_eq!(scene.took("ops"), [2, 3, 4, 5, 6]);
    assert_eq!(scene.told("ops"), Some(6));
}

#[tokio::test(start_paused = true)]
async fn a_webhook_hears_only_what_it_wants() {
    let scene = Scene::new(&[("ops", &[EventKind::DrillFinished])]);
    seconds(1).await;
    for kind in [EventKind::DrillOpened, EventKind::DrillFinished, EventKind::DrillMissed, EventKind::DrillFinished] {
        scene.happen(kind);
    }
    seconds(1).await;
    assert_eq!(scene.took("ops"), [2, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_refuses_is_tried_again_later_and_later_and_stands_in_nobodys_way() {
    let scene = Scene::new(&[("dead", &[]), ("live", &[])]);
    seconds(1).await;
    scene.refuse("dead", 12);
    scene.happen(EventKind::DrillOpened);
    scene.happen(EventKind::DrillFinished);
    seconds(1).await;
    assert_eq!((scene.took("live"), scene.took("dead")), (vec![1, 2], vec![]));
    seconds(3 * 3_600).await;
    assert_eq!(scene.took("dead"), [1, 2], "in order, the first one first");
    let tries = scene.hooks.tries.lock().unwrap().clone();
    let tries: Vec<Instant> =
        tries.iter().filter(|(hook, seq, _)| hook == "dead" && *seq == 1).map(|it| it.2).collect();
    let pauses: Vec<u64> = tries.windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).collect();
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_nobody_took_for_a_day_is_given_up_and_the_next_one_is_told() {
    let scene = Scene::new(&[("dead", &[])]);
    seconds(1).await;
    scene.refuse("dead", u64::MAX);
    scene.happen(EventKind::DrillOpened);
    seconds(23 * 3_600).await;
    assert_eq!(scene.told("dead"), Some(0));
    seconds(3_600 + 400).await;
    assert_eq!((scene.took("dead"), scene.told("dead")), (vec![], Some(1)));
    scene.refuse("dead", 0);
    scene.happen(EventKind::DrillFinished);
    seconds(1).await;
    assert_eq!(scene.took("dead"), [2]);
}

#[tokio::test(start_paused = true)]
async fn another_leader_goes_on_where_the_last_one_stopped() {
    let scene = Scene::new(&[("ops", &[])]);
    seconds(1).await;
    scene.happen(EventKind::DrillOpened);
    seconds(1).await;
    scene.lead(1);
    scene.happen(EventKind::DrillPhase);
    seconds(1).await;
    scene.lead(0);
    scene.happen(EventKind::DrillFinished);
    seconds(10).await;
    assert_eq!(scene.took("ops"), [1, 2, 3], "each once");
    // Delivered, and the entry that says so is lost: the same leader does not tell it again, its successor does.
    *scene.seats[0].is_deaf.lock().unwrap() = true;
    scene.happen(EventKind::DrillMissed);
    seconds(10).await;
    assert_eq!((scene.took("ops"), scene.told("ops")), (vec![1, 2, 3, 4], Some(3)));
    scene.lead(1);
    seconds(10).await;
    assert_eq!((scene.took("ops"), scene.told("ops")), (vec![1, 2, 3, 4, 4], Some(4)));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_deposed_while_it_waits_tells_nothing_more() {
    let scene = Scene::new(&[("ops", &[])]);
    seconds(1).await;
    scene.refuse("ops", 6);
    scene.happen(EventKind::DrillOpened);
    seconds(40).await;
    scene.lead(1);
    seconds(600).await;
    assert_eq!(scene.took("ops"), [1], "the successor tells it, and nobody else does");
}
