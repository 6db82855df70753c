//! Against small listeners on this machine; everything is bounded by the probes' own limits.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use failoverd_domain::ids::Region;
use failoverd_domain::route53::Protocol;
use failoverd_domain::service::{ProbeSpec, Store};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;

use super::{HttpFetch, NameOverrides, NetworkProber, ProberSettings};
use crate::ports::{Call, CallError, Effect, Figure, Metrics, NotGood, Prober};

/// Answers every request with the same bytes until dropped; no bytes: accepts and says nothing.
async fn listener(answer: &str) -> (SocketAddr, JoinSet<()>) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = answer.to_owned();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut silent = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            if answer.is_empty() {
                silent.push(stream);
                continue;
            }
            let mut request = [0; 4096];
            let read = stream.read(&mut request).await.unwrap_or(0);
            let asked = String::from_utf8_lossy(&request[..read]).into_owned();
            let line = asked.lines().next().unwrap_or_default().to_owned();
            let _ = stream.write_all(answer.replace("{asked}", &line).as_bytes()).await;
        }
    });
    (address, tasks)
}

/// An address that refuses connections, for as long as the socket is held: bound, but nobody listens.
fn refusing() -> (SocketAddr, TcpSocket) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    (socket.local_addr().unwrap(), socket)
}

fn http(url: &str, timeout_ms: u64) -> ProbeSpec {
    ProbeSpec::Http { url: url.to_owned(), interval_ms: None, timeout_ms, expect_status: 200 }
}

fn prober(overrides: &[(&str, SocketAddr)]) -> NetworkProber {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let resolve_to = overrides.iter().map(|(name, address)| ((*name).to_owned(), *address)).collect();
    NetworkProber::new(ProberSettings { resolve_to, ..ProberSettings::default() }).unwrap()
}

