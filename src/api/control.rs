//! `ControlService`: changes, each one committed entry with its caller's name on it.

use std::time::Duration;

use failoverd_domain::drill::DrillState;
use failoverd_domain::fleet::{Command, Entry, Run, StepState};
use failoverd_domain::ids::{Region, RunId, ServiceName, StepName};
use failoverd_domain::manifest::{DRILL_KIND, KIND, Manifests, drill_to_manifest, to_manifest};
use failoverd_domain::service::Pattern;
use tonic::{Request, Response, Status};

use super::access::caller;
use super::error::{ApiError, ErrorCode};
use super::failover::{Asked, decide};
use super::proto::control_service_server::ControlService;
use super::review::{Review, review};
use super::snapshot::Snapshot;
use super::status::run_message;
use super::{Handles, apply, convert, drills, proto};
use crate::telemetry::Logs;

/// How long another log filter may be in force, milliseconds.
const LASTS_MS: std::ops::RangeInclusive<u64> = 1_000..=86_400_000;

/// Commits changes.
#[derive(Clone)]
pub struct ControlApi {
    handles: Handles,
}

type Answer<T> = Result<Response<T>, Status>;

impl ControlApi {
    /// Commits through these handles.
    pub const fn new(handles: Handles) -> Self {
        Self { handles }
    }

    /// Commits a command about a run and answers with the run as it is then.
    async fn change_run<T: Send>(
        &self,
        request: &Request<T>,
        run: &RunId,
        command: Command,
    ) -> Answer<proto::RunResponse> {
        let applied = self.handles.commit(caller(request), command).await?;
        let at = self.handles.snapshot();
        let run = at.run(run.as_str()).ok().map(|run| run_message(&at, run));
        Ok(Response::new(proto::RunResponse { revision: applied.index.0, run, drill_run: None }))
    }

    async fn change<T: Send>(
        &self,
        request: &Request<T>,
        command: Command,
        done: String,
    ) -> Answer<proto::ChangeResponse> {
        let applied = self.handles.commit(caller(request), command).await?;
        Ok(Response::new(proto::ChangeResponse { revision: applied.index.0, message: done }))
    }
}

/// The step meant: the one named, or the only one that went wrong.
fn step_meant(run: &Run, named: Option<&str>) -> Result<StepName, ApiError> {
    if let Some(name) = named.filter(|name| !name.is_empty()) {
        let name = StepName::from(name);
        let unknown = || ApiError::new(ErrorCode::UnknownStep, format!("run \"{}\" has no step \"{name}\"", run.id));
        return run.plan.step(&name).map(|step| step.name.clone()).ok_or_else(unknown);
    }
    let failed: Vec<&StepName> =
        run.steps.iter().filter(|(_, journal)| journal.state == StepState::Failed).map(|(name, _)| name).collect();
    match failed.as_slice() {
        [only] => Ok((*only).clone()),
        [] => Err(ApiError::new(ErrorCode::UnknownStep, format!("no step of run \"{}\" has failed", run.id))),
        several => {
            let names: Vec<&str> = several.iter().map(|name| name.as_str()).collect();
            let message = format!("several steps have failed; say which with --step: {}", names.join(", "));
            Err(ApiError::new(ErrorCode::UnknownStep, message))
        }
    }
}

/// The bit and the value that say "`region` serves" or not. Active-passive: one bit, of the group's first Region.
fn bit_meant(at: &Snapshot, request: &proto::SetSwitchRequest) -> Result<Command, ApiError> {
    let spec = &at.service(&request.service)?.spec;
    let region = Region::from(request.region.as_str());
    if !spec.regions.contains(&region) {
        let message = format!("service \"{}\" does not live in Region \"{region}\"", spec.name);
        return Err(ApiError::new(ErrorCode::UnknownRegion, message));
    }
    if let Some(lead) = at.state.moves_with(spec) {
        let message = format!("{} shares the switch of {lead} and moves with it: set the switch of {lead}", spec.name);
        return Err(ApiError::new(ErrorCode::Refused, message));
    }
    let group = spec.switch_group();
    let first = at.state.switches.get(&group).and_then(|switch| switch.regions.first()).unwrap_or(&spec.regions[0]);
    let (bit, on) = match spec.pattern {
        Pattern::ActivePassive if &region != first => (first.clone(), !request.on),
        Pattern::ActivePassive | Pattern::ActiveActive => (region, request.on),
    };
    Ok(Command::SetSwitch { group, region: bit, on, run: None })
}

