//! People whose signatures break the glass: one forced move, once, and nothing else.

use super::fixture::*;
use super::settings::{agreed, modern, settings};
use crate::fleet::*;
use crate::glass::tests::{request, signed};
use crate::glass::{Glass, GlassRequest, MOST_VALID_MS};
use crate::ids::{Epoch, Generation, RunId};
use crate::plan::Mode;
use crate::time::Timestamp;

fn signed_by(names: &str) -> Actor {
    Actor::BreakGlass(names.to_owned())
}

/// `shop` in a fleet that knows alice, bob and carol.
fn bench() -> Bench {
    agreed(Bench::serving(), settings())
}

/// What people are asked to sign about `shop` as it stands.
fn asked(bench: &Bench) -> GlassRequest {
    GlassRequest {
        generation: bench.state.generation,
        epoch: bench.shop().epoch,
        expires_at: bench.now.plus_ms(900_000),
        ..request()
    }
}

fn decision(bench: &Bench, glass: Glass) -> Decision {
    let actor = signed_by("alice+bob");
    let request = FailoverRequest { to: Some(EU.into()), actor, ..by_person(Mode::Forced) };
    let decision = bench.propose(breach(), &request).unwrap();
    Decision { glass: Some(Box::new(glass)), ..decision }
}

fn decide(bench: &Bench, glass: Glass) -> Command {
    Command::Decide(Box::new(decision(bench, glass)))
}

/// For the samples: settings are agreed on, the fleet is paused, and two people move the service.
pub(super) fn broken() -> Bench {
    let mut bench = bench();
    bench.ok(person(), Command::Pause { service: None });
    let command = decide(&bench, signed(asked(&bench), &[1, 2]));
    let run = bench.ok(signed_by("alice+bob"), command).unwrap();
    bench.finish(&run);
    bench.settle();
    bench
}

#[test]
fn two_people_move_a_service_while_the_fleet_is_paused_and_are_on_record() {
    let bench = broken();
    assert_eq!(bench.serves().0, EU);
    let run = bench.run(&RunId::from("shop-1"));
    assert_eq!((run.trigger, run.state), (Trigger::Operator, RunState::Succeeded));
    assert_eq!(run.unfenced_consent, Some(Consent::Person("break-glass:alice+bob".into())));
    let decided = bench.events.iter().find(|event| event.kind == EventKind::Decided).unwrap();
    assert_eq!(decided.actor, "break-glass:alice+bob");
    let kept: Glass = serde_json::from_value(decided.data["glass"].clone()).unwrap();
    assert!(kept.names(bench.state.enrolment().unwrap()).is_ok(), "whoever audits it can verify it again");
}

#[test]
fn it_is_good_once_and_for_this_state_only() {
    let mut bench = bench();
    let glass = signed(asked(&bench), &[1, 2]);
    let again = decide(&bench, glass.clone());
    let run = bench.ok(signed_by("alice+bob"), again.clone()).unwrap();
    assert_eq!(bench.refused(signed_by("alice+bob"), again.clone()), "BREAK_GLASS_REFUSED");
    bench.finish(&run);
    bench.settle();
    let refused = bench.put(signed_by("alice+bob"), again).result.unwrap_err();
    assert_eq!(refused.reason, "it was used before");
    // Nor is one of an older epoch that was never used.
    let unused = GlassRequest { nonce: "ff".repeat(16), ..glass.request };
    let late = decide_back(&bench, signed(unused, &[1, 2]));
    let refused = bench.put(signed_by("alice+bob"), late).result.unwrap_err();
    assert_eq!(
        refused.reason,
        "it was signed for epoch 1 of shop, which is at 2: who serves has changed since, make another"
    );
}

fn decide_back(bench: &Bench, glass: Glass) -> Command {
    let request = FailoverRequest { to: Some(US.into()), actor: signed_by("alice+bob"), ..by_person(Mode::Forced) };
    let decision = bench.propose(healthy(), &request).unwrap();
    Command::Decide(Box::new(Decision { glass: Some(Box::new(glass)), ..decision }))
}

