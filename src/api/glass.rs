//! `BreakGlassService`: signed requests, from whoever carries them.
//!
//! Nobody is asked who they are, so nothing here may change anything, or cost much, before enough enrolled people's signatures
//! are verified. They are verified again by everybody who applies the entry; this is the door, not the lock.

use std::sync::Arc;

use failoverd_domain::fleet::{Actor, Command, FailoverRequest, Trigger, outlook, propose_failover};
use failoverd_domain::glass::{DEFAULT_VALID_MS, Glass, GlassRequest, MOST_VALID_MS, Refused};
use failoverd_domain::ids::Region;
use failoverd_domain::plan::{Mode, Movement};
use failoverd_domain::service::Pattern;
use rand::RngCore;
use rand::rngs::OsRng;
use tonic::{Request, Response, Status};

use super::accept::Line;
use super::access::{Identity, Rates};
use super::error::{ApiError, ErrorCode};
use super::proto::break_glass_service_server::BreakGlassService;
use super::snapshot::Snapshot;
use super::{Handles, proto};

/// Requests are small; anything larger is none.
pub const LARGEST: usize = 16 * 1024;
/// Tries of one caller, of what is usual: five at once, and then one a second or so.
const TRIES: f64 = 0.025;

/// Takes signed requests.
#[derive(Clone)]
pub struct BreakGlassApi {
    handles: Handles,
    tries: Arc<Rates>,
}

type Answer<T> = Result<Response<T>, Status>;

impl BreakGlassApi {
    /// Commits through these handles.
    pub fn new(handles: Handles) -> Self {
        Self { handles, tries: Arc::default() }
    }

    /// Whoever it is may try so often and no more: guessing is hopeless, but it need not cost us anything either.
    fn count<T>(&self, request: &Request<T>) -> Result<String, ApiError> {
        let named = request.extensions().get::<Identity>().filter(|identity| !identity.roles.is_empty());
        let from = request.extensions().get::<Arc<Line>>().map(|line| format!("somebody at {}", line.from));
        let caller = named.map(|identity| identity.name.clone()).or(from).unwrap_or_else(|| "somebody".to_owned());
        if self.tries.admits(&caller, TRIES) {
            return Ok(caller);
        }
        Err(ApiError::new(ErrorCode::TooMany, format!("{caller} tries too often: wait some seconds")))
    }
}

#[tonic::async_trait]
impl BreakGlassService for BreakGlassApi {
    async fn prepare(&self, request: Request<proto::PrepareGlassRequest>) -> Answer<proto::PrepareGlassResponse> {
        self.count(&request)?;
        let at = self.handles.caught_up().await?;
        Ok(Response::new(prepare(&at, request.into_inner())?))
    }

    async fn submit(&self, request: Request<proto::SubmitGlassRequest>) -> Answer<proto::SubmitGlassResponse> {
        let caller = self.count(&request)?;
        let answer = self.submitted(&request.into_inner().glass).await;
        match &answer {
            Ok(answer) if !answer.again => {
                tracing::warn!(caller, actor = answer.actor, run = answer.run, "the glass is broken")
            }
            Ok(_) => {}
            Err(error) => tracing::error!(caller, %error, "a signed request was refused"),
        }
        Ok(Response::new(answer?))
    }
}

impl BreakGlassApi {
    async fn submitted(&self, text: &str) -> Result<proto::SubmitGlassResponse, ApiError> {
        let glass = read(text)?;
        let at = self.handles.caught_up().await?;
        if let Some(answer) = used_before(&at, &glass)? {
            return Ok(answer);
        }
        let actor = Actor::BreakGlass(at.state.opens(at.now, &glass).map_err(refused)?);
        let mut decision =
            propose_failover(at.now, &at.state, &at.matrix, &at.view, &move_of(&at, &glass, actor.clone()))?;
        decision.glass = Some(Box::new(glass));
        let name = actor.to_string();
        let applied = self.handles.commit(actor, Command::Decide(Box::new(decision))).await?;
        let (at, revision) = (self.handles.snapshot(), applied.index.0);
        let run = applied.result.ok().flatten().map(|run| run.to_string()).unwrap_or_default();
        let (state, verdict) = standing(&at, &run);
        Ok(proto::SubmitGlassResponse { revision, run, state, verdict, actor: name, again: false })
    }
}

fn read(text: &str) -> Result<Glass, ApiError> {
    if text.len() > LARGEST {
        return Err(ApiError::new(ErrorCode::BreakGlassRefused, format!("a request has at most {LARGEST} bytes")));
    }
    serde_json::from_str(text).map_err(|error| {
        let message = format!("it is not a request as `failoverctl break-glass request` makes it: {error}");
        ApiError::new(ErrorCode::BreakGlassRefused, message)
    })
}

