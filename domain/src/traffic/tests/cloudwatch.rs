//! The same through CloudWatch: one child per daemon, which keeps its last word.

use super::*;
use crate::route53::AlarmRule;

fn scene(daemons: usize, on: bool) -> Scene {
    let mut scene = Scene::new(daemons, on);
    scene.spec.traffic.switch = SwitchTransport::Cloudwatch;
    // A fleet without a public endpoint.
    scene.members.values_mut().for_each(|at| *at = None);
    scene
}

/// Every way in which the daemons can have spoken last.
fn last_words(daemons: usize) -> Vec<BTreeMap<String, Vote>> {
    let word = |n: usize, daemon: usize| if n >> daemon & 1 == 1 { Vote::On } else { Vote::Off };
    let of = |n: usize| {
        let named = FLEET.iter().take(daemons).enumerate();
        named.map(|(daemon, region)| (format!("switch.{region}.example.net"), word(n, daemon))).collect()
    };
    (0..1 << daemons).map(of).collect()
}

fn count(words: &BTreeMap<String, Vote>, word: Vote) -> usize {
    words.values().filter(|said| **said == word).count()
}

/// The table of the vote, through the checks and records that are really made.
#[test]
fn the_records_answer_as_the_majority_said_last() {
    for daemons in 1..=5 {
        for settled_on in [true, false] {
            let model = settled(&scene(daemons, settled_on), 10);
            for words in last_words(daemons) {
                let (on, off) = (count(&words, Vote::On), count(&words, Vote::Off));
                let first = on > off || on == off && settled_on;
                let expected = if first { "us-east-1" } else { "eu-west-1" };
                assert_eq!(model.answers(&words), expected, "settled on={settled_on}, {words:?}");
            }
        }
    }
}

/// From one settled state to the other, stopped after every action: while a majority has said the newest word, no step
/// of settlement moves the answer, whatever the others said last.
#[test]
fn settlement_never_moves_the_answer_of_a_majority() {
    for daemons in 1..=5 {
        let mut model = settled(&scene(daemons, true), 10);
        let desired = scene(daemons, false).desired();
        loop {
            for words in last_words(daemons).iter().filter(|words| count(words, Vote::Off) * 2 > daemons) {
                assert_eq!(model.answers(words), "eu-west-1", "{words:?}");
            }
            match model.next(&desired, &mark(1, 20)).first() {
                Some(action) => model.act(action),
                None => break,
            }
        }
    }
}

#[test]
fn one_child_per_daemon_follows_the_alarm_in_its_own_region() {
    let model = settled(&scene(3, true), 10);
    let children: Vec<(&str, &str)> = model
        .checks
        .iter()
        .filter_map(|check| match &check.config.kind {
            CheckKind::Alarm { region, name } => Some((region.as_str(), name.as_str())),
            _ => None,
        })
        .collect();
    let expected =
        ["eu-west-1", "us-east-1", "us-west-2"].map(|at| (at, format!("failoverd/prod/sw/shop/us-east-1/{at}")));
    assert_eq!(children, expected.each_ref().map(|(at, name)| (*at, name.as_str())));
    let polled =
        model.checks.iter().any(|check| matches!(&check.config.kind, CheckKind::Endpoint(at) if at.search.is_some()));
    assert!(!polled, "no checker asks a daemon");
    // 3 children, P, S, and one outside view for each Region.
    assert_eq!(model.checks.len(), 7);
}

/// Both transports use the votes P and S: a change from one to the other, stopped anywhere, never moves the answer of a
/// fleet that says on, whatever a check without data counts as.
#[test]
fn changing_the_transport_of_a_switch_that_is_on_moves_nothing() {
    let (over_http, through_cloudwatch) = (Scene::new(3, true), scene(3, true));
    let words: BTreeMap<String, Vote> =
        FLEET.iter().map(|region| (format!("switch.{region}.example.net"), Vote::On)).collect();
    for (from, to) in [(&over_http, &through_cloudwatch), (&through_cloudwatch, &over_http)] {
        let mut model = settled(from, 10);
        let desired = to.desired();
        while let Some(action) = model.next(&desired, &mark(1, 20)).first().cloned() {
            model.act(&action);
            assert_eq!(model.answers(&words), "us-east-1", "{action:?}");
        }
        assert_eq!(model.checks.len(), desired.checks.len(), "the old voices are gone");
    }
}

#[test]
fn a_rule_that_route_53_copied_before_it_changed_is_copied_again() {
    let scene = scene(3, true);
    let mut model = settled(&scene, 10);
    let desired = scene.desired();
    let rule = desired
        .checks
        .iter()
        .find_map(|check| match &check.kind {
            DesiredKind::Alarm { alarm, .. } => Some(alarm.rule.clone()),
            _ => None,
        })
        .unwrap();
    let voice = model.checks.iter().position(|check| matches!(check.config.kind, CheckKind::Alarm { .. })).unwrap();
    model.checks[voice].copied = Some(rule.clone());
    assert_eq!(model.next(&desired, &mark(1, 10)), [], "the copy is right");
    model.checks[voice].copied = Some(AlarmRule { periods: 5, ..rule });
    let check = model.checks[voice].clone();
    assert_eq!(compare_checks(&desired, &model.checks), (vec![], vec![check.caller_reference.clone()]));
    let config = check.config.clone();
    assert_eq!(model.next(&desired, &mark(1, 10)), [SettleAction::UpdateCheck { check, config }]);
}

#[test]
fn what_is_believed_follows_the_bits_here_too() {
    for on in [true, false] {
        let scene = scene(3, on);
        let model = settled(&scene, 10);
        let member = crate::fleet::Member { role: crate::fleet::Role::Member, switch: None };
        let state = crate::fleet::FleetState {
            fleet: scene.fleet.clone(),
            members: scene.members.keys().map(|region| (region.clone(), member.clone())).collect(),
            switches: BTreeMap::from([(scene.spec.switch_group(), scene.switch.clone())]),
            ..Default::default()
        };
        let nobody = std::collections::BTreeSet::new();
        let believed = Believed::new(&state, &model.checks, &nobody);
        for check in &model.checks {
            let is_voice = matches!(check.config.kind, CheckKind::Alarm { .. });
            assert!(!is_voice || believed.is_healthy(&check.id) == on);
        }
        assert!(believed.assumed().is_empty(), "everything of a switch is known");
    }
}
