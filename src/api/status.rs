//! `StatusService`: what is. Reads only; answered here, from what this daemon has applied.

use failoverd_domain::by_hand::{ByHand, by_hand};
use failoverd_domain::fleet::{Run, Trigger};
use failoverd_domain::plan::Plan;
use failoverd_domain::traffic::shifts_of;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::access::caller;
use super::error::{ApiError, ErrorCode};
use super::failover::{Asked, preview};
use super::proto::status_service_server::StatusService;
use super::snapshot::Snapshot;
use super::{Handles, convert, drills, eta, explain, iam, proto, report, watch};
use crate::ports::{HistoryError, Verified, tells_our_past};

/// Answers reads.
#[derive(Clone)]
pub struct StatusApi {
    handles: Handles,
    stop: CancellationToken,
}

impl StatusApi {
    /// Streams end when `stop` is cancelled.
    pub const fn new(handles: Handles, stop: CancellationToken) -> Self {
        Self { handles, stop }
    }
}

/// A run as its readers see it.
pub fn run_message(at: &Snapshot, run: &Run) -> proto::Run {
    eta::with_forecast(at, run, convert::run(run, at.state.services.get(&run.service).map(|service| &*service.spec)))
}

/// The plan as a script of `aws` commands, for the day on which no daemon lives.
fn script(at: &Snapshot, plan: &Plan, known: &eta::Known<'_>) -> Result<String, ApiError> {
    let moved = at.state.services.get(&plan.service).map(|service| at.state.moved_together(service));
    let asked = ByHand {
        plan,
        specs: moved.unwrap_or_default().into_iter().map(|service| &*service.spec).collect(),
        fleet: &at.state.fleet,
        generation: at.state.generation,
        figures: known.usual(plan),
    };
    by_hand(&asked).map_err(|problem| ApiError::new(ErrorCode::Refused, format!("there is no script: {problem}")))
}

/// Runs that match, newest first.
fn runs(at: &Snapshot, service: Option<&str>, open: bool) -> Vec<proto::Run> {
    let mut runs: Vec<&Run> = at
        .state
        .runs
        .values()
        .filter(|run| service.is_none_or(|name| run.service.as_str() == name))
        .filter(|run| !open || !run.state.is_closed())
        .collect();
    runs.sort_by_key(|run| std::cmp::Reverse(run.decided_index));
    runs.into_iter().map(|run| run_message(at, run)).collect()
}

pub fn history_error(error: HistoryError) -> ApiError {
    let code = match error {
        HistoryError::Away(_) => ErrorCode::HistoryAway,
        HistoryError::Contradiction(_) => ErrorCode::HistoryContradicts,
    };
    ApiError::new(code, error.to_string())
}

#[tonic::async_trait]
impl StatusService for StatusApi {
    async fn get_fleet(&self, _: Request<proto::GetFleetRequest>) -> Result<Response<proto::Fleet>, Status> {
        Ok(Response::new(convert::fleet(&self.handles.snapshot())))
    }

    async fn list_services(
        &self,
        _: Request<proto::ListServicesRequest>,
    ) -> Result<Response<proto::ListServicesResponse>, Status> {
        let at = self.handles.snapshot();
        let services = at.state.services.values();
        let services = services.map(|service| convert::service(&at, service, &at.findings(service))).collect();
        Ok(Response::new(proto::ListServicesResponse { answered: Some(at.answered()), services }))
    }

    async fn get_service(
        &self,
        request: Request<proto::GetServiceRequest>,
    ) -> Result<Response<proto::GetServiceResponse>, Status> {
        let actor = caller(&request);
        let name = request.into_inner().name;
        let at = self.handles.snapshot();
        let service = at.service(&name)?;
        let asked = Asked { service: name.clone(), ..Asked::default() };
        let guards = preview(&at, asked, actor, Trigger::Automatic)
            .map(|outlook| convert::guards(&outlook.guards))
            .unwrap_or_default();
        Ok(Response::new(proto::GetServiceResponse {
            answered: Some(at.answered()),
            service: Some(proto::Service {
                checks: convert::checks(&at.matrix.checks(at.now, &service.spec.name)),
                ..convert::service(&at, service, &at.findings(service))
            }),
            guards,
            runs: runs(&at, Some(&name), false),
        }))
    }

