//! Random walks over commands, sensible and not: nothing panics, every invariant holds, and every replica agrees.

use std::collections::{BTreeMap, BTreeSet};

use super::active_active::many;
use super::drills::drill;
use super::fixture::*;
use crate::data::loss::{Loss, LossUnit};
use crate::drill::{Advance, Curves, DrillKind, DrillPhase, Ending};
use crate::fleet::*;
use crate::ids::{Epoch, LogIndex, Region, RunId, ServiceName, StepName};
use crate::plan::{Fencing, Mode, Movement, Plan, PlanRequest, Step, StepKind, plan};
use crate::service::{OnDoubt, Pattern, ServiceSpec};

/// Knuth's MMIX generator: the walk is the same everywhere, for ever.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        let sides = u64::try_from(from.len()).unwrap();
        from[usize::try_from(self.roll(sides)).unwrap()].clone()
    }

    fn region(&mut self) -> Region {
        self.pick(&[US, EU, US, EU, US, EU, WITNESS, "mars-1"]).into()
    }

    fn service(&mut self) -> ServiceName {
        self.pick(&["shop", "shop", "shop", "cart", "many", "nobody"]).into()
    }

    fn actor(&mut self) -> Actor {
        if self.one_in(3) { person() } else { daemon() }
    }

    fn run(&mut self, state: &FleetState) -> RunId {
        let mut ids: Vec<RunId> = state.runs.keys().cloned().collect();
        for _ in 0..6 {
            ids.extend(state.runs.values().filter(|run| !run.state.is_closed()).map(|run| run.id.clone()));
        }
        ids.push("shop-999".into());
        self.pick(&ids)
    }

    fn step(&mut self, state: &FleetState, run: &RunId) -> StepName {
        let steps = state.runs.get(run).map(|run| run.plan.steps.clone()).unwrap_or_default();
        let mut names: Vec<StepName> = steps.into_iter().map(|step| step.name).collect();
        if names.is_empty() || self.one_in(20) {
            names = vec!["dance/orders-db".into()];
        }
        self.pick(&names)
    }

    /// Mostly a step that stands as wanted, as an executor would choose it.
    fn likely_step(&mut self, state: &FleetState, run: &RunId, wanted: impl Fn(&Run, &Step) -> bool) -> StepName {
        let names: Vec<StepName> = state.runs.get(run).map_or_else(Vec::new, |run| {
            run.plan.steps.iter().filter(|step| wanted(run, step)).map(|step| step.name.clone()).collect()
        });
        if names.is_empty() || self.one_in(5) { self.step(state, run) } else { self.pick(&names) }
    }

    fn outcome(&mut self) -> StepOutcome {
        self.pick(&[done(), done(), done(), done(), failed(), retryable(), unknown()])
    }
}

fn specs(dice: &mut Dice) -> Vec<ServiceSpec> {
    let mut without_fence = shop();
    without_fence.data[0].fence = None;
    let mut lenient = shop();
    (lenient.policy.unfenced, lenient.policy.loss_over_budget) = (OnDoubt::Proceed, OnDoubt::Proceed);
    let mut shared = ServiceSpec { name: "cart".into(), ..shop() };
    shared.traffic.switch_group = Some("shop".into());
    let all = [
        shop(),
        without_fence,
        lenient,
        ServiceSpec { name: "cart".into(), ..shop() },
        ServiceSpec { name: "many".into(), ..many() },
        ServiceSpec { data: vec![], ..shared.clone() },
        shared,
        ServiceSpec { regions: vec![], ..shop() },
        ServiceSpec { regions: vec!["mars-1".into(), US.into()], ..shop() },
    ];
    (0..=dice.roll(2)).map(|_| dice.pick(&all)).collect()
}

