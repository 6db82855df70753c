//! The door: every call passes it before anything else looks at it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::AUTHORIZATION;
use http::{Request, Response};
use tonic::body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::certificate::has_expired;
use super::in_time::InTime;
use super::rates::{A_SECOND, OF_AN_ADDRESS, Rates};
use super::table::{Who, who_may};
use super::{ACTOR_KEY, Access, Identity, Role};
use crate::api::accept::Line;
use crate::api::error::{ApiError, ErrorCode};
use crate::ports::Clock;

/// Most characters of a path in the log; the caller chooses it.
const LONGEST_PATH: usize = 128;
/// How the paths begin that are called without a limit of time: peers have deadlines of their own, and reflection is a conversation.
const UNHURRIED: [&str; 2] = ["/failoverd.v1.PeerService/", "/grpc.reflection."];

/// Puts the door before services.
#[derive(Clone)]
pub struct DoorLayer(Arc<Keeper>);

/// Whoever stands at the door.
struct Keeper {
    /// `None`: without TLS, on loopback, where everybody may do everything.
    access: Option<Access>,
    clock: Arc<dyn Clock>,
    rates: Rates,
}

impl DoorLayer {
    /// A door for those who may come in by `access`; without it, for everybody.
    pub fn new(access: Option<Access>, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Keeper { access, clock, rates: Rates::default() }))
    }
}

impl<S> Layer<S> for DoorLayer {
    type Service = Door<S>;

    fn layer(&self, inner: S) -> Door<S> {
        Door { inner, keeper: self.0.clone() }
    }
}

/// Lets a call in or answers it.
#[derive(Clone)]
pub struct Door<S> {
    inner: S,
    keeper: Arc<Keeper>,
}

impl<S> Service<Request<Body>> for Door<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        // The one that was polled ready is the one that is called.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        let (keeper, asking) = (self.keeper.clone(), Asking::of(&request));
        // Nobody behind the door needs it, so nobody behind it can log it.
        request.headers_mut().remove(AUTHORIZATION);
        Box::pin(async move {
            match keeper.admit(asking).await {
                Ok(identity) => {
                    let path = request.uri().path();
                    if !UNHURRIED.iter().any(|service| path.starts_with(service)) {
                        request = request.map(InTime::body);
                    }
                    request.extensions_mut().insert(identity);
                    inner.call(request).await
                }
                Err(refused) => {
                    let path: String = request.uri().path().chars().take(LONGEST_PATH).collect();
                    // Whoever calls too often is not to fill the log by that; the metrics count it.
                    if refused.code == ErrorCode::TooMany {
                        tracing::debug!(path, error = %refused, "a call was refused");
                    } else {
                        tracing::warn!(path, error = %refused, "a call was refused");
                    }
                    Ok(tonic::Status::from(refused).into_http())
                }
            }
        })
    }
}

/// What is known of a call before it is let in.
struct Asking {
    path: String,
    line: Option<Arc<Line>>,
    token: Option<String>,
    named: Option<String>,
}

impl Asking {
    fn of(request: &Request<Body>) -> Self {
        let text = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        let bearer = |value: &str| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
        };
        Self {
            path: request.uri().path().to_owned(),
            line: request.extensions().get::<Arc<Line>>().cloned(),
            token: text(AUTHORIZATION.as_str()).and_then(bearer),
            named: text(ACTOR_KEY).map(str::to_owned),
        }
    }
}

impl Keeper {
    /// Who is calling, if it may.
    async fn admit(&self, asking: Asking) -> Result<Identity, ApiError> {
        let Some(access) = &self.access else { return Ok(Identity::in_dev(asking.named.as_deref())) };
        // Whatever is not in the table is not served: the services behind say so in their own words to whoever has a role.
        let who = who_may(&asking.path).unwrap_or(Who::Any(&Role::ALL));
        let by_certificate = asking.line.as_ref().and_then(|line| line.identity.clone());
        self.count(&asking, by_certificate.as_ref())?;
        let identified = match &asking.token {
            Some(token) => self.identify(access, token).await.map(Some),
            None => self.is_valid(&asking).map(|()| by_certificate),
        };
        let Who::Any(roles) = who else {
            // What is open to everybody is so with a token that has expired too: break-glass is for when no other can be had.
            let identity = identified.ok().flatten();
            return Ok(identity.unwrap_or_else(|| Identity::of("nobody", [].into(), [].into())));
        };
        let identity = identified?;
        let identity = identity.ok_or_else(|| not_authenticated(access))?;
        if roles.iter().any(|role| identity.roles.contains(role)) {
            return Ok(identity);
        }
        Err(not_allowed(&identity, &asking.path, roles))
    }

    /// The handshake has judged the certificate, but a connection may outlive it. Those of peers are to: what they agree on must
    /// not end with a certificate that is replaced a moment late.
    fn is_valid(&self, asking: &Asking) -> Result<(), ApiError> {
        let Some(Line { identity: Some(identity), until: Some(until), .. }) = asking.line.as_deref() else {
            return Ok(());
        };
        if identity.roles.contains(&Role::Peer) || !has_expired(*until, self.clock.now()) {
            return Ok(());
        }
        let message = format!("the certificate has expired at {until}: connect with a new one");
        Err(ApiError::new(ErrorCode::NotAuthenticated, message))
    }

