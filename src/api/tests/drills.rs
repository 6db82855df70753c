//! Drills as callers meet them.

use failoverd_domain::drill::{DrillKind, DrillPhase, DrillSpec, DrillVerdict, fingerprint};
use failoverd_domain::fleet::{FleetState, Licence, WayBack};
use failoverd_domain::manifest::drill_to_manifest;
use failoverd_domain::service::{Automation, Freeze, ServiceSpec};

use super::*;

const DAY_MS: u64 = 86_400_000;

async fn over(state: FleetState) -> Served {
    served(daemon(state, FakePeers::default(), Vec::new())).await
}

fn drilled(phase: DrillPhase, verdict: Option<DrillVerdict>) -> FleetState {
    let mut state = with_run(proto::RunState::Succeeded);
    fake::with_drill(&mut state, fake::drill("monthly"), phase, verdict);
    state
}

fn change_spec(state: &mut FleetState, change: impl FnOnce(&mut ServiceSpec)) {
    let service = state.services.get_mut("checkout").unwrap();
    change(Arc::make_mut(&mut service.spec));
}

async fn list(served: &Served, openings: u32) -> Vec<proto::Drill> {
    let request = proto::ListDrillsRequest { service: None, openings };
    served.status().list_drills(request).await.unwrap().into_inner().drills
}

