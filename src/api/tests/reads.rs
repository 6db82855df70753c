//! What callers are told: the fleet, services, plans, the history, the policy.

use super::*;

#[tokio::test]
async fn a_read_says_who_answered_and_how_far_it_is() {
    let served = plain().await;
    let answer = served.status().get_switches(proto::GetSwitchesRequest {}).await.unwrap().into_inner();
    let answered = answer.answered.unwrap();
    assert_eq!((answered.region.as_str(), answered.revision, answered.caught_up), ("us-east-1", 7, true));
    let votes: Vec<_> = answer.switches[0].votes.iter().map(|vote| (vote.region.as_str(), vote.vote())).collect();
    let silent = proto::Vote::Silent;
    assert_eq!(votes, [("eu-west-1", silent), ("us-east-1", proto::Vote::On), ("us-west-2", silent)]);
}

#[tokio::test]
async fn the_fleet_at_a_glance_says_what_a_vanished_region_would_do() {
    let served = served(daemon(with_run(proto::RunState::Succeeded), FakePeers::default(), Vec::new())).await;
    let fleet = served.status().get_fleet(proto::GetFleetRequest {}).await.unwrap().into_inner();
    let service = &fleet.services[0];
    assert_eq!((service.name.as_str(), service.phase()), ("checkout", proto::Phase::Steady));
    let roles: Vec<_> = service.regions.iter().map(|it| (it.region.as_str(), it.role(), it.switch())).collect();
    let (primary, standby) = (proto::ServiceRole::Primary, proto::ServiceRole::Standby);
    let (on, off) = (proto::SwitchState::On, proto::SwitchState::Off);
    assert_eq!(roles, [("us-east-1", primary, on), ("eu-west-1", standby, off)]);
    let leaders: Vec<_> = fleet.regions.iter().filter(|it| it.leader).map(|it| it.region.as_str()).collect();
    assert_eq!(leaders, ["us-east-1"]);
    assert!(fleet.open_runs.is_empty());
    let forecast = fleet.if_vanished.iter().find(|it| it.region == "us-east-1").unwrap();
    assert_eq!(forecast.services[0].outcome(), proto::ForecastOutcome::StaysDown, "nobody else is heard of");
}

#[tokio::test]
async fn a_plan_is_shown_whatever_the_guards_say_and_changes_nothing() {
    let served = plain().await;
    let request =
        proto::PlanRequest { service: "checkout".into(), to: Some("eu-west-1".into()), mode: 2, ..Default::default() };
    let plan = served.status().plan(request.clone()).await.unwrap().into_inner();
    assert_eq!((plan.from.as_str(), plan.to.as_str(), plan.mode()), ("us-east-1", "eu-west-1", proto::Mode::Forced));
    assert!(plan.steps.iter().any(|step| step.kind == "flip-switch"));
    assert!(plan.guards.iter().any(|guard| !guard.ok), "a daemon alone has no quorum");
    assert_eq!(plan.eta.unwrap().p50_ms, None);
    assert!(served.proposed().is_empty());
    let again = served.status().plan(request).await.unwrap().into_inner();
    assert_eq!(plan.hash, again.hash);
    let nowhere =
        proto::PlanRequest { service: "checkout".into(), to: Some("mars-north-1".into()), ..Default::default() };
    let status = served.status().plan(nowhere).await.unwrap_err();
    assert_eq!((status.code(), read_status(&status).0.unwrap().as_str()), (Code::NotFound, "UNKNOWN_REGION"));
}

#[tokio::test]
async fn a_changed_row_of_the_history_is_named() {
    let mut state = state_with(&[]);
    let events = fake::events(3);
    state.head.seq = 3;
    state.head.hash.clone_from(&events[2].hash);
    let served = served(daemon(state, FakePeers::default(), Vec::new())).await;
    *served.daemon.history.0.lock().unwrap() = events;
    let whole = served.status().verify_history(proto::VerifyHistoryRequest {}).await.unwrap().into_inner();
    assert_eq!((whole.ok, whole.events, whole.behind, whole.problem), (true, 3, 0, None));

    served.daemon.history.0.lock().unwrap()[1].message = "nothing happened".to_owned();
    let forged = served.status().verify_history(proto::VerifyHistoryRequest {}).await.unwrap().into_inner();
    assert!(!forged.ok && forged.problem.unwrap().contains("event 2"));

    served.daemon.history.0.lock().unwrap().truncate(1);
    let short = served.status().verify_history(proto::VerifyHistoryRequest {}).await.unwrap().into_inner();
    assert_eq!((short.ok, short.behind), (true, 2));
}

