//! Each invariant catches a violation made by hand, and lets a healthy fleet alone (every test that uses a
//! [`Bench`] judges each of its entries).

use super::{
    AnswerWatch, EffectSeen, Transition, Violation, answer_follows_entries, effects_have_intents, history_is_whole,
    judge,
};
use crate::fleet::tests::fixture::*;
use crate::fleet::*;
use crate::ids::{Epoch, Region, RunId, ServiceName, StepName, SwitchGroup};
use crate::plan::{Mode, StepKind};
use crate::service::{OnDoubt, Pattern, SwitchTransport};

/// A transition that really happened, to be bent.
#[derive(Clone)]
struct Seen {
    before: FleetState,
    entry: Entry,
    applied: Applied,
    after: FleetState,
}

impl Seen {
    fn of(bench: &mut Bench, actor: Actor, command: Command) -> Self {
        let before = bench.state.clone();
        let applied = bench.put(actor, command);
        let entry = bench.entries.last().unwrap().clone();
        let seen = Self { before, entry, applied, after: bench.state.clone() };
        assert_eq!(seen.bent(|_| ()), Vec::<String>::new(), "a healthy one passes");
        seen
    }

    fn bent(&self, edit: impl FnOnce(&mut Self)) -> Vec<String> {
        let mut seen = self.clone();
        edit(&mut seen);
        let Self { before, entry, applied, after } = &seen;
        let found = judge(&Transition { before, entry, applied, after });
        found.iter().map(ToString::to_string).collect()
    }

    fn decision(&mut self) -> &mut Decision {
        let Command::Decide(decision) = &mut self.entry.command else { panic!("no decision") };
        decision
    }

    fn service(&mut self) -> &mut ServiceState {
        self.after.services.get_mut(&ServiceName::from("shop")).unwrap()
    }

    fn spec(&mut self) -> &mut crate::service::ServiceSpec {
        std::sync::Arc::make_mut(&mut self.service().spec)
    }

    fn run(&mut self) -> &mut Run {
        self.after.runs.get_mut(&RunId::from("shop-1")).unwrap()
    }
}

fn decided() -> Seen {
    let mut bench = Bench::serving();
    let decision = bench.automatic();
    Seen::of(&mut bench, daemon(), Command::Decide(Box::new(decision)))
}

fn promotes() -> Seen {
    let (mut bench, run) = Bench::running();
    bench.step(&run, "fence/orders-db", done());
    let intent = bench.intent(&run, "promote/orders-db");
    Seen::of(&mut bench, daemon(), intent)
}

fn ended() -> Seen {
    let (mut bench, run) = Bench::running();
    let intent = bench.intent(&run, "fence/orders-db");
    bench.ok(daemon(), intent);
    let outcome = bench.outcome(&run, "fence/orders-db", done());
    Seen::of(&mut bench, daemon(), outcome)
}

#[test]
fn i1_a_promotion_past_an_unfenced_writer_is_caught() {
    let fence = StepName::from("fence/orders-db");
    let seen = promotes();
    let expected = ["I1 does not hold: promote/orders-db of run shop-1 starts unfenced and without consent"];
    for state in [StepState::Failed, StepState::Unknown, StepState::Pending, StepState::Skipped] {
        let unfenced = |seen: &mut Seen| seen.run().steps.get_mut(&fence).unwrap().state = state;
        assert_eq!(seen.bent(unfenced), expected, "{state:?}");
        let consented = |seen: &mut Seen| {
            unfenced(seen);
            seen.run().unfenced_consent = Some(Consent::Person("alice".into()));
        };
        assert_eq!(seen.bent(consented), Vec::<String>::new());
        let by_policy = |seen: &mut Seen| {
            unfenced(seen);
            seen.run().unfenced_consent = Some(Consent::Policy);
        };
        assert_eq!(seen.bent(by_policy), expected, "the manifest does not say so");
        let written = |seen: &mut Seen| {
            by_policy(seen);
            seen.spec().policy.unfenced = OnDoubt::Proceed;
        };
        assert_eq!(seen.bent(written), Vec::<String>::new());
    }
    let nothing_fences = seen.bent(|seen| {
        let promote = seen.run().plan.steps.iter_mut().find(|step| step.name.as_str() == "promote/orders-db").unwrap();
        promote.kind = StepKind::Promote { store: "orders-db".into(), fencing: crate::plan::Fencing::None };
    });
    assert_eq!(nothing_fences, expected);
}

