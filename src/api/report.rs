//! `GetReport`: which events a report needs, and the report that the domain makes of them.

use std::collections::BTreeMap;

use failoverd_domain::fleet::{EventKind, HistoryEvent};
use failoverd_domain::ids::{DrillRunId, RunId};
use failoverd_domain::report::{Kind, Report, ReportError, report_of_drill, report_of_run};

use super::error::{ApiError, ErrorCode};
use super::status::history_error;
use super::{Handles, proto};
use crate::ports::HistoryFilter;

/// Events that one question to the history returns at most.
const PAGE: u32 = 10_000;
/// What happens to the service meanwhile is read row by row where it is not more than this.
const MEANWHILE: u64 = 2_000;
/// Settlement follows within so many events of the whole fleet.
const AFTERWARDS: u64 = 200;
/// So many runs of the service are looked at for those that went the same way.
const LOOK_BACK: u64 = 20;
/// So many executions of a drill are compared with.
const EARLIER: u64 = 5;

/// The history of this daemon: its database, and what the database does not hold yet.
struct Source<'a> {
    handles: &'a Handles,
    /// Events that are agreed and not stored yet.
    pending: Vec<HistoryEvent>,
    /// Events that are neither here nor there.
    behind: u64,
}

/// Whose report it is.
enum Subject {
    Run(RunId, Vec<HistoryEvent>),
    Drill(DrillRunId, Vec<HistoryEvent>),
}

/// Answers the request.
///
/// # Errors
/// Nothing of that name in this history; a history that cannot be read.
pub async fn answer(handles: &Handles, request: proto::GetReportRequest) -> Result<proto::GetReportResponse, ApiError> {
    let source = Source::open(handles).await?;
    let report = match source.subject(&request).await? {
        Subject::Run(id, own) => source.of_run(&id, own).await?,
        Subject::Drill(id, own) => source.of_drill(&id, own).await?,
    };
    let document = serde_json::to_string(&report)
        .map_err(|error| ApiError::new(ErrorCode::Internal, format!("report of {}: {error}", report.id)))?;
    let kind = match report.kind {
        Kind::Run => "run",
        Kind::Drill => "drill",
    };
    let answered = Some(handles.snapshot().answered());
    Ok(proto::GetReportResponse { answered, kind: kind.to_owned(), document, behind: source.behind })
}

impl<'a> Source<'a> {
    async fn open(handles: &'a Handles) -> Result<Self, ApiError> {
        let head = handles.history.head().await.map_err(history_error)?;
        let pending = handles.outbox.pending(head.seq + 1, PAGE as usize).await;
        let agreed = handles.snapshot().state.head.seq;
        let held = head.seq.saturating_add(pending.len() as u64);
        Ok(Self { handles, pending, behind: agreed.saturating_sub(held) })
    }

    /// A run, an execution, or the newest execution of a drill, in this order.
    async fn subject(&self, request: &proto::GetReportRequest) -> Result<Subject, ApiError> {
        let id = request.id.as_str();
        let own = self.of(&HistoryFilter { run: Some(id.into()), ..HistoryFilter::default() }).await?;
        if !own.is_empty() {
            let drill = own.iter().find_map(|event| event.drill.clone()).filter(|_| request.whole_drill);
            return match drill {
                Some(drill) => self.execution(drill).await,
                None => Ok(Subject::Run(id.into(), own)),
            };
        }
        let own = self.of(&HistoryFilter { drill: Some(id.into()), ..HistoryFilter::default() }).await?;
        if !own.is_empty() {
            return Ok(Subject::Drill(id.into(), own));
        }
        let opened = HistoryFilter { kind: Some(EventKind::DrillOpened.word()), ..HistoryFilter::default() };
        let of_name = |event: &&HistoryEvent| event.data.get("drill").and_then(|name| name.as_str()) == Some(id);
        match self.of(&opened).await?.iter().filter(of_name).max_by_key(|event| event.seq) {
            Some(HistoryEvent { drill: Some(newest), .. }) => self.execution(newest.clone()).await,
            _ => Err(self.nothing(id)),
        }
    }

    async fn execution(&self, id: DrillRunId) -> Result<Subject, ApiError> {
        let own = self.of(&HistoryFilter { drill: Some(id.clone()), ..HistoryFilter::default() }).await?;
        Ok(Subject::Drill(id, own))
    }

    fn nothing(&self, id: &str) -> ApiError {
        let at = self.handles.snapshot();
        let is_known = at.state.runs.contains_key(id) || at.state.drill_runs.contains_key(id);
        if is_known && self.behind > 0 {
            let message =
                format!("this daemon's history is {} events behind and holds nothing of {id} yet", self.behind);
            return ApiError::new(ErrorCode::HistoryAway, message);
        }
        ApiError::new(ErrorCode::UnknownRun, format!("this history knows no run, execution or drill {id}"))
    }

    async fn of_run(&self, id: &RunId, own: Vec<HistoryEvent>) -> Result<Report, ApiError> {
        let earlier = self.earlier_runs(id, &own).await?;
        let events = self.with_meanwhile(own).await?;
        report_of_run(id, &events, &earlier, self.behind).map_err(|error| no_report(&error))
    }

