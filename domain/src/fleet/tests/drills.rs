//! Drills, from opening to verdict, as the leader proposes them and every daemon applies them.

use std::collections::BTreeMap;

use super::fixture::*;
use crate::drill::{
    ComesBack, Course, Curves, DrillKind, DrillPhase, DrillRun, DrillSpec, DrillVerdict, Ending, Guardrail,
    LicenceStanding, Schedule, Sight, ThroughSeen, licence_of, next_start,
};
use crate::fleet::*;
use crate::format::Format;
use crate::health::{Rehearsal, Report, SignalReading, Status};
use crate::ids::{DrillRunId, RunId, StepName};
use crate::plan::Mode;
use crate::service::{Automation, ServiceSpec};
use crate::time::Timestamp;

pub(super) const HOLD_MS: u64 = 60_000;

pub(crate) fn drill(kind: DrillKind) -> DrillSpec {
    DrillSpec {
        name: "gameday".into(),
        labels: BTreeMap::new(),
        service: "shop".into(),
        kind,
        from: None,
        to: Some(EU.into()),
        schedule: None,
        hypothesis: "shop moves and loses nothing".into(),
        guardrails: vec![
            Guardrail::MaxDuration { ms: 20 * 60_000 },
            Guardrail::Signal { signal: "front-door".into(), region: EU.into(), unhealthy_for_ms: 10_000 },
        ],
        hold_ms: HOLD_MS,
        comes_back: ComesBack::Automatic,
        approvals: 0,
    }
}

pub(super) fn scheduled(cron: &str) -> DrillSpec {
    let schedule = Schedule { cron: cron.into(), timezone: "UTC".into(), window_ms: 600_000, blackouts: Vec::new() };
    DrillSpec { schedule: Some(schedule), ..drill(DrillKind::Switchover) }
}

/// The signal that the fixture's service has.
fn front_door() -> String {
    healthy()[0].signals[0].signal.to_string()
}

/// Everything is well everywhere, copies included.
pub(super) fn all_well() -> Vec<Report> {
    let mut reports = healthy();
    for report in &mut reports {
        let here = report.stores.clone().into_iter();
        report.stores.extend(here.map(|mut store| {
            store.region = US.into();
            store
        }));
    }
    reports
}

#[derive(Clone)]
pub(super) struct GameDay {
    pub(super) bench: Bench,
    pub(super) id: DrillRunId,
}

impl GameDay {
    fn applied(mut spec: DrillSpec, service: ServiceSpec) -> Self {
        for guardrail in &mut spec.guardrails {
            if let Guardrail::Signal { signal, .. } = guardrail {
                *signal = front_door().into();
            }
        }
        let mut bench = Bench::serving_spec(service.clone());
        let Command::Apply { specs, tokens, prune, .. } = apply(vec![service]) else { unreachable!() };
        bench.ok(person(), Command::Apply { specs, tokens, prune, drills: vec![spec] });
        Self { bench, id: "gameday.1".into() }
    }

    pub(super) fn opened(spec: DrillSpec) -> Self {
        Self::opened_with(spec, shop())
    }

    pub(super) fn opened_with(spec: DrillSpec, service: ServiceSpec) -> Self {
        let mut day = Self::applied(spec, service);
        day.bench.ok(person(), Command::OpenDrill { drill: "gameday".into(), scheduled_for: None });
        day
    }

    fn run(&self) -> &DrillRun {
        &self.bench.state.drill_runs[&self.id]
    }

    pub(super) fn phase(&self) -> DrillPhase {
        self.run().phase
    }

    fn verdict(&self) -> Option<DrillVerdict> {
        self.run().verdict
    }

    pub(super) fn later(&mut self, ms: u64) {
        self.bench.now = self.bench.now.plus_ms(ms);
    }

    pub(super) fn proposals(&self, reports: Vec<Report>) -> Vec<Command> {
        tick(self.bench.now, &self.bench.state, &self.bench.matrix(reports), &view())
    }

    /// One tick of the leader, all of whose proposals are agreed.
    pub(super) fn tick(&mut self, reports: Vec<Report>) {
        for command in self.proposals(reports) {
            self.bench.ok(daemon(), command);
        }
    }

    /// The run that is open, done to its end.
    #[track_caller]
    pub(super) fn walk_the_run(&mut self) -> RunId {
        let run = self.bench.state.open_run(&"shop".into()).expect("no run is open").id.clone();
        self.later(2_000);
        self.bench.finish(&run);
        run
    }

    pub(super) fn record(&mut self, run: &RunId, errors: u64) {
        let through = ThroughSeen { asked: 60, errors, longest_gap_ms: errors * 1_000, well_since: None };
        let curves = Curves { from: self.bench.now, curves: Vec::new(), through: Some(through) };
        self.bench.ok(daemon(), Command::Record { run: run.clone(), curves: Box::new(curves) });
    }

    pub(super) fn settle(&mut self) {
        self.bench.settle();
    }

    /// Out and holding.
    pub(super) fn arrived(spec: DrillSpec) -> (Self, RunId) {
        let mut day = Self::opened(spec);
        day.tick(all_well());
        day.tick(all_well());
        let out = day.walk_the_run();
        day.settle();
        assert_eq!(day.phase(), DrillPhase::Holding);
        (day, out)
    }

    /// From holding to the verdict.
    pub(super) fn return_and_close(&mut self, out: &RunId) -> RunId {
        self.tick(all_well());
        assert_eq!(self.phase(), DrillPhase::Returning, "{:?}", self.run().waits_for);
        self.tick(all_well());
        assert_eq!(self.bench.phase(), ServicePhase::Returning);
        let back = self.walk_the_run();
        self.settle();
        self.record(out, 0);
        self.record(&back, 0);
        self.tick(all_well());
        back
    }
}

/// A drill from opening to verdict.
pub(super) fn game_day() -> Bench {
    let mut day = GameDay::opened(DrillSpec { approvals: 1, ..drill(DrillKind::Switchover) });
    day.bench.ok(person(), Command::ApproveDrill { run: day.id.clone() });
    day.tick(all_well());
    day.tick(all_well());
    let out = day.walk_the_run();
    day.settle();
    day.later(HOLD_MS + 1_000);
    day.return_and_close(&out);
    day.bench
}

