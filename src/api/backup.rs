//! The state as a backup, in pieces; and a person's word on where a restored service is.

use std::collections::BTreeSet;

use failoverd_domain::fleet::{Backup, Command, LARGEST_BACKUP};
use failoverd_domain::ids::{Region, ServiceName};
use failoverd_domain::service::Pattern;
use futures_util::stream;
use tonic::Status;

use super::error::{ApiError, ErrorCode};
use super::snapshot::Snapshot;
use super::watch::Stream;
use super::{Handles, proto};

/// A piece.
const PIECE: usize = 256 * 1024;

/// What this daemon knows to be agreed.
///
/// # Errors
/// It has not caught up with the others, or there is too much.
pub(super) async fn back_up(handles: &Handles) -> Result<Vec<u8>, ApiError> {
    let at = handles.caught_up().await?;
    let state = failoverd_domain::fleet::FleetState::clone(&at.state);
    let backup = Backup::of(state, at.leadership.term, at.now, at.me, env!("CARGO_PKG_VERSION"));
    let file = backup.write().map_err(|error| ApiError::new(ErrorCode::Internal, error.to_string()))?;
    if file.len() > LARGEST_BACKUP {
        let message = format!("the state has {} bytes, a backup has {LARGEST_BACKUP} at most", file.len());
        return Err(ApiError::new(ErrorCode::Internal, message));
    }
    Ok(file)
}

/// In pieces.
pub(super) fn in_pieces(file: Vec<u8>) -> Stream<proto::BackUpChunk> {
    let pieces: Vec<Result<proto::BackUpChunk, Status>> =
        file.chunks(PIECE).map(|piece| Ok(proto::BackUpChunk { data: piece.to_vec() })).collect();
    Box::pin(stream::iter(pieces))
}

/// What a person said, as an entry. What AWS says of the data is held against it.
///
/// # Errors
/// It is not clear what was said, or another Region has the writer.
pub(super) fn confirmation(at: &Snapshot, asked: &proto::ConfirmServiceRequest) -> Result<Command, ApiError> {
    let service = at.service(&asked.service)?;
    let spec = &service.spec;
    let serving: BTreeSet<Region> = asked.serving.iter().map(|region| Region::from(region.as_str())).collect();
    let has_writer = spec.data.iter().any(|store| store.kind.has_single_writer());
    let only = serving.first().filter(|_| serving.len() == 1);
    let writers = match (&asked.writers, spec.pattern) {
        (Some(region), _) => Region::from(region.as_str()),
        (None, Pattern::ActiveActive) if has_writer => {
            let message = format!("{} has data with one writer: say where that is (--writers REGION)", spec.name);
            return Err(ApiError::new(ErrorCode::InvalidArgument, message));
        }
        (None, _) => only.unwrap_or(&service.primary).clone(),
    };
    if let Some(elsewhere) = seen_elsewhere(at, &spec.name, &writers).filter(|_| !asked.although_seen_elsewhere) {
        let message = format!("{elsewhere}; if you know better, say so (--although-seen-elsewhere)");
        return Err(ApiError::new(ErrorCode::Refused, message));
    }
    Ok(Command::Confirm { service: spec.name.clone(), serving, writers })
}

/// A store whose writer is in another Region, by the newest word of AWS.
fn seen_elsewhere(at: &Snapshot, name: &ServiceName, writers: &Region) -> Option<String> {
    let spec = &at.state.services.get(name)?.spec;
    let elsewhere = |region: &&Region| *region != writers;
    spec.data.iter().find_map(|store| {
        let writes = |region: &&Region| {
            let readings = at.matrix.store(name, &store.name, region);
            readings.iter().find_map(|(_, reading)| reading.writer).unwrap_or(false)
        };
        let region = spec.regions.iter().filter(elsewhere).find(writes)?;
        Some(format!("AWS says that the writer of {} is in {region}, not in {writers}", store.name))
    })
}
