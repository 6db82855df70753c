//! Who may call what, over real TLS: every call, every role.

use std::collections::BTreeSet;

use failoverd_domain::fleet::Entry;
use failoverd_domain::time::Timestamp;
use failoverd_domain::traffic::SwitchEndpoint;
use http::uri::PathAndQuery;
use serde_json::json;
use tokio::task::JoinSet;
use tonic::Status;
use tonic_prost::ProstCodec;

use super::*;
use crate::api::CallerPem;
use crate::api::access::authority::{Authority, Issued};
use crate::api::access::keyring::Keyring;
use crate::api::access::table::{TABLE, Who};
use crate::api::access::token::tests::Provider;
use crate::api::access::token::{self, TokenRules};
use crate::api::access::{Role, Tokens};
use crate::ports::KeySource;

struct Fleet {
    authority: Authority,
    served: Served,
}

fn pem(authority: &Authority, issued: Issued) -> TlsPem {
    TlsPem { cert: issued.cert.into_bytes(), key: issued.key.into_bytes(), ca: authority.pem().into_bytes() }
}

impl Fleet {
    async fn new() -> Self {
        let authority = Authority::new("the fleet's");
        let own = pem(&authority, authority.issue(&["127.0.0.1"]));
        let daemon = daemon(state_with(&["checkout"]), FakePeers::default(), Vec::new());
        let served = served_with(daemon, Some(secured(own))).await;
        Self { authority, served }
    }

    fn channel(&self, names: &[&str]) -> Channel {
        self.channel_of(pem(&self.authority, self.authority.issue(names)))
    }

    fn channel_of(&self, pem: TlsPem) -> Channel {
        self.channel_by(CallerPem { identity: Some((pem.cert, pem.key)), ca: pem.ca })
    }

    fn channel_by(&self, pem: CallerPem) -> Channel {
        Channel::from_shared(self.served.url.clone()).unwrap().tls_config(pem.client()).unwrap().connect_lazy()
    }

    /// The same fleet, which takes that provider's tokens too.
    async fn with_tokens(provider: &Provider) -> (Self, JoinSet<()>) {
        let authority = Authority::new("the fleet's");
        let own = pem(&authority, authority.issue(&["127.0.0.1"]));
        let keys = Keyring::new(Arc::new(Always(provider.jwks())));
        let mut tending = JoinSet::new();
        tending.spawn(keys.clone().tend());
        keys.asked_again().await;
        let roles = Role::ALL.map(|role| (role.word().to_owned(), role));
        let rules = TokenRules { roles: roles.into(), ..token::tests::rules() };
        let access = Access { tokens: Some(Arc::new(Tokens { rules, keys })), ..secured(own.clone()).access };
        let secured = Secured { tls: LiveTls::new(own, Callers::WithOrWithout).unwrap(), access };
        let daemon = daemon(state_with(&["checkout"]), FakePeers::default(), Vec::new());
        (Self { authority, served: served_with(daemon, Some(secured)).await }, tending)
    }

    fn without_certificate(&self) -> Channel {
        self.channel_by(CallerPem { identity: None, ca: self.authority.pem().into_bytes() })
    }
}

struct Always(Vec<u8>);

#[async_trait::async_trait]
impl KeySource for Always {
    async fn fetch(&self) -> Result<Vec<u8>, String> {
        Ok(self.0.clone())
    }
    async fn kept(&self) -> Option<Vec<u8>> {
        None
    }
    async fn keep(&self, _: &[u8]) -> Result<(), String> {
        Ok(())
    }
}

/// The first word of the answer to a call with an empty message, whatever its type.
async fn first_word(channel: &Channel, call: &str) -> Result<(), Status> {
    first_word_with(channel, call, None).await
}

async fn first_word_with(channel: &Channel, call: &str, token: Option<&str>) -> Result<(), Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let path: PathAndQuery = format!("/{call}").parse().unwrap();
    let codec = ProstCodec::<proto::GetFleetRequest, proto::GetFleetRequest>::default();
    let mut nothing = Request::new(tokio_stream::once(proto::GetFleetRequest {}));
    if let Some(token) = token {
        nothing.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    client.streaming(nothing, path, codec).await.map(|_| ())
}

fn reason(answer: &Result<(), Status>) -> Option<String> {
    answer.as_ref().err().and_then(|status| read_status(status).0)
}

