//! Steps: intent before effect, outcome after, and nobody promotes past an old writer unasked.

use super::fixture::*;
use crate::data::loss::{Loss, LossUnit};
use crate::fleet::*;
use crate::ids::{Epoch, RunId};
use crate::plan::{Mode, Step};
use crate::service::OnDoubt;

const FENCE: &str = "fence/orders-db";
const PROMOTE: &str = "promote/orders-db";
const CHECK: &str = "check-data/orders-db";
const FLIP: &str = "flip-switch/shop";
const VERIFY: &str = "verify-answer/shop";

fn approve(run: &RunId) -> Command {
    Command::Approve { run: run.clone() }
}

fn retry(run: &RunId, step: &str) -> Command {
    Command::Retry { run: run.clone(), step: step.into() }
}

fn skip(run: &RunId, step: &str) -> Command {
    Command::Skip { run: run.clone(), step: step.into() }
}

/// A run that waits because the old writer was not fenced.
fn unfenced(outcome: StepOutcome) -> (Bench, RunId) {
    let (mut bench, run) = Bench::running();
    bench.step(&run, FENCE, outcome);
    assert_eq!((bench.run(&run).state, bench.phase()), (RunState::Paused, ServicePhase::Attention));
    (bench, run)
}

#[test]
fn a_run_ends_with_its_verdict_and_its_times() {
    let (mut bench, run) = Bench::running();
    bench.now = NOW.plus_ms(40_000);
    bench.finish(&run);
    let ended = bench.run(&run);
    assert_eq!(ended.state, RunState::Succeeded);
    assert_eq!(ended.verdict.as_deref(), Some("shop serves from eu-west-1"));
    assert_eq!(ended.rto_ms(), Some(53_000), "13 s of breach before the decision, 40 s of work");
    let last = bench.events.last().unwrap();
    assert_eq!((last.kind, last.data["rto_ms"].as_u64()), (EventKind::Finished, Some(53_000)));
    assert_eq!(last.message, "run shop-1 succeeded: shop serves from eu-west-1");
    assert_eq!(bench.shop().last_run_at, Some(bench.now));
    assert_eq!(bench.phase(), ServicePhase::Unsettled);
}

#[test]
fn a_persons_run_counts_from_its_start() {
    let mut bench = Bench::serving();
    let run = bench.decide(bench.asked(Mode::Graceful));
    bench.now = NOW.plus_ms(7_000);
    bench.finish(&run);
    assert_eq!((bench.run(&run).rto_ms(), bench.run(&run).detect_ms()), (Some(7_000), None));
}

#[test]
fn steps_wait_for_those_before_them() {
    let (mut bench, run) = Bench::running();
    for step in [PROMOTE, CHECK, FLIP, VERIFY] {
        let intent = bench.intent(&run, step);
        assert_eq!(bench.refused(daemon(), intent), "STEP_NOT_READY", "{step}");
    }
    let intent = bench.intent(&run, FENCE);
    bench.ok(daemon(), intent);
    let too_early = bench.intent(&run, PROMOTE);
    assert_eq!(bench.refused(daemon(), too_early), "STEP_NOT_READY", "the fence is acting");
    let twice = bench.intent(&run, FENCE);
    assert_eq!(bench.refused(daemon(), twice), "STEP_NOT_READY", "it acts already");
}

#[test]
fn an_intent_names_a_step_an_attempt_and_the_epoch_of_the_run() {
    let (mut bench, run) = Bench::running();
    let intent = |step: &str, attempt, epoch| Command::Intent {
        run: "shop-1".into(),
        step: step.into(),
        attempt,
        epoch: Epoch(epoch),
    };
    assert_eq!(bench.refused(daemon(), intent("dance/orders-db", 1, 2)), "NO_SUCH_STEP");
    assert_eq!(bench.refused(daemon(), intent(FENCE, 1, 1)), "STALE_EPOCH");
    assert_eq!(bench.refused(daemon(), intent(FENCE, 1, 3)), "STALE_EPOCH");
    assert_eq!(bench.refused(daemon(), intent(FENCE, 0, 2)), "STALE_ATTEMPT");
    assert_eq!(bench.refused(daemon(), intent(FENCE, 2, 2)), "STALE_ATTEMPT");
    let outcome = |attempt| Command::Outcome { run: run.clone(), step: FENCE.into(), attempt, outcome: done() };
    assert_eq!(bench.refused(daemon(), outcome(1)), "STALE_ATTEMPT", "no outcome without an intent");
    bench.ok(daemon(), intent(FENCE, 1, 2));
    assert_eq!(bench.refused(daemon(), outcome(2)), "STALE_ATTEMPT");
    bench.ok(daemon(), outcome(1));
    assert_eq!(bench.refused(daemon(), outcome(1)), "STALE_ATTEMPT", "an attempt ends once");
    let journalled = bench.run(&run).progress(&FENCE.into());
    assert_eq!((journalled.attempts, journalled.intent.unwrap().by), (1, daemon()));
}

