//! Streams: what has changed, once, until the end.

use super::*;

#[tokio::test]
async fn a_run_is_watched_from_now_to_its_verdict() {
    let served = served(daemon(with_run(proto::RunState::Running), FakePeers::default(), Vec::new())).await;
    let request = proto::WatchRunRequest { id: "checkout-1".into(), after_revision: 0 };
    let mut stream = served.status().watch_run(request).await.unwrap().into_inner();
    let first = stream.message().await.unwrap().unwrap();
    assert_eq!(first.run.unwrap().state(), proto::RunState::Running);
    served.daemon.log.state.send_modify(|state| {
        let state = Arc::make_mut(state);
        state.applied.0 += 1;
        state.runs.insert("checkout-1".into(), fake::run("checkout-1"));
    });
    let last = stream.message().await.unwrap().unwrap();
    assert_eq!((last.answered.unwrap().revision, last.run.unwrap().state()), (8, proto::RunState::Succeeded));
    assert!(stream.message().await.unwrap().is_none());
}

#[tokio::test]
async fn a_watcher_that_comes_back_is_told_only_what_is_new() {
    let served = served(daemon(state_with(&[]), FakePeers::default(), Vec::new())).await;
    let request = proto::WatchFleetRequest { after_revision: 7 };
    let mut stream = served.status().watch_fleet(request).await.unwrap().into_inner();
    served.daemon.log.state.send_modify(|state| {
        let state = Arc::make_mut(state);
        state.applied.0 += 1;
        state.paused = true;
    });
    let fleet = stream.message().await.unwrap().unwrap();
    assert_eq!((fleet.answered.unwrap().revision, fleet.paused), (8, true));
}

#[tokio::test]
async fn streams_end_when_the_daemon_goes_down() {
    let mut served = served(daemon(state_with(&[]), FakePeers::default(), Vec::new())).await;
    let request = proto::WatchFleetRequest { after_revision: 0 };
    let mut stream = served.status().watch_fleet(request).await.unwrap().into_inner();
    assert!(stream.message().await.unwrap().is_some());
    served.stop.cancel();
    assert!(stream.message().await.unwrap().is_none());
    assert!(served.serving.join_next().await.unwrap().unwrap().is_ok());
}

#[tokio::test]
async fn a_watcher_sees_a_region_come_into_sight() {
    let served = served(daemon(state_with(&[]), FakePeers::default(), Vec::new())).await;
    let request = proto::WatchFleetRequest { after_revision: 0 };
    let mut stream = served.status().watch_fleet(request).await.unwrap().into_inner();
    let sight = |fleet: &proto::Fleet| fleet.regions.iter().filter(|it| it.reachable).count();
    assert_eq!(sight(&stream.message().await.unwrap().unwrap()), 1);
    served.daemon.matrix.send_modify(|matrix| Arc::make_mut(matrix).take(fake::NOW, report("eu-west-1")));
    assert_eq!(sight(&stream.message().await.unwrap().unwrap()), 2);
}