#[test]
fn a_switchover_goes_out_holds_returns_and_passes() {
    let (mut day, out) = GameDay::arrived(drill(DrillKind::Switchover));
    assert_eq!(day.bench.serves(), (EU.to_owned(), false));
    day.later(HOLD_MS - 1_000);
    day.tick(all_well());
    assert_eq!(day.phase(), DrillPhase::Holding, "the hold is not over");
    day.later(2_000);
    let back = day.return_and_close(&out);
    assert_eq!(day.verdict(), Some(DrillVerdict::Passed), "{:?}", day.run().sentence);
    assert_eq!(day.bench.serves(), (US.to_owned(), true));
    let run = day.run();
    assert_eq!((run.out.as_ref(), run.back.as_ref()), (Some(&out), Some(&back)));
    assert_eq!(run.measured.rto_ms, day.bench.run(&out).rto_ms());
    assert!(run.measured.return_ms.is_some());
    assert!(
        day.bench
            .events
            .iter()
            .filter(|event| event.run.as_ref() == Some(&out))
            .all(|event| { event.drill.as_ref() == Some(&day.id) })
    );
    assert_eq!(day.proposals(all_well()), vec![], "it is over");
}

#[test]
fn answers_that_are_right_and_not_good_yet_count_in_the_rto_and_an_objective_can_be_missed() {
    let (mut day, out) = GameDay::arrived(drill(DrillKind::Switchover));
    let (verified, rto) = (day.bench.run(&out).verified_at.unwrap(), day.bench.run(&out).rto_ms().unwrap());
    let objective = day.bench.shop().spec.objectives.rto_ms;
    let well_since = Some(verified.plus_ms(objective));
    let through = ThroughSeen { asked: 100, errors: 30, longest_gap_ms: 30_000, well_since };
    let curves = Curves { from: NOW, curves: Vec::new(), through: Some(through) };
    day.bench.ok(daemon(), Command::Record { run: out.clone(), curves: Box::new(curves.clone()) });
    assert_eq!(day.bench.refused(daemon(), Command::Record { run: out, curves: Box::new(curves) }), "RECORDED");
    assert_eq!(day.run().measured.rto_ms, Some(rto + objective));
    day.later(HOLD_MS + 1);
    day.tick(all_well());
    day.tick(all_well());
    let back = day.walk_the_run();
    day.settle();
    day.record(&back, 2);
    day.tick(all_well());
    assert_eq!(day.verdict(), Some(DrillVerdict::ObjectiveMissed));
    let through = day.run().measured.through.clone().unwrap();
    assert_eq!((through.asked, through.errors, through.longest_gap_ms), (160, 32, 30_000));
    assert!(day.bench.shop().licences.is_empty(), "a missed objective licenses nothing");
}

#[test]
fn nothing_begins_while_the_steady_state_does_not_hold() {
    let mut day = GameDay::opened(drill(DrillKind::Switchover));
    let ill = FLEET.map(|observer| report(observer, Status::Unknown)).to_vec();
    day.tick(ill.clone());
    assert_eq!(day.phase(), DrillPhase::Checking);
    let why = day.run().waits_for.clone().unwrap();
    assert!(why.contains("home-healthy"), "{why}");
    day.tick(ill.clone());
    assert_eq!(day.proposals(ill.clone()), vec![], "it says why once");
    day.later(61_000);
    day.tick(ill);
    assert_eq!(day.verdict(), Some(DrillVerdict::NotStarted));
    assert!(day.run().steady.iter().any(|check| !check.ok), "what was seen is on record");
    assert_eq!(day.bench.serves(), (US.to_owned(), true));
}

#[test]
fn a_guardrail_puts_back_before_the_point_of_no_return() {
    let mut day = GameDay::opened(drill(DrillKind::Switchover));
    day.tick(all_well());
    day.tick(all_well());
    assert!(day.run().out.is_some());
    let mut ill = all_well();
    for report in &mut ill {
        for signal in report.signals.iter_mut().filter(|signal| signal.region.as_str() == EU) {
            (signal.status, signal.held_ms) = (Status::Bad, 12_000);
        }
    }
    day.tick(ill);
    assert_eq!(day.phase(), DrillPhase::Settling, "{:?}", day.run());
    assert_eq!(day.bench.serves(), (US.to_owned(), true));
    day.settle();
    day.later(60_000);
    day.tick(all_well());
    assert_eq!(day.verdict(), Some(DrillVerdict::Failed));
    let sentence = day.run().sentence.clone().unwrap();
    assert!(sentence.starts_with("guardrail hit") && sentence.contains(EU), "{sentence}");
}

#[test]
fn a_guardrail_past_the_point_of_no_return_arrives_and_returns_at_once() {
    let mut day = GameDay::opened(drill(DrillKind::Switchover));
    day.tick(all_well());
    day.tick(all_well());
    let run = day.run().out.clone().unwrap();
    let first = day.bench.run(&run).plan.steps.iter().find(|step| step.is_point_of_no_return()).unwrap().clone();
    for step in day.bench.run(&run).plan.steps.clone() {
        let before = first.after.contains(&step.name) || step.name == first.name;
        if before && day.bench.run(&run).progress(&step.name).state == StepState::Pending {
            day.bench.step(&run, step.name.as_str(), done());
        }
    }
    assert!(day.bench.run(&run).is_past_no_return());
    let cancel = Command::CancelDrill { run: day.id.clone(), reason: "lunch".into() };
    day.bench.ok(person(), cancel.clone());
    assert_eq!(day.bench.run(&run).state, RunState::Running, "arriving is the quickest way to a whole service");
    assert_eq!(day.bench.refused(person(), cancel), "DRILL_ENDING");
    day.walk_the_run();
    assert_eq!(day.phase(), DrillPhase::Returning, "no hold any more");
    day.settle();
    day.tick(all_well());
    let back = day.walk_the_run();
    day.settle();
    day.record(&back, 0);
    day.record(&run, 0);
    day.tick(all_well());
    assert_eq!(day.verdict(), Some(DrillVerdict::Cancelled));
    assert_eq!(day.bench.serves(), (US.to_owned(), true));
}

#[test]
fn who_cancels_in_the_hold_gets_the_service_back() {
    let (mut day, _) = GameDay::arrived(drill(DrillKind::Switchover));
    assert_eq!(
        day.bench.refused(daemon(), Command::CancelDrill { run: day.id.clone(), reason: String::new() }),
        "NOT_A_PERSON"
    );
    day.bench.ok(person(), Command::CancelDrill { run: day.id.clone(), reason: "seen enough".into() });
    assert_eq!(day.phase(), DrillPhase::Returning);
}