#[test]
fn an_effect_under_a_superseded_epoch_never_begins_however_it_came_to_that() {
    let (mut bench, run) = Bench::running();
    bench.state.services.get_mut("shop").unwrap().epoch = Epoch(3);
    for epoch in [2, 3] {
        let step = FENCE.into();
        let intent = Command::Intent { run: run.clone(), step, attempt: 1, epoch: Epoch(epoch) };
        assert_eq!(bench.refused(daemon(), intent), "STALE_EPOCH");
    }
}

#[test]
fn an_unfenced_writer_stops_the_promotion_until_a_person_consents() {
    for outcome in [failed(), retryable(), unknown()] {
        let (mut bench, run) = unfenced(outcome);
        let attention = bench.shop().attention.clone().unwrap();
        assert!(attention.contains("the old writer is not fenced (fence/orders-db is"), "{attention}");
        let promote = bench.intent(&run, PROMOTE);
        assert_eq!(bench.refused(daemon(), promote), "RUN_NOT_RUNNING");
        bench.ok(person(), approve(&run));
        assert_eq!((bench.phase(), bench.shop().attention.clone()), (ServicePhase::FailingOver, None));
        let promote = bench.intent(&run, PROMOTE);
        bench.ok(daemon(), promote);
        let intent = bench.events.last().unwrap();
        assert!(intent.message.ends_with("): consented"), "{}", intent.message);
        assert_eq!(intent.data["consent"]["person"], "alice");
    }
}

#[test]
fn a_policy_that_consents_goes_on_without_a_fence_and_says_so() {
    let mut spec = shop();
    spec.policy.unfenced = OnDoubt::Proceed;
    let mut bench = Bench::serving_spec(spec);
    let run = bench.decide(bench.automatic());
    bench.step(&run, FENCE, failed());
    assert_eq!(bench.run(&run).state, RunState::Running);
    bench.finish(&run);
    assert_eq!(bench.run(&run).state, RunState::Succeeded);
    let promoted = bench.events.iter().find(|event| event.data["step"] == PROMOTE).unwrap();
    assert_eq!(promoted.data["consent"], "policy");
}

#[test]
fn a_run_that_nobody_can_fence_waits_from_its_first_step() {
    let mut spec = shop();
    spec.data[0].fence = None;
    let mut bench = Bench::serving_spec(spec);
    let decision = bench.automatic();
    assert!(decision.needs_approval);
    let run = bench.decide(decision);
    bench.ok(person(), approve(&run));
    assert_eq!(bench.run(&run).state, RunState::Running);

    let mut drilled = Bench::serving_spec(bench.shop().spec.as_ref().clone());
    let nobody = FailoverRequest { actor: daemon(), ..by_person(Mode::Forced) };
    let decision = drilled.propose(breach(), &nobody).unwrap();
    let run = drilled.decide(decision);
    assert_eq!(drilled.run(&run).state, RunState::Paused);
    assert!(drilled.shop().attention.as_ref().unwrap().contains("nothing can fence the old writer"));
}

#[test]
fn a_fence_that_is_found_to_hold_after_all_lets_the_run_go_on() {
    let (mut bench, run) = unfenced(unknown());
    let found = bench.outcome(&run, FENCE, done());
    bench.ok(daemon(), found);
    assert_eq!((bench.run(&run).state, bench.phase()), (RunState::Running, ServicePhase::FailingOver));
    bench.finish(&run);
    assert_eq!((bench.run(&run).state, bench.run(&run).unfenced_consent.clone()), (RunState::Succeeded, None));
}

#[test]
fn a_failed_fence_can_be_tried_again_and_never_skipped() {
    let (mut bench, run) = unfenced(failed());
    assert_eq!(bench.refused(person(), skip(&run, FENCE)), "STEP_NOT_SKIPPABLE");
    bench.ok(person(), retry(&run, FENCE));
    assert_eq!((bench.run(&run).state, bench.phase()), (RunState::Running, ServicePhase::FailingOver));
    let promote = bench.intent(&run, PROMOTE);
    assert_eq!(bench.refused(daemon(), promote), "STEP_NOT_READY");
    bench.step(&run, FENCE, done());
    assert_eq!(bench.run(&run).progress(&FENCE.into()).attempts, 2);
    bench.finish(&run);
    assert_eq!((bench.run(&run).state, bench.run(&run).unfenced_consent.clone()), (RunState::Succeeded, None));
}

