//! What a preview shows is what settlement does.

use super::*;

fn shown(preview: &Preview) -> Vec<String> {
    preview.lines.iter().map(|line| format!("{} {}", line.deed.word(), line.resource)).collect()
}

/// Later than whatever wrote the zone.
fn later() -> FenceMark {
    mark(1, u64::MAX)
}

#[test]
fn a_new_service_is_shown_whole_and_touches_nothing() {
    let desired = Scene::new(3, true).desired();
    let seen = preview(&desired, &later(), &[], &[]);
    let lines = shown(&seen);
    assert_eq!(seen.new_checks.len(), desired.checks.len());
    assert!(lines.iter().all(|line| line.starts_with("create ")), "{lines:#?}");
    for line in [
        "create health-check failoverd/prod/sw/shop/us-east-1/p",
        "create record A api.example.com \"us-east-1\"",
        "create record A fo-eu-west-1.api.example.com \"eu-west-1\"",
        "create record TXT _failoverd.shop.example.com",
    ] {
        assert!(lines.iter().any(|shown| shown == line), "{line} is not in {lines:#?}");
    }
    let mut model = Model::default();
    model.settle(&desired, &mark(1, 10));
    assert_eq!((seen.added as usize, seen.new_checks.len()), (model.records.len(), model.checks.len()));
    assert!(seen.touched.is_empty() && !Share::of(&seen.touched, &[]).is_large());
    assert!(!format!("{seen:?}").contains("/s/t0ken every"), "the switch's token is nobody's business");
}

#[test]
fn what_is_as_it_should_be_is_not_shown() {
    let scene = Scene::new(3, true);
    let model = settled(&scene, 10);
    assert_eq!(preview(&scene.desired(), &later(), &model.checks, &model.records), Preview::default());
}

#[test]
fn a_changed_target_is_replaced_and_counted() {
    let scene = Scene::new(3, true);
    let model = settled(&scene, 10);
    let mut changed = scene.clone();
    let target = changed.spec.traffic.records[0].targets.get_mut("eu-west-1").unwrap();
    target.endpoint = Endpoint::Values(vec!["192.0.2.99".into()]);
    let seen = preview(&changed.desired(), &later(), &model.checks, &model.records);
    let internal = "record A fo-eu-west-1.api.example.com \"eu-west-1\"";
    let expected = [format!("replace record TXT {}", scene.desired().fence_name()), format!("replace {internal}")];
    assert_eq!(shown(&seen), expected);
    let share = Share::of(&seen.touched, &model.records);
    let fences = 1;
    assert_eq!((share.touched, share.existing), (1, model.records.len() - fences), "{:#?}", model.records);
    assert!(!share.is_large());
}

#[test]
fn more_than_thirty_percent_is_large_and_a_tie_is_not() {
    let is_large = |touched, existing| Share { touched, existing }.is_large();
    assert_eq!([is_large(3, 10), is_large(4, 10), is_large(0, 0), is_large(1, 1)], [false, true, false, true]);
}

#[test]
fn what_stands_in_the_way_is_named_and_nothing_else_is_shown() {
    let scene = Scene::new(3, true);
    let foreign = RecordSet::simple(API, RecordType::A, 60, vec!["198.51.100.1".into()]);
    let seen = preview(&scene.desired(), &later(), &[], &[foreign]);
    assert_eq!((seen.in_the_way.len(), seen.lines.len()), (1, 0), "{seen:?}");
    assert!(seen.in_the_way[0].0 == API && seen.in_the_way[0].1.contains("not made by failoverd"));
}

#[test]
fn checks_that_are_missing_or_do_not_agree_with_the_switch_are_named() {
    let scene = Scene::new(3, true);
    let mut model = settled(&scene, 10);
    assert_eq!(compare_checks(&scene.desired(), &model.checks), (vec![], vec![]));
    let turned = Scene::new(3, false).desired();
    let votes = ["p", "s"].map(|vote| format!("failoverd/prod/sw/shop/us-east-1/{vote}"));
    assert_eq!(compare_checks(&turned, &model.checks), (vec![], votes.to_vec()));
    let gone = model.checks.remove(0);
    assert_eq!(compare_checks(&scene.desired(), &model.checks), (vec![gone.caller_reference.clone()], vec![]));
    model.checks.clear();
    assert_eq!(compare_checks(&scene.desired(), &model.checks).0.len(), scene.desired().checks.len());
}
