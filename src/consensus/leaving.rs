//! A Region's daemon is removed from the fleet.
//!
//! Agreed on first, then its vote is taken. By the first entry it knows itself that it is not needed any more, if it is
//! alive; if it comes back later, it is told.

use failoverd_domain::fleet::Command;
use failoverd_domain::ids::Region;
use openraft::ChangeMembers;

use super::handle::Consensus;
use super::members::{ANSWERS_WITHIN, Place, Rejected};
use super::message::Message;
use super::types::node_id;
use crate::ports::{Asked, MembersError};

impl Consensus {
    pub(super) async fn remove_daemon(&self, region: &Region, asked: Asked<'_>) -> Result<(), MembersError> {
        let _one_at_a_time = self.one_at_a_time().await?;
        self.may_remove(region)?;
        let others = self.other_voters(region);
        self.all_answer(&others).await?;
        if self.inner.state.borrow().members.contains_key(region) {
            let disk = self.disk_of(region).await;
            tracing::warn!(%region, by = %asked.by, "a Region is removed from the fleet");
            self.put(Command::Dismiss { region: region.clone(), disk }, asked).await.map_err(
                |rejected| match rejected {
                    Rejected::Refused(why) => MembersError::refused(why),
                    Rejected::Unknown(why) => MembersError::unfinished(format!(
                        "nobody knows whether {region} was removed ({why}): remove it again"
                    )),
                },
            )?;
        }
        let id = node_id(region);
        let without = match self.place_of(region) {
            Place::Nowhere => return Ok(()),
            Place::Follows => ChangeMembers::RemoveNodes([id].into()),
            Place::Votes { .. } => ChangeMembers::RemoveVoters([id].into()),
        };
        self.change(without, false).await.map_err(|error| {
            MembersError::unfinished(format!(
                "{region} belongs to the fleet no longer, and its vote may count still ({}): remove it again",
                error.reason
            ))
        })?;
        tracing::info!(%region, "a Region was removed from the fleet: its daemon has no vote");
        Ok(())
    }

    fn may_remove(&self, region: &Region) -> Result<(), MembersError> {
        if region == self.me() {
            return Err(MembersError::refused(format!(
                "{region} leads: stop its daemon, which hands leadership over, and ask the daemon that leads then"
            )));
        }
        let state = self.inner.state.borrow().clone();
        if !state.members.contains_key(region) && self.place_of(region) != Place::Nowhere {
            // Removed already, up to its vote.
            return Ok(());
        }
        let command = Command::Dismiss { region: region.clone(), disk: None };
        let may = state.writes(command.since()).and_then(|()| state.may_dismiss(region));
        may.map_err(|refused| MembersError::refused(refused.reason))
    }

    /// The disk of a daemon that goes: as it was met, or as it says now. One that nobody ever met has none to be known by.
    async fn disk_of(&self, region: &Region) -> Option<u64> {
        let acquaintances = &self.inner.acquaintances;
        if acquaintances.disk_of(region).is_none() {
            let answer = self.inner.network.ask(region, Message::ReadPosition, ANSWERS_WITHIN).await;
            if let Err(error) = answer {
                tracing::info!(%region, %error, "the daemon that goes was never met, and does not answer");
            }
        }
        acquaintances.disk_of(region)
    }
}