#[test]
fn an_unknown_outcome_is_neither_success_nor_failure() {
    let (mut bench, run) = Bench::running();
    bench.step(&run, FENCE, done());
    bench.step(&run, PROMOTE, unknown());
    assert_eq!(bench.run(&run).state, RunState::Running);
    for step in [PROMOTE, CHECK] {
        let intent = bench.intent(&run, step);
        assert_eq!(bench.refused(daemon(), intent), "STEP_NOT_READY", "{step}: look first");
    }
    assert_eq!(bench.refused(person(), retry(&run, PROMOTE)), "STEP_NOT_FAILED");
    assert_eq!(bench.refused(person(), skip(&run, PROMOTE)), "STEP_NOT_FAILED");
    assert_eq!(bench.run(&run).open_steps().map(|step| step.name.as_str()).collect::<Vec<_>>(), [PROMOTE]);
    let still = bench.outcome(&run, PROMOTE, unknown());
    bench.ok(daemon(), still);
    let looked = bench.outcome(&run, PROMOTE, done());
    bench.ok(daemon(), looked);
    bench.finish(&run);
    assert_eq!(bench.run(&run).state, RunState::Succeeded);
}

#[test]
fn a_step_that_may_be_tried_again_is_until_it_has_failed_five_times() {
    let (mut bench, run) = Bench::running();
    bench.step(&run, FENCE, done());
    for attempt in 1..=4 {
        bench.step(&run, PROMOTE, retryable());
        assert_eq!((bench.run(&run).state, attempt), (RunState::Running, attempt));
    }
    bench.step(&run, PROMOTE, retryable());
    assert_eq!(bench.run(&run).state, RunState::Paused);
    assert_eq!(bench.refused(person(), approve(&run)), "NOTHING_TO_APPROVE", "no consent is missing");
    assert_eq!(bench.refused(person(), retry(&run, CHECK)), "STEP_NOT_FAILED");
    assert_eq!(bench.refused(person(), retry(&run, "dance")), "NO_SUCH_STEP");
    bench.ok(person(), retry(&run, PROMOTE));
    bench.step(&run, PROMOTE, retryable());
    assert_eq!(bench.run(&run).state, RunState::Paused, "a person gives one more try, not five");
    bench.ok(person(), retry(&run, PROMOTE));
    bench.finish(&run);
    assert_eq!(bench.run(&run).state, RunState::Succeeded);
    assert_eq!(bench.phase(), ServicePhase::Unsettled, "no attention is left behind");
}

#[test]
fn a_failed_step_can_be_skipped_but_not_the_verification() {
    let (mut bench, run) = Bench::running();
    assert_eq!(bench.refused(person(), skip(&run, FENCE)), "STEP_NOT_FAILED");
    bench.step(&run, FENCE, done());
    bench.step(&run, PROMOTE, done());
    bench.step(&run, CHECK, failed());
    bench.ok(person(), skip(&run, CHECK));
    assert_eq!(bench.phase(), ServicePhase::FailingOver);
    for step in ["check-data/orders", "check-data/media", FLIP] {
        bench.step(&run, step, done());
    }
    bench.step(&run, VERIFY, failed());
    assert_eq!(bench.refused(person(), skip(&run, VERIFY)), "STEP_NOT_SKIPPABLE");
    bench.ok(person(), retry(&run, VERIFY));
    bench.step(&run, VERIFY, done());
    assert_eq!(bench.run(&run).state, RunState::Succeeded);
}

#[test]
fn two_failed_steps_are_two_questions() {
    let (mut bench, run) = Bench::running();
    bench.step(&run, FENCE, done());
    bench.step(&run, PROMOTE, done());
    let other = "check-data/orders";
    for step in [CHECK, other] {
        let intent = bench.intent(&run, step);
        bench.ok(daemon(), intent);
    }
    for step in [CHECK, other] {
        let outcome = bench.outcome(&run, step, failed());
        bench.ok(daemon(), outcome);
    }
    bench.ok(person(), skip(&run, CHECK));
    assert_eq!(bench.run(&run).state, RunState::Paused);
    assert!(bench.shop().attention.as_ref().unwrap().contains(other));
    bench.ok(person(), skip(&run, other));
    assert_eq!((bench.run(&run).state, bench.shop().attention.clone()), (RunState::Running, None));
}

#[test]
fn a_failure_waits_until_what_acts_beside_it_has_ended() {
    let (mut bench, run) = Bench::running();
    let intent = bench.intent(&run, FENCE);
    bench.ok(daemon(), intent);
    bench.step(&run, "check-data/orders", failed());
    assert_eq!(bench.run(&run).state, RunState::Running);
    let outcome = bench.outcome(&run, FENCE, done());
    bench.ok(daemon(), outcome);
    assert_eq!(bench.run(&run).state, RunState::Paused);
}