#[test]
fn a_manual_return_waits_for_a_person_and_failback_is_how_they_say_so() {
    let (mut day, _) = GameDay::arrived(DrillSpec { comes_back: ComesBack::Manual, ..drill(DrillKind::Switchover) });
    day.later(HOLD_MS + 1);
    day.tick(all_well());
    assert_eq!(day.phase(), DrillPhase::AwaitingReturn);
    assert_eq!(day.proposals(all_well()), vec![]);
    day.bench.ok(person(), Command::AskReturn { service: "shop".into(), reason: "enough".into() });
    assert_eq!(day.phase(), DrillPhase::Returning);
    // A person's own move home is the drill's return as well.
    let (mut day, _) = GameDay::arrived(DrillSpec { comes_back: ComesBack::Manual, ..drill(DrillKind::Switchover) });
    let home = FailoverRequest { mode: Some(Mode::Graceful), to: Some(US.into()), ..by_person(Mode::Graceful) };
    let decision = day.bench.propose(all_well(), &home).unwrap();
    day.bench.decide(decision);
    assert_eq!(day.phase(), DrillPhase::Returning);
    day.walk_the_run();
    assert_eq!(day.phase(), DrillPhase::Settling);
}

#[test]
fn a_return_waits_until_the_copies_at_home_are_ready_and_says_so() {
    let (mut day, out) = GameDay::arrived(drill(DrillKind::Switchover));
    day.later(HOLD_MS + 1);
    day.tick(healthy());
    day.tick(healthy());
    assert_eq!(day.phase(), DrillPhase::Returning);
    assert!(day.bench.state.open_run(&"shop".into()).is_none());
    let why = day.run().waits_for.clone().unwrap();
    assert!(why.contains("standby-ready"), "{why}");
    day.return_and_close_from_returning(&out);
    assert_eq!(day.verdict(), Some(DrillVerdict::Passed));
}

impl GameDay {
    fn return_and_close_from_returning(&mut self, out: &RunId) {
        self.tick(all_well());
        let back = self.walk_the_run();
        self.settle();
        self.record(out, 0);
        self.record(&back, 0);
        self.tick(all_well());
    }
}

#[test]
fn a_service_that_cannot_be_brought_back_says_so_loudly() {
    let (mut day, out) = GameDay::arrived(drill(DrillKind::Switchover));
    day.later(HOLD_MS + 1);
    day.tick(all_well());
    for _ in 0..3 {
        day.tick(all_well());
        let back = day.run().back.clone().unwrap();
        day.bench.ok(daemon(), Command::Abort { run: back, reason: "the API is away".into() });
        day.settle();
    }
    let attention = day.bench.shop().attention.clone().unwrap();
    assert!(attention.contains("could not bring it back") && attention.contains("failback shop"), "{attention}");
    day.tick(all_well());
    assert!(day.bench.state.open_run(&"shop".into()).is_none(), "nobody tries for ever");
    assert_eq!(day.phase(), DrillPhase::Returning, "it is not over before the service is back");
    let back = day.run().back.clone().unwrap();
    let held: Vec<&RunId> = day.bench.state.runs.keys().collect();
    assert!(held.contains(&&out) && held.contains(&&back), "what its verdict rests on stays: {held:?}");
    assert_eq!(held.len(), 4, "and what it tried before, as many as of any service");
}

/// What the observers report while they are shown that us-east-1 is lost.
pub(super) fn shown(day: &GameDay, observers: &[&str]) -> Vec<Report> {
    let mut reports = all_well();
    for report in reports.iter_mut().filter(|report| observers.contains(&report.observer.as_str())) {
        let signals: Vec<SignalReading> = report
            .signals
            .iter()
            .filter(|signal| signal.region.as_str() == US)
            .map(|signal| SignalReading {
                status: Status::Bad,
                breached: true,
                held_ms: 12_000,
                detail: "shown by drill".into(),
                ..signal.clone()
            })
            .collect();
        let mut route53 = report.route53[0].clone();
        route53.status = Status::Bad;
        report.rehearsals.push(Rehearsal {
            drill: day.id.clone(),
            service: "shop".into(),
            region: US.into(),
            signals,
            route53: Some(route53),
        });
    }
    reports
}

/// Stores lag by little, so that the bound is within the budget.
pub(super) fn detecting() -> GameDay {
    let mut day = GameDay::opened(drill(DrillKind::RegionLoss));
    day.tick(all_well());
    assert_eq!(day.phase(), DrillPhase::Detecting);
    day
}

#[test]
fn a_fleet_that_is_shown_a_lost_region_proves_it_and_moves_gracefully() {
    let mut day = detecting();
    assert_eq!(day.proposals(all_well()), vec![], "nobody has seen it yet");
    day.later(13_000);
    assert_eq!(day.proposals(shown(&day, &[EU])), vec![], "one observer is no quorum");
    let proposed = day.proposals(shown(&day, &FLEET));
    let [Command::Decide(decision)] = proposed.as_slice() else { panic!("{proposed:?}") };
    assert_eq!((decision.trigger, decision.plan.mode), (Trigger::Drill, Mode::Graceful));
    assert!(decision.breach_at.is_some());
    for guard in [Guard::Quorum, Guard::BreachProven, Guard::Route53Agrees, Guard::RpoBudget] {
        assert!(decision.guards.iter().any(|verdict| verdict.guard == guard), "{guard:?} was not asked");
    }
    // Without the proof, or beside the drill, nobody lets it in.
    let mut unproven = decision.clone();
    unproven.evidence[0].opinions.iter_mut().for_each(|opinion| opinion.status = Status::Good);
    assert_eq!(day.bench.refused(daemon(), Command::Decide(unproven)), "NOT_PROVEN");
    let mut unheard = decision.clone();
    unheard.guards.retain(|verdict| verdict.guard != Guard::Route53Agrees);
    assert_eq!(day.bench.refused(daemon(), Command::Decide(unheard)), "GUARD_MISSING", "graceful, but as an outage");
    let mut stray = decision.clone();
    stray.drill = Some("gameday.9".into());
    assert_eq!(day.bench.refused(daemon(), Command::Decide(stray)), "NO_DRILL");
    let mut forced = decision.clone();
    forced.plan.mode = Mode::Forced;
    assert!(["NO_DRILL", "PLAN_UNSOUND"].contains(&day.bench.refused(daemon(), Command::Decide(forced)).as_str()));
    day.tick(shown(&day, &FLEET));
    assert_eq!(day.phase(), DrillPhase::Moving);
    let out = day.run().out.clone().unwrap();
    if day.bench.run(&out).state == RunState::AwaitingApproval {
        day.bench.ok(person(), Command::Approve { run: out.clone() });
    }
    day.tick(all_well());
    assert_eq!(day.bench.run(&out).state, RunState::Running, "what is shown no more takes nothing back");
    day.walk_the_run();
    let measured = &day.run().measured;
    assert!(measured.detect_ms.is_some() && measured.rto_ms > measured.detect_ms, "{measured:?}");
}

