//! Streams: first what is, then what changes. A revision is the newest log index applied, so that a reader whose
//! connection broke goes on where it stopped, at any daemon.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use failoverd_domain::fleet::FleetState;
use failoverd_domain::health::Matrix;
use futures_util::{StreamExt, stream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::error::ApiError;
use super::status::run_message;
use super::{Handles, convert, proto};
use crate::ports::Leadership;

/// A stream of answers.
pub type Stream<T> = Pin<Box<dyn futures_util::Stream<Item = Result<T, Status>> + Send>>;

/// Between two pictures of the fleet: reports arrive many times a second, people read slower.
const PAUSE: Duration = Duration::from_millis(250);
/// An open run is looked at again after this time, though nothing has changed.
const LATER: Duration = Duration::from_secs(1);

/// The fleet now (or once more than `after` is applied), then whenever it looks different.
pub fn fleet(handles: Handles, after: u64, stop: CancellationToken) -> Stream<proto::Fleet> {
    let changes = Changes::of(&handles);
    let pictures = stream::unfold((handles, changes, after, None), |(handles, mut changes, after, last)| async move {
        loop {
            let fleet = convert::fleet(&handles.snapshot());
            let revision = fleet.answered.as_ref().map_or(0, |answered| answered.revision);
            let bare = without_clocks(fleet.clone());
            let is_due = if last.is_none() { after == 0 || revision > after } else { last.as_ref() != Some(&bare) };
            if is_due {
                return Some((Ok(fleet), (handles, changes, after, Some(bare))));
            }
            changes.next().await?;
            tokio::time::sleep(PAUSE).await;
        }
    });
    Box::pin(pictures.take_until(stop.cancelled_owned()))
}

/// The same picture without what changes all the time: two alike are sent once.
fn without_clocks(mut fleet: proto::Fleet) -> proto::Fleet {
    if let Some(answered) = &mut fleet.answered {
        answered.at = None;
    }
    for region in &mut fleet.regions {
        region.report_age_ms = None;
        region.clock_skew_ms = None;
    }
    // Loss bounds move with every canary.
    for forecast in fleet.if_vanished.iter_mut().flat_map(|region| &mut region.services) {
        forecast.loss.clear();
        forecast.loss_bound_ms = None;
    }
    for service in &mut fleet.services {
        for region in &mut service.regions {
            region.since = None;
            region.opinions.clear();
        }
        for check in &mut service.checks {
            check.age_ms = 0;
            check.observer.clear();
        }
        service.readiness = None;
        for copy in service.stores.iter_mut().flat_map(|store| &mut store.copies) {
            copy.read_age_ms = None;
        }
    }
    fleet
}

/// The run now (or once more than `after` is applied), then after every change, until it has its verdict.
pub fn run(handles: Handles, id: String, after: u64, stop: CancellationToken) -> Stream<proto::WatchRunResponse> {
    let state = handles.agreement.state();
    let begin = RunWatch { handles, id, state, after, last: None, is_over: false };
    Box::pin(stream::unfold(begin, |watch| watch.next()).take_until(stop.cancelled_owned()))
}

struct RunWatch {
    handles: Handles,
    id: String,
    state: watch::Receiver<Arc<FleetState>>,
    after: u64,
    last: Option<proto::Run>,
    is_over: bool,
}

impl RunWatch {
    async fn next(mut self) -> Option<(Result<proto::WatchRunResponse, Status>, Self)> {
        loop {
            if self.is_over {
                return None;
            }
            self.state.mark_unchanged();
            let at = self.handles.snapshot();
            let Some(run) = at.state.runs.get(self.id.as_str()) else {
                self.is_over = true;
                return Some((Err(ApiError::unknown_run(&self.id).into()), self));
            };
            let seen = run_message(&at, run);
            let is_new = self.after == 0 || at.state.applied.0 > self.after;
            if is_new && self.last.as_ref() != Some(&seen) {
                self.is_over = run.state.is_closed();
                self.last = Some(seen.clone());
                return Some((Ok(proto::WatchRunResponse { answered: Some(at.answered()), run: Some(seen) }), self));
            }
            changed_or_later(&mut self.state).await?;
        }
    }
}

/// Waits for a change of the state, but not for ever: time alone makes a step overdue. `None` when the daemon is going down.
pub async fn changed_or_later(state: &mut watch::Receiver<Arc<FleetState>>) -> Option<()> {
    tokio::select! {
        changed = state.changed() => changed.ok(),
        () = tokio::time::sleep(LATER) => Some(()),
    }
}

/// Wakes on whatever can change a picture of the fleet.
struct Changes {
    state: watch::Receiver<Arc<FleetState>>,
    leadership: watch::Receiver<Leadership>,
    matrix: watch::Receiver<Arc<Matrix>>,
}

impl Changes {
    fn of(handles: &Handles) -> Self {
        Self {
            state: handles.agreement.state(),
            leadership: handles.agreement.leadership(),
            matrix: handles.matrix.clone(),
        }
    }

    /// `None` when the daemon is going down.
    async fn next(&mut self) -> Option<()> {
        tokio::select! {
            changed = self.state.changed() => changed.ok(),
            changed = self.leadership.changed() => changed.ok(),
            changed = self.matrix.changed() => changed.ok(),
        }
    }
}