#[test]
fn i2_two_choices_in_one_epoch_are_caught() {
    let mut bench = Bench::serving();
    let seen = Seen::of(&mut bench, person(), Command::Pause { service: None });
    let chosen = seen.bent(|seen| seen.service().chosen = EU.into());
    assert_eq!(chosen, ["I2 does not hold: us-east-1 and eu-west-1 are both chosen for shop in epoch 1"]);
    let fell = seen.bent(|seen| seen.service().epoch = Epoch(0));
    assert_eq!(fell, ["I2 does not hold: epoch of shop fell from 1 to 0"]);
    let strayed = seen.bent(|seen| seen.service().primary = EU.into());
    assert_eq!(strayed, ["I2 does not hold: shop serves from eu-west-1, but us-east-1 is chosen"]);
    let anew = seen.bent(|seen| (seen.service().epoch, seen.service().chosen) = (Epoch(2), EU.into()));
    assert_eq!(anew, Vec::<String>::new());
}

#[test]
fn i2_an_effect_under_a_superseded_epoch_is_caught() {
    let superseded = promotes().bent(|seen| seen.service().epoch = Epoch(3));
    assert_eq!(superseded, ["I2 does not hold: promote/orders-db starts under epoch 2, but shop is at 3"]);
}

#[test]
fn i2_a_decision_under_a_superseded_epoch_is_caught() {
    let superseded = decided().bent(|seen| seen.decision().epoch_seen = Epoch(7));
    assert_eq!(superseded, ["I2 does not hold: a move of shop is taken that was decided under epoch 7; it is at 1"]);
}

#[test]
fn i3_an_automatic_move_without_proof_is_caught() {
    let seen = decided();
    let lonely = "I3 does not hold: shop moves on the word of 1 observers; 2 are needed";
    let one_does_not_count = seen.bent(|seen| {
        let opinions = &mut seen.decision().evidence[0].opinions;
        opinions.iter_mut().rfind(|opinion| opinion.counts).unwrap().counts = false;
    });
    assert_eq!(one_does_not_count, [lonely]);
    let a_stranger = seen.bent(|seen| {
        let opinions = &mut seen.decision().evidence[0].opinions;
        opinions.iter_mut().rfind(|opinion| opinion.counts).unwrap().observer = "mars-1".into();
    });
    assert_eq!(a_stranger, [lonely]);
    let nobody = seen.bent(|seen| seen.decision().evidence.clear());
    assert_eq!(nobody, ["I3 does not hold: shop moves on the word of 0 observers; 2 are needed"]);
    for guard in [Guard::Quorum, Guard::Route53Agrees] {
        let said_no = seen.bent(|seen| {
            seen.decision().guards.iter_mut().find(|verdict| verdict.guard == guard).unwrap().ok = false;
        });
        assert_eq!(said_no, ["I3 does not hold: shop moves without quorum or Route 53's word"], "{guard:?}");
    }
    let a_person = seen.bent(|seen| {
        seen.decision().trigger = Trigger::Operator;
        seen.decision().evidence.clear();
    });
    assert_eq!(a_person, Vec::<String>::new());
}