#[test]
fn what_a_drill_shows_moves_nothing_else() {
    let day = detecting();
    let other = shown(&day, &FLEET);
    let plain = GameDay { id: day.id.clone(), bench: Bench::serving() };
    assert_eq!(plain.proposals(other), vec![], "without its drill a rehearsal means nothing");
}

#[test]
fn a_fleet_that_does_not_see_it_fails_the_drill() {
    let mut day = detecting();
    day.later(10 * 60_000);
    day.tick(all_well());
    assert_eq!(day.verdict(), Some(DrillVerdict::Failed));
    let sentence = day.run().sentence.clone().unwrap();
    assert!(sentence.contains("did not decide"), "{sentence}");
}

#[test]
fn a_pause_wins_over_a_rehearsal() {
    let mut day = detecting();
    day.bench.ok(person(), Command::Pause { service: None });
    day.later(13_000);
    assert_eq!(day.proposals(shown(&day, &FLEET)), vec![]);
}

#[test]
fn a_pause_holds_a_drill_whose_move_is_announced() {
    let mut service = shop();
    service.policy.announce_ms = 20_000;
    let mut day = GameDay::opened_with(drill(DrillKind::RegionLoss), service);
    day.bench.state.format = Format::NEWEST;
    day.tick(all_well());
    day.later(13_000);
    day.tick(shown(&day, &FLEET));
    let out = day.run().out.clone().unwrap();
    let until = day.bench.run(&out).announce_until.expect("as an automatic run of that service is announced");
    day.bench.ok(person(), Command::Pause { service: None });
    day.later(until.since(day.bench.now));
    let start = Command::Start { run: out.clone() };
    assert!(!day.proposals(all_well()).contains(&start));
    assert_eq!(day.bench.refused(daemon(), start.clone()), "PAUSED");
    day.tick(all_well());
    assert!(day.run().waits_for.as_ref().is_some_and(|why| why.contains("paused")), "{:?}", day.run());
    day.bench.ok(person(), Command::Resume { service: None });
    assert!(day.proposals(all_well()).contains(&start));
}

#[test]
fn a_real_breach_overtakes_the_hold_and_the_real_decision_goes_on() {
    let (mut day, _) = GameDay::arrived(drill(DrillKind::Switchover));
    // eu-west-1, where it is now, is really lost: seen by the two others and by Route 53.
    let mut reports: Vec<Report> = all_well().into_iter().filter(|report| report.observer.as_str() != EU).collect();
    for report in &mut reports {
        for signal in report.signals.iter_mut().filter(|signal| signal.region.as_str() == EU) {
            (signal.status, signal.breached, signal.held_ms) = (Status::Bad, true, 13_000);
        }
        let mut route53 = report.route53[0].clone();
        (route53.region, route53.status) = (EU.into(), Status::Bad);
        report.route53.push(route53);
    }
    let matrix = day.bench.matrix(reports);
    let mut at = view();
    at.me = US.into();
    for command in tick(day.bench.now, &day.bench.state, &matrix, &at) {
        // What the drill itself proposed comes too late once the real decision is agreed.
        day.bench.put(Actor::Daemon(US.into()), command);
    }
    assert_eq!(day.verdict(), Some(DrillVerdict::Overtaken));
    let real = day.bench.state.open_run(&"shop".into()).expect("the real decision goes on");
    assert_eq!((real.trigger, real.plan.to.as_str(), real.drill.as_ref()), (Trigger::Automatic, US, None));
}

#[test]
fn a_real_breach_in_the_middle_of_the_way_out_stops_it_first() {
    let mut day = GameDay::opened(drill(DrillKind::Switchover));
    day.tick(all_well());
    day.tick(all_well());
    let out = day.run().out.clone().unwrap();
    day.tick(breach());
    assert_eq!(day.verdict(), Some(DrillVerdict::Overtaken));
    assert!(day.bench.run(&out).state.is_closed());
    day.later(1_000);
    day.tick(breach());
    let real = day.bench.state.open_run(&"shop".into()).expect("practice holds up no real failover");
    assert_eq!((real.trigger, real.plan.mode, real.plan.to.as_str()), (Trigger::Automatic, Mode::Forced, EU));
}

/// The way out has moved the database and not yet the traffic.
fn half_way() -> (GameDay, RunId) {
    let mut day = GameDay::opened(drill(DrillKind::Switchover));
    day.tick(all_well());
    day.tick(all_well());
    let out = day.run().out.clone().unwrap();
    let names: Vec<StepName> = day.bench.run(&out).plan.steps.iter().map(|step| step.name.clone()).collect();
    let promotion = names.iter().position(|name| name.as_str().starts_with("promote/")).unwrap();
    for name in &names[..=promotion] {
        day.bench.step(&out, name.as_str(), done());
    }
    assert_eq!((day.bench.shop().primary.as_str(), day.bench.shop().chosen.as_str()), (US, EU));
    (day, out)
}

#[test]
fn a_real_breach_half_way_out_goes_on_to_where_the_drill_was_going() {
    let (mut day, _) = half_way();
    day.tick(breach());
    assert_eq!(day.verdict(), Some(DrillVerdict::Overtaken));
    day.later(1_000);
    day.tick(breach());
    let real = day.bench.state.open_run(&"shop".into()).expect("practice holds up no real failover");
    assert_eq!((real.trigger, real.plan.to.as_str()), (Trigger::Automatic, EU));
}