#[test]
fn what_is_wrong_with_it_is_found_by_whoever_applies_it() {
    let bench = bench();
    let says = |change: &dyn Fn(&mut GlassRequest), seeds: &[u8]| {
        let mut request = asked(&bench);
        change(&mut request);
        let command = decide(&bench, signed(request, seeds));
        let refused = bench.clone().put(signed_by("alice+bob"), command).result.unwrap_err();
        assert_eq!(refused.code, "BREAK_GLASS_REFUSED");
        refused.reason
    };
    let both = &[1, 2];
    assert_eq!(says(&|_| (), &[1]), "1 of 2 signatures are there (alice)");
    assert_eq!(says(&|_| (), &[1, 1]), "alice has signed twice, which counts for nothing");
    assert!(says(&|_| (), &[1, 7]).contains("is not enrolled here"));
    assert!(says(&|it| it.fleet = "staging".into(), both).contains("signed for fleet staging"));
    assert!(says(&|it| it.generation = Generation(9), both).contains("generation 9"));
    assert!(says(&|it| it.epoch = Epoch(7), both).contains("epoch 7 of shop, which is at 1"));
    assert!(says(&|it| it.expires_at = NOW.minus_ms(1), both).contains("it expired at"));
    assert!(says(&|it| it.expires_at = Timestamp(u64::MAX), both).contains("longer than an hour"));
    assert!(says(&|it| it.to = US.into(), both).contains("not what was signed"));
    assert!(says(&|it| it.from = WITNESS.into(), both).contains("not what was signed"));
    assert!(says(&|it| it.service = "cart".into(), both).contains("not what was signed"));
    // Two others signed than the record would say.
    assert!(says(&|_| (), &[2, 3]).contains("not what was signed"));
    let mut forged = signed(asked(&bench), both);
    forged.request.reason = "something else".into();
    let refused = bench.clone().put(signed_by("alice+bob"), decide(&bench, forged)).result.unwrap_err();
    assert_eq!(refused.reason, "the signature of alice is wrong: something else was signed");
}

#[test]
fn it_is_good_until_its_last_millisecond_and_for_an_hour_at_most() {
    for (valid_ms, opens) in [(0, true), (MOST_VALID_MS, true), (MOST_VALID_MS + 1, false)] {
        let bench = bench();
        let request = GlassRequest { expires_at: bench.now.plus_ms(valid_ms), ..asked(&bench) };
        let opened = bench.state.opens(bench.now, &signed(request, &[1, 2]));
        assert_eq!(opened.is_ok(), opens, "{valid_ms}: {opened:?}");
    }
    let bench = bench();
    let late = signed(GlassRequest { expires_at: bench.now, ..asked(&bench) }, &[1, 2]);
    assert!(bench.state.opens(bench.now.plus_ms(1), &late).unwrap_err().to_string().starts_with("it expired at"));
}

#[test]
fn before_keys_are_agreed_on_nobody_opens_anything() {
    let mut bench = modern(Bench::serving());
    let command = decide(&bench, signed(asked(&bench), &[1, 2]));
    let refused = bench.put(signed_by("alice+bob"), command).result.unwrap_err();
    assert!(refused.reason.contains("agreed on nobody's keys"), "{refused}");
    let mut old = Bench::serving();
    let command = decide(&old, signed(asked(&old), &[1, 2]));
    assert_eq!(old.refused(signed_by("alice+bob"), command), "FORMAT_NOT_AGREED");
}

