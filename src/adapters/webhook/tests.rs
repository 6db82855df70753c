//! What a webhook's server gets, over real HTTP on this machine.

use std::net::IpAddr;
use std::sync::Mutex;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use failoverd_domain::ids::LogIndex;
use serde_json::{Value, json};
use sha2::Digest;
use tokio::net::TcpListener;

use super::*;

const NOW: Timestamp = Timestamp(1_767_225_600_123);

/// What was posted, and what the next posts are answered.
#[derive(Clone, Default)]
struct Seen {
    posts: Arc<Mutex<Vec<(HeaderMap, String)>>>,
    answers: Arc<Mutex<Vec<StatusCode>>>,
}

async fn take(State(seen): State<Seen>, headers: HeaderMap, body: Bytes) -> StatusCode {
    seen.posts.lock().unwrap().push((headers, String::from_utf8(body.to_vec()).unwrap()));
    seen.answers.lock().unwrap().pop().unwrap_or(StatusCode::NO_CONTENT)
}

async fn server() -> (Seen, String) {
    let seen = Seen::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let router = Router::new().fallback(take).with_state(seen.clone());
    #[expect(clippy::disallowed_methods, reason = "the server of a test ends with it")]
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (seen, url)
}

fn webhooks(url: &str, shape: Shape) -> HttpWebhooks {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let settings = HookSettings {
        name: "ops".to_owned(),
        url: url.to_owned(),
        shape,
        secret: Some("s3cret".to_owned()),
        events: vec![EventKind::DrillFinished],
    };
    HttpWebhooks::new(vec![settings]).unwrap()
}

fn event() -> HistoryEvent {
    HistoryEvent {
        seq: 42,
        index: LogIndex(7),
        at: NOW,
        fleet: "prod".into(),
        service: Some("checkout".into()),
        run: None,
        drill: Some("checkout-monthly.3".into()),
        kind: EventKind::DrillFinished,
        region: Some("eu-west-1".into()),
        actor: "daemon:eu-west-1".to_owned(),
        message: "passed <RTO 12 s> & back".to_owned(),
        data: json!({ "verdict": "passed" }),
        hash: "ab".to_owned(),
    }
}