#[test]
fn a_drill_that_a_person_stopped_half_way_out_leaves_the_question_to_people() {
    let (mut day, out) = half_way();
    day.bench.abort(&out);
    day.tick(all_well());
    assert_ne!(day.verdict(), Some(DrillVerdict::Overtaken));
    day.later(1_000);
    assert_eq!(day.proposals(breach()), vec![], "a person says first where the service shall be");
}

#[test]
fn a_person_who_turns_the_switch_back_ends_the_drill_too() {
    let (mut day, _) = GameDay::arrived(drill(DrillKind::Switchover));
    let set = Command::SetSwitch { group: "shop".into(), region: US.into(), on: true, run: None };
    day.bench.ok(person(), set);
    day.later(HOLD_MS);
    day.tick(all_well());
    assert_eq!(day.phase(), DrillPhase::Returning);
    day.tick(all_well());
    let reason = "shop serves from us-east-1 already, and this drill did not bring it there";
    assert_eq!(day.run().ending, Some(Ending::Overtaken { reason: reason.to_owned() }));
    assert_eq!(day.phase(), DrillPhase::Closed);
}

#[test]
fn a_phase_that_a_wrong_clock_began_does_not_last_until_then() {
    let (mut day, _) = GameDay::arrived(drill(DrillKind::Switchover));
    assert_eq!(day.phase(), DrillPhase::Holding);
    day.bench.now = NOW.minus_ms(600_000);
    day.tick(all_well());
    assert_eq!(day.phase(), DrillPhase::Returning, "it does not hold for as long as the clock was ahead");

    let (mut day, out) = half_way();
    day.bench.now = NOW.minus_ms(600_000);
    day.tick(all_well());
    let ending = day.run().ending.clone();
    assert!(
        matches!(&ending, Some(Ending::Failed { reason }) if reason.starts_with(&format!("run {out} is running after more than "))),
        "{ending:?}"
    );
}

#[test]
fn people_approve_by_name_each_once_and_not_for_ever() {
    let mut day = GameDay::opened(DrillSpec { approvals: 2, ..drill(DrillKind::Switchover) });
    let approve = Command::ApproveDrill { run: day.id.clone() };
    assert_eq!(day.phase(), DrillPhase::AwaitingApproval);
    assert_eq!(day.bench.refused(daemon(), approve.clone()), "NOT_A_PERSON");
    day.bench.ok(person(), approve.clone());
    assert_eq!(day.bench.refused(person(), approve.clone()), "ALREADY_APPROVED");
    day.later(5_000);
    day.bench.ok(Actor::Operator("bob".into()), approve.clone());
    assert_eq!(day.phase(), DrillPhase::Checking);
    let by: Vec<(&str, u64)> =
        day.run().approvals.iter().map(|approval| (approval.by.as_str(), approval.at.since(NOW))).collect();
    assert_eq!(by, [("alice", 0), ("bob", 5_000)]);
    assert_eq!(day.bench.refused(Actor::Operator("eve".into()), approve), "NOTHING_TO_APPROVE");
    let mut late = GameDay::opened(DrillSpec { approvals: 1, ..drill(DrillKind::Switchover) });
    late.later(25 * 3_600_000);
    late.tick(all_well());
    assert_eq!(late.verdict(), Some(DrillVerdict::NotStarted));
}

/// 2026-01-01 00:00 UTC, five seconds before a minute begins.
const NEW_YEAR: Timestamp = Timestamp(1_767_225_595_000);

fn on_schedule(cron: &str) -> GameDay {
    on_schedule_with(scheduled(cron))
}

pub(super) fn on_schedule_with(mut spec: DrillSpec) -> GameDay {
    let mut day = GameDay::applied(spec.clone(), shop());
    day.bench.now = NEW_YEAR;
    // Applied anew, now: windows that opened in 1970 are none of it.
    let Command::Apply { specs, tokens, prune, .. } = apply(vec![shop()]) else { unreachable!() };
    spec.guardrails.clear();
    spec.schedule.as_mut().unwrap().window_ms = 599_999;
    day.bench.ok(person(), Command::Apply { specs, tokens, prune, drills: vec![spec] });
    day
}

/// A drill that missed its openings, was opened by the next one, and was called off.
pub(super) fn missed() -> Bench {
    let mut day = on_schedule("*/30 * * * *");
    day.later(2 * 3_600_000 + 6_000);
    day.tick(all_well());
    day.tick(all_well());
    day.bench.ok(person(), Command::CancelDrill { run: day.id.clone(), reason: "no".into() });
    day.bench.ok(person(), Command::DeleteDrill { drill: "gameday".into() });
    day.bench.ok(person(), Command::Delete { service: "shop".into() });
    day.bench
}

#[test]
fn a_scheduled_drill_starts_once_at_its_opening_whoever_leads_and_whatever_clocks_say() {
    let mut day = on_schedule("*/30 * * * *");
    let opening = NEW_YEAR.plus_ms(5_000);
    assert_eq!(next_start(day.bench.now, &day.bench.state.drills["gameday"]), Some(opening));
    assert_eq!(day.proposals(all_well()), vec![], "not before");
    day.later(5_100);
    let proposed = day.proposals(all_well());
    assert_eq!(proposed, [Command::OpenDrill { drill: "gameday".into(), scheduled_for: Some(opening) }]);
    day.bench.ok(daemon(), proposed[0].clone());
    // Another leader proposed the same.
    assert_eq!(day.bench.refused(daemon(), proposed[0].clone()), "ALREADY_HANDLED");
    assert_eq!(day.bench.state.drill_runs.len(), 1);
    day.bench.ok(person(), Command::CancelDrill { run: day.id.clone(), reason: "no".into() });
    // A clock that is set back opens it no second time.
    day.bench.now = NEW_YEAR;
    assert_eq!(day.proposals(all_well()), vec![]);
    day.later(5_200);
    assert_eq!(day.proposals(all_well()), vec![]);
    assert_eq!(day.bench.refused(daemon(), proposed[0].clone()), "ALREADY_HANDLED");
    day.later(30 * 60_000);
    assert_eq!(day.proposals(all_well()).len(), 1, "the next one is another");
}