#[tonic::async_trait]
impl ControlService for ControlApi {
    async fn apply(&self, request: Request<proto::ApplyRequest>) -> Answer<proto::ApplyResponse> {
        let actor = caller(&request);
        let proto::ApplyRequest { files, prune, dry_run, confirm } = request.into_inner();
        let at = self.handles.caught_up().await?;
        let Manifests { services: specs, drills } = apply::read(&at, &files, prune)?;
        let manifests = apply::compare(&at.state, &specs, &drills, prune);
        let lapsing = apply::lapsing_licences(&at, &specs);
        let command = apply::command(specs.clone(), drills, prune);
        let entry = Entry::new(at.now, actor.clone(), command);
        let mut review = review(&self.handles.world, &at.state, &entry, &specs).await?;
        review.warnings.extend(lapsing);
        let mut revision = at.state.applied.0;
        if !dry_run {
            review.judge(&confirm)?;
            revision = self.handles.commit(actor, entry.command).await?.index.0;
        }
        Ok(Response::new(proto::ApplyResponse {
            revision,
            dry_run,
            manifests,
            blocked: review.refusing(),
            changes: review.changes,
            health_checks: Some(review.health_checks),
            monthly_cost_usd: review.monthly_cost_usd,
            warnings: review.warnings,
            needs_confirm: review.needs_confirm.into_keys().collect(),
            cost_basis: Review::cost_basis(),
        }))
    }

    async fn delete(&self, request: Request<proto::DeleteRequest>) -> Answer<proto::ChangeResponse> {
        let name = request.get_ref().service.clone();
        let at = self.handles.caught_up().await?;
        at.service(&name)?;
        apply::refuse_while_drilled(&at, &name)?;
        let done = format!("service {name} is forgotten; its AWS resources stay");
        self.change(&request, Command::Delete { service: name.into() }, done).await
    }

    async fn export(&self, request: Request<proto::ExportRequest>) -> Answer<proto::ExportResponse> {
        let at = self.handles.snapshot();
        let only = request.into_inner().service.filter(|name| !name.is_empty());
        if let Some(name) = &only {
            at.service(name)?;
        }
        let wanted = at.state.services.iter().filter(|(name, _)| only.as_ref().is_none_or(|it| it == name.as_str()));
        let mut manifests = Vec::new();
        for (name, service) in wanted {
            let yaml = serde_saphyr::to_string(&to_manifest(&service.spec))
                .map_err(|error| ApiError::new(ErrorCode::Internal, error.to_string()))?;
            manifests.push(proto::ExportedManifest { kind: KIND.to_owned(), name: name.to_string(), yaml });
        }
        let of_wanted = |drill: &&DrillState| only.as_ref().is_none_or(|it| it == drill.spec.service.as_str());
        for drill in at.state.drills.values().filter(of_wanted) {
            let yaml = serde_saphyr::to_string(&drill_to_manifest(&drill.spec))
                .map_err(|error| ApiError::new(ErrorCode::Internal, error.to_string()))?;
            let name = drill.spec.name.to_string();
            manifests.push(proto::ExportedManifest { kind: DRILL_KIND.to_owned(), name, yaml });
        }
        Ok(Response::new(proto::ExportResponse { answered: Some(at.answered()), manifests }))
    }

    async fn failover(&self, request: Request<proto::FailoverRequest>) -> Answer<proto::FailoverResponse> {
        let actor = caller(&request);
        let request = request.into_inner();
        let at = self.handles.caught_up().await?;
        let asked = Asked {
            mode: convert::mode_asked(request.mode()),
            movement: convert::movement_asked(request.movement()),
            service: request.service,
            from: request.from,
            to: request.to,
            reason: Some(request.reason),
            plan_hash: request.plan_hash,
        };
        let decision = decide(&at, asked, actor.clone())?;
        let applied = self.handles.commit(actor, Command::Decide(Box::new(decision))).await?;
        let at = self.handles.snapshot();
        let run = applied.result.ok().flatten();
        let run = run.and_then(|id| at.state.runs.get(&id)).map(|run| run_message(&at, run));
        Ok(Response::new(proto::FailoverResponse { revision: applied.index.0, run }))
    }

    async fn approve_run(&self, request: Request<proto::ApproveRunRequest>) -> Answer<proto::RunResponse> {
        let at = self.handles.caught_up().await?;
        if let Some(execution) = at.state.drill_runs.get(request.get_ref().run.as_str()) {
            let (run, actor) = (execution.id.clone(), caller(&request));
            let answer = drills::change(&self.handles, actor, &run, Command::ApproveDrill { run: run.clone() }).await?;
            let (revision, drill_run) = (answer.revision, answer.run);
            return Ok(Response::new(proto::RunResponse { revision, run: None, drill_run }));
        }
        let run = at.run(&request.get_ref().run)?.id.clone();
        self.change_run(&request, &run, Command::Approve { run: run.clone() }).await
    }

    async fn delete_drill(&self, request: Request<proto::DeleteDrillRequest>) -> Answer<proto::ChangeResponse> {
        let name = self.handles.caught_up().await?.drill(&request.get_ref().drill)?.spec.name.clone();
        let done = format!("drill {name} is forgotten; its record stays in the history");
        self.change(&request, Command::DeleteDrill { drill: name }, done).await
    }