fn refused(refused: Refused) -> ApiError {
    ApiError::new(ErrorCode::BreakGlassRefused, refused.to_string())
}

/// Whose answer was lost hands it in again, and so does who wants to know how the move stands: with the same signatures.
fn used_before(at: &Snapshot, glass: &Glass) -> Result<Option<proto::SubmitGlassResponse>, ApiError> {
    let (Some(used), Some(enrolment)) = (at.state.broken_glass.get(&glass.request.nonce), at.state.enrolment()) else {
        return Ok(None);
    };
    let actor = Actor::BreakGlass(glass.names(enrolment).map_err(refused)?).to_string();
    let run = used.run.to_string();
    let (state, verdict) = standing(at, &run);
    Ok(Some(proto::SubmitGlassResponse { revision: at.state.applied.0, run, state, verdict, actor, again: true }))
}

fn standing(at: &Snapshot, run: &str) -> (String, Option<String>) {
    let run = at.state.runs.get(run);
    (run.map(|run| run.state.word().to_owned()).unwrap_or_default(), run.and_then(|run| run.verdict.clone()))
}

fn move_of(at: &Snapshot, glass: &Glass, actor: Actor) -> FailoverRequest {
    let asked = &glass.request;
    let service = at.state.services.get(&asked.service);
    let is_many = service.is_some_and(|service| service.spec.pattern == Pattern::ActiveActive);
    FailoverRequest {
        service: asked.service.clone(),
        movement: if is_many { Movement::Evacuate } else { Movement::Failover },
        from: Some(asked.from.clone()),
        to: Some(asked.to.clone()),
        mode: Some(asked.mode),
        trigger: Trigger::Operator,
        actor,
        reason: Some(asked.reason.clone()),
        plan_hash: None,
        drill: None,
    }
}

/// A request for the service as it stands: nobody who cannot sign in could find out its epoch.
fn prepare(at: &Snapshot, asked: proto::PrepareGlassRequest) -> Result<proto::PrepareGlassResponse, ApiError> {
    let enrolment = at.state.enrolment().ok_or_else(|| refused(Refused::NotEnrolled))?;
    let valid_ms = if asked.valid_ms == 0 { DEFAULT_VALID_MS } else { asked.valid_ms };
    if valid_ms > MOST_VALID_MS {
        return Err(ApiError::new(ErrorCode::InvalidArgument, "a request is good for an hour at most"));
    }
    let service = at.service(&asked.service)?;
    let region = |name: Option<String>| name.filter(|name| !name.is_empty()).map(Region::from);
    let mut nonce = [0_u8; 16];
    OsRng.fill_bytes(&mut nonce);
    let request = GlassRequest {
        fleet: at.state.fleet.clone(),
        generation: at.state.generation,
        service: service.spec.name.clone(),
        epoch: service.epoch,
        from: region(asked.from).unwrap_or_else(|| service.primary.clone()),
        to: region(asked.to).or_else(|| other(at, &asked.service)).unwrap_or_default(),
        mode: Mode::Forced,
        reason: asked.reason,
        expires_at: at.now.plus_ms(valid_ms),
        nonce: nonce.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    request.check().map_err(|why| ApiError::new(ErrorCode::InvalidArgument, why.to_string()))?;
    let glass = Glass { request, signatures: Vec::new() };
    // Nobody shall be woken to sign what could not be done.
    let actor = Actor::BreakGlass("nobody".to_owned());
    let seen = outlook(at.now, &at.state, &at.matrix, &at.view, &move_of(at, &glass, actor))?;
    if (&seen.plan.from, &seen.plan.to) != (&glass.request.from, &glass.request.to) {
        let message = format!("{} would leave {}, not {}", asked.service, seen.plan.from, glass.request.from);
        return Err(ApiError::new(ErrorCode::Refused, message));
    }
    let text =
        serde_json::to_string_pretty(&glass).map_err(|error| ApiError::new(ErrorCode::Internal, error.to_string()))?;
    let enrolled = u32::try_from(enrolment.keys.len()).unwrap_or(u32::MAX);
    Ok(proto::PrepareGlassResponse { glass: text, threshold: enrolment.threshold, enrolled })
}

fn other(at: &Snapshot, service: &str) -> Option<Region> {
    at.state.services.get(service).and_then(|service| service.standby()).cloned()
}