    async fn list_runs(
        &self,
        request: Request<proto::ListRunsRequest>,
    ) -> Result<Response<proto::ListRunsResponse>, Status> {
        let request = request.into_inner();
        let at = self.handles.snapshot();
        let runs = runs(&at, request.service.as_deref(), request.open);
        Ok(Response::new(proto::ListRunsResponse { answered: Some(at.answered()), runs }))
    }

    async fn get_run(&self, request: Request<proto::GetRunRequest>) -> Result<Response<proto::GetRunResponse>, Status> {
        let at = self.handles.snapshot();
        let run = run_message(&at, at.run(&request.into_inner().id)?);
        Ok(Response::new(proto::GetRunResponse { answered: Some(at.answered()), run: Some(run) }))
    }

    async fn get_switches(
        &self,
        _: Request<proto::GetSwitchesRequest>,
    ) -> Result<Response<proto::GetSwitchesResponse>, Status> {
        let at = self.handles.snapshot();
        let switches = convert::switches(&at);
        Ok(Response::new(proto::GetSwitchesResponse { answered: Some(at.answered()), switches }))
    }

    async fn list_history(
        &self,
        request: Request<proto::ListHistoryRequest>,
    ) -> Result<Response<proto::ListHistoryResponse>, Status> {
        let filter = convert::filter(request.into_inner());
        let events = self.handles.history.query(&filter).await.map_err(history_error)?;
        let answered = Some(self.handles.snapshot().answered());
        let events = events.into_iter().map(convert::event).collect();
        Ok(Response::new(proto::ListHistoryResponse { answered, events }))
    }

    async fn verify_history(
        &self,
        _: Request<proto::VerifyHistoryRequest>,
    ) -> Result<Response<proto::VerifyHistoryResponse>, Status> {
        // What is wrong with the chain is an answer, not an error.
        let (walked, broken) = match self.handles.history.verify().await {
            Ok(walked) => (walked, None),
            Err(HistoryError::Contradiction(why)) => (Verified::default(), Some(why)),
            Err(away) => return Err(history_error(away).into()),
        };
        let head =
            if broken.is_none() { walked.head.clone() } else { self.handles.history.head().await.unwrap_or_default() };
        let at = self.handles.snapshot();
        let agreed = &at.state.head;
        let (history, outbox) = (self.handles.history.as_ref(), self.handles.outbox.as_ref());
        let ours = broken.is_some() || tells_our_past(history, outbox, &head, agreed).await.map_err(history_error)?;
        let forked = || format!("event {} is not the one that the fleet agreed on", head.seq.min(agreed.seq));
        let problem = broken.or_else(|| (!ours).then(forked));
        Ok(Response::new(proto::VerifyHistoryResponse {
            answered: Some(at.answered()),
            ok: problem.is_none(),
            events: walked.events(),
            removed: walked.anchor.map(convert::removal),
            head_seq: head.seq,
            behind: agreed.seq.saturating_sub(head.seq),
            head_hash: head.hash,
            problem,
        }))
    }

    async fn get_report(
        &self,
        request: Request<proto::GetReportRequest>,
    ) -> Result<Response<proto::GetReportResponse>, Status> {
        Ok(Response::new(report::answer(&self.handles, request.into_inner()).await?))
    }

