//! What settlement writes, and what it leaves alone.

use super::*;

#[test]
fn moving_roles_changes_only_what_differs_and_renews_the_fence() {
    let mut model = settled(&Scene::new(3, true), 10);
    let desired = Scene::new(3, false).desired();
    let actions = model.next(&desired, &mark(1, 20));
    let [
        SettleAction::UpdateCheck { check: p, config: of_p },
        SettleAction::UpdateCheck { check: s, config: of_s },
        SettleAction::ChangeRecords { changes },
    ] = &actions[..]
    else {
        panic!("{actions:?}")
    };
    assert!(p.caller_reference.ends_with("/p") && s.caller_reference.ends_with("/s"));
    for config in [of_p, of_s] {
        assert!(matches!(config.kind, CheckKind::Calculated { threshold: 4, .. }));
    }
    assert!(of_s.inverted && !of_p.inverted);
    let names: Vec<_> = changes
        .iter()
        .map(|change| match change {
            Change::Delete(record) => ("delete", record.name.as_str()),
            Change::Create(record) => ("create", record.name.as_str()),
        })
        .collect();
    let fence = "_failoverd.shop.example.com";
    assert_eq!(
        names,
        [("delete", fence), ("delete", API), ("delete", API), ("create", fence), ("create", API), ("create", API)]
    );
    actions.iter().for_each(|action| model.act(action));
    assert_eq!(model.next(&desired, &mark(1, 20)), []);
}

#[test]
fn a_stale_writer_is_refused_and_its_batch_would_fail_too() {
    let mut model = settled(&Scene::new(3, true), 10);
    let (old, new) = (Scene::new(3, true).desired(), Scene::new(3, false).desired());
    // Two writers read the same; the newer one writes first.
    let mut late = Scene::new(3, true);
    late.spec.traffic.records[0].ttl_s = Some(77);
    let late_batch = model.next(&late.desired(), &mark(1, 15)).pop().unwrap();
    model.settle(&new, &mark(1, 20));
    let SettleAction::ChangeRecords { changes } = late_batch else { panic!() };
    assert_eq!(model.clone().change(&changes), Err("not found: _failoverd.shop.example.com".into()));
    let actions = model.next(&old, &mark(1, 15));
    assert!(matches!(&actions[..], [SettleAction::Refused { reason }] if reason.contains("index=20")), "{actions:?}");
    // A higher index of an older generation is older all the same; a newer generation always may.
    model.settle(&new, &mark(2, 5));
    assert!(matches!(&model.next(&old, &mark(1, 999))[..], [SettleAction::Refused { .. }]));
    assert_ne!(model.next(&old, &mark(2, 6)), []);
}

#[test]
fn a_new_generation_or_epoch_renews_the_fence_alone() {
    let scene = Scene::new(3, true);
    let mut model = settled(&scene, 10);
    for newer in [mark(2, 1), FenceMark { epoch: Epoch(9), ..mark(2, 2) }] {
        let actions = model.next(&scene.desired(), &newer);
        assert!(matches!(&actions[..], [SettleAction::ChangeRecords { changes }] if changes.len() == 2), "{actions:?}");
        actions.iter().for_each(|action| model.act(action));
        assert_eq!(model.next(&scene.desired(), &newer), []);
    }
}

fn plain(name: &str) -> RecordSet {
    RecordSet::simple(name, RecordType::A, 300, vec!["203.0.113.1".into()])
}

fn foreign_names(actions: &[SettleAction]) -> Vec<&str> {
    let name = |action: &SettleAction| matches!(action, SettleAction::Foreign { .. });
    assert!(actions.iter().all(name), "nothing else may be done: {actions:?}");
    actions
        .iter()
        .map(|action| if let SettleAction::Foreign { name, .. } = action { name.as_str() } else { "" })
        .collect()
}

#[test]
fn records_of_others_are_never_replaced() {
    let scene = Scene::new(3, true);
    let next = |records: Vec<RecordSet>| Model { records, ..Model::default() }.next(&scene.desired(), &mark(1, 10));
    assert_eq!(foreign_names(&next(vec![plain(API)])), [API], "first adoption");
    let failover = |primary, set: &str| RecordSet {
        policy: Policy::Failover { primary },
        set_identifier: Some(set.into()),
        ..plain(API)
    };
    assert_eq!(foreign_names(&next(vec![failover(true, "us-east-1"), failover(false, "eu-west-1")])), [API]);
    let cname = RecordSet { record_type: RecordType::Cname, ..plain(API) };
    assert_eq!(foreign_names(&next(vec![cname])), [API]);
    assert_eq!(
        foreign_names(&next(vec![plain("fo-us-east-1.api.example.com")])),
        ["fo-us-east-1.api.example.com"],
        "it looks like ours, but nothing says that it is"
    );
}

