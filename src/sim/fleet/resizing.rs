//! A Region comes to a simulated fleet and leaves it, as a person has it done.

use std::pin::pin;
use std::sync::Arc;

use failoverd_domain::fleet::{Actor, Role};
use failoverd_domain::format::Format;
use failoverd_domain::ids::Region;

use super::daemon::Home;
use super::whole::SimulatedFleet;
use crate::consensus::MemoryDisk;
use crate::ports::{Asked, Clock, Members, MembersError};

impl SimulatedFleet {
    /// Names a Region, a witness, in every daemon's file, and starts its daemon on an empty disk, where it waits to be
    /// added. The others read their files again when they are started one after the other.
    pub async fn prepare(&mut self, region: &Region) {
        self.around.members.insert(region.clone(), Role::Witness);
        for other in self.running() {
            let build = self.homes[&other].build.clone();
            self.replace_build(&other, build).await;
            self.start(&other).await;
            self.run_for(std::time::Duration::from_secs(10)).await;
        }
        let like = self.homes.values().next().cloned();
        let Some(like) = like else { return };
        let generation = self.state().generation;
        let (region, disk, join) = (region.clone(), MemoryDisk::new(), Some(generation));
        let home = Home { region: region.clone(), disk, history: None, join, ..like };
        debug_assert_eq!(home.build.reads, Format::NEWEST);
        self.homes.insert(region.clone(), home);
        self.start(&region).await;
    }

    /// `fleet add`, typed at whoever leads.
    ///
    /// # Errors
    /// In the words of the fleet.
    pub async fn add(&mut self, region: &Region) -> Result<(), String> {
        self.resize(region, true).await
    }

    /// `fleet remove`, typed at whoever leads.
    ///
    /// # Errors
    /// In the words of the fleet.
    pub async fn remove(&mut self, region: &Region) -> Result<(), String> {
        self.resize(region, false).await
    }

    async fn resize(&mut self, region: &Region, adds: bool) -> Result<(), String> {
        let leader = self.leader().ok_or("nobody leads")?;
        let consensus = self.daemons[&leader].consensus().clone();
        let clock: Arc<dyn Clock> = self.daemons[&leader].handles().clock.clone();
        let region = region.clone();
        self.judge.tell(format!("typed at {leader}: {} {region}", if adds { "add" } else { "remove" }));
        let done = async move {
            let by = Actor::Operator("alice".to_owned());
            let asked = Asked { by: &by, clock: clock.as_ref() };
            match adds {
                true => consensus.add(&region, asked).await,
                false => consensus.remove(&region, asked).await,
            }
        };
        let mut done = pin!(done);
        // Everything is looked at meanwhile.
        loop {
            tokio::select! {
                biased;
                done = &mut done => return done.map_err(|error: MembersError| error.to_string()),
                () = self.step() => {}
            }
        }
    }
}