#[test]
fn the_name_is_nobodys_without_the_signatures_and_the_signatures_are_for_nothing_else() {
    let mut bench = bench();
    let unsigned =
        Command::Decide(Box::new(Decision { glass: None, ..decision(&bench, signed(asked(&bench), &[1, 2])) }));
    assert_eq!(bench.refused(signed_by("alice+bob"), unsigned), "NOT_SIGNED");
    for command in [
        Command::Pause { service: None },
        Command::Resume { service: None },
        Command::Delete { service: "shop".into() },
    ] {
        assert_eq!(bench.refused(signed_by("alice+bob"), command), "NOT_SIGNED");
    }
    let signed = decide(&bench, signed(asked(&bench), &[1, 2]));
    assert_eq!(bench.refused(person(), signed.clone()), "NOT_SIGNED", "nor are they anybody else's");
    assert_eq!(bench.refused(daemon(), signed), "NOT_SIGNED");
    // It is a forced move or nothing: no announcement, no approval.
    let now = decision(&bench, crate::glass::tests::signed(asked(&bench), &[1, 2]));
    let later = [
        Decision { needs_approval: true, ..now.clone() },
        Decision { announce_until: Some(bench.now.plus_ms(60_000)), ..now.clone() },
        Decision { trigger: Trigger::Automatic, ..now },
    ];
    for decision in later {
        assert_eq!(bench.refused(signed_by("alice+bob"), Command::Decide(Box::new(decision))), "BREAK_GLASS_REFUSED");
    }
}

#[test]
fn a_run_that_waits_for_somebody_who_cannot_sign_in_gives_way() {
    let mut spec = shop();
    spec.objectives.rpo_ms = 100;
    let mut bench = agreed(Bench::serving_spec(spec), settings());
    let waiting = bench.decide(bench.automatic());
    assert_eq!(bench.run(&waiting).state, RunState::AwaitingApproval);
    assert!(bench.propose(breach(), &by_person(Mode::Forced)).is_err(), "who can sign in approves it instead");
    let command = decide(&bench, signed(asked(&bench), &[1, 2]));
    let run = bench.ok(signed_by("alice+bob"), command).unwrap();
    assert_eq!((bench.run(&waiting).state, bench.run(&run).state), (RunState::Aborted, RunState::Running));
    let verdict = bench.run(&waiting).verdict.clone().unwrap();
    assert_eq!(verdict, "gives way to break-glass:alice+bob, who broke the glass");

    // One that has begun moves it already.
    let mut bench = agreed(Bench::serving(), settings());
    let early = decision(&bench, signed(asked(&bench), &[1, 2]));
    bench.decide(bench.automatic());
    let glass = Command::Decide(Box::new(early.clone()));
    assert_eq!(bench.refused(signed_by("alice+bob"), glass), "BREAK_GLASS_REFUSED", "and its epoch is another");
    let glass = Some(Box::new(signed(asked(&bench), &[1, 2])));
    let late = Decision { glass, epoch_seen: bench.shop().epoch, ..early };
    assert_eq!(bench.refused(signed_by("alice+bob"), Command::Decide(Box::new(late))), "RUN_OPEN");
    let request = FailoverRequest { actor: signed_by("alice+bob"), ..by_person(Mode::Forced) };
    let refused = bench.propose(breach(), &request).unwrap_err();
    assert!(refused.reason.contains("run shop-1 is open"), "{refused}");
}

#[test]
fn nonces_are_remembered_until_they_could_not_be_used_anyway() {
    let mut bench = broken();
    assert_eq!(bench.state.broken_glass.len(), 1);
    bench.now = bench.now.plus_ms(3_700_000);
    let request = GlassRequest { from: EU.into(), to: US.into(), nonce: "ee".repeat(16), ..asked(&bench) };
    let command = decide_back(&bench, signed(request, &[1, 2]));
    bench.ok(signed_by("alice+bob"), command);
    assert_eq!(bench.state.broken_glass.keys().map(String::as_str).collect::<Vec<_>>(), ["ee".repeat(16)]);
}

#[test]
fn a_daemon_may_have_it_proposed_by_the_leader_and_nothing_else_in_such_a_name() {
    let bench = bench();
    let entry = |actor, command| Entry::new(NOW, actor, command);
    let glass = decide(&bench, signed(asked(&bench), &[1, 2]));
    assert_eq!(entry(signed_by("alice+bob"), glass.clone()).may_be_forwarded(), Ok(()));
    assert!(entry(person(), glass).may_be_forwarded().is_err());
    assert!(entry(signed_by("alice+bob"), Command::Pause { service: None }).may_be_forwarded().is_err());
}