#[test]
fn a_window_in_which_it_could_not_start_is_reported_with_the_reason_and_not_run_late() {
    let mut day = on_schedule("*/30 * * * *");
    day.later(6_000);
    let ill = FLEET.map(|observer| report(observer, Status::Unknown)).to_vec();
    assert_eq!(day.proposals(ill.clone()), vec![], "it may still be in time");
    // 10 minutes less the hold and a minute for moving.
    day.later(599_999 - HOLD_MS - 60_000);
    let proposed = day.proposals(ill);
    let [Command::MissDrill { openings: 1, reason, .. }] = proposed.as_slice() else { panic!("{proposed:?}") };
    assert!(reason.contains("home-healthy"), "{reason}");
    day.bench.ok(daemon(), proposed[0].clone());
    assert_eq!(day.bench.refused(daemon(), proposed[0].clone()), "ALREADY_HANDLED");
    assert_eq!(day.proposals(all_well()), vec![], "all is well again, and it is too late");
    assert!(day.bench.kinds().contains(&EventKind::DrillMissed));
    assert!(day.bench.state.news.iter().any(|event| event.kind == EventKind::DrillMissed), "webhooks tell it");
}

#[test]
fn windows_that_nobody_led_through_are_reported_before_the_newest_is_used() {
    let mut day = on_schedule("*/30 * * * *");
    day.later(2 * 3_600_000 + 6_000);
    let proposed = day.proposals(all_well());
    let [Command::MissDrill { openings: 4, .. }] = proposed.as_slice() else { panic!("{proposed:?}") };
    day.tick(all_well());
    let proposed = day.proposals(all_well());
    let [Command::OpenDrill { scheduled_for: Some(_), .. }] = proposed.as_slice() else { panic!("{proposed:?}") };
}

#[test]
fn a_scheduled_drill_waits_for_whatever_else_is_open_frozen_or_paused() {
    let mut day = on_schedule("*/30 * * * *");
    day.later(6_000);
    let pause = |service| Command::Pause { service };
    day.bench.ok(person(), pause(None));
    assert_eq!(day.proposals(all_well()), vec![]);
    day.bench.ok(person(), Command::Resume { service: None });
    assert_eq!(day.proposals(all_well()).len(), 1);
    let decision = day.bench.propose(all_well(), &by_person(Mode::Graceful)).unwrap();
    day.bench.decide(decision);
    let opened = day.proposals(all_well()).into_iter().any(|one| matches!(one, Command::OpenDrill { .. }));
    assert!(!opened, "a run is open");
}

fn licensed(spec: &mut ServiceSpec) {
    spec.policy.failover = Automation::Automatic;
    spec.policy.require_drill_within_ms = Some(90 * 86_400_000);
}

#[test]
fn a_passed_drill_licenses_automatic_failover_until_it_is_old_or_the_records_change() {
    let mut spec = shop();
    licensed(&mut spec);
    let unlicensed = Bench::serving_spec(spec.clone());
    let decision = unlicensed.automatic();
    let no = decision.guards.iter().find(|verdict| verdict.guard == Guard::DrillLicence).unwrap();
    assert!(!no.ok && decision.needs_approval, "{no:?}");
    let mut day = GameDay::opened_with(drill(DrillKind::Switchover), spec.clone());
    day.tick(all_well());
    day.tick(all_well());
    let out = day.walk_the_run();
    day.settle();
    day.later(HOLD_MS + 1);
    day.return_and_close(&out);
    assert_eq!(day.verdict(), Some(DrillVerdict::Passed));
    let standing = |bench: &Bench, from: &str, to: &str| licence_of(bench.now, bench.shop(), &from.into(), &to.into());
    assert!(matches!(standing(&day.bench, US, EU), LicenceStanding::Held { .. }));
    assert!(matches!(standing(&day.bench, EU, US), LicenceStanding::Held { .. }), "the way back was walked too");
    let finished = day.bench.events.iter().find(|event| event.kind == EventKind::DrillFinished).unwrap();
    let unpractised = finished.data["unpractised"].to_string();
    assert!(unpractised.contains("FailoverGlobalCluster"), "{unpractised}");
    // Old.
    let then = day.bench.now;
    day.later(91 * 86_400_000);
    let LicenceStanding::Lapsed { since, .. } = standing(&day.bench, US, EU) else { panic!("still held") };
    assert_eq!(since, Some(day.run().finished_at.unwrap().plus_ms(90 * 86_400_000)));
    day.bench.now = then;
    // Another table: the drill says nothing about it.
    let mut changed = spec;
    changed.data.pop();
    day.bench.ok(person(), apply(vec![changed]));
    let LicenceStanding::Lapsed { why, .. } = standing(&day.bench, US, EU) else { panic!("still held") };
    assert!(why.contains("have changed since drill gameday.1"), "{why}");
}

#[test]
fn drills_and_their_services_go_together() {
    let mut day = GameDay::opened(drill(DrillKind::Switchover));
    assert_eq!(day.bench.refused(person(), Command::Delete { service: "shop".into() }), "DRILL_NEEDS_IT");
    assert_eq!(day.bench.refused(person(), Command::DeleteDrill { drill: "gameday".into() }), "DRILL_OPEN");
    let mut changed = shop();
    changed.policy.cooldown_ms = 77;
    assert_eq!(day.bench.refused(person(), apply(vec![changed])), "DRILL_OPEN");
    let Command::Apply { specs, tokens, .. } = apply(vec![shop()]) else { unreachable!() };
    let prune = |specs| Command::Apply { specs, tokens: tokens.clone(), drills: Vec::new(), prune: true };
    assert_eq!(day.bench.refused(person(), prune(specs.clone())), "DRILL_OPEN");
    assert_eq!(
        day.bench.refused(person(), Command::OpenDrill { drill: "gameday".into(), scheduled_for: None }),
        "DRILL_OPEN",
        "one at a time"
    );
    day.bench.ok(person(), Command::CancelDrill { run: day.id.clone(), reason: "no".into() });
    day.bench.ok(person(), prune(specs));
    assert!(day.bench.state.drills.is_empty() && day.bench.state.drill_runs.is_empty());
}