fn region() -> Region {
    Region::new("us-east-1")
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn a_good_answer_is_good_and_another_status_is_not() {
    let (good, _tasks) = listener(OK).await;
    let (bad, _other) = listener("HTTP/1.1 503 Gone\r\ncontent-length: 0\r\n\r\n").await;
    let prober = prober(&[]);
    let seen = prober.probe(&http(&format!("http://{good}/healthz"), 2_000), &region()).await.unwrap();
    assert!(seen.starts_with("HTTP 200 in "), "{seen}");
    let seen = prober.probe(&http(&format!("http://{bad}/"), 2_000), &region()).await;
    assert_eq!(seen, Err(NotGood::Bad("HTTP 503, expected 200".to_owned())));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (good, _tasks) = listener(OK).await;
    let (moved, _other) =
        listener(&format!("HTTP/1.1 302 Found\r\nlocation: http://{good}/\r\ncontent-length: 0\r\n\r\n")).await;
    let seen = prober(&[]).probe(&http(&format!("http://{moved}/"), 2_000), &region()).await;
    assert_eq!(seen, Err(NotGood::Bad("HTTP 302, expected 200".to_owned())));
}

#[tokio::test]
async fn silence_and_refusal_are_bad_within_the_limit() {
    let (silent, _tasks) = listener("").await;
    let (free, _held) = refusing();
    let prober = prober(&[]);
    let seen = prober.probe(&http(&format!("http://{silent}/"), 100), &region()).await;
    assert_eq!(seen, Err(NotGood::Bad("timed out after 100 ms".to_owned())));
    let seen = prober.probe(&http(&format!("http://{free}/"), 2_000), &region()).await;
    assert!(matches!(&seen, Err(NotGood::Bad(why)) if why.to_lowercase().contains("refused")), "{seen:?}");
}

#[tokio::test]
async fn a_probe_through_a_public_name_goes_to_the_answered_address_and_asks_for_that_name() {
    let (address, _tasks) = listener("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let (bad, _other) = listener("HTTP/1.1 503 {host}\r\ncontent-length: 0\r\n\r\n").await;
    let prober = prober(&[]);
    let spec = http("http://{region}.checkout.example.com/healthz", 2_000);
    let seen = prober.through_at(&spec, "api.example.com", address).await.unwrap();
    assert!(seen.starts_with("HTTP 200 in "), "{seen}");
    let seen = prober.through_at(&spec, "api.example.com", bad).await;
    assert_eq!(seen, Err(NotGood::Bad("HTTP 503, expected 200".to_owned())));
    let tcp = ProbeSpec::Tcp { address: "{region}.example.com:443".to_owned(), interval_ms: None, timeout_ms: 2_000 };
    assert!(prober.through_at(&tcp, "api.example.com", address).await.unwrap().starts_with("connected in "));
    let (free, _held) = refusing();
    assert!(matches!(prober.through_at(&tcp, "api.example.com", free).await, Err(NotGood::Bad(_))));
    let other_port = http("http://{region}.checkout.example.com:8080/healthz", 2_000);
    let unknown = prober.through_at(&other_port, "api.example.com", address).await;
    assert!(matches!(unknown, Err(NotGood::Unknown(_))), "{unknown:?}");
}

#[tokio::test]
async fn names_of_a_region_lead_where_the_overrides_say() {
    let (good, _tasks) = listener(OK).await;
    let (free, _held) = refusing();
    let prober = prober(&[("us-east-1", good), ("eu-west-1", free)]);
    let spec = http("http://{region}.checkout.example.com/healthz", 2_000);
    assert!(prober.probe(&spec, &region()).await.is_ok());
    assert!(prober.probe(&spec, &Region::new("eu-west-1")).await.is_err());
    let tcp =
        ProbeSpec::Tcp { address: "db.{region}.example.com:5432".to_owned(), interval_ms: None, timeout_ms: 2_000 };
    assert!(prober.probe(&tcp, &region()).await.unwrap().starts_with("connected in "));
    assert!(prober.probe(&tcp, &Region::new("eu-west-1")).await.is_err());
}

#[test]
fn a_whole_name_goes_before_its_labels_and_a_port_of_zero_leaves_the_port() {
    let one: SocketAddr = "127.0.0.1:1".parse().unwrap();
    let two: SocketAddr = "127.0.0.2:0".parse().unwrap();
    let overrides: NameOverrides = [("eu".to_owned(), one), ("a.eu.example.com".to_owned(), two)].into_iter().collect();
    assert_eq!(overrides.get("b.EU.example.com"), Some(one));
    assert_eq!(overrides.get("b.europe.example.com"), None);
    assert_eq!(overrides.address_of("a.eu.example.com:99"), Some("127.0.0.2:99".parse().unwrap()));
}

#[tokio::test]
async fn a_reference_answers_when_anything_http_comes_back() {
    let (bad, _tasks) = listener("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n").await;
    let (free, _held) = refusing();
    let references = [("us-east-1", bad), ("eu-west-1", free)];
    let references = references.map(|(region, at)| (Region::new(region), format!("http://{at}/ping"))).into();
    let prober = NetworkProber::new(ProberSettings { references, ..ProberSettings::default() }).unwrap();
    assert!(prober.reference(&region()).await);
    assert!(!prober.reference(&Region::new("eu-west-1")).await);
    assert!(!prober.reference(&Region::new("us-west-2")).await);
}

struct Alarms;

#[async_trait]
impl Metrics for Alarms {
    async fn replication_lag(&self, _: &Region, _: &Store) -> Call<Option<(u64, u64)>> {
        Ok(None)
    }

    async fn alarm(&self, region: &Region, name: &str) -> Call<Option<bool>> {
        match name {
            "bad-us-east-1" => Ok(Some(true)),
            "good-us-east-1" => Ok(Some(false)),
            "new-us-east-1" => Ok(None),
            _ => Err(CallError {
                service: "cloudwatch",
                operation: "DescribeAlarms",
                region: region.clone(),
                code: "Timeout".to_owned(),
                message: "no answer".to_owned(),
                effect: Effect::NoneRetryable,
            }),
        }
    }

    async fn publish(&self, _: &Region, _: &[Figure]) -> Call<()> {
        Ok(())
    }
}

#[tokio::test]
async fn only_an_alarm_that_rings_is_bad() {
    let settings = ProberSettings { metrics: Some(Arc::new(Alarms)), ..ProberSettings::default() };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let prober = NetworkProber::new(settings).unwrap();
    for (name, means) in [("bad", "bad"), ("good", "good"), ("new", "unknown"), ("away", "unknown")] {
        let spec = ProbeSpec::CloudwatchAlarm { name: format!("{name}-{{region}}") };
        let seen = prober.probe(&spec, &region()).await;
        let meant = match &seen {
            Ok(_) => "good",
            Err(NotGood::Bad(_)) => "bad",
            Err(NotGood::Unknown(_)) => "unknown",
        };
        assert_eq!(meant, means, "{name}: {seen:?}");
    }
}

#[tokio::test]
async fn a_checker_sees_status_and_the_beginning_of_the_body() {
    let (small, _tasks) = listener("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{asked} switch=on").await;
    let long = "x".repeat(20_000);
    let (large, _other) = listener(&format!("HTTP/1.1 404 No\r\ncontent-length: {}\r\n\r\n{long}", long.len())).await;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let fetch = HttpFetch::new().unwrap();
    let (status, body) = fetch.fetch(Protocol::Http, "127.0.0.1", small.port(), "/s/token?a=1").await.unwrap();
    assert_eq!((status, String::from_utf8(body).unwrap().as_str()), (200, "GET /s/token?a=1 HTTP/1.1 switch=on"));
    let (status, body) = fetch.fetch(Protocol::Http, "127.0.0.1", large.port(), "s").await.unwrap();
    assert_eq!((status, body.len()), (404, 5_120));
    assert_eq!(fetch.fetch(Protocol::Tcp, "127.0.0.1", small.port(), "").await, Ok((0, Vec::new())));
    let (free, _held) = refusing();
    assert!(fetch.fetch(Protocol::Http, "127.0.0.1", free.port(), "/").await.is_err());
}