    async fn of_drill(&self, id: &DrillRunId, own: Vec<HistoryEvent>) -> Result<Report, ApiError> {
        let earlier = self.earlier_drills(id).await?;
        let events = self.with_meanwhile(own).await?;
        report_of_drill(id, &events, &earlier, self.behind).map_err(|error| no_report(&error))
    }

    /// Everything that matches, however much it is.
    async fn of(&self, filter: &HistoryFilter) -> Result<Vec<HistoryEvent>, ApiError> {
        let mut events = self.stored(HistoryFilter { limit: PAGE, ..filter.clone() }).await?;
        if events.len() >= PAGE as usize && filter.kind.is_none() {
            // Nothing that one run or one execution does is as much of one kind.
            for kind in EventKind::ALL {
                let page = HistoryFilter { kind: Some(kind.word()), limit: PAGE, ..filter.clone() };
                events.extend(self.stored(page).await?);
            }
        }
        events.extend(self.pending.iter().filter(|event| matches(filter, event)).cloned());
        let by_seq: BTreeMap<u64, HistoryEvent> = events.into_iter().map(|event| (event.seq, event)).collect();
        Ok(by_seq.into_values().collect())
    }

    async fn stored(&self, filter: HistoryFilter) -> Result<Vec<HistoryEvent>, ApiError> {
        self.handles.history.query(&filter).await.map_err(history_error)
    }

    /// With what happened to the service between the first event and settlement.
    async fn with_meanwhile(&self, mut own: Vec<HistoryEvent>) -> Result<Vec<HistoryEvent>, ApiError> {
        let (Some(first), Some(last)) = (own.first().cloned(), own.last().map(|event| event.seq)) else {
            return Ok(own);
        };
        let service = own.iter().find_map(|event| event.service.clone());
        let until = last.saturating_add(AFTERWARDS);
        let span = until.saturating_sub(first.seq);
        if span <= MEANWHILE {
            let limit = u32::try_from(span + 1).unwrap_or(PAGE);
            let all = self.handles.history.range(first.seq, limit).await.map_err(history_error)?;
            let concerns = |event: &HistoryEvent| event.service == service || event.kind == EventKind::Violation;
            own.extend(all.into_iter().filter(concerns));
        } else {
            for kind in [EventKind::Decided, EventKind::Settled, EventKind::LostWrites, EventKind::Violation] {
                let service = service.clone().filter(|_| kind != EventKind::Violation);
                let (kind, since) = (Some(kind.word()), Some(first.at));
                let filter = HistoryFilter { service, kind, since, limit: PAGE, ..HistoryFilter::default() };
                own.extend(self.stored(filter).await?);
            }
        }
        own.extend(self.pending.iter().filter(|event| event.service == service).cloned());
        Ok(own)
    }

    /// Runs are numbered: those before this one are found by name.
    async fn earlier_runs(&self, id: &RunId, own: &[HistoryEvent]) -> Result<Vec<HistoryEvent>, ApiError> {
        let way = |events: &[HistoryEvent]| {
            let decided = events.iter().find(|event| event.kind == EventKind::Decided)?;
            let plan = decided.data.get("plan")?;
            Some((plan.get("from")?.clone(), plan.get("to")?.clone(), plan.get("movement").cloned()))
        };
        let numbered = id.as_str().rsplit_once('-').and_then(|(name, n)| Some((name, n.parse::<u64>().ok()?)));
        let (Some((name, n)), Some(ours)) = (numbered, way(own)) else { return Ok(Vec::new()) };
        let (mut earlier, mut found) = (Vec::new(), 0);
        for n in (n.saturating_sub(LOOK_BACK).max(1)..n).rev() {
            let run = Some(RunId::new(format!("{name}-{n}")));
            let events = self.of(&HistoryFilter { run, ..HistoryFilter::default() }).await?;
            if way(&events).as_ref() == Some(&ours) {
                earlier.extend(events);
                found += 1;
            }
            if found == EARLIER {
                break;
            }
        }
        Ok(earlier)
    }

    async fn earlier_drills(&self, id: &DrillRunId) -> Result<Vec<HistoryEvent>, ApiError> {
        let numbered = id.as_str().rsplit_once('.').and_then(|(name, n)| Some((name, n.parse::<u64>().ok()?)));
        let Some((name, n)) = numbered else { return Ok(Vec::new()) };
        let mut earlier = Vec::new();
        for n in (n.saturating_sub(EARLIER).max(1)..n).rev() {
            let drill = Some(DrillRunId::new(format!("{name}.{n}")));
            let kind = Some(EventKind::DrillFinished.word());
            earlier.extend(self.of(&HistoryFilter { drill, kind, ..HistoryFilter::default() }).await?);
        }
        Ok(earlier)
    }
}

fn no_report(error: &ReportError) -> ApiError {
    ApiError::new(ErrorCode::UnknownRun, error.to_string())
}

/// Whether an event that is not stored yet is one of those that were asked for.
fn matches(filter: &HistoryFilter, event: &HistoryEvent) -> bool {
    filter.run.as_ref().is_none_or(|run| event.run.as_ref() == Some(run))
        && filter.drill.as_ref().is_none_or(|drill| event.drill.as_ref() == Some(drill))
        && filter.service.as_ref().is_none_or(|service| event.service.as_ref() == Some(service))
        && filter.kind.as_ref().is_none_or(|kind| &event.kind.word() == kind)
        && filter.since.is_none_or(|since| event.at >= since)
}