#[test]
fn what_manifests_leave_out_goes_with_its_drills_and_what_they_keep_stays() {
    let cart = || ServiceSpec { name: "cart".into(), data: vec![], ..shop() };
    let of_cart = || DrillSpec { name: "of-cart".into(), service: "cart".into(), ..drill(DrillKind::Switchover) };
    let of_shop = || DrillSpec { guardrails: vec![], ..drill(DrillKind::Switchover) };
    let all = |specs: Vec<ServiceSpec>, drills, prune| {
        let Command::Apply { specs, tokens, .. } = apply(specs) else { unreachable!() };
        Command::Apply { specs, tokens, drills, prune }
    };
    let names = |bench: &Bench| bench.state.drills.keys().map(ToString::to_string).collect::<Vec<_>>();
    let mut bench = Bench::serving();
    assert_eq!(bench.refused(person(), all(vec![], vec![of_cart()], false)), "NO_SUCH_SERVICE");
    // A service and its drill come together.
    bench.ok(person(), all(vec![cart()], vec![of_cart(), of_shop()], false));
    assert_eq!(names(&bench), ["gameday", "of-cart"]);
    // An execution that is open holds up nothing that keeps its drill.
    bench.ok(person(), Command::OpenDrill { drill: "gameday".into(), scheduled_for: None });
    bench.ok(person(), all(vec![shop(), cart()], vec![of_shop()], true));
    assert_eq!(names(&bench), ["gameday"]);
    assert_eq!(bench.refused(person(), all(vec![cart()], vec![], true)), "DRILL_OPEN");
    bench.ok(person(), Command::CancelDrill { run: "gameday.1".into(), reason: "no".into() });
    // A drill cannot stay without its service, and goes with it.
    assert_eq!(bench.refused(person(), all(vec![cart()], vec![of_shop()], true)), "NO_SUCH_SERVICE");
    bench.ok(person(), all(vec![cart()], vec![of_cart()], true));
    assert_eq!((names(&bench), bench.state.services.len()), (vec!["of-cart".to_owned()], 1));
}

#[test]
fn a_persons_own_move_beside_a_drill_is_no_part_of_it() {
    let mut day = GameDay::opened(drill(DrillKind::Switchover));
    day.tick(all_well());
    assert_eq!((day.phase(), day.run().out.clone()), (DrillPhase::Moving, None));
    let own = day.bench.propose(all_well(), &by_person(Mode::Graceful)).unwrap();
    let own = day.bench.decide(own);
    assert_eq!(day.run().out, None);
    let ending = day.run().ending.clone();
    assert!(matches!(&ending, Some(Ending::Overtaken { reason }) if reason.contains(own.as_str())), "{ending:?}");
}

#[test]
fn of_each_drill_the_newest_executions_are_kept() {
    let mut day = GameDay::applied(drill(DrillKind::Switchover), shop());
    let other = DrillSpec { name: "another".into(), guardrails: vec![], ..drill(DrillKind::Switchover) };
    day.bench.ok(person(), Command::Apply { specs: vec![], drills: vec![other], prune: false, tokens: vec![] });
    let hold = |day: &mut GameDay, drill: &str, number: usize| {
        day.later(1_000);
        day.bench.ok(person(), Command::OpenDrill { drill: drill.into(), scheduled_for: None });
        let run: DrillRunId = format!("{drill}.{number}").as_str().into();
        day.bench.ok(person(), Command::CancelDrill { run, reason: "no".into() });
    };
    hold(&mut day, "another", 1);
    for number in 1..=12 {
        hold(&mut day, "gameday", number);
    }
    let held: Vec<String> = day.bench.state.drill_runs.keys().map(ToString::to_string).collect();
    assert!(held.contains(&"another.1".to_owned()) && held.contains(&"gameday.12".to_owned()), "{held:?}");
    assert_eq!(held.len(), 1 + 5, "{held:?}");
    assert!(held.contains(&"gameday.8".to_owned()), "{held:?}");
    // What has started before it was applied anew is of the old schedule.
    let mut day = on_schedule("*/30 * * * *");
    let applied = day.bench.state.drills["gameday"].applied_at;
    let open = |at| Command::OpenDrill { drill: "gameday".into(), scheduled_for: Some(at) };
    assert_eq!(day.bench.refused(daemon(), open(applied.minus_ms(1))), "ALREADY_HANDLED");
    day.bench.ok(daemon(), open(applied));
}

#[test]
fn a_return_that_was_asked_for_begins_when_it_can_without_loss() {
    let (mut bench, run) = Bench::running();
    bench.finish(&run);
    bench.settle();
    let ask = Command::AskReturn { service: "shop".into(), reason: "mended".into() };
    bench.ok(person(), ask.clone());
    let waits = tick(bench.now, &bench.state, &bench.matrix(healthy()), &view());
    assert_eq!(waits, vec![], "the copies at home are not there yet");
    let proposed = tick(bench.now, &bench.state, &bench.matrix(all_well()), &view());
    let [Command::Decide(decision)] = proposed.as_slice() else { panic!("{proposed:?}") };
    assert_eq!((decision.plan.mode, decision.plan.to.as_str()), (Mode::Graceful, US));
    assert!(decision.reason.contains("operator:alice") && decision.reason.contains("mended"), "{}", decision.reason);
    let back = bench.ok(daemon(), proposed[0].clone()).unwrap();
    assert_eq!(bench.shop().way_back, None);
    bench.finish(&back);
    assert_eq!(bench.refused(person(), ask), "ALREADY_THERE");
    assert_eq!(bench.refused(person(), Command::ForgetReturn { service: "shop".into() }), "NOTHING_ASKED");
}

#[test]
fn what_steps_took_is_kept_for_forecasts() {
    let (day, out) = GameDay::arrived(drill(DrillKind::Switchover));
    let steps: Vec<StepName> = day.bench.run(&out).plan.steps.iter().map(|step| step.name.clone()).collect();
    for step in steps {
        let key = format!("graceful:{step}");
        assert_eq!(day.bench.shop().durations.get(&key).map(|held| held.len()), Some(1), "{key}");
    }
}

#[test]
fn where_a_drill_would_go_is_looked_at_before_anything_else() {
    let day = GameDay::applied(drill(DrillKind::Switchover), shop());
    let state = &day.bench.state;
    let way = crate::drill::course(state, &drill(DrillKind::Switchover)).unwrap();
    assert_eq!((way.home.as_str(), way.away.as_str()), (US, EU));
    let gone = DrillSpec { to: Some(US.into()), ..drill(DrillKind::Switchover) };
    assert_eq!(crate::drill::course(state, &gone).unwrap_err().code, "ALREADY_FAILED_OVER");
    assert_eq!(crate::drill::course(state, &drill(DrillKind::Evacuate)).unwrap_err().code, "MOVES_WRITERS");
    let matrix = day.bench.matrix(all_well());
    let sight = Sight { now: day.bench.now, state, matrix: &matrix, view: &view() };
    let Course { .. } = way;
    assert!(sight.before(&drill(DrillKind::Switchover), &way).iter().any(|check| check.name == "settled"));
}