#[tokio::test]
async fn every_call_is_open_to_its_roles_and_to_nobody_else() {
    let fleet = Fleet::new().await;
    for role in Role::ALL {
        let uri = match role {
            Role::Peer => "failoverd://prod/peer/eu-west-1".to_owned(),
            // Somebody else each time: one person may not make all these calls at once.
            role => format!("failoverd://prod/{role}/the-{role}"),
        };
        let channel = fleet.channel(&[&uri]);
        for (call, who) in TABLE {
            let may = match who {
                Who::Anybody => true,
                Who::Any(roles) => roles.contains(&role),
            };
            let answer = first_word(&channel, call).await;
            assert_eq!(reason(&answer).as_deref() == Some("NOT_ALLOWED"), !may, "{role} {call}: {answer:?}");
            if !may {
                let status = answer.unwrap_err();
                assert_eq!(status.code(), Code::PermissionDenied);
                let Who::Any(roles) = who else { unreachable!() };
                assert!(
                    status.message().contains("it needs the role") && status.message().contains(roles[0].word()),
                    "{status}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_genuine_certificate_without_a_role_opens_nothing() {
    let fleet = Fleet::new().await;
    for names in [&["nobody@example.com"][..], &["failoverd://staging/admin/alice"], &["somewhere.example.com"]] {
        let channel = fleet.channel(names);
        for (call, who) in TABLE {
            let answer = first_word(&channel, call).await;
            let refused = reason(&answer).as_deref() == Some("NOT_ALLOWED");
            assert_eq!(refused, *who != Who::Anybody, "{names:?} {call}: {answer:?}");
        }
    }
    assert_eq!(fleet.served.proposed(), []);
}

#[tokio::test]
async fn a_certificate_of_another_authority_opens_nothing_at_all() {
    let fleet = Fleet::new().await;
    let other = Authority::new("somebody else's");
    let Issued { cert, key } = other.issue(&["failoverd://prod/admin/mallory"]);
    let forged = TlsPem { cert: cert.into_bytes(), key: key.into_bytes(), ca: fleet.authority.pem().into_bytes() };
    let expired = pem(&fleet.authority, fleet.authority.issue_expired(&["failoverd://prod/admin/alice"]));
    for pem in [forged, expired] {
        let channel = fleet.channel_of(pem);
        for call in ["failoverd.v1.StatusService/GetFleet", "grpc.health.v1.Health/Check"] {
            let status = first_word(&channel, call).await.unwrap_err();
            assert!(matches!(status.code(), Code::Unavailable | Code::Unknown), "{status:?}");
        }
    }
}

#[tokio::test]
async fn a_change_is_recorded_under_the_name_of_the_certificate_whatever_its_sender_says() {
    let fleet = Fleet::new().await;
    let channel = fleet.channel(&["failoverd://prod/operator/alice"]);
    let mut request = Request::new(proto::PauseRequest { service: None });
    request.metadata_mut().insert(ACTOR_KEY, "root".parse().unwrap());
    ControlServiceClient::new(channel).pause(request).await.unwrap();
    assert_eq!(fleet.served.proposed(), [(Actor::Operator("alice".to_owned()), Command::Pause { service: None })]);
}

#[tokio::test]
async fn a_peer_speaks_for_its_own_region_only() {
    let fleet = Fleet::new().await;
    let us = Region::from("us-east-1");
    let own = pem(&fleet.authority, fleet.authority.issue(&["failoverd://prod/peer/eu-west-1"]));
    let tls = LiveTls::new(own, Callers::WithCertificate).unwrap();
    let peers = GrpcPeers::new(&BTreeMap::from([(us.clone(), fleet.served.url.clone())]), Some(&tls)).unwrap();
    peers.share(&us, &report("eu-west-1")).await.unwrap();
    let refused = peers.share(&us, &report("us-west-2")).await.unwrap_err();
    assert!(refused.reason.contains("peer:eu-west-1 does not speak for us-west-2"), "{refused}");

    let of = |actor, command| Entry::new(Timestamp(1), actor, command);
    let entry = |actor| of(actor, Command::Pause { service: None });
    let refused = peers.forward(&us, entry(Actor::Daemon("us-west-2".into()))).await.unwrap_err();
    assert!(refused.reason.contains("does not speak for us-west-2"), "{refused}");
    let refused = peers.forward(&us, entry(Actor::Operator("break-glass:bob".to_owned()))).await.unwrap_err();
    assert!(refused.reason.contains("a name that nobody has"), "{refused}");
    let switch = SwitchEndpoint { host: "switch.example.com".to_owned(), port: 443, https: true };
    let advertise = Command::Advertise { region: "eu-west-1".into(), switch };
    peers.forward(&us, of(Actor::Daemon("eu-west-1".into()), advertise)).await.unwrap().unwrap();
    peers.forward(&us, entry(Actor::Operator("alice".to_owned()))).await.unwrap().unwrap();
    let actors: BTreeSet<String> = fleet.served.proposed().iter().map(|(actor, _)| actor.to_string()).collect();
    assert_eq!(actors, BTreeSet::from(["daemon:eu-west-1".to_owned(), "operator:alice".to_owned()]));
}

#[tokio::test]
async fn a_token_opens_what_its_roles_open_and_never_what_is_for_peers() {
    let provider = Provider::new("k1");
    let (fleet, _tending) = Fleet::with_tokens(&provider).await;
    let channel = fleet.without_certificate();
    for role in Role::ALL {
        let token = provider.token(&json!({ "groups": [role.word()] }));
        for (call, who) in TABLE {
            // A provider cannot make anybody a peer, whatever the configuration says.
            let may = match who {
                Who::Anybody => true,
                Who::Any(roles) => role != Role::Peer && roles.contains(&role),
            };
            let answer = first_word_with(&channel, call, Some(&token)).await;
            assert_eq!(reason(&answer).as_deref() == Some("NOT_ALLOWED"), !may, "{role} {call}: {answer:?}");
        }
    }
    let mut request = Request::new(proto::PauseRequest { service: None });
    let token = provider.token(&json!({ "groups": ["operator"] }));
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    ControlServiceClient::new(channel).pause(request).await.unwrap();
    let (actor, _) = fleet.served.proposed().pop().unwrap();
    assert_eq!(actor.to_string(), "operator:alice@example.com");
}

#[tokio::test]
async fn without_certificate_and_token_nothing_is_open_but_whether_it_serves() {
    let provider = Provider::new("k1");
    let (fleet, _tending) = Fleet::with_tokens(&provider).await;
    let channel = fleet.without_certificate();
    for (call, who) in TABLE {
        let answer = first_word(&channel, call).await;
        assert_eq!(reason(&answer).as_deref() == Some("NOT_AUTHENTICATED"), *who != Who::Anybody, "{call}: {answer:?}");
    }
}

#[tokio::test]
async fn a_bad_token_is_refused_in_words_whatever_certificate_comes_with_it() {
    let provider = Provider::new("k1");
    let (fleet, _tending) = Fleet::with_tokens(&provider).await;
    let call = "failoverd.v1.StatusService/GetFleet";
    for channel in [fleet.without_certificate(), fleet.channel(&["failoverd://prod/admin/alice"])] {
        for (token, says) in [
            (provider.token(&json!({ "exp": 1 })), "the token has expired"),
            (provider.token(&json!({ "aud": "another" })), "not for this fleet"),
            (Provider::new("k1").token(&json!({})), "signature is wrong"),
            ("nonsense".to_owned(), "cannot be read"),
        ] {
            let status = first_word_with(&channel, call, Some(&token)).await.unwrap_err();
            assert_eq!(status.code(), Code::Unauthenticated, "{status}");
            assert!(status.message().contains(says) && !status.message().contains(token.as_str()), "{status}");
            // Break-glass is for when no better one can be had.
            for (call, _) in TABLE.iter().filter(|(_, who)| *who == Who::Anybody) {
                let answer = first_word_with(&channel, call, Some(&token)).await;
                assert_ne!(reason(&answer).as_deref(), Some("NOT_AUTHENTICATED"), "{call}: {answer:?}");
            }
        }
    }
    let without = Fleet::new().await;
    let token = provider.token(&json!({}));
    let channel = without.channel(&["failoverd://prod/admin/alice"]);
    let status = first_word_with(&channel, call, Some(&token)).await.unwrap_err();
    assert!(status.message().contains("access.oidc is not configured"), "{status}");
}

#[tokio::test]
async fn new_certificates_are_taken_without_a_restart_and_connections_live_on() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let own = |authority: &Authority| pem(authority, authority.issue(&["127.0.0.1"]));
    let alice = |authority: &Authority| pem(authority, authority.issue(&["failoverd://prod/viewer/alice"]));
    let secured = secured(own(&old));
    let tls = secured.tls.clone();
    let daemon = daemon(state_with(&["checkout"]), FakePeers::default(), Vec::new());
    let fleet = Fleet { authority: Authority::new("nobody's"), served: served_with(daemon, Some(secured)).await };
    let us = Region::from("us-east-1");
    let peer_tls = LiveTls::new(own(&old), Callers::WithCertificate).unwrap();
    let peers = GrpcPeers::new(&BTreeMap::from([(us.clone(), fleet.served.url.clone())]), Some(&peer_tls)).unwrap();
    let call = "failoverd.v1.StatusService/GetFleet";
    let before = fleet.channel_of(alice(&old));
    first_word(&before, call).await.unwrap();
    peers.share(&us, &report("eu-west-1")).await.unwrap();

    let mut bad = own(&new);
    bad.key = own(&new).key;
    assert!(tls.renew(bad).unwrap_err().contains("cannot be used"), "a key of another certificate");
    assert!(tls.renew(TlsPem { ca: b"".to_vec(), ..own(&new) }).unwrap_err().contains("no authority"));
    first_word(&fleet.channel_of(alice(&old)), call).await.unwrap();

    let renewed = own(&new);
    assert!(tls.renew(renewed.clone()).unwrap() && !tls.renew(renewed).unwrap());
    first_word(&before, call).await.expect("connections live on");
    peers.share(&us, &report("eu-west-1")).await.expect("those of peers too");
    first_word(&fleet.channel_of(alice(&new)), call).await.unwrap();
    let mut stale = alice(&old);
    stale.ca = new.pem().into_bytes();
    first_word(&fleet.channel_of(stale), call).await.expect_err("the old authority counts no more");

    // A peer that has not renewed cannot connect anew; once it has, it can, by the same handle.
    let late = LiveTls::new(own(&old), Callers::WithCertificate).unwrap();
    let peers = GrpcPeers::new(&BTreeMap::from([(us.clone(), fleet.served.url.clone())]), Some(&late)).unwrap();
    peers.share(&us, &report("eu-west-1")).await.unwrap_err();
    late.renew(own(&new)).unwrap();
    let shared = async {
        while peers.share(&us, &report("eu-west-1")).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), shared).await.expect("it never connects");
}