async fn apply(served: &Served, drills: &[DrillSpec], prune: bool) -> Result<proto::ApplyResponse, tonic::Status> {
    let file = |name: &str, manifest: serde_json::Value| proto::ManifestFile {
        name: format!("{name}.yaml"),
        content: manifest.to_string().into_bytes(),
    };
    let mut files: Vec<_> = drills.iter().map(|drill| file(drill.name.as_str(), drill_to_manifest(drill))).collect();
    if prune {
        files.push(file("checkout", failoverd_domain::manifest::to_manifest(&fake::spec("checkout"))));
    }
    let request = proto::ApplyRequest { files, prune, dry_run: false, confirm: Vec::new() };
    served.control().apply(request).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn a_drill_says_when_it_begins_next_and_how_the_last_one_ended() {
    let served = over(drilled(DrillPhase::Closed, Some(DrillVerdict::Passed))).await;
    let drill = list(&served, 0).await.remove(0);
    // NOW is 24 November 2025.
    assert_eq!(drill.next_at.unwrap().seconds, 1_764_583_200, "1 December 2025, 10:00 UTC");
    let last = drill.last.unwrap();
    assert_eq!(
        (last.verdict.as_deref(), last.rto_ms, last.out.as_deref()),
        (Some("passed"), Some(42_000), Some("checkout-1"))
    );
    assert_eq!((drill.open, drill.prevented_by), (None, Vec::<String>::new()));
}

#[tokio::test]
async fn what_would_prevent_the_next_one_is_said() {
    let mut state = drilled(DrillPhase::Holding, None);
    change_spec(&mut state, |spec| {
        let freeze = Freeze { cron: "0 0 1 * *".to_owned(), duration_ms: DAY_MS, timezone: "UTC".to_owned() };
        spec.policy.freeze = vec![freeze];
    });
    state.services.get_mut("checkout").unwrap().paused = true;
    let served = over(state).await;
    let drill = list(&served, 2).await.remove(0);
    assert_eq!(drill.open.as_deref(), Some("monthly.1"));
    let said = drill.prevented_by.join("; ");
    for part in ["a freeze until 2025-12-02", "execution monthly.1 of checkout is open (holding)", "paused"] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    assert!(drill.openings.iter().all(|it| it.falls_on.as_ref().unwrap().contains("a freeze")), "{:?}", drill.openings);
}

#[tokio::test]
async fn openings_that_a_blackout_takes_are_shown_as_such_and_are_not_next() {
    let mut state = with_run(proto::RunState::Succeeded);
    let mut spec = fake::drill("monthly");
    let day = "2025-12-01".to_owned();
    let blackout = failoverd_domain::drill::Blackout { from: day.clone(), until: day };
    spec.schedule.as_mut().unwrap().blackouts = vec![blackout];
    fake::with_drill(&mut state, spec, DrillPhase::Closed, Some(DrillVerdict::Failed));
    let drill = list(&over(state).await, 2).await.remove(0);
    let fell_on: Vec<_> = drill.openings.iter().map(|it| it.falls_on.as_deref()).collect();
    assert_eq!(fell_on, [Some("blackout 2025-12-01"), None]);
    assert_eq!(drill.next_at, drill.openings[1].at);
}

#[tokio::test]
async fn a_drill_is_begun_cancelled_and_forgotten_by_its_name() {
    let served = over(drilled(DrillPhase::Holding, None)).await;
    let mut control = served.control();
    let begun = control.run_drill(proto::RunDrillRequest { drill: "monthly".into() }).await.unwrap().into_inner();
    assert_eq!(begun.run.unwrap().id, "monthly.1");
    for name in ["monthly", "monthly.1"] {
        let request = proto::CancelDrillRequest { run: name.into(), reason: "enough".into() };
        control.cancel_drill(request).await.unwrap();
    }
    control.delete_drill(proto::DeleteDrillRequest { drill: "monthly".into() }).await.unwrap();
    let cancel = Command::CancelDrill { run: "monthly.1".into(), reason: "enough".into() };
    let open = Command::OpenDrill { drill: "monthly".into(), scheduled_for: None };
    let seen: Vec<Command> = served.proposed().into_iter().map(|(_, command)| command).collect();
    assert_eq!(seen, [open, cancel.clone(), cancel, Command::DeleteDrill { drill: "monthly".into() }]);
}

#[tokio::test]
async fn names_that_mean_nothing_are_not_found_and_a_closed_one_is_not_cancelled() {
    let served = over(drilled(DrillPhase::Closed, Some(DrillVerdict::Passed))).await;
    let mut control = served.control();
    let status = control.run_drill(proto::RunDrillRequest { drill: "daily".into() }).await.unwrap_err();
    assert_eq!((status.code(), read_status(&status).0.as_deref()), (Code::NotFound, Some("NO_SUCH_DRILL")));
    let cancel = |run: &str| proto::CancelDrillRequest { run: run.into(), reason: String::new() };
    assert_eq!(control.cancel_drill(cancel("daily")).await.unwrap_err().code(), Code::NotFound);
    let status = control.cancel_drill(cancel("monthly")).await.unwrap_err();
    assert!(status.code() == Code::FailedPrecondition && status.message().contains("nothing to cancel"), "{status:?}");
    let request = proto::GetDrillRunRequest { id: "monthly.9".into() };
    assert_eq!(served.status().get_drill_run(request).await.unwrap_err().code(), Code::NotFound);
    assert!(served.proposed().is_empty());
}

#[tokio::test]
async fn consent_goes_to_a_run_or_to_an_execution() {
    let served = over(drilled(DrillPhase::AwaitingApproval, None)).await;
    let approve = |run: &str| proto::ApproveRunRequest { run: run.into() };
    let answer = served.control().approve_run(approve("monthly.1")).await.unwrap().into_inner();
    assert_eq!((answer.run, answer.drill_run.unwrap().phase.as_str()), (None, "awaiting-approval"));
    served.control().approve_run(approve("checkout-1")).await.unwrap();
    let seen: Vec<Command> = served.proposed().into_iter().map(|(_, command)| command).collect();
    assert_eq!(
        seen,
        [Command::ApproveDrill { run: "monthly.1".into() }, Command::Approve { run: "checkout-1".into() }]
    );
}

#[tokio::test]
async fn an_execution_is_watched_with_its_runs_until_it_is_closed() {
    let served = over(drilled(DrillPhase::Moving, None)).await;
    let request = proto::WatchDrillRunRequest { id: "monthly.1".into(), after_revision: 0 };
    let mut stream = served.status().watch_drill_run(request).await.unwrap().into_inner();
    let first = stream.message().await.unwrap().unwrap();
    assert_eq!((first.drill_run.unwrap().phase.as_str(), first.runs[0].id.as_str()), ("moving", "checkout-1"));
    served.daemon.log.state.send_modify(|state| {
        let run = Arc::make_mut(state).drill_runs.get_mut("monthly.1").unwrap();
        (run.phase, run.verdict) = (DrillPhase::Closed, Some(DrillVerdict::ObjectiveMissed));
    });
    let last = stream.message().await.unwrap().unwrap().drill_run.unwrap();
    assert_eq!(last.verdict.as_deref(), Some("objective-missed"));
    assert_eq!(stream.message().await.unwrap(), None);
}

#[tokio::test]
async fn drills_are_applied_compared_exported_and_pruned() {
    let served = over(drilled(DrillPhase::Closed, Some(DrillVerdict::Passed))).await;
    let mut changed = fake::drill("monthly");
    changed.hold_ms = 6_000;
    let answer = apply(&served, &[changed.clone(), fake::drill("other")], false).await.unwrap();
    let seen: Vec<_> = answer
        .manifests
        .iter()
        .map(|it| format!("{} {} {:?} {:?}", it.kind, it.name, it.change(), it.fields))
        .collect();
    assert_eq!(seen, ["Drill monthly Configured [\"spec.hold\"]", "Drill other Created []"]);
    let Command::Apply { specs, drills, .. } = &served.proposed()[0].1 else { panic!("not an apply") };
    assert_eq!((specs.len(), drills.as_slice()), (0, [changed, fake::drill("other")].as_slice()));
    let pruned = apply(&served, &[fake::drill("other")], true).await.unwrap();
    let gone: Vec<_> = pruned.manifests.iter().filter(|it| it.change() == proto::ManifestChange::Deleted).collect();
    assert_eq!(gone.iter().map(|it| (it.kind.as_str(), it.name.as_str())).collect::<Vec<_>>(), [("Drill", "monthly")]);
    let exported = served.control().export(proto::ExportRequest { service: None }).await.unwrap().into_inner();
    let read: serde_json::Value = serde_saphyr::from_str(&exported.manifests[1].yaml).unwrap();
    assert_eq!(read, drill_to_manifest(&fake::drill("monthly")));
}

#[tokio::test]
async fn a_service_is_not_changed_or_forgotten_under_its_drill() {
    let served = over(drilled(DrillPhase::Closed, Some(DrillVerdict::Passed))).await;
    let status = served.control().delete(proto::DeleteRequest { service: "checkout".into() }).await.unwrap_err();
    assert!(status.code() == Code::FailedPrecondition && status.message().contains("(monthly)"), "{status:?}");
    let mut manual = fake::spec("checkout");
    manual.policy.failover = Automation::Manual;
    let content = failoverd_domain::manifest::to_manifest(&manual).to_string().into_bytes();
    let files = vec![proto::ManifestFile { name: "s.yaml".into(), content }];
    let request = proto::ApplyRequest { files, prune: false, dry_run: false, confirm: Vec::new() };
    let violations = read_status(&served.control().apply(request).await.unwrap_err()).1;
    let said = &violations[0].description;
    assert!(said.starts_with("drill monthly: spec.service: ") && said.contains("manual"), "{said}");
    assert!(served.proposed().is_empty());
}

#[tokio::test]
async fn a_drill_to_where_the_service_is_already_is_refused_unless_it_only_simulates() {
    let mut state = with_run(proto::RunState::Succeeded);
    let service = state.services.get_mut("checkout").unwrap();
    (service.primary, service.chosen) = ("eu-west-1".into(), "eu-west-1".into());
    let served = over(state).await;
    let violations = read_status(&apply(&served, &[fake::drill("monthly")], false).await.unwrap_err()).1;
    assert!(violations[0].description.contains("has failed over to eu-west-1 already"), "{violations:?}");
    assert!(served.proposed().is_empty());
    let simulated = DrillSpec { kind: DrillKind::Simulate, ..fake::drill("monthly") };
    assert!(apply(&served, &[simulated], false).await.is_ok());
}

fn licensed() -> FleetState {
    let mut state = with_run(proto::RunState::Succeeded);
    change_spec(&mut state, |spec| spec.policy.require_drill_within_ms = Some(DAY_MS));
    let service = state.services.get_mut("checkout").unwrap();
    service.licences = vec![Licence {
        drill: "monthly.1".into(),
        at: fake::NOW,
        from: "us-east-1".into(),
        to: "eu-west-1".into(),
        fingerprint: fingerprint(&service.spec),
    }];
    state
}

async fn seen(served: &Served) -> proto::Service {
    let request = proto::GetServiceRequest { name: "checkout".into() };
    served.status().get_service(request).await.unwrap().into_inner().service.unwrap()
}

#[tokio::test]
async fn a_licence_is_shown_with_its_end_and_with_why_there_is_none() {
    let held = seen(&over(licensed()).await).await.licences;
    assert_eq!((held.len(), held[0].held, held[0].drill.as_deref()), (1, true, Some("monthly.1")));
    let mut state = licensed();
    state.services.get_mut("checkout").unwrap().licences[0].at = fake::NOW.minus_ms(DAY_MS + 1_000);
    let lapsed = seen(&over(state).await).await.licences.remove(0);
    assert_eq!(lapsed.since.unwrap().seconds, 1_763_999_999);
    assert!(!lapsed.held && lapsed.why.unwrap().contains("too long ago"));
    assert!(seen(&plain().await).await.licences.is_empty(), "nothing is asked for, so nothing is said");
}

#[tokio::test]
async fn a_change_that_costs_the_licence_says_so() {
    let warned = |change: fn(&mut ServiceSpec)| async move {
        let state = licensed();
        let mut spec = (*state.services["checkout"].spec).clone();
        change(&mut spec);
        let served = over(state).await;
        let content = failoverd_domain::manifest::to_manifest(&spec).to_string().into_bytes();
        let files = vec![proto::ManifestFile { name: "s.yaml".into(), content }];
        let request = proto::ApplyRequest { files, prune: false, dry_run: true, confirm: Vec::new() };
        let warnings = served.control().apply(request).await.unwrap().into_inner().warnings;
        warnings.into_iter().filter(|it| it.contains("ask for approval")).collect::<Vec<_>>()
    };
    let said = warned(|spec| spec.data.clear()).await;
    assert!(said.len() == 1 && said[0].contains("a breach of us-east-1") && said[0].contains("monthly.1"), "{said:?}");
    assert_eq!(warned(|spec| spec.objectives.rto_ms = 60_000).await, Vec::<String>::new());
}

fn away() -> FleetState {
    let mut state = with_run(proto::RunState::Succeeded);
    let service = state.services.get_mut("checkout").unwrap();
    (service.primary, service.chosen) = ("eu-west-1".into(), "eu-west-1".into());
    state
}

#[tokio::test]
async fn a_way_back_that_is_not_ready_is_noted_only_if_it_is_all_that_is_missing() {
    let served = over(away()).await;
    let request = |when_ready| proto::FailbackRequest {
        service: "checkout".into(),
        reason: "home".into(),
        when_ready,
        forget: false,
    };
    for when_ready in [false, true] {
        let status = served.control().failback(request(when_ready)).await.unwrap_err();
        assert_eq!(status.code(), Code::FailedPrecondition, "nobody is heard from: {status:?}");
    }
    // All are heard from now, and nobody has looked at the copies at home.
    for observer in ["us-east-1", "eu-west-1", "us-west-2"] {
        served.daemon.matrix.send_modify(|matrix| Arc::make_mut(matrix).take(fake::NOW, super::report(observer)));
    }
    let status = served.control().failback(request(false)).await.unwrap_err();
    assert!(status.message().contains("standby-ready"), "{status:?}");
    assert!(served.proposed().is_empty());
    let answer = served.control().failback(request(true)).await.unwrap().into_inner();
    assert!(answer.waits_for.is_some_and(|why| why.contains("us-east-1")) && answer.run.is_none());
    let wish = Command::AskReturn { service: "checkout".into(), reason: "home".into() };
    assert_eq!(served.proposed().into_iter().map(|(_, command)| command).collect::<Vec<_>>(), [wish]);
}

#[tokio::test]
async fn a_wish_to_return_is_shown_and_taken_back() {
    let mut state = away();
    let wish = WayBack { actor: Actor::Operator("alice".into()), at: fake::NOW, reason: "home".into() };
    state.services.get_mut("checkout").unwrap().way_back = Some(wish);
    let served = over(state).await;
    assert_eq!(seen(&served).await.way_back.unwrap().actor, "operator:alice");
    let request = proto::FailbackRequest { service: "checkout".into(), forget: true, ..Default::default() };
    served.control().failback(request).await.unwrap();
    assert_eq!(served.proposed()[0].1, Command::ForgetReturn { service: "checkout".into() });
}

#[tokio::test]
async fn at_home_there_is_no_way_back() {
    let served = over(with_run(proto::RunState::Succeeded)).await;
    let request = proto::FailbackRequest { service: "checkout".into(), when_ready: true, ..Default::default() };
    let status = served.control().failback(request).await.unwrap_err();
    assert!(status.code() == Code::FailedPrecondition && status.message().contains("already"), "{status:?}");
    assert!(served.proposed().is_empty());
}