/// A decision as an honest leader, a stale one or a lying one would propose it.
fn decision(dice: &mut Dice, bench: &Bench, honest: &Decision) -> Decision {
    let service = dice.service();
    let Some(at) = bench.state.services.get(&service) else { return honest.clone() };
    let other = at.spec.regions.iter().find(|region| **region != at.primary).cloned();
    let other = other.unwrap_or_else(|| dice.region());
    let movement = match at.spec.pattern {
        Pattern::ActivePassive => Movement::Failover,
        Pattern::ActiveActive => dice.pick(&[Movement::Evacuate, Movement::Restore]),
    };
    // Either Region of an active-active service can be left, and either come back.
    let turned = at.spec.pattern == Pattern::ActiveActive && dice.one_in(2);
    let (from, to) = if turned { (other, at.primary.clone()) } else { (at.primary.clone(), other) };
    let request = PlanRequest {
        spec: &at.spec,
        spec_index: at.spec_index,
        from: &from,
        to: &to,
        mode: dice.pick(&[Mode::Forced, Mode::Graceful]),
        movement,
        moves_writers: movement != Movement::Restore && from == at.primary,
    };
    let open = bench.state.open_drill_of(&at.spec.name).filter(|_| !dice.one_in(4));
    let mut decision = Decision {
        drill: open.map(|open| open.id.clone()),
        plan: plan(&request),
        epoch_seen: at.epoch,
        valid_until: bench.now.plus_ms(60_000),
        trigger: dice.pick(&[Trigger::Automatic, Trigger::Operator, Trigger::Drill]),
        needs_approval: dice.one_in(3),
        announce_until: dice.one_in(3).then(|| bench.now.plus_ms(dice.roll(3_000))),
        unfenced_consent: dice.pick(&[None, None, Some(Consent::Policy), Some(Consent::Person("alice".into()))]),
        ..honest.clone()
    };
    for _ in 0..dice.roll(3) {
        spoil(dice, &mut decision);
    }
    decision
}

fn spoil(dice: &mut Dice, decision: &mut Decision) {
    match dice.roll(9) {
        0 => decision.evidence.clear(),
        1 => decision.guards.clear(),
        2 => decision.loss.clear(),
        3 => decision.loss.iter_mut().for_each(|loss| loss.bound = dice.pick(&[None, Some(9_000), Some(1)])),
        4 => decision.epoch_seen = Epoch(dice.roll(4)),
        5 => decision.plan.to = dice.region(),
        6 => spoil_steps(dice, &mut decision.plan),
        7 => decision.valid_until = decision.valid_until.minus_ms(dice.roll(120_000)),
        _ => decision.guards.iter_mut().for_each(|verdict| verdict.ok &= !dice.one_in(6)),
    }
}

fn spoil_steps(dice: &mut Dice, plan: &mut Plan) {
    let Some(last) = plan.steps.len().checked_sub(1) else { return };
    let at = usize::try_from(dice.roll(last as u64 + 1)).unwrap();
    match dice.roll(4) {
        0 => drop(plan.steps.remove(at)),
        1 => plan.steps.swap(at, last),
        2 => plan.steps[at].after.clear(),
        _ => plan.steps.iter_mut().for_each(|step| {
            if let StepKind::Promote { fencing, .. } = &mut step.kind {
                *fencing = Fencing::None;
            }
        }),
    }
}

fn on_a_run(dice: &mut Dice, bench: &Bench) -> Command {
    let run = dice.run(&bench.state);
    let choice = dice.roll(16);
    let step = match choice {
        0..5 => dice.likely_step(&bench.state, &run, |run, step| run.may_begin(step).is_ok()),
        5..10 => dice.likely_step(&bench.state, &run, |run, step| {
            matches!(run.progress(&step.name).state, StepState::Acting | StepState::Unknown)
        }),
        _ => dice.step(&bench.state, &run),
    };
    let held = bench.state.runs.get(&run);
    let progress = held.map(|run| run.progress(&step)).unwrap_or_default();
    let off = u32::from(dice.one_in(15));
    match choice {
        0..5 => {
            let epoch = held.and_then(|run| run.epoch).unwrap_or(Epoch(dice.roll(5)));
            let epoch = if dice.one_in(20) { Epoch(dice.roll(5)) } else { epoch };
            Command::Intent { run, step, attempt: progress.attempts + 1 + off, epoch }
        }
        5..10 => Command::Outcome { run, step, attempt: progress.attempts + off, outcome: dice.outcome() },
        10 => Command::Start { run },
        11 => Command::Approve { run },
        12 => Command::Retry { run, step },
        13 => Command::Skip { run, step },
        14 if dice.one_in(12) => Command::Abort { run, reason: "a whim".into() },
        14 => Command::Start { run },
        _ => Command::Receipt {
            run,
            losses: vec![Loss {
                store: "orders".into(),
                bound: None,
                measured: Some(dice.roll(9)),
                unit: LossUnit::Ms,
                reason: "canary".into(),
            }],
        },
    }
}

