//! `FleetService`: which daemons vote, replacing one whose disk was lost, adding and removing Regions.

use failoverd_domain::fleet::Actor;
use failoverd_domain::ids::Region;
use tonic::{Request, Response, Status};

use super::access::caller;
use super::backup;
use super::error::{ApiError, ErrorCode};
use super::proto::fleet_service_server::FleetService;
use super::sizes::{self, Way};
use super::watch::Stream;
use super::{Handles, proto};
use crate::ports::{Asked, MembersError};

/// Serves it.
#[derive(Clone)]
pub struct FleetApi {
    handles: Handles,
}

impl FleetApi {
    /// Through these handles.
    pub const fn new(handles: Handles) -> Self {
        Self { handles }
    }

    /// Only the leader knows how far the others are.
    fn leads(&self) -> Result<(), Status> {
        let leadership = self.handles.agreement.leadership().borrow().clone();
        if leadership.is_me {
            return Ok(());
        }
        let leader = leadership.leader.map_or_else(|| "nobody".to_owned(), |leader| leader.to_string());
        let message = format!("{} does not lead, {leader} does: ask that daemon (--server)", self.handles.me);
        Err(ApiError::new(ErrorCode::Refused, message).into())
    }

    /// What was done, nothing on a dry run; and what it means.
    async fn resize(
        &self,
        actor: &Actor,
        region: &str,
        way: Way,
        dry_run: bool,
    ) -> Result<(String, proto::FleetChange), Status> {
        let region = Region::from(region);
        self.leads()?;
        let change = sizes::change(&self.handles.snapshot().state, &region, way)?;
        if dry_run {
            return Ok((String::new(), change));
        }
        tracing::warn!(%actor, %region, ?way, "a person has a Region added or removed");
        let asked = Asked { by: actor, clock: self.handles.clock.as_ref() };
        let message = match way {
            Way::In => {
                self.handles.members.add(&region, asked).await.map_err(refused)?;
                format!("{region} was added: its daemon has everything, and votes")
            }
            Way::Out => {
                self.handles.members.remove(&region, asked).await.map_err(refused)?;
                format!("{region} was removed: its daemon has no vote, and stops when it hears of it")
            }
        };
        Ok((message, change))
    }
}

#[tonic::async_trait]
impl FleetService for FleetApi {
    type BackUpStream = Stream<proto::BackUpChunk>;

    async fn back_up(&self, request: Request<proto::BackUpRequest>) -> Result<Response<Self::BackUpStream>, Status> {
        let file = backup::back_up(&self.handles).await?;
        tracing::warn!(actor = %caller(&request), bytes = file.len(), "a person takes a backup, with the tokens of the switches");
        Ok(Response::new(backup::in_pieces(file)))
    }

    async fn confirm_service(
        &self,
        request: Request<proto::ConfirmServiceRequest>,
    ) -> Result<Response<proto::ConfirmServiceResponse>, Status> {
        let actor = caller(&request);
        let asked = request.into_inner();
        let command = backup::confirmation(&self.handles.caught_up().await?, &asked)?;
        let applied = self.handles.commit(actor, command).await?;
        let message = format!("{} is in {}: Route 53 is told so from now on", asked.service, asked.serving.join(", "));
        Ok(Response::new(proto::ConfirmServiceResponse { revision: applied.index.0, message }))
    }

    async fn list_daemons(
        &self,
        _: Request<proto::ListDaemonsRequest>,
    ) -> Result<Response<proto::ListDaemonsResponse>, Status> {
        let daemons = self.handles.members.list().await.into_iter().map(|seen| proto::DaemonSeen {
            region: seen.region.to_string(),
            votes: seen.votes,
            follows: seen.follows,
            leads: seen.leads,
            has: seen.has.map(|index| index.0),
        });
        let generation = self.handles.agreement.state().borrow().generation.0;
        Ok(Response::new(proto::ListDaemonsResponse { generation, daemons: daemons.collect() }))
    }

    async fn replace_daemon(
        &self,
        request: Request<proto::ReplaceDaemonRequest>,
    ) -> Result<Response<proto::ReplaceDaemonResponse>, Status> {
        let actor = caller(&request);
        let region = Region::from(request.into_inner().region.as_str());
        self.leads()?;
        tracing::warn!(%actor, %region, "a person has a daemon replaced");
        let replaced = self.handles.members.replace(&region).await;
        replaced.map_err(refused)?;
        let message = format!("{region} was replaced: its new disk has everything, and it votes");
        Ok(Response::new(proto::ReplaceDaemonResponse { message }))
    }

    async fn add_daemon(
        &self,
        request: Request<proto::AddDaemonRequest>,
    ) -> Result<Response<proto::AddDaemonResponse>, Status> {
        let actor = caller(&request);
        let proto::AddDaemonRequest { region, dry_run } = request.into_inner();
        let (message, change) = self.resize(&actor, &region, Way::In, dry_run).await?;
        Ok(Response::new(proto::AddDaemonResponse { message, change: Some(change) }))
    }

    async fn remove_daemon(
        &self,
        request: Request<proto::RemoveDaemonRequest>,
    ) -> Result<Response<proto::RemoveDaemonResponse>, Status> {
        let actor = caller(&request);
        let proto::RemoveDaemonRequest { region, dry_run } = request.into_inner();
        let (message, change) = self.resize(&actor, &region, Way::Out, dry_run).await?;
        Ok(Response::new(proto::RemoveDaemonResponse { message, change: Some(change) }))
    }
}

fn refused(error: MembersError) -> Status {
    let code = if error.unfinished { ErrorCode::OutcomeUnknown } else { ErrorCode::Refused };
    ApiError::new(code, error.reason).into()
}
