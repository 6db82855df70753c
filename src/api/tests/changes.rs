//! What callers ask to be changed: who asks, who may, what is refused, and what nobody knows.

use super::*;
use crate::api::error::ErrorCode;

#[tokio::test]
async fn a_change_carries_its_callers_name() {
    let served = plain().await;
    let mut request = Request::new(proto::PauseRequest { service: Some("checkout".to_owned()) });
    request.metadata_mut().insert(ACTOR_KEY, "alice@laptop".parse().unwrap());
    let answer = served.control().pause(request).await.unwrap().into_inner();
    assert_eq!((answer.revision, answer.message.as_str()), (8, "automatic action is off for checkout"));
    let alice = Actor::Operator("alice@laptop".to_owned());
    assert_eq!(served.proposed(), [(alice, Command::Pause { service: Some("checkout".into()) })]);
}

#[tokio::test]
async fn the_states_refusal_reaches_the_caller_with_its_word() {
    let served = plain().await;
    *served.daemon.log.answer.lock().unwrap() =
        Err(Rejection { code: "LAST_SERVING".to_owned(), reason: "nobody would serve".to_owned() });
    let request = proto::SetSwitchRequest { service: "checkout".into(), region: "us-east-1".into(), on: false };
    let status = served.control().set_switch(request).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, "nobody would serve"));
    assert_eq!(read_status(&status).0.as_deref(), Some("LAST_SERVING"));
}

#[tokio::test]
async fn unknown_names_are_said_before_anything_is_committed() {
    let served = plain().await;
    let nobody = proto::PauseRequest { service: Some("nobody".to_owned()) };
    let status = served.control().pause(nobody).await.unwrap_err();
    assert_eq!((status.code(), read_status(&status).0.unwrap().as_str()), (Code::NotFound, "NO_SUCH_SERVICE"));
    let status = served.status().get_run(proto::GetRunRequest { id: "x-9".into() }).await.unwrap_err();
    assert_eq!(read_status(&status).0.unwrap(), "NO_SUCH_RUN");
    assert!(served.proposed().is_empty());
}

#[tokio::test]
async fn an_active_passive_pair_is_one_bit_whichever_region_is_named() {
    let served = plain().await;
    let request = proto::SetSwitchRequest { service: "checkout".into(), region: "eu-west-1".into(), on: true };
    served.control().set_switch(request).await.unwrap();
    let (group, region) = ("checkout".into(), "us-east-1".into());
    assert_eq!(served.proposed()[0].1, Command::SetSwitch { group, region, on: false, run: None });
}

#[tokio::test]
async fn a_follower_hands_changes_to_the_leader_with_the_callers_name() {
    let leader = daemon(state_with(&["checkout"]), FakePeers::default(), Vec::new());
    let peers = FakePeers { leader: Some(leader.log.clone()), lost_answer: false };
    let follower = daemon(state_with(&["checkout"]), peers, Vec::new());
    follower.log.lead(Some("eu-west-1"), false);
    follower.log.state.send_modify(|state| Arc::make_mut(state).applied.0 = 8);
    let served = served(follower).await;
    let mut request = Request::new(proto::ResumeRequest { service: None });
    request.metadata_mut().insert(ACTOR_KEY, "bob".parse().unwrap());
    assert_eq!(served.control().resume(request).await.unwrap().into_inner().revision, 8);
    let log = leader.log.proposed.lock().unwrap();
    assert_eq!((&log[0].actor, &log[0].command), (&Actor::Operator("bob".into()), &Command::Resume { service: None }));
}

#[tokio::test(start_paused = true)]
async fn without_a_leader_nothing_is_changed_and_said_so() {
    let daemon = daemon(state_with(&[]), FakePeers::default(), Vec::new());
    daemon.log.lead(None, false);
    let error = daemon.handles.commit(Actor::Operator("x".into()), Command::Pause { service: None }).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::NoLeader);
}

#[tokio::test]
async fn a_lost_answer_of_the_leader_is_unknown_not_failed() {
    let lost = FakePeers { leader: None, lost_answer: true };
    let daemon = daemon(state_with(&[]), lost, Vec::new());
    daemon.log.lead(Some("eu-west-1"), false);
    let error = daemon.handles.commit(Actor::Operator("x".into()), Command::Pause { service: None }).await.unwrap_err();
    assert_eq!((error.code.exit(), error.reason.as_str()), (5, "OUTCOME_UNKNOWN"));
}

#[tokio::test]
async fn a_failed_step_is_found_without_its_name() {
    let mut state = with_run(proto::RunState::Running);
    let run = state.runs.get_mut("checkout-1").unwrap();
    run.steps.get_mut("promote/orders-db").unwrap().state = failoverd_domain::fleet::StepState::Failed;
    let served = served(daemon(state, FakePeers::default(), Vec::new())).await;
    let request = proto::StepRequest { run: "checkout-1".into(), step: None };
    served.control().retry_step(request).await.unwrap();
    let (run, step) = ("checkout-1".into(), "promote/orders-db".into());
    assert_eq!(served.proposed()[0].1, Command::Retry { run, step });
    let request = proto::StepRequest { run: "checkout-1".into(), step: Some("nonsense".into()) };
    let status = served.control().skip_step(request).await.unwrap_err();
    assert_eq!(read_status(&status).0.unwrap(), "NO_SUCH_STEP");
}

#[tokio::test]
async fn a_failover_with_a_stale_plan_is_refused() {
    let served = plain().await;
    let request = proto::FailoverRequest {
        service: "checkout".into(),
        to: None,
        mode: proto::Mode::Forced.into(),
        reason: "test".into(),
        plan_hash: Some("000000000000".into()),
        ..Default::default()
    };
    let status = served.control().failover(request).await.unwrap_err();
    assert_eq!(read_status(&status).0.unwrap(), "PLAN_CHANGED");
    assert!(served.proposed().is_empty());
}

#[tokio::test]
async fn a_change_waits_until_the_daemon_knows_the_fleet() {
    let served = served(daemon(state_with(&["checkout"]), FakePeers::default(), Vec::new())).await;
    served.daemon.log.leadership.send_modify(|leadership| leadership.caught_up = false);
    let mut control = served.control();
    let change = control.pause(proto::PauseRequest { service: Some("checkout".to_owned()) });
    let catch_up = async {
        tokio::task::yield_now().await;
        assert!(served.proposed().is_empty());
        served.daemon.log.lead(Some("us-east-1"), true);
    };
    assert!(tokio::join!(change, catch_up).0.is_ok());
}
