//! One request and its answer. What a caller sends decides neither how much work nor how much memory it takes.

use std::sync::Arc;

use http_body_util::Full;
use hyper::body::{Body, Bytes};
use hyper::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::watch;

use super::Tables;
use super::limits::SwitchLimits;
use super::rates::{Cells, Rates};
use crate::api::reception::Host as _;
use crate::api::tls::LiveSwitch;
use crate::ports::Leadership;
use crate::telemetry::{Answer, Meters};

/// What everybody who asks is answered from.
pub(super) struct Desk {
    pub(super) table: Tables,
    pub(super) leadership: watch::Receiver<Leadership>,
    pub(super) rates: Rates,
    /// TLS, unless it ends in front of the listener.
    pub(super) tls: Option<LiveSwitch>,
    pub(super) fixed: SwitchLimits,
    pub(super) meters: Arc<Meters>,
}

impl Desk {
    /// Silence (503) until this daemon has caught up: a vote from the past is worse than none. Refusals are not 200 either,
    /// so that a checker that should ever be refused sees an abstention.
    pub(super) fn answer<B: Body>(&self, source: Cells, request: &Request<B>) -> Response<Full<Bytes>> {
        let (answer, response) = self.think(source, request);
        self.meters.switch_answered(answer);
        response
    }

    fn think<B: Body>(&self, source: Cells, request: &Request<B>) -> (Answer, Response<Full<Bytes>>) {
        if !self.admits(source) {
            return (Answer::Refused, last(StatusCode::TOO_MANY_REQUESTS));
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut refusal = last(StatusCode::METHOD_NOT_ALLOWED);
            refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return (Answer::Refused, refusal);
        }
        if !request.body().is_end_stream() {
            return (Answer::Refused, last(StatusCode::PAYLOAD_TOO_LARGE));
        }
        if !self.leadership.borrow().caught_up {
            return (Answer::Silent, say(StatusCode::SERVICE_UNAVAILABLE, ""));
        }
        let token = request.uri().path().strip_prefix("/s/");
        match token.and_then(|token| self.table.borrow().look_up(token)) {
            Some(true) => (Answer::On, say(StatusCode::OK, "switch=on")),
            Some(false) => (Answer::Off, say(StatusCode::OK, "switch=off")),
            None => (Answer::Unknown, say(StatusCode::NOT_FOUND, "")),
        }
    }
}

const HEADERS: [(HeaderName, HeaderValue); 2] =
    [(CACHE_CONTROL, HeaderValue::from_static("no-store")), (CONTENT_TYPE, HeaderValue::from_static("text/plain"))];

fn say(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *response.status_mut() = status;
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, value);
    }
    response
}

/// An answer that ends the connection: what else it brings is not read.
fn last(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = say(status, "");
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