#[test]
fn the_report_of_a_drill_follows_from_its_events_alone() {
    let mut day = GameDay::opened(DrillSpec { approvals: 1, ..drill(DrillKind::Switchover) });
    day.bench.ok(person(), Command::ApproveDrill { run: day.id.clone() });
    day.tick(all_well());
    day.tick(all_well());
    let out = day.walk_the_run();
    day.settle();
    day.later(HOLD_MS + 1);
    let back = day.return_and_close(&out);
    let report = crate::report::report_of_drill(&day.id, &day.bench.events, &[], 0).unwrap();
    assert_eq!((report.verdict.as_str(), report.service.as_str()), ("passed", "shop"));
    assert_eq!(Some(&report.sentence), day.run().sentence.as_ref());
    assert!(report.incomplete.is_empty(), "{:?}", report.incomplete);
    let told = report.drill.unwrap();
    let phases: Vec<&str> = told.phases.iter().map(|phase| phase.phase.as_str()).collect();
    assert_eq!(phases, ["awaiting-approval", "checking", "moving", "holding", "returning", "settling"]);
    assert!(told.steady.len() > 6 && told.steady.iter().all(|check| check.ok), "{:?}", told.steady);
    assert_eq!(told.guardrails.len(), 2);
    assert!(told.unpractised.iter().any(|step| step.contains("FailoverGlobalCluster")), "{:?}", told.unpractised);
    assert_eq!(told.hypothesis, "shop moves and loses nothing");
    let runs: Vec<&str> = report.runs.iter().map(|run| run.id.as_str()).collect();
    assert_eq!(runs, [out.as_str(), back.as_str()]);
    assert_eq!(report.approvals.iter().map(|approval| approval.by.as_str()).collect::<Vec<_>>(), ["alice"]);
    assert_eq!(report.users.map(|users| users.asked), Some(120));
    let stores: Vec<&str> = report.objectives.stores.iter().map(|store| store.store.as_str()).collect();
    assert_eq!(stores, ["orders-db", "orders", "media"], "each store says what was lost, or why nobody knows");

    // Where the opening is gone, the verdict says enough.
    let cut: Vec<HistoryEvent> =
        day.bench.events.iter().filter(|event| event.kind != EventKind::DrillOpened).cloned().collect();
    let report = crate::report::report_of_drill(&day.id, &cut, &[], 0).unwrap();
    assert!(report.title.contains("switchover drill of shop from us-east-1 to eu-west-1"), "{}", report.title);
    assert!(!report.incomplete.is_empty());

    // One that a guardrail ended says which, and nothing of a pass.
    let (mut day, _) = GameDay::arrived(drill(DrillKind::Switchover));
    day.later(21 * 60_000);
    day.tick(all_well());
    let report = crate::report::report_of_drill(&day.id, &day.bench.events, &[], 3).unwrap();
    assert_eq!(report.verdict, "open");
    assert!(!report.incomplete.is_empty(), "it has not ended, and the history is behind");
    let told = report.drill.unwrap();
    assert!(told.ending.is_some_and(|ending| ending.contains("guardrail hit")));
    assert!(told.guardrails.iter().any(|guardrail| guardrail.hit.is_some()), "{:?}", told.guardrails);
}

#[test]
fn a_drill_forces_nothing_whoever_proposes_it() {
    let mut day = GameDay::opened(drill(DrillKind::Switchover));
    day.tick(all_well());
    assert_eq!(day.phase(), DrillPhase::Moving);
    let forced = FailoverRequest { trigger: Trigger::Drill, drill: Some(day.id.clone()), ..by_itself() };
    let decision = day.bench.propose(breach(), &forced).unwrap();
    assert_eq!(decision.plan.mode, Mode::Forced);
    assert_eq!(day.bench.refused(daemon(), Command::Decide(Box::new(decision))), "NO_DRILL");
}

#[test]
fn practice_counts_for_no_cooldown() {
    let (mut day, out) = GameDay::arrived(drill(DrillKind::Switchover));
    day.later(HOLD_MS + 1);
    day.return_and_close(&out);
    assert_eq!(day.verdict(), Some(DrillVerdict::Passed));
    assert_eq!(day.bench.shop().last_run_at, None, "a breach right after a drill is acted on");
}

#[test]
fn a_receipt_over_the_rpo_is_a_missed_objective() {
    let (mut day, out) = GameDay::arrived(drill(DrillKind::Switchover));
    let rpo_ms = day.bench.shop().spec.objectives.rpo_ms;
    let mut lost = day.bench.run(&out).loss[0].clone();
    lost.measured = Some(rpo_ms + 1);
    day.bench.ok(daemon(), Command::Receipt { run: out.clone(), losses: vec![lost] });
    day.later(HOLD_MS + 1);
    day.return_and_close(&out);
    assert_eq!(day.verdict(), Some(DrillVerdict::ObjectiveMissed));
    let sentence = day.run().sentence.clone().unwrap();
    assert!(sentence.contains("RPO") && sentence.contains("orders-db"), "{sentence}");
}

#[test]
fn while_automatic_action_is_paused_a_drill_stands_still_and_says_so() {
    let (mut day, out) = GameDay::arrived(drill(DrillKind::Switchover));
    day.later(HOLD_MS + 1);
    day.tick(all_well());
    let back = day.proposals(all_well());
    day.bench.ok(person(), Command::Pause { service: None });
    assert_eq!(day.bench.refused(daemon(), back[0].clone()), "PAUSED", "one that was under way comes too late");
    day.tick(all_well());
    assert!(day.bench.state.open_run(&"shop".into()).is_none());
    assert!(day.run().waits_for.as_ref().is_some_and(|why| why.contains("paused")), "{:?}", day.run().waits_for);
    day.bench.ok(person(), Command::Resume { service: None });
    day.return_and_close_from_returning(&out);
    assert_eq!(day.verdict(), Some(DrillVerdict::Passed));
    // Nor does one begin.
    let mut day = GameDay::opened(drill(DrillKind::Switchover));
    day.bench.ok(person(), Command::Pause { service: Some("shop".into()) });
    day.tick(all_well());
    assert_eq!(day.phase(), DrillPhase::Checking);
}
