//! What daemons say to each other.

use super::*;

#[tokio::test]
async fn peers_talk_over_the_wire_as_they_would_in_memory() {
    let daemon = daemon(state_with(&["checkout"]), FakePeers::default(), fake::events(3).split_off(1));
    let mut served = served(daemon).await;
    *served.daemon.history.0.lock().unwrap() = fake::events(2);
    let us = Region::from("us-east-1");
    let peers = GrpcPeers::new(&BTreeMap::from([(us.clone(), served.url.clone())]), None).unwrap();

    assert_eq!(peers.raft(&us, vec![1, 2, 3]).await.unwrap(), [3, 2, 1]);
    assert!(peers.raft(&us, vec![]).await.unwrap_err().reason.contains("nothing said"));
    assert_eq!(peers.events(&us, 1, 10).await.unwrap(), fake::events(2));
    assert_eq!(peers.events(&us, 2, 10).await.unwrap(), fake::events(3).split_off(1));

    let report = report("eu-west-1");
    peers.share(&us, &report).await.unwrap();
    assert_eq!(served.daemon.inbox.recv().await.unwrap(), report);
    assert!(peers.share(&us, &self::report("mars-north-1")).await.is_err());

    let entry = failoverd_domain::fleet::Entry::new(
        failoverd_domain::time::Timestamp(1),
        Actor::Operator("alice".into()),
        Command::Pause { service: None },
    );
    let applied = peers.forward(&us, entry.clone()).await.unwrap().unwrap();
    assert_eq!(applied.index.0, 8);
    assert_eq!(served.daemon.log.proposed.lock().unwrap()[0].at, fake::NOW, "the proposer's clock counts");
    served.daemon.log.lead(Some("eu-west-1"), false);
    let refused = peers.forward(&us, entry).await.unwrap().unwrap_err();
    assert_eq!(refused, crate::ports::ProposeError::NotLeader { leader: Some("eu-west-1".into()) });
}

#[tokio::test]
async fn a_peer_looks_at_the_names_of_a_managed_service_and_is_nobodys_resolver() {
    let served = plain().await;
    let set =
        |name: &str, value: &str| Change::Create(RecordSet::simple(name, RecordType::A, 30, vec![value.to_owned()]));
    let changes = [
        set("checkout.example.com", "192.0.2.2"),
        set("fo-eu-west-1.checkout.example.com", "192.0.2.2"),
        set("secret.example.com", "192.0.2.9"),
    ];
    let aws = &served.daemon.aws;
    aws.create_zone("example.com", &["us-east-1".into()]);
    aws.with(|world| {
        world.timing.dns_propagation_ms = 0;
        world.change_records("example.com", &changes).unwrap();
    });
    let us = Region::from("us-east-1");
    let peers = GrpcPeers::new(&BTreeMap::from([(us.clone(), served.url.clone())]), None).unwrap();
    let asked = |service: &str| LookUp { service: service.into(), through: false };
    let saw = peers.look_up(&us, &asked("checkout")).await.unwrap();
    let heard = |value: &str| Ok(vec![Heard { values: vec![value.to_owned()], ttl_s: 30 }]);
    let names: Vec<_> = saw.names.into_iter().map(|seen| (seen.question.name, seen.heard)).collect();
    let nothing = Ok(vec![Heard::default()]);
    assert_eq!(
        names,
        [
            ("checkout.example.com".to_owned(), heard("192.0.2.2")),
            ("fo-eu-west-1.checkout.example.com".to_owned(), heard("192.0.2.2")),
            ("fo-us-east-1.checkout.example.com".to_owned(), nothing),
        ]
    );
    let refused = peers.look_up(&us, &asked("secret.example.com")).await.unwrap_err();
    assert!(refused.reason.contains("is not known there"), "{refused}");
}

#[tokio::test]
async fn a_peer_of_an_older_version_cannot_look_and_that_is_said() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (_reporter, other) = tonic_health::server::health_reporter();
    let mut serving = tokio::task::JoinSet::new();
    let router = tonic::transport::Server::builder().add_service(other);
    serving.spawn(router.serve_with_incoming(tonic::transport::server::TcpIncoming::from(listener)));
    let us = Region::from("us-east-1");
    let peers = GrpcPeers::new(&BTreeMap::from([(us.clone(), url)]), None).unwrap();
    let error = peers.look_up(&us, &LookUp { service: "checkout".into(), through: false }).await.unwrap_err();
    assert_eq!(error.reason, "it is of a version that cannot look");
}

