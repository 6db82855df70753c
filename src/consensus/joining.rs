//! A Region's daemon is added to the fleet.
//!
//! Filled first, then agreed on, then given its vote: it never counts before it has everything, and at no moment are more
//! votes needed than the old majority has. Whatever stops half-way is gone on with by the same command, whoever leads.

use std::time::Duration;

use failoverd_domain::fleet::{Command, Role};
use failoverd_domain::ids::Region;
use futures_util::future::join_all;
use openraft::ChangeMembers;

use super::handle::Consensus;
use super::members::{ANSWERS_WITHIN, FILLED_WITHIN, Place, Rejected};
use super::message::{Introduction, Message, Reply};
use super::types::node_id;
use crate::ports::{Asked, MembersError};

/// How long one that votes waits for the new daemon's word: less than it is waited for itself.
const REACHED_WITHIN: Duration = Duration::from_secs(3);

fn half_way(region: &Region, why: &str) -> MembersError {
    MembersError::unfinished(format!("{region} has everything and does not vote yet ({why}): add it again"))
}

impl Consensus {
    pub(super) async fn add_daemon(&self, region: &Region, asked: Asked<'_>) -> Result<(), MembersError> {
        let _one_at_a_time = self.one_at_a_time().await?;
        let role = self.may_add(region)?;
        let others = self.other_voters(region);
        self.all_answer(&others).await?;
        // Once it votes, whatever was to come before has been: what is left is to end the change, even if it leads by now.
        if !matches!(self.place_of(region), Place::Votes { .. }) {
            let (introduction, disk) = self.introduced(region).await?;
            self.all_reach(&others, region).await?;
            self.fill(region, disk).await?;
            self.enlist(Command::Enlist { region: region.clone(), role, switch: introduction.switch }, asked).await?;
        }
        let voted = self.change(ChangeMembers::AddVoterIds([node_id(region)].into()), true).await;
        voted.map_err(|error| half_way(region, &error.reason))?;
        tracing::info!(%region, by = %asked.by, "a Region was added to the fleet: its daemon has everything and votes");
        Ok(())
    }

    async fn enlist(&self, command: Command, asked: Asked<'_>) -> Result<(), MembersError> {
        let Command::Enlist { region, .. } = &command else { return Ok(()) };
        if self.is_listed(region) {
            return Ok(());
        }
        let region = region.clone();
        self.put(command, asked).await.map(drop).map_err(|rejected| match rejected {
            Rejected::Refused(why) | Rejected::Unknown(why) => half_way(&region, &why),
        })
    }

    fn is_listed(&self, region: &Region) -> bool {
        self.inner.state.borrow().members.contains_key(region)
    }

    /// With what its Region is for.
    fn may_add(&self, region: &Region) -> Result<Role, MembersError> {
        let state = self.inner.state.borrow().clone();
        let place = self.place_of(region);
        if place == (Place::Votes { is_settled: true }) {
            return Err(MembersError::refused(format!("{region} is a Region of this fleet already, and votes")));
        }
        if self.is_listed(region) && place == Place::Nowhere {
            return Err(MembersError::refused(format!(
                "{region} is a Region of this fleet whose daemon has no vote: replace it (failoverctl fleet replace {region})"
            )));
        }
        if !self.is_listed(region) {
            let may = state.may_enlist(region).map_err(|refused| MembersError::refused(refused.reason));
            may?;
        }
        let needed = Command::Enlist { region: region.clone(), role: Role::Witness, switch: None }.since();
        state.writes(needed).map_err(|refused| MembersError::refused(refused.reason))?;
        self.inner.config.members.get(region).copied().ok_or_else(|| {
            MembersError::refused(format!(
                "the configuration of {} does not name {region} among its peers: name it in every daemon's, restart them \
                 one after the other, and add it then",
                self.me()
            ))
        })
    }

    /// The new daemon is there, with a disk that can be filled.
    async fn introduced(&self, region: &Region) -> Result<(Introduction, u64), MembersError> {
        let generation = self.inner.me.generation;
        let start = format!("start it on an empty data_dir with --join {generation}");
        let said = self.inner.network.introduced(region, ANSWERS_WITHIN).await;
        let (introduction, disk) =
            said.map_err(|error| MembersError::refused(format!("{region} does not answer ({error}): {start}")))?;
        if self.inner.state.borrow().dismissed(region, disk).is_some() {
            let why = format!("{region} comes with the disk that it was removed with: {start}");
            return Err(MembersError::refused(why));
        }
        if !introduction.joins {
            let why = format!(
                "{region} was started without --join, and tries to form a fleet of its own: stop it, and {start}"
            );
            return Err(MembersError::refused(why));
        }
        Ok((introduction, disk))
    }

    /// Every daemon that votes knows the new one and gets an answer: whoever leads next must be able to reach it.
    async fn all_reach(&self, others: &[Region], region: &Region) -> Result<(), MembersError> {
        let ask = |other| self.inner.network.ask(other, Message::Reach(region.clone()), ANSWERS_WITHIN);
        let asked = others.iter().map(ask);
        for (other, answer) in others.iter().zip(join_all(asked).await) {
            let why = match answer {
                Ok(Reply::Reach(Ok(()))) => continue,
                Ok(Reply::Reach(Err(why))) => why,
                Ok(other) => format!("{other:?}"),
                Err(error) => error.to_string(),
            };
            return Err(MembersError::refused(format!(
                "{other} does not reach {region} ({why}): every daemon must, name {region} in its configuration and restart it"
            )));
        }
        Ok(())
    }

    /// Has the new disk filled; it follows from then on. What an earlier attempt put on it is of this log, or gives way to it.
    async fn fill(&self, region: &Region, disk: u64) -> Result<(), MembersError> {
        let id = node_id(region);
        let is_known = self.place_of(region) != Place::Nowhere
            && self
                .inner
                .acquaintances
                .recognise(region, disk)
                .map_err(|error| MembersError::refused(error.in_full()))?;
        if !is_known {
            // An earlier attempt may have met another disk: by this entry it is forgotten, by everybody.
            self.change(ChangeMembers::RemoveNodes([id].into()), true).await?;
        }
        tracing::info!(%region, "a daemon is added: its disk is filled");
        let at = self.change(ChangeMembers::AddNodes([(id, region.clone())].into()), true).await?;
        if self.follow(&[id], at, FILLED_WITHIN).await {
            return Ok(());
        }
        Err(MembersError::unfinished(format!(
            "{region} does not vote, and its disk was not filled in {FILLED_WITHIN:?}: see that its daemon runs, and add it again"
        )))
    }

    /// Whether this daemon gets an answer of one that is to be added.
    pub(super) async fn reach(&self, region: &Region) -> Result<(), String> {
        let said = self.inner.network.introduced(region, REACHED_WITHIN).await;
        said.map(drop).map_err(|error| error.to_string())
    }

    /// What this daemon says of itself before it is added.
    pub(super) fn introduction(&self) -> Introduction {
        Introduction { joins: self.inner.joins, switch: self.inner.config.switch.clone() }
    }
}