#[test]
fn an_override_by_hand_is_reported_not_undone() {
    let scene = Scene::new(3, true);
    let mut model = settled(&scene, 10);
    model.records.retain(|record| record.name != API);
    model.records.push(plain(API));
    assert_eq!(foreign_names(&model.next(&scene.desired(), &mark(1, 20))), [API]);
}

#[test]
fn drift_in_our_own_records_is_put_right() {
    let scene = Scene::new(3, true);
    let mut model = settled(&scene, 10);
    let internal = model.records.iter_mut().find(|record| record.name == "fo-eu-west-1.api.example.com").unwrap();
    internal.values = vec!["198.51.100.66".into()];
    internal.health_check = None;
    assert_eq!(model.settle(&scene.desired(), &mark(1, 20)), 1);
    assert!(model.records.iter().any(|record| record.values == ["192.0.2.20", "192.0.2.21"]));
}

#[test]
fn values_in_another_order_are_the_same() {
    let scene = Scene::new(3, true);
    let mut model = settled(&scene, 10);
    for record in &mut model.records {
        record.values.reverse();
    }
    assert_eq!(model.next(&scene.desired(), &mark(1, 20)), []);
}

#[test]
fn a_fence_that_is_not_ours_stops_everything() {
    let scene = Scene::new(3, true);
    let with_fence = |edit: fn(&mut RecordSet)| {
        let mut model = settled(&scene, 10);
        edit(model.records.iter_mut().find(|record| record.name == "_failoverd.shop.example.com").unwrap());
        model.next(&Scene::new(3, false).desired(), &mark(1, 20))
    };
    let fence = ["_failoverd.shop.example.com"];
    assert_eq!(foreign_names(&with_fence(|fence| fence.values = vec!["hello".into()])), fence);
    assert_eq!(foreign_names(&with_fence(|fence| fence.values.push("more".into()))), fence);
    assert_eq!(foreign_names(&with_fence(|fence| fence.values = vec![])), fence);
    assert_eq!(foreign_names(&with_fence(|fence| fence.set_identifier = Some("x".into()))), fence);
    let other = |fence: &mut RecordSet| fence.values = vec!["fleet=dev generation=1 epoch=1 index=5".into()];
    assert_eq!(foreign_names(&with_fence(other)), fence);
}

#[test]
fn a_lost_fence_is_put_back_only_where_nothing_must_be_replaced() {
    let scene = Scene::new(3, true);
    let mut model = settled(&scene, 10);
    model.records.retain(|record| !record.name.starts_with("_failoverd.shop"));
    assert!(!foreign_names(&model.next(&Scene::new(3, false).desired(), &mark(1, 20))).is_empty());
    assert_eq!(model.settle(&scene.desired(), &mark(1, 20)), 1);
}

#[test]
fn neighbours_in_the_zone_are_left_alone() {
    let scene = Scene::new(3, true);
    let mut model = Model::default();
    let text = |name: &str| RecordSet { record_type: RecordType::Txt, values: vec!["x".into()], ..plain(name) };
    model.records = vec![
        plain("www.example.com"),
        plain("fo-us-east-1.other.example.com"),
        text("_failoverd.other.example.com"),
        text("_failoverd-canary.us-east-1.other.example.com"),
        text("api.example.com"),
    ];
    let neighbours = model.records.clone();
    model.settle(&scene.desired(), &mark(1, 10));
    model.settle(&Scene::new(3, false).desired(), &mark(1, 20));
    assert!(neighbours.iter().all(|record| model.records.contains(record)));
}

#[test]
fn a_region_that_left_the_manifest_takes_its_records_along() {
    let mut scene = Scene::new(3, true);
    let mut model = settled(&scene, 10);
    let target = scene.spec.traffic.records[0].targets.remove("eu-west-1").unwrap();
    scene.spec.traffic.records[0].targets.insert("us-west-2".into(), target);
    scene.spec.regions[1] = "us-west-2".into();
    model.settle(&scene.desired(), &mark(1, 20));
    assert!(model.records.iter().all(|record| !record.name.contains("eu-west-1")));
    assert_eq!(model.records.len(), 9);
}

#[test]
fn a_fleet_that_grows_updates_p_and_a_moved_endpoint_its_children() {
    let mut model = settled(&Scene::new(3, true), 10);
    let grown = Scene::new(4, true);
    model.settle(&grown.desired(), &mark(1, 20));
    let p = model.checks.iter().find(|check| check.caller_reference.ends_with("/p")).unwrap();
    assert!(matches!(&p.config.kind, CheckKind::Calculated { children, threshold: 4 } if children.len() == 8));

    let mut moved = grown.clone();
    moved.members.get_mut("us-west-2").unwrap().as_mut().unwrap().host = "elsewhere.example.net".into();
    let actions = model.next(&moved.desired(), &mark(1, 21));
    assert_eq!(actions.len(), 2);
    assert!(actions.iter().all(|action| matches!(action, SettleAction::UpdateCheck { .. })), "{actions:?}");

    // A protocol is for life: new checks, and P turns to them.
    let mut plain_http = grown;
    plain_http.members.get_mut("us-west-2").unwrap().as_mut().unwrap().https = false;
    model.settle(&plain_http.desired(), &mark(1, 22));
    assert_eq!(model.next(&plain_http.desired(), &mark(1, 22)), []);
}

