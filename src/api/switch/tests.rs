//! What checkers, slow callers, floods and strangers meet, over real sockets.

use std::net::SocketAddr;
use std::time::Duration;

use failoverd_domain::ids::{Region, SwitchGroup};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::connection::LARGEST_HEAD;
use super::*;
use crate::api::LiveSwitch;
use crate::api::fake::{NOW, state_with};
use crate::telemetry::Telemetry;

const CERT: &[u8] = include_bytes!("test_cert.pem");
const KEY: &[u8] = include_bytes!("test_key.pem");
const ASK: &str = "GET /s/token-checkout HTTP/1.1\r\nhost: x\r\n\r\n";
const BOUND: Duration = Duration::from_secs(20);

struct Listener {
    address: SocketAddr,
    state: watch::Sender<Arc<FleetState>>,
    leadership: watch::Sender<Leadership>,
    stop: CancellationToken,
    serving: JoinSet<io::Result<()>>,
}

async fn listen() -> Listener {
    listen_with(SwitchSettings::default()).await
}

async fn listen_with(settings: SwitchSettings) -> Listener {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (state, states) = watch::channel(Arc::new(state_with(&["checkout"])));
    let (leadership, leaderships) = watch::channel(Leadership { caught_up: true, ..Leadership::default() });
    let stop = CancellationToken::new();
    let mut serving = JoinSet::new();
    serving.spawn(serve(listener, states, leaderships, settings, Telemetry::counting(NOW).meters, stop.clone()));
    Listener { address, state, leadership, stop, serving }
}

fn limited(limits: SwitchLimits) -> SwitchSettings {
    SwitchSettings { limits, ..SwitchSettings::default() }
}

impl Listener {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// From an address of its own: all of 127.0.0.0/8 is this machine.
    async fn connect_from(&self, last: u8) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from(([127, 0, 0, last], 0)))?;
        socket.connect(self.address).await
    }

    /// Status and body.
    async fn ask(&self, method: &str, path: &str) -> (u16, String) {
        let text = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        parts(&exchange(&mut self.connect().await, &text).await)
    }
}