#[test]
fn a_flip_is_done_only_when_the_switch_is_turned() {
    let (mut bench, run) = Bench::running();
    for step in [FENCE, PROMOTE, CHECK, "check-data/orders", "check-data/media"] {
        bench.step(&run, step, done());
    }
    let intent = bench.intent(&run, FLIP);
    bench.ok(daemon(), intent);
    let outcome = bench.outcome(&run, FLIP, done());
    assert_eq!(bench.refused(daemon(), outcome.clone()), "SWITCH_NOT_TURNED");
    bench.turn(&run, FLIP);
    bench.ok(daemon(), outcome);
}

#[test]
fn a_late_outcome_does_not_end_a_run_twice() {
    let (mut bench, run) = unfenced(unknown());
    bench.ok(person(), approve(&run));
    bench.finish(&run);
    let ended = bench.run(&run).clone();
    bench.now = NOW.plus_ms(60_000);
    let late = bench.outcome(&run, FENCE, done());
    assert_eq!(bench.refused(daemon(), late), "RUN_CLOSED");
    assert_eq!(bench.run(&run), &ended);
    assert_eq!(bench.kinds().iter().filter(|kind| **kind == EventKind::Finished).count(), 1);
}

#[test]
fn receipts_are_kept_store_by_store() {
    let (mut bench, run) = Bench::running();
    let loss = |store: &str, measured| Loss {
        store: store.into(),
        bound: Some(9),
        measured: Some(measured),
        unit: LossUnit::Ms,
        reason: "canary".into(),
    };
    bench.ok(daemon(), Command::Receipt { run: run.clone(), losses: vec![loss("orders", 5), loss("new", 1)] });
    bench.ok(daemon(), Command::Receipt { run: run.clone(), losses: vec![loss("orders", 7)] });
    let held: Vec<_> = bench.run(&run).loss.iter().map(|loss| (loss.store.as_str(), loss.measured)).collect();
    assert_eq!(held, [("orders-db", None), ("orders", Some(7)), ("media", None), ("new", Some(1))]);
    assert_eq!(
        bench.events.last().unwrap().message,
        "receipt of run shop-1: orders: at most 9 ms, measured 7 ms (canary)"
    );
    assert_eq!(bench.refused(daemon(), Command::Receipt { run: "shop-9".into(), losses: vec![] }), "NO_SUCH_RUN");

    // What was quoted stays, and before a run has begun nothing can have been lost by it.
    let mut bench = Bench::serving();
    let run = bench.decide(Decision { needs_approval: true, ..bench.asked(Mode::Forced) });
    assert_eq!(
        bench.refused(daemon(), Command::Receipt { run: run.clone(), losses: vec![loss("orders", 5)] }),
        "NOT_BEGUN"
    );
    bench.ok(person(), Command::Approve { run: run.clone() });
    let quoted = bench.run(&run).loss[1].bound;
    assert_ne!(quoted, Some(9));
    bench.ok(daemon(), Command::Receipt { run: run.clone(), losses: vec![loss("orders", 5)] });
    assert_eq!((bench.run(&run).loss[1].bound, bench.run(&run).loss[1].measured), (quoted, Some(5)));
}

#[test]
fn the_three_newest_closed_runs_stay() {
    let mut bench = Bench::serving();
    for _ in 0..5 {
        let run = bench.decide(bench.asked(Mode::Graceful));
        bench.abort(&run);
    }
    let kept: Vec<&str> = bench.state.runs.keys().map(RunId::as_str).collect();
    assert_eq!(kept, ["shop-3", "shop-4", "shop-5"]);
    assert_eq!(bench.decide(bench.asked(Mode::Graceful)), RunId::from("shop-6"));
}

#[test]
fn only_a_failure_of_the_critical_path_that_may_pass_is_tried_again() {
    let (bench, id) = Bench::running();
    let mut run = bench.run(&id).clone();
    let first = run.plan.steps.iter().find(|step| step.after.is_empty()).unwrap().clone();
    for (retryable, critical) in [(true, true), (true, false), (false, true), (false, false)] {
        let progress = StepProgress { state: StepState::Failed, retryable, ..StepProgress::default() };
        run.steps.insert(first.name.clone(), progress);
        let may = run.may_begin(&Step { critical, ..first.clone() });
        assert_eq!(may.is_ok(), retryable && critical, "{may:?}");
    }
}

#[test]
fn states_and_triggers_are_called_what_they_are_stored_as() {
    for trigger in [Trigger::Automatic, Trigger::Operator, Trigger::Drill] {
        assert_eq!(serde_json::to_value(trigger).unwrap(), trigger.word());
    }
    use StepState::{Acting, Failed, Pending, Skipped, Succeeded, Unknown};
    for state in [Pending, Acting, Unknown, Succeeded, Failed, Skipped] {
        assert_eq!(serde_json::to_value(state).unwrap(), state.word());
    }
}