#[test]
fn a_check_that_no_update_can_change_is_reported() {
    let scene = Scene::new(3, true);
    let mut model = settled(&scene, 10);
    let HealthCheckConfig { kind: CheckKind::Endpoint(endpoint), .. } = &mut model.checks[0].config else { panic!() };
    endpoint.interval_s = 30;
    let reference = model.checks[0].caller_reference.clone();
    assert_eq!(foreign_names(&model.next(&scene.desired(), &mark(1, 20))), [reference.as_str()]);
}

#[test]
fn checks_that_nobody_needs_go_last_and_only_ours() {
    let mut model = settled(&Scene::new(3, true), 10);
    let foreign = HealthCheck { caller_reference: "somebody's".into(), id: "theirs".into(), ..model.checks[0].clone() };
    model.checks.push(foreign.clone());
    let smaller = Scene::new(2, true).desired();
    let before: Vec<String> = model.checks.iter().map(|check| check.caller_reference.clone()).collect();
    let first = model.next(&smaller, &mark(1, 20));
    assert!(first.iter().all(|action| !matches!(action, SettleAction::DeleteCheck { .. })), "{first:?}");
    model.settle(&smaller, &mark(1, 20));
    let kept: Vec<&String> = model.checks.iter().map(|check| &check.caller_reference).collect();
    let mut wanted: Vec<&String> = smaller.checks.iter().map(|check| &check.reference).collect();
    wanted.push(&foreign.caller_reference);
    assert!(kept.len() == wanted.len() && kept.iter().all(|kept| wanted.contains(kept)), "{before:?} {kept:?}");
}

#[test]
fn a_check_that_a_record_still_follows_stays() {
    let mut model = settled(&Scene::new(3, true), 10);
    let smaller = Scene::new(2, true).desired();
    let gone = |check: &&HealthCheck| smaller.checks.iter().all(|wanted| wanted.reference != check.caller_reference);
    let followed = model.checks.iter().find(gone).unwrap().clone();
    model.records.push(RecordSet { health_check: Some(followed.id.clone()), ..plain("theirs.example.com") });
    model.settle(&smaller, &mark(1, 20));
    assert!(model.checks.iter().any(|check| check.id == followed.id));
}

/// Route 53 would refuse to delete it.
#[test]
fn a_check_that_somebody_elses_check_counts_stays() {
    let mut model = settled(&Scene::new(3, true), 10);
    let smaller = Scene::new(2, true).desired();
    let gone = |check: &&HealthCheck| smaller.checks.iter().all(|wanted| wanted.reference != check.caller_reference);
    let counted = model.checks.iter().find(gone).unwrap().id.clone();
    let is_calculated = |check: &&HealthCheck| matches!(check.config.kind, CheckKind::Calculated { .. });
    let mut theirs = model.checks.iter().find(is_calculated).unwrap().clone();
    (theirs.id, theirs.caller_reference) = ("theirs".into(), "somebody's".into());
    let CheckKind::Calculated { children, .. } = &mut theirs.config.kind else { unreachable!() };
    *children = [counted.clone()].into();
    model.checks.push(theirs);
    model.settle(&smaller, &mark(1, 20));
    assert!(model.checks.iter().any(|check| check.id == counted));
}

/// Route 53 refuses the reference of a check that was deleted, so one that comes back has a number behind it.
#[test]
fn a_check_in_its_second_life_is_the_one_that_is_wanted() {
    let scene = Scene::new(3, true);
    let mut model = settled(&scene, 10);
    let first = model.checks[0].caller_reference.clone();
    model.checks[0].caller_reference = reference_for_life(&first, 2);
    assert_eq!(model.next(&scene.desired(), &mark(1, 20)), []);
    // And one that nobody wants any more goes, whichever life it is in.
    let smaller = Scene::new(2, true).desired();
    let gone =
        |check: &&mut HealthCheck| smaller.checks.iter().all(|wanted| wanted.reference != check.caller_reference);
    let unwanted = model.checks.iter_mut().filter(|check| check.caller_reference != reference_for_life(&first, 2));
    let unwanted = { unwanted }.find(gone).unwrap();
    unwanted.caller_reference = reference_for_life(&unwanted.caller_reference, 3);
    let unwanted = unwanted.id.clone();
    model.settle(&smaller, &mark(1, 30));
    assert!(model.checks.iter().all(|check| check.id != unwanted));
}