/// The flip of a run that has one acting, as an executor would commit it; else whatever a hand may do.
fn switch(dice: &mut Dice, bench: &Bench) -> Command {
    let flips = bench.state.runs.values().find_map(|run| {
        let step = run.plan.steps.iter().find(|step| {
            matches!(step.kind, StepKind::FlipSwitch { .. }) && run.progress(&step.name).state == StepState::Acting
        })?;
        Some((run.id.clone(), step.name.clone(), step.kind.clone()))
    });
    match flips {
        Some((run, step, StepKind::FlipSwitch { group, bit, on })) => {
            let on = if dice.one_in(8) { !on } else { on };
            Command::SetSwitch { group, region: bit, on, run: Some((run, step)) }
        }
        _ if dice.one_in(4) => {
            let group = dice.service().as_str().into();
            Command::SetSwitch { group, region: dice.region(), on: dice.one_in(2), run: None }
        }
        _ => on_a_run(dice, bench),
    }
}

fn command(dice: &mut Dice, bench: &Bench, honest: &Decision) -> Command {
    let service = dice.service();
    let epoch = bench.state.services.get(&service).map_or(Epoch(1), |service| service.epoch);
    let index = bench.state.services.get(&service).map_or(LogIndex(1), |service| service.spec_index);
    if bench.state.drill_runs.values().any(|run| !run.is_closed()) && dice.one_in(3) {
        return drilled(dice, bench);
    }
    match dice.roll(60) {
        0 => form(),
        1 => advertise(dice.region().as_str(), dice.pick(&["a.example.com", "b.example.com"])),
        2 => {
            let Command::Apply { specs, mut tokens, .. } = apply(specs(dice)) else { unreachable!() };
            if dice.one_in(4) {
                tokens.pop();
            }
            Command::Apply { specs, tokens, drills: Vec::new(), prune: dice.one_in(25) }
        }
        3 if dice.one_in(12) => Command::Delete { service },
        4 if dice.one_in(2) => Command::Pause { service: dice.one_in(2).then_some(service) },
        3..6 => Command::Resume { service: dice.one_in(2).then_some(service) },
        6 => Command::SettleIntent { service, epoch: if dice.one_in(4) { Epoch(0) } else { epoch }, work: vec![] },
        7 | 8 => Command::Settled {
            service,
            epoch,
            spec_index: index,
            seen: if dice.one_in(4) { index } else { LogIndex(0) },
        },
        9 if dice.one_in(2) => {
            let share = dice.pick(&[10, 50, WHOLE_SHARE]);
            Command::Widen { service, region: dice.region(), epoch, share }
        }
        9 => Command::Violation { invariant: "I9".into(), detail: "imagined".into() },
        10..13 if dice.one_in(2) => drilled(dice, bench),
        10..16 => Command::Decide(Box::new(decision(dice, bench, honest))),
        16..28 => switch(dice, bench),
        _ => on_a_run(dice, bench),
    }
}