#[tokio::test]
async fn history_is_listed_newest_first() {
    let served = plain().await;
    *served.daemon.history.0.lock().unwrap() = fake::events(5);
    let request = proto::ListHistoryRequest { limit: 2, ..Default::default() };
    let events = served.status().list_history(request).await.unwrap().into_inner().events;
    assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), [5, 4]);
    assert_eq!(events[0].kind, "step-outcome");
}

#[tokio::test]
async fn the_iam_policy_names_the_account_the_zone_and_the_role() {
    let served = plain().await;
    served.daemon.aws.create_zone("example.com", &["us-east-1".into()]);
    let zone = served.daemon.aws.with(|world| world.zone_info("example.com")).unwrap().id;
    let ask = |role: Option<&str>, account: Option<&str>| proto::GetIamPolicyRequest {
        region: None,
        account: account.map(str::to_owned),
        role: role.map(str::to_owned),
    };
    let answer = served.status().get_iam_policy(ask(None, None)).await.unwrap().into_inner();
    let document: serde_json::Value = serde_json::from_str(&answer.policy).unwrap();
    assert_eq!(document["Version"], "2012-10-17");
    for arn in [
        format!("arn:aws:route53:::hostedzone/{zone}"),
        "arn:aws:rds::123456789012:global-cluster:checkout-global".to_owned(),
        "arn:aws:iam::123456789012:role/failoverd".to_owned(),
    ] {
        assert!(answer.policy.contains(&arn), "{arn} is not in {}", answer.policy);
    }
    assert!(answer.notes.is_empty(), "{:?}", answer.notes);
    let told = ask(Some("prod-failoverd"), Some("210987654321"));
    let told = served.status().get_iam_policy(told).await.unwrap().into_inner().policy;
    assert!(told.contains("arn:aws:iam::210987654321:role/prod-failoverd"), "{told}");
    assert!(!told.contains("123456789012"));
}

#[tokio::test]
async fn checks_are_all_told_of_one_service_and_only_what_is_wrong_in_lists() {
    use failoverd_domain::health::readiness::{Check, Sheet, Verdict, names};
    let served = plain().await;
    let check = |name: &str, verdict| Check { name: name.to_owned(), verdict, reason: "seen".to_owned() };
    let sheet = Sheet {
        service: "checkout".into(),
        topic: names::topics::COPY.to_owned(),
        store: Some("orders-db".into()),
        region: Some("eu-west-1".into()),
        age_ms: 100,
        checks: vec![check(names::REPLICA_PRESENT, Verdict::Ready), check(names::HEADLESS, Verdict::NotReady)],
    };
    let stuck = Sheet {
        topic: names::topics::SETTLEMENT.to_owned(),
        store: None,
        region: None,
        checks: vec![check(names::RECORDS_DRIFT, Verdict::Note)],
        ..sheet.clone()
    };
    let told = failoverd_domain::health::Report { checks: vec![sheet, stuck], ..report("eu-west-1") };
    served.daemon.matrix.send_modify(|matrix| Arc::make_mut(matrix).take(fake::NOW, told));
    let request = proto::GetServiceRequest { name: "checkout".to_owned() };
    let service = served.status().get_service(request).await.unwrap().into_inner().service.unwrap();
    assert_eq!(service.checks.len(), 3);
    assert!(service.settlement.unwrap().detail.starts_with("seen; "), "drift is said where settlement is");
    let fleet = served.status().get_fleet(proto::GetFleetRequest {}).await.unwrap().into_inner();
    let names: Vec<_> = fleet.services[0].checks.iter().map(|check| check.name.as_str()).collect();
    assert_eq!(names, ["records-drift", "headless"]);
    let count = fleet.services[0].readiness.unwrap();
    assert_eq!((count.ready, count.note, count.unknown, count.not_ready), (1, 1, 0, 1));
}