#[test]
fn i4_a_switch_that_nobody_serves_by_is_caught() {
    let mut bench = Bench::serving();
    let many = crate::service::ServiceSpec { name: "many".into(), pattern: Pattern::ActiveActive, ..shop() };
    let seen = Seen::of(&mut bench, person(), apply(vec![many]));
    let bent = |edit: fn(&mut Switch), group: &str| {
        seen.bent(|seen| edit(seen.after.switches.get_mut(&SwitchGroup::from(group)).unwrap()))
    };
    let all_off = bent(|switch| switch.bits.values_mut().for_each(|bit| bit.on = false), "many");
    assert_eq!(all_off, ["I4 does not hold: no Region serves by switch many"]);
    let one_off = bent(|switch| switch.bits.values_mut().take(1).for_each(|bit| bit.on = false), "many");
    assert_eq!(one_off, Vec::<String>::new());
    for edit in [|switch: &mut Switch| drop(switch.regions.pop()), |switch: &mut Switch| switch.bits.clear()] {
        assert_eq!(bent(edit, "shop"), ["I4 does not hold: no Region serves by switch shop"]);
    }
}

#[test]
fn i5_a_forced_plan_that_needs_the_dead_is_caught() {
    let seen = decided();
    let needs_the_dead = seen.bent(|seen| {
        let step = seen.decision().plan.steps.iter_mut().find(|step| step.critical).unwrap();
        step.region = US.into();
    });
    assert_eq!(needs_the_dead, ["I5 does not hold: critical step promote/orders-db needs us-east-1"]);
    let without_a_switch = |seen: &mut Seen| seen.spec().traffic.switch = SwitchTransport::None;
    assert_eq!(seen.bent(without_a_switch), ["I5 does not hold: shop would need Route 53's control plane"]);
    let graceful = seen.bent(|seen| {
        without_a_switch(seen);
        seen.decision().plan.mode = Mode::Graceful;
        seen.run().plan.mode = Mode::Graceful;
    });
    assert_eq!(graceful, Vec::<String>::new());
}

#[test]
fn i6_a_start_over_the_loss_budget_is_caught() {
    let seen = decided();
    for (bound, said) in [(Some(5_001), "orders-db: at most 5001 ms"), (None, "orders-db: bound unknown")] {
        let over = |seen: &mut Seen| seen.run().loss[0].bound = bound;
        let found = seen.bent(over);
        assert!(found[0].starts_with(&format!("I6 does not hold: run shop-1 starts by itself although {said}")));
        let policy = seen.bent(|seen| {
            over(seen);
            seen.spec().policy.loss_over_budget = OnDoubt::Proceed;
        });
        assert_eq!(policy, Vec::<String>::new());
        let approved = seen.bent(|seen| {
            over(seen);
            seen.entry.command = Command::Approve { run: "shop-1".into() };
        });
        assert_eq!(approved, Vec::<String>::new());
    }
    let unquoted = seen.bent(|seen| drop(seen.run().loss.remove(1)));
    assert_eq!(unquoted, ["I6 does not hold: run shop-1 starts by itself and nobody says what orders may lose"]);
    assert_eq!(seen.bent(|seen| seen.run().loss[0].bound = Some(5_000)), Vec::<String>::new());
}

#[test]
fn i7_an_outcome_without_an_intent_or_an_end_without_a_verdict_is_caught() {
    let seen = ended();
    let fence = StepName::from("fence/orders-db");
    let expected = ["I7 does not hold: fence/orders-db of run shop-1 has an outcome but no intent"];
    let before = |seen: &mut Seen, edit: fn(&mut StepProgress)| {
        edit(seen.before.runs.get_mut(&RunId::from("shop-1")).unwrap().steps.get_mut(&fence).unwrap());
    };
    assert_eq!(seen.bent(|seen| before(seen, |progress| progress.intent = None)), expected);
    assert_eq!(seen.bent(|seen| before(seen, |progress| progress.attempts = 2)), expected);
    assert_eq!(seen.bent(|seen| seen.before.runs.clear()), expected);
    let silent = ["I7 does not hold: run shop-1 ended without a verdict"];
    assert_eq!(seen.bent(|seen| seen.run().state = RunState::Failed), silent);
    let half = |seen: &mut Seen| (seen.run().state, seen.run().verdict) = (RunState::Failed, Some("gone".into()));
    assert_eq!(seen.bent(half), silent);
}