/// HMAC-SHA256 by its definition (RFC 2104), of the hash alone.
fn hmac_by_hand(secret: &[u8], text: &[u8]) -> String {
    let pad = |with: u8| {
        let mut key = [0_u8; 64];
        key[..secret.len()].copy_from_slice(secret);
        key.map(|byte| byte ^ with)
    };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(text).finalize();
    let outer = Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize();
    outer.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn an_event_is_posted_whole_signed_and_numbered() {
    let (seen, url) = server().await;
    webhooks(&url, Shape::Json).tell("ops", &event(), NOW).await.unwrap();
    let (headers, body) = seen.posts.lock().unwrap().remove(0);
    assert_eq!(headers["x-failoverd-delivery"], "prod-42");
    assert_eq!(headers["content-type"], "application/json");
    let signature = headers["x-failoverd-signature"].to_str().unwrap();
    let (t, v1) = signature.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
    assert_eq!(t, "1767225600");
    assert_eq!(v1, hmac_by_hand(b"s3cret", format!("{t}.{body}").as_bytes()));
    let told: Value = serde_json::from_str(&body).unwrap();
    let expected = json!({
        "fleet": "prod", "seq": 42, "at": "2026-01-01T00:00:00.123Z", "kind": "drill-finished", "service": "checkout",
        "run": null, "drill": "checkout-monthly.3", "region": "eu-west-1", "actor": "daemon:eu-west-1",
        "message": "passed <RTO 12 s> & back", "data": { "verdict": "passed" },
    });
    assert_eq!(told, expected);
}

#[tokio::test]
async fn slack_is_sent_a_line_without_anything_that_it_would_read_as_markup() {
    let (seen, url) = server().await;
    webhooks(&url, Shape::Slack).tell("ops", &event(), NOW).await.unwrap();
    let (_, body) = seen.posts.lock().unwrap().remove(0);
    assert_eq!(body, r#"{"text":"[prod] checkout: passed &lt;RTO 12 s&gt; &amp; back"}"#);
}

#[tokio::test]
async fn whoever_does_not_say_that_it_has_it_has_it_not() {
    let (seen, url) = server().await;
    let hooks = webhooks(&url, Shape::Json);
    *seen.answers.lock().unwrap() = vec![StatusCode::FOUND, StatusCode::NOT_FOUND, StatusCode::INTERNAL_SERVER_ERROR];
    for status in ["HTTP 500", "HTTP 404", "HTTP 302"] {
        assert_eq!(hooks.tell("ops", &event(), NOW).await, Err(Undelivered(status.to_owned())));
    }
    assert_eq!(hooks.tell("ops", &event(), NOW).await, Ok(()));
    // Nobody listens there: the URL, which may be a secret, is not repeated.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/services/T0/B0/hidden", listener.local_addr().unwrap());
    drop(listener);
    let error = webhooks(&url, Shape::Slack).tell("ops", &event(), NOW).await.unwrap_err();
    assert!(!error.to_string().contains("hidden"), "{error}");
}

#[test]
fn places_where_machines_find_their_credentials_are_refused_however_they_are_written() {
    let refused = |address: &str| is_refused(address.parse::<IpAddr>().unwrap());
    for address in [
        "169.254.169.254",
        "169.254.170.2",
        "fe80::1",
        "febf::1",
        "fd00:ec2::254",
        "::ffff:169.254.169.254",
        "::169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "0.0.0.0",
        "::",
    ] {
        assert!(refused(address), "{address}");
    }
    for address in [
        "127.0.0.1",
        "10.0.0.7",
        "192.0.2.1",
        "::1",
        "fd00:ec3::1",
        "2001:db8::1",
        "64:ff9b::c000:201",
        "2002:c000:201::1",
    ] {
        assert!(!refused(address), "{address}");
    }
    for url in [
        "http://2852039166/x",
        "http://0xa9fea9fe/",
        "http://0251.0376.0251.0376/",
        "http://%31%36%39.254.169.254/",
        "http://169.254.169.254/",
        "http://169.254.169.254./",
        "http://[::ffff:a9fe:a9fe]/",
        "http://[fd00:ec2::254]/",
    ] {
        assert!(literal(url).is_some_and(is_refused), "{url}");
    }
    assert_eq!(literal("https://hooks.example.com/x"), None);
}

#[tokio::test]
async fn a_name_that_leads_to_such_a_place_is_not_connected_to() {
    let address = |text: &str| SocketAddr::new(text.parse().unwrap(), 0);
    let both = vec![address("169.254.169.254"), address("192.0.2.7")];
    assert_eq!(allowed("rebound.example.com", both).unwrap(), [address("192.0.2.7")]);
    let error = allowed("rebound.example.com", vec![address("fd00:ec2::254")]).unwrap_err();
    assert_eq!(error.to_string(), "rebound.example.com leads to fd00:ec2::254, which is no place for a webhook");
    let hooks = webhooks("http://169.254.169.254/latest", Shape::Json);
    let error = hooks.tell("ops", &event(), NOW).await.unwrap_err();
    assert_eq!(error.to_string(), "169.254.169.254 is no place for a webhook");
}

#[tokio::test]
async fn whatever_a_resolver_says_is_judged_before_it_is_connected_to() {
    let resolved = async |name: &str| Guarded.resolve(name.parse().unwrap()).await;
    let Err(error) = resolved("169.254.169.254").await else { panic!("it is connected to") };
    assert!(error.to_string().contains("no place for a webhook"), "{error}");
    let here: Vec<SocketAddr> = resolved("localhost").await.unwrap().collect();
    assert!(!here.is_empty() && here.iter().all(|address| address.ip().is_loopback()), "{here:?}");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_leads_nowhere() {
    let (elsewhere, there) = server().await;
    for status in [StatusCode::FOUND, StatusCode::TEMPORARY_REDIRECT, StatusCode::PERMANENT_REDIRECT] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let to = there.clone();
        let router = Router::new().fallback(move || std::future::ready((status, [("location", to)])));
        let hooks = webhooks(&url, Shape::Json);
        let event = event();
        let answered = tokio::select! {
            ended = std::future::IntoFuture::into_future(axum::serve(listener, router)) => panic!("{ended:?}"),
            answered = hooks.tell("ops", &event, NOW) => answered,
        };
        assert_eq!(answered, Err(Undelivered(format!("HTTP {}", status.as_u16()))));
    }
    assert!(elsewhere.posts.lock().unwrap().is_empty());
}