    async fn run_drill(&self, request: Request<proto::RunDrillRequest>) -> Answer<proto::DrillRunResponse> {
        let actor = caller(&request);
        Ok(Response::new(drills::run(&self.handles, actor, &request.get_ref().drill).await?))
    }

    async fn cancel_drill(&self, request: Request<proto::CancelDrillRequest>) -> Answer<proto::DrillRunResponse> {
        let actor = caller(&request);
        let asked = request.into_inner();
        let run = drills::meant(&self.handles.caught_up().await?, &asked.run)?;
        let command = Command::CancelDrill { run: run.clone(), reason: asked.reason };
        Ok(Response::new(drills::change(&self.handles, actor, &run, command).await?))
    }

    async fn failback(&self, request: Request<proto::FailbackRequest>) -> Answer<proto::FailbackResponse> {
        let actor = caller(&request);
        Ok(Response::new(drills::fail_back(&self.handles, actor, request.into_inner()).await?))
    }

    async fn abort_run(&self, request: Request<proto::AbortRunRequest>) -> Answer<proto::RunResponse> {
        let run = self.handles.caught_up().await?.run(&request.get_ref().run)?.id.clone();
        let reason = request.get_ref().reason.clone();
        self.change_run(&request, &run, Command::Abort { run: run.clone(), reason }).await
    }

    async fn retry_step(&self, request: Request<proto::StepRequest>) -> Answer<proto::RunResponse> {
        let at = self.handles.caught_up().await?;
        let run = at.run(&request.get_ref().run)?;
        let step = step_meant(run, request.get_ref().step.as_deref())?;
        self.change_run(&request, &run.id, Command::Retry { run: run.id.clone(), step }).await
    }

    async fn skip_step(&self, request: Request<proto::StepRequest>) -> Answer<proto::RunResponse> {
        let at = self.handles.caught_up().await?;
        let run = at.run(&request.get_ref().run)?;
        let step = step_meant(run, request.get_ref().step.as_deref())?;
        self.change_run(&request, &run.id, Command::Skip { run: run.id.clone(), step }).await
    }

    async fn set_switch(&self, request: Request<proto::SetSwitchRequest>) -> Answer<proto::ChangeResponse> {
        let asked = request.get_ref();
        let command = bit_meant(&self.handles.caught_up().await?, asked)?;
        let done = format!("{} in {} is switched {}", asked.service, asked.region, if asked.on { "on" } else { "off" });
        self.change(&request, command, done).await
    }

    async fn pause(&self, request: Request<proto::PauseRequest>) -> Answer<proto::ChangeResponse> {
        let service = self.service_meant(request.get_ref().service.as_deref()).await?;
        let done = format!("automatic action is off for {}", whom(service.as_ref()));
        self.change(&request, Command::Pause { service }, done).await
    }

    async fn resume(&self, request: Request<proto::ResumeRequest>) -> Answer<proto::ChangeResponse> {
        let service = self.service_meant(request.get_ref().service.as_deref()).await?;
        let done = format!("automatic action is on for {}", whom(service.as_ref()));
        self.change(&request, Command::Resume { service }, done).await
    }

    async fn show_log_filter(&self, _: Request<proto::ShowLogFilterRequest>) -> Answer<proto::LogFilterResponse> {
        Ok(Response::new(self.log_filter(self.handles.telemetry.logs.get())))
    }

    async fn set_log_filter(&self, request: Request<proto::SetLogFilterRequest>) -> Answer<proto::LogFilterResponse> {
        let actor = caller(&request);
        let proto::SetLogFilterRequest { filter, lasts_ms } = request.into_inner();
        let logs = &self.handles.telemetry.logs;
        let set = match &filter {
            None => logs.reset(),
            Some(_) if !LASTS_MS.contains(&lasts_ms) => Err("it lasts a second at least and 24h at most".to_owned()),
            Some(filter) => logs.set(filter, Duration::from_millis(lasts_ms)),
        };
        let now = set.map_err(|why| ApiError::new(ErrorCode::InvalidArgument, why))?;
        tracing::warn!(%actor, filter = now.filter, "who changed the log filter");
        Ok(Response::new(self.log_filter(now)))
    }
}

impl ControlApi {
    fn log_filter(&self, logs: Logs) -> proto::LogFilterResponse {
        let Logs { filter, back } = logs;
        let (configured, left) = back.map_or_else(|| (filter.clone(), None), |(base, left)| (base, Some(left)));
        proto::LogFilterResponse {
            region: self.handles.me.to_string(),
            filter,
            configured,
            back_in_ms: left.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
        }
    }

    async fn service_meant(&self, named: Option<&str>) -> Result<Option<ServiceName>, ApiError> {
        let Some(name) = named.filter(|name| !name.is_empty()) else { return Ok(None) };
        self.handles.caught_up().await?.service(name)?;
        Ok(Some(name.into()))
    }
}

fn whom(service: Option<&ServiceName>) -> String {
    service.map_or_else(|| "the whole fleet".to_owned(), ToString::to_string)
}