#[test]
fn i7_an_effect_that_nobody_journalled_is_caught() {
    let (mut bench, run) = Bench::running();
    let effect = |word| EffectSeen { at: NOW, operation: "FailoverGlobalCluster".into(), step_word: word };
    let effects = [effect("fence"), effect("promote")];
    let caught = |effects: &[EffectSeen], bench: &Bench| {
        effects_have_intents(effects, &bench.events).map(|violation| violation.to_string())
    };
    let said = "I7 does not hold: 1 effects of kind promote, but 0 intents";
    assert_eq!(caught(&effects[1..], &bench).as_deref(), Some(said));
    bench.finish(&run);
    assert_eq!(caught(&effects, &bench), None);
    let twice = [effect("promote"), effect("promote")];
    assert_eq!(caught(&twice, &bench).as_deref(), Some("I7 does not hold: 2 effects of kind promote, but 1 intents"));
    let settling = [effect("settle"), effect("settle")];
    assert_eq!(caught(&settling, &bench).as_deref(), Some("I7 does not hold: 2 effects of kind settle, but 0 intents"));
    let intent = Command::SettleIntent { service: "shop".into(), epoch: Epoch(2), work: vec![] };
    bench.ok(daemon(), intent);
    assert_eq!(caught(&settling, &bench), None);
}

#[test]
fn i8_a_missing_or_changed_event_is_caught() {
    let seen = decided();
    let missing = seen.bent(|seen| drop(seen.applied.events.remove(0)));
    assert_eq!(missing.len(), 1);
    assert!(missing[0].starts_with("I8 does not hold: event "), "{missing:?}");
    let last = seen.bent(|seen| drop(seen.applied.events.pop()));
    assert_eq!(last, ["I8 does not hold: events and head disagree"]);
    let changed = seen.bent(|seen| seen.applied.events[0].message.push('!'));
    assert!(changed[0].ends_with("its hash does not follow from its content"), "{changed:?}");
    let index = seen.applied.index;
    let none = seen.bent(|seen| {
        seen.applied.events.clear();
        seen.after.head = seen.before.head.clone();
    });
    assert_eq!(none, [format!("I8 does not hold: entry {index} was accepted and left no event")]);
}

#[test]
fn i8_a_stored_history_that_is_not_whole_is_caught() {
    let (bench, _) = Bench::running();
    let whole = |events: &[HistoryEvent]| history_is_whole(events, &bench.state.head);
    assert_eq!(whole(&bench.events), None);
    let end = bench.events.len();
    let short = whole(&bench.events[..end - 1]).unwrap();
    assert_eq!(short.id, "I8");
    assert_eq!(short.detail, format!("history ends at event {}, the fleet agreed on {end}", end - 1));
    assert!(whole(&bench.events[1..]).is_some());
}

#[test]
fn i9_an_answer_that_changes_by_itself_is_caught() {
    let (mut bench, run) = Bench::running();
    let (mut watch, shop, us, eu) =
        (AnswerWatch::default(), ServiceName::from("shop"), Region::from(US), Region::from(EU));
    let mut look = |bench: &Bench, answer: &Region| answer_follows_entries(&mut watch, &bench.state, &shop, answer);
    assert_eq!(look(&bench, &us), None);
    let detail = "the answer of shop changed from us-east-1 to eu-west-1, but us-east-1 serves by the newest entry";
    assert_eq!(look(&bench, &eu), Some(Violation { id: "I9", detail: detail.into() }));
    assert_eq!(look(&bench, &us), None, "back to who serves");
    bench.finish(&run);
    assert_eq!(look(&bench, &us), None, "not yet");
    assert_eq!(look(&bench, &eu), None, "as the entry said");
    assert!(look(&bench, &us).is_some());
}

#[test]
fn a_refused_entry_breaks_nothing() {
    let mut bench = Bench::serving();
    let mut decision = bench.automatic();
    decision.evidence.clear();
    let seen = Seen::of(&mut bench, daemon(), Command::Decide(Box::new(decision)));
    assert!(seen.applied.result.is_err());
}
