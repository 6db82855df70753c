//! Has simulations of drills run, while this daemon leads, and says what came of them.

use std::sync::Arc;
use std::time::Duration;

use failoverd_domain::drill::{Advance, DrillPhase};
use failoverd_domain::fleet::{Actor, Command, Entry};
use failoverd_domain::health::Matrix;
use tokio::sync::watch;

use crate::ports::{Agreement, Clock, Observed, Rehearsals, Viewpoint};

/// Before an end that was not taken on record is looked at again.
const AGAIN: Duration = Duration::from_secs(1);

/// One simulation at a time.
pub(super) struct Rehearser {
    pub(super) view: Viewpoint,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) agreement: Arc<dyn Agreement>,
    pub(super) matrix: watch::Receiver<Arc<Matrix>>,
    pub(super) rehearsals: Arc<dyn Rehearsals>,
}

impl Rehearser {
    /// Runs for ever.
    pub(super) async fn run(self) {
        let (mut states, mut leadership) = (self.agreement.state(), self.agreement.leadership());
        loop {
            let state = states.borrow_and_update().clone();
            let leads = leadership.borrow_and_update().is_me;
            let waiting = state.drill_runs.values().find(|run| leads && run.phase == DrillPhase::Simulating);
            let Some(run) = waiting else {
                let changed = tokio::select! {
                    changed = states.changed() => changed,
                    changed = leadership.changed() => changed,
                };
                if changed.is_err() {
                    // The log is closed: the daemon is stopping.
                    std::future::pending::<()>().await;
                }
                continue;
            };
            let (matrix, view) = (self.matrix.borrow().clone(), self.view.over(&state));
            let observed = Observed { now: self.clock.now(), state: state.clone(), matrix, view };
            let ended = self.rehearsals.rehearse(run, observed).await;
            let advance = Advance::Simulated {
                passed: ended.passed,
                sentence: ended.sentence,
                rto_ms: ended.rto_ms,
                told: ended.told,
            };
            let command = Command::AdvanceDrill { run: run.id.clone(), phase: DrillPhase::Simulating, advance };
            let entry = Entry::new(self.clock.now(), Actor::Daemon(self.view.me.clone()), command);
            // Not taken: whoever leads then simulates again, which touches nothing.
            match self.agreement.propose(entry).await {
                Ok(applied) => {
                    if let Err(rejection) = applied.result {
                        tracing::debug!(drill = %run.id, %rejection, "a simulation's end was not taken on record");
                        tokio::time::sleep(AGAIN).await;
                    }
                }
                Err(error) => {
                    tracing::debug!(drill = %run.id, %error, "a simulation's end is not on record yet");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    use async_trait::async_trait;
    use failoverd_domain::drill::{ComesBack, Course, DrillKind, DrillRun, DrillSpec};
    use failoverd_domain::fleet::{Applied, FleetState};
    use failoverd_domain::ids::{LogIndex, Region};
    use failoverd_domain::plan::Movement;
    use failoverd_domain::time::Timestamp;

    use super::*;
    use crate::ports::{Leadership, ProposeError, Rehearsed};
    use crate::runtime::{Supervisor, TaskKind};
    use crate::sim::world::TokioClock;

    const BEGINNING: Timestamp = Timestamp(1_767_225_600_000);

    /// The agreed state and who leads; says what was put on record.
    #[derive(Clone)]
    struct Seat {
        state: watch::Sender<Arc<FleetState>>,
        leadership: watch::Sender<Leadership>,
        records: Arc<Mutex<Vec<(String, bool)>>>,
    }

    #[async_trait]
    impl Agreement for Seat {
        async fn propose(&self, entry: Entry) -> Result<Applied, ProposeError> {
            self.confirm_leadership().await?;
            let Command::AdvanceDrill { run, phase, advance: Advance::Simulated { passed, sentence, .. } } =
                entry.command
            else {
                panic!("a rehearser proposes nothing else")
            };
            assert_eq!(phase, DrillPhase::Simulating);
            self.records.lock().unwrap().push((sentence, passed));
            self.state.send_modify(|state| {
                Arc::make_mut(state).drill_runs.get_mut(&run).unwrap().phase = DrillPhase::Closed;
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

    /// Takes a while, and says which it simulated.
    struct Slow;

    #[async_trait]
    impl Rehearsals for Slow {
        async fn rehearse(&self, drill: &DrillRun, _: Observed) -> Rehearsed {
            tokio::time::sleep(Duration::from_secs(5)).await;
            Rehearsed { passed: true, sentence: drill.id.to_string(), rto_ms: Some(1), told: Vec::new() }
        }
    }

    fn simulating(id: &str) -> DrillRun {
        let spec = DrillSpec {
            name: "monthly".into(),
            labels: BTreeMap::new(),
            service: "shop".into(),
            kind: DrillKind::Simulate,
            from: None,
            to: None,
            schedule: None,
            hypothesis: String::new(),
            guardrails: Vec::new(),
            hold_ms: 0,
            comes_back: ComesBack::Automatic,
            approvals: 0,
        };
        let way = Course { home: "us-east-1".into(), away: "eu-west-1".into(), movement: Movement::Failover };
        let actor = Actor::Operator("alice".to_owned());
        let opened = DrillRun::opened(id.into(), Arc::new(spec), way, actor, BEGINNING);
        DrillRun { phase: DrillPhase::Simulating, began_at: Some(BEGINNING), ..opened }
    }

    fn seat(leads: bool) -> (Seat, Supervisor) {
        let seat = Seat {
            state: watch::Sender::new(Arc::default()),
            leadership: watch::Sender::new(Leadership { is_me: leads, ..Leadership::default() }),
            records: Arc::default(),
        };
        let me = Region::from("eu-west-1");
        let rehearser = Rehearser {
            view: Viewpoint::new(me.clone(), [me], 5_000, seat.state(), seat.leadership()),
            clock: Arc::new(TokioClock::starting_at(BEGINNING)),
            agreement: Arc::new(seat.clone()),
            matrix: watch::Sender::new(Arc::default()).subscribe(),
            rehearsals: Arc::new(Slow),
        };
        let supervisor = Supervisor::new();
        supervisor.spawn(TaskKind::Rehearser, rehearser.run());
        (seat, supervisor)
    }

    fn begin(seat: &Seat, ids: &[&str]) {
        seat.state.send_modify(|state| {
            let runs = ids.iter().map(|id| ((*id).into(), simulating(id)));
            Arc::make_mut(state).drill_runs.extend(runs);
        });
    }

    async fn after(seat: &Seat, seconds: u64) -> Vec<(String, bool)> {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        seat.records.lock().unwrap().clone()
    }

    #[tokio::test(start_paused = true)]
    async fn the_leader_simulates_every_drill_that_asks_for_it_once() {
        let (seat, _supervisor) = seat(true);
        assert_eq!(after(&seat, 60).await, []);
        begin(&seat, &["a.1", "b.1"]);
        assert_eq!(after(&seat, 6).await, [("a.1".to_owned(), true)], "one at a time");
        assert_eq!(after(&seat, 60).await, [("a.1".to_owned(), true), ("b.1".to_owned(), true)]);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_leads_next_simulates_what_the_last_leader_could_not_put_on_record() {
        let (seat, _supervisor) = seat(false);
        begin(&seat, &["a.1"]);
        assert_eq!(after(&seat, 60).await, [], "it does not lead");
        seat.leadership.send_modify(|leadership| leadership.is_me = true);
        tokio::time::sleep(Duration::from_secs(3)).await;
        seat.leadership.send_modify(|leadership| leadership.is_me = false);
        assert_eq!(after(&seat, 60).await, [], "it did not lead any more when the simulation ended");
        seat.leadership.send_modify(|leadership| leadership.is_me = true);
        assert_eq!(after(&seat, 10).await, [("a.1".to_owned(), true)]);
    }
}
