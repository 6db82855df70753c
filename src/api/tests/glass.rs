//! Signed requests as whoever carries them meets the door: with any certificate of the fleet's authority, and no role.

use failoverd_domain::fleet::{BrokenGlass, FleetSettings, FleetState, RunState, Trigger};
use failoverd_domain::format::Format;
use failoverd_domain::glass::{Enrolment, Glass, GlassSignature, PublicKey};
use failoverd_domain::health::Matrix;
use failoverd_domain::ids::{Epoch, Generation};
use failoverd_domain::plan::Mode;
use ring::signature::{Ed25519KeyPair, KeyPair};

use super::*;
use crate::api::access::authority::Authority;
use crate::api::error::exit_of;
use crate::api::proto::break_glass_service_client::BreakGlassServiceClient;

fn key(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn public(seed: u8) -> PublicKey {
    PublicKey::of(key(seed).public_key().as_ref().try_into().unwrap())
}

/// Two of alice (1), bob (2) and carol (3).
fn enrolled() -> FleetState {
    let keys = [("alice", 1), ("bob", 2), ("carol", 3)].map(|(name, seed)| (name.to_owned(), public(seed)));
    let break_glass = Some(Enrolment { threshold: 2, keys: keys.into() });
    FleetState {
        format: Format(2),
        settings: FleetSettings { velocity: None, break_glass },
        ..state_with(&["checkout"])
    }
}

fn sign(glass: &mut Glass, seed: u8) {
    let signature = GlassSignature::of(public(seed), key(seed).sign(&glass.request.signed_bytes()).as_ref());
    glass.signatures.push(signature);
}

fn heard(daemon: &Daemon) {
    let mut matrix = Matrix::default();
    for observer in ["us-east-1", "eu-west-1", "us-west-2"] {
        matrix.take(fake::NOW, report(observer));
    }
    daemon.matrix.send_replace(Arc::new(matrix));
}

/// Over TLS, as somebody whose certificate is genuine and gives no role at all.
struct Carrier {
    served: Served,
    client: BreakGlassServiceClient<Channel>,
}

impl Carrier {
    async fn of(state: FleetState) -> Self {
        Self::to(daemon(state, FakePeers::default(), Vec::new())).await
    }

    async fn to(daemon: Daemon) -> Self {
        heard(&daemon);
        let authority = Authority::new("the fleet's");
        let pem = |names: &[&str]| {
            let issued = authority.issue(names);
            TlsPem { cert: issued.cert.into_bytes(), key: issued.key.into_bytes(), ca: authority.pem().into_bytes() }
        };
        let served = served_with(daemon, Some(secured(pem(&["127.0.0.1"])))).await;
        let own = pem(&["nobody@example.com"]);
        let tls = crate::api::CallerPem { identity: Some((own.cert, own.key)), ca: own.ca };
        let channel = Channel::from_shared(served.url.clone()).unwrap().tls_config(tls.client()).unwrap();
        Self { client: BreakGlassServiceClient::new(channel.connect_lazy()), served }
    }

    async fn prepared(&mut self) -> Glass {
        let asked = proto::PrepareGlassRequest {
            service: "checkout".into(),
            to: Some("eu-west-1".into()),
            reason: "us-east-1 is gone".into(),
            ..Default::default()
        };
        let answer = self.client.prepare(asked).await.unwrap().into_inner();
        assert_eq!((answer.threshold, answer.enrolled), (2, 3));
        serde_json::from_str(&answer.glass).unwrap()
    }

    async fn submit(&mut self, glass: &Glass) -> Result<proto::SubmitGlassResponse, tonic::Status> {
        let glass = serde_json::to_string(glass).unwrap();
        self.client.submit(proto::SubmitGlassRequest { glass }).await.map(tonic::Response::into_inner)
    }
}

#[tokio::test]
async fn a_request_says_all_that_it_is_good_for_and_changes_nothing() {
    let mut carrier = Carrier::of(enrolled()).await;
    let glass = carrier.prepared().await;
    let request = &glass.request;
    assert_eq!((request.fleet.as_str(), request.service.as_str()), ("test", "checkout"));
    assert_eq!((request.epoch, request.generation), (Epoch(1), Generation::default()));
    assert_eq!((request.from.as_str(), request.to.as_str(), request.mode), ("us-east-1", "eu-west-1", Mode::Forced));
    assert_eq!(request.expires_at, fake::NOW.plus_ms(900_000), "a quarter of an hour");
    assert_ne!(carrier.prepared().await.request.nonce, request.nonce);
    assert_eq!(carrier.served.proposed(), []);
}

#[tokio::test]
async fn a_request_that_could_not_be_used_is_not_made() {
    let mut carrier = Carrier::of(enrolled()).await;
    let asked = |service: &str, to: &str, reason: &str, valid_ms| proto::PrepareGlassRequest {
        service: service.into(),
        to: Some(to.into()),
        from: None,
        reason: reason.into(),
        valid_ms,
    };
    for (asked, reason) in [
        (asked("nobody", "eu-west-1", "x", 0), "NO_SUCH_SERVICE"),
        (asked("checkout", "us-east-1", "x", 0), "ALREADY_THERE"),
        (asked("checkout", "eu-west-1", "", 0), "INVALID_ARGUMENT"),
        (asked("checkout", "eu-west-1", "x", 3_600_001), "INVALID_ARGUMENT"),
    ] {
        let status = carrier.client.prepare(asked).await.unwrap_err();
        assert_eq!(read_status(&status).0.as_deref(), Some(reason), "{status}");
    }
    let mut nobody = Carrier::of(state_with(&["checkout"])).await;
    let status = nobody.client.prepare(asked("checkout", "eu-west-1", "x", 0)).await.unwrap_err();
    assert_eq!((read_status(&status).0.as_deref(), exit_of(&status)), (Some("BREAK_GLASS_REFUSED"), 4));
    assert!(status.message().contains("agreed on nobody's keys"), "{status}");
}

#[tokio::test]
async fn enough_signatures_move_the_service_under_the_names_of_those_who_signed() {
    let mut carrier = Carrier::of(enrolled()).await;
    let mut glass = carrier.prepared().await;
    sign(&mut glass, 2);
    sign(&mut glass, 1);
    *carrier.served.daemon.log.answer.lock().unwrap() = Ok(Some("checkout-1".into()));
    let answer = carrier.submit(&glass).await.unwrap();
    assert_eq!(
        (answer.actor.as_str(), answer.run.as_str(), answer.again),
        ("break-glass:alice+bob", "checkout-1", false)
    );
    let proposed = carrier.served.proposed();
    let [(actor, Command::Decide(decision))] = proposed.as_slice() else { panic!("{proposed:?}") };
    assert_eq!(actor, &Actor::BreakGlass("alice+bob".to_owned()));
    assert_eq!(
        (decision.trigger, decision.plan.mode, decision.plan.to.as_str()),
        (Trigger::Operator, Mode::Forced, "eu-west-1")
    );
    assert_eq!(decision.glass.as_deref(), Some(&glass), "whoever applies it verifies it again");
    assert_eq!(decision.reason, "us-east-1 is gone");
}

type Spoiled = (&'static [u8], fn(&mut Glass), &'static str);

#[tokio::test]
async fn whatever_is_wrong_with_it_is_refused_in_words_with_exit_code_4_and_nothing_is_proposed() {
    let spoiled: [Spoiled; 11] = [
        (&[], |_| (), "0 of 2 signatures are there"),
        (&[1], |_| (), "1 of 2 signatures are there (alice)"),
        (&[1, 1], |_| (), "alice has signed twice"),
        (&[1, 9], |_| (), "is not enrolled here"),
        (&[1, 2], |it| it.request.reason = "something else".into(), "the signature of alice is wrong"),
        (&[1, 2], |it| it.signatures[1].signature = "00".repeat(64), "the signature of bob is wrong"),
        (&[1, 2], |it| it.request.expires_at = fake::NOW.minus_ms(1), "it expired at"),
        (&[1, 2], |it| it.request.expires_at = fake::NOW.plus_ms(3_600_001), "longer than an hour"),
        (&[1, 2], |it| it.request.fleet = "staging".into(), "signed for fleet staging"),
        (&[1, 2], |it| it.request.epoch = Epoch(0), "epoch 0 of checkout, which is at 1"),
        (&[1, 2], |it| it.request.mode = Mode::Graceful, "only forced moves"),
    ];
    for (seeds, spoil, says) in spoiled {
        // Each is somebody else's first try.
        let mut carrier = Carrier::of(enrolled()).await;
        let mut glass = carrier.prepared().await;
        for seed in seeds {
            sign(&mut glass, *seed);
        }
        spoil(&mut glass);
        let status = carrier.submit(&glass).await.unwrap_err();
        assert!(status.message().contains(says), "{says}: {status}");
        assert_eq!((status.code(), exit_of(&status)), (Code::PermissionDenied, 4), "{status}");
        assert_eq!(read_status(&status).0.as_deref(), Some("BREAK_GLASS_REFUSED"));
        assert_eq!(carrier.served.proposed(), [], "{says}");
    }
    let mut carrier = Carrier::of(enrolled()).await;
    for text in ["", "{}", "[1]", &"x".repeat(20_000)] {
        let status = carrier.client.submit(proto::SubmitGlassRequest { glass: text.to_owned() }).await.unwrap_err();
        assert_eq!(exit_of(&status), 4, "{status}");
    }
}

#[tokio::test]
async fn one_caller_gets_few_tries_and_another_is_not_held_up_by_them() {
    let mut carrier = Carrier::of(enrolled()).await;
    let mut glass = carrier.prepared().await;
    sign(&mut glass, 1);
    let mut reasons = Vec::new();
    for _ in 0..12 {
        reasons.extend(read_status(&carrier.submit(&glass).await.unwrap_err()).0);
    }
    assert_eq!(reasons[0], "BREAK_GLASS_REFUSED");
    assert_eq!(reasons[11], "TOO_MANY_REQUESTS", "{reasons:?}");
    // Somebody with a name of their own.
    let operator = proto::SubmitGlassRequest { glass: serde_json::to_string(&glass).unwrap() };
    let identity = crate::api::access::Identity::of("alice", [crate::api::access::Role::Viewer].into(), [].into());
    let mut request = Request::new(operator);
    request.extensions_mut().insert(identity);
    let api = crate::api::glass::BreakGlassApi::new(carrier.served.daemon.handles.clone());
    let status = proto::break_glass_service_server::BreakGlassService::submit(&api, request).await.unwrap_err();
    assert_eq!(read_status(&status).0.as_deref(), Some("BREAK_GLASS_REFUSED"));
}

#[tokio::test]
async fn handed_in_again_it_says_how_its_move_stands_to_whoever_has_the_signatures() {
    let mut carrier = Carrier::of(enrolled()).await;
    let mut glass = carrier.prepared().await;
    sign(&mut glass, 1);
    let (nonce, log) = (glass.request.nonce.clone(), carrier.served.daemon.log.clone());
    log.state.send_modify(|state| {
        let state = Arc::make_mut(state);
        let used = BrokenGlass { expires_at: fake::NOW.plus_ms(900_000), run: "checkout-1".into() };
        state.broken_glass.insert(nonce, used);
        let run = failoverd_domain::fleet::Run { state: RunState::Running, ..fake::run("checkout-1") };
        state.runs.insert(run.id.clone(), run);
    });
    let status = carrier.submit(&glass).await.unwrap_err();
    assert_eq!(exit_of(&status), 4, "one signature tells nothing: {status}");
    sign(&mut glass, 2);
    let answer = carrier.submit(&glass).await.unwrap();
    assert_eq!((answer.again, answer.run.as_str(), answer.state.as_str()), (true, "checkout-1", "running"));
    assert_eq!(carrier.served.proposed(), []);
}

#[tokio::test]
async fn a_follower_has_the_leader_propose_it_and_a_forged_name_is_not_obeyed() {
    let leader = daemon(enrolled(), FakePeers::default(), Vec::new());
    *leader.log.answer.lock().unwrap() = Ok(Some("checkout-1".into()));
    let follower = daemon(enrolled(), FakePeers { leader: Some(leader.log.clone()), lost_answer: false }, Vec::new());
    follower.log.lead(Some("eu-west-1"), false);
    // Whatever the leader commits is applied here at once.
    follower.log.state.send_modify(|state| Arc::make_mut(state).applied.0 = 1_000);
    let mut carrier = Carrier::to(follower).await;
    let mut glass = carrier.prepared().await;
    for seed in [1, 3] {
        sign(&mut glass, seed);
    }
    let answer = carrier.submit(&glass).await.unwrap();
    assert_eq!(answer.actor, "break-glass:alice+carol");
    let (actor, entry) = {
        let proposed = leader.log.proposed.lock().unwrap();
        (proposed[0].actor.clone(), proposed[0].clone())
    };
    assert_eq!(actor, Actor::BreakGlass("alice+carol".to_owned()));
    assert_eq!(entry.may_be_forwarded(), Ok(()));

    // Over the wire a peer may forward it, and nothing else in such a name.
    let served = served(daemon(enrolled(), FakePeers::default(), Vec::new())).await;
    let us = Region::from("us-east-1");
    let peers = GrpcPeers::new(&BTreeMap::from([(us.clone(), served.url.clone())]), None).unwrap();
    peers.forward(&us, entry.clone()).await.unwrap().unwrap();
    let pause = failoverd_domain::fleet::Entry::new(fake::NOW, actor, Command::Pause { service: None });
    let refused = peers.forward(&us, pause).await.unwrap_err();
    assert!(refused.reason.contains("break-glass:alice+carol does not ask others for that"), "{refused}");
    assert_eq!(served.proposed().len(), 1);
}
