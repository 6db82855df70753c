//! Drills: what the two services answer about them, and the wish to come back.

use std::sync::Arc;

use failoverd_domain::drill::{DrillRun, DrillState};
use failoverd_domain::fleet::{Actor, Command, FleetState, Guard, Run, Severity, Trigger};
use failoverd_domain::ids::DrillRunId;
use failoverd_domain::plan::Mode;
use futures_util::{StreamExt, stream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::error::{ApiError, ErrorCode};
use super::failover::{Asked, decide, preview};
use super::snapshot::Snapshot;
use super::status::run_message;
use super::watch::Stream;
use super::{Handles, convert, proto};

/// More openings than this tell nobody anything.
const MOST_OPENINGS: u32 = 100;

/// Every drill, or those of a service.
pub fn list(at: &Snapshot, request: &proto::ListDrillsRequest) -> Vec<proto::Drill> {
    let openings = usize::try_from(request.openings.min(MOST_OPENINGS)).unwrap_or(0);
    let wanted = |drill: &&DrillState| request.service.as_ref().is_none_or(|it| it == drill.spec.service.as_str());
    at.state.drills.values().filter(wanted).map(|drill| convert::drill(at, drill, openings)).collect()
}

/// One drill with its newest executions.
///
/// # Errors
/// `NO_SUCH_DRILL`.
pub fn whole(at: &Snapshot, name: &str) -> Result<proto::GetDrillResponse, ApiError> {
    let drill = at.drill(name)?;
    let of_it = at.state.drill_runs.values().filter(|run| run.drill().as_str() == name);
    let mut runs: Vec<&DrillRun> = of_it.collect();
    runs.sort_by_key(|run| std::cmp::Reverse(run.opened_at));
    Ok(proto::GetDrillResponse {
        answered: Some(at.answered()),
        drill: Some(convert::drill(at, drill, 0)),
        runs: runs.into_iter().map(|run| convert::drill_run(at, run)).collect(),
    })
}

/// An execution with its runs.
pub fn picture(at: &Snapshot, run: &DrillRun) -> proto::WatchDrillRunResponse {
    let runs: Vec<&Run> = [&run.out, &run.back].into_iter().flatten().filter_map(|id| at.state.runs.get(id)).collect();
    proto::WatchDrillRunResponse {
        answered: Some(at.answered()),
        drill_run: Some(convert::drill_run(at, run)),
        runs: runs.into_iter().map(|run| run_message(at, run)).collect(),
    }
}

/// The open execution that a name means: its own id, or its drill's.
///
/// # Errors
/// Nothing of that name, and a drill of which none is open.
pub fn meant(at: &Snapshot, name: &str) -> Result<DrillRunId, ApiError> {
    if let Some(run) = at.state.drill_runs.get(name) {
        return Ok(run.id.clone());
    }
    let drill = at.drill(name).map_err(|_| ApiError::unknown_drill_run(name))?;
    let open = at.state.drill_runs.values().find(|run| run.drill() == &drill.spec.name && !run.is_closed());
    open.map(|run| run.id.clone()).ok_or_else(|| {
        ApiError::new(ErrorCode::Refused, format!("no execution of drill {name} is open: there is nothing to cancel"))
    })
}

/// Opens an execution and answers with it.
///
/// # Errors
/// Unknown drills and what the state refuses.
pub async fn run(handles: &Handles, actor: Actor, name: &str) -> Result<proto::DrillRunResponse, ApiError> {
    let drill = handles.caught_up().await?.drill(name)?.spec.name.clone();
    let applied = handles.commit(actor, Command::OpenDrill { drill: drill.clone(), scheduled_for: None }).await?;
    let at = handles.snapshot();
    let opened = at.state.drills.get(&drill).and_then(|drill| at.state.drill_runs.get(drill.last.as_ref()?));
    Ok(proto::DrillRunResponse { revision: applied.index.0, run: opened.map(|run| convert::drill_run(&at, run)) })
}

/// Commits a command about an execution and answers with the execution as it is then.
///
/// # Errors
/// What the state refuses.
pub async fn change(
    handles: &Handles,
    actor: Actor,
    run: &DrillRunId,
    command: Command,
) -> Result<proto::DrillRunResponse, ApiError> {
    let applied = handles.commit(actor, command).await?;
    let at = handles.snapshot();
    let run = at.state.drill_runs.get(run).map(|run| convert::drill_run(&at, run));
    Ok(proto::DrillRunResponse { revision: applied.index.0, run })
}

/// Brings a service back now, or notes that it is to come back.
///
/// # Errors
/// Unknown services, services at home, and guards that no waiting helps with.
pub async fn fail_back(
    handles: &Handles,
    actor: Actor,
    request: proto::FailbackRequest,
) -> Result<proto::FailbackResponse, ApiError> {
    let at = handles.caught_up().await?;
    let service = at.service(&request.service)?;
    let name = service.spec.name.clone();
    if request.forget {
        let applied = handles.commit(actor, Command::ForgetReturn { service: name.clone() }).await?;
        let message = format!("{name} is no longer to return by itself");
        return Ok(proto::FailbackResponse { revision: applied.index.0, message, ..Default::default() });
    }
    let home = service.spec.regions.first().map(ToString::to_string).unwrap_or_default();
    if service.primary.as_str() == home {
        let why = format!("{name} serves from {home} already, the first Region of its manifest: there is no way back");
        return Err(ApiError::new(ErrorCode::Refused, why));
    }
    let asked = || Asked {
        service: request.service.clone(),
        to: Some(home.clone()),
        mode: Some(Mode::Graceful),
        reason: Some(request.reason.clone()),
        ..Asked::default()
    };
    match decide(&at, asked(), actor.clone()) {
        Ok(decision) => {
            let applied = handles.commit(actor, Command::Decide(Box::new(decision))).await?;
            let at = handles.snapshot();
            let run = applied.result.ok().flatten().and_then(|id| at.state.runs.get(&id));
            let run = run.map(|run| run_message(&at, run));
            let message = format!("{name} is on its way back to {home}");
            Ok(proto::FailbackResponse { revision: applied.index.0, run, waits_for: None, message })
        }
        Err(no) if request.when_ready => {
            let Some(waits_for) = worth_waiting_for(&at, asked(), actor.clone()) else { return Err(no) };
            let reason = request.reason.clone();
            let applied = handles.commit(actor, Command::AskReturn { service: name.clone(), reason }).await?;
            let message = format!("{name} returns to {home} as soon as it can; it waits for this: {waits_for}");
            Ok(proto::FailbackResponse { revision: applied.index.0, run: None, waits_for: Some(waits_for), message })
        }
        Err(no) => Err(no),
    }
}

/// What keeps a service from coming back, if nothing but what passes by itself does.
fn worth_waiting_for(at: &Snapshot, asked: Asked, actor: Actor) -> Option<String> {
    let seen = preview(at, asked, actor, Trigger::Operator).ok()?;
    let blocking: Vec<_> =
        seen.guards.iter().filter(|verdict| !verdict.ok && verdict.severity == Severity::Blocks).collect();
    let passes = |guard: Guard| matches!(guard, Guard::StandbyReady | Guard::TrafficReady | Guard::Follows);
    let all_pass = !blocking.is_empty() && blocking.iter().all(|verdict| passes(verdict.guard));
    all_pass.then(|| blocking.iter().map(|verdict| verdict.reason.clone()).collect::<Vec<_>>().join("; "))
}

/// The execution now (or once more than `after` is applied), then after every change, until it has its verdict.
pub fn watch(
    handles: Handles,
    id: String,
    after: u64,
    stop: CancellationToken,
) -> Stream<proto::WatchDrillRunResponse> {
    let state = handles.agreement.state();
    let begin = Watch { handles, id, state, after, last: None, is_over: false };
    Box::pin(stream::unfold(begin, |watch| watch.next()).take_until(stop.cancelled_owned()))
}

struct Watch {
    handles: Handles,
    id: String,
    state: watch::Receiver<Arc<FleetState>>,
    after: u64,
    last: Option<proto::WatchDrillRunResponse>,
    is_over: bool,
}

impl Watch {
    async fn next(mut self) -> Option<(Result<proto::WatchDrillRunResponse, Status>, Self)> {
        loop {
            if self.is_over {
                return None;
            }
            self.state.mark_unchanged();
            let at = self.handles.snapshot();
            let Some(run) = at.state.drill_runs.get(self.id.as_str()) else {
                self.is_over = true;
                return Some((Err(ApiError::unknown_drill_run(&self.id).into()), self));
            };
            let seen = picture(&at, run);
            let bare = proto::WatchDrillRunResponse { answered: None, ..seen.clone() };
            let is_new = self.after == 0 || at.state.applied.0 > self.after;
            if is_new && self.last.as_ref() != Some(&bare) {
                self.is_over = run.is_closed();
                self.last = Some(bare);
                return Some((Ok(seen), self));
            }
            super::watch::changed_or_later(&mut self.state).await?;
        }
    }
}
