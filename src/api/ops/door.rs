//! Connections of the ops listener: how many, how quickly they must ask, how much and how often. The same room and rates
//! as the switch listener's, without TLS and with limits of its own.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::IntoResponse;
use http::header::{CONNECTION, HeaderValue};
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper::{Request, StatusCode};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower_service::Service;

use crate::api::reception::{Host, Sizes, receive, speak};
use crate::api::switch::limits::Limits;
use crate::api::switch::rates::{Cells, Rates};
use crate::api::switch::room::Pulse;

/// A few agents ask every few seconds. All may come from one address: on loopback they do.
pub(super) const LIMITS: Limits = Limits { connections: 256, connections_of_a_source: 192, requests_of_a_source: 64 };
const SIZES: Sizes = Sizes { head: 16 * 1024, buffer: 32 * 1024 };
/// How long an answer under way may take when the daemon is going down: a page of metrics is long.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Serves until `stop` is cancelled.
///
/// # Errors
/// As [`receive`].
pub(super) async fn keep(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) -> io::Result<()> {
    receive(Arc::new(Desk { router, limits, rates: Rates::new() }), listener, stop).await
}

struct Desk {
    router: Router,
    limits: Limits,
    rates: Rates,
}

impl Desk {
    async fn answer(&self, source: Cells, request: Request<Incoming>) -> axum::response::Response {
        if !self.admits(source) {
            return last(StatusCode::TOO_MANY_REQUESTS, "this address asks too often\n");
        }
        if !request.body().is_end_stream() {
            return last(StatusCode::PAYLOAD_TOO_LARGE, "nothing here takes a body\n");
        }
        let answered: Result<_, Infallible> = self.router.clone().call(request).await;
        answered.into_response()
    }
}

/// An answer that ends the connection: what else it brings is not read.
fn last(status: StatusCode, why: &'static str) -> axum::response::Response {
    let mut response = (status, why).into_response();
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

impl Host for Desk {
    const LISTENER: &'static str = "ops";

    fn rates(&self) -> &Rates {
        &self.rates
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    async fn talk(self: Arc<Self>, stream: TcpStream, source: Cells, pulse: Arc<Pulse>, stop: CancellationToken) {
        let service = service_fn(move |request| {
            let (desk, pulse) = (self.clone(), pulse.clone());
            async move {
                let response = desk.answer(source, request).await;
                pulse.answered();
                Ok::<_, Infallible>(response)
            }
        });
        speak(stream, service, SIZES, LAST_WORDS, stop).await;
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpSocket;
    use tokio::task::JoinSet;

    use super::*;
    use crate::api::reception::MOST_HEADERS;
    use crate::api::switch::room::FIRST_WITHIN;

    const ASK: &str = "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
    const LAST: &str = "GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    const BOUND: Duration = Duration::from_secs(20);

    struct Listener {
        address: SocketAddr,
        stop: CancellationToken,
        serving: JoinSet<io::Result<()>>,
    }

    async fn listen(limits: Limits) -> Listener {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let router = Router::new().route("/livez", get(|| async { "live" }));
        let mut serving = JoinSet::new();
        serving.spawn(keep(listener, router, limits, stop.clone()));
        Listener { address, stop, serving }
    }

    impl Listener {
        /// From an address of its own: all of 127.0.0.0/8 is this machine.
        async fn connect_from(&self, last: u8) -> TcpStream {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind(SocketAddr::from(([127, 0, 0, last], 0))).unwrap();
            socket.connect(self.address).await.unwrap()
        }

        /// Everything that comes until the other end closes.
        async fn say(&self, text: &str) -> String {
            let mut stream = self.connect_from(9).await;
            // The other end may have closed already, with an answer.
            let _ = stream.write_all(text.as_bytes()).await;
            rest(&mut stream).await
        }
    }

    async fn rest(stream: &mut TcpStream) -> String {
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(BOUND, stream.read_to_end(&mut answer)).await.expect("it is never closed");
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn what_is_too_large_is_refused_unread() {
        let listener = listen(LIMITS).await;
        assert!(listener.say(LAST).await.starts_with("HTTP/1.1 200"));
        let target = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "t".repeat(2 * SIZES.head));
        let header = format!("GET /livez HTTP/1.1\r\nx: {}\r\n\r\n", "v".repeat(2 * SIZES.head));
        let many = format!("GET /livez HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(MOST_HEADERS + 1));
        for text in [target, header, many] {
            let answer = listener.say(&text).await;
            assert!(answer.starts_with("HTTP/1.1 4"), "{answer:?} for {}", &text[..40]);
        }
        let body = "GET /livez HTTP/1.1\r\nhost: x\r\ncontent-length: 999999999\r\n\r\nbody";
        assert!(listener.say(body).await.starts_with("HTTP/1.1 413"));
    }

    #[tokio::test]
    async fn whoever_says_nothing_or_too_slowly_is_let_go() {
        let listener = listen(LIMITS).await;
        let mut silent = listener.connect_from(2).await;
        let mut slow = listener.connect_from(3).await;
        let begun = tokio::time::Instant::now();
        let dripping = async {
            while slow.write_all(b"G").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        tokio::time::timeout(BOUND, dripping).await.expect("it may drip for ever");
        assert_eq!(rest(&mut silent).await, "");
        assert!(begun.elapsed() >= FIRST_WITHIN);
    }

    #[tokio::test]
    async fn a_flood_keeps_no_probe_from_being_answered() {
        let limits = Limits { connections: 16, connections_of_a_source: 12, requests_of_a_source: 20 };
        let listener = listen(limits).await;
        let mut held = Vec::new();
        for _ in 0..300 {
            let mut stream = listener.connect_from(3).await;
            let _ = stream.write_all(ASK.as_bytes()).await;
            held.push(stream);
        }
        let mut probe = listener.connect_from(4).await;
        probe.write_all(LAST.as_bytes()).await.unwrap();
        assert!(rest(&mut probe).await.starts_with("HTTP/1.1 200"));
        // The flood has had the hundred that may come at once.
        let mut flooding = held.pop().unwrap();
        assert!(!rest(&mut flooding).await.contains("200"));
    }

    #[tokio::test]
    async fn it_ends_when_told_and_finishes_nothing_that_was_not_asked() {
        let mut listener = listen(LIMITS).await;
        let mut idle = listener.connect_from(2).await;
        listener.stop.cancel();
        let ended = tokio::time::timeout(BOUND, listener.serving.join_next()).await.unwrap();
        assert!(ended.unwrap().unwrap().is_ok());
        assert_eq!(rest(&mut idle).await, "");
    }
}