#[tokio::test]
async fn a_peer_that_takes_no_connection_certainly_got_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let us = Region::from("us-east-1");
    let peers = GrpcPeers::new(&BTreeMap::from([(us.clone(), url)]), None).unwrap();
    let first = peers.raft(&us, vec![1]).await.unwrap_err();
    assert!(!first.may_have_arrived, "{first}");
    let second = peers.raft(&us, vec![1]).await.unwrap_err();
    assert!(second.reason.contains("just now"), "{second}");
}

#[tokio::test]
async fn what_a_newer_build_asks_for_is_refused_in_the_words_of_the_fleet() {
    let served = plain().await;
    let mut peer = proto::peer_service_client::PeerServiceClient::new(served.channel.clone());
    let later = failoverd_domain::format::Format::NEWEST.0 + 1;
    let entry = r#"{"format":2,"at":1,"actor":{"daemon":"eu-west-1"},"command":{"teleport":{}}}"#;
    let entry = entry.replace("\"format\":2", &format!("\"format\":{later}")).into_bytes();
    let answer = peer.forward(proto::ForwardRequest { entry }).await.unwrap().into_inner();
    let Some(proto::forward_response::Result::Applied(applied)) = answer.result else { panic!("{answer:?}") };
    let applied: failoverd_domain::fleet::Applied = serde_json::from_slice(&applied).unwrap();
    assert_eq!(applied.result.unwrap_err().code, "FORMAT_NOT_AGREED");
    assert!(served.daemon.log.proposed.lock().unwrap().is_empty());
}

/// What a peer reports or asks for that no honest one would.
#[tokio::test]
async fn a_peer_that_talks_nonsense_is_not_obeyed() {
    use failoverd_domain::health::SignalReading;
    let mut served = plain().await;
    let us = Region::from("us-east-1");
    let peers = GrpcPeers::new(&BTreeMap::from([(us.clone(), served.url.clone())]), None).unwrap();
    let good = || report("eu-west-1");
    let signal = |age_ms: u64, detail: &str| SignalReading {
        service: "checkout".into(),
        region: us.clone(),
        signal: "front-door".into(),
        status: failoverd_domain::health::Status::Bad,
        held_ms: 1,
        age_ms,
        breached: true,
        detail: detail.to_owned(),
        latency_ms: None,
    };
    let lies = [
        ("own name", report("us-east-1")),
        ("lasted", {
            let mut it = good();
            it.signals = vec![signal(u64::MAX, "")];
            it
        }),
        ("too long", {
            let mut it = good();
            it.signals = vec![signal(1, &"x".repeat(100_000))];
            it
        }),
        ("no fleet has more", {
            let mut it = good();
            it.signals = vec![signal(1, ""); 70_000];
            it
        }),
        ("has applied entry", {
            let mut it = good();
            it.applied = failoverd_domain::ids::LogIndex(u64::MAX);
            it
        }),
        ("holds more than", {
            let mut it = good();
            it.history_confirmed = Some(failoverd_domain::ids::LogIndex(it.applied.0 + 1));
            it
        }),
    ];
    for (why, lie) in lies {
        let refused = peers.share(&us, &lie).await.unwrap_err();
        assert!(refused.reason.contains(why), "{why}: {refused}");
    }
    assert!(served.daemon.inbox.try_recv().is_err(), "nothing of it came through");
    peers.share(&us, &good()).await.unwrap();
    assert!(served.daemon.inbox.try_recv().is_ok(), "what makes sense does");

    let entry = |actor, command| failoverd_domain::fleet::Entry::new(fake::NOW, actor, command);
    let daemon = || Actor::Daemon("eu-west-1".into());
    let alice = || Actor::Operator("alice".into());
    let switch = failoverd_domain::traffic::SwitchEndpoint { host: "x".into(), port: 1, https: false };
    let asked = [
        entry(daemon(), Command::Pause { service: None }),
        entry(daemon(), Command::Advertise { region: us.clone(), switch }),
        entry(daemon(), Command::RaiseFormat { format: failoverd_domain::format::Format(9) }),
        entry(alice(), Command::Violation { invariant: "I1".into(), detail: "no".into() }),
        entry(alice(), Command::Told { hook: "pager".into(), seq: u64::MAX }),
        entry(alice(), Command::OpenDrill { drill: "x".into(), scheduled_for: Some(fake::NOW) }),
        entry(Actor::Operator(String::new()), Command::Pause { service: None }),
        entry(Actor::Operator("a".repeat(1_000)), Command::Pause { service: None }),
    ];
    for entry in asked {
        assert!(peers.forward(&us, entry.clone()).await.is_err(), "{entry:?}");
    }
    assert!(served.daemon.log.proposed.lock().unwrap().is_empty(), "nothing of it was proposed");
    assert!(peers.forward(&us, entry(alice(), Command::Pause { service: None })).await.unwrap().is_ok());
}
