//! Looks of three daemons, and what is made of them.

use super::*;
use crate::service::{Endpoint, PublicRecord, Target};
use crate::traffic::tests::spec;

const EAST: &str = "us-east-1";
const WEST: &str = "eu-west-1";
const WITNESS: &str = "us-west-2";
const NAME: &str = "api.example.com";
const FLIP: Timestamp = Timestamp(1_000_000);

fn heard(value: &str, ttl_s: u32) -> Heard {
    let values = value.split(' ').filter(|value| !value.is_empty()).map(str::to_owned).collect();
    Heard { values, ttl_s }
}

fn asked(region: Option<&str>) -> Question {
    let region = region.map(Region::from);
    let name = region.as_ref().map_or(NAME.to_owned(), |region| internal_name(region, NAME));
    Question { name, record_type: RecordType::A, region, public: NAME.to_owned(), times: 1 }
}

fn wanted(regions: &[&str]) -> Wanted {
    Wanted {
        questions: vec![asked(None), asked(Some(EAST)), asked(Some(WEST))],
        regions: regions.iter().map(|region| Region::from(*region)).collect(),
        judge: WEST.into(),
        flipped_at: FLIP,
    }
}

/// A daemon that is given these answers by the public name; `.1` is us-east-1's, `.2` eu-west-1's.
fn sees(daemon: &str, after_ms: u64, answers: &[&str]) -> Looked {
    let seen = |question, heard| NameSeen { question, heard: Ok(heard) };
    let names = vec![
        seen(asked(None), answers.iter().map(|value| heard(value, 30)).collect()),
        seen(asked(Some(EAST)), vec![heard("192.0.2.1", 60)]),
        seen(asked(Some(WEST)), vec![heard("192.0.2.2", 30)]),
    ];
    let sighting = Sighting { names, probes: Vec::new() };
    Looked { daemon: daemon.into(), at: FLIP.plus_ms(after_ms), saw: Ok(sighting) }
}

fn silent(daemon: &str, why: &str) -> Looked {
    Looked { daemon: daemon.into(), at: FLIP, saw: Err(why.to_owned()) }
}

fn right(verdict: Verdict) -> Vec<AnswerSeen> {
    match verdict {
        Verdict::Right(seen) => seen,
        other => panic!("{other:?}"),
    }
}