/// Anything about drills, fitting or not.
fn drilled(dice: &mut Dice, bench: &Bench) -> Command {
    let open = bench.state.drill_runs.values().find(|run| !run.is_closed());
    let run = open.map_or_else(|| "gameday.1".into(), |run| run.id.clone());
    let phase = open.map_or(DrillPhase::Moving, |run| run.phase);
    let reason = "because".to_owned();
    let advance = |advance| Command::AdvanceDrill { run: run.clone(), phase, advance };
    match (phase, dice.one_in(2)) {
        (DrillPhase::Checking, true) if open.is_some() => return advance(Advance::Begin { steady: Vec::new() }),
        (DrillPhase::AwaitingApproval, true) if open.is_some() => return Command::ApproveDrill { run },
        _ => {}
    }
    match dice.roll(14) {
        0 | 1 => {
            let mut spec = drill(dice.pick(&[DrillKind::Switchover, DrillKind::RegionLoss, DrillKind::Evacuate]));
            spec.service = dice.service();
            spec.approvals = u32::from(dice.one_in(2));
            let Command::Apply { specs, tokens, .. } = apply(vec![]) else { unreachable!() };
            Command::Apply { specs, tokens, drills: vec![spec], prune: false }
        }
        2 => Command::DeleteDrill { drill: "gameday".into() },
        3 | 4 => Command::OpenDrill { drill: "gameday".into(), scheduled_for: dice.one_in(3).then_some(bench.now) },
        5 => Command::MissDrill { drill: "gameday".into(), scheduled_for: bench.now, openings: 1, reason },
        6 => Command::CancelDrill { run: run.clone(), reason },
        7 => advance(Advance::Begin { steady: Vec::new() }),
        8 => advance(Advance::ComeHome),
        9 => advance(Advance::Close { steady: Vec::new() }),
        10 => advance(Advance::End { ending: Ending::Overtaken { reason }, steady: Vec::new() }),
        11 => Command::AskReturn { service: dice.service(), reason },
        12 => Command::ApproveDrill { run: run.clone() },
        _ => {
            let id = bench.state.runs.keys().next().cloned().unwrap_or_else(|| "shop-1".into());
            let curves = Curves { from: bench.now, curves: Vec::new(), through: None };
            Command::Record { run: id, curves: Box::new(curves) }
        }
    }
}

pub(super) fn walk(seed: u64, entries: u64) -> Bench {
    let honest = Bench::serving().automatic();
    let (mut dice, mut bench) = (Dice(seed), Bench::serving());
    for _ in 0..entries {
        bench.now = bench.now.plus_ms(dice.roll(2_000));
        let command = command(&mut dice, &bench, &honest);
        let is_persons =
            matches!(command, Command::OpenDrill { .. } | Command::ApproveDrill { .. } | Command::CancelDrill { .. });
        let actor = if is_persons && !dice.one_in(4) { person() } else { dice.actor() };
        // Judges I1 to I8 and that a refused entry leaves no trace.
        bench.put(actor, command);
        check(&bench.state);
        if dice.one_in(200) {
            let text = serde_json::to_string(&bench.state).unwrap();
            assert_eq!(serde_json::from_str::<FleetState>(&text).unwrap(), bench.state, "seed {seed}");
        }
    }
    bench
}

/// What must be true of any state, whatever led to it.
fn check(state: &FleetState) {
    for service in state.services.values() {
        let name = &service.spec.name;
        let open: Vec<&Run> =
            state.runs.values().filter(|run| &run.service == name && !run.state.is_closed()).collect();
        assert!(open.len() <= 1, "{name} has {} open runs", open.len());
        let switch = &state.switches[&service.spec.switch_group()];
        if service.spec.pattern == Pattern::ActivePassive {
            assert_eq!(switch.serving().as_ref(), Some(&service.primary), "switch and primary of {name} disagree");
        }
        for run in open {
            assert_eq!(run.epoch.is_some(), run.started_at.is_some());
            let asks = service.attention.is_some();
            assert!(run.state != RunState::Paused || asks, "{run:?}");
            assert!(run.state != RunState::Running || !asks, "{run:?}");
            assert!(run.epoch.is_none_or(|epoch| epoch == service.epoch), "{run:?}");
        }
    }
    for run in state.runs.values().filter(|run| run.state == RunState::Succeeded) {
        assert!(run.verified_at.is_some(), "{run:?}");
    }
    let mut drilled: Vec<&ServiceName> =
        state.drill_runs.values().filter(|run| !run.is_closed()).map(|run| &run.spec.service).collect();
    let all = drilled.len();
    drilled.dedup();
    assert_eq!(drilled.len(), all, "two drills of one service are open");
    let mut closed: BTreeMap<&ServiceName, usize> = BTreeMap::new();
    let counted_on = |run: &&Run| {
        let drill = run.drill.as_ref().and_then(|drill| state.drill_runs.get(drill));
        drill.is_some_and(|drill| !drill.is_closed())
    };
    for run in state.runs.values().filter(|run| run.state.is_closed() && !counted_on(run)) {
        *closed.entry(&run.service).or_default() += 1;
    }
    assert!(closed.values().all(|kept| *kept <= 3));
}