    async fn plan(&self, request: Request<proto::PlanRequest>) -> Result<Response<proto::PlanResponse>, Status> {
        let actor = caller(&request);
        let request = request.into_inner();
        let at = self.handles.snapshot();
        let wants_script = request.script;
        let asked = Asked {
            mode: convert::mode_asked(request.mode()),
            movement: convert::movement_asked(request.movement()),
            service: request.service,
            from: request.from,
            to: request.to,
            ..Asked::default()
        };
        let outlook = preview(&at, asked, actor, Trigger::Operator)?;
        let known = eta::Known::of(&at.state, &outlook.plan.service);
        let eta = known.eta(&outlook.plan);
        // A switch that has no checks yet moves nobody yet.
        let moved = at.state.services.get(&outlook.plan.service).map(|service| at.state.moved_together(service));
        let wanted =
            moved.unwrap_or_default().into_iter().filter_map(|service| crate::survey::wanted(&at.state, service).ok());
        let shifts = wanted.flat_map(|wanted| shifts_of(&outlook.plan, &wanted, &at.state)).collect();
        let mut answer = convert::plan(at.answered(), &outlook, eta, shifts);
        known.figures(&outlook.plan, answer.steps.iter_mut());
        if wants_script {
            answer.script = Some(script(&at, &outlook.plan, &known)?);
        }
        Ok(Response::new(answer))
    }

    async fn explain_route(
        &self,
        request: Request<proto::ExplainRouteRequest>,
    ) -> Result<Response<proto::ExplainRouteResponse>, Status> {
        Ok(Response::new(explain::answer(&self.handles, request.into_inner()).await?))
    }

    async fn get_iam_policy(
        &self,
        request: Request<proto::GetIamPolicyRequest>,
    ) -> Result<Response<proto::GetIamPolicyResponse>, Status> {
        Ok(Response::new(iam::answer(&self.handles, request.into_inner()).await))
    }

    async fn list_drills(
        &self,
        request: Request<proto::ListDrillsRequest>,
    ) -> Result<Response<proto::ListDrillsResponse>, Status> {
        let at = self.handles.snapshot();
        let drills = drills::list(&at, request.get_ref());
        Ok(Response::new(proto::ListDrillsResponse { answered: Some(at.answered()), drills }))
    }

    async fn get_drill(
        &self,
        request: Request<proto::GetDrillRequest>,
    ) -> Result<Response<proto::GetDrillResponse>, Status> {
        Ok(Response::new(drills::whole(&self.handles.snapshot(), &request.get_ref().name)?))
    }

    async fn get_drill_run(
        &self,
        request: Request<proto::GetDrillRunRequest>,
    ) -> Result<Response<proto::WatchDrillRunResponse>, Status> {
        let at = self.handles.snapshot();
        Ok(Response::new(drills::picture(&at, at.drill_run(&request.get_ref().id)?)))
    }

    type WatchDrillRunStream = watch::Stream<proto::WatchDrillRunResponse>;

    async fn watch_drill_run(
        &self,
        request: Request<proto::WatchDrillRunRequest>,
    ) -> Result<Response<Self::WatchDrillRunStream>, Status> {
        let request = request.into_inner();
        self.handles.snapshot().drill_run(&request.id)?;
        Ok(Response::new(drills::watch(self.handles.clone(), request.id, request.after_revision, self.stop.clone())))
    }

    type WatchFleetStream = watch::Stream<proto::Fleet>;

    async fn watch_fleet(
        &self,
        request: Request<proto::WatchFleetRequest>,
    ) -> Result<Response<Self::WatchFleetStream>, Status> {
        let after = request.into_inner().after_revision;
        Ok(Response::new(watch::fleet(self.handles.clone(), after, self.stop.clone())))
    }

    type WatchRunStream = watch::Stream<proto::WatchRunResponse>;

    async fn watch_run(
        &self,
        request: Request<proto::WatchRunRequest>,
    ) -> Result<Response<Self::WatchRunStream>, Status> {
        let request = request.into_inner();
        self.handles.snapshot().run(&request.id)?;
        Ok(Response::new(watch::run(self.handles.clone(), request.id, request.after_revision, self.stop.clone())))
    }
}