fn wrong(verdict: Verdict) -> String {
    match verdict {
        Verdict::Wrong(what) => what,
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_saw_what_when_and_who_could_not_be_asked() {
    let (mut watch, wanted) = (Watch::default(), wanted(&[WEST]));
    let first = [sees(WEST, 1_200, &["192.0.2.2"]), silent(EAST, "unreachable"), sees(WITNESS, 1_300, &["192.0.2.1"])];
    assert_eq!(
        wrong(watch.take(&wanted, &first)),
        "us-west-2: api.example.com answers 192.0.2.1 (us-east-1); wanted: 192.0.2.2 (eu-west-1)"
    );
    let then = [sees(WEST, 4_200, &["192.0.2.2"]), silent(EAST, "unreachable"), sees(WITNESS, 4_400, &["192.0.2.2"])];
    let seen = right(watch.take(&wanted, &then));
    assert_eq!(
        sentence(&seen),
        "answers eu-west-1 from eu-west-1 after 1.2 s, from us-west-2 after 4.4 s; us-east-1 not asked (unreachable); \
         caches may hold the old answer 60 s more"
    );
    // The old answer may be kept for its own TTL, from the last moment at which it may have been given.
    let tails: Vec<(&str, Option<u64>)> = seen.iter().map(|one| (one.daemon.as_str(), one.tail_s)).collect();
    assert_eq!(tails, [(WEST, Some(57)), (EAST, None), (WITNESS, Some(60))]);
}

#[test]
fn one_who_is_answered_wrongly_again_starts_anew_and_one_who_falls_silent_does_not() {
    let (mut watch, wanted) = (Watch::default(), wanted(&[WEST]));
    right(watch.take(&wanted, &[sees(WEST, 1_000, &["192.0.2.2"]), sees(WITNESS, 1_000, &["192.0.2.2"])]));
    wrong(watch.take(&wanted, &[sees(WEST, 2_000, &["192.0.2.1"]), sees(WITNESS, 2_000, &["192.0.2.2"])]));
    let seen = right(watch.take(&wanted, &[sees(WEST, 3_000, &["192.0.2.2"]), silent(WITNESS, "unreachable")]));
    let after: Vec<Option<u64>> = seen.iter().map(|one| one.after_ms).collect();
    assert_eq!((after, seen[1].not_asked.as_ref()), (vec![Some(3_000), Some(1_000)], None));
}

#[test]
fn one_who_falls_silent_over_a_wrong_answer_does_not_hold_the_step_and_says_so() {
    let (mut watch, wanted) = (Watch::default(), wanted(&[WEST]));
    wrong(watch.take(&wanted, &[sees(WEST, 1_000, &["192.0.2.2"]), sees(EAST, 1_000, &["192.0.2.1"])]));
    let silent_at = |after_ms| Looked { at: FLIP.plus_ms(after_ms), ..silent(EAST, "unreachable") };
    wrong(watch.take(&wanted, &[sees(WEST, 2_000, &["192.0.2.2"]), silent_at(2_000)]));
    let seen = right(watch.take(&wanted, &[sees(WEST, 11_000, &["192.0.2.2"]), silent_at(11_000)]));
    let said = sentence(&seen);
    assert!(said.contains("us-east-1 not asked (unreachable; before that api.example.com answers 192.0.2.1"), "{said}");
}

/// A name that nobody answered for hides no wrong answer by another.
#[test]
fn a_wrong_answer_weighs_more_than_none() {
    let other = |region: Option<&str>| Question { name: format!("a.{}", asked(region).name), ..asked(region) };
    let mut wanted = wanted(&[WEST]);
    wanted.questions.insert(0, other(None));
    let mut look = sees(WEST, 1, &["192.0.2.1"]);
    if let Ok(sighting) = &mut look.saw {
        sighting.names.insert(0, NameSeen { question: other(None), heard: Err("lost".to_owned()) });
    }
    wrong(Watch::default().take(&wanted, &[look]));
}

#[test]
fn what_the_judge_cannot_see_it_does_not_vouch_for() {
    let (mut watch, wanted) = (Watch::default(), wanted(&[WEST]));
    let verdict = watch.take(&wanted, &[silent(WEST, "no name server answered"), sees(WITNESS, 1, &["192.0.2.2"])]);
    assert_eq!(verdict, Verdict::CannotTell("no name server answered".to_owned()));
}

#[test]
fn no_answer_and_a_strangers_answer_are_wrong() {
    let wanted = wanted(&[WEST]);
    let said = |answer| wrong(Watch::default().take(&wanted, &[sees(WEST, 1, &[answer])]));
    assert_eq!(said(""), "eu-west-1: api.example.com has no answer; wanted: 192.0.2.2 (eu-west-1)");
    assert!(said("203.0.113.9").contains("answers 203.0.113.9, which is no Region's"), "{}", said("203.0.113.9"));
    assert!(said("1 2 3 4 5 6").contains("1 2 3 4 and 2 more"));
}

#[test]
fn where_several_serve_each_may_answer_and_is_named_and_others_may_not() {
    let both = wanted(&[EAST, WEST]);
    let looks = [
        sees(WEST, 500, &["192.0.2.2"]),
        sees(EAST, 700, &["192.0.2.1"]),
        sees(WITNESS, 900, &["192.0.2.1", "192.0.2.2"]),
    ];
    assert_eq!(
        sentence(&right(Watch::default().take(&both, &looks))),
        "answers eu-west-1 from eu-west-1 after 0.5 s; answers us-east-1 from us-east-1 after 0.7 s; \
         answers eu-west-1 and us-east-1 from us-west-2 after 0.9 s; caches may hold the old answer 60 s more"
    );
    // One of sixteen is enough.
    let said = wrong(Watch::default().take(&wanted(&[WEST]), &[looks[0].clone(), looks[2].clone()]));
    assert!(said.starts_with("us-west-2: "), "{said}");
}

#[test]
fn a_load_balancer_that_answers_some_of_its_addresses_in_turn_is_known_by_them() {
    let mut look = sees(WEST, 1, &["192.0.2.2 192.0.2.3"]);
    if let Ok(sighting) = &mut look.saw {
        sighting.names[2].heard = Ok(vec![heard("192.0.2.3 192.0.2.4", 60)]);
    }
    assert_eq!(right(Watch::default().take(&wanted(&[WEST]), &[look]))[0].answered_by, [Region::from(WEST)]);
}

#[test]
fn a_daemon_with_another_manifest_or_without_the_wanted_answer_was_not_asked() {
    let mut other = sees(WITNESS, 1, &["192.0.2.2"]);
    if let Ok(sighting) = &mut other.saw {
        sighting.names.remove(0);
    }
    let mut silent = sees(EAST, 1, &["192.0.2.2"]);
    if let Ok(sighting) = &mut silent.saw {
        sighting.names[2].heard = Err("no answer within 2 s".to_owned());
    }
    let seen = right(Watch::default().take(&wanted(&[WEST]), &[sees(WEST, 1, &["192.0.2.2"]), other, silent]));
    let why: Vec<Option<&str>> = seen.iter().map(|one| one.not_asked.as_deref()).collect();
    assert_eq!(why[0], None);
    assert_eq!(why[1], Some("no answer within 2 s"));
    assert!(why[2].is_some_and(|why| why.contains("another manifest")), "{why:?}");
}

#[test]
fn bad_probes_are_a_warning_that_names_who_and_what() {
    let mut seen = right(Watch::default().take(&wanted(&[WEST]), &[sees(WEST, 1, &["192.0.2.2"])]));
    assert_eq!(warning(&seen), None);
    let probe = |good, detail: &str| NameProbe {
        name: NAME.to_owned(),
        signal: "front-door".into(),
        good,
        detail: detail.to_owned(),
    };
    seen[0].probes = vec![probe(true, "HTTP 200"), probe(false, "HTTP 503, expected 200")];
    let said = sentence(&seen);
    assert!(said.contains("WARNING: traffic has moved"), "{said}");
    assert!(said.ends_with("api.example.com by front-door from eu-west-1: HTTP 503, expected 200"), "{said}");
}

#[test]
fn each_public_name_is_asked_and_what_each_region_would_answer() {
    let mut spec = spec();
    let target =
        |value: &str| Target { endpoint: Endpoint::Values(vec![value.to_owned()]), geo: Vec::new(), weight: Some(1) };
    spec.traffic.records = vec![PublicRecord {
        name: "*.example.com".to_owned(),
        record_type: RecordType::A,
        routing: Routing::Weighted,
        ttl_s: Some(60),
        targets: [(EAST.into(), target("192.0.2.1")), (WEST.into(), target("192.0.2.2"))].into(),
    }];
    let asked: Vec<(String, u32)> = questions(&spec).into_iter().map(|it| (it.name, it.times)).collect();
    let once = |name: &str| (name.to_owned(), 1);
    assert_eq!(
        asked,
        [
            ("*.example.com".to_owned(), 16),
            once("fo-eu-west-1._any.example.com"),
            once("fo-us-east-1._any.example.com")
        ]
    );
}

#[test]
fn an_outcome_of_an_older_version_still_reads() {
    use crate::fleet::{StepOutcome, StepProgress};
    let old = r#"{"succeeded":{"note":"every name answers eu-west-1"}}"#;
    let read: StepOutcome = serde_json::from_str(old).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), old);
    let plain = serde_json::to_value(StepProgress::default()).unwrap();
    assert_eq!(plain.get("seen"), None);
    assert_eq!(serde_json::from_value::<StepProgress>(plain).unwrap(), StepProgress::default());
}