    /// Before a signature is judged, since that is what costs.
    fn count(&self, asking: &Asking, by_certificate: Option<&Identity>) -> Result<(), ApiError> {
        let (caller, times) = match (by_certificate, &asking.line) {
            (Some(identity), _) if identity.roles.contains(&Role::Peer) => return Ok(()),
            (Some(identity), _) => (identity.name.clone(), 1.0),
            (None, Some(line)) => (format!("somebody at {}", line.from), OF_AN_ADDRESS),
            (None, None) => ("somebody".to_owned(), 1.0),
        };
        if self.rates.admits(&caller, times) {
            return Ok(());
        }
        let message = format!("{caller} calls more than {} times a second: wait a moment", A_SECOND * times);
        Err(ApiError::new(ErrorCode::TooMany, message))
    }

    async fn identify(&self, access: &Access, token: &str) -> Result<Identity, ApiError> {
        let Some(tokens) = &access.tokens else {
            let message = "no tokens are taken here: access.oidc is not configured";
            return Err(ApiError::new(ErrorCode::NotAuthenticated, message));
        };
        let identified = tokens.identify(token, self.clock.now()).await;
        identified.map_err(|error| ApiError::new(ErrorCode::NotAuthenticated, error.to_string()))
    }
}

fn not_authenticated(access: &Access) -> ApiError {
    let or = if access.tokens.is_some() { " or a token" } else { "" };
    let message = format!("who is calling? Show a client certificate of the fleet's authority{or}");
    ApiError::new(ErrorCode::NotAuthenticated, message)
}

fn not_allowed(identity: &Identity, path: &str, roles: &[Role]) -> ApiError {
    let call = path.rsplit('/').next().unwrap_or(path);
    let needed: Vec<&str> = roles.iter().map(|role| role.word()).collect();
    let message = format!(
        "{} ({}) may not call {call}: it needs the role {}",
        identity.name,
        identity.roles_in_words(),
        needed.join(" or ")
    );
    ApiError::new(ErrorCode::NotAllowed, message)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use axum::body::Bytes;
    use failoverd_domain::time::Timestamp;
    use futures_util::stream;
    use http_body::Frame;
    use http_body_util::{BodyExt, StreamBody};

    use super::*;
    use crate::api::access::certificate::Named;
    use crate::api::access::in_time::BODY_TIME;
    use crate::api::access::rules::Rules;
    use crate::sim::world::TokioClock;

    const EXPIRES: Timestamp = Timestamp(1_000_000_000);

    /// Whether somebody is let in so long after their certificate's end, on a connection that was made before.
    async fn is_admitted(uri: &str, call: &str, ms_later: u64) -> bool {
        let here = BTreeMap::from([("eu-west-1".into(), "https://eu.example.com".to_owned())]);
        let access = Access::by_certificates(Rules::new("prod".into(), &here, Vec::new()));
        let named = Named { uris: vec![uri.to_owned()], expires: EXPIRES, ..Named::default() };
        let from = std::net::IpAddr::from([192, 0, 2, 1]);
        let line = Line { from, identity: Some(access.rules.identify(&named)), until: Some(named.expires) };
        let clock = Arc::new(TokioClock::starting_at(EXPIRES.plus_ms(ms_later)));
        let keeper = Keeper { access: Some(access), clock, rates: Rates::default() };
        let asking = Asking { path: format!("/{call}"), line: Some(Arc::new(line)), token: None, named: None };
        match keeper.admit(asking).await {
            Ok(_) => true,
            Err(refused) => {
                assert_eq!(refused.code, ErrorCode::NotAuthenticated);
                assert!(refused.to_string().contains("the certificate has expired at"), "{refused}");
                false
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_outlives_its_certificate_is_good_for_peers_alone() {
        let (alice, peer) = ("failoverd://prod/admin/alice", "failoverd://prod/peer/eu-west-1");
        let pause = "failoverd.v1.ControlService/Pause";
        assert!(is_admitted(alice, pause, 999).await, "its last second counts");
        assert!(!is_admitted(alice, pause, 1_000).await);
        assert!(is_admitted(peer, "failoverd.v1.PeerService/Raft", 1_000_000).await);
        assert!(is_admitted(alice, "failoverd.v1.BreakGlassService/Submit", 1_000_000).await, "as anybody's");
    }

    /// Reads the whole of a call's body.
    #[derive(Clone)]
    struct Reader;

    impl Service<Request<Body>> for Reader {
        type Response = Response<Body>;
        type Error = std::convert::Infallible;
        type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Request<Body>) -> Self::Future {
            Box::pin(async {
                let read = request.into_body().collect().await;
                Ok(read.map_or_else(tonic::Status::into_http, |_| Response::default()))
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_does_not_come_whole_ends_but_for_a_peers() {
        let clock = Arc::new(TokioClock::starting_at(EXPIRES));
        for (service, ends) in [("ControlService/Pause", true), ("PeerService/Raft", false)] {
            let never = StreamBody::new(stream::pending::<Result<Frame<Bytes>, tonic::Status>>());
            let call = Request::post(format!("/failoverd.v1.{service}")).body(Body::new(never)).unwrap();
            let mut door = DoorLayer::new(None, clock.clone()).layer(Reader);
            let answered = tokio::time::timeout(BODY_TIME * 2, door.call(call)).await;
            let status = answered.ok().map(|answer| answer.unwrap().headers()["grpc-status"].clone());
            assert_eq!(status.is_some_and(|status| status == "4"), ends, "{service}");
        }
    }
}