#[test]
fn whatever_is_proposed_nothing_panics_and_every_invariant_holds() {
    let (mut seen, mut states, mut refusals) = (Vec::new(), Vec::new(), 0);
    for seed in 1..=60 {
        let bench = walk(seed, 800);
        let head = verify_chain(&EventHead::default(), &bench.events).unwrap();
        assert_eq!(head, bench.state.head);
        let ended = bench.events.iter().filter(|event| event.kind == EventKind::Finished);
        states.extend(ended.filter_map(|event| event.data["state"].as_str().map(str::to_owned)));
        seen.extend(bench.kinds());
        let heard_of: BTreeSet<LogIndex> = bench.events.iter().map(|event| event.index).collect();
        refusals += bench.entries.len() - heard_of.len();
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 24, "the walk should meet every kind of event: {seen:?}");
    for state in ["succeeded", "aborted"] {
        assert!(states.iter().filter(|ended| *ended == state).count() > 20, "too few {state}: {states:?}");
    }
    assert!(refusals > 1_000, "the walk should often change nothing: {refusals}");
}

#[test]
fn the_same_entries_make_the_same_state_and_the_same_hashes_everywhere() {
    let bench = walk(7, 1_500);
    let (mut here, mut from_text) = (FleetState::default(), FleetState::default());
    let mut events = Vec::new();
    for (at, entry) in (1..).zip(&bench.entries) {
        let text = serde_json::to_string(entry).unwrap();
        let read: Entry = serde_json::from_str(&text).unwrap();
        assert_eq!(&read, entry);
        let applied = here.apply(index(at), entry);
        assert_eq!(from_text.apply(index(at), &read), applied);
        events.extend(applied.events);
        if at % 100 == 0 {
            // A daemon that got a snapshot goes on as if it had seen everything.
            from_text = serde_json::from_str(&serde_json::to_string(&from_text).unwrap()).unwrap();
        }
    }
    assert_eq!((&here, &from_text), (&bench.state, &bench.state));
    assert_eq!(events, bench.events);
    let read: Vec<HistoryEvent> = serde_json::from_str(&serde_json::to_string(&events).unwrap()).unwrap();
    assert_eq!(verify_chain(&EventHead::default(), &read), Ok(bench.state.head.clone()));
}

#[test]
fn a_history_that_was_touched_is_found_out() {
    let bench = walk(3, 200);
    let broken = |edit: fn(&mut Vec<HistoryEvent>)| {
        let mut events = bench.events.clone();
        edit(&mut events);
        verify_chain(&EventHead::default(), &events).unwrap_err()
    };
    assert!(broken(|events| drop(events.remove(4))).starts_with("event 5 is missing (found 6 after 4)"));
    assert!(broken(|events| events.swap(4, 5)).starts_with("event 5 is missing"));
    assert!(broken(|events| events.insert(4, events[4].clone())).starts_with("event 6 is missing (found 5"));
    assert!(broken(|events| events[4].message.push('!')).starts_with("event 5 was changed"));
    assert!(broken(|events| events[4].actor = "operator:mallory".into()).starts_with("event 5 was changed"));
    assert!(broken(|events| events[4].hash = events[4].expected_hash("")).starts_with("event 5 was changed"));
}