/// Sends it and reads until the other end closes.
async fn exchange(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), text: &str) -> String {
    // The other end may have closed already, with an answer.
    let _ = stream.write_all(text.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(BOUND, stream.read_to_end(&mut answer)).await.expect("it is never closed");
    String::from_utf8(answer).unwrap()
}

/// Sends one question over a connection that stays, and reads its answer; `None` when it does not stay.
async fn ask_over(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Option<String> {
    stream.write_all(ASK.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\nswitch=on") {
        let mut bytes = [0; 512];
        match tokio::time::timeout(BOUND, stream.read(&mut bytes)).await.expect("it is never answered") {
            Ok(0) | Err(_) => return None,
            Ok(count) => answer.extend_from_slice(&bytes[..count]),
        }
    }
    Some(String::from_utf8(answer).unwrap())
}

fn parts(answer: &str) -> (u16, String) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("not an answer: {answer:?}"));
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[tokio::test]
async fn a_checker_reads_the_committed_bit() {
    let listener = listen().await;
    assert_eq!(listener.ask("GET", "/s/token-checkout").await, (200, "switch=on".to_owned()));
    listener.state.send_modify(|state| {
        let switch = Arc::make_mut(state).switches.get_mut(&SwitchGroup::from("checkout")).unwrap();
        switch.bits.get_mut(&Region::from("us-east-1")).unwrap().on = false;
    });
    let mut answer = listener.ask("GET", "/s/token-checkout").await;
    for _ in 0..100 {
        if answer.1 == "switch=off" {
            break;
        }
        tokio::task::yield_now().await;
        answer = listener.ask("GET", "/s/token-checkout").await;
    }
    assert_eq!(answer, (200, "switch=off".to_owned()));
}

#[tokio::test]
async fn a_daemon_that_has_not_caught_up_is_silent() {
    let listener = listen().await;
    listener.leadership.send_modify(|leadership| leadership.caught_up = false);
    assert_eq!(listener.ask("GET", "/s/token-checkout").await, (503, String::new()));
    assert_eq!(listener.ask("GET", "/s/nobody-knows").await.0, 503);
}

#[tokio::test]
async fn nothing_else_is_served_and_nothing_names_the_product() {
    let listener = listen().await;
    for path in ["/s/nobody-knows", "/", "/s/", "/s", "/s/token-checkout/", "/metrics", "/livez"] {
        assert_eq!(listener.ask("GET", path).await.0, 404, "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "WHATEVER"] {
        assert_eq!(listener.ask(method, "/s/token-checkout").await.0, 405, "{method}");
    }
    assert_eq!(listener.ask("HEAD", "/s/token-checkout").await, (200, String::new()));
    for ask in [ASK.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n"), "NONSENSE\r\n\r\n".to_owned()] {
        let answer = exchange(&mut listener.connect().await, &ask).await.to_lowercase();
        let headers: Vec<&str> =
            answer.lines().skip(1).filter_map(|line| line.split_once(':')).map(|it| it.0).collect();
        let harmless = ["cache-control", "content-type", "content-length", "connection", "date"];
        assert!(headers.iter().all(|name| harmless.contains(name)), "{answer}");
    }
}

#[tokio::test]
async fn a_connection_serves_many_requests() {
    let listener = listen().await;
    let mut stream = listener.connect().await;
    for _ in 0..20 {
        let answer = ask_over(&mut stream).await.expect("the connection is kept");
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("no-store"), "{answer}");
    }
}

#[tokio::test]
async fn what_is_too_large_is_refused_unread() {
    let listener = listen().await;
    let target = format!("GET /s/{} HTTP/1.1\r\nhost: x\r\n\r\n", "t".repeat(2 * LARGEST_HEAD));
    let header = format!("GET /s/token-checkout HTTP/1.1\r\nx: {}\r\n\r\n", "v".repeat(2 * LARGEST_HEAD));
    let many = format!("GET /s/token-checkout HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(65));
    for text in [target, header, many] {
        let status = parts(&exchange(&mut listener.connect().await, &text).await).0;
        assert!([414, 431].contains(&status), "{status} for {}", &text[..40]);
    }
    let body = "GET /s/token-checkout HTTP/1.1\r\nhost: x\r\ncontent-length: 999999999\r\n\r\nbody";
    assert_eq!(parts(&exchange(&mut listener.connect().await, body).await).0, 413);
    let chunked = "GET /s/token-checkout HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
    assert_eq!(parts(&exchange(&mut listener.connect().await, chunked).await).0, 413);
    // A head without an end is cut off where it is too large, not when the sender tires of it.
    let mut stream = listener.connect().await;
    let endless = "GET /s/token-checkout HTTP/1.1\r\nx: ".to_owned() + &"v".repeat(1 << 20);
    let answer = exchange(&mut stream, &endless).await;
    assert!(!answer.contains("200"), "{answer}");
}

#[tokio::test]
async fn a_slow_caller_is_let_go_and_holds_nobody_up() {
    let listener = listen().await;
    let mut silent = listener.connect().await;
    let mut slow = listener.connect().await;
    slow.write_all(b"GET /s/token-ch").await.unwrap();
    let begun = tokio::time::Instant::now();
    assert_eq!(listener.ask("GET", "/s/token-checkout").await.0, 200);
    assert!(begun.elapsed() < Duration::from_secs(2), "a caller that is quick is answered at once");
    let dripping = async {
        while slow.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(BOUND, dripping).await.expect("it may drip for ever");
    assert!(begun.elapsed() >= room::FIRST_WITHIN);
    let mut byte = [0; 1];
    let read = tokio::time::timeout(BOUND, silent.read(&mut byte)).await.expect("it may be silent for ever");
    assert!(matches!(read, Ok(0) | Err(_)));
}

#[tokio::test]
async fn a_flood_from_one_source_keeps_nobody_else_from_being_answered() {
    let limits = SwitchLimits {
        connections: Some(64),
        connections_of_a_source: Some(48),
        requests_of_a_source: Some(100),
        ..SwitchLimits::default()
    };
    let listener = listen_with(limited(limits)).await;
    let mut checker = listener.connect_from(2).await.unwrap();
    assert!(ask_over(&mut checker).await.is_some());
    // More connections than there is room for, each asking as fast as it can.
    let mut refused = 0;
    let mut held = Vec::new();
    for _ in 0..200 {
        let Ok(mut stream) = listener.connect_from(3).await else { continue };
        for _ in 0..10 {
            if ask_over(&mut stream).await.is_none() {
                refused += 1;
                break;
            }
        }
        held.push(stream);
    }
    assert!(refused > 100, "500 may come at once, not 2000: {refused}");
    for _ in 0..20 {
        assert!(ask_over(&mut checker).await.is_some(), "the checker's connection stays and is answered");
    }
    let mut another = listener.connect_from(4).await.unwrap();
    assert!(ask_over(&mut another).await.is_some(), "and a new one is let in");
}

#[tokio::test]
async fn idle_connections_make_room_for_new_ones() {
    let limits = SwitchLimits { connections: Some(16), connections_of_a_source: Some(8), ..SwitchLimits::default() };
    let listener = listen_with(limited(limits)).await;
    let mut idle = Vec::new();
    for number in 0..40_u8 {
        // From five sources that say nothing.
        idle.push(listener.connect_from(10 + number % 5).await.unwrap());
    }
    let mut checker = listener.connect_from(2).await.unwrap();
    assert!(ask_over(&mut checker).await.is_some());
    let mut byte = [0; 1];
    let ended = tokio::time::timeout(BOUND, idle[0].read(&mut byte)).await.expect("the longest idle one stays");
    assert!(matches!(ended, Ok(0) | Err(_)));
}

#[tokio::test]
async fn tls_is_spoken_when_there_is_a_certificate() {
    let settings = SwitchSettings {
        tls: Some(LiveSwitch::new(CERT.to_vec(), KEY.to_vec()).unwrap()),
        ..SwitchSettings::default()
    };
    let listener = listen_with(settings).await;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(CERT).unwrap()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let connector = TlsConnector::from(Arc::new(client.with_root_certificates(roots).with_no_client_auth()));
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = connector.connect(name, listener.connect().await).await.unwrap();
    for _ in 0..3 {
        assert!(ask_over(&mut stream).await.is_some());
    }
    // Who speaks plain HTTP to it learns nothing.
    let answer = exchange_bytes(&mut listener.connect().await).await;
    assert!(!answer.windows(6).any(|bytes| bytes == b"switch"), "{answer:?}");
}

async fn exchange_bytes(stream: &mut TcpStream) -> Vec<u8> {
    stream.write_all(ASK.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(BOUND, stream.read_to_end(&mut answer)).await.expect("it is never closed");
    answer
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let refused = |cert: &[u8], key: &[u8]| LiveSwitch::new(cert.to_vec(), key.to_vec()).unwrap_err();
    assert!(refused(b"", KEY).contains("certificate"));
    assert!(refused(CERT, CERT).contains("key"));
}

#[tokio::test]
async fn it_ends_when_told() {
    let mut listener = listen().await;
    let mut idle = listener.connect().await;
    assert!(ask_over(&mut idle).await.is_some());
    listener.stop.cancel();
    let ended = tokio::time::timeout(BOUND, listener.serving.join_next()).await.unwrap();
    assert!(ended.unwrap().unwrap().is_ok());
    assert!(ask_over(&mut idle).await.is_none());
}
